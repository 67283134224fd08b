/* Options to protections: see protections.h. */
#include "clients/protections.h"

#include "clients/bucket.h"

#define CONCURRENCY_MOST 65536
#define RETRIES_MOST     1000000
#define TRIALS_MOST      1000000
#define NO_BUDGET        1e12 /* retries for each first try: as good as no bound */

static bool cause_read(struct retry_causes *causes, struct string word, struct error *error)
{
    static const struct {
        const char *word;
        enum outcome outcome;
    } words[] = {
        {"timeout", OUTCOME_TIMEOUT}, {"connect", OUTCOME_CONNECT}, {"broken", OUTCOME_BROKEN}};
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (string_equal_text(word, words[i].word)) {
            causes->outcomes |= 1u << words[i].outcome;
            return true;
        }
    CHECK(word.length == 3 && word.data[0] >= '1' && word.data[0] <= '5'); /* the parser's */
    if (word.data[1] == 'x') {
        causes->classes |= (uint8_t)(1u << (word.data[0] - '0'));
        return true;
    }
    if (causes->status_count == ARRAY_SIZE(causes->statuses))
        return error_set(error, ERROR_PROGRAM, "`on` takes at most %zu statuses",
                         ARRAY_SIZE(causes->statuses));
    causes->statuses[causes->status_count++] =
        (uint16_t)((word.data[0] - '0') * 100 + (word.data[1] - '0') * 10 + (word.data[2] - '0'));
    return true;
}

static bool causes_read(const struct options *options, struct retry_causes *causes,
                        struct error *error)
{
    const struct option_value *on = option_find(options, "on");
    for (uint32_t i = 0; on && i < on->item_count; i++)
        if (!cause_read(causes, on->items[i].word, error))
            return false;
    return true;
}

static bool rate_open(const struct options *options, struct shared_limits *shared,
                      struct bucket **bucket, struct error *error)
{
    const struct option_value *name = option_find(options, "limit");
    double rate = option_real(options, "rate", 0);
    int64_t burst = option_integer(options, "burst", 1);
    *bucket = NULL;
    if (option_given(options, "burst") && rate <= 0)
        return error_set(error, ERROR_PROGRAM, "`burst` goes with a `rate`");
    if (burst < 1)
        return error_set(error, ERROR_PROGRAM, "`burst` is a number from 1 on");
    if (name && shared) {
        *bucket = bucket_shared(shared, name->text, rate, burst, error);
        if (!*bucket && error->code != ERROR_MEMORY)
            error->code = ERROR_PROGRAM;
        return *bucket != NULL;
    }
    if (rate <= 0)
        return true;
    *bucket = bucket_open(rate, burst);
    return *bucket || error_set(error, ERROR_MEMORY, "no memory for a rate limit");
}

static bool number_read(const struct options *options, const char *name, int64_t otherwise,
                        int64_t least, int64_t most, uint32_t *number, struct error *error)
{
    int64_t given = option_integer(options, name, otherwise);
    *number = (uint32_t)given;
    return (given >= least && given <= most) ||
           error_set(error, ERROR_PROGRAM, "`%s` is a number from %lld to %lld", name,
                     (long long)least, (long long)most);
}

static bool breaker_read(const struct options *options, struct protections *protections,
                         struct error *error)
{
    const struct option_value *breaker = option_find(options, "breaker");
    if (!breaker)
        return true;
    if (breaker->numbers[0] < 1 || breaker->numbers[0] > UINT32_MAX || breaker->numbers[1] < 1)
        return error_set(error, ERROR_PROGRAM,
                         "the breaker opens after one failure or more, for longer than nothing");
    protections->breaker_failures = (uint32_t)breaker->numbers[0];
    protections->breaker_pause = breaker->numbers[1];
    return true;
}

bool protections_read(const struct options *options, struct shared_limits *shared,
                      struct protections *protections, struct bucket **bucket, struct error *error)
{
    const struct option_value *backoff = option_find(options, "backoff");
    *bucket = NULL;
    *protections = (struct protections){
        .adaptive = option_given(options, "adaptive"),
        .timeout = option_integer(options, "timeout", 30000000000LL),
        .total_timeout = option_integer(options, "total_timeout", 0),
        .retry_budget = NO_BUDGET,
        .backoff_least = backoff ? backoff->numbers[0] : 0,
        .backoff_most = backoff ? backoff->numbers[1] : 0,
    };
    if (protections->timeout <= 0)
        return error_set(error, ERROR_PROGRAM, "`timeout` is longer than nothing");
    if (!number_read(options, "concurrency", 1, 1, CONCURRENCY_MOST, &protections->concurrency,
                     error) ||
        !number_read(options, "retry", 5, 0, RETRIES_MOST, &protections->retries, error) ||
        !number_read(options, "trials", 1, 1, TRIALS_MOST, &protections->breaker_trials, error) ||
        !breaker_read(options, protections, error) ||
        !causes_read(options, &protections->causes, error) ||
        !rate_open(options, shared, bucket, error))
        return false;
    protections->bucket = *bucket;
    return true;
}
