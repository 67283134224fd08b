/* Names to columns: resolving, base columns, shapes. The edits are in scope_edit.c. See scope.h. */
#include "lang/scope_internal.h"

#include <stdio.h>
#include <string.h>

#include "core/fault.h"
#include "core/raw.h"

#define SCOPE_MEMORY (32u << 20)

void *scope_take(struct scope *scope, size_t size)
{
    void *memory = arena_take(&scope->arena, size);
    if (memory)
        memset(memory, 0, size);
    else
        scope->failed = diagnostics_memory(scope->diagnostics, (struct span){0, 0});
    return memory;
}

struct string scope_json_name(struct scope *scope, struct string name)
{
    struct error error;
    struct buffer buffer;
    size_t most = name.length * 6 + 8; /* every byte escaped, quotes and colon */
    struct string result = {NULL, 0};
    if (buffer_open(&buffer, most, most, &error)) {
        CHECK(string_write_json(name, &buffer) && buffer_append_byte(&buffer, ':'));
        char *copy = scope_take(scope, buffer.length);
        if (copy) {
            memcpy(copy, buffer.data, buffer.length);
            result = (struct string){copy, buffer.length};
        }
        buffer_close(&buffer);
    } else {
        scope->failed = diagnostics_memory(scope->diagnostics, (struct span){0, 0});
    }
    return result;
}

struct field *scope_find(struct scope *scope, struct string name)
{
    for (uint32_t i = 0; i < scope->field_count; i++) {
        struct field *field = &scope->fields[i];
        if (!field->gone && !field->hidden && string_equal(field->name, name))
            return field;
    }
    return NULL;
}

/* The field that stands for base member `name`, whatever it is called now. */
struct field *scope_find_anchor(struct scope *scope, struct string name)
{
    for (uint32_t i = 0; i < scope->field_count; i++) {
        struct field *field = &scope->fields[i];
        if (field->anchor != COLUMN_NONE && string_equal(field->anchor_name, name))
            return field;
    }
    return NULL;
}

static uint32_t node_child(struct scope *scope, uint32_t parent, struct string name)
{
    for (uint32_t i = scope->nodes[parent].first_child; i; i = scope->nodes[i].next_sibling)
        if (string_equal(scope->nodes[i].name, name))
            return i;
    CHECK(scope->node_count < scope->base_limit);
    uint32_t index = scope->node_count++;
    uint32_t *link = &scope->nodes[parent].first_child;
    while (*link)
        link = &scope->nodes[*link].next_sibling;
    *link = index;
    /* a copy: the name may be an expression's, and a stage that fails to open frees its own */
    const char *copy = arena_copy_text(&scope->arena, name);
    if (!copy) {
        scope->failed = diagnostics_memory(scope->diagnostics, (struct span){0, 0});
        name.length = 0;
    }
    name.data = copy;
    scope->nodes[index] = (struct projection_node){.name = name, .column = COLUMN_NONE};
    return index;
}

uint32_t scope_base_column(struct scope *scope, const struct string *names, uint32_t count)
{
    uint32_t node = 0;
    char name[256];
    size_t length = 0;
    for (uint32_t i = 0; i < count; i++) {
        node = node_child(scope, node, names[i]);
        int written = snprintf(name + length, sizeof(name) - length, "%s%.*s", i ? "." : "",
                               (int)size_min(names[i].length, 100), names[i].data);
        length = size_min(length + (size_t)written, sizeof(name) - 1);
    }
    if (scope->nodes[node].column == COLUMN_NONE) {
        uint32_t column = scope->projection.base_columns++;
        scope->nodes[node].column = column;
        scope->column_names[column] = arena_copy_text(&scope->arena, (struct string){name, length});
    }
    return scope->nodes[node].column;
}

bool scope_base_has(const struct scope *scope, struct string name)
{
    if (!scope->known)
        return true;
    for (uint32_t i = 0; i < scope->known->count; i++)
        if (string_equal(scope->known->names[i], name))
            return true;
    return false;
}

static const char *nearest_name(struct scope *scope, struct string name)
{
    const char *candidates[256];
    uint32_t count = 0;
    for (uint32_t i = 0; i < scope->field_count && count < 128; i++)
        if (!scope->fields[i].gone && !scope->fields[i].hidden)
            candidates[count++] = arena_copy_text(&scope->arena, scope->fields[i].name);
    for (uint32_t i = 0; !scope->closed && scope->known && i < scope->known->count && count < 256;
         i++)
        if (!scope_find_anchor(scope, scope->known->names[i]))
            candidates[count++] = arena_copy_text(&scope->arena, scope->known->names[i]);
    for (uint32_t i = 0; i < count; i++)
        if (!candidates[i])
            return NULL;
    return string_nearest(name, candidates, count);
}

bool scope_unknown(struct scope *scope, struct span span, struct string name)
{
    const char *nearest = nearest_name(scope, name);
    const char *where = scope->closed ? "the record has no field" : "the input has no field";
    scope->failed = true;
    if (nearest)
        return diagnostics_error(scope->diagnostics, span, "%s \"%.*s\" here; did you mean \"%s\"?",
                                 where, (int)name.length, name.data, nearest);
    return diagnostics_error(scope->diagnostics, span, "%s \"%.*s\" here", where, (int)name.length,
                             name.data);
}

static struct resolution scope_resolve(void *context, const struct path *path)
{
    struct scope *scope = context;
    struct string name = path->names[0];
    struct field *field = scope_find(scope, name);
    if (field)
        return (struct resolution){RESOLVED_COLUMN, field->read, 1};
    if (string_equal(name, STRING("record")) && path->count >= 1)
        return (struct resolution){RESOLVED_RECORD, COLUMN_NONE, 1};
    if (!scope->closed && scope_find_anchor(scope, name)) {
        diagnostics_warning(scope->diagnostics, path->span,
                            "\"%.*s\" was dropped or renamed above and reads null here",
                            (int)name.length, name.data);
        return (struct resolution){RESOLVED_ABSENT, COLUMN_NONE, path->count};
    }
    if (scope->closed || !scope_base_has(scope, name)) {
        scope_unknown(scope, path->span, name);
        /* some column, so that one mistake does not become two */
        return (struct resolution){RESOLVED_COLUMN, scope_hidden_column(scope), path->count};
    }
    uint32_t column = scope_base_column(scope, path->names, path->count);
    scope->column_read[column] = true;
    return (struct resolution){RESOLVED_COLUMN, column, path->count};
}

bool scope_read(struct scope *scope, const struct path *path, uint32_t *column)
{
    size_t errors = scope->diagnostics->errors;
    struct resolution resolution = scope_resolve(scope, path);
    if (resolution.kind == RESOLVED_RECORD)
        resolution = (struct resolution){RESOLVED_COLUMN, scope->resolver.record_column(scope), 1};
    if (scope->diagnostics->errors > errors)
        return false;
    *column = resolution.kind == RESOLVED_COLUMN ? resolution.column : COLUMN_NONE;
    if (resolution.kind == RESOLVED_COLUMN && resolution.consumed < path->count) {
        struct move *move = scope_move(scope, MOVE_MEMBER, path->span);
        if (!move)
            return false;
        move->column = scope_hidden_column(scope);
        move->from = resolution.column;
        move->names = path->names + resolution.consumed;
        move->name_count = path->count - resolution.consumed;
        *column = move->column;
    }
    return true;
}

/* The record as it is here, as one value. */
static uint32_t scope_record_column(void *context)
{
    struct scope *scope = context;
    struct move *move = scope_move(scope, MOVE_RECORD, (struct span){0, 0});
    if (!move)
        return 0;
    move->shape = scope_shape(scope);
    move->column = scope_hidden_column(scope);
    if (move->shape && !move->shape->closed && (scope->known || move->shape->field_count > 0))
        scope_want_members(scope);
    return move->column;
}

struct move *scope_move(struct scope *scope, enum move_kind kind, struct span span)
{
    if (scope->move_count == scope->move_capacity) {
        uint32_t capacity = scope->move_capacity ? scope->move_capacity * 2 : 16;
        struct move *moves = scope_take(scope, capacity * sizeof(*moves));
        if (!moves)
            return NULL;
        if (scope->move_count)
            memcpy(moves, scope->moves, scope->move_count * sizeof(*moves));
        scope->moves = moves;
        scope->move_capacity = capacity;
    }
    struct move *move = &scope->moves[scope->move_count++];
    *move = (struct move){.kind = kind, .span = span, .from = COLUMN_NONE, .other = COLUMN_NONE};
    return move;
}

struct moves scope_take_moves(struct scope *scope)
{
    struct moves moves = {scope->moves, scope->move_count};
    scope->moves = NULL;
    scope->move_count = scope->move_capacity = 0;
    return moves;
}

struct scope *scope_open(struct diagnostics *diagnostics, const struct field_names *fields,
                         uint32_t base_limit)
{
    struct error error;
    struct scope *scope = memory_take_zeroed(1, sizeof(*scope));
    if (!scope)
        return NULL;
    base_limit += 2 + (fields ? fields->count : 0);
    scope->diagnostics = diagnostics;
    scope->known = fields;
    scope->base_limit = base_limit;
    scope->next_column = base_limit;
    scope->resolver = (struct resolver){
        .context = scope, .resolve = scope_resolve, .record_column = scope_record_column};
    if (!arena_open(&scope->arena, SCOPE_MEMORY, SCOPE_MEMORY, &error)) {
        free(scope);
        return NULL;
    }
    scope->nodes = scope_take(scope, base_limit * sizeof(*scope->nodes));
    scope->column_names = scope_take(scope, base_limit * sizeof(*scope->column_names));
    scope->column_read = scope_take(scope, base_limit * sizeof(*scope->column_read));
    if (!scope->nodes || !scope->column_names || !scope->column_read) {
        scope_close(scope);
        return NULL;
    }
    scope->nodes[0] = (struct projection_node){.column = COLUMN_NONE};
    scope->node_count = 1;
    return scope;
}

void scope_close(struct scope *scope)
{
    if (!scope)
        return;
    for (struct owned *owned = scope->owned; owned; owned = owned->next)
        expression_free(owned->expression);
    arena_close(&scope->arena);
    free(scope);
}

const struct resolver *scope_resolver(struct scope *scope)
{
    return &scope->resolver;
}

static const struct expression *compile_with(struct scope *scope, const struct node *node,
                                             const struct resolver *resolver)
{
    struct expression *expression = expression_compile(node, resolver, scope->diagnostics);
    struct owned *owned = expression ? scope_take(scope, sizeof(*owned)) : NULL;
    if (!owned) {
        expression_free(expression);
        scope->failed = true;
        return NULL;
    }
    owned->expression = expression;
    owned->next = scope->owned;
    scope->owned = owned;
    return expression;
}

const struct expression *scope_compile(struct scope *scope, const struct node *node)
{
    return compile_with(scope, node, &scope->resolver);
}

const struct expression *scope_compile_private(struct scope *scope, const struct node *node)
{
    struct resolver resolver = scope->resolver;
    resolver.allows_secrets = true;
    return compile_with(scope, node, &resolver);
}

uint32_t scope_hidden_column(struct scope *scope)
{
    return scope->next_column++;
}

const struct shape *scope_shape(struct scope *scope)
{
    struct shape *shape = scope_take(scope, sizeof(*shape));
    struct shape_field *fields =
        scope_take(scope, (scope->field_count ? scope->field_count : 1) * sizeof(*fields));
    if (!shape || !fields)
        return NULL;
    shape->closed = scope->closed;
    shape->fields = fields;
    for (uint32_t i = 0; i < scope->field_count; i++) {
        const struct field *field = &scope->fields[i];
        if (field->gone && field->anchor == COLUMN_NONE)
            continue;
        fields[shape->field_count++] = (struct shape_field){
            .name = field->name,
            .json_name = field->json_name,
            .column = field->gone ? COLUMN_NONE : field->column,
            .anchor = field->anchor,
        };
    }
    return shape;
}

uint32_t scope_column_count(const struct scope *scope)
{
    return scope->next_column;
}

const struct projection *scope_projection(struct scope *scope)
{
    scope->projection.nodes = scope->nodes;
    scope->projection.node_count = scope->node_count;
    return &scope->projection;
}

const char *scope_column_name(const struct scope *scope, uint32_t column)
{
    CHECK(column < scope->projection.base_columns);
    return scope->column_read[column] ? scope->column_names[column] : NULL;
}

void scope_want_members(struct scope *scope)
{
    scope->projection.members = true;
}
