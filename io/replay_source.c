/* Rejected records as a source: see replay_source.h. It wraps the source `file`, which cuts lines;
 * each of its batches becomes one or several batches of records, made in place: what a line gives
 * back is shorter than the line.
 *
 * A batch holds records of one header. Where the header changes, what was made so far goes out in
 * the spare batch. A record that could spoil its neighbours (it was malformed when first read, or
 * the dialect sees no end of it) and a line that is refused have a batch of their own.
 *
 * open and seek run on the main thread, everything else on the source's. */
#include "io/replay_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fault.h"
#include "core/hash.h"
#include "io/reject_line.h"
#include "io/replay_names.h"
#include "io/text_source.h"

#define MARK_SIZE    1024
#define SCRATCH_SIZE ((size_t)64 * 1024) /* longer records have a batch of their own */
#define PEEK_SIZE    ((size_t)256 * 1024)

extern const struct source_ops source_file;

/* What the batch that goes out next is made of. */
struct run {
    bool ready;
    size_t length; /* of its text, at the start of the current batch's */
    uint32_t records;
    uint64_t offset; /* of its first line in the content */
    uint64_t lines;  /* before it */
    const struct field_names *names;
    const char *refusal;
    struct position_mark head, tail;
};

struct replay_source {
    struct source base;
    struct source_context *context;
    struct source_context inner_context;
    const char *path; /* inner_context.files */
    struct source *inner;
    struct format *format;
    bool alone; /* the format wants each record in a batch of its own */
    struct replay_names names;
    const struct field_names *known; /* of all records, as far as can be seen at the start */
    char *scratch;
    bool stopping;
    bool ended; /* stopped, and what was read is not wanted any more */

    struct batch *spare;
    struct batch *current; /* lines in the making, or NULL */
    bool begun;            /* some of the current batch went out */
    const char *text;      /* its lines … */
    size_t length;
    size_t at;       /* … up to here they are in runs */
    uint64_t offset; /* of text[0] in the content */
    uint64_t lines;  /* line ends before `at` */
    struct run run;
};

/* One line. */
struct item {
    size_t behind; /* where the next begins */
    bool blank;
    bool alone;
    bool inner; /* refused: not the line itself is told, but the one in it */
    struct reject_line line;
    size_t length; /* of its record */
    const struct field_names *names;
    const char *refusal;
};

/* ---- lines ---- */

static struct position_mark mark_make(const struct replay_source *source, size_t from, size_t to)
{
    return (struct position_mark){.offset = source->offset + from,
                                  .length = (uint32_t)(to - from),
                                  .hash = hash_bytes(source->text + from, to - from, HASH_SEED)};
}

/* Whether the dialect sees that the record in scratch ends where it does. */
static bool record_ends(const struct replay_source *source, size_t length)
{
    struct cut_state state = {0};
    return !memchr(source->scratch, '\n', length - 1) &&
           source->format->ops->cut(source->format, &state, source->scratch, 0, length, false) ==
               length;
}

/* Reads the line at `at`. A record that is not alone is in scratch then, with its LF. */
static void item_read(struct replay_source *source, struct item *item)
{
    const char *begin = source->text + source->at;
    const char *end = memchr(begin, '\n', source->length - source->at);
    size_t length = end ? (size_t)(end - begin) : source->length - source->at;
    *item = (struct item){.behind = source->at + length + (end != NULL)};
    size_t blanks = 0;
    while (blanks < length && memchr(" \t\r", begin[blanks], 3))
        blanks++;
    item->blank = blanks == length;
    if (item->blank)
        return;
    reject_line_read((struct string){begin, length}, &item->line);
    item->refusal = item->line.wrong;
    if (!item->refusal)
        item->refusal = reject_record_measure(&item->line, &item->length);
    item->inner = !item->refusal && item->line.was_line;
    if (item->inner)
        item->refusal = "a replay has refused this line before";
    if (!item->refusal && source->alone && item->length == 0)
        item->refusal = "its record is empty";
    if (!item->refusal)
        item->refusal = replay_names_find(&source->names, item->line.header, &item->names);
    item->alone =
        item->refusal || source->alone || !item->line.was_read || item->length >= SCRATCH_SIZE;
    if (item->alone)
        return;
    CHECK(reject_record_decode(&item->line, source->scratch) == item->length);
    source->scratch[item->length] = '\n';
    item->alone = !record_ends(source, item->length + 1);
}

/* The item becomes part of the run; the line is gone then. */
static void item_take(struct replay_source *source, const struct item *item)
{
    struct run *run = &source->run;
    char *out = source->current->text + run->length;
    size_t from = source->at, to = item->behind;
    run->tail = mark_make(source, to - size_min(to - from, MARK_SIZE), to);
    bool lf = source->text[to - 1] == '\n';
    if (item->blank) {
        ;
    } else if (item->refusal && !item->inner) {
        memmove(out, source->text + from, to - from - lf);
        run->length += to - from - lf;
    } else if (item->alone) {
        run->length += reject_record_decode(&item->line, out);
    } else {
        memcpy(out, source->scratch, item->length + 1);
        run->length += item->length + 1;
    }
    run->records += !item->blank;
    run->names = item->blank ? run->names : item->names;
    run->refusal = item->refusal;
    source->at = to;
    source->lines += lf;
}

static void run_make(struct replay_source *source)
{
    struct run *run = &source->run;
    size_t left = source->length - source->at;
    *run =
        (struct run){.ready = true, .offset = source->offset + source->at, .lines = source->lines};
    run->head = mark_make(source, source->at, source->at + size_min(left, MARK_SIZE));
    run->tail = mark_make(source, source->at, source->at);
    bool alone = false;
    while (source->at < source->length && !alone) {
        struct item item;
        item_read(source, &item);
        bool fits = run->records == 0 || (!item.alone && item.names == run->names);
        if (!item.blank && !fits)
            break;
        item_take(source, &item);
        alone = item.alone;
    }
}

/* ---- batches ---- */

static void current_begin(struct replay_source *source, struct batch *batch)
{
    source->current = batch;
    source->begun = false;
    source->text = batch->text;
    source->length = batch->text_length;
    source->at = 0;
    source->offset = batch->origin.offset;
    source->lines = batch->origin.line - 1;
    source->run.ready = false;
}

/* What `batch` says of the run that it holds. The current batch has what the lines were read with.
 */
static void run_fill(struct replay_source *source, struct batch *batch, bool last)
{
    const struct run *run = &source->run;
    const struct batch *current = source->current;
    bool ends = last && current->ends_input, starts = current->starts_input && !source->begun;
    batch->text_length = (uint32_t)run->length;
    batch->origin = (struct origin){
        .input = current->origin.input, .offset = run->offset, .line = run->lines + 1};
    batch->content_end = source->offset + source->at;
    batch->line_end = source->lines;
    batch->bytes_read = source->begun ? 0 : current->bytes_read;
    batch->format_state = batch->state_end = 0;
    batch->names = run->names;
    batch->input_name = current->input_name;
    batch->frame = current->frame;
    batch->frame_offset = current->frame_offset;
    uint64_t seen = batch->content_end > MARK_SIZE ? batch->content_end - MARK_SIZE : 0;
    if (!last && batch->frame_offset > seen)
        batch->frame = batch->frame_offset = 0; /* from the start: slower, never wrong */
    batch->key_length = 0;
    batch->starts_input = starts;
    batch->ends_input = ends;
    batch->overlong = run->refusal != NULL;
    batch->overlong_length = run->length;
    batch->refusal = run->refusal;
    batch->recoded = true;
    batch->head = run->head;
    batch->tail = run->tail;
}

/* The run goes out in the spare batch; the current one keeps its lines. */
static void run_copy(struct replay_source *source, struct batch *spare)
{
    spare->text = spare->memory;
    memcpy(spare->text, source->current->text, source->run.length);
    spare->jumbo = false;
    run_fill(source, spare, false);
}

/* The run goes out in the current batch; its other lines move into the spare one, which is current
 * from now on. */
static void rest_move(struct replay_source *source, struct batch *spare)
{
    struct batch *current = source->current;
    size_t rest = source->length - source->at;
    spare->text = spare->memory;
    memcpy(spare->text, source->text + source->at, rest);
    spare->text_length = (uint32_t)rest;
    spare->jumbo = false;
    spare->origin = (struct origin){.input = current->origin.input,
                                    .offset = source->offset + source->at,
                                    .line = source->lines + 1};
    spare->input_name = current->input_name;
    spare->frame = current->frame;
    spare->frame_offset = current->frame_offset;
    spare->ends_input = current->ends_input;
    run_fill(source, current, false);
    current_begin(source, spare);
    spare->starts_input = false;
    spare->bytes_read = 0;
}

static enum source_result run_give(struct replay_source *source, struct batch **batch)
{
    struct batch *current = source->current, *spare = source->spare;
    bool last = source->at == source->length;
    if (!last && !spare && !source->stopping)
        return SOURCE_WAIT;
    *batch = current;
    if (last || !spare) { /* without a spare one, what a stop leaves is not wanted */
        source->ended |= !last;
        run_fill(source, current, last);
        source->current = NULL;
        return SOURCE_READY;
    }
    source->spare = NULL;
    size_t room = BATCH_HEADROOM + spare->text_capacity;
    if (source->run.length <= room) {
        run_copy(source, spare);
        *batch = spare;
        source->begun = true;
        source->run.ready = false;
        return SOURCE_READY;
    }
    /* A record longer than a batch: what was read behind it is less than one. */
    CHECK(source->length - source->at <= room);
    rest_move(source, spare);
    return SOURCE_READY;
}

/* ---- operations ---- */

/* What the runtime has set, and what it is to see. */
static void context_follow(struct replay_source *source)
{
    const struct source_context *context = source->context;
    source->inner_context.engine = context->engine;
    source->inner_context.jumbo_take = context->jumbo_take;
    source->inner_context.jumbo_context = context->jumbo_context;
    source->inner_context.inputs = context->inputs;
    source->inner_context.input_count = context->input_count;
    source->inner_context.incremental = context->incremental;
}

static void bytes_follow(struct replay_source *source)
{
    __atomic_store_n(&source->base.bytes_done, source->inner->bytes_done, __ATOMIC_RELAXED);
    source->base.wake = source->inner->wake;
}

static bool inputs_follow(struct replay_source *source, struct error *error)
{
    const struct source *inner = source->inner;
    size_t size = inner->input_count * sizeof(*inner->inputs);
    struct input *inputs = memory_take(size + 1);
    if (!inputs)
        return error_set(error, ERROR_MEMORY, "no memory for a list of inputs");
    if (size > 0)
        memcpy(inputs, inner->inputs, size);
    for (uint32_t i = 0; i < inner->input_count; i++)
        inputs[i].names = (struct field_names *)source->known;
    free(source->base.inputs);
    source->base.inputs = inputs;
    source->base.input_count = inner->input_count;
    source->base.bytes_total = inner->bytes_total;
    source->base.replayable = inner->replayable;
    return true;
}

static bool replay_offer(struct source *base, struct batch *batch)
{
    struct replay_source *source = (struct replay_source *)base;
    context_follow(source);
    if (source->spare || source->stopping)
        return source->inner->ops->offer(source->inner, batch);
    source->spare = batch;
    return true;
}

static enum source_result replay_take(struct source *base, struct batch **batch,
                                      struct error *error)
{
    struct replay_source *source = (struct replay_source *)base;
    if (!source->current) {
        struct batch *next = NULL;
        if (source->ended)
            return SOURCE_END;
        enum source_result result = source->inner->ops->take(source->inner, &next, error);
        bytes_follow(source);
        if (result != SOURCE_READY)
            return result;
        if (next->overlong) { /* a line; its first bytes are no record */
            next->recoded = true;
            next->head = next->tail = (struct position_mark){0};
            next->names = NULL;
            *batch = next;
            return SOURCE_READY;
        }
        current_begin(source, next);
    }
    if (!source->run.ready)
        run_make(source);
    return run_give(source, batch);
}

static void replay_stop(struct source *base)
{
    struct replay_source *source = (struct replay_source *)base;
    source->stopping = true;
    source->inner->ops->stop(source->inner);
}

static struct batch *replay_reclaim(struct source *base)
{
    struct replay_source *source = (struct replay_source *)base;
    struct batch *batch = source->current ? source->current : source->spare;
    context_follow(source);
    if (!batch)
        return source->inner->ops->reclaim(source->inner);
    if (batch == source->current)
        source->current = NULL;
    else
        source->spare = NULL;
    return batch;
}

static bool replay_seek(struct source *base, const struct position *position, struct error *error)
{
    struct replay_source *source = (struct replay_source *)base;
    context_follow(source);
    return source->inner->ops->seek(source->inner, position, error) && inputs_follow(source, error);
}

static void replay_close(struct source *base)
{
    struct replay_source *source = (struct replay_source *)base;
    if (source->inner)
        source->inner->ops->close(source->inner);
    replay_names_close(&source->names);
    if (source->format)
        source->format->ops->close(source->format);
    free(source->base.inputs);
    free(source->scratch);
    free(source);
}

/* ---- opening ---- */

static bool inner_open(struct replay_source *source, struct error *error)
{
    struct stat status;
    if (stat(source->path, &status) == 0 && !S_ISREG(status.st_mode))
        return error_set(error, ERROR_USAGE,
                         "cannot replay %s: it is no file, so no position in it can be remembered",
                         source->path);
    source->inner_context = (struct source_context){
        .formats = source->context->formats,
        .files = &source->path,
        .file_count = 1,
        .format_name = "ndjson",
        .limits = source->context->limits,
    };
    return source_file.open(&source->inner_context, &source->inner, error);
}

/* The first lines, which the inner source reads again. Returns how many bytes, or -1. */
static int64_t peek_read(struct replay_source *source, char *buffer, struct error *error)
{
    const struct text_source *inner = (const struct text_source *)source->inner;
    enum compression compression;
    int fd = file_open(source->path, O_RDONLY, 0, error);
    if (fd < 0)
        return -1;
    int64_t got = -1;
    if (text_compression_detect(fd, 0, &compression, source->path, error)) {
        struct decoder_limits limits = text_decoder_limits(inner);
        got = compression == COMPRESSION_NONE ? file_read(fd, buffer, PEEK_SIZE, 0)
                                              : decoder_peek(compression, fd, 0, source->path,
                                                             &limits, buffer, PEEK_SIZE, error);
        if (got < 0 && compression == COMPRESSION_NONE) {
            error_set_errno(error, (int)-got, "cannot read %s", source->path);
            got = -1;
        }
    }
    close(fd);
    return got;
}

static bool format_open(struct replay_source *source, const struct format_ops *ops,
                        const struct reject_line *first, struct error *error)
{
    char name[4096];
    size_t length;
    if (!ops && first->source.data && first->source.length < sizeof(name) &&
        reject_string_decode(first->source, name, &length)) {
        name[length] = 0;
        ops = format_for_path(source->context->formats, name);
    }
    if (!ops)
        ops = format_find(source->context->formats, STRING("ndjson"));
    if (!ops)
        return error_set(error, ERROR_PROGRAM,
                         "cannot tell the format of the rejected records: "
                         "give it (--from csv)");
    source->alone = ops->open_alone != NULL;
    bool done = source->alone ? ops->open_alone(&source->format, error)
                              : ops->open(source->context->options, &source->format, error);
    source->base.format = source->format;
    return done;
}

/* Looks at the first lines: of which format they are, and of which fields. */
static bool lines_peek(struct replay_source *source, char *text, size_t length,
                       const struct format_ops *ops, struct error *error)
{
    struct reject_line first = {0}, sample = {0};
    bool one_header = true, any = false;
    for (size_t at = 0; at < length;) {
        const char *end = memchr(text + at, '\n', length - at);
        size_t stop = end ? (size_t)(end - text) : length;
        struct reject_line line;
        size_t bytes;
        reject_line_read((struct string){text + at, stop - at}, &line);
        at = stop + 1;
        if (line.wrong || line.was_line || reject_record_measure(&line, &bytes))
            continue;
        if (!any)
            first = line;
        any = true;
        one_header &= string_equal(line.header, first.header);
        if (!sample.record.data && line.was_read)
            sample = line;
    }
    if (!format_open(source, ops, &first, error) ||
        !replay_names_open(&source->names, source->format,
                           any ? sample.record.data ? &sample : &first : NULL, error))
        return false;
    if (any && one_header && replay_names_find(&source->names, first.header, &source->known))
        source->known = NULL;
    return true;
}

bool replay_source_open(struct source_context *context, const char *path,
                        const struct format_ops *ops, bool added, struct source **result,
                        struct error *error)
{
    struct replay_source *source = memory_take_zeroed(1, sizeof(*source));
    if (!source)
        return error_set(error, ERROR_MEMORY, "no memory for a source");
    source->base.ops = &source_replay;
    source->base.incremental = added ? 1 : -1;
    source->context = context;
    source->path = path;
    source->scratch = memory_take(SCRATCH_SIZE + BATCH_PADDING + 1);
    char *text = memory_take(PEEK_SIZE);
    bool done = source->scratch && text;
    if (!done)
        error_set(error, ERROR_MEMORY, "no memory for a source");
    int64_t got = done && inner_open(source, error) ? peek_read(source, text, error) : -1;
    done = got >= 0 && lines_peek(source, text, (size_t)got, ops, error) &&
           inputs_follow(source, error);
    free(text);
    if (!done) {
        replay_close(&source->base);
        return false;
    }
    *result = &source->base;
    return true;
}

static const struct noun noun = {
    .name = "replay",
    .doc = "Reads rejected records again, as they first were",
};

const struct source_ops source_replay = {
    .noun = &noun,
    .seek = replay_seek,
    .offer = replay_offer,
    .take = replay_take,
    .stop = replay_stop,
    .reclaim = replay_reclaim,
    .close = replay_close,
};
