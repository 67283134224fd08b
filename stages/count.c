/* count: the number of records, for each combination of keys. Serial: one thread, in input order.
 * Keys and groups live in the stage's own arena, bounded by its line in the memory plan; a run with
 * more groups than that holds fails rather than counting wrong. */
#include <string.h>

#include "core/raw.h"
#include "lang/scope.h"
#include "stages/stages.h"
#include "stages/state.h"

#define COUNT_MAX_KEYS 32

struct group {
    struct group *next; /* in order of first appearance */
    uint64_t hash;
    uint64_t count;
    struct value
        keys[]; /* key_count resolved keys, then as many to show (raw numbers as written) */
};

struct count_stage {
    struct stage stage;
    struct moves moves;
    uint32_t key_count;
    uint32_t keys[COUNT_MAX_KEYS];        /* columns read */
    uint32_t columns[COUNT_MAX_KEYS + 1]; /* columns made: keys, then the count */
    uint64_t total;                       /* without keys */
    size_t memory;                        /* for both arenas together */
    struct arena arena;                   /* groups and their text */
    struct arena table_arena;             /* just the table, so that it grows where it is */
    struct group **table;                 /* by hash, open addressing */
    size_t table_size;
    size_t group_count;
    struct group *first, **last; /* the groups in order of first appearance */
    struct group *unmade;        /* the first that no record was made for */
    bool finishing;
    size_t emitted;
};

static const struct option_spec count_options[] = {
    {"by", OPTION_KEYWORD, OPTION_POSITIONAL | OPTION_WITH_NEXT, NULL, NULL, ""},
    {"keys", OPTION_SELECTIONS, OPTION_POSITIONAL, NULL, NULL,
     "a record is made for each combination of these, in order of first appearance"},
    {0},
};

static const struct noun count_noun = {
    .name = "count",
    .doc = "Counts the records, for each combination of keys; the number is field `count`",
    .example = "count by carrier, late = dep_delay > 60",
    .options = count_options,
};

static void count_close(struct stage *stage)
{
    struct count_stage *count = (struct count_stage *)stage;
    if (count) {
        arena_close(&count->table_arena);
        arena_close(&count->arena);
    }
    stage_free(stage);
}

static bool count_plan(struct stage_context *context, struct count_stage *count)
{
    const struct option_value *keys = option_find(context->options, "keys");
    struct string names[COUNT_MAX_KEYS + 1];
    if (keys && keys->item_count > COUNT_MAX_KEYS)
        return diagnostics_error(context->diagnostics, keys->span, "more than %d keys",
                                 COUNT_MAX_KEYS);
    if (keys && !scope_select(context->scope, keys->items, keys->item_count))
        return false;
    const struct shape *shape = keys ? scope_shape(context->scope) : NULL;
    for (uint32_t i = 0; shape && i < shape->field_count; i++) {
        names[i] = shape->fields[i].name;
        count->keys[i] = shape->fields[i].column;
        if (string_equal(names[i], STRING("count")))
            return diagnostics_error(context->diagnostics, keys->span,
                                     "a key cannot be called \"count\"; write NAME = count");
        count->key_count++;
    }
    count->moves = scope_take_moves(context->scope);
    names[count->key_count] = STRING("count");
    return scope_replace(context->scope, names, count->key_count + 1, count->columns);
}

static bool count_open(struct stage_context *context, struct stage **stage)
{
    struct error error;
    struct count_stage *count = stage_make(context, &stage_count, sizeof(*count));
    if (!count || !count_plan(context, count))
        goto failed;
    count->memory = context->memory;
    count->last = &count->first;
    if (!arena_open(&count->arena, context->memory, context->memory, &error) ||
        !arena_open(&count->table_arena, context->memory, context->memory, &error)) {
        diagnostics_memory(context->diagnostics, context->options->span);
        goto failed;
    }
    *stage = &count->stage;
    return true;
failed:
    count_close(count ? &count->stage : NULL);
    return false;
}

/* A copy that outlives the batch. False: the stage's memory is full. */
static bool value_keep(struct value *value, struct arena *arena)
{
    if (value->kind == VALUE_STRING || value->kind == VALUE_BYTES || value->kind == VALUE_RAW) {
        const char *copy = arena_copy_text(arena, (struct string){value->text, value->length});
        value->text = copy;
        return copy != NULL;
    }
    return true;
}

/* The key of a row as compared and as shown. False: an arena is full. */
static bool key_read(struct value cell, struct value *key, struct value *shown, struct arena *arena)
{
    *shown = cell.kind == VALUE_ABSENT ? value_null() : cell;
    *key = value_resolve(*shown, arena);
    if (key->kind == VALUE_ERROR && key->code == ERROR_ARENA_FULL)
        return false;
    if (key->kind == VALUE_LIST || key->kind == VALUE_MAP) {
        if (cell.kind == VALUE_RAW) {
            *key = *shown; /* compared by value all the same: value_equal looks inside */
            return true;
        }
        struct buffer buffer = {.data = arena->base + arena->used,
                                .limit = arena->limit - arena->used};
        const char *reason;
        if (buffer.limit <= BUFFER_SLACK)
            return false;
        buffer.limit -= BUFFER_SLACK;
        if (value_write_json(*key, &buffer, &reason) != JSON_DONE)
            return false;
        arena->used += buffer.length;
        *key = *shown = value_raw(buffer.data, buffer.length);
    }
    if (key->kind != VALUE_DOUBLE)
        *shown = *key;
    return true;
}

static void table_add(struct count_stage *count, struct group *group)
{
    size_t at = group->hash & (count->table_size - 1);
    while (count->table[at])
        at = (at + 1) & (count->table_size - 1);
    count->table[at] = group;
}

/* Doubles the table where it is: it lies alone in its arena, and what it takes the groups cannot
 * have. False: the memory is full. */
static bool table_grow(struct count_stage *count)
{
    size_t size = count->table_size ? count->table_size * 2 : 1024;
    size_t bytes = size * sizeof(struct group *);
    if (bytes > count->memory - count->arena.used)
        return false;
    CHECK(arena_take(&count->table_arena, bytes - count->table_arena.used));
    count->arena.limit = count->memory - bytes;
    count->table = (struct group **)count->table_arena.base;
    count->table_size = size;
    memset(count->table, 0, bytes);
    for (struct group *group = count->first; group; group = group->next)
        table_add(count, group);
    return true;
}

/* The kept key itself where it looks as it compares. */
static bool shown_keep(struct value *shown, const struct value *given, const struct value *kept,
                       struct arena *arena)
{
    bool same = shown->kind == given->kind && shown->text == given->text;
    if (same)
        *shown = *kept;
    return same || value_keep(shown, arena);
}

static struct group *group_make(struct count_stage *count, const struct value *keys,
                                const struct value *shown, uint64_t hash)
{
    if (count->group_count >= count->table_size / 4 * 3 && !table_grow(count))
        return NULL;
    uint32_t n = count->key_count;
    struct group *group = arena_take(&count->arena, sizeof(*group) + 2 * n * sizeof(struct value));
    if (!group)
        return NULL;
    *group = (struct group){.hash = hash};
    for (uint32_t i = 0; i < n; i++) {
        group->keys[i] = keys[i];
        group->keys[n + i] = shown[i];
        if (!value_keep(&group->keys[i], &count->arena) ||
            !shown_keep(&group->keys[n + i], &keys[i], &group->keys[i], &count->arena))
            return NULL;
    }
    table_add(count, group);
    count->group_count++;
    *count->last = group;
    count->last = &group->next;
    return group;
}

static struct group *group_find(const struct count_stage *count, const struct value *keys,
                                uint64_t hash, struct arena *arena)
{
    if (!count->table)
        return NULL;
    for (size_t at = hash & (count->table_size - 1); count->table[at];
         at = (at + 1) & (count->table_size - 1)) {
        struct group *group = count->table[at];
        bool equal = group->hash == hash;
        for (uint32_t i = 0; equal && i < count->key_count; i++)
            equal = value_equal(group->keys[i], keys[i], arena);
        if (equal)
            return group;
    }
    return NULL;
}

static enum stage_result count_row(struct count_stage *count, struct batch *batch, uint32_t row,
                                   struct error *error)
{
    struct value keys[COUNT_MAX_KEYS], shown[COUNT_MAX_KEYS];
    uint64_t hash = 0;
    for (uint32_t i = 0; i < count->key_count; i++) {
        if (!key_read(batch->columns[count->keys[i]].cells[row], &keys[i], &shown[i],
                      &batch->arena))
            return STAGE_SPLIT;
        hash = value_hash(keys[i], hash + i, &batch->arena);
    }
    struct group *group = group_find(count, keys, hash, &batch->arena);
    if (!group && !(group = group_make(count, keys, shown, hash))) {
        error_set(error, ERROR_MEMORY,
                  "count: %zu groups fill the %zu MiB that it may use; raise --memory",
                  count->group_count, count->memory >> 20);
        return STAGE_FAIL;
    }
    group->count++;
    return STAGE_OK;
}

static enum stage_result count_batch(struct stage *stage, struct evaluator *evaluator,
                                     struct batch *batch, struct error *error)
{
    struct count_stage *count = (struct count_stage *)stage;
    if (!moves_apply(&count->moves, evaluator, batch, stage->index))
        return STAGE_SPLIT;
    uint32_t done = 0;
    for (; count->key_count && done < batch->row_count; done++) {
        size_t mark = arena_mark(&batch->arena);
        enum stage_result result = count_row(count, batch, batch->rows[done], error);
        if (result == STAGE_SPLIT && done > 0)
            break; /* those counted stay counted: the others come again */
        if (result != STAGE_OK)
            return result;
        arena_rewind(&batch->arena, mark);
    }
    if (!count->key_count)
        done = batch->row_count;
    if (done < batch->row_count) {
        batch->rest = batch->rows + done;
        batch->rest_count = batch->row_count - done;
    }
    count->total += done;
    batch->counts[stage->index].absorbed += done;
    batch->row_count = 0;
    return STAGE_OK;
}

static enum stage_result count_finish(struct stage *stage, struct batch *batch, struct error *error)
{
    (void)error;
    struct count_stage *count = (struct count_stage *)stage;
    uint32_t n = count->key_count;
    if (!count->finishing)
        count->unmade = count->first;
    count->finishing = true;
    size_t left = (n ? count->group_count : 1) - count->emitted;
    size_t fits = batch->arena.limit / 4 / ((n + 2) * sizeof(struct value));
    batch->record_count = (uint32_t)size_min(left, size_min(fits, BATCH_MAX_RECORDS));
    batch->rows = arena_take(&batch->arena, (batch->record_count + 1) * sizeof(*batch->rows));
    CHECK(batch->rows);
    for (uint32_t i = 0; i <= n; i++)
        CHECK(batch_column_make(batch, count->columns[i]));
    for (uint32_t row = 0; row < batch->record_count; row++) {
        const struct group *group = n ? count->unmade : NULL;
        for (uint32_t i = 0; i < n; i++)
            batch->columns[count->columns[i]].cells[row] = group->keys[n + i];
        batch->columns[count->columns[n]].cells[row] =
            value_int((int64_t)(group ? group->count : count->total));
        count->unmade = group ? group->next : NULL;
        batch->rows[row] = row;
    }
    batch->row_count = batch->record_count;
    batch->counts[stage->index].created += batch->row_count;
    count->emitted += batch->row_count;
    return left > batch->row_count ? STAGE_MORE : STAGE_OK;
}

static bool count_save(struct stage *stage, struct buffer *buffer)
{
    const struct count_stage *count = (const struct count_stage *)stage;
    bool good =
        state_write_number(buffer, count->total) && state_write_number(buffer, count->group_count);
    for (const struct group *group = count->first; group && good; group = group->next) {
        good = state_write_number(buffer, group->count);
        for (uint32_t i = 0; i < 2 * count->key_count && good; i++)
            good = state_write_value(buffer, group->keys[i]);
    }
    return good;
}

static bool count_restore(struct stage *stage, struct string state, struct error *error)
{
    struct count_stage *count = (struct count_stage *)stage;
    struct state_reader reader = {.left = state};
    count->total = state_read_number(&reader);
    uint64_t groups = state_read_number(&reader);
    for (uint64_t i = 0; i < groups && !reader.wrong; i++) {
        struct value keys[2 * COUNT_MAX_KEYS];
        uint64_t times = state_read_number(&reader), hash = 0;
        for (uint32_t j = 0; j < 2 * count->key_count; j++)
            keys[j] = state_read_value(&reader);
        for (uint32_t j = 0; j < count->key_count; j++)
            hash = value_hash(keys[j], hash + j, &count->arena);
        struct group *group =
            reader.wrong ? NULL : group_make(count, keys, keys + count->key_count, hash);
        if (!group && !reader.wrong)
            return error_set(error, ERROR_MEMORY, "its groups need more memory; raise --memory");
        if (group)
            group->count = times;
    }
    return state_read_end(&reader, error);
}

const struct stage_ops stage_count = {
    .noun = &count_noun,
    .traits = STAGE_SERIAL,
    .open = count_open,
    .close = count_close,
    .batch = count_batch,
    .finish = count_finish,
    .save = count_save,
    .restore = count_restore,
};
