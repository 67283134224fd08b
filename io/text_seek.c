/* Going on where an interrupted run stood: the inputs are those of that run, by device and inode
 * wherever they are by now, and the content behind which reading goes on is compared by its marks.
 * On the main thread before the run, but for text_input_open. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fault.h"
#include "core/hash.h"
#include "io/text_source.h"

#define MARK_LONGEST 1024

static bool input_mismatch(const char *name, const char *what, struct error *error)
{
    return error_set(error, ERROR_STATE,
                     "cannot go on with %s: it %s; put it back, or start over with --fresh", name,
                     what);
}

/* ---- finding ---- */

char *text_inode_find(const char *name, uint64_t inode)
{
    const char *slash = strrchr(name, '/');
    size_t folder = slash ? (size_t)(slash + 1 - name) : 0;
    char *path = memory_take(folder + sizeof(((struct dirent *)0)->d_name) + 2);
    if (!path)
        return NULL;
    memcpy(path, folder ? name : ".", folder ? folder : 1);
    path[folder ? folder : 1] = 0;
    DIR *entries = opendir(path);
    bool found = false;
    for (const struct dirent *entry; entries && !found && (entry = readdir(entries));) {
        if (entry->d_ino != inode || (entry->d_type != DT_REG && entry->d_type != DT_UNKNOWN))
            continue;
        struct stat status;
        memcpy(path + folder, entry->d_name, strlen(entry->d_name) + 1);
        found = lstat(path, &status) == 0 && S_ISREG(status.st_mode) && status.st_ino == inode;
    }
    if (entries)
        closedir(entries);
    if (found)
        return path;
    free(path);
    return NULL;
}

/* Opens `path` if it is the input. -1 with errno 0: it is another file, or none. */
static int input_try(const struct input *input, const char *path, struct error *error)
{
    struct stat status;
    int fd = file_open(path, O_RDONLY | O_NONBLOCK, 0, error); /* it may be a FIFO by now */
    if (fd < 0)
        return -1;
    if (fstat(fd, &status) == 0 && (input->inode == 0 || status.st_ino == input->inode))
        return fd;
    close(fd);
    error->os_errno = ENOENT;
    return -1;
}

int text_input_open(struct text_source *source, uint32_t index, struct error *error)
{
    const struct input *input = &source->base.inputs[index];
    struct text_input *text_input = &source->text_inputs[index];
    int fd = input_try(input, text_input->path ? text_input->path : input->name, error);
    if (fd >= 0 || error->os_errno != ENOENT)
        return fd;
    free(text_input->path);
    text_input->path = text_inode_find(input->name, input->inode);
    if (text_input->path)
        fd = input_try(input, text_input->path, error);
    if (fd < 0)
        input_mismatch(input->name,
                       "is not there any more, or another file has its name, and none in its "
                       "folder is the one that it was",
                       error);
    return fd;
}

/* ---- comparing ---- */

/* Content from `offset` on, into `buffer`. Returns how much there is, or -1. */
static int64_t content_read(struct text_source *source, int fd, const struct text_input *text_input,
                            const char *name, const struct position *from, uint64_t offset,
                            char buffer[MARK_LONGEST], size_t length, struct error *error)
{
    enum compression compression = text_input->compression;
    if (compression == COMPRESSION_AUTO &&
        !text_compression_detect(fd, text_input->start, &compression, name, error))
        return -1;
    if (compression == COMPRESSION_NONE) {
        int64_t got = file_read(fd, buffer, length, text_input->start + offset);
        if (got < 0)
            error_set_errno(error, (int)-got, "cannot read %s", name);
        return got < 0 ? -1 : got;
    }
    struct decoder_limits limits = text_decoder_limits(source);
    bool frame = from->frame > text_input->start && from->frame_offset <= offset;
    return decoder_read(compression, fd, frame ? from->frame : text_input->start,
                        frame ? from->frame_offset : 0, offset, name, &limits, buffer, length,
                        error);
}

static bool mark_check(struct text_source *source, int fd, const struct text_input *text_input,
                       const char *name, const struct position *position,
                       const struct position_mark *mark, bool *same, struct error *error)
{
    char buffer[MARK_LONGEST];
    *same = true;
    if (mark->length == 0)
        return true;
    *same = mark->length <= sizeof(buffer);
    if (!*same)
        return true;
    int64_t got = content_read(source, fd, text_input, name, position, mark->offset, buffer,
                               mark->length, error);
    if (got < 0 && (error->code == ERROR_CORRUPT || error->code == ERROR_TRUNCATED))
        got = 0; /* it was neither when it was read */
    *same =
        got == (int64_t)mark->length && hash_bytes(buffer, mark->length, HASH_SEED) == mark->hash;
    return got >= 0;
}

bool text_marks_check(struct text_source *source, int fd, const struct text_input *text_input,
                      const char *name, const struct position *position, bool *same,
                      struct error *error)
{
    return mark_check(source, fd, text_input, name, position, &position->head, same, error) &&
           (!*same ||
            mark_check(source, fd, text_input, name, position, &position->tail, same, error));
}

/* ---- the lists ---- */

void text_inputs_retire(struct text_source *source)
{
    CHECK(!source->retired);
    for (uint32_t i = 0; i < source->base.input_count; i++) {
        struct text_input *text_input = &source->text_inputs[i];
        if (text_input->fd >= 0 && !text_input->keep_open)
            close(text_input->fd);
        free(text_input->path);
    }
    source->retired = source->base.inputs;
    source->retired_count = source->base.input_count;
    free(source->text_inputs);
    source->base.inputs = NULL;
    source->text_inputs = NULL;
    source->base.input_count = 0;
}

bool text_inputs_take(struct text_source *source, struct error *error)
{
    const struct source_context *context = source->context;
    struct text_input like = {
        .fd = -1, .compression = compression_option(context->options, COMPRESSION_AUTO)};
    if (source->base.input_count == 1 && source->text_inputs[0].keep_open) {
        like = source->text_inputs[0]; /* stdin: a file without a name to look for it by */
        const struct input *found = &source->base.inputs[0];
        if (context->input_count != 1 || context->inputs[0].inode != found->inode)
            return input_mismatch("stdin", "is not the file that the interrupted run read", error);
    }
    text_inputs_retire(source);
    for (uint32_t i = 0; i < context->input_count; i++) {
        struct input input = context->inputs[i];
        struct text_input text_input = like;
        input.names = NULL;
        input.replaced = false;
        if (!text_input_add(source, input, text_input, error))
            return false;
    }
    return true;
}

/* ---- the place ---- */

/* Whether all of the input was read, so that nobody has to look at it any more. */
static bool position_at_end(const struct input *input, enum compression compression,
                            const struct position *at)
{
    bool frames = at->frame >= input->size && at->frame > 0;
    return compression == COMPRESSION_NONE ? at->offset >= input->size : frames;
}

/* Reads the header, for an input that is not read from its start. */
static bool names_read(struct text_source *source, uint32_t index, bool keep, struct error *error)
{
    struct text_input *text_input = &source->text_inputs[index];
    if (!text_header_read(source, index, error))
        return false;
    if (!keep && text_input->fd >= 0 && !text_input->keep_open) {
        close(text_input->fd);
        text_input->fd = -1;
    }
    return true;
}

/* Goes to the place in its input, whose file is open. */
static bool place_take(struct text_source *source, const struct position *position,
                       struct error *error)
{
    struct input *input = &source->base.inputs[position->input];
    struct text_input *text_input = &source->text_inputs[position->input];
    struct stat status;
    bool same = true;
    enum compression compression = text_input->compression;
    if (fstat(text_input->fd, &status) != 0)
        return error_set_errno(error, errno, "cannot look at %s", input->name);
    if ((uint64_t)status.st_size < input->size)
        return input_mismatch(input->name, "is shorter than it was", error);
    if (!text_marks_check(source, text_input->fd, text_input, input->name, position, &same, error))
        return false;
    if (!same)
        return input_mismatch(input->name, "has not the content any more that was read", error);
    if (compression == COMPRESSION_AUTO &&
        !text_compression_detect(text_input->fd, text_input->start, &compression, input->name,
                                 error))
        return false;
    if (position_at_end(input, compression, position)) {
        text_input->skip = true;
        return true;
    }
    return names_read(source, position->input, true, error);
}

/* Everything in front of the position is done with; goes to it. *first: the input from which on all
 * are read as if there were no position. */
static bool position_take(struct text_source *source, const struct position *position,
                          uint32_t *first, struct error *error)
{
    if (position->input > source->base.input_count)
        return error_set(error, ERROR_STATE,
                         "the recorded position lies in input %u of %u: start over with --fresh",
                         position->input + 1, source->base.input_count);
    for (uint32_t i = 0; i < position->input; i++)
        source->text_inputs[i].skip = true;
    *first = position->input;
    if (position->input == source->base.input_count)
        return true;
    struct input *input = &source->base.inputs[position->input];
    struct text_input *text_input = &source->text_inputs[position->input];
    if (position->offset < input->at.offset || position->offset == 0) { /* nothing was settled */
        text_input->skip = input->size == 0;
        return true;
    }
    *first = position->input + 1;
    input->at = *position;
    input->at.key = (struct string){0};
    if (input->at.frame_offset > input->at.offset)
        input->at.frame = input->at.frame_offset = 0;
    if (text_input->fd < 0)
        text_input->fd = text_input_open(source, position->input, error);
    if (text_input->fd >= 0)
        return place_take(source, position, error);
    /* A consumer of what was read may have removed it. */
    bool ended = error->code == ERROR_STATE &&
                 (position->offset == input->size || position->frame == input->size);
    text_input->skip = ended;
    return ended;
}

/* Inputs behind the position that an earlier run has read in part, or wholly. */
static bool starts_take(struct text_source *source, uint32_t first, struct error *error)
{
    for (uint32_t i = first; i < source->base.input_count; i++) {
        const struct input *input = &source->base.inputs[i];
        struct text_input *text_input = &source->text_inputs[i];
        if (input->at.offset == 0 || text_input->skip)
            continue;
        enum compression compression =
            input->at.frame > 0 ? COMPRESSION_ZSTD /* or any */ : COMPRESSION_NONE;
        text_input->skip = position_at_end(input, compression, &input->at);
        if (!text_input->skip && !names_read(source, i, false, error))
            return false;
    }
    return true;
}

static void bytes_sum(struct text_source *source)
{
    source->base.bytes_total = 0;
    for (uint32_t i = 0; i < source->base.input_count; i++) {
        const struct input *input = &source->base.inputs[i];
        uint64_t from =
            input->at.frame ? input->at.frame : source->text_inputs[i].start + input->at.offset;
        if (!source->text_inputs[i].skip && from < input->size)
            source->base.bytes_total += input->size - from;
    }
}

bool text_source_seek(struct source *base, const struct position *position, struct error *error)
{
    struct text_source *source = (struct text_source *)base;
    const struct source_context *context = source->context;
    CHECK(source->offered == 0 && !source->reading_open && base->replayable);
    bool follows = context->inputs && context->incremental;
    if (follows && !text_inputs_follow(source, position, error))
        return false;
    if (!follows && context->inputs && !text_inputs_take(source, error))
        return false;
    uint32_t first = 0;
    if (!follows && position && !position_take(source, position, &first, error))
        return false;
    if (!starts_take(source, first, error))
        return false;
    bytes_sum(source);
    source->reading = source->cutting = 0;
    text_cutter_begin(source);
    source->reading = source->cutting;
    source->started =
        !follows && position && source->cutting == position->input && source->offset > 0;
    return true;
}
