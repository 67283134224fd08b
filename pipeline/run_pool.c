/* The pool of batches: all memory of the data path, reserved before the run. Batches come back last
 * in, first out, so that warm memory is used first. */
#include <stdlib.h>
#include <sys/mman.h>

#include "core/fault.h"
#include "pipeline/run_internal.h"

#define PAGE 4096

static bool batch_open(struct run *run, struct batch *batch, struct error *error)
{
    const struct limits *limits = &run->plan->limits;
    batch->text_soft = batch->text_capacity = limits->batch_text;
    batch->text_reserved = limits->record_limit + limits->batch_text;
    size_t size = BATCH_HEADROOM + batch->text_reserved + BATCH_PADDING;
    void *memory = fault_alloc() ? MAP_FAILED
                                 : mmap(NULL, size, PROT_READ | PROT_WRITE,
                                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return error_set(error, ERROR_MEMORY, "cannot reserve %zu bytes for a batch", size);
    batch->memory = memory;
    batch->text = batch->memory + BATCH_HEADROOM;
    if (!arena_open(&batch->arena, limits->batch_arena,
                    size_max(limits->jumbo_arena, limits->batch_arena), error))
        return false;
    for (uint32_t i = 0; i < run->plan->sink_count; i++)
        if (!buffer_open(&batch->outputs[i].buffer, limits->batch_output,
                         size_max(limits->jumbo_output, limits->batch_output), error))
            return false;
    return part_open(run->plan, batch, error);
}

bool pool_open(struct run *run, struct error *error)
{
    run->batch_count = run->plan->limits.batches;
    run->batches = memory_take_zeroed(run->batch_count, sizeof(*run->batches));
    if (!run->batches)
        return error_set(error, ERROR_MEMORY, "no memory for the batches");
    for (uint32_t i = 0; i < run->batch_count; i++) {
        if (!batch_open(run, &run->batches[i], error))
            return false;
        run->batches[i].next = run->pool;
        run->pool = &run->batches[i];
    }
    return true;
}

void pool_close(struct run *run)
{
    for (uint32_t i = 0; run->batches && i < run->batch_count; i++) {
        struct batch *batch = &run->batches[i];
        part_close(batch);
        arena_close(&batch->arena);
        for (uint32_t j = 0; j < BATCH_MAX_SINKS; j++)
            buffer_close(&batch->outputs[j].buffer);
        if (batch->memory)
            CHECK(munmap(batch->memory, BATCH_HEADROOM + batch->text_reserved + BATCH_PADDING) ==
                  0);
    }
    free(run->batches);
    run->batches = NULL;
}

struct batch *pool_take(struct run *run)
{
    CHECK(pthread_mutex_lock(&run->pool_lock) == 0);
    struct batch *batch = run->pool;
    if (batch)
        run->pool = batch->next;
    CHECK(pthread_mutex_unlock(&run->pool_lock) == 0);
    if (!batch)
        return NULL;
    batch->next = NULL;
    batch->text = batch->memory + BATCH_HEADROOM;
    batch->text_length = 0;
    batch->names = NULL;
    batch->input_name = NULL;
    batch->starts_input = batch->ends_input = batch->overlong = batch->jumbo = false;
    batch->overlong_length = 0;
    batch->refusal = NULL;
    batch->recoded = false;
    batch->bytes_read = 0;
    batch->format_state = 0;
    return batch;
}

void pool_return(struct run *run, struct batch *batch)
{
    bool jumbo = batch->jumbo;
    if (batch->text_capacity > batch->text_soft) {
        size_t keep = (BATCH_HEADROOM + batch->text_soft + BATCH_PADDING + PAGE - 1) / PAGE * PAGE;
        size_t end = BATCH_HEADROOM + batch->text_reserved + BATCH_PADDING;
        if (end > keep)
            (void)madvise(batch->memory + keep, end - keep, MADV_DONTNEED); /* only a hint */
        batch->text_capacity = batch->text_soft;
    }
    arena_reset(&batch->arena);
    for (uint32_t i = 0; i < run->plan->sink_count; i++)
        buffer_reset(&batch->outputs[i].buffer);
    batch->jumbo = false;
    CHECK(pthread_mutex_lock(&run->pool_lock) == 0);
    if (jumbo)
        run->jumbo_taken = false;
    batch->next = run->pool;
    run->pool = batch;
    CHECK(pthread_mutex_unlock(&run->pool_lock) == 0);
    if (jumbo || atomic_load_explicit(&run->source_hungry, memory_order_seq_cst))
        actor_wake(&run->source.actor);
    for (uint32_t i = 0; i + 1 < run->plan->segment_count; i++)
        if (run->plan->stages[run->plan->segments[i].serial].stage->ops->finish)
            actor_wake(&run->serials[i].actor);
}

bool pool_jumbo_take(void *context)
{
    struct run *run = context;
    CHECK(pthread_mutex_lock(&run->pool_lock) == 0);
    bool taken = !run->jumbo_taken;
    run->jumbo_taken = true;
    CHECK(pthread_mutex_unlock(&run->pool_lock) == 0);
    return taken;
}
