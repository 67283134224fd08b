/* Exchanges with an SQLite database: see sqlite_transport.h.
 *
 * Under `lock`: the queues and each job's `state`. A job's question is written before it is queued
 * and read by the thread while it runs; its answer is written by the thread and read after it is
 * finished. A job whose exchange is gone is given back by whoever has it. */
#include "clients/sqlite_transport.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clients/sqlite_session.h"
#include "core/clock.h"
#include "core/fault.h"
#include "core/raw.h"
#include "core/thread.h"

#define PATIENCE       (5 * NANOSECONDS)
#define PARK           (10 * NANOSECONDS)
#define QUESTION_SOFT  ((size_t)16 << 10)
#define QUESTION_LIMIT ((size_t)1 << 20)
#define ANSWER_SOFT    ((size_t)64 << 10)

enum job_state { JOB_QUEUED, JOB_RUNS, JOB_FINISHED };

struct job {
    struct job *next;          /* in a queue, or free */
    struct job *made;          /* the one made before it */
    struct job *older, *newer; /* the actor's: exchanges that are not over */
    struct exchange *exchange; /* the actor's; NULL: nobody waits any more */
    enum job_state state;      /* under lock */
    struct buffer texts;       /* of the parameters */
    struct sqlite_question question;
};

struct jobs {
    struct job *first, **tail;
};

struct sqlite_transport {
    struct transport base;
    char *path;
    char *query;
    struct thread thread;
    struct event work; /* something was queued, or the end */
    atomic_bool ending;
    pthread_mutex_t lock;
    struct jobs queued;   /* under lock */
    struct jobs finished; /* under lock */
    /* the actor's */
    struct job *made; /* the last one of all */
    struct job *free;
    struct job *oldest, *newest; /* by the time they were started */
    struct jobs over;
    struct exchange *unstarted;    /* for want of memory; over */
    struct sqlite_session session; /* the thread's */
};

static const struct transport_ops sqlite_ops;

static void jobs_add(struct jobs *jobs, struct job *job)
{
    job->next = NULL;
    *jobs->tail = job;
    jobs->tail = &job->next;
}

static struct job *jobs_take(struct jobs *jobs)
{
    struct job *job = jobs->first;
    if (job && !(jobs->first = job->next))
        jobs->tail = &jobs->first;
    return job;
}

static void jobs_remove(struct jobs *jobs, struct job *job)
{
    struct job **at = &jobs->first;
    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
    if (!*at)
        jobs->tail = at;
}

static void lock(struct sqlite_transport *sqlite)
{
    CHECK(pthread_mutex_lock(&sqlite->lock) == 0);
}

static void unlock(struct sqlite_transport *sqlite)
{
    CHECK(pthread_mutex_unlock(&sqlite->lock) == 0);
}

/* ---- the thread ---- */

static void worker(void *argument)
{
    struct sqlite_transport *sqlite = argument;
    while (!atomic_load_explicit(&sqlite->ending, memory_order_acquire)) {
        unsigned seen = event_sequence(&sqlite->work);
        lock(sqlite);
        struct job *job = jobs_take(&sqlite->queued);
        if (job)
            job->state = JOB_RUNS;
        unlock(sqlite);
        if (!job) {
            if (!atomic_load_explicit(&sqlite->ending, memory_order_acquire))
                event_wait(&sqlite->work, seen, PARK);
            continue;
        }
        sqlite_session_run(&sqlite->session, &job->question);
        lock(sqlite);
        job->state = JOB_FINISHED;
        jobs_add(&sqlite->finished, job);
        unlock(sqlite);
        uint64_t one = 1;
        ssize_t written = write(sqlite->base.descriptor, &one, sizeof(one));
        CHECK(written == (ssize_t)sizeof(one)); /* its counter holds 2^64 - 2 */
    }
    sqlite_session_leave(&sqlite->session);
}

/* ---- jobs (the actor) ---- */

static struct job *job_make(struct sqlite_transport *sqlite)
{
    struct error ignored; /* the exchange ends as broken, for want of memory */
    struct job *job = sqlite->free;
    if (job) {
        sqlite->free = job->next;
    } else {
        job = memory_take_zeroed(1, sizeof(*job));
        if (!job)
            return NULL;
        if (!buffer_open(&job->texts, size_min(QUESTION_SOFT, QUESTION_LIMIT), QUESTION_LIMIT,
                         &ignored)) {
            free(job);
            return NULL;
        }
        if (!buffer_open(&job->question.answer, size_min(ANSWER_SOFT, sqlite->session.answer_limit),
                         sqlite->session.answer_limit, &ignored)) {
            buffer_close(&job->texts);
            free(job);
            return NULL;
        }
        job->made = sqlite->made;
        sqlite->made = job;
    }
    buffer_reset(&job->texts);
    buffer_reset(&job->question.answer);
    job->texts.limit = job->texts.reserved;
    job->question.answer.limit = sqlite->session.answer_limit;
    job->question.hopeless = false;
    job->question.detail[0] = 0;
    job->question.outcome = OUTCOME_BROKEN;
    atomic_store_explicit(&job->question.unwanted, false, memory_order_relaxed);
    return job;
}

static void job_free(struct sqlite_transport *sqlite, struct job *job)
{
    job->exchange = NULL;
    job->next = sqlite->free;
    sqlite->free = job;
}

/* A parameter as SQLite takes it, its text in the job's own memory. */
static bool parameter_copy(struct job *job, struct value value, struct value *copy)
{
    struct buffer *text = &job->texts;
    size_t start = text->length;
    const char *reason;
    *copy = value;
    switch ((enum value_kind)value.kind) {
    case VALUE_UINT:
        if (value.natural <= INT64_MAX) {
            *copy = value_int((int64_t)value.natural);
            return true;
        }
        break; /* as text */
    case VALUE_ABSENT:
    case VALUE_NULL:
    case VALUE_BOOL:
    case VALUE_INT:
    case VALUE_DOUBLE:
        return true;
    case VALUE_STRING:
    case VALUE_BYTES:
        copy->text = text->data + start;
        return buffer_append(text, value.text, value.length);
    default:
        break;
    }
    if (value_write_json(value, text, &reason) != JSON_DONE)
        return false;
    size_t length = text->length - start;
    bool quoted = length >= 2 && text->data[start] == '"'; /* a timestamp or duration: plain text */
    *copy = value_string(text->data + start + quoted, length - 2 * quoted);
    return true;
}

static bool question_write(struct job *job, const struct request *request)
{
    job->question.parameter_count = request->parameter_count;
    if (request->parameter_count > SQLITE_PARAMETERS_MOST)
        return false;
    for (uint32_t i = 0; i < request->parameter_count; i++)
        if (!parameter_copy(job, request->parameters[i], &job->question.parameters[i]))
            return false;
    return true;
}

static void waiting_add(struct sqlite_transport *sqlite, struct job *job)
{
    job->older = sqlite->newest;
    job->newer = NULL;
    *(sqlite->newest ? &sqlite->newest->newer : &sqlite->oldest) = job;
    sqlite->newest = job;
}

static void waiting_remove(struct sqlite_transport *sqlite, struct job *job)
{
    *(job->older ? &job->older->newer : &sqlite->oldest) = job->newer;
    *(job->newer ? &job->newer->older : &sqlite->newest) = job->older;
}

static void wake_set(struct sqlite_transport *sqlite)
{
    int64_t wake = sqlite->over.first || sqlite->unstarted ? 0 : INT64_MAX;
    for (struct job *job = sqlite->oldest; job; job = job->newer)
        if (job->exchange->deadline < wake)
            wake = job->exchange->deadline;
    sqlite->base.wake = wake;
}

/* Its exchange is over: to be reaped, with what the job holds. */
static void job_over(struct sqlite_transport *sqlite, struct job *job)
{
    struct exchange *exchange = job->exchange;
    exchange->outcome = job->question.outcome;
    exchange->hopeless = job->question.hopeless;
    exchange->finished = clock_monotonic();
    if (job->question.outcome == OUTCOME_ANSWER) {
        exchange->first_byte = exchange->finished;
        exchange->answer = (struct string){job->question.answer.data, job->question.answer.length};
        exchange->answer_is_json = true;
    }
    snprintf(exchange->detail, sizeof(exchange->detail), "%s", job->question.detail);
    jobs_add(&sqlite->over, job);
}

/* Takes the exchange off a job that is not over; the thread gives the job back if it has it. */
static void job_abandon(struct sqlite_transport *sqlite, struct job *job)
{
    waiting_remove(sqlite, job);
    atomic_store_explicit(&job->question.unwanted, true, memory_order_relaxed);
    job->exchange = NULL;
    lock(sqlite);
    bool queued = job->state == JOB_QUEUED;
    if (queued)
        jobs_remove(&sqlite->queued, job);
    unlock(sqlite);
    if (queued)
        job_free(sqlite, job);
}

static void sqlite_start(struct transport *transport, struct exchange *exchange)
{
    struct sqlite_transport *sqlite = (struct sqlite_transport *)transport;
    struct job *job = job_make(sqlite);
    exchange->started = clock_monotonic();
    exchange->status = 0;
    exchange->hopeless = false;
    exchange->state = job;
    if (!job) {
        exchange->outcome = OUTCOME_BROKEN;
        exchange->finished = exchange->started;
        snprintf(exchange->detail, sizeof(exchange->detail), "no memory for a query");
        exchange->next = sqlite->unstarted;
        sqlite->unstarted = exchange;
        wake_set(sqlite);
        return;
    }
    job->exchange = exchange;
    if (!question_write(job, exchange->request)) {
        job->question.outcome = OUTCOME_INVALID;
        snprintf(job->question.detail, sizeof(job->question.detail),
                 "the parameters are too many or too long, or one of them has no text");
        job_over(sqlite, job);
    } else {
        waiting_add(sqlite, job);
        lock(sqlite);
        job->state = JOB_QUEUED;
        jobs_add(&sqlite->queued, job);
        unlock(sqlite);
        event_signal(&sqlite->work);
    }
    wake_set(sqlite);
}

/* Whether it stands among those that are over, not reaped. */
static bool is_over(const struct sqlite_transport *sqlite, const struct job *job)
{
    const struct job *at = sqlite->over.first;
    while (at && at != job)
        at = at->next;
    return at != NULL;
}

static void sqlite_cancel(struct transport *transport, struct exchange *exchange)
{
    struct sqlite_transport *sqlite = (struct sqlite_transport *)transport;
    struct job *job = exchange->state;
    exchange->state = NULL;
    if (!job) {
        struct exchange **at = &sqlite->unstarted;
        while (*at != exchange)
            at = &(*at)->next;
        *at = exchange->next;
    } else if (is_over(sqlite, job)) {
        jobs_remove(&sqlite->over, job);
        job_free(sqlite, job);
    } else {
        job_abandon(sqlite, job);
    }
    wake_set(sqlite);
}

static void job_late(struct sqlite_transport *sqlite, struct job *job)
{
    struct exchange *exchange = job->exchange;
    job_abandon(sqlite, job);
    /* what is reaped is another job: this one may still be with the thread */
    struct job *late = job_make(sqlite);
    exchange->state = late;
    if (!late) {
        exchange->outcome = OUTCOME_TIMEOUT;
        exchange->finished = clock_monotonic();
        exchange->next = sqlite->unstarted;
        sqlite->unstarted = exchange;
        snprintf(exchange->detail, sizeof(exchange->detail), "no answer in time");
        return;
    }
    late->exchange = exchange;
    late->question.outcome = OUTCOME_TIMEOUT;
    snprintf(late->question.detail, sizeof(late->question.detail), "no answer in time");
    job_over(sqlite, late);
}

static void sqlite_step(struct transport *transport)
{
    struct sqlite_transport *sqlite = (struct sqlite_transport *)transport;
    uint64_t count;
    if (read(sqlite->base.descriptor, &count, sizeof(count)) < 0)
        CHECK(errno == EAGAIN || errno == EINTR); /* nothing new */
    for (;;) {
        lock(sqlite);
        struct job *job = jobs_take(&sqlite->finished);
        unlock(sqlite);
        if (!job)
            break;
        if (!job->exchange) {
            job_free(sqlite, job);
            continue;
        }
        waiting_remove(sqlite, job);
        job_over(sqlite, job);
    }
    int64_t now = clock_monotonic();
    for (struct job *job = sqlite->oldest, *newer; job; job = newer) {
        newer = job->newer;
        if (job->exchange->deadline <= now)
            job_late(sqlite, job);
    }
    wake_set(sqlite);
}

static struct exchange *sqlite_reap(struct transport *transport)
{
    struct sqlite_transport *sqlite = (struct sqlite_transport *)transport;
    struct exchange *exchange = sqlite->unstarted;
    if (exchange) {
        sqlite->unstarted = exchange->next;
    } else {
        struct job *job = jobs_take(&sqlite->over);
        exchange = job ? job->exchange : NULL;
    }
    wake_set(sqlite);
    return exchange;
}

static void sqlite_release(struct transport *transport, struct exchange *exchange)
{
    struct sqlite_transport *sqlite = (struct sqlite_transport *)transport;
    struct job *job = exchange->state;
    exchange->state = NULL;
    exchange->answer = (struct string){NULL, 0};
    if (job)
        job_free(sqlite, job);
}

/* ---- opening and closing ---- */

static void sqlite_close(struct transport *transport)
{
    struct sqlite_transport *sqlite = (struct sqlite_transport *)transport;
    for (struct job *job = sqlite->oldest; job; job = job->newer)
        atomic_store_explicit(&job->question.unwanted, true, memory_order_relaxed);
    atomic_store_explicit(&sqlite->ending, true, memory_order_release);
    event_signal(&sqlite->work);
    thread_join(&sqlite->thread);
    for (struct job *job = sqlite->made, *before; job; job = before) {
        before = job->made;
        buffer_close(&job->texts);
        buffer_close(&job->question.answer);
        free(job);
    }
    if (sqlite->base.descriptor >= 0)
        close(sqlite->base.descriptor);
    CHECK(pthread_mutex_destroy(&sqlite->lock) == 0);
    free(sqlite->path);
    free(sqlite->query);
    free(sqlite);
}

struct transport *sqlite_transport_open(const struct sqlite_transport_settings *settings,
                                        struct error *error)
{
    struct sqlite_transport *sqlite = memory_take_zeroed(1, sizeof(*sqlite));
    if (!sqlite) {
        error_set(error, ERROR_MEMORY, "no memory for lookups in a database");
        return NULL;
    }
    sqlite->path = memory_copy_text(settings->path.data, settings->path.length);
    sqlite->query = memory_copy_text(settings->query.data, settings->query.length);
    sqlite->session = (struct sqlite_session){
        .path = sqlite->path,
        .query = sqlite->query,
        .rows = settings->rows,
        .answer_limit = size_max(settings->answer_limit, 16),
        .patience = settings->patience > 0 ? settings->patience : PATIENCE,
    };
    sqlite->queued.tail = &sqlite->queued.first;
    sqlite->finished.tail = &sqlite->finished.first;
    sqlite->over.tail = &sqlite->over.first;
    CHECK(pthread_mutex_init(&sqlite->lock, NULL) == 0);
    sqlite->base =
        (struct transport){&sqlite_ops, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), INT64_MAX};
    if (!sqlite->path || !sqlite->query)
        error_set(error, ERROR_MEMORY, "no memory for lookups in a database");
    else if (sqlite->base.descriptor < 0)
        error_set_errno(error, errno, "cannot make an eventfd");
    else if (thread_start(&sqlite->thread, "leat sqlite", worker, sqlite, error))
        return &sqlite->base;
    sqlite_close(&sqlite->base);
    return NULL;
}

static const struct transport_ops sqlite_ops = {
    .start = sqlite_start,
    .cancel = sqlite_cancel,
    .step = sqlite_step,
    .reap = sqlite_reap,
    .release = sqlite_release,
    .close = sqlite_close,
};
