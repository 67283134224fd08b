/* RE2's dialect. What is accepted and refused follows RE2's syntax page and parser; matches follow
 * RE2's documentation (there is no RE2 to ask at test time). */
#include "lang/regex.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lang/text_search.h"
#include "tests/suite.h"

static struct string text_of(const char *text)
{
    return (struct string){text, strlen(text)};
}

static void refused(void)
{
    static const char *const bad[] = {
        "(",
        ")",
        "a**",
        "a*+",
        "a++",
        "a?+",
        "a{2}{3}",
        "*a",
        "a|*",
        "(*)",
        "(*UTF)a",
        "(?=a)",
        "(?!a)",
        "(?<=a)",
        "(?<!a)",
        "(?>a)",
        "(?|a)",
        "(?#a)",
        "(?R)",
        "(?1)",
        "(?P=n)",
        "(?P>n)",
        "(?&n)",
        "(a)\\1",
        "\\8",
        "\\C",
        "\\K",
        "\\R",
        "\\X",
        "\\h",
        "\\H",
        "\\N",
        "\\G",
        "\\Z",
        "\\e",
        "\\cA",
        "\\u0041",
        "\\g1",
        "\\k<n>",
        "\\o{1}",
        "[a",
        "[]",
        "[b-a]",
        "[[:foo:]]",
        "[\\b]",
        "[a-\\d]",
        "\\",
        "[\\",
        "a{1001}",
        "a{2,1}",
        "\\x{110000}",
        "\\x{d800}",
        "\\xg",
        "\\x{",
        "\\p{Foo}",
        "\\p",
        "(?i",
        "(?x)a",
        "(?P<1a>b)",
        "(?P<>a)",
        "(?P<n>a)(?P<n>b)",
        "(?i-)a",
        "(?)",
        "\\pq",
        "\\y",
        "[\\Q]",
        "(?J)a",
        "(?C)",
        "a{1000}{2}",
        "\\p{L&}",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct error error = {0};
        uint32_t offset = 99;
        struct regex *regex = regex_compile(text_of(bad[i]), &offset, &error);
        if (regex)
            printf("%s is accepted\n", bad[i]);
        CU_ASSERT_PTR_NULL(regex);
        CU_ASSERT(regex || (error.text[0] && offset <= strlen(bad[i])));
        regex_free(regex);
    }
}

static const struct {
    const char *pattern, *text;
    int matches;
} cases[] = {
    {"", "", 1},
    {"abc", "xxabcxx", 1},
    {"abc", "xxabxcx", 0},
    {"^abc", "abcd", 1},
    {"^abc", "xabc", 0},
    {"abc$", "xabc", 1},
    {"abc$", "abc\n", 0},
    {"^abc$", "abc", 1},
    {"^abc$", "abcd", 0},
    {"^ab*c", "ac", 1},
    {"^ab?", "a", 1},
    {"^abc|x", "zzx", 1},
    {"a|b", "b", 1},
    {"(?i)straße", "STRAßE", 1},
    {"(?i)k", "\xE2\x84\xAA", 1}, /* KELVIN SIGN folds to k */
    {"(?i)abc", "xABC", 1},
    {"a.c", "a\nc", 0},
    {"(?s)a.c", "a\nc", 1},
    {"a.c", "a\rc", 1},
    {"(?m)^b$", "a\nb\nc", 1},
    {"(?m)^$", "a\n", 1},
    {"^$", "", 1},
    {"^b$", "a\nb\nc", 0},
    {"\\s", "\v", 0},
    {"\\s", "\f", 1},
    {"[\\s]", "\v", 0},
    {"\\S", "\v", 1},
    {"[\\S]", "\v", 1},
    {"[^\\S]", "\v", 0},
    {"[[:space:]]", "\v", 1},
    {"\\v", "\v", 1},
    {"\\v", "\n", 0},
    {"\\d", "\xD9\xA3", 0}, /* ARABIC-INDIC DIGIT THREE */
    {"\\pN", "\xD9\xA3", 1},
    {"\\w", "\xC3\xA9", 0},
    {"\\p{Greek}", "\xCE\xB1", 1},
    {"\\P{Greek}", "\xCE\xB1", 0},
    {"\\p{^Greek}", "\xCE\xB1", 0},
    {"\\p{Lu}", "a", 0},
    {"\\pLx", "ax", 1},
    {".", "\xF0\x9F\x98\x80", 1},
    {"^.$", "\xF0\x9F\x98\x80", 1},
    {"^..$", "\xF0\x9F\x98\x80", 0},
    {"\\x41\\x{1F600}", "A\xF0\x9F\x98\x80", 1},
    {"\\101", "A", 1},
    {"\\Qa.b\\E+", "a.bbb", 1},
    {"\\Qa.b", "axb", 0},
    {"^a{,2}$", "a{,2}", 1},
    {"^a{2,}$", "aaa", 1},
    {"^a{2,}$", "a", 0},
    {"^a{1,2}b{0}$", "aa", 1},
    {"a{x", "a{x", 1},
    {"x{", "x{", 1},
    {"[]a]", "]", 1},
    {"[^]a]", "]", 0},
    {"[a-]", "-", 1},
    {"[-a]", "-", 1},
    {"[a\\-z]", "b", 0},
    {"[[a]", "[", 1},
    {"[\\d-z]", "-", 1},
    {"[.-0]", "/", 1},
    {"\\bfoo\\b", "a foo b", 1},
    {"\\bfoo\\b", "afoo b", 0},
    {"\\Afoo\\z", "foo", 1},
    {"\\Afoo\\z", "foo\n", 0},
    {"(?U)a+", "aaa", 1},
    {"(?i:a)b", "Ab", 1},
    {"(?i:a)b", "AB", 0},
    {"(?P<x>a)(?<y>b)", "ab", 1},
    {"\\.\\*\\_\\-\\/", ".*_-/", 1},
    {"^/api/v[0-9]+/", "/api/v12/x", 1},
    {"^/api/v[0-9]+/", "/apx/v12/x", 0},
    {"(a+)(b+)", "xxaabb", 1},
    {"\xC3\xA9+$", "\xC3\xA9\xC3\xA9", 1},
    {"^\xC3\xA9*x", "x", 1},
};

static void matches(void)
{
    struct regex_scratch *scratch = regex_scratch_open();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error error = {0};
        uint32_t offset;
        struct regex *regex = regex_compile(text_of(cases[i].pattern), &offset, &error);
        if (!regex) {
            printf("%s: %s at %u\n", cases[i].pattern, error.text, offset);
            CU_FAIL("refused");
            continue;
        }
        int result = (int)regex_match(regex, scratch, text_of(cases[i].text));
        if (result != cases[i].matches)
            printf("%s on %s: %d\n", cases[i].pattern, cases[i].text, result);
        CU_ASSERT_EQUAL(result, cases[i].matches);
        regex_free(regex);
    }
    regex_scratch_close(scratch);
}

static void groups(void)
{
    struct error error;
    uint32_t offset;
    struct regex_scratch *scratch = regex_scratch_open();
    struct string text = text_of("10.0.0.1 - GET /x");
    struct regex *regex = regex_compile(
        text_of("^(?P<ip>[0-9.]+) (?P<user>\\w+)?- ([A-Z]+) (?P<path>.*)$"), &offset, &error);
    CU_ASSERT_FATAL(regex != NULL);
    CU_ASSERT_EQUAL_FATAL(regex_match(regex, scratch, text), REGEX_MATCH);
    CU_ASSERT_EQUAL_FATAL(regex_group_count(regex), 3);
    CU_ASSERT(string_equal_text(regex_group_name(regex, 0), "ip"));
    CU_ASSERT(string_equal_text(regex_group_name(regex, 2), "path"));
    CU_ASSERT(string_equal_text(regex_group(regex, scratch, text, 0), "10.0.0.1"));
    CU_ASSERT_PTR_NULL(regex_group(regex, scratch, text, 1).data);
    CU_ASSERT(string_equal_text(regex_group(regex, scratch, text, 2), "/x"));
    regex_free(regex);
    regex_scratch_close(scratch);
}

/* Exponential backtracking ends at the limit, soon, with a result of its own. */
static void hostile_patterns(void)
{
    struct error error;
    uint32_t offset;
    struct regex_scratch *scratch = regex_scratch_open();
    struct regex *regex = regex_compile(text_of("(a|aa)+$"), &offset, &error);
    CU_ASSERT_FATAL(regex != NULL);
    char text[5000];
    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = 'b';
    CU_ASSERT_EQUAL(regex_match(regex, scratch, (struct string){text, sizeof(text)}), REGEX_LIMIT);
    regex_free(regex);
    char *nested = malloc(200001);
    memset(nested, '(', 100000);
    memset(nested + 100000, ')', 100000);
    CU_ASSERT_PTR_NULL(regex_compile((struct string){nested, 200000}, &offset, &error));
    CU_ASSERT_PTR_NULL(regex_compile((struct string){nested, 60000}, &offset, &error));
    free(nested);
    regex_scratch_close(scratch);
}

/* Against memmem, over two letters so that near misses are many. */
static void search_agrees(void)
{
    uint32_t state = 12345;
    char text[300], wanted[12];
    for (unsigned turn = 0; turn < 20000; turn++) {
        state = state * 1664525 + 1013904223;
        size_t length = (state >> 8) % (turn % 10 ? 40 : sizeof(text));
        size_t wanted_length = (state >> 20) % sizeof(wanted);
        for (size_t i = 0; i < length; i++)
            text[i] = (char)('a' + ((state = state * 1664525 + 1013904223) >> 30 & 1));
        for (size_t i = 0; i < wanted_length; i++)
            wanted[i] = (char)('a' + ((state = state * 1664525 + 1013904223) >> 30 & 1));
        bool expected = wanted_length == 0 || memmem(text, length, wanted, wanted_length) != NULL;
        bool found =
            text_contains((struct string){text, length}, (struct string){wanted, wanted_length});
        CU_ASSERT_EQUAL_FATAL(found, expected);
    }
}

SUITE(regex, {"what RE2 has not is refused", refused}, {"matches", matches},
      {"named groups", groups}, {"hostile patterns", hostile_patterns},
      {"text_contains", search_agrees})
