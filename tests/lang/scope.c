/* The scope alone: what names resolve to along the flow, the shapes it gives to encoders, and what
 * it says of names that cannot be there. What its moves do to records is tests/stages/edit.c. */
#include "lang/scope.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lang/fixture.h"
#include "tests/suite.h"

struct flow {
    struct diagnostics diagnostics;
    struct program *program;
    struct scope *scope;
    bool good;
    char shape[400];
};

/* Takes the statements of `text` through a scope, as their stages would. */
static void flow_open(struct flow *flow, const char *text, const struct field_names *known)
{
    diagnostics_open(&flow->diagnostics, "test", (struct string){text, strlen(text)});
    flow->program = program_parse(&fixture_registry, &flow->diagnostics);
    flow->scope = scope_open(&flow->diagnostics, known, 64);
    flow->good = true;
    CU_ASSERT_FATAL(flow->program && flow->scope && flow->diagnostics.errors == 0);
    for (uint32_t i = 0; i < flow->program->statement_count; i++) {
        const struct statement *statement = &flow->program->statements[i];
        const struct option_value *fields = option_find(&statement->options, "fields");
        const char *verb = statement->noun->name;
        bool (*change)(struct scope *, const struct option_item *, uint32_t) =
            strcmp(verb, "put") == 0      ? scope_put
            : strcmp(verb, "select") == 0 ? scope_select
            : strcmp(verb, "drop") == 0   ? scope_drop
                                          : scope_rename;
        CU_ASSERT_PTR_NOT_NULL_FATAL(fields);
        flow->good &= change(flow->scope, fields->items, fields->item_count);
        (void)scope_take_moves(flow->scope);
    }
}

static void flow_close(struct flow *flow)
{
    scope_close(flow->scope);
    program_free(flow->program);
    diagnostics_close(&flow->diagnostics);
}

/* "open" or "closed", then each field: its name, "@" where it stands for a member of the record
 * read,
 * "-" where that is left out. */
static const char *shape_of(const char *text, const struct field_names *known)
{
    static char result[400];
    struct flow flow;
    flow_open(&flow, text, known);
    CU_ASSERT(flow.good && flow.diagnostics.errors == 0);
    const struct shape *shape = scope_shape(flow.scope);
    int length = snprintf(result, sizeof(result), "%s", shape->closed ? "closed" : "open");
    for (uint32_t i = 0; i < shape->field_count; i++) {
        const struct shape_field *field = &shape->fields[i];
        length += snprintf(result + length, sizeof(result) - (size_t)length, " %.*s%s%s",
                           (int)field->json_name.length, field->json_name.data,
                           field->anchor == COLUMN_NONE ? "" : "@",
                           field->column == COLUMN_NONE ? "-" : "");
    }
    flow_close(&flow);
    return result;
}

static void test_shapes(void)
{
    CU_ASSERT_STRING_EQUAL(shape_of("", NULL), "open");
    CU_ASSERT_STRING_EQUAL(shape_of("put a = 1", NULL), "open \"a\":@");
    CU_ASSERT_STRING_EQUAL(shape_of("put a = 1 | put a = 2", NULL), "open \"a\":@");
    CU_ASSERT_STRING_EQUAL(shape_of("drop a", NULL), "open \"a\":@-");
    CU_ASSERT_STRING_EQUAL(shape_of("drop a | put a = 1", NULL), "open \"a\":@- \"a\":");
    CU_ASSERT_STRING_EQUAL(shape_of("rename b = a", NULL), "open \"b\":@ \"b\":@");
    CU_ASSERT_STRING_EQUAL(shape_of("put a.b.c = 1", NULL), "open \"a\":@");
    CU_ASSERT_STRING_EQUAL(shape_of("select b, a", NULL), "closed \"b\": \"a\":");
    CU_ASSERT_STRING_EQUAL(shape_of("select a.b, a.c", NULL), "closed \"a\":");
    CU_ASSERT_STRING_EQUAL(shape_of("select a, b | drop a | put c = 1", NULL),
                           "closed \"b\": \"c\":");
    CU_ASSERT_STRING_EQUAL(shape_of("put `a\"\\b` = 1", NULL), "open \"a\\\"\\\\b\":@");
}

static struct resolution resolve(struct flow *flow, const char *a, const char *b)
{
    struct string names[2] = {{a, strlen(a)}, {b, b ? strlen(b) : 0}};
    static uint32_t place; /* a second message about the same place would be dropped */
    struct path path = {.names = names, .count = b ? 2 : 1, .span = {place, place + 1}};
    place++;
    const struct resolver *resolver = scope_resolver(flow->scope);
    return resolver->resolve(resolver->context, &path);
}

static void test_resolution(void)
{
    struct flow flow;
    flow_open(&flow, "put x = a.b | drop gone | rename new = old", NULL);
    CU_ASSERT(flow.good);
    /* a path of the record read is one column, a path into a computed field is not */
    struct resolution deep = resolve(&flow, "a", "b");
    CU_ASSERT(deep.kind == RESOLVED_COLUMN && deep.consumed == 2);
    CU_ASSERT_EQUAL(resolve(&flow, "a", "b").column, deep.column);
    CU_ASSERT_NOT_EQUAL(resolve(&flow, "a", NULL).column, deep.column);
    CU_ASSERT_STRING_EQUAL(scope_column_name(flow.scope, deep.column), "a.b");
    struct resolution computed = resolve(&flow, "x", "y");
    CU_ASSERT(computed.kind == RESOLVED_COLUMN && computed.consumed == 1);
    CU_ASSERT_EQUAL(resolve(&flow, "record", NULL).kind, RESOLVED_RECORD);
    CU_ASSERT_EQUAL(resolve(&flow, "new", NULL).kind, RESOLVED_COLUMN);
    CU_ASSERT_EQUAL(flow.diagnostics.count, 0);
    CU_ASSERT_EQUAL(resolve(&flow, "gone", NULL).kind, RESOLVED_ABSENT);
    CU_ASSERT_EQUAL(resolve(&flow, "old", NULL).kind, RESOLVED_ABSENT);
    CU_ASSERT_EQUAL(flow.diagnostics.errors, 0); /* two warnings: they read null */
    CU_ASSERT_EQUAL(flow.diagnostics.count, 2);
    flow_close(&flow);
    flow_open(&flow, "select a, b = a", NULL);
    CU_ASSERT_NOT_EQUAL(resolve(&flow, "a", NULL).column, resolve(&flow, "b", NULL).column);
    CU_ASSERT_EQUAL(flow.diagnostics.errors, 0);
    (void)resolve(&flow, "c", NULL);
    CU_ASSERT_EQUAL(flow.diagnostics.errors, 1);
    flow_close(&flow);
}

static void check_refused(const char *text, const struct field_names *known, const char *message)
{
    struct flow flow;
    flow_open(&flow, text, known);
    CU_ASSERT(flow.diagnostics.errors == 1);
    if (flow.diagnostics.count == 0 || strcmp(flow.diagnostics.items[0].text, message) != 0)
        printf("\n%s\n%s\n", text, flow.diagnostics.count ? flow.diagnostics.items[0].text : "-");
    CU_ASSERT_FATAL(flow.diagnostics.count > 0);
    CU_ASSERT_STRING_EQUAL(flow.diagnostics.items[0].text, message);
    flow_close(&flow);
}

static void test_known(void)
{
    static const struct string names[] = {{"carrier", 7}, {"dest", 4}};
    static const struct field_names known = {.count = 2, .names = names};
    CU_ASSERT_STRING_EQUAL(shape_of("put n = carrier", &known), "open \"n\":");
    CU_ASSERT_STRING_EQUAL(shape_of("put dest = carrier", &known), "open \"dest\":@");
    check_refused("drop dset", &known,
                  "the input has no field \"dset\" here; did you mean \"dest\"?");
    check_refused("put x = carrer", &known,
                  "the input has no field \"carrer\" here; did you mean \"carrier\"?");
    check_refused("rename a = zzz", &known, "the input has no field \"zzz\" here");
    check_refused("select dest | drop carrier", &known, "the record has no field \"carrier\" here");
    check_refused("select status | put x = statsu", NULL,
                  "the record has no field \"statsu\" here; did you mean \"status\"?");
    check_refused("select a, a.b", NULL, "\"a\" is selected twice");
    check_refused("rename a.b = c.d", NULL,
                  "rename stays inside one map; use put and drop to move a field");
}

static void test_fix_columns(void)
{
    static const struct string names[] = {{"a", 1}, {"b", 1}, {"c", 1}};
    static const struct field_names known = {.count = 3, .names = names};
    static const char *const programs[][2] = {
        {"put b = 1, d = 2", "closed \"a\": \"b\": \"c\": \"d\":"},
        {"drop b", "closed \"a\": \"c\":"},
        {"rename x = b", "closed \"a\": \"x\": \"c\":"},
        {"rename c = a", "closed \"c\": \"b\":"},
        {"put d = 1 | rename b = d", "closed \"a\": \"c\": \"b\":"},
        {"drop a | put a = 1", "closed \"b\": \"c\": \"a\":"},
    };
    for (unsigned i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
        struct flow flow;
        char is[200];
        flow_open(&flow, programs[i][0], &known);
        CU_ASSERT(flow.good && scope_fix_columns(flow.scope));
        const struct shape *shape = scope_shape(flow.scope);
        int length = snprintf(is, sizeof(is), "%s", shape->closed ? "closed" : "open");
        for (uint32_t j = 0; j < shape->field_count; j++)
            length +=
                snprintf(is + length, sizeof(is) - (size_t)length, " %.*s",
                         (int)shape->fields[j].json_name.length, shape->fields[j].json_name.data);
        CU_ASSERT_STRING_EQUAL(is, programs[i][1]);
        flow_close(&flow);
    }
    struct flow flow;
    flow_open(&flow, "put b = 1", NULL);
    CU_ASSERT_FALSE(scope_fix_columns(flow.scope)); /* nobody knows what the record has */
    flow_close(&flow);
}

SUITE(scope, {"shapes", test_shapes}, {"what names resolve to", test_resolution},
      {"names that cannot be there", test_known}, {"columns of a known header", test_fix_columns})
