/* What one call of csv_locate looks for and where it goes, then the fields themselves, a column or
 * many fields at a time: see csv_locate.h. Called by workers. */
#include "formats/csv_locate.h"

/* ---- what is wanted ---- */

/* The field called `name`, or UINT32_MAX. Fields are mostly asked for in their order: the search
 * begins at `hint`, behind the one found before. */
static uint32_t header_find(const struct field_names *names, struct string name, uint32_t hint)
{
    for (uint32_t i = 0; i < names->count; i++) {
        uint32_t field = hint + i < names->count ? hint + i : hint + i - names->count;
        if (string_equal(names->names[field], name))
            return field;
    }
    return UINT32_MAX;
}

static void wanted_set(struct locator *locator, struct wanted *wanted, uint32_t field,
                       uint32_t node)
{
    const struct field_names *names = locator->batch->names;
    *wanted = (struct wanted){.field = field, .node = node, .type = locator->types[field]};
    wanted->member.name = names->json_names[field].data + 1;
    wanted->member.name_length = (uint32_t)names->json_names[field].length - 3;
    wanted->member.column = node ? locator->projection->nodes[node].column : COLUMN_NONE;
}

/* Every field where members are asked for, else those projected; in either case with their node. */
static bool wanted_make(struct locator *locator)
{
    const struct projection *projection = locator->projection;
    const struct field_names *names = locator->batch->names;
    uint32_t count = projection->members ? names->count : projection->node_count;
    locator->wanted = arena_take(&locator->batch->arena, count * sizeof(struct wanted) + 1);
    if (!locator->wanted)
        return false;
    if (projection->members) {
        locator->wanted_count = names->count;
        for (uint32_t i = 0; i < names->count; i++)
            wanted_set(locator, &locator->wanted[i], i, 0);
    }
    uint32_t node = projection->node_count ? projection->nodes[0].first_child : 0;
    uint32_t hint = 0;
    for (; node; node = projection->nodes[node].next_sibling) {
        uint32_t field = header_find(names, projection->nodes[node].name, hint);
        if (field == UINT32_MAX)
            continue;
        hint = field + 1 < names->count ? field + 1 : 0;
        uint32_t place = projection->members ? field : locator->wanted_count++;
        wanted_set(locator, &locator->wanted[place], field, node);
    }
    return true;
}

static bool types_make(struct locator *locator)
{
    const struct csv *csv = locator->csv;
    const struct field_names *names = locator->batch->names;
    uint8_t *types = arena_take(&locator->batch->arena, names->count + 1);
    if (!types)
        return false;
    memset(types, (int)csv->type, names->count);
    for (uint32_t i = 0; i < csv->type_count; i++) {
        uint32_t field = header_find(names, csv->types[i].name, 0);
        if (field != UINT32_MAX)
            types[field] = (uint8_t)csv->types[i].type;
    }
    for (uint32_t i = 0; i < names->count; i++)
        locator->checked |= csv_type_is_strict(types[i]);
    locator->types = types;
    return true;
}

/* Records are located whole where all members are wanted, no column has a type, and there is a
 * kernel for it. */
static bool heads_make(struct locator *locator)
{
    bool plain = locator->csv->type == CSV_AUTO && locator->csv->type_count == 0;
    csv_fields_function *function = csv_fields_get();
    if (!locator->projection->members || !plain || !function || !locator->fields)
        return true;
    uint32_t count = locator->fields + CSV_FIELDS_SLACK;
    struct csv_head *heads = arena_take(&locator->batch->arena, count * sizeof(*heads));
    if (!heads)
        return false;
    for (uint32_t i = 0; i < count; i++)
        memcpy(&heads[i], &locator->wanted[i % locator->fields].member, sizeof(*heads));
    locator->heads = (struct csv_heads){heads, locator->fields};
    locator->fields_locate = function;
    return true;
}

/* ---- room ---- */

/* Columns that no field of the header fills stay ABSENT, or whatever their parent says. */
static bool columns_take(struct locator *locator)
{
    struct batch *batch = locator->batch;
    size_t size = (locator->capacity + 1) * sizeof(struct value);
    for (uint32_t i = 0; i < locator->projection->base_columns; i++)
        batch->columns[i] = (struct column){0};
    for (uint32_t i = 0; i < locator->wanted_count; i++) {
        uint32_t column = locator->wanted[i].member.column;
        if (column != COLUMN_NONE)
            batch->columns[column].cells = arena_take(&batch->arena, size);
        if (column != COLUMN_NONE && !batch->columns[column].cells)
            return false;
    }
    for (uint32_t i = 0; i < locator->projection->base_columns; i++) {
        if (batch->columns[i].cells)
            continue;
        batch->columns[i].cells = arena_take(&batch->arena, size);
        if (!batch->columns[i].cells)
            return false;
        memset(batch->columns[i].cells, 0, size);
    }
    return true;
}

/* Arrays for as many records as there can be, and as half of the arena holds. */
static bool room_take(struct locator *locator)
{
    struct batch *batch = locator->batch;
    struct arena *arena = &batch->arena;
    const struct projection *projection = locator->projection;
    size_t each = sizeof(struct batch_record) + 2 * sizeof(uint32_t) +
                  projection->base_columns * sizeof(struct value) +
                  (projection->members ? locator->fields * sizeof(struct member) : 0);
    uint64_t lines = batch->text_length - batch->part_start;
    if (batch->line_end + 1 > batch->part_line && batch->part_line)
        lines = batch->line_end + 1 - batch->part_line;
    size_t fit = (arena->limit - arena->used) / 2 / each;
    size_t capacity = size_min(size_min(fit, BATCH_MAX_RECORDS), lines + 1);
    locator->capacity = (uint32_t)size_max(capacity, 1);
    size_t count = locator->capacity;
    batch->records = arena_take(arena, count * sizeof(struct batch_record));
    batch->rows = arena_take(arena, count * sizeof(uint32_t));
    batch->member_first = NULL;
    batch->members = NULL;
    if (projection->members) {
        batch->member_first = arena_take(arena, (count + 1) * sizeof(uint32_t));
        batch->members = arena_take_aligned(
            arena, (count * locator->fields + CSV_FIELDS_SLACK) * sizeof(struct member), 64);
        if (!batch->member_first || !batch->members)
            return false;
        batch->member_first[0] = 0;
    }
    return batch->records && batch->rows && columns_take(locator);
}

bool csv_locator_prepare(struct locator *locator)
{
    return types_make(locator) && wanted_make(locator) && heads_make(locator) && room_take(locator);
}

/* ---- fields ---- */

/* Locates the field in all good records into values; stops at the first for which the arena is full
 * and returns its place in good. */
static uint32_t values_fill(struct locator *locator, const struct wanted *wanted,
                            struct value *values)
{
    const struct csv *csv = locator->csv;
    struct arena *arena = &locator->batch->arena;
    const struct chunk *chunk = &locator->chunk;
    const uint32_t field = wanted->field, count = chunk->good_count;
    uint32_t length, i;
    if (LIKELY(wanted->type == CSV_AUTO)) {
        for (i = 0; i < count; i++) {
            const char *text = csv_field_text(locator, chunk->good[i], field, &length);
            if (UNLIKELY(!csv_cell_auto(csv, text, length, arena, &values[i])))
                break;
        }
        return i;
    }
    for (i = 0; i < count; i++) {
        const char *text = csv_field_text(locator, chunk->good[i], field, &length);
        if (!csv_cell_typed(csv, wanted->type, text, length, arena, &values[i]))
            break;
    }
    return i;
}

/* The same from members that are there. */
static void values_copy(const struct locator *locator, const struct wanted *wanted,
                        struct value *values, uint32_t count)
{
    const struct batch *batch = locator->batch;
    const struct member *member =
        batch->members + batch->member_first[locator->chunk.base] + wanted->field;
    for (uint32_t i = 0; i < count; i++, member += locator->fields)
        values[i] = member->value;
}

/* All members of the good records; returns how many of these are whole. */
static uint32_t members_locate(struct locator *locator)
{
    struct batch *batch = locator->batch;
    const struct chunk *chunk = &locator->chunk;
    struct member *members = batch->members + batch->member_first[chunk->base];
    uint32_t step = chunk->dense ? chunk->good_count : 1; /* records at once */
    for (uint32_t i = 0; i < chunk->good_count; i += step, members += locator->fields) {
        uint32_t place = chunk->good[i];
        uint32_t count = step * locator->fields;
        uint32_t done = locator->fields_locate(locator->csv, batch->text,
                                               batch->records[chunk->base + place].offset,
                                               locator->index.positions + chunk->first[place],
                                               count, &locator->heads, &batch->arena, members);
        if (UNLIKELY(done < count))
            return i + done / locator->fields;
    }
    return chunk->good_count;
}

static void members_set(struct locator *locator, const struct wanted *wanted,
                        const struct value *values, uint32_t count)
{
    struct batch *batch = locator->batch;
    struct member *member =
        batch->members + batch->member_first[locator->chunk.base] + wanted->field;
    for (uint32_t i = 0; i < count; i++, member += locator->fields) {
        *member = wanted->member;
        member->value = values[i];
    }
}

/* Paths below a field: it is no map, so they are errors, or absent where it is null. */
static void below_set(struct locator *locator, uint32_t node, const struct value *values,
                      uint32_t count)
{
    const struct chunk *chunk = &locator->chunk;
    const struct projection_node *nodes = locator->projection->nodes;
    for (uint32_t child = nodes[node].first_child; child; child = nodes[child].next_sibling) {
        if (nodes[child].column != COLUMN_NONE) {
            struct value *cells = locator->batch->columns[nodes[child].column].cells + chunk->base;
            for (uint32_t i = 0; i < count; i++)
                cells[chunk->good[i]] = values[i].kind == VALUE_NULL
                                            ? (struct value){0}
                                            : value_error(ERROR_NO_OVERLOAD);
        }
        below_set(locator, child, values, count);
    }
}

uint32_t csv_chunk_locate(struct locator *locator)
{
    struct batch *batch = locator->batch;
    struct chunk *chunk = &locator->chunk;
    uint32_t whole = chunk->count;
    bool all_good = chunk->good_count == chunk->count;
    uint32_t located = locator->fields_locate ? members_locate(locator) : 0;
    for (uint32_t i = 0; i < locator->wanted_count; i++) {
        const struct wanted *wanted = &locator->wanted[i];
        uint32_t column = wanted->member.column;
        struct value *cells = column == COLUMN_NONE ? NULL : batch->columns[column].cells;
        cells = cells ? cells + chunk->base : NULL;
        struct value *values = cells && all_good ? cells : chunk->values;
        uint32_t done = located;
        if (locator->fields_locate && !wanted->node && done == chunk->good_count)
            continue;
        if (locator->fields_locate)
            values_copy(locator, wanted, values, done);
        else
            done = values_fill(locator, wanted, values);
        if (done < chunk->good_count)
            whole = (uint32_t)size_min(whole, chunk->good[done]);
        if (cells && !all_good) {
            memset(cells, 0, chunk->count * sizeof(*cells));
            for (uint32_t j = 0; j < done; j++)
                cells[chunk->good[j]] = values[j];
        }
        if (batch->members && !locator->fields_locate)
            members_set(locator, wanted, values, done);
        if (wanted->node)
            below_set(locator, wanted->node, values, done);
    }
    return whole;
}
