/* The batch evaluator: walks the tree once for each chunk of rows, each term giving a dense array
 * of values, one for each selected row. Operands live in the evaluator's buffers, which stay in the
 * first cache. What has no loop of its own here is done by the row evaluator, row after row; so is
 * everything when the buffers run out. On the thread that owns the batch. */
#include <string.h>

#include "lang/eval_chunk.h"

struct chunk {
    struct machine machine;
    const uint32_t *rows;
    uint32_t count;
};

/* Each gives false when the arena is full. */
static bool chunk_value(const struct term *term, struct chunk *chunk, struct value *out);
static bool chunk_resolved(const struct term *term, struct chunk *chunk, struct value *out);

static struct value *buffer_take(struct evaluator *evaluator)
{
    if (evaluator->buffers_used == CHUNK_BUFFERS)
        return NULL;
    return evaluator->buffers + (size_t)CHUNK_ROWS * evaluator->buffers_used++;
}

static bool chunk_by_rows(const struct term *term, struct chunk *chunk, struct value *out)
{
    for (uint32_t i = 0; i < chunk->count; i++) {
        chunk->machine.row = chunk->rows[i];
        out[i] = term_value(term, &chunk->machine);
        if (value_is_hard_error(out[i]))
            return false;
    }
    return true;
}

/* A constant is not spread over an array; anything else goes to `room`. */
static bool operand_load(const struct term *term, struct chunk *chunk, struct value *room,
                         struct operand *operand)
{
    if (term->kind == TERM_CONSTANT && term->constant.kind != VALUE_ABSENT) {
        *operand = (struct operand){&term->constant, 0};
        return true;
    }
    *operand = (struct operand){room, 1};
    return chunk_resolved(term, chunk, room);
}

static bool chunk_binary(const struct term *term, struct chunk *chunk, struct value *out)
{
    struct value *room = buffer_take(chunk->machine.evaluator);
    if (!room)
        return chunk_by_rows(term, chunk, out);
    struct operand left, right;
    struct arena *arena = chunk->machine.arena;
    if (!operand_load(term->left, chunk, out, &left) ||
        !operand_load(term->right, chunk, room, &right))
        return false;
    switch (term->kind) {
    case TERM_ORDER:
        chunk_order(term->operator, left, right, chunk->count, out);
        break;
    case TERM_EQUAL:
        chunk_equal(term->operator== OPERATOR_NOT_EQUAL, left, right, chunk->count, arena, out);
        break;
    default:
        chunk_arithmetic(term->operator, term->mixed, left, right, chunk->count, arena, out);
    }
    return true;
}

static struct value not_bool(struct value value)
{
    return value.kind == VALUE_ERROR ? value : error_overload_one(value);
}

static bool chunk_unary(const struct term *term, struct chunk *chunk, struct value *out)
{
    if (!chunk_resolved(term->left, chunk, out))
        return false;
    for (uint32_t i = 0; i < chunk->count; i++) {
        if (term->kind == TERM_NEGATE)
            out[i] = value_negate(out[i]);
        else
            out[i] = out[i].kind == VALUE_BOOL ? value_bool(!out[i].boolean) : not_bool(out[i]);
    }
    return true;
}

/* Rows of a chunk that are still to be looked at: a selection, and where its results go. */
struct selection {
    uint32_t *rows;
    uint32_t *places;
    uint32_t count;
};

_Static_assert(sizeof(struct value) >= 2 * sizeof(uint32_t), "a buffer holds rows and places");

static bool selection_take(struct evaluator *evaluator, struct selection *selection)
{
    uint32_t *numbers = (uint32_t *)buffer_take(evaluator);
    if (!numbers)
        return false;
    *selection = (struct selection){numbers, numbers + CHUNK_ROWS, 0};
    return true;
}

/* Evaluates a term for a selection of a chunk's rows into a buffer of its own. */
static bool selection_value(const struct term *term, const struct chunk *chunk,
                            const struct selection *selection, bool resolved, struct value *out)
{
    struct chunk part = {chunk->machine, selection->rows, selection->count};
    return resolved ? chunk_resolved(term, &part, out) : chunk_value(term, &part, out);
}

static bool is_decided(struct value value, bool deciding)
{
    return value.kind == VALUE_BOOL && value.boolean == deciding;
}

/* && and ||: what the first operands did not decide is asked of the next; an error stays until a
 * later operand decides. */
static bool chunk_logic(const struct term *term, struct chunk *chunk, struct value *out)
{
    bool deciding = term->kind == TERM_OR;
    struct value *next = buffer_take(chunk->machine.evaluator);
    struct selection rest;
    if (!next || !selection_take(chunk->machine.evaluator, &rest))
        return chunk_by_rows(term, chunk, out);
    if (!chunk_resolved(term->items[0], chunk, out))
        return false;
    for (uint32_t i = 0; i < chunk->count; i++) {
        if (UNLIKELY(out[i].kind != VALUE_BOOL))
            out[i] = not_bool(out[i]);
        rest.rows[rest.count] = chunk->rows[i];
        rest.places[rest.count] = i;
        rest.count += !is_decided(out[i], deciding);
    }
    for (uint32_t item = 1; item < term->item_count && rest.count; item++) {
        if (!selection_value(term->items[item], chunk, &rest, true, next))
            return false;
        uint32_t left = 0;
        for (uint32_t i = 0; i < rest.count; i++) {
            struct value *result = &out[rest.places[i]];
            bool decided = is_decided(next[i], deciding);
            if (decided || (next[i].kind != VALUE_BOOL && result->kind == VALUE_BOOL))
                *result = decided ? next[i] : not_bool(next[i]);
            rest.rows[left] = rest.rows[i];
            rest.places[left] = rest.places[i];
            left += !decided;
        }
        rest.count = left;
    }
    return true;
}

static bool chunk_branch(const struct term *branch, const struct chunk *chunk,
                         const struct selection *selection, struct value *room, struct value *out)
{
    if (selection->count == 0)
        return true;
    if (!selection_value(branch, chunk, selection, false, room))
        return false;
    for (uint32_t i = 0; i < selection->count; i++)
        out[selection->places[i]] = room[i];
    return true;
}

static bool chunk_conditional(const struct term *term, struct chunk *chunk, struct value *out)
{
    struct evaluator *evaluator = chunk->machine.evaluator;
    struct value *room = buffer_take(evaluator);
    struct selection yes, no;
    if (!room || !selection_take(evaluator, &yes) || !selection_take(evaluator, &no))
        return chunk_by_rows(term, chunk, out);
    if (!chunk_resolved(term->left, chunk, out))
        return false;
    for (uint32_t i = 0; i < chunk->count; i++) {
        if (out[i].kind != VALUE_BOOL) {
            out[i] = not_bool(out[i]);
            continue;
        }
        struct selection *selection = out[i].boolean ? &yes : &no;
        selection->rows[selection->count] = chunk->rows[i];
        selection->places[selection->count++] = i;
    }
    return chunk_branch(term->right, chunk, &yes, room, out) &&
           chunk_branch(term->third, chunk, &no, room, out);
}

#define CALL_OPERANDS 4

static bool chunk_call(const struct term *term, struct chunk *chunk, struct value *out)
{
    struct operand operands[CALL_OPERANDS];
    if (term->item_count > CALL_OPERANDS || term->item_count == 0)
        return chunk_by_rows(term, chunk, out);
    for (uint32_t i = 0; i < term->item_count; i++) {
        struct value *room = i == 0 ? out : buffer_take(chunk->machine.evaluator);
        if (!room)
            return chunk_by_rows(term, chunk, out);
        if (!operand_load(term->items[i], chunk, room, &operands[i]))
            return false;
    }
    if (term->function->body == function_starts_with && operands[0].step && operands[1].step == 0 &&
        operands[1].values->kind == VALUE_STRING) {
        chunk_starts_with(operands[0].values, *operands[1].values, chunk->count, out);
        return true;
    }
    struct call call = {chunk->machine.arena, chunk->machine.evaluator};
    for (uint32_t row = 0; row < chunk->count; row++) {
        struct value arguments[CALL_OPERANDS];
        const struct value *error = NULL;
        for (uint32_t i = term->item_count; i-- > 0;) {
            arguments[i] = operands[i].values[row * operands[i].step];
            if (UNLIKELY(arguments[i].kind == VALUE_ERROR))
                error = &arguments[i];
        }
        out[row] = error ? *error : term->function->body(&call, arguments, term->item_count);
        if (UNLIKELY(value_is_hard_error(out[row])))
            return false;
    }
    return true;
}

static bool chunk_matches(const struct term *term, struct chunk *chunk, struct value *out)
{
    if (!chunk_resolved(term->left, chunk, out))
        return false;
    struct call call = {chunk->machine.arena, chunk->machine.evaluator};
    for (uint32_t i = 0; i < chunk->count; i++)
        out[i] = text_matches(&call, term->regex, out[i]);
    return true;
}

static bool chunk_in_set(const struct term *term, struct chunk *chunk, struct value *out)
{
    if (!chunk_resolved(term->left, chunk, out))
        return false;
    for (uint32_t i = 0; i < chunk->count; i++) {
        if (out[i].kind != VALUE_ERROR)
            out[i] = value_bool(key_table_find(term->table, out[i]) != UINT32_MAX);
    }
    return true;
}

static void chunk_cells(const struct term *term, struct chunk *chunk, struct value *out)
{
    const struct value *cells = chunk->machine.evaluation->columns[term->column].cells;
    for (uint32_t i = 0; i < chunk->count; i++) {
        out[i] = cells ? cells[chunk->rows[i]] : value_null();
        if (out[i].kind == VALUE_ABSENT)
            out[i] = value_null();
    }
}

static bool chunk_plain(const struct term *term, struct chunk *chunk, struct value *out)
{
    switch ((enum term_kind)term->kind) {
    case TERM_COLUMN:
        chunk_cells(term, chunk, out);
        return true;
    case TERM_NOT:
    case TERM_NEGATE:
        return chunk_unary(term, chunk, out);
    case TERM_ARITHMETIC:
    case TERM_EQUAL:
    case TERM_ORDER:
        return chunk_binary(term, chunk, out);
    case TERM_AND:
    case TERM_OR:
        return chunk_logic(term, chunk, out);
    case TERM_CONDITIONAL:
        return chunk_conditional(term, chunk, out);
    case TERM_CALL:
        return chunk_call(term, chunk, out);
    case TERM_MATCHES:
        return chunk_matches(term, chunk, out);
    case TERM_IN_SET:
        return chunk_in_set(term, chunk, out);
    default:
        return chunk_by_rows(term, chunk, out);
    }
}

static bool chunk_value(const struct term *term, struct chunk *chunk, struct value *out)
{
    struct evaluator *evaluator = chunk->machine.evaluator;
    unsigned used = evaluator->buffers_used;
    bool good = chunk_plain(term, chunk, out);
    evaluator->buffers_used = used;
    return good;
}

static bool chunk_resolved(const struct term *term, struct chunk *chunk, struct value *out)
{
    if (term->kind == TERM_COLUMN)
        return cells_resolve(chunk->machine.evaluation, term->column, chunk->rows, chunk->count,
                             out);
    if (!chunk_value(term, chunk, out))
        return false;
    for (uint32_t i = 0; i < chunk->count; i++) {
        if (UNLIKELY(out[i].kind == VALUE_RAW))
            out[i] = value_open(out[i], chunk->machine.arena);
        if (UNLIKELY(value_is_hard_error(out[i])))
            return false;
    }
    return true;
}

/* One chunk: straight into the results where its rows are neighbours. */
static bool batch_chunk(const struct term *root, struct chunk *chunk, struct value *results)
{
    struct evaluator *evaluator = chunk->machine.evaluator;
    evaluator->buffers_used = 0;
    bool neighbours = chunk->rows[chunk->count - 1] - chunk->rows[0] == chunk->count - 1;
    struct value *out = neighbours ? results + chunk->rows[0] : buffer_take(evaluator);
    if (!chunk_value(root, chunk, out))
        return false;
    for (uint32_t i = 0; i < chunk->count; i++) {
        if (UNLIKELY(value_is_hard_error(out[i])))
            return false;
        if (!neighbours)
            results[chunk->rows[i]] = out[i];
    }
    return true;
}

bool expression_batch(const struct expression *expression, struct evaluation *evaluation,
                      const uint32_t *rows, uint32_t row_count, struct value *results)
{
    struct machine machine = {evaluation, evaluation->evaluator, evaluation->arena, 0};
    if (evaluation->evaluator->row_only) {
        for (uint32_t i = 0; i < row_count; i++) {
            results[rows[i]] = expression_row(expression, evaluation, rows[i]);
            if (value_is_hard_error(results[rows[i]]))
                return false;
        }
        return true;
    }
    for (uint32_t done = 0; done < row_count; done += CHUNK_ROWS) {
        uint32_t left = row_count - done;
        struct chunk chunk = {machine, rows + done, left < CHUNK_ROWS ? left : CHUNK_ROWS};
        if (!batch_chunk(expression->root, &chunk, results))
            return false;
    }
    for (uint32_t i = 0; expression->is_private && i < row_count; i++)
        results[rows[i]] = private_error(expression, results[rows[i]]);
    return true;
}
