/* Evaluating expressions in tests: on one JSON record, or on columns. One thread. */
#ifndef LEAT_TESTS_LANG_EVALUATE_H
#define LEAT_TESTS_LANG_EVALUATE_H

#include "lang/expression.h"
#include "lang/parse.h"

/* The value as value_display prints it (children decoded), or "refused: " and the first diagnostic.
 * `record`: a JSON object; its members a, b, c, d, e, f are fields, `record` is all of it. In a
 * buffer of the fixture that the next call but seven overwrites. */
const char *evaluate(const char *expression, const char *record);
/* evaluate() on an empty record. */
const char *evaluate_plain(const char *expression);

/* Compiles with fields a..f as columns 0..5, the record as column 6; NULL after errors. */
struct compiled {
    struct expression *expression;
    struct diagnostics diagnostics;
    struct program_memory *memory;
};
bool compile_text(struct compiled *compiled, const char *text, size_t length, bool cel_strict);
void compiled_close(struct compiled *compiled);
#define EVALUATE_COLUMNS 7

/* Fills one cell of each column from a record. */
void record_cells(const char *record, struct arena *arena, struct value cells[EVALUATE_COLUMNS]);
/* Resolved throughout, as text; malloc'ed. */
char *deep_display(struct value value, struct arena *arena);

#endif
