/* Many fields at once as members, where the instruction set has what it takes. */
#ifndef LEAT_FORMATS_CSV_FIELDS_H
#define LEAT_FORMATS_CSV_FIELDS_H

#include "formats/csv_cell.h"

/* The first half of a struct member: its name and column. */
struct csv_head {
    const char *name;
    uint32_t name_length;
    uint32_t column;
};
/* Those of one record, and CSV_FIELDS_SLACK more from the first on. */
struct csv_heads {
    const struct csv_head *items;
    uint32_t count;
};
#define CSV_FIELDS_SLACK 8

_Static_assert(sizeof(struct csv_head) == 16 && offsetof(struct member, value) == 16 &&
                   sizeof(struct member) == 32,
               "kernels write members as two halves of 16 bytes");
_Static_assert(offsetof(struct value, length) == 4 && offsetof(struct value, text) == 8 &&
                   offsetof(struct value, code) == 2,
               "kernels write values as two words");

/* Members of `count` fields, all of the type auto, of one record or of several that follow one
 * another without a gap: field i ends at ends[i], the first begins at `start`, every other one
 * behind the end before it. May read ends[-1], and write CSV_FIELDS_SLACK members behind the last.
 * Gives how many were made: less than `count` where the arena is full. */
typedef uint32_t csv_fields_function(const struct csv *csv, const char *text, uint32_t start,
                                     const uint32_t *ends, uint32_t count,
                                     const struct csv_heads *heads, struct arena *arena,
                                     struct member *members);
csv_fields_function csv_fields_avx512;

/* NULL: fields are located one column at a time instead. */
csv_fields_function *csv_fields_get(void);

#endif
