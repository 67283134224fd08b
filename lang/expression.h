/* Checked, resolved, folded expressions and their two evaluators: `expression_row` (simple, the
 * oracle) and `expression_batch` (a column at a time over a selection vector). Compiling is for the
 * main thread; an expression is const afterwards and may be evaluated by any number of threads,
 * each with its own evaluator. */
#ifndef LEAT_LANG_EXPRESSION_H
#define LEAT_LANG_EXPRESSION_H

#include "core/batch.h"
#include "lang/ast.h"

struct expression;
struct regex_scratch; /* lang/regex.h */

enum resolution_kind {
    RESOLVED_COLUMN,  /* `column` holds the value of the first `consumed` names of the path */
    RESOLVED_RECORD,  /* the whole record (the name `record`) */
    RESOLVED_ABSENT,  /* no record has it here: reads null (the resolver has said what it had to) */
    RESOLVED_UNKNOWN, /* no such variable: an error when evaluated */
};
struct resolution {
    enum resolution_kind kind;
    uint32_t column;
    uint32_t consumed;
};

/* Where names come from. lang/scope.c gives one for pipelines. `resolve` gets the longest plain
 * path that starts at the record, e.g. a.b.c (names in order; count 1: a plain name). */
struct resolver {
    void *context;
    struct resolution (*resolve)(void *context, const struct path *path);
    /* makes the column that holds the whole record as a map; for `record` */
    uint32_t (*record_column)(void *context);
    bool cel_strict; /* the specification alone: no deviations, unknown names fail at run time */
    bool allows_secrets; /* secret("file") may be called: what comes out is sent, never written */
};

/* NULL after errors (in `diagnostics`). Free with expression_free. */
struct expression *expression_compile(const struct node *node, const struct resolver *resolver,
                                      struct diagnostics *diagnostics);
void expression_free(struct expression *expression);
/* Constant after folding: *value lives as long as the expression. */
bool expression_constant(const struct expression *expression, struct value *value);
/* It called secret(): its value must not be shown. Its errors tell no more than their code. */
bool expression_is_private(const struct expression *expression);
/* Just a column read as it stands (a path with nothing left over): moving it keeps its bytes. */
bool expression_is_column(const struct expression *expression, uint32_t *column);

/* What one thread needs to evaluate: scratch for regular expressions, a step budget. */
struct evaluator;
struct evaluator *evaluator_open(struct error *error);
void evaluator_close(struct evaluator *evaluator);
/* The thread's scratch for stages that match regular expressions on their own. */
struct regex_scratch *evaluator_regex_scratch(struct evaluator *evaluator);

/* Columns and memory for one evaluation. `columns` may hold raw cells; evaluators decode them into
 * columns[i].decoded (made zeroed in the arena on first use; a cell there is ABSENT until it is
 * decoded; an absent field decodes to null). record_count: the length of every column. */
struct evaluation {
    struct column *columns;
    uint32_t record_count;
    struct arena *arena;
    struct evaluator *evaluator;
};

/* The value for one row. Errors are values (VALUE_ERROR); ERROR_ARENA_FULL asks for a split. What
 * was only moved is RAW still: value_resolve it before looking into it. */
struct value expression_row(const struct expression *expression, struct evaluation *evaluation,
                            uint32_t row);
/* results[rows[i]] for all i < row_count. False: the arena was full, results are undefined.
 * Always agrees with expression_row value for value (errors: same code). Environment variable
 * LEAT_EVAL=row makes it loop over expression_row. */
MUST_USE bool expression_batch(const struct expression *expression, struct evaluation *evaluation,
                               const uint32_t *rows, uint32_t row_count, struct value *results);

/* CEL's == (also for `count by`), and a hash that agrees with it. Values must be resolved deeply
 * enough: raw children are resolved into the arena. */
bool value_equal(struct value a, struct value b, struct arena *arena);
uint64_t value_hash(struct value value, uint64_t seed, struct arena *arena);
/* For messages: "int", "string" … */
const char *value_kind_name(enum value_kind kind);
/* The value as `leat eval` prints it: CEL syntax as far as JSON has no form. malloc'ed. */
char *value_display(struct value value);

#endif
