/* Loops of the batch evaluator: see eval_chunk.h. Each loop has the kinds that real columns hold in
 * line and leaves the rest to the functions that the row evaluator uses, so both agree. */
#include "lang/eval_chunk.h"

#include <string.h>

static struct value order_rest(enum operator_kind operator, struct value a, struct value b)
{
    if (a.kind == VALUE_ERROR)
        return a;
    return b.kind == VALUE_ERROR ? b : order_result(operator, a, b);
}

/* An int meets a double as a double: the same result as CEL's comparison with its checks of range,
 * since a double beyond 2^63 is beyond every int as a double too. */
#define ORDER_CONSTANT(sign)                                                                       \
    for (uint32_t i = 0; i < count; i++) {                                                         \
        struct value a = values[i];                                                                \
        if (LIKELY(a.kind == VALUE_INT && constant.kind == VALUE_INT))                             \
            out[i] = value_bool(a.integer sign constant.integer);                                  \
        else if (a.kind == VALUE_DOUBLE)                                                           \
            out[i] = value_bool(a.real sign real);                                                 \
        else if (a.kind == VALUE_INT)                                                              \
            out[i] = value_bool((double)a.integer sign real);                                      \
        else                                                                                       \
            out[i] = order_rest(operator, a, constant);                                            \
    }                                                                                              \
    return

static void order_constant(enum operator_kind operator, const struct value * values,
                           struct value constant, uint32_t count, struct value *out)
{
    double real = constant.kind == VALUE_INT ? (double)constant.integer : constant.real;
    switch (operator) {
    case OPERATOR_LESS:
        ORDER_CONSTANT(<);
    case OPERATOR_LESS_EQUAL:
        ORDER_CONSTANT(<=);
    case OPERATOR_GREATER:
        ORDER_CONSTANT(>);
    default:
        ORDER_CONSTANT(>=);
    }
}

void chunk_order(enum operator_kind operator, struct operand left, struct operand right,
                 uint32_t count, struct value *out)
{
    if (right.step == 0 &&
        (right.values->kind == VALUE_INT || right.values->kind == VALUE_DOUBLE) && left.step) {
        order_constant(operator, left.values, *right.values, count, out);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        out[i] = order_rest(operator, left.values[i * left.step], right.values[i * right.step]);
}

static struct value equal_rest(bool negate, struct value a, struct value b, struct arena *arena)
{
    if (a.kind == VALUE_ERROR)
        return a;
    if (b.kind == VALUE_ERROR)
        return b;
    struct value same = values_equal(a, b, arena);
    return same.kind == VALUE_BOOL && negate ? value_bool(!same.boolean) : same;
}

static void equal_text(bool negate, const struct value *values, struct value constant,
                       uint32_t count, struct arena *arena, struct value *out)
{
    char first = constant.length ? constant.text[0] : 0;
    for (uint32_t i = 0; i < count; i++) {
        struct value a = values[i];
        if (LIKELY(a.kind == VALUE_STRING)) {
            bool same = a.length == constant.length &&
                        (a.length == 0 ||
                         (a.text[0] == first && memcmp(a.text, constant.text, a.length) == 0));
            out[i] = value_bool(same != negate);
        } else {
            out[i] = equal_rest(negate, a, constant, arena);
        }
    }
}

static void equal_int(bool negate, const struct value *values, struct value constant,
                      uint32_t count, struct arena *arena, struct value *out)
{
    for (uint32_t i = 0; i < count; i++) {
        struct value a = values[i];
        if (LIKELY(a.kind == VALUE_INT))
            out[i] = value_bool((a.integer == constant.integer) != negate);
        else
            out[i] = equal_rest(negate, a, constant, arena);
    }
}

void chunk_equal(bool negate, struct operand left, struct operand right, uint32_t count,
                 struct arena *arena, struct value *out)
{
    if (right.step == 0 && left.step && right.values->kind == VALUE_STRING) {
        equal_text(negate, left.values, *right.values, count, arena, out);
        return;
    }
    if (right.step == 0 && left.step && right.values->kind == VALUE_INT) {
        equal_int(negate, left.values, *right.values, count, arena, out);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        out[i] =
            equal_rest(negate, left.values[i * left.step], right.values[i * right.step], arena);
}

/* + - * of ints and doubles, in line. */
#define ARITHMETIC(overflows, sign)                                                                \
    for (uint32_t i = 0; i < count; i++) {                                                         \
        struct value a = left.values[i * left.step], b = right.values[i * right.step];             \
        int64_t sum;                                                                               \
        if (a.kind == VALUE_INT && b.kind == VALUE_INT &&                                          \
            LIKELY(!overflows(a.integer, b.integer, &sum)))                                        \
            out[i] = value_int(sum);                                                               \
        else if (both_real(&a, &b, mixed))                                                         \
            out[i] = value_double(a.real sign b.real);                                             \
        else                                                                                       \
            out[i] = value_arithmetic(operator, a, b, mixed, arena);                               \
    }                                                                                              \
    return

/* Both are doubles, or one is and the other was made one (deviation 1). */
static inline bool both_real(struct value *a, struct value *b, bool mixed)
{
    if (mixed && a->kind == VALUE_INT && b->kind == VALUE_DOUBLE)
        *a = value_double((double)a->integer);
    else if (mixed && a->kind == VALUE_DOUBLE && b->kind == VALUE_INT)
        *b = value_double((double)b->integer);
    return a->kind == VALUE_DOUBLE && b->kind == VALUE_DOUBLE;
}

void chunk_arithmetic(enum operator_kind operator, bool mixed, struct operand left,
                      struct operand right, uint32_t count, struct arena *arena, struct value *out)
{
    switch (operator) {
    case OPERATOR_ADD:
        ARITHMETIC(__builtin_add_overflow, +);
    case OPERATOR_SUBTRACT:
        ARITHMETIC(__builtin_sub_overflow, -);
    case OPERATOR_MULTIPLY:
        ARITHMETIC(__builtin_mul_overflow, *);
    default:
        break;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct value a = left.values[i * left.step], b = right.values[i * right.step];
        if (operator== OPERATOR_DIVIDE && a.kind == VALUE_DOUBLE && b.kind == VALUE_DOUBLE)
            out[i] = value_double(a.real / b.real);
        else
            out[i] = value_arithmetic(operator, a, b, mixed, arena);
    }
}

/* Texts of eight bytes and more are compared with a prefix of up to eight in one step. */
void chunk_starts_with(const struct value *values, struct value prefix, uint32_t count,
                       struct value *out)
{
    uint64_t wanted = 0;
    uint32_t length = prefix.length;
    if (length && length <= 8)
        memcpy(&wanted, prefix.text, length);
    uint64_t mask = length == 0 ? 0 : length < 8 ? (UINT64_C(1) << 8 * length) - 1 : UINT64_MAX;
    for (uint32_t i = 0; i < count; i++) {
        struct value text = values[i];
        uint64_t word;
        if (UNLIKELY(text.kind != VALUE_STRING)) {
            out[i] = text.kind == VALUE_ERROR ? text : error_overload(text, prefix);
        } else if (length <= 8 && text.length >= 8) {
            memcpy(&word, text.text, 8);
            out[i] = value_bool((word & mask) == wanted);
        } else {
            out[i] = value_bool(text.length >= length &&
                                (length == 0 || memcmp(text.text, prefix.text, length) == 0));
        }
    }
}
