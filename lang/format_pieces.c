/* Splits a program into the pieces that fmt puts together again: see format_pieces.h. */
#include "lang/format_pieces.h"

#include <stdlib.h>

#include "core/fault.h"

/* What is known at a place between two tokens. */
struct gap {
    const struct lexer *lexer;
    bool line_over; /* nothing may follow on the line of the last piece */
};

static size_t count_newlines(struct string text, uint32_t from, uint32_t to)
{
    size_t count = 0;
    for (; from < to; from++)
        count += text.data[from] == '\n';
    return count;
}

static size_t count_width(struct string text)
{
    size_t width = 0;
    for (size_t i = 0; i < text.length; i++)
        width += ((unsigned char)text.data[i] & 0xC0) != 0x80;
    return width;
}

static bool comment_add(struct pieces *pieces, struct comment comment)
{
    if (pieces->comment_count == pieces->comment_capacity) {
        size_t capacity = pieces->comment_capacity * 2 + 32;
        struct comment *comments =
            memory_resize(pieces->comments, capacity * sizeof(*pieces->comments));
        if (!comments)
            return false;
        pieces->comments = comments;
        pieces->comment_capacity = capacity;
    }
    pieces->comments[pieces->comment_count++] = comment;
    return true;
}

/* The comments of text[from, to), which holds nothing but them and white space. *blank: an empty
 * line stands at its end. */
static bool gap_read(struct pieces *pieces, struct gap *gap, uint32_t from, uint32_t to,
                     bool *blank)
{
    struct string text = gap->lexer->text;
    struct span span;
    uint32_t behind = from;
    for (uint32_t at = from; lexer_comment(gap->lexer, &at, to, &span); behind = span.end) {
        size_t newlines = count_newlines(text, behind, span.start);
        bool own_line = gap->line_over || newlines > 0;
        struct string body = {text.data + span.start, span.end - span.start};
        struct comment comment = {body, own_line, own_line && newlines > 1};
        if (!comment_add(pieces, comment))
            return false;
        gap->line_over = true;
    }
    *blank = count_newlines(text, behind, to) > 1;
    return true;
}

bool pieces_open(struct pieces *pieces, struct string text, const struct layout *layout)
{
    struct lexer lexer = {.text = text};
    struct gap gap = {.lexer = &lexer, .line_over = true};
    uint32_t behind = 0;
    *pieces = (struct pieces){.items = memory_take((layout->count + 1) * sizeof(struct piece))};
    if (!pieces->items)
        return false;
    struct piece piece = {.comment_first = 0};
    for (size_t i = 0; i <= layout->count; i++) {
        struct layout_token end = {{(uint32_t)text.length, (uint32_t)text.length},
                                   LAYOUT_STATEMENT};
        const struct layout_token *token = i < layout->count ? &layout->tokens[i] : &end;
        bool blank;
        if (!gap_read(pieces, &gap, behind, token->span.start, &blank))
            return false;
        piece.blank_before |= blank;
        behind = token->span.end;
        if (token->role == LAYOUT_SEPARATOR)
            continue;
        piece.text =
            (struct string){text.data + token->span.start, token->span.end - token->span.start};
        piece.role = token->role;
        piece.width = count_width(piece.text);
        piece.comment_count = pieces->comment_count - piece.comment_first;
        pieces->items[pieces->count++] = piece;
        piece = (struct piece){.comment_first = pieces->comment_count};
        gap.line_over = false;
    }
    return true;
}

void pieces_close(struct pieces *pieces)
{
    free(pieces->items);
    free(pieces->comments);
    *pieces = (struct pieces){.items = NULL};
}
