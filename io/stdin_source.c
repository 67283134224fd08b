/* The source `stdin`: a pipe, a socket or a terminal, read as it comes; a regular file is read as
 * files are, from its position on. open runs on the main thread; the rest is io/text_source.c. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fault.h"
#include "io/text_source.h"

static const struct option_spec option_specs[] = {
    {"format", OPTION_NAME, 0, NULL, NULL, "the format; NDJSON if left out"},
    {"compression", OPTION_WORD, 0, "auto|none|zstd|gzip", "auto",
     "how it is compressed; auto looks at the first bytes"},
    {"timeout", OPTION_DURATION, OPTION_TUNING, NULL, NULL, "fail when no data comes for so long"},
    {0},
};

static const struct noun noun = {
    .name = "stdin",
    .doc = "Reads the standard input; what comes is passed on at once",
    .example = "from stdin { format csv }",
    .options = option_specs,
    .takes_format = true,
};

const struct source_ops source_stdin;

static bool stdin_inputs_find(struct text_source *source, const struct source_context *context,
                              struct error *error)
{
    struct stat status;
    int fault = fault_io();
    if (fault || fstat(STDIN_FILENO, &status) != 0)
        return error_set_errno(error, fault ? fault : errno, "cannot read stdin");
    if (S_ISDIR(status.st_mode)) /* what stands in for a closed descriptor is one too */
        return error_set(error, ERROR_IO, "cannot read stdin: it is %s",
                         fcntl(STDIN_FILENO, F_GETFL) & O_PATH ? "closed" : "a folder");
    source->base.inputs = memory_take_zeroed(1, sizeof(struct input));
    source->text_inputs = memory_take_zeroed(1, sizeof(struct text_input));
    char *name = memory_copy_text("stdin", 5);
    if (!source->base.inputs || !source->text_inputs || !name) {
        free(name);
        return error_set(error, ERROR_MEMORY, "no memory for a source");
    }
    off_t position = S_ISREG(status.st_mode) ? lseek(STDIN_FILENO, 0, SEEK_CUR) : -1;
    bool stream = position < 0;
    if (position > status.st_size)
        position = status.st_size;
    source->base.inputs[0] =
        (struct input){.name = name,
                       .size = stream ? 0 : (uint64_t)status.st_size,
                       .device = stream ? 0 : status.st_dev,
                       .inode = stream ? 0 : status.st_ino,
                       .modified = status.st_mtim.tv_sec * NANOSECONDS + status.st_mtim.tv_nsec};
    source->text_inputs[0] = (struct text_input){
        .fd = STDIN_FILENO,
        .keep_open = true,
        .stream = stream,
        .start = stream ? 0 : (uint64_t)position,
        .compression = compression_option(context->options, COMPRESSION_AUTO),
    };
    source->base.input_count = 1;
    return true;
}

static bool stdin_source_open(struct source_context *context, struct source **result,
                              struct error *error)
{
    struct text_source *source = memory_take_zeroed(1, sizeof(*source));
    if (!source)
        return error_set(error, ERROR_MEMORY, "no memory for a source");
    source->base.ops = &source_stdin;
    if (!stdin_inputs_find(source, context, error) || !text_source_open(source, context, error)) {
        text_source_close(&source->base);
        return false;
    }
    *result = &source->base;
    return true;
}

const struct source_ops source_stdin = {
    .noun = &noun,
    .open = stdin_source_open,
    .seek = text_source_seek,
    .offer = text_source_offer,
    .take = text_source_take,
    .stop = text_source_stop,
    .reclaim = text_source_reclaim,
    .close = text_source_close,
};
