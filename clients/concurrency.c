/* Adaptive concurrency: see concurrency.h. */
#include "clients/concurrency.h"

#define ROUND_LEAST   100 /* answers in a round, so that chance evens out … */
#define ROUND_CLIMB   10  /* … and while it doubles, when a coarse view is enough */
#define CLIMB_AT_MOST 1.5 /* coarse views need a wider tolerance */
#define SHRINK_BELOW  0.9 /* a little below the knee, so that the queue empties */
#define SHRINK_LEAST  0.5
#define SHRINK_REFUSE 0.7
#define REFUSED_SHARE 0.1 /* of a round: chance failures are no sign of overload */

void concurrency_open(struct concurrency *concurrency, uint32_t most, int64_t now)
{
    CHECK(most > 0);
    *concurrency = (struct concurrency){
        .most = most, .limit = 1, .climbing = true, .measuring = true, .changed = now};
}

static uint32_t round_samples(const struct concurrency *concurrency)
{
    uint32_t least = concurrency->climbing ? ROUND_CLIMB : ROUND_LEAST;
    uint32_t twice = concurrency->limit < UINT32_MAX / 2 ? 2 * concurrency->limit : UINT32_MAX;
    return twice > least ? twice : least;
}

static void round_begin(struct concurrency *concurrency, int64_t now)
{
    concurrency->changed = now;
    concurrency->samples = 0;
    concurrency->refused = 0;
    concurrency->sum = 0;
    concurrency->used = false;
}

static void limit_set(struct concurrency *concurrency, double limit)
{
    if (limit > concurrency->most)
        limit = concurrency->most;
    concurrency->limit = limit > 1 ? (uint32_t)(limit + 0.5) : 1;
}

static void limit_shrink(struct concurrency *concurrency, double share)
{
    double limit = concurrency->limit * (share > SHRINK_LEAST ? share : SHRINK_LEAST);
    limit_set(concurrency, limit < concurrency->limit - 1.0 ? limit : concurrency->limit - 1.0);
    if (concurrency->climbing)
        concurrency->before = concurrency->baseline; /* what the climb saw, from 1 up */
    concurrency->climbing = false;
    concurrency->measuring = true;
}

static void limit_grow(struct concurrency *concurrency)
{
    if (concurrency->used)
        limit_set(concurrency,
                  concurrency->climbing ? concurrency->limit * 2.0 : concurrency->limit + 1.0);
}

/* The round after a decrease (and all while it climbs) is taken as being without a queue. */
static void baseline_measure(struct concurrency *concurrency, double mean)
{
    if (concurrency->climbing) {
        concurrency->baseline =
            concurrency->baseline > 0 ? (concurrency->baseline + mean) / 2 : mean;
        return;
    }
    double before = concurrency->before;
    concurrency->before = mean;
    concurrency->baseline = before > 0 && before < mean ? before : mean;
    concurrency->measuring = false;
}

void concurrency_result(struct concurrency *concurrency, int64_t started, int64_t now,
                        bool answered)
{
    if (started < concurrency->changed)
        return; /* sent under another limit */
    if (answered) {
        concurrency->samples++;
        concurrency->sum += (double)(now - started);
    } else {
        concurrency->refused++;
    }
    uint32_t total = concurrency->samples + concurrency->refused;
    if (total < round_samples(concurrency))
        return;
    if (concurrency->refused > REFUSED_SHARE * total) {
        limit_shrink(concurrency, SHRINK_REFUSE);
        round_begin(concurrency, now);
        return;
    }
    double mean = concurrency->sum / concurrency->samples;
    double tolerance = concurrency->climbing ? CLIMB_AT_MOST : CONCURRENCY_TOLERANCE;
    double baseline = concurrency->baseline;
    if (concurrency->measuring &&
        (!concurrency->climbing || baseline == 0 || mean <= tolerance * baseline)) {
        baseline_measure(concurrency, mean);
        limit_grow(concurrency);
    } else if (mean > tolerance * baseline) {
        limit_shrink(concurrency, SHRINK_BELOW * baseline / mean);
    } else {
        limit_grow(concurrency);
    }
    round_begin(concurrency, now);
}
