/* A binary heap of items that know their place, so that any of them can be taken out early: timers,
 * and calls by age. The items are the caller's; room is made once. One thread. */
#ifndef LEAT_CLIENTS_HEAP_H
#define LEAT_CLIENTS_HEAP_H

#include "core/base.h"

/* Embedded in what is ordered. Zeroed: in no heap. */
struct heap_item {
    int64_t key;
    uint32_t place; /* 1 and up; 0: in no heap */
};

struct heap {
    struct heap_item **items; /* items[1] is the least */
    uint32_t count;
    uint32_t most;
};

/* Room for `most` items. False: no memory. */
MUST_USE bool heap_open(struct heap *heap, uint32_t most);
void heap_close(struct heap *heap);
/* In no heap before; the heap must have room. O(log n). */
void heap_add(struct heap *heap, struct heap_item *item, int64_t key);
/* Nothing happens where it is in no heap. O(log n). */
void heap_remove(struct heap *heap, struct heap_item *item);
/* The item with the least key, or NULL. */
static inline struct heap_item *heap_first(const struct heap *heap)
{
    return heap->count ? heap->items[1] : NULL;
}

#endif
