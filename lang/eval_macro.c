/* Comprehensions of the row evaluator: all, exists, exists_one, map, filter and the forms with two
 * variables. Bounded in steps and memory, counted from the outermost one, so that the batch
 * evaluator (which hands whole comprehensions to this one) agrees. */
#include <string.h>

#include "lang/term.h"

/* Where a comprehension stands. */
struct walk {
    const struct term *term;
    struct machine *machine;
    struct value range; /* LIST or MAP */
    struct value *items;
    struct map_entry *entries;
    uint32_t count; /* of items or entries made; of matches (exists_one) */
    struct value error;
};

static void walk_bind(struct walk *walk, uint32_t index)
{
    struct value first, second = {0};
    if (walk->range.kind == VALUE_LIST) {
        second = walk->range.items[index];
        first = walk->term->pairs ? value_int(index) : second;
    } else {
        first = walk->range.entries[index].key;
        second = walk->range.entries[index].value;
    }
    struct value *slots = walk->machine->evaluator->slots;
    slots[walk->term->column] = first.kind == VALUE_ABSENT ? value_null() : first;
    if (walk->term->pairs)
        slots[walk->term->slot2] = second.kind == VALUE_ABSENT ? value_null() : second;
}

static bool walk_room(struct walk *walk)
{
    const struct term *term = walk->term;
    struct arena *arena = walk->machine->arena;
    if (term->macro == MACRO_MAP || term->macro == MACRO_FILTER ||
        term->macro == MACRO_TRANSFORM_LIST)
        walk->items = arena_take(arena, walk->range.length * sizeof(*walk->items));
    else if (term->macro == MACRO_TRANSFORM_MAP)
        walk->entries = arena_take(arena, walk->range.length * sizeof(*walk->entries));
    else
        return true;
    return walk->items || walk->entries;
}

/* The predicate: 1 true, 0 false, -1 an error is in walk->error. */
static int walk_test(struct walk *walk)
{
    if (!walk->term->right)
        return 1;
    struct value value = term_resolved(walk->term->right, walk->machine);
    if (value.kind == VALUE_BOOL)
        return value.boolean;
    walk->error = value.kind == VALUE_ERROR ? value : error_overload_one(value);
    return -1;
}

/* all (deciding false) and exists (deciding true). */
static struct value walk_decide(struct walk *walk, uint32_t index, bool deciding)
{
    walk_bind(walk, index);
    struct value before = walk->error;
    int test = walk_test(walk);
    if (test < 0) {
        if (value_is_hard_error(walk->error))
            return walk->error;
        if (before.kind == VALUE_ERROR)
            walk->error = before;
    } else if ((test == 1) == deciding) {
        return value_bool(deciding);
    }
    return (struct value){0};
}

/* exists_one, map, filter, transforms: an error or ABSENT (go on). */
static struct value walk_collect(struct walk *walk, uint32_t index)
{
    walk_bind(walk, index);
    int test = walk_test(walk);
    if (test < 0)
        return walk->error;
    if (test == 0)
        return (struct value){0};
    if (walk->term->macro == MACRO_FILTER) {
        walk->items[walk->count++] = walk->machine->evaluator->slots[walk->term->column];
        return (struct value){0};
    }
    if (walk->term->macro == MACRO_EXISTS_ONE) {
        walk->count++;
        return (struct value){0};
    }
    struct value made = term_value(walk->term->third, walk->machine);
    if (made.kind == VALUE_ERROR)
        return made;
    if (walk->entries) {
        struct value key =
            walk->range.kind == VALUE_LIST ? value_int(index) : walk->range.entries[index].key;
        walk->entries[walk->count++] = (struct map_entry){key, made};
    } else {
        walk->items[walk->count++] = made;
    }
    return (struct value){0};
}

static struct value walk_result(const struct walk *walk)
{
    switch ((enum macro_kind)walk->term->macro) {
    case MACRO_ALL:
    case MACRO_EXISTS:
        return walk->error.kind == VALUE_ERROR ? walk->error
                                               : value_bool(walk->term->macro == MACRO_ALL);
    case MACRO_EXISTS_ONE:
        return value_bool(walk->count == 1);
    case MACRO_TRANSFORM_MAP:
        return (struct value){.kind = VALUE_MAP, .length = walk->count, .entries = walk->entries};
    default:
        return (struct value){.kind = VALUE_LIST, .length = walk->count, .items = walk->items};
    }
}

static bool budget_left(struct machine *machine)
{
    struct evaluator *evaluator = machine->evaluator;
    return evaluator->steps++ < STEP_LIMIT &&
           machine->arena->used - evaluator->memory < STEP_MEMORY;
}

static struct value walk_run(struct walk *walk)
{
    if (!walk_room(walk))
        return value_error(ERROR_ARENA_FULL);
    uint8_t macro = walk->term->macro;
    for (uint32_t i = 0; i < walk->range.length; i++) {
        if (!budget_left(walk->machine))
            return value_error(ERROR_LIMIT);
        struct value value = macro == MACRO_ALL || macro == MACRO_EXISTS
                                 ? walk_decide(walk, i, macro == MACRO_EXISTS)
                                 : walk_collect(walk, i);
        if (value.kind != VALUE_ABSENT)
            return value;
    }
    return walk_result(walk);
}

struct value term_macro(const struct term *term, struct machine *machine)
{
    struct evaluator *evaluator = machine->evaluator;
    struct walk walk = {.term = term, .machine = machine};
    walk.range = term_resolved(term->left, machine);
    if (walk.range.kind == VALUE_ERROR)
        return walk.range;
    if (walk.range.kind != VALUE_LIST && walk.range.kind != VALUE_MAP)
        return error_overload_one(walk.range);
    if (evaluator->nesting++ == 0) {
        evaluator->steps = 0;
        evaluator->memory = arena_mark(machine->arena);
    }
    struct value result = walk_run(&walk);
    evaluator->nesting--;
    return result;
}
