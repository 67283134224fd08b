/* Templates at run time: see template.h. */
#include "pipeline/template.h"

#include <stdlib.h>
#include <string.h>

#include "core/buffer.h"
#include "core/calendar.h"
#include "core/fault.h"
#include "core/number.h"
#include "core/raw.h"

#define COMPONENT_LIMIT 255 /* bytes: what file systems take as one name */
#define TEMPLATE_LIMIT  4096

struct template
{
    const struct template_part *parts; /* the program's */
    uint32_t count;
    const struct expression **expressions; /* NULL where the part is text */
};

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

void template_close(struct template *template)
{
    if (template)
        free(template->expressions);
    free(template);
}

struct template *template_open(struct program *program, struct scope *scope,
                               const struct option_value *value, struct diagnostics *diagnostics)
{
    struct template *template = memory_take_zeroed(1, sizeof(*template));
    if (!template ||
        !template_parse(program, value, diagnostics, &template->parts, &template->count))
        goto failed;
    template->expressions = memory_take_zeroed(template->count + 1, sizeof(void *));
    if (!template->expressions)
        goto failed;
    for (uint32_t i = 0; i < template->count; i++)
        if (template->parts[i].node &&
            !(template->expressions[i] = scope_compile(scope, template->parts[i].node)))
            goto failed;
    return template;
failed:
    template_close(template);
    return NULL;
}

/* The text of a scalar; false where it has none that could stand in a path. */
static bool component_text(struct value value, char *scratch, struct string *text)
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

/* One safe component of a path: no separator, no control character, not "." or "..". */
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

/* Appends with '/', '%' and control characters percent-encoded. */
static bool component_append(struct string text, char *path, size_t *length)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.length; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        bool encode = byte == '/' || byte == '%' || byte < 0x20 || byte == 0x7f;
        if (*length + 4 > TEMPLATE_LIMIT)
            return false;
        if (encode) {
            path[(*length)++] = '%';
            path[(*length)++] = digits[byte >> 4];
            path[(*length)++] = digits[byte & 15];
        } else {
            path[(*length)++] = (char)byte;
        }
    }
    return true;
}

/* NULL: done; else why the row is rejected. *error is set for errors of evaluation. */
static const char *template_row(const struct template *template, struct evaluation *evaluation,
                                uint32_t row, char *path, size_t *length, struct value *error)
{
    char scratch[NUMBER_TEXT_SIZE + 8];
    *length = 0;
    for (uint32_t i = 0; i < template->count; i++) {
        struct string text = template->parts[i].literal;
        if (template->parts[i].node) {
            struct value value = expression_row(template->expressions[i], evaluation, row);
            value = value_resolve(value, evaluation->arena);
            if (value.kind == VALUE_ERROR) {
                *error = value;
                return "";
            }
            if (!component_text(value, scratch, &text))
                return value.kind == VALUE_NULL ? "null cannot stand in a path"
                                                : "a list, map or other such value cannot stand "
                                                  "in a path";
            const char *problem = component_check(text);
            if (problem)
                return problem;
            if (!component_append(text, path, length))
                return "the path is too long";
            continue;
        }
        if (*length + text.length > TEMPLATE_LIMIT)
            return "the path is too long";
        memcpy(path + *length, text.data, text.length);
        *length += text.length;
    }
    return NULL;
}

bool template_apply(const struct template *template, struct evaluator *evaluator,
                    struct batch *batch, uint32_t column, uint16_t stage)
{
    struct value *cells = batch_column_make(batch, column);
    struct evaluation evaluation = {batch->columns, batch->record_count, &batch->arena, evaluator};
    if (!cells)
        return false;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < batch->row_count; i++) {
        uint32_t row = batch->rows[i];
        char path[TEMPLATE_LIMIT];
        size_t length;
        struct value error = {.kind = VALUE_NULL};
        const char *why = template_row(template, &evaluation, row, path, &length, &error);
        if (!why) {
            const char *copy = arena_copy_text(&batch->arena, (struct string){path, length});
            if (!copy)
                return false;
            cells[row] = value_string(copy, length);
            batch->rows[kept++] = row;
            continue;
        }
        if (error.kind == VALUE_ERROR
                ? error.code == ERROR_ARENA_FULL || !row_reject(batch, row, stage, error)
                : !batch_reject(batch, row, stage, ERROR_PLACE, UINT32_MAX, "%s", why))
            return false;
    }
    batch->row_count = kept;
    return true;
}
