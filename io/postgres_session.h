/* The session of a PostgreSQL sink: what the sink's thread does at the server, one statement at a
 * time, driven without blocking. Internal to the sink (postgres_sink.c: options and operations;
 * postgres_session.c: connecting, claiming, looking, committing; postgres_unit.c: rows).
 *
 * Everything is a goal: load a unit of rows, commit, put a replacement in its place. session_next
 * looks at what is missing on the way to it (a connection, the claim, the table's columns) and
 * begins the statement that comes next; session_drive steps it and takes what came of it. */
#ifndef LEAT_IO_POSTGRES_SESSION_H
#define LEAT_IO_POSTGRES_SESSION_H

#include <stdatomic.h>

#include "core/sink.h"
#include "io/engine.h"
#include "io/postgres_table.h"

#define OFFERED_MAX     16
#define UNIT_BATCHES    8
#define UNIT_BYTES      (4 << 20)
#define SCRATCH_SIZE    (1 << 20)
#define PATIENCE        (60 * NANOSECONDS)
#define RETRIES_MOST    5
#define REFUSED_A_BATCH 16 /* from so many on, rows are looked for in small steps */

enum session_phase {
    PHASE_REST,
    PHASE_PAUSE, /* until pause_until; then connect again */
    PHASE_CONNECT,
    PHASE_LOCK,
    PHASE_COMMITS, /* leat_commit: is it there */
    PHASE_COMMITS_MAKE,
    PHASE_CLAIM,
    PHASE_LOOK,
    PHASE_COPY_BEGIN,
    PHASE_COPY_SEND,
    PHASE_COPY_END,
    PHASE_MERGE,
    PHASE_RECORD,
    PHASE_COMMIT,
    PHASE_CHECK, /* whether a COMMIT whose answer was lost took place */
};

enum session_goal { GOAL_NONE, GOAL_LOCK, GOAL_CLAIM, GOAL_UNIT, GOAL_COMMIT };

/* Where the savepoint of the open transaction stands. */
enum savepoint { SAVEPOINT_NONE, SAVEPOINT_SET, SAVEPOINT_FAILED };

/* One batch of a unit, or a part of it that was encoded here. */
struct unit_piece {
    struct batch *batch;
    struct postgres_rows rows;
    uint32_t first; /* number of its first row in the unit */
};

struct unit_range {
    uint32_t first;
    uint32_t end;
};

/* Rows that go to the server by one COPY, as long as all is well. When it fails, the rows are
 * taken apart: the failing range is cut at the row that the server names, or in halves. */
struct unit {
    struct unit_piece pieces[UNIT_BATCHES];
    uint32_t piece_count;
    uint32_t rows;
    size_t bytes;
    struct unit_range range;   /* being sent */
    struct unit_range *ranges; /* still to be sent, the last one first */
    uint32_t range_count;
    uint32_t range_capacity;
    uint32_t *offsets; /* of each row in its piece; made when a range has failed */
    bool *refused;     /* rows that were rejected */
    uint32_t refused_count;
    uint32_t step; /* rows tried at once where many are bad */
    unsigned retries;
    /* sending `range` */
    uint32_t piece; /* being sent */
    size_t at;      /* byte in it */
    unsigned part;  /* header, rows, trailer */
    size_t part_at;
};

struct postgres_sink {
    struct sink base;
    struct sink_context *context;
    char *name;
    struct string *keys;
    struct postgres_settings settings;
    struct postgres_table table;
    int64_t transaction_rows_most; /* INT64_MAX: any */
    int64_t transaction_time_most;
    struct string pipeline;                   /* the row of leat_commit */
    _Atomic(struct postgres_layout *) layout; /* for the workers: release when it is known */
    /* the sink's thread from here on (and recover, before it) */
    struct postgres postgres;
    struct io_request poll; /* of the connection's descriptor */
    struct buffer scratch;  /* rows that were not encoded by a worker */
    bool scratch_open;
    struct batch *offered[OFFERED_MAX]; /* a ring */
    unsigned offered_first;
    unsigned offered_count;
    unsigned finished;     /* of them, written: take gives them back */
    uint32_t partial_next; /* the first batch's rows that were encoded here so far */
    struct unit unit;
    bool unit_open;
    char *sql; /* of the statement that runs; libpq has copied it */

    enum session_phase phase;
    enum session_goal goal;
    bool recorded;      /* the run has checkpoints: recover was called */
    bool locked;        /* by this connection */
    bool commits_there; /* leat_commit */
    bool claim_sent;    /* perhaps on a connection that was lost before the answer came */
    bool claimed;
    bool resumed; /* an earlier commit of this pipeline stands */
    bool looked;
    bool in_transaction;
    bool created; /* the table, in the open transaction */
    enum savepoint savepoint;
    uint64_t given;            /* batches of the open transaction that went back to the runtime */
    int64_t transaction_rows;  /* that went in */
    int64_t transaction_start; /* monotonic; 0: it has not begun */
    bool committing_wants_table;
    bool commit_done;
    bool plain; /* a commit that `transaction` asks for, without a record */
    bool swap;
    bool in_doubt;
    int64_t epoch;  /* of this run; while it is not claimed: of the row that was found */
    int64_t number; /* of the last commit: compare and set */
    char *found;    /* what recover handed out */
    struct commit_record record; /* being committed; its bytes are the runtime's */
    int64_t lost_since;          /* monotonic, or 0 */
    int64_t pause_until;
    int64_t pause;
    int64_t moved; /* monotonic */
};

/* Begins what the goal needs next; PHASE_REST where it is reached. */
MUST_USE bool session_next(struct postgres_sink *sink, struct error *error);
/* Steps until there is nothing to do (OK), something to wait for, or a failure. */
enum sink_result session_drive(struct postgres_sink *sink, struct error *error);
/* Goes to a goal (LOCK, CLAIM), blocking; and asks for rows of one statement (freed), blocking. For
 * the main thread. */
MUST_USE bool session_reach(struct postgres_sink *sink, enum session_goal goal,
                            struct error *error);
MUST_USE bool session_ask(struct postgres_sink *sink, const char *doing, struct sql_text *sql,
                          struct error *error);
/* Sends `sql` (freed at the next; NULL: no memory) and changes the phase. */
MUST_USE bool session_send(struct postgres_sink *sink, enum session_phase phase,
                           struct sql_text *sql, struct error *error);
/* What must come before the first statement of a step: BEGIN, the table, the savepoint. */
void session_prefix(struct postgres_sink *sink, struct sql_text *sql);
/* The connection is lost, or (`conflict`) the transaction is: goes on from where nothing is lost,
 * or says that the run must be replayed from its last commit. */
MUST_USE bool session_lost(struct postgres_sink *sink, bool conflict, struct error *error);

/* postgres_unit.c */
/* Makes a unit of what was offered. False: nothing to write just now. */
bool unit_open(struct postgres_sink *sink, struct error *error, bool *failed);
void unit_close(struct postgres_sink *sink);
/* Begins the unit's next range, or closes it. */
MUST_USE bool unit_next(struct postgres_sink *sink, struct error *error);
/* All rows that were not refused, from the beginning: the transaction was lost. */
MUST_USE bool unit_restart(struct postgres_sink *sink, struct error *error);
/* Puts data; WAIT: libpq has enough. */
enum sink_result unit_send(struct postgres_sink *sink, struct error *error);
/* The range is in. */
MUST_USE bool unit_range_done(struct postgres_sink *sink, struct error *error);
/* The server refused it. */
MUST_USE bool unit_range_failed(struct postgres_sink *sink, struct error *error);

#endif
