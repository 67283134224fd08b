/* What the files of the lookup stages share. A lookup enriches each record by a call to a peer. The
 * core (lookup_*.c) takes batches in, turns rows into calls, spreads what comes back and hands
 * batches on; a kind (HTTP, a child process, a database) says how a request is made of a row and
 * which transport carries it. The protections are the dispatcher's (clients/dispatcher.h).
 *
 * From row to answer: the batches that the stage owns or has handed on in part (struct
 * lookup_batch) are kept in the order of seq. Their rows are asked for one after another, the
 * oldest batch first: each gets an `ask`, which lives until its answer stands in the batch, however
 * often that is handed on meanwhile. An ask is answered from the cache, by joining an equal one
 * that is under way, or by a call of its own; with `batch` a call serves many asks.
 *
 * All of it belongs to the actor's thread; `causes` alone is read by others. */
#ifndef LEAT_STAGES_LOOKUP_H
#define LEAT_STAGES_LOOKUP_H

#include "clients/bucket.h"
#include "clients/cache.h"
#include "clients/dispatcher.h"
#include "lang/diagnostic.h"
#include "lang/scope.h"
#include "stages/stages.h"

#define LOOKUP_RACE_MOST 8
#define LOOKUP_NO_ROW    "no row was found"
#define LOOKUP_PATIENCE  (20 * 1000000LL) /* ns: answered rows wait so long for the others */

struct lookup;
struct lookup_batch;

/* Requests made of a row, in the lookup's scratch memory or constants of the program. */
struct lookup_made {
    struct request requests[LOOKUP_RACE_MOST];
    uint32_t count;
};

/* What a kind of lookup gives to the core. */
struct lookup_kind {
    const struct stage_ops *ops;
    /* Requests of the row that `evaluation` shows as its row 0 (with `batch`: of the keys). True:
     * made. False: *error says why; ERROR_ARENA_FULL: they do not fit the scratch memory. What
     * varies from row to row lies in the evaluation's arena. */
    bool (*make)(struct lookup *lookup, struct evaluation *evaluation, struct lookup_made *made,
                 struct value *error);
    /* The transport, on the actor's thread. NULL: see the error. */
    struct transport *(*connect)(struct lookup *lookup, struct error *error);
    void (*close)(struct lookup *lookup); /* frees what the kind has opened */
    bool makes_key;                       /* sets gather.key, there is no option for it */
};

/* What came of an ask. */
struct lookup_answer {
    bool good;
    bool is_json;  /* `text` was validated and has no white space around it */
    uint16_t code; /* of the reject, where it is not good */
    int status;
    uint32_t attempts;
    int64_t latency;
    struct string text; /* good: the answer; else what went wrong */
    struct string url;  /* for rejects */
};

/* A row that was asked for. */
struct lookup_ask {
    struct lookup_ask *next, *previous; /* of its batch, in the order of rows */
    struct lookup_ask *sibling;         /* the next of its call */
    struct lookup_batch *batch;         /* NULL: free, or nobody wants the answer any more */
    uint32_t row;
    bool answered; /* `kept` holds what came; the batch does not yet */
    bool leads;    /* its answer is owed to the cache … */
    struct cache_flight *flight;
    struct cache_waiter waiter; /* … or it waits there */
    struct lookup_answer kept;  /* texts lie in `memory` */
    char *memory; /* with `batch`, until it is answered: the key's text, and the key as JSON */
    uint32_t key_length, json_length;
    size_t capacity;
};

/* A call to the dispatcher, with the memory of its requests. */
struct lookup_call {
    struct call call; /* first */
    struct lookup_call *next;
    struct lookup_ask *asks, **asks_tail;
    uint32_t ask_count;
    bool submitted;
    bool is_json; /* the last answer that was judged is */
    char *memory; /* requests, headers, texts */
    size_t capacity;
    size_t key_length; /* its first bytes tell it from other requests */
    size_t key_start;
};

enum lookup_row_state {
    LOOKUP_WAITS,
    LOOKUP_ASKED,
    LOOKUP_DONE,
    LOOKUP_GONE, /* rejected */
};

struct lookup_batch {
    struct lookup_batch *next; /* by seq; or free */
    struct batch *batch;
    uint64_t seq;
    bool present;   /* the stage owns it */
    bool full;      /* its arena takes no more */
    uint32_t count; /* rows of this round: the first of batch.rows */
    uint32_t offered;
    uint32_t next_row; /* index in batch.rows of the next one to ask for */
    uint32_t left;     /* rows of this round neither done nor gone */
    uint32_t done;
    int64_t first_done; /* monotonic, or 0 */
    size_t reserve;     /* bytes of the arena kept for the end */
    uint8_t *states;    /* by record; arena memory */
    struct lookup_ask *first, *last;
};

enum lookup_otherwise { OTHERWISE_REJECT, OTHERWISE_STOP, OTHERWISE_VALUE };

/* What is batched and how answers are spread: lookup_batch.c. */
struct lookup_gather {
    uint32_t most; /* keys in a request; 0: one request for each row */
    int64_t wait;  /* ns; 0: until it is full, or no row is left to ask for */
    const struct expression *key;
    const struct expression *items; /* where in the answer, or NULL */
    struct path by;                 /* count 0: by position */
    bool groups;                    /* a key's answer is the list of all its elements */
    struct string missing;          /* JSON: the answer to a key that has none, or to null; empty:
                                       it is a failed lookup */
    struct lookup_call *open;       /* being gathered, or NULL */
    int64_t due;
    struct buffer keys;          /* its keys so far: [k1,k2 */
    struct lookup_ask *suspects; /* one of these keys was refused: each is asked for alone */
};

struct lookup {
    struct stage stage;
    const struct lookup_kind *kind;
    struct evaluator *evaluator; /* of the call at hand */
    /* options */
    struct protections protections;
    struct cache_settings cache_settings; /* entries 0: none */
    enum lookup_otherwise otherwise;
    bool raw;        /* the answer is text */
    bool null_fails; /* an answer null is a failed lookup: there is no row */
    size_t answer_limit;
    const struct expression *otherwise_value, *take, *retry_when;
    struct expression **owned; /* compiled with names of the lookup's own */
    uint32_t owned_count, owned_capacity;
    struct bucket *bucket;
    struct lookup_gather gather;
    /* columns */
    uint32_t field, status, latency, attempts;    /* filled; or COLUMN_NONE */
    uint32_t answer_name, status_name, keys_name; /* hidden: what expressions read */
    struct value answer_cell, status_cell, keys_cell;
    struct moves before, after, checks;
    uint64_t seed;
    size_t memory;
    /* running */
    bool entered, ordered, stopping, failed;
    struct error error;
    struct dispatcher *dispatcher;
    struct cache *cache;
    struct arena scratch; /* of one evaluation, from scratch_floor on */
    size_t scratch_floor;
    struct column *view; /* the batch's columns, moved to the row at hand */
    uint32_t view_count;
    uint32_t *rows; /* BATCH_MAX_RECORDS */
    struct lookup_batch *batches, *free_batches;
    struct batch *orphans; /* that came when there was no memory to know them */
    struct lookup_ask *free_asks;
    void *ask_blocks; /* linked by their first word */
    struct lookup_call *calls, *free_calls;
    uint32_t call_count;
    size_t held;       /* bytes of requests and kept answers … */
    size_t held_limit; /* … above which nothing more is asked for */
    struct stage_causes causes, events;
    uint64_t cache_hits, cache_joined; /* read by others, relaxed */
};

/* ---- lookup_open.c: options, compiling ---- */

/* The stage, `size` bytes beginning with struct lookup, with the words above understood. NULL: said
 * in the diagnostics. The kind compiles its own expressions next and then calls lookup_finish. */
struct lookup *lookup_open(struct stage_context *context, const struct lookup_kind *kind,
                           size_t size);
/* What the names of a request's expressions are: those of the record, with `batch` keys alone;
 * secrets are allowed, for what comes out is sent. */
enum lookup_name_set { NAMES_ANSWER = 1, NAMES_KEYS = 2, NAMES_RECORD = 4, NAMES_SECRET = 8 };
struct lookup_names {
    struct resolver resolver; /* first; its context is this struct */
    struct lookup *lookup;
    const struct resolver *record; /* for all other names, or NULL: there are none */
    struct diagnostics *diagnostics;
    unsigned set; /* of enum lookup_name_set */
};
void lookup_names_open(struct lookup_names *names, struct stage_context *context,
                       struct lookup *lookup);
/* Compiles an expression with those names. NULL: said. */
const struct expression *lookup_compile(struct stage_context *context, struct lookup *lookup,
                                        const struct node *node);
/* All is compiled: binds the fields. */
bool lookup_finish(struct stage_context *context, struct lookup *lookup);
void lookup_close(struct stage *stage);

/* ---- lookup.c: batches in and out ---- */
extern const struct async_stage_ops lookup_async;
/* The run ends. The first reason counts. */
void lookup_fail(struct lookup *lookup, enum error_code code, const char *text);
/* The memory of `text`s of an ask that may be this long. False: there is none. */
bool lookup_ask_room(struct lookup *lookup, struct lookup_ask *ask, size_t length);
/* The ask is over: its row is done, gone or unwanted. */
void lookup_ask_free(struct lookup *lookup, struct lookup_ask *ask);

/* ---- lookup_ask.c: rows to calls ---- */
bool lookup_pools_open(struct lookup *lookup, struct error *error);
void lookup_pools_close(struct lookup *lookup);
/* Asks for rows as long as there is need and memory. True: something was asked or decided. */
bool lookup_pump(struct lookup *lookup, int64_t now);
void lookup_call_free(struct lookup *lookup, struct lookup_call *call);
uint32_t lookup_counters(const struct stage *stage, struct stage_counter *counters);
/* Copies the made requests into the call. False: no memory. */
bool lookup_call_fill(struct lookup *lookup, struct lookup_call *call,
                      const struct lookup_made *made);
void lookup_call_submit(struct lookup *lookup, struct lookup_call *call);
struct lookup_call *lookup_call_take(struct lookup *lookup);

/* ---- lookup_batch.c: many rows in a request ---- */
bool lookup_gather_open(struct stage_context *context, struct lookup *lookup);
/* The key of the row at hand as JSON text in the scratch memory. */
bool lookup_gather_key(struct lookup *lookup, struct evaluation *evaluation, struct string *json,
                       struct string *plain, struct value *error);
/* Puts the ask into the request being gathered. False: no memory. */
bool lookup_gather_add(struct lookup *lookup, struct lookup_ask *ask, struct string json,
                       int64_t now);
/* Sends what was gathered. */
void lookup_gather_send(struct lookup *lookup);
/* The call was refused for what it asked, perhaps for one of its keys: each will be asked for
 * alone. */
void lookup_gather_doubt(struct lookup *lookup, struct lookup_call *call);
/* Asks for them, as far as there are calls. True: for some. */
bool lookup_gather_single_out(struct lookup *lookup);
/* Spreads a good answer over the call's asks. */
void lookup_gather_spread(struct lookup *lookup, struct lookup_call *call,
                          const struct lookup_answer *answer);

/* ---- lookup_answer.c: what came ---- */
/* The dispatcher's hook. */
enum call_verdict lookup_judge(void *context, const struct call *call,
                               const struct exchange *exchange, char *detail, size_t size);
/* The dispatcher's hook: a breaker changed. */
void lookup_breaker_changed(void *context, struct string peer, const char *state,
                            const char *reason);
/* A call is over: its asks are answered. */
void lookup_call_done(struct lookup *lookup, struct lookup_call *call);
/* An ask's answer: into its batch where that is possible now, else kept. */
void lookup_ask_done(struct lookup *lookup, struct lookup_ask *ask,
                     const struct lookup_answer *answer);
/* … and what waits for the same; the flight is over. */
void lookup_ask_settle(struct lookup *lookup, struct lookup_ask *ask,
                       const struct lookup_answer *answer, bool cacheable);
/* Kept answers go into their batch as far as its arena takes them. */
void lookup_batch_apply(struct lookup *lookup, struct lookup_batch *batch);
/* The row is rejected. False: the arena is full, nothing was done. */
MUST_USE bool lookup_reject(struct lookup *lookup, struct lookup_batch *batch, uint32_t row,
                            const struct lookup_answer *answer);
/* The row is no longer to be waited for. */
void lookup_row_end(struct lookup_batch *batch, uint32_t row, enum lookup_row_state state);

/* ---- lookup_view.c: evaluating for one row ---- */
/* Shows row `row` of the batch (NULL: no record) as row 0; scratch memory above the floor is new.
 */
struct evaluation lookup_view(struct lookup *lookup, const struct batch *batch, uint32_t row);
/* JSON text without the white space around it. */
struct string lookup_trim(struct string text);
/* The text of a scalar, for keys and raw bodies; false: it has none. `scratch`:
 * NUMBER_TEXT_SIZE + 8 bytes. */
bool lookup_scalar_text(struct value value, char *scratch, struct string *text);
/* A copy that needs nothing but the arena. False: the arena is full. */
MUST_USE bool lookup_value_copy(struct value *value, struct arena *arena);
/* Appends JSON text to memory taken from the scratch arena. */
bool lookup_write_json(struct lookup *lookup, struct value value, struct string *text,
                       struct value *error);

#endif
