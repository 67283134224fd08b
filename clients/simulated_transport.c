/* Modelled peers: see simulated_transport.h. */
#include "clients/simulated_transport.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/heap.h"
#include "clients/random.h"
#include "core/clock.h"
#include "core/fault.h"

#define PEER_NAME (sizeof(((struct simulated_peer *)0)->name) - 1)

/* A request under way. In `events` by the time at which something happens to it. */
struct job {
    struct heap_item event;      /* first: events are cast back */
    struct job *next, *previous; /* of a peer's queue, `over` or the free ones */
    struct exchange *exchange;   /* NULL: free */
    struct simulated_reply reply;
    char *body; /* its own memory */
    uint32_t peer;
    uint64_t arrival; /* index in the log */
    bool working;     /* has a worker */
    bool waiting;     /* in its peer's queue */
    bool late;        /* its event is its deadline */
    bool over;        /* in `over` */
};

struct job_list {
    struct job *first, *last;
};

struct simulated_transport {
    struct transport transport;
    struct simulated_settings settings;
    struct simulated_log *log;
    uint64_t random;
    struct heap events;
    struct job *jobs, *unused;
    struct job_list queues[SIMULATED_PEERS];
    uint32_t working[SIMULATED_PEERS];
    struct job_list over;
};

static void jobs_add(struct job_list *list, struct job *job)
{
    job->next = NULL;
    job->previous = list->last;
    *(list->last ? &list->last->next : &list->first) = job;
    list->last = job;
}

static void jobs_remove(struct job_list *list, struct job *job)
{
    *(job->previous ? &job->previous->next : &list->first) = job->next;
    *(job->next ? &job->next->previous : &list->last) = job->previous;
}

static uint32_t peer_find(struct simulated_log *log, struct string name)
{
    for (uint32_t i = 0; i < log->peer_count; i++)
        if (string_equal_text((struct string){name.data, size_min(name.length, PEER_NAME)},
                              log->peers[i].name))
            return i;
    if (log->peer_count == SIMULATED_PEERS)
        return SIMULATED_PEERS - 1;
    snprintf(log->peers[log->peer_count].name, PEER_NAME + 1, "%.*s",
             (int)size_min(name.length, PEER_NAME), name.data);
    return log->peer_count++;
}

static void log_arrival(struct simulated_transport *simulated, struct job *job, int64_t now)
{
    struct simulated_log *log = simulated->log;
    struct simulated_peer *peer = &log->peers[job->peer];
    job->arrival = log->arrival_count++;
    peer->arrivals++;
    if (++peer->in_flight > peer->in_flight_most)
        peer->in_flight_most = peer->in_flight;
    if (++log->in_flight > log->in_flight_most)
        log->in_flight_most = log->in_flight;
    if (log->arrivals && job->arrival < log->arrivals_most)
        log->arrivals[job->arrival] = (struct simulated_arrival){
            .time = now, .request = job->exchange->request, .peer = job->peer};
}

static void log_over(struct simulated_transport *simulated, const struct job *job, int64_t now,
                     bool cancelled)
{
    struct simulated_log *log = simulated->log;
    struct simulated_peer *peer = &log->peers[job->peer];
    peer->in_flight--;
    log->in_flight--;
    if (cancelled)
        peer->cancelled++;
    else
        peer->answered++;
    if (log->arrivals && job->arrival < log->arrivals_most) {
        log->arrivals[job->arrival].over = now;
        log->arrivals[job->arrival].cancelled = cancelled;
    }
}

static struct simulated_reply reply_draw(struct simulated_transport *simulated)
{
    const struct simulated_settings *settings = &simulated->settings;
    uint64_t *random = &simulated->random;
    struct simulated_reply reply = {.status = 200, .service = settings->service_least};
    if (settings->service_mean > 0)
        reply.service += (int64_t)(-log(1 - random_share(random)) * (double)settings->service_mean);
    if (settings->slow > 0 && random_share(random) < settings->slow)
        reply.service += settings->service_slow;
    double chance = random_share(random);
    if (chance < settings->connect) {
        reply.outcome = OUTCOME_CONNECT;
        reply.status = 0;
    } else if ((chance -= settings->connect) < settings->hang) {
        reply.outcome = OUTCOME_TIMEOUT;
        reply.status = 0;
    } else if ((chance -= settings->hang) < settings->broken) {
        reply.outcome = OUTCOME_BROKEN;
        reply.status = 0;
    } else if ((chance -= settings->broken) < settings->refused) {
        reply.status = settings->refused_status;
        reply.retry_after = settings->retry_after;
    }
    return reply;
}

/* The time at which something happens to it next: its end, or its deadline. */
static void job_schedule(struct simulated_transport *simulated, struct job *job, int64_t now)
{
    int64_t end = INT64_MAX;
    if (job->working && job->reply.outcome != OUTCOME_TIMEOUT &&
        __builtin_add_overflow(now, job->reply.service, &end))
        end = INT64_MAX;
    job->late = job->exchange->deadline <= end;
    heap_remove(&simulated->events, &job->event);
    heap_add(&simulated->events, &job->event, job->late ? job->exchange->deadline : end);
}

static void job_work(struct simulated_transport *simulated, struct job *job, int64_t now)
{
    simulated->working[job->peer]++;
    job->working = true;
    job_schedule(simulated, job, now);
}

static void wake_set(struct simulated_transport *simulated)
{
    const struct heap_item *item = heap_first(&simulated->events);
    simulated->transport.wake = simulated->over.first ? 0 : item ? item->key : INT64_MAX;
}

static void simulated_start(struct transport *transport, struct exchange *exchange)
{
    struct simulated_transport *simulated = (struct simulated_transport *)transport;
    int64_t now = clock_monotonic();
    struct job *job = simulated->unused;
    CHECK(job); /* no more than settings.exchanges */
    simulated->unused = job->next;
    *job = (struct job){.exchange = exchange, .reply = reply_draw(simulated)};
    job->peer = peer_find(simulated->log, exchange->request->peer);
    exchange->state = job;
    exchange->started = now;
    log_arrival(simulated, job, now);
    if (simulated->settings.answer)
        simulated->settings.answer(simulated->settings.context, exchange->request, now,
                                   &job->reply);
    if (job->reply.body.length) {
        job->body = memory_take(job->reply.body.length);
        if (job->body)
            memcpy(job->body, job->reply.body.data, job->reply.body.length);
        else
            job->reply.outcome = OUTCOME_BROKEN;
    }
    uint32_t workers = simulated->settings.workers;
    if (workers > 0 && simulated->working[job->peer] >= workers) {
        job->waiting = true;
        jobs_add(&simulated->queues[job->peer], job);
        job_schedule(simulated, job, now);
    } else {
        job_work(simulated, job, now);
    }
    wake_set(simulated);
}

/* Leaves its peer, and whoever waits there is served. */
static void job_leave(struct simulated_transport *simulated, struct job *job, int64_t now,
                      bool cancelled)
{
    heap_remove(&simulated->events, &job->event);
    log_over(simulated, job, now, cancelled);
    if (job->waiting)
        jobs_remove(&simulated->queues[job->peer], job);
    job->waiting = false;
    if (!job->working)
        return;
    job->working = false;
    simulated->working[job->peer]--;
    struct job *next = simulated->queues[job->peer].first;
    if (next) {
        jobs_remove(&simulated->queues[next->peer], next);
        next->waiting = false;
        job_work(simulated, next, now);
    }
}

static void job_free(struct simulated_transport *simulated, struct job *job)
{
    free(job->body);
    job->body = NULL;
    job->exchange = NULL;
    job->next = simulated->unused;
    simulated->unused = job;
}

static void simulated_cancel(struct transport *transport, struct exchange *exchange)
{
    struct simulated_transport *simulated = (struct simulated_transport *)transport;
    struct job *job = exchange->state;
    CHECK(job && job->exchange == exchange);
    if (job->over)
        jobs_remove(&simulated->over, job);
    else
        job_leave(simulated, job, clock_monotonic(), true);
    job_free(simulated, job);
    exchange->state = NULL;
    wake_set(simulated);
}

/* At the time of its event: answered, or its deadline has come. */
static void job_end(struct simulated_transport *simulated, struct job *job, int64_t now)
{
    struct exchange *exchange = job->exchange;
    enum outcome outcome = job->late ? OUTCOME_TIMEOUT : job->reply.outcome;
    job_leave(simulated, job, now, false);
    exchange->outcome = outcome;
    exchange->finished = now;
    if (outcome == OUTCOME_ANSWER) {
        exchange->first_byte = now;
        exchange->status = job->reply.status;
        exchange->retry_after = job->reply.retry_after;
        exchange->answer = (struct string){job->body, job->reply.body.length};
    } else {
        snprintf(exchange->detail, sizeof(exchange->detail), "%s (simulated)",
                 outcome_name(outcome));
    }
    job->over = true;
    jobs_add(&simulated->over, job);
}

static void simulated_step(struct transport *transport)
{
    struct simulated_transport *simulated = (struct simulated_transport *)transport;
    int64_t now = clock_monotonic();
    struct heap_item *item;
    while ((item = heap_first(&simulated->events)) && item->key <= now)
        job_end(simulated, (struct job *)item, item->key);
    wake_set(simulated);
}

static struct exchange *simulated_reap(struct transport *transport)
{
    struct simulated_transport *simulated = (struct simulated_transport *)transport;
    struct job *job = simulated->over.first;
    if (!job)
        return NULL;
    jobs_remove(&simulated->over, job);
    job->over = false;
    wake_set(simulated);
    return job->exchange;
}

static void simulated_release(struct transport *transport, struct exchange *exchange)
{
    struct simulated_transport *simulated = (struct simulated_transport *)transport;
    struct job *job = exchange->state;
    CHECK(job && job->exchange == exchange && !job->over && !job->working && !job->waiting);
    job_free(simulated, job);
    exchange->state = NULL;
}

static void simulated_close(struct transport *transport)
{
    struct simulated_transport *simulated = (struct simulated_transport *)transport;
    for (uint32_t i = 0; simulated->jobs && i < simulated->settings.exchanges; i++)
        free(simulated->jobs[i].body);
    heap_close(&simulated->events);
    free(simulated->jobs);
    free(simulated);
}

static const struct transport_ops simulated_ops = {
    .start = simulated_start,
    .cancel = simulated_cancel,
    .step = simulated_step,
    .reap = simulated_reap,
    .release = simulated_release,
    .close = simulated_close,
};

struct transport *simulated_transport_open(const struct simulated_settings *settings,
                                           struct simulated_log *log)
{
    CHECK(settings->exchanges > 0);
    struct simulated_transport *simulated = memory_take_zeroed(1, sizeof(*simulated));
    if (!simulated)
        return NULL;
    simulated->transport = (struct transport){&simulated_ops, -1, INT64_MAX};
    simulated->settings = *settings;
    simulated->log = log;
    simulated->random = settings->seed;
    simulated->jobs = memory_take_zeroed(settings->exchanges, sizeof(*simulated->jobs));
    if (!heap_open(&simulated->events, settings->exchanges) || !simulated->jobs) {
        simulated_close(&simulated->transport);
        return NULL;
    }
    for (uint32_t i = settings->exchanges; i-- > 0;) {
        simulated->jobs[i].next = simulated->unused;
        simulated->unused = &simulated->jobs[i];
    }
    return &simulated->transport;
}
