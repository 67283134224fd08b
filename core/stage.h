/* The contract of stages. A stage is one file in stages/ and one line in stages/stages.def.
 * `open` runs once, before the run, on the main thread: it compiles expressions and says through
 * the scope (lang/scope.h) what it does to the record's shape. During the run a stage is const;
 * parallel stages are called by many workers at once, serial ones by one thread in input order.
 * Stages borrow the batch: they keep no pointer into it past their return. */
#ifndef LEAT_CORE_STAGE_H
#define LEAT_CORE_STAGE_H

#include "core/batch.h"
#include "core/option.h"

struct scope;       /* lang/scope.h */
struct diagnostics; /* lang/diagnostic.h */
struct evaluator;   /* lang/expression.h: what one worker needs to evaluate */

/* Rate limits that several stages share by name: see bucket_shared (clients/bucket.h). */
#define SHARED_LIMITS 16
struct shared_limits {
    struct bucket *buckets[SHARED_LIMITS]; /* or NULL; borrowed from the stages that hold them */
};

enum stage_result {
    STAGE_OK,    /* done with this part */
    STAGE_SPLIT, /* the arena was full: run again with fewer records; nothing may have been kept */
    STAGE_STOP,  /* serial: done, and no later batch is wanted */
    STAGE_WAIT,  /* serial: nothing may pass before stage.wake; call again with the same part */
    STAGE_MORE,  /* finish: made a batch of records, and there are more */
    STAGE_FAIL,  /* a failed operation: see the error; the run ends */
};

enum stage_traits {
    STAGE_SERIAL = 1, /* has state: called in input order by one thread */
    STAGE_ASYNC = 2,  /* answers later: see async_stage_ops */
    STAGE_LOOKUP = 4, /* its noun is a kind behind the verb `lookup` */
};

struct stage; /* each stage defines its own, beginning with struct stage */

/* What a stage counts besides records, for the report. */
#define STAGE_COUNTERS 24
struct stage_counter {
    const char *name; /* static: "requests", "latency_p95_ns" */
    uint64_t value;
};

struct stage_context {
    struct scope *scope;
    struct diagnostics *diagnostics; /* errors are added here; open returns false after any */
    const struct options *options;
    const struct program *program; /* where they stand: for templates (lang/template_cells.h) */
    uint16_t index;                /* of the stage in the plan */
    uint64_t seed;                 /* of the run (sample) */
    size_t memory; /* bytes that a stage with state may keep: a line of the memory plan */
    struct shared_limits *shared; /* named rate limits; the plan's, zero at start */
};

/* What an asynchronous stage has instead of `batch`. All calls but `open` and `close` come from one
 * thread, that of its actor, and none blocks; the actor waits until stage.descriptor is readable or
 * stage.wake has come. Batches come in no order of seq (about in it); each leaves with its own
 * rows.
 *
 * Rows that cannot go on yet come again: take hands on a batch with some rows in `rows` and the
 * others in `rest`, both ascending and both in the memory that `rows` had at start (what the stage
 * puts into the arena is gone when they come again). Meanwhile the stage may go on asking for them:
 * it knows the batch by its address and its seq. */
struct async_stage_ops {
    /* Once, before the first start. `ordered`: rows leave in the order of the records, so `rows` is
     * always a prefix of what came in; else those answered first may leave first. */
    bool (*enter)(struct stage *stage, bool ordered, struct error *error);
    /* A batch comes in, with the selection batch.rows; the stage owns it until take or reclaim. The
     * arena's limit is what the stage may use of it; what does not fit waits in `rest`. */
    void (*start)(struct stage *stage, struct evaluator *evaluator, struct batch *batch);
    /* STAGE_OK: *batch may go on, rows and rest set, columns of rows filled, rejects recorded.
     * STAGE_WAIT: nothing yet; stage.wake is set. STAGE_FAIL: the run ends. */
    enum stage_result (*take)(struct stage *stage, struct evaluator *evaluator,
                              struct batch **batch, struct error *error);
    /* The run was told to stop: what is not answered by `deadline` (monotonic) is rejected. */
    void (*stop)(struct stage *stage, int64_t deadline);
    /* The run is let go: everything in flight is cancelled; gives back the batches that the stage
     * owns, one by one, then NULL. */
    struct batch *(*reclaim)(struct stage *stage);
};

struct stage_ops {
    const struct noun *noun;
    unsigned traits;
    bool (*open)(struct stage_context *context, struct stage **stage);
    void (*close)(struct stage *stage);
    /* A serial stage may let only the first rows through now (a rate limit): it leaves them in
     * rows and puts the others into batch.rest; they come again when these are delivered.
     * Reads and shrinks batch.rows, makes columns, rejects; keeps batch.counts[index].filtered,
     * .absorbed, .created and .mismatched (read, written and rejected are kept by the runtime). */
    enum stage_result (*batch)(struct stage *stage, struct evaluator *evaluator,
                               struct batch *batch, struct error *error);
    /* Serial stages that hand on records at the end (aggregations), else NULL: fills an empty batch
     * (record_count, rows, columns). */
    enum stage_result (*finish)(struct stage *stage, struct batch *batch, struct error *error);
    const struct async_stage_ops *async; /* of STAGE_ASYNC, else NULL */
    /* Fills at most STAGE_COUNTERS and returns how many. Any thread, while the stage is open. May
     * be NULL. */
    uint32_t (*counters)(const struct stage *stage, struct stage_counter *counters);
    /* Serial stages whose state decides what comes out (head, count; not limit): appends the state
     * to the buffer, and takes it back before the first batch. Between two batches, on the stage's
     * thread; restore on the main thread. save false: the buffer's limit. */
    bool (*save)(struct stage *stage, struct buffer *buffer);
    bool (*restore)(struct stage *stage, struct string state, struct error *error);
};

/* Failures that took no record out (a lookup with `otherwise null`), by cause: told once each at
 * the end, with their number. One writer, the stage's thread; others read `count` with acquire and
 * the numbers relaxed. What finds no place counts in `others`. */
#define STAGE_CAUSES 16
struct stage_cause {
    uint64_t number;
    char text[120]; /* complete before `count` says that it is there */
};
struct stage_causes {
    uint32_t count;
    uint64_t others;
    struct stage_cause items[STAGE_CAUSES];
};

struct stage {
    const struct stage_ops *ops;
    uint16_t index;
    const char *label; /* "where", "put#2": for reports and messages; unique in the plan */
    int64_t wake;      /* after STAGE_WAIT: monotonic nanoseconds; asynchronous: 0: no such time */
    bool as_completed; /* asynchronous, set by open: records may leave in any order */
    int descriptor;    /* asynchronous, from enter on: readable when a step is due; -1: none */
    const struct stage_causes *causes; /* or NULL */
    const struct stage_causes *events; /* what else happened (a breaker opened), or NULL */
};

#endif
