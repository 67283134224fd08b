/* Reading zstd files of many frames: frames that tell the size of their content, and are not large,
 * are cut out of the input by their block headers (RFC 8878, 3.1.1) and decompressed in parallel;
 * all others one by one, by codec_zstd. The decoder's thread owns the ring of jobs; a queued job
 * belongs to whoever claims it, until its state says done (release/acquire). */
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "core/clock.h"
#include "core/fault.h"
#include "core/thread.h"
#include "io/decoder_codec.h"

#define JOBS_MAX     9
#define HELPERS_MAX  (JOBS_MAX - 2)
#define FRAME_LARGE  (8u * 1024 * 1024)
#define HEADER_BYTES 18 /* the longest frame header */
#define HELPER_WAIT  (10 * NANOSECONDS)

enum job_state { JOB_FREE, JOB_QUEUED, JOB_BUSY, JOB_DONE };
enum gather_stage { GATHER_NONE, GATHER_HEADER, GATHER_BLOCK, GATHER_BODY, GATHER_CHECKSUM };

struct job {
    atomic_int state; /* enum job_state; QUEUED -> BUSY by compare-and-swap */
    char *in;
    size_t in_length;
    size_t in_room;
    char *out;
    size_t out_room;
    size_t content; /* size that the header tells */
    size_t made;
    size_t taken;    /* of what was made, by the decoder's thread */
    bool truncated;  /* the input ended in it */
    size_t problem;  /* zstd's error, or 0 */
    uint64_t offset; /* of the frame in the file */
};

struct frames_codec {
    struct codec base;
    struct codec *serial; /* codec_zstd */
    bool serial_frame;    /* the frame being read is the serial codec's */
    struct job jobs[JOBS_MAX];
    unsigned job_count;
    uint64_t first; /* oldest job in use */
    uint64_t next;  /* being gathered, or free */
    enum gather_stage stage;
    size_t need; /* bytes until the stage is over */
    bool checksum;
    bool last_block;
    size_t frame_limit;
    uint64_t frame;
    ZSTD_DCtx *context;
    struct event work;
    struct event done;
    atomic_bool closing;
    struct thread helpers[HELPERS_MAX];
    unsigned helper_count;
};

static bool memory_room(char **memory, size_t *room, size_t size)
{
    if (size <= *room)
        return true;
    size_t wanted = size_max(size, *room * 2);
    char *resized = memory_resize(*memory, wanted);
    if (!resized)
        return false;
    *memory = resized;
    *room = wanted;
    return true;
}

/* Decompresses one frame. After an error (or truncation) once more in small steps, for what comes
 * before it. */
static void job_decode(struct job *job, ZSTD_DCtx *context)
{
    job->problem = 0;
    job->made = 0;
    if (!job->truncated) {
        size_t made = ZSTD_decompressDCtx(context, job->out, job->content, job->in, job->in_length);
        if (!ZSTD_isError(made)) {
            job->made = made;
            return;
        }
        job->problem = made;
    }
    ZSTD_DCtx_reset(context, ZSTD_reset_session_only);
    ZSTD_inBuffer in = {job->in, job->in_length, 0};
    ZSTD_outBuffer out = {job->out, 0, 0};
    while (out.pos < job->content) {
        size_t before = in.pos;
        out.size = size_min(job->content, out.pos + 4096); /* no shortcut for whole frames */
        size_t result = ZSTD_decompressStream(context, &out, &in);
        if (ZSTD_isError(result) || (in.pos == before && out.pos < out.size))
            break;
    }
    job->made = out.pos;
    ZSTD_DCtx_reset(context, ZSTD_reset_session_only);
}

static bool job_claim(struct job *job)
{
    int queued = JOB_QUEUED;
    return atomic_compare_exchange_strong_explicit(&job->state, &queued, JOB_BUSY,
                                                   memory_order_acq_rel, memory_order_relaxed);
}

static void job_run(struct frames_codec *codec, struct job *job, ZSTD_DCtx *context)
{
    job_decode(job, context);
    atomic_store_explicit(&job->state, JOB_DONE, memory_order_release);
    event_signal(&codec->done);
}

static void helper_run(void *argument)
{
    struct frames_codec *codec = argument;
    ZSTD_DCtx *context = fault_alloc() ? NULL : ZSTD_createDCtx();
    while (context && !atomic_load_explicit(&codec->closing, memory_order_acquire)) {
        unsigned seen = event_sequence(&codec->work);
        struct job *job = NULL;
        for (unsigned i = 0; i < codec->job_count && !job; i++) {
            if (job_claim(&codec->jobs[i]))
                job = &codec->jobs[i];
        }
        if (job)
            job_run(codec, job, context);
        else if (!atomic_load_explicit(&codec->closing, memory_order_acquire))
            event_wait(&codec->work, seen, HELPER_WAIT);
    }
    ZSTD_freeDCtx(context); /* none: the decoder's thread does it alone */
}

static void frames_close(struct codec *base)
{
    struct frames_codec *codec = (struct frames_codec *)base;
    atomic_store_explicit(&codec->closing, true, memory_order_release);
    event_signal(&codec->work);
    for (unsigned i = 0; i < codec->helper_count; i++)
        thread_join(&codec->helpers[i]);
    for (unsigned i = 0; i < JOBS_MAX; i++) {
        free(codec->jobs[i].in);
        free(codec->jobs[i].out);
    }
    if (codec->serial)
        codec->serial->ops->close(codec->serial);
    ZSTD_freeDCtx(codec->context);
    free(codec);
}

static struct codec *frames_open(const struct decoder_limits *limits, struct error *error)
{
    struct frames_codec *codec = memory_take_zeroed(1, sizeof(*codec));
    if (!codec) {
        error_set(error, ERROR_MEMORY, "no memory to decompress zstd");
        return NULL;
    }
    codec->base.ops = &codec_zstd_frames;
    codec->frame_limit = size_min(FRAME_LARGE, limits->memory / 4);
    codec->serial = codec_zstd.open(limits, error);
    codec->context = codec->serial ? ZSTD_createDCtx() : NULL;
    if (codec->serial && !codec->context)
        error_set(error, ERROR_MEMORY, "no memory to decompress zstd");
    unsigned helpers = (unsigned)size_min(limits->threads - 1, HELPERS_MAX);
    codec->job_count = helpers + 2;
    bool done = codec->context != NULL;
    for (; done && codec->helper_count < helpers; codec->helper_count++)
        done =
            thread_start(&codec->helpers[codec->helper_count], "decode", helper_run, codec, error);
    if (done)
        return &codec->base;
    frames_close(&codec->base);
    return NULL;
}

/* The length of a frame's header, from its descriptor (RFC 8878, 3.1.1.1). */
static size_t header_length(unsigned char descriptor)
{
    static const size_t dictionary[] = {0, 1, 2, 4};
    static const size_t content[] = {0, 2, 4, 8};
    bool single = descriptor & 0x20;
    size_t size = content[descriptor >> 6];
    if (single && size == 0)
        size = 1;
    return 4 + 1 + (single ? 0 : 1) + dictionary[descriptor & 3] + size;
}

/* Whether the frame that begins here can be a job; then its gathering begins. */
static bool gather_begin(struct frames_codec *codec, struct decoder_input *input)
{
    const char *text = input->buffer + input->position;
    size_t left = decoder_input_left(input);
    unsigned long long content = ZSTD_getFrameContentSize(text, left);
    if (left < HEADER_BYTES || memcmp(text, "\x28\xB5\x2F\xFD", 4) != 0 ||
        content == ZSTD_CONTENTSIZE_UNKNOWN || content == ZSTD_CONTENTSIZE_ERROR || content == 0 ||
        content > codec->frame_limit)
        return false;
    struct job *job = &codec->jobs[codec->next % codec->job_count];
    if (!memory_room(&job->out, &job->out_room, (size_t)content))
        return false;
    unsigned char descriptor = (unsigned char)text[4];
    job->in_length = 0;
    job->taken = 0;
    job->truncated = false;
    job->content = (size_t)content;
    job->offset = decoder_input_offset(input);
    codec->checksum = descriptor & 4;
    codec->stage = GATHER_HEADER;
    codec->need = header_length(descriptor);
    return true;
}

/* A stage's bytes are there. True: the frame is whole. */
static bool gather_advance(struct frames_codec *codec, const struct job *job)
{
    if (codec->stage == GATHER_BLOCK) {
        const unsigned char *byte = (const unsigned char *)job->in + job->in_length - 3;
        uint32_t header = byte[0] | (uint32_t)byte[1] << 8 | (uint32_t)byte[2] << 16;
        codec->last_block = header & 1;
        codec->stage = GATHER_BODY;
        codec->need = (header >> 1 & 3) == 1 ? 1 : header >> 3; /* 1: a byte, repeated */
        return false;
    }
    bool body_over = codec->stage == GATHER_BODY && codec->last_block;
    if (codec->stage == GATHER_CHECKSUM || (body_over && !codec->checksum))
        return true;
    codec->stage = body_over ? GATHER_CHECKSUM : GATHER_BLOCK;
    codec->need = body_over ? 4 : 3;
    return false;
}

static void gather_finish(struct frames_codec *codec, bool truncated)
{
    struct job *job = &codec->jobs[codec->next % codec->job_count];
    job->truncated = truncated;
    codec->stage = GATHER_NONE;
    codec->next++;
    atomic_store_explicit(&job->state, JOB_QUEUED, memory_order_release);
    event_signal(&codec->work);
}

/* Copies a frame's bytes into its job. INPUT: there is no more now. */
static enum codec_result gather(struct frames_codec *codec, struct decoder_input *input,
                                struct error *error)
{
    struct job *job = &codec->jobs[codec->next % codec->job_count];
    for (;;) {
        size_t part = size_min(codec->need, decoder_input_left(input));
        bool damaged = job->in_length + part > ZSTD_compressBound(codec->frame_limit);
        if (damaged || !memory_room(&job->in, &job->in_room, job->in_length + part)) {
            error_set(error, damaged ? ERROR_CORRUPT : ERROR_MEMORY,
                      "%s: the zstd frame at byte %llu %s", input->name,
                      (unsigned long long)job->offset,
                      damaged ? "is damaged: it is far longer than its content"
                              : "needs more memory than there is");
            return CODEC_FAIL;
        }
        if (part > 0)
            memcpy(job->in + job->in_length, input->buffer + input->position, part);
        job->in_length += part;
        input->position += part;
        codec->need -= part;
        if (codec->need > 0) {
            if (!input->end)
                return CODEC_INPUT;
            gather_finish(codec, true);
            return CODEC_OK;
        }
        if (gather_advance(codec, job)) {
            gather_finish(codec, false);
            return CODEC_OK;
        }
    }
}

/* Until the oldest job is done, decompresses whatever nobody has begun; with nothing of that kind,
 * waits for the helpers. False: not done yet. */
static bool job_ready(struct frames_codec *codec, struct job *oldest)
{
    unsigned seen = event_sequence(&codec->done);
    if (atomic_load_explicit(&oldest->state, memory_order_acquire) == JOB_DONE)
        return true;
    for (uint64_t i = codec->first; i < codec->next; i++) {
        struct job *job = &codec->jobs[i % codec->job_count];
        if (job_claim(job)) {
            job_run(codec, job, codec->context);
            return false;
        }
    }
    event_wait(&codec->done, seen, HELPER_WAIT);
    return false;
}

/* Hands out what the oldest job made. */
static enum codec_result job_take(struct frames_codec *codec, const struct decoder_input *input,
                                  char *buffer, size_t length, size_t *filled, struct error *error)
{
    struct job *job = &codec->jobs[codec->first % codec->job_count];
    if (!job_ready(codec, job))
        return CODEC_OK;
    codec->frame = job->offset;
    size_t part = size_min(length - *filled, job->made - job->taken);
    memcpy(buffer + *filled, job->out + job->taken, part);
    *filled += part;
    job->taken += part;
    if (job->taken < job->made)
        return CODEC_OK;
    unsigned long long offset = job->offset;
    unsigned long long end = offset + job->in_length;
    if (job->truncated) {
        error_set(error, ERROR_TRUNCATED,
                  "%s: ends at byte %llu in the middle of a zstd frame (from byte %llu)",
                  input->name, end, offset);
        return CODEC_FAIL;
    }
    if (job->problem) {
        error_set(error, ERROR_CORRUPT,
                  "%s: damaged before byte %llu (zstd frame from byte %llu): %s", input->name, end,
                  offset, ZSTD_getErrorName(job->problem));
        return CODEC_FAIL;
    }
    atomic_store_explicit(&job->state, JOB_FREE, memory_order_relaxed);
    codec->first++;
    return CODEC_OK;
}

static enum codec_result frames_decode(struct codec *base, struct decoder_input *input,
                                       char *buffer, size_t length, size_t *filled,
                                       struct error *error)
{
    struct frames_codec *codec = (struct frames_codec *)base;
    while (!codec->serial_frame && codec->next - codec->first < codec->job_count) {
        if (codec->stage == GATHER_NONE) {
            if (decoder_input_left(input) < HEADER_BYTES && !input->end)
                return CODEC_INPUT;
            if (!gather_begin(codec, input)) {
                codec->serial_frame = true;
                break;
            }
        }
        enum codec_result result = gather(codec, input, error);
        if (result == CODEC_FAIL && codec->first < codec->next)
            break; /* what comes before it first; then it fails again */
        if (result != CODEC_OK)
            return result;
    }
    if (codec->first < codec->next)
        return job_take(codec, input, buffer, length, filled, error);
    enum codec_result result =
        codec->serial->ops->decode(codec->serial, input, buffer, length, filled, error);
    codec->frame = codec->serial->ops->frame(codec->serial);
    /* Behind a frame, the next one may be a job again. */
    if (result == CODEC_OK && codec_zstd_between_frames(codec->serial))
        codec->serial_frame = false;
    return result;
}

static uint64_t frames_frame(const struct codec *base)
{
    return ((const struct frames_codec *)base)->frame;
}

const struct codec_ops codec_zstd_frames = {
    .open = frames_open,
    .close = frames_close,
    .decode = frames_decode,
    .frame = frames_frame,
};
