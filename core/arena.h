/* A bump allocator over one reserved range of virtual memory. A batch owns one; the runtime resets
 * it when the batch goes back to its pool. Used by one thread at a time (the owner of the batch).
 * arena_take returns NULL at the limit: the caller reports ERROR_ARENA_FULL and the runtime splits
 * the batch; it never grows past `limit` and never calls malloc. */
#ifndef LEAT_CORE_ARENA_H
#define LEAT_CORE_ARENA_H

#include "core/error.h"

struct arena {
    char *base;
    size_t used;
    size_t limit;    /* what may be used now; the holder of the jumbo permit may raise it */
    size_t soft;     /* the limit of ordinary batches */
    size_t reserved; /* the size of the range */
};

/* Reserves `reserved` bytes of address space (not resident) with `soft` as its first limit. */
MUST_USE bool arena_open(struct arena *arena, size_t soft, size_t reserved, struct error *error);
void arena_close(struct arena *arena);
/* Empties it, puts the limit back to `soft` and returns pages above `soft` to the system. */
void arena_reset(struct arena *arena);

static inline void *arena_take_aligned(struct arena *arena, size_t size, size_t align)
{
    size_t start = (arena->used + align - 1) & ~(align - 1);
    if (UNLIKELY(size > arena->limit || start > arena->limit - size))
        return NULL;
    arena->used = start + size;
    return arena->base + start;
}
static inline void *arena_take(struct arena *arena, size_t size)
{
    return arena_take_aligned(arena, size, 16);
}
static inline size_t arena_mark(const struct arena *arena)
{
    return arena->used;
}
static inline void arena_rewind(struct arena *arena, size_t mark)
{
    arena->used = mark;
}
/* A NUL-terminated copy, or NULL when full. */
char *arena_copy_text(struct arena *arena, struct string text);

#endif
