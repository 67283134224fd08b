/* Reading zstd files of many frames: frames are cut out of the input by their block headers (RFC
 * 8878, 3.1.1), which also bound their content where the frame does not tell its size, and are
 * decompressed in parallel. For what is large, or strange, or does not decompress, the input is
 * wound back to where the frame began and codec_zstd reads it: so damage is judged by one decoder.
 * Jobs together have the memory that the limits allow, and give it up before codec_zstd makes its
 * window. The decoder's thread owns the jobs; a queued one belongs to whoever claims it, until its
 * state says done (release/acquire). */
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "core/clock.h"
#include "core/fault.h"
#include "core/thread.h"
#include "io/decoder_codec.h"

#define JOBS_MAX      9
#define HELPERS_MAX   (JOBS_MAX - 2)
#define HEADER_BYTES  18 /* the longest frame header */
#define BLOCK_LARGEST (128u * 1024)
#define SKIPPED_LARGE (64u * 1024) /* skippable frames in front of a job's frame */
#define IN_SMALLEST   (64u * 1024)
#define HELPER_WAIT   (10 * NANOSECONDS)
/* Of the memory of all jobs, for one: its content, and its compressed bytes. */
#define SHARE_CONTENT(memory) ((memory) / 2)
#define SHARE_IN(memory)      ((memory) / 4)

enum job_state { JOB_FREE, JOB_QUEUED, JOB_BUSY, JOB_DONE };
enum gather_stage {
    GATHER_NONE,
    GATHER_SKIPPED,
    GATHER_HEADER,
    GATHER_BLOCK,
    GATHER_BODY,
    GATHER_CHECKSUM
};
enum gather_result {
    GATHER_DONE,  /* a job was queued */
    GATHER_INPUT, /* needs more input */
    GATHER_FULL,  /* no room until the oldest job is taken */
    GATHER_SERIAL /* the frame that begins here is for codec_zstd */
};

/* A frame, with the skippable ones in front of it. */
struct job {
    atomic_int state; /* enum job_state; QUEUED -> BUSY by compare-and-swap */
    struct job *next; /* the younger one, or another free one */
    char *in;
    size_t in_length;
    size_t in_room;
    char *out;
    size_t out_room;
    size_t content; /* at most */
    size_t made;
    size_t taken;   /* of what was made, by the decoder's thread */
    bool refused;   /* codec_zstd is to judge it */
    uint64_t frame; /* where its frame begins in the file */
};

struct frames_codec {
    struct codec base;
    struct decoder_limits limits;
    size_t memory;        /* of all jobs */
    struct codec *serial; /* codec_zstd, while it reads a frame */
    bool serial_frame;    /* the frame being read is the serial codec's */
    struct job jobs[JOBS_MAX];
    unsigned job_count;
    struct job *idle;
    struct job *oldest;
    struct job *youngest;
    struct job *gathered; /* not queued yet, in no list */
    enum gather_stage stage;
    size_t need;        /* bytes until the stage is over */
    size_t block_limit; /* content of a block at most */
    size_t blocks;      /* content of the blocks so far at most */
    uint64_t told;      /* the content's size by the header, or ZSTD_CONTENTSIZE_UNKNOWN */
    bool checksum;
    bool last_block;
    uint64_t frame;
    ZSTD_DCtx *context;
    struct event work;
    struct event done;
    atomic_bool closing;
    struct thread helpers[HELPERS_MAX];
    unsigned helper_count;
};

/* ---- jobs ---- */

static size_t memory_held(const struct frames_codec *codec)
{
    size_t held = 0;
    for (unsigned i = 0; i < codec->job_count; i++)
        held += codec->jobs[i].in_room + codec->jobs[i].out_room;
    return held;
}

static void job_drop_out(struct job *job)
{
    free(job->out);
    job->out = NULL;
    job->out_room = 0;
}

/* Free jobs give up what they keep for the next frame. */
static void idle_drop(struct frames_codec *codec)
{
    for (struct job *job = codec->idle; job; job = job->next) {
        free(job->in);
        job->in = NULL;
        job->in_room = 0;
        job_drop_out(job);
    }
}

/* Whether so many bytes more fit, when those that are free have given up theirs. */
static bool memory_fits(struct frames_codec *codec, size_t more)
{
    if (memory_held(codec) + more > codec->memory)
        idle_drop(codec);
    return memory_held(codec) + more <= codec->memory;
}

enum room { ROOM_MADE, ROOM_FULL /* not now */, ROOM_NONE /* never: the job is too large */ };

/* Makes room for `size` compressed bytes. */
static enum room in_room(struct frames_codec *codec, struct job *job, size_t size)
{
    if (size <= job->in_room)
        return ROOM_MADE;
    if (size > SHARE_IN(codec->memory))
        return ROOM_NONE;
    size_t wanted = size_max(size_max(size, IN_SMALLEST), job->in_room * 3 / 2);
    wanted = size_min(wanted, SHARE_IN(codec->memory));
    if (!memory_fits(codec, wanted - job->in_room))
        job_drop_out(job);
    if (!memory_fits(codec, wanted - job->in_room))
        return codec->oldest ? ROOM_FULL : ROOM_NONE;
    char *resized = memory_resize(job->in, wanted);
    if (!resized)
        return ROOM_NONE;
    job->in = resized;
    job->in_room = wanted;
    return ROOM_MADE;
}

/* Makes room for the content of the gathered job. */
static enum room out_room(struct frames_codec *codec, struct job *job)
{
    if (job->content <= job->out_room)
        return ROOM_MADE;
    job_drop_out(job);
    size_t wanted = job->content;
    if (wanted > SHARE_CONTENT(codec->memory))
        return ROOM_NONE;
    if (!memory_fits(codec, wanted))
        return codec->oldest ? ROOM_FULL : ROOM_NONE;
    job->out = memory_take(wanted);
    if (!job->out)
        return ROOM_NONE;
    job->out_room = wanted;
    return ROOM_MADE;
}

/* Decompresses one frame; what does not go well is left to codec_zstd. */
static void job_decode(struct job *job, ZSTD_DCtx *context)
{
    size_t made = ZSTD_decompressDCtx(context, job->out, job->content, job->in, job->in_length);
    job->refused = ZSTD_isError(made);
    job->made = job->refused ? 0 : made;
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
    codec->limits = *limits;
    codec->context = fault_alloc() ? NULL : ZSTD_createDCtx();
    if (!codec->context)
        error_set(error, ERROR_MEMORY, "no memory to decompress zstd");
    unsigned helpers = (unsigned)size_min(limits->threads - 1, HELPERS_MAX);
    size_t all = limits->memory * limits->threads;
    size_t contexts = codec->context ? (helpers + 1) * ZSTD_sizeof_DCtx(codec->context) : 0;
    codec->memory = all - size_min(contexts, all / 4);
    codec->job_count = helpers + 2;
    for (unsigned i = codec->job_count; i-- > 0;) {
        codec->jobs[i].next = codec->idle;
        codec->idle = &codec->jobs[i];
    }
    bool done = codec->context != NULL;
    for (; done && codec->helper_count < helpers; codec->helper_count++)
        done =
            thread_start(&codec->helpers[codec->helper_count], "decode", helper_run, codec, error);
    if (done)
        return &codec->base;
    frames_close(&codec->base);
    return NULL;
}

/* ---- gathering ---- */

static uint32_t little_endian(const char *text, unsigned count)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < count; i++)
        value |= (uint32_t)(unsigned char)text[i] << 8 * i;
    return value;
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

/* The window that a frame asks for; 0: one that no decoder gives (RFC 8878, 3.1.1.1.2). */
static uint64_t header_window(const char *header, uint64_t content)
{
    if (header[4] & 0x20)
        return content;
    unsigned char window = (unsigned char)header[5];
    uint64_t base = (uint64_t)1 << (10 + (window >> 3));
    return base + base / 8 * (window & 7);
}

/* Reads the header of the frame that begins here. False: it is none for a job. */
static bool gather_header(struct frames_codec *codec, const struct decoder_input *input)
{
    const char *text = input->buffer + input->position;
    size_t left = decoder_input_left(input);
    if (left < HEADER_BYTES || memcmp(text, "\x28\xB5\x2F\xFD", 4) != 0)
        return false;
    codec->told = ZSTD_getFrameContentSize(text, left);
    if (codec->told == ZSTD_CONTENTSIZE_ERROR ||
        (codec->told != ZSTD_CONTENTSIZE_UNKNOWN && codec->told > SHARE_CONTENT(codec->memory)))
        return false;
    uint64_t window = header_window(text, codec->told);
    if (window > codec_zstd_window(&codec->limits))
        return false;
    codec->block_limit = size_min((size_t)window, BLOCK_LARGEST);
    codec->checksum = text[4] & 4;
    codec->stage = GATHER_HEADER;
    codec->need = header_length((unsigned char)text[4]);
    return true;
}

/* Skippable frames belong to the job of the frame behind them, as far as they are small. */
static bool gather_skippable(struct frames_codec *codec, const struct decoder_input *input)
{
    const char *text = input->buffer + input->position;
    if (decoder_input_left(input) < 8 || (little_endian(text, 4) & ~0xFu) != 0x184D2A50u)
        return false;
    size_t before = codec->gathered ? codec->gathered->in_length : 0;
    size_t length = little_endian(text + 4, 4);
    if (before + 8 + length > SKIPPED_LARGE)
        return false;
    codec->stage = GATHER_SKIPPED;
    codec->need = 8 + length;
    return true;
}

static bool gather_begin(struct frames_codec *codec, const struct decoder_input *input)
{
    bool skippable = gather_skippable(codec, input);
    if (!skippable && !gather_header(codec, input))
        return false;
    struct job *job = codec->gathered;
    if (!job) {
        job = codec->gathered = codec->idle;
        codec->idle = job->next;
        job->in_length = 0;
        job->taken = 0;
        job->refused = false;
    }
    job->frame = decoder_input_offset(input);
    return true;
}

static void job_queue(struct frames_codec *codec)
{
    struct job *job = codec->gathered;
    codec->gathered = NULL;
    codec->stage = GATHER_NONE;
    job->next = NULL;
    if (codec->oldest)
        codec->youngest->next = job;
    else
        codec->oldest = job;
    codec->youngest = job;
    atomic_store_explicit(&job->state, JOB_QUEUED, memory_order_release);
    event_signal(&codec->work);
}

static void job_free(struct frames_codec *codec, struct job *job)
{
    atomic_store_explicit(&job->state, JOB_FREE, memory_order_relaxed);
    job->next = codec->idle;
    codec->idle = job;
}

/* The frame that is being gathered is codec_zstd's, from its first byte on. */
static enum gather_result gather_abandon(struct frames_codec *codec, struct decoder_input *input)
{
    struct job *job = codec->gathered;
    decoder_input_rewind(input, job->frame);
    codec->gathered = NULL;
    codec->stage = GATHER_NONE;
    job_free(codec, job);
    return GATHER_SERIAL;
}

/* A block's header is there. False: the frame is for codec_zstd. */
static bool block_begin(struct frames_codec *codec, const struct job *job)
{
    uint32_t header = little_endian(job->in + job->in_length - 3, 3);
    unsigned type = header >> 1 & 3; /* 0 raw, 1 a byte repeated, 2 compressed */
    size_t size = header >> 3;
    size_t body = type == 1 ? 1 : size;
    if (type > 2 || size_max(size, body) > codec->block_limit)
        return false;
    codec->blocks += type == 2 ? codec->block_limit : size;
    codec->last_block = header & 1;
    codec->stage = GATHER_BODY;
    codec->need = body;
    return codec->told != ZSTD_CONTENTSIZE_UNKNOWN || codec->blocks <= SHARE_CONTENT(codec->memory);
}

enum stage_end { STAGE_ON, STAGE_FRAME /* the frame is whole */, STAGE_STRANGE };

/* A stage's bytes are there. */
static enum stage_end stage_end(struct frames_codec *codec, const struct job *job)
{
    switch (codec->stage) {
    case GATHER_SKIPPED:
        codec->stage = GATHER_NONE;
        return STAGE_ON;
    case GATHER_BLOCK:
        return block_begin(codec, job) ? STAGE_ON : STAGE_STRANGE;
    case GATHER_BODY:
        if (codec->last_block && !codec->checksum)
            return STAGE_FRAME;
        codec->stage = codec->last_block ? GATHER_CHECKSUM : GATHER_BLOCK;
        codec->need = codec->last_block ? 4 : 3;
        return STAGE_ON;
    case GATHER_CHECKSUM:
        return STAGE_FRAME;
    default:
        codec->stage = GATHER_BLOCK;
        codec->need = 3;
        return STAGE_ON;
    }
}

/* The gathered frame is whole, or there is none behind its skippable ones. */
static enum gather_result gather_finish(struct frames_codec *codec, struct decoder_input *input)
{
    struct job *job = codec->gathered;
    job->content = (size_t)(codec->told < codec->blocks ? codec->told : codec->blocks);
    enum room room = out_room(codec, job);
    if (room == ROOM_FULL)
        return GATHER_FULL;
    if (room == ROOM_NONE)
        return gather_abandon(codec, input);
    job_queue(codec);
    return GATHER_DONE;
}

/* Copies bytes of the stage into the job. DONE: all that it needs. */
static enum gather_result gather_copy(struct frames_codec *codec, struct decoder_input *input)
{
    struct job *job = codec->gathered;
    size_t part = size_min(codec->need, decoder_input_left(input));
    enum room room = in_room(codec, job, job->in_length + part);
    if (room == ROOM_FULL)
        return GATHER_FULL;
    if (room == ROOM_NONE)
        return gather_abandon(codec, input);
    memcpy(job->in + job->in_length, input->buffer + input->position, part);
    job->in_length += part;
    input->position += part;
    codec->need -= part;
    if (codec->need == 0)
        return GATHER_DONE;
    return input->end ? gather_abandon(codec, input) : GATHER_INPUT; /* at the end: truncated */
}

/* Gathers one job, as far as the input goes. */
static enum gather_result gather(struct frames_codec *codec, struct decoder_input *input)
{
    for (;;) {
        if (codec->stage == GATHER_NONE) {
            if (!codec->gathered && !codec->idle)
                return GATHER_FULL;
            if (decoder_input_left(input) < HEADER_BYTES && !input->end)
                return GATHER_INPUT;
            codec->blocks = 0;
            if (!gather_begin(codec, input))
                return codec->gathered ? gather_finish(codec, input) : GATHER_SERIAL;
        }
        if (codec->need > 0) { /* else all is there, but for room */
            enum gather_result result = gather_copy(codec, input);
            if (result != GATHER_DONE)
                return result;
        }
        switch (stage_end(codec, codec->gathered)) {
        case STAGE_FRAME:
            return gather_finish(codec, input);
        case STAGE_STRANGE:
            return gather_abandon(codec, input);
        case STAGE_ON:
            break;
        }
    }
}

/* ---- decoding ---- */

/* Until the oldest job is done, decompresses whatever nobody has begun; with nothing of that kind,
 * waits for the helpers. False: not done yet. */
static bool job_ready(struct frames_codec *codec, const struct job *wanted)
{
    unsigned seen = event_sequence(&codec->done);
    if (atomic_load_explicit(&wanted->state, memory_order_acquire) == JOB_DONE)
        return true;
    for (struct job *job = codec->oldest; job; job = job->next) {
        if (job_claim(job)) {
            job_run(codec, job, codec->context);
            return false;
        }
    }
    event_wait(&codec->done, seen, HELPER_WAIT);
    return false;
}

static void oldest_free(struct frames_codec *codec)
{
    struct job *job = codec->oldest;
    codec->oldest = job->next;
    job_free(codec, job);
}

/* The oldest job's frame, and what was gathered behind it, are read again, by codec_zstd first. */
static void jobs_abandon(struct frames_codec *codec, struct decoder_input *input)
{
    if (codec->gathered)
        (void)gather_abandon(codec, input);
    decoder_input_rewind(input, codec->oldest->frame);
    codec->serial_frame = true;
    while (codec->oldest) {
        if (job_claim(codec->oldest) || job_ready(codec, codec->oldest))
            oldest_free(codec);
    }
}

/* Hands out what the oldest job made. */
static void job_take(struct frames_codec *codec, struct decoder_input *input, char *buffer,
                     size_t length, size_t *filled)
{
    struct job *job = codec->oldest;
    if (!job_ready(codec, job))
        return;
    if (job->refused) {
        jobs_abandon(codec, input);
        return;
    }
    codec->frame = job->frame;
    size_t part = size_min(length - *filled, job->made - job->taken);
    if (part > 0)
        memcpy(buffer + *filled, job->out + job->taken, part);
    *filled += part;
    job->taken += part;
    if (job->taken == job->made)
        oldest_free(codec);
}

/* One frame through codec_zstd, which has a window only as long as no job holds memory. */
static enum codec_result serial_decode(struct frames_codec *codec, struct decoder_input *input,
                                       char *buffer, size_t length, size_t *filled,
                                       struct error *error)
{
    if (!codec->serial) {
        idle_drop(codec);
        codec->serial = codec_zstd.open(&codec->limits, error);
        if (!codec->serial)
            return CODEC_FAIL;
    }
    enum codec_result result =
        codec->serial->ops->decode(codec->serial, input, buffer, length, filled, error);
    if (result == CODEC_OK || result == CODEC_FAIL)
        codec->frame = codec->serial->ops->frame(codec->serial);
    /* Behind a frame, the next one may be a job again. */
    if (result == CODEC_OK && codec_zstd_between_frames(codec->serial)) {
        codec->serial_frame = false;
        codec->serial->ops->close(codec->serial);
        codec->serial = NULL;
    }
    return result;
}

static enum codec_result frames_decode(struct codec *base, struct decoder_input *input,
                                       char *buffer, size_t length, size_t *filled,
                                       struct error *error)
{
    struct frames_codec *codec = (struct frames_codec *)base;
    while (!codec->serial_frame) {
        enum gather_result result = gather(codec, input);
        if (result == GATHER_INPUT)
            return CODEC_INPUT;
        if (result == GATHER_FULL)
            break;
        codec->serial_frame = result == GATHER_SERIAL;
    }
    if (!codec->oldest)
        return serial_decode(codec, input, buffer, length, filled, error);
    job_take(codec, input, buffer, length, filled);
    return CODEC_OK;
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
