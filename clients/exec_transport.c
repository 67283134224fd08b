/* The transport to child processes: see exec_transport.h. Owns the exchanges' states, the deadlines
 * and which process is asked; one process is in exec_process.c.
 *
 * free → pending → asked (→ orphan) → over → reaped → free */
#include "clients/exec_transport.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clients/exec_internal.h"
#include "core/clock.h"
#include "core/fault.h"

#define MILLISECOND   1000000LL
#define ANSWER_LIMIT  ((size_t)16 << 20)
#define ANSWER_KEPT   8192
#define CLOSE_GRACE   (500 * MILLISECOND)
#define BACKOFF_LEAST (10 * MILLISECOND)
#define BACKOFF_MOST  (5000 * MILLISECOND)
#define EVENTS        64

void exec_list_append(struct exec_list *list, struct exec_sending *sending)
{
    sending->next = NULL;
    sending->previous = list->last;
    if (list->last)
        list->last->next = sending;
    else
        list->first = sending;
    list->last = sending;
}

void exec_list_remove(struct exec_list *list, struct exec_sending *sending)
{
    if (sending->previous)
        sending->previous->next = sending->next;
    else
        list->first = sending->next;
    if (sending->next)
        sending->next->previous = sending->previous;
    else
        list->last = sending->previous;
    sending->next = sending->previous = NULL;
}

bool exec_bytes_reserve(struct exec_bytes *bytes, size_t more)
{
    if (more <= bytes->capacity - bytes->length)
        return true;
    size_t capacity = size_max(size_max(bytes->length + more, bytes->capacity * 2), 256);
    char *data = memory_resize(bytes->data, capacity);
    if (!data)
        return false;
    bytes->data = data;
    bytes->capacity = capacity;
    return true;
}

void exec_detail(struct exec_sending *sending, const char *format, ...)
{
    struct exchange *exchange = sending->exchange;
    struct string peer = exchange->request->peer;
    size_t length = size_min(peer.length, sizeof(exchange->detail) / 3);
    va_list list;
    if (length) {
        memcpy(exchange->detail, peer.data, length);
        memcpy(exchange->detail + length, ": ", 2);
        length += 2;
    }
    va_start(list, format);
    vsnprintf(exchange->detail + length, sizeof(exchange->detail) - length, format, list);
    va_end(list);
}

void exec_backoff(struct exec_transport *transport)
{
    if (transport->now < transport->next_start)
        return; /* several that died together are one failure */
    int64_t pause = BACKOFF_LEAST << (transport->failures < 9 ? transport->failures : 9);
    transport->failures++;
    transport->next_start = transport->now + (pause < BACKOFF_MOST ? pause : BACKOFF_MOST);
}

/* States. */
static struct exec_sending *sending_make(struct exec_transport *transport)
{
    struct exec_sending *sending = transport->free.first;
    if (sending) {
        exec_list_remove(&transport->free, sending);
        return sending;
    }
    if (!deadlines_reserve(&transport->deadlines, transport->made_count + 1) ||
        !(sending = memory_take_zeroed(1, sizeof(*sending))))
        return NULL;
    sending->next_made = transport->made;
    transport->made = sending;
    transport->made_count++;
    return sending;
}

static void sending_free(struct exec_transport *transport, struct exec_sending *sending)
{
    if (sending->exchange)
        sending->exchange->state = NULL;
    sending->exchange = NULL;
    sending->phase = EXEC_FREE;
    if (sending->answer.capacity > ANSWER_KEPT) {
        free(sending->answer.data);
        sending->answer = (struct exec_bytes){0};
    }
    free(sending->rest.data);
    sending->rest = (struct exec_bytes){0};
    exec_list_append(&transport->free, sending);
}

void exec_end(struct exec_transport *transport, struct exec_sending *sending, enum outcome outcome)
{
    if (sending->phase == EXEC_ORPHAN) {
        sending_free(transport, sending);
        return;
    }
    sending->exchange->outcome = outcome;
    sending->exchange->finished = clock_monotonic();
    deadline_clear(&transport->deadlines, &sending->deadline);
    sending->phase = EXEC_OVER;
    exec_list_append(&transport->over, sending);
}

static void exec_start(struct transport *base, struct exchange *exchange)
{
    struct exec_transport *transport = (struct exec_transport *)base;
    transport->now = exchange->started = clock_monotonic();
    exchange->status = 0;
    exchange->answer = exchange->next_link = (struct string){"", 0};
    exchange->answer_is_json = false;
    exchange->retry_after = exchange->first_byte = exchange->finished = 0;
    exchange->detail[0] = 0;
    exchange->state = NULL;
    exchange->next = NULL;
    base->wake = transport->now;
    struct exec_sending *sending = sending_make(transport);
    if (!sending) {
        static const char what[] = "no memory for a question";
        memcpy(exchange->detail, what, sizeof(what));
        exchange->outcome = OUTCOME_BROKEN;
        exchange->finished = exchange->started;
        exchange->next = transport->unsent;
        transport->unsent = exchange;
        return;
    }
    exchange->state = sending;
    sending->exchange = exchange;
    struct string line = exchange->request->body;
    if (line.length && memchr(line.data, '\n', line.length)) {
        exec_detail(sending, "a question is one line, and this has a line feed within");
        exec_end(transport, sending, OUTCOME_INVALID);
        return;
    }
    deadline_set(&transport->deadlines, &sending->deadline, exchange->deadline);
    sending->phase = EXEC_PENDING;
    exec_list_append(&transport->pending, sending);
}

/* The running process with the fewest questions, and room; one more is started rather than asking
 * one that is busy. NULL: not now. */
static struct exec_process *process_choose(struct exec_transport *transport)
{
    struct exec_process *best = NULL, *none = NULL;
    for (uint32_t i = 0; i < transport->process_count; i++) {
        struct exec_process *process = &transport->processes[i];
        if (process->state == EXEC_NONE && !none)
            none = process;
        if (process->state != EXEC_RUNNING || process->asked_count >= transport->depth)
            continue;
        if (!process->asked_count && exec_process_quiet(process))
            return process;
        if (process->asked_count && (!best || process->asked_count < best->asked_count))
            best = process;
    }
    if (!none || transport->now < transport->next_start)
        return best;
    int failed = exec_process_start(transport, none);
    if (!failed)
        return none;
    exec_backoff(transport);
    if (!best) {
        struct exec_sending *sending = transport->pending.first;
        exec_list_remove(&transport->pending, sending);
        exec_detail(sending, "the process cannot be started: %s", strerrordesc_np(failed));
        exec_end(transport, sending, OUTCOME_CONNECT);
    }
    return best;
}

static void pending_ask(struct exec_transport *transport)
{
    while (transport->pending.first) {
        struct exec_process *process = process_choose(transport);
        struct exec_sending *sending = transport->pending.first;
        if (!process || !sending)
            return;
        exec_list_remove(&transport->pending, sending);
        exec_process_ask(process, sending);
    }
}

/* Time. */
static void deadline_passed(struct exec_transport *transport, struct exec_sending *sending)
{
    struct exec_process *process = sending->process;
    int64_t waited = transport->now - sending->exchange->started;
    double seconds = (double)waited / (double)NANOSECONDS;
    if (sending->phase == EXEC_PENDING) {
        exec_list_remove(&transport->pending, sending);
        exec_detail(sending, "whole timeout after %.3g s, while waiting for a process", seconds);
    } else {
        const char *line = exec_process_error(process);
        exec_process_drop(sending);
        exec_detail(sending, "whole timeout after %.3g s, while waiting for the answer%s%s",
                    seconds, line[0] ? ": " : "", line);
        exec_process_kill(process, OUTCOME_BROKEN, "another question got no answer in time");
    }
    exec_end(transport, sending, OUTCOME_TIMEOUT);
}

static void deadlines_expire(struct exec_transport *transport)
{
    struct deadline *due;
    while ((due = deadlines_due(&transport->deadlines, transport->now))) {
        char *sending = (char *)due - offsetof(struct exec_sending, deadline);
        deadline_passed(transport, (struct exec_sending *)(void *)sending);
    }
    while ((due = deadlines_due(&transport->process_deadlines, transport->now))) {
        char *at = (char *)due - offsetof(struct exec_process, deadline);
        struct exec_process *process = (struct exec_process *)(void *)at;
        deadline_clear(&transport->process_deadlines, due);
        exec_process_kill(process, OUTCOME_BROKEN,
                          process->state == EXEC_DYING ? "it closed its output or input"
                                                       : "no answer to a cancelled question");
    }
}

static void exec_step(struct transport *base)
{
    struct exec_transport *transport = (struct exec_transport *)base;
    struct epoll_event events[EVENTS];
    transport->now = clock_monotonic();
    pending_ask(transport);
    int count = epoll_wait(base->descriptor, events, EVENTS, 0);
    for (int i = 0; i < count; i++) {
        uint32_t key = (uint32_t)events[i].data.u64;
        struct exec_process *process = &transport->processes[key >> 2];
        if (process->generation == events[i].data.u64 >> 32 && process->state != EXEC_NONE)
            exec_process_event(process, key & 3);
    }
    deadlines_expire(transport);
    pending_ask(transport);
    base->wake = deadlines_next(&transport->deadlines);
    if (deadlines_next(&transport->process_deadlines) < base->wake)
        base->wake = deadlines_next(&transport->process_deadlines);
    if (transport->pending.first && transport->next_start > transport->now &&
        transport->next_start < base->wake)
        base->wake = transport->next_start;
    if (transport->over.first || transport->unsent)
        base->wake = transport->now;
}

static struct exchange *exec_reap(struct transport *base)
{
    struct exec_transport *transport = (struct exec_transport *)base;
    struct exchange *unsent = transport->unsent;
    struct exec_sending *sending = transport->over.first;
    if (unsent) {
        transport->unsent = unsent->next;
        return unsent;
    }
    if (!sending)
        return NULL;
    exec_list_remove(&transport->over, sending);
    sending->phase = EXEC_REAPED;
    return sending->exchange;
}

static void exec_release(struct transport *base, struct exchange *exchange)
{
    struct exec_sending *sending = exchange->state;
    if (!sending)
        return;
    CHECK(sending->phase == EXEC_REAPED);
    sending_free((struct exec_transport *)base, sending);
}

static void exec_cancel(struct transport *base, struct exchange *exchange)
{
    struct exec_transport *transport = (struct exec_transport *)base;
    struct exec_sending *sending = exchange->state;
    exchange->outcome = OUTCOME_CANCELLED;
    exchange->finished = transport->now = clock_monotonic();
    exchange->state = NULL;
    base->wake = INT64_MIN;
    if (!sending) {
        struct exchange **link = &transport->unsent;
        while (*link && *link != exchange)
            link = &(*link)->next;
        if (*link)
            *link = exchange->next;
        return;
    }
    deadline_clear(&transport->deadlines, &sending->deadline);
    switch (sending->phase) {
    case EXEC_PENDING:
        exec_list_remove(&transport->pending, sending);
        break;
    case EXEC_OVER:
        exec_list_remove(&transport->over, sending);
        break;
    default:
        CHECK(sending->phase == EXEC_ASKED);
        if (exec_process_orphan(sending))
            return;
        break;
    }
    sending_free(transport, sending);
}

/* The end. */

/* Waits until all processes have ended, for so long at most. True: all have. */
static bool processes_await(struct exec_transport *transport, int64_t patience)
{
    int64_t until = clock_monotonic() + patience;
    for (uint32_t i = 0; i < transport->process_count; i++) {
        struct exec_process *process = &transport->processes[i];
        while (process->state != EXEC_NONE) {
            int64_t left = until - clock_monotonic();
            struct pollfd wait = {process->handle, POLLIN, 0};
            int ready = poll(&wait, 1, left > 0 ? (int)(left / MILLISECOND) + 1 : 0);
            if (ready > 0 && waitpid(process->id, NULL, WNOHANG) != 0)
                exec_process_forget(process);
            else if (left <= 0)
                break;
        }
    }
    for (uint32_t i = 0; i < transport->process_count; i++) {
        if (transport->processes[i].state != EXEC_NONE)
            return false;
    }
    return true;
}

/* End of input, then SIGTERM, then SIGKILL. One that a signal does not end within a moment (stuck
 * in the kernel) is left to init. */
static void processes_close(struct exec_transport *transport)
{
    static const int signals[] = {0, SIGTERM, SIGKILL};
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        for (uint32_t j = 0; j < transport->process_count; j++) {
            struct exec_process *process = &transport->processes[j];
            if (process->state == EXEC_NONE)
                continue;
            /* Nobody reads what they still write; they must not wait for that. */
            if (process->input >= 0)
                close(process->input);
            if (process->output >= 0)
                close(process->output);
            if (process->errors >= 0)
                close(process->errors);
            process->input = process->output = process->errors = -1;
            if (signals[i])
                kill(-process->id, signals[i]);
        }
        if (processes_await(transport, transport->close_grace))
            return;
    }
    for (uint32_t j = 0; j < transport->process_count; j++)
        exec_process_forget(&transport->processes[j]);
}

static void exec_close(struct transport *base)
{
    struct exec_transport *transport = (struct exec_transport *)base;
    if (transport->processes)
        processes_close(transport);
    for (uint32_t i = 0; transport->processes && i < transport->process_count; i++)
        free(transport->processes[i].in.data);
    free(transport->processes);
    while (transport->made) {
        struct exec_sending *sending = transport->made;
        transport->made = sending->next_made;
        free(sending->answer.data);
        free(sending->rest.data);
        free(sending);
    }
    for (char **argument = transport->arguments; argument && *argument; argument++)
        free(*argument);
    free(transport->arguments);
    deadlines_free(&transport->deadlines);
    deadlines_free(&transport->process_deadlines);
    if (base->descriptor >= 0)
        close(base->descriptor);
    free(transport);
}

static const struct transport_ops exec_ops = {
    .start = exec_start,
    .cancel = exec_cancel,
    .step = exec_step,
    .reap = exec_reap,
    .release = exec_release,
    .close = exec_close,
};

/* Whether the command is there: by its path, or in PATH as posix_spawnp looks it up. */
static bool command_exists(const char *command)
{
    char path[4096];
    if (strchr(command, '/'))
        return access(command, X_OK) == 0;
    const char *folders = getenv("PATH");
    for (const char *folder = folders ? folders : "/bin:/usr/bin"; *folder;) {
        size_t length = strcspn(folder, ":");
        int size = snprintf(path, sizeof(path), "%.*s/%s", (int)length, folder, command);
        if (size > 0 && (size_t)size < sizeof(path) && access(path, X_OK) == 0)
            return true;
        folder += length + (folder[length] == ':');
    }
    return false;
}

static bool arguments_take(struct exec_transport *transport, const struct exec_settings *settings)
{
    size_t count = 0;
    while (settings->arguments[count])
        count++;
    transport->arguments = memory_take_zeroed(count + 1, sizeof(char *));
    for (size_t i = 0; transport->arguments && i < count; i++) {
        transport->arguments[i] =
            memory_copy_text(settings->arguments[i], strlen(settings->arguments[i]));
        if (!transport->arguments[i])
            return false;
    }
    return transport->arguments != NULL;
}

static bool pool_open(struct exec_transport *transport, const struct exec_settings *settings,
                      struct error *error)
{
    const char *command = settings->arguments[0];
    if (!command || !*command)
        return error_set(error, ERROR_USAGE, "exec: there is no command");
    if (!command_exists(command))
        return error_set(error, ERROR_USAGE, "exec: there is no command \"%.200s\" in PATH",
                         command);
    transport->processes =
        memory_take_zeroed(transport->process_count, sizeof(struct exec_process));
    if (!transport->processes || !arguments_take(transport, settings) ||
        !deadlines_reserve(&transport->process_deadlines, transport->process_count))
        return error_set(error, ERROR_MEMORY, "no memory for processes");
    for (uint32_t i = 0; i < transport->process_count; i++) {
        struct exec_process *process = &transport->processes[i];
        process->transport = transport;
        process->index = i;
        process->input = process->output = process->errors = process->handle = -1;
    }
    transport->transport.descriptor = epoll_create1(EPOLL_CLOEXEC);
    return transport->transport.descriptor >= 0 || error_set_errno(error, errno, "epoll");
}

struct transport *exec_transport_open(const struct exec_settings *settings, struct error *error)
{
    CHECK(settings->processes > 0 && settings->processes < 1u << 20);
    struct exec_transport *transport = memory_take_zeroed(1, sizeof(*transport));
    if (!transport) {
        error_set(error, ERROR_MEMORY, "no memory for processes");
        return NULL;
    }
    transport->transport = (struct transport){&exec_ops, -1, INT64_MAX};
    transport->process_count = settings->processes;
    transport->depth = settings->depth ? settings->depth : 1;
    transport->answer_limit = settings->answer_limit ? settings->answer_limit : ANSWER_LIMIT;
    transport->close_grace = settings->close_grace ? settings->close_grace : CLOSE_GRACE;
    if (!pool_open(transport, settings, error)) {
        exec_close(&transport->transport);
        return NULL;
    }
    return &transport->transport;
}
