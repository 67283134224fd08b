/* Lookups as asynchronous stages: batches come in, are answered row by row, and go on, in part
 * where answers are late. What a row's request is and what its answer becomes is in lookup_ask.c
 * and lookup_answer.c. The actor's thread. */
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/fault.h"
#include "stages/lookup.h"

/* For the rejects and moves that end a round, whatever else fills the arena. */
#define RESERVE_LEAST 2048

void lookup_fail(struct lookup *lookup, enum error_code code, const char *text)
{
    if (!lookup->failed)
        error_set(&lookup->error, code, "%s", text);
    lookup->failed = true;
}

/* ---- asks ---- */

bool lookup_ask_room(struct lookup *lookup, struct lookup_ask *ask, size_t length)
{
    if (length <= ask->capacity)
        return true;
    size_t capacity = (length + 127) & ~(size_t)127;
    char *memory = memory_resize(ask->memory, capacity);
    if (!memory)
        return false;
    lookup->held += capacity - ask->capacity;
    ask->memory = memory;
    ask->capacity = capacity;
    return true;
}

/* What is kept for the next answer; more is given back. */
#define ASK_KEEPS 1024

void lookup_ask_free(struct lookup *lookup, struct lookup_ask *ask)
{
    struct lookup_batch *batch = ask->batch;
    CHECK(batch);
    *(ask->previous ? &ask->previous->next : &batch->first) = ask->next;
    *(ask->next ? &ask->next->previous : &batch->last) = ask->previous;
    if (ask->capacity > ASK_KEEPS) {
        lookup->held -= ask->capacity;
        free(ask->memory);
        ask->memory = NULL;
        ask->capacity = 0;
    }
    ask->batch = NULL;
    ask->next = lookup->free_asks;
    lookup->free_asks = ask;
}

/* ---- batches ---- */

static struct lookup_batch *batch_find(struct lookup *lookup, const struct batch *batch)
{
    for (struct lookup_batch *known = lookup->batches; known; known = known->next)
        if (known->batch == batch && known->seq == batch->seq)
            return known;
    return NULL;
}

static struct lookup_batch *batch_make(struct lookup *lookup, struct batch *batch)
{
    struct lookup_batch *made = lookup->free_batches;
    if (made)
        lookup->free_batches = made->next;
    else if (!(made = memory_take(sizeof(*made))))
        return NULL;
    *made = (struct lookup_batch){.batch = batch, .seq = batch->seq};
    struct lookup_batch **place = &lookup->batches;
    while (*place && (*place)->seq < made->seq)
        place = &(*place)->next;
    made->next = *place;
    *place = made;
    return made;
}

static void batch_free(struct lookup *lookup, struct lookup_batch *batch)
{
    struct lookup_batch **place = &lookup->batches;
    while (*place != batch)
        place = &(*place)->next;
    *place = batch->next;
    batch->next = lookup->free_batches;
    lookup->free_batches = batch;
}

/* What the stage fills and looks at, for `wanted` rows. False: the arena is full. */
static bool round_make(struct lookup *lookup, struct lookup_batch *own, uint32_t wanted)
{
    struct batch *batch = own->batch;
    const uint32_t columns[] = {lookup->field, lookup->status, lookup->latency, lookup->attempts};
    uint16_t index = lookup->stage.index;
    own->reserve = RESERVE_LEAST +
                   lookup->after.count * ((size_t)batch->record_count + 2) * sizeof(struct value);
    batch->row_count = wanted;
    for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
        if (columns[i] != COLUMN_NONE && !batch_column_make(batch, columns[i]))
            return false;
    own->states = arena_take_aligned(&batch->arena, batch->record_count, 1);
    if (!own->states)
        return false;
    memset(own->states, LOOKUP_WAITS, batch->record_count);
    if (!moves_apply(&lookup->before, lookup->evaluator, batch, index) ||
        !moves_apply(&lookup->checks, lookup->evaluator, batch, index))
        return false;
    if (batch->arena.limit - batch->arena.used <= own->reserve)
        return false;
    batch->arena.limit -= own->reserve;
    return true;
}

/* Begins a round with as many of the rows as the arena lets. */
static void round_open(struct lookup *lookup, struct lookup_batch *own)
{
    struct batch *batch = own->batch;
    struct reject **tail = batch->rejects_tail;
    uint32_t rejects = batch->reject_count, wanted = batch->row_count;
    size_t mark = arena_mark(&batch->arena);
    own->present = true;
    own->full = false;
    own->offered = batch->row_count;
    own->next_row = own->done = 0;
    own->first_done = 0;
    own->reserve = 0;
    CHECK(batch->row_count <= BATCH_MAX_RECORDS);
    if (batch->row_count)
        memcpy(lookup->rows, batch->rows, batch->row_count * sizeof(*lookup->rows));
    while (!round_make(lookup, own, wanted)) {
        arena_rewind(&batch->arena, mark);
        for (uint32_t i = 0; i < batch->column_count; i++)
            batch->columns[i].decoded = NULL;
        batch->rejects_tail = tail;
        *tail = NULL;
        batch->reject_count = rejects;
        if (own->offered)
            memcpy(batch->rows, lookup->rows, own->offered * sizeof(*batch->rows));
        own->reserve = 0;
        if (wanted <= 1) {
            /* not even one: it is the record's fault */
            CHECK(wanted == 0 ||
                  batch_reject(batch, batch->rows[0], lookup->stage.index, ERROR_LIMIT, UINT32_MAX,
                               "the record needs more memory than --memory allows"));
            batch->row_count = 0;
            break;
        }
        wanted = (wanted + 1) / 2;
    }
    /* those that the moves rejected are gone; the rows behind move up */
    own->count = batch->row_count;
    uint32_t behind = own->offered - wanted;
    if (behind)
        memcpy(batch->rows + own->count, lookup->rows + wanted, behind * sizeof(*batch->rows));
    own->offered = own->count + behind;
    own->left = own->count;
}

/* Rows that were asked for in a round before. */
static void round_remember(struct lookup *lookup, struct lookup_batch *own)
{
    if (own->count == 0)
        return;
    uint32_t last = own->batch->rows[own->count - 1];
    for (struct lookup_ask *ask = own->first; ask && ask->row <= last; ask = ask->next)
        own->states[ask->row] = LOOKUP_ASKED;
    lookup_batch_apply(lookup, own);
}

static void lookup_start(struct stage *stage, struct evaluator *evaluator, struct batch *batch)
{
    struct lookup *lookup = (struct lookup *)stage;
    struct lookup_batch *own = batch_find(lookup, batch);
    lookup->evaluator = evaluator;
    if (!own && !(own = batch_make(lookup, batch))) {
        batch->next = lookup->orphans;
        lookup->orphans = batch;
        lookup_fail(lookup, ERROR_MEMORY, "no memory for another batch");
        return;
    }
    CHECK(!own->present);
    if (lookup->view_count < batch->column_count) {
        struct column *view =
            memory_resize(lookup->view, batch->column_count * sizeof(*lookup->view));
        if (view) {
            lookup->view = view;
            lookup->view_count = batch->column_count;
        } else {
            lookup_fail(lookup, ERROR_MEMORY, "no memory to evaluate expressions");
        }
    }
    round_open(lookup, own);
    if (!lookup->failed)
        round_remember(lookup, own);
}

/* ---- handing on ---- */

/* When it has to go on: now (0), at a time, or not for the clock's sake (INT64_MAX). */
static int64_t batch_due(const struct lookup *lookup, const struct lookup_batch *own)
{
    if (own->left == 0 || own->full)
        return 0;
    /* behind another one it could only wait */
    if (own->first_done == 0 || (lookup->ordered && own != lookup->batches))
        return INT64_MAX;
    return own->first_done + LOOKUP_PATIENCE;
}

/* Rows that are done to the front, what is not to the rest. */
static void batch_leave(struct lookup *lookup, struct lookup_batch *own)
{
    struct batch *batch = own->batch;
    uint32_t done = 0, waiting = 0;
    for (uint32_t i = 0; i < own->count; i++) {
        uint32_t row = batch->rows[i];
        if (own->states[row] == LOOKUP_DONE)
            batch->rows[done++] = row;
        else if (own->states[row] != LOOKUP_GONE)
            lookup->rows[waiting++] = row;
    }
    CHECK(done == own->done && waiting == own->left);
    uint32_t behind = own->offered - own->count;
    memmove(batch->rows + done + waiting, batch->rows + own->count, behind * sizeof(*batch->rows));
    if (waiting)
        memcpy(batch->rows + done, lookup->rows, waiting * sizeof(*batch->rows));
    batch->row_count = done;
    batch->rest_count = waiting + behind;
    batch->rest = batch->rest_count ? batch->rows + done : NULL;
    batch->arena.limit += own->reserve;
    if (own->reserve)
        CHECK(moves_apply(&lookup->after, lookup->evaluator, batch, lookup->stage.index));
    own->present = false;
    if (batch->rest_count == 0) {
        CHECK(own->first == NULL);
        batch_free(lookup, own);
    }
}

static struct lookup_batch *batch_ready(struct lookup *lookup, int64_t now)
{
    for (struct lookup_batch *own = lookup->batches; own; own = own->next)
        if (own->present && batch_due(lookup, own) <= now)
            return own;
    return NULL;
}

static int64_t wake_time(struct lookup *lookup)
{
    int64_t wake = dispatcher_wake(lookup->dispatcher);
    if (lookup->gather.open && lookup->gather.due < wake)
        wake = lookup->gather.due;
    for (struct lookup_batch *own = lookup->batches; own; own = own->next)
        if (own->present && batch_due(lookup, own) < wake)
            wake = batch_due(lookup, own);
    return wake == INT64_MAX ? 0 : wake > 0 ? wake : 1;
}

/* Sends, receives, asks for more, as long as there is something to do, and not forever. */
static void lookup_work(struct lookup *lookup)
{
    for (int round = 0; round < 4; round++) {
        bool happened = false;
        struct call *call;
        dispatcher_step(lookup->dispatcher);
        while ((call = dispatcher_reap(lookup->dispatcher))) {
            lookup_call_done(lookup, (struct lookup_call *)call);
            happened = true;
        }
        happened |= lookup_pump(lookup, clock_monotonic());
        if (!happened || lookup->failed)
            break;
    }
}

static enum stage_result lookup_take(struct stage *stage, struct evaluator *evaluator,
                                     struct batch **batch, struct error *error)
{
    struct lookup *lookup = (struct lookup *)stage;
    lookup->evaluator = evaluator;
    if (!lookup->failed)
        lookup_work(lookup);
    if (lookup->failed) {
        *error = lookup->error;
        return STAGE_FAIL;
    }
    struct lookup_batch *own = batch_ready(lookup, clock_monotonic());
    if (own) {
        *batch = own->batch;
        batch_leave(lookup, own);
        return STAGE_OK;
    }
    stage->wake = wake_time(lookup);
    return STAGE_WAIT;
}

/* ---- the run begins, is stopped, let go ---- */

static bool lookup_enter(struct stage *stage, bool ordered, struct error *error)
{
    struct lookup *lookup = (struct lookup *)stage;
    lookup->ordered = ordered;
    if (!lookup_pools_open(lookup, error))
        return false;
    stage->descriptor = dispatcher_descriptor(lookup->dispatcher);
    lookup->entered = true;
    return true;
}

static void lookup_stop(struct stage *stage, int64_t deadline)
{
    struct lookup *lookup = (struct lookup *)stage;
    lookup->stopping = true;
    lookup_gather_send(lookup);
    dispatcher_drain(lookup->dispatcher, deadline);
}

/* Nobody wants an answer any more. */
static void calls_cancel(struct lookup *lookup)
{
    for (uint32_t i = 0; i < lookup->call_count; i++)
        if (lookup->calls[i].submitted) {
            dispatcher_cancel(lookup->dispatcher, &lookup->calls[i].call);
            lookup->calls[i].submitted = false;
        }
    lookup->gather.open = NULL;
    lookup->gather.suspects = NULL;
    for (struct lookup_batch *own = lookup->batches; own; own = own->next)
        while (own->first) {
            struct lookup_ask *ask = own->first;
            cache_leave(&ask->waiter);
            if (ask->leads)
                cache_fail(lookup->cache, ask->flight);
            while (ask->leads && cache_waiter_next(lookup->cache, ask->flight))
                ;
            ask->leads = false;
            lookup_ask_free(lookup, ask);
        }
}

static struct batch *lookup_reclaim(struct stage *stage)
{
    struct lookup *lookup = (struct lookup *)stage;
    calls_cancel(lookup);
    while (lookup->batches) {
        struct lookup_batch *own = lookup->batches;
        struct batch *batch = own->present ? own->batch : NULL;
        if (batch)
            batch->arena.limit += own->reserve;
        batch_free(lookup, own);
        if (batch)
            return batch;
    }
    struct batch *orphan = lookup->orphans;
    if (orphan)
        lookup->orphans = orphan->next;
    return orphan;
}

const struct async_stage_ops lookup_async = {
    .enter = lookup_enter,
    .start = lookup_start,
    .take = lookup_take,
    .stop = lookup_stop,
    .reclaim = lookup_reclaim,
};
