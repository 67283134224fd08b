/* Compressed input and output against the tools zstd and gzip: what they wrote is read, what is
 * written they read; damage and truncation are told, with what came before delivered. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "io/decoder_codec.h"
#include "io/engine_simulated.h"
#include "tests/io/fixture.h"
#include "tests/suite.h"

#define TEXT_SIZE (6u << 20)

/* Numbered lines with something that does not compress well. */
static char *text_make(size_t size)
{
    char *text = malloc(size + 64);
    unsigned seed = 1;
    size_t at = 0;
    for (unsigned i = 0; at < size - 64; i++) {
        seed = seed * 1664525u + 1013904223u;
        at += (size_t)snprintf(text + at, 64, "%u %x some text that comes again\n", i, seed);
    }
    memset(text + at, 'x', size - at - 1);
    text[size - 1] = '\n';
    return text;
}

static bool shell(const char *format, const char *a, const char *b)
{
    char command[1024];
    snprintf(command, sizeof(command), format, a, b);
    return system(command) == 0;
}

static bool tools_missing(void)
{
    bool missing = system("command -v zstd gzip > /dev/null") != 0;
    if (missing)
        suite_skip("zstd and gzip are not installed");
    return missing;
}

/* Reads a file to its end. The caller frees the content. */
static enum source_result read_content(const char *path, enum io_engine_kind kind,
                                       unsigned decoders, char **content, size_t *length,
                                       struct error *error)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture_open(fixture, kind, 64 * 1024, 1 << 20);
    fixture->source_limits.decoders = decoders;
    fixture->keep_content = true;
    enum source_result result = SOURCE_FAIL;
    if (fixture_source(fixture, &path, 1, NULL))
        result = fixture_run(fixture);
    *error = fixture->error;
    *content = fixture->content;
    *length = fixture->content_length;
    fixture->content = NULL;
    fixture_close(fixture);
    free(fixture);
    return result;
}

/* The same; the content must be `text` (or begin it, if `part`). */
static enum source_result read_all(const char *path, enum io_engine_kind kind, unsigned decoders,
                                   const char *text, size_t length, bool part, struct error *error)
{
    char *content;
    size_t got;
    enum source_result result = read_content(path, kind, decoders, &content, &got, error);
    CU_ASSERT(part ? got <= length : got == length);
    CU_ASSERT(got <= length && (got == 0 || memcmp(content, text, got) == 0));
    free(content);
    return result;
}

static void expect_read(const char *path, const char *text, size_t length)
{
    struct error error;
    for (unsigned decoders = 0; decoders < 4; decoders++)
        CU_ASSERT_EQUAL(read_all(path, IO_ENGINE_AUTO, decoders, text, length, false, &error),
                        SOURCE_END);
}

static void reads_tools(void)
{
    if (tools_missing())
        return;
    char *text = text_make(TEXT_SIZE);
    const char *plain = test_path("plain");
    const char *packed = test_path("packed");
    test_write(plain, text, TEXT_SIZE);
    static const char *const commands[] = {
        "zstd -q -f -3 '%s' -o '%s'",
        "zstd -q -f -1 --no-check '%s' -o '%s'",
        "zstd -q -c - < '%s' > '%s'", /* no content size */
        "zstd -q -f --ultra --long=24 '%s' -o '%s'",
        "split -b 1000000 --filter='zstd -q -c -' '%s' > '%s'", /* frames without sizes */
        "gzip -1 -c '%s' > '%s'",
        "split -b 700000 --filter='gzip -c' '%s' > '%s'",
    };
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        CU_ASSERT_TRUE_FATAL(shell(commands[i], plain, packed));
        expect_read(packed, text, TEXT_SIZE);
    }
    free(text);
}

/* Frames with known sizes, small, large and empty, with skippable frames between them. */
static void reads_frames(void)
{
    if (tools_missing())
        return;
    char *text = text_make(TEXT_SIZE);
    const char *packed = test_path("frames");
    const char *piece = test_path("piece");
    FILE *file = fopen(packed, "wb");
    size_t sizes[] = {1, 300, 0, 70000, 2u << 20, 5, 0};
    size_t at = 0;
    for (unsigned i = 0; at < TEXT_SIZE; i++) {
        size_t size = size_min(sizes[i % ARRAY_SIZE(sizes)], TEXT_SIZE - at);
        test_write(piece, text + at, size);
        at += size;
        CU_ASSERT_TRUE_FATAL(shell("zstd -q -f '%s' -o '%s.zst'", piece, piece));
        char name[300];
        snprintf(name, sizeof(name), "%s.zst", piece);
        size_t length;
        char *frame = test_read(name, &length);
        fwrite("\x53\x2a\x4d\x18\x05\0\0\0hello", 1, 13, file);
        fwrite(frame, 1, length, file);
        free(frame);
    }
    fclose(file);
    expect_read(packed, text, TEXT_SIZE);
    free(text);
}

static void simulated_frames(void)
{
    if (tools_missing())
        return;
    char *text = text_make(200000);
    const char *plain = test_path("sim");
    const char *packed = test_path("sim.zst");
    test_write(plain, text, 200000);
    CU_ASSERT_TRUE_FATAL(shell("zstd -q -f '%s' -o '%s'", plain, packed));
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct error error;
        struct io_simulation *simulation = io_simulation_open(seed, &error);
        CU_ASSERT_EQUAL(read_all(packed, IO_ENGINE_SIMULATED, 0, text, 200000, false, &error),
                        SOURCE_END);
        io_simulation_close(simulation);
    }
    free(text);
}

static void tiny_reads(void)
{
    if (tools_missing())
        return;
    char *text = text_make(30000);
    const char *plain = test_path("tiny");
    const char *packed = test_path("tiny.packed");
    test_write(plain, text, 30000);
    static const char *const commands[] = {"split -b 9000 --filter='zstd -q -c -' '%s' > '%s'",
                                           "split -b 9000 --filter='gzip -c' '%s' > '%s'"};
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        CU_ASSERT_TRUE_FATAL(shell(commands[i], plain, packed));
        for (int size = 1; size <= 7; size++) {
            char number[8];
            snprintf(number, sizeof(number), "%d", size);
            setenv("LEAT_READ_SIZE", number, 1);
            struct error error;
            CU_ASSERT_EQUAL(read_all(packed, IO_ENGINE_AUTO, 2, text, 30000, false, &error),
                            SOURCE_END);
        }
    }
    unsetenv("LEAT_READ_SIZE");
    free(text);
}

/* Cut anywhere inside a frame: what came before, then the error with the offset. */
static void truncated(void)
{
    if (tools_missing())
        return;
    char *text = text_make(1 << 20);
    const char *plain = test_path("whole");
    const char *packed = test_path("cut");
    test_write(plain, text, 1 << 20);
    static const char *const commands[] = {"zstd -q -f '%s' -o '%s'", "gzip -c '%s' > '%s'"};
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        CU_ASSERT_TRUE_FATAL(shell(commands[i], plain, packed));
        size_t length;
        char *bytes = test_read(packed, &length);
        for (size_t cut = 5; cut < length; cut += 1 + length / 23) {
            CU_ASSERT_EQUAL(truncate(packed, (off_t)cut), 0);
            struct error error;
            CU_ASSERT_EQUAL(read_all(packed, IO_ENGINE_AUTO, 2, text, 1 << 20, true, &error),
                            SOURCE_FAIL);
            char expected[64];
            snprintf(expected, sizeof(expected), "ends at byte %zu ", cut);
            CU_ASSERT_EQUAL(error.code, ERROR_TRUNCATED);
            CU_ASSERT_PTR_NOT_NULL(strstr(error.text, expected));
            test_write(packed, bytes, length);
        }
        free(bytes);
    }
    free(text);
}

static void corrupt(void)
{
    if (tools_missing())
        return;
    char *text = text_make(1 << 20);
    const char *plain = test_path("sound");
    const char *packed = test_path("damaged");
    test_write(plain, text, 1 << 20);
    static const char *const commands[] = {"zstd -q -f '%s' -o '%s'", "gzip -c '%s' > '%s'"};
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        CU_ASSERT_TRUE_FATAL(shell(commands[i], plain, packed));
        size_t length;
        char *bytes = test_read(packed, &length);
        bytes[length - 3] ^= 1; /* in the checksum (zstd) or the length (gzip) */
        test_write(packed, bytes, length);
        struct error error;
        CU_ASSERT_EQUAL(read_all(packed, IO_ENGINE_AUTO, 2, text, 1 << 20, true, &error),
                        SOURCE_FAIL);
        CU_ASSERT_EQUAL(error.code, ERROR_CORRUPT);
        bytes[length - 3] ^= 1;
        bytes = realloc(bytes, length + 7);
        memcpy(bytes + length, "garbage", 7);
        test_write(packed, bytes, length + 7);
        CU_ASSERT_EQUAL(read_all(packed, IO_ENGINE_AUTO, 2, text, 1 << 20, true, &error),
                        SOURCE_FAIL);
        CU_ASSERT_EQUAL(error.code, ERROR_CORRUPT);
        free(bytes);
    }
    free(text);
}

struct outcome {
    enum source_result result;
    struct error error;
    char *content;
    size_t length;
};

static struct outcome outcome_read(const char *path, unsigned decoders)
{
    struct outcome outcome;
    outcome.result = read_content(path, IO_ENGINE_AUTO, decoders, &outcome.content, &outcome.length,
                                  &outcome.error);
    if (outcome.result != SOURCE_FAIL)
        outcome.error.text[0] = 0;
    return outcome;
}

/* A damaged frame among others is judged the same by every number of threads: the error says the
 * same, and as much comes before it. */
static void damage_is_judged_alike(void)
{
    if (tools_missing())
        return;
    char *text = text_make(600000);
    const char *plain = test_path("alike");
    const char *packed = test_path("alike.packed");
    unsigned failures = 0;
    test_write(plain, text, 600000);
    static const char *const commands[] = {
        "split -b 200000 --filter='zstd -q -c -' '%s' > '%s'", /* no content size */
        "split -b 200000 --filter='cat > \"$0.x\"; zstd -q -c \"$0.x\"; rm \"$0.x\"' '%s' > '%s'",
        "split -b 200000 --filter='zstd -q --no-check -c -' '%s' > '%s'",
    };
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        CU_ASSERT_TRUE_FATAL(shell(commands[i], plain, packed));
        size_t length;
        char *bytes = test_read(packed, &length);
        for (size_t at = 3; at < length; at += 1 + length / 40) {
            bytes[at] ^= 0x55;
            test_write(packed, bytes, length);
            bytes[at] ^= 0x55;
            struct outcome alone = outcome_read(packed, 1);
            for (unsigned decoders = 0; decoders < 4; decoders++) {
                struct outcome other = outcome_read(packed, decoders);
                CU_ASSERT_EQUAL(other.result, alone.result);
                CU_ASSERT_EQUAL(other.length, alone.length);
                CU_ASSERT(
                    other.length == alone.length &&
                    (alone.length == 0 || memcmp(other.content, alone.content, alone.length) == 0));
                CU_ASSERT_STRING_EQUAL(other.error.text, alone.error.text);
                free(other.content);
            }
            failures += alone.result == SOURCE_FAIL;
            free(alone.content);
        }
        free(bytes);
    }
    CU_ASSERT_TRUE(failures > 30);
    free(text);
}

/* Frames that do not tell their size are cut out of the input ahead of what is decoded: with room
 * for one byte of content, more than the first frame is read. */
static void frames_are_read_ahead(void)
{
    if (tools_missing())
        return;
    char *text = text_make(60000);
    const char *plain = test_path("ahead");
    const char *packed = test_path("ahead.packed");
    test_write(plain, text, 60000);
    CU_ASSERT_TRUE_FATAL(
        shell("split -b 20000 --filter='zstd -q -c -' '%s' > '%s'", plain, packed));
    struct decoder_limits limits = {.threads = 2, .memory = 16 << 20, .read_size = SIZE_MAX};
    struct error error;
    struct codec *codec = codec_zstd_frames.open(&limits, &error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(codec);
    struct decoder_input input = {.name = "ahead", .end = true};
    input.buffer = test_read(packed, &input.length);
    char *content = malloc(60000);
    size_t filled = 0, ahead = 0;
    enum codec_result result = CODEC_OK;
    while (result == CODEC_OK) {
        size_t room = size_min(filled + 1000, 60000);
        result = codec->ops->decode(codec, &input, content, room, &filled, &error);
        if (filled > 0 && filled < 20000)
            ahead = size_max(ahead, input.position);
    }
    CU_ASSERT_EQUAL(result, CODEC_END);
    CU_ASSERT_EQUAL(filled, 60000);
    CU_ASSERT_EQUAL(memcmp(content, text, 60000), 0);
    CU_ASSERT_TRUE(ahead > input.length * 9 / 10); /* three jobs for two threads */
    codec->ops->close(codec);
    free(input.buffer);
    free(content);
    free(text);
}

static void large_window(void)
{
    if (tools_missing())
        return;
    char *text = text_make(1 << 20);
    const char *plain = test_path("window");
    const char *packed = test_path("window.zst");
    test_write(plain, text, 1 << 20);
    CU_ASSERT_TRUE_FATAL(shell("zstd -q --ultra --long=27 -c - < '%s' > '%s'", plain, packed));
    struct error error; /* 128 MiB, where 16 are allowed */
    CU_ASSERT_EQUAL(read_all(packed, IO_ENGINE_AUTO, 2, text, 1 << 20, true, &error), SOURCE_FAIL);
    CU_ASSERT_EQUAL(error.code, ERROR_MEMORY);
    free(text);
}

/* Through a pipe, with the compression told by the first bytes. */
static void from_a_pipe(void)
{
    if (tools_missing())
        return;
    char *text = text_make(TEXT_SIZE);
    const char *plain = test_path("piped");
    test_write(plain, text, TEXT_SIZE);
    static const char *const tools[] = {"zstd -q -c '%s'%s", "gzip -1 -c '%s'%s", "cat '%s'%s"};
    for (size_t i = 0; i < ARRAY_SIZE(tools); i++) {
        char command[512];
        snprintf(command, sizeof(command), tools[i], plain, "");
        FILE *pipe = popen(command, "r");
        CU_ASSERT_PTR_NOT_NULL_FATAL(pipe);
        char path[64];
        snprintf(path, sizeof(path), "/dev/fd/%d", fileno(pipe));
        struct error error;
        CU_ASSERT_EQUAL(read_all(path, IO_ENGINE_AUTO, 2, text, TEXT_SIZE, false, &error),
                        SOURCE_END);
        pclose(pipe);
    }
    free(text);
}

/* Copies through a sink that compresses, and lets the tool decompress it. */
static void writes(const char *name, const char *decompress, unsigned encoders, size_t size)
{
    char *text = text_make(size < 64 ? 64 : size);
    const char *plain = test_path("to-pack");
    const char *packed = test_path(name);
    const char *back = test_path("back");
    test_write(plain, text, size);
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture_open(fixture, IO_ENGINE_AUTO, 64 * 1024, 1 << 20);
    fixture->sink_limits.encoders = encoders;
    CU_ASSERT_TRUE_FATAL(fixture_source(fixture, &plain, 1, NULL));
    CU_ASSERT_TRUE_FATAL(fixture_sink(fixture, packed, NULL));
    CU_ASSERT_EQUAL(fixture_run(fixture), SOURCE_END);
    CU_ASSERT_TRUE(fixture_publish(fixture));
    fixture_close(fixture);
    free(fixture);
    CU_ASSERT_TRUE(shell(decompress, packed, back));
    size_t length;
    char *content = test_read(back, &length);
    CU_ASSERT_EQUAL(length, size);
    CU_ASSERT(length == size && memcmp(content, text, size) == 0);
    free(content);
    free(text);
}

static void writes_for_tools(void)
{
    if (tools_missing())
        return;
    for (unsigned encoders = 0; encoders < 4; encoders++) {
        writes("out.zst", "zstd -q -dc '%s' > '%s'", encoders, TEXT_SIZE * 3);
        writes("out.gz", "gzip -dc '%s' > '%s'", encoders, TEXT_SIZE);
        writes("none.zst", "zstd -q -dc '%s' > '%s'", encoders, 0);
        writes("none.gz", "gzip -dc '%s' > '%s'", encoders, 0);
    }
}

SUITE(compression, {"reads what the tools write", reads_tools},
      {"reads frames of all sizes, and skippable ones", reads_frames},
      {"20 seeds without threads", simulated_frames}, {"reads of 1 to 7 bytes", tiny_reads},
      {"truncated input", truncated}, {"damaged input", corrupt},
      {"damage is judged alike by every number of threads", damage_is_judged_alike},
      {"frames without sizes are read ahead", frames_are_read_ahead},
      {"a window beyond memory", large_window}, {"from a pipe", from_a_pipe},
      {"writes what the tools read", writes_for_tools})
