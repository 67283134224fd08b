/* One child process of the exec transport: starting it, writing questions, reading answers, and its
 * end. See exec_internal.h. Owns the process, its pipes and its pidfd. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clients/exec_internal.h"
#include "core/clock.h"
#include "core/fault.h"

#define READ_SIZE       (64 * 1024)
#define READS           16 /* in one step, so that nobody is forgotten over a chatterbox */
#define MILLISECOND     1000000
#define EXIT_PATIENCE   (200 * MILLISECOND) /* from the end of output to that of the process */
#define ORPHAN_PATIENCE NANOSECONDS

static uint64_t event_key(const struct exec_process *process, unsigned which)
{
    return (uint64_t)process->generation << 32 | process->index << 2 | which;
}

static bool watch(struct exec_process *process, int descriptor, unsigned which, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u64 = event_key(process, which)};
    return epoll_ctl(process->transport->transport.descriptor, EPOLL_CTL_ADD, descriptor, &event) ==
           0;
}

static void descriptor_close(int *descriptor)
{
    if (*descriptor >= 0)
        close(*descriptor);
    *descriptor = -1;
}

/* Ours are ends[…] of the three pipes, closed in the child like everything else. */
static int spawn(struct exec_transport *transport, pid_t *id, int input, int output, int errors)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    int failed = posix_spawn_file_actions_init(&actions);
    if (failed)
        return failed;
    failed = posix_spawnattr_init(&attributes);
    if (!failed) {
        failed = posix_spawn_file_actions_adddup2(&actions, input, 0) ||
                         posix_spawn_file_actions_adddup2(&actions, output, 1) ||
                         posix_spawn_file_actions_adddup2(&actions, errors, 2) ||
                         posix_spawn_file_actions_addclosefrom_np(&actions, 3) ||
                         posix_spawnattr_setsigdefault(&attributes, &all) ||
                         posix_spawnattr_setsigmask(&attributes, &none) ||
                         posix_spawnattr_setpgroup(&attributes, 0) ||
                         posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF |
                                                                   POSIX_SPAWN_SETSIGMASK |
                                                                   POSIX_SPAWN_SETPGROUP)
                     ? ENOMEM
                     : posix_spawnp(id, transport->arguments[0], &actions, &attributes,
                                    transport->arguments, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return failed;
}

/* A pipe, both ends above 2: where 0, 1 or 2 was closed in this process, a pipe would take its
 * number, and the child's copies would fall over one another. Returns an errno. */
static int pipe_open(int ends[2])
{
    if (pipe2(ends, O_CLOEXEC) != 0)
        return errno;
    for (int i = 0; i < 2; i++) {
        if (ends[i] > 2)
            continue;
        int moved = fcntl(ends[i], F_DUPFD_CLOEXEC, 3), failed = errno;
        close(ends[i]);
        ends[i] = moved;
        if (moved < 0)
            return failed;
    }
    return 0;
}

int exec_process_start(struct exec_transport *transport, struct exec_process *process)
{
    int input[2] = {-1, -1}, output[2] = {-1, -1}, errors[2] = {-1, -1}, failed = fault_io();
    CHECK(process->state == EXEC_NONE && !process->asked.first);
    if (!failed)
        failed = pipe_open(input);
    if (!failed)
        failed = pipe_open(output);
    if (!failed)
        failed = pipe_open(errors);
    if (!failed)
        failed = spawn(transport, &process->id, input[0], output[1], errors[1]);
    descriptor_close(&input[0]);
    descriptor_close(&output[1]);
    descriptor_close(&errors[1]);
    process->input = input[1];
    process->output = output[0];
    process->errors = errors[0];
    process->handle = -1;
    process->generation++;
    process->input_watched = process->answered = false;
    process->in.length = process->searched = process->error_length = 0;
    process->error_line[0] = process->error_partial[0] = process->reason[0] = 0;
    process->reason_outcome = OUTCOME_BROKEN;
    if (failed) {
        exec_process_forget(process);
        return failed;
    }
    process->state = EXEC_RUNNING;
    process->handle = pidfd_open(process->id, 0);
    bool ready = process->handle >= 0;
    ready = ready && fcntl(process->input, F_SETFL, O_NONBLOCK) == 0 &&
            fcntl(process->output, F_SETFL, O_NONBLOCK) == 0 &&
            fcntl(process->errors, F_SETFL, O_NONBLOCK) == 0 &&
            watch(process, process->output, EXEC_EVENT_OUTPUT, EPOLLIN) &&
            watch(process, process->errors, EXEC_EVENT_ERRORS, EPOLLIN) &&
            watch(process, process->handle, EXEC_EVENT_HANDLE, EPOLLIN);
    if (ready)
        return 0;
    failed = errno;
    kill(-process->id, SIGKILL);
    waitpid(process->id, NULL, 0);
    exec_process_forget(process);
    return failed;
}

void exec_process_forget(struct exec_process *process)
{
    descriptor_close(&process->input);
    descriptor_close(&process->output);
    descriptor_close(&process->errors);
    descriptor_close(&process->handle);
    deadline_clear(&process->transport->process_deadlines, &process->deadline);
    process->state = EXEC_NONE;
}

void exec_process_kill(struct exec_process *process, enum outcome outcome, const char *reason)
{
    if (process->state == EXEC_NONE)
        return;
    if (!process->reason[0]) {
        process->reason_outcome = outcome;
        snprintf(process->reason, sizeof(process->reason), "%s", reason);
    }
    kill(-process->id, SIGKILL);
    process->state = EXEC_DYING;
    descriptor_close(&process->input);
    process->writing = NULL;
}

/* Its input or output is closed: it has a moment to end by itself, so that its status can be told.
 */
static void process_ends(struct exec_process *process)
{
    if (process->state != EXEC_RUNNING)
        return;
    process->state = EXEC_DYING;
    process->writing = NULL;
    descriptor_close(&process->input);
    deadline_set(&process->transport->process_deadlines, &process->deadline,
                 process->transport->now + EXIT_PATIENCE);
}

/* The last line of stderr, printable, cut to its room. */
static void errors_take(struct exec_process *process, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (c == '\n') {
            if (process->error_length) {
                process->error_partial[process->error_length] = 0;
                memcpy(process->error_line, process->error_partial, process->error_length + 1);
            }
            process->error_length = 0;
        } else if (process->error_length < EXEC_ERROR_LINE && c != '\r') {
            bool printable = (unsigned char)c >= 0x20 && c != 0x7f;
            process->error_partial[process->error_length++] = printable ? c : ' ';
        }
    }
}

static bool errors_read(struct exec_process *process)
{
    char text[4096];
    for (int i = 0; i < READS; i++) {
        ssize_t size = read(process->errors, text, sizeof(text));
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0 && errno == EAGAIN)
            return true;
        if (size <= 0)
            return false;
        errors_take(process, text, (size_t)size);
    }
    return true;
}

/* Questions. */
static void input_watch(struct exec_process *process, bool wanted)
{
    if (process->input_watched == wanted)
        return;
    process->input_watched = wanted;
    if (!wanted)
        epoll_ctl(process->transport->transport.descriptor, EPOLL_CTL_DEL, process->input, NULL);
    else if (!watch(process, process->input, EXEC_EVENT_INPUT, EPOLLOUT))
        exec_process_kill(process, OUTCOME_BROKEN, "no memory to wait for its input");
}

/* Writes more of one line and its LF. False: not now, or not any more. */
static bool sending_write(struct exec_process *process, struct exec_sending *sending)
{
    struct iovec parts[2];
    struct string line = sending->phase == EXEC_ORPHAN
                             ? (struct string){sending->rest.data, sending->rest.length}
                             : sending->exchange->request->body;
    size_t whole = line.length + 1;
    while (sending->written < whole) {
        size_t done = size_min(sending->written, line.length);
        parts[0] = (struct iovec){(char *)line.data + done, line.length - done};
        parts[1] = (struct iovec){"\n", 1};
        ssize_t size = writev(process->input, parts, 2);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0 && errno == EAGAIN) {
            input_watch(process, true);
            return false;
        }
        if (size < 0) {
            process_ends(process);
            return false;
        }
        sending->written += (size_t)size;
    }
    return true;
}

static void questions_write(struct exec_process *process)
{
    while (process->writing) {
        if (!sending_write(process, process->writing))
            return;
        process->writing = process->writing->next;
    }
    input_watch(process, false);
}

void exec_process_ask(struct exec_process *process, struct exec_sending *sending)
{
    CHECK(process->state == EXEC_RUNNING);
    sending->phase = EXEC_ASKED;
    sending->process = process;
    sending->written = 0;
    exec_list_append(&process->asked, sending);
    process->asked_count++;
    if (!process->writing) {
        process->writing = sending;
        questions_write(process);
    }
}

/* Answers. */
void exec_process_drop(struct exec_sending *sending)
{
    struct exec_process *process = sending->process;
    if (process->writing == sending)
        process->writing = sending->next;
    exec_list_remove(&process->asked, sending);
    process->asked_count--;
    sending->process = NULL;
}

/* As long as there are orphans, the first has so long for its answer. */
static void orphans_await(struct exec_process *process)
{
    struct deadlines *deadlines = &process->transport->process_deadlines;
    struct exec_sending *sending = process->asked.first;
    while (sending && sending->phase != EXEC_ORPHAN)
        sending = sending->next;
    if (sending)
        deadline_set(deadlines, &process->deadline, process->transport->now + ORPHAN_PATIENCE);
    else
        deadline_clear(deadlines, &process->deadline);
}

bool exec_process_orphan(struct exec_sending *sending)
{
    struct exec_process *process = sending->process;
    struct string line = sending->exchange->request->body;
    if (!sending->written || process->state != EXEC_RUNNING) {
        exec_process_drop(sending);
        return false;
    }
    sending->rest.length = 0;
    if (sending->written <=
        line.length) { /* the line is the caller's; the rest must still go out */
        if (!exec_bytes_reserve(&sending->rest, line.length + 1)) {
            exec_process_drop(sending);
            exec_process_kill(process, OUTCOME_BROKEN, "no memory for a cancelled question");
            return false;
        }
        memcpy(sending->rest.data, line.data, line.length);
        sending->rest.length = line.length;
    }
    sending->phase = EXEC_ORPHAN;
    sending->exchange = NULL;
    if (!process->deadline.slot)
        orphans_await(process);
    return true;
}

const char *exec_process_error(struct exec_process *process)
{
    if (process->errors >= 0 && process->state != EXEC_NONE && !errors_read(process))
        descriptor_close(&process->errors);
    return process->error_line;
}

/* A whole line came. False: the process is not to be listened to any more. */
static bool answer_take(struct exec_process *process, struct string line)
{
    struct exec_transport *transport = process->transport;
    struct exec_sending *sending = process->asked.first;
    if (!sending || sending == process->writing) {
        exec_process_kill(process, OUTCOME_BROKEN, "it wrote a line that nobody asked for");
        return false;
    }
    if (line.length && line.data[line.length - 1] == '\r')
        line.length--;
    exec_process_drop(sending);
    process->answered = true;
    transport->failures = 0;
    if (sending->phase == EXEC_ORPHAN) {
        exec_end(transport, sending, OUTCOME_CANCELLED);
        orphans_await(process);
        return true;
    }
    sending->answer.length = 0;
    if (!exec_bytes_reserve(&sending->answer, line.length + 1)) {
        exec_detail(sending, "no memory for the answer");
        exec_end(transport, sending, OUTCOME_BROKEN);
        return true;
    }
    memcpy(sending->answer.data, line.data, line.length);
    sending->answer.length = line.length;
    if (!sending->exchange->first_byte)
        sending->exchange->first_byte = transport->now;
    sending->exchange->answer = (struct string){sending->answer.data, line.length};
    exec_end(transport, sending, OUTCOME_ANSWER);
    return true;
}

/* The line that is being read is longer than allowed. */
static void line_refuse(struct exec_process *process)
{
    struct exec_sending *sending = process->asked.first;
    if (sending && sending->phase == EXEC_ASKED) {
        exec_process_drop(sending);
        exec_detail(sending, "the answer is longer than the limit of %zu bytes",
                    process->transport->answer_limit);
        exec_end(process->transport, sending, OUTCOME_LARGE);
    }
    exec_process_kill(process, OUTCOME_BROKEN, "the answer to another question was too long");
}

/* Cuts what is there into lines. */
static void lines_take(struct exec_process *process)
{
    struct exec_bytes *in = &process->in;
    size_t begin = 0, limit = process->transport->answer_limit;
    while (process->searched < in->length) {
        char *found = memchr(in->data + process->searched, '\n', in->length - process->searched);
        if (!found) {
            process->searched = in->length;
            break;
        }
        struct string line = {in->data + begin, (size_t)(found - in->data) - begin};
        if (line.length > limit) {
            line_refuse(process);
            return;
        }
        begin = process->searched = (size_t)(found - in->data) + 1;
        if (!answer_take(process, line))
            return;
    }
    if (in->length - begin > limit) {
        line_refuse(process);
        return;
    }
    in->length -= begin;
    process->searched -= begin;
    memmove(in->data, in->data + begin, in->length);
}

/* Reads what its output holds. False: nothing more is to come. */
static bool output_read(struct exec_process *process)
{
    for (int i = 0; i < READS; i++) {
        if (!exec_bytes_reserve(&process->in, READ_SIZE)) {
            exec_process_kill(process, OUTCOME_BROKEN, "no memory for the answer");
            return false;
        }
        ssize_t size = read(process->output, process->in.data + process->in.length,
                            size_min(READ_SIZE, process->in.capacity - process->in.length));
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0 && errno == EAGAIN)
            return true;
        if (size <= 0)
            return false;
        process->in.length += (size_t)size;
        struct exec_sending *first = process->asked.first;
        if (first && first->phase == EXEC_ASKED && !first->exchange->first_byte)
            first->exchange->first_byte = process->transport->now;
        lines_take(process);
        if (process->reason[0])
            return false; /* killed: what follows is not to be read */
        if (size < READ_SIZE)
            return true;
    }
    return true;
}

bool exec_process_quiet(struct exec_process *process)
{
    CHECK(process->state == EXEC_RUNNING && !process->asked.first);
    if (!output_read(process) && !process->reason[0]) {
        descriptor_close(&process->output);
        process_ends(process);
    }
    if (process->in.length && process->state == EXEC_RUNNING)
        exec_process_kill(process, OUTCOME_BROKEN, "it wrote a line that nobody asked for");
    return process->state == EXEC_RUNNING;
}

/* The end. */
static void end_describe(const struct exec_process *process, int status, char *text, size_t size)
{
    if (process->reason[0])
        snprintf(text, size, "replaced: %s", process->reason);
    else if (WIFSIGNALED(status))
        snprintf(text, size, "killed by signal %d (%s)", WTERMSIG(status),
                 sigdescr_np(WTERMSIG(status)) ? sigdescr_np(WTERMSIG(status)) : "unknown");
    else
        snprintf(text, size, "exited with status %d", WEXITSTATUS(status));
}

/* It has ended: takes what it left, then ends those that still wait for it. */
static void process_ended(struct exec_process *process)
{
    struct exec_transport *transport = process->transport;
    int status = 0;
    char what[120];
    if (waitpid(process->id, &status, WNOHANG) == 0)
        return;
    if (!process->reason[0] && process->output >= 0)
        output_read(process);
    if (process->errors >= 0)
        errors_read(process);
    if (process->error_length)
        errors_take(process, "\n", 1);
    end_describe(process, status, what, sizeof(what));
    while (process->asked.first) {
        struct exec_sending *sending = process->asked.first;
        exec_process_drop(sending);
        if (sending->phase == EXEC_ASKED)
            exec_detail(sending, "%s%s%s", what, process->error_line[0] ? ": " : "",
                        process->error_line);
        exec_end(transport, sending, process->reason_outcome);
    }
    process->writing = NULL;
    if (!process->answered)
        exec_backoff(transport);
    exec_process_forget(process);
}

void exec_process_event(struct exec_process *process, unsigned which)
{
    switch (which) {
    case EXEC_EVENT_INPUT:
        if (process->state == EXEC_RUNNING)
            questions_write(process);
        break;
    case EXEC_EVENT_OUTPUT:
        if (process->output < 0 || (!process->reason[0] && output_read(process)))
            break;
        descriptor_close(&process->output);
        process_ends(process);
        break;
    case EXEC_EVENT_ERRORS:
        if (process->errors >= 0 && !errors_read(process))
            descriptor_close(&process->errors);
        break;
    default:
        process_ended(process);
        break;
    }
}
