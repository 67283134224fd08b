/* The pipeline block: see settings.h. */
#include "pipeline/settings.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/limits.h"

#define WORKERS_MOST 256

static const struct option_spec settings_options[] = {
    {"workers", OPTION_INTEGER, OPTION_TUNING, NULL, NULL,
     "threads for CPU-bound steps; left out: one for each processor"},
    {"memory", OPTION_SIZE, OPTION_TUNING, NULL, "256MiB",
     "the limit of the whole process, whatever the input"},
    {"order", OPTION_WORD, 0, "input|none", "input",
     "input: records leave in the order they came; none: as completed"},
    {"record_limit", OPTION_SIZE, 0, NULL, NULL,
     "a longer record is rejected; left out: a sixteenth of memory"},
    {"timeout", OPTION_DURATION, OPTION_TUNING, NULL, NULL, "the run fails when it takes longer"},
    {"slow", OPTION_DURATION, OPTION_TUNING, NULL, NULL,
     "names each stage and batch that takes longer, as it happens"},
    {"seed", OPTION_INTEGER, 0, NULL, "0", "another seed gives other samples"},
    {0},
};

const struct noun settings_noun = {
    .name = "pipeline",
    .doc = "Names the pipeline and sets what holds for all of it",
    .example = "pipeline delays { workers 2  memory 256MiB }",
    .options = settings_options,
};

static unsigned processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return 1;
    int count = CPU_COUNT(&set);
    return count > 0 ? (unsigned)count : 1;
}

/* A number from the environment, for tests that force rare paths; 0 where it is not set. */
static size_t test_knob(const char *name)
{
    const char *text = getenv(name);
    return text ? (size_t)strtoull(text, NULL, 10) : 0;
}

bool settings_read(struct settings *settings, const struct program *program,
                   const struct run_options *options, struct diagnostics *diagnostics)
{
    const struct options *block = &program->settings;
    int64_t workers =
        options->workers ? (int64_t)options->workers : option_integer(block, "workers", 0);
    if (option_given(block, "workers") && workers == 0)
        return diagnostics_error(diagnostics, option_find(block, "workers")->span,
                                 "at least 1 worker is needed");
    if (workers > WORKERS_MOST)
        return diagnostics_error(diagnostics, block->span, "at most %d workers", WORKERS_MOST);
    *settings = (struct settings){
        .workers = workers ? (unsigned)workers : processors(),
        .memory = options->memory ? options->memory
                                  : (size_t)option_integer(block, "memory", MEMORY_DEFAULT),
        .record_limit = (size_t)option_integer(block, "record_limit", 0),
        .ordered = options->order ? strcmp(options->order, "none") != 0
                                  : !option_word_is(block, "order", "none"),
        .order_given = options->order || option_given(block, "order"),
        .timeout = option_integer(block, "timeout", 0),
        .slow = options->slow ? options->slow : option_integer(block, "slow", 0),
        .seed = options->seed ? options->seed : (uint64_t)option_integer(block, "seed", 0),
        .batch_text = test_knob("LEAT_BATCH_TEXT"),
    };
    return true;
}
