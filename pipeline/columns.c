/* Fixing columns from the first record: see columns.h. */
#include "pipeline/columns.h"

#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "core/raw.h"
#include "core/record.h"
#include "stages/state.h"

struct columns_state {
    struct stage stage;
    const struct shape *open_shape;
    struct shape shape;
    struct shape_field *fields;
    uint32_t first_column;
    struct arena names;
    bool fixed; /* written by `columns` before a batch is handed on; read behind the queue */
};

struct fill_stage {
    struct stage stage;
    struct columns_state *columns;
};

static const struct option_spec no_options[] = {{0}};
static const struct noun columns_noun = {.name = "first_record",
                                         .doc = "Takes the columns from the first record",
                                         .options = no_options};
static const struct noun fill_noun = {
    .name = "columns", .doc = "Brings records into columns", .options = no_options};

static bool field_fix(struct columns_state *columns, uint32_t index,
                      const struct record_field *field, struct error *error)
{
    char *json = arena_take_aligned(&columns->names, field->name_length + 4, 1);
    if (!json)
        return error_set(error, ERROR_MEMORY, "the names of the columns need too much memory");
    json[0] = '"';
    memcpy(json + 1, field->name, field->name_length);
    memcpy(json + 1 + field->name_length, "\":", 3);
    struct value name = value_resolve(value_raw(json, field->name_length + 2), &columns->names);
    if (name.kind != VALUE_STRING)
        return error_set(error, ERROR_MEMORY, "the names of the columns need too much memory");
    columns->fields[index] = (struct shape_field){
        .name = {name.text, name.length},
        .json_name = {json, field->name_length + 3},
        .column = columns->first_column + index,
        .anchor = COLUMN_NONE,
    };
    return true;
}

static enum stage_result columns_fix(struct columns_state *columns, struct batch *batch,
                                     struct error *error)
{
    uint32_t row = batch->rows[0];
    uint32_t limit = record_fields_limit(batch, row, columns->open_shape);
    struct record_field *fields = arena_take(&batch->arena, (limit + 1) * sizeof(*fields));
    if (!fields)
        return STAGE_SPLIT;
    uint32_t count = record_fields(batch, row, columns->open_shape, fields);
    if (count > COLUMNS_MOST) {
        error_set(error, ERROR_COLUMNS, "the first record has %u fields; at most %d can be columns",
                  count, COLUMNS_MOST);
        return STAGE_FAIL;
    }
    columns->shape.field_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        bool repeated = false;
        for (uint32_t j = i + 1; j < count && !repeated; j++)
            repeated = string_equal((struct string){fields[i].name, fields[i].name_length},
                                    (struct string){fields[j].name, fields[j].name_length});
        if (repeated)
            continue;
        if (!field_fix(columns, columns->shape.field_count, &fields[i], error))
            return STAGE_FAIL;
        columns->shape.field_count++;
    }
    columns->fixed = true;
    return STAGE_OK;
}

static enum stage_result columns_batch(struct stage *stage, struct evaluator *evaluator,
                                       struct batch *batch, struct error *error)
{
    (void)evaluator;
    struct columns_state *columns = (struct columns_state *)stage;
    if (columns->fixed || batch->row_count == 0)
        return STAGE_OK;
    return columns_fix(columns, batch, error);
}

static void columns_close(struct stage *stage)
{
    struct columns_state *columns = (struct columns_state *)stage;
    if (!columns)
        return;
    free(columns->fields);
    arena_close(&columns->names);
    free(columns);
}

/* The column called so; `hint` is where it was in the record before. */
static uint32_t column_find(const struct shape *shape, const struct record_field *field,
                            uint32_t hint)
{
    for (uint32_t i = 0; i < shape->field_count; i++) {
        uint32_t at = (hint + i) % shape->field_count;
        struct string name = shape->fields[at].json_name;
        if (name.length - 3 == field->name_length &&
            memcmp(name.data + 1, field->name, field->name_length) == 0)
            return at;
    }
    return UINT32_MAX;
}

static enum stage_result fill_row(const struct fill_stage *fill, struct batch *batch, uint32_t row,
                                  struct record_field *fields, bool *keep)
{
    const struct shape *shape = &fill->columns->shape;
    uint32_t count = record_fields(batch, row, fill->columns->open_shape, fields);
    uint32_t hint = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = shape->field_count ? column_find(shape, &fields[i], hint) : UINT32_MAX;
        if (at == UINT32_MAX) {
            *keep = false;
            return batch_reject(batch, row, fill->stage.index, ERROR_COLUMNS, UINT32_MAX,
                                "the record has field \"%.*s\", which is not among the columns "
                                "of the first record; name them with select",
                                (int)size_min(fields[i].name_length, 100), fields[i].name)
                       ? STAGE_OK
                       : STAGE_SPLIT;
        }
        batch->columns[shape->fields[at].column].cells[row] = fields[i].value;
        hint = at + 1;
    }
    *keep = true;
    return STAGE_OK;
}

static enum stage_result fill_batch(struct stage *stage, struct evaluator *evaluator,
                                    struct batch *batch, struct error *error)
{
    (void)evaluator;
    (void)error;
    const struct fill_stage *fill = (const struct fill_stage *)stage;
    if (batch->row_count == 0)
        return STAGE_OK;
    uint32_t limit = 0, kept = 0;
    for (uint32_t i = 0; i < fill->columns->shape.field_count; i++)
        if (!batch_column_make(batch, fill->columns->shape.fields[i].column))
            return STAGE_SPLIT;
    for (uint32_t i = 0; i < batch->row_count; i++) {
        uint32_t needed = record_fields_limit(batch, batch->rows[i], fill->columns->open_shape);
        limit = needed > limit ? needed : limit;
    }
    struct record_field *fields = arena_take(&batch->arena, (limit + 1) * sizeof(*fields));
    if (!fields)
        return STAGE_SPLIT;
    for (uint32_t i = 0; i < batch->row_count; i++) {
        uint32_t row = batch->rows[i];
        bool keep;
        if (fill_row(fill, batch, row, fields, &keep) != STAGE_OK)
            return STAGE_SPLIT;
        batch->rows[kept] = row;
        kept += keep;
    }
    batch->row_count = kept;
    return STAGE_OK;
}

static void fill_close(struct stage *stage)
{
    free(stage);
}

static bool columns_save(struct stage *stage, struct buffer *buffer)
{
    const struct columns_state *columns = (const struct columns_state *)stage;
    bool good = state_write_number(buffer, columns->fixed) &&
                state_write_number(buffer, columns->shape.field_count);
    for (uint32_t i = 0; i < columns->shape.field_count && good; i++) {
        /* the name as it stood in the record: without quotes and colon */
        struct string json = columns->fields[i].json_name;
        good = state_write_value(buffer, value_string(json.data + 1, json.length - 3));
    }
    return good;
}

static bool columns_restore(struct stage *stage, struct string state, struct error *error)
{
    struct columns_state *columns = (struct columns_state *)stage;
    struct state_reader reader = {.left = state};
    columns->fixed = state_read_number(&reader) != 0;
    uint64_t count = state_read_number(&reader);
    reader.wrong |= count > COLUMNS_MOST;
    for (uint64_t i = 0; i < count && !reader.wrong; i++) {
        struct value name = state_read_value(&reader);
        struct record_field field = {.name = name.text, .name_length = name.length};
        if (!reader.wrong && !field_fix(columns, (uint32_t)i, &field, error))
            return false;
    }
    columns->shape.field_count = (uint32_t)count;
    return state_read_end(&reader, error);
}

static const struct stage_ops columns_ops = {
    .noun = &columns_noun,
    .traits = STAGE_SERIAL,
    .close = columns_close,
    .batch = columns_batch,
    .save = columns_save,
    .restore = columns_restore,
};
static const struct stage_ops fill_ops = {
    .noun = &fill_noun, .close = fill_close, .batch = fill_batch};

bool columns_open(struct scope *scope, const struct shape *open_shape, struct stage **columns,
                  struct stage **fill, struct shape **fixed)
{
    struct error error;
    struct columns_state *state = memory_take_zeroed(1, sizeof(*state));
    struct fill_stage *filler = memory_take_zeroed(1, sizeof(*filler));
    if (state)
        state->fields = memory_take_zeroed(COLUMNS_MOST, sizeof(*state->fields));
    if (!state || !filler || !state->fields ||
        !arena_open(&state->names, 1u << 20, 1u << 20, &error)) {
        columns_close(state ? &state->stage : NULL);
        free(filler);
        return false;
    }
    state->stage.ops = &columns_ops;
    state->open_shape = open_shape;
    state->shape = (struct shape){.closed = true, .fields = state->fields};
    state->first_column = scope_hidden_column(scope);
    for (uint32_t i = 1; i < COLUMNS_MOST; i++)
        scope_hidden_column(scope);
    filler->stage.ops = &fill_ops;
    filler->columns = state;
    scope_want_members(scope);
    *columns = &state->stage;
    *fill = &filler->stage;
    *fixed = &state->shape;
    return true;
}
