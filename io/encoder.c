/* Compression in blocks: see encoder.h. The sink's thread owns the ring of blocks; a block that is
 * queued belongs to a helper until its state says done (release/acquire). */
#include "io/encoder.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "core/clock.h"
#include "core/fault.h"
#include "core/thread.h"

#define BLOCKS_MAX  16
#define THREADS_MAX 8
#define THREAD_WAIT (10 * NANOSECONDS) /* an idle helper looks up this often */

enum block_state { BLOCK_FREE, BLOCK_QUEUED, BLOCK_BUSY, BLOCK_DONE, BLOCK_FAILED };

struct block {
    atomic_int state; /* QUEUED -> BUSY by a helper's compare-and-swap; DONE, FAILED by the same */
    char *content;
    size_t length;
    char *out;
    size_t out_length;
};

struct encoder {
    enum compression compression;
    int level;
    struct io_engine *engine;
    struct block blocks[BLOCKS_MAX];
    unsigned block_count;
    uint64_t filling; /* numbers of blocks; number % block_count is the slot */
    uint64_t handing;
    uint64_t releasing;
    bool ended;
    bool continues; /* behind frames that are there already */
    struct event work;
    atomic_bool closing;
    struct thread threads[THREADS_MAX];
    unsigned thread_count;
};

size_t encoder_bound(enum compression compression, size_t length)
{
    /* zlib's deflateBound for default settings, and the header of gzip. */
    return compression == COMPRESSION_ZSTD ? ZSTD_compressBound(length)
                                           : compressBound(length) + 32;
}

static size_t gzip_compress(int level, const char *data, size_t length, char *out, size_t capacity)
{
    z_stream stream = {0};
    if (deflateInit2(&stream, level > 0 ? level : 6, Z_DEFLATED, MAX_WBITS + 16, 8,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return 0;
    stream.next_in = (unsigned char *)data;
    stream.avail_in = (unsigned)length;
    stream.next_out = (unsigned char *)out;
    stream.avail_out = (unsigned)capacity;
    int result = deflate(&stream, Z_FINISH);
    size_t made = capacity - stream.avail_out;
    deflateEnd(&stream);
    return result == Z_STREAM_END ? made : 0;
}

static size_t zstd_compress(ZSTD_CCtx *context, int level, const char *data, size_t length,
                            char *out, size_t capacity)
{
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level > 0 ? level : 3);
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    size_t made = ZSTD_compress2(context, out, capacity, data, length);
    return ZSTD_isError(made) ? 0 : made;
}

size_t encoder_compress(enum compression compression, int level, const char *data, size_t length,
                        char *out, size_t capacity)
{
    if (compression == COMPRESSION_GZIP)
        return gzip_compress(level, data, length, out, capacity);
    ZSTD_CCtx *context = fault_alloc() ? NULL : ZSTD_createCCtx();
    if (!context)
        return 0;
    size_t made = zstd_compress(context, level, data, length, out, capacity);
    ZSTD_freeCCtx(context);
    return made;
}

/* `context` is the thread's own, kept from block to block, or NULL. */
static void block_compress(struct encoder *encoder, struct block *block, ZSTD_CCtx *context)
{
    size_t capacity = encoder_bound(encoder->compression, ENCODER_BLOCK);
    if (context)
        block->out_length = zstd_compress(context, encoder->level, block->content, block->length,
                                          block->out, capacity);
    else
        block->out_length = encoder_compress(encoder->compression, encoder->level, block->content,
                                             block->length, block->out, capacity);
    int state = block->out_length > 0 ? BLOCK_DONE : BLOCK_FAILED;
    atomic_store_explicit(&block->state, state, memory_order_release);
    if (encoder->engine)
        io_engine_wake(encoder->engine);
}

/* Claims the first queued block it meets; in which order they are done does not matter. */
static struct block *block_claim(struct encoder *encoder)
{
    for (unsigned i = 0; i < encoder->block_count; i++) {
        int queued = BLOCK_QUEUED;
        if (atomic_compare_exchange_strong_explicit(&encoder->blocks[i].state, &queued, BLOCK_BUSY,
                                                    memory_order_acq_rel, memory_order_relaxed))
            return &encoder->blocks[i];
    }
    return NULL;
}

static void encoder_run(void *argument)
{
    struct encoder *encoder = argument;
    ZSTD_CCtx *context = NULL;
    if (encoder->compression == COMPRESSION_ZSTD)
        context = ZSTD_createCCtx(); /* NULL: each block tries again for itself */
    while (!atomic_load_explicit(&encoder->closing, memory_order_acquire)) {
        unsigned seen = event_sequence(&encoder->work);
        struct block *block = block_claim(encoder);
        if (block)
            block_compress(encoder, block, context);
        else if (!atomic_load_explicit(&encoder->closing, memory_order_acquire))
            event_wait(&encoder->work, seen, THREAD_WAIT);
    }
    ZSTD_freeCCtx(context);
}

static struct block *block_at(struct encoder *encoder, uint64_t number)
{
    return &encoder->blocks[number % encoder->block_count];
}

static bool blocks_open(struct encoder *encoder, const struct encoder_limits *limits)
{
    size_t out = encoder_bound(encoder->compression, ENCODER_BLOCK);
    size_t fitting = limits->memory / (ENCODER_BLOCK + out);
    encoder->block_count =
        (unsigned)size_max(2, size_min(fitting, size_min(encoder->thread_count + 2, BLOCKS_MAX)));
    for (unsigned i = 0; i < encoder->block_count; i++) {
        encoder->blocks[i].content = memory_take(ENCODER_BLOCK);
        encoder->blocks[i].out = memory_take(out);
        if (!encoder->blocks[i].content || !encoder->blocks[i].out)
            return false;
    }
    return true;
}

struct encoder *encoder_open(enum compression compression, const struct encoder_limits *limits,
                             struct io_engine *engine, struct error *error)
{
    struct encoder *encoder = memory_take_zeroed(1, sizeof(*encoder));
    if (!encoder) {
        error_set(error, ERROR_MEMORY, "no memory to compress");
        return NULL;
    }
    encoder->compression = compression;
    encoder->level = limits->level;
    encoder->engine = engine;
    encoder->thread_count = (unsigned)size_min(limits->threads, THREADS_MAX);
    bool done =
        blocks_open(encoder, limits) || error_set(error, ERROR_MEMORY, "no memory to compress");
    for (unsigned i = 0; done && i < encoder->thread_count; i++)
        done = thread_start(&encoder->threads[i], "encode", encoder_run, encoder, error);
    if (done)
        return encoder;
    encoder_close(encoder);
    return NULL;
}

void encoder_close(struct encoder *encoder)
{
    if (!encoder)
        return;
    atomic_store_explicit(&encoder->closing, true, memory_order_release);
    event_signal(&encoder->work);
    for (unsigned i = 0; i < encoder->thread_count; i++)
        thread_join(&encoder->threads[i]);
    for (unsigned i = 0; i < encoder->block_count; i++) {
        free(encoder->blocks[i].content);
        free(encoder->blocks[i].out);
    }
    free(encoder);
}

static bool filling_free(const struct encoder *encoder)
{
    return encoder->filling - encoder->releasing < encoder->block_count;
}

static void filling_queue(struct encoder *encoder)
{
    struct block *block = block_at(encoder, encoder->filling++);
    if (encoder->thread_count == 0) {
        block_compress(encoder, block, NULL);
        return;
    }
    atomic_store_explicit(&block->state, BLOCK_QUEUED, memory_order_release);
    event_signal(&encoder->work);
}

void encoder_continue(struct encoder *encoder, struct string tail)
{
    CHECK(encoder->filling == 0 && tail.length < ENCODER_BLOCK && !encoder->ended);
    struct block *block = block_at(encoder, 0);
    CHECK(block->length == 0);
    if (tail.length > 0)
        memcpy(block->content, tail.data, tail.length);
    block->length = tail.length;
    encoder->continues = true;
}

struct string encoder_tail(const struct encoder *encoder)
{
    /* A slot still in use is that of an older block: then nothing is open. */
    if (encoder->ended || !filling_free(encoder))
        return (struct string){0};
    const struct block *block = &encoder->blocks[encoder->filling % encoder->block_count];
    return (struct string){block->content, block->length};
}

size_t encoder_add(struct encoder *encoder, const char *data, size_t length)
{
    CHECK(!encoder->ended);
    size_t taken = 0;
    while (taken < length && filling_free(encoder)) {
        struct block *block = block_at(encoder, encoder->filling);
        size_t part = size_min(length - taken, ENCODER_BLOCK - block->length);
        memcpy(block->content + block->length, data + taken, part);
        block->length += part;
        taken += part;
        if (block->length == ENCODER_BLOCK)
            filling_queue(encoder);
    }
    return taken;
}

size_t encoder_room(const struct encoder *encoder)
{
    uint64_t used = encoder->filling - encoder->releasing;
    if (used == encoder->block_count)
        return 0;
    size_t partial = encoder->blocks[encoder->filling % encoder->block_count].length;
    return (size_t)(encoder->block_count - used) * ENCODER_BLOCK - partial;
}

bool encoder_end(struct encoder *encoder)
{
    if (encoder->ended)
        return true;
    if (!filling_free(encoder))
        return false;
    bool empty = encoder->filling == 0 && !encoder->continues;
    if (empty || block_at(encoder, encoder->filling)->length > 0)
        filling_queue(encoder);
    encoder->ended = true;
    return true;
}

bool encoder_next(struct encoder *encoder, const char **data, size_t *length, void **handle,
                  bool *failed, struct error *error)
{
    *failed = false;
    if (encoder->handing == encoder->filling)
        return false;
    struct block *block = block_at(encoder, encoder->handing);
    int state = atomic_load_explicit(&block->state, memory_order_acquire);
    if (state == BLOCK_FAILED) {
        *failed = true;
        return error_set(error, ERROR_MEMORY, "no memory to compress: lower the level");
    }
    if (state != BLOCK_DONE)
        return false;
    *data = block->out;
    *length = block->out_length;
    *handle = block;
    encoder->handing++;
    return true;
}

bool encoder_owns(const struct encoder *encoder, const void *handle)
{
    const struct block *block = handle;
    return block >= encoder->blocks && block < encoder->blocks + encoder->block_count;
}

void encoder_release(struct encoder *encoder, void *handle)
{
    struct block *block = handle;
    CHECK(block == block_at(encoder, encoder->releasing));
    block->length = 0;
    atomic_store_explicit(&block->state, BLOCK_FREE, memory_order_relaxed);
    encoder->releasing++;
}

bool encoder_is_empty(const struct encoder *encoder)
{
    return encoder->releasing == encoder->filling;
}
