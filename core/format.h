/* The contract of formats: cut text into batches, locate records and fields, encode records.
 * A format is one folder entry in formats/ and one line in formats/formats.def. A `struct format`
 * is a dialect (options applied): const after open, so any number of threads may use it at once. */
#ifndef LEAT_CORE_FORMAT_H
#define LEAT_CORE_FORMAT_H

#include "core/batch.h"
#include "core/error.h"
#include "core/option.h"

struct format; /* each format defines its own, beginning with `const struct format_ops *ops` */

/* Carried by a source from buffer to buffer of one input; all zero at its start (line 1 is added by
 * the source). The format alone reads `state`. */
struct cut_state {
    uint64_t state;          /* quotes, depth …, at the scan position */
    uint64_t boundary_state; /* … at the last boundary found: the next batch's format_state */
    uint64_t lines;          /* line ends before the last boundary found */
    uint64_t lines_scanned;  /* line ends before the scan position */
    uint64_t extra[4];       /* the format's own */
};

enum head_result { HEAD_DONE, HEAD_MORE, HEAD_FAIL };
enum locate_result {
    LOCATE_OK,
    LOCATE_FULL, /* the arena does not hold even one record (jumbo or tiny memory) */
};
enum encode_result {
    ENCODE_OK,
    ENCODE_FULL,  /* the buffer's limit was reached: rows [0, *done) were written */
    ENCODE_SPLIT, /* the arena was full: as FULL */
};

struct format_ops {
    const struct noun *noun;
    const char *extensions; /* ".ndjson .jsonl" */
    /* Makes a dialect from options (NULL: defaults). `error` says what is wrong with them. */
    bool (*open)(const struct options *options, struct format **format, struct error *error);
    void (*close)(struct format *format);
    /* For records that stand alone, each in a batch of its own, whatever a dialect would make of
     * several in a row. NULL: any dialect reads records again that have a line end behind each. */
    bool (*open_alone)(struct format **format, struct error *error);

    /* READING. At the start of each input, before any cut: looks at the first bytes, sets *consumed
     * to how many are no record (BOM, header) and *names (malloc'ed in one block; the caller frees
     * with free()) where the format has them. HEAD_MORE: needs more text than this (not if at_end).
     * `lines` of state is advanced over what is consumed. Never NULL. */
    enum head_result (*head)(const struct format *format, const char *text, size_t length,
                             bool at_end, struct cut_state *state, size_t *consumed,
                             struct field_names **names, struct error *error);
    /* text[0..from) was scanned before and holds no boundary; scans text[from..length) and returns
     * the offset behind the last record boundary (0: none). At the end of the input the rest, if
     * any, is a record. Fast: several GB/s where the format allows. text is readable to
     * length + BATCH_PADDING. */
    size_t (*cut)(const struct format *format, struct cut_state *state, const char *text,
                  size_t from, size_t length, bool at_end);
    /* Skipping a record longer than the limit: the bytes are never kept. Scans text[0..length) and
     * returns the offset behind the end of the record being skipped, or 0 where it does not end
     * here. State as in cut. */
    size_t (*skip)(const struct format *format, struct cut_state *state, const char *text,
                   size_t length);
    /* Finds the records of text[part_start..text_length), at most BATCH_MAX_RECORDS of them and as
     * many as the arena holds, validates each wholly, fills records, record_count, part_end,
     * last_part, line_count, clean, the projected base columns (every cell set; a path through a
     * value that is no map and not null: VALUE_ERROR NO_OVERLOAD), members if asked for, seen, rows
     * (those not rejected) and row_count; malformed records are rejected (they count as records).
     * Uses the arena only. */
    enum locate_result (*locate)(const struct format *format, const struct projection *projection,
                                 struct batch *batch);

    /* WRITING. Text before the first and after the last record; may append nothing. For `names`,
     * see columns. `first_skip` bytes are left out of the very first record of a file (a separator
     * that each record begins with). May be NULL. */
    bool (*prologue)(const struct format *format, const struct shape *shape, struct buffer *buffer);
    bool (*epilogue)(const struct format *format, struct buffer *buffer);
    uint32_t first_skip;
    /* The format needs a closed shape (CSV): the runtime fixes the columns first. */
    bool needs_columns;
    /* Appends rows [first, row_count) of batch.rows in shape `shape`; a record that cannot be
     * written is rejected with STAGE_SINK (and skipped, not an error). `same` tells that the text
     * was read with this very dialect, so clean records may be copied. On FULL/SPLIT the row at
     * *done was not written, and what was is whole records. Pure but for batch.arena and rejects.
     */
    enum encode_result (*encode)(const struct format *format, const struct shape *shape,
                                 struct batch *batch, bool same, uint32_t first, uint32_t *done,
                                 struct buffer *buffer);
};

struct format {
    const struct format_ops *ops;
};

/* Every format that was built in, handed to sources and sinks by the runtime: io/ knows none by
 * itself. Const. */
struct format_table {
    const struct format_ops *const *items;
    size_t count;
};
/* By name; NULL: there is none (format_nearest has a guess for the message, or NULL). */
const struct format_ops *format_find(const struct format_table *formats, struct string name);
const char *format_nearest(const struct format_table *formats, struct string name);
/* By the extension of a path, .zst and .gz taken off first; NULL: none has it. */
const struct format_ops *format_for_path(const struct format_table *formats, const char *path);

#endif
