/* Reading gzip (RFC 1952) with zlib: concatenated members; anything else behind a member is an
 * error. The decoder's thread. */
#include <stdlib.h>
#include <zlib.h>

#include "core/fault.h"
#include "io/decoder_codec.h"

struct gzip_codec {
    struct codec base;
    z_stream stream;
    bool member_open;
    uint64_t member; /* offset of its first byte */
};

static void gzip_close(struct codec *base)
{
    struct gzip_codec *codec = (struct gzip_codec *)base;
    inflateEnd(&codec->stream);
    free(codec);
}

static struct codec *gzip_open(const struct decoder_limits *limits, struct error *error)
{
    (void)limits; /* a window of gzip is 32 KiB */
    struct gzip_codec *codec = memory_take_zeroed(1, sizeof(*codec));
    if (codec && inflateInit2(&codec->stream, MAX_WBITS + 16) == Z_OK) {
        codec->base.ops = &codec_gzip;
        return &codec->base;
    }
    free(codec);
    error_set(error, ERROR_MEMORY, "no memory to decompress gzip");
    return NULL;
}

static enum codec_result gzip_damaged(const struct gzip_codec *codec,
                                      const struct decoder_input *input, struct error *error)
{
    const char *why = codec->stream.msg ? codec->stream.msg : "no gzip data";
    if (codec->member > 0 && codec->stream.total_out == 0)
        why = "something follows the gzip data that is none";
    error_set(error, ERROR_CORRUPT, "%s: damaged at byte %llu (gzip member from byte %llu): %s",
              input->name, (unsigned long long)decoder_input_offset(input),
              (unsigned long long)codec->member, why);
    return CODEC_FAIL;
}

static enum codec_result gzip_decode(struct codec *base, struct decoder_input *input, char *buffer,
                                     size_t length, size_t *filled, struct error *error)
{
    struct gzip_codec *codec = (struct gzip_codec *)base;
    z_stream *stream = &codec->stream;
    if (decoder_input_left(input) == 0 && !input->end)
        return CODEC_INPUT;
    if (!codec->member_open) {
        if (decoder_input_left(input) == 0)
            return CODEC_END;
        codec->member = decoder_input_offset(input);
        codec->member_open = true;
        CHECK(inflateReset(stream) == Z_OK);
    }
    size_t room = size_min(length - *filled, UINT32_MAX);
    stream->next_in = (unsigned char *)input->buffer + input->position;
    stream->avail_in = (unsigned)decoder_input_left(input);
    stream->next_out = (unsigned char *)buffer + *filled;
    stream->avail_out = (unsigned)room;
    int result = inflate(stream, Z_NO_FLUSH);
    size_t made = room - stream->avail_out;
    size_t eaten = decoder_input_left(input) - stream->avail_in;
    *filled += made;
    input->position += eaten;
    if (result == Z_STREAM_END) {
        codec->member_open = false;
        return CODEC_OK;
    }
    if (result == Z_MEM_ERROR) {
        error_set(error, ERROR_MEMORY, "%s: no memory to decompress", input->name);
        return CODEC_FAIL;
    }
    if (result != Z_OK && result != Z_BUF_ERROR)
        return gzip_damaged(codec, input, error);
    if (made > 0 || eaten > 0)
        return CODEC_OK;
    if (!input->end)
        return CODEC_INPUT;
    error_set(error, ERROR_TRUNCATED,
              "%s: ends at byte %llu in the middle of a gzip member (from byte %llu)", input->name,
              (unsigned long long)decoder_input_offset(input), (unsigned long long)codec->member);
    return CODEC_FAIL;
}

static uint64_t gzip_frame(const struct codec *base)
{
    return ((const struct gzip_codec *)base)->member;
}

const struct codec_ops codec_gzip = {
    .open = gzip_open,
    .close = gzip_close,
    .decode = gzip_decode,
    .frame = gzip_frame,
};
