/* One line of a file of rejected records (pipeline/run_rejects.c writes them), taken apart in
 * place: no memory, no recursion, any bytes may come. Pure functions; any thread. */
#ifndef LEAT_IO_REJECT_LINE_H
#define LEAT_IO_REJECT_LINE_H

#include "core/base.h"

struct reject_line {
    struct string record; /* as it stands, between its quotes; data NULL: there is none */
    bool is_base64;
    struct string header; /* as it stands, between its quotes; data NULL: there is none */
    struct string source; /* … the name of the input that the record was in */
    uint64_t length;      /* of the whole record, where `record` may be its first bytes only */
    bool has_length;
    bool was_line;     /* `record` is a line that a replay has refused, no record */
    bool was_read;     /* it was a record to the format: a stage or a sink rejected it */
    const char *wrong; /* why it is no rejected record; NULL: it is one. Static text */
};

/* Reads a line without its LF. `wrong` set: the rest says nothing. */
void reject_line_read(struct string text, struct reject_line *line);

/* Why its record cannot be had (static text), or NULL: then *length is that of its bytes. */
const char *reject_record_measure(const struct reject_line *line, size_t *length);
/* The record's bytes, behind a measure that found nothing wrong, into `out`: it may be the line
 * itself, at or before record.data, as they are no longer than the text. Returns how many. */
size_t reject_record_decode(const struct reject_line *line, char *out);

/* The text of a JSON string without its quotes, into `out` as above; `out` NULL: only *length is
 * wanted. False: bad escapes. */
bool reject_string_decode(struct string text, char *out, size_t *length);

#endif
