/* Sources that go on: from any batch boundary, over files that were appended to, renamed, cut,
 * changed, replaced or deleted meanwhile (DELIVERY, "Files under our feet"). */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/hash.h"
#include "io/encoder.h"
#include "io/engine_simulated.h"
#include "tests/io/fixture.h"
#include "tests/suite.h"

#define FILES 3
#define MOST  64

/* What a runtime records of a run. */
struct recorded {
    struct position position;
    struct input inputs[MOST];
    char names[MOST][256];
    uint32_t count;
};

static char *numbers_make(unsigned from, unsigned to, size_t *length)
{
    size_t room = (size_t)(to - from) * 32 + 1;
    char *text = malloc(room);
    size_t at = 0;
    for (unsigned i = from; i < to; i++)
        at += (size_t)snprintf(text + at, room - at, "line %u%.*s\n", i, (int)(i * 7919u % 12),
                               "abcdefghijkl");
    *length = at;
    return text;
}

static void numbers_write(const char *path, unsigned from, unsigned to, const char *mode)
{
    size_t length;
    char *text = numbers_make(from, to, &length);
    FILE *file = fopen(path, mode);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_EQUAL(fwrite(text, 1, length, file), length);
    fclose(file);
    free(text);
}

/* Frames of `frame` bytes of content each. */
static void compressed_write(const char *path, enum compression compression, unsigned from,
                             unsigned to, size_t frame, const char *mode)
{
    size_t length;
    char *text = numbers_make(from, to, &length);
    size_t capacity = encoder_bound(compression, frame);
    char *out = malloc(capacity);
    FILE *file = fopen(path, mode);
    for (size_t at = 0; at < length; at += frame) {
        size_t part = length - at < frame ? length - at : frame;
        size_t made = encoder_compress(compression, 1, text + at, part, out, capacity);
        CU_ASSERT_EQUAL(fwrite(out, 1, made, file), made);
    }
    fclose(file);
    free(out);
    free(text);
}

static struct position_mark mark_make(const struct batch *batch, bool head)
{
    uint32_t length = batch->text_length < 1024 ? batch->text_length : 1024;
    uint32_t from = head ? 0 : batch->text_length - length;
    return (struct position_mark){.offset = batch->origin.offset + from,
                                  .length = length,
                                  .hash = hash_bytes(batch->text + from, length, HASH_SEED)};
}

/* As the runtime does when a batch is settled. */
static void batch_settle(struct fixture *fixture, const struct batch *batch,
                         struct position *position)
{
    struct position_mark head = position->head;
    if (batch->starts_input || position->input != batch->origin.input)
        head = mark_make(batch, true);
    *position = (struct position){.input = batch->origin.input,
                                  .offset = batch->content_end,
                                  .line = batch->line_end,
                                  .frame = batch->frame,
                                  .frame_offset = batch->frame_offset,
                                  .state = batch->state_end,
                                  .head = head,
                                  .tail = mark_make(batch, false)};
    if (batch->ends_input)
        fixture->source->inputs[batch->origin.input].at = *position;
}

static void record(const struct fixture *fixture, const struct position *position,
                   struct recorded *recorded)
{
    recorded->position = *position;
    recorded->count = fixture->source->input_count;
    CU_ASSERT_FATAL(recorded->count <= MOST);
    for (uint32_t i = 0; i < recorded->count; i++) {
        recorded->inputs[i] = fixture->source->inputs[i];
        snprintf(recorded->names[i], 256, "%s", fixture->source->inputs[i].name);
        recorded->inputs[i].name = recorded->names[i];
        recorded->inputs[i].names = NULL;
    }
}

static struct fixture *reader_open(enum io_engine_kind kind, const struct options *options,
                                   size_t batch_text)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture_open(fixture, kind, batch_text, 1 << 20);
    if (kind == IO_ENGINE_SIMULATED)
        fixture->source_limits.decoders = 0;
    CU_ASSERT_TRUE_FATAL(fixture_source(fixture, NULL, 0, options));
    CU_ASSERT_TRUE(fixture->source->replayable);
    return fixture;
}

static void reader_close(struct fixture *fixture)
{
    fixture_close(fixture);
    free(fixture);
}

static bool reader_seek(struct fixture *fixture, const struct recorded *recorded, bool incremental)
{
    fixture->source_context.inputs = recorded->inputs;
    fixture->source_context.input_count = recorded->count;
    fixture->source_context.incremental = incremental;
    return fixture->source->ops->seek(fixture->source, &recorded->position, &fixture->error);
}

/* Reads at most `batches` batches, or all; what came is appended to the text. */
static enum source_result read_some(struct fixture *fixture, unsigned batches,
                                    struct position *position, char *text, size_t *length)
{
    enum source_result result = SOURCE_READY;
    struct batch *batch;
    while (batches-- > 0 && (result = fixture_take(fixture, &batch)) == SOURCE_READY) {
        memcpy(text + *length, batch->text, batch->text_length);
        *length += batch->text_length;
        batch_settle(fixture, batch, position);
        fixture_give_back(fixture, batch);
    }
    return result;
}

static const char *const kinds[] = {"txt", "zst", "gz", "one.zst"};

static void content_write(const char *path, unsigned kind, unsigned from, unsigned to,
                          const char *mode)
{
    if (kind == 0)
        numbers_write(path, from, to, mode);
    else
        compressed_write(path, kind == 2 ? COMPRESSION_GZIP : COMPRESSION_ZSTD, from, to,
                         kind == 3 ? 8 << 20 : 50000, mode);
}

/* Interrupts after each batch of a run over three files, goes on with another process's source, and
 * reads on and on; meanwhile the last file grows, which nobody is to see. */
static void every_boundary(enum io_engine_kind engine, unsigned kind)
{
    char path[256], folder[200];
    snprintf(folder, sizeof(folder), "%s-%s", test_path("go"), kinds[kind]);
    mkdir(folder, 0700);
    size_t expected_length = 0;
    char *expected = malloc(8 << 20);
    char *text = malloc(8 << 20);
    for (unsigned i = 0; i < FILES; i++) {
        snprintf(path, sizeof(path), "%s/%u.%s", folder, i, kinds[kind]);
        content_write(path, kind, i * 10000, i == 1 ? i * 10000 : i * 10000 + 9000, "wb");
        size_t length;
        char *more = numbers_make(i * 10000, i == 1 ? i * 10000 : i * 10000 + 9000, &length);
        memcpy(expected + expected_length, more, length);
        expected_length += length;
        free(more);
    }
    char glob[256];
    snprintf(glob, sizeof(glob), "%s/*", folder);
    for (unsigned step = 1; step < 60; step += step < 5 ? 1 : 7) {
        const struct options *options = test_options("files", glob, NULL);
        struct recorded recorded = {0};
        size_t length = 0;
        struct position position = {0};
        enum source_result result = SOURCE_READY;
        for (unsigned round = 0; result == SOURCE_READY && round < 200; round++) {
            struct fixture *fixture = reader_open(engine, options, 16384);
            if (round > 0)
                CU_ASSERT_TRUE_FATAL(reader_seek(fixture, &recorded, false));
            result = read_some(fixture, step, &position, text, &length);
            record(fixture, &position, &recorded);
            reader_close(fixture);
            if (round == 1 && step == 5)
                content_write(path, kind, 90000, 90100, "ab");
        }
        if (step == 5) { /* as it was */
            content_write(path, kind, 20000, 29000, "wb");
        }
        CU_ASSERT_EQUAL(result, SOURCE_END);
        CU_ASSERT_EQUAL(length, expected_length);
        CU_ASSERT(length == expected_length && memcmp(text, expected, length) == 0);
    }
    free(text);
    free(expected);
}

static void boundaries(void)
{
    for (unsigned kind = 0; kind < 4; kind++) {
        every_boundary(IO_ENGINE_AUTO, kind);
        every_boundary(IO_ENGINE_POSIX, kind);
    }
}

static void boundaries_simulated(void)
{
    for (unsigned kind = 0; kind < 2; kind++) {
        struct error error;
        struct io_simulation *simulation = io_simulation_open(5 + kind, &error);
        every_boundary(IO_ENGINE_SIMULATED, kind);
        io_simulation_close(simulation);
    }
}

/* A run over feet/log*, of which `batches` were read; its record. */
static void interrupted(unsigned kind, unsigned batches, struct recorded *recorded, char *text,
                        size_t *length)
{
    char command[600], path[256];
    snprintf(command, sizeof(command), "rm -rf '%s'; mkdir '%s'", test_path("feet"),
             test_path("feet"));
    CU_ASSERT_EQUAL_FATAL(system(command), 0);
    snprintf(path, sizeof(path), "%s", test_path("feet/log"));
    content_write(path, kind, 0, 20000, "wb");
    const struct options *options =
        test_options("files", test_path("feet/log*"), "format", "lines", NULL);
    struct fixture *fixture = reader_open(IO_ENGINE_AUTO, options, 16384);
    struct position position = {0};
    *length = 0;
    enum source_result result = read_some(fixture, batches, &position, text, length);
    CU_ASSERT_EQUAL(result, batches == UINT32_MAX ? SOURCE_END : SOURCE_READY);
    record(fixture, &position, recorded);
    reader_close(fixture);
}

/* Goes on and reads to the end, behind what is in the text already. */
static bool continued(struct recorded *recorded, bool incremental, char *text, size_t *length,
                      struct error *error, unsigned *replaced)
{
    const struct options *options =
        test_options("files", test_path("feet/log*"), "format", "lines", "missing", "ok", NULL);
    struct fixture *fixture = reader_open(IO_ENGINE_AUTO, options, 16384);
    bool done = reader_seek(fixture, recorded, incremental);
    struct position position = recorded->position;
    if (done)
        done = read_some(fixture, UINT32_MAX, &position, text, length) == SOURCE_END;
    *error = fixture->error;
    *replaced = 0;
    for (uint32_t i = 0; i < fixture->source->input_count; i++)
        *replaced += fixture->source->inputs[i].replaced;
    if (done)
        record(fixture, &position, recorded);
    reader_close(fixture);
    return done;
}

struct feet {
    struct recorded recorded;
    char text[4 << 20];
    size_t length;
    struct error error;
    unsigned replaced;
};

static void expect_numbers(const struct feet *feet, const unsigned (*spans)[2], unsigned count)
{
    size_t at = 0;
    for (unsigned i = 0; i < count; i++) {
        size_t length;
        char *text = numbers_make(spans[i][0], spans[i][1], &length);
        CU_ASSERT(feet->length >= at + length && memcmp(feet->text + at, text, length) == 0);
        at += length;
        free(text);
    }
    CU_ASSERT_EQUAL(feet->length, at);
}

static struct feet *feet_open(unsigned kind, unsigned batches)
{
    struct feet *feet = calloc(1, sizeof(*feet));
    interrupted(kind, batches, &feet->recorded, feet->text, &feet->length);
    return feet;
}

static bool feet_go(struct feet *feet, bool incremental)
{
    return continued(&feet->recorded, incremental, feet->text, &feet->length, &feet->error,
                     &feet->replaced);
}

static void expect_stop(struct feet *feet, const char *part)
{
    CU_ASSERT_FALSE(feet_go(feet, false));
    CU_ASSERT_EQUAL(feet->error.code, ERROR_STATE);
    CU_ASSERT_PTR_NOT_NULL(strstr(feet->error.text, part));
    CU_ASSERT_PTR_NOT_NULL(strstr(feet->error.text, "--fresh"));
    free(feet);
}

static void resumed_grown(void)
{
    for (unsigned kind = 0; kind < 4; kind++) {
        struct feet *feet = feet_open(kind, 5);
        content_write(test_path("feet/log"), kind, 20000, 30000, "ab");
        CU_ASSERT_TRUE(feet_go(feet, false));
        expect_numbers(feet, (const unsigned[][2]){{0, 20000}}, 1);
        free(feet);
    }
}

static void resumed_renamed(void)
{
    struct feet *feet = feet_open(0, 5);
    rename(test_path("feet/log"), test_path("feet/log.1"));
    CU_ASSERT_TRUE(feet_go(feet, false)); /* nothing under the name */
    expect_numbers(feet, (const unsigned[][2]){{0, 20000}}, 1);
    free(feet);
    feet = feet_open(0, 5);
    rename(test_path("feet/log"), test_path("feet/old")); /* and the glob does not find it */
    numbers_write(test_path("feet/log"), 50, 60, "wb");
    CU_ASSERT_TRUE(feet_go(feet, false));
    expect_numbers(feet, (const unsigned[][2]){{0, 20000}}, 1);
    free(feet);
}

static void resumed_wrong(void)
{
    for (unsigned kind = 0; kind < 4; kind++) {
        struct feet *feet = feet_open(kind, 5);
        if (kind < 3) { /* open itself fails over a first frame that is cut */
            CU_ASSERT_EQUAL(truncate(test_path("feet/log"), 15000), 0);
            expect_stop(feet, "is shorter than it was");
            feet = feet_open(kind, 5);
        }
        content_write(test_path("feet/log"), kind, 100000, 140000, "wb"); /* the same inode */
        expect_stop(feet, "has not the content any more");
        feet = feet_open(kind, 5);
        unlink(test_path("feet/log"));
        content_write(test_path("feet/log"), kind, 0, 20000, "wb");
        struct stat status;
        CU_ASSERT_EQUAL(stat(test_path("feet/log"), &status), 0);
        if (status.st_ino != feet->recorded.inputs[0].inode)
            expect_stop(feet, "is not there any more");
        else
            free(feet);
        feet = feet_open(kind, 5);
        unlink(test_path("feet/log"));
        expect_stop(feet, "is not there any more");
    }
    /* The second mark: cut, and grown again behind an equal beginning. */
    struct feet *feet = feet_open(0, 5);
    int fd = open(test_path("feet/log"), O_WRONLY);
    CU_ASSERT_EQUAL(pwrite(fd, "X", 1, (off_t)feet->recorded.position.offset - 2), 1);
    close(fd);
    expect_stop(feet, "has not the content any more");
}

static void resumed_at_the_end(void)
{
    for (unsigned kind = 0; kind < 4; kind++) {
        struct feet *feet = feet_open(kind, UINT32_MAX);
        CU_ASSERT_TRUE(feet_go(feet, false));
        expect_numbers(feet, (const unsigned[][2]){{0, 20000}}, 1);
        unlink(test_path("feet/log")); /* a consumer took it */
        CU_ASSERT_TRUE(feet_go(feet, false));
        expect_numbers(feet, (const unsigned[][2]){{0, 20000}}, 1);
        free(feet);
    }
}

/* Nothing, then more of the first, then a new one, then both. */
static void followed(void)
{
    for (unsigned kind = 0; kind < 4; kind++) {
        struct feet *feet = feet_open(kind, UINT32_MAX);
        CU_ASSERT_TRUE(feet_go(feet, true));
        expect_numbers(feet, (const unsigned[][2]){{0, 20000}}, 1);
        content_write(test_path("feet/log"), kind, 20000, 25000, "ab");
        CU_ASSERT_TRUE(feet_go(feet, true));
        expect_numbers(feet, (const unsigned[][2]){{0, 25000}}, 1);
        content_write(test_path("feet/log2"), kind, 30000, 35000, "wb");
        CU_ASSERT_TRUE(feet_go(feet, true));
        CU_ASSERT_TRUE(feet_go(feet, true));
        expect_numbers(feet, (const unsigned[][2]){{0, 25000}, {30000, 35000}}, 2);
        content_write(test_path("feet/log"), kind, 25000, 26000, "ab");
        content_write(test_path("feet/log2"), kind, 35000, 36000, "ab");
        CU_ASSERT_TRUE(feet_go(feet, true));
        expect_numbers(
            feet, (const unsigned[][2]){{0, 25000}, {30000, 35000}, {25000, 26000}, {35000, 36000}},
            4);
        CU_ASSERT_EQUAL(feet->replaced, 0);
        unlink(test_path("feet/log"));
        CU_ASSERT_TRUE(feet_go(feet, true));
        CU_ASSERT_EQUAL(feet->recorded.count, 1);
        free(feet);
    }
}

/* Rotated: the rest of the old one comes first, wherever it is in the folder. */
static void followed_rotated(void)
{
    static const char *const names[] = {"feet/log.1", "feet/old"};
    for (unsigned i = 0; i < 2; i++) {
        struct feet *feet = feet_open(0, UINT32_MAX);
        numbers_write(test_path("feet/log"), 20000, 21000, "ab");
        rename(test_path("feet/log"), test_path(names[i]));
        numbers_write(test_path("feet/log"), 50000, 51000, "wb");
        CU_ASSERT_TRUE(feet_go(feet, true));
        if (i == 1)
            expect_numbers(feet, (const unsigned[][2]){{0, 21000}, {50000, 51000}}, 2);
        else /* both are in the glob, sorted */
            expect_numbers(feet, (const unsigned[][2]){{0, 20000}, {50000, 51000}, {20000, 21000}},
                           3);
        size_t length = feet->length;
        CU_ASSERT_TRUE(feet_go(feet, true));
        CU_ASSERT_EQUAL(feet->length, length);
        CU_ASSERT_EQUAL(feet->replaced, 0);
        free(feet);
    }
}

/* Another generation under the same inode: read from its start, and said. */
static void followed_generation(void)
{
    for (unsigned kind = 0; kind < 4; kind++) {
        struct feet *feet = feet_open(kind, UINT32_MAX);
        content_write(test_path("feet/log"), kind, 60000, 61000, "wb"); /* shorter */
        CU_ASSERT_TRUE(feet_go(feet, true));
        CU_ASSERT_EQUAL(feet->replaced, 1);
        expect_numbers(feet, (const unsigned[][2]){{0, 20000}, {60000, 61000}}, 2);
        content_write(test_path("feet/log"), kind, 70000, 79000, "wb"); /* longer */
        CU_ASSERT_TRUE(feet_go(feet, true));
        CU_ASSERT_EQUAL(feet->replaced, 1);
        expect_numbers(feet, (const unsigned[][2]){{0, 20000}, {60000, 61000}, {70000, 79000}}, 3);
        free(feet);
    }
    /* Cut and grown again behind an equal beginning: only the second mark sees it. */
    struct feet *feet = feet_open(0, UINT32_MAX);
    CU_ASSERT_EQUAL(truncate(test_path("feet/log"), 100000), 0);
    numbers_write(test_path("feet/log"), 80000, 99000, "ab");
    CU_ASSERT_TRUE(feet_go(feet, true));
    CU_ASSERT_EQUAL(feet->replaced, 1);
    free(feet);
}

/* Killed in an incremental run, and gone on with: the files that it was not to read stay unread. */
static void followed_and_interrupted(void)
{
    for (unsigned kind = 0; kind < 4; kind++) {
        struct feet *feet = feet_open(kind, UINT32_MAX);
        content_write(test_path("feet/log"), kind, 20000, 30000, "ab");
        content_write(test_path("feet/log2"), kind, 30000, 40000, "wb");
        const struct options *options =
            test_options("files", test_path("feet/log*"), "format", "lines", NULL);
        struct fixture *fixture = reader_open(IO_ENGINE_AUTO, options, 16384);
        CU_ASSERT_TRUE_FATAL(reader_seek(fixture, &feet->recorded, true));
        struct position position = feet->recorded.position;
        CU_ASSERT_EQUAL(read_some(fixture, 3, &position, feet->text, &feet->length), SOURCE_READY);
        record(fixture, &position, &feet->recorded);
        reader_close(fixture);
        CU_ASSERT_TRUE(feet_go(feet, false));
        expect_numbers(feet, (const unsigned[][2]){{0, 40000}}, 1);
        free(feet);
    }
}

static void deleted_while_open(void)
{
    const char *path = test_path("gone.txt");
    numbers_write(path, 0, 40000, "wb");
    const struct options *options = test_options("files", path, NULL);
    struct fixture *fixture = reader_open(IO_ENGINE_AUTO, options, 16384);
    struct position position = {0};
    size_t length = 0, expected;
    char *text = malloc(2 << 20);
    CU_ASSERT_EQUAL(read_some(fixture, 1, &position, text, &length), SOURCE_READY);
    unlink(path);
    CU_ASSERT_EQUAL(read_some(fixture, UINT32_MAX, &position, text, &length), SOURCE_END);
    free(numbers_make(0, 40000, &expected));
    CU_ASSERT_EQUAL(length, expected);
    free(text);
    reader_close(fixture);
}

static void stdin_resumed(void)
{
    numbers_write(test_path("stdin-file"), 0, 20000, "wb");
    size_t expected_length, length = 0;
    char *expected = numbers_make(0, 20000, &expected_length);
    char *text = malloc(2 << 20);
    int saved = dup(0);
    struct recorded recorded = {0};
    struct position position = {0};
    enum source_result result = SOURCE_READY;
    for (unsigned round = 0; result == SOURCE_READY && round < 50; round++) {
        int fd = open(test_path("stdin-file"), O_RDONLY);
        dup2(fd, 0);
        close(fd);
        struct fixture *fixture = reader_open(IO_ENGINE_AUTO, NULL, 16384);
        if (round > 0)
            CU_ASSERT_TRUE_FATAL(reader_seek(fixture, &recorded, false));
        result = read_some(fixture, 3, &position, text, &length);
        record(fixture, &position, &recorded);
        reader_close(fixture);
    }
    CU_ASSERT_EQUAL(length, expected_length);
    CU_ASSERT(length == expected_length && memcmp(text, expected, length) == 0);
    numbers_write(test_path("stdin-other"), 0, 20000, "wb");
    int fd = open(test_path("stdin-other"), O_RDONLY);
    dup2(fd, 0);
    close(fd);
    struct fixture *fixture = reader_open(IO_ENGINE_AUTO, NULL, 16384);
    CU_ASSERT_FALSE(reader_seek(fixture, &recorded, false));
    CU_ASSERT_EQUAL(fixture->error.code, ERROR_STATE);
    reader_close(fixture);
    int ends[2];
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    dup2(ends[0], 0);
    fixture = calloc(1, sizeof(*fixture));
    fixture_open(fixture, IO_ENGINE_AUTO, 4096, 1 << 20);
    CU_ASSERT_TRUE(fixture_source(fixture, NULL, 0, NULL));
    CU_ASSERT_FALSE(fixture->source->replayable);
    reader_close(fixture);
    close(ends[0]);
    close(ends[1]);
    dup2(saved, 0);
    close(saved);
    free(text);
    free(expected);
}

SUITE(resume, {"from every boundary", boundaries},
      {"from every boundary, simulated", boundaries_simulated},
      {"a file that has grown", resumed_grown}, {"a file that was renamed", resumed_renamed},
      {"a file that is not the one", resumed_wrong},
      {"a file that was read to its end", resumed_at_the_end}, {"what came since", followed},
      {"what came since, rotated", followed_rotated}, {"another generation", followed_generation},
      {"what came since, interrupted", followed_and_interrupted},
      {"deleted while open", deleted_while_open}, {"stdin is a file", stdin_resumed})
