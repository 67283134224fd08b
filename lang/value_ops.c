/* Equality, order, hashing and lookup of values: see value_ops.h and expression.h. */
#include "lang/value_ops.h"

#include <math.h>
#include <string.h>

#include "core/raw.h"

static const char *const kind_names[VALUE_KIND_COUNT] = {
    [VALUE_ABSENT] = "absent", [VALUE_NULL] = "null",           [VALUE_BOOL] = "bool",
    [VALUE_INT] = "int",       [VALUE_UINT] = "uint",           [VALUE_DOUBLE] = "double",
    [VALUE_STRING] = "string", [VALUE_BYTES] = "bytes",         [VALUE_LIST] = "list",
    [VALUE_MAP] = "map",       [VALUE_TIMESTAMP] = "timestamp", [VALUE_DURATION] = "duration",
    [VALUE_TYPE] = "type",     [VALUE_OPTIONAL] = "optional",   [VALUE_ERROR] = "error",
    [VALUE_RAW] = "raw",
};

/* "left, right" for every pair, so that an error of a hot loop costs no formatting. */
#define PAIRS(left)                                                                                \
    {                                                                                              \
        left ", absent", left ", null", left ", bool", left ", int", left ", uint",                \
            left ", double", left ", string", left ", bytes", left ", list", left ", map",         \
            left ", timestamp", left ", duration", left ", type", left ", optional",               \
            left ", error", left ", raw"                                                           \
    }
static const char *const pair_names[VALUE_KIND_COUNT][VALUE_KIND_COUNT] = {
    PAIRS("absent"), PAIRS("null"),     PAIRS("bool"),      PAIRS("int"),
    PAIRS("uint"),   PAIRS("double"),   PAIRS("string"),    PAIRS("bytes"),
    PAIRS("list"),   PAIRS("map"),      PAIRS("timestamp"), PAIRS("duration"),
    PAIRS("type"),   PAIRS("optional"), PAIRS("error"),     PAIRS("raw"),
};

const char *value_kind_name(enum value_kind kind)
{
    CHECK(kind < VALUE_KIND_COUNT);
    return kind_names[kind];
}

struct value error_overload(struct value a, struct value b)
{
    const char *text = pair_names[a.kind][b.kind];
    return value_error_text(ERROR_NO_OVERLOAD, text, strlen(text));
}

struct value error_overload_one(struct value value)
{
    const char *text = kind_names[value.kind];
    return value_error_text(ERROR_NO_OVERLOAD, text, strlen(text));
}

/* Order */

static enum order order_of(bool less, bool greater)
{
    return less ? ORDER_LESS : greater ? ORDER_GREATER : ORDER_SAME;
}

static enum order order_double(double a, double b)
{
    if (isnan(a) || isnan(b))
        return ORDER_NONE;
    return order_of(a<b, a> b);
}

/* Inside the range of the integer kind the integer becomes a double, rounded: as CEL's conformance
 * cases ask for. */
static enum order order_int_double(int64_t a, double b)
{
    if (b < -0x1p63)
        return ORDER_GREATER;
    if (b > 0x1p63)
        return ORDER_LESS;
    return order_double((double)a, b);
}

static enum order order_uint_double(uint64_t a, double b)
{
    if (b < 0)
        return ORDER_GREATER;
    if (b > 0x1p64)
        return ORDER_LESS;
    return order_double((double)a, b);
}

static enum order order_int_uint(int64_t a, uint64_t b)
{
    if (a < 0)
        return ORDER_LESS;
    return order_of((uint64_t)a<b, (uint64_t)a> b);
}

static enum order order_reverse(enum order order)
{
    return order == ORDER_LESS ? ORDER_GREATER : order == ORDER_GREATER ? ORDER_LESS : order;
}

static enum order order_numbers(struct value a, struct value b)
{
    if (a.kind > b.kind)
        return order_reverse(order_numbers(b, a));
    switch (a.kind) {
    case VALUE_INT:
        if (b.kind == VALUE_INT)
            return order_of(a.integer<b.integer, a.integer> b.integer);
        return b.kind == VALUE_UINT ? order_int_uint(a.integer, b.natural)
                                    : order_int_double(a.integer, b.real);
    case VALUE_UINT:
        if (b.kind == VALUE_UINT)
            return order_of(a.natural<b.natural, a.natural> b.natural);
        return order_uint_double(a.natural, b.real);
    default:
        return order_double(a.real, b.real);
    }
}

int text_order(struct value a, struct value b)
{
    size_t common = size_min(a.length, b.length);
    int order = common ? memcmp(a.text, b.text, common) : 0;
    if (order)
        return order < 0 ? -1 : 1;
    return (a.length > b.length) - (a.length < b.length);
}

enum order values_order(struct value a, struct value b)
{
    if (value_is_number(a) && value_is_number(b))
        return order_numbers(a, b);
    if (a.kind != b.kind)
        return ORDER_IMPOSSIBLE;
    switch (a.kind) {
    case VALUE_BOOL:
        return order_of(a.boolean<b.boolean, a.boolean> b.boolean);
    case VALUE_STRING:
    case VALUE_BYTES:
        return (enum order)text_order(a, b);
    case VALUE_TIMESTAMP:
        if (a.integer == b.integer)
            return order_of(a.length<b.length, a.length> b.length);
        return order_of(a.integer<b.integer, a.integer> b.integer);
    case VALUE_DURATION:
        return order_of(a.integer<b.integer, a.integer> b.integer);
    default:
        return ORDER_IMPOSSIBLE;
    }
}

/* Hashing */

/* Multiply and fold: the mixing step of wyhash (Wang Yi, public domain design). */
static uint64_t hash_mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product =
        (unsigned __int128)(a ^ 0x9e3779b97f4a7c15u) * (b ^ 0xd6e8feb86659fd93u);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash_text(const char *text, size_t length, uint64_t seed)
{
    uint64_t hash = hash_mix(seed, length);
    while (length >= 8) {
        uint64_t word;
        memcpy(&word, text, 8);
        hash = hash_mix(hash, word);
        text += 8;
        length -= 8;
    }
    uint64_t word = 0;
    if (length)
        memcpy(&word, text, length);
    return hash_mix(hash, word);
}

/* Every integral number hashes as that integer, whatever its kind. */
static uint64_t hash_number(struct value value, uint64_t seed)
{
    if (value.kind == VALUE_DOUBLE) {
        double real = value.real;
        if (real >= -0x1p63 && real < 0x1p63 && real == (double)(int64_t)real)
            value.integer = (int64_t)real;
        else if (real >= 0x1p63 && real < 0x1p64)
            value.natural = (uint64_t)real;
    }
    return hash_mix(seed ^ 'n', value.natural);
}

static uint64_t hash_value(struct value value, uint64_t seed, struct arena *arena, unsigned depth);

/* Entries in any order: their hashes are added. */
static uint64_t hash_map(struct value map, uint64_t seed, struct arena *arena, unsigned depth)
{
    uint64_t sum = map.length;
    for (uint32_t i = 0; i < map.length; i++) {
        uint64_t key = hash_value(map.entries[i].key, seed, arena, depth);
        sum += hash_value(map.entries[i].value, key, arena, depth);
    }
    return hash_mix(seed ^ 'm', sum);
}

static uint64_t hash_value(struct value value, uint64_t seed, struct arena *arena, unsigned depth)
{
    if (value.kind == VALUE_RAW) {
        size_t mark = arena_mark(arena);
        uint64_t hash = hash_value(value_open(value, arena), seed, arena, depth);
        arena_rewind(arena, mark);
        return hash;
    }
    if (depth == VALUE_DEPTH_LIMIT)
        return seed;
    switch (value.kind) {
    case VALUE_INT:
    case VALUE_UINT:
    case VALUE_DOUBLE:
        return hash_number(value, seed);
    case VALUE_STRING:
    case VALUE_BYTES:
    case VALUE_TYPE:
        return hash_text(value.text, value.length, seed + value.kind);
    case VALUE_LIST:
    case VALUE_OPTIONAL:
        seed = hash_mix(seed + value.kind, value.length);
        for (uint32_t i = 0; i < value.length; i++)
            seed = hash_value(value.items[i], seed, arena, depth + 1);
        return seed;
    case VALUE_MAP:
        return hash_map(value, seed, arena, depth + 1);
    case VALUE_BOOL:
    case VALUE_DURATION:
        return hash_mix(seed + value.kind, value.natural);
    case VALUE_TIMESTAMP:
        return hash_mix(hash_mix(seed + value.kind, value.natural), value.length);
    default: /* null, absent and errors: alike */
        return hash_mix(seed, 0);
    }
}

uint64_t value_hash(struct value value, uint64_t seed, struct arena *arena)
{
    return hash_value(value, seed, arena, 0);
}

/* Tables of keys */

bool key_is_hashable(struct value key)
{
    switch (key.kind) {
    case VALUE_INT: /* beyond 2^53 == is not transitive */
        return key.integer > -(1ll << 53) && key.integer < 1ll << 53;
    case VALUE_UINT:
        return key.natural < 1ull << 53;
    case VALUE_DOUBLE:
        return fabs(key.real) < 0x1p53;
    case VALUE_BOOL:
    case VALUE_STRING:
    case VALUE_BYTES:
    case VALUE_NULL:
        return true;
    default:
        return false;
    }
}

/* == of two resolved scalars. */
static bool scalar_equal(struct value a, struct value b)
{
    if (value_is_number(a) && value_is_number(b))
        return order_numbers(a, b) == ORDER_SAME;
    if (a.kind != b.kind)
        return a.kind <= VALUE_NULL && b.kind <= VALUE_NULL;
    switch (a.kind) {
    case VALUE_ABSENT:
    case VALUE_NULL:
        return true;
    case VALUE_BOOL:
    case VALUE_DURATION:
        return a.integer == b.integer;
    case VALUE_STRING:
    case VALUE_BYTES:
    case VALUE_TYPE:
        return a.length == b.length && (a.length == 0 || memcmp(a.text, b.text, a.length) == 0);
    case VALUE_TIMESTAMP:
        return a.integer == b.integer && a.length == b.length;
    default:
        return false;
    }
}

static uint64_t hash_scalar(struct value key)
{
    return hash_value(key, 0, NULL, VALUE_DEPTH_LIMIT - 1);
}

bool key_table_make(struct key_table *table, const struct value *keys, uint32_t stride,
                    uint32_t count, struct arena *arena)
{
    uint32_t size = 4;
    while (size < count + count / 2 + 1)
        size *= 2;
    *table = (struct key_table){.keys = keys, .stride = stride, .count = count, .mask = size - 1};
    table->slots = arena_take(arena, size * sizeof(*table->slots));
    if (!table->slots)
        return false;
    memset(table->slots, 0, size * sizeof(*table->slots));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t slot = (uint32_t)hash_scalar(keys[(size_t)i * stride]) & table->mask;
        while (table->slots[slot] && !scalar_equal(keys[(size_t)(table->slots[slot] - 1) * stride],
                                                   keys[(size_t)i * stride]))
            slot = (slot + 1) & table->mask;
        table->slots[slot] = i + 1;
    }
    return true;
}

uint32_t key_table_find(const struct key_table *table, struct value key)
{
    if (key.kind == VALUE_LIST || key.kind == VALUE_MAP || key.kind == VALUE_OPTIONAL)
        return UINT32_MAX; /* the keys are scalars */
    uint32_t slot = (uint32_t)hash_scalar(key) & table->mask;
    while (table->slots[slot]) {
        uint32_t index = table->slots[slot] - 1;
        if (scalar_equal(table->keys[(size_t)index * table->stride], key))
            return index;
        slot = (slot + 1) & table->mask;
    }
    return UINT32_MAX;
}

/* Maps */

#define SHORT_MAP 12 /* entries up to which a linear search is quicker than a table */

static bool map_has_duplicates(struct value map)
{
    for (uint32_t i = 1; i < map.length; i++) {
        for (uint32_t j = 0; j < i; j++) {
            if (scalar_equal(map.entries[i].key, map.entries[j].key))
                return true;
        }
    }
    return false;
}

/* Keeps the last of equal keys. The entries were made by value_resolve just now for us alone, so
 * they may be moved. */
static struct value map_without_duplicates(struct value map, struct arena *arena)
{
    if (map.length <= SHORT_MAP && !map_has_duplicates(map))
        return map;
    size_t mark = arena_mark(arena);
    struct map_entry *entries = (struct map_entry *)map.entries;
    struct key_table table;
    if (!key_table_make(&table, &entries[0].key, 2, map.length, arena))
        return value_error(ERROR_ARENA_FULL);
    /* The table is asked before anything moves; what is kept is marked by the key's code. */
    for (uint32_t i = 0; i < map.length; i++)
        entries[i].key.code = key_table_find(&table, entries[i].key) == i;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < map.length; i++) {
        bool keep = entries[i].key.code;
        entries[i].key.code = 0;
        if (keep)
            entries[kept++] = entries[i];
    }
    map.length = kept;
    arena_rewind(arena, mark);
    return map;
}

struct value value_open(struct value value, struct arena *arena)
{
    if (value.kind == VALUE_ABSENT)
        return value_null();
    if (value.kind != VALUE_RAW)
        return value;
    value = value_resolve(value, arena);
    return value.kind == VALUE_MAP ? map_without_duplicates(value, arena) : value;
}

struct value map_find(struct value map, struct value key, struct arena *arena)
{
    (void)arena;
    CHECK(map.kind == VALUE_MAP);
    for (uint32_t i = 0; i < map.length; i++) {
        if (scalar_equal(map.entries[i].key, key))
            return map.entries[i].value;
    }
    return (struct value){0};
}

/* Equality. Results: a bool or an error. */

static struct value equal_values(struct value a, struct value b, struct arena *arena,
                                 unsigned depth);

static struct value equal_lists(struct value a, struct value b, struct arena *arena, unsigned depth)
{
    if (a.length != b.length)
        return value_bool(false);
    for (uint32_t i = 0; i < a.length; i++) {
        struct value same = equal_values(a.items[i], b.items[i], arena, depth);
        if (same.kind != VALUE_BOOL || !same.boolean)
            return same;
    }
    return value_bool(true);
}

static struct value equal_maps(struct value a, struct value b, struct arena *arena, unsigned depth)
{
    if (a.length != b.length)
        return value_bool(false);
    struct key_table table = {0};
    if (a.length > SHORT_MAP && !key_table_make(&table, &b.entries[0].key, 2, b.length, arena))
        return value_error(ERROR_ARENA_FULL);
    for (uint32_t i = 0; i < a.length; i++) {
        struct value other = {0};
        if (table.slots) {
            uint32_t index = key_table_find(&table, a.entries[i].key);
            if (index != UINT32_MAX)
                other = b.entries[index].value;
        } else {
            other = map_find(b, a.entries[i].key, arena);
        }
        if (other.kind == VALUE_ABSENT)
            return value_bool(false);
        struct value same = equal_values(a.entries[i].value, other, arena, depth);
        if (same.kind != VALUE_BOOL || !same.boolean)
            return same;
    }
    return value_bool(true);
}

static struct value equal_values(struct value a, struct value b, struct arena *arena,
                                 unsigned depth)
{
    if (depth > VALUE_DEPTH_LIMIT)
        return value_error(ERROR_LIMIT);
    a = value_open(a, arena);
    b = value_open(b, arena);
    if (a.kind == VALUE_ERROR)
        return a;
    if (b.kind == VALUE_ERROR)
        return b;
    if (a.kind != b.kind || a.kind < VALUE_LIST ||
        (a.kind != VALUE_LIST && a.kind != VALUE_MAP && a.kind != VALUE_OPTIONAL))
        return value_bool(scalar_equal(a, b));
    size_t mark = arena_mark(arena);
    struct value same = a.kind == VALUE_MAP ? equal_maps(a, b, arena, depth + 1)
                                            : equal_lists(a, b, arena, depth + 1);
    arena_rewind(arena, mark);
    return same;
}

struct value values_equal(struct value a, struct value b, struct arena *arena)
{
    size_t mark = arena_mark(arena);
    struct value same = equal_values(a, b, arena, 0);
    arena_rewind(arena, mark);
    return same;
}

bool value_equal(struct value a, struct value b, struct arena *arena)
{
    struct value same = values_equal(a, b, arena);
    return same.kind == VALUE_BOOL && same.boolean;
}

struct value list_holds(struct value list, struct value item, struct arena *arena)
{
    CHECK(list.kind == VALUE_LIST);
    for (uint32_t i = 0; i < list.length; i++) {
        struct value same = values_equal(list.items[i], item, arena);
        if (same.kind != VALUE_BOOL || same.boolean)
            return same;
    }
    return value_bool(false);
}
