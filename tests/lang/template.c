/* Templates of paths: whatever a record says, no path leaves the place that the template gives it.
 */
#include "lang/template_cells.h"

#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "tests/lang/fixture.h"
#include "tests/suite.h"

/* A template whose expressions see one field, `a`. */
struct rig {
    char text[300];
    struct diagnostics diagnostics;
    struct program *program;
    struct scope *scope;
    struct template *template;
    struct moves moves;
    uint32_t column;
    struct evaluator *evaluator;
    struct batch batch;
    uint32_t rows[1];
    struct value cell;
};

static void rig_open(struct rig *rig, const char *template)
{
    struct error error;
    *rig = (struct rig){0};
    snprintf(rig->text, sizeof(rig->text), "into file \"%s\"", template);
    diagnostics_open(&rig->diagnostics, "test", (struct string){rig->text, strlen(rig->text)});
    rig->program = program_parse(&fixture_registry, &rig->diagnostics);
    rig->scope = scope_open(&rig->diagnostics, NULL, 64);
    rig->evaluator = evaluator_open(&error);
    CU_ASSERT_FATAL(rig->program && rig->scope && rig->evaluator && !rig->diagnostics.errors);
    rig->template =
        template_open(rig->program, rig->scope,
                      option_find(&rig->program->statements[0].options, "path"), &rig->diagnostics);
    CU_ASSERT_PTR_NOT_NULL_FATAL(rig->template);
    rig->moves = scope_take_moves(rig->scope);
    rig->column = scope_hidden_column(rig->scope);
    struct batch *batch = &rig->batch;
    batch->column_count = scope_column_count(rig->scope);
    batch->columns = memory_take_zeroed(batch->column_count, sizeof(*batch->columns));
    batch->rejects_tail = &batch->rejects;
    batch->rows = rig->rows;
    batch->record_count = 1;
    CU_ASSERT_FATAL(batch->columns && arena_open(&batch->arena, 1 << 20, 1 << 20, &error));
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

/* The path where `a` is this JSON value, or the text of the reject behind "! ". */
static const char *path_of(const char *template, const char *value, size_t length)
{
    static char result[5000];
    struct rig rig;
    rig_open(&rig, template);
    struct batch *batch = &rig.batch;
    rig.cell = value ? value_raw(value, length) : (struct value){0};
    batch->columns[0].cells = &rig.cell; /* `a` is the only base column */
    batch->row_count = 1;
    rig.rows[0] = 0;
    CU_ASSERT(moves_apply(&rig.moves, rig.evaluator, batch, 7));
    CU_ASSERT(template_apply(rig.template, rig.evaluator, batch, rig.column, 7));
    if (batch->row_count) {
        struct value path = batch->columns[rig.column].cells[0];
        CU_ASSERT_EQUAL(path.kind, VALUE_STRING);
        CU_ASSERT_EQUAL(memchr(path.text, 0, path.length), NULL);
        snprintf(result, sizeof(result), "%.*s", (int)path.length, path.text);
    } else {
        CU_ASSERT_EQUAL_FATAL(batch->reject_count, 1);
        CU_ASSERT_EQUAL(batch->rejects->stage, 7);
        snprintf(result, sizeof(result), "! %s: %.*s", error_slug(batch->rejects->code),
                 (int)batch->rejects->text_length,
                 batch->rejects->text ? batch->rejects->text : "");
    }
    rig_close(&rig);
    return result;
}

#define PATH(value) path_of("out/{a}.csv", value, sizeof(value) - 1)

static void test_plain(void)
{
    CU_ASSERT_STRING_EQUAL(PATH("\"JFK\""), "out/JFK.csv");
    CU_ASSERT_STRING_EQUAL(PATH("7"), "out/7.csv");
    CU_ASSERT_STRING_EQUAL(PATH("-1.5"), "out/-1.5.csv");
    CU_ASSERT_STRING_EQUAL(PATH("true"), "out/true.csv");
    CU_ASSERT_STRING_EQUAL(PATH("\"\\u00e9 x\""), "out/é x.csv");
    CU_ASSERT_STRING_EQUAL(path_of("{{x}}/{a}-{a}", "1", 1), "{x}/1-1");
    CU_ASSERT_STRING_EQUAL(path_of("out/{a + 1}/{string(a) + 'z'}", "1", 1), "out/2/1z");
}

static void test_no_way_out(void)
{
    CU_ASSERT_STRING_EQUAL(PATH("\"../../etc/passwd\""), "out/..%2F..%2Fetc%2Fpasswd.csv");
    CU_ASSERT_STRING_EQUAL(PATH("\"/etc/passwd\""), "out/%2Fetc%2Fpasswd.csv");
    CU_ASSERT_STRING_EQUAL(PATH("\"a\\u0000b\\nc\\u007f\""), "out/a%00b%0Ac%7F.csv");
    CU_ASSERT_STRING_EQUAL(PATH("\"100%\""), "out/100%25.csv"); /* so that no two are one */
    CU_ASSERT_PTR_NOT_NULL(strstr(PATH("\"..\""), "! place"));
    CU_ASSERT_PTR_NOT_NULL(strstr(PATH("\".\""), "! place"));
    CU_ASSERT_PTR_NOT_NULL(strstr(PATH("\"\""), "! place"));
}

static void test_rejects(void)
{
    static char longest[400];
    CU_ASSERT_PTR_NOT_NULL(strstr(PATH("null"), "! place: null"));
    CU_ASSERT_PTR_NOT_NULL(strstr(path_of("out/{a}", NULL, 0), "! place: null"));
    CU_ASSERT_PTR_NOT_NULL(strstr(PATH("[1]"), "! place"));
    CU_ASSERT_PTR_NOT_NULL(strstr(PATH("{\"b\":1}"), "! place"));
    CU_ASSERT_PTR_NOT_NULL(strstr(PATH("1E400"), "! "));
    CU_ASSERT_PTR_NOT_NULL(strstr(path_of("out/{1 / a}", "0", 1), "! divide_by_zero"));
    memset(longest, 'x', sizeof(longest));
    longest[0] = longest[256] = '"';
    CU_ASSERT_EQUAL(strlen(path_of("o/{a}", longest, 257)), 2 + 255);
    longest[256] = 'x';
    longest[257] = '"';
    CU_ASSERT_PTR_NOT_NULL(strstr(path_of("o/{a}", longest, 258), "! place"));
    /* one component may be long, all of them together may not be */
    longest[200] = '"';
    CU_ASSERT_PTR_NOT_NULL(strstr(path_of("{a}{a}{a}{a}{a}{a}{a}{a}{a}{a}{a}{a}{a}{a}{a}{a}{a}{a}"
                                          "{a}{a}{a}{a}{a}",
                                          longest, 201),
                                  "! place: the path is too long"));
}

static void test_has_expressions(void)
{
    CU_ASSERT_TRUE(template_has_expressions(STRING("a{b}")));
    CU_ASSERT_FALSE(template_has_expressions(STRING("a{{b}}")));
    CU_ASSERT_FALSE(template_has_expressions(STRING("")));
    CU_ASSERT_TRUE(template_has_expressions(STRING("{{{b}")));
}

SUITE(template, {"values become components", test_plain}, {"no way out", test_no_way_out},
      {"what cannot stand in a path", test_rejects}, {"text or template", test_has_expressions})
