/* Bounded queues: see ring.h. */
#include "pipeline/ring.h"

#include <stdlib.h>

#include "core/fault.h"

static size_t power_of_two(size_t size)
{
    size_t power = 2;
    while (power < size)
        power *= 2;
    return power;
}

bool ring_open(struct ring *ring, size_t size, struct error *error)
{
    size = power_of_two(size);
    ring->slots = memory_take_zeroed(size, sizeof(*ring->slots));
    if (!ring->slots)
        return error_set(error, ERROR_MEMORY, "no memory for a queue of %zu batches", size);
    ring->mask = size - 1;
    for (size_t i = 0; i < size; i++)
        atomic_init(&ring->slots[i].turn, i);
    atomic_init(&ring->head, 0);
    atomic_init(&ring->tail, 0);
    return true;
}

void ring_close(struct ring *ring)
{
    free(ring->slots);
    ring->slots = NULL;
}

bool ring_push(struct ring *ring, struct batch *batch)
{
    size_t position = atomic_load_explicit(&ring->head, memory_order_relaxed);
    for (;;) {
        struct ring_slot *slot = &ring->slots[position & ring->mask];
        size_t turn = atomic_load_explicit(&slot->turn, memory_order_acquire);
        intptr_t behind = (intptr_t)(turn - position);
        if (behind < 0)
            return false;
        if (behind == 0 &&
            atomic_compare_exchange_weak_explicit(&ring->head, &position, position + 1,
                                                  memory_order_relaxed, memory_order_relaxed)) {
            slot->batch = batch;
            atomic_store_explicit(&slot->turn, position + 1, memory_order_release);
            return true;
        }
        if (behind > 0)
            position = atomic_load_explicit(&ring->head, memory_order_relaxed);
    }
}

struct batch *ring_pop(struct ring *ring)
{
    size_t position = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    for (;;) {
        struct ring_slot *slot = &ring->slots[position & ring->mask];
        size_t turn = atomic_load_explicit(&slot->turn, memory_order_acquire);
        intptr_t behind = (intptr_t)(turn - (position + 1));
        if (behind < 0)
            return NULL;
        if (behind == 0 &&
            atomic_compare_exchange_weak_explicit(&ring->tail, &position, position + 1,
                                                  memory_order_relaxed, memory_order_relaxed)) {
            struct batch *batch = slot->batch;
            atomic_store_explicit(&slot->turn, position + ring->mask + 1, memory_order_release);
            return batch;
        }
        if (behind > 0)
            position = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    }
}

bool ordered_open(struct ordered *ordered, size_t size, struct error *error)
{
    size = power_of_two(size);
    ordered->slots = memory_take_zeroed(size, sizeof(*ordered->slots));
    if (!ordered->slots)
        return error_set(error, ERROR_MEMORY, "no memory for a queue of %zu batches", size);
    ordered->mask = size - 1;
    return true;
}

void ordered_close(struct ordered *ordered)
{
    free(ordered->slots);
    ordered->slots = NULL;
}

void ordered_put(struct ordered *ordered, struct batch *batch)
{
    struct batch *before = atomic_exchange_explicit(&ordered->slots[batch->seq & ordered->mask],
                                                    batch, memory_order_acq_rel);
    CHECK(before == NULL);
}

struct batch *ordered_take(struct ordered *ordered, uint64_t seq)
{
    _Atomic(struct batch *) *slot = &ordered->slots[seq & ordered->mask];
    struct batch *batch = atomic_load_explicit(slot, memory_order_acquire);
    if (!batch)
        return NULL;
    CHECK(batch->seq == seq);
    atomic_store_explicit(slot, NULL, memory_order_release);
    return batch;
}
