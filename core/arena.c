/* Reserved ranges of memory, for arenas and buffers: see arena.h and buffer.h. */
#include "core/arena.h"

#include <string.h>
#include <sys/mman.h>

#include "core/buffer.h"
#include "core/fault.h"

#define PAGE 4096

static char *range_reserve(size_t size, struct error *error)
{
    if (!fault_alloc()) {
        void *range = mmap(NULL, size, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (range != MAP_FAILED)
            return range;
    }
    error_set(error, ERROR_MEMORY, "cannot reserve %zu bytes of memory", size);
    return NULL;
}

/* Gives the pages of [from, to) back to the system; they read as zero afterwards. */
static void range_release(char *base, size_t from, size_t to)
{
    from = (from + PAGE - 1) & ~(size_t)(PAGE - 1);
    if (to > from)
        (void)madvise(base + from, to - from,
                      MADV_DONTNEED); /* only a hint: nothing to do if not */
}

bool arena_open(struct arena *arena, size_t soft, size_t reserved, struct error *error)
{
    CHECK(soft <= reserved);
    *arena = (struct arena){.limit = soft, .soft = soft, .reserved = reserved};
    arena->base = range_reserve(reserved, error);
    return arena->base != NULL;
}

void arena_close(struct arena *arena)
{
    if (arena->base)
        CHECK(munmap(arena->base, arena->reserved) == 0);
    *arena = (struct arena){0};
}

void arena_reset(struct arena *arena)
{
    if (arena->limit > arena->soft)
        range_release(arena->base, arena->soft, arena->limit);
    arena->used = 0;
    arena->limit = arena->soft;
}

char *arena_copy_text(struct arena *arena, struct string text)
{
    char *copy = arena_take_aligned(arena, text.length + 1, 1);
    if (copy) {
        memcpy(copy, text.data, text.length);
        copy[text.length] = 0;
    }
    return copy;
}

bool buffer_open(struct buffer *buffer, size_t soft, size_t reserved, struct error *error)
{
    CHECK(soft <= reserved);
    *buffer = (struct buffer){.limit = soft, .soft = soft, .reserved = reserved};
    buffer->data = range_reserve(reserved + BUFFER_SLACK, error);
    return buffer->data != NULL;
}

void buffer_close(struct buffer *buffer)
{
    if (buffer->data)
        CHECK(munmap(buffer->data, buffer->reserved + BUFFER_SLACK) == 0);
    *buffer = (struct buffer){0};
}

void buffer_reset(struct buffer *buffer)
{
    if (buffer->limit > buffer->soft)
        range_release(buffer->data, buffer->soft + BUFFER_SLACK, buffer->limit + BUFFER_SLACK);
    buffer->length = 0;
    buffer->limit = buffer->soft;
}
