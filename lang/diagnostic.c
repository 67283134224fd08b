/* Diagnostics: see diagnostic.h. Owns its list. Main thread only. */
#include "lang/diagnostic.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "lang/text.h"

/* Lines that are longer are shown through a window around the caret. */
#define WINDOW_WIDTH  100
#define WINDOW_BEFORE 40
#define INDENT        "    "

void diagnostics_open(struct diagnostics *diagnostics, const char *name, struct string text)
{
    if (text.length == 0)
        text.data = ""; /* NULL may come along with nothing */
    *diagnostics = (struct diagnostics){.name = name, .text = text};
}

void diagnostics_close(struct diagnostics *diagnostics)
{
    free(diagnostics->items);
    diagnostics->items = NULL;
    diagnostics->count = diagnostics->capacity = 0;
}

/* A text that was cut in the middle of a code point loses the rest of it. */
static void text_trim(char *text)
{
    struct string whole = {text, strlen(text)};
    size_t damage = text_damage(whole);
    if (damage + 4 > whole.length)
        text[damage] = 0;
}

static bool diagnostics_room(struct diagnostics *diagnostics)
{
    if (diagnostics->count < diagnostics->capacity)
        return true;
    size_t capacity = diagnostics->capacity * 2 + 16;
    struct diagnostic *items =
        memory_resize(diagnostics->items, capacity * sizeof(*diagnostics->items));
    if (!items)
        return false;
    diagnostics->items = items;
    diagnostics->capacity = capacity;
    return true;
}

static void diagnostics_add(struct diagnostics *diagnostics, enum severity severity,
                            struct span span, const char *format, va_list arguments)
{
    if (diagnostics->count == DIAGNOSTICS_LIMIT) {
        diagnostics->errors += severity == SEVERITY_ERROR;
        return;
    }
    struct diagnostic added = {.severity = severity, .span = span};
    int written = vsnprintf(added.text, sizeof(added.text), format, arguments);
    CHECK(written >= 0);
    if ((size_t)written >= sizeof(added.text))
        text_trim(added.text);
    for (size_t i = 0; i < diagnostics->count; i++) {
        const struct diagnostic *other = &diagnostics->items[i];
        if (other->severity == severity && other->span.start == span.start &&
            other->span.end == span.end)
            return;
    }
    diagnostics->errors += severity == SEVERITY_ERROR;
    if (diagnostics_room(diagnostics))
        diagnostics->items[diagnostics->count++] = added;
}

bool diagnostics_error(struct diagnostics *diagnostics, struct span span, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    diagnostics_add(diagnostics, SEVERITY_ERROR, span, format, arguments);
    va_end(arguments);
    return false;
}

bool diagnostics_warning(struct diagnostics *diagnostics, struct span span, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    diagnostics_add(diagnostics, SEVERITY_WARNING, span, format, arguments);
    va_end(arguments);
    return false;
}

static size_t count_points(struct string text, size_t from, size_t to)
{
    size_t count = 0;
    for (unsigned size; from < to; from += size, count++)
        (void)text_point(text, from, &size);
    return count;
}

/* A place of the text; moves forward only, so that printing sorted messages reads the text once. */
struct place {
    size_t offset;
    size_t line_begin;
    uint32_t line;
    uint32_t column;
};

static const struct place first_place = {.line = 1, .column = 1};

static void place_move(struct string text, struct place *place, size_t offset)
{
    size_t from = place->offset;
    offset = size_min(offset, text.length);
    CHECK(offset >= from);
    for (const char *newline; from < offset; from = (size_t)(newline - text.data) + 1) {
        newline = memchr(text.data + from, '\n', offset - from);
        if (!newline)
            break;
        place->line++;
        place->column = 1;
        place->line_begin = place->offset = (size_t)(newline - text.data) + 1;
    }
    place->column += (uint32_t)count_points(text, place->offset, offset);
    place->offset = offset;
}

void diagnostics_locate(const struct diagnostics *diagnostics, uint32_t offset, uint32_t *line,
                        uint32_t *column)
{
    struct place place = first_place;
    place_move(diagnostics->text, &place, offset);
    *line = place.line;
    *column = place.column;
}

/* Writes text[from, to) so that it cannot harm a terminal; a tab stays one where `keep_tabs`. */
static void print_safely(struct string text, size_t from, size_t to, bool keep_tabs, FILE *out)
{
    for (unsigned size; from < to; from += size) {
        uint32_t point = text_point(text, from, &size);
        if (text_point_printable(point) || (point == '\t' && keep_tabs))
            fwrite(text.data + from, 1, size, out);
        else
            fputs("\xEF\xBF\xBD", out); /* U+FFFD */
    }
}

/* The offset `points` code points behind `offset`, but no further than the end of the line. */
static size_t skip_forward(struct string text, size_t offset, size_t points)
{
    for (unsigned size; points > 0 && offset < text.length; points--, offset += size)
        if (text_point(text, offset, &size) == '\n')
            break;
    if (offset > 0 && text.data[offset - 1] == '\r' &&
        (offset == text.length || text.data[offset] == '\n'))
        offset--;
    return offset;
}

static size_t skip_back(struct string text, size_t offset, size_t begin, size_t points)
{
    for (; points > 0 && offset > begin; points--)
        for (offset--; offset > begin && (text.data[offset] & 0xC0) == 0x80;)
            offset--;
    return offset;
}

static void print_carets(struct string text, size_t from, struct span span, size_t end, FILE *out)
{
    for (unsigned size; from < span.start; from += size)
        fputc(text_point(text, from, &size) == '\t' ? '\t' : ' ', out);
    fputc('^', out);
    size_t width =
        span.end > span.start ? count_points(text, span.start, size_min(span.end, end)) : 0;
    for (size_t i = 1; i < width; i++)
        fputc('~', out);
    fputc('\n', out);
}

static bool line_goes_on(struct string text, size_t offset)
{
    return offset < text.length && text.data[offset] != '\n' && text.data[offset] != '\r';
}

/* The source line with the span's carets beneath; a long line through a window. */
static void print_source(struct string text, size_t begin, struct span span, FILE *out)
{
    size_t from = begin;
    size_t to = skip_forward(text, begin, WINDOW_WIDTH);
    if (line_goes_on(text, to)) {
        from = skip_back(text, span.start, begin, WINDOW_BEFORE);
        to = skip_forward(text, from, WINDOW_WIDTH);
    }
    to = size_max(to, span.start); /* in a line's end of two bytes */
    fputs(from > begin ? INDENT "..." : INDENT, out);
    print_safely(text, from, to, true, out);
    fputs(line_goes_on(text, to) ? "...\n" INDENT : "\n" INDENT, out);
    if (from > begin)
        fputs("   ", out);
    print_carets(text, from, span, to, out);
}

static void print_one(struct diagnostics *diagnostics, const struct diagnostic *item,
                      struct place *place, FILE *out)
{
    struct string text = diagnostics->text;
    struct string message = {item->text, strlen(item->text)};
    struct span span = item->span;
    span.start = (uint32_t)size_min(span.start, text.length);
    span.end = (uint32_t)size_min(span.end, text.length);
    place_move(text, place, span.start);
    fprintf(out, "%s:%u:%u: %s: ", diagnostics->name, place->line, place->column,
            item->severity == SEVERITY_ERROR ? "error" : "warning");
    print_safely(message, 0, message.length, false, out);
    fputc('\n', out);
    print_source(text, place->line_begin, span, out);
}

static int compare_places(const void *a, const void *b)
{
    const struct diagnostic *left = a, *right = b;
    if (left->span.start != right->span.start)
        return left->span.start < right->span.start ? -1 : 1;
    if (left->severity != right->severity)
        return left->severity < right->severity ? -1 : 1;
    if (left->span.end != right->span.end)
        return left->span.end < right->span.end ? -1 : 1;
    return strcmp(left->text, right->text);
}

void diagnostics_print(struct diagnostics *diagnostics, FILE *out)
{
    size_t errors = 0;
    struct place place = first_place;
    if (diagnostics->count > 1)
        qsort(diagnostics->items, diagnostics->count, sizeof(*diagnostics->items), compare_places);
    for (size_t i = 0; i < diagnostics->count; i++) {
        print_one(diagnostics, &diagnostics->items[i], &place, out);
        errors += diagnostics->items[i].severity == SEVERITY_ERROR;
    }
    if (errors < diagnostics->errors)
        fprintf(out, "%s: error: and %zu more\n", diagnostics->name, diagnostics->errors - errors);
}

bool diagnostics_memory(struct diagnostics *diagnostics, struct span span)
{
    diagnostics->memory_short = true;
    return diagnostics_error(diagnostics, span, "there is no memory left to compile this");
}
