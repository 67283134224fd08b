/* A program as fmt sees it: the tokens that are kept, each with the comments before it. Main thread
 * only. */
#ifndef LEAT_LANG_FORMAT_PIECES_H
#define LEAT_LANG_FORMAT_PIECES_H

#include "lang/parser.h"

struct comment {
    struct string text;
    bool own_line;     /* nothing stands before it on its line */
    bool blank_before; /* an empty line does */
};

/* A token, or the end of the text (role STATEMENT, empty text). Separators are left out: what
 * stands before them stands before the piece that follows. */
struct piece {
    struct string text;
    enum layout_role role;
    size_t width;         /* code points */
    size_t comment_first; /* of pieces.comments */
    size_t comment_count;
    bool blank_before; /* an empty line stands before it, behind its last comment */
};

struct pieces {
    struct piece *items;
    size_t count; /* the last one is the end */
    struct comment *comments;
    size_t comment_count;
    size_t comment_capacity;
};

/* False when memory is short. Texts are borrowed from `text`. Free with pieces_close in any case.
 */
bool pieces_open(struct pieces *pieces, struct string text, const struct layout *layout);
void pieces_close(struct pieces *pieces);

#endif
