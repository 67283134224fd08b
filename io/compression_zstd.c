/* Reading zstd (RFC 8878): concatenated and skippable frames, checksums verified, windows as far as
 * memory allows. A frame's end is known by ZSTD_decompressStream returning 0; input that ends
 * elsewhere is truncated. The decoder's thread. */
#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "core/fault.h"
#include "io/decoder_codec.h"

#define STEP_FIRST        5  /* the shortest frame header that tells its length */
#define WINDOW_LOG_ALWAYS 23 /* 8 MiB: what every decoder must support (RFC 8878, 3.1.1.1.2) */

struct zstd_codec {
    struct codec base;
    ZSTD_DStream *stream;
    size_t window;
    size_t step; /* bytes that the library wants next: to the end of a block, and a header */
    bool frame_open;
    uint64_t frame; /* offset of its first byte */
};

size_t codec_zstd_window(const struct decoder_limits *limits)
{
    size_t memory = limits->memory * (limits->threads ? limits->threads : 1);
    int window_log = WINDOW_LOG_ALWAYS;
    int window_log_max = ZSTD_dParam_getBounds(ZSTD_d_windowLogMax).upperBound;
    while (window_log < window_log_max && memory >> (window_log + 1) > 0)
        window_log++;
    return (size_t)1 << window_log;
}

static void zstd_close(struct codec *base)
{
    struct zstd_codec *codec = (struct zstd_codec *)base;
    ZSTD_freeDStream(codec->stream);
    free(codec);
}

static struct codec *zstd_open(const struct decoder_limits *limits, struct error *error)
{
    struct zstd_codec *codec = memory_take_zeroed(1, sizeof(*codec));
    if (codec)
        codec->stream = ZSTD_createDStream();
    if (!codec || !codec->stream) {
        free(codec);
        error_set(error, ERROR_MEMORY, "no memory to decompress zstd");
        return NULL;
    }
    codec->base.ops = &codec_zstd;
    codec->window = codec_zstd_window(limits);
    int window_log = __builtin_ctzll(codec->window);
    CHECK(!ZSTD_isError(ZSTD_DCtx_setParameter(codec->stream, ZSTD_d_windowLogMax, window_log)));
    return &codec->base;
}

static enum codec_result zstd_damaged(const struct zstd_codec *codec,
                                      const struct decoder_input *input, size_t result,
                                      struct error *error)
{
    unsigned long long frame = codec->frame;
    ZSTD_ErrorCode code = ZSTD_getErrorCode(result);
    /* A block that is longer than it may be: what it is called depends on earlier frames. */
    if (code == ZSTD_error_dstSize_tooSmall)
        code = ZSTD_error_corruption_detected;
    if (code == ZSTD_error_frameParameter_windowTooLarge)
        error_set(error, ERROR_MEMORY,
                  "%s: the zstd frame at byte %llu needs a larger window than the %zu MiB that "
                  "memory allows: raise --memory",
                  input->name, frame, codec->window >> 20);
    else if (code == ZSTD_error_memory_allocation)
        error_set(error, ERROR_MEMORY, "%s: no memory to decompress", input->name);
    else
        error_set(error, ERROR_CORRUPT, "%s: damaged at byte %llu (zstd frame from byte %llu): %s",
                  input->name, (unsigned long long)decoder_input_offset(input), frame,
                  ZSTD_getErrorString(code));
    return CODEC_FAIL;
}

/* The library may also read formats from before the RFC, whose windows know no limit. */
static bool frame_is_known(const struct decoder_input *input)
{
    size_t left = decoder_input_left(input); /* too few at the end: truncated, as will be said */
    return left < COMPRESSION_MAGIC ||
           compression_detect(input->buffer + input->position, left) == COMPRESSION_ZSTD;
}

static enum codec_result zstd_foreign(const struct zstd_codec *codec,
                                      const struct decoder_input *input, struct error *error)
{
    error_set(error, ERROR_CORRUPT, "%s: damaged at byte %llu: no zstd frame begins here",
              input->name, (unsigned long long)codec->frame);
    return CODEC_FAIL;
}

static enum codec_result zstd_decode(struct codec *base, struct decoder_input *input, char *buffer,
                                     size_t length, size_t *filled, struct error *error)
{
    struct zstd_codec *codec = (struct zstd_codec *)base;
    if (!codec->frame_open) {
        size_t left = decoder_input_left(input);
        if (left < COMPRESSION_MAGIC && !input->end)
            return CODEC_INPUT;
        if (left == 0)
            return CODEC_END;
        codec->frame = decoder_input_offset(input);
        if (!frame_is_known(input))
            return zstd_foreign(codec, input, error);
        codec->frame_open = true;
        codec->step = STEP_FIRST;
    }
    /* Step by step: so an error tells the block, however the bytes were read. A stream's block is
     * not to wait for the header behind it. */
    if (decoder_input_left(input) < codec->step && !input->end && !input->is_stream)
        return CODEC_INPUT;
    size_t step = size_min(codec->step, decoder_input_left(input));
    ZSTD_inBuffer in = {input->buffer, input->position + step, input->position};
    ZSTD_outBuffer out = {buffer, length, *filled};
    size_t result = ZSTD_decompressStream(codec->stream, &out, &in);
    bool progress = in.pos > input->position || out.pos > *filled;
    input->position = in.pos;
    *filled = out.pos;
    if (ZSTD_isError(result))
        return zstd_damaged(codec, input, result, error);
    if (result == 0) {
        codec->frame_open = false;
        return CODEC_OK;
    }
    codec->step = result;
    if (progress)
        return CODEC_OK;
    if (!input->end)
        return CODEC_INPUT;
    error_set(error, ERROR_TRUNCATED,
              "%s: ends at byte %llu in the middle of a zstd frame (from byte %llu)", input->name,
              (unsigned long long)decoder_input_offset(input), (unsigned long long)codec->frame);
    return CODEC_FAIL;
}

bool codec_zstd_between_frames(const struct codec *base)
{
    return !((const struct zstd_codec *)base)->frame_open;
}

static uint64_t zstd_frame(const struct codec *base)
{
    return ((const struct zstd_codec *)base)->frame;
}

const struct codec_ops codec_zstd = {
    .open = zstd_open,
    .close = zstd_close,
    .decode = zstd_decode,
    .frame = zstd_frame,
};
