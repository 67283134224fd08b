/* What the parts of the dispatcher share: dispatcher.c (calls in and out), dispatcher_start.c
 * (sending), dispatcher_end.c (what came of it). All of it belongs to the dispatcher's thread; only
 * `counts` is also read by others, by relaxed loads. */
#ifndef LEAT_CLIENTS_DISPATCHER_INTERNAL_H
#define LEAT_CLIENTS_DISPATCHER_INTERNAL_H

#include "clients/backoff.h"
#include "clients/breaker.h"
#include "clients/concurrency.h"
#include "clients/dispatcher.h"
#include "clients/heap.h"
#include "clients/latency.h"

/* Where a call is. In NEW and READY some of its exchanges may be in flight already (a race that got
 * only some slots so far, a hedge that waits for one). */
enum call_place {
    PLACE_NEW,    /* in `queue`: its first requests have to be sent */
    PLACE_READY,  /* in `ready`: a retry or a hedge has to be sent */
    PLACE_REST,   /* in `timers`: waits for its next try */
    PLACE_FLIGHT, /* all is sent; in `timers` too if it may be hedged */
    PLACE_OVER,   /* in `over`: to be reaped */
};

/* One exchange of a call. */
struct sending {
    struct exchange exchange;
    struct call_state *state; /* whose; NULL when it is only held for its answer */
    struct sending *next;     /* of the call's in flight, or of the free ones */
    int64_t started;
    uint64_t permit; /* of the breaker */
    uint32_t index;  /* which of the call's requests */
    bool hedge;
};

/* A call from submit to reap. A round is one try: all requests of the call (one, unless they race)
 * and perhaps a hedge. */
struct call_state {
    struct heap_item timer;             /* first: timers are cast back */
    struct heap_item age;               /* in `ready`, by order */
    struct call_state *next, *previous; /* of `queue`, `over` or the free ones */
    struct call *call;
    enum call_place place;
    int64_t order; /* of submission */
    int64_t submitted;
    int64_t deadline; /* of the call with all its retries */
    struct sending *flying;
    struct sending *held; /* the last failed exchange of this round, with its answer */
    uint32_t round;
    uint32_t unsent;     /* bit n: request n has to be sent in this round */
    uint32_t alive;      /* bit n: request n is worth another round */
    int64_t retry_after; /* the longest that was asked for in this round */
    bool retry_wanted;
    bool hedged;      /* in this round */
    bool rate_waited; /* counted as having waited for the rate */
};

struct call_list {
    struct call_state *first, *last;
};

struct dispatcher {
    struct protections protections;
    struct dispatcher_hooks hooks;
    struct transport *transport;
    struct breakers *breakers;      /* or NULL */
    struct concurrency concurrency; /* where it is adaptive */
    struct retry_budget budget;
    uint64_t random;
    struct heap timers; /* call_state.timer, by time */
    struct heap ready;  /* call_state.age, by order of submission */
    struct call_list queue, over;
    struct call_state *states, *unused_states;
    struct sending *sendings, *unused_sendings;
    uint32_t calls_most;
    uint32_t pending; /* submitted and not reaped */
    uint32_t in_flight;
    int64_t order;
    int64_t now;       /* of this step */
    int64_t rate_wake; /* the bucket has a token then; INT64_MAX: not waited for */
    int64_t drain_deadline;
    bool draining;
    bool dirty; /* something happened since the last step that makes a step due */
    bool percentiles_old;
    int64_t hedge_delay;   /* from `recent`; 0: too few samples */
    struct latency all;    /* of the whole run */
    struct latency recent; /* older samples weigh less */
    struct dispatcher_counts counts;
};

/* Counters have one writer, and readers on any thread. */
#define COUNT_ADD(field, amount) COUNT_SET(field, (field) + (amount))
#define COUNT_SET(field, value)  __atomic_store_n(&(field), (value), __ATOMIC_RELAXED)
#define COUNT_GET(field)         __atomic_load_n(&(field), __ATOMIC_RELAXED)

static inline void list_add(struct call_list *list, struct call_state *state)
{
    state->next = NULL;
    state->previous = list->last;
    *(list->last ? &list->last->next : &list->first) = state;
    list->last = state;
}
static inline void list_remove(struct call_list *list, struct call_state *state)
{
    *(state->previous ? &state->previous->next : &list->first) = state->next;
    *(state->next ? &state->next->previous : &list->last) = state->previous;
}

static inline struct call_state *state_of_age(const struct heap_item *age)
{
    return (struct call_state *)((char *)age - offsetof(struct call_state, age));
}

/* dispatcher_start.c */
/* How many exchanges may be in flight now. */
uint32_t dispatcher_limit(const struct dispatcher *dispatcher);
/* Sends what may be sent, oldest call first. True: something happened. */
bool dispatcher_start(struct dispatcher *dispatcher);
/* Timers that are due: retries and hedges become ready, calls whose time is over end. */
bool dispatcher_time(struct dispatcher *dispatcher);

/* dispatcher_end.c */
/* Takes what the transport has finished. True: something happened. */
bool dispatcher_collect(struct dispatcher *dispatcher);
/* A sending is free again; its answer, if it has one, was released. */
void sending_free(struct dispatcher *dispatcher, struct sending *sending);
/* These requests need not be sent any more in this round; what the budget gave for them goes back.
 */
void state_unsend(struct dispatcher *dispatcher, struct call_state *state, uint32_t requests);
/* Takes the call out of the list or heap it is in. */
void state_leave(struct dispatcher *dispatcher, struct call_state *state);
/* Takes back all that is in flight for the call. */
void state_cancel(struct dispatcher *dispatcher, struct call_state *state);
/* The call is over: its exchange is `sending` (or NULL), its outcome what is recorded in it. */
void state_over(struct dispatcher *dispatcher, struct call_state *state, struct sending *sending,
                enum call_verdict verdict);
/* As above for a call that ends without an answer, for this reason. */
void state_fail(struct dispatcher *dispatcher, struct call_state *state, enum outcome outcome,
                const char *reason);
/* Nothing is in flight nor to be sent in this round: another try, or the end. */
void round_end(struct dispatcher *dispatcher, struct call_state *state);

/* The percentiles in `counts` are those of `all` again. */
void percentiles_renew(struct dispatcher *dispatcher);

#endif
