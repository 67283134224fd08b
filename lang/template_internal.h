/* What template_cells.c and template_url.c share; nobody else includes it. */
#ifndef LEAT_LANG_TEMPLATE_INTERNAL_H
#define LEAT_LANG_TEMPLATE_INTERNAL_H

#include "lang/template_cells.h"

/* Where the value of an expression stands. */
enum template_place {
    PLACE_COMPONENT, /* of a path of files */
    PLACE_WHOLE,     /* it is the URL */
    PLACE_USER,      /* user or password */
    PLACE_HOST,      /* the whole host */
    PLACE_LABEL,     /* part of the host: no dots */
    PLACE_PORT,
    PLACE_SEGMENT, /* of the URL's path, or part of one */
    PLACE_QUERY,
};

struct template_piece {
    struct string text;            /* where expression is NULL */
    char *owned;                   /* text, where it is no longer the program's; wiped and freed */
    struct expression *expression; /* owned */
    enum template_place place;
    bool is_private;
};

struct template
{
    struct template_piece *pieces;
    uint32_t count;
    size_t limit; /* bytes of the whole */
    bool is_url;
    bool is_private;
    bool host_varies;
};

/* Gives each expression its place and the literals their percent-encoding. False: reported at
 * `span`. */
bool template_url_place(struct template *template, struct span span,
                        struct diagnostics *diagnostics);
/* NULL: the text can stand in that place of a URL; else why not. */
const char *template_url_check(enum template_place place, struct string text);
/* Behind `start`: *** for user and password. */
void template_url_hide(struct buffer *out, size_t start);

#endif
