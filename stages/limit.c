/* limit: a token bucket on the stream. `limit 500/s { burst 50 }`, or a named one that several
 * stages share: `limit api { rate 500/s }`. Serial: one thread each, in input order; a shared
 * bucket is locked. Records that may not pass yet wait in their batch, which is the backpressure.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/fault.h"
#include "lang/diagnostic.h"
#include "stages/stages.h"

/* Tokens are counted as saved-up time: an event costs 1/rate, and at most burst/rate can be saved
 * up. Whole sixteenths of a nanosecond, the cost rounded up: exact, and never above the rate. */
#define TICKS 16 /* in a nanosecond */
struct token_bucket {
    pthread_mutex_t lock; /* guards `ready` */
    struct string name;
    int64_t cost;     /* ticks for each event */
    int64_t capacity; /* ticks */
    int64_t ready;    /* the time up to which everything is spent; monotonic, in ticks */
    uint32_t users;   /* stages that hold it; main thread */
};

struct limit_stage {
    struct stage stage;
    struct token_bucket *bucket;
};

static const struct option_spec limit_options[] = {
    {"amount", OPTION_RATE, OPTION_POSITIONAL, NULL, NULL, "records that may pass: 500/s, 60/m"},
    {"name", OPTION_NAME, OPTION_POSITIONAL, NULL, NULL,
     "a limit that several statements share; one of them gives its rate"},
    {"rate", OPTION_RATE, OPTION_TUNING, NULL, NULL, "the rate of a named limit"},
    {"burst", OPTION_INTEGER, OPTION_TUNING, NULL, "1", "how many may pass at once after a pause"},
    {0},
};

static const struct noun limit_noun = {
    .name = "limit",
    .doc = "Lets records through at a rate (token bucket)",
    .example = "limit 500/s { burst 50 }",
    .options = limit_options,
};

static struct token_bucket *bucket_make(struct string name)
{
    struct token_bucket *bucket = memory_take_zeroed(1, sizeof(*bucket));
    if (bucket) {
        CHECK(pthread_mutex_init(&bucket->lock, NULL) == 0);
        bucket->name = name;
    }
    return bucket;
}

static struct token_bucket *bucket_find(struct shared_limits *shared, struct string name)
{
    for (uint32_t i = 0; i < shared->count; i++)
        if (string_equal(shared->buckets[i]->name, name))
            return shared->buckets[i];
    struct token_bucket *bucket = shared->count < SHARED_LIMITS ? bucket_make(name) : NULL;
    if (bucket)
        shared->buckets[shared->count++] = bucket;
    return bucket;
}

static void limit_close(struct stage *stage)
{
    struct limit_stage *limit = (struct limit_stage *)stage;
    if (limit && limit->bucket && --limit->bucket->users == 0) {
        CHECK(pthread_mutex_destroy(&limit->bucket->lock) == 0);
        free(limit->bucket);
    }
    stage_free(stage);
}

static bool limit_open(struct stage_context *context, struct stage **stage)
{
    const struct option_value *name = option_find(context->options, "name");
    double rate = option_real(context->options, "amount", 0);
    struct limit_stage *limit = stage_make(context, &stage_limit, sizeof(*limit));
    if (!limit)
        return false;
    if (rate == 0)
        rate = option_real(context->options, "rate", 0);
    limit->bucket =
        name ? bucket_find(context->shared, name->text) : bucket_make((struct string){NULL, 0});
    if (!limit->bucket) {
        diagnostics_error(context->diagnostics, context->options->span,
                          "too many limits (%d at most)", SHARED_LIMITS);
        limit_close(&limit->stage);
        return false;
    }
    limit->bucket->users++;
    if (rate > 0) {
        int64_t burst = option_integer(context->options, "burst", 1);
        limit->bucket->cost = (int64_t)(TICKS * (double)NANOSECONDS / rate) + 1;
        if (__builtin_mul_overflow(limit->bucket->cost, burst > 0 ? burst : 1,
                                   &limit->bucket->capacity))
            limit->bucket->capacity = INT64_MAX / 2;
    }
    if (limit->bucket->cost == 0) {
        diagnostics_error(context->diagnostics, context->options->span,
                          name ? "the first limit of this name must give its rate: { rate 500/s }"
                               : "a limit needs a rate: limit 500/s");
        limit_close(&limit->stage);
        return false;
    }
    *stage = &limit->stage;
    return true;
}

/* How many of `wanted` may pass now; where none may, *wake is when the next one may. */
static uint32_t bucket_take(struct token_bucket *bucket, uint32_t wanted, int64_t *wake)
{
    CHECK(pthread_mutex_lock(&bucket->lock) == 0);
    int64_t now = clock_monotonic() * TICKS;
    if (bucket->ready < now - bucket->capacity)
        bucket->ready = now - bucket->capacity;
    int64_t may = (now - bucket->ready) / bucket->cost;
    uint32_t taken = may < wanted ? (uint32_t)may : wanted;
    bucket->ready += taken * bucket->cost;
    if (taken == 0)
        *wake = (bucket->ready + bucket->cost + TICKS - 1) / TICKS;
    CHECK(pthread_mutex_unlock(&bucket->lock) == 0);
    return taken;
}

static enum stage_result limit_batch(struct stage *stage, struct evaluator *evaluator,
                                     struct batch *batch, struct error *error)
{
    (void)evaluator;
    (void)error;
    struct limit_stage *limit = (struct limit_stage *)stage;
    if (batch->row_count == 0)
        return STAGE_OK;
    uint32_t taken = bucket_take(limit->bucket, batch->row_count, &stage->wake);
    if (taken == 0)
        return STAGE_WAIT;
    if (taken < batch->row_count) {
        batch->rest = batch->rows + taken;
        batch->rest_count = batch->row_count - taken;
        batch->row_count = taken;
    }
    return STAGE_OK;
}

const struct stage_ops stage_limit = {
    .noun = &limit_noun,
    .traits = STAGE_SERIAL,
    .open = limit_open,
    .close = limit_close,
    .batch = limit_batch,
};
