/* The parser: expressions and statements to trees, options, recovery, templates, hostile input.
 * Expected trees are written by hand from CEL's grammar and LANGUAGE. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "tests/lang/fixture.h"
#include "tests/suite.h"

static void check_text(char *found, const char *source, const char *expected)
{
    if (strcmp(found, expected) != 0)
        printf("\n  %s\n  gave     %s\n  expected %s\n", source, found, expected);
    CU_ASSERT_STRING_EQUAL(found, expected);
    free(found);
}

static void expression(const char *source, const char *expected)
{
    check_text(parse_expression_and_dump(source, false), source, expected);
}

static void program(const char *source, const char *expected)
{
    check_text(parse_and_dump(source), source, expected);
}

/* The source is refused, with exactly so many messages; one of them holds `message`. */
static void refused(const char *source, unsigned count, const char *message)
{
    char *found = parse_and_dump(source);
    unsigned errors = 0;
    for (const char *at = found; (at = strstr(at, ": error: ")); at++)
        errors++;
    if (errors != count || !strstr(found, message))
        printf("\n  %s\n  gave %s  expected %u with %s\n", source, found, count, message);
    CU_ASSERT_EQUAL(errors, count);
    CU_ASSERT_PTR_NOT_NULL(strstr(found, message));
    free(found);
}

static void expression_refused(const char *source, bool strict, const char *message)
{
    char *found = parse_expression_and_dump(source, strict);
    if (!strstr(found, message))
        printf("\n  %s\n  gave %s  expected %s\n", source, found, message);
    CU_ASSERT_PTR_NOT_NULL(strstr(found, message));
    free(found);
}

/* ---- expressions ---- */

static void precedence(void)
{
    expression("a + b * c - d", "(- (+ a (* b c)) d)");
    expression("a == b + 1 && c || d", "(|| (&& (== a (+ b 1)) c) d)");
    expression("a && b && c", "(&& a b c)");
    expression("(a && b) && c", "(&& (&& a b) c)");
    expression("a < b < c", "(< (< a b) c)");
    expression("a in b == c", "(== (in a b) c)");
    expression("!a.b == -c[0]", "(== (! a.b) (neg (index c 0)))");
    expression("a ? b : c ? d : e", "(?: a b (?: c d e))");
    expression("a || b ? c || d : e", "(?: (|| a b) (|| c d) e)");
    expression("- - a", "(neg (neg a))");
    expression("!!a", "(! (! a))");
    expression("!-1", "(! -1)"); /* the minus is the literal's; "!-a" is not in the grammar */
    expression_refused("!-a", false, "an expression is expected");
}

static void literals(void)
{
    expression("[1, 1u, 1.5, 'a', b'a', true, null]", "(list 1 1u 1.5d \"a\" b\"a\" true null)");
    expression("-9223372036854775808", "-9223372036854775808");
    expression("-0x8000000000000000", "-9223372036854775808");
    expression("-1.f()", "(call f on -1)");
    expression("42.f()", "(call f on 42)");
    expression("1e-400", "0d");
    expression_refused("9223372036854775808", false, "too large for an int");
    expression_refused("-9223372036854775809", false, "too large for an int");
    expression_refused("18446744073709551616u", false, "too large for a uint");
    expression_refused("1e400", false, "too large for a double");
    expression_refused("5m", false, "did you mean `duration(\"5m\")`?");
    expression_refused("64KiB", false, "a number cannot touch a letter");
}

static void collections(void)
{
    expression("[]", "(list)");
    expression("[a, ?b,]", "(list a ?b)");
    expression("{}", "(map-literal)");
    expression("{'a': 1, ?'b': c,}", "(map-literal \"a\" 1 ?\"b\" c)");
    expression("a.?b[?0].c", "(index? a.?b 0).c");
    expression("{'a': 1}.a", "(map-literal \"a\" 1).a");
    expression_refused("[,]", false, "an expression is expected");
    expression_refused("f(a,)", false, "another argument is expected");
    expression_refused("{1}", false, "`:` between a key and its value");
    expression_refused("[1 2]", false, "`,` or `]` is expected");
}

static void names(void)
{
    expression("`a b`.c.`d.e`", "`a b`.c.`d.e`");
    expression(".a.b", ".a.b");
    expression("package.if", "package.if");
    expression("a.f(b).g()", "(call g on (call f on a b))");
    expression(".f(a)", "(call .f a)");
    expression_refused("in", false, "`in`");
    expression_refused("a.in", false, "write it in backquotes");
    expression_refused("`f`(a)", false, "never a function");
    expression_refused("package", true, "reserved by CEL");
    expression_refused("`a`", true, "only stand after a dot");
    expression_refused("a # b", true, "error");
    check_text(parse_expression_and_dump("a.package()", true), "strict", "(call package on a)");
}

static void macros(void)
{
    expression("l.all(x, x > 1)", "(all x l if (> x 1))");
    expression("l.exists(i, v, v)", "(exists i,v l if v)");
    expression("l.existsOne(x, p)", "(exists_one x l if p)");
    expression("l.map(x, x)", "(map x l to x)");
    expression("l.map(x, p, x)", "(map x l if p to x)");
    expression("l.filter(x, p)", "(filter x l if p)");
    expression("l.transformList(i, v, p, v)", "(transformList i,v l if p to v)");
    expression("m.transformMap(k, v, v)", "(transformMap k,v m to v)");
    expression("cel.bind(x, 1, x)", "(bind x 1 x)");
    expression("has(a.b)", "(has a.b)");
    expression("has(a)", "(has a)");
    expression("l.all(x)", "(call all on l x)");
    expression("all(x, p)", "(call all x p)");
    expression("has(a.b, c)", "(call has a.b c)");
    expression_refused("l.all(1, x)", false, "takes the name of its variable");
    expression_refused("l.all(x, x, p)", false, "different names");
    expression_refused("l.map(a.b, x)", false, "takes the name of its variable");
    expression_refused("has(a[0])", false, "has() takes a field");
    expression_refused("has(a)", true, "has() takes a field");
}

/* Chains and nests from short to absurd: no crash, and what CEL asks for is accepted. */
static char *repeated(const char *head, const char *part, size_t count, const char *tail)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    fputs(head, out);
    for (size_t i = 0; i < count; i++)
        fputs(part, out);
    fputs(tail, out);
    fclose(out);
    return text;
}

static void check_depth(const char *part, const char *tail, size_t count, bool good)
{
    char *source = repeated("", part, count, tail);
    char *found = parse_expression_and_dump(source, false);
    CU_ASSERT_EQUAL(strstr(found, ": error: ") == NULL, good);
    if (!good && !strstr(found, "nests deeper than 250"))
        CU_ASSERT_PTR_NOT_NULL(strstr(found, "is not closed"));
    free(found);
    free(source);
}

static void depth(void)
{
    static const char *const parts[] = {"(",  "[",     "{",    "!",     "-",  "f(",
                                        "a+", "a?a:a", "a.b.", "a[0][", "a=="};
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        check_depth(parts[i], "a", 1000000, false);
    check_depth("a && ", "a", 100000, true);
    check_depth("a || b && ", "a", 100000, true);
    check_depth("!", "a", 249, true);
    check_depth("!", "a", 250, false);
    check_depth("a + ", "a", 249, true);
    check_depth("a + ", "a", 250, false);
    check_depth("a ? a : ", "a", 24, true);
}

/* ---- statements ---- */

static void statements(void)
{
    program("where a > 1 | put b = a + 1, c.d = [1] ; select x, y.z, q = 1",
            "where condition=(> a 1)\nput fields[b = (+ a 1), c.d = (list 1)]\n"
            "select fields[x, y.z, q = 1]\n");
    program("where strict where", "where strict=\"strict\" condition=where\n");
    program("where `strict`", "where condition=`strict`\n");
    program("drop a, b.c\nrename x = y.z, `in` = w",
            "drop fields[a, b.c]\nrename fields[x = y.z, in = w]\n");
    program("count", "count\n");
    program("count by a, b = c", "count by keys[a, b = c]\n");
    program("count\nwhere a", "count\nwhere condition=a\n");
    program("head 10 | pass", "head count=10=10\npass\n");
    program("parse a.b with r'\\d' { otherwise keep }",
            "parse field=a.b with pattern=\"\\x5cd\" otherwise=\"keep\"=1\n");
    program("limit 500/s { burst 5 }", "limit amount=500 burst=5=5\n");
    program("limit shared\nlimit 60/m\npass", "limit name=\"shared\"\nlimit amount=1\npass\n");
    program("fail when rejected > 5%", "fail rejected=0.05%\n");
    program("fail when rejected > 7", "fail rejected=7=7\n");
    program("pass\n\n|;| pass // x", "pass\npass\n");
    program("", "");
    program("# nothing", "");
}

static void ends_of_expressions(void)
{
    program("where a\n- b\nput c = {'x': 1}\nlimit a {}",
            "where condition=(- a b)\nput fields[c = (map-literal \"x\" 1)]\nlimit name=\"a\"\n");
    program("where a ? b : c | pass", "where condition=(?: a b c)\npass\n");
    program("select where, put\nwhere select",
            "select fields[where, put]\nwhere condition=select\n");
}

static void sources_and_sinks(void)
{
    program(
        "pipeline p { workers 2  memory 1.5MiB }\nfrom file \"a\", 'b' { missing ok }\nfrom stdin",
        "pipeline p workers=2=2 memory=1572864\nfrom file paths[a, b] missing=\"ok\"=1\n"
        "from stdin\n");
    program("pipeline p\npass", "pipeline p\npass\n");
    program("into sqlite \"x\" { table t; mode replace key a, `b c` quiet }",
            "into sqlite path=\"x\" table=\"t\" mode=\"replace\"=1 key[a, b c] quiet\n");
    program("reject into file \"r\" { format ndjson ascii }",
            "reject into file path=\"r\" format=\"ndjson\"=1 ascii\n");
    program("from stdin { null \"NA\" types { a int, b.c string } }",
            "from stdin null=\"NA\" types[aint, b.cstring]\n");
    program("from stdin { null none types string }", "from stdin null=-1 types=\"string\"=1\n");
}

static void quantities(void)
{
    program("limit a { wait 250ms }", "limit name=\"a\" wait=250000000\n");
    program("limit a { wait 1.5h }", "limit name=\"a\" wait=5400000000000\n");
    program("limit a { wait 2d }", "limit name=\"a\" wait=172800000000000\n");
    program("pipeline p { memory 64KiB }", "pipeline p memory=65536\n");
    program("pipeline p { memory 10 }", "pipeline p memory=10\n");
    program("pipeline p { memory 3GB }", "pipeline p memory=3000000000\n");
    program("sample 0.5%", "sample share=0.005\n");
    program("limit 36/h", "limit amount=0.01\n");
    refused("limit a { wait 5 }", 1, "a duration has the unit");
    refused("limit a { wait 5m30s }", 1, "a duration has the unit");
    refused("limit a { wait 999999999d }", 1, "too large");
    refused("pipeline p { memory 1.5 KiB }", 1, "`pipeline` has no option `KiB`");
    refused("head 5m", 1, "a whole number has no unit");
    refused("head 1.5", 1, "only a whole number");
    refused("head 99999999999999999999", 1, "too large");
    refused("head 9223372036854775808", 1, "too large");
    refused("head -1", 1, "a whole number");
    refused("sample 5", 1, "a percentage ends in %");
    refused("sample 101%", 1, "ends at 100%");
    refused("limit 0/s", 1, "more than nothing");
}

static void texts(void)
{
    setenv("LEAT_TEST_NAME", "data.db", 1);
    unsetenv("LEAT_TEST_NONE");
    program("into sqlite env('LEAT_TEST_NAME') { table t }",
            "into sqlite path=\"data.db\" table=\"t\"\n");
    program("into sqlite env('LEAT_TEST_NONE', 'x') { table t }",
            "into sqlite path=\"x\" table=\"t\"\n");
    refused("into sqlite env('LEAT_TEST_NONE') { table t }", 1, "LEAT_TEST_NONE is not set");
    setenv("LEAT_TEST_NAME", "\xff", 1);
    refused("into sqlite env('LEAT_TEST_NAME') { table t }", 1, "is not UTF-8");
    refused("into sqlite secret('/nowhere/at/all') { table t }", 1, "No such file or directory");
    refused("into sqlite b'x' { table t }", 1, "bytes cannot stand here");

    char source[300], path[200];
    snprintf(path, sizeof(path), "%s/secret", suite_folder());
    FILE *file = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputs("pass word\r\n", file);
    fclose(file);
    snprintf(source, sizeof(source), "into sqlite secret('%s') { table t }", path);
    program(source, "into sqlite path=secret \"pass word\" table=\"t\"\n");
}

static void defaults(void)
{
    struct diagnostics diagnostics;
    diagnostics_open(&diagnostics, "p", STRING("from stdin | sample 1%"));
    struct program *parsed = program_parse(&fixture_registry, &diagnostics);
    CU_ASSERT_EQUAL(option_integer(&parsed->settings, "memory", 0), 256 * 1024 * 1024);
    CU_ASSERT_FALSE(option_given(&parsed->settings, "memory"));
    const struct option_value *seed = option_find(&parsed->statements[1].options, "seed");
    CU_ASSERT_PTR_NOT_NULL_FATAL(seed);
    CU_ASSERT_TRUE(seed->is_default);
    CU_ASSERT_TRUE(seed->span.start == 0 && seed->span.end == 0);
    CU_ASSERT_PTR_NULL(option_find(&parsed->statements[0].options, "header"));
    program_free(parsed);
    diagnostics_close(&diagnostics);
}

static void mistakes(void)
{
    refused("wher a", 1, "unknown statement `wher`; did you mean `where`?");
    refused("from fil \"a\"", 1, "unknown source `fil`; did you mean `file`?");
    refused("into files", 1, "did you mean `file`?");
    refused("from", 1, "is missing here");
    refused("into sqlite \"x\"", 1, "`sqlite` needs the option `table`");
    refused("into sqlite \"x\" { tabel t }", 1, "did you mean `table`?");
    refused("into sqlite \"x\" { table t table u }", 1, "`table` is given twice");
    refused("into sqlite \"x\" { table t mode replce }", 1, "did you mean `replace`?");
    refused("into sqlite \"x\" { path \"y\" table t }", 1, "stands before the block");
    refused("from stdin { format csv }", 1, "has no option `format`");
    refused("into file \"x\" { format ndjson null \"a\" }", 1,
            "format ndjson has no option `null`");
    refused("head", 1, "a whole number for `head` is missing");
    refused("select\nwhere a", 1, "for `select` is missing here");
    refused("put a == 1", 1, "did you mean `=`?");
    refused("where a = 1", 1, "did you mean `==`?");
    refused("where a and b", 1, "did you mean `&&`?");
    refused("select size(a)", 1, "write name = size(");
    refused("select a.b = 1", 1, "a plain name here");
    refused("drop a = 1", 1, "without `=`");
    refused("parse a wiht 'x'", 1, "`with` is expected");
    refused("fail if rejected > 1", 1, "`when rejected > ");
    refused("reject file", 1, "`into` is expected");
    refused("pass { }x", 1, "here stands `x`, but an operator");
    refused("where a is null", 1, "here stands `is`");
    refused("status >= 500", 1, "did you mean `where status …`?");
    refused("path.startsWith('/')", 1, "did you mean `where path …`?");
    refused("frobnicate x", 1, "there are: where, put");
    refused("`where` a", 1, "a statement begins with its verb");
    refused("pass\npipeline p", 1, "only stand once, at the beginning");
    refused("where a {\nlimit x\npass", 1, "this block is not closed");
    refused("where true false", 1, "here stands `false`");
}

static void recovery(void)
{
    refused("wher a\nput b 1\nhead five\npass\nfrom file \"x\" { foo 1\n bar 2 }\nwhere (", 6,
            "unknown statement");
    refused("head x | head y ; head z", 3, "`z`");
    refused("from file \"x\" {\n missing no\n format cvs\n timeout 5\n}\nhead x", 4, "`head`");
    refused("from file \"x\" {\n types { a blob }\n}\npass", 1, "`a` cannot be `blob`");
    refused("head x | haed 5 | head y", 3, "did you mean `head`?");
    refused("where (a | b) > 1", 1, "here stands `|`");
    refused("where (a\nhead x", 2, "for `head`");
    refused("pipeline { workers x }\nhead x", 3, "the pipeline's name");
}

static void warnings(void)
{
    char *found = parse_and_dump("where a where b");
    CU_ASSERT_PTR_NOT_NULL(strstr(found, "p:1:9: warning: a statement begins on the line of"));
    CU_ASSERT_PTR_NULL(strstr(found, "error"));
    free(found);
    program("where a\nwhere b", "where condition=a\nwhere condition=b\n");
    program("where a | where b", "where condition=a\nwhere condition=b\n");
}

/* ---- templates ---- */

static void check_template(const char *source, const char *expected)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    struct diagnostics diagnostics;
    diagnostics_open(&diagnostics, "p", (struct string){source, strlen(source)});
    struct program *parsed = program_parse(&fixture_registry, &diagnostics);
    CU_ASSERT_EQUAL_FATAL(parsed->statement_count, 1);
    const struct option_value *value = option_find(&parsed->statements[0].options, "path");
    const struct template_part *parts;
    uint32_t count;
    if (template_parse(parsed, value, &diagnostics, &parts, &count)) {
        for (uint32_t i = 0; i < count; i++) {
            if (parts[i].node)
                dump_node(parts[i].node, out);
            else
                fprintf(out, "<%.*s>", (int)parts[i].literal.length, parts[i].literal.data);
        }
    } else {
        diagnostics_print(&diagnostics, out);
    }
    program_free(parsed);
    diagnostics_close(&diagnostics);
    fclose(out);
    check_text(text, source, expected);
}

static void templates(void)
{
    check_template("into file \"a/{b}/{c + 1}.csv\"", "<a/>b</>(+ c 1)<.csv>");
    check_template("into file \"{{a}}{b}\"", "<{a}>b");
    check_template("into file \"\"", "");
    check_template("into file \"{ {'k': '}'}.k }\"", "(map-literal \"k\" \"}\").k");
    check_template("into file '{\"a\\x7d\"}'", "\"a}\"");
    check_template("into file \"a}\"",
                   "p:1:13: error: a brace of the text itself is written twice: "
                   "}}\n    into file \"a}\"\n                ^\n");
    check_template("into file \"{}\"",
                   "p:1:12: error: an expression is missing between these braces; a brace of the "
                   "text itself is written twice: {{\n    into file \"{}\"\n               ^~\n");
    check_template("into file \"{a\"", "p:1:12: error: this brace is not closed: `}` is missing\n"
                                       "    into file \"{a\"\n               ^\n");
    check_template("into file \"\\x41é{a b}\"",
                   "p:1:20: error: here stands `b`, but an operator or `}` is expected\n"
                   "    into file \"\\x41é{a b}\"\n                       ^\n");
}

/* ---- hostile input ---- */

static void hostile(void)
{
    refused("where \xff", 1, "not UTF-8: byte 0xff at offset 6");
    refused("pass \xed\xa0\x80", 1, "not UTF-8");
    refused("pass \x01", 1, "this character has no meaning here");
    program("\xef\xbb\xbfpass", "pass\n");
    struct diagnostics diagnostics;
    diagnostics_open(&diagnostics, "p", STRING("pass\0pass"));
    struct program *parsed = program_parse(&fixture_registry, &diagnostics);
    CU_ASSERT_EQUAL(diagnostics.errors, 1);
    program_free(parsed);
    diagnostics_close(&diagnostics);
    diagnostics_open(&diagnostics, "p", (struct string){NULL, 0});
    parsed = program_parse(&fixture_registry, &diagnostics);
    CU_ASSERT_EQUAL(diagnostics.errors, 0);
    program_free(parsed);
    diagnostics_close(&diagnostics);
}

static void every_prefix(void)
{
    static const char source[] =
        "pipeline p { workers 2 } from file 'a' { types { a int } null \"\\x41\" }\n"
        "where l.all(x, x in {'k': -1.5e3}) | parse a with r'b' { otherwise keep } # c\n"
        "into sqlite env('HOME', 'x') { table t } fail when rejected > 5%";
    for (size_t length = 0; length < sizeof(source); length++) {
        struct diagnostics diagnostics;
        char *copy = malloc(length + 1); /* exact, so that a read behind the end is seen */
        memcpy(copy, source, length);
        diagnostics_open(&diagnostics, "p", (struct string){copy, length});
        struct program *parsed = program_parse(&fixture_registry, &diagnostics);
        CU_ASSERT_PTR_NOT_NULL(parsed);
        for (size_t i = 0; i < diagnostics.count; i++)
            CU_ASSERT_TRUE(diagnostics.items[i].span.end <= length);
        program_free(parsed);
        diagnostics_close(&diagnostics);
        free(copy);
    }
}

static void many_mistakes(void)
{
    char *source = repeated("", "head x\n", 100000, "");
    char *found = parse_and_dump(source);
    CU_ASSERT_PTR_NOT_NULL(strstr(found, "p: error: and 99000 more\n"));
    free(found);
    free(source);
    source = repeated("", "pass ", 200000, "");
    found = parse_and_dump(source);
    CU_ASSERT_PTR_NOT_NULL(strstr(found, "warning"));
    free(found);
    free(source);
}

/* Every allocation of parsing and formatting made to fail once: nothing leaks, nothing but NULL or
 * a message comes out. The counter of fault points goes on, so targets are relative to it. */
static void short_of_memory(void)
{
    static const char source[] =
        "pipeline p { workers 2 }\nput a = [1, 2].map(x, x + 1), b.c = 'x' # why\n"
        "into file 'a{b}' { format csv types { a int } }\nhead x\n";
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        char setting[40];
        struct diagnostics diagnostics;
        snprintf(setting, sizeof(setting), "alloc:%llu",
                 (unsigned long long)(fault_alloc_count() + n));
        setenv("LEAT_FAULT", setting, 1);
        CU_ASSERT_TRUE(fault_open());
        uint64_t before = fault_alloc_count();
        diagnostics_open(&diagnostics, "p", STRING(source));
        struct program *parsed = program_parse(&fixture_registry, &diagnostics);
        if (parsed)
            CU_ASSERT_EQUAL(diagnostics.errors, 1);
        program_free(parsed);
        diagnostics_close(&diagnostics);
        diagnostics_open(&diagnostics, "p", (struct string){source, sizeof(source) - 8});
        char *formatted = program_format(&fixture_registry, &diagnostics);
        CU_ASSERT_EQUAL(formatted == NULL, diagnostics.errors > 0);
        free(formatted);
        diagnostics_close(&diagnostics);
        failed = n < fault_alloc_count() - before;
        CU_ASSERT_TRUE_FATAL(n < 10000);
    }
    setenv("LEAT_FAULT", "alloc:18446744073709551615", 1);
    CU_ASSERT_TRUE(fault_open());
    unsetenv("LEAT_FAULT");
}

SUITE(parse, {"precedence", precedence}, {"literals", literals}, {"collections", collections},
      {"names", names}, {"macros", macros}, {"depth", depth}, {"statements", statements},
      {"ends of expressions", ends_of_expressions}, {"sources and sinks", sources_and_sinks},
      {"quantities", quantities}, {"strings, env, secret", texts}, {"defaults", defaults},
      {"mistakes", mistakes}, {"recovery", recovery}, {"warnings", warnings},
      {"templates", templates}, {"hostile input", hostile}, {"every prefix", every_prefix},
      {"many mistakes", many_mistakes}, {"short of memory", short_of_memory})
