/* The token bucket: see bucket.h. */
#include "clients/bucket.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/fault.h"

/* Tokens are counted as saved-up time: an event costs 1/rate, and at most burst/rate can be saved
 * up. Whole sixteenths of a nanosecond, the cost rounded up: exact, and never above the rate. */
#define TICKS     16 /* in a nanosecond */
#define COST_MOST (INT64_MAX / 4)

struct bucket {
    pthread_mutex_t lock; /* guards `ready` */
    int64_t cost;         /* ticks for each event */
    int64_t capacity;     /* ticks */
    int64_t ready;        /* the time up to which everything is spent; monotonic, in ticks */
    uint32_t users;       /* main thread */
    struct string name;   /* of a shared one */
    struct bucket **home; /* its place among the shared ones, cleared with the last user */
};

static int64_t bucket_cost(double rate)
{
    double cost = TICKS * (double)NANOSECONDS / rate;
    return cost < (double)COST_MOST ? (int64_t)cost + 1 : COST_MOST;
}

struct bucket *bucket_open(double rate, int64_t burst)
{
    CHECK(rate > 0);
    struct bucket *bucket = memory_take_zeroed(1, sizeof(*bucket));
    if (!bucket)
        return NULL;
    CHECK(pthread_mutex_init(&bucket->lock, NULL) == 0);
    bucket->users = 1;
    bucket->cost = bucket_cost(rate);
    if (__builtin_mul_overflow(bucket->cost, burst > 1 ? burst : 1, &bucket->capacity))
        bucket->capacity = INT64_MAX / 2;
    bucket->ready = clock_monotonic() * TICKS - bucket->capacity;
    return bucket;
}

struct bucket *bucket_shared(struct shared_limits *shared, struct string name, double rate,
                             int64_t burst, struct error *error)
{
    struct bucket **home = NULL;
    for (uint32_t i = 0; i < SHARED_LIMITS; i++) {
        struct bucket *bucket = shared->buckets[i];
        if (!bucket && !home)
            home = &shared->buckets[i];
        if (!bucket || !string_equal(bucket->name, name))
            continue;
        if (rate > 0 && bucket_cost(rate) != bucket->cost) {
            error_set(error, ERROR_PROGRAM, "limit %.*s has two rates: give one of them only",
                      (int)name.length, name.data);
            return NULL;
        }
        bucket->users++;
        return bucket;
    }
    if (!(rate > 0)) {
        error_set(error, ERROR_PROGRAM,
                  "the first limit of this name must give its rate: { rate 500/s }");
        return NULL;
    }
    if (!home) {
        error_set(error, ERROR_PROGRAM, "too many named limits (%d at most)", SHARED_LIMITS);
        return NULL;
    }
    struct bucket *bucket = bucket_open(rate, burst);
    if (!bucket) {
        error_set(error, ERROR_MEMORY, "no memory for a limit");
        return NULL;
    }
    bucket->name = name;
    bucket->home = home;
    *home = bucket;
    return bucket;
}

void bucket_close(struct bucket *bucket)
{
    if (!bucket || --bucket->users > 0)
        return;
    if (bucket->home)
        *bucket->home = NULL;
    CHECK(pthread_mutex_destroy(&bucket->lock) == 0);
    free(bucket);
}

uint32_t bucket_take(struct bucket *bucket, uint32_t wanted, int64_t *wake)
{
    CHECK(pthread_mutex_lock(&bucket->lock) == 0);
    int64_t now = clock_monotonic() * TICKS;
    if (bucket->ready < now - bucket->capacity)
        bucket->ready = now - bucket->capacity;
    int64_t may = (now - bucket->ready) / bucket->cost;
    uint32_t taken = may <= 0 ? 0 : may < wanted ? (uint32_t)may : wanted;
    bucket->ready += taken * bucket->cost;
    if (taken == 0)
        *wake = (bucket->ready + bucket->cost + TICKS - 1) / TICKS;
    CHECK(pthread_mutex_unlock(&bucket->lock) == 0);
    return taken;
}
