/* Bounded queues between actors. Both hold pointers to batches, never block and never allocate
 * after ring_open; waiting is the actors' affair (pipeline/actor.h).
 *
 * ring: any number of producers and consumers, first in first out (Dmitry Vyukov's bounded MPMC
 * queue: a sequence number in each slot says whose turn it is).
 * ordered: a slot for each seq modulo its size; taken in the order of seq by one consumer. A seq in
 * it more than once at a time, or two seqs a whole turn apart, cannot be: the window at the source
 * is smaller than the ring. */
#ifndef LEAT_PIPELINE_RING_H
#define LEAT_PIPELINE_RING_H

#include <stdatomic.h>

#include "core/batch.h"

#define CACHE_LINE 64

struct ring_slot {
    atomic_size_t turn; /* release by who filled or emptied it; acquire by who comes next */
    struct batch *batch;
};
struct ring {
    struct ring_slot *slots;
    size_t mask;
    _Alignas(CACHE_LINE) atomic_size_t head; /* next to push; relaxed, the turn orders */
    _Alignas(CACHE_LINE) atomic_size_t tail; /* next to pop; relaxed, the turn orders */
};

/* Room for at least `size` batches. */
MUST_USE bool ring_open(struct ring *ring, size_t size, struct error *error);
void ring_close(struct ring *ring);
/* False: full; the batch is still the caller's. */
MUST_USE bool ring_push(struct ring *ring, struct batch *batch);
/* NULL: empty. */
struct batch *ring_pop(struct ring *ring);

struct ordered {
    _Atomic(struct batch *) *slots; /* release by the producer, acquire by the consumer */
    size_t mask;
};
MUST_USE bool ordered_open(struct ordered *ordered, size_t size, struct error *error);
void ordered_close(struct ordered *ordered);
void ordered_put(struct ordered *ordered, struct batch *batch);
/* The batch with this seq, taken out, or NULL where it has not come yet. */
struct batch *ordered_take(struct ordered *ordered, uint64_t seq);

#endif
