/* Inserting a batch: see sqlite_batch.h. */
#include "io/sqlite_batch.h"

#define REASON_SIZE     400
#define REFUSED_A_BATCH 16 /* from so many on, rows are tried one by one */

struct insertion {
    struct table *table;
    struct batch *batch;
    uint64_t written;
    uint32_t dangling; /* rows refused for a foreign key so far */
    struct error *error;
};

/* A refusal must not get lost for want of arena: at the sink nothing else needs it any more. */
static bool row_reject(struct insertion *insertion, uint32_t record, const char *reason)
{
    struct batch *batch = insertion->batch;
    if (batch_reject(batch, record, STAGE_SINK, ERROR_REFUSED, UINT32_MAX, "%s", reason))
        return true;
    batch->arena.limit = batch->arena.reserved;
    return batch_reject(batch, record, STAGE_SINK, ERROR_REFUSED, UINT32_MAX, "%s", reason) ||
           error_set(insertion->error, ERROR_MEMORY,
                     "no memory to reject so many rows; the last: %s", reason);
}

/* Up to *count rows; *count becomes how many there were, *last the last one's record. */
static bool rows_insert(struct insertion *insertion, struct row_reader *reader, uint32_t *count,
                        uint32_t *last)
{
    uint32_t most = *count;
    for (*count = 0; *count < most && row_next(reader, last); ++*count) {
        char reason[REASON_SIZE];
        switch (table_insert(insertion->table, reader, reason, sizeof(reason), insertion->error)) {
        case ROW_WRITTEN:
            insertion->written++;
            break;
        case ROW_REFUSED:
            if (!row_reject(insertion, *last, reason))
                return false;
            break;
        case ROW_FAILED:
            return false;
        }
    }
    return true;
}

static bool savepoint(struct insertion *insertion, const char *sql)
{
    return database_run(insertion->table->database, "set a savepoint", insertion->error, "%s", sql);
}

/* As rows_insert, without rows that refer to nothing. Nested at most log2(batch) times. */
static bool range_insert(struct insertion *insertion, struct row_reader *reader, uint32_t count)
{
    struct batch *batch = insertion->batch;
    const struct row_reader begin = *reader;
    const uint64_t written = insertion->written;
    struct reject **const tail = batch->rejects_tail;
    const uint32_t reject_count = batch->reject_count;
    uint32_t last = 0;
    if (!savepoint(insertion, "SAVEPOINT leat") || !rows_insert(insertion, reader, &count, &last))
        return false;
    if (!table_has_dangling(insertion->table))
        return savepoint(insertion, "RELEASE leat");
    if (!savepoint(insertion, "ROLLBACK TO leat; RELEASE leat"))
        return false;
    insertion->written = written;
    *tail = NULL;
    batch->rejects_tail = tail;
    batch->reject_count = reject_count;
    if (count == 1) {
        insertion->dangling++;
        return row_reject(insertion, last,
                          "FOREIGN KEY constraint failed (SQLITE_CONSTRAINT_FOREIGNKEY)");
    }
    *reader = begin;
    while (count > 0) {
        uint32_t some = insertion->dangling >= REFUSED_A_BATCH ? 1 : (count + 1) / 2;
        if (!range_insert(insertion, reader, some))
            return false;
        count -= some;
    }
    return true;
}

bool batch_insert(struct table *table, struct batch *batch, const struct buffer *rows,
                  uint64_t *written, struct error *error)
{
    struct insertion insertion = {.table = table, .batch = batch, .error = error};
    struct row_reader reader = row_reader_open(rows);
    uint32_t count = UINT32_MAX, last;
    bool done = table->has_foreign_keys ? range_insert(&insertion, &reader, count)
                                        : rows_insert(&insertion, &reader, &count, &last);
    *written = insertion.written;
    return done;
}
