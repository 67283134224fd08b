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

#include "clients/sqlite_row.h"
#include "core/clock.h"
#include "core/fault.h"
#include "core/raw.h"
#include "core/thread.h"

#define PATIENCE        (5 * NANOSECONDS)
#define PARK            (10 * NANOSECONDS)
#define PARAMETERS_MOST 64
#define QUESTION_SOFT   ((size_t)16 << 10)
#define QUESTION_LIMIT  ((size_t)1 << 20)
#define ANSWER_SOFT     ((size_t)64 << 10)
#define STEPS_UNWATCHED 1000 /* of SQLite's machine, until it asks whether to go on */

enum job_state { JOB_QUEUED, JOB_RUNS, JOB_FINISHED };

struct job {
    struct job *next;                         /* in a queue, or free */
    struct job *made;                         /* the one made before it */
    struct job *older, *newer;                /* the actor's: exchanges that are not over */
    struct exchange *exchange;                /* the actor's; NULL: nobody waits any more */
    enum job_state state;                     /* under lock */
    atomic_bool unwanted;                     /* the actor sets it; the thread stops at it */
    struct buffer question;                   /* text and bytes of the parameters */
    struct value parameters[PARAMETERS_MOST]; /* resolved; raw: JSON text in `question` */
    uint32_t parameter_count;
    struct buffer answer;
    enum outcome outcome;
    bool hopeless;
    char detail[160];
};

struct jobs {
    struct job *first, **tail;
};

struct sqlite_transport {
    struct transport base;
    char *path;
    char *query;
    bool rows;
    size_t answer_limit;
    int64_t patience;
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
    struct exchange *unstarted; /* for want of memory; over */
    /* the thread's */
    sqlite3 *connection;
    sqlite3_stmt *statement;
    struct sqlite_columns columns;
    struct job *running;
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

static void fail(struct job *job, enum outcome outcome, const char *doing, sqlite3 *connection)
{
    job->outcome = outcome;
    snprintf(job->detail, sizeof(job->detail), "cannot %s: %s", doing,
             connection ? sqlite3_errmsg(connection) : "no memory");
}

static void connection_leave(struct sqlite_transport *sqlite)
{
    sqlite3_finalize(sqlite->statement);
    sqlite3_close(sqlite->connection);
    sqlite_columns_close(&sqlite->columns);
    sqlite->statement = NULL;
    sqlite->connection = NULL;
}

/* SQLite asks from time to time; other than 0 interrupts the query. */
static int interrupt_asked(void *context)
{
    const struct sqlite_transport *sqlite = context;
    return sqlite->running &&
           atomic_load_explicit(&sqlite->running->unwanted, memory_order_relaxed);
}

static bool connection_reach(struct sqlite_transport *sqlite, struct job *job)
{
    if (sqlite->statement)
        return true;
    const char *rest = NULL;
    if (sqlite3_open_v2(sqlite->path, &sqlite->connection,
                        SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
        fail(job, OUTCOME_CONNECT, "open the database", sqlite->connection);
        connection_leave(sqlite);
        return false;
    }
    sqlite3_busy_timeout(sqlite->connection, (int)(sqlite->patience / 1000000));
    sqlite3_progress_handler(sqlite->connection, STEPS_UNWATCHED, interrupt_asked, sqlite);
    int code = sqlite3_prepare_v3(sqlite->connection, sqlite->query, -1, SQLITE_PREPARE_PERSISTENT,
                                  &sqlite->statement, &rest);
    if (code != SQLITE_OK || !sqlite->statement) {
        bool invalid = code == SQLITE_ERROR || code == SQLITE_OK;
        job->hopeless = invalid;
        int place = sqlite3_error_offset(sqlite->connection);
        fail(job, invalid ? OUTCOME_INVALID : OUTCOME_CONNECT, "prepare the query",
             sqlite->connection);
        size_t length = strlen(job->detail);
        if (invalid && place >= 0)
            snprintf(job->detail + length, sizeof(job->detail) - length, " at byte %d", place + 1);
    } else if (rest[strspn(rest, "; \t\r\n")] != 0) {
        job->outcome = OUTCOME_INVALID;
        job->hopeless = true;
        snprintf(job->detail, sizeof(job->detail), "a lookup is one statement");
    } else if (!sqlite_columns_take(&sqlite->columns, sqlite->statement)) {
        fail(job, OUTCOME_BROKEN, "read the columns", NULL);
    } else {
        return true;
    }
    connection_leave(sqlite);
    return false;
}

static int value_bind(sqlite3_stmt *statement, int index, struct value value)
{
    switch ((enum value_kind)value.kind) {
    case VALUE_BOOL:
        return sqlite3_bind_int(statement, index, value.boolean);
    case VALUE_INT:
        return sqlite3_bind_int64(statement, index, value.integer);
    case VALUE_DOUBLE:
        return sqlite3_bind_double(statement, index, value.real);
    case VALUE_STRING:
        return sqlite3_bind_text64(statement, index, value.text, value.length, SQLITE_STATIC,
                                   SQLITE_UTF8);
    case VALUE_BYTES:
        return sqlite3_bind_blob64(statement, index, value.text, value.length, SQLITE_STATIC);
    default:
        return sqlite3_bind_null(statement, index);
    }
}

static bool parameters_bind(struct sqlite_transport *sqlite, struct job *job)
{
    sqlite3_stmt *statement = sqlite->statement;
    int wanted = sqlite_parameters_wanted(statement);
    if (wanted != (int)job->parameter_count) {
        job->outcome = OUTCOME_INVALID;
        job->hopeless = true;
        snprintf(job->detail, sizeof(job->detail),
                 wanted < 0 ? "a parameter is written ?, ?1 or $1, not by a name"
                            : "the query has %d parameters, and %u are given",
                 wanted, job->parameter_count);
        return false;
    }
    for (int i = 1; i <= sqlite3_bind_parameter_count(statement); i++) {
        int number = sqlite_parameter_number(statement, i);
        if (value_bind(statement, i, job->parameters[number - 1]) == SQLITE_OK)
            continue;
        fail(job, OUTCOME_INVALID, "bind a parameter", sqlite->connection);
        return false;
    }
    return true;
}

/* Runs the bound statement and writes the answer. */
static void query_run(struct sqlite_transport *sqlite, struct job *job)
{
    struct buffer *answer = &job->answer;
    bool fits = !sqlite->rows || buffer_append_byte(answer, '[');
    uint64_t count = 0;
    int code;
    while (fits && (code = sqlite3_step(sqlite->statement)) == SQLITE_ROW) {
        if (count == 0 && !sqlite_columns_renew(&sqlite->columns, sqlite->statement)) {
            fail(job, OUTCOME_BROKEN, "read the columns", NULL);
            return;
        }
        fits = (count++ == 0 || buffer_append_byte(answer, ',')) &&
               sqlite_row_append(&sqlite->columns, sqlite->statement, answer);
        if (!sqlite->rows && fits) {
            code = SQLITE_DONE;
            break;
        }
    }
    if (!sqlite->rows && count == 0)
        fits = fits && buffer_append(answer, "null", 4);
    if (sqlite->rows)
        fits = fits && buffer_append_byte(answer, ']');
    if (fits && code == SQLITE_DONE) {
        job->outcome = OUTCOME_ANSWER;
    } else if (!fits) {
        job->outcome = OUTCOME_LARGE;
        snprintf(job->detail, sizeof(job->detail), "the rows are longer than %zu bytes",
                 sqlite->answer_limit);
    } else {
        fail(job, OUTCOME_BROKEN, "run the query", sqlite->connection);
    }
}

static void job_run(struct sqlite_transport *sqlite, struct job *job)
{
    if (!connection_reach(sqlite, job))
        return;
    if (parameters_bind(sqlite, job))
        query_run(sqlite, job);
    sqlite3_reset(sqlite->statement); /* its error was that of the step */
    sqlite3_clear_bindings(sqlite->statement);
    bool unwanted = atomic_load_explicit(&job->unwanted, memory_order_relaxed);
    if (job->outcome == OUTCOME_BROKEN && !unwanted)
        connection_leave(sqlite); /* the next one looks for the database anew */
}

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
        sqlite->running = job;
        if (!atomic_load_explicit(&job->unwanted, memory_order_relaxed))
            job_run(sqlite, job);
        sqlite->running = NULL;
        lock(sqlite);
        job->state = JOB_FINISHED;
        jobs_add(&sqlite->finished, job);
        unlock(sqlite);
        uint64_t one = 1;
        ssize_t written = write(sqlite->base.descriptor, &one, sizeof(one));
        CHECK(written == (ssize_t)sizeof(one)); /* its counter holds 2^64 - 2 */
    }
    connection_leave(sqlite);
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
        if (!buffer_open(&job->question, size_min(QUESTION_SOFT, QUESTION_LIMIT), QUESTION_LIMIT,
                         &ignored)) {
            free(job);
            return NULL;
        }
        if (!buffer_open(&job->answer, size_min(ANSWER_SOFT, sqlite->answer_limit),
                         sqlite->answer_limit, &ignored)) {
            buffer_close(&job->question);
            free(job);
            return NULL;
        }
        job->made = sqlite->made;
        sqlite->made = job;
    }
    buffer_reset(&job->question);
    buffer_reset(&job->answer);
    job->question.limit = job->question.reserved;
    job->answer.limit = sqlite->answer_limit;
    job->hopeless = false;
    job->detail[0] = 0;
    job->outcome = OUTCOME_BROKEN;
    atomic_store_explicit(&job->unwanted, false, memory_order_relaxed);
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
    struct buffer *text = &job->question;
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
    job->parameter_count = request->parameter_count;
    if (request->parameter_count > PARAMETERS_MOST)
        return false;
    for (uint32_t i = 0; i < request->parameter_count; i++)
        if (!parameter_copy(job, request->parameters[i], &job->parameters[i]))
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
    exchange->outcome = job->outcome;
    exchange->hopeless = job->hopeless;
    exchange->finished = clock_monotonic();
    if (job->outcome == OUTCOME_ANSWER) {
        exchange->first_byte = exchange->finished;
        exchange->answer = (struct string){job->answer.data, job->answer.length};
        exchange->answer_is_json = true;
    }
    snprintf(exchange->detail, sizeof(exchange->detail), "%s", job->detail);
    jobs_add(&sqlite->over, job);
}

/* Takes the exchange off a job that is not over; the thread gives the job back if it has it. */
static void job_abandon(struct sqlite_transport *sqlite, struct job *job)
{
    waiting_remove(sqlite, job);
    atomic_store_explicit(&job->unwanted, true, memory_order_relaxed);
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
        job->outcome = OUTCOME_INVALID;
        snprintf(job->detail, sizeof(job->detail),
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
    late->outcome = OUTCOME_TIMEOUT;
    snprintf(late->detail, sizeof(late->detail), "no answer in time");
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
        atomic_store_explicit(&job->unwanted, true, memory_order_relaxed);
    atomic_store_explicit(&sqlite->ending, true, memory_order_release);
    event_signal(&sqlite->work);
    thread_join(&sqlite->thread);
    for (struct job *job = sqlite->made, *before; job; job = before) {
        before = job->made;
        buffer_close(&job->question);
        buffer_close(&job->answer);
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
    sqlite->rows = settings->rows;
    sqlite->answer_limit = size_max(settings->answer_limit, 16);
    sqlite->patience = settings->patience > 0 ? settings->patience : PATIENCE;
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
