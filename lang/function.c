/* The table of functions and the access functions of values: see function.h. */
#include "lang/function.h"

#include <math.h>
#include <string.h>

#include "core/raw.h"
#include "lang/term.h"

#define FUNCTION_LEAT_GLOBAL (FUNCTION_GLOBAL | FUNCTION_LEAT)
static const struct function functions[] = {
#define FUNCTION(name, style, minimum, maximum, first, results, body)                              \
    {name, FUNCTION_##style, minimum, maximum, first, results, function_##body},
#include "lang/functions.def"
#undef FUNCTION
};

const struct function *function_find(struct string name, enum function_style style)
{
    for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
        if ((functions[i].style & style) && string_equal_text(name, functions[i].name))
            return &functions[i];
    }
    return NULL;
}

const struct function *function_table(size_t *count)
{
    *count = ARRAY_SIZE(functions);
    return functions;
}

char *call_text(struct call *call, size_t size)
{
    return arena_take_aligned(call->arena, size, 1);
}

struct value optional_of(struct arena *arena, struct value content)
{
    struct value *items = arena_take(arena, sizeof(*items));
    if (!items)
        return value_error(ERROR_ARENA_FULL);
    items[0] = content;
    return (struct value){.kind = VALUE_OPTIONAL, .length = 1, .items = items};
}

struct value text_matches(struct call *call, const struct regex *regex, struct value text)
{
    if (text.kind != VALUE_STRING)
        return text.kind == VALUE_ERROR ? text : error_overload_one(text);
    struct string subject = {text.length ? text.text : "", text.length};
    switch (regex_match(regex, call->evaluator->scratch, subject)) {
    case REGEX_MATCH:
        return value_bool(true);
    case REGEX_NO_MATCH:
        return value_bool(false);
    default:
        return value_error(ERROR_REGEX);
    }
}

/* Types */

static const struct {
    const char *name;
    enum value_kind kind;
} type_names[] = {
    {"null_type", VALUE_NULL},
    {"bool", VALUE_BOOL},
    {"int", VALUE_INT},
    {"uint", VALUE_UINT},
    {"double", VALUE_DOUBLE},
    {"string", VALUE_STRING},
    {"bytes", VALUE_BYTES},
    {"list", VALUE_LIST},
    {"map", VALUE_MAP},
    {"google.protobuf.Timestamp", VALUE_TIMESTAMP},
    {"google.protobuf.Duration", VALUE_DURATION},
    {"type", VALUE_TYPE},
    {"optional_type", VALUE_OPTIONAL},
};

static struct value type_value(const char *name)
{
    return (struct value){.kind = VALUE_TYPE, .length = (uint32_t)strlen(name), .text = name};
}

struct value value_type(struct value value)
{
    for (size_t i = 0; i < ARRAY_SIZE(type_names); i++) {
        if (type_names[i].kind == value.kind)
            return type_value(type_names[i].name);
    }
    return error_overload_one(value);
}

struct value type_by_name(struct string name)
{
    for (size_t i = 0; i < ARRAY_SIZE(type_names); i++) {
        if (string_equal_text(name, type_names[i].name))
            return type_value(type_names[i].name);
    }
    return (struct value){0};
}

/* Access */

/* Takes an optional off for a viral access. False: it is none, and so is the result. */
static bool optional_open(struct value *container, bool *optional, struct arena *arena)
{
    if (container->kind != VALUE_OPTIONAL)
        return true;
    *optional = true;
    if (container->length == 0)
        return false;
    *container = value_open(container->items[0], arena);
    return true;
}

/* `found` may be ABSENT: then the key is missing. */
static struct value access_result(struct value found, bool optional, struct value missing,
                                  struct arena *arena)
{
    if (found.kind == VALUE_ERROR)
        return found;
    if (found.kind == VALUE_ABSENT)
        return optional ? optional_none() : missing;
    return optional ? optional_of(arena, found) : found;
}

/* -1: no index of a list. */
static int64_t index_of_key(struct value key, bool *is_index)
{
    *is_index = true;
    switch (key.kind) {
    case VALUE_INT:
        return key.integer;
    case VALUE_UINT:
        return key.natural > INT64_MAX ? -1 : (int64_t)key.natural;
    case VALUE_DOUBLE:
        if (key.real >= 0 && key.real < 0x1p53 && key.real == floor(key.real))
            return (int64_t)key.real;
        return -1;
    default:
        *is_index = false;
        return -1;
    }
}

struct value value_index(struct value container, struct value key, bool optional,
                         struct arena *arena)
{
    if (!optional_open(&container, &optional, arena))
        return container;
    if (container.kind == VALUE_ERROR)
        return container;
    if (container.kind == VALUE_MAP) {
        struct value missing = key.kind == VALUE_STRING
                                   ? value_error_text(ERROR_NO_KEY, key.text, key.length)
                                   : value_error(ERROR_NO_KEY);
        return access_result(map_find(container, key, arena), optional, missing, arena);
    }
    if (container.kind != VALUE_LIST)
        return error_overload(container, key);
    bool is_index;
    int64_t index = index_of_key(key, &is_index);
    if (!is_index)
        return error_overload(container, key);
    struct value found = {0};
    if (index >= 0 && index < (int64_t)container.length)
        found = container.items[index].kind == VALUE_ABSENT ? value_null() : container.items[index];
    return access_result(found, optional, value_error(ERROR_RANGE), arena);
}

struct value value_select(struct value container, struct string name, bool optional,
                          struct arena *arena)
{
    if (!optional_open(&container, &optional, arena))
        return container;
    struct value missing = value_error_text(ERROR_NO_KEY, name.data, name.length);
    if (container.kind == VALUE_RAW) {
        if (value_raw_kind(container) != VALUE_MAP)
            return error_overload_one(value_open(container, arena));
        return access_result(value_member(container, name, arena), optional, missing, arena);
    }
    if (container.kind == VALUE_ERROR)
        return container;
    if (container.kind != VALUE_MAP)
        return error_overload_one(container);
    struct value key = value_string(name.data, name.length);
    return access_result(map_find(container, key, arena), optional, missing, arena);
}
