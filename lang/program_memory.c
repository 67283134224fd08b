/* Memory of one program: a chain of blocks. See program_memory.h. Main thread only. */
#include "lang/program_memory.h"

#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "lang/parse.h"

#define BLOCK_SIZE ((size_t)32 * 1024)
#define ALIGNMENT  ((size_t)16)

struct block {
    struct block *next;
    size_t used;
    size_t size;
    _Alignas(16) char bytes[];
};

struct program_memory {
    struct block *first; /* the one that is being filled */
};

struct program_memory *program_memory_open(void)
{
    return memory_take_zeroed(1, sizeof(struct program_memory));
}

static struct block *block_add(struct program_memory *memory, size_t size)
{
    size_t room = size_max(size, BLOCK_SIZE);
    struct block *block = memory_take_zeroed(1, sizeof(*block) + room);
    if (!block)
        return NULL;
    block->size = room;
    /* An outsized block goes behind the one being filled, whose rest is still good. */
    if (memory->first && size > BLOCK_SIZE / 4) {
        block->next = memory->first->next;
        memory->first->next = block;
    } else {
        block->next = memory->first;
        memory->first = block;
    }
    return block;
}

void *program_memory_take(struct program_memory *memory, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
    struct block *block = memory->first;
    if (!block || size > block->size - block->used)
        block = block_add(memory, size);
    if (!block)
        return NULL;
    void *taken = block->bytes + block->used;
    block->used += size;
    return taken;
}

void program_memory_free(struct program_memory *memory)
{
    if (!memory)
        return;
    for (struct block *block = memory->first, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    free(memory);
}
