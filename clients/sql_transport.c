/* Exchanges with a PostgreSQL database: see sql_transport.h.
 *
 * An exchange waits for a connection, has the statement prepared and described there if it was not
 * yet, and runs it. What the statement's parameters and columns are is learnt from the first
 * connection; later ones are only prepared. */
#include "clients/sql_transport.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/postgres_row.h"
#include "core/clock.h"
#include "core/fault.h"
#include "core/raw.h"

#define STATEMENT       "leat"
#define PARAMETERS_MOST 32
#define COLUMNS_MOST    1664 /* as PostgreSQL */
#define PARAMETERS_SIZE ((size_t)1 << 20)
#define ARENA_SIZE      ((size_t)1 << 20)

enum slot_state { SLOT_WAITS, SLOT_PREPARES, SLOT_DESCRIBES, SLOT_RUNS, SLOT_OVER };

/* One exchange under way, or over and not released. */
struct slot {
    struct exchange *exchange;
    enum slot_state state;
    struct pool_wait wait;
    struct postgres *connection;
    struct buffer answer;
    struct slot *next; /* under way, over, or free */
};

struct sql_transport {
    struct transport base;
    struct postgres_settings settings;
    struct postgres_pool *pool;
    char *query;
    bool rows;
    size_t answer_limit;
    /* what the statement is, once `described` */
    bool described;
    int parameter_count;
    struct postgres_type parameters[PARAMETERS_MOST];
    struct postgres_columns columns;
    /* scratch */
    struct arena arena;
    struct buffer buffer; /* encoded parameters */
    struct slot *active;
    struct slot *over; /* first in, first out */
    struct slot **over_tail;
    struct slot *free;
    struct exchange *unstarted;         /* for want of memory; over */
    struct sql_transport_totals totals; /* atomic, relaxed: other threads read them */
};

/* ---- opening ---- */

static void sql_close(struct transport *base);
static const struct transport_ops sql_ops;

static bool settings_take(struct sql_transport *made, const struct sql_transport_settings *settings,
                          struct error *error)
{
    if (!postgres_settings_open(&made->settings, settings->dsn, error))
        return false;
    made->settings.statement_timeout = settings->statement_timeout;
    if (settings->connect_timeout > 0)
        made->settings.connect_timeout = settings->connect_timeout;
    made->rows = settings->rows;
    made->answer_limit = settings->answer_limit;
    made->query = memory_copy_text(settings->query.data, settings->query.length);
    if (!made->query)
        return error_set(error, ERROR_MEMORY, "no memory for a query");
    struct postgres_pool_settings pool = settings->pool;
    pool.connection = &made->settings;
    made->pool = postgres_pool_open(&pool, error);
    return made->pool && arena_open(&made->arena, ARENA_SIZE, ARENA_SIZE, error) &&
           buffer_open(&made->buffer, PARAMETERS_SIZE, PARAMETERS_SIZE, error) &&
           postgres_columns_open(&made->columns, error);
}

struct transport *sql_transport_open(const struct sql_transport_settings *settings,
                                     struct error *error)
{
    struct sql_transport *made = memory_take_zeroed(1, sizeof(*made));
    if (!made) {
        error_set(error, ERROR_MEMORY, "no memory for a database's client");
        return NULL;
    }
    made->base.ops = &sql_ops;
    made->over_tail = &made->over;
    if (!settings_take(made, settings, error)) {
        sql_close(&made->base);
        return NULL;
    }
    made->base.descriptor = postgres_pool_descriptor(made->pool);
    made->base.wake = INT64_MAX;
    return &made->base;
}

void sql_transport_pool_counts(const struct transport *transport,
                               struct postgres_pool_counts *counts)
{
    postgres_pool_counts(((const struct sql_transport *)transport)->pool, counts);
}

void sql_transport_totals(const struct transport *transport, struct sql_transport_totals *totals)
{
    const struct sql_transport_totals *own = &((const struct sql_transport *)transport)->totals;
    totals->opened = __atomic_load_n(&own->opened, __ATOMIC_RELAXED);
    totals->replaced_broken = __atomic_load_n(&own->replaced_broken, __ATOMIC_RELAXED);
    totals->replaced_old = __atomic_load_n(&own->replaced_old, __ATOMIC_RELAXED);
}

static void totals_renew(struct sql_transport *transport)
{
    struct postgres_pool_counts counts;
    postgres_pool_counts(transport->pool, &counts);
    __atomic_store_n(&transport->totals.opened, counts.opened, __ATOMIC_RELAXED);
    __atomic_store_n(&transport->totals.replaced_broken, counts.replaced_broken, __ATOMIC_RELAXED);
    __atomic_store_n(&transport->totals.replaced_old, counts.replaced_old, __ATOMIC_RELAXED);
}

static void slots_free(struct slot *slot)
{
    while (slot) {
        struct slot *next = slot->next;
        buffer_close(&slot->answer);
        free(slot);
        slot = next;
    }
}

static void sql_close(struct transport *base)
{
    struct sql_transport *transport = (struct sql_transport *)base;
    postgres_pool_close(transport->pool);
    postgres_settings_close(&transport->settings);
    slots_free(transport->active);
    slots_free(transport->over);
    slots_free(transport->free);
    if (transport->arena.base)
        arena_close(&transport->arena);
    if (transport->buffer.data)
        buffer_close(&transport->buffer);
    postgres_columns_close(&transport->columns);
    free(transport->query);
    free(transport);
}

/* ---- the end of an exchange ---- */

static void active_remove(struct sql_transport *transport, struct slot *slot)
{
    struct slot **list = &transport->active;
    while (*list != slot)
        list = &(*list)->next;
    *list = slot->next;
    slot->next = NULL;
}

static void slot_end(struct sql_transport *transport, struct slot *slot, enum outcome outcome,
                     const char *detail)
{
    struct exchange *exchange = slot->exchange;
    if (slot->connection) {
        bool usable = slot->connection->state == POSTGRES_IDLE;
        postgres_pool_return(transport->pool, slot->connection, usable);
    } else {
        postgres_pool_withdraw(transport->pool, &slot->wait);
    }
    slot->connection = NULL;
    slot->state = SLOT_OVER;
    exchange->outcome = outcome;
    exchange->status = 0;
    exchange->answer = (struct string){slot->answer.data, slot->answer.length};
    exchange->answer_is_json = true;
    exchange->finished = clock_monotonic();
    snprintf(exchange->detail, sizeof(exchange->detail), "%s", detail);
    active_remove(transport, slot);
    *transport->over_tail = slot;
    transport->over_tail = &slot->next;
}

/* Whether the same statement may succeed another time: not where the data, the statement or the
 * rights are wrong. */
static enum outcome outcome_of(const struct postgres *postgres)
{
    static const char never[][3] = {"0A", "21", "22", "23", "28", "2B", "34", "42", "44"};
    if (strcmp(postgres->sqlstate, "57014") == 0)
        return OUTCOME_TIMEOUT;
    for (size_t i = 0; i < ARRAY_SIZE(never); i++)
        if (strncmp(postgres->sqlstate, never[i], 2) == 0)
            return OUTCOME_INVALID;
    return OUTCOME_BROKEN;
}

/* The statement itself is wrong: class 42 (syntax, names, types, rights), or what it may not do. */
static bool is_hopeless(const struct slot *slot)
{
    const char *sqlstate = slot->connection->sqlstate;
    return strncmp(sqlstate, "42", 2) == 0 ||
           (slot->state != SLOT_RUNS && outcome_of(slot->connection) == OUTCOME_INVALID);
}

static void slot_fail(struct sql_transport *transport, struct slot *slot)
{
    const struct postgres *postgres = slot->connection;
    char detail[POSTGRES_MESSAGE_SIZE + 64];
    bool stated = postgres->sqlstate[0] != 0, placed = postgres->position > 0;
    char place[32] = "";
    if (placed)
        snprintf(place, sizeof(place), " at character %u", postgres->position);
    snprintf(detail, sizeof(detail), "%.*s%s%s%s%s", placed ? 110 : 130, postgres->message, place,
             stated ? " (SQLSTATE " : "", postgres->sqlstate, stated ? ")" : "");
    /* the table changed under a prepared statement: prepare it again, and perhaps describe it */
    if (strcmp(postgres->sqlstate, "0A000") == 0 || strcmp(postgres->sqlstate, "26000") == 0) {
        transport->described = false;
        postgres_disconnect(slot->connection);
        slot_end(transport, slot, OUTCOME_BROKEN, detail);
        return;
    }
    slot->exchange->hopeless = is_hopeless(slot);
    slot_end(transport, slot, outcome_of(postgres), detail);
}

/* ---- parameters ---- */

/* Encodes the request's parameters behind one another; false: `detail` says why not. */
static bool parameters_encode(struct sql_transport *transport, const struct request *request,
                              int *lengths, size_t *offsets, int *formats, char *detail,
                              size_t size, bool *hopeless)
{
    struct buffer *buffer = &transport->buffer;
    buffer_reset(buffer);
    *hopeless = (int)request->parameter_count != transport->parameter_count;
    if (*hopeless) {
        snprintf(detail, size, "the query has %d parameters, and %u were given",
                 transport->parameter_count, request->parameter_count);
        return false;
    }
    for (int i = 0; i < transport->parameter_count; i++) {
        struct value value = request->parameters[i];
        struct postgres_type type = transport->parameters[i];
        const char *reason = NULL;
        arena_reset(&transport->arena);
        formats[i] = type.kind != POSTGRES_UNKNOWN;
        if (type.kind == POSTGRES_UNKNOWN) /* as text, which every type reads */
            type = (struct postgres_type){.kind = POSTGRES_TEXT};
        size_t start = buffer->length;
        if (postgres_encode(value, &type, &transport->arena, buffer, &reason) != POSTGRES_ENCODED) {
            snprintf(detail, size, "parameter $%d is %s%s and cannot take %s%s%s", i + 1,
                     postgres_kind_name(type.kind), type.is_array ? "[]" : "",
                     postgres_value_name(value), reason ? ": " : "", reason ? reason : "");
            return false;
        }
        uint32_t length = postgres_load32(buffer->data + start);
        offsets[i] = start + 4;
        lengths[i] = length == UINT32_MAX ? -1 : (int)length;
        /* text has to end in a NUL, whatever its length */
        if (!buffer_append_byte(buffer, 0)) {
            snprintf(detail, size, "the parameters are too large");
            return false;
        }
    }
    return true;
}

static void slot_run(struct sql_transport *transport, struct slot *slot)
{
    const char *values[PARAMETERS_MOST];
    int lengths[PARAMETERS_MOST], formats[PARAMETERS_MOST];
    size_t offsets[PARAMETERS_MOST];
    char detail[160];
    if (!parameters_encode(transport, slot->exchange->request, lengths, offsets, formats, detail,
                           sizeof(detail), &slot->exchange->hopeless)) {
        slot_end(transport, slot, OUTCOME_INVALID, detail);
        return;
    }
    for (int i = 0; i < transport->parameter_count; i++)
        values[i] = lengths[i] < 0 ? NULL : transport->buffer.data + offsets[i];
    slot->state = SLOT_RUNS;
    postgres_execute(slot->connection, STATEMENT, transport->parameter_count, values, lengths,
                     formats);
}

/* ---- what the statement is ---- */

static bool columns_take(struct sql_transport *transport, const PGresult *result, char *detail,
                         size_t size)
{
    if (!postgres_columns_take(&transport->columns, result)) {
        snprintf(detail, size, "no memory for the columns of the query");
        return false;
    }
    int unknown = postgres_columns_unknown(&transport->columns);
    if (unknown >= 0)
        snprintf(detail, size,
                 "column %.60s of the query has a type that leat cannot read: cast it to text",
                 PQfname(result, unknown));
    return unknown < 0;
}

static bool statement_describe(struct sql_transport *transport, const PGresult *result,
                               char *detail, size_t size)
{
    transport->parameter_count = PQnparams(result);
    if (transport->parameter_count > PARAMETERS_MOST || PQnfields(result) > COLUMNS_MOST) {
        snprintf(detail, size, "the query has more than %d parameters", PARAMETERS_MOST);
        return false;
    }
    if (PQnfields(result) == 0) {
        snprintf(detail, size, "the query gives no columns");
        return false;
    }
    for (int i = 0; i < transport->parameter_count; i++)
        transport->parameters[i] = postgres_type_of(PQparamtype(result, i));
    transport->described = columns_take(transport, result, detail, size);
    return transport->described;
}

/* ---- answers ---- */

static enum postgres_row_result answer_make(const struct sql_transport *transport,
                                            const PGresult *result, struct buffer *answer)
{
    int count = PQntuples(result);
    buffer_reset(answer);
    if (!transport->rows) {
        if (count > 0)
            return postgres_row_append(&transport->columns, result, 0, answer);
        return buffer_append(answer, "null", 4) ? POSTGRES_ROW_WHOLE : POSTGRES_ROW_LARGE;
    }
    bool fits = buffer_append_byte(answer, '[');
    for (int row = 0; row < count && fits; row++) {
        fits = row == 0 || buffer_append_byte(answer, ',');
        enum postgres_row_result made =
            fits ? postgres_row_append(&transport->columns, result, row, answer)
                 : POSTGRES_ROW_LARGE;
        if (made != POSTGRES_ROW_WHOLE)
            return made;
    }
    return fits && buffer_append_byte(answer, ']') ? POSTGRES_ROW_WHOLE : POSTGRES_ROW_LARGE;
}

static void slot_answer(struct sql_transport *transport, struct slot *slot)
{
    char detail[100] = "";
    slot->exchange->first_byte = clock_monotonic();
    enum postgres_row_result made = answer_make(transport, slot->connection->result, &slot->answer);
    if (made == POSTGRES_ROW_WHOLE) {
        slot_end(transport, slot, OUTCOME_ANSWER, "");
        return;
    }
    buffer_reset(&slot->answer);
    if (made == POSTGRES_ROW_LARGE) {
        snprintf(detail, sizeof(detail), "the answer is longer than %zu bytes",
                 transport->answer_limit);
        slot_end(transport, slot, OUTCOME_LARGE, detail);
        return;
    }
    transport->described = false;
    postgres_disconnect(slot->connection); /* prepared and described anew */
    slot_end(transport, slot, OUTCOME_BROKEN, "the rows are not of the types that were described");
}

/* ---- stepping ---- */

static void slot_begin(struct sql_transport *transport, struct slot *slot)
{
    if (!slot->connection->is_prepared) {
        slot->state = SLOT_PREPARES;
        postgres_prepare(slot->connection, STATEMENT, transport->query);
    } else if (!transport->described) {
        slot->state = SLOT_DESCRIBES;
        postgres_describe(slot->connection, STATEMENT);
    } else {
        slot_run(transport, slot);
    }
}

static void slot_step(struct sql_transport *transport, struct slot *slot)
{
    char detail[160];
    while (slot->state != SLOT_WAITS && slot->state != SLOT_OVER) {
        enum postgres_progress progress = postgres_step(slot->connection);
        if (progress == POSTGRES_WAIT)
            return;
        if (progress == POSTGRES_COPIES) {
            postgres_disconnect(slot->connection);
            slot->exchange->hopeless = true;
            slot_end(transport, slot, OUTCOME_INVALID, "the query is a COPY");
        } else if (progress == POSTGRES_FAILED) {
            slot_fail(transport, slot);
        } else if (slot->state == SLOT_PREPARES) {
            slot->connection->is_prepared = true;
            slot_begin(transport, slot);
        } else if (slot->state == SLOT_DESCRIBES) {
            if (statement_describe(transport, slot->connection->result, detail, sizeof(detail))) {
                slot_run(transport, slot);
                continue;
            }
            slot->exchange->hopeless = true;
            slot_end(transport, slot, OUTCOME_INVALID, detail);
        } else {
            slot_answer(transport, slot);
        }
    }
}

static void waits_reap(struct sql_transport *transport)
{
    struct pool_wait *wait;
    while ((wait = postgres_pool_reap(transport->pool)) != NULL) {
        struct slot *slot = wait->owner;
        slot->connection = wait->connection;
        if (slot->connection)
            slot_begin(transport, slot);
        else
            slot_end(transport, slot, OUTCOME_CONNECT, wait->detail);
    }
}

static void deadlines_expire(struct sql_transport *transport, int64_t now)
{
    for (struct slot *slot = transport->active, *next; slot; slot = next) {
        next = slot->next;
        if (now < slot->exchange->deadline)
            continue;
        bool waited = slot->state == SLOT_WAITS;
        if (!waited)
            postgres_disconnect(slot->connection); /* in the middle of a statement */
        slot_end(transport, slot, OUTCOME_TIMEOUT,
                 waited ? "whole: no connection was free" : "whole: the query took too long");
    }
}

static void sql_step(struct transport *base)
{
    struct sql_transport *transport = (struct sql_transport *)base;
    postgres_pool_step(transport->pool);
    waits_reap(transport);
    for (struct slot *slot = transport->active, *next; slot; slot = next) {
        next = slot->next;
        slot_step(transport, slot);
    }
    deadlines_expire(transport, clock_monotonic());
    /* connections that came back go to the next in line at once */
    postgres_pool_step(transport->pool);
    waits_reap(transport);
    totals_renew(transport);
    int64_t wake = postgres_pool_wake(transport->pool);
    for (const struct slot *slot = transport->active; slot; slot = slot->next)
        if (slot->exchange->deadline < wake)
            wake = slot->exchange->deadline;
    transport->base.wake = transport->over || transport->unstarted ? 0 : wake;
}

static struct slot *slot_take(struct sql_transport *transport)
{
    struct error ignored; /* told as the exchange's outcome */
    struct slot *slot = transport->free;
    if (slot) {
        transport->free = slot->next;
        return slot;
    }
    slot = memory_take_zeroed(1, sizeof(*slot));
    if (slot &&
        !buffer_open(&slot->answer, transport->answer_limit, transport->answer_limit, &ignored)) {
        free(slot);
        slot = NULL;
    }
    return slot;
}

static void sql_start(struct transport *base, struct exchange *exchange)
{
    struct sql_transport *transport = (struct sql_transport *)base;
    struct slot *slot = slot_take(transport);
    exchange->state = slot;
    exchange->started = clock_monotonic();
    exchange->first_byte = 0;
    exchange->answer = (struct string){NULL, 0};
    exchange->next_link = (struct string){NULL, 0};
    exchange->hopeless = false;
    exchange->retry_after = 0;
    transport->base.wake = 0; /* step soon */
    if (!slot) {
        exchange->outcome = OUTCOME_BROKEN;
        exchange->finished = exchange->started;
        snprintf(exchange->detail, sizeof(exchange->detail), "no memory for an answer");
        exchange->next = transport->unstarted;
        transport->unstarted = exchange;
        return;
    }
    slot->exchange = exchange;
    slot->connection = NULL;
    slot->state = SLOT_WAITS;
    slot->wait = (struct pool_wait){.owner = slot};
    buffer_reset(&slot->answer);
    slot->next = transport->active;
    transport->active = slot;
    postgres_pool_ask(transport->pool, &slot->wait);
}

static void slot_free(struct sql_transport *transport, struct slot *slot)
{
    slot->exchange = NULL;
    slot->next = transport->free;
    transport->free = slot;
}

static void sql_cancel(struct transport *base, struct exchange *exchange)
{
    struct sql_transport *transport = (struct sql_transport *)base;
    struct slot *slot = exchange->state;
    if (!slot) {
        struct exchange **list = &transport->unstarted;
        while (*list && *list != exchange)
            list = &(*list)->next;
        if (*list)
            *list = exchange->next;
        return;
    }
    if (slot->state != SLOT_OVER) {
        if (slot->connection && slot->connection->state != POSTGRES_IDLE)
            postgres_disconnect(slot->connection);
        slot_end(transport, slot, OUTCOME_CANCELLED, "cancelled");
    }
    struct slot **list = &transport->over;
    while (*list && *list != slot)
        list = &(*list)->next;
    if (*list) {
        *list = slot->next;
        if (!slot->next)
            transport->over_tail = list;
    }
    slot_free(transport, slot);
}

static struct exchange *sql_reap(struct transport *base)
{
    struct sql_transport *transport = (struct sql_transport *)base;
    struct slot *slot = transport->over;
    struct exchange *unstarted = transport->unstarted;
    if (unstarted) {
        transport->unstarted = unstarted->next;
        return unstarted;
    }
    if (!slot)
        return NULL;
    transport->over = slot->next;
    if (!transport->over)
        transport->over_tail = &transport->over;
    slot->next = NULL;
    return slot->exchange;
}

static void sql_release(struct transport *base, struct exchange *exchange)
{
    if (exchange->state)
        slot_free((struct sql_transport *)base, exchange->state);
    exchange->state = NULL;
}

static const struct transport_ops sql_ops = {
    .start = sql_start,
    .cancel = sql_cancel,
    .step = sql_step,
    .reap = sql_reap,
    .release = sql_release,
    .close = sql_close,
};
