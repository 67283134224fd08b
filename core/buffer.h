/* An output buffer over reserved address space, like an arena but contiguous bytes that grow at the
 * end. Encoders append whole records; an append that does not fit returns false and changes
 * nothing. One thread at a time. */
#ifndef LEAT_CORE_BUFFER_H
#define LEAT_CORE_BUFFER_H

#include <string.h>

#include "core/error.h"

struct buffer {
    char *data;
    size_t length;
    size_t limit;    /* what may be used now */
    size_t soft;     /* the limit of ordinary batches */
    size_t reserved; /* the size of the range; at least BUFFER_SLACK bytes lie behind it */
};

/* Bytes that may be written behind `limit` by wide stores; never counted in length. */
#define BUFFER_SLACK 128

MUST_USE bool buffer_open(struct buffer *buffer, size_t soft, size_t reserved, struct error *error);
void buffer_close(struct buffer *buffer);
void buffer_reset(struct buffer *buffer); /* empties; returns pages above soft */

static inline char *buffer_room(struct buffer *buffer, size_t size)
{
    return UNLIKELY(size > buffer->limit - buffer->length) ? NULL : buffer->data + buffer->length;
}
static inline bool buffer_append(struct buffer *buffer, const void *bytes, size_t size)
{
    if (UNLIKELY(size > buffer->limit - buffer->length))
        return false;
    memcpy(buffer->data + buffer->length, bytes, size);
    buffer->length += size;
    return true;
}
static inline bool buffer_append_byte(struct buffer *buffer, char byte)
{
    return buffer_append(buffer, &byte, 1);
}

#endif
