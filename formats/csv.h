/* CSV and TSV as RFC 4180 has them, with a dialect from options: what the files csv_*.c share. A
 * dialect is const after open; any thread may use it. */
#ifndef LEAT_FORMATS_CSV_H
#define LEAT_FORMATS_CSV_H

#include "core/format.h"
#include "formats/csv_scan.h"

/* What `types` makes of a field that is not null. */
enum csv_type {
    CSV_STRING, /* the order of the words of the option */
    CSV_INT,
    CSV_DOUBLE,
    CSV_BOOL,
    CSV_AUTO, /* unquoted JSON numbers, true and false are typed, the rest are strings */
};
#define CSV_TYPE_WORDS "string|int|double|bool|auto"

/* What the first byte of an unquoted field allows it to be; bits of csv.kinds. */
#define CSV_KIND_NUMBER 1u
#define CSV_KIND_WORD   2u /* true, false */
#define CSV_KIND_NULL   4u
#define CSV_KIND_QUOTE  8u

/* The class of each byte below 128 for csv_fields.h; bits of csv.classes. */
#define CSV_CLASS_DIGIT   0x01u
#define CSV_CLASS_ZERO    0x02u
#define CSV_CLASS_MINUS   0x04u
#define CSV_CLASS_POWER   0x08u /* e, E */
#define CSV_CLASS_PART    0x10u /* what else a number may hold */
#define CSV_CLASS_TEXT    0x20u /* what none may */
#define CSV_CLASS_SPECIAL 0x40u /* as first byte: may begin true, false or null */
#define CSV_CLASS_QUOTE   0x80u

struct csv_column_type {
    struct string name;
    enum csv_type type;
};

struct csv {
    const struct format_ops *ops;
    uint8_t delimiter;
    uint8_t quote;
    bool quoting;       /* `quote none` clears it */
    bool header;        /* the first record names the fields */
    bool nulls;         /* `null none` clears it: then nothing is null */
    struct string null; /* this unquoted text is null; always the empty one too */
    enum csv_type type; /* of columns not in `types` */
    uint8_t kinds[256];
    uint8_t classes[128];
    uint32_t type_count;
    const struct csv_column_type *types;
    uint32_t name_count; /* names given by the option; 0: none */
    const struct string *names;
};

/* Marks, in value.code of values made by csv_locate, how the whole field stood in the text, so that
 * a field nobody changed is written with the bytes it came with. Other makers of strings leave 0.
 */
#define CSV_CELL_PLAIN  1 /* text/length are the field */
#define CSV_CELL_QUOTED 2 /* … the field between its quotes, none of them doubled */

static inline const struct csv *csv_of(const struct format *format)
{
    return (const struct csv *)format;
}
/* A scan of this dialect, at the start of a record. */
struct csv_scan csv_scan_of(const struct csv *csv);

/* One field as it stands. */
struct csv_field {
    const char *text; /* without the quotes around it */
    size_t length;
    bool quoted;
    bool doubled; /* holds doubled quotes */
};
/* Takes records apart a byte at a time: the header, and malformed records, to say what is wrong. */
struct csv_walk {
    const struct csv *csv;
    const char *at;
    const char *end; /* without the line end */
    bool ended;
    const char *fault; /* the first thing wrong, or NULL */
    size_t fault_offset;
    const char *start;
};
void csv_walk_open(struct csv_walk *walk, const struct csv *csv, struct string record);
/* False: no more fields. */
bool csv_walk_next(struct csv_walk *walk, struct csv_field *field);
/* Writes the field without its doubling to out (field.length bytes at most); gives the length. */
size_t csv_unescape(const struct csv *csv, const char *text, size_t length, char *out);

/* The functions of format_ops (core/format.h), shared by csv and tsv. */
enum head_result csv_head(const struct format *format, const char *text, size_t length, bool at_end,
                          struct cut_state *state, size_t *consumed, struct field_names **names,
                          struct error *error);
enum locate_result csv_locate(const struct format *format, const struct projection *projection,
                              struct batch *batch);
extern const struct format_ops format_csv;
extern const struct format_ops format_tsv;
extern const struct format_ops format_text;

/* The header; false: the buffer is full, or a name cannot be written without quotes. */
bool csv_prologue(const struct format *format, const struct shape *shape, struct buffer *buffer);
enum encode_result csv_encode(const struct format *format, const struct shape *shape,
                              struct batch *batch, bool same, uint32_t first, uint32_t *done,
                              struct buffer *buffer);

/* Rows as they were read, each with a line feed: runs of neighbours at once where nothing stands
 * between them. As format_ops.encode. */
enum encode_result csv_records_copy(const struct batch *batch, uint32_t first, uint32_t *done,
                                    struct buffer *buffer);

/* Field names in one block, as format_ops.head gives them; names need not outlive the call.
 * `header` is kept as it is. NULL: memory is short. */
struct field_names *csv_names_make(const struct string *names, uint32_t count,
                                   struct string header);

#endif
