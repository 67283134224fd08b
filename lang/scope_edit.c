/* The edits of the record: put, select, drop, rename. See scope.h. */
#include "lang/scope_internal.h"

#include <string.h>

static struct field *field_append(struct scope *scope, struct string name)
{
    if (scope->field_count == scope->field_capacity) {
        uint32_t capacity = scope->field_capacity ? scope->field_capacity * 2 : 16;
        struct field *fields = scope_take(scope, capacity * sizeof(*fields));
        if (!fields)
            return NULL;
        if (scope->field_count)
            memcpy(fields, scope->fields, scope->field_count * sizeof(*fields));
        scope->fields = fields;
        scope->field_capacity = capacity;
    }
    struct field *field = &scope->fields[scope->field_count];
    *field = (struct field){
        .name = name,
        .json_name = scope_json_name(scope, name),
        .anchor = COLUMN_NONE,
        .column = COLUMN_NONE,
        .read = COLUMN_NONE,
    };
    if (!field->json_name.data)
        return NULL;
    scope->field_count++;
    return field;
}

/* A field for base member `name`, which no field stands for yet. */
static struct field *field_anchor(struct scope *scope, struct string name)
{
    struct field *field = field_append(scope, name);
    if (field) {
        field->anchor = scope_base_column(scope, &name, 1);
        field->anchor_name = name;
        field->column = field->read = field->anchor;
        field->optional = !scope->known;
    }
    return field;
}

/* The fresh column of a move of cells; COLUMN_NONE: no memory. */
static uint32_t column_choose(struct scope *scope, enum move_kind kind, uint32_t from,
                              uint32_t other)
{
    struct move *move = scope_move(scope, kind, (struct span){0, 0});
    if (!move)
        return COLUMN_NONE;
    move->from = from;
    move->other = other;
    return move->column = scope_hidden_column(scope);
}

/* All fields that are called `name`: at most one of them is there in a record. */
static void fields_remove(struct scope *scope, struct string name)
{
    for (uint32_t i = 0; i < scope->field_count; i++)
        if (string_equal(scope->fields[i].name, name))
            scope->fields[i].gone = true;
}

/* The fields called `name` become the cells of `column`, each where it is there. */
static bool fields_set(struct scope *scope, struct string name, uint32_t column)
{
    for (uint32_t i = 0; i < scope->field_count; i++) {
        struct field *field = &scope->fields[i];
        if (field->gone || !string_equal(field->name, name))
            continue;
        field->column = column_choose(scope, MOVE_ONLY_IF_PRESENT, field->column, column);
        if (field->column == COLUMN_NONE)
            return false;
    }
    return true;
}

/* The fields called `name` stay just where `column` is absent. */
static bool fields_yield(struct scope *scope, struct string name, uint32_t column)
{
    for (uint32_t i = 0; i < scope->field_count; i++) {
        struct field *field = &scope->fields[i];
        if (field->gone || !string_equal(field->name, name))
            continue;
        field->column = column_choose(scope, MOVE_ONLY_IF_ABSENT, column, field->column);
        if (field->column == COLUMN_NONE)
            return false;
    }
    return true;
}

static bool field_is_alone(const struct scope *scope, const struct field *field)
{
    for (uint32_t i = 0; i < scope->field_count; i++)
        if (&scope->fields[i] != field && !scope->fields[i].gone &&
            string_equal(scope->fields[i].name, field->name))
            return false;
    return true;
}

/* What `column` is to a field of its name that is there already. */
enum binding {
    BIND_VALUE, /* a value everywhere: the field is appended where it was absent */
    BIND_MAYBE, /* a value or ABSENT, this only where the field was absent: so too */
    BIND_EDIT,  /* ABSENT just where the field was */
};

/* From now on `field` is the value of `column`, in place where the record has it. */
static bool field_rebind(struct scope *scope, struct field *field, uint32_t column,
                         enum binding binding)
{
    bool appended = field->optional && binding != BIND_EDIT;
    struct string name = field->name;
    uint32_t old = field->read;
    if (!appended && field_is_alone(scope, field)) {
        field->column = field->read = column;
        return true;
    }
    if (!fields_set(scope, name, column))
        return false;
    field->read = column;
    if (!appended)
        return true;
    field->hidden = true;
    field = field_append(scope, name);
    if (!field)
        return false;
    field->column = column_choose(scope, MOVE_ONLY_IF_ABSENT, old, column);
    field->read = column;
    field->optional = binding == BIND_MAYBE;
    return field->column != COLUMN_NONE;
}

/* From now on `name` is the value of `column`. */
static bool field_bind(struct scope *scope, struct string name, uint32_t column,
                       enum binding binding)
{
    struct field *field = scope_find(scope, name);
    if (field)
        return field_rebind(scope, field, column, binding);
    if (!scope->closed && scope_base_has(scope, name) && !scope_find_anchor(scope, name))
        field = field_anchor(scope, name);
    else
        field = field_append(scope, name);
    if (!field)
        return false;
    field->column = field->read = column;
    field->optional = binding != BIND_VALUE && !scope->closed;
    return true;
}

/* Records that are no objects cannot be edited; said once, where the first edit is. */
static bool check_map(struct scope *scope, struct span span)
{
    if (scope->closed || scope->map_checked || scope->known)
        return true;
    scope->map_checked = true;
    return scope_move(scope, MOVE_CHECK_MAP, span) != NULL;
}

/* The column of a compiled item: a copy where it is just a column (null where that is absent). */
static bool item_evaluate(struct scope *scope, const struct node *node, struct span span,
                          uint32_t *column)
{
    const struct expression *expression = scope_compile(scope, node);
    if (!expression)
        return false;
    uint32_t from;
    bool copy = expression_is_column(expression, &from);
    struct move *move = scope_move(scope, copy ? MOVE_COPY : MOVE_EVALUATE, span);
    if (!move)
        return false;
    move->column = *column = scope_hidden_column(scope);
    if (copy)
        move->from = from;
    else
        move->expression = expression;
    return true;
}

/* The column of top-level field `name` as a whole, COLUMN_NONE where there cannot be one. */
static uint32_t whole_column(struct scope *scope, struct string name)
{
    struct field *field = scope_find(scope, name);
    if (field)
        return field->read;
    if (scope->closed || scope_find_anchor(scope, name) || !scope_base_has(scope, name))
        return COLUMN_NONE;
    return scope_base_column(scope, &name, 1);
}

static struct move *path_move(struct scope *scope, enum move_kind kind, const struct path *path,
                              uint32_t from)
{
    struct move *move = scope_move(scope, kind, path->span);
    if (move) {
        move->column = scope_hidden_column(scope);
        move->from = from;
        move->names = path->names + 1;
        move->name_count = path->count - 1;
    }
    return move;
}

bool scope_put(struct scope *scope, const struct option_item *items, uint32_t count)
{
    bool good = true;
    for (uint32_t i = 0; i < count; i++) {
        const struct path *path = &items[i].path;
        uint32_t column;
        if (!check_map(scope, path->span) ||
            !item_evaluate(scope, items[i].node, items[i].span, &column)) {
            good = false; /* go on: every error of the statement is reported */
            column = scope_hidden_column(scope);
        }
        if (path->count > 1) {
            struct move *move =
                path_move(scope, MOVE_SET, path, whole_column(scope, path->names[0]));
            if (!move)
                return false;
            move->other = column;
            column = move->column;
        }
        if (!field_bind(scope, path->names[0], column, BIND_VALUE))
            return false;
    }
    return good;
}

uint32_t scope_put_field(struct scope *scope, struct string name, bool always)
{
    uint32_t column = scope_hidden_column(scope), value = column;
    bool good = check_map(scope, (struct span){0, 0});
    uint32_t old = always ? COLUMN_NONE : whole_column(scope, name);
    if (old != COLUMN_NONE)
        value = column_choose(scope, MOVE_EITHER, column, old);
    if (!good || value == COLUMN_NONE ||
        !field_bind(scope, name, value, always ? BIND_VALUE : BIND_MAYBE))
        scope->failed = true;
    return column;
}

/* One selected item: its column in the old scope. */
static bool select_column(struct scope *scope, const struct option_item *item, uint32_t *column)
{
    if (item->node)
        return item_evaluate(scope, item->node, item->span, column);
    if (!scope_read(scope, &item->path, column))
        return false;
    if (*column != COLUMN_NONE && item->path.count == 1)
        return true; /* no copy: an ABSENT cell of a closed shape is written as null */
    struct move *move = scope_move(scope, MOVE_COPY, item->span);
    if (!move)
        return false;
    move->from = *column;
    move->column = *column = scope_hidden_column(scope);
    return true;
}

/* The fields being selected, beside the old ones that expressions still see. */
struct selection {
    struct string name;
    uint32_t column;
    bool nested; /* by `select a.b`: more of a may follow */
};

static bool select_add(struct scope *scope, struct selection *selected, uint32_t *selected_count,
                       const struct option_item *item, uint32_t column)
{
    struct string name = item->path.names[0];
    struct selection *found = NULL;
    for (uint32_t i = 0; i < *selected_count && !found; i++)
        if (string_equal(selected[i].name, name))
            found = &selected[i];
    if (found && !(found->nested && item->path.count > 1))
        return diagnostics_error(scope->diagnostics, item->span, "\"%.*s\" is selected twice",
                                 (int)name.length, name.data);
    if (!found) {
        found = &selected[(*selected_count)++];
        *found = (struct selection){.name = name, .column = COLUMN_NONE};
    }
    if (item->path.count > 1) {
        struct move *move = path_move(scope, MOVE_SET, &item->path, found->column);
        if (!move)
            return false;
        move->other = column;
        column = move->column;
        found->nested = true;
    }
    found->column = column;
    return true;
}

bool scope_select(struct scope *scope, const struct option_item *items, uint32_t count)
{
    bool good = true;
    uint32_t selected_count = 0;
    struct selection *selected = scope_take(scope, count * sizeof(*selected));
    if (!selected)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t column;
        if (!select_column(scope, &items[i], &column)) {
            good = false;
            column = scope_hidden_column(scope);
        }
        good &= select_add(scope, selected, &selected_count, &items[i], column);
    }
    scope->closed = true;
    scope->field_count = 0;
    for (uint32_t i = 0; i < selected_count; i++)
        good &= field_bind(scope, selected[i].name, selected[i].column, BIND_VALUE);
    return good;
}

bool scope_drop(struct scope *scope, const struct option_item *items, uint32_t count)
{
    bool good = true;
    for (uint32_t i = 0; i < count; i++) {
        const struct path *path = &items[i].path;
        struct string name = path->names[0];
        struct field *field = scope_find(scope, name);
        if (!check_map(scope, path->span))
            return false;
        bool base = !field && !scope->closed && !scope_find_anchor(scope, name);
        if (!field && (!base || !scope_base_has(scope, name))) {
            good = scope_unknown(scope, path->span, name);
            continue;
        }
        if (path->count > 1) {
            struct move *move = path_move(scope, MOVE_REMOVE, path, whole_column(scope, name));
            if (!move || !field_bind(scope, name, move->column, BIND_EDIT))
                return false;
            continue;
        }
        if (!field && !field_anchor(scope, name))
            return false;
        fields_remove(scope, name);
    }
    return good;
}

/* `name` is about to be given to the field at `index`: what else has it must give way where that
 * one is there. */
static bool rename_onto(struct scope *scope, uint32_t index, struct string name)
{
    struct field *other = scope_find(scope, name);
    if (!other && !scope->closed && !scope_find_anchor(scope, name) &&
        scope_base_has(scope, name) && !(other = field_anchor(scope, name)))
        return false;
    struct field *field = &scope->fields[index]; /* the list may have moved */
    if (!other)
        return true;
    if (!field->optional) {
        fields_remove(scope, name);
        return true;
    }
    if (!fields_yield(scope, name, field->read))
        return false;
    other->hidden = true;
    field->read = column_choose(scope, MOVE_EITHER, field->read, other->read);
    field->optional = other->optional;
    return field->read != COLUMN_NONE;
}

static bool rename_top(struct scope *scope, const struct option_item *item)
{
    struct string new_name = item->path.names[0], old_name = item->from.names[0];
    struct field *field = scope_find(scope, old_name);
    if (string_equal(new_name, old_name))
        return true;
    if (!field) {
        if (scope->closed || scope_find_anchor(scope, old_name) || !scope_base_has(scope, old_name))
            return scope_unknown(scope, item->from.span, old_name);
        field = field_anchor(scope, old_name);
        if (!field)
            return false;
    }
    struct string json_name = scope_json_name(scope, new_name);
    if (!json_name.data || !rename_onto(scope, (uint32_t)(field - scope->fields), new_name))
        return false;
    for (uint32_t i = 0; i < scope->field_count; i++) {
        field = &scope->fields[i];
        if (field->gone || !string_equal(field->name, old_name))
            continue;
        field->name = new_name;
        field->json_name = json_name;
    }
    return true;
}

static bool rename_nested(struct scope *scope, const struct option_item *item)
{
    const struct path *new_path = &item->path, *old_path = &item->from;
    bool same = new_path->count == old_path->count;
    for (uint32_t i = 0; same && i + 1 < new_path->count; i++)
        same = string_equal(new_path->names[i], old_path->names[i]);
    if (!same)
        return diagnostics_error(scope->diagnostics, item->span,
                                 "rename stays inside one map; use put and drop to move a field");
    struct move *move =
        path_move(scope, MOVE_RENAME, old_path, whole_column(scope, old_path->names[0]));
    if (!move)
        return false;
    move->name = new_path->names[new_path->count - 1];
    return field_bind(scope, old_path->names[0], move->column, BIND_EDIT);
}

bool scope_rename(struct scope *scope, const struct option_item *items, uint32_t count)
{
    bool good = true;
    for (uint32_t i = 0; i < count; i++) {
        if (!check_map(scope, items[i].span))
            return false;
        if (items[i].path.count == 1 && items[i].from.count == 1)
            good &= rename_top(scope, &items[i]);
        else
            good &= rename_nested(scope, &items[i]);
    }
    return good;
}

bool scope_replace(struct scope *scope, const struct string *names, uint32_t count,
                   uint32_t *columns)
{
    scope->closed = true;
    scope->field_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (scope_find(scope, names[i]))
            return false;
        columns[i] = scope_hidden_column(scope);
        if (!field_bind(scope, names[i], columns[i], BIND_VALUE))
            return false;
    }
    return true;
}

bool scope_fix_columns(struct scope *scope)
{
    if (scope->closed)
        return true;
    if (!scope->known)
        return false;
    uint32_t old_count = scope->field_count;
    struct field *old = scope_take(scope, (old_count + 1) * sizeof(*old));
    if (!old)
        return false;
    if (old_count)
        memcpy(old, scope->fields, old_count * sizeof(*old));
    scope->closed = true;
    scope->field_count = 0;
    bool good = true;
    for (uint32_t i = 0; i < scope->known->count; i++) {
        const struct field *edited = NULL;
        for (uint32_t j = 0; j < old_count && !edited; j++)
            if (old[j].anchor != COLUMN_NONE &&
                string_equal(old[j].anchor_name, scope->known->names[i]))
                edited = &old[j];
        if (edited && (edited->gone || edited->hidden))
            continue;
        good &=
            field_bind(scope, edited ? edited->name : scope->known->names[i],
                       edited ? edited->read : scope_base_column(scope, &scope->known->names[i], 1),
                       BIND_VALUE);
    }
    for (uint32_t j = 0; j < old_count; j++)
        if (old[j].anchor == COLUMN_NONE && !old[j].gone && !old[j].hidden)
            good &= field_bind(scope, old[j].name, old[j].read, BIND_VALUE);
    return good;
}
