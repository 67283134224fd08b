/* A pool of PostgreSQL connections: opened when somebody wants one, looked at while they are idle,
 * replaced when they are broken or old. Who wants a connection asks, and is answered when there is
 * one, or when the wait is over, with an error that tells the pool's state.
 *
 * Belongs to one thread and never blocks: its descriptor is readable when a step is due, that of
 * every connection included, also of those handed out (their holders step them). */
#ifndef LEAT_CLIENTS_POSTGRES_POOL_H
#define LEAT_CLIENTS_POSTGRES_POOL_H

#include "clients/postgres.h"

#define POSTGRES_POOL_MOST 64

struct postgres_pool_settings {
    const struct postgres_settings *connection; /* outlives the pool */
    uint32_t least;                             /* kept open once the pool was used */
    uint32_t most;                              /* open at once; 1 to POSTGRES_POOL_MOST */
    int64_t wait;                               /* for a connection, at most, nanoseconds */
    int64_t check;                              /* an idle connection is looked at this often */
    int64_t idle;     /* … and closed after so long, if more than `least` are open; 0: never */
    int64_t lifetime; /* a connection is replaced when it is so old; 0: never */
};

/* Waits for a connection. Memory of the caller until it is reaped or withdrawn. */
struct pool_wait {
    void *owner;
    /* set when it is over */
    struct postgres *connection; /* NULL: failed */
    char detail[160];
    /* the pool's */
    int64_t deadline;
    struct pool_wait *next;
};

struct postgres_pool_counts {
    uint32_t open, idle, used, waiting, connecting;
    uint64_t opened, replaced_broken, replaced_old, checks;
};

struct postgres_pool;
/* Settings are copied. NULL: see the error. */
struct postgres_pool *postgres_pool_open(const struct postgres_pool_settings *settings,
                                         struct error *error);
/* Closes every connection, handed out or not. */
void postgres_pool_close(struct postgres_pool *pool);
void postgres_pool_ask(struct postgres_pool *pool, struct pool_wait *wait);
/* Ends a wait that was not reaped. */
void postgres_pool_withdraw(struct postgres_pool *pool, struct pool_wait *wait);
/* Connects, checks, replaces, hands out. */
void postgres_pool_step(struct postgres_pool *pool);
/* The next wait that is over, or NULL. */
struct pool_wait *postgres_pool_reap(struct postgres_pool *pool);
/* Gives a connection back; `usable` false (in the middle of something, broken): it is replaced. */
void postgres_pool_return(struct postgres_pool *pool, struct postgres *connection, bool usable);
int postgres_pool_descriptor(const struct postgres_pool *pool);
/* When the next step is due at the latest, monotonic; INT64_MAX: at no time. */
int64_t postgres_pool_wake(const struct postgres_pool *pool);
void postgres_pool_counts(const struct postgres_pool *pool, struct postgres_pool_counts *counts);

#endif
