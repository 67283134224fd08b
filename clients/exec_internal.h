/* What the files of the exec transport share; nobody else includes it. All of it belongs to the
 * transport's thread. */
#ifndef LEAT_CLIENTS_EXEC_INTERNAL_H
#define LEAT_CLIENTS_EXEC_INTERNAL_H

#include <sys/types.h>

#include "clients/deadlines.h"
#include "clients/exec_transport.h"

enum exec_phase {
    EXEC_FREE,
    EXEC_PENDING, /* waits for a process: in the pending list */
    EXEC_ASKED,   /* a process has it: in the process's list, first asked first */
    EXEC_ORPHAN,  /* likewise, but cancelled: its answer will be dropped; no exchange */
    EXEC_OVER,    /* to be reaped: in the over list */
    EXEC_REAPED,  /* in no list */
};

struct exec_process;
struct exec_transport;

struct exec_bytes {
    char *data;
    size_t length, capacity;
};

/* The state of one exchange; used again and again. */
struct exec_sending {
    struct exchange *exchange;
    enum exec_phase phase;
    struct exec_sending *next, *previous; /* in the list of its phase */
    struct exec_sending *next_made;
    struct deadline deadline;
    struct exec_process *process;
    size_t written;         /* of the line and its LF */
    struct exec_bytes rest; /* of an orphan: what was not written yet */
    struct exec_bytes answer;
};
struct exec_list {
    struct exec_sending *first, *last;
};

#define EXEC_ERROR_LINE 120
enum exec_state {
    EXEC_NONE,    /* no process */
    EXEC_RUNNING, /* may be asked */
    EXEC_DYING,   /* killed, or has closed its output: to be waited for */
};
struct exec_process {
    struct exec_transport *transport;
    uint32_t index, generation; /* in events of epoll; the generation tells late ones */
    enum exec_state state;
    pid_t id;
    int handle; /* pidfd: readable when it has ended */
    int input, output, errors;
    bool input_watched, answered;
    struct exec_list asked;
    uint32_t asked_count;
    struct exec_sending *writing;            /* the first that is not written whole, or NULL */
    struct exec_bytes in;                    /* of its output: what is no whole line yet */
    size_t searched;                         /* of `in`, without an LF */
    struct deadline deadline;                /* a dying one, or an orphan, has so long */
    char error_line[EXEC_ERROR_LINE + 1];    /* the last of its stderr */
    char error_partial[EXEC_ERROR_LINE + 1]; /* the one that is being read */
    size_t error_length;
    enum outcome reason_outcome; /* why it was killed, for those that wait for its answer */
    char reason[80];
};

struct exec_transport {
    struct transport transport; /* first */
    char **arguments;
    uint32_t process_count, depth;
    size_t answer_limit;
    int64_t close_grace;
    struct exec_process *processes;
    struct exec_list pending, over, free;
    struct exec_sending *made;
    uint32_t made_count;
    struct exchange *unsent; /* no memory for a state; linked by `next` */
    struct deadlines deadlines, process_deadlines;
    int64_t now;        /* of this step */
    int64_t next_start; /* no process is started before */
    uint32_t failures;  /* processes that died without an answer, in a row */
};

/* exec_transport.c */
void exec_list_append(struct exec_list *list, struct exec_sending *sending);
void exec_list_remove(struct exec_list *list, struct exec_sending *sending);
/* Over: from no list to the over list (an orphan: to the free list). */
void exec_end(struct exec_transport *transport, struct exec_sending *sending, enum outcome outcome);
void exec_detail(struct exec_sending *sending, const char *format, ...) PRINTF_LIKE(2, 3);
bool exec_bytes_reserve(struct exec_bytes *bytes, size_t more);
/* A process died early, or could not be started: the next one waits. */
void exec_backoff(struct exec_transport *transport);

/* exec_process.c */
/* 0, or the errno of what failed. */
int exec_process_start(struct exec_transport *transport, struct exec_process *process);
/* Gives it one more question and writes what its pipe takes. */
void exec_process_ask(struct exec_process *process, struct exec_sending *sending);
/* Kills it; those that wait for its answers end with this when it is gone. */
void exec_process_kill(struct exec_process *process, enum outcome outcome, const char *reason);
/* What epoll says of it. */
void exec_process_event(struct exec_process *process, unsigned which);
#define EXEC_EVENT_INPUT  0u
#define EXEC_EVENT_OUTPUT 1u
#define EXEC_EVENT_ERRORS 2u
#define EXEC_EVENT_HANDLE 3u
/* Whether an idle process may be asked: it has ended or is killed if its output holds what nobody
 * asked for, which would be taken for the answer to the next question. */
bool exec_process_quiet(struct exec_process *process);
/* Takes a question from its process's list. */
void exec_process_drop(struct exec_sending *sending);
/* Its exchange is cancelled. True: it was sent, and stays in the list until its answer has come;
 * false: it is in no list any more. */
bool exec_process_orphan(struct exec_sending *sending);
/* The last line of its stderr, or "". */
const char *exec_process_error(struct exec_process *process);
/* It ends now, whatever it does: closes its pipes; the process itself is not waited for. */
void exec_process_forget(struct exec_process *process);

#endif
