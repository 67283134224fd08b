/* The sink `stdout`: what is offered is written at once, several batches in one write. A closed
 * stdout ends the run quietly. open runs on the main thread, the rest on the sink's. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fault.h"
#include "io/byte_sink.h"

static const struct option_spec option_specs[] = {
    {"format", OPTION_NAME, 0, NULL, NULL, "the format; that of the first source if left out"},
    {"compression", OPTION_WORD, 0, "none|zstd|gzip", "none", "how it is compressed"},
    {"level", OPTION_INTEGER, 0, NULL, NULL, "the level of compression"},
    {"timeout", OPTION_DURATION, OPTION_TUNING, NULL, NULL,
     "fail when the reader takes nothing for so long"},
    {0},
};

static const struct noun noun = {
    .name = "stdout",
    .doc = "Writes the standard output",
    .example = "into stdout { format csv }",
    .options = option_specs,
    .takes_format = true,
};

const struct sink_ops sink_stdout;

static bool stdout_open(struct sink_context *context, struct sink **result, struct error *error)
{
    struct byte_sink *sink = memory_take_zeroed(1, sizeof(*sink));
    if (!sink)
        return error_set(error, ERROR_MEMORY, "no memory for a sink");
    sink->base.ops = &sink_stdout;
    sink->context = context;
    sink->base.name = memory_copy_text("stdout", 6);
    struct stat status;
    int fault = fault_io();
    bool done = sink->base.name || error_set(error, ERROR_MEMORY, "no memory for a sink");
    if (done && (fault || fstat(STDOUT_FILENO, &status) != 0))
        done = error_set_errno(error, fault ? fault : errno, "cannot write stdout");
    sink->compression = compression_option(context->options, COMPRESSION_NONE);
    done = done && byte_sink_format_choose(sink, context, NULL, error) &&
           byte_sink_prepare(sink, error);
    if (!done) {
        byte_sink_free(sink);
        return false;
    }
    *result = &sink->base;
    return true;
}

static enum sink_result stdout_start(struct sink *base, struct error *error)
{
    struct byte_sink *sink = (struct byte_sink *)base;
    int64_t timeout = sink->context->limits.timeout;
    if (sink->context->options)
        timeout = option_integer(sink->context->options, "timeout", timeout);
    writer_open_stream(&sink->writer, sink->context->engine, STDOUT_FILENO, timeout, "stdout");
    sink->writer_open = true;
    return byte_sink_encoder_start(sink, error) ? SINK_OK : SINK_FAIL;
}

static enum sink_result stdout_commit(struct sink *base, const struct commit_record *record,
                                      struct error *error)
{
    return byte_sink_finish((struct byte_sink *)base, record->final, error);
}

static enum sink_result stdout_publish(struct sink *base, const struct commit_record *record,
                                       struct error *error)
{
    (void)record;
    return byte_sink_finish((struct byte_sink *)base, true, error);
}

static void stdout_abort(struct sink *base, bool keep_part)
{
    (void)keep_part; /* what a pipe has taken cannot be taken back */
    byte_sink_halt((struct byte_sink *)base);
}

static void stdout_close(struct sink *base)
{
    byte_sink_free((struct byte_sink *)base);
}

const struct sink_ops sink_stdout = {
    .noun = &noun,
    .open = stdout_open,
    .start = stdout_start,
    .offer = byte_sink_offer,
    .take = byte_sink_take,
    .commit = stdout_commit,
    .publish = stdout_publish,
    .abort = stdout_abort,
    .reclaim = byte_sink_reclaim,
    .close = stdout_close,
};
