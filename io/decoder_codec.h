/* What the thread of a decoder works with: the compressed bytes as they are read, and one codec
 * that turns them into content. Used by the decoder's thread alone (or by the source's, without
 * threads). */
#ifndef LEAT_IO_DECODER_CODEC_H
#define LEAT_IO_DECODER_CODEC_H

#include "io/decoder.h"
#include "io/stream.h"

/* The compressed bytes: a window of the input that moves on. */
struct decoder_input {
    int fd;
    bool is_stream;
    struct stream stream;
    const char *name;
    char *buffer;
    size_t capacity;
    size_t position; /* next byte to decode */
    size_t length;
    uint64_t offset; /* of buffer[0] in the file */
    uint64_t limit;  /* of the file: nothing is read behind it; UINT64_MAX: to its end */
    bool end;        /* nothing comes behind buffer[0..length) */
    size_t read_size;
    int64_t timeout;
    const atomic_bool *closing;
    uint64_t furthest;  /* the end of what was ever read */
    uint64_t raw_bytes; /* read since the last task was given back; what is read again not again */
};

enum input_result { INPUT_OK, INPUT_DRY /* a stream has nothing now */, INPUT_FAIL };

/* Reads more behind what is there (what was decoded goes). Where a stream has nothing, waits if
 * `wait`. At the end sets `end`. */
enum input_result decoder_input_fill(struct decoder_input *input, bool wait, struct error *error);
/* What follows is read again from `offset` of the file (no stream), which was reached before. */
void decoder_input_rewind(struct decoder_input *input, uint64_t offset);
static inline size_t decoder_input_left(const struct decoder_input *input)
{
    return input->length - input->position;
}
static inline uint64_t decoder_input_offset(const struct decoder_input *input)
{
    return input->offset + input->position;
}

enum codec_result {
    CODEC_OK,    /* made progress: more room or more input may be wanted */
    CODEC_INPUT, /* wants more input than there is */
    CODEC_END,   /* the content ends here */
    CODEC_FAIL,
};

struct codec;
struct codec_ops {
    struct codec *(*open)(const struct decoder_limits *limits, struct error *error);
    void (*close)(struct codec *codec);
    /* Decodes from the input to buffer[*filled..length). */
    enum codec_result (*decode)(struct codec *codec, struct decoder_input *input, char *buffer,
                                size_t length, size_t *filled, struct error *error);
    /* Offset of the frame (member) that the next byte of content belongs to. */
    uint64_t (*frame)(const struct codec *codec);
};
struct codec {
    const struct codec_ops *ops;
};
extern const struct codec_ops codec_zstd;
extern const struct codec_ops codec_zstd_frames; /* files, with two threads or more */
extern const struct codec_ops codec_gzip;
/* The largest window that a codec_zstd gives a frame; does not depend on the number of threads. */
size_t codec_zstd_window(const struct decoder_limits *limits);
/* Whether a codec_zstd stands behind a whole frame. */
bool codec_zstd_between_frames(const struct codec *codec);

#endif
