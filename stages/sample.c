/* sample: a share of the records, chosen by a hash of seed, source and position, so that it is the
 * same for any number of workers and any size of batch. Const at run time; any worker. */
#include "stages/stages.h"

struct sample_stage {
    struct stage stage;
    uint64_t seed;
    uint64_t threshold; /* hashes below it are kept */
    bool all;
};

static const struct option_spec sample_options[] = {
    {"share", OPTION_PERCENT, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL,
     "which share of the records is kept"},
    {"seed", OPTION_INTEGER, 0, NULL, "0", "another seed gives another sample"},
    {0},
};

static const struct noun sample_noun = {
    .name = "sample",
    .doc = "Keeps a share of the records, the same ones in every run",
    .example = "sample 1%",
    .options = sample_options,
};

static bool sample_open(struct stage_context *context, struct stage **stage)
{
    struct sample_stage *sample = stage_make(context, &stage_sample, sizeof(*sample));
    if (!sample)
        return false;
    double share = option_real(context->options, "share", 0);
    sample->seed = context->seed + (uint64_t)option_integer(context->options, "seed", 0);
    sample->all = share >= 1.0;
    sample->threshold = sample->all ? 0 : (uint64_t)(share * 18446744073709551616.0);
    *stage = &sample->stage;
    return true;
}

/* The finalizer of SplitMix64 (Steele, Lea and Flood 2014). */
static uint64_t hash_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static enum stage_result sample_batch(struct stage *stage, struct evaluator *evaluator,
                                      struct batch *batch, struct error *error)
{
    (void)evaluator;
    (void)error;
    const struct sample_stage *sample = (const struct sample_stage *)stage;
    uint64_t key = hash_mix(sample->seed * 0x9e3779b97f4a7c15u + batch->origin.input + 1);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < batch->row_count; i++) {
        uint32_t row = batch->rows[i];
        uint64_t position =
            batch->created ? row : batch->origin.offset + batch->records[row].offset;
        uint64_t hash = hash_mix(key + position * 0x9e3779b97f4a7c15u);
        batch->rows[kept] = row;
        kept += sample->all || hash < sample->threshold;
    }
    batch->counts[stage->index].filtered += batch->row_count - kept;
    batch->row_count = kept;
    return STAGE_OK;
}

const struct stage_ops stage_sample = {
    .noun = &sample_noun,
    .open = sample_open,
    .close = stage_free,
    .batch = sample_batch,
};
