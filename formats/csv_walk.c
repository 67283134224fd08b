/* CSV records a byte at a time: see csv.h. The same machine as csv_scan.h, with words for what is
 * wrong. Pure; any thread. */
#include <string.h>

#include "formats/csv.h"

void csv_walk_open(struct csv_walk *walk, const struct csv *csv, struct string record)
{
    *walk = (struct csv_walk){
        .csv = csv,
        .at = record.data,
        .start = record.data,
        .end = record.data + record.length,
    };
}

static void walk_fault(struct csv_walk *walk, const char *at, const char *fault)
{
    if (!walk->fault) {
        walk->fault = fault;
        walk->fault_offset = (size_t)(at - walk->start);
    }
}

/* From the opening quote to behind the closing one (or the end). */
static const char *walk_quoted(struct csv_walk *walk, const char *at, struct csv_field *field)
{
    const char quote = (char)walk->csv->quote;
    const char *opening = at++;
    field->quoted = true;
    field->text = at;
    for (; at < walk->end; at++) {
        if (*at != quote)
            continue;
        if (at + 1 < walk->end && at[1] == quote) {
            field->doubled = true;
            at++;
            continue;
        }
        field->length = (size_t)(at - field->text);
        return at + 1;
    }
    walk_fault(walk, opening, "a quoted field is never closed: its closing quote is missing");
    field->length = (size_t)(walk->end - field->text);
    return walk->end;
}

bool csv_walk_next(struct csv_walk *walk, struct csv_field *field)
{
    const struct csv *csv = walk->csv;
    if (walk->ended)
        return false;
    const char *at = walk->at;
    *field = (struct csv_field){.text = at};
    bool quoted = csv->quoting && at < walk->end && (uint8_t)*at == csv->quote;
    if (quoted)
        at = walk_quoted(walk, at, field);
    for (; at < walk->end && (uint8_t)*at != csv->delimiter; at++) {
        if (*at == '\r')
            walk_fault(walk, at, "a carriage return that ends no line: quote the field");
        else if (quoted)
            walk_fault(walk, at,
                       "text behind a closing quote: a quote inside a quoted field is "
                       "written twice");
        else if (csv->quoting && (uint8_t)*at == csv->quote)
            walk_fault(walk, at,
                       "a quote inside an unquoted field: quote the field and write the "
                       "quote twice, or read with `quote none`");
    }
    if (!quoted)
        field->length = (size_t)(at - field->text);
    walk->ended = at == walk->end;
    walk->at = at + 1;
    return true;
}

size_t csv_unescape(const struct csv *csv, const char *text, size_t length, char *out)
{
    const char *end = text + length;
    char *start = out;
    while (text < end) {
        const char *quote = memchr(text, csv->quote, (size_t)(end - text));
        size_t run = (size_t)((quote ? quote + 1 : end) - text);
        memcpy(out, text, run);
        out += run;
        text += run + (quote != NULL);
    }
    return (size_t)(out - start);
}
