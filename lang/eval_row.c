/* The row evaluator: walks the tree of terms for one row. Simple, and the oracle of the batch
 * evaluator. Any thread, each with its own evaluator. */
#include <string.h>

#include "core/raw.h"
#include "lang/term.h"

/* Paths keep the difference between null and absent, for has(). */
static struct value path_value(const struct term *term, struct machine *machine)
{
    switch (term->kind) {
    case TERM_CONSTANT:
        return term->constant;
    case TERM_COLUMN: {
        const struct column *column = &machine->evaluation->columns[term->column];
        return column->cells ? column->cells[machine->row] : (struct value){0};
    }
    default:
        CHECK(term->kind == TERM_SELECT && term->lenient);
        return value_member(path_value(term->left, machine), term->name, machine->arena);
    }
}

static struct value absent_to_null(struct value value)
{
    return value.kind == VALUE_ABSENT ? value_null() : value;
}

static struct value select_value(const struct term *term, struct machine *machine)
{
    if (term->lenient)
        return absent_to_null(path_value(term, machine));
    struct value container = term_value(term->left, machine);
    return value_select(container, term->name, term->optional, machine->arena);
}

static struct value index_value(const struct term *term, struct machine *machine)
{
    struct value container = term_value(term->left, machine);
    if (container.kind == VALUE_ERROR)
        return container;
    struct value key = term_resolved(term->right, machine);
    if (key.kind == VALUE_ERROR)
        return key;
    /* one member of a map that nobody opened: found without opening it */
    if (container.kind == VALUE_RAW && key.kind == VALUE_STRING &&
        value_raw_kind(container) == VALUE_MAP)
        return value_select(container, (struct string){key.text, key.length}, term->optional,
                            machine->arena);
    container = value_open(container, machine->arena);
    if (container.kind == VALUE_MAP)
        charge_search(machine, container);
    return value_index(container, key, term->optional, machine->arena);
}

static struct value has_value(const struct term *term, struct machine *machine)
{
    const struct term *path = term->left;
    if (path->kind != TERM_SELECT || path->lenient) {
        struct value value = path_value(path, machine);
        if (value.kind == VALUE_ERROR)
            return value;
        return value_bool(value.kind != VALUE_ABSENT);
    }
    struct value container = term_value(path->left, machine);
    struct value found = value_select(container, path->name, true, machine->arena);
    return found.kind == VALUE_ERROR ? found : value_bool(found.length != 0);
}

static struct value call_value(const struct term *term, struct machine *machine)
{
    struct value few[4];
    struct value *arguments = few;
    if (term->item_count > ARRAY_SIZE(few)) {
        arguments = arena_take(machine->arena, term->item_count * sizeof(*arguments));
        if (!arguments)
            return value_error(ERROR_ARENA_FULL);
    }
    for (uint32_t i = 0; i < term->item_count; i++) {
        arguments[i] = term_resolved(term->items[i], machine);
        if (arguments[i].kind == VALUE_ERROR)
            return arguments[i];
    }
    struct call call = {machine->arena, machine->evaluator};
    return term->function->body(&call, arguments, term->item_count);
}

/* The content of an element written with "?": false: none, leave it out; an error goes to *value.
 */
static bool element_open(struct value *value, struct machine *machine)
{
    *value = value_open(*value, machine->arena);
    if (value->kind == VALUE_ERROR)
        return true;
    if (value->kind != VALUE_OPTIONAL) {
        *value = error_overload_one(*value);
        return true;
    }
    if (value->length == 0)
        return false;
    *value = value->items[0];
    return true;
}

static struct value list_value(const struct term *term, struct machine *machine)
{
    struct value *items = arena_take(machine->arena, term->item_count * sizeof(*items));
    if (!items)
        return value_error(ERROR_ARENA_FULL);
    uint32_t count = 0;
    for (uint32_t i = 0; i < term->item_count; i++) {
        struct value item = term_value(term->items[i], machine);
        if (item.kind != VALUE_ERROR && term->item_optional && term->item_optional[i] &&
            !element_open(&item, machine))
            continue;
        if (item.kind == VALUE_ERROR)
            return item;
        items[count++] = item;
    }
    return (struct value){.kind = VALUE_LIST, .length = count, .items = items};
}

static bool key_is_allowed(struct value key)
{
    return key.kind == VALUE_STRING || key.kind == VALUE_INT || key.kind == VALUE_UINT ||
           key.kind == VALUE_BOOL;
}

static struct value map_value(const struct term *term, struct machine *machine)
{
    uint32_t count = term->item_count / 2;
    struct map_entry *entries = arena_take(machine->arena, count * sizeof(*entries));
    if (!entries)
        return value_error(ERROR_ARENA_FULL);
    struct value map = {.kind = VALUE_MAP, .entries = entries};
    for (uint32_t i = 0; i < count; i++) {
        struct value key = term_resolved(term->items[2 * i], machine);
        if (key.kind == VALUE_ERROR)
            return key;
        if (!key_is_allowed(key))
            return error_overload_one(key);
        struct value value = term_value(term->items[2 * i + 1], machine);
        if (value.kind != VALUE_ERROR && term->item_optional && term->item_optional[2 * i] &&
            !element_open(&value, machine))
            continue;
        if (value.kind == VALUE_ERROR)
            return value;
        if (map_find(map, key, machine->arena).kind != VALUE_ABSENT)
            return value_error_text(ERROR_NO_OVERLOAD, "repeated key", strlen("repeated key"));
        entries[map.length++] = (struct map_entry){key, value};
    }
    return map;
}

static struct value not_value(const struct term *term, struct machine *machine)
{
    struct value value = term_resolved(term->left, machine);
    if (value.kind == VALUE_BOOL)
        return value_bool(!value.boolean);
    return value.kind == VALUE_ERROR ? value : error_overload_one(value);
}

static struct value equal_value(const struct term *term, struct machine *machine)
{
    struct value left = term_resolved(term->left, machine);
    if (left.kind == VALUE_ERROR)
        return left;
    struct value right = term_resolved(term->right, machine);
    if (right.kind == VALUE_ERROR)
        return right;
    if (left.kind == VALUE_LIST || left.kind == VALUE_MAP)
        charge_search(machine, left);
    struct value same = values_equal(left, right, machine->arena);
    if (same.kind == VALUE_BOOL && term->operator== OPERATOR_NOT_EQUAL)
        return value_bool(!same.boolean);
    return same;
}

static struct value order_value(const struct term *term, struct machine *machine)
{
    struct value left = term_resolved(term->left, machine);
    if (left.kind == VALUE_ERROR)
        return left;
    struct value right = term_resolved(term->right, machine);
    if (right.kind == VALUE_ERROR)
        return right;
    return order_result(term->operator, left, right);
}

static struct value in_value(const struct term *term, struct machine *machine)
{
    struct value left = term_resolved(term->left, machine);
    if (left.kind == VALUE_ERROR)
        return left;
    if (term->kind == TERM_IN_SET)
        return value_bool(key_table_find(term->table, left) != UINT32_MAX);
    struct value right = term_resolved(term->right, machine);
    if (right.kind == VALUE_ERROR)
        return right;
    charge_search(machine, right);
    if (right.kind == VALUE_LIST)
        return list_holds(right, left, machine->arena);
    if (right.kind == VALUE_MAP)
        return value_bool(map_find(right, left, machine->arena).kind != VALUE_ABSENT);
    return error_overload(left, right);
}

/* && (or ||, with `deciding` true): one deciding operand decides over any error; else the first
 * error, else the other bool. */
static struct value logic_value(const struct term *term, struct machine *machine, bool deciding)
{
    struct value error = {0};
    for (uint32_t i = 0; i < term->item_count; i++) {
        struct value value = term_resolved(term->items[i], machine);
        if (value.kind == VALUE_BOOL) {
            if (value.boolean == deciding)
                return value;
            continue;
        }
        if (value_is_hard_error(value))
            return value;
        if (error.kind == VALUE_ABSENT)
            error = value.kind == VALUE_ERROR ? value : error_overload_one(value);
    }
    return error.kind == VALUE_ERROR ? error : value_bool(!deciding);
}

static struct value conditional_value(const struct term *term, struct machine *machine)
{
    struct value condition = term_resolved(term->left, machine);
    if (condition.kind != VALUE_BOOL)
        return condition.kind == VALUE_ERROR ? condition : error_overload_one(condition);
    return term_value(condition.boolean ? term->right : term->third, machine);
}

static struct value coalesce_value(const struct term *term, struct machine *machine)
{
    for (uint32_t i = 0; i < term->item_count; i++) {
        struct value value = term_value(term->items[i], machine);
        bool is_null = value.kind == VALUE_RAW ? value_raw_kind(value) == VALUE_NULL
                                               : value.kind == VALUE_NULL;
        if (!is_null)
            return value;
    }
    return value_null();
}

static struct value bind_value(const struct term *term, struct machine *machine)
{
    /* An error is kept in the variable and counts only where that is read: as good as lazy. */
    struct value bound = term_value(term->left, machine);
    if (value_is_hard_error(bound))
        return bound;
    machine->evaluator->slots[term->column] = bound;
    return term_value(term->right, machine);
}

static struct value matches_value(const struct term *term, struct machine *machine)
{
    struct call call = {machine->arena, machine->evaluator};
    return text_matches(&call, term->regex, term_resolved(term->left, machine));
}

static struct value or_else_value(const struct term *term, struct machine *machine)
{
    struct value optional = term_resolved(term->left, machine);
    if (optional.kind != VALUE_OPTIONAL)
        return optional.kind == VALUE_ERROR ? optional : error_overload_one(optional);
    if (optional.length)
        return term->unwrap ? optional.items[0] : optional;
    struct value other = term_value(term->right, machine);
    if (term->unwrap || other.kind == VALUE_OPTIONAL || other.kind == VALUE_ERROR)
        return other;
    return error_overload(optional, value_open(other, machine->arena));
}

static struct value optional_map_value(const struct term *term, struct machine *machine)
{
    struct value optional = term_resolved(term->left, machine);
    if (optional.kind != VALUE_OPTIONAL)
        return optional.kind == VALUE_ERROR ? optional : error_overload_one(optional);
    if (optional.length == 0)
        return optional;
    machine->evaluator->slots[term->column] = optional.items[0];
    struct value made = term_value(term->right, machine);
    if (made.kind == VALUE_ERROR || (term->unwrap && made.kind == VALUE_OPTIONAL))
        return made;
    if (term->unwrap)
        return error_overload_one(value_open(made, machine->arena));
    return optional_of(machine->arena, made);
}

static struct value arithmetic_value(const struct term *term, struct machine *machine)
{
    struct value left = term_resolved(term->left, machine);
    if (left.kind == VALUE_ERROR)
        return left;
    struct value right = term_resolved(term->right, machine);
    return value_arithmetic(term->operator, left, right, term->mixed, machine->arena);
}

struct value term_value(const struct term *term, struct machine *machine)
{
    switch ((enum term_kind)term->kind) {
    case TERM_CONSTANT:
    case TERM_COLUMN:
        return absent_to_null(path_value(term, machine));
    case TERM_VARIABLE:
        return machine->evaluator->slots[term->column];
    case TERM_SELECT:
        return select_value(term, machine);
    case TERM_INDEX:
        return index_value(term, machine);
    case TERM_CALL:
        return call_value(term, machine);
    case TERM_LIST:
        return list_value(term, machine);
    case TERM_MAP:
        return map_value(term, machine);
    case TERM_NOT:
        return not_value(term, machine);
    case TERM_NEGATE:
        return value_negate(term_resolved(term->left, machine));
    case TERM_ARITHMETIC:
        return arithmetic_value(term, machine);
    case TERM_EQUAL:
        return equal_value(term, machine);
    case TERM_ORDER:
        return order_value(term, machine);
    case TERM_IN:
    case TERM_IN_SET:
        return in_value(term, machine);
    case TERM_AND:
        return logic_value(term, machine, false);
    case TERM_OR:
        return logic_value(term, machine, true);
    case TERM_CONDITIONAL:
        return conditional_value(term, machine);
    case TERM_HAS:
        return has_value(term, machine);
    case TERM_MACRO:
        return term_macro(term, machine);
    case TERM_BIND:
        return bind_value(term, machine);
    case TERM_COALESCE:
        return coalesce_value(term, machine);
    case TERM_MATCHES:
        return matches_value(term, machine);
    case TERM_OR_ELSE:
        return or_else_value(term, machine);
    case TERM_OPTIONAL_MAP:
        return optional_map_value(term, machine);
    }
    CHECK(!"a kind of term");
    return value_null();
}

struct value term_resolved(const struct term *term, struct machine *machine)
{
    if (term->kind == TERM_COLUMN)
        return cell_resolved(machine->evaluation, term->column, machine->row);
    return value_open(term_value(term, machine), machine->arena);
}

struct value expression_row(const struct expression *expression, struct evaluation *evaluation,
                            uint32_t row)
{
    struct machine machine = {evaluation, evaluation->evaluator, evaluation->arena, row};
    return private_error(expression, term_value(expression->root, &machine));
}
