/* Text that grows in an arena: doubles, and in place while nothing else was taken. For bodies of
 * functions whose result's length is not known at the start. */
#ifndef LEAT_LANG_BUILDER_H
#define LEAT_LANG_BUILDER_H

#include <string.h>

#include "core/value.h"

struct builder {
    struct arena *arena;
    char *text;
    size_t length;
    size_t capacity;
    bool full; /* of the arena: the text is incomplete */
};

static inline char *builder_room(struct builder *builder, size_t size)
{
    if (size <= builder->capacity - builder->length)
        return builder->text + builder->length;
    size_t capacity = size_max(builder->capacity * 2, builder->length + size + 64);
    struct arena *arena = builder->arena;
    if (builder->text && arena->base + arena->used == builder->text + builder->capacity) {
        if (!arena_take_aligned(arena, capacity - builder->capacity, 1))
            builder->full = true;
    } else {
        char *text = arena_take_aligned(arena, capacity, 1);
        if (text && builder->length)
            memcpy(text, builder->text, builder->length);
        if (text)
            builder->text = text;
        else
            builder->full = true;
    }
    if (builder->full)
        return NULL;
    builder->capacity = capacity;
    return builder->text + builder->length;
}

static inline void builder_add(struct builder *builder, const char *text, size_t length)
{
    char *room = length && !builder->full ? builder_room(builder, length) : NULL;
    if (room) {
        memcpy(room, text, length);
        builder->length += length;
    }
}

static inline void builder_add_text(struct builder *builder, const char *text)
{
    builder_add(builder, text, strlen(text));
}

/* The text as a string; gives back what was not used. */
static inline struct value builder_string(struct builder *builder)
{
    if (builder->full)
        return value_error(ERROR_ARENA_FULL);
    if (builder->length > UINT32_MAX / 4)
        return value_error(ERROR_LIMIT);
    struct arena *arena = builder->arena;
    if (builder->text && arena->base + arena->used == builder->text + builder->capacity)
        arena->used -= builder->capacity - builder->length;
    return value_string(builder->text ? builder->text : "", builder->length);
}

#endif
