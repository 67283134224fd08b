/* One exchange with a peer: a request that is sent once and what came of it; and the contract of
 * transports, which carry exchanges: HTTP (http_transport.h), child processes (exec_transport.h),
 * SQL (sql_transport.h), and the simulator's modelled peer (simulated_transport.h).
 *
 * A transport belongs to one thread, that of the actor that opened it. It never blocks: the actor
 * waits until the transport's descriptor is readable (one epoll descriptor over all its sockets and
 * pipes) or its wake time has come, and then steps it. Retries, rates, breakers and hedging are not
 * its affair: see dispatcher.h. */
#ifndef LEAT_CLIENTS_EXCHANGE_H
#define LEAT_CLIENTS_EXCHANGE_H

#include "core/buffer.h"
#include "core/error.h"
#include "core/value.h"

enum outcome {
    OUTCOME_ANSWER,    /* a whole answer came; HTTP: whatever its status */
    OUTCOME_CONNECT,   /* no connection: refused, unreachable, name unknown, TLS handshake */
    OUTCOME_TIMEOUT,   /* `detail` says which: connect, first byte, whole */
    OUTCOME_BROKEN,    /* the connection broke, the child died, or what came is no valid answer */
    OUTCOME_LARGE,     /* the answer is longer than allowed, decompressed */
    OUTCOME_CANCELLED, /* by exchange_cancel; never seen outside of the dispatcher */
    OUTCOME_INVALID,   /* could never be sent: URL, header, certificate; not worth a retry */
    OUTCOME_OPEN,      /* was not sent: the circuit breaker is open (dispatcher) */
};
#define OUTCOME_COUNT 8
const char *outcome_name(enum outcome outcome); /* "timeout", "connect" … */

struct request_header {
    struct string name;
    struct string value;
};

/* What is asked. Memory of whoever starts the exchange, unchanged until it is over. */
struct request {
    struct string method;                 /* HTTP: "GET" …; else empty */
    struct string url;                    /* HTTP: whole, percent-encoded; else empty */
    const struct request_header *headers; /* HTTP; beyond those of the transport's settings */
    uint32_t header_count;
    struct string body;             /* HTTP: body; exec: one line, without its LF */
    const struct value *parameters; /* SQL: $1 …, resolved */
    uint32_t parameter_count;
    struct string peer; /* host:port, command, database: whose breaker it is; shown in messages */
    struct string shown_url; /* for messages and rejects: without userinfo and secrets */
    bool repeatable;         /* safe or idempotent, or declared so: may be sent again */
};

/* One sending. Memory of the dispatcher. */
struct exchange {
    const struct request *request;
    int64_t deadline; /* monotonic: over at the latest then (OUTCOME_TIMEOUT) */
    void *owner;      /* the dispatcher's */
    /* set when it is over */
    enum outcome outcome;
    int status;              /* HTTP: status code; exec, SQL: 0 */
    struct string answer;    /* body, decompressed; transport memory until exchange_release */
    struct string next_link; /* HTTP: target of a Link header with rel="next", or empty */
    bool answer_is_json;     /* by its content type */
    bool hopeless;       /* SQL, with INVALID: the statement is wrong, whatever its parameters */
    int64_t retry_after; /* nanoseconds from now that the peer asked to wait for, or 0 */
    int64_t started;     /* monotonic */
    int64_t first_byte;  /* monotonic, or 0 */
    int64_t finished;    /* monotonic */
    char detail[160];    /* what went wrong, for people, without secrets */
    /* the transport's */
    void *state;
    struct exchange *next;
};

struct transport;
struct transport_ops {
    /* Begins; whatever is wrong comes back through reap, never at once. */
    void (*start)(struct transport *transport, struct exchange *exchange);
    /* Ends it early: it is not reaped any more, its memory is the caller's at return. */
    void (*cancel)(struct transport *transport, struct exchange *exchange);
    /* Moves bytes, expires deadlines. Bounded; never blocks. */
    void (*step)(struct transport *transport);
    /* The next that is over, or NULL. Its answer stays until release. */
    struct exchange *(*reap)(struct transport *transport);
    void (*release)(struct transport *transport, struct exchange *exchange);
    /* More than this many answer bytes may not be held: receiving pauses, but for the oldest
     * exchange, until some are released. 0: the transport's own bound. May be NULL. */
    void (*memory_limit)(struct transport *transport, size_t bytes);
    /* Cancels what is left and frees everything. */
    void (*close)(struct transport *transport);
};
struct transport {
    const struct transport_ops *ops;
    int descriptor; /* readable when there is something to step for; -1: none (simulated) */
    int64_t wake;   /* monotonic: step at the latest then; INT64_MAX: no such time. After a step */
};

#endif
