/* The session of a PostgreSQL sink: see postgres_session.h. */
#include "io/postgres_session.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/fault.h"

#define PAUSE_FIRST (NANOSECONDS / 10)
#define PAUSE_MOST  (2 * NANOSECONDS)
#define LOCK_CLASS  "1818583412" /* "leat": the first of the advisory lock's two numbers */

/* ---- statements ---- */

bool session_send(struct postgres_sink *sink, enum session_phase phase, struct sql_text *sql,
                  struct error *error)
{
    free(sink->sql);
    sink->sql = sql->text;
    if (sql->failed || !sql->text) {
        free(sink->sql);
        sink->sql = NULL;
        return error_set(error, ERROR_MEMORY, "no memory for SQL");
    }
    sink->phase = phase;
    postgres_send(&sink->postgres, sink->sql);
    return true;
}

void session_prefix(struct postgres_sink *sink, struct sql_text *sql)
{
    bool upsert = sink->table.mode == POSTGRES_UPSERT;
    if (!sink->in_transaction) {
        char *create = sink->looked ? postgres_table_create_sql(&sink->table) : NULL;
        char *stage = sink->looked && upsert ? postgres_table_stage_sql(&sink->table) : NULL;
        sql->failed |= sink->looked && (!create || (upsert && !stage));
        sink->created = create && create[0];
        sql_append(sql, "BEGIN; %s%sSET CONSTRAINTS ALL IMMEDIATE; ", create ? create : "",
                   stage ? stage : "");
        free(create);
        free(stage);
    }
    switch (sink->savepoint) {
    case SAVEPOINT_NONE:
        sql_append(sql, "SAVEPOINT leat; ");
        break;
    case SAVEPOINT_SET:
        sql_append(sql, "RELEASE SAVEPOINT leat; SAVEPOINT leat; ");
        break;
    case SAVEPOINT_FAILED:
        sql_append(sql, "ROLLBACK TO SAVEPOINT leat; ");
        break;
    }
}

static bool connect_begin(struct postgres_sink *sink)
{
    sink->phase = PHASE_CONNECT;
    postgres_connect(&sink->postgres);
    return true;
}

static bool commits_begin(struct postgres_sink *sink, struct error *error)
{
    struct sql_text sql = {0};
    struct string name = {sink->table.commits, strlen(sink->table.commits)};
    sql_append(&sql, "SELECT pg_catalog.to_regclass(%L) IS NOT NULL", &name);
    return session_send(sink, PHASE_COMMITS, &sql, error);
}

static bool commits_make(struct postgres_sink *sink, struct error *error)
{
    struct sql_text sql = {0};
    sql_append(&sql,
               "CREATE TABLE IF NOT EXISTS %s (pipeline text PRIMARY KEY, epoch bigint NOT NULL, "
               "number bigint NOT NULL, record bytea NOT NULL, done boolean NOT NULL, "
               "updated timestamptz NOT NULL)",
               sink->table.commits);
    return session_send(sink, PHASE_COMMITS_MAKE, &sql, error);
}

/* One run of a pipeline at a time: an advisory lock of the session, gone when it ends. */
static bool lock_begin(struct postgres_sink *sink, struct error *error)
{
    struct sql_text sql = {0};
    sql_append(&sql,
               "SELECT pg_catalog.pg_try_advisory_lock(" LOCK_CLASS ", "
               "pg_catalog.hashtext(%L)), (SELECT pg_catalog.format('process %s of user %s%s', "
               "a.pid, a.usename, ' at ' || pg_catalog.host(a.client_addr)) FROM "
               "pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid) WHERE "
               "l.locktype = 'advisory' AND l.granted AND l.classid::bigint = " LOCK_CLASS " AND "
               "l.objid::bigint = (pg_catalog.hashtext(%L)::bigint & 4294967295) AND l.database = "
               "(SELECT oid FROM pg_catalog.pg_database WHERE datname = "
               "pg_catalog.current_database()) LIMIT 1)",
               &sink->pipeline, "%s", "%s", "%s", &sink->pipeline);
    return session_send(sink, PHASE_LOCK, &sql, error);
}

/* Takes the pipeline's row over: a new epoch, which shuts out whoever had it before. Where the
 * answer was lost, the epoch may be a later one: ours, or that of a run which has come and gone
 * since (we have the lock) and, by number and record, changed nothing. */
static bool claim_begin(struct postgres_sink *sink, struct error *error)
{
    struct sql_text sql = {0};
    const char *table = sink->table.commits;
    if (sink->resumed)
        sql_append(&sql,
                   "UPDATE %s SET epoch = epoch + 1, updated = now() WHERE pipeline = %L AND "
                   "epoch %s %d AND number = %d AND record <> '' RETURNING epoch, number",
                   table, &sink->pipeline, sink->claim_sent ? ">=" : "=", &sink->epoch,
                   &sink->number);
    else
        sql_append(&sql,
                   "INSERT INTO %s AS c VALUES (%L, 1, 0, '', false, now()) ON CONFLICT (pipeline) "
                   "DO UPDATE SET epoch = c.epoch + 1, record = '', done = false, updated = now() "
                   "RETURNING epoch, number",
                   table, &sink->pipeline);
    sink->claim_sent = true;
    return session_send(sink, PHASE_CLAIM, &sql, error);
}

static bool look_begin(struct postgres_sink *sink, struct error *error)
{
    struct sql_text sql = {0};
    sql.text = postgres_table_look_sql(&sink->table, sink->resumed);
    return session_send(sink, PHASE_LOOK, &sql, error);
}

static bool check_begin(struct postgres_sink *sink, struct error *error)
{
    struct sql_text sql = {0};
    sql_append(&sql, "SELECT epoch, number FROM %s WHERE pipeline = %L FOR UPDATE",
               sink->table.commits, &sink->pipeline);
    return session_send(sink, PHASE_CHECK, &sql, error);
}

static void hex_append(struct sql_text *sql, const void *bytes, size_t length)
{
    static const char hex[] = "0123456789abcdef";
    const unsigned char *at = bytes;
    for (size_t i = 0; i < length; i++) {
        char pair[3] = {hex[at[i] >> 4], hex[at[i] & 15], 0};
        sql_append(sql, "%s", pair);
    }
}

/* Whether the commit under way changes the pipeline's row. */
static bool stores_record(const struct postgres_sink *sink)
{
    return sink->recorded && !sink->plain;
}

/* The rows so far and their record, in one transaction. */
static bool record_begin(struct postgres_sink *sink, struct error *error)
{
    struct sql_text sql = {0};
    int64_t next = (int64_t)sink->record.number;
    bool replaces = sink->table.mode == POSTGRES_REPLACE;
    bool done = sink->record.final && (!replaces || sink->swap);
    if (!sink->in_transaction)
        session_prefix(sink, &sql);
    else if (sink->savepoint == SAVEPOINT_FAILED)
        sql_append(&sql, "ROLLBACK TO SAVEPOINT leat; ");
    if (sink->swap && sink->looked) {
        char *swap = postgres_table_swap_sql(&sink->table);
        sql_append(&sql, "%s; ", swap ? swap : "");
        sql.failed |= !swap;
        free(swap);
    }
    if (!stores_record(sink)) {
        sql_append(&sql, "SAVEPOINT leat");
        return session_send(sink, PHASE_RECORD, &sql, error);
    }
    sql_append(&sql, "UPDATE %s SET number = %d, record = '\\x", sink->table.commits, &next);
    hex_append(&sql, sink->record.bytes, sink->record.length);
    sql_append(&sql,
               "', done = %s, updated = now() WHERE pipeline = %L AND epoch = %d AND number = %d",
               done ? "true" : "false", &sink->pipeline, &sink->epoch, &sink->number);
    return session_send(sink, PHASE_RECORD, &sql, error);
}

/* ---- what comes next ---- */

static bool wants_table(const struct postgres_sink *sink)
{
    return sink->goal == GOAL_UNIT || sink->committing_wants_table;
}

static bool goal_reached(struct postgres_sink *sink)
{
    sink->goal = GOAL_NONE;
    sink->phase = PHASE_REST;
    return true;
}

bool session_next(struct postgres_sink *sink, struct error *error)
{
    if (sink->goal == GOAL_NONE) {
        sink->phase = PHASE_REST;
        return true;
    }
    if (sink->postgres.state == POSTGRES_CLOSED)
        return connect_begin(sink);
    if (sink->in_doubt)
        return check_begin(sink, error);
    if (sink->recorded && !sink->locked)
        return lock_begin(sink, error);
    if (sink->goal == GOAL_LOCK)
        return goal_reached(sink);
    if (sink->recorded && !sink->commits_there)
        return commits_begin(sink, error);
    if (sink->recorded && !sink->claimed)
        return claim_begin(sink, error);
    if (sink->goal == GOAL_CLAIM)
        return goal_reached(sink);
    if (!sink->looked && wants_table(sink))
        return look_begin(sink, error);
    return sink->goal == GOAL_UNIT ? unit_next(sink, error) : record_begin(sink, error);
}

/* ---- losing and finding the connection ---- */

static void transaction_forget(struct postgres_sink *sink)
{
    sink->looked &= !sink->created; /* what was made is gone with it */
    sink->created = false;
    sink->in_transaction = false;
    sink->savepoint = SAVEPOINT_NONE;
}

static bool replay(struct postgres_sink *sink, bool conflict, struct error *error)
{
    const char *why = conflict ? "the transaction conflicts with others"
                               : "the connection broke in the middle of a transaction";
    return error_set(error, ERROR_REPLAY, "%s: %.200s; what was not committed must be sent again%s",
                     why, sink->postgres.message, sink->recorded ? ", and a rerun does that" : "");
}

static bool pause_begin(struct postgres_sink *sink, struct error *error)
{
    int64_t now = clock_monotonic();
    int64_t patience = sink->context->limits.timeout;
    if (!sink->lost_since)
        sink->lost_since = now;
    if (now - sink->lost_since > (patience > 0 ? patience : PATIENCE))
        return postgres_fail(&sink->postgres, "reach the server again", error);
    sink->pause = sink->pause ? 2 * sink->pause : PAUSE_FIRST;
    if (sink->pause > PAUSE_MOST)
        sink->pause = PAUSE_MOST;
    sink->pause_until = now + sink->pause;
    sink->phase = PHASE_PAUSE;
    postgres_timer(&sink->postgres, sink->pause);
    return true;
}

bool session_lost(struct postgres_sink *sink, bool conflict, struct error *error)
{
    if (sink->phase == PHASE_COMMIT && !conflict) {
        if (!stores_record(sink))
            return error_set(error, ERROR_DATABASE,
                             "the connection broke while the server committed, and whether it has "
                             "is not known: %s",
                             sink->postgres.message);
        sink->in_doubt = true;
    } else if (sink->in_transaction && sink->given > 0 && !sink->in_doubt) {
        return replay(sink, conflict, error);
    }
    postgres_disconnect(&sink->postgres);
    sink->locked = false;
    if (!sink->in_doubt)
        transaction_forget(sink);
    if (sink->unit_open && !unit_restart(sink, error))
        return false;
    return pause_begin(sink, error);
}

/* The first connection of a run is not waited for: a wrong address should be said at once. */
static bool was_connected(const struct postgres_sink *sink)
{
    return sink->looked || sink->claimed || sink->lost_since;
}

/* ---- what came of a statement ---- */

static int64_t integer_at(const PGresult *result, int column)
{
    int64_t integer = 0;
    const char *at = PQgetvalue(result, 0, column);
    bool negative = *at == '-';
    for (at += negative; *at >= '0' && *at <= '9'; at++)
        integer = integer * 10 + (*at - '0');
    return negative ? -integer : integer;
}

static bool fenced(struct postgres_sink *sink, struct error *error)
{
    return error_set(error, ERROR_STATE,
                     "another run of pipeline %.*s has taken over (table %s); this one stops",
                     (int)sink->pipeline.length, sink->pipeline.data, sink->table.commits);
}

static bool commits_done(struct postgres_sink *sink, struct error *error)
{
    if (PQgetvalue(sink->postgres.result, 0, 0)[0] != 't')
        return commits_make(sink, error);
    sink->commits_there = true;
    return session_next(sink, error);
}

/* Not ours: another run has it, or (after a lost connection) the server has not yet seen that we
 * are gone. */
static bool lock_done(struct postgres_sink *sink, struct error *error)
{
    PGresult *result = sink->postgres.result;
    sink->locked = PQgetvalue(result, 0, 0)[0] == 't';
    if (sink->locked)
        return session_next(sink, error);
    error_set(error, ERROR_LOCKED, "pipeline %.*s is run by %s", (int)sink->pipeline.length,
              sink->pipeline.data, PQgetvalue(result, 0, 1));
    if (!sink->claimed || (sink->lost_since && clock_monotonic() - sink->lost_since > PATIENCE))
        return false;
    postgres_disconnect(&sink->postgres);
    return pause_begin(sink, error);
}

static bool claim_done(struct postgres_sink *sink, struct error *error)
{
    if (PQntuples(sink->postgres.result) != 1)
        return fenced(sink, error);
    sink->epoch = integer_at(sink->postgres.result, 0);
    sink->number = integer_at(sink->postgres.result, 1);
    sink->claimed = true;
    return session_next(sink, error);
}

/* After a reconnection: workers have the layout, so the table must be as it was. */
static bool look_again(struct postgres_sink *sink, struct error *error)
{
    struct postgres_table again = sink->table;
    again.columns = NULL;
    again.layout = (struct postgres_layout){0};
    const struct postgres_layout *layout = &sink->table.layout;
    bool there = PQntuples(sink->postgres.result) > 0;
    bool done = postgres_table_look(&again, sink->postgres.result, layout->shape, error);
    for (uint32_t i = 0; done && there && i < layout->count; i++) {
        const struct postgres_type *type = &again.layout.types[i];
        if (type->kind != layout->types[i].kind || type->is_array != layout->types[i].is_array ||
            type->element_oid != layout->types[i].element_oid)
            done = error_set(error, ERROR_STATE,
                             "the columns of table %s have changed while rows were written to it",
                             sink->table.quoted);
    }
    sink->table.exists = again.exists;
    sink->table.filled_exists = again.filled_exists;
    sink->table.depended = again.depended;
    free(again.columns);
    free(again.layout.types);
    free(again.layout.is_key);
    return done;
}

static bool look_done(struct postgres_sink *sink, struct error *error)
{
    bool first = !atomic_load_explicit(&sink->layout, memory_order_relaxed);
    if (!first) {
        sink->looked = look_again(sink, error);
        return sink->looked && session_next(sink, error);
    }
    PGresult *result = sink->postgres.result;
    if (!postgres_table_look(&sink->table, result, sink->context->shape, error))
        return false;
    if (PQntuples(result) == 0) {
        struct batch *batch = sink->offered_count ? sink->offered[sink->offered_first] : NULL;
        struct postgres_rows rows = {0};
        if (batch)
            rows = postgres_rows_open(&batch->outputs[sink->context->output].buffer);
        postgres_table_choose(&sink->table, batch, &rows);
    }
    sink->looked = true;
    atomic_store_explicit(&sink->layout, &sink->table.layout, memory_order_release);
    if (sink->goal == GOAL_UNIT) {
        bool failed;
        if (!unit_open(sink, error, &failed) && failed)
            return false;
    }
    return session_next(sink, error);
}

static bool copy_done(struct postgres_sink *sink, struct error *error)
{
    if (sink->table.mode != POSTGRES_UPSERT)
        return unit_range_done(sink, error);
    struct sql_text sql = {0};
    sql.text = postgres_table_merge_sql(&sink->table);
    return session_send(sink, PHASE_MERGE, &sql, error);
}

static bool record_done(struct postgres_sink *sink, struct error *error)
{
    sink->in_transaction = true;
    if (stores_record(sink) && sink->postgres.affected != 1)
        return fenced(sink, error);
    struct sql_text sql = {0};
    sql_append(&sql, "COMMIT");
    return session_send(sink, PHASE_COMMIT, &sql, error);
}

static bool commit_reached(struct postgres_sink *sink)
{
    if (stores_record(sink))
        sink->number = (int64_t)sink->record.number;
    sink->commit_done = !sink->plain;
    sink->plain = false;
    sink->transaction_rows = sink->transaction_start = 0;
    __atomic_store_n(&sink->base.commit_wanted, false, __ATOMIC_RELAXED);
    sink->in_transaction = false;
    sink->savepoint = SAVEPOINT_NONE;
    sink->created = false;
    sink->table.filled_exists |= sink->looked;
    sink->given = 0;
    sink->resumed = true;
    sink->goal = GOAL_NONE;
    sink->phase = PHASE_REST;
    return true;
}

static bool commit_answered(struct postgres_sink *sink, struct error *error)
{
    if (strcmp(sink->postgres.tag, "COMMIT") != 0)
        return error_set(error, ERROR_DATABASE, "the server answered COMMIT with %s",
                         sink->postgres.tag);
    return commit_reached(sink);
}

/* The row was locked, so a backend that was still committing has ended by now. */
static bool check_done(struct postgres_sink *sink, struct error *error)
{
    PGresult *result = sink->postgres.result;
    if (PQntuples(result) != 1 || integer_at(result, 0) != sink->epoch)
        return fenced(sink, error);
    sink->in_doubt = false;
    if (integer_at(result, 1) == (int64_t)sink->record.number)
        return commit_reached(sink);
    if (sink->given > 0)
        return replay(sink, false, error);
    transaction_forget(sink);
    return session_next(sink, error);
}

static bool phase_done(struct postgres_sink *sink, struct error *error)
{
    if (sink->phase != PHASE_CONNECT && sink->phase != PHASE_LOCK)
        sink->lost_since = sink->pause = 0; /* it works again */
    switch (sink->phase) {
    case PHASE_CONNECT:
        return session_next(sink, error);
    case PHASE_LOCK:
        return lock_done(sink, error);
    case PHASE_COMMITS:
        return commits_done(sink, error);
    case PHASE_COMMITS_MAKE:
        sink->commits_there = true;
        return session_next(sink, error);
    case PHASE_CLAIM:
        return claim_done(sink, error);
    case PHASE_LOOK:
        return look_done(sink, error);
    case PHASE_COPY_END:
        return copy_done(sink, error);
    case PHASE_MERGE:
        return unit_range_done(sink, error);
    case PHASE_RECORD:
        return record_done(sink, error);
    case PHASE_COMMIT:
        return commit_answered(sink, error);
    case PHASE_CHECK:
        return check_done(sink, error);
    case PHASE_REST:
    case PHASE_PAUSE:
    case PHASE_COPY_BEGIN:
    case PHASE_COPY_SEND:
        break;
    }
    return error_set(error, ERROR_DATABASE, "the server did not begin a COPY");
}

static bool phase_failed(struct postgres_sink *sink, struct error *error)
{
    static const char *const doings[] = {
        [PHASE_REST] = "rest",
        [PHASE_PAUSE] = "rest",
        [PHASE_CONNECT] = "connect",
        [PHASE_LOCK] = "lock the pipeline",
        [PHASE_COMMITS] = "look for the table of commits",
        [PHASE_COMMITS_MAKE] = "make the table of commits",
        [PHASE_CLAIM] = "claim the pipeline in the table of commits",
        [PHASE_LOOK] = "look at the columns of the table",
        [PHASE_COPY_BEGIN] = "begin to insert rows",
        [PHASE_COPY_SEND] = "insert rows",
        [PHASE_COPY_END] = "insert rows",
        [PHASE_MERGE] = "merge rows",
        [PHASE_RECORD] = "store the commit record",
        [PHASE_COMMIT] = "commit",
        [PHASE_CHECK] = "look for the last commit",
    };
    const struct postgres *postgres = &sink->postgres;
    if (postgres->lost) {
        if (sink->phase == PHASE_CONNECT && !was_connected(sink))
            return postgres_fail(postgres, doings[sink->phase], error);
        return session_lost(sink, false, error);
    }
    if (sink->phase == PHASE_COPY_END || sink->phase == PHASE_MERGE)
        return unit_range_failed(sink, error);
    /* two runs that make it at once */
    bool raced =
        strcmp(postgres->sqlstate, "42P07") == 0 || strcmp(postgres->sqlstate, "23505") == 0;
    if (sink->phase == PHASE_COMMITS_MAKE && raced) {
        sink->commits_there = true;
        return session_next(sink, error);
    }
    if (postgres_is_retryable(postgres) && sink->pause < PAUSE_MOST)
        return session_lost(sink, true, error);
    return postgres_fail(postgres, doings[sink->phase], error);
}

/* ---- stepping ---- */

static enum sink_result session_wait(struct postgres_sink *sink, struct error *error)
{
    struct io_engine *engine = sink->context->engine;
    int64_t patience = sink->context->limits.timeout;
    if (engine && !sink->poll.pending) {
        sink->poll = (struct io_request){.kind = IO_POLL_IN, .fd = sink->postgres.descriptor};
        (void)io_engine_submit(engine, &sink->poll); /* it is the only one */
    }
    if (patience > 0 && clock_monotonic() - sink->moved > patience) {
        error_set(error, ERROR_TIMEOUT, "the server did not answer within the timeout");
        return SINK_FAIL;
    }
    return SINK_WAIT;
}

/* One step. OK: call again, unless it rests. */
static enum sink_result session_step(struct postgres_sink *sink, struct error *error)
{
    bool good = true;
    if (sink->phase == PHASE_PAUSE) {
        if (clock_monotonic() < sink->pause_until)
            return SINK_WAIT;
        return session_next(sink, error) ? SINK_OK : SINK_FAIL;
    }
    switch (postgres_step(&sink->postgres)) {
    case POSTGRES_WAIT:
        return SINK_WAIT;
    case POSTGRES_COPIES:
        if (sink->phase == PHASE_COPY_BEGIN) {
            sink->phase = PHASE_COPY_SEND;
            sink->in_transaction = true;
            sink->savepoint = SAVEPOINT_SET;
        }
        return unit_send(sink, error);
    case POSTGRES_ROW: /* no statement of the sink asks for rows one by one */
    case POSTGRES_DONE:
        sink->moved = clock_monotonic();
        good = phase_done(sink, error);
        break;
    case POSTGRES_FAILED:
        sink->moved = clock_monotonic();
        good = phase_failed(sink, error);
        break;
    }
    return good ? SINK_OK : SINK_FAIL;
}

enum sink_result session_drive(struct postgres_sink *sink, struct error *error)
{
    while (sink->context->engine && io_engine_reap(sink->context->engine))
        continue; /* the poll, done: stepping will show why */
    while (sink->phase != PHASE_REST) {
        enum sink_result result = session_step(sink, error);
        if (result == SINK_WAIT)
            return session_wait(sink, error);
        if (result != SINK_OK)
            return result;
    }
    return SINK_OK;
}

static bool descriptor_wait(int descriptor, int64_t deadline)
{
    int64_t left = (deadline - clock_monotonic()) / 1000000;
    struct pollfd ready = {.fd = descriptor, .events = POLLIN};
    if (left > 0)
        (void)poll(&ready, 1, left < 1000 ? (int)left + 1 : 1000);
    return left > 0;
}

bool session_reach(struct postgres_sink *sink, enum session_goal goal, struct error *error)
{
    int64_t patience = sink->context->limits.timeout;
    int64_t deadline = clock_monotonic() + (patience > 0 ? patience : PATIENCE);
    sink->goal = goal;
    if (!session_next(sink, error))
        return false;
    while (sink->phase != PHASE_REST) {
        enum sink_result result = session_step(sink, error);
        if (result == SINK_FAIL)
            return false;
        if (result == SINK_WAIT && !descriptor_wait(sink->postgres.descriptor, deadline))
            return error_set(error, ERROR_TIMEOUT, "the server did not answer within the timeout");
    }
    return true;
}

bool session_ask(struct postgres_sink *sink, const char *doing, struct sql_text *sql,
                 struct error *error)
{
    int64_t patience = sink->context->limits.timeout;
    if (!sql->text)
        return error_set(error, ERROR_MEMORY, "no memory for SQL");
    postgres_send(&sink->postgres, sql->text);
    free(sql->text);
    return postgres_wait(&sink->postgres,
                         clock_monotonic() + (patience > 0 ? patience : PATIENCE)) ==
               POSTGRES_DONE ||
           postgres_fail(&sink->postgres, doing, error);
}
