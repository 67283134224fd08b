/* What the evaluators need of values beyond core/value.h: CEL's equality and order with the reason
 * why there is none, lookup by key, tables of keys. Pure functions; any thread, each with its own
 * arena. "Resolved" means: not RAW (children may be). */
#ifndef LEAT_LANG_VALUE_OPS_H
#define LEAT_LANG_VALUE_OPS_H

#include "core/value.h"
#include "lang/expression.h"

/* Deeper values are not compared, hashed or printed: ERROR_LIMIT. As deep as records may nest. */
#define VALUE_DEPTH_LIMIT 1024

/* value_resolve, and of a map the last of equal keys alone. ABSENT becomes null. */
struct value value_open(struct value value, struct arena *arena);

/* CEL's ==: a bool, or ERROR_ARENA_FULL, or ERROR_LIMIT. Uses the arena as scratch only. */
struct value values_equal(struct value a, struct value b, struct arena *arena);

enum order {
    ORDER_LESS = -1,
    ORDER_SAME = 0,
    ORDER_GREATER = 1,
    ORDER_NONE = 2,       /* a NaN: all four comparisons are false */
    ORDER_IMPOSSIBLE = 3, /* no such overload */
};
/* CEL's order of two resolved values; numbers across kinds. */
enum order values_order(struct value a, struct value b);
static inline bool value_is_number(struct value value)
{
    return value.kind >= VALUE_INT && value.kind <= VALUE_DOUBLE;
}
/* Bytewise; of strings the order of code points. */
int text_order(struct value a, struct value b);

/* The value of `key` (resolved) in a resolved map, ABSENT where there is none or no such kind of
 * key. */
struct value map_find(struct value map, struct value key, struct arena *arena);
/* CEL's `in` for a list: a bool or an error. */
struct value list_holds(struct value list, struct value item, struct arena *arena);

/* A hash table over keys: constants on the right of `in`, long maps. Lives in the arena. */
struct key_table {
    const struct value *keys;
    uint32_t stride; /* in values, from key to key */
    uint32_t count;
    uint32_t mask;
    uint32_t *slots; /* index + 1 */
};
/* Of equal keys the last is found. False: arena full. Keys must be resolved scalars. */
MUST_USE bool key_table_make(struct key_table *table, const struct value *keys, uint32_t stride,
                             uint32_t count, struct arena *arena);
/* The index of the key, or UINT32_MAX. */
uint32_t key_table_find(const struct key_table *table, struct value key);
/* Fit to be a member of such a table so that the table's answer is that of ==. */
bool key_is_hashable(struct value key);

/* ERROR_NO_OVERLOAD with the kinds as its text ("null, int"). */
struct value error_overload(struct value a, struct value b);
struct value error_overload_one(struct value value);

/* left < right and the like of resolved values: a bool or ERROR_NO_OVERLOAD. */
static inline struct value order_result(enum operator_kind operator, struct value a, struct value b)
{
    enum order order = values_order(a, b);
    if (order == ORDER_IMPOSSIBLE)
        return error_overload(a, b);
    switch (operator) {
    case OPERATOR_LESS:
        return value_bool(order == ORDER_LESS);
    case OPERATOR_LESS_EQUAL:
        return value_bool(order == ORDER_LESS || order == ORDER_SAME);
    case OPERATOR_GREATER:
        return value_bool(order == ORDER_GREATER);
    default:
        return value_bool(order == ORDER_GREATER || order == ORDER_SAME);
    }
}

#endif
