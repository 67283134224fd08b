/* The start of a CSV input: byte order mark, header, names of the fields: see csv.h and format.h.
 * Called by source threads, at the start of each input. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "core/utf8.h"
#include "formats/csv.h"

static const char mark[3] = {'\xef', '\xbb', '\xbf'};

/* The first record that is no blank line: text[start..end) without its line end, the next one at
 * `behind`. */
struct first_record {
    size_t start;
    size_t end;
    size_t behind;
    uint64_t line;  /* of `start`, from 1 */
    uint64_t lines; /* line feeds before `behind` */
    bool found;
};

static size_t line_end_strip(const char *text, size_t start, size_t end)
{
    return end > start && text[end - 1] == '\r' ? end - 1 : end;
}

/* The end of the record at text[at], 0: not found. Unlike the kernel, reads nothing behind
 * `length`: callers of head need no padding. */
static size_t record_cut(struct csv_scan *scan, const char *text, size_t at, size_t length)
{
    char tail[128];
    size_t whole = at + (length - at) / 64 * 64;
    size_t behind = csv_kernel_get()->cut(scan, text, at, whole, true);
    if (behind)
        return behind;
    memset(tail, 0, sizeof(tail));
    memcpy(tail, text + whole, length - whole);
    behind = csv_kernel_get()->cut(scan, tail, 0, length - whole, true);
    return behind ? whole + behind : 0;
}

static enum head_result first_record_find(const struct csv *csv, const char *text, size_t length,
                                          bool at_end, struct first_record *record)
{
    struct csv_scan scan = csv_scan_of(csv);
    size_t at = record->behind;
    while (at < length) {
        uint64_t line = scan.lines + 1;
        scan.state = 0;
        size_t behind = record_cut(&scan, text, at, length);
        if (!behind && !at_end)
            return HEAD_MORE;
        size_t end = behind ? line_end_strip(text, at, behind - 1) : length;
        *record =
            (struct first_record){at, end, behind ? behind : length, line, scan.lines, end > at};
        if (record->found)
            return HEAD_DONE;
        at = record->behind;
    }
    return at_end ? HEAD_DONE : HEAD_MORE;
}

/* The fields of a record, unescaped, in one block with their text; NULL with *error set. */
static struct string *fields_take(const struct csv *csv, struct string record, const char *what,
                                  uint64_t line, uint32_t *count, struct error *error)
{
    struct csv_walk walk;
    struct csv_field field;
    *count = 0;
    csv_walk_open(&walk, csv, record);
    while (csv_walk_next(&walk, &field))
        ++*count;
    if (walk.fault) {
        error_set(error, ERROR_MALFORMED, "the %s (line %llu, byte %zu of it): %s", what,
                  (unsigned long long)line, walk.fault_offset + 1, walk.fault);
        return NULL;
    }
    if (!utf8_valid(record.data, record.length)) {
        error_set(error, ERROR_UTF8, "the %s (line %llu) is not UTF-8", what,
                  (unsigned long long)line);
        return NULL;
    }
    struct string *fields = memory_take(*count * sizeof(*fields) + record.length + 1);
    if (!fields) {
        error_set(error, ERROR_MEMORY, "no memory for the %u fields of the %s", *count, what);
        return NULL;
    }
    char *text = (char *)(fields + *count);
    csv_walk_open(&walk, csv, record);
    for (uint32_t i = 0; csv_walk_next(&walk, &field); i++) {
        size_t length = field.length;
        if (field.doubled)
            length = csv_unescape(csv, field.text, length, text);
        else
            memcpy(text, field.text, length);
        fields[i] = (struct string){text, length};
        text += length;
    }
    return fields;
}

/* A hash of names by open addressing; `slots` is a power of two above twice the count. */
static uint32_t name_slot(const struct string *names, const uint32_t *table, uint32_t slots,
                          struct string name)
{
    uint64_t hash = 1469598103934665603u; /* FNV-1a */
    for (size_t i = 0; i < name.length; i++)
        hash = (hash ^ (uint8_t)name.data[i]) * 1099511628211u;
    uint32_t slot = (uint32_t)(hash ^ hash >> 32) & (slots - 1);
    while (table[slot] && !string_equal(names[table[slot] - 1], name))
        slot = (slot + 1) & (slots - 1);
    return slot;
}

static bool names_unique(const struct string *names, uint32_t count, struct error *error)
{
    uint32_t slots = 4;
    while (slots / 2 <= count)
        slots *= 2;
    uint32_t *table = memory_take_zeroed(slots, sizeof(*table));
    if (!table)
        return error_set(error, ERROR_MEMORY, "no memory for %u names of fields", count);
    bool unique = true;
    for (uint32_t i = 0; i < count && unique; i++) {
        uint32_t slot = name_slot(names, table, slots, names[i]);
        if (table[slot])
            unique =
                error_set(error, ERROR_MALFORMED,
                          "fields %u and %u are both called \"%.*s\": name them apart with "
                          "`names`, and skip the header with `header yes`",
                          table[slot], i + 1, (int)size_min(names[i].length, 100), names[i].data);
        table[slot] = i + 1;
    }
    free(table);
    return unique;
}

#define MADE_NAME_SIZE 20

/* Names for the fields that have none: column_N. NULL with *error set. */
static struct field_names *names_complete(struct string *names, uint32_t count,
                                          struct string header, struct error *error)
{
    char *made = memory_take(count * MADE_NAME_SIZE + 1);
    if (!made) {
        error_set(error, ERROR_MEMORY, "no memory for %u names of fields", count);
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        char *name = made + i * MADE_NAME_SIZE;
        if (names[i].length == 0)
            names[i] =
                (struct string){name, (size_t)snprintf(name, MADE_NAME_SIZE, "column_%u", i + 1)};
    }
    struct field_names *result = NULL;
    if (names_unique(names, count, error)) {
        result = csv_names_make(names, count, header);
        if (!result)
            error_set(error, ERROR_MEMORY, "no memory for %u names of fields", count);
    }
    free(made);
    return result;
}

/* Every column of `types` must be there. */
static bool types_known(const struct csv *csv, const struct field_names *names, struct error *error)
{
    for (uint32_t i = 0; i < csv->type_count; i++) {
        struct string name = csv->types[i].name;
        bool known = names->count == 0;
        for (uint32_t j = 0; j < names->count && !known; j++)
            known = string_equal(names->names[j], name);
        if (!known)
            return error_set(error, ERROR_PROGRAM, "types: there is no field \"%.*s\"",
                             (int)size_min(name.length, 100), name.data);
    }
    return true;
}

/* The names from what is known: the option, or the record found (as a header, or to be counted). */
static struct field_names *names_find(const struct csv *csv, const char *text,
                                      const struct first_record *record, struct error *error)
{
    struct string row = {text + record->start, record->end - record->start};
    struct string header = csv->header && record->found ? row : (struct string){NULL, 0};
    uint32_t count = 0;
    struct string *fields = NULL;
    if (record->found && (csv->header || !csv->name_count)) {
        fields = fields_take(csv, row, csv->header ? "header" : "first record", record->line,
                             &count, error);
        if (!fields)
            return NULL;
    }
    struct field_names *names = NULL;
    if (csv->name_count && fields && count != csv->name_count)
        error_set(error, ERROR_COLUMNS, "%u names were given, but the header has %u fields",
                  csv->name_count, count);
    else if (csv->name_count)
        names = csv_names_make(csv->names, csv->name_count, header);
    else {
        for (uint32_t i = 0; i < count && !csv->header; i++)
            fields[i].length = 0;
        names = names_complete(fields, count, header, error);
    }
    if (!names && csv->name_count && error->code == ERROR_NONE)
        error_set(error, ERROR_MEMORY, "no memory for %u names of fields", csv->name_count);
    free(fields);
    return names;
}

enum head_result csv_head(const struct format *format, const char *text, size_t length, bool at_end,
                          struct cut_state *state, size_t *consumed, struct field_names **names,
                          struct error *error)
{
    const struct csv *csv = csv_of(format);
    struct first_record record = {0};
    *names = NULL;
    *consumed = 0;
    size_t prefix = size_min(length, sizeof(mark));
    if (memcmp(text, mark, prefix) == 0) {
        if (prefix < sizeof(mark) && !at_end)
            return HEAD_MORE;
        record.behind = prefix == sizeof(mark) ? prefix : 0;
    }
    size_t behind_mark = record.behind;
    if (csv->header || !csv->name_count) {
        enum head_result result = first_record_find(csv, text, length, at_end, &record);
        if (result != HEAD_DONE)
            return result;
    }
    error->code = ERROR_NONE;
    *names = names_find(csv, text, &record, error);
    if (!*names)
        return HEAD_FAIL;
    if (!types_known(csv, *names, error)) {
        free(*names);
        *names = NULL;
        return HEAD_FAIL;
    }
    *consumed = csv->header ? record.behind : behind_mark;
    if (csv->header) {
        state->lines += record.lines;
        state->lines_scanned = state->lines;
    }
    return HEAD_DONE;
}
