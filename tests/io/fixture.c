/* The fixture of the tests of io/: see fixture.h. */
#include "tests/io/fixture.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "io/engine_simulated.h"
#include "tests/suite.h"

#define TEXT_OFFERS_OF_TESTS 6

const char *lines_prologue;
const char *lines_epilogue;

static const struct noun lines_noun = {.name = "lines", .doc = "Lines"};

static bool lines_open(const struct options *options, struct format **format, struct error *error)
{
    (void)options;
    *format = calloc(1, sizeof(struct format));
    (*format)->ops = &format_lines;
    return *format || error_set(error, ERROR_MEMORY, "no memory");
}

static void lines_close(struct format *format)
{
    free(format);
}

static enum head_result lines_head(const struct format *format, const char *text, size_t length,
                                   bool at_end, struct cut_state *state, size_t *consumed,
                                   struct field_names **names, struct error *error)
{
    (void)format, (void)text, (void)length, (void)at_end, (void)state, (void)names, (void)error;
    *consumed = 0;
    return HEAD_DONE;
}

static uint64_t newline_count(const char *text, size_t length)
{
    uint64_t count = 0;
    for (size_t i = 0; i < length; i++)
        count += text[i] == '\n';
    return count;
}

static bool count_lines = true; /* not where speed is measured */
static size_t lines_cut(const struct format *format, struct cut_state *state, const char *text,
                        size_t from, size_t length, bool at_end)
{
    (void)format, (void)at_end;
    const char *last = memrchr(text + from, '\n', length - from);
    if (!last)
        return 0;
    if (count_lines)
        state->lines += newline_count(text + from, (size_t)(last + 1 - text) - from);
    return (size_t)(last + 1 - text);
}

static size_t lines_skip(const struct format *format, struct cut_state *state, const char *text,
                         size_t length)
{
    (void)format;
    const char *end = memchr(text, '\n', length);
    if (!end)
        return 0;
    state->lines++;
    return (size_t)(end + 1 - text);
}

static bool edge(const char *text, struct buffer *buffer)
{
    return !text || buffer_append(buffer, text, strlen(text));
}

static bool lines_write_prologue(const struct format *format, const struct shape *shape,
                                 struct buffer *buffer)
{
    (void)format, (void)shape;
    return edge(lines_prologue, buffer);
}

static bool lines_write_epilogue(const struct format *format, struct buffer *buffer)
{
    (void)format;
    return edge(lines_epilogue, buffer);
}

const struct format_ops format_lines = {
    .noun = &lines_noun,
    .extensions = ".txt .ndjson",
    .open = lines_open,
    .close = lines_close,
    .head = lines_head,
    .cut = lines_cut,
    .skip = lines_skip,
    .prologue = lines_write_prologue,
    .epilogue = lines_write_epilogue,
};

static const struct format_ops *const format_items[] = {&format_lines};
const struct format_table formats_of_tests = {format_items, 1};

static bool jumbo_take(void *context)
{
    struct fixture *fixture = context;
    if (fixture->jumbo_held)
        return false;
    fixture->jumbo_held = true;
    fixture->jumbo_count++;
    return true;
}

void fixture_open(struct fixture *fixture, enum io_engine_kind kind, size_t batch_text,
                  size_t record_limit)
{
    *fixture = (struct fixture){.engine_kind = kind, .batch_count = FIXTURE_BATCHES};
    fixture->source_limits = (struct source_limits){.batch_text = batch_text,
                                                    .record_limit = record_limit,
                                                    .decoders = 2,
                                                    .decoder_memory = 16 << 20};
    fixture->sink_limits = (struct sink_limits){.encoders = 2, .memory = 64 << 20, .open_files = 8};
    for (unsigned i = 0; i < FIXTURE_BATCHES; i++) {
        struct batch *batch = &fixture->batches[i];
        size_t reserved = size_max(record_limit, batch_text) + 4096;
        batch->memory =
            mmap(NULL, BATCH_HEADROOM + reserved + BATCH_PADDING, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (batch->memory == MAP_FAILED)
            abort();
        batch->text_capacity = batch->text_soft = batch_text;
        batch->text_reserved = reserved;
        batch->next = fixture->free;
        fixture->free = batch;
    }
    fixture->source_engine = io_engine_open(kind, 16, &fixture->error);
    fixture->sink_engine = io_engine_open(kind, 16, &fixture->error);
    if (!fixture->source_engine || !fixture->sink_engine)
        abort();
}

void fixture_give_back(struct fixture *fixture, struct batch *batch)
{
    if (batch->jumbo)
        fixture->jumbo_held = false;
    batch->text_capacity = batch->text_soft;
    batch->jumbo = false;
    batch->next = fixture->free;
    fixture->free = batch;
}

void fixture_close(struct fixture *fixture)
{
    struct batch *batch;
    if (fixture->sink) {
        fixture->sink->ops->abort(fixture->sink, false);
        while ((batch = fixture->sink->ops->reclaim(fixture->sink)))
            fixture_give_back(fixture, batch);
        fixture->sink->ops->close(fixture->sink);
    }
    if (fixture->source) {
        while ((batch = fixture->source->ops->reclaim(fixture->source)))
            fixture_give_back(fixture, batch);
        fixture->source->ops->close(fixture->source);
    }
    unsigned count = 0;
    for (batch = fixture->free; batch; batch = batch->next)
        count++;
    if (count != FIXTURE_BATCHES || fixture->disorder > 0) {
        fprintf(stderr, "%u of %u batches came back, %u out of order\n", count, FIXTURE_BATCHES,
                fixture->disorder);
        abort();
    }
    for (unsigned i = 0; i < FIXTURE_BATCHES; i++) {
        struct batch *one = &fixture->batches[i];
        munmap(one->memory, BATCH_HEADROOM + one->text_reserved + BATCH_PADDING);
    }
    io_engine_close(fixture->source_engine);
    io_engine_close(fixture->sink_engine);
    free(fixture->content);
}

bool fixture_source(struct fixture *fixture, const char *const *files, size_t count,
                    const struct options *options)
{
    fixture->source_context = (struct source_context){.options = options,
                                                      .formats = &formats_of_tests,
                                                      .files = files,
                                                      .file_count = count,
                                                      .limits = fixture->source_limits,
                                                      .engine = fixture->source_engine,
                                                      .format_name = "lines",
                                                      .jumbo_take = jumbo_take,
                                                      .jumbo_context = fixture};
    const struct source_ops *ops = files || options ? &source_file : &source_stdin;
    return ops->open(&fixture->source_context, &fixture->source, &fixture->error);
}

bool fixture_sink(struct fixture *fixture, const char *path, const struct options *options)
{
    fixture->sink_context =
        (struct sink_context){.options = options,
                              .formats = &formats_of_tests,
                              .file = path,
                              .source_format = fixture->source ? fixture->source->format : NULL,
                              .limits = fixture->sink_limits,
                              .format_name = "lines",
                              .path_column = COLUMN_NONE,
                              .engine = fixture->sink_engine};
    const struct sink_ops *ops = path || options ? &sink_file : &sink_stdout;
    return ops->open(&fixture->sink_context, &fixture->sink, &fixture->error) &&
           fixture->sink->ops->start(fixture->sink, &fixture->error) == SINK_OK;
}

static void batches_offer(struct fixture *fixture)
{
    while (fixture->free) {
        struct batch *batch = fixture->free;
        struct batch *next = batch->next;
        if (!fixture->source->ops->offer(fixture->source, batch))
            return;
        fixture->free = next;
    }
}

/* Gives back what the sink is done with; waits for one if `wait`. */
static enum sink_result sink_collect(struct fixture *fixture, bool wait)
{
    for (;;) {
        struct batch *batch;
        enum sink_result result = fixture->sink->ops->take(fixture->sink, &batch, &fixture->error);
        if (result == SINK_OK) {
            fixture_give_back(fixture, batch);
            fixture->sunk--;
            wait = false;
        } else if (result != SINK_WAIT || !wait) {
            return result;
        } else {
            (void)io_engine_wait(fixture->sink_engine, NANOSECONDS / 20);
            wait = false; /* it may take more now, even with none to give back */
        }
    }
}

enum source_result fixture_take(struct fixture *fixture, struct batch **batch)
{
    int64_t end = clock_monotonic() + 10 * NANOSECONDS;
    for (;;) {
        batches_offer(fixture);
        enum source_result result =
            fixture->source->ops->take(fixture->source, batch, &fixture->error);
        if (result != SOURCE_WAIT || clock_monotonic() > end)
            return result;
        unsigned held = fixture->sunk;
        if (fixture->sink && sink_collect(fixture, false) > SINK_WAIT)
            return SOURCE_FAIL;
        if (fixture->sunk < held)
            continue; /* the sink gave something back */
        /* One thread for both: it waits for the one that holds most. */
        bool sink_holds = fixture->sink && fixture->sunk > TEXT_OFFERS_OF_TESTS;
        (void)io_engine_wait(sink_holds ? fixture->sink_engine : fixture->source_engine,
                             NANOSECONDS / 20);
    }
}

static void batch_note(struct fixture *fixture, struct batch *batch)
{
    fixture->batch_total++;
    if (batch->overlong) {
        fixture->overlong++;
        fixture->overlong_length = batch->overlong_length;
        return;
    }
    if (count_lines)
        fixture->lines += newline_count(batch->text, batch->text_length);
    if (!fixture->keep_content || batch->text_length == 0)
        return;
    if (fixture->content_length + batch->text_length > fixture->content_capacity) {
        fixture->content_capacity = 2 * (fixture->content_length + batch->text_length);
        fixture->content = realloc(fixture->content, fixture->content_capacity);
    }
    memcpy(fixture->content + fixture->content_length, batch->text, batch->text_length);
    fixture->content_length += batch->text_length;
}

enum source_result fixture_run(struct fixture *fixture)
{
    uint64_t offset = 0;
    uint64_t lines = 0;
    count_lines = !fixture->fast;
    for (;;) {
        struct batch *batch;
        enum source_result result = fixture_take(fixture, &batch);
        if (result != SOURCE_READY)
            return result;
        if (batch->starts_input) {
            offset = batch->origin.offset;
            lines = 0;
        }
        if (batch->origin.offset != offset || batch->origin.line != lines + 1)
            fixture->disorder++;
        offset = batch->content_end;
        lines = batch->line_end;
        batch_note(fixture, batch);
        if (!fixture->sink || batch->overlong) {
            fixture_give_back(fixture, batch);
            continue;
        }
        batch->part_start = 0;
        batch->part_end = batch->text_length;
        batch->outputs[0].borrowed = true;
        fixture->sunk++;
        enum sink_result sunk = SINK_OK;
        bool taken;
        while (!(taken = fixture->sink->ops->offer(fixture->sink, batch)) && sunk <= SINK_WAIT)
            sunk = sink_collect(fixture, true);
        if (!taken) /* the sink failed while this one waited to be taken */
            fixture_give_back(fixture, batch);
        if (sunk <= SINK_WAIT)
            sunk = sink_collect(fixture, false);
        if (sunk > SINK_WAIT)
            return SOURCE_FAIL;
    }
}

bool fixture_publish(struct fixture *fixture)
{
    struct commit_record record = {.final = true};
    enum sink_result result;
    while ((result = sink_collect(fixture, false)) == SINK_OK)
        continue;
    while ((result = fixture->sink->ops->commit(fixture->sink, &record, &fixture->error)) ==
           SINK_WAIT) {
        (void)io_engine_wait(fixture->sink_engine, NANOSECONDS / 20);
        (void)sink_collect(fixture, false);
    }
    if (result == SINK_OK)
        result = fixture->sink->ops->publish(fixture->sink, &record, &fixture->error);
    return result == SINK_OK;
}

const char *test_path(const char *name)
{
    static char paths[8][256];
    static unsigned turn;
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof(paths[0]), "%s/%s", suite_folder(), name);
    return path;
}

void test_write(const char *path, const void *data, size_t length)
{
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(data, 1, length, file) != length || fclose(file) != 0)
        abort();
}

char *test_read(const char *path, size_t *length)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    struct stat status;
    if (fstat(fileno(file), &status) != 0)
        abort();
    char *data = malloc((size_t)status.st_size + 1);
    *length = fread(data, 1, (size_t)status.st_size, file);
    data[*length] = 0;
    fclose(file);
    return data;
}

const struct options *test_options(const char *name, ...)
{
    static struct option_spec specs[8];
    static struct option_value values[8];
    static struct options options;
    static struct option_item items[8];
    options = (struct options){.values = values};
    va_list arguments;
    va_start(arguments, name);
    for (; name; name = va_arg(arguments, const char *)) {
        const char *text = va_arg(arguments, const char *);
        struct string word = {text, strlen(text)};
        unsigned i = options.count++;
        specs[i] = (struct option_spec){.name = name};
        items[i] = (struct option_item){.word = word};
        values[i] = (struct option_value){.spec = &specs[i],
                                          .span = {1, 2},
                                          .text = word,
                                          .integer = strtoll(text, NULL, 10),
                                          .items = &items[i],
                                          .item_count = 1};
    }
    va_end(arguments);
    return &options;
}
