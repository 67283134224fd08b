/* Pass 1 over JSON text: blocks of 64 bytes become bit masks, and the masks a list of tokens: where
 * each begins and of which class it is. Strings are skipped by masks, never byte by byte. The scan
 * also sees whatever needs a closer look (bytes that may not be UTF-8, control characters and
 * escapes that may not stand in a string) and says where: `suspect_from` to `suspect_to`. It never
 * misses one; what it suspects may turn out well. So pass 2 (json_parse.c) decides alone what is
 * wrong, and every instruction set gives the same answer.
 *
 * Written once in json_scan.inc.h over a few primitives, compiled for each instruction set. A scan
 * is owned by one call of locate or cut; it reads the text up to length + BATCH_PADDING. */
#ifndef LEAT_FORMATS_JSON_SCAN_H
#define LEAT_FORMATS_JSON_SCAN_H

#include "formats/isa.h"

/* Classes of tokens. In the tables of classes a byte between tokens is JSON_WHITE. */
enum json_class {
    JSON_SCALAR = 0x00, /* a number, true, false, null, or bytes that are none of these */
    JSON_STRING = 0x01, /* the opening quote */
    JSON_WHITE = 0x40,
    JSON_OPERATOR = 0x80, /* bit of all that follow */
    JSON_OPEN_MAP = 0x80,
    JSON_CLOSE_MAP = 0x81,
    JSON_OPEN_LIST = 0x82,
    JSON_CLOSE_LIST = 0x83,
    JSON_COLON = 0x84,
    JSON_COMMA = 0x85,
    JSON_LINE_END = 0x86, /* LF outside of strings, where lines are records; the end of the text */
    JSON_TORN = 0x87,     /* as LINE_END, or the end of the text, but inside of a string */
    JSON_END = 0x88,      /* the end of the text where lines are no records */
};

/* What one block tells the next. */
struct json_carry {
    uint64_t in_string; /* 0 or all ones */
    uint64_t in_scalar; /* bit 0: the byte before was of a scalar */
    /* seldom anything but 0. Bit 0: the next byte is escaped; bits 1 to 4: the next bytes must be
     * hexadecimal digits of \u; from bit 8 on not 0: the block ended inside a UTF-8 sequence */
    uint64_t pending;
};
#define JSON_PENDING_ESCAPED 1u
#define JSON_PENDING_HEX     1 /* shift */
#define JSON_PENDING_UTF8    8 /* shift */

struct json_scan {
    const char *text;
    uint32_t length;
    uint32_t scanned; /* where the next block begins */
    uint32_t pad;     /* spaces that the first block begins with, so that the others are aligned */
    bool lines;       /* LF ends a record, and with it any string */
    bool ended;       /* the last token was found */
    /* tokens; the caller moves and shortens the arrays between calls */
    uint32_t *positions;
    uint8_t *classes;
    uint32_t count;
    /* text[suspect_from, suspect_to) holds all that needs a closer look, as far as scanned */
    uint32_t suspect_from;
    uint32_t suspect_to;
    struct json_carry carry;
};

#define JSON_SCAN_BLOCK 64
/* Entries that the arrays need beyond one for each byte scanned. */
#define JSON_SCAN_SLACK 192

/* Adds the tokens of text[scanned, until) and of up to 63 bytes more, and at the end of the text
 * the last one (LINE_END, TORN or END) at `length`. */
typedef void json_scan_function(struct json_scan *scan, uint32_t until);
json_scan_function json_scan_portable;
json_scan_function json_scan_avx2;
json_scan_function json_scan_avx512;
json_scan_function json_scan_neon;

/* The class of each byte, for text whose records are lines (1) and for any other (0). */
extern const uint8_t json_classes[2][256];

/* A scan that is to begin at text[from], outside of everything. The caller sets the arrays, and the
 * carry and no pad where it begins inside of something. */
void json_scan_open(struct json_scan *scan, const char *text, uint32_t from, uint32_t length,
                    bool lines);
json_scan_function *json_scan_choose(enum isa isa);

#endif
