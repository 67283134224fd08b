/* The source `file`: files named by globs in the pipeline or on the command line, read one after
 * another. open runs on the main thread; the rest is io/text_source.c. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fault.h"
#include "io/text_source.h"

static const struct option_spec option_specs[] = {
    {"files", OPTION_STRINGS, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL,
     "paths, with * ? [] for many; those of one glob are read sorted bytewise"},
    {"format", OPTION_NAME, 0, NULL, NULL, "the format, if the names do not tell it"},
    {"compression", OPTION_WORD, 0, "auto|none|zstd|gzip", "auto",
     "how the files are compressed; auto looks at their first bytes"},
    {"missing", OPTION_WORD, 0, "fail|ok", "fail",
     "whether a path or glob without a file is an error"},
    {"incremental", OPTION_WORD, 0, "yes|no", NULL,
     "whether a rerun reads only what came since the last finished run; yes where the sinks "
     "append"},
    {"timeout", OPTION_DURATION, OPTION_TUNING, NULL, NULL,
     "fail when a pipe among the files brings no data for so long"},
    {0},
};

static const struct noun noun = {
    .name = "file",
    .doc = "Reads files, one after another, also compressed ones",
    .example = "from file \"logs/*.ndjson.zst\" { missing ok }",
    .options = option_specs,
    .takes_format = true,
};

const struct source_ops source_file;

/* Adds one file; a copy of the path is taken. */
static bool input_add(struct text_source *source, const char *path, enum compression compression,
                      struct error *error)
{
    struct stat status;
    int fault = fault_io();
    if (fault || stat(path, &status) != 0)
        return error_set_errno(error, fault ? fault : errno, "cannot read %s", path);
    if (S_ISDIR(status.st_mode))
        return error_set(error, ERROR_IO, "cannot read %s: it is a folder; name files, as \"%s/*\"",
                         path, path);
    if (faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) != 0)
        return error_set_errno(error, errno, "cannot read %s", path);
    bool stream = !S_ISREG(status.st_mode);
    struct input input = {
        .name = path,
        .size = stream ? 0 : (uint64_t)status.st_size,
        .device = status.st_dev,
        .inode = status.st_ino,
        .modified = status.st_mtim.tv_sec * NANOSECONDS + status.st_mtim.tv_nsec,
    };
    struct text_input text_input = {.fd = -1, .stream = stream, .compression = compression};
    return text_input_add(source, input, text_input, error);
}

static int path_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool glob_add(struct text_source *source, const char *pattern, bool missing_ok,
                     enum compression compression, struct error *error)
{
    if (!strpbrk(pattern, "*?[")) {
        if (missing_ok && access(pattern, F_OK) != 0 && errno == ENOENT)
            return true;
        return input_add(source, pattern, compression, error);
    }
    glob_t found;
    int result = glob(pattern, GLOB_NOSORT | GLOB_ERR, NULL, &found);
    if (result == GLOB_NOMATCH) {
        globfree(&found);
        return missing_ok ||
               error_set(error, ERROR_IO, "no file matches %s (`missing ok` allows that)", pattern);
    }
    if (result != 0) {
        int reason = result == GLOB_NOSPACE ? ENOMEM : errno;
        globfree(&found);
        return error_set_errno(error, reason, "cannot look for %s", pattern);
    }
    qsort(found.gl_pathv, found.gl_pathc, sizeof(char *), path_compare);
    bool done = true;
    for (size_t i = 0; done && i < found.gl_pathc; i++)
        done = input_add(source, found.gl_pathv[i], compression, error);
    globfree(&found);
    return done;
}

static bool inputs_find(struct text_source *source, const struct source_context *context,
                        struct error *error)
{
    enum compression compression = compression_option(context->options, COMPRESSION_AUTO);
    for (size_t i = 0; i < context->file_count; i++) {
        if (!input_add(source, context->files[i], compression, error))
            return false;
    }
    const struct option_value *files =
        context->options ? option_find(context->options, "files") : NULL;
    bool missing_ok = context->options && option_word_is(context->options, "missing", "ok");
    for (uint32_t i = 0; files && i < files->item_count; i++) {
        struct string word = files->items[i].word;
        char *pattern = memory_copy_text(word.data, word.length);
        if (!pattern)
            return error_set(error, ERROR_MEMORY, "no memory for a path");
        bool done = glob_add(source, pattern, missing_ok, compression, error);
        free(pattern);
        if (!done)
            return false;
    }
    return true;
}

static bool file_source_open(struct source_context *context, struct source **result,
                             struct error *error)
{
    struct text_source *source = memory_take_zeroed(1, sizeof(*source));
    if (!source)
        return error_set(error, ERROR_MEMORY, "no memory for a source");
    source->base.ops = &source_file;
    if (context->options && option_find(context->options, "incremental"))
        source->base.incremental = option_word_is(context->options, "incremental", "yes") ? 1 : -1;
    if (!inputs_find(source, context, error) || !text_source_open(source, context, error)) {
        text_source_close(&source->base);
        return false;
    }
    *result = &source->base;
    return true;
}

const struct source_ops source_file = {
    .noun = &noun,
    .open = file_source_open,
    .seek = text_source_seek,
    .offer = text_source_offer,
    .take = text_source_take,
    .stop = text_source_stop,
    .reclaim = text_source_reclaim,
    .close = text_source_close,
};
