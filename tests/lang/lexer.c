/* The lexer: tokens, modes, comments and literals. Expected results follow the CEL specification
 * (its lexis) and LANGUAGE, section Lexis. */
#include <stdlib.h>
#include <string.h>

#include "lang/lexer.h"
#include "tests/suite.h"

/* All tokens of a text: kind letters, with the text of each: "n:abc i:5 p:+". */
static void check_tokens(const char *text, bool strict, const char *expected)
{
    char found[2000] = "";
    size_t used = 0;
    struct lexer lexer = {.text = {text, strlen(text)}, .cel_strict = strict};
    for (;;) {
        struct token token = lexer_next(&lexer);
        if (token.kind == TOKEN_END)
            break;
        used += (size_t)snprintf(found + used, sizeof(found) - used, "%s%c:%.*s", used ? " " : "",
                                 "enqsiudQp!"[token.kind], (int)token.text.length, token.text.data);
    }
    if (strcmp(found, expected) != 0)
        printf("\n  %s\n  gave     %s\n  expected %s\n", text, found, expected);
    CU_ASSERT_STRING_EQUAL(found, expected);
}

static void names_and_punctuation(void)
{
    check_tokens("a _b c9 `d e`", false, "n:a n:_b n:c9 q:`d e`");
    check_tokens("a.b[0]?c:d", false, "n:a p:. n:b p:[ i:0 p:] p:? n:c p:: n:d");
    check_tokens("a||b|c&&d", false, "n:a p:|| n:b p:| n:c p:&& n:d");
    check_tokens("<=<>=>==!=!=", false, "p:<= p:< p:>= p:>= p:= p:!= p:!=");
    check_tokens("true null in", false, "n:true n:null n:in");
}

static void refused(void)
{
    check_tokens("&", false, "!:&");
    check_tokens("a @ b", false, "n:a !:@ n:b");
    check_tokens("\xc3\xa9", false, "!:\xc3\xa9");
    check_tokens("\"ab", false, "!:\"ab");
    check_tokens("'a\nb'", false, "!:'a !:b'");
    check_tokens("'''a\nb''", false, "!:'''a\nb''");
    check_tokens("`", false, "!:`");
    check_tokens("``", false, "!:``");
    check_tokens("`a\nb", false, "!:`a n:b");
    check_tokens("\"\\", false, "!:\"\\");
}

static void numbers(void)
{
    check_tokens("0 1 01 0x1F 0XaB 7u 0x7U", false, "i:0 i:1 i:01 i:0x1F i:0XaB u:7u u:0x7U");
    check_tokens("1.5 .5 1e3 1.5e-3 1E+2", false, "d:1.5 d:.5 d:1e3 d:1.5e-3 d:1E+2");
    check_tokens("42.f 1.e5 1..2", false, "i:42 p:. n:f i:1 p:. n:e5 i:1 p:. d:.2");
    check_tokens("5m 64KiB 1e 0x 1_000 5uu", false, "!:5m !:64KiB !:1e !:0x !:1_000 !:5uu");
    check_tokens("-1", false, "p:- i:1");
}

static void strings(void)
{
    check_tokens("'a' \"b\" '''c''d''' \"\"\"e\"f\"\"\"", false,
                 "s:'a' s:\"b\" s:'''c''d''' s:\"\"\"e\"f\"\"\"");
    check_tokens("r'\\' b'x' Rb'\\' bR\"\" rr''", false,
                 "s:r'\\' s:b'x' s:Rb'\\' s:bR\"\" n:rr s:''");
    check_tokens("'\\'' \"\\\"\"", false, "s:'\\'' s:\"\\\"\"");
    check_tokens("'' ''''''", false, "s:'' s:''''''");
}

static void comments(void)
{
    check_tokens("a // b\nc", false, "n:a n:c");
    check_tokens("a # b\nc #", false, "n:a n:c");
    check_tokens("a # b", true, "n:a !:# n:b");
    check_tokens("'#//'", false, "s:'#//'");
    check_tokens("a/ /b", false, "n:a p:/ p:/ n:b");
    const char *text = "a #  one \t\nb // two";
    struct lexer lexer = {.text = {text, strlen(text)}};
    struct span span;
    uint32_t at = 0;
    CU_ASSERT_TRUE(lexer_comment(&lexer, &at, (uint32_t)strlen(text), &span));
    CU_ASSERT_EQUAL(span.start, 2);
    CU_ASSERT_EQUAL(span.end, 8);
    CU_ASSERT_TRUE(lexer_comment(&lexer, &at, (uint32_t)strlen(text), &span));
    CU_ASSERT_EQUAL(span.start, 13);
    CU_ASSERT_FALSE(lexer_comment(&lexer, &at, (uint32_t)strlen(text), &span));
}

static void check_quantity(const char *text, const char *expected)
{
    struct lexer lexer = {.text = {text, strlen(text)}};
    struct token token = lexer_next(&lexer);
    token = lexer_quantity(&lexer, &token);
    CU_ASSERT_EQUAL(token.kind, TOKEN_QUANTITY);
    CU_ASSERT_EQUAL(token.text.length, strlen(expected));
    CU_ASSERT_EQUAL(strncmp(token.text.data, expected, strlen(expected)), 0);
    CU_ASSERT_EQUAL(lexer.position, token.end);
}

static void quantities(void)
{
    check_quantity("250ms }", "250ms");
    check_quantity("64KiB;", "64KiB");
    check_quantity("500/s", "500/s");
    check_quantity("0.5%|", "0.5%");
    check_quantity("5xx", "5xx");
    check_quantity("200ms..10s x", "200ms..10s");
    check_quantity("5// comment", "5");
    check_quantity("5/ s", "5");
}

static void line_starts(void)
{
    struct lexer lexer = {.text = STRING("a b\n  c # x\nd")};
    bool expected[] = {true, false, true, true};
    for (size_t i = 0; i < 4; i++)
        CU_ASSERT_EQUAL(lexer_next(&lexer).line_start, expected[i]);
}

/* The decoded content, or NULL where it is refused (then *start is where). */
static char *decode(const char *text, size_t *length, uint32_t *start)
{
    struct lexer lexer = {.text = {text, strlen(text)}};
    struct token token = lexer_next(&lexer);
    struct literal_problem problem;
    char *out = malloc(literal_room(&token) + 1);
    if (token.kind == TOKEN_STRING && literal_decode(&token, out, length, NULL, &problem)) {
        out[*length] = 0;
        return out;
    }
    *start = token.kind == TOKEN_STRING ? problem.start : UINT32_MAX;
    free(out);
    return NULL;
}

static void check_decoded(const char *text, const char *expected, size_t expected_length)
{
    size_t length = 0;
    uint32_t start;
    char *found = decode(text, &length, &start);
    CU_ASSERT_PTR_NOT_NULL_FATAL(found);
    CU_ASSERT_EQUAL(length, expected_length);
    CU_ASSERT_EQUAL(memcmp(found, expected, expected_length), 0);
    free(found);
}

static void escapes(void)
{
    check_decoded("'\\a\\b\\f\\n\\r\\t\\v\\\\\\?\\'\\\"\\`'", "\a\b\f\n\r\t\v\\?'\"`", 12);
    check_decoded("'\\x41\\X42\\103\\u00e9\\U0001F431'", "ABC\xc3\xa9\xf0\x9f\x90\xb1", 9);
    check_decoded("'\\xff\\377'", "\xc3\xbf\xc3\xbf", 4);
    check_decoded("b'\\xff\\377\\000'", "\xff\xff\0", 3);
    check_decoded("b'\xc3\xa9'", "\xc3\xa9", 2);
    check_decoded("r'\\n\\'", "\\n\\", 3);
    check_decoded("'''a\r\nb'''", "a\r\nb", 4);
    check_decoded("'\\000'", "\0", 1);
}

static void check_refused(const char *text, uint32_t where)
{
    size_t length;
    uint32_t start = 0;
    char *found = decode(text, &length, &start);
    CU_ASSERT_PTR_NULL(found);
    CU_ASSERT_EQUAL(start, where);
    free(found);
}

static void escapes_refused(void)
{
    check_refused("'a\\q'", 2);
    check_refused("'\\x4'", 1);
    check_refused("'\\u12g4'", 1);
    check_refused("'\\ud800'", 1);
    check_refused("'\\U00110000'", 1);
    check_refused("'\\08'", 1);
    check_refused("'\\400'", 1);
    check_refused("b'\\u0041'", 2);
    check_refused("b'ab\\U00000041'", 4);
}

static void naturals(void)
{
    static const struct {
        const char *text;
        bool good;
        uint64_t expected;
    } cases[] = {
        {"0", true, 0},
        {"18446744073709551615", true, UINT64_MAX},
        {"18446744073709551616", false, 0},
        {"0xFFFFFFFFFFFFFFFF", true, UINT64_MAX},
        {"0x10000000000000000", false, 0},
        {"18446744073709551615u", true, UINT64_MAX},
        {"00012", true, 12},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct lexer lexer = {.text = {cases[i].text, strlen(cases[i].text)}};
        struct token token = lexer_next(&lexer);
        uint64_t natural;
        CU_ASSERT_EQUAL(literal_natural(&token, &natural), cases[i].good);
        if (cases[i].good)
            CU_ASSERT_EQUAL(natural, cases[i].expected);
    }
}

SUITE(lexer, {"names and punctuation", names_and_punctuation}, {"what is no token", refused},
      {"numbers", numbers}, {"strings", strings}, {"comments", comments},
      {"quantities", quantities}, {"line starts", line_starts}, {"escapes", escapes},
      {"escapes refused", escapes_refused}, {"naturals", naturals})
