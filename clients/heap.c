/* A heap of items that know their place: see heap.h. */
#include "clients/heap.h"

#include <stdlib.h>

#include "core/fault.h"

bool heap_open(struct heap *heap, uint32_t most)
{
    *heap = (struct heap){.most = most};
    heap->items = memory_take_zeroed((size_t)most + 1, sizeof(*heap->items));
    return heap->items != NULL;
}

void heap_close(struct heap *heap)
{
    free(heap->items);
    heap->items = NULL;
}

static inline void heap_put(struct heap *heap, uint32_t place, struct heap_item *item)
{
    heap->items[place] = item;
    item->place = place;
}

static void heap_rise(struct heap *heap, uint32_t place, struct heap_item *item)
{
    for (; place > 1 && heap->items[place / 2]->key > item->key; place /= 2)
        heap_put(heap, place, heap->items[place / 2]);
    heap_put(heap, place, item);
}

static void heap_sink(struct heap *heap, uint32_t place, struct heap_item *item)
{
    for (;;) {
        uint64_t child = (uint64_t)place * 2;
        if (child > heap->count)
            break;
        if (child < heap->count && heap->items[child + 1]->key < heap->items[child]->key)
            child++;
        if (heap->items[child]->key >= item->key)
            break;
        heap_put(heap, place, heap->items[child]);
        place = (uint32_t)child;
    }
    heap_put(heap, place, item);
}

void heap_add(struct heap *heap, struct heap_item *item, int64_t key)
{
    CHECK(item->place == 0 && heap->count < heap->most);
    item->key = key;
    heap_rise(heap, ++heap->count, item);
}

void heap_remove(struct heap *heap, struct heap_item *item)
{
    uint32_t place = item->place;
    if (place == 0)
        return;
    CHECK(place <= heap->count && heap->items[place] == item);
    struct heap_item *last = heap->items[heap->count--];
    item->place = 0;
    if (last == item)
        return;
    if (place > 1 && heap->items[place / 2]->key > last->key)
        heap_rise(heap, place, last);
    else
        heap_sink(heap, place, last);
}
