/* The structural scan of CSV text: where fields and records end, outside quotes. Written once
 * (csv_scan.inc.h), compiled for each instruction set, chosen by isa_get(). Pure functions over the
 * caller's state; any thread.
 *
 * The machine that every kernel computes, 64 bytes at a step:
 *   a quote opens a field only as its first byte; inside, two quotes are one; a quote that stands
 *   elsewhere outside quotes is text (and makes the record malformed), so it never hides a line
 * end; after a closing quote the field goes on, outside quotes, to the next delimiter or line end
 * (text there makes the record malformed). So where records end depends on the text alone, never on
 * how it was cut into buffers. The masks of quotes become masks of quoted bytes by a prefix xor
 * (Langdale and Lemire, "Parsing gigabytes of JSON per second", arXiv:1902.08318, section 3.1.1).
 */
#ifndef LEAT_FORMATS_CSV_SCAN_H
#define LEAT_FORMATS_CSV_SCAN_H

#include "core/base.h"

/* Bits of csv_scan.state; 0 is the start of a record. */
#define CSV_INSIDE 1u /* within quotes */
#define CSV_WITHIN 2u /* the byte before ended no field: a quote does not open one */
#define CSV_CLOSED                                                                                 \
    4u /* the byte before closed a quoted field (or is the first half of two quotes) */
#define CSV_RETURN 8u /* the byte before is a carriage return outside quotes */

struct csv_scan {
    /* the dialect; line feeds always end records */
    uint8_t delimiter;
    uint8_t quote;
    bool quoting;      /* false: `quote` is an ordinary byte */
    bool returns_only; /* a carriage return outside quotes must stand before a line feed */
    /* carried from call to call */
    uint32_t state;
    uint64_t lines; /* cut: line feeds scanned, wherever they stand */
    /* results, added to */
    bool malformed; /* index: some record broke the rules above, see csv_walk for which and why */
    bool high;      /* index: there were bytes >= 0x80 */
    uint64_t quoted_lines;   /* index: line feeds inside quotes */
    uint64_t boundary_lines; /* cut: `lines` at the boundary that was returned */
};

struct csv_index {
    uint32_t *positions; /* offsets of delimiters and line feeds outside quotes */
    uint32_t count;
    uint32_t *ends; /* for each line feed outside quotes: its index in positions */
    uint32_t end_count;
};

struct csv_kernel {
    /* Scans text[from..to); returns the offset behind the last (`first`: the first) line feed
     * outside quotes, 0: none. With `first`, state and lines are those at the boundary. */
    size_t (*cut)(struct csv_scan *scan, const char *text, size_t from, size_t to, bool first);
    /* Scans text[from..to) and appends to the index, which must have room for (to - from) +
     * CSV_INDEX_SLACK more positions and to - from more ends. */
    void (*index)(struct csv_scan *scan, const char *text, size_t from, size_t to,
                  struct csv_index *index);
};
/* Both may read, not use, 63 bytes behind `to`. */
#define CSV_INDEX_SLACK 64

/* The one for isa_get(). */
const struct csv_kernel *csv_kernel_get(void);

extern const struct csv_kernel csv_kernel_portable;
extern const struct csv_kernel csv_kernel_neon;
extern const struct csv_kernel csv_kernel_avx2;
extern const struct csv_kernel csv_kernel_avx512;

#endif
