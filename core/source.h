/* The contract of sources. All calls but open come from the source's own thread (in the simulator:
 * from its step). None blocks: a source that waits returns SOURCE_WAIT, and the thread then waits
 * in io_engine_wait, which any completion or a wake ends. */
#ifndef LEAT_CORE_SOURCE_H
#define LEAT_CORE_SOURCE_H

#include "core/batch.h"
#include "core/format.h"
#include "core/option.h"

struct io_engine;     /* io/engine.h */
struct diagnostics;   /* lang/diagnostic.h */
struct shared_limits; /* core/stage.h */

enum source_result {
    SOURCE_READY, /* *batch is filled */
    SOURCE_WAIT,  /* nothing yet */
    SOURCE_END,   /* no more; every offered batch was returned or is returned by close */
    SOURCE_FAIL,  /* see the error */
};

/* Where reading may resume: behind a whole record. */
struct position {
    uint32_t input;
    uint64_t offset; /* in the decompressed content */
    uint64_t line;   /* line ends before it */
    uint64_t record; /* records before it */
    uint64_t frame;  /* compressed inputs: where a frame begins in the file, at or before it … */
    uint64_t frame_offset; /* … and where the content of that frame begins in the content */
    uint64_t state;        /* the format's, there */
    /* Hashes (core/hash.h) of content that was read, for knowing the input again: the first bytes
     * of the input's records, and the last before `offset`. Lengths of at most 1024; 0: none. */
    struct position_mark head, tail;
    struct string key; /* sources that are queries: the last key read, as JSON text; else empty */
};

/* One input of the run (a file of a glob, stdin, a query), for positions, messages and progress. */
struct input {
    const char *name; /* as shown: path, "stdin" */
    uint64_t size;    /* bytes on disk, 0 if unknown */
    uint64_t device;  /* identity, 0 if none */
    uint64_t inode;
    int64_t modified;          /* nanoseconds since 1970 */
    struct field_names *names; /* header of this input once known, else NULL */
    /* How far it was read: by open and seek, where this run begins in it (all zero: at its start);
     * by the runtime, when its last batch is settled, where it ended. To be recorded with the rest:
     * a run that goes on, or one that adds to a finished one, begins there. */
    struct position at;
    bool replaced; /* set by seek: the last run read something else under this name or inode; it is
                      a new file, read from its start: to be said and counted */
};

struct source_limits {
    size_t batch_text;     /* ordinary bytes of text in a batch */
    size_t record_limit;   /* a longer record is rejected while its bytes stream past */
    unsigned decoders;     /* threads that may decompress */
    size_t decoder_memory; /* bytes each may use */
    int64_t timeout;       /* nanoseconds without data until SOURCE_FAIL(TIMEOUT); 0: none */
    bool head;             /* the plan ends early (head): do not read further ahead than needed */
};

struct source_context {
    const struct options *options;
    const struct program *program;        /* where they stand: for templates; NULL: nowhere */
    const struct option_value *arguments; /* (unused where options hold positionals) */
    const struct format_table *formats;
    const char *const *files; /* names from the command line for a left out `from`, or NULL */
    size_t file_count;
    /* Set before seek where a run goes on: the inputs of the run that it continues, in their order,
     * each read up to `size` as it was then, instead of those that open found. NULL: those. */
    const struct input *inputs;
    uint32_t input_count;
    bool incremental; /* set before seek too: those inputs were read to their end by a run that has
                         finished, and only what came since is wanted; inputs then lists them too */
    const char *format_name; /* --from, or NULL */
    struct source_limits limits;
    struct diagnostics *diagnostics; /* what is wrong with its expressions is said here */
    struct shared_limits *shared;    /* named rate limits (core/stage.h); NULL: there are none */
    uint64_t seed;                   /* of the run */
    struct io_engine *engine;        /* of the source's thread; set before the first offer;
                                      the context outlives the source */
    /* A record longer than a batch needs the one jumbo permit of the run. False: not now; the
     * source is woken when it is free. The runtime takes it back when the batch is released. */
    bool (*jumbo_take)(void *jumbo_context);
    void *jumbo_context;
};

struct source; /* each source defines its own, beginning with struct source */

struct source_ops {
    const struct noun *noun;
    /* Finds the inputs (globs), opens the first, reads a header where the format has one; on the
     * main thread, may block briefly on files. */
    bool (*open)(struct source_context *context, struct source **source, struct error *error);
    /* Before the first offer: go on from `position`; NULL where the source cannot be replayed (then
     * there are no checkpoints). The marks are compared with what is there: ERROR_STATE where the
     * input is not the one that was read. On the main thread, may block briefly. */
    bool (*seek)(struct source *source, const struct position *position, struct error *error);
    /* Gives a free batch to fill; it belongs to the source until take or close. False: enough. */
    bool (*offer)(struct source *source, struct batch *batch);
    /* The next filled batch in order: text, origin, content_end, line_end, names, starts_input,
     * ends_input set; seq is the caller's. A record beyond record_limit comes as a batch of its own
     * with `overlong` set (see core/batch.h), for the runtime to reject. */
    enum source_result (*take)(struct source *source, struct batch **batch, struct error *error);
    /* Told to stop (signal, head): in-flight reads are cancelled, take gives what is whole, then
     * SOURCE_END. */
    void (*stop)(struct source *source);
    /* Returns a batch that was offered and not taken, or NULL when there is none (any more). */
    struct batch *(*reclaim)(struct source *source);
    void (*close)(struct source *source);
};

struct source {
    const struct source_ops *ops;
    const struct format *format; /* dialect of its text; the source owns it */
    struct input *inputs;        /* found by open; grows only in open */
    uint32_t input_count;
    uint64_t bytes_total; /* sum of sizes where all are known, else 0 */
    uint64_t bytes_done;  /* read from the system; written by its thread, relaxed atomic */
    bool endless;         /* a pipe, a socket: stopping it is no failure */
    int incremental;      /* set by open: 1: `incremental yes`, -1: no, 0: as the sinks append */
    bool replayable;      /* set by open: seek works for what was opened (not for a pipe) */
    int64_t wake;         /* monotonic: take is asked again at the latest then; 0: no such time */
};

#endif
