/* Templates at run time: see template_cells.h. What is special to URLs is in template_url.c. */
#include <stdlib.h>
#include <string.h>

#include "core/calendar.h"
#include "core/fault.h"
#include "core/number.h"
#include "core/raw.h"
#include "lang/template_internal.h"

#define COMPONENT_LIMIT 255 /* bytes: what file systems take as one name */
#define PATH_SIZE       4096

bool template_has_expressions(struct string text)
{
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] != '{')
            continue;
        if (i + 1 == text.length || text.data[i + 1] != '{')
            return true;
        i++;
    }
    return false;
}

bool template_host_varies(const struct template *template)
{
    return template->host_varies;
}

bool template_is_private(const struct template *template)
{
    return template->is_private;
}

/* ---- opening ---- */

void template_close(struct template *template)
{
    if (!template)
        return;
    for (uint32_t i = 0; i < template->count && template->pieces; i++) {
        struct template_piece *piece = &template->pieces[i];
        expression_free(piece->expression);
        if (piece->owned)
            explicit_bzero(piece->owned, piece->text.length);
        free(piece->owned);
    }
    free(template->pieces);
    free(template);
}

static bool compile_pieces(struct template *template, const struct template_part *parts,
                           const struct resolver *resolver, struct diagnostics *diagnostics)
{
    for (uint32_t i = 0; i < template->count; i++) {
        struct template_piece *piece = &template->pieces[i];
        piece->text = parts[i].literal;
        if (!parts[i].node)
            continue;
        piece->expression = expression_compile(parts[i].node, resolver, diagnostics);
        if (!piece->expression)
            return false;
        piece->is_private = expression_is_private(piece->expression);
        template->is_private |= piece->is_private;
    }
    return true;
}

static struct template *open_any(const struct program *program, const struct resolver *resolver,
                                 const struct option_value *value, bool is_url,
                                 struct diagnostics *diagnostics)
{
    struct template *template = memory_take_zeroed(1, sizeof(*template));
    const struct template_part *parts;
    if (!template) {
        diagnostics_memory(diagnostics, value->span);
        return NULL;
    }
    template->is_url = is_url;
    template->is_private = value->is_secret;
    template->limit = is_url ? TEMPLATE_LIMIT : PATH_SIZE;
    if (!template_parse(program, value, diagnostics, &parts, &template->count)) {
        template->count = 0;
        template_close(template);
        return NULL;
    }
    template->pieces = memory_take_zeroed(template->count + 1, sizeof(*template->pieces));
    bool good = template->pieces ? compile_pieces(template, parts, resolver, diagnostics)
                                 : diagnostics_memory(diagnostics, value->span);
    for (uint32_t i = 0; good && value->is_secret && i < template->count; i++)
        template->pieces[i].is_private = true;
    if (good && (!is_url || template_url_place(template, value->span, diagnostics)))
        return template;
    template_close(template);
    return NULL;
}

struct template *template_open(const struct program *program, struct scope *scope,
                               const struct option_value *value, struct diagnostics *diagnostics)
{
    return open_any(program, scope_resolver(scope), value, false, diagnostics);
}

struct template *template_open_url(const struct program *program, const struct resolver *resolver,
                                   const struct option_value *value, uint32_t item,
                                   struct diagnostics *diagnostics)
{
    struct resolver private = *resolver;
    struct option_value one = *value;
    private.allows_secrets = true;
    if (value->spec->kind == OPTION_TEMPLATES) {
        CHECK(item < value->item_count);
        one.text = value->items[item].word;
        one.span = value->is_default ? value->span : value->items[item].span;
        one.is_secret = value->items[item].is_secret;
    }
    return open_any(program, &private, &one, true, diagnostics);
}

/* ---- one row ---- */

/* The text of a scalar; false where it has none that could stand in a path or URL. */
static bool scalar_text(struct value value, char *scratch, struct string *text)
{
    text->data = scratch;
    switch (value.kind) {
    case VALUE_STRING:
        *text = (struct string){value.text, value.length};
        return true;
    case VALUE_BOOL:
        *text = value.boolean ? STRING("true") : STRING("false");
        return true;
    case VALUE_INT:
        text->length = number_write_int(scratch, value.integer);
        return true;
    case VALUE_UINT:
        text->length = number_write_uint(scratch, value.natural);
        return true;
    case VALUE_DOUBLE:
        if (value.real != value.real || value.real - value.real != 0)
            return false;
        text->length = number_write_double(scratch, value.real);
        return true;
    case VALUE_TIMESTAMP:
        text->length = calendar_write_timestamp(scratch, value.integer, value.length);
        return true;
    default:
        return false;
    }
}

/* One safe component of a path, or part of one. NULL: it can stand there. */
static const char *component_check(struct string text)
{
    if (text.length == 0)
        return "an empty text cannot stand in a path";
    if (string_equal_text(text, ".") || string_equal_text(text, ".."))
        return "\".\" and \"..\" cannot stand in a path";
    if (text.length > COMPONENT_LIMIT)
        return "the text is too long for a path";
    return NULL;
}

/* Percent-encoding: in a component '/', '%' and control characters, so that no two values become
 * one; in URLs all but the unreserved characters of RFC 3986, section 2.3. */
static bool is_encoded(enum template_place place, unsigned char byte)
{
    bool digit = byte >= '0' && byte <= '9';
    bool letter = (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z';
    switch (place) {
    case PLACE_COMPONENT:
        return byte == '/' || byte == '%' || byte < 0x20 || byte == 0x7f;
    case PLACE_USER:
    case PLACE_SEGMENT:
    case PLACE_QUERY:
        return !digit && !letter && byte != '-' && byte != '.' && byte != '_' && byte != '~';
    default: /* checked: nothing to encode */
        return false;
    }
}

/* An append under way. */
struct append {
    struct buffer *out;
    size_t start;
    size_t limit;
    bool full; /* the buffer is, not the template's limit */
};

static bool append_bytes(struct append *append, const char *bytes, size_t length)
{
    if (append->out->length - append->start + length > append->limit)
        return false;
    append->full = !buffer_append(append->out, bytes, length);
    return !append->full;
}

static bool append_encoded(struct append *append, enum template_place place, struct string text)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t plain = 0; /* bytes from here on stay as they are */
    for (size_t i = 0; i < text.length; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        if (!is_encoded(place, byte))
            continue;
        char code[3] = {'%', digits[byte >> 4], digits[byte & 15]};
        if (!append_bytes(append, text.data + plain, i - plain) ||
            !append_bytes(append, code, sizeof(code)))
            return false;
        plain = i + 1;
    }
    return append_bytes(append, text.data + plain, text.length - plain);
}

/* What an expression gives. NULL: appended; else why it cannot be, "" where *error says it. */
static const char *append_value(const struct template *template, const struct template_piece *piece,
                                struct value value, struct append *append)
{
    char scratch[NUMBER_TEXT_SIZE + 8];
    struct string text;
    bool is_url = template->is_url;
    if (value.kind == VALUE_NULL)
        return is_url ? "null cannot stand in a URL" : "null cannot stand in a path";
    if (!scalar_text(value, scratch, &text))
        return is_url ? "a list, map or other such value cannot stand in a URL"
                      : "a list, map or other such value cannot stand in a path";
    const char *problem = is_url ? template_url_check(piece->place, text) : component_check(text);
    if (problem)
        return problem;
    return append_encoded(append, piece->place, text) ? NULL : "";
}

bool template_append(const struct template *template, struct evaluation *evaluation, uint32_t row,
                     bool hide, struct buffer *out, struct value *error)
{
    struct append append = {.out = out, .start = out->length, .limit = template->limit};
    const char *problem = NULL;
    for (uint32_t i = 0; i < template->count && !problem; i++) {
        const struct template_piece *piece = &template->pieces[i];
        if (hide && piece->is_private) {
            problem = append_bytes(&append, "***", 3) ? NULL : "";
        } else if (!piece->expression) {
            problem = append_bytes(&append, piece->text.data, piece->text.length) ? NULL : "";
        } else {
            struct value value = expression_row(piece->expression, evaluation, row);
            value = value_resolve(value, evaluation->arena);
            if (value.kind == VALUE_ERROR) {
                out->length = append.start;
                *error = value;
                return false;
            }
            problem = append_value(template, piece, value, &append);
        }
    }
    if (!problem) {
        if (hide && template->is_url)
            template_url_hide(out, append.start);
        return true;
    }
    out->length = append.start;
    if (!*problem)
        problem = template->is_url ? "the URL is too long" : "the path is too long";
    *error = append.full ? value_error(ERROR_ARENA_FULL)
                         : value_error_text(ERROR_PLACE, problem, strlen(problem));
    return false;
}

bool template_apply(const struct template *template, struct evaluator *evaluator,
                    struct batch *batch, uint32_t column, uint16_t stage)
{
    struct value *cells = batch_column_make(batch, column);
    struct evaluation evaluation = {batch->columns, batch->record_count, &batch->arena, evaluator};
    char store[TEMPLATE_LIMIT + BUFFER_SLACK];
    struct buffer buffer = {
        .data = store, .limit = TEMPLATE_LIMIT, .soft = TEMPLATE_LIMIT, .reserved = TEMPLATE_LIMIT};
    if (!cells)
        return false;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < batch->row_count; i++) {
        uint32_t row = batch->rows[i];
        struct value error;
        buffer.length = 0;
        if (!template_append(template, &evaluation, row, false, &buffer, &error)) {
            if (error.code == ERROR_ARENA_FULL || !row_reject(batch, row, stage, error))
                return false;
            continue;
        }
        const char *copy =
            arena_copy_text(&batch->arena, (struct string){buffer.data, buffer.length});
        if (!copy)
            return false;
        cells[row] = value_string(copy, buffer.length);
        batch->rows[kept++] = row;
    }
    batch->row_count = kept;
    return true;
}
