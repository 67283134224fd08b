/* Deadlines of many things at once: a binary heap of nodes that lie in those things. One thread. */
#ifndef LEAT_CLIENTS_DEADLINES_H
#define LEAT_CLIENTS_DEADLINES_H

#include "core/base.h"

struct deadline {
    int64_t due;   /* monotonic, nanoseconds */
    uint32_t slot; /* in the heap, from 1; 0: not in it */
};
struct deadlines {
    struct deadline **nodes;
    uint32_t count;
    uint32_t capacity;
};

/* Makes room for `count` nodes in all, so that deadline_set cannot fail. False: no memory. */
MUST_USE bool deadlines_reserve(struct deadlines *deadlines, uint32_t count);
void deadlines_free(struct deadlines *deadlines);
/* Puts the node in, or moves it. There must be room. */
void deadline_set(struct deadlines *deadlines, struct deadline *node, int64_t due);
/* Takes it out, where it is in. */
void deadline_clear(struct deadlines *deadlines, struct deadline *node);
/* The earliest, or INT64_MAX. */
int64_t deadlines_next(const struct deadlines *deadlines);
/* The node that is due at `now`, still in the heap; NULL: none. */
struct deadline *deadlines_due(const struct deadlines *deadlines, int64_t now);

#endif
