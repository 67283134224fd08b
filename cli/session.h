/* From arguments to a plan: what run, check, graph and try have in common. Loads the program text,
 * parses it, opens the plan, and says what is wrong. Main thread only. */
#ifndef LEAT_CLI_SESSION_H
#define LEAT_CLI_SESSION_H

#include "cli/arguments.h"
#include "lang/parse.h"

/* No pipeline is longer; a longer file is some other file. */
#define PROGRAM_LIMIT (16u * 1024 * 1024)

struct session {
    const char *name; /* of the pipeline file, or "program"; borrowed */
    char *text;       /* owned, NUL-terminated; or NULL */
    size_t length;
    bool is_file;
    struct run_options options; /* with the inputs named on the command line */
    struct diagnostics diagnostics;
    struct program *program;
    struct plan *plan;
};

/* Loads the text that the operands name. A program command: the first operand is the text. Every
 * other: the first operand is a file, or a text where no such file is there and it has a blank in
 * it or is a verb; none: ./pipeline.conf. The operands behind it are inputs. */
MUST_USE bool session_load(struct session *session, const struct arguments *arguments,
                           struct error *error);
/* Parses and opens the plan. False: everything wrong has been said; *status is the exit status. */
MUST_USE bool session_plan(struct session *session, int *status);
/* Both: from arguments to a plan, with *status 0; else everything wrong has been said and *status
 * is what to exit with. To be closed in any case. */
MUST_USE bool session_open(struct session *session, const struct arguments *arguments, int *status);
void session_close(struct session *session);
/* The exit status of an error before anything was read: 2 usage or program, 75 locked, 1 else. */
int session_status(const struct error *error);

#endif
