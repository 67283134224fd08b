/* The contract of sinks. open runs on the main thread; encode on any worker (pure); everything else
 * on the sink's own thread (in the simulator: its step). None blocks unless the sink says so. */
#ifndef LEAT_CORE_SINK_H
#define LEAT_CORE_SINK_H

#include "core/batch.h"
#include "core/format.h"
#include "core/option.h"
#include "core/source.h"

struct scope;
struct evaluator;
struct shared_limits;
struct stage_counter;

enum sink_traits {
    SINK_BLOCKING = 1,      /* its calls may block (SQLite): own thread in any case */
    SINK_TRANSACTIONAL = 2, /* keeps the commit record itself, atomically with the data */
    SINK_RECOVERABLE = 4,   /* can be cut back to a commit record */
    SINK_NEEDS_COLUMNS = 8, /* wants a closed shape: the runtime fixes the columns first */
};

enum sink_result {
    SINK_OK,
    SINK_WAIT,   /* nothing finished yet */
    SINK_CLOSED, /* the reader went away (closed stdout): end the run quietly */
    SINK_FAIL,
};

/* A checkpoint, as the runtime has it stored, see DELIVERY: everything before one place of the
 * input is settled, and the sink stores the record in the thing that commits last. */
struct commit_record {
    uint64_t number;   /* of the checkpoint in the pipeline's life, from 1, each one more */
    uint64_t epoch;    /* of the process that writes: that of the record recovered, and one more */
    const char *bytes; /* the record: JSON text of the runtime, nothing that a sink looks into */
    size_t length;
    bool final; /* the input is finished: nothing follows. Stored with the last rows */
    bool done;  /* from recover: final, and the result was given its name too */
};

struct sink_limits {
    unsigned encoders;   /* threads that may compress */
    size_t memory;       /* bytes the sink may use for itself */
    unsigned open_files; /* partitions held open at once */
    int64_t timeout;     /* nanoseconds without progress while there is something to write */
};

struct sink_context {
    const struct options *options;
    const struct program *program; /* where they stand: for templates; NULL: nowhere */
    struct scope *scope;           /* at the end of the flow: templates, columns */
    const struct shape *shape;     /* what is written; its fields are set before the first encode */
    const char *file;              /* -o, or NULL */
    const struct format_table *formats;
    const char *format_name; /* --to, or NULL */
    /* A sink whose path is a template (file_sink_is_template): the hidden column that holds each
     * record's final path as a VALUE_STRING, already made safe; set before the first encode.
     * COLUMN_NONE otherwise. */
    uint32_t path_column;
    const struct format *source_format; /* of the first source: what stdout defaults to; or NULL */
    struct sink_limits limits;
    struct io_engine *engine; /* set before recover; the context outlives the sink */
    /* Checkpoints: whose record it is in a table that several pipelines share (the pipeline's name,
     * or one made of the target); the folder for what no sink can hold (".leat/NAME"), made when
     * needed; and whether commits come while the run lasts (each source can be replayed). */
    const char *pipeline;
    const char *fingerprint; /* of the pipeline: another one writes other things */
    const char *state_folder;
    bool checkpoints;
    bool adds; /* the rejects of runs that add to finished ones: files append unless told otherwise
                */
    uint32_t output; /* index in batch.outputs */
    struct diagnostics *diagnostics;
    struct shared_limits *shared; /* named rate limits (core/stage.h); NULL: there are none */
    uint64_t seed;                /* of the run */
};

struct sink;

struct sink_ops {
    const struct noun *noun;
    unsigned traits;
    bool (*open)(struct sink_context *context, struct sink **sink, struct error *error);
    /* Where the last run's commit stands; NULL where the sink can store none. On the main thread,
     * before the run; may block a while (on a connection: within its timeout). Takes the lock that
     * keeps other runs off the target; ERROR_LOCKED, naming the holder, where another has it (the
     * runtime tries again for some seconds). Changes nothing yet. record->bytes is the sink's,
     * until resume. *found false: there is none. */
    bool (*recover)(struct sink *sink, struct commit_record *record, bool *found,
                    struct error *error);
    /* Behind recover, on the main thread: go on behind checkpoint `number`, cutting back what came
     * after it, or (0) begin anew: what an unfinished run left is removed. SINK_RECOVERABLE sinks
     * can go back to the checkpoint before the one recovered too (they keep both); others have only
     * the one recovered. `epoch`: this run's. NULL where recover is. */
    bool (*resume)(struct sink *sink, uint64_t number, uint64_t epoch, struct error *error);
    /* Removes the record, for `leat state --forget` and --fresh; behind recover. */
    bool (*forget)(struct sink *sink, struct error *error);
    /* NULL: the format's encode into batch.outputs[output]. Else the sink's own row encoding; same
     * rules as format_ops.encode. */
    enum encode_result (*encode)(struct sink *sink, struct evaluator *evaluator,
                                 struct batch *batch, uint32_t first, uint32_t *done);
    /* Once, before the first offer, on the sink's thread: open files, write prologues. */
    enum sink_result (*start)(struct sink *sink, struct error *error);
    /* Takes a batch to write batch.outputs[output]; in the order wanted. False: enough for now. */
    bool (*offer)(struct sink *sink, struct batch *batch);
    /* Works on what was offered; a batch that is written and no longer needed comes back in *batch
     * (in the order offered) with SINK_OK. Rows that the sink itself refused are added to
     * batch.rejects (STAGE_SINK) — only by sinks that say so. */
    enum sink_result (*take)(struct sink *sink, struct batch **batch, struct error *error);
    /* All that was offered was taken back. commit makes everything so far durable and stores the
     * record in one atomic step with it; any number of times in a run, more is offered after it
     * unless record->final. publish (after the final commit) gives the result its name and marks
     * the record done. Both return SINK_WAIT until done. */
    enum sink_result (*commit)(struct sink *sink, const struct commit_record *record,
                               struct error *error);
    enum sink_result (*publish)(struct sink *sink, const struct commit_record *record,
                                struct error *error);
    /* The run failed or was interrupted: leave no half result, keep the old target; what the last
     * commit covers stays for the next run to go on from. `keep_part`: exit status 3 under `fail
     * when`: the part file stays. */
    void (*abort)(struct sink *sink, bool keep_part);
    struct batch *(*reclaim)(struct sink *sink); /* as in source_ops */
    void (*close)(struct sink *sink);
    /* As in stage_ops: fills at most STAGE_COUNTERS (core/stage.h). Any thread. May be NULL. */
    uint32_t (*counters)(const struct sink *sink, struct stage_counter *counters);
};

struct sink {
    const struct sink_ops *ops;
    const struct format *format; /* dialect written, or NULL; the sink owns it */
    const char *name;            /* as shown: "stdout", "file out.ndjson" */
    uint64_t bytes_written;      /* to the system; written by its thread, relaxed atomic */
    uint64_t records_written;
    bool needs_order; /* set by open: the last of several records counts, so order none is wrong */
    bool appends; /* set by open: what is there stays, so a rerun should bring only what is new */
    /* Of sinks that send: it does again, in the same portions, what a run before may have done
     * already, and wants no checkpoint meanwhile (relaxed atomic); and how many records that are
     * (set by resume). */
    bool catches_up;
    uint64_t resent;
    /* SINK_BLOCKING: it is asked again at the latest then (monotonic; 0: no such time). */
    int64_t wake;
    /* Set by the runtime before take. */
    bool hurry;         /* nothing more is offered until all is taken back: wait for no more */
    int64_t deadline;   /* the run was told to stop: give up then, monotonic; 0: it was not */
    bool commit_wanted; /* its transaction is long enough: a checkpoint is due now. Written by its
                           thread, relaxed atomic; commit clears it */
};

#endif
