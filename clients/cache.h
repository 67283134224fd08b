/* A cache of answers: key bytes -> outcome, status and value bytes, bounded in entries and in bytes
 * (least recently used goes first), with a time to live, another one for failures, and a single
 * flight for each key: who asks for a key that is being fetched joins those who wait for it.
 *
 *     struct cache_flight *flight;
 *     switch (cache_find(cache, key, now, &waiter, &found, &flight)) {
 *     case CACHE_HIT:     use `found` (until the next call of this cache)
 *     case CACHE_PENDING: `waiter` will come out of somebody's cache_waiter_next
 *     case CACHE_MISS:    fetch it, then cache_fill(cache, flight, &answer, now, negative), or
 *                         cache_fail(cache, flight) where it came to nothing; then
 *                         while ((waiter = cache_waiter_next(cache, flight))) give waiter its
 * answer
 *     }
 *
 * One thread. A hit allocates nothing; a key that is fetched takes one piece of memory and its
 * value another, counted against the limit with the table. Where there is no memory, or a value is
 * too large, answers are not kept; nothing fails. */
#ifndef LEAT_CLIENTS_CACHE_H
#define LEAT_CLIENTS_CACHE_H

#include "clients/exchange.h"

struct cache_settings {
    uint32_t entries;     /* at most; > 0 */
    size_t bytes;         /* at most, for everything the cache holds */
    int64_t live;         /* nanoseconds: an answer counts while less than this has passed; 0: only
                             the single flight is wanted, nothing is kept */
    int64_t live_failure; /* of negative answers; 0: they are not kept */
};

/* An answer. Its value is the caller's when it fills, the cache's when it is found. */
struct cached {
    struct string value;
    enum outcome outcome;
    int status;
    uint32_t flags; /* the caller's */
};

/* In the memory of who waits. `owner` is the caller's; the rest is the cache's. */
struct cache_waiter {
    void *owner;
    struct cache_waiter *next, *previous;
    struct cache_flight *flight; /* NULL: does not wait */
};

struct cache_counts {
    uint64_t hits, misses, joined, evicted, expired;
    uint32_t entries; /* now, those in flight included */
    size_t bytes;     /* now, the table included */
};

enum cache_found { CACHE_HIT, CACHE_MISS, CACHE_PENDING };

struct cache;
struct cache_flight;

/* NULL: see the error (memory; fewer bytes than the smallest table needs). */
struct cache *cache_open(const struct cache_settings *settings, uint64_t seed, struct error *error);
/* Flights must be over: nobody waits. */
void cache_close(struct cache *cache);
/* See above. *flight is set on a miss; it may be NULL (no memory to watch it), which cache_fill,
 * cache_fail and cache_waiter_next take. */
enum cache_found cache_find(struct cache *cache, struct string key, int64_t now,
                            struct cache_waiter *waiter, struct cached *found,
                            struct cache_flight **flight);
/* The answer came: the flight is over, and kept or not. */
void cache_fill(struct cache *cache, struct cache_flight *flight, const struct cached *answer,
                int64_t now, bool negative);
/* No answer came: the flight is over, the next who asks makes another. */
void cache_fail(struct cache *cache, struct cache_flight *flight);
/* After either: who waited, first come first. NULL: no more; the flight is gone then. */
struct cache_waiter *cache_waiter_next(struct cache *cache, struct cache_flight *flight);
/* Waits no more (its call was cancelled). */
void cache_leave(struct cache_waiter *waiter);
/* Counters, for the report. */
void cache_counts(const struct cache *cache, struct cache_counts *counts);

#endif
