/* The memory plan: see limits.h. The shares are: half for batches, a quarter for one long record,
 * the rest for compression, libraries and stages that keep state. */
#include "pipeline/limits.h"

#include "core/batch.h"

#define KIB                 ((size_t)1024)
#define BATCH_TEXT          (512 * KIB)
#define BATCH_TEXT_SMALLEST (16 * KIB)
/* In units of the text: what the arena holds (columns, decoded cells, rejects) and the output. */
#define ARENA_TIMES  12
#define OUTPUT_TIMES 4

static size_t batch_size(const struct limits *limits)
{
    return BATCH_HEADROOM + limits->batch_text + BATCH_PADDING + limits->batch_arena +
           limits->outputs * limits->batch_output;
}

static size_t jumbo_size(const struct limits *limits)
{
    return limits->record_limit + limits->jumbo_arena + limits->outputs * limits->jumbo_output;
}

size_t limits_sum(const struct limits *limits)
{
    return limits->batches * batch_size(limits) + jumbo_size(limits) + limits->reject_output +
           limits->source_memory + limits->outputs * limits->sink_memory +
           limits->stages * limits->stage_memory;
}

/* Sizes for batches with this much text, and for a record that is longer; false: that is too much
 * for the memory, or leaves too few batches. */
static bool size_batches(struct limits *limits, size_t text, size_t record_limit)
{
    unsigned wanted = 4 * limits->workers + 8, least = limits->workers + 4;
    limits->batch_text = text;
    limits->batch_arena = size_max(ARENA_TIMES * text, 128 * KIB);
    limits->batch_output = size_max(OUTPUT_TIMES * text, 64 * KIB);
    size_t fit = limits->memory / 2 / batch_size(limits);
    limits->batches = (unsigned)size_min(wanted, fit);
    limits->record_limit = size_max(record_limit, text);
    limits->jumbo_arena = size_max(record_limit, limits->batch_arena);
    limits->jumbo_output = size_max(2 * record_limit, limits->batch_output);
    return limits->batches >= least && limits_sum(limits) <= limits->memory;
}

bool limits_plan(struct limits *limits, size_t memory, unsigned workers, unsigned sinks,
                 unsigned stages, size_t batch_text, size_t record_limit, struct error *error)
{
    CHECK(workers > 0 && sinks > 0 && sinks <= BATCH_MAX_SINKS);
    *limits =
        (struct limits){.memory = memory, .workers = workers, .outputs = sinks, .stages = stages};
    if (memory < MEMORY_SMALLEST)
        return error_set(error, ERROR_USAGE, "memory %zu KiB is too small: at least %u MiB",
                         memory / KIB, MEMORY_SMALLEST >> 20);
    /* text, arena and each output of the long record: four sixteenths for one sink */
    limits->longest = record_limit ? record_limit : memory / 4 / (2 + 2 * sinks);
    if (record_limit > memory / 4)
        return error_set(error, ERROR_USAGE,
                         "record_limit %zu KiB is too much for memory %zu KiB: a record takes its "
                         "size several times; at most a quarter of memory",
                         record_limit / KIB, memory / KIB);
    limits->source_memory = memory / 10;
    limits->sink_memory = memory / 10 / sinks;
    limits->stage_memory = stages ? memory / 20 / stages : 0;
    limits->reject_output = size_max(memory / 128, 256 * KIB);
    size_t text = batch_text ? batch_text : BATCH_TEXT;
    while (!size_batches(limits, text, limits->longest)) {
        if (batch_text || text <= BATCH_TEXT_SMALLEST)
            return error_set(error, ERROR_USAGE,
                             "memory %zu MiB is too small for %u workers and %u sinks%s: give "
                             "more, or fewer workers (-j)",
                             memory >> 20, workers, sinks,
                             record_limit ? " with this record_limit" : "");
        text /= 2;
    }
    /* what nobody else needs is for the groups of aggregations */
    if (stages)
        limits->stage_memory += (memory - limits_sum(limits)) / stages;
    return true;
}

static void print_line(FILE *out, double bytes, const char *holder, const char *reason)
{
    fprintf(out, "%10.1f MiB  %-28s %s\n", bytes / (1 << 20), holder, reason);
}

void limits_print(const struct limits *limits, FILE *out)
{
    char holder[64];
    snprintf(holder, sizeof(holder), "%u batches", limits->batches);
    print_line(out, (double)(limits->batches * batch_size(limits)), holder,
               "text, columns and output of what is on its way (the window)");
    print_line(out, (double)jumbo_size(limits), "one long record",
               "text, columns and output of a record longer than a batch");
    print_line(out, (double)limits->source_memory, "source", "decompression, query results");
    snprintf(holder, sizeof(holder), "%u sinks", limits->outputs);
    print_line(out, (double)(limits->outputs * limits->sink_memory), holder,
               "compression, database libraries");
    print_line(out, (double)limits->reject_output, "rejects", "encoded rejects of one batch");
    snprintf(holder, sizeof(holder), "%u stages with state", limits->stages);
    print_line(out, (double)(limits->stages * limits->stage_memory), holder,
               "groups of aggregations");
    print_line(out, (double)limits_sum(limits), "sum", "");
    print_line(out, (double)limits->memory, "limit", "memory, --memory");
}
