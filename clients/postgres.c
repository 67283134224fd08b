/* A connection to PostgreSQL: see postgres.h. */
#include "clients/postgres.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <stdio.h>

#include "clients/postgres_internal.h"
#include "core/clock.h"
#include "core/fault.h"

#define COPY_CHUNK (64 * 1024) /* of one message; libpq holds about twice as much */

/* libpq's own chatter (NOTICE) has no reader; warnings that matter come as errors. */
static void notice_ignore(void *context, const PGresult *result)
{
    (void)context;
    (void)result;
}

/* ---- descriptors ---- */

bool postgres_open(struct postgres *postgres, const struct postgres_settings *settings,
                   struct error *error)
{
    *postgres = (struct postgres){.settings = settings, .watched = -1, .descriptor = -1};
    postgres->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (postgres->timer < 0)
        return error_set_errno(error, errno, "cannot make a timer for a connection");
    postgres->descriptor = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = postgres->timer};
    if (postgres->descriptor < 0 ||
        epoll_ctl(postgres->descriptor, EPOLL_CTL_ADD, postgres->timer, &event) != 0) {
        error_set_errno(error, errno, "cannot make a descriptor for a connection");
        postgres_close(postgres);
        return false;
    }
    return true;
}

static void result_drop(struct postgres *postgres)
{
    PQclear(postgres->result);
    postgres->result = NULL;
}

static void copy_row_drop(struct postgres *postgres)
{
    PQfreemem(postgres->copy_row);
    postgres->copy_row = NULL;
}

/* Before libpq closes or replaces the socket. */
static void socket_forget(struct postgres *postgres)
{
    if (postgres->watched >= 0)
        (void)epoll_ctl(postgres->descriptor, EPOLL_CTL_DEL, postgres->watched, NULL);
    postgres->watched = -1;
    postgres->events = 0;
}

void postgres_disconnect(struct postgres *postgres)
{
    socket_forget(postgres);
    copy_row_drop(postgres);
    PQfinish(postgres->connection);
    postgres->connection = NULL;
    postgres->state = POSTGRES_CLOSED;
}

void postgres_close(struct postgres *postgres)
{
    if (!postgres->settings)
        return;
    postgres_disconnect(postgres);
    result_drop(postgres);
    if (postgres->descriptor >= 0)
        close(postgres->descriptor);
    if (postgres->timer >= 0)
        close(postgres->timer);
    *postgres = (struct postgres){0};
}

/* libpq may have a new socket at any step of connecting, and the old number may be reused, so the
 * set is told anew each time. */
static void socket_watch(struct postgres *postgres, uint32_t events, bool anew)
{
    int socket = PQsocket(postgres->connection);
    if (anew || socket != postgres->watched)
        socket_forget(postgres);
    if (socket < 0 || (socket == postgres->watched && events == postgres->events))
        return;
    struct epoll_event event = {.events = events, .data.fd = socket};
    int change = postgres->watched >= 0 ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    CHECK(epoll_ctl(postgres->descriptor, change, socket, &event) == 0);
    postgres->watched = socket;
    postgres->events = events;
}

void postgres_timer(struct postgres *postgres, int64_t nanoseconds)
{
    struct itimerspec when = {
        .it_value = {.tv_sec = nanoseconds / NANOSECONDS, .tv_nsec = nanoseconds % NANOSECONDS}};
    CHECK(timerfd_settime(postgres->timer, 0, &when, NULL) == 0);
}

static void timer_rest(struct postgres *postgres)
{
    uint64_t expirations;
    ssize_t got = read(postgres->timer, &expirations, sizeof(expirations));
    (void)got; /* nothing there: it has not run out */
}

/* ---- what went wrong ---- */

void postgres_say(struct postgres *postgres, const char *text)
{
    size_t length = 0;
    for (; *text && length < sizeof(postgres->message) - 1; text++) {
        char byte = *text;
        if (byte == '\n' || byte == '\t' || byte == '\r')
            byte = ' ';
        if (byte == ' ' && (length == 0 || postgres->message[length - 1] == ' '))
            continue;
        postgres->message[length++] = byte;
    }
    while (length > 0 && postgres->message[length - 1] == ' ')
        length--;
    postgres->message[length] = 0;
    for (size_t i = 0; i < ARRAY_SIZE(postgres->settings->secrets); i++) {
        const char *secret = postgres->settings->secrets[i];
        size_t size = secret ? strlen(secret) : 0;
        char *at;
        while (size > 0 && (at = strstr(postgres->message, secret)) != NULL) {
            memset(at, '*', size_min(size, 3));
            if (size > 3)
                memmove(at + 3, at + size, strlen(at + size) + 1);
            if (strncmp(secret, "***", size) == 0)
                break;
        }
    }
}

/* The connection is of no use any more. */
static enum postgres_progress postgres_lose(struct postgres *postgres, const char *text)
{
    if (!postgres->failed) {
        postgres->sqlstate[0] = 0;
        postgres_say(postgres, text[0] ? text : "the server closed the connection");
    }
    postgres->failed = true;
    postgres->lost = true;
    postgres_disconnect(postgres);
    return POSTGRES_FAILED;
}

static void operation_begin(struct postgres *postgres)
{
    result_drop(postgres);
    copy_row_drop(postgres);
    postgres->failed = false;
    postgres->ends = false;
    postgres->describes = false;
    postgres->by_rows = false;
    postgres->sqlstate[0] = 0;
    postgres->message[0] = 0;
    postgres->tag[0] = 0;
    postgres->affected = 0;
    postgres->copy_line = 0;
    postgres->position = 0;
}

/* "COPY t, line 12, column a" */
static uint64_t copy_line_read(const char *context)
{
    const char *at = context ? strstr(context, ", line ") : NULL;
    uint64_t line = 0;
    if (!at || strncmp(context, "COPY ", 5) != 0)
        return 0;
    for (at += 7; *at >= '0' && *at <= '9' && line < UINT32_MAX; at++)
        line = line * 10 + (uint64_t)(*at - '0');
    return line;
}

static void error_take(struct postgres *postgres, const PGresult *result)
{
    if (postgres->failed)
        return;
    postgres->failed = true;
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    char whole[2 * POSTGRES_MESSAGE_SIZE];
    snprintf(postgres->sqlstate, sizeof(postgres->sqlstate), "%s", state ? state : "");
    snprintf(whole, sizeof(whole), "%s%s%s", text ? text : PQresultErrorMessage(result),
             detail ? ": " : "", detail ? detail : "");
    postgres_say(postgres, whole);
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    postgres->ends = severity && (severity[0] == 'F' || severity[0] == 'P'); /* FATAL, PANIC */
    const char *position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
    postgres->position = position ? (uint32_t)strtoul(position, NULL, 10) : 0;
    postgres->copy_line = copy_line_read(PQresultErrorField(result, PG_DIAG_CONTEXT));
}

bool postgres_is_retryable(const struct postgres *postgres)
{
    return strcmp(postgres->sqlstate, "40001") == 0 || strcmp(postgres->sqlstate, "40P01") == 0;
}

bool postgres_fail(const struct postgres *postgres, const char *doing, struct error *error)
{
    if (!postgres->sqlstate[0])
        return error_set(error, ERROR_DATABASE, "cannot %s: %s", doing, postgres->message);
    return error_set(error, ERROR_DATABASE, "cannot %s: %s (SQLSTATE %s)", doing, postgres->message,
                     postgres->sqlstate);
}

/* ---- operations ---- */

void postgres_connect(struct postgres *postgres)
{
    /* dbname is expanded: what stands behind it here wins over what it says */
    const char *names[] = {"fallback_application_name", "dbname", "client_encoding", NULL};
    const char *values[] = {"leat", postgres->settings->dsn, "UTF8", NULL};
    postgres_disconnect(postgres);
    operation_begin(postgres);
    postgres->lost = false;
    postgres->is_prepared = false;
    postgres->state = POSTGRES_CONNECTS;
    postgres->connection = PQconnectStartParams(names, values, 1);
    postgres->deadline = clock_monotonic() + postgres->settings->connect_timeout;
    postgres_timer(postgres, postgres->settings->connect_timeout);
    if (postgres->connection) {
        PQsetNoticeReceiver(postgres->connection, notice_ignore, NULL);
        socket_watch(postgres, EPOLLOUT, true);
    }
}

static void sent(struct postgres *postgres, int done)
{
    postgres->state = POSTGRES_BUSY;
    if (!done) /* seen at the next step */
        postgres_say(postgres, PQerrorMessage(postgres->connection));
}

void postgres_send(struct postgres *postgres, const char *sql)
{
    CHECK(postgres->state == POSTGRES_IDLE || postgres->state == POSTGRES_CLOSED);
    operation_begin(postgres);
    if (postgres->connection)
        sent(postgres, PQsendQuery(postgres->connection, sql));
}

void postgres_send_parameters(struct postgres *postgres, const char *sql, int count,
                              const Oid *types, const char *const *texts, const int *lengths,
                              const int *formats, bool binary)
{
    CHECK(postgres->state == POSTGRES_IDLE || postgres->state == POSTGRES_CLOSED);
    operation_begin(postgres);
    if (postgres->connection)
        sent(postgres, PQsendQueryParams(postgres->connection, sql, count, types, texts, lengths,
                                         formats, binary));
}

void postgres_prepare(struct postgres *postgres, const char *name, const char *sql)
{
    CHECK(postgres->state == POSTGRES_IDLE || postgres->state == POSTGRES_CLOSED);
    operation_begin(postgres);
    if (postgres->connection)
        sent(postgres, PQsendPrepare(postgres->connection, name, sql, 0, NULL));
}

void postgres_describe(struct postgres *postgres, const char *name)
{
    CHECK(postgres->state == POSTGRES_IDLE || postgres->state == POSTGRES_CLOSED);
    operation_begin(postgres);
    postgres->describes = true;
    if (postgres->connection)
        sent(postgres, PQsendDescribePrepared(postgres->connection, name));
}

void postgres_execute(struct postgres *postgres, const char *name, int count,
                      const char *const *values, const int *lengths, const int *formats)
{
    CHECK(postgres->state == POSTGRES_IDLE || postgres->state == POSTGRES_CLOSED);
    operation_begin(postgres);
    if (postgres->connection)
        sent(postgres,
             PQsendQueryPrepared(postgres->connection, name, count, values, lengths, formats, 1));
}

void postgres_by_rows(struct postgres *postgres)
{
    if (postgres->connection && postgres->state == POSTGRES_BUSY)
        postgres->by_rows = PQsetSingleRowMode(postgres->connection);
}

bool postgres_is_well(struct postgres *postgres)
{
    timer_rest(postgres);
    return postgres->state == POSTGRES_IDLE && PQconsumeInput(postgres->connection) &&
           PQstatus(postgres->connection) == CONNECTION_OK;
}

static enum postgres_progress connect_step(struct postgres *postgres)
{
    if (!postgres->connection)
        return postgres_lose(postgres, "no memory for a connection");
    if (clock_monotonic() >= postgres->deadline)
        return postgres_lose(postgres, "no connection within connect_timeout");
    if (PQstatus(postgres->connection) == CONNECTION_BAD)
        return postgres_lose(postgres, PQerrorMessage(postgres->connection));
    struct pollfd ready = {.fd = PQsocket(postgres->connection),
                           .events = (short)(postgres->events & EPOLLOUT ? POLLOUT : POLLIN)};
    if (ready.fd >= 0 && poll(&ready, 1, 0) == 0)
        return POSTGRES_WAIT;
    switch (PQconnectPoll(postgres->connection)) {
    case PGRES_POLLING_FAILED:
        return postgres_lose(postgres, PQerrorMessage(postgres->connection));
    case PGRES_POLLING_OK:
        break;
    case PGRES_POLLING_WRITING:
        socket_watch(postgres, EPOLLOUT, true);
        return POSTGRES_WAIT;
    default:
        socket_watch(postgres, EPOLLIN, true);
        return POSTGRES_WAIT;
    }
    if (PQsetnonblocking(postgres->connection, 1) != 0)
        return postgres_lose(postgres, PQerrorMessage(postgres->connection));
    socket_watch(postgres, EPOLLIN, true);
    char sql[256];
    int64_t milliseconds = postgres->settings->statement_timeout / 1000000;
    snprintf(sql, sizeof(sql),
             "SET client_min_messages = error; SET bytea_output = hex; SET extra_float_digits = 1");
    if (milliseconds > 0)
        snprintf(sql + strlen(sql), sizeof(sql) - strlen(sql), "; SET statement_timeout = %lld",
                 (long long)milliseconds);
    postgres->state = POSTGRES_IDLE;
    postgres_send(postgres, sql);
    postgres->state = POSTGRES_SETS;
    return POSTGRES_WAIT;
}

/* Takes one result. True: go on. */
static enum postgres_progress result_take(struct postgres *postgres, PGresult *result)
{
    switch (PQresultStatus(result)) {
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
    case PGRES_EMPTY_QUERY: {
        const char *affected = PQcmdTuples(result);
        postgres->affected = 0;
        for (; *affected >= '0' && *affected <= '9'; affected++)
            postgres->affected = postgres->affected * 10 + (uint64_t)(*affected - '0');
        snprintf(postgres->tag, sizeof(postgres->tag), "%s", PQcmdStatus(result));
        if (PQresultStatus(result) != PGRES_TUPLES_OK && !postgres->describes)
            break;
        result_drop(postgres);
        postgres->result = result;
        return POSTGRES_WAIT;
    }
    case PGRES_SINGLE_TUPLE:
        result_drop(postgres);
        postgres->result = result;
        return POSTGRES_ROW;
    case PGRES_COPY_IN:
        postgres->state = POSTGRES_COPIES_IN;
        PQclear(result);
        return POSTGRES_COPIES;
    case PGRES_COPY_OUT:
        postgres->state = POSTGRES_COPIES_OUT;
        PQclear(result);
        return POSTGRES_COPIES;
    default:
        error_take(postgres, result);
        break;
    }
    PQclear(result);
    return POSTGRES_WAIT;
}

static enum postgres_progress results_step(struct postgres *postgres)
{
    while (!PQisBusy(postgres->connection)) {
        PGresult *result = PQgetResult(postgres->connection);
        if (!result) {
            bool bad = PQstatus(postgres->connection) == CONNECTION_BAD;
            if (bad || postgres->ends)
                return postgres_lose(postgres, PQerrorMessage(postgres->connection));
            bool first = postgres->state == POSTGRES_SETS;
            postgres->state = POSTGRES_IDLE;
            if (first && postgres->failed)
                return postgres_lose(postgres, "");
            return postgres->failed ? POSTGRES_FAILED : POSTGRES_DONE;
        }
        enum postgres_progress progress = result_take(postgres, result);
        if (progress != POSTGRES_WAIT)
            return progress;
    }
    return POSTGRES_WAIT;
}

/* Moves bytes both ways; false: the connection is gone. */
static bool bytes_move(struct postgres *postgres)
{
    int left = PQflush(postgres->connection);
    if (!PQconsumeInput(postgres->connection))
        return false;
    /* a failed flush: the server's last words may say why, and results_step finds them */
    socket_watch(postgres, left == 1 ? EPOLLIN | EPOLLOUT : EPOLLIN, false);
    return true;
}

enum postgres_progress postgres_step(struct postgres *postgres)
{
    timer_rest(postgres);
    switch (postgres->state) {
    case POSTGRES_CLOSED:
        if (!postgres->failed)
            postgres_lose(postgres, "not connected");
        return POSTGRES_FAILED;
    case POSTGRES_CONNECTS:
        return connect_step(postgres);
    case POSTGRES_IDLE:
        return postgres->failed ? POSTGRES_FAILED : POSTGRES_DONE;
    case POSTGRES_SETS:
        if (clock_monotonic() >= postgres->deadline)
            return postgres_lose(postgres, "no connection within connect_timeout");
        break;
    case POSTGRES_COPIES_IN:
    case POSTGRES_COPIES_OUT:
        if (!bytes_move(postgres))
            return postgres_lose(postgres, PQerrorMessage(postgres->connection));
        return POSTGRES_COPIES;
    case POSTGRES_BUSY:
        break;
    }
    /* rows that are here already come first: no more is read than is asked for */
    if (postgres->by_rows && !PQisBusy(postgres->connection))
        return results_step(postgres);
    if (!bytes_move(postgres)) {
        enum postgres_progress progress = results_step(postgres);
        return progress == POSTGRES_FAILED
                   ? progress
                   : postgres_lose(postgres, PQerrorMessage(postgres->connection));
    }
    return results_step(postgres);
}

enum postgres_progress postgres_wait(struct postgres *postgres, int64_t deadline)
{
    enum postgres_progress progress;
    while ((progress = postgres_step(postgres)) == POSTGRES_WAIT) {
        int64_t left = deadline - clock_monotonic();
        if (left <= 0)
            return postgres_lose(postgres, "no answer within the timeout");
        struct pollfd ready = {.fd = postgres->descriptor, .events = POLLIN};
        (void)poll(&ready, 1, (int)(left / 1000000 < 1000 ? left / 1000000 + 1 : 1000));
    }
    return progress;
}

/* ---- COPY ---- */

size_t postgres_copy_put(struct postgres *postgres, const char *data, size_t length)
{
    CHECK(postgres->state == POSTGRES_COPIES_IN);
    size_t taken = 0;
    while (taken < length) {
        int left = PQflush(postgres->connection);
        if (left != 0) {
            socket_watch(postgres, EPOLLIN | EPOLLOUT, false);
            /* broken: the end of COPY will tell; what is put is as good as dropped */
            return left < 0 ? length : taken;
        }
        size_t chunk = size_min(length - taken, COPY_CHUNK);
        int put = PQputCopyData(postgres->connection, data + taken, (int)chunk);
        if (put < 0)
            return length;
        if (put == 0)
            return taken;
        taken += chunk;
    }
    return taken;
}

void postgres_copy_end(struct postgres *postgres, const char *reason)
{
    CHECK(postgres->state == POSTGRES_COPIES_IN);
    /* 0 cannot come: it needs no more than a few bytes of libpq's buffer; -1 shows in the result */
    (void)PQputCopyEnd(postgres->connection, reason);
    postgres->state = POSTGRES_BUSY;
}

size_t postgres_copy_get(struct postgres *postgres, const char **row)
{
    CHECK(postgres->state == POSTGRES_COPIES_OUT);
    copy_row_drop(postgres);
    int length = PQgetCopyData(postgres->connection, &postgres->copy_row, 1);
    *row = postgres->copy_row;
    if (length < 0)
        postgres->state = POSTGRES_BUSY;
    return length > 0 ? (size_t)length : 0;
}

void postgres_cancel(struct postgres *postgres)
{
    char ignored[128];
    PGcancel *cancel = postgres->connection ? PQgetCancel(postgres->connection) : NULL;
    if (cancel)
        (void)PQcancel(cancel, ignored, sizeof(ignored));
    PQfreeCancel(cancel);
}
