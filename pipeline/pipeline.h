/* What the command line sees of the runtime: program -> plan -> run -> result. Main thread, but for
 * the calls marked otherwise. */
#ifndef LEAT_PIPELINE_PIPELINE_H
#define LEAT_PIPELINE_PIPELINE_H

#include <stdio.h>

#include "core/batch.h"
#include "core/stage.h"
#include "io/engine.h"
#include "lang/ast.h"

/* The registry of every verb, source, sink and format (from the .def files). */
const struct registry *registry_get(void);

/* The command line's say; zero or NULL: not given. It wins over the pipeline block. */
struct run_options {
    const char *const *files; /* FILE… after the program */
    size_t file_count;
    const char *replay;      /* rejected records, to be read instead of the sources; see replay.h */
    const char *output;      /* -o */
    const char *from_format; /* --from */
    const char *to_format;   /* --to */
    const char *order;       /* --order */
    const char *reject_file; /* --reject */
    unsigned workers;        /* -j */
    uint64_t memory;         /* --memory, bytes */
    int64_t slow;            /* --slow, nanoseconds; 0: off */
    enum io_engine_kind io;
    bool verbose;
    bool fresh;
    bool wait;
    bool again; /* not the first try: what there was to warn of has been said */
    uint64_t seed;
    int (*stop_signal)(void); /* a signal that came before the run, or 0; NULL: none ever */
};

struct plan;
/* Opens sources' headers, stages and sinks' options; writes nothing. NULL after errors, which are
 * in `diagnostics` (pipeline errors) or in *error (a failed operation, code != NONE). */
struct plan *plan_open(const struct program *program, const struct run_options *options,
                       struct diagnostics *diagnostics, struct error *error);
void plan_close(struct plan *plan);

/* For graph, check, progress and reports: the nodes of the flow in order. */
struct plan_node {
    const char *role;  /* "source", "stage", "sink", "reject" */
    const char *label; /* unique: "where", "put#2", "file out.ndjson" */
    const char *text;  /* the statement's text as written, one line, cut at 60 */
    bool serial;
    uint32_t segment; /* chain it is fused into */
};
uint32_t plan_node_count(const struct plan *plan);
const struct plan_node *plan_node(const struct plan *plan, uint32_t index);
/* The sum of the memory plan: a line for every holder, and the total under the limit. */
void plan_print_memory(const struct plan *plan, FILE *out);
/* What delivery each path promises and why, a line each. */
void plan_print_promises(const struct plan *plan, FILE *out);

enum run_status {
    RUN_DONE = 0,     /* exit 0 */
    RUN_FAILED = 1,   /* exit 1 */
    RUN_REJECTED = 3, /* more rejections than allowed */
    RUN_LOCKED = 75,
    RUN_STOPPED = 128, /* + signal */
};

/* Totals of the ledger and of each stage; a consistent snapshot when taken after the run. */
struct run_totals {
    uint64_t read;
    uint64_t created;
    uint64_t written;
    uint64_t filtered;
    uint64_t absorbed;
    uint64_t rejected;
    uint64_t bytes_read;
    uint64_t bytes_total; /* of the inputs, 0 if unknown */
    uint64_t bytes_written;
    double seconds;
    uint64_t peak_rss_bytes;
};
struct run_stage {
    const char *name;
    struct stage_count count;
    double busy_seconds;
    double wait_input_seconds;
    double wait_output_seconds;
    struct stage_counter counters[STAGE_COUNTERS]; /* what it counts besides */
    uint32_t counter_count;
};
/* One cause of errors or rejections with how often it came up. */
struct run_cause {
    const char *stage;
    enum error_code code;
    char text[240];
    uint64_t count;
};

struct run;
/* Starts all threads. NULL: see *error. */
struct run *run_start(struct plan *plan, struct error *error);
/* Waits until the run has ended or `timeout` (nanoseconds) has passed. True: ended. */
bool run_wait(struct run *run, int64_t timeout);
/* Async-signal-safe. First call: stop reading, drain, finish what can be finished. Second: abort.
 */
void run_stop(struct run *run, int signal_number);
/* Any time; approximate while running. */
void run_snapshot(struct run *run, struct run_totals *totals);
uint32_t run_stage_count(const struct run *run);
void run_stage(struct run *run, uint32_t index, struct run_stage *stage);
/* Where the time goes, for the progress line: "91 % blocked on sink sqlite". */
void run_bottleneck(struct run *run, char *text, size_t size);
/* A sink lost what it had taken since the last checkpoint (a server went away in the middle of a
 * transaction), and nothing else went wrong: another run goes on from there. *number is that of the
 * last checkpoint. After run_wait returned true. */
bool run_wants_again(const struct run *run, uint64_t *number);
/* After run_wait returned true. */
int run_exit_status(const struct run *run);
uint32_t run_error_count(const struct run *run); /* distinct errors that ended actors */
const struct error *run_error(const struct run *run, uint32_t index);
uint32_t run_reject_cause_count(const struct run *run); /* rejections by cause */
const struct run_cause *run_reject_cause(const struct run *run, uint32_t index);
uint32_t run_mismatch_cause_count(
    const struct run *run); /* where conditions that met other types */
const struct run_cause *run_mismatch_cause(const struct run *run, uint32_t index);
/* Lookups that failed and gave what `otherwise` says. The numbers are those of the last count. */
uint32_t run_instead_cause_count(const struct run *run);
const struct run_cause *run_instead_cause(const struct run *run, uint32_t index);
/* What else happened in stages: breakers that opened and closed. As above. */
uint32_t run_event_count(const struct run *run);
const struct run_cause *run_event(const struct run *run, uint32_t index);
uint32_t run_never_seen_count(const struct run *run);                   /* fields no record had */
const char *run_never_seen(const struct run *run, uint32_t index);      /* "statsu" */
const char *run_never_seen_hint(const struct run *run, uint32_t index); /* "status" or NULL */
void run_close(struct run *run);

/* `leat state`: where each sink says the pipeline stands, on `out`; `forget`: has them forget it.
 * ERROR_LOCKED where a run holds one of them. */
bool plan_show_state(struct plan *plan, bool forget, FILE *out, struct error *error);

/* `leat try`: the first `count` records before and after each stage, side by side, on `out`. */
bool plan_try(struct plan *plan, uint32_t count, FILE *out, struct error *error);
/* The first rows a sink wrote, as a table, for `make run` and `--verbose`; SQLite and files. */

#endif
