/* Rows of a PostgreSQL sink, sent by COPY and taken apart where the server refuses some: see
 * postgres_session.h.
 *
 * A range that failed was rolled back to its savepoint. The server's error names the row in most
 * cases: then the rows before it, the row itself and those behind it become ranges; else the two
 * halves. So a bad row costs three round trips, or the logarithm of the rows. Where there are many,
 * rows are tried in steps that double while all is well and begin small after each refusal. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/fault.h"
#include "io/postgres_session.h"

#define STEP_NAMED  64 /* rows at once where many are bad, and the server says which */
#define REASON_SIZE (POSTGRES_MESSAGE_SIZE + 32)

static const char copy_header[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0"; /* and its NUL */
static const char copy_trailer[] = "\377\377";
#define HEADER_SIZE  19
#define TRAILER_SIZE 2

enum unit_part { PART_HEADER, PART_ROWS, PART_TRAILER, PART_DONE };

/* ---- building ---- */

/* A refusal must not get lost for want of arena: at the sink nothing else needs it any more. */
static bool row_reject(struct batch *batch, uint32_t record, enum error_code code,
                       const char *reason, struct error *error)
{
    if (batch_reject(batch, record, STAGE_SINK, code, UINT32_MAX, "%s", reason))
        return true;
    batch->arena.limit = batch->arena.reserved;
    return batch_reject(batch, record, STAGE_SINK, code, UINT32_MAX, "%s", reason) ||
           error_set(error, ERROR_MEMORY, "no memory to reject so many rows; the last: %s", reason);
}

static struct postgres_rows rows_of(const struct postgres_sink *sink, const struct batch *batch)
{
    return postgres_rows_open(&batch->outputs[sink->context->output].buffer);
}

static void piece_add(struct unit *unit, struct batch *batch, const struct postgres_rows *rows)
{
    unit->pieces[unit->piece_count++] =
        (struct unit_piece){.batch = batch, .rows = *rows, .first = unit->rows};
    unit->rows += rows->count;
    unit->bytes += rows->length;
}

static enum postgres_encoding scratch_append(struct postgres_sink *sink, struct batch *batch,
                                             uint32_t record, char *reason, size_t size)
{
    enum postgres_encoding result =
        postgres_tuple_append(&sink->table.layout, batch, record, &sink->scratch, reason, size);
    if (result != POSTGRES_SPLIT)
        return result;
    batch->arena.limit = batch->arena.reserved;
    return postgres_tuple_append(&sink->table.layout, batch, record, &sink->scratch, reason, size);
}

/* Encodes records that a worker only noted, as many as the scratch buffer holds; the records'
 * indexes are copied behind them, last first, as in an output. */
static bool partial_encode(struct postgres_sink *sink, struct batch *batch, struct error *error)
{
    struct postgres_rows noted = rows_of(sink, batch);
    struct buffer *scratch = &sink->scratch;
    const size_t limit = scratch->soft;
    struct postgres_rows rows = {.tuples = scratch->data};
    char reason[REASON_SIZE];
    buffer_reset(scratch);
    for (; sink->partial_next < noted.count; sink->partial_next++) {
        uint32_t record = postgres_rows_record(&noted, sink->partial_next);
        scratch->limit = limit - (rows.count + 1) * sizeof(record);
        enum postgres_encoding result =
            scratch->limit > scratch->length
                ? scratch_append(sink, batch, record, reason, sizeof(reason))
                : POSTGRES_FULL;
        if (result == POSTGRES_FULL && rows.count > 0)
            break;
        if (result == POSTGRES_FULL || result == POSTGRES_SPLIT)
            snprintf(reason, sizeof(reason), "the record needs more memory to write than there is");
        if (result == POSTGRES_ENCODED) {
            rows.count++;
            memcpy(scratch->data + limit - rows.count * sizeof(record), &record, sizeof(record));
        } else if (!row_reject(batch, record,
                               result == POSTGRES_REFUSED ? ERROR_NOT_WRITABLE : ERROR_LIMIT,
                               reason, error)) {
            return false;
        }
    }
    scratch->limit = limit;
    rows.length = scratch->length;
    rows.records = scratch->data + limit - rows.count * sizeof(uint32_t);
    piece_add(&sink->unit, batch, &rows);
    return true;
}

static struct batch *offered_at(const struct postgres_sink *sink, unsigned index)
{
    return sink->offered[(sink->offered_first + index) % OFFERED_MAX];
}

bool unit_open(struct postgres_sink *sink, struct error *error, bool *failed)
{
    struct unit *unit = &sink->unit;
    *failed = false;
    if (sink->finished == sink->offered_count)
        return false;
    *unit = (struct unit){.step = UINT32_MAX};
    for (unsigned i = sink->finished; i < sink->offered_count; i++) {
        struct batch *batch = offered_at(sink, i);
        struct postgres_rows rows = rows_of(sink, batch);
        bool noted = !rows.tuples;
        if (unit->piece_count > 0 &&
            (noted || unit->piece_count == UNIT_BATCHES || unit->bytes + rows.length > UNIT_BYTES ||
             sink->transaction_rows + unit->rows >= sink->transaction_rows_most))
            break;
        if (!noted) {
            piece_add(unit, batch, &rows);
            continue;
        }
        *failed = !partial_encode(sink, batch, error);
        break;
    }
    unit->range = (struct unit_range){0, unit->rows};
    sink->unit_open = !*failed;
    return !*failed;
}

void unit_close(struct postgres_sink *sink)
{
    struct unit *unit = &sink->unit;
    free(unit->ranges);
    free(unit->offsets);
    free(unit->refused);
    *unit = (struct unit){0};
    sink->unit_open = false;
}

/* All its rows are in or rejected. */
static void unit_finish(struct postgres_sink *sink)
{
    struct unit *unit = &sink->unit;
    uint64_t written = unit->rows - unit->refused_count;
    sink->transaction_rows += (int64_t)written;
    __atomic_fetch_add(&sink->base.records_written, written, __ATOMIC_RELAXED);
    __atomic_fetch_add(&sink->base.bytes_written, unit->bytes, __ATOMIC_RELAXED);
    struct postgres_rows rows = rows_of(sink, unit->pieces[0].batch);
    if (!rows.tuples && sink->partial_next < rows.count) {
        sink->given += written > 0; /* the rest of this batch follows as another unit */
    } else {
        sink->finished += unit->piece_count;
        sink->given += unit->piece_count;
        sink->partial_next = 0;
    }
    unit_close(sink);
}

/* ---- ranges ---- */

static bool range_push(struct unit *unit, uint32_t first, uint32_t end, struct error *error)
{
    if (first == end)
        return true;
    if (unit->range_count == unit->range_capacity) {
        uint32_t capacity = 2 * unit->range_capacity + 64;
        struct unit_range *grown = memory_resize(unit->ranges, capacity * sizeof(*grown));
        if (!grown)
            return error_set(error, ERROR_MEMORY, "no memory to find the rows that are refused");
        unit->ranges = grown;
        unit->range_capacity = capacity;
    }
    unit->ranges[unit->range_count++] = (struct unit_range){first, end};
    return true;
}

/* Finds where each row begins; once, when something was refused. */
static bool rows_index(struct unit *unit, struct error *error)
{
    if (unit->offsets)
        return true;
    unit->offsets = memory_take((unit->rows + 1) * sizeof(*unit->offsets));
    unit->refused = memory_take_zeroed(unit->rows + 1, sizeof(*unit->refused));
    if (!unit->offsets || !unit->refused)
        return error_set(error, ERROR_MEMORY, "no memory to find the rows that are refused");
    uint32_t row = 0;
    for (uint32_t i = 0; i < unit->piece_count; i++) {
        const struct postgres_rows *rows = &unit->pieces[i].rows;
        size_t at = 0;
        for (uint32_t k = 0; k < rows->count; k++) {
            unit->offsets[row++] = (uint32_t)at;
            at += postgres_tuple_length(rows->tuples + at);
        }
        CHECK(at == rows->length);
    }
    return true;
}

static struct unit_piece *piece_of(struct unit *unit, uint32_t row)
{
    uint32_t i = 0;
    while (i + 1 < unit->piece_count && unit->pieces[i + 1].first <= row)
        i++;
    return &unit->pieces[i];
}

bool unit_restart(struct postgres_sink *sink, struct error *error)
{
    struct unit *unit = &sink->unit;
    unit->range_count = 0;
    unit->range = (struct unit_range){0, 0};
    unit->retries = 0;
    if (!unit->refused)
        return range_push(unit, 0, unit->rows, error);
    uint32_t end = unit->rows;
    for (uint32_t row = unit->rows; row > 0; row--) {
        if (!unit->refused[row - 1])
            continue;
        if (!range_push(unit, row, end, error))
            return false;
        end = row - 1;
    }
    return range_push(unit, 0, end, error);
}

static bool range_begin(struct postgres_sink *sink, struct error *error)
{
    struct unit *unit = &sink->unit;
    struct sql_text sql = {0};
    char *copy = postgres_table_copy_sql(&sink->table);
    unit->part = PART_HEADER;
    unit->part_at = 0;
    unit->piece = 0;
    unit->at = 0;
    if (unit->range.first > 0) {
        struct unit_piece *piece = piece_of(unit, unit->range.first);
        unit->piece = (uint32_t)(piece - unit->pieces);
        unit->at = unit->offsets[unit->range.first];
    }
    session_prefix(sink, &sql);
    sql_append(&sql, "%s", copy ? copy : "");
    sql.failed |= !copy;
    free(copy);
    return session_send(sink, PHASE_COPY_BEGIN, &sql, error);
}

bool unit_next(struct postgres_sink *sink, struct error *error)
{
    struct unit *unit = &sink->unit;
    if (unit->range.first == unit->range.end) {
        if (unit->range_count == 0) {
            unit_finish(sink);
            sink->goal = GOAL_NONE;
            sink->phase = PHASE_REST;
            return true;
        }
        unit->range = unit->ranges[--unit->range_count];
        uint32_t length = unit->range.end - unit->range.first;
        if (length > unit->step) {
            unit->ranges[unit->range_count++] =
                (struct unit_range){unit->range.first + unit->step, unit->range.end};
            unit->range.end = unit->range.first + unit->step;
        }
    }
    return range_begin(sink, error);
}

/* ---- sending ---- */

static bool part_put(struct postgres_sink *sink, const char *bytes, size_t length)
{
    struct unit *unit = &sink->unit;
    unit->part_at +=
        postgres_copy_put(&sink->postgres, bytes + unit->part_at, length - unit->part_at);
    if (unit->part_at < length)
        return false;
    unit->part++;
    unit->part_at = 0;
    return true;
}

/* Where the range ends in the piece being sent. */
static size_t piece_end(const struct unit *unit)
{
    const struct unit_piece *piece = &unit->pieces[unit->piece];
    if (unit->range.end >= piece->first + piece->rows.count)
        return piece->rows.length;
    return unit->range.end > piece->first ? unit->offsets[unit->range.end] : 0;
}

static bool rows_put(struct postgres_sink *sink)
{
    struct unit *unit = &sink->unit;
    for (; unit->piece < unit->piece_count; unit->piece++, unit->at = 0) {
        size_t end = piece_end(unit);
        if (unit->at >= end)
            continue;
        const char *tuples = unit->pieces[unit->piece].rows.tuples;
        size_t taken = postgres_copy_put(&sink->postgres, tuples + unit->at, end - unit->at);
        unit->at += taken;
        if (taken > 0)
            sink->moved = clock_monotonic();
        if (unit->at < end)
            return false;
    }
    unit->part++;
    return true;
}

enum sink_result unit_send(struct postgres_sink *sink, struct error *error)
{
    struct unit *unit = &sink->unit;
    (void)error;
    if (unit->part == PART_HEADER && !part_put(sink, copy_header, HEADER_SIZE))
        return SINK_WAIT;
    if (unit->part == PART_ROWS && !rows_put(sink))
        return SINK_WAIT;
    if (unit->part == PART_TRAILER && !part_put(sink, copy_trailer, TRAILER_SIZE))
        return SINK_WAIT;
    postgres_copy_end(&sink->postgres, NULL);
    sink->phase = PHASE_COPY_END;
    return SINK_OK;
}

/* ---- what came of it ---- */

bool unit_range_done(struct postgres_sink *sink, struct error *error)
{
    struct unit *unit = &sink->unit;
    sink->savepoint = SAVEPOINT_SET;
    unit->retries = 0;
    unit->range.first = unit->range.end;
    if (unit->step < UINT32_MAX / 2)
        unit->step *= 2;
    return unit_next(sink, error);
}

/* Errors that a row may be the cause of, by the class of the SQLSTATE: data, constraints, WITH
 * CHECK OPTION, raised by a trigger, program limits (too long for an index). */
static bool is_refusal(const struct postgres *postgres)
{
    static const char classes[][3] = {"22", "23", "44", "P0", "54"};
    for (size_t i = 0; i < ARRAY_SIZE(classes); i++)
        if (strncmp(postgres->sqlstate, classes[i], 2) == 0)
            return true;
    return false;
}

static bool row_refuse(struct postgres_sink *sink, uint32_t row, struct error *error)
{
    struct unit *unit = &sink->unit;
    struct unit_piece *piece = piece_of(unit, row);
    char reason[REASON_SIZE];
    snprintf(reason, sizeof(reason), "%s (SQLSTATE %s)", sink->postgres.message,
             sink->postgres.sqlstate);
    unit->refused[row] = true;
    unit->refused_count++;
    if (unit->refused_count >= REFUSED_A_BATCH * unit->piece_count)
        unit->step = sink->postgres.copy_line ? STEP_NAMED : 1;
    return row_reject(piece->batch, postgres_rows_record(&piece->rows, row - piece->first),
                      ERROR_REFUSED, reason, error);
}

bool unit_range_failed(struct postgres_sink *sink, struct error *error)
{
    struct unit *unit = &sink->unit;
    struct unit_range range = unit->range;
    sink->savepoint = SAVEPOINT_FAILED;
    if (postgres_is_retryable(&sink->postgres)) {
        if (++unit->retries > RETRIES_MOST)
            return session_lost(sink, true, error);
        return range_begin(sink, error);
    }
    if (sink->phase == PHASE_MERGE && strcmp(sink->postgres.sqlstate, "42P10") == 0)
        return error_set(error, ERROR_DATABASE,
                         "table %s has no primary key or unique index on exactly the columns of "
                         "`key`",
                         sink->table.quoted);
    if (!is_refusal(&sink->postgres))
        return postgres_fail(&sink->postgres, "insert rows", error);
    if (!rows_index(unit, error))
        return false;
    unit->range.first = unit->range.end;
    uint32_t length = range.end - range.first;
    uint64_t line = sink->postgres.copy_line;
    if (unit->step < UINT32_MAX)
        unit->step = line ? STEP_NAMED : 1;
    if (length == 1)
        return row_refuse(sink, range.first, error) && unit_next(sink, error);
    uint32_t middle = range.first + length / 2;
    bool done = true;
    if (line >= 1 && line <= length) {
        uint32_t bad = range.first + (uint32_t)line - 1;
        done = range_push(unit, bad + 1, range.end, error) &&
               range_push(unit, bad, bad + 1, error) && range_push(unit, range.first, bad, error);
    } else {
        done = range_push(unit, middle, range.end, error) &&
               range_push(unit, range.first, middle, error);
    }
    return done && unit_next(sink, error);
}
