/* Fuzzes the reading of compressed input. Hostile bytes as they are, and frames and members made
 * by libzstd and zlib with a byte changed, go through every decoder (serial, frames in parallel,
 * streams; small reads and small tasks). What the library's one-shot call accepts must come out
 * equal, what it refuses must end in an error that names the input and a byte of it, and memory
 * stays within what the limits promise. */
#include <fcntl.h>
#include <sched.h>
#include <sanitizer/allocator_interface.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "io/decoder.h"

#define CONTENT_MAX  (1u << 20) /* more than this is not compared */
#define PACKED_MAX   (64u << 10)
#define MEMORY       (1u << 20)
#define MEMORY_BOUND (12u << 20) /* a window of 8 MiB is always allowed (RFC 8878) */
#define TASK_MAX     (64u << 10)

enum verdict {
    VALID,
    REFUSED,
    EITHER, /* the library's ways of decoding do not agree */
    LONG,   /* valid or not: longer than is compared */
};

struct expected {
    enum verdict verdict;
    size_t length;
};

static atomic_bool watching;
static size_t allocated_before;

static void allocation_watch(const volatile void *pointer, size_t size)
{
    (void)pointer;
    if (size > 4096 && atomic_load_explicit(&watching, memory_order_relaxed))
        CHECK(__sanitizer_get_current_allocated_bytes() < allocated_before + MEMORY_BOUND);
}

static void free_ignore(const volatile void *pointer)
{
    (void)pointer;
}

/* Only frames of RFC 8878: the library may also know formats from before it. */
static bool zstd_frames_only(const uint8_t *data, size_t size)
{
    while (size > 0) {
        if (compression_detect(data, size) != COMPRESSION_ZSTD)
            return false;
        size_t frame = ZSTD_findFrameCompressedSize(data, size);
        if (ZSTD_isError(frame))
            return false;
        data += frame;
        size -= frame;
    }
    return true;
}

/* The library's own two ways of decoding do not agree on all damage: its streams refuse blocks that
 * ZSTD_decompress lets pass. */
static bool zstd_streams(const uint8_t *data, size_t size)
{
    static char out[CONTENT_MAX];
    ZSTD_DStream *stream = ZSTD_createDStream();
    CHECK(stream);
    ZSTD_inBuffer input = {data, size, 0};
    size_t result = 0;
    while (!ZSTD_isError(result) && input.pos < input.size) {
        ZSTD_outBuffer output = {out, sizeof(out), 0};
        result = ZSTD_decompressStream(stream, &output, &input);
    }
    ZSTD_freeDStream(stream);
    return !ZSTD_isError(result);
}

static struct expected zstd_expected(const uint8_t *data, size_t size, char *content)
{
    if (!zstd_frames_only(data, size))
        return (struct expected){REFUSED, 0};
    size_t length = ZSTD_decompress(content, CONTENT_MAX, data, size);
    if (!ZSTD_isError(length))
        return (struct expected){zstd_streams(data, size) ? VALID : EITHER, length};
    bool is_long = strcmp(ZSTD_getErrorName(length), "Destination buffer is too small") == 0;
    return (struct expected){is_long ? LONG : REFUSED, 0};
}

static struct expected gzip_expected(const uint8_t *data, size_t size, char *content)
{
    z_stream stream = {.next_in = (uint8_t *)(uintptr_t)data, .avail_in = (unsigned)size};
    stream.next_out = (unsigned char *)content;
    stream.avail_out = CONTENT_MAX;
    CHECK(inflateInit2(&stream, MAX_WBITS + 16) == Z_OK);
    int result = Z_STREAM_END;
    while (result == Z_STREAM_END && stream.avail_in > 0) {
        result = inflate(&stream, Z_FINISH);
        if (result == Z_STREAM_END)
            CHECK(inflateReset(&stream) == Z_OK);
    }
    inflateEnd(&stream);
    if (result == Z_STREAM_END)
        return (struct expected){VALID, CONTENT_MAX - stream.avail_out};
    return (struct expected){stream.avail_out == 0 ? LONG : REFUSED, 0};
}

/* A file with the bytes, or the reading end of a pipe that holds them. */
static int input_open(const uint8_t *data, size_t size, bool as_stream)
{
    if (as_stream) {
        int ends[2];
        CHECK(pipe(ends) == 0);
        CHECK(write(ends[1], data, size) == (ssize_t)size);
        close(ends[1]);
        return ends[0];
    }
    int fd = memfd_create("compressed", MFD_CLOEXEC);
    CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    return fd;
}

struct reading {
    const uint8_t *data;
    size_t size;
    enum compression compression;
    unsigned threads;
    bool as_stream;
    size_t read_size;
    size_t task;
    unsigned task_limit; /* then it is closed where it stands */
};

struct outcome {
    bool ended;
    bool failed;
    struct error error;
    char *content;
    size_t length; /* what was more than CONTENT_MAX is not kept */
};

static void task_note(const struct decoder_task *task, const struct reading *reading,
                      struct outcome *outcome)
{
    CHECK(task->filled <= task->length && task->frame <= reading->size && !task->surplus);
    size_t part = size_min(task->filled, CONTENT_MAX - outcome->length);
    memcpy(outcome->content + outcome->length, task->buffer, part);
    outcome->length += part;
    outcome->ended = task->last;
    outcome->failed = task->failed;
    if (task->failed)
        outcome->error = task->error;
}

static void read_all(const struct reading *reading, struct outcome *outcome)
{
    struct decoder_limits limits = {
        .threads = reading->threads, .memory = MEMORY, .read_size = reading->read_size};
    struct error error = {0};
    int fd = input_open(reading->data, reading->size, reading->as_stream);
    allocated_before = __sanitizer_get_current_allocated_bytes();
    atomic_store(&watching, true);
    struct decoder *decoder =
        decoder_open(reading->compression, fd, reading->as_stream ? IO_NO_OFFSET : 0,
                     (struct string){0}, "name", &limits, NULL, &error);
    CHECK(decoder);
    char *buffer = malloc(TASK_MAX);
    uint64_t raw = 0;
    outcome->length = 0;
    outcome->ended = outcome->failed = false;
    for (unsigned i = 0; i < reading->task_limit && !outcome->ended && !outcome->failed; i++) {
        struct decoder_task task = {.buffer = buffer, .length = reading->task};
        decoder_submit(decoder, &task);
        while (!decoder_task_done(&task))
            sched_yield();
        task_note(&task, reading, outcome);
        raw += task.raw_bytes;
        if (outcome->length == CONTENT_MAX)
            break;
    }
    CHECK(raw <= reading->size);
    CHECK(!outcome->ended || raw == reading->size);
    decoder_close(decoder);
    atomic_store(&watching, false);
    free(buffer);
    close(fd);
}

static void outcome_check(const struct reading *reading, const struct outcome *outcome,
                          struct expected expected, const char *content)
{
    if (outcome->failed) {
        CHECK(outcome->error.code == ERROR_CORRUPT || outcome->error.code == ERROR_TRUNCATED ||
              outcome->error.code == ERROR_MEMORY);
        CHECK(strncmp(outcome->error.text, "name: ", 6) == 0);
        CHECK(strstr(outcome->error.text, "byte ") || outcome->error.code == ERROR_MEMORY);
        CHECK(expected.verdict != VALID || outcome->error.code == ERROR_MEMORY);
    }
    if (outcome->ended)
        CHECK((expected.verdict == VALID || expected.verdict == EITHER) &&
              outcome->length == expected.length);
    if (expected.verdict == VALID)
        CHECK(outcome->length <= expected.length &&
              memcmp(outcome->content, content, outcome->length) == 0);
    if (reading->task_limit == UINT32_MAX)
        CHECK(outcome->ended || outcome->failed || outcome->length == CONTENT_MAX);
}

/* Packs the content as `pieces` frames or members, with or without checksum and size. */
static size_t pack(const uint8_t *content, size_t size, bool gzip, unsigned knobs, uint8_t *packed)
{
    size_t length = 0;
    size_t piece = size / (1 + knobs % 4) + 1;
    for (size_t at = 0; at < size; at += piece) {
        size_t part = size_min(piece, size - at);
        size_t repeat = knobs & 4 ? 20 : 1; /* something to match */
        uint8_t text[8192];
        for (size_t i = 0; i < repeat; i++)
            memcpy(text + i * part, content + at, part);
        if (gzip) {
            z_stream stream = {.next_in = text, .avail_in = (unsigned)(part * repeat)};
            stream.next_out = packed + length;
            stream.avail_out = (unsigned)(PACKED_MAX - length);
            CHECK(deflateInit2(&stream, 1 + (knobs & 7), Z_DEFLATED, MAX_WBITS + 16, 8, 0) == Z_OK);
            CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
            deflateEnd(&stream);
            length = PACKED_MAX - stream.avail_out;
            continue;
        }
        ZSTD_CCtx *context = ZSTD_createCCtx();
        ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, knobs >> 3 & 1);
        ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, knobs >> 4 & 1);
        size_t made =
            ZSTD_compress2(context, packed + length, PACKED_MAX - length, text, part * repeat);
        CHECK(!ZSTD_isError(made));
        ZSTD_freeCCtx(context);
        length += made;
    }
    return length;
}

/* Two outcomes of the same bytes: what both delivered is the same, and so is the error where both
 * read files of zstd to their end. */
static void outcomes_agree(const struct outcome *a, const struct outcome *b, bool whole)
{
    CHECK(memcmp(a->content, b->content, size_min(a->length, b->length)) == 0);
    if (!whole)
        return;
    CHECK(a->failed == b->failed && a->length == b->length);
    CHECK(!a->failed || strcmp(a->error.text, b->error.text) == 0);
}

static void decode_check(const uint8_t *data, size_t size, enum compression compression,
                         const uint8_t *knobs)
{
    static char content[CONTENT_MAX], first[CONTENT_MAX], second[CONTENT_MAX];
    struct expected expected = compression == COMPRESSION_GZIP ? gzip_expected(data, size, content)
                                                               : zstd_expected(data, size, content);
    struct reading reading = {.data = data,
                              .size = size,
                              .compression = compression,
                              .read_size = knobs[1] % 16 ? (size_t)(knobs[1] + 1) : 256u << 10,
                              .task = knobs[2] % 16 ? (size_t)(knobs[2] * 17 + 1) : TASK_MAX,
                              .task_limit = UINT32_MAX};
    struct outcome serial = {.content = first}, other = {.content = second};
    read_all(&reading, &serial);
    outcome_check(&reading, &serial, expected, content);
    reading.threads = 1 + knobs[0] % 3;
    reading.as_stream = knobs[0] & 0x40;
    reading.task_limit = knobs[0] & 0x80 ? 1 + knobs[0] / 8 % 4 : UINT32_MAX;
    read_all(&reading, &other);
    outcome_check(&reading, &other, expected, content);
    bool whole = compression == COMPRESSION_ZSTD && !reading.as_stream &&
                 reading.task_limit == UINT32_MAX &&
                 (expected.verdict == VALID || expected.verdict == REFUSED);
    outcomes_agree(&serial, &other, whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t packed[PACKED_MAX];
    static bool hooked;
    if (!hooked)
        CHECK(__sanitizer_install_malloc_and_free_hooks(allocation_watch, free_ignore) > 0);
    hooked = true;
    if (size < 6 || size > 4096)
        return 0;
    const uint8_t *knobs = data;
    enum compression compression = knobs[3] & 1 ? COMPRESSION_GZIP : COMPRESSION_ZSTD;
    data += 6;
    size -= 6;
    if (!(knobs[3] & 2)) {
        decode_check(data, size, compression, knobs);
        return 0;
    }
    size_t length =
        pack(data, size_min(size, 400), compression == COMPRESSION_GZIP, knobs[3] >> 2, packed);
    size_t at = (size_t)(knobs[4] & 0x7f) * length / 128;
    if (length > 0 && !(knobs[4] & 0x80))
        packed[at] ^= knobs[5];
    else if (knobs[5] & 1)
        length = at;
    decode_check(packed, length, compression, knobs);
    return 0;
}
