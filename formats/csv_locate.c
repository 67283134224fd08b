/* Finds the records and fields of a CSV batch: see csv.h and format.h. Called by workers; touches
 * its batch and nothing else.
 *
 * The text is scanned in slices that stay in the first-level cache; the records that end in a slice
 * are worked off in chunks, and in a chunk a field at a time over all records: the fields of one
 * column are alike, so their branches are predicted. Records keep only the positions that a good
 * record can have, so a hostile one costs no memory. */
#include "core/utf8.h"
#include "formats/csv_locate.h"
#include "formats/lines.h"

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
        if (!csv_type_is_strict(locator->types[field]))
            continue;
        for (uint32_t i = 0; i < chunk->count; i++) {
            uint32_t length;
            struct value value = {0};
            if (chunk->status[i] != RECORD_GOOD)
                continue;
            size_t mark = arena_mark(arena);
            const char *text = csv_field_text(locator, i, field, &length);
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
    const char *text = csv_field_text(locator, place, field, &length);
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
                            "%u field%s where %u are expected", chunk->fields[place],
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
    chunk_commit(locator, csv_chunk_locate(locator));
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
    if (!csv_locator_prepare(&locator))
        return LOCATE_FULL;
    part_work(&locator);
    return batch->record_count == 0 && !batch->last_part ? LOCATE_FULL : LOCATE_OK;
}
