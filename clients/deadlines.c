/* A heap of deadlines: see deadlines.h. */
#include "clients/deadlines.h"

#include <stdlib.h>

#include "core/fault.h"

bool deadlines_reserve(struct deadlines *deadlines, uint32_t count)
{
    if (count <= deadlines->capacity)
        return true;
    size_t capacity = size_max(count, (size_t)deadlines->capacity * 2);
    struct deadline **nodes =
        memory_resize(deadlines->nodes, (capacity + 1) * sizeof(struct deadline *));
    if (!nodes)
        return false;
    deadlines->nodes = nodes;
    deadlines->capacity = (uint32_t)capacity;
    return true;
}

void deadlines_free(struct deadlines *deadlines)
{
    free(deadlines->nodes);
    *deadlines = (struct deadlines){0};
}

static void place(struct deadlines *deadlines, uint32_t slot, struct deadline *node)
{
    deadlines->nodes[slot] = node;
    node->slot = slot;
}

/* Lets the node rise or sink from `slot`, which is free, to where it belongs. */
static void settle(struct deadlines *deadlines, uint32_t slot, struct deadline *node)
{
    struct deadline **nodes = deadlines->nodes;
    while (slot > 1 && nodes[slot / 2]->due > node->due) {
        place(deadlines, slot, nodes[slot / 2]);
        slot /= 2;
    }
    for (;;) {
        uint32_t child = slot * 2;
        if (child > deadlines->count)
            break;
        if (child < deadlines->count && nodes[child + 1]->due < nodes[child]->due)
            child++;
        if (nodes[child]->due >= node->due)
            break;
        place(deadlines, slot, nodes[child]);
        slot = child;
    }
    place(deadlines, slot, node);
}

void deadline_set(struct deadlines *deadlines, struct deadline *node, int64_t due)
{
    node->due = due;
    if (!node->slot) {
        CHECK(deadlines->count < deadlines->capacity);
        node->slot = ++deadlines->count;
        deadlines->nodes[node->slot] = node;
    }
    settle(deadlines, node->slot, node);
}

void deadline_clear(struct deadlines *deadlines, struct deadline *node)
{
    uint32_t slot = node->slot;
    if (!slot)
        return;
    CHECK(deadlines->nodes[slot] == node);
    struct deadline *last = deadlines->nodes[deadlines->count--];
    node->slot = 0;
    if (last != node)
        settle(deadlines, slot, last);
}

int64_t deadlines_next(const struct deadlines *deadlines)
{
    return deadlines->count ? deadlines->nodes[1]->due : INT64_MAX;
}

struct deadline *deadlines_due(const struct deadlines *deadlines, int64_t now)
{
    return deadlines->count && deadlines->nodes[1]->due <= now ? deadlines->nodes[1] : NULL;
}
