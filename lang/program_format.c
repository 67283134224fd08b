/* fmt: a program in its one canonical layout. The parser tells what each token is (layout_role);
 * how lines are broken follows from the tokens and the places of comments alone, never from how
 * lines were broken before, so formatting twice changes nothing. Main thread only.
 *
 * The layout: a statement a line; the verbs of consecutive stages padded to one width; assignments
 * a line each, their `=` aligned; a block on the statement's line where it fits in 100 columns,
 * otherwise an option a line; empty lines between statements kept, one at most. */
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "lang/format_pieces.h"
#include "lang/parse.h"
#include "lang/parse_statement.h"

#define WIDTH           100 /* columns that a line may have */
#define BLOCK_WIDTH     60  /* of a block that follows a list of several lines */
#define BLOCK_INDENT    2
#define CONTINUE_INDENT 4
#define NESTING_LIMIT   8

struct formatter {
    struct pieces pieces;
    char *out;
    size_t length;
    size_t capacity;
    size_t column;
    bool memory_short;

    /* Of the statement being written. */
    size_t first; /* its pieces are [first, end) */
    size_t end;
    size_t verb_width; /* to pad its verb to */
    bool list_broken;
    size_t item_column;  /* where items of a broken list begin; 0: not known yet */
    size_t equals_width; /* of the longest name before `=` in it */
    size_t item_width;   /* of the current item's name */
    unsigned depth;      /* of blocks */
    bool broken[NESTING_LIMIT + 1];
};

/* ---- output ---- */

static void put_bytes(struct formatter *formatter, const char *bytes, size_t count)
{
    if (count + 1 > formatter->capacity - formatter->length) {
        size_t capacity = formatter->capacity * 2 + count + 4096;
        char *out = formatter->memory_short ? NULL : memory_resize(formatter->out, capacity);
        if (!out) {
            formatter->memory_short = true;
            return;
        }
        formatter->out = out;
        formatter->capacity = capacity;
    }
    memcpy(formatter->out + formatter->length, bytes, count);
    formatter->length += count;
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] == '\n')
            formatter->column = 0;
        else
            formatter->column += ((unsigned char)bytes[i] & 0xC0) != 0x80;
    }
}

static void put_spaces(struct formatter *formatter, size_t count)
{
    for (; count > 0; count--)
        put_bytes(formatter, " ", 1);
}

static void put_string(struct formatter *formatter, struct string string)
{
    put_bytes(formatter, string.data, string.length);
}

static void new_line(struct formatter *formatter, size_t indent)
{
    if (formatter->length > 0)
        put_bytes(formatter, "\n", 1);
    put_spaces(formatter, indent);
}

/* ---- measuring ---- */

static bool is_item(const struct piece *piece)
{
    return piece->role == LAYOUT_ITEM || piece->role == LAYOUT_LINE_ITEM;
}

/* Spaces between two pieces on one line. */
static size_t distance(const struct piece *left, const struct piece *right)
{
    if (left->role == LAYOUT_TIGHT_AFTER || left->role == LAYOUT_TIGHT ||
        right->role == LAYOUT_TIGHT_BEFORE || right->role == LAYOUT_TIGHT ||
        right->role == LAYOUT_ITEM_COMMA)
        return 0;
    return right->role == LAYOUT_OPTION && left->role != LAYOUT_BLOCK_OPEN ? 2 : 1;
}

/* Of pieces [first, end) on one line. */
static size_t flat_width(const struct formatter *formatter, size_t first, size_t end)
{
    const struct piece *items = formatter->pieces.items;
    size_t width = 0;
    for (size_t i = first; i < end; i++)
        width += items[i].width + (i > first ? distance(&items[i - 1], &items[i]) : 0);
    return width;
}

static bool has_comments(const struct formatter *formatter, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++)
        if (formatter->pieces.items[i].comment_count > 0)
            return true;
    return false;
}

/* The index behind the BLOCK_CLOSE of the block that opens at `open`. */
static size_t block_end(const struct formatter *formatter, size_t open)
{
    unsigned depth = 0;
    for (size_t i = open; i < formatter->end; i++) {
        depth += formatter->pieces.items[i].role == LAYOUT_BLOCK_OPEN;
        depth -= formatter->pieces.items[i].role == LAYOUT_BLOCK_CLOSE;
        if (depth == 0)
            return i + 1;
    }
    return formatter->end;
}

/* Width of the name before the `=` of the item at `item`; 0: it has none. */
static size_t name_width(const struct formatter *formatter, size_t item)
{
    const struct piece *items = formatter->pieces.items;
    for (size_t i = item + 1; i < formatter->end && items[i].role != LAYOUT_ITEM_COMMA; i++) {
        if (items[i].role == LAYOUT_ITEM_EQUALS)
            return flat_width(formatter, item, i);
        if (is_item(&items[i]) || items[i].role == LAYOUT_BLOCK_OPEN)
            break;
    }
    return 0;
}

/* Decides how the statement's list and its outermost block are broken. */
static void plan_statement(struct formatter *formatter)
{
    const struct piece *items = formatter->pieces.items;
    size_t block = formatter->end, item_count = 0, first_item = formatter->end;
    bool lines = false;
    formatter->equals_width = 0;
    for (size_t i = formatter->first; i < block; i++) {
        if (items[i].role == LAYOUT_BLOCK_OPEN) {
            block = i;
        } else if (is_item(&items[i])) {
            first_item = item_count++ == 0 ? i : first_item;
            lines |= items[i].role == LAYOUT_LINE_ITEM;
            formatter->equals_width = size_max(formatter->equals_width, name_width(formatter, i));
        }
    }
    size_t verb = size_max(items[formatter->first].width, formatter->verb_width);
    size_t margin = verb - items[formatter->first].width;
    size_t head = margin + flat_width(formatter, formatter->first, block);
    size_t whole = margin + flat_width(formatter, formatter->first, formatter->end);
    bool comments = has_comments(formatter, size_min(first_item + 1, block), block);
    bool opens = block < formatter->end;
    formatter->list_broken = item_count > 1 && (lines || comments || head + 2 * opens > WIDTH);
    formatter->broken[1] = whole > WIDTH;
    if (formatter->list_broken)
        formatter->broken[1] = flat_width(formatter, block, formatter->end) > BLOCK_WIDTH;
    if (opens && has_comments(formatter, block + 1, formatter->end))
        formatter->broken[1] = true;
}

/* ---- writing ---- */

/* Where a line that goes on inside the statement begins. */
static size_t continuation(const struct formatter *formatter)
{
    if (formatter->depth > 0)
        return formatter->depth * BLOCK_INDENT + CONTINUE_INDENT;
    return formatter->item_column ? formatter->item_column : CONTINUE_INDENT;
}

/* The comments before a piece inside a statement. True: a new line must follow. */
static bool write_inner_comments(struct formatter *formatter, const struct piece *piece,
                                 size_t indent)
{
    for (size_t i = 0; i < piece->comment_count; i++) {
        const struct comment *comment = &formatter->pieces.comments[piece->comment_first + i];
        if (comment->own_line)
            new_line(formatter, indent);
        else
            put_spaces(formatter, 2);
        put_string(formatter, comment->text);
    }
    return piece->comment_count > 0;
}

static void enter_block(struct formatter *formatter, size_t open)
{
    bool outer = formatter->depth == 0 || formatter->broken[formatter->depth];
    formatter->depth++;
    CHECK(formatter->depth <= NESTING_LIMIT);
    if (formatter->depth == 1)
        return; /* planned */
    size_t end = block_end(formatter, open);
    bool wide = formatter->column + flat_width(formatter, open, end) > WIDTH;
    formatter->broken[formatter->depth] = outer && (wide || has_comments(formatter, open + 1, end));
}

/* What stands between the piece before and this one: a new line or spaces. */
static void write_distance(struct formatter *formatter, size_t index)
{
    const struct piece *piece = &formatter->pieces.items[index];
    bool closes = piece->role == LAYOUT_BLOCK_CLOSE;
    bool starts = piece->role == LAYOUT_OPTION || closes;
    bool in_list = is_item(piece) && formatter->depth == 0 && formatter->list_broken;
    size_t indent = starts ? (formatter->depth - closes) * BLOCK_INDENT : continuation(formatter);
    size_t comment_indent = closes ? formatter->depth * BLOCK_INDENT : indent;
    if (write_inner_comments(formatter, piece, comment_indent)) {
        new_line(formatter, indent);
    } else if (starts && formatter->broken[formatter->depth]) {
        new_line(formatter, indent);
    } else if (in_list && formatter->item_column) {
        new_line(formatter, formatter->item_column);
    } else {
        size_t spaces = distance(piece - 1, piece);
        if (index == formatter->first + 1 && formatter->verb_width > 0)
            spaces += formatter->verb_width - formatter->pieces.items[formatter->first].width;
        if (piece->role == LAYOUT_ITEM_EQUALS && formatter->depth == 0 && formatter->list_broken)
            spaces += formatter->equals_width - formatter->item_width;
        put_spaces(formatter, spaces);
    }
    if (in_list && !formatter->item_column)
        formatter->item_column = formatter->column;
}

static void write_statement(struct formatter *formatter)
{
    const struct piece *items = formatter->pieces.items;
    formatter->depth = 0;
    formatter->item_column = 0;
    plan_statement(formatter);
    put_string(formatter, items[formatter->first].text);
    for (size_t i = formatter->first + 1; i < formatter->end; i++) {
        if (is_item(&items[i]))
            formatter->item_width = name_width(formatter, i);
        write_distance(formatter, i);
        if (items[i].role == LAYOUT_BLOCK_OPEN)
            enter_block(formatter, i);
        else if (items[i].role == LAYOUT_BLOCK_CLOSE)
            formatter->depth--;
        put_string(formatter, items[i].text);
    }
}

/* The comments before a statement, or before the end: those behind the last one on its line, then
 * those with lines of their own. */
static void write_outer_comments(struct formatter *formatter, const struct piece *piece)
{
    for (size_t i = 0; i < piece->comment_count; i++) {
        const struct comment *comment = &formatter->pieces.comments[piece->comment_first + i];
        if (!comment->own_line) {
            put_spaces(formatter, 2);
        } else {
            if (comment->blank_before && formatter->length > 0)
                put_bytes(formatter, "\n", 1);
            new_line(formatter, 0);
        }
        put_string(formatter, comment->text);
    }
}

/* ---- the program ---- */

static size_t statement_end(const struct formatter *formatter, size_t first)
{
    size_t end = first + 1;
    while (formatter->pieces.items[end].role != LAYOUT_STATEMENT)
        end++;
    return end;
}

/* An empty line stands somewhere between a statement and what is before it. */
static bool is_apart(const struct formatter *formatter, const struct piece *piece)
{
    bool apart = piece->blank_before;
    for (size_t i = 0; i < piece->comment_count; i++)
        apart |= formatter->pieces.comments[piece->comment_first + i].blank_before;
    return apart;
}

static bool is_padded(const struct piece *piece)
{
    static const char *const others[] = {"pipeline", "from", "into", "reject", "fail"};
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        if (string_equal_text(piece->text, others[i]))
            return false;
    return piece->text.length > 0;
}

/* The width of the verbs of the paragraph of stages that begins with the statement at `first`, and
 * *end behind it. */
static size_t paragraph_width(const struct formatter *formatter, size_t first, size_t *end)
{
    const struct piece *items = formatter->pieces.items;
    size_t width = 0, at = first;
    do {
        width = size_max(width, items[at].width);
        at = statement_end(formatter, at);
    } while (at + 1 < formatter->pieces.count && is_padded(&items[at]) &&
             !is_apart(formatter, &items[at]));
    *end = at;
    return width;
}

static void write_program(struct formatter *formatter)
{
    const struct piece *items = formatter->pieces.items;
    size_t last = formatter->pieces.count - 1, paragraph_end = 0;
    for (size_t at = 0; at < last; at = formatter->end) {
        write_outer_comments(formatter, &items[at]);
        if (items[at].blank_before && formatter->length > 0)
            put_bytes(formatter, "\n", 1);
        if (!is_padded(&items[at]))
            formatter->verb_width = 0;
        else if (at >= paragraph_end)
            formatter->verb_width = paragraph_width(formatter, at, &paragraph_end);
        formatter->first = at;
        formatter->end = statement_end(formatter, at);
        new_line(formatter, 0);
        write_statement(formatter);
    }
    write_outer_comments(formatter, &items[last]);
    if (formatter->length > 0)
        put_bytes(formatter, "\n", 1);
}

char *program_format(const struct registry *registry, struct diagnostics *diagnostics)
{
    struct layout layout = {.tokens = NULL};
    struct formatter formatter = {.out = NULL};
    struct program *program = program_parse_with(registry, diagnostics, &layout);
    bool parsed = program && diagnostics->errors == 0;
    program_free(program);
    if (parsed && pieces_open(&formatter.pieces, diagnostics->text, &layout)) {
        write_program(&formatter);
        put_bytes(&formatter, "", 1); /* the final NUL */
        if (formatter.memory_short) {
            free(formatter.out);
            formatter.out = NULL;
        }
    }
    if (parsed)
        pieces_close(&formatter.pieces);
    if (!formatter.out && diagnostics->errors == 0)
        diagnostics_memory(diagnostics, (struct span){0, 0});
    free(layout.tokens);
    return formatter.out;
}
