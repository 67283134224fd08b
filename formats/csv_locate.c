/* Finds the records and fields of a CSV batch: see csv.h and format.h. Called by workers; touches
 * its batch and nothing else.
 *
 * The text is scanned in slices that stay in the first-level cache; the records that end in a slice
 * are worked off in chunks, and in a chunk a field at a time over all records: the fields of one
 * column are alike, so their branches are predicted. Records keep only the positions that a good
 * record can have, so a hostile one costs no memory. */
#include "core/utf8.h"
#include "formats/csv_fields.h"
#include "formats/lines.h"

#define SLICE (16 * 1024)
#define CHUNK 64
/* Fields of a record up to which the index lies on the stack. */
#define STACK_FIELDS       2048
#define INDEX_SIZE(fields) (SLICE + CSV_INDEX_SLACK + (fields) + 2)

/* A field that somebody wants. */
struct wanted {
    uint32_t field; /* its place in the record */
    uint32_t node;  /* of the projection, 0: only members */
    enum csv_type type;
    struct member member; /* with its name and column */
};

enum chunk_status { RECORD_GOOD, RECORD_MALFORMED, RECORD_COLUMNS, RECORD_UTF8, RECORD_CONVERSION };

/* Records base .. base + count - 1 of the batch. */
struct chunk {
    uint32_t base;
    uint32_t count;
    uint32_t first[CHUNK];  /* positions of the first delimiter or end */
    uint32_t fields[CHUNK]; /* how many there are */
    uint32_t behind[CHUNK]; /* offset behind the line end */
    uint8_t status[CHUNK];  /* enum chunk_status */
    uint32_t fault[CHUNK];  /* CONVERSION: the field */
    uint32_t good[CHUNK];   /* the good ones */
    uint32_t good_count;
    bool dense;                 /* all are good, and a line feed alone stands between any two */
    struct value values[CHUNK]; /* of the field being located, by place in good */
};

struct locator {
    const struct csv *csv;
    const struct projection *projection;
    struct batch *batch;
    struct csv_scan scan;
    struct csv_index index;
    uint32_t fields;   /* of a good record */
    uint32_t capacity; /* records that there is room for */
    const uint8_t *types;
    bool checked; /* some column has a type that refuses text */
    struct wanted *wanted;
    uint32_t wanted_count;
    csv_fields_function *fields_locate; /* all members of a record at once, or NULL … */
    struct csv_heads heads;             /* … with these */
    uint32_t record_start;
    uint32_t ordinal; /* the position that ends the first field of the record at record_start */
    uint32_t dropped; /* positions of that record that were not kept */
    uint64_t feeds;   /* line feeds outside quotes before record_start */
    bool malformed;   /* a record that ends in this slice may be malformed … */
    bool high;        /* … or hold bytes >= 0x80 */
    bool full;        /* the part ends here */
    struct chunk chunk;
};

static bool is_strict(uint8_t type)
{
    return type == CSV_INT || type == CSV_DOUBLE || type == CSV_BOOL;
}

/* Offset and length of field `field` of the record at `place` in the chunk. */
static inline const char *field_text(const struct locator *locator, uint32_t place, uint32_t field,
                                     uint32_t *length)
{
    const struct batch *batch = locator->batch;
    const uint32_t *end = locator->index.positions + locator->chunk.first[place] + field;
    uint32_t start = field ? end[-1] + 1 : batch->records[locator->chunk.base + place].offset;
    *length = *end - start;
    return batch->text + start;
}

/* ---- what is wanted ---- */

static uint32_t header_find(const struct field_names *names, struct string name)
{
    for (uint32_t i = 0; i < names->count; i++)
        if (string_equal(names->names[i], name))
            return i;
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
    for (; node; node = projection->nodes[node].next_sibling) {
        uint32_t field = header_find(names, projection->nodes[node].name);
        if (field == UINT32_MAX)
            continue;
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
        uint32_t field = header_find(names, csv->types[i].name);
        if (field != UINT32_MAX)
            types[field] = (uint8_t)csv->types[i].type;
    }
    for (uint32_t i = 0; i < names->count; i++)
        locator->checked |= is_strict(types[i]);
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
    for (uint32_t i = 0; i < locator->projection->base_columns; i++) {
        struct value *cells =
            arena_take(&batch->arena, (locator->capacity + 1) * sizeof(struct value));
        if (!cells)
            return false;
        batch->columns[i] = (struct column){.cells = cells};
        bool filled = false;
        for (uint32_t j = 0; j < locator->wanted_count && !filled; j++)
            filled = locator->wanted[j].member.column == i;
        if (!filled)
            memset(cells, 0, (locator->capacity + 1) * sizeof(struct value));
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

/* ---- records ---- */

/* Takes the records that end at ends[*next] and behind, as many as a chunk holds. */
static void chunk_take(struct locator *locator, uint32_t *next)
{
    struct batch *batch = locator->batch;
    struct chunk *chunk = &locator->chunk;
    uint32_t *positions = locator->index.positions;
    uint32_t limit = (uint32_t)size_min(CHUNK, locator->capacity - batch->record_count);
    chunk->base = batch->record_count;
    chunk->count = 0;
    chunk->dense = true;
    while (*next < locator->index.end_count && chunk->count < limit) {
        uint32_t ordinal = locator->index.ends[(*next)++];
        uint32_t end = positions[ordinal], start = locator->record_start, stop = end;
        if (end < batch->text_length) {
            locator->feeds++;
            stop -= end > start && batch->text[end - 1] == '\r';
        }
        uint32_t place = chunk->count;
        chunk->first[place] = locator->ordinal;
        chunk->fields[place] = ordinal - locator->ordinal + 1 + locator->dropped;
        chunk->status[place] =
            chunk->fields[place] == locator->fields ? RECORD_GOOD : RECORD_COLUMNS;
        chunk->behind[place] = end + 1;
        locator->ordinal = ordinal + 1;
        locator->dropped = 0;
        locator->record_start = end + 1;
        if (UNLIKELY(stop != end))
            batch->clean = chunk->dense = false;
        if (UNLIKELY(stop == start && locator->fields != 1)) {
            batch->clean = chunk->dense =
                false; /* a blank line is no record, but for a single field */
            continue;
        }
        positions[ordinal] = stop;
        batch->records[chunk->base + place] = (struct batch_record){start, stop - start};
        chunk->count++;
    }
}

static void chunk_check_grammar(struct locator *locator)
{
    struct chunk *chunk = &locator->chunk;
    for (uint32_t i = 0; i < chunk->count; i++) {
        struct csv_walk walk;
        struct csv_field field;
        csv_walk_open(&walk, locator->csv, batch_record_text(locator->batch, chunk->base + i));
        while (csv_walk_next(&walk, &field) && !walk.fault) {
        }
        if (walk.fault)
            chunk->status[i] = RECORD_MALFORMED;
    }
}

static void chunk_check_utf8(struct locator *locator)
{
    struct chunk *chunk = &locator->chunk;
    const struct batch *batch = locator->batch;
    struct string last = batch_record_text(batch, chunk->base + chunk->count - 1);
    const char *first = batch->text + batch->records[chunk->base].offset;
    if (utf8_valid(first, (size_t)(last.data + last.length - first)))
        return;
    for (uint32_t i = 0; i < chunk->count; i++) {
        struct string text = batch_record_text(batch, chunk->base + i);
        if (!utf8_valid(text.data, text.length) && chunk->status[i] != RECORD_MALFORMED)
            chunk->status[i] = RECORD_UTF8;
    }
}

/* Columns with a type that refuses text are checked whether somebody wants them or not. False: the
 * arena is full (a quoted field). */
static void chunk_check_types(struct locator *locator)
{
    struct chunk *chunk = &locator->chunk;
    struct arena *arena = &locator->batch->arena;
    for (uint32_t field = 0; field < locator->fields; field++) {
        if (!is_strict(locator->types[field]))
            continue;
        for (uint32_t i = 0; i < chunk->count; i++) {
            uint32_t length;
            struct value value = {0};
            if (chunk->status[i] != RECORD_GOOD)
                continue;
            size_t mark = arena_mark(arena);
            const char *text = field_text(locator, i, field, &length);
            /* with a full arena the value is found out, and the part ended, when it is located */
            if (csv_cell_typed(locator->csv, locator->types[field], text, length, arena, &value) &&
                value.kind == VALUE_ERROR) {
                chunk->status[i] = RECORD_CONVERSION;
                chunk->fault[i] = field;
            }
            arena_rewind(arena, mark);
        }
    }
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
            const char *text = field_text(locator, chunk->good[i], field, &length);
            if (UNLIKELY(!csv_cell_auto(csv, text, length, arena, &values[i])))
                break;
        }
        return i;
    }
    for (i = 0; i < count; i++) {
        const char *text = field_text(locator, chunk->good[i], field, &length);
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

/* All wanted fields of the chunk; returns how many of its records are whole (all, but for a full
 * arena). */
static uint32_t chunk_locate(struct locator *locator)
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

/* ---- rejects ---- */

static uint32_t utf8_fault(struct string text)
{
    size_t at = 0;
    while (at < text.length) {
        size_t length = 1;
        while (length < 4 && at + length < text.length && !utf8_valid(text.data + at, length))
            length++;
        if (!utf8_valid(text.data + at, length))
            break;
        at += length;
    }
    return (uint32_t)at;
}

static bool reject_conversion(struct locator *locator, uint32_t place)
{
    static const char *const kinds[] = {
        [CSV_INT] = "int (64 bits)", [CSV_DOUBLE] = "double", [CSV_BOOL] = "bool (true or false)"};
    struct chunk *chunk = &locator->chunk;
    struct batch *batch = locator->batch;
    uint32_t length, field = chunk->fault[place], record = chunk->base + place;
    const char *text = field_text(locator, place, field, &length);
    struct string name = batch->names->names[field];
    return batch_reject(batch, record, STAGE_SOURCE, ERROR_CONVERSION,
                        (uint32_t)(text - batch->text) - batch->records[record].offset,
                        "%.*s: \"%.*s\" is no %s", (int)size_min(name.length, 100), name.data,
                        (int)size_min(length, 100), text, kinds[locator->types[field]]);
}

static bool record_reject(struct locator *locator, uint32_t place)
{
    struct chunk *chunk = &locator->chunk;
    struct batch *batch = locator->batch;
    uint32_t record = chunk->base + place;
    struct string text = batch_record_text(batch, record);
    batch->clean = false;
    if (chunk->status[place] == RECORD_CONVERSION)
        return reject_conversion(locator, place);
    if (chunk->status[place] == RECORD_COLUMNS)
        return batch_reject(batch, record, STAGE_SOURCE, ERROR_COLUMNS, UINT32_MAX,
                            "%u field%s where the header has %u", chunk->fields[place],
                            chunk->fields[place] == 1 ? "" : "s", locator->fields);
    if (chunk->status[place] == RECORD_UTF8) {
        uint32_t at = utf8_fault(text);
        return batch_reject(batch, record, STAGE_SOURCE, ERROR_UTF8, at, "byte 0x%02x is not UTF-8",
                            (uint8_t)text.data[at]);
    }
    struct csv_walk walk;
    struct csv_field field;
    csv_walk_open(&walk, locator->csv, text);
    while (csv_walk_next(&walk, &field)) {
    }
    CHECK(walk.fault);
    return batch_reject(batch, record, STAGE_SOURCE, ERROR_MALFORMED, (uint32_t)walk.fault_offset,
                        "%s", walk.fault);
}

/* Enters the first `whole` records of the chunk into the batch. */
static void chunk_commit(struct locator *locator, uint32_t whole)
{
    struct batch *batch = locator->batch;
    struct chunk *chunk = &locator->chunk;
    uint32_t members = batch->members ? batch->member_first[chunk->base] : 0;
    uint32_t i = 0;
    for (; i < whole; i++) {
        uint32_t record = chunk->base + i;
        if (LIKELY(chunk->status[i] == RECORD_GOOD)) {
            batch->rows[batch->row_count++] = record;
            members += locator->fields;
        } else if (!record_reject(locator, i)) {
            break;
        }
        if (batch->members)
            batch->member_first[record + 1] = members;
    }
    batch->record_count += i;
    if (i < chunk->count)
        locator->full = true;
    if (i > 0)
        batch->part_end = chunk->behind[i - 1];
}

static void chunk_work(struct locator *locator)
{
    struct chunk *chunk = &locator->chunk;
    if (chunk->count == 0)
        return;
    if (UNLIKELY(locator->malformed))
        chunk_check_grammar(locator);
    if (locator->high)
        chunk_check_utf8(locator);
    if (locator->checked)
        chunk_check_types(locator);
    chunk->good_count = 0;
    for (uint32_t i = 0; i < chunk->count; i++) {
        chunk->good[chunk->good_count] = i;
        chunk->good_count += chunk->status[i] == RECORD_GOOD;
    }
    chunk->dense &= chunk->good_count == chunk->count;
    chunk_commit(locator, chunk_locate(locator));
}

/* ---- the part ---- */

/* The last record of an input may lack its line end: it ends where the text does. */
static void end_add(struct locator *locator)
{
    struct csv_index *index = &locator->index;
    uint32_t length = locator->batch->text_length;
    uint32_t start = locator->record_start;
    if (index->end_count)
        start = index->positions[index->ends[index->end_count - 1]] + 1;
    if (start >= length)
        return;
    index->positions[index->count] = length;
    index->ends[index->end_count++] = index->count++;
    locator->batch->clean = false;
    if (locator->scan.state & (CSV_INSIDE | CSV_RETURN))
        locator->scan.malformed = true;
}

/* What is left of the index belongs to the record that is not over yet. */
static void index_shift(struct locator *locator)
{
    struct csv_index *index = &locator->index;
    uint32_t left = index->count - locator->ordinal;
    uint32_t keep = (uint32_t)size_min(left, locator->fields + 1);
    memmove(index->positions, index->positions + locator->ordinal, keep * sizeof(uint32_t));
    index->count = keep;
    index->end_count = 0;
    locator->ordinal = 0;
    locator->dropped += left - keep;
}

static void slice_work(struct locator *locator, uint32_t from, uint32_t to)
{
    struct csv_scan *scan = &locator->scan;
    bool malformed_before = locator->malformed, high_before = locator->high;
    scan->malformed = scan->high = false;
    csv_kernel_get()->index(scan, locator->batch->text, from, to, &locator->index);
    if (to == locator->batch->text_length)
        end_add(locator);
    locator->malformed = malformed_before || scan->malformed;
    locator->high = high_before || scan->high;
    bool ended = locator->index.end_count > 0;
    for (uint32_t next = 0; next < locator->index.end_count && !locator->full;) {
        chunk_take(locator, &next);
        chunk_work(locator);
        locator->full |= locator->batch->record_count == locator->capacity;
    }
    if (ended) { /* the record that goes on began in this slice */
        locator->malformed = scan->malformed;
        locator->high = scan->high;
    }
    if (!locator->full)
        index_shift(locator);
}

static void part_work(struct locator *locator)
{
    struct batch *batch = locator->batch;
    uint32_t at = batch->part_start;
    while (at < batch->text_length && !locator->full) {
        uint32_t to = (uint32_t)size_min(at + SLICE, batch->text_length);
        slice_work(locator, at, to);
        at = to;
    }
    if (!locator->full || batch->part_end > batch->text_length)
        batch->part_end = batch->text_length;
    batch->last_part = batch->part_end == batch->text_length;
    batch->line_count = locator->feeds;
    if (locator->full || locator->scan.quoted_lines)
        batch->line_count =
            lines_count(batch->text + batch->part_start, batch->part_end - batch->part_start);
    for (uint32_t i = 0; i < locator->wanted_count && batch->row_count; i++) {
        uint32_t column = locator->wanted[i].member.column;
        if (column < 256)
            batch->seen[column / 64] |= UINT64_C(1) << (column % 64);
    }
}

enum locate_result csv_locate(const struct format *format, const struct projection *projection,
                              struct batch *batch)
{
    uint32_t positions[INDEX_SIZE(STACK_FIELDS) + 1]; /* one before the first is read */
    uint32_t ends[SLICE + 1];
    positions[0] = 0;
    CHECK(batch->names);
    struct locator locator = {
        .csv = csv_of(format),
        .projection = projection,
        .batch = batch,
        .scan = csv_scan_of(csv_of(format)),
        .index = {.positions = positions + 1, .ends = ends},
        .fields = batch->names->count,
        .record_start = batch->part_start,
    };
    batch->record_count = batch->row_count = 0;
    batch->part_end = batch->part_start;
    batch->clean = true;
    if (locator.fields > STACK_FIELDS) {
        uint32_t *wide =
            arena_take(&batch->arena, (INDEX_SIZE(locator.fields) + 1) * sizeof(uint32_t));
        if (!wide)
            return LOCATE_FULL;
        locator.index.positions = wide + 1;
    }
    if (!types_make(&locator) || !wanted_make(&locator) || !heads_make(&locator) ||
        !room_take(&locator))
        return LOCATE_FULL;
    part_work(&locator);
    return batch->record_count == 0 && !batch->last_part ? LOCATE_FULL : LOCATE_OK;
}
