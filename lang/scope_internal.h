/* What scope.c and scope_edit.c share; nobody else includes it. */
#ifndef LEAT_LANG_SCOPE_INTERNAL_H
#define LEAT_LANG_SCOPE_INTERNAL_H

#include <stdlib.h>

#include "lang/scope.h"

/* A field that a stage has touched. Several may have one name; then a record has at most one of
 * them, and all but one are hidden: after `rename b = a` it has what was a, or else what was b. */
struct field {
    struct string name; /* what it is called here */
    struct string json_name;
    struct string anchor_name; /* the base member it stands for, where it has an anchor */
    uint32_t anchor;
    uint32_t column; /* what is written here; ABSENT: the record has another field of the name, or
                        none */
    uint32_t read;   /* what the name reads, whichever field the record has */
    bool optional;   /* `read` may be ABSENT */
    bool gone;       /* dropped: the anchor's member is left out */
    bool hidden;     /* written where another field of the same name is absent; never looked up */
};

struct owned {
    struct expression *expression;
    struct owned *next;
};

struct scope {
    struct diagnostics *diagnostics;
    const struct field_names *known;
    struct arena arena; /* all that it makes */
    struct resolver resolver;
    struct owned *owned;
    bool failed;
    bool closed;
    struct field *fields;
    uint32_t field_count;
    uint32_t field_capacity;
    bool map_checked; /* a MOVE_CHECK_MAP was made */
    struct projection_node *nodes;
    uint32_t node_count;
    uint32_t base_limit; /* base columns are 0..base_limit-1, all others lie above */
    const char **column_names;
    bool *column_read; /* some expression or selection reads it; others are only edited */
    struct projection projection;
    uint32_t next_column;
    struct move *moves; /* pending */
    uint32_t move_count;
    uint32_t move_capacity;
};

/* Zeroed memory of the scope; NULL (with a diagnostic) when short. */
void *scope_take(struct scope *scope, size_t size);
struct field *scope_find(struct scope *scope, struct string name);
struct field *scope_find_anchor(struct scope *scope, struct string name);
bool scope_base_has(const struct scope *scope, struct string name);
uint32_t scope_base_column(struct scope *scope, const struct string *names, uint32_t count);
struct move *scope_move(struct scope *scope, enum move_kind kind, struct span span);
/* Reports a name that cannot be there; returns false. */
bool scope_unknown(struct scope *scope, struct span span, struct string name);

#endif
