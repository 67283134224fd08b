/* The running pipeline: actors, queues, the pool, settling. Shared by the run_*.c files and the
 * simulator; nobody else includes it.
 *
 * Every actor is a bounded, non-blocking step. A thread is "step; park when idle"; the simulator
 * calls the same steps in a seeded order. */
#ifndef LEAT_PIPELINE_RUN_INTERNAL_H
#define LEAT_PIPELINE_RUN_INTERNAL_H

#include "core/thread.h"
#include "io/engine.h"
#include "pipeline/commit_text.h"
#include "pipeline/part.h"
#include "pipeline/plan.h"
#include "pipeline/ring.h"

#define RUN_MAX_ERRORS  16
#define RUN_MAX_CAUSES  64
#define RUN_MAX_SAMPLED 64
/* A batch with no more text is taken all the way by the thread that has it: little text is what an
 * idle input brings, and then waking threads would cost more than the work. */
#define INLINE_TEXT (16 * 1024)
/* After the first signal, what stages and sinks have in flight may take this long. */
#define GRACE (10 * NANOSECONDS)

enum step_result {
    STEP_MOVED,       /* did something: call again */
    STEP_WAIT_INPUT,  /* nothing to do until somebody hands it something */
    STEP_WAIT_OUTPUT, /* nothing to do until somebody makes room */
    STEP_DONE,        /* will never do anything again */
};

struct actor {
    const char *name; /* "source", "worker 1", "head", "file out.csv" */
    char name_store[64];
    enum step_result (*step)(struct actor *actor);
    struct run *run;
    struct thread thread;
    struct event *event;      /* parks here …, a lending actor only while it waits for input */
    struct io_engine *engine; /* … or in the engine's wait where it has one */
    atomic_int sleeping;      /* of actors with an engine: acq_rel, see actor_wake */
    int64_t wake;             /* own: monotonic time to step again at the latest, or 0 */
    bool done;                /* own thread; the simulator's */
    /* Sinks that do not block lend their steps: who brings a small batch steps them at once, under
     * this lock, rather than wake a thread for it. */
    bool lends;
    pthread_mutex_t lock;   /* held while a lending actor is stepped, and in its engine's wait */
    struct event own_event; /* a lending actor's: it waits for input without its engine */
    /* where its time went, nanoseconds; written by its thread, read by reports: relaxed */
    atomic_llong busy, wait_input, wait_output;
    atomic_int waiting; /* enum step_result of its last idle step; relaxed */
};

struct worker_actor {
    struct actor actor;
    struct evaluator *evaluator;
    struct part_clock clock;
};

struct source_actor {
    struct actor actor;
    struct worker_actor helper; /* the source's thread as a worker, for small batches */
    uint32_t current;           /* index of the plan's source */
    struct batch *spare;        /* taken from the pool, not yet offered */
    uint64_t next_seq;
    bool told; /* the current source was told to stop */
    bool ended;
};

/* A stage with an actor of its own, serial or asynchronous. */
struct serial_actor {
    struct actor actor;
    struct evaluator *evaluator;
    uint32_t segment; /* it stands behind this one */
    bool asynchronous;
    struct ordered inlet; /* serial: in turn */
    struct ring queue;    /* asynchronous: as they come */
    struct ring resume;   /* held rows that come again */
    /* asynchronous */
    bool entered;
    uint32_t kept;          /* batches that the stage owns */
    struct io_request poll; /* of the stage's descriptor */
    /* serial */
    uint64_t next_seq;
    struct batch *waiting; /* the stage wants it again later */
    struct batch *held;    /* its seq: the part in progress is being delivered */
    bool stopped;          /* STAGE_STOP; asynchronous: was told to stop */
    bool finished;
    uint64_t created; /* batches made by finish */
    uint64_t saved;   /* one more than the barrier at which the state was saved last */
    struct part_clock clock;
};

enum sink_phase { SINK_FLOWS, SINK_DRAINED, SINK_COMMITTED, SINK_ENDED };

struct sink_actor {
    struct actor actor;
    uint32_t index;
    struct plan_sink *sink;
    struct ordered ordered; /* order input */
    struct ring ring;       /* order none; and the rejects' */
    struct batch *next;     /* taken from the inlet, not yet accepted by the sink */
    uint64_t next_seq;
    uint64_t seqs;         /* last parts that came back from the sink */
    struct ring behind;    /* order none: what came from behind the barrier … */
    uint32_t behind_count; /* … and how much */
    uint64_t arrived;      /* one more than the barrier that it has come to last */
    uint32_t offered;      /* batches the sink holds */
    bool started;
    bool closed;     /* its reader went away, or it failed: what comes is let go */
    bool fatal_seen; /* delivered the part with the reject that ends the run */
    enum sink_phase phase;
    int64_t moved; /* when it last took or gave; monotonic; relaxed atomic */
};

/* A checkpoint: a barrier at a seq that the source has not given out yet. Every sink takes what is
 * before it and holds there, stages with state save it when they come to it; when all have arrived,
 * everything before the barrier is settled and nothing behind it, and the sinks commit one after
 * another: the rejects first, then those that can go back a checkpoint, then the databases. */
enum checkpoint_phase { CHECKPOINT_IDLE, CHECKPOINT_DRAINS, CHECKPOINT_COMMITS };

struct checkpoint {
    bool enabled;     /* every source can be replayed, every sink goes on from its record */
    bool forgets;     /* a finished run without a name leaves no record behind */
    uint64_t every;   /* a test's: one after so many batches; 0: by time and bytes */
    atomic_int phase; /* enum checkpoint_phase; release by who changes it, acquire by others */
    atomic_ullong
        barrier;          /* UINT64_MAX: none; release by the source's thread and the last to end */
    atomic_bool stopped;  /* a stage wants no more: none begins; seq_cst, with `phase` */
    atomic_uint arrivals; /* sinks and stages that have still to come to it; acq_rel */
    atomic_uint turn;     /* index in `order` of who commits now; release, acquire */
    struct sink_actor *order[BATCH_MAX_SINKS + 1];
    uint32_t order_count;
    uint64_t rejects_number; /* of the finished run that this one adds to; main thread */
    uint64_t number; /* of the last one; guarded by the turn: whoever assembles or ends one */
    uint64_t epoch;
    uint64_t last_barrier; /* source's thread */
    /* Written by the last to end before phase IDLE (release), read by the source after it. */
    int64_t ended;
    int64_t took;
    uint64_t bytes;
    int64_t begun;         /* source's thread, before DRAINS */
    bool has_rejects;      /* the record counts some */
    struct buffer text;    /* the record; whoever assembles it */
    struct buffer *states; /* by segment, of the stage behind it; its thread, before it arrives */
};

/* How far the run is as a whole; grows only. seq_cst. */
enum run_phase { RUN_FLOWS, RUN_COMMITS, RUN_PUBLISHES, RUN_ABORTS, RUN_OVER };

struct run {
    struct plan *plan;
    struct batch *batches;
    uint32_t batch_count;
    pthread_mutex_t pool_lock; /* guards pool, jumbo_holder */
    struct batch *pool;        /* last in, first out: what is warm is used first */
    bool jumbo_taken;
    atomic_bool source_hungry; /* the source found the pool empty: wake it; seq_cst */

    struct source_actor source;
    struct worker_actor *workers;
    struct serial_actor *serials; /* by segment; segment_count - 1 */
    struct sink_actor *sinks;     /* by output */
    struct sink_actor rejects;
    struct event worker_event;
    struct event serial_events[PLAN_MAX_SEGMENTS];
    struct ring inlets[PLAN_MAX_SEGMENTS];
    struct ring resume; /* delivered parts whose batch goes on with a worker */
    /* One behind the last seq at the inlet of segment i (and of the sinks, at segment_count);
     * UINT64_MAX while unknown. Release by the actor before it, acquire by the one behind. */
    atomic_ullong ends[PLAN_MAX_SEGMENTS + 1];

    pthread_mutex_t settle_lock; /* guards all down to `phase` */
    struct ordered settled;
    uint64_t next_settle;
    struct run_totals totals;
    struct stage_count *counts; /* by stage */
    uint64_t sink_written;
    uint64_t *seen;                    /* 4 words */
    bool fatal;                        /* the first reject in input order was reported */
    struct position position;          /* behind the last settled batch that was read … */
    uint32_t position_source;          /* … of this source of the plan … */
    char position_key[BATCH_KEY_SIZE]; /* … and its key */
    struct commit_record record;       /* what is being committed */
    struct run_cause causes[RUN_MAX_CAUSES];
    uint32_t cause_count;
    struct run_cause mismatches[RUN_MAX_CAUSES];
    uint32_t mismatch_count;
    struct run_cause insteads[RUN_MAX_CAUSES]; /* the reporting thread's */
    uint32_t instead_count;
    struct run_cause events[RUN_MAX_CAUSES];
    uint32_t event_count;
    uint64_t rejects_written;

    struct checkpoint checkpoint;
    atomic_int phase;       /* enum run_phase */
    atomic_uint arrivals;   /* sinks that have still to reach the next phase; acq_rel */
    atomic_int stop_signal; /* 0: none; relaxed, set by signal handlers */
    atomic_int stop_count;
    atomic_bool source_stop; /* no more input is wanted (head, failure, signal) */
    atomic_bool discard;     /* let everything go: the run failed or was aborted */
    atomic_bool interrupted; /* a finite input was not read to its end because of a signal */
    bool keeps_rejects;      /* they have their name already; written as `adds` */
    bool complete;           /* goes on behind a run's last commit; written as `adds` */
    bool adds;               /* to what a finished run left; main thread, before the others */
    bool published;          /* too late for a signal: written where phases change */
    atomic_bool quiet_end;   /* stdout was closed */
    atomic_uint enough;      /* stages before this segment need not go on (head); release */
    atomic_ullong moves;     /* anything that moved; for stalls; relaxed */
    struct event over;       /* signalled when the run is over */

    pthread_mutex_t error_lock; /* guards errors */
    struct error errors[RUN_MAX_ERRORS];
    uint32_t error_count;

    int64_t *busy; /* by stage, + locate, + encode; atomic adds */
    int64_t begin;
    int64_t end;     /* 0 while it runs; relaxed atomic */
    bool keep_parts; /* set before RUN_ABORTS: exit status 3 under `fail when` */
    bool simulated;
    int exit_status;
    struct {
        char name[128];
        char hint[128];
    } never_seen[16];
    uint32_t never_seen_count;
    char sampled[RUN_MAX_SAMPLED][64]; /* names of the first record; guarded by settle_lock */
    uint32_t sampled_count;
    uint32_t
        events_told[PLAN_MAX_STAGES]; /* causes in stage.events that were logged; main thread */
    uint64_t stall_moves;
    int64_t stall_since;
    bool stall_said;
};

/* run.c */
#define RUN_MAX_ACTORS (256 + PLAN_MAX_SEGMENTS + BATCH_MAX_SINKS + 2)
/* All actors, without asking the sinks where they stand. */
struct run *run_make(struct plan *plan, bool simulated, struct error *error);
/* Everything but the threads; the simulator steps the actors itself. Closed by run_close. */
struct run *run_open(struct plan *plan, bool simulated, struct error *error);
/* All actors of the run; `actors` has room for RUN_MAX_ACTORS. */
uint32_t run_actors(struct run *run, struct actor **actors);

/* actor.c */
void actor_wake(struct actor *actor);
/* Steps a lending actor on the calling thread as long as something moves (a few times at most);
 * wakes it where that cannot be, or is not all there is to do. */
void actor_borrow(struct actor *actor);
void actor_thread(void *actor);

/* run_pool.c */
MUST_USE bool pool_open(struct run *run, struct error *error);
void pool_close(struct run *run);
struct batch *pool_take(struct run *run);
/* Gives a batch back for good: its permit, its memory above the ordinary. Wakes who waits. */
void pool_return(struct run *run, struct batch *batch);
/* source_context.jumbo_take; context is the run. */
bool pool_jumbo_take(void *run);

/* run_flow.c: source, workers, serial stages */
enum step_result source_step(struct actor *actor);
enum step_result worker_step(struct actor *actor);
enum step_result serial_step(struct actor *actor);
/* Hands a part to the workers of the next segment. */
void serial_forward(struct serial_actor *serial, struct batch *batch);
/* No seq from `end` on comes from this actor. */
void serial_end(struct serial_actor *serial, uint64_t end);
bool run_is_over(struct run *run);
void workers_wake(struct run *run);
void serials_wake(struct run *run);
void sinks_wake(struct run *run);

/* checkpoint.c */
MUST_USE bool checkpoint_open(struct run *run, struct error *error);
void checkpoint_close(struct run *run);
/* Source's thread, before it gives out a seq: begins one when it is time; at_end: in any case,
 * because the run stops before the end of its input. */
void checkpoint_look(struct run *run, bool at_end);
/* A stage let everything from the seq `end` on go (head): no checkpoint comes about any more. */
void checkpoint_stop(struct run *run, uint64_t end);
/* Whether this seq waits behind the barrier. */
bool checkpoint_holds(const struct run *run, uint64_t seq);
/* One is under way that a sink with the end `end` has still to take part in. */
bool checkpoint_pending(const struct run *run, uint64_t end);
/* A serial stage before it takes its next seq: saves its state where the barrier is. False: failed.
 */
bool checkpoint_stage(struct serial_actor *serial);
/* A sink (or the rejects') with nothing else to do: arrives, commits in its turn. */
enum step_result checkpoint_sink(struct sink_actor *sink, bool at_barrier);
/* Makes run->record for a commit now; under settle_lock. False: too large (an error was said). */
bool checkpoint_assemble(struct run *run, bool final);
/* Whether it is this sink's turn to commit; and that it has had it: true for the last in turn
 * alone, whatever the others see meanwhile. */
bool checkpoint_turn(const struct sink_actor *sink);
bool checkpoint_pass(struct sink_actor *sink);

/* recover.c: where the last run stands, and going on from there. Main thread, at the end of
 * run_open. */
MUST_USE bool recover_run(struct run *run, struct error *error);

struct standing {
    struct sink_actor *sink;
    bool rejects;
    bool found;
    struct commit_record record;
    struct commit_text text;
};
/* Where the sinks stand, rejects first. Closed by recovery_close, in any case. */
struct recovery {
    struct run *run;
    struct standing standings[BATCH_MAX_SINKS + 1];
    uint32_t count;
    struct arena arena;
};
/* Asks each sink that stores anything. `patient`: locks are asked for again for a while. */
MUST_USE bool recovery_ask(struct recovery *recovery, struct run *run, bool patient,
                           struct error *error);
void recovery_close(struct recovery *recovery);

/* run_async.c */
enum step_result async_step(struct actor *actor);

/* run_sink.c */
enum step_result sink_step(struct actor *actor);
enum step_result reject_step(struct actor *actor);
/* A run that adds to a finished one and found nothing new leaves the rejects of that one: when it
 * was killed between its last commit and its end, they are all there is to tell of them. */
bool run_leaves_rejects(const struct run *run);
/* Commits run->record. STEP_MOVED: done, or failed, which was said; STEP_WAIT_OUTPUT: not yet. */
enum step_result sink_commit(struct sink_actor *sink);
/* Hands a finished part to every sink. */
void sinks_deliver(struct run *run, struct batch *batch);

/* run_settle.c */
/* The run's position is behind this batch; under settle_lock. */
void settle_position(struct run *run, const struct batch *batch);
/* The last sink gave the part back: accounts for it in the order of seq and sends the batch on. */
void part_settle(struct run *run, struct batch *batch);
/* The part needs nothing more: the rest of its batch, or the pool. */
void part_finished(struct run *run, struct batch *batch);
/* An actor failed: records the error; the first one stops the others in order. */
void run_fail(struct run *run, const struct error *error);
/* Whether any actor has failed so far. */
bool run_failed(struct run *run);
void cause_count(struct run_cause *causes, uint32_t *count, const char *stage, enum error_code code,
                 const char *text, uint64_t times);
/* Every sink has drained (or committed): decides what comes next. */
void run_arrive(struct run *run);

/* run_rejects.c */
/* Encodes rejects of the batch into outputs[0].buffer from *next on; false: the buffer is full. */
bool rejects_encode(struct run *run, struct batch *batch, struct reject **next);
void reject_place(const struct run *run, const struct batch *batch, const struct reject *reject,
                  char *text, size_t size);
const char *reject_stage(const struct run *run, const struct reject *reject);

#endif
