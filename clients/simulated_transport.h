/* A transport without a network: modelled peers under the simulated clock (core/clock.h), for tests
 * and the simulator. Everything random comes from the seed. What the peers saw is kept in a log
 * that the opener owns, so that a test can judge from the peers' side.
 *
 * A peer has `workers`; a request that finds none free waits in its queue. It is served for a
 * random time, then answered. A cancelled or timed out request leaves its worker or the queue at
 * once, as one whose connection is gone. One thread. */
#ifndef LEAT_CLIENTS_SIMULATED_TRANSPORT_H
#define LEAT_CLIENTS_SIMULATED_TRANSPORT_H

#include "clients/exchange.h"

#define SIMULATED_PEERS 16

/* What a peer does with one request. Made by chance first; the opener's `answer` may change it. */
struct simulated_reply {
    int64_t service;      /* nanoseconds of work before anything comes back */
    enum outcome outcome; /* ANSWER, CONNECT, BROKEN …; TIMEOUT: never says anything */
    int status;
    int64_t retry_after;
    struct string body; /* copied */
};

/* How often what happens; shares are of all requests, drawn one after another. */
struct simulated_settings {
    uint64_t seed;
    int64_t service_least; /* of each request … */
    int64_t service_mean;  /* … plus an exponentially distributed time with this mean … */
    int64_t service_slow;  /* … plus this for a share of `slow` */
    double slow;
    uint32_t workers; /* of each peer; 0: any number */
    double connect;   /* no connection */
    double hang;      /* no answer, ever */
    double broken;    /* breaks off after the service time */
    double refused;   /* answers `refused_status`, with `retry_after` */
    int refused_status;
    int64_t retry_after;
    uint32_t exchanges; /* in flight or not released at most; > 0 */
    void *context;
    /* The opener's answer to a request, at the time of arrival `now`; may be NULL. */
    void (*answer)(void *context, const struct request *request, int64_t now,
                   struct simulated_reply *reply);
};

/* One request, as its peer saw it. */
struct simulated_arrival {
    int64_t time;
    int64_t over; /* answered, broken off, timed out or cancelled; 0: not yet */
    const struct request *request;
    uint32_t peer; /* index in the log */
    bool cancelled;
};
struct simulated_peer {
    char name[128]; /* cut, NUL-terminated */
    uint64_t arrivals, answered, cancelled;
    uint32_t in_flight, in_flight_most;
};
/* The opener's; zeroed before. Arrivals beyond `arrivals_most` are counted, not kept. */
struct simulated_log {
    struct simulated_arrival *arrivals; /* room for arrivals_most, or NULL */
    uint64_t arrivals_most, arrival_count;
    uint32_t in_flight, in_flight_most;
    struct simulated_peer peers[SIMULATED_PEERS]; /* those beyond share the last place */
    uint32_t peer_count;
};

/* NULL: no memory. Settings are copied; the log must outlive the transport. */
struct transport *simulated_transport_open(const struct simulated_settings *settings,
                                           struct simulated_log *log);

#endif
