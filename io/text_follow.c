/* Adding to what a finished run has read (`incremental`): of the inputs that there are now, those
 * that it did not know are read, and of those that have grown what came since. A file is known
 * again by its inode, and by the marks of what was read of it; what was renamed in its folder
 * (rotated) is read to its end before the new file under its name. On the main thread. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fault.h"
#include "io/text_source.h"

/* What the finished run knew, and what of it was found again. */
struct known {
    const struct input *inputs;
    uint32_t count;
    const struct position *position; /* where it ended, or NULL */
    bool *met;
};

static bool same_file(const struct input *one, const struct input *other)
{
    /* Devices may be numbered anew when the machine starts. */
    return one->inode == other->inode &&
           (one->device == other->device || strcmp(one->name, other->name) == 0);
}

/* The known input that this one is, or NULL. From the same place on, mostly. */
static const struct input *known_find(const struct known *known, const struct input *input,
                                      uint32_t hint)
{
    for (uint32_t i = 0; i < known->count; i++) {
        uint32_t index = (hint + i) % known->count;
        if (!known->met[index] && same_file(&known->inputs[index], input))
            return &known->inputs[index];
    }
    return NULL;
}

/* Where the finished run stood at the end of an input. */
static struct position known_end(const struct known *known, const struct input *input)
{
    struct position end = input->at;
    uint32_t index = (uint32_t)(input - known->inputs);
    if (end.offset == 0 && known->position && known->position->input == index)
        end = *known->position;
    if (end.offset == 0) /* all that is known is how long it was */
        end = (struct position){.offset = input->size};
    end.key = (struct string){0};
    return end;
}

/* Whether `now` is still the file whose content was read up to `end`; *skip: and nothing more. */
static bool content_compare(struct text_source *source, const struct input *was,
                            const struct input *now, struct text_input *text_input,
                            struct position *end, bool *same, struct error *error)
{
    *same = now->size >= was->size;
    text_input->skip = *same && now->size == was->size && now->modified == was->modified;
    if (!*same || text_input->skip)
        return true;
    const char *path = text_input->path ? text_input->path : now->name;
    bool opened = text_input->fd < 0;
    int fd = opened ? file_open(path, O_RDONLY | O_NONBLOCK, 0, error) : text_input->fd;
    if (fd < 0)
        return false;
    enum compression compression = text_input->compression;
    bool done = true;
    if (compression == COMPRESSION_AUTO)
        done = text_compression_detect(fd, text_input->start, &compression, now->name, error);
    if (done && compression != COMPRESSION_NONE && end->frame < was->size) {
        end->frame = was->size; /* it ended with a frame: what follows is decoded by itself */
        end->frame_offset = end->offset;
    }
    struct position marks = *end;
    if (compression != COMPRESSION_NONE && end->tail.offset < end->frame_offset)
        marks.tail.length = 0; /* all of it would have to be decoded to look there */
    done = done && text_marks_check(source, fd, text_input, now->name, &marks, same, error);
    text_input->skip = done && *same && now->size == was->size;
    if (opened)
        close(fd);
    return done;
}

/* Adds an input that is known: from where it was read to. */
static bool known_add(struct text_source *source, const struct known *known,
                      const struct input *was, struct input input, struct text_input text_input,
                      struct error *error)
{
    struct position end = known_end(known, was);
    bool same;
    known->met[was - known->inputs] = true;
    if (!content_compare(source, was, &input, &text_input, &end, &same, error))
        return false;
    if (same)
        input.at = end;
    input.replaced = !same;
    return text_input_add(source, input, text_input, error);
}

/* Known files that no name of now leads to: renamed ones are read to their end, deleted ones are
 * forgotten. */
static bool renamed_add(struct text_source *source, const struct known *known,
                        struct text_input like, struct error *error)
{
    for (uint32_t i = 0; i < known->count; i++) {
        const struct input *was = &known->inputs[i];
        struct stat status;
        if (known->met[i] || like.keep_open)
            continue;
        char *path = text_inode_find(was->name, was->inode);
        if (!path)
            continue;
        bool done = true;
        if (stat(path, &status) == 0) {
            struct input input = *was;
            input.name = path;
            input.names = NULL;
            input.size = (uint64_t)status.st_size;
            input.modified = status.st_mtim.tv_sec * NANOSECONDS + status.st_mtim.tv_nsec;
            input.at = (struct position){0};
            done = known_add(source, known, was, input, like, error);
            /* an inode that was given to another file is no input of ours */
            if (done && source->base.inputs[source->base.input_count - 1].replaced) {
                source->base.input_count--;
                free((char *)source->base.inputs[source->base.input_count].name);
            }
        }
        free(path);
        if (!done)
            return false;
    }
    return true;
}

static bool lists_make(struct text_source *source, const struct known *known,
                       const struct input *found, const struct text_input *text_found,
                       uint32_t count, struct error *error)
{
    const struct input **was = memory_take_zeroed(count + 1, sizeof(*was));
    if (!was)
        return error_set(error, ERROR_MEMORY, "no memory for a list of %u files", count);
    bool done = true;
    for (uint32_t i = 0; i < count; i++) {
        was[i] = known_find(known, &found[i], i);
        if (was[i])
            known->met[was[i] - known->inputs] = true;
    }
    struct text_input like = {.fd = -1};
    if (count > 0)
        like = text_found[0];
    if (!like.keep_open)
        like = (struct text_input){
            .fd = -1,
            .compression = compression_option(source->context->options, COMPRESSION_AUTO)};
    done = renamed_add(source, known, like, error);
    for (uint32_t i = 0; done && i < count; i++) {
        struct input input = found[i];
        struct text_input text_input = like.keep_open ? text_found[i] : like;
        input.names = NULL;
        if (was[i])
            done = known_add(source, known, was[i], input, text_input, error);
        else
            done = text_input_add(source, input, text_input, error);
    }
    free(was);
    return done;
}

bool text_inputs_follow(struct text_source *source, const struct position *position,
                        struct error *error)
{
    const struct source_context *context = source->context;
    struct known known = {
        .inputs = context->inputs, .count = context->input_count, .position = position};
    known.met = memory_take_zeroed(known.count + 1, sizeof(bool));
    struct text_input *text_found =
        memory_take_zeroed(source->base.input_count + 1, sizeof(*text_found));
    bool done = known.met && text_found;
    if (!done)
        error_set(error, ERROR_MEMORY, "no memory for a list of %u files", known.count);
    if (done) {
        if (source->base.input_count > 0)
            memcpy(text_found, source->text_inputs, source->base.input_count * sizeof(*text_found));
        text_inputs_retire(source); /* what open found stays in source->retired */
        done =
            lists_make(source, &known, source->retired, text_found, source->retired_count, error);
    }
    free(text_found);
    free(known.met);
    return done;
}
