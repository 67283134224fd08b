/* Names to columns along the flow, and the shape of the record at each point. The plan has one scope;
 * stages are opened in the order of the text and each changes it. Top-level fields are either
 * untouched base fields, computed columns, or gone. Main thread only, before the run. */
#ifndef LEAT_LANG_SCOPE_H
#define LEAT_LANG_SCOPE_H

#include "core/shape.h"
#include "lang/expression.h"

struct scope;

/* What a stage has to do at run time so that its change of shape comes true: in order, for the live
 * rows. */
enum move_kind {
    MOVE_EVALUATE, /* column = expression; an error rejects the record */
    MOVE_COPY,     /* column = cells of `from`, undecoded */
    MOVE_EITHER,   /* column = cells of `from` where not ABSENT, else of `other` (or COLUMN_NONE) */
    MOVE_ONLY_IF_ABSENT, /* column = cells of `other` where `from` is ABSENT, else ABSENT */
    MOVE_SET,      /* column = map `from` with path `names` set to cells of `other`; absent or null
                      links become maps, anything else rejects (NOT_A_MAP) */
    MOVE_REMOVE,   /* column = map `from` without path `names` (unchanged where it is absent) */
    MOVE_MEMBER,   /* column = member `names` of `from`, or ABSENT */
    MOVE_BUILD,    /* column = a map of fields[] (names[i] = cells of columns[i], ABSENT as null) */
    MOVE_RECORD,   /* column = the whole record as it is here, as a map (or the raw record) */
    MOVE_CHECK_MAP, /* rejects records that are no JSON object (NOT_A_MAP) */
};
struct move {
    enum move_kind kind;
    uint32_t column;
    uint32_t from;
    uint32_t other;
    const struct expression *expression;
    const struct string *names;
    uint32_t name_count;
    const uint32_t *columns;   /* BUILD */
    const struct shape *shape; /* RECORD: the shape at that point */
    struct span span;
};
struct moves {
    struct move *items;
    uint32_t count;
};

/* `fields`: names known at the start (a CSV header), or NULL: any name may exist. */
struct scope *scope_open(struct diagnostics *diagnostics, const struct field_names *fields);
void scope_close(struct scope *scope);

/* For compiling expressions at this point of the flow. */
const struct resolver *scope_resolver(struct scope *scope);
struct expression *scope_compile(struct scope *scope, const struct node *node);

/* Each changes the scope and appends to `moves` (owned by the scope, lives as long as it). False
 * after an error. */
bool scope_put(struct scope *scope, const struct option_item *items, uint32_t count,
               struct moves **moves);
bool scope_select(struct scope *scope, const struct option_item *items, uint32_t count,
                  struct moves **moves);
bool scope_drop(struct scope *scope, const struct option_item *items, uint32_t count,
                struct moves **moves);
bool scope_rename(struct scope *scope, const struct option_item *items, uint32_t count,
                  struct moves **moves);
/* A field set by the stage itself (parse … with): its column; the stage fills the cells. */
uint32_t scope_put_field(struct scope *scope, struct string name, struct moves **moves);
/* From here on the record has exactly these fields (aggregations): gives a column for each. */
void scope_replace(struct scope *scope, const struct string *names, uint32_t count,
                   uint32_t *columns);
/* The shape here; lives as long as the scope. */
const struct shape *scope_shape(struct scope *scope);
/* All columns made so far; the projection of base columns (final once all is opened). */
uint32_t scope_column_count(const struct scope *scope);
const struct projection *scope_projection(struct scope *scope);
/* Name of a base column, for fields_never_seen: "a.b.c". */
const char *scope_column_name(const struct scope *scope, uint32_t column);
/* All base members are wanted (an open shape with edits is to be written). */
void scope_want_members(struct scope *scope);

/* Runs moves over the live rows: evaluates, copies, rejects rows with errors for `stage`. False:
 * arena full (split). */
MUST_USE bool moves_apply(const struct moves *moves, struct evaluator *evaluator,
                          struct batch *batch, uint16_t stage);

#endif
