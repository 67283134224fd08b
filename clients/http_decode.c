/* Decompression of answers: see http_decode.h. The contexts of zlib and zstd are made when first
 * needed and kept. */
#include "clients/http_decode.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "core/fault.h"

#define WINDOW_LOG_MAX 23 /* 8 MiB, what RFC 8878 asks decoders to take at least */

struct http_decoder {
    z_stream stream;
    bool stream_open;
    ZSTD_DCtx *zstd;
};

bool http_body_reserve(struct http_body *body, size_t more)
{
    if (more <= body->capacity - body->length)
        return true;
    if (more > SIZE_MAX / 4 || body->length > SIZE_MAX / 4)
        return false;
    size_t capacity = size_max(size_max(body->length + more, body->capacity * 2), 1024);
    char *data = memory_resize(body->data, capacity);
    if (!data)
        return false;
    body->data = data;
    body->capacity = capacity;
    return true;
}

void http_body_free(struct http_body *body)
{
    free(body->data);
    *body = (struct http_body){0};
}

struct http_decoder *http_decoder_open(void)
{
    return memory_take_zeroed(1, sizeof(struct http_decoder));
}

void http_decoder_close(struct http_decoder *decoder)
{
    if (!decoder)
        return;
    if (decoder->stream_open)
        inflateEnd(&decoder->stream);
    ZSTD_freeDCtx(decoder->zstd);
    free(decoder);
}

/* Room for the next piece of output, one byte more than the limit at most, so that too much shows.
 * 0: no memory. */
static size_t output_room(struct http_body *body, size_t limit)
{
    size_t left = limit + 1 - body->length;
    size_t wanted = size_min(left, size_max(body->length, 16 * 1024));
    return http_body_reserve(body, wanted) ? size_min(left, body->capacity - body->length) : 0;
}

/* window_bits as zlib takes them: 31 gzip, 15 zlib, -15 neither. */
static enum http_decoded inflate_all(struct http_decoder *decoder, int window_bits,
                                     struct string packed, size_t limit, struct http_body *body)
{
    z_stream *stream = &decoder->stream;
    int result = decoder->stream_open ? inflateReset2(stream, window_bits)
                                      : inflateInit2(stream, window_bits);
    if (result != Z_OK)
        return HTTP_DECODED_MEMORY;
    decoder->stream_open = true;
    size_t taken = 0;
    do {
        size_t offered = size_min(packed.length - taken, 1u << 30);
        size_t room = size_min(output_room(body, limit), 1u << 30);
        if (!room)
            return HTTP_DECODED_MEMORY;
        stream->next_in = (Bytef *)packed.data + taken;
        stream->avail_in = (uInt)offered;
        stream->next_out = (Bytef *)body->data + body->length;
        stream->avail_out = (uInt)room;
        result = inflate(stream, Z_NO_FLUSH);
        taken += offered - stream->avail_in;
        body->length += room - stream->avail_out;
        if (body->length > limit)
            return HTTP_DECODED_LARGE;
        bool more_members = window_bits == 31 && taken < packed.length;
        if (result == Z_STREAM_END && more_members)
            result = inflateReset(stream);
    } while (result == Z_OK);
    if (result == Z_MEM_ERROR)
        return HTTP_DECODED_MEMORY;
    return result == Z_STREAM_END && taken == packed.length ? HTTP_DECODED : HTTP_DECODED_DAMAGED;
}

static enum http_decoded zstd_all(struct http_decoder *decoder, struct string packed, size_t limit,
                                  struct http_body *body)
{
    if (!decoder->zstd && !(decoder->zstd = ZSTD_createDCtx()))
        return HTTP_DECODED_MEMORY;
    ZSTD_DCtx_reset(decoder->zstd, ZSTD_reset_session_and_parameters);
    ZSTD_DCtx_setParameter(decoder->zstd, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
    ZSTD_inBuffer in = {packed.data, packed.length, 0};
    size_t left = 1;
    bool full = false;
    while (in.pos < in.size || full) {
        size_t room = output_room(body, limit);
        if (!room)
            return HTTP_DECODED_MEMORY;
        ZSTD_outBuffer out = {body->data + body->length, room, 0};
        left = ZSTD_decompressStream(decoder->zstd, &out, &in);
        if (ZSTD_isError(left))
            return HTTP_DECODED_DAMAGED;
        body->length += out.pos;
        if (body->length > limit)
            return HTTP_DECODED_LARGE;
        full = out.pos == out.size && left != 0;
    }
    return left == 0 ? HTTP_DECODED : HTTP_DECODED_DAMAGED;
}

enum http_decoded http_decode(struct http_decoder *decoder, enum http_encoding encoding,
                              struct string packed, size_t limit, struct http_body *body)
{
    CHECK(body->length == 0 && limit < SIZE_MAX / 4);
    if (encoding == HTTP_ENCODING_ZSTD)
        return zstd_all(decoder, packed, limit, body);
    if (encoding == HTTP_ENCODING_GZIP)
        return inflate_all(decoder, 31, packed, limit, body);
    CHECK(encoding == HTTP_ENCODING_DEFLATE);
    enum http_decoded decoded = inflate_all(decoder, 15, packed, limit, body);
    if (decoded != HTTP_DECODED_DAMAGED)
        return decoded;
    body->length = 0;
    return inflate_all(decoder, -15, packed, limit, body);
}
