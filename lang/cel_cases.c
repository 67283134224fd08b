/* Conformance cases: see cel_cases.h. Lines come from anywhere, so they are validated here before
 * anything of core/raw.h may look at them. */
#include "lang/cel_cases.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "core/number.h"
#include "core/raw.h"
#include "core/utf8.h"
#include "lang/base64.h"
#include "lang/function.h"
#include "lang/json_check.h"
#include "lang/parse.h"
#include "lang/printer.h"
#include "lang/time.h"
#include "lang/value_ops.h"

#define CASE_MEMORY ((size_t)256 << 20) /* address space */
#define CASE_DEPTH  200

struct binding {
    struct string name;
    struct value value;
};
struct bindings {
    const struct binding *items;
    uint32_t count;
    struct string container;
};

static struct value case_error(const char *text)
{
    return value_error_text(ERROR_CONVERSION, text, strlen(text));
}

static struct value case_member(struct value map, const char *key, struct arena *arena)
{
    return value_open(value_member(map, (struct string){key, strlen(key)}, arena), arena);
}

static struct value decode_bytes(struct value text, struct arena *arena)
{
    char *out = arena_take_aligned(arena, text.length, 1);
    size_t length;
    if (!out)
        return value_error(ERROR_ARENA_FULL);
    if (!base64_decode(out, &length, text.text, text.length))
        return case_error("bad base64");
    return value_bytes(out, length);
}

static struct value decode_value(struct value raw, struct arena *arena, unsigned depth);

static struct value decode_list(struct value list, struct arena *arena, unsigned depth)
{
    struct value *items = arena_take(arena, list.length * sizeof(*items));
    if (!items || list.kind != VALUE_LIST)
        return case_error("a list is an array of values");
    for (uint32_t i = 0; i < list.length; i++) {
        items[i] = decode_value(list.items[i], arena, depth);
        if (items[i].kind == VALUE_ERROR)
            return items[i];
    }
    return (struct value){.kind = VALUE_LIST, .length = list.length, .items = items};
}

static struct value decode_map(struct value list, struct arena *arena, unsigned depth)
{
    struct map_entry *entries = arena_take(arena, list.length * sizeof(*entries));
    if (!entries || list.kind != VALUE_LIST)
        return case_error("a map is an array of pairs");
    for (uint32_t i = 0; i < list.length; i++) {
        struct value pair = decode_list(value_open(list.items[i], arena), arena, depth);
        if (pair.kind != VALUE_LIST || pair.length != 2)
            return case_error("a map is an array of pairs");
        entries[i] = (struct map_entry){pair.items[0], pair.items[1]};
    }
    return (struct value){.kind = VALUE_MAP, .length = list.length, .entries = entries};
}

static struct value decode_scalar(struct string kind, struct value content, struct arena *arena)
{
    struct call call = {.arena = arena};
    if (string_equal_text(kind, "double") && content.kind != VALUE_STRING)
        return function_double(&call, &content, 1);
    if (string_equal_text(kind, "null") || string_equal_text(kind, "bool"))
        return content;
    if (content.kind != VALUE_STRING)
        return case_error("this kind of value is written as a string");
    struct string text = {content.text, content.length};
    if (string_equal_text(kind, "string"))
        return content;
    if (string_equal_text(kind, "int"))
        return function_int(&call, &content, 1);
    if (string_equal_text(kind, "uint"))
        return function_uint(&call, &content, 1);
    if (string_equal_text(kind, "double"))
        return function_double(&call, &content, 1);
    if (string_equal_text(kind, "bytes"))
        return decode_bytes(content, arena);
    if (string_equal_text(kind, "timestamp"))
        return timestamp_parse(text);
    if (string_equal_text(kind, "duration"))
        return duration_parse(text);
    if (string_equal_text(kind, "type"))
        return type_by_name(text);
    return case_error("an unknown kind of value");
}

static struct value decode_value(struct value raw, struct arena *arena, unsigned depth)
{
    struct value object = value_open(raw, arena);
    if (object.kind != VALUE_MAP || object.length != 1 || depth > CASE_DEPTH)
        return case_error("a value is an object of one key");
    struct value key = value_open(object.entries[0].key, arena);
    struct string kind = {key.text, key.length};
    struct value content = value_open(object.entries[0].value, arena);
    if (string_equal_text(kind, "list"))
        return decode_list(content, arena, depth + 1);
    if (string_equal_text(kind, "map"))
        return decode_map(content, arena, depth + 1);
    return decode_scalar(kind, content, arena);
}

/* Names: the longest prefix that is bound wins, the innermost container first. */

static bool name_is(struct string name, struct string container, const struct path *path,
                    uint32_t count)
{
    const char *at = name.data, *end = name.data + name.length;
    if (container.length) {
        if (name.length <= container.length || at[container.length] != '.' ||
            memcmp(at, container.data, container.length) != 0)
            return false;
        at += container.length + 1;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct string part = path->names[i];
        if (i && (at == end || *at++ != '.'))
            return false;
        if ((size_t)(end - at) < part.length || memcmp(at, part.data, part.length) != 0)
            return false;
        at += part.length;
    }
    return at == end;
}

static struct resolution resolve_in(const struct bindings *bindings, struct string container,
                                    const struct path *path)
{
    for (uint32_t count = path->count; count > 0; count--) {
        for (uint32_t i = 0; i < bindings->count; i++) {
            if (name_is(bindings->items[i].name, container, path, count))
                return (struct resolution){RESOLVED_COLUMN, i, count};
        }
    }
    return (struct resolution){.kind = RESOLVED_UNKNOWN};
}

static struct resolution resolve_name(void *context, const struct path *path)
{
    const struct bindings *bindings = context;
    struct string container = bindings->container;
    for (;;) {
        struct resolution found = resolve_in(bindings, container, path);
        if (found.kind == RESOLVED_COLUMN || container.length == 0)
            return found;
        while (container.length && container.data[container.length - 1] != '.')
            container.length--;
        container.length -= container.length > 0;
    }
}

static uint32_t record_column(void *context)
{
    (void)context;
    CHECK(!"the specification knows no record");
    return 0;
}

static bool bindings_read(struct value text, struct bindings *bindings, struct arena *arena)
{
    struct value map = case_member(text, "bindings", arena);
    struct value container = case_member(text, "container", arena);
    if (container.kind == VALUE_STRING)
        bindings->container = (struct string){container.text, container.length};
    if (map.kind != VALUE_MAP)
        return map.kind == VALUE_NULL;
    struct binding *items = arena_take(arena, map.length * sizeof(*items));
    if (!items)
        return false;
    for (uint32_t i = 0; i < map.length; i++) {
        struct value key = value_open(map.entries[i].key, arena);
        items[i].name = (struct string){key.text, key.length};
        items[i].value = decode_value(map.entries[i].value, arena, 0);
        if (items[i].value.kind == VALUE_ERROR)
            return false;
    }
    bindings->items = items;
    bindings->count = map.length;
    return true;
}

/* Opens every raw child, so that the value can be printed when the arena is gone. */
static struct value copy_result(struct value value, struct arena *arena, unsigned depth)
{
    value = value_open(value, arena);
    if (depth > CASE_DEPTH)
        return value_error(ERROR_LIMIT);
    if (value.kind == VALUE_STRING || value.kind == VALUE_BYTES || value.kind == VALUE_ERROR) {
        char *text =
            arena_copy_text(arena, (struct string){value.length ? value.text : "", value.length});
        if (!text)
            return value_error(ERROR_ARENA_FULL);
        if (value.kind != VALUE_ERROR || value.text)
            value.text = text;
        return value;
    }
    if (value.kind != VALUE_LIST && value.kind != VALUE_MAP && value.kind != VALUE_OPTIONAL)
        return value;
    uint32_t count = value.kind == VALUE_MAP ? value.length * 2 : value.length;
    struct value *items = arena_take(arena, count * sizeof(*items));
    if (!items)
        return value_error(ERROR_ARENA_FULL);
    for (uint32_t i = 0; i < count; i++) { /* a map's entries are pairs of values */
        items[i] = copy_result(value.items[i], arena, depth + 1);
        if (items[i].kind == VALUE_ERROR)
            return items[i];
    }
    value.items = items;
    return value;
}

static struct value evaluate_text(struct string text, const struct bindings *bindings,
                                  struct arena *arena)
{
    struct resolver resolver = {.context = (void *)bindings,
                                .resolve = resolve_name,
                                .record_column = record_column,
                                .cel_strict = true};
    struct diagnostics diagnostics;
    struct program_memory *memory = NULL;
    diagnostics_open(&diagnostics, "case", text);
    struct value result = value_error_text(ERROR_PROGRAM, "it does not parse", 17);
    struct error error;
    struct evaluator *evaluator = evaluator_open(&error);
    const struct node *node = evaluator ? expression_parse(&diagnostics, true, &memory) : NULL;
    struct expression *expression =
        node && diagnostics.errors == 0 ? expression_compile(node, &resolver, &diagnostics) : NULL;
    struct column *columns = arena_take(arena, (bindings->count + 1) * sizeof(*columns));
    if (expression && columns) {
        for (uint32_t i = 0; i < bindings->count; i++)
            columns[i] = (struct column){.cells = (struct value *)&bindings->items[i].value};
        struct evaluation evaluation = {columns, 1, arena, evaluator};
        result = copy_result(expression_row(expression, &evaluation, 0), arena, 0);
    } else if (diagnostics.count) {
        const char *why = diagnostics.items[0].text;
        char *copy = arena_copy_text(arena, (struct string){why, strlen(why)});
        if (copy)
            result = value_error_text(ERROR_PROGRAM, copy, strlen(copy));
    }
    expression_free(expression);
    evaluator_close(evaluator);
    if (memory)
        program_memory_free(memory);
    diagnostics_close(&diagnostics);
    return result;
}

struct value cel_case_evaluate(struct string text, struct arena *arena)
{
    struct value line = value_raw(text.data, text.length);
    if (value_raw_kind(line) != VALUE_MAP)
        return case_error("a case is an object");
    struct value expression = case_member(line, "expr", arena);
    struct bindings bindings = {0};
    if (expression.kind != VALUE_STRING)
        return case_error("a case has a string \"expr\"");
    if (!bindings_read(line, &bindings, arena))
        return case_error("the bindings cannot be read");
    return evaluate_text((struct string){expression.text, expression.length}, &bindings, arena);
}

static bool print_result(struct value value, FILE *out)
{
    struct printer printer = {0};
    char *text = NULL;
    if (value.kind == VALUE_ERROR) {
        printer_add_text(&printer, error_slug((enum error_code)value.code));
        if (value.text) {
            printer_add_text(&printer, ": ");
            printer_add(&printer, value.text, value.length);
        }
        struct printer quoted = {0};
        printer_add_json(&quoted, printer.text, printer.length);
        free(printer.text);
        text = quoted.text;
    } else {
        text = cel_value_encode(value);
    }
    if (!text)
        errno = ENOMEM;
    bool good = text && fprintf(out, "{\"%s\": %s}\n",
                                value.kind == VALUE_ERROR ? "error" : "value", text) > 0;
    free(text);
    return good;
}

static bool run_line(char *line, size_t length, struct arena *arena, FILE *out)
{
    while (length && strchr(" \t\r\n", line[length - 1]))
        length--;
    size_t start = 0;
    while (start < length && strchr(" \t", line[start]))
        start++;
    if (start == length)
        return true;
    arena_reset(arena);
    struct string text = {line + start, length - start};
    return print_result(
        json_check(text) ? cel_case_evaluate(text, arena) : case_error("the line is no JSON"), out);
}

int cel_cases_run(FILE *in, FILE *out, struct error *error)
{
    struct arena arena;
    if (!arena_open(&arena, CASE_MEMORY, CASE_MEMORY, error))
        return 1;
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    bool good = true;
    while (good && (length = getline(&line, &size, in)) > 0)
        good = run_line(line, (size_t)length, &arena, out);
    int read_errno = errno;
    free(line);
    arena_close(&arena);
    if (ferror(in)) {
        error_set_errno(error, read_errno, "cannot read the cases");
        return 1;
    }
    if (!good || fflush(out) != 0) {
        error_set_errno(error, errno, "cannot write the results");
        return 1;
    }
    return 0;
}
