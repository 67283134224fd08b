/* Pass 2 over JSON text: from tokens to records, members and the cells of projected columns.
 *
 * Two ways lead through a record. The careful one (json_parse.c) is a state machine over the
 * tokens with an explicit stack; it checks the grammar, says what is wrong, and sketches the
 * record's *shape* as it goes: the classes of all tokens, the names in their places, where scalars
 * and columns are. The quick one (json_match.inc.h) sees whether the next record has a shape that
 * was sketched before: if the classes of its tokens are the same then so is its grammar, and
 * comparing the names and checking the scalars is all that is left. Records of a log are of a
 * handful of shapes.
 *
 * A locator is owned by one call of locate. What it finds lies in the batch's arena; its own memory
 * is taken from the arena's far end and given back at the end. */
#ifndef LEAT_FORMATS_JSON_LOCATE_H
#define LEAT_FORMATS_JSON_LOCATE_H

#include "core/batch.h"
#include "formats/json_grammar.h"
#include "formats/json_scan.h"

#define JSON_DEPTH_MAX 1024

/* Bounds of what a shape holds; a record with more takes the careful way. */
#define SHAPE_COUNT   8
#define SHAPE_TOKENS  320
#define SHAPE_CHUNKS  96
#define SHAPE_SCALARS 160
#define SHAPE_MEMBERS 64

/* 16 bytes that must stand `offset` behind a token, as far as the mask has bits: a name with its
 * quotes, or a part of it. */
struct shape_chunk {
    _Alignas(16) uint8_t bytes[16];
    uint8_t mask[16];
    uint16_t token;
    uint16_t offset;
    uint32_t length; /* bytes that count */
};

enum shape_kind {
    SHAPE_ABSENT,
    SHAPE_TOKEN, /* a string or a scalar: from token `start` to token `end` without white space */
    SHAPE_CONTAINER, /* a map or a list: from token `start` to the byte of token `end` */
    SHAPE_BEHIND,    /* the path goes on behind the scalar at `start`: null or no map */
    SHAPE_ERROR,     /* the path goes on behind a string or a list */
};
struct shape_span {
    uint16_t start;
    uint16_t end;
    uint32_t kind;
    uint32_t column;
};
struct shape_member {
    struct shape_span value; /* with the member's column */
    uint16_t name;           /* token */
    uint32_t name_length;    /* without quotes */
};

struct json_shape {
    uint32_t token_count; /* 0: nothing here. Without the line end */
    uint32_t chunk_count;
    uint32_t scalar_count;
    uint32_t column_count; /* first those that are there */
    uint32_t member_count;
    struct json_shape *successor; /* what came after it last time, or NULL */
    struct shape_span *columns;   /* one for each base column */
    uint16_t scalars[SHAPE_SCALARS];
    struct shape_member members[SHAPE_MEMBERS];
    struct shape_chunk chunks[SHAPE_CHUNKS];
    _Alignas(64) uint8_t classes[SHAPE_TOKENS + 64]; /* with LINE_END where lines are records */
};

struct json_frame {
    uint32_t node;  /* of the projection, or COLUMN_NONE: nothing below is wanted */
    uint32_t child; /* the container's own node, or COLUMN_NONE */
    uint32_t start;
    uint16_t start_token;
    bool map;
};

struct json_locator {
    struct batch *batch;
    const struct projection *projection;
    struct json_scan scan;
    json_scan_function *scan_run;
    uint32_t slice; /* bytes that a refill scans */
    uint32_t next;  /* the next token */
    /* results */
    uint32_t capacity; /* records */
    uint32_t member_capacity;
    uint32_t member_count;
    uint64_t lines;
    bool clean;
    bool full;            /* no more memory: the part ends before the current record */
    size_t arena_limit;   /* to be put back */
    struct value **cells; /* of each base column */
    /* the record at hand on the careful way */
    uint32_t token; /* ordinal in the record */
    uint32_t value_start;
    uint32_t value_end;
    uint32_t child; /* node whose value comes next, or COLUMN_NONE */
    uint32_t depth;
    uint32_t fault_place; /* in the text */
    struct json_frame *frames;
    /* shapes */
    struct json_shape *sketch; /* being made; NULL: there is no memory for shapes */
    bool sketch_fits;
    uint32_t misses;         /* records since the last that matched a shape */
    struct json_shape *last; /* shape of the last record, or NULL */
    struct json_shape *shapes[SHAPE_COUNT];
    uint32_t victim; /* the slot that is replaced next */
};

/* Takes memory and readies the scan of text[part_start, text_length). False: the arena is too small
 * for one record. */
MUST_USE bool json_locator_open(struct json_locator *locator, struct batch *batch,
                                const struct projection *projection, bool lines, enum isa isa);
/* Gives back the memory and fills what locate owes the batch; the part ends at `end`. */
enum locate_result json_locator_close(struct json_locator *locator, uint32_t end);
/* Scans on; tokens before `next` are gone afterwards. */
void json_locator_refill(struct json_locator *locator);
/* Makes sure that `count` tokens from `next` on are there, or all that the text has. */
static inline void json_locator_want(struct json_locator *locator, uint32_t count)
{
    while (UNLIKELY(locator->scan.count - locator->next < count) && !locator->scan.ended)
        json_locator_refill(locator);
}
/* The careful way through the value at `next`, whose tokens it consumes, into the record that comes
 * next. On a fault `next` is at the token that did not fit, `depth` tells how many brackets are
 * open and fault_place where it is; `full` may be set. */
enum json_fault json_value_parse(struct json_locator *locator);
/* Makes the sketch of the last json_value_parse a shape. */
void json_shape_learn(struct json_locator *locator);
/* Adds the record that was parsed. False: it is full. */
MUST_USE bool json_record_accept(struct json_locator *locator, uint32_t start, uint32_t end);
/* Takes back the record that was added last, which was not rejected. */
void json_record_undo(struct json_locator *locator);
/* Adds a malformed record; `place` is in the text. False: it is full. */
MUST_USE bool json_record_reject(struct json_locator *locator, uint32_t start, uint32_t end,
                                 enum json_fault fault, uint32_t place);

/* The quick way. For lines: takes records while they match, from `line` on, which is moved behind
 * the last one taken. For other text: one record; false where it matches no shape. Both stop where
 * tokens run short. */
struct json_match_functions {
    void (*lines)(struct json_locator *locator, uint32_t *line);
    bool (*value)(struct json_locator *locator);
};
extern const struct json_match_functions json_match_portable;
extern const struct json_match_functions json_match_avx2;
extern const struct json_match_functions json_match_avx512;
const struct json_match_functions *json_match_choose(enum isa isa);

#endif
