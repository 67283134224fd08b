/* The decoder's tasks and its thread: see decoder.h. Submit and close come from the source's
 * thread; the decoder's thread takes tasks in order, reads and decodes. `mutex` guards the queue.
 */
#include "io/decoder.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/fault.h"
#include "core/thread.h"
#include "io/decoder_codec.h"

#define INPUT_BUFFER (256 * 1024)
#define THREAD_WAIT  (10 * NANOSECONDS) /* an idle thread looks up this often */
#define STREAM_WAIT  20                 /* milliseconds until a close is noticed */

struct decoder {
    struct decoder_input input;
    struct codec *codec;
    struct io_engine *engine;
    /* The decoder's thread's: */
    bool ended;            /* the content is decoded, or failed */
    uint64_t content;      /* offset of the next byte of it … */
    uint64_t wanted;       /* … and of the first that is given out */
    uint64_t frame;        /* where the frame begins that was last decoded from, in the file … */
    uint64_t frame_offset; /* … and in the content */
    bool threaded;
    struct thread thread;
    struct event work;
    atomic_bool closing;
    pthread_mutex_t mutex;
    struct decoder_task *first;
    struct decoder_task *last;
};

/* Moves what is left to the front and says how much may be read behind it. */
static size_t input_room(struct decoder_input *input)
{
    size_t left = decoder_input_left(input);
    memmove(input->buffer, input->buffer + input->position, left);
    input->offset += input->position;
    input->position = 0;
    input->length = left;
    return size_min(input->capacity - left, input->read_size);
}

static int64_t stream_wait_read(struct decoder_input *input, size_t room, bool wait)
{
    int64_t since = clock_monotonic();
    for (;;) {
        int64_t got = stream_read(&input->stream, input->buffer + input->length, room);
        if (got != -EAGAIN || !wait)
            return got;
        if (atomic_load_explicit(input->closing, memory_order_acquire))
            return -ECANCELED;
        if (input->timeout > 0 && clock_monotonic() - since > input->timeout)
            return -ETIMEDOUT;
        struct pollfd entry = {.fd = input->stream.fd, .events = POLLIN};
        (void)poll(&entry, 1, STREAM_WAIT);
    }
}

enum input_result decoder_input_fill(struct decoder_input *input, bool wait, struct error *error)
{
    size_t room = input_room(input);
    CHECK(room > 0);
    int64_t got;
    if (input->is_stream)
        got = stream_wait_read(input, room, wait);
    else {
        uint64_t offset = input->offset + input->length;
        uint64_t left = input->limit > offset ? input->limit - offset : 0;
        got = file_read(input->fd, input->buffer + input->length, size_min(room, left), offset);
    }
    if (got == -EAGAIN || got == -ECANCELED)
        return INPUT_DRY;
    if (got == -ETIMEDOUT && input->is_stream) {
        error_set(error, ERROR_TIMEOUT, "no data from %s for %.3g s (timeout of the source)",
                  input->name, (double)input->timeout / NANOSECONDS);
        return INPUT_FAIL;
    }
    if (got < 0) {
        error_set_errno(error, (int)-got, "cannot read %s", input->name);
        return INPUT_FAIL;
    }
    input->length += (size_t)got;
    uint64_t reached = input->offset + input->length;
    input->raw_bytes += reached > input->furthest ? reached - input->furthest : 0;
    input->furthest = reached > input->furthest ? reached : input->furthest;
    input->end = got == 0;
    return INPUT_OK;
}

void decoder_input_rewind(struct decoder_input *input, uint64_t offset)
{
    CHECK(!input->is_stream && offset <= decoder_input_offset(input));
    if (offset >= input->offset) {
        input->position = (size_t)(offset - input->offset);
        return;
    }
    input->offset = offset;
    input->position = input->length = 0;
    input->end = false;
}

/* Fills one task as far as the content goes; a stream's only with what is there. */
static void task_fill(struct decoder *decoder, struct decoder_task *task)
{
    struct decoder_input *input = &decoder->input;
    const struct codec_ops *ops = decoder->codec->ops;
    while (task->filled < task->length) {
        size_t before = task->filled;
        enum codec_result result = ops->decode(decoder->codec, input, task->buffer, task->length,
                                               &task->filled, &task->error);
        uint64_t frame = ops->frame(decoder->codec);
        if (frame > decoder->frame) { /* no call gives content of two frames */
            decoder->frame = frame;
            decoder->frame_offset = decoder->content;
        }
        decoder->content += task->filled - before;
        if (result == CODEC_END || result == CODEC_FAIL) {
            task->last = result == CODEC_END;
            task->failed = result == CODEC_FAIL;
            decoder->ended = true;
            break;
        }
        if (result == CODEC_OK)
            continue;
        enum input_result filled = decoder_input_fill(input, task->filled == 0, &task->error);
        if (filled == INPUT_DRY)
            break;
        if (filled == INPUT_FAIL) {
            task->failed = true;
            decoder->ended = true;
            break;
        }
    }
    if (!task->failed && task->error.code != ERROR_NONE)
        task->error.code = ERROR_NONE;
}

static bool decoder_closing(const struct decoder *decoder)
{
    return atomic_load_explicit(&decoder->closing, memory_order_acquire);
}

/* Passes over content that was read before; the task's memory serves as room. */
static void content_skip(struct decoder *decoder, struct decoder_task *task)
{
    while (decoder->content < decoder->wanted && !task->failed && !decoder_closing(decoder)) {
        size_t left = size_min(task->length, decoder->wanted - decoder->content);
        struct decoder_task pass = {.buffer = task->buffer, .length = left};
        task_fill(decoder, &pass);
        task->failed = pass.failed;
        task->error = pass.error;
        if (!pass.last)
            continue;
        task->failed = true;
        error_set(&task->error, ERROR_TRUNCATED,
                  "%s has %llu bytes of content, of which %llu were read before: something cut it",
                  decoder->input.name, (unsigned long long)decoder->content,
                  (unsigned long long)decoder->wanted);
    }
}

static void task_run(struct decoder *decoder, struct decoder_task *task)
{
    if (decoder->content < decoder->wanted && !decoder->ended)
        content_skip(decoder, task);
    if (task->failed || decoder->ended || decoder_closing(decoder)) {
        task->surplus = !task->failed;
    } else {
        task->frame = decoder->frame;
        task->frame_offset = decoder->frame_offset;
        task_fill(decoder, task);
    }
    task->raw_bytes = decoder->input.raw_bytes;
    decoder->input.raw_bytes = 0;
    atomic_store_explicit(&task->done, true, memory_order_release);
    if (decoder->engine)
        io_engine_wake(decoder->engine);
}

static struct decoder_task *task_next(struct decoder *decoder)
{
    pthread_mutex_lock(&decoder->mutex);
    struct decoder_task *task = decoder->first;
    if (task) {
        decoder->first = task->next;
        if (!decoder->first)
            decoder->last = NULL;
    }
    pthread_mutex_unlock(&decoder->mutex);
    return task;
}

static void decoder_run(void *argument)
{
    struct decoder *decoder = argument;
    for (;;) {
        unsigned seen = event_sequence(&decoder->work);
        bool closing = atomic_load_explicit(&decoder->closing, memory_order_acquire);
        struct decoder_task *task = task_next(decoder);
        if (task)
            task_run(decoder, task);
        else if (closing)
            return;
        else
            event_wait(&decoder->work, seen, THREAD_WAIT);
    }
}

void decoder_seek(struct decoder *decoder, uint64_t frame_offset, uint64_t offset)
{
    CHECK(decoder->content == 0 && frame_offset <= offset);
    decoder->content = decoder->frame_offset = frame_offset;
    decoder->wanted = offset;
}

void decoder_submit(struct decoder *decoder, struct decoder_task *task)
{
    task->next = NULL;
    atomic_store_explicit(&task->done, false, memory_order_relaxed);
    if (!decoder->threaded) {
        task_run(decoder, task);
        return;
    }
    pthread_mutex_lock(&decoder->mutex);
    if (decoder->last)
        decoder->last->next = task;
    else
        decoder->first = task;
    decoder->last = task;
    pthread_mutex_unlock(&decoder->mutex);
    event_signal(&decoder->work);
}

static bool decoder_prepare(struct decoder *decoder, enum compression compression,
                            struct string prefix, const struct decoder_limits *limits,
                            struct error *error)
{
    struct decoder_input *input = &decoder->input;
    input->capacity = INPUT_BUFFER + prefix.length;
    input->buffer = memory_take(input->capacity);
    if (!input->buffer)
        return error_set(error, ERROR_MEMORY, "no memory to decompress %s", input->name);
    if (prefix.length > 0)
        memcpy(input->buffer, prefix.data, prefix.length);
    input->length = prefix.length;
    input->furthest += prefix.length; /* counted by whoever read it */
    const struct codec_ops *ops = &codec_gzip;
    if (compression == COMPRESSION_ZSTD) /* a stream's reader is not to wait for whole frames */
        ops = limits->threads > 1 && !input->is_stream ? &codec_zstd_frames : &codec_zstd;
    decoder->codec = ops->open(limits, error);
    return decoder->codec != NULL;
}

struct decoder *decoder_open(enum compression compression, int fd, uint64_t start,
                             struct string prefix, const char *name,
                             const struct decoder_limits *limits, struct io_engine *engine,
                             struct error *error)
{
    struct decoder *decoder = memory_take_zeroed(1, sizeof(*decoder));
    if (!decoder) {
        error_set(error, ERROR_MEMORY, "no memory to decompress %s", name);
        return NULL;
    }
    CHECK(pthread_mutex_init(&decoder->mutex, NULL) == 0);
    decoder->engine = engine;
    decoder->input = (struct decoder_input){.fd = fd,
                                            .is_stream = start == IO_NO_OFFSET,
                                            .name = name,
                                            .offset = start == IO_NO_OFFSET ? 0 : start,
                                            .furthest = start == IO_NO_OFFSET ? 0 : start,
                                            .limit = limits->end ? limits->end : UINT64_MAX,
                                            .read_size = limits->read_size,
                                            .timeout = limits->timeout,
                                            .closing = &decoder->closing};
    decoder->frame = decoder->input.offset;
    if (decoder->input.is_stream)
        stream_open(&decoder->input.stream, fd, false);
    bool done = decoder_prepare(decoder, compression, prefix, limits, error);
    if (done && limits->threads > 0) {
        done = thread_start(&decoder->thread, "decode", decoder_run, decoder, error);
        decoder->threaded = done;
    }
    if (done)
        return decoder;
    decoder_close(decoder);
    return NULL;
}

void decoder_close(struct decoder *decoder)
{
    if (!decoder)
        return;
    atomic_store_explicit(&decoder->closing, true, memory_order_release);
    event_signal(&decoder->work);
    thread_join(&decoder->thread);
    if (decoder->codec)
        decoder->codec->ops->close(decoder->codec);
    if (decoder->input.is_stream)
        stream_close(&decoder->input.stream);
    pthread_mutex_destroy(&decoder->mutex);
    free(decoder->input.buffer);
    free(decoder);
}

int64_t decoder_read(enum compression compression, int fd, uint64_t frame, uint64_t frame_offset,
                     uint64_t offset, const char *name, const struct decoder_limits *limits,
                     char *buffer, size_t length, struct error *error)
{
    struct decoder_limits alone = *limits;
    alone.threads = 0;
    alone.memory = limits->memory * (limits->threads ? limits->threads : 1);
    struct decoder *decoder =
        decoder_open(compression, fd, frame, (struct string){0}, name, &alone, NULL, error);
    if (!decoder)
        return -1;
    decoder_seek(decoder, frame_offset, offset);
    struct decoder_task task = {.buffer = buffer, .length = length};
    decoder_submit(decoder, &task);
    decoder_close(decoder);
    if (task.failed && task.filled == 0) {
        *error = task.error;
        return -1;
    }
    return (int64_t)task.filled;
}

int64_t decoder_peek(enum compression compression, int fd, uint64_t start, const char *name,
                     const struct decoder_limits *limits, char *buffer, size_t length,
                     struct error *error)
{
    return decoder_read(compression, fd, start, 0, 0, name, limits, buffer, length, error);
}
