/* Names to columns along the flow, and the shape of the record at each point. The plan has one
 * scope; stages are opened in the order of the text and each changes it. A column is written once
 * (static single assignment), so a name that is set again gets a new column and nobody copies to be
 * safe. Top-level fields are untouched base fields, fields with a column of their own, or gone.
 * Main thread only, before the run; what it makes lives as long as it and is const during the run.
 */
#ifndef LEAT_LANG_SCOPE_H
#define LEAT_LANG_SCOPE_H

#include "core/batch.h"
#include "core/shape.h"
#include "lang/expression.h"

struct scope;

/* What has to be done at run time, in order and for the live rows, so that a change of shape comes
 * true. */
enum move_kind {
    MOVE_EVALUATE,        /* column = expression; an error rejects the record */
    MOVE_COPY,            /* column = cells of `from`, undecoded, ABSENT as null; NONE: all null */
    MOVE_EITHER,          /* column = cells of `from` where not ABSENT, else of `other` */
    MOVE_ONLY_IF_ABSENT,  /* column = cells of `other` where `from` is ABSENT, else ABSENT */
    MOVE_ONLY_IF_PRESENT, /* column = cells of `other` where `from` is not ABSENT, else ABSENT */
    MOVE_SET,             /* column = map `from` (NONE: empty) with path `names` set to `other`;
                             absent or null links become maps, anything else rejects */
    MOVE_REMOVE,          /* column = map `from` without path `names` */
    MOVE_RENAME,    /* column = map `from`, member `names` (a path) renamed to `name` in place */
    MOVE_MEMBER,    /* column = what path `names` reads in map `from`, or ABSENT */
    MOVE_RECORD,    /* column = the whole record in `shape`, as a map (or its raw text) */
    MOVE_CHECK_MAP, /* rejects records that are no JSON object */
};
struct move {
    enum move_kind kind;
    uint32_t column;
    uint32_t from;
    uint32_t other;
    const struct expression *expression;
    const struct string *names;
    uint32_t name_count;
    struct string name;
    const struct shape *shape;
    struct span span;
};
struct moves {
    const struct move *items;
    uint32_t count;
};

/* `fields`: names known at the start (a CSV header), or NULL: any name may exist. `base_limit`: no
 * more different names and paths than this will be asked for (names in the program text). NULL: no
 * memory. */
struct scope *scope_open(struct diagnostics *diagnostics, const struct field_names *fields,
                         uint32_t base_limit);
void scope_close(struct scope *scope);

/* For compiling expressions at this point of the flow. */
const struct resolver *scope_resolver(struct scope *scope);
/* NULL after errors. The scope owns the expression. */
const struct expression *scope_compile(struct scope *scope, const struct node *node);

/* The same for what is sent and never written into records (headers, bodies): secret("file") may be
 * called in it. See expression_is_private. */
const struct expression *scope_compile_private(struct scope *scope, const struct node *node);

/* Each changes the scope. False after an error. */
bool scope_put(struct scope *scope, const struct option_item *items, uint32_t count);
bool scope_select(struct scope *scope, const struct option_item *items, uint32_t count);
bool scope_drop(struct scope *scope, const struct option_item *items, uint32_t count);
bool scope_rename(struct scope *scope, const struct option_item *items, uint32_t count);
/* The column that a path reads here (COLUMN_NONE where nothing can be there); its cells may be
 * ABSENT. */
bool scope_read(struct scope *scope, const struct path *path, uint32_t *column);
/* A field set by the stage itself (parse … with): its column; the stage fills the cells. Unless
 * `always` they may be ABSENT: the field stays as it is there. */
uint32_t scope_put_field(struct scope *scope, struct string name, bool always);
/* A column of no field: for stages and sinks that need cells of their own. */
uint32_t scope_hidden_column(struct scope *scope);
/* From here on the record has exactly these fields (aggregations): gives a column for each. False:
 * two of them are the same. */
bool scope_replace(struct scope *scope, const struct string *names, uint32_t count,
                   uint32_t *columns);
/* Makes the shape closed where the names are known at the start. False: they are not. */
bool scope_fix_columns(struct scope *scope);
/* What the changes and compilations since the last call need at run time; the caller's stage must
 * apply them before it evaluates anything compiled since then. */
struct moves scope_take_moves(struct scope *scope);

/* The shape here; lives as long as the scope. */
const struct shape *scope_shape(struct scope *scope);
/* "name": escaped for JSON; lives as long as the scope. */
struct string scope_json_name(struct scope *scope, struct string name);
uint32_t scope_column_count(const struct scope *scope);
const struct projection *scope_projection(struct scope *scope);
/* Name of a base column that something reads, for fields_never_seen: "a.b.c"; NULL: nothing does.
 */
const char *scope_column_name(const struct scope *scope, uint32_t column);
/* All members of the records are wanted (an open shape has to be taken apart). */
void scope_want_members(struct scope *scope);

/* Runs moves over the live rows: evaluates, copies, rejects rows with errors for `stage`. False:
 * arena full (split). Any worker. */
MUST_USE bool moves_apply(const struct moves *moves, struct evaluator *evaluator,
                          struct batch *batch, uint16_t stage);
/* Rejects row `record` for an error value, with what text it has. False: arena full. */
MUST_USE bool row_reject(struct batch *batch, uint32_t record, uint16_t stage, struct value error);

#endif
