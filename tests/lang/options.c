/* Options of several parts and the verb lookup: what is read, what is refused and how, how fmt and
 * the reference show it. Expected values are worked out by hand from the units. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lang/reference.h"
#include "tests/lang/fixture.h"
#include "tests/suite.h"

#define HEAD "lookup http \"u\" as x { "
#define DUMP "http url=\"u\" as name=\"x\""

/* `block` in a lookup gives `expected` behind the positional options. */
static void reads(const char *block, const char *expected)
{
    char source[600], wanted[600];
    snprintf(source, sizeof(source), HEAD "%s }", block);
    snprintf(wanted, sizeof(wanted), DUMP " %s\n", expected);
    char *found = parse_and_dump(source);
    if (strcmp(found, wanted) != 0)
        printf("\n  %s\n  gave     %s\n  expected %s\n", source, found, wanted);
    CU_ASSERT_STRING_EQUAL(found, wanted);
    free(found);
}

/* One error, which holds `message`, under whose caret `marked` stands. */
static void refuses(const char *source, const char *marked, const char *message)
{
    char *found = parse_and_dump(source);
    const char *place = strstr(source, marked);
    char begin[40];
    CU_ASSERT_PTR_NOT_NULL_FATAL(place);
    snprintf(begin, sizeof(begin), "p:1:%zu: error: ", (size_t)(place - source) + 1);
    if (strncmp(found, begin, strlen(begin)) != 0 || !strstr(found, message))
        printf("\n  %s\n  gave %s  expected %s%s\n", source, found, begin, message);
    CU_ASSERT_EQUAL(strncmp(found, begin, strlen(begin)), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(found, message));
    CU_ASSERT_PTR_NULL(strstr(found + 1, "\np:1:"));
    free(found);
}

static void phrases(void)
{
    reads("cache 100000 for 10m", "cache=100000 600000000000 -1 -1");
    reads("cache 5", "cache=5 -1 -1 -1");
    reads("cache 5 negative 1s", "cache=5 -1 1000000000 -1");
    reads("cache 5 for 1m negative 1s", "cache=5 60000000000 1000000000 -1");
    reads("breaker open after 5 failures for 30s", "breaker=5 30000000000 -1 -1");
    reads("batch 50 or 20ms", "batch=50 20000000 -1 -1");
    reads("connections 30 per host", "connections=30 -1 -1 -1");
    reads("connections 30", "connections=30 -1 -1 -1");
    reads("pool min 2 max 10", "pool=2 10 -1 -1");
    reads("pool max 10", "pool=-1 10 -1 -1");
    reads("transaction rows 50000 or 1s", "transaction=50000 1000000000 -1 -1");
    reads("hedge after p95", "hedge=-1 9500 -1 -1");
    reads("hedge after p99.9", "hedge=-1 9990 -1 -1");
    reads("hedge after p0.25", "hedge=-1 25 -1 -1");
    reads("hedge after 200ms", "hedge=200000000 -1 -1 -1");
    reads("flow 1.5/s in 64KiB", "flow=1500000 65536 -1 -1");
    reads("flow 60/m", "flow=1000000 -1 -1 -1");
    reads("cache 5 batch 7 hedge after 1s pool max 3",
          "cache=5 -1 -1 -1 batch=7 -1 -1 -1 hedge=1000000000 -1 -1 -1 pool=-1 3 -1 -1");
}

static void phrases_refused(void)
{
    refuses(HEAD "cache }", "}", "a whole number of `cache N [for DURATION]");
    refuses(HEAD "cache 10m }", "10m", "`10m`: a whole number has no unit");
    refuses(HEAD "cache 5 for 10 }", "10 }", "a duration has the unit");
    refuses(HEAD "cache 5 for x }", "x }", "here stands `x`, but a duration like 250ms");
    refuses(HEAD "cache 5 fro 10m }", "fro", "did you mean `for`?");
    refuses(HEAD "cache 5 for 1m breeker open after 5 failures for 1s }", "breeker",
            "did you mean `breaker`?");
    refuses(HEAD "breaker open afer 5 failures for 1s }", "afer", "did you mean `after`?");
    refuses(HEAD "breaker open after 5 for 1s }", "for",
            "`failures` of `breaker open after N failures for DURATION` is expected");
    refuses(HEAD "breaker open after 5 failures for }", "}", "a duration");
    refuses(HEAD "hedge after p0 }", "p0", "neither can be read");
    refuses(HEAD "hedge after p100 }", "p100", "a percentile like p95");
    refuses(HEAD "hedge after p99.999 }", "p99.999", "a percentile");
    refuses(HEAD "hedge after 5 }", "5 }", "neither can be read");
    refuses(HEAD "hedge after pool max 3 }", "pool", "a duration like 250ms, 5s or 2h or a perc");
    refuses(HEAD "hedge p95 }", "p95", "`after` of `hedge after DURATION|PERCENTILE` is expected");
    refuses(HEAD "pool }", "}", "`pool [min N] [max N]` is expected");
    refuses(HEAD "cache 99999999999999999999 }", "9999", "too large");
    refuses(HEAD "flow 1e30/s }", "1e30/s", "");
    refuses(HEAD "cache 5 cache 6 }", "cache 6", "given twice");
}

static void ranges(void)
{
    reads("backoff 1s..2m", "backoff=1000000000 120000000000");
    reads("backoff 1s", "backoff=1000000000 1000000000");
    reads("backoff 1.5s..1.5s", "backoff=1500000000 1500000000");
    refuses(HEAD "backoff 10s..200ms }", "10s", "shorter end: 200ms..10s");
    refuses(HEAD "backoff 1s.. }", "1s..", "a digit is missing");
    refuses(HEAD "backoff 1s..2s..3s }", "1s..", "a range like 200ms..10s");
    refuses(HEAD "backoff 1..2 }", "1..2", "a duration has the unit");
    refuses(HEAD "backoff x }", "x }", "a range like 200ms..10s for `backoff`");
    refuses(HEAD "backoff 200ms .. 10s }", "..", "");
}

static void causes(void)
{
    reads("on timeout, connect, 429, 5xx", "on[timeout, connect, 429, 5xx]");
    reads("on 100", "on[100]");
    refuses(HEAD "on timeout, conect }", "conect", "did you mean `connect`?");
    refuses(HEAD "on 600 }", "600", "no status of HTTP");
    refuses(HEAD "on 5xy }", "5xy", "no status of HTTP");
    refuses(HEAD "on 42 }", "42", "no status of HTTP");
    refuses(HEAD "on timeout, }", "}", "`timeout` or `connect` for `on`");
}

static void headers(void)
{
    reads("header \"a\" = x + 1, \"B-c\" = 'y'", "header[a = (+ x 1), B-c = \"y\"]");
    reads("header \"a\" = 1  cache 5  header \"b\" = 2, \"c\" = 3",
          "header[a = 1, b = 2, c = 3] cache=5 -1 -1 -1");
    refuses(HEAD "header a = 1 }", "a = 1", "a header like \"name\" = expression");
    refuses(HEAD "header \"a\" 1 }", "1 }", "`=` is expected");
    refuses(HEAD "header \"a\": 1 }", ":", "\"name\" = expression");
    refuses(HEAD "header \"a\" == 1 }", "==", "did you mean `=`?");
    refuses(HEAD "header \"a b\" = 1 }", "\"a b\"", "letters, digits and `-`");
    refuses(HEAD "header \"\" = 1 }", "\"\"", "letters, digits and `-`");
    refuses(HEAD "header \"a\\r\\nb\" = 1 }", "\"a\\r", "letters, digits and `-`");
    refuses(HEAD "header b\"a\" = 1 }", "b\"a\"", "no bytes");
    char source[40000] = HEAD;
    size_t used = strlen(source);
    for (unsigned i = 0; i < 1001; i++)
        used += (size_t)snprintf(source + used, sizeof(source) - used, "header \"a\" = 1 ");
    snprintf(source + used, sizeof(source) - used, "}");
    char *found = parse_and_dump(source);
    CU_ASSERT_PTR_NOT_NULL(strstr(found, "more than 1000 items of `header`"));
    free(found);
}

static void choices(void)
{
    reads("otherwise null", "otherwise=null");
    reads("otherwise reject", "otherwise=\"reject\"");
    reads("otherwise stop", "otherwise=\"stop\"=1");
    reads("otherwise `stop`", "otherwise=`stop`");
    reads("otherwise {\"a\": 1}", "otherwise=(map-literal \"a\" 1)");
    refuses(HEAD "otherwise }", "}", "");
    char *found = parse_and_dump(HEAD "otherwise rejct }");
    CU_ASSERT_PTR_NOT_NULL(strstr(found, "warning: this reads the field `rejct`; did you mean "
                                         "`reject`?"));
    free(found);
}

static void lists_of_templates(void)
{
    reads("race \"http://a/{b}\", \"http://c\"", "race[http://a/{b}, http://c]");
    refuses(HEAD "race \"a\" + \"b\" }", "+", "");
    refuses(HEAD "race x }", "x }", "a string for `race`");
}

static void sums_of_strings(void)
{
    char path[300], source[700], *found;
    snprintf(path, sizeof(path), "%s/password", suite_folder());
    FILE *file = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputs("p@ss\n", file);
    fclose(file);
    setenv("LEAT_TEST_HOST", "db", 1);
    snprintf(source, sizeof(source),
             "lookup sql 'u:' + secret('%s') + '@' + env('LEAT_TEST_HOST') with a, b.c as x", path);
    found = parse_and_dump(source);
    CU_ASSERT_STRING_EQUAL(
        found, "sql query=secret \"u:p@ss@db\" with parameters[a, b.c] as name=\"x\"\n");
    free(found);
    unsetenv("LEAT_TEST_HOST");
    remove(path);
    refuses("lookup sql 'u:' + 1 as x", "1 as", "a string for `sql`");
    refuses("lookup sql 'u:' + secret('/nowhere/at/all') as x", "secret", "No such file");
    refuses("lookup sql secret('/dev/null') as x", "secret", "is empty");
}

static void kinds_of_lookups(void)
{
    refuses("lookup htpp \"u\" as x", "htpp", "unknown lookup `htpp`; did you mean `http`?");
    refuses("lookup zzzz \"u\" as x", "zzzz", "there are: http, sql");
    refuses("lookup \"u\" as x", "\"u\"", "the kind of a lookup, like `http`,");
    refuses("lookup http \"u\" { cache 5 }", "{", "`as`");
    refuses("lokup http \"u\" as x", "lokup", "did you mean `lookup`?");
    refuses("http \"u\" as x", "http", "unknown statement");
    refuses("lookup http \"u\" as x { cach 5 }", "cach", "did you mean `cache`?");
    /* a field may be called so all the same */
    char *found = parse_and_dump("where lookup > 1");
    CU_ASSERT_STRING_EQUAL(found, "where condition=(> lookup 1)\n");
    free(found);
}

/* Defaults are read by the same code. */
static void defaults(void)
{
    struct diagnostics diagnostics;
    diagnostics_open(&diagnostics, "p", STRING("lookup http 'u' as x"));
    struct program *program = program_parse(&fixture_registry, &diagnostics);
    CU_ASSERT_FATAL(program && diagnostics.errors == 0);
    const struct options *options = &program->statements[0].options;
    const struct option_value *backoff = option_find(options, "backoff");
    CU_ASSERT(backoff->is_default && backoff->numbers[0] == 200000000 &&
              backoff->numbers[1] == INT64_C(10000000000));
    CU_ASSERT_EQUAL(option_find(options, "hedge")->numbers[1], 9500);
    CU_ASSERT_EQUAL(option_find(options, "on")->item_count, 2);
    CU_ASSERT(option_word_is(options, "otherwise", "reject"));
    program_free(program);
    diagnostics_close(&diagnostics);
}

static char *format(const char *source)
{
    struct diagnostics diagnostics;
    diagnostics_open(&diagnostics, "p", (struct string){source, strlen(source)});
    char *text = program_format(&fixture_registry, &diagnostics);
    diagnostics_close(&diagnostics);
    return text;
}

static void layout(void)
{
    char *once = format("lookup http \"u\" as x{cache   5 for\n1m;backoff 1s..2s on timeout ,5xx\n"
                        "header \"a\"=1,\"b\"=  secret( 'f' )  hedge after\np99.9 "
                        "otherwise {'a':1} race 'http://a' ,\"http://b\"}");
    CU_ASSERT_PTR_NOT_NULL_FATAL(once);
    CU_ASSERT_STRING_EQUAL(once, "lookup http \"u\" as x {\n"
                                 "  cache 5 for 1m\n"
                                 "  backoff 1s..2s\n"
                                 "  on timeout, 5xx\n"
                                 "  header \"a\" = 1, \"b\" = secret('f')\n"
                                 "  hedge after p99.9\n"
                                 "  otherwise {'a': 1}\n"
                                 "  race 'http://a', \"http://b\"\n"
                                 "}\n");
    char *twice = format(once);
    CU_ASSERT_STRING_EQUAL(twice, once);
    free(once);
    free(twice);
    once = format("lookup sql 'a'+secret('/nowhere')  as y");
    CU_ASSERT_STRING_EQUAL(once, "lookup sql 'a' + secret('/nowhere') as y\n");
    free(once);
}

static void reference(void)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    reference_print_text(fixture_registry.lookups[0], "lookup", out);
    fclose(out);
    static const char *const lines[] = {
        "lookup http [\"TEMPLATE\"] as NAME [{ option … }]\n",
        "  cache        N [for DURATION] [negative DURATION]\n",
        "  hedge        after DURATION|PERCENTILE\n",
        "  backoff      DURATION..DURATION  ",
        "between tries (default 200ms..10s)\n",
        "  on           CAUSE, …            ",
        "  header       \"NAME\" = EXPR, …    ",
        "  otherwise    reject|stop or EXPR ",
        "  race         \"TEMPLATE\", …       ",
    };
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        if (!strstr(text, lines[i]))
            printf("\n%s\n  lacks %s\n", text, lines[i]);
        CU_ASSERT_PTR_NOT_NULL(strstr(text, lines[i]));
    }
    free(text);
}

SUITE(options, {"phrases", phrases}, {"phrases refused", phrases_refused}, {"ranges", ranges},
      {"causes", causes}, {"headers", headers}, {"choices", choices},
      {"lists of templates", lists_of_templates}, {"sums of strings", sums_of_strings},
      {"lookups", kinds_of_lookups}, {"defaults", defaults}, {"layout", layout},
      {"reference", reference})
