/* The transport to child processes: a pool of long-lived ones, each of which reads a line and
 * writes a line in answer. See exchange.h for the contract; what is particular:
 *
 * - request.body is one line without its LF; the answer is the next line, without LF or CR LF.
 * - Each process has one question at a time, or up to `depth` (then it must answer in turn).
 * - A process that dies, hangs beyond an exchange's deadline or answers more than `answer_limit` is
 *   replaced; the exchanges that it had are OUTCOME_BROKEN (or TIMEOUT, LARGE for the one it is
 *   about), with the exit status or signal and the last line of its stderr in the detail. One that
 *   writes a line that nobody asked for is replaced too: what follows could not be told apart.
 * - Replacements wait for longer and longer (10 ms, doubled, at most 5 s) while processes die
 *   without having answered anything. What is asked meanwhile waits, until its deadline.
 * - Processes start with nothing of ours but stdin, stdout and stderr, signals as usual, and in a
 *   process group of their own, so that an interrupt on the terminal is our affair alone.
 * - Cancelling a question that was sent leaves its answer to come: it is read and dropped, and if
 *   it takes longer than a second the process is replaced. */
#ifndef LEAT_CLIENTS_EXEC_TRANSPORT_H
#define LEAT_CLIENTS_EXEC_TRANSPORT_H

#include "clients/exchange.h"

struct exec_settings {
    const char *const *arguments; /* argv, NULL-terminated, looked up in PATH; no shell; copied */
    uint32_t processes;           /* at most; started when there is something to ask; > 0 */
    uint32_t depth;               /* questions that one process may have at once; 0: 1 */
    size_t answer_limit;          /* bytes of a line; 0: 16 MiB */
    int64_t close_grace; /* between end of input and SIGTERM, and SIGTERM and SIGKILL, at close;
                            nanoseconds; 0: 500 ms */
};

/* Opens the pool for the calling thread; checks that the command can be found. NULL: see the error.
 * SIGPIPE must be ignored in the process (main does so). */
struct transport *exec_transport_open(const struct exec_settings *settings, struct error *error);

#endif
