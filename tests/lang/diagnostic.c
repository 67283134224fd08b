/* Diagnostics: places, windows, carets, order, text that is no text. Columns were counted by hand.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lang/diagnostic.h"
#include "tests/lang/fixture.h"
#include "tests/suite.h"

static char *print_all(struct diagnostics *diagnostics)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    diagnostics_print(diagnostics, out);
    fclose(out);
    diagnostics_close(diagnostics);
    return text;
}

/* One error at [start, end) of `source`. */
static void check_print(struct string source, uint32_t start, uint32_t end, const char *message,
                        const char *expected)
{
    struct diagnostics diagnostics;
    diagnostics_open(&diagnostics, "f", source);
    CU_ASSERT_FALSE(diagnostics_error(&diagnostics, (struct span){start, end}, "%s", message));
    char *found = print_all(&diagnostics);
    if (strcmp(found, expected) != 0)
        printf("\n  gave\n%s  expected\n%s", found, expected);
    CU_ASSERT_STRING_EQUAL(found, expected);
    free(found);
}

static void places(void)
{
    check_print(STRING("where uppr(a)\nb"), 6, 10, "m",
                "f:1:7: error: m\n    where uppr(a)\n          ^~~~\n");
    check_print(STRING("a\n\tbc\td\n"), 6, 7, "m", "f:2:5: error: m\n    \tbc\td\n    \t  \t^\n");
    check_print(STRING("\xc3\xa9\xe2\x82\xac b"), 6, 7, "m",
                "f:1:4: error: m\n    \xc3\xa9\xe2\x82\xac b\n       ^\n");
    check_print(STRING("a\xc3\xa9\xc3\xa9z"), 1, 5, "m",
                "f:1:2: error: m\n    a\xc3\xa9\xc3\xa9z\n     ^~\n");
    check_print(STRING("ab"), 2, 2, "m", "f:1:3: error: m\n    ab\n      ^\n");
    check_print(STRING("ab\n"), 3, 3, "m", "f:2:1: error: m\n    \n    ^\n");
    check_print(STRING(""), 0, 0, "m", "f:1:1: error: m\n    \n    ^\n");
    check_print(STRING("a\r\nb\r\n"), 3, 4, "m", "f:2:1: error: m\n    b\n    ^\n");
    check_print(STRING("ab\ncd\n"), 0, 5, "m", "f:1:1: error: m\n    ab\n    ^~\n");
    check_print(STRING("ab"), 700, 900, "m", "f:1:3: error: m\n    ab\n      ^\n");
}

/* Nothing that could steer a terminal or hide text is sent to it. */
static void harmful_text(void)
{
    check_print(STRING("a\x1b[31mb\x7f\xff\xc3z"), 7, 8, "m",
                "f:1:8: error: m\n    a\xEF\xBF\xBD[31mb\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz\n"
                "           ^\n");
    check_print(
        STRING("a\xe2\x80\xae z"), 4, 5, "\x1b\n\xe2\x81\xa6",
        "f:1:3: error: \xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\n    a\xEF\xBF\xBD z\n      ^\n");
    check_print(STRING("a\0b"), 2, 3, "m",
                "f:1:3: error: m\n    a\xEF\xBF\xBD"
                "b\n      ^\n");
}

static void long_lines(void)
{
    char line[301];
    for (size_t i = 0; i < 300; i++)
        line[i] = (char)('0' + i % 10);
    line[300] = 0;
    char expected[400];
    snprintf(expected, sizeof(expected), "f:1:151: error: m\n    ...%.100s...\n    %43s^~~\n",
             line + 110, "");
    check_print((struct string){line, 300}, 150, 153, "m", expected);
    snprintf(expected, sizeof(expected), "f:1:11: error: m\n    %.100s...\n    %10s^\n", line, "");
    check_print((struct string){line, 300}, 10, 11, "m", expected);
    snprintf(expected, sizeof(expected), "f:1:301: error: m\n    ...%.40s\n    %43s^\n", line + 260,
             "");
    check_print((struct string){line, 300}, 300, 300, "m", expected);
    snprintf(expected, sizeof(expected), "f:1:41: error: m\n    %.100s\n    %40s^\n", line, "");
    check_print((struct string){line, 100}, 40, 41, "m", expected);
    /* a span wider than the window */
    char *found;
    struct diagnostics diagnostics;
    diagnostics_open(&diagnostics, "f", (struct string){line, 300});
    diagnostics_error(&diagnostics, (struct span){0, 300}, "m");
    found = print_all(&diagnostics);
    CU_ASSERT_TRUE(strlen(found) < 250);
    free(found);
}

static void order(void)
{
    struct diagnostics diagnostics;
    diagnostics_open(&diagnostics, "f", STRING("abc\ndef"));
    diagnostics_error(&diagnostics, (struct span){4, 5}, "third");
    diagnostics_warning(&diagnostics, (struct span){0, 1}, "second");
    diagnostics_error(&diagnostics, (struct span){0, 1}, "first");
    diagnostics_error(&diagnostics, (struct span){0, 1}, "the same mistake again");
    CU_ASSERT_EQUAL(diagnostics.errors, 2);
    CU_ASSERT_EQUAL(diagnostics.count, 3);
    char *found = print_all(&diagnostics);
    CU_ASSERT_STRING_EQUAL(found, "f:1:1: error: first\n    abc\n    ^\n"
                                  "f:1:1: warning: second\n    abc\n    ^\n"
                                  "f:2:1: error: third\n    def\n    ^\n");
    free(found);
}

static void bounds(void)
{
    struct diagnostics diagnostics;
    char text[1000];
    memset(text, 'x', sizeof(text));
    memcpy(text + 398, "\xc3\xa9", 2); /* is cut in two by the limit of a message */
    text[999] = 0;
    diagnostics_open(&diagnostics, "f", STRING("abc"));
    diagnostics_error(&diagnostics, (struct span){0, 1}, "%s", text);
    CU_ASSERT_EQUAL(strlen(diagnostics.items[0].text), 398);
    diagnostics_close(&diagnostics);

    diagnostics_open(&diagnostics, "f", STRING("abc"));
    for (uint32_t i = 0; i < DIAGNOSTICS_LIMIT + 5; i++)
        diagnostics_error(&diagnostics, (struct span){i, i}, "m");
    CU_ASSERT_EQUAL(diagnostics.count, DIAGNOSTICS_LIMIT);
    CU_ASSERT_EQUAL(diagnostics.errors, DIAGNOSTICS_LIMIT + 5);
    char *found = print_all(&diagnostics);
    CU_ASSERT_PTR_NOT_NULL(strstr(found, "f: error: and 5 more\n"));
    free(found);
}

static void locate(void)
{
    struct diagnostics diagnostics;
    uint32_t line, column;
    diagnostics_open(&diagnostics, "f", STRING("a\n\xc3\xa9z\n\nq"));
    static const uint32_t expected[][3] = {{0, 1, 1}, {1, 1, 2}, {2, 2, 1}, {4, 2, 2},
                                           {5, 2, 3}, {6, 3, 1}, {7, 4, 1}, {8, 4, 2}};
    for (size_t i = 0; i < 8; i++) {
        diagnostics_locate(&diagnostics, expected[i][0], &line, &column);
        CU_ASSERT_EQUAL(line, expected[i][1]);
        CU_ASSERT_EQUAL(column, expected[i][2]);
    }
}

static void golden(void)
{
    char *found = parse_and_dump("# nightly\nfrom fil \"a.csv\"\n\nwhere\tstatus = 500\n"
                                 "put ms = latency * 5m,\n    é = size(x\nhead ten\n");
    static const char expected[] =
        "p:2:6: error: unknown source `fil`; did you mean `file`?\n"
        "    from fil \"a.csv\"\n"
        "         ^~~\n"
        "p:4:14: error: here stands `=`; did you mean `==`?\n"
        "    where\tstatus = 500\n"
        "         \t       ^\n"
        "p:5:20: error: `5m`: did you mean `duration(\"5m\")`?\n"
        "    put ms = latency * 5m,\n"
        "                       ^~\n"
        "p:7:6: error: here stands `ten`, but a whole number for `head` is expected\n"
        "    head ten\n"
        "         ^~~\n";
    if (strcmp(found, expected) != 0)
        printf("\n%s", found);
    CU_ASSERT_STRING_EQUAL(found, expected);
    free(found);
}

SUITE(diagnostic, {"places and carets", places}, {"harmful text", harmful_text},
      {"long lines", long_lines}, {"order", order}, {"bounds", bounds}, {"locate", locate},
      {"a program's messages", golden})
