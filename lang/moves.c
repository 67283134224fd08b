/* Moves at run time: computed columns, copies and edits of maps over the live rows. Called by
 * workers; touches only their batch. See scope.h. */
#include <string.h>

#include "core/raw.h"
#include "core/record.h"
#include "lang/scope.h"

bool row_reject(struct batch *batch, uint32_t record, uint16_t stage, struct value error)
{
    enum error_code code = error.code;
    if (error.text && error.length)
        return batch_reject(batch, record, stage, code, UINT32_MAX, "%.*s", (int)error.length,
                            error.text);
    return batch_reject(batch, record, stage, code, UINT32_MAX, "%s", error_meaning(code));
}

/* Takes rows whose cell is an error out of the selection. False: arena full. */
static bool errors_reject(struct batch *batch, const struct value *cells, uint16_t stage)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < batch->row_count; i++) {
        uint32_t row = batch->rows[i];
        if (UNLIKELY(cells[row].kind == VALUE_ERROR)) {
            if (cells[row].code == ERROR_ARENA_FULL || !row_reject(batch, row, stage, cells[row]))
                return false;
            continue;
        }
        batch->rows[kept++] = row;
    }
    batch->row_count = kept;
    return true;
}

static bool move_evaluate(const struct move *move, struct evaluator *evaluator, struct batch *batch,
                          struct value *cells)
{
    struct evaluation evaluation = {
        .columns = batch->columns,
        .record_count = batch->record_count,
        .arena = &batch->arena,
        .evaluator = evaluator,
    };
    if (!expression_batch(move->expression, &evaluation, batch->rows, batch->row_count, cells))
        return false;
    for (uint32_t i = 0; i < batch->row_count; i++)
        if (cells[batch->rows[i]].kind == VALUE_ABSENT)
            cells[batch->rows[i]] = value_null();
    return true;
}

/* A resolved map with room for one more entry, as a fresh copy that may be changed. */
static struct map_entry *map_copy(struct value map, struct arena *arena)
{
    struct map_entry *entries = arena_take(arena, (map.length + 1) * sizeof(*entries));
    if (entries && map.length)
        memcpy(entries, map.entries, map.length * sizeof(*entries));
    return entries;
}

static uint32_t map_find(const struct map_entry *entries, uint32_t count, struct string name)
{
    for (uint32_t i = count; i-- > 0;)
        if (entries[i].key.kind == VALUE_STRING &&
            string_equal((struct string){entries[i].key.text, entries[i].key.length}, name))
            return i;
    return UINT32_MAX;
}

/* Removes all entries called `name` but the one at `keep`. */
static uint32_t map_remove(struct map_entry *entries, uint32_t count, struct string name,
                           uint32_t keep)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++)
        if (i == keep || map_find(&entries[i], 1, name) == UINT32_MAX)
            entries[kept++] = entries[i];
    return kept;
}

static struct value map_make(struct map_entry *entries, uint32_t count)
{
    struct value map = {.kind = VALUE_MAP, .length = count};
    map.entries = entries;
    return map;
}

/* `base` resolved to a map; null and absent are an empty one. */
static struct value map_open(struct value base, struct arena *arena)
{
    if (base.kind == VALUE_RAW)
        base = value_resolve(base, arena);
    if (base.kind == VALUE_ABSENT || base.kind == VALUE_NULL)
        return map_make(NULL, 0);
    if (base.kind == VALUE_MAP || base.kind == VALUE_ERROR)
        return base;
    return value_error_text(ERROR_NOT_A_MAP, STRING("a field can be set in a map only").data,
                            sizeof("a field can be set in a map only") - 1);
}

static struct value map_set(struct value base, const struct string *names, uint32_t count,
                            struct value value, struct arena *arena)
{
    struct value map = map_open(base, arena);
    if (map.kind == VALUE_ERROR)
        return map;
    struct map_entry *entries = map_copy(map, arena);
    if (!entries)
        return value_error(ERROR_ARENA_FULL);
    uint32_t entry_count = map.length;
    uint32_t at = map_find(entries, entry_count, names[0]);
    if (count > 1) {
        struct value inner = at == UINT32_MAX ? value_null() : entries[at].value;
        value = map_set(inner, names + 1, count - 1, value, arena);
        if (value.kind == VALUE_ERROR)
            return value;
    }
    if (at == UINT32_MAX) {
        entries[entry_count++].key = value_string(names[0].data, names[0].length);
        at = entry_count - 1;
    }
    entries[at].value = value;
    return map_make(entries, map_remove(entries, entry_count, names[0], at));
}

/* Removes (rename NULL) or renames the member at the end of the path; what is no map stays as it
 * is. */
static struct value map_change(struct value base, const struct string *names, uint32_t count,
                               const struct string *rename, struct arena *arena)
{
    if (base.kind == VALUE_ABSENT || base.kind == VALUE_ERROR)
        return base;
    struct value map = base.kind == VALUE_RAW ? value_resolve(base, arena) : base;
    if (map.kind != VALUE_MAP)
        return map.kind == VALUE_ERROR ? map : base;
    uint32_t at = map_find(map.entries, map.length, names[0]);
    if (at == UINT32_MAX)
        return base;
    struct map_entry *entries = map_copy(map, arena);
    if (!entries)
        return value_error(ERROR_ARENA_FULL);
    if (count > 1) {
        struct value inner = map_change(entries[at].value, names + 1, count - 1, rename, arena);
        if (inner.kind == VALUE_ERROR)
            return inner;
        entries[at].value = inner;
        return map_make(entries, map.length);
    }
    if (!rename)
        return map_make(entries, map_remove(entries, map.length, names[0], UINT32_MAX));
    entries[at].key = value_string(rename->data, rename->length);
    uint32_t left = map_remove(entries, map.length, names[0], UINT32_MAX);
    at = UINT32_MAX;
    for (uint32_t i = 0; i < left && at == UINT32_MAX; i++)
        if (entries[i].key.text == rename->data)
            at = i;
    return map_make(entries, map_remove(entries, left, *rename, at));
}

static struct value member_read(struct value base, const struct string *names, uint32_t count,
                                struct arena *arena)
{
    for (uint32_t i = 0; i < count && base.kind != VALUE_ERROR; i++)
        base = value_member(base, names[i], arena);
    return base;
}

static struct value move_cell(const struct move *move, struct value from, struct value other,
                              struct arena *arena)
{
    switch (move->kind) {
    case MOVE_COPY:
        return from.kind == VALUE_ABSENT ? value_null() : from;
    case MOVE_EITHER:
        return from.kind == VALUE_ABSENT ? other : from;
    case MOVE_ONLY_IF_ABSENT:
        return from.kind == VALUE_ABSENT ? other : (struct value){.kind = VALUE_ABSENT};
    case MOVE_ONLY_IF_PRESENT:
        return from.kind == VALUE_ABSENT ? from : other;
    case MOVE_SET:
        if (other.kind == VALUE_ERROR)
            return other;
        return map_set(from, move->names, move->name_count,
                       other.kind == VALUE_ABSENT ? value_null() : other, arena);
    case MOVE_REMOVE:
        return map_change(from, move->names, move->name_count, NULL, arena);
    case MOVE_RENAME:
        return map_change(from, move->names, move->name_count, &move->name, arena);
    case MOVE_MEMBER:
        return member_read(from, move->names, move->name_count, arena);
    default:
        CHECK(!"a move of cells");
        return value_null();
    }
}

static const struct value *cells_of(const struct batch *batch, uint32_t column)
{
    return column == COLUMN_NONE ? NULL : batch->columns[column].cells;
}

static bool check_map(struct batch *batch, uint16_t stage)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < batch->row_count; i++) {
        uint32_t row = batch->rows[i];
        struct string text = batch_record_text(batch, row);
        size_t at = 0;
        while (at < text.length && (text.data[at] == ' ' || text.data[at] == '\t' ||
                                    text.data[at] == '\n' || text.data[at] == '\r'))
            at++;
        if (UNLIKELY(at == text.length || text.data[at] != '{')) {
            if (!batch_reject(batch, row, stage, ERROR_NOT_A_MAP, UINT32_MAX,
                              "the record is no object, so it has no fields to change"))
                return false;
            continue;
        }
        batch->rows[kept++] = row;
    }
    batch->row_count = kept;
    return true;
}

static bool move_apply(const struct move *move, struct evaluator *evaluator, struct batch *batch,
                       uint16_t stage)
{
    if (move->kind == MOVE_CHECK_MAP)
        return batch->names || check_map(batch, stage);
    struct value *cells = batch_column_make(batch, move->column);
    if (!cells)
        return false;
    if (move->kind == MOVE_EVALUATE)
        return move_evaluate(move, evaluator, batch, cells) && errors_reject(batch, cells, stage);
    const struct value absent = {.kind = VALUE_ABSENT};
    const struct value *from = cells_of(batch, move->from), *other = cells_of(batch, move->other);
    bool errors = false;
    for (uint32_t i = 0; i < batch->row_count; i++) {
        uint32_t row = batch->rows[i];
        cells[row] = move->kind == MOVE_RECORD
                         ? record_value(batch, row, move->shape, &batch->arena)
                         : move_cell(move, from ? from[row] : absent, other ? other[row] : absent,
                                     &batch->arena);
        errors |= cells[row].kind == VALUE_ERROR;
        if (UNLIKELY(errors && cells[row].code == ERROR_ARENA_FULL &&
                     cells[row].kind == VALUE_ERROR))
            return false;
    }
    /* reading a member may fail where nobody looks at it: only what is written rejects */
    bool quiet = move->kind == MOVE_MEMBER || move->kind == MOVE_EITHER ||
                 move->kind == MOVE_ONLY_IF_ABSENT || move->kind == MOVE_ONLY_IF_PRESENT;
    return !errors || quiet || errors_reject(batch, cells, stage);
}

bool moves_apply(const struct moves *moves, struct evaluator *evaluator, struct batch *batch,
                 uint16_t stage)
{
    for (uint32_t i = 0; i < moves->count; i++)
        if (!move_apply(&moves->items[i], evaluator, batch, stage))
            return false;
    return true;
}
