/* Values as text: value_display for people, cel_value_encode for conformance cases. Each result is
 * malloc'ed and the caller's. Any thread. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/calendar.h"
#include "core/fault.h"
#include "core/number.h"
#include "lang/base64.h"
#include "lang/cel_cases.h"
#include "lang/printer.h"
#include "lang/value_ops.h"

void printer_add(struct printer *printer, const char *text, size_t length)
{
    if (printer->failed)
        return;
    if (length + 1 > printer->capacity - printer->length) {
        size_t capacity = size_max(printer->capacity * 2, printer->length + length + 64);
        char *grown = memory_resize(printer->text, capacity);
        if (!grown) {
            printer->failed = true;
            return;
        }
        printer->text = grown;
        printer->capacity = capacity;
    }
    if (length)
        memcpy(printer->text + printer->length, text, length);
    printer->length += length;
    printer->text[printer->length] = 0;
}

void printer_add_text(struct printer *printer, const char *text)
{
    printer_add(printer, text, strlen(text));
}

void printer_add_json(struct printer *printer, const char *text, size_t length)
{
    printer_add(printer, "\"", 1);
    size_t copied = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte >= 0x20 && byte != '"' && byte != '\\')
            continue;
        printer_add(printer, text + copied, i - copied);
        char escape[8];
        if (byte == '"' || byte == '\\')
            snprintf(escape, sizeof(escape), "\\%c", byte);
        else
            snprintf(escape, sizeof(escape), "\\u%04x", byte);
        printer_add_text(printer, escape);
        copied = i + 1;
    }
    printer_add(printer, text + copied, length - copied);
    printer_add(printer, "\"", 1);
}

void printer_add_base64(struct printer *printer, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i += 3) { /* a step at a time: no second buffer */
        char quad[4];
        base64_encode(quad, bytes + i, size_min(length - i, 3));
        printer_add(printer, quad, 4);
    }
}

void printer_add_double(struct printer *printer, double real)
{
    char text[NUMBER_TEXT_SIZE];
    printer_add(printer, text, number_write_double(text, real));
}

static void add_int(struct printer *printer, struct value value)
{
    char text[NUMBER_TEXT_SIZE];
    printer_add(printer, text,
                value.kind == VALUE_UINT ? number_write_uint(text, value.natural)
                                         : number_write_int(text, value.integer));
}

static void add_time(struct printer *printer, struct value value)
{
    char text[CALENDAR_TEXT_SIZE];
    printer_add(printer, text,
                value.kind == VALUE_TIMESTAMP
                    ? calendar_write_timestamp(text, value.integer, value.length)
                    : calendar_write_duration(text, value.integer));
}

static const char *special_double(double real)
{
    return isnan(real) ? "NaN" : isinf(real) ? real < 0 ? "-Infinity" : "Infinity" : NULL;
}

/* For people: CEL syntax. Children that are raw are JSON, which CEL reads too. */

static void add_bytes_literal(struct printer *printer, struct value value)
{
    printer_add_text(printer, "b\"");
    for (uint32_t i = 0; i < value.length; i++) {
        unsigned char byte = (unsigned char)value.text[i];
        char text[8];
        if (byte >= 0x20 && byte < 0x7F && byte != '"' && byte != '\\')
            snprintf(text, sizeof(text), "%c", byte);
        else
            snprintf(text, sizeof(text), "\\x%02x", byte);
        printer_add_text(printer, text);
    }
    printer_add_text(printer, "\"");
}

static void add_error(struct printer *printer, struct value value)
{
    printer_add_text(printer, "error: ");
    printer_add_text(printer, error_slug((enum error_code)value.code));
    if (value.text) {
        printer_add_text(printer, ": ");
        printer_add(printer, value.text, value.length);
    }
}

static void display(struct printer *printer, struct value value, unsigned depth);

static void display_items(struct printer *printer, struct value value, unsigned depth)
{
    bool is_map = value.kind == VALUE_MAP;
    if (depth > VALUE_DEPTH_LIMIT) {
        printer_add_text(printer, "…");
        return;
    }
    printer_add_text(printer, is_map ? "{" : "[");
    for (uint32_t i = 0; i < value.length; i++) {
        if (i)
            printer_add_text(printer, ", ");
        if (is_map) {
            display(printer, value.entries[i].key, depth + 1);
            printer_add_text(printer, ": ");
        }
        display(printer, is_map ? value.entries[i].value : value.items[i], depth + 1);
    }
    printer_add_text(printer, is_map ? "}" : "]");
}

static void display(struct printer *printer, struct value value, unsigned depth)
{
    switch ((enum value_kind)value.kind) {
    case VALUE_BOOL:
        printer_add_text(printer, value.boolean ? "true" : "false");
        return;
    case VALUE_INT:
    case VALUE_UINT:
        add_int(printer, value);
        printer_add_text(printer, value.kind == VALUE_UINT ? "u" : "");
        return;
    case VALUE_DOUBLE:
        if (!special_double(value.real)) {
            printer_add_double(printer, value.real);
            return;
        }
        printer_add_text(printer, "double(\"");
        printer_add_text(printer, special_double(value.real));
        printer_add_text(printer, "\")");
        return;
    case VALUE_STRING:
        printer_add_json(printer, value.text, value.length);
        return;
    case VALUE_BYTES:
        add_bytes_literal(printer, value);
        return;
    case VALUE_LIST:
    case VALUE_MAP:
        display_items(printer, value, depth);
        return;
    case VALUE_TIMESTAMP:
    case VALUE_DURATION:
        printer_add_text(printer, value.kind == VALUE_TIMESTAMP ? "timestamp(\"" : "duration(\"");
        add_time(printer, value);
        printer_add_text(printer, "\")");
        return;
    case VALUE_TYPE:
    case VALUE_RAW:
        printer_add(printer, value.text, value.length);
        return;
    case VALUE_OPTIONAL:
        printer_add_text(printer, value.length ? "optional.of(" : "optional.none(");
        if (value.length)
            display(printer, value.items[0], depth + 1);
        printer_add_text(printer, ")");
        return;
    case VALUE_ERROR:
        add_error(printer, value);
        return;
    default:
        printer_add_text(printer, "null");
    }
}

char *value_display(struct value value)
{
    struct printer printer = {0};
    printer_add(&printer, "", 0);
    display(&printer, value, 0);
    if (!printer.failed)
        return printer.text;
    free(printer.text);
    return NULL;
}

/* For conformance cases: {"int": "1"} and so on. The values are resolved throughout. */

static void encode(struct printer *printer, struct value value, unsigned depth);

static void encode_items(struct printer *printer, struct value value, unsigned depth)
{
    bool is_map = value.kind == VALUE_MAP;
    if (depth > VALUE_DEPTH_LIMIT) {
        printer->failed = true;
        return;
    }
    printer_add_text(printer, "[");
    for (uint32_t i = 0; i < value.length; i++) {
        printer_add_text(printer, i ? ", " : "");
        if (is_map) {
            printer_add_text(printer, "[");
            encode(printer, value.entries[i].key, depth + 1);
            printer_add_text(printer, ", ");
        }
        encode(printer, is_map ? value.entries[i].value : value.items[i], depth + 1);
        printer_add_text(printer, is_map ? "]" : "");
    }
    printer_add_text(printer, "]");
}

static void encode_content(struct printer *printer, struct value value, unsigned depth)
{
    switch ((enum value_kind)value.kind) {
    case VALUE_BOOL:
        printer_add_text(printer, value.boolean ? "true" : "false");
        return;
    case VALUE_INT:
    case VALUE_UINT:
        printer_add_text(printer, "\"");
        add_int(printer, value);
        printer_add_text(printer, "\"");
        return;
    case VALUE_DOUBLE:
        if (special_double(value.real))
            printer_add_json(printer, special_double(value.real),
                             strlen(special_double(value.real)));
        else
            printer_add_double(printer, value.real);
        return;
    case VALUE_STRING:
    case VALUE_TYPE:
        printer_add_json(printer, value.text, value.length);
        return;
    case VALUE_BYTES:
        printer_add_text(printer, "\"");
        printer_add_base64(printer, value.text, value.length);
        printer_add_text(printer, "\"");
        return;
    case VALUE_LIST:
    case VALUE_MAP:
    case VALUE_OPTIONAL:
        encode_items(printer, value, depth);
        return;
    case VALUE_TIMESTAMP:
    case VALUE_DURATION:
        printer_add_text(printer, "\"");
        add_time(printer, value);
        printer_add_text(printer, "\"");
        return;
    default:
        printer_add_text(printer, "null");
    }
}

static void encode(struct printer *printer, struct value value, unsigned depth)
{
    printer_add_text(printer, "{\"");
    printer_add_text(printer, value_kind_name((enum value_kind)value.kind));
    printer_add_text(printer, "\": ");
    encode_content(printer, value, depth);
    printer_add_text(printer, "}");
}

char *cel_value_encode(struct value value)
{
    struct printer printer = {0};
    encode(&printer, value, 0);
    if (!printer.failed)
        return printer.text;
    free(printer.text);
    return NULL;
}
