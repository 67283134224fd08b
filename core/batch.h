/* The batch: the unit of ownership, scheduling, order, acknowledgement and accounting. A contiguous
 * range of one input's text (about 512 KiB), the columns that somebody asked for, an arena for all
 * that is made on the way, an output buffer for each sink.
 *
 * One owner at a time (pool -> source -> queue -> worker -> queue -> sink -> pool); with several
 * sinks it is read-only and counted. Only the owner touches it, so no field needs a lock; hand-over
 * goes through rings (release/acquire).
 *
 * Parts: a batch whose records need more arena or output than there is goes round in parts: the
 * runtime processes [part_start, part_end) of the text, delivers, and sends it round again for the
 * rest, with the same seq, the next part number, and `last_part` set on the last. */
#ifndef LEAT_CORE_BATCH_H
#define LEAT_CORE_BATCH_H

#include "core/buffer.h"
#include "core/shape.h"
#include "core/value.h"

/* Readable bytes behind text + text_length (content unspecified): locators load whole vectors. */
#define BATCH_PADDING 128
/* Bytes in front of the text of a fresh batch, for the torn tail of the one before. */
#define BATCH_HEADROOM    (64 * 1024)
#define BATCH_MAX_SINKS   8
#define BATCH_KEY_SIZE    256
#define BATCH_MAX_RECORDS 16384 /* in one part */

/* One record, relative to batch.text: without its terminator (LF, CRLF). */
struct batch_record {
    uint32_t offset;
    uint32_t length;
};

struct member {
    const char *name; /* JSON-escaped, without quotes */
    uint32_t name_length;
    uint32_t column;    /* of the projection where asked for, else COLUMN_NONE */
    struct value value; /* raw for JSON (points into the text); raw or string for CSV; or null */
};

struct column {
    struct value *cells;   /* one for each record of the part, by record index; raw where located */
    struct value *decoded; /* resolved copies, made when first asked for, or NULL;
                              meaningful only for rows whose kind there is not ABSENT-unset: see
                              eval (lang/eval.c), its only user */
};

/* One rejected record (or a malformed one). Arena memory, in the order found. */
struct reject {
    struct reject *next;
    uint32_t record; /* index in batch.records */
    uint32_t column; /* byte offset inside the record, or UINT32_MAX */
    uint16_t code;   /* enum error_code */
    uint16_t stage;  /* index in the plan; STAGE_SOURCE for the format */
    uint32_t text_length;
    const char *text;               /* detail, or NULL */
    const struct reject_call *call; /* of lookups and sinks that ask a peer, else NULL */
};
/* What a failed call adds to a reject. Arena memory. */
struct reject_call {
    struct string url; /* without userinfo and secrets */
    uint32_t attempts;
    int status; /* of the last answer, or 0 */
};
#define STAGE_SOURCE UINT16_MAX
#define STAGE_SINK   (UINT16_MAX - 1)

/* Names of a CSV header or a query's columns; owned by the source, lives as long as the run. */
struct field_names {
    uint32_t count;
    const struct string *names;      /* decoded */
    const struct string *json_names; /* "name": with quotes and colon */
    struct string header;            /* the header's text as read, without its line end */
};

/* Bytes of content by which an input is known again: see struct position (core/source.h). */
struct position_mark {
    uint64_t offset; /* in the decompressed content */
    uint32_t length; /* 0: none */
    uint64_t hash;
};

/* Where a batch's text begins in its input. */
struct origin {
    uint32_t input;  /* index in the run's list of inputs */
    uint64_t offset; /* of text[0] in the (decompressed) content */
    uint64_t line;   /* of text[0], from 1 */
    uint64_t record; /* number of the first record in its input, from 0 */
};

struct stage_count {
    uint64_t read;
    uint64_t written;
    uint64_t filtered;
    uint64_t absorbed;
    uint64_t rejected;
    uint64_t created;
    uint64_t mismatched; /* of filtered: a condition that ended in no_such_overload / no_such_key */
};

struct batch_output {
    struct buffer buffer; /* encoded records for the sink */
    uint64_t records;     /* how many */
    bool borrowed;        /* the output is text[part_start..part_end) itself, buffer unused */
};

struct batch {
    /* set by the source */
    char *memory;         /* start of the reserved text range */
    size_t text_capacity; /* bytes that may be used behind memory + headroom, now */
    size_t text_soft;     /* … by ordinary batches */
    size_t text_reserved; /* … by the holder of the jumbo permit; BATCH_PADDING more are readable */
    char *text;           /* first byte; at memory + BATCH_HEADROOM or before it */
    uint32_t text_length;
    uint64_t seq;
    struct origin origin;
    uint64_t content_end;  /* position behind the text in its content: what a commit records */
    uint64_t line_end;     /* line ends before content_end (origin.line - 1 counts the same) */
    uint64_t bytes_read;   /* from the operating system, for this batch */
    uint64_t format_state; /* the format's state at text[0] (formats that cut with state) */
    const struct field_names *names; /* CSV: of this input; else NULL */
    const char *input_name;          /* for messages; lives as long as the run */
    uint64_t frame;                  /* compressed inputs: where a frame begins in the file, at or
                                        before the last 1024 bytes of the text … */
    uint64_t frame_offset;           /* … and where its content begins in the content */
    uint64_t state_end;              /* the format's state at content_end */
    char key[BATCH_KEY_SIZE];        /* queries: the last row's key, as JSON text … */
    uint32_t key_length;             /* … and its length, 0: none */
    bool starts_input;               /* first batch of its input */
    bool ends_input;                 /* last batch of its input */
    /* One record longer than record_limit and nothing else: the text is its first bytes (at most
     * 4 KiB), not a record to locate; the runtime rejects it (STAGE_SOURCE, TOO_LONG). */
    bool overlong;
    uint64_t overlong_length; /* of the whole record, in bytes, without the LF that ends it */
    bool jumbo;               /* holds the jumbo permit: limits are raised until it is released */
    /* With overlong: the text is whole, and no record at all, for this reason (static text). */
    const char *refusal;
    /* The text was made of content that is something else (io/replay_source.c): offsets in it mean
     * nothing, and these are the marks of the content. Else the runtime takes them of the text. */
    bool recoded;
    struct position_mark head, tail;
    /* part being processed */
    uint32_t part;
    bool last_part;
    uint32_t part_start;  /* offset in text */
    uint32_t part_end;    /* set by locate: behind the last record it took (and its terminator) */
    uint64_t part_line;   /* line of part_start */
    uint64_t part_record; /* number of records[0] in its input */
    /* set by locate, for the part */
    struct batch_record *records;
    uint32_t record_count;
    uint64_t line_count; /* lines of the part */
    bool clean;          /* the part's text could be written as it is: every record well formed, LF
                            after each, nothing between them, no BOM */
    struct member *members; /* projection.members: all top-level members, record after record */
    uint32_t *member_first; /* record i has members member_first[i] .. member_first[i + 1] - 1 */
    struct column *columns; /* plan's column count; cells NULL until made */
    uint32_t column_count;
    uint64_t seen[4]; /* bit i: some record of the part had base column i (i < 256) */
    /* set by stages */
    uint32_t *rows; /* selection vector: indexes of live records, ascending */
    uint32_t row_count;
    uint32_t *rest; /* rows that a serial stage holds back, or NULL; arena memory */
    uint32_t rest_count;
    struct reject *rejects; /* first, in order of being found */
    struct reject **rejects_tail;
    uint32_t reject_count;
    struct stage_count *counts; /* by stage of the plan; the part's ledger delta */
    /* everything made on the way */
    struct arena arena;
    struct batch_output outputs[BATCH_MAX_SINKS];
    /* runtime */
    uint32_t sinks_left; /* sinks that still hold it; atomic, acq_rel on decrement */
    uint32_t segment;    /* next chain segment to run */
    bool created;        /* made by a stage at its end: no text */
    bool fatal;          /* its first reject ends the run: rows behind it were cut off */
    struct batch_progress *progress; /* pipeline/part.h: what is left to do of the batch */
    struct batch *next;              /* pool and lists of the owner */
};

/* Records a reject for `record`; the caller takes the row out of the selection. `text` is copied
 * (cut at 400 bytes). False: arena full, nothing recorded. */
MUST_USE bool batch_reject(struct batch *batch, uint32_t record, uint16_t stage,
                           enum error_code code, uint32_t column, const char *format, ...)
    PRINTF_LIKE(6, 7);
/* The text of a record. */
static inline struct string batch_record_text(const struct batch *batch, uint32_t record)
{
    return (struct string){batch->text + batch->records[record].offset,
                           batch->records[record].length};
}
/* Cells for a computed column, all ABSENT; NULL when the arena is full. */
struct value *batch_column_make(struct batch *batch, uint32_t column);

#endif
