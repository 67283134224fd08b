/* What a record looks like at one point of a chain, as far as it is known before the run: which
 * fields a record has or how it differs from the record that was read. Made by lang/scope.c while
 * the stages are opened, const during the run. Encoders read it: it tells them which columns hold
 * the values to write. */
#ifndef LEAT_CORE_SHAPE_H
#define LEAT_CORE_SHAPE_H

#include "core/base.h"

#define COLUMN_NONE UINT32_MAX

struct shape_field {
    struct string name;      /* decoded, UTF-8 */
    struct string json_name; /* escaped for JSON with quotes and colon: "name": */
    uint32_t column;         /* the column with its value; ABSENT: see shape.closed */
    uint32_t anchor;         /* open shapes: the base column (a top-level field of the record read)
                                whose member it replaces in place where the record has it; or
                                COLUMN_NONE: always appended. COLUMN_NONE as `column`: the anchor's
                                member is dropped. */
};

struct shape {
    /* closed: exactly `fields`, in this order; an ABSENT value is written as null.
     * open: the record that was read with the edits in `fields`: members with an anchor are
     * replaced where they stand (all but the last of duplicates removed), those the record lacks
     * are appended in the order of `fields`; an ABSENT value leaves the member out. */
    bool closed;
    const struct shape_field *fields;
    uint32_t field_count;
};

/* Open and without edits: records are written as they were read. */
static inline bool shape_is_clean(const struct shape *shape)
{
    return !shape->closed && shape->field_count == 0;
}

/* Which fields `locate` finds, as a tree of names. Node 0 is the record. */
struct projection_node {
    struct string name;   /* decoded */
    uint32_t column;      /* where the value's span goes, or COLUMN_NONE */
    uint32_t first_child; /* 0: none */
    uint32_t next_sibling;
};
struct projection {
    const struct projection_node *nodes;
    uint32_t node_count;
    uint32_t base_columns; /* columns 0..base_columns-1 are filled by locate */
    bool members;          /* also list every top-level member (batch.members) */
};

#endif
