/* Backoff and the retry budget: see backoff.h. */
#include "clients/backoff.h"

#include "clients/random.h"

int64_t backoff_delay(int64_t least, int64_t most, uint32_t retry, int64_t retry_after,
                      uint64_t *random)
{
    CHECK(least >= 0 && retry > 0);
    int64_t bound = least > 0 ? least : 1;
    most = most > least ? most : least;
    for (uint32_t i = 0; i < retry && bound < most; i++)
        bound = bound > most / 2 ? most : bound * 2;
    bound = bound > most ? most : bound;
    int64_t delay = random_between(random, least, bound > least ? bound : least);
    if (retry_after > delay &&
        __builtin_add_overflow(retry_after, random_between(random, 0, least), &delay))
        delay = INT64_MAX;
    return delay;
}

bool retry_budget_spend(struct retry_budget *budget, uint32_t count)
{
    double most = budget->share * (double)budget->firsts + RETRY_ALLOWANCE;
    if ((double)(budget->repeats + count) > most)
        return false;
    budget->repeats += count;
    return true;
}
