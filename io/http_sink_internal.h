/* What the files of the sink `http` share; nobody else includes it.
 *
 *   http_sink.c   the sink's operations and options
 *   http_group.c  lines of the held batches gathered into groups, one for each request
 *   http_send.c   groups sent, and what comes of them
 *   http_state.c  commits in a state file, and going on behind them (http_intents.h)
 *
 * A batch is held until every record in it was answered. A group is a run of lines that follow one
 * another, over one batch or several. Everything but opening belongs to the sink's thread. */
#ifndef LEAT_IO_HTTP_SINK_INTERNAL_H
#define LEAT_IO_HTTP_SINK_INTERNAL_H

#include <zlib.h>

#include "core/sink.h"
#include "io/http_client.h"
#include "io/http_intents.h"
#include "io/state_file.h"

#define HTTP_HELD 16 /* batches held at most */

/* A batch that was offered: its lines, one for each record. */
struct http_held {
    struct batch *batch;
    const char *text;
    size_t length;
    uint32_t first_row; /* index in batch.rows of the record of line 0 */
    uint32_t lines;
    uint32_t left;    /* lines not answered yet */
    uint64_t created; /* number of its first record, of those that stages made */
};

/* A place between lines. Batches are numbered as they were offered. */
struct http_place {
    uint64_t held;
    uint32_t line;
    size_t offset;
};

struct http_group {
    struct http_group *next;
    struct http_place from;
    uint32_t count;   /* lines */
    size_t bytes;     /* of them, with their ends */
    int64_t since;    /* monotonic: when its first line came */
    bool noted;       /* it is in the log of intents */
    uint32_t planned; /* lines that it had before a crash; 0: it is new */
    uint32_t tries;   /* requests sent for it before the breaker opened */
};

struct http_sending {
    struct call call; /* first */
    struct request request;
    struct request_header headers[3];
    struct http_group *group;
    struct http_sending *next; /* unused */
    char *body;
    size_t capacity;
    char key[600];
};

/* Where the run stands, in the state folder. */
struct http_state {
    char *state_path;
    char *lock_path;
    int lock_fd;
    bool recovered;
    struct state state;
    struct state_writer writer;
    char *record; /* being written */
    struct http_intents intents;
    struct http_intent *noted; /* room for those that are added at once */
};

/* What is told of the requests; copied from the dispatcher, which ends before the report. */
enum http_counter {
    HTTP_REQUESTS,
    HTTP_RETRIES,
    HTTP_IN_FLIGHT_MOST,
    HTTP_BREAKER_OPENED,
    HTTP_BREAKER_REFUSALS,
    HTTP_LATENCY_P50,
    HTTP_LATENCY_P95,
    HTTP_COUNTERS
};

struct http_sink {
    struct sink base; /* first */
    struct sink_context *context;
    struct http_client client;
    char *name;
    struct format *format;
    /* options */
    uint32_t most;     /* records in a request */
    size_t most_bytes; /* … and bytes, but for one record alone */
    int64_t wait;      /* ns from a group's first record to its request */
    bool as_list;      /* a JSON array instead of lines */
    bool gzip;
    bool rejects_all; /* what cannot be delivered is rejected, instead of failing the run */
    struct string method;
    char key_prefix[200];
    /* held batches, by number modulo HTTP_HELD */
    struct http_held held[HTTP_HELD];
    uint64_t held_first, held_end;
    uint64_t created;
    /* groups */
    struct http_group open; /* being gathered; count 0: there is none */
    struct http_place cut;  /* behind the last line that is in a group */
    struct http_group *ready, *ready_last;
    uint32_t ready_count;
    struct http_group *unused_groups;
    /* requests */
    struct http_sending *sendings, *unused_sendings;
    uint32_t sending_count, in_flight;
    char *plain; /* a body before it is compressed */
    size_t plain_capacity;
    z_stream deflate;
    bool deflate_open;
    struct http_state state;
    uint64_t counters[HTTP_COUNTERS]; /* relaxed atomic: other threads read them */
    int64_t hold_until;               /* the breaker is open: nothing is sent before */
    bool failed;
    struct error error;
};

/* ---- http_group.c ---- */

static inline struct http_held *http_held(struct http_sink *sink, uint64_t number)
{
    return &sink->held[number % HTTP_HELD];
}
void http_hold(struct http_sink *sink, struct batch *batch);
/* Gathers lines into groups, as many as may soon be sent. False: no memory. */
bool http_groups_cut(struct http_sink *sink, int64_t now);
/* When the open group is due: monotonic, or INT64_MAX. */
int64_t http_groups_due(const struct http_sink *sink);
struct http_group *http_group_take(struct http_sink *sink);
void http_group_free(struct http_sink *sink, struct http_group *group);
/* The first `count` lines of the group become its own, the others a new one, which is returned;
 * NULL: no memory. */
struct http_group *http_group_split(struct http_sink *sink, struct http_group *group,
                                    uint32_t count);
/* Puts it before all that is ready. */
void http_group_return(struct http_sink *sink, struct http_group *group);
/* Calls `each` for the group's lines: the batch, the record's index in it. Stops on false. */
typedef bool http_line_visitor(void *context, struct http_held *held, uint32_t line,
                               struct string text);
bool http_group_walk(struct http_sink *sink, const struct http_group *group,
                     http_line_visitor *each, void *context);
/* The key that makes the request the same when it is sent again. */
void http_group_key(struct http_sink *sink, const struct http_group *group, char *key, size_t size);

/* The place of a group's first and last line; HTTP_PLACE_SIZE each. */
void http_group_places(struct http_sink *sink, const struct http_group *group, char *from,
                       char *to);

/* ---- http_state.c ---- */

/* Notes the groups that are ready, unless they are. False: failed. */
bool http_state_note(struct http_sink *sink, struct error *error);
/* The operations of a sink that keeps its state; see sink_ops. */
bool http_state_recover(struct sink *base, struct commit_record *record, bool *found,
                        struct error *error);
bool http_state_resume(struct sink *base, uint64_t number, uint64_t epoch, struct error *error);
bool http_state_forget(struct sink *base, struct error *error);
enum sink_result http_state_commit(struct http_sink *sink, const struct commit_record *record,
                                   struct error *error);
void http_state_abort(struct http_sink *sink);
void http_state_close(struct http_sink *sink);

/* ---- http_send.c ---- */

bool http_send_open(struct http_sink *sink, struct error *error);
void http_send_close(struct http_sink *sink);
/* Sends what is ready, takes what was answered. False: failed, see sink.error. */
bool http_send_step(struct http_sink *sink, int64_t now);
/* Copies the dispatcher's counts. */
void http_send_count(struct http_sink *sink);

#endif
