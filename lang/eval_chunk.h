/* The batch evaluator's inner loops: one operation over dense arrays of operands. Pure but for the
 * arena; any thread. */
#ifndef LEAT_LANG_EVAL_CHUNK_H
#define LEAT_LANG_EVAL_CHUNK_H

#include "lang/term.h"

/* An operand of every row, or (step 0) one constant for all. */
struct operand {
    const struct value *values;
    uint32_t step;
};

/* out[i] = left[i] operator right[i]. out may be either operand's array. */
void chunk_order(enum operator_kind operator, struct operand left, struct operand right,
                 uint32_t count, struct value *out);
void chunk_equal(bool negate, struct operand left, struct operand right, uint32_t count,
                 struct arena *arena, struct value *out);
void chunk_arithmetic(enum operator_kind operator, bool mixed, struct operand left,
                      struct operand right, uint32_t count, struct arena *arena, struct value *out);
/* startsWith a constant string; little-endian machines. */
void chunk_starts_with(const struct value *values, struct value prefix, uint32_t count,
                       struct value *out);

#endif
