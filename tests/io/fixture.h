/* What the tests of io/ share: a format of lines, batches, a little runtime that moves batches from
 * a source to a sink on one thread. */
#ifndef LEAT_TESTS_IO_FIXTURE_H
#define LEAT_TESTS_IO_FIXTURE_H

#include "core/sink.h"
#include "core/source.h"
#include "io/engine.h"

extern const struct source_ops source_file, source_stdin;
extern const struct sink_ops sink_file, sink_stdout;

/* Lines; `prologue` and `epilogue` are written around them where they are set. */
extern const struct format_ops format_lines;
extern const char *lines_prologue;
extern const char *lines_epilogue;
extern const struct format_table formats_of_tests; /* lines: .txt .ndjson */

#define FIXTURE_BATCHES 24

struct fixture {
    struct batch batches[FIXTURE_BATCHES];
    unsigned batch_count;
    struct batch *free; /* the pool */
    struct source_limits source_limits;
    struct sink_limits sink_limits;
    enum io_engine_kind engine_kind;
    struct io_engine *source_engine;
    struct io_engine *sink_engine;
    struct source_context source_context;
    struct sink_context sink_context;
    struct source *source;
    struct sink *sink;
    unsigned sunk; /* batches that the sink holds */
    bool jumbo_held;
    unsigned jumbo_count;
    /* what came by */
    uint64_t batch_total;
    unsigned disorder; /* batches whose offset or line did not follow; close aborts on any */
    uint64_t lines;
    uint64_t overlong;
    uint64_t overlong_length;
    char *content; /* all text in order, if wanted */
    size_t content_length;
    size_t content_capacity;
    bool keep_content;
    bool fast; /* lines are not counted */
    struct error error;
};

/* batch_text bytes a batch, record_limit for jumbos. */
void fixture_open(struct fixture *fixture, enum io_engine_kind kind, size_t batch_text,
                  size_t record_limit);
void fixture_close(struct fixture *fixture);
/* A source over files (no options but `options`), or stdin with files NULL. */
bool fixture_source(struct fixture *fixture, const char *const *files, size_t count,
                    const struct options *options);
bool fixture_sink(struct fixture *fixture, const char *path, const struct options *options);
/* Reads all to the end; with a sink writes it. Result of the source, or FAIL of the sink. */
enum source_result fixture_run(struct fixture *fixture);
/* One batch; WAIT is waited out for at most 10 s. */
enum source_result fixture_take(struct fixture *fixture, struct batch **batch);
void fixture_give_back(struct fixture *fixture, struct batch *batch);
/* Commits and publishes. */
bool fixture_publish(struct fixture *fixture);

/* Helpers. Paths are in suite_folder(), in a rotating static buffer. */
const char *test_path(const char *name);
void test_write(const char *path, const void *data, size_t length);
char *test_read(const char *path, size_t *length); /* malloc'ed; NULL: none */
/* Options made by hand: name, text pairs ended by NULL. Static storage. */
const struct options *test_options(const char *name, ...);

#endif
