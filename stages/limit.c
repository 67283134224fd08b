/* limit: a token bucket on the stream. `limit 500/s { burst 50 }`, or a named one that several
 * stages share: `limit api { rate 500/s }`. Serial: one thread each, in input order; a shared
 * bucket is locked. Records that may not pass yet wait in their batch, which is the backpressure.
 */
#include "clients/bucket.h"
#include "lang/diagnostic.h"
#include "stages/stages.h"

struct limit_stage {
    struct stage stage;
    struct bucket *bucket;
};

static const struct option_spec limit_options[] = {
    {"amount", OPTION_RATE, OPTION_POSITIONAL, NULL, NULL, "records that may pass: 500/s, 60/m"},
    {"name", OPTION_NAME, OPTION_POSITIONAL, NULL, NULL,
     "a limit that several statements share; one of them gives its rate"},
    {"rate", OPTION_RATE, OPTION_TUNING, NULL, NULL, "the rate of a named limit"},
    {"burst", OPTION_INTEGER, OPTION_TUNING, NULL, NULL,
     "how many may pass at once after a pause; left out: what comes in a millisecond, at least 1"},
    {0},
};

static const struct noun limit_noun = {
    .name = "limit",
    .doc = "Lets records through at a rate (token bucket)",
    .example = "limit 500/s { burst 50 }",
    .options = limit_options,
};

static void limit_close(struct stage *stage)
{
    struct limit_stage *limit = (struct limit_stage *)stage;
    if (limit)
        bucket_close(limit->bucket);
    stage_free(stage);
}

static struct bucket *limit_bucket(struct stage_context *context, struct error *error)
{
    const struct option_value *name = option_find(context->options, "name");
    double rate = option_real(context->options, "amount", 0);
    if (!(rate > 0))
        rate = option_real(context->options, "rate", 0);
    /* waking for each record alone would itself be a limit */
    int64_t burst = option_integer(context->options, "burst", (int64_t)(rate / 1000) + 1);
    if (name)
        return bucket_shared(context->shared, name->text, rate, burst, error);
    struct bucket *bucket = rate > 0 ? bucket_open(rate, burst) : NULL;
    if (!bucket)
        error_set(error, ERROR_PROGRAM,
                  rate > 0 ? "no memory for a limit" : "a limit needs a rate: limit 500/s");
    return bucket;
}

static bool limit_open(struct stage_context *context, struct stage **stage)
{
    struct error error;
    struct limit_stage *limit = stage_make(context, &stage_limit, sizeof(*limit));
    if (!limit)
        return false;
    limit->bucket = limit_bucket(context, &error);
    if (!limit->bucket) {
        diagnostics_error(context->diagnostics, context->options->span, "%s", error.text);
        limit_close(&limit->stage);
        return false;
    }
    *stage = &limit->stage;
    return true;
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
