/* Templates of URLs: whatever a record says, it stays where the template put it. Expected URLs
 * follow RFC 3986 (2.3 unreserved characters, 3 syntax), worked out by hand; Python's
 * urllib.parse.quote(x, safe='') agrees with those of values. Secrets in them and in expressions.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "lang/template_cells.h"
#include "tests/lang/fixture.h"
#include "tests/suite.h"

/* A template whose expressions see one field, `a`. */
struct rig {
    char text[700];
    struct diagnostics diagnostics;
    struct program *program;
    struct scope *scope;
    struct template *template;
    struct moves moves;
    struct evaluator *evaluator;
    struct batch batch;
    uint32_t rows[1];
    struct value cell;
};

/* False: refused; see the diagnostics. `quoted`: the template as it stands in the program. */
static bool rig_open(struct rig *rig, const char *quoted)
{
    struct error error;
    *rig = (struct rig){0};
    snprintf(rig->text, sizeof(rig->text), "lookup http %s as x", quoted);
    diagnostics_open(&rig->diagnostics, "t", (struct string){rig->text, strlen(rig->text)});
    rig->program = program_parse(&fixture_registry, &rig->diagnostics);
    rig->scope = scope_open(&rig->diagnostics, NULL, 64);
    rig->evaluator = evaluator_open(&error);
    CU_ASSERT_FATAL(rig->program && rig->scope && rig->evaluator && !rig->diagnostics.errors);
    rig->template = template_open_url(rig->program, scope_resolver(rig->scope),
                                      option_find(&rig->program->statements[0].options, "url"), 0,
                                      &rig->diagnostics);
    rig->moves = scope_take_moves(rig->scope);
    struct batch *batch = &rig->batch;
    batch->column_count = scope_column_count(rig->scope) + 1;
    batch->columns = memory_take_zeroed(batch->column_count, sizeof(*batch->columns));
    batch->rejects_tail = &batch->rejects;
    batch->rows = rig->rows;
    batch->record_count = 1;
    batch->row_count = 1;
    batch->columns[0].cells = &rig->cell; /* `a` is the only base column */
    CU_ASSERT_FATAL(batch->columns && arena_open(&batch->arena, 1 << 20, 1 << 20, &error));
    return rig->template != NULL;
}

static void rig_close(struct rig *rig)
{
    template_close(rig->template);
    scope_close(rig->scope);
    evaluator_close(rig->evaluator);
    program_free(rig->program);
    diagnostics_close(&rig->diagnostics);
    free(rig->batch.columns);
    arena_close(&rig->batch.arena);
}

static struct value append(struct rig *rig, const char *json, bool hide, struct buffer *out)
{
    struct value error = value_null();
    struct evaluation evaluation = {rig->batch.columns, 1, &rig->batch.arena, rig->evaluator};
    rig->cell = json ? value_raw(json, strlen(json)) : (struct value){0};
    rig->batch.rows[0] = 0;
    CU_ASSERT(moves_apply(&rig->moves, rig->evaluator, &rig->batch, 7));
    CU_ASSERT_EQUAL(template_append(rig->template, &evaluation, 0, hide, out, &error),
                    error.kind == VALUE_NULL);
    return error;
}

/* The URL where `a` is this JSON value, behind "< "; "! " and the error; "refused: " and the first
 * diagnostic. */
static const char *url_shown(const char *quoted, const char *json, bool hide)
{
    static char result[TEMPLATE_LIMIT + 100];
    char store[TEMPLATE_LIMIT + BUFFER_SLACK + 2] = "< ";
    struct buffer out = {.data = store, .length = 2, .limit = TEMPLATE_LIMIT + 2};
    struct rig rig;
    if (!rig_open(&rig, quoted)) {
        CU_ASSERT_FATAL(rig.diagnostics.count > 0);
        snprintf(result, sizeof(result), "refused: %s", rig.diagnostics.items[0].text);
        rig_close(&rig);
        return result;
    }
    struct value error = append(&rig, json, hide, &out);
    if (error.kind == VALUE_ERROR) {
        CU_ASSERT_EQUAL(out.length, 2);
        snprintf(result, sizeof(result), "! %s: %.*s", error_slug(error.code), (int)error.length,
                 error.text ? error.text : "");
    } else {
        snprintf(result, sizeof(result), "%.*s", (int)out.length, out.data);
    }
    rig_close(&rig);
    return result;
}

static void check(const char *quoted, const char *json, bool hide, const char *expected)
{
    const char *found = url_shown(quoted, json, hide);
    bool same = expected[0] == '<' ? strcmp(found, expected) == 0 : strstr(found, expected) != NULL;
    if (!same)
        printf("\n  %s of %s\n  gave     %s\n  expected %s\n", quoted, json ? json : "nothing",
               found, expected);
    CU_ASSERT(same);
}

static void values_stay_in_place(void)
{
    check("'http://h/v1/{a}/x'", "\"1.2.3.4\"", false, "< http://h/v1/1.2.3.4/x");
    check("'http://h/{a}'", "7", false, "< http://h/7");
    check("'http://h/{a}'", "true", false, "< http://h/true");
    check("'http://h/{a}'", "-1.5", false, "< http://h/-1.5");
    check("'http://h/{a}'", "\"a/../b\"", false, "< http://h/a%2F..%2Fb");
    check("'http://h/{a}'", "\"%2e%2e\"", false, "< http://h/%252e%252e");
    check("'http://h/{a}'", "\"x?y#z\"", false, "< http://h/x%3Fy%23z");
    check("'http://h/{a}'", "\"\\u0000\\r\\n \\u00e9\"", false, "< http://h/%00%0D%0A%20%C3%A9");
    check("'http://h/p?q={a}&r=1'", "\"1&r=2+ =/\"", false,
          "< http://h/p?q=1%26r%3D2%2B%20%3D%2F&r=1");
    check("'http://h?q={a}'", "\"AZaz09-._~\"", false, "< http://h?q=AZaz09-._~");
    check("'http://h/{{{a}}}'", "1", false, "refused: a character of this URL cannot stand there");
    check("'https://{a}@h/'", "\"u:p@x/\"", false, "< https://u%3Ap%40x%2F@h/");
    check("'https://u:{a}@h/'", "\"p@:\"", false, "< https://u:p%40%3A@h/");
    check("'HTTPS://h:{a}/'", "8080", false, "< HTTPS://h:8080/");
    check("'https://{a}/x'", "\"api.example.com\"", false, "< https://api.example.com/x");
    check("'https://{a}:80/x'", "\"[::1]\"", false, "< https://[::1]:80/x");
    check("'https://{a}.example.com'", "\"eu-1\"", false, "< https://eu-1.example.com");
    check("'http://h/\\u00e9?x=\\u00e9'", "1", false, "< http://h/%C3%A9?x=%C3%A9");
    check("'http://h/{1 + int(a)}{a}'", "1", false, "< http://h/21");
}

static void no_way_out(void)
{
    static const char *const hosts[] = {"\"evil.com/\"", "\"a@evil.com\"",  "\"evil.com#\"",
                                        "\"evil.com?\"", "\"evil.com:80\"", "\"x\\\\y\"",
                                        "\"a b\"",       "\"\\u00e9\""};
    for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
        check("'http://{a}/x'", hosts[i], false, "! place: this text cannot be the host");
        check("'http://{a}.h/x'", hosts[i], false, "! place: this text cannot stand in the host");
        check("'http://h:{a}/x'", hosts[i], false, "! place: this is no port");
    }
    check("'http://{a}.h/x'", "\"a.b\"", false, "! place: this text cannot stand in the host");
    check("'http://h{a}/x'", "\".evil.com\"", false, "! place: this text cannot stand in the host");
    check("'http://h{a}'", "\"/v1\"", false, "! place: this text cannot stand in the host");
    check("'http://h:{a}'", "123456", false, "! place: this is no port");
    static const char *const places[] = {"'http://h/{a}'",  "'http://h?{a}'",  "'http://{a}/'",
                                         "'http://{a}.h/'", "'http://{a}@h/'", "'http://h/x{a}y'"};
    static const char *const never[] = {"null", "\"\"", "\".\"", "\"..\"", "[1]", "{\"b\":1}"};
    for (size_t i = 0; i < ARRAY_SIZE(places); i++)
        for (size_t j = 0; j < ARRAY_SIZE(never); j++)
            check(places[i], never[j], false, "! place: ");
    check("'http://h/{a}'", NULL, false, "! place: null");
    check("'http://h/{1 / int(a)}'", "0", false, "! divide_by_zero");
}

static void whole_urls(void)
{
    check("'{a}'", "\"https://h/x?y=%20#z\"", false, "< https://h/x?y=%20#z");
    check("'{a}'", "\"HTTP://h\"", false, "< HTTP://h");
    check("'{a}'", "\"ftp://h/\"", false, "! place: this is no URL that begins");
    check("'{a}'", "\"file:///etc/passwd\"", false, "! place: this is no URL");
    check("'{a}'", "\"//h/\"", false, "! place: this is no URL");
    check("'{a}'", "\"/x\"", false, "! place: this is no URL");
    check("'{a}'", "\"http://\"", false, "! place: this URL has no host");
    check("'{a}'", "\"http:///x\"", false, "! place: this URL has no host");
    check("'{a}'", "\"http://h/a b\"", false, "! place: this URL has a character");
    check("'{a}'", "\"http://h/\\r\\nX: y\"", false, "! place: this URL has a character");
    check("'{a}'", "\"http://h\\\\@x/\"", false, "! place: this URL has a character");
    check("'{a}'", "\"http://h/\\u00e9\"", false, "! place: this URL has a character");
    check("'{a}'", "7", false, "! place: this is no URL");
    check("'{a}'", "null", false, "! place: null");
}

static void refused(void)
{
    check("''", "1", false, "refused: this URL is empty");
    check("'{a}/x'", "1", false, "refused: where a URL begins cannot come from the record");
    check("'{a}{a}'", "1", false, "refused: where a URL begins cannot come from the record");
    check("'ftp://h/'", "1", false, "refused: a URL begins with https:// or http://");
    check("'h/{a}'", "1", false, "refused: a URL begins with https:// or http://");
    check("'http{a}://h'", "1", false, "refused: a URL begins with https:// or http://");
    check("'http:///{a}'", "1", false, "refused: this URL has no host");
    check("'http://'", "1", false, "refused: this URL has no host");
    check("'http://u@/x'", "1", false, "refused: this URL has no host");
    check("'http://h/a b'", "1", false, "refused: a space in a URL is written %20");
    check("'http://h/100%'", "1", false, "refused: behind `%` a URL has two hexadecimal digits");
    check("'http://h/#{a}'", "1", false, "refused: `#` begins a fragment");
    check("'http://h\\u00e9/'", "1", false, "refused: the host of a URL is ASCII");
    check("'http://h/{b c}'", "1", false, "refused: ");
    check("'http://h/{secrt(\"x\")}'", "1", false, "did you mean \"secret\"");
}

/* http://h/ and 16 KiB in all. */
static void limits(void)
{
    static char json[TEMPLATE_LIMIT + 3];
    json[0] = '"';
    memset(json + 1, 'x', TEMPLATE_LIMIT - 9);
    json[TEMPLATE_LIMIT - 8] = '"';
    CU_ASSERT_EQUAL(strlen(url_shown("'http://h/{a}'", json, false)), 2 + TEMPLATE_LIMIT);
    json[TEMPLATE_LIMIT - 8] = 'x';
    json[TEMPLATE_LIMIT - 7] = '"';
    check("'http://h/{a}'", json, false, "! place: the URL is too long");
    json[TEMPLATE_LIMIT - 8] = '"';
    json[TEMPLATE_LIMIT - 7] = 0;
    json[9] = '/'; /* three bytes */
    check("'http://h/{a}'", json, false, "! place: the URL is too long");
}

/* A buffer that is full is told from a URL that is too long. */
static void full_buffer(void)
{
    char store[64 + BUFFER_SLACK];
    struct rig rig;
    CU_ASSERT_FATAL(rig_open(&rig, "'http://h/{a}'"));
    for (size_t limit = 0; limit < 14; limit++) {
        struct buffer out = {.data = store, .limit = limit};
        struct value error = append(&rig, "\"x/y\"", false, &out); /* http://h/x%2Fy: 14 bytes */
        CU_ASSERT_EQUAL(error.code, ERROR_ARENA_FULL);
        CU_ASSERT_EQUAL(out.length, 0);
    }
    struct buffer out = {.data = store, .limit = 14};
    CU_ASSERT_EQUAL(append(&rig, "\"x/y\"", false, &out).kind, VALUE_NULL);
    CU_ASSERT_EQUAL(out.length, 14);
    rig_close(&rig);
}

/* ---- secrets ---- */

static char secret_path[300];

static void secret_write(const char *text)
{
    snprintf(secret_path, sizeof(secret_path), "%s/token", suite_folder());
    FILE *file = fopen(secret_path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputs(text, file);
    fclose(file);
}

static void hidden(void)
{
    char quoted[500];
    secret_write("hunter/2\n");
    snprintf(quoted, sizeof(quoted), "'http://h/{a}?key={secret(\"%s\")}&b'", secret_path);
    check(quoted, "1", false, "< http://h/1?key=hunter%2F2&b");
    check(quoted, "1", true, "< http://h/1?key=***&b");
    check("'http://user:pass@h/{a}'", "1", true, "< http://***@h/1");
    check("'http://u@h/{a}'", "1", true, "< http://*@h/1");
    check("'http://{a}:x@h/'", "\"me\"", true, "< http://***@h/");
    check("'{a}'", "\"http://me:pw@h/x@y\"", true, "< http://***@h/x@y");
    check("'http://h/x@y?{a}'", "1", true, "< http://h/x@y?1");
    snprintf(quoted, sizeof(quoted), "'http://h/{[secret(\"%s\")][a]}'", secret_path);
    check(quoted, "1", false, "! ");
    secret_write("https://hooks/T0KEN");
    snprintf(quoted, sizeof(quoted), "'{secret(\"%s\")}/{a}'", secret_path);
    check(quoted, "1", false, "< https://hooks/T0KEN/1");
    check(quoted, "1", true, "< ***/1");
    snprintf(quoted, sizeof(quoted), "secret('%s')", secret_path);
    check(quoted, "1", false, "< https://hooks/T0KEN");
    check(quoted, "1", true, "< ***");
    secret_write("https://hooks/{T0KEN}");
    CU_ASSERT_PTR_NULL(strstr(url_shown(quoted, "1", false), "T0KEN"));
    remove(secret_path);
}

static void from_the_environment(void)
{
    setenv("LEAT_TEST_BASE", "https://api:81/v2", 1);
    check("'{env(\"LEAT_TEST_BASE\")}/x/{a}'", "\"/\"", false, "< https://api:81/v2/x/%2F");
    check("'{env(\"LEAT_TEST_BASE\")}'", "1", false, "< https://api:81/v2");
    check("env('LEAT_TEST_BASE')", "1", false, "< https://api:81/v2");
    setenv("LEAT_TEST_BASE", "/etc", 1);
    check("'{env(\"LEAT_TEST_BASE\")}/x'", "1", false, "refused: a URL begins with");
    /* what the environment says is no program: there are no more names than the program has */
    setenv("LEAT_TEST_BASE", "http://h/{a}{b}{c}{d}{e}{f}{g}", 1);
    check("env('LEAT_TEST_BASE')", "1", false, "refused: a character of this URL");
    unsetenv("LEAT_TEST_BASE");
}

/* Compiles text with or without secrets; the first diagnostic, or "private" or "public". */
static const char *compiled(const char *text, bool allowed)
{
    static char result[500];
    struct diagnostics diagnostics;
    struct program_memory *memory;
    diagnostics_open(&diagnostics, "p", (struct string){text, strlen(text)});
    const struct node *node = expression_parse(&diagnostics, false, &memory);
    struct scope *scope = scope_open(&diagnostics, NULL, 16);
    CU_ASSERT_FATAL(node && scope);
    const struct expression *expression =
        allowed ? scope_compile_private(scope, node) : scope_compile(scope, node);
    CU_ASSERT_EQUAL(expression == NULL, diagnostics.errors > 0);
    snprintf(result, sizeof(result), "%s",
             !expression                         ? diagnostics.items[0].text
             : expression_is_private(expression) ? "private"
                                                 : "public");
    scope_close(scope);
    program_memory_free(memory);
    diagnostics_close(&diagnostics);
    return result;
}

static void where_secrets_may_stand(void)
{
    char text[500];
    secret_write("hunter2");
    snprintf(text, sizeof(text), "'Bearer ' + secret('%s')", secret_path);
    CU_ASSERT_STRING_EQUAL(compiled(text, true), "private");
    CU_ASSERT_PTR_NOT_NULL(strstr(compiled(text, false), "could end up in the records"));
    CU_ASSERT_STRING_EQUAL(compiled("a + 'x'", true), "public");
    CU_ASSERT_PTR_NOT_NULL(strstr(compiled("secret('/nowhere')", true), "No such file"));
    CU_ASSERT_PTR_NOT_NULL(strstr(compiled("secret(a)", true), "secret takes constant strings"));
    CU_ASSERT_PTR_NOT_NULL(strstr(compiled("secret('a', 'b')", true), "secret takes 1 argument"));
    static const char *const leaky[] = {"int(secret('%s'))", "time.parse('x', secret('%s'))",
                                        "a.matches(secret('%s') + '(')", "{}[secret('%s')]",
                                        "timestamp(secret('%s'))"};
    for (size_t i = 0; i < ARRAY_SIZE(leaky); i++) {
        snprintf(text, sizeof(text), leaky[i], secret_path);
        CU_ASSERT_PTR_NULL(strstr(compiled(text, true), "hunter2"));
    }
    remove(secret_path);
}

/* Errors of evaluation name keys and texts: not those of private expressions, with either
 * evaluator. */
static void errors_tell_nothing(void)
{
    char text[500];
    struct diagnostics diagnostics;
    struct program_memory *memory;
    struct arena arena;
    struct error error;
    secret_write("hunter2");
    snprintf(text, sizeof(text), "{'x': a}[secret('%s')]", secret_path);
    diagnostics_open(&diagnostics, "p", (struct string){text, strlen(text)});
    const struct node *node = expression_parse(&diagnostics, false, &memory);
    struct scope *scope = scope_open(&diagnostics, NULL, 16);
    struct evaluator *evaluator = evaluator_open(&error);
    CU_ASSERT_FATAL(node && scope && evaluator && arena_open(&arena, 1 << 20, 1 << 20, &error));
    const struct expression *expression = scope_compile_private(scope, node);
    struct value cell = value_raw("1", 1), result = value_null();
    struct column column = {.cells = &cell};
    struct evaluation evaluation = {&column, 1, &arena, evaluator};
    uint32_t row = 0;
    CU_ASSERT_PTR_NOT_NULL_FATAL(expression);
    struct value found = expression_row(expression, &evaluation, 0);
    CU_ASSERT(found.kind == VALUE_ERROR && found.code == ERROR_NO_KEY);
    CU_ASSERT(!found.text || !memmem(found.text, found.length, "hunter2", 7));
    CU_ASSERT(expression_batch(expression, &evaluation, &row, 1, &result));
    CU_ASSERT(result.kind == VALUE_ERROR && result.code == ERROR_NO_KEY);
    CU_ASSERT(!result.text || !memmem(result.text, result.length, "hunter2", 7));
    scope_close(scope);
    evaluator_close(evaluator);
    arena_close(&arena);
    program_memory_free(memory);
    diagnostics_close(&diagnostics);
    remove(secret_path);
}

SUITE(template_url, {"values stay in their place", values_stay_in_place},
      {"no way out", no_way_out}, {"whole URLs", whole_urls}, {"refused templates", refused},
      {"long values", limits}, {"full buffer", full_buffer}, {"hidden secrets", hidden},
      {"environment", from_the_environment}, {"where secrets may stand", where_secrets_may_stand},
      {"errors of private expressions", errors_tell_nothing})
