/* How the file sink remembers its commits and goes back to them: the state file beside the target
 * says how long the part file was, see state_file.h. recover, resume and forget run on the main
 * thread before the run, the rest on the sink's. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fault.h"
#include "io/decoder.h"
#include "io/file_sink_internal.h"

#define TAIL_MEMORY (64u * 1024 * 1024) /* for reading one of our own frames */

/* The file that the commits are about. */
static const char *committed_path(const struct file_sink *sink)
{
    return sink->append ? sink->target : sink->part;
}

static bool state_mismatch(const struct file_sink *sink, const char *path, const char *what,
                           struct error *error)
{
    return error_set(error, ERROR_STATE,
                     "cannot go on with %s: %s %s; put it back, or start over with --fresh",
                     sink->target, path, what);
}

/* Whether the name leads to the file that the commits are about. */
static bool path_is_recorded(const struct file_sink *sink, const char *path, struct stat *status)
{
    return lstat(path, status) == 0 && status->st_ino == sink->state.latest.inode;
}

/* Compares what is there with what the state says. */
static bool state_check(struct file_sink *sink, struct error *error)
{
    const struct state_checkpoint *latest = &sink->state.latest;
    const char *path = committed_path(sink);
    struct stat status = {0};
    if (latest->phase == STATE_DONE && !sink->state.open)
        return true; /* the run after a finished one: whatever is there by now */
    if (path_is_recorded(sink, path, &status))
        return (uint64_t)status.st_size >= latest->length ||
               state_mismatch(sink, path, "is shorter than the last commit left it", error);
    if (latest->phase == STATE_FINAL && !sink->append) {
        /* The rename has happened; or a consumer has even taken the result already. */
        sink->named = path_is_recorded(sink, sink->target, &status);
        sink->named |= lstat(sink->target, &status) != 0 && errno == ENOENT;
        if (sink->named)
            return true;
    }
    bool there = lstat(path, &status) == 0;
    return state_mismatch(sink, path,
                          there ? "is not the file that the last commit left" : "is gone", error);
}

bool file_sink_recover(struct sink *base, struct commit_record *record, bool *found,
                       struct error *error)
{
    struct file_sink *sink = (struct file_sink *)base;
    *found = false;
    if (!file_sink_lock(sink, error))
        return false;
    if (!sink->recovered) {
        bool there;
        state_file_sweep(sink->state_path);
        if (!state_file_read(sink->state_path, &sink->state, &there, error))
            return error_add_context(error, "cannot go on with %s", sink->target);
        if (there && !state_check(sink, error)) {
            state_close(&sink->state);
            return false;
        }
        sink->recovered = true;
    }
    const struct state_checkpoint *latest = &sink->state.latest;
    *found = latest->number > 0;
    *record = (struct commit_record){.number = latest->number,
                                     .epoch = latest->epoch,
                                     .bytes = latest->record.data,
                                     .length = latest->record.length,
                                     .final = latest->phase != STATE_RUNNING,
                                     .done = latest->phase == STATE_DONE || sink->named};
    return true;
}

/* Writes the state and waits for it. */
static bool state_write_now(struct file_sink *sink, const struct state *state, struct error *error)
{
    struct io_engine *engine = sink->bytes.context->engine;
    if (!state_writer_begin(&sink->state_writer, engine, sink->state_path, state, error))
        return false;
    enum state_step step;
    while ((step = state_writer_step(&sink->state_writer, error)) == STATE_STEP_WAIT)
        (void)io_engine_wait(engine, NANOSECONDS);
    return step == STATE_STEP_DONE;
}

/* Cuts off what an unfinished run has added: first the state says that nothing of it counts, then
 * it is cut on the disk, then the state may go, which knows how much that is. */
static bool added_remove(struct file_sink *sink, struct error *error)
{
    bool unfinished = sink->state.open || sink->state.latest.phase != STATE_DONE;
    struct stat status;
    if (!unfinished || !path_is_recorded(sink, sink->target, &status))
        return true;
    struct state nothing = {.latest = {.phase = STATE_DONE,
                                       .device = status.st_dev,
                                       .inode = status.st_ino,
                                       .length = sink->state.start,
                                       .tail_crc = state_crc((struct string){0})},
                            .start = sink->state.start,
                            .open = true};
    if (!state_write_now(sink, &nothing, error))
        return false;
    int fd = file_open(sink->target, O_WRONLY | O_NOFOLLOW, 0, error);
    bool done = fd >= 0 && file_truncate(fd, sink->state.start, sink->target, error) &&
                file_sync_data(fd, sink->target, error);
    if (fd >= 0)
        close(fd);
    return done;
}

/* Removes what an unfinished run left: first its state, so that it is never without its part. */
static bool leftovers_remove(struct file_sink *sink, struct error *error)
{
    if (sink->append && !added_remove(sink, error))
        return false;
    if (!state_file_remove(sink->state_path, error))
        return false;
    return sink->append || file_unlink(sink->part, error) || error->os_errno == ENOENT;
}

bool file_sink_forget(struct sink *base, struct error *error)
{
    struct file_sink *sink = (struct file_sink *)base;
    CHECK(sink->lock_fd >= 0);
    if (!leftovers_remove(sink, error))
        return false;
    state_close(&sink->state);
    sink->named = false;
    sink->recovered = true;
    return true;
}

/* The content of the frame that was open at the previous commit: the beginning of what is a whole
 * frame by now. NULL: *error. */
static char *tail_decode(const struct file_sink *sink, struct error *error)
{
    const struct state_checkpoint *previous = &sink->state.previous;
    struct decoder_limits limits = {.memory = TAIL_MEMORY, .read_size = SIZE_MAX};
    char *tail = memory_take(previous->tail_length + 1);
    if (!tail) {
        error_set(error, ERROR_MEMORY, "no memory to go on with %s", sink->target);
        return NULL;
    }
    int64_t got = decoder_peek(sink->bytes.compression, sink->fd, previous->length, sink->part,
                               &limits, tail, previous->tail_length, error);
    struct string text = {tail, got > 0 ? (size_t)got : 0};
    if (got >= 0 && text.length == previous->tail_length && state_crc(text) == previous->tail_crc)
        return tail;
    if (got >= 0)
        state_mismatch(sink, committed_path(sink), "is damaged", error);
    free(tail);
    return NULL;
}

/* Makes the previous commit the last one, in the state file before anything is cut: else a crash
 * would leave a file that is shorter than its state says. */
static bool previous_restore(struct file_sink *sink, struct error *error)
{
    struct state *state = &sink->state;
    struct string tail = {state->tail.data, state->previous.tail_length};
    char *memory = NULL;
    if (tail.length > 0 && state->previous.length < state->latest.length) {
        memory = tail_decode(sink, error);
        if (!memory)
            return false;
        tail.data = memory;
    } else if (tail.length > state->tail.length || state_crc(tail) != state->previous.tail_crc) {
        return state_mismatch(sink, sink->state_path, "is damaged", error);
    }
    struct state back = {.latest = state->previous,
                         .start = state->start,
                         .open = state->previous.phase == STATE_DONE,
                         .tail = tail};
    bool done = state_write_now(sink, &back, error);
    back.tail = (struct string){0};
    bool read = false;
    if (done) {
        state_close(state);
        done = state_file_read(sink->state_path, state, &read, error) && read;
    }
    free(memory);
    return done;
}

/* Opens the file of the commits, and makes sure that it still is. */
static bool committed_open(struct file_sink *sink, struct error *error)
{
    const char *path = committed_path(sink);
    struct stat status;
    sink->fd = file_open(path, O_RDWR | O_NOFOLLOW, 0, error);
    if (sink->fd < 0)
        return error_add_context(error, "cannot go on with %s", sink->target);
    if (fstat(sink->fd, &status) != 0)
        return error_set_errno(error, errno, "cannot look at %s", path);
    return (status.st_ino == sink->state.latest.inode &&
            (uint64_t)status.st_size >= sink->state.latest.length) ||
           state_mismatch(sink, path, "has changed", error);
}

/* Goes on behind a finished run, whatever became of its result since; but what a run after it left
 * unfinished goes. */
static bool append_again(struct file_sink *sink, struct error *error)
{
    struct state *state = &sink->state;
    struct stat status;
    if (sink->fd < 0)
        sink->fd = file_open(sink->target, O_RDWR | O_CREAT, 0666, error);
    if (sink->fd < 0)
        return false;
    if (state->open && !file_truncate(sink->fd, state->latest.length, sink->target, error))
        return false;
    if (fstat(sink->fd, &status) != 0)
        return error_set_errno(error, errno, "cannot look at %s", sink->target);
    state->latest.length = state->start = sink->start_size = (uint64_t)status.st_size;
    state->latest.inode = status.st_ino;
    state->latest.device = status.st_dev;
    state->latest.begun = false;
    state->latest.skip = sink->bytes.skip;
    state->has_previous = false;
    return true;
}

bool file_append_begin(struct file_sink *sink, struct error *error)
{
    struct state *state = &sink->state;
    struct stat status;
    if (fstat(sink->fd, &status) != 0)
        return error_set_errno(error, errno, "cannot look at %s", sink->target);
    if (!file_sync_folder(sink->target, error)) /* no state without the file that it is about */
        return false;
    state->open = true;
    state->start = state->latest.length = sink->start_size;
    state->latest.inode = status.st_ino;
    state->latest.device = status.st_dev;
    state->latest.phase = STATE_DONE;
    state->latest.tail_crc = state_crc(state->tail);
    return state_write_now(sink, state, error);
}

bool file_sink_resume(struct sink *base, uint64_t number, uint64_t epoch, struct error *error)
{
    struct file_sink *sink = (struct file_sink *)base;
    struct state *state = &sink->state;
    (void)epoch; /* it comes with each record; other processes are kept away by the lock */
    CHECK(sink->recovered && sink->lock_fd >= 0 && sink->fd < 0);
    const struct state_checkpoint *latest = &state->latest;
    bool finished = latest->phase == STATE_DONE;
    if (number == 0) { /* a finished run's record stays until the next commit */
        bool done = (finished && !state->open) || leftovers_remove(sink, error);
        state_close(state);
        return done;
    }
    bool back = state->has_previous && number == state->previous.number;
    if (!back && number != latest->number)
        return error_set(
            error, ERROR_STATE, "%s knows of commit %llu, not of %llu: start over with --fresh",
            sink->state_path, (unsigned long long)latest->number, (unsigned long long)number);
    if (back && (finished || sink->named))
        return state_mismatch(sink, sink->target, "is finished already", error);
    sink->resumed = true;
    if (finished && sink->append)
        return append_again(sink, error);
    if (finished || sink->named) {
        sink->phase = finished ? FILE_PUBLISHED : FILE_NAMED;
        return true;
    }
    if (!committed_open(sink, error) || (back && !previous_restore(sink, error)))
        return false;
    if (latest->phase == STATE_DONE)
        return append_again(sink, error);
    sink->start_size = state->start;
    sink->part_made = !sink->append;
    sink->phase = latest->phase == STATE_FINAL ? FILE_SYNCED : FILE_WRITING;
    return file_truncate(sink->fd, latest->length, committed_path(sink), error);
}

void file_checkpoint_continue(struct file_sink *sink)
{
    const struct state_checkpoint *latest = &sink->state.latest;
    struct byte_sink *bytes = &sink->bytes;
    bytes->continues = sink->start_size > 0;
    bytes->begun = latest->begun;
    bytes->skip = bytes->continues && !latest->begun ? 0 : latest->skip;
}

/* What a commit of everything written so far says. */
static bool checkpoint_make(struct file_sink *sink, const struct commit_record *record,
                            struct error *error)
{
    const struct byte_sink *bytes = &sink->bytes;
    struct stat status;
    if (fstat(sink->fd, &status) != 0)
        return error_set_errno(error, errno, "cannot look at %s", sink->target);
    sink->next = (struct state){.start = sink->start_size};
    if (bytes->encoder)
        sink->next.tail = encoder_tail(bytes->encoder);
    sink->next.latest = (struct state_checkpoint){
        .number = record->number,
        .epoch = record->epoch,
        .phase = record->final ? STATE_FINAL : STATE_RUNNING,
        .device = status.st_dev,
        .inode = status.st_ino,
        .length = bytes->writer.offset,
        .begun = bytes->begun,
        .skip = bytes->skip,
        .tail_length = sink->next.tail.length,
        .tail_crc = state_crc(sink->next.tail),
    };
    sink->next.previous = sink->state.latest;
    sink->next.has_previous = sink->state.latest.number > 0 &&
                              sink->state.latest.number < record->number &&
                              sink->state.latest.inode == status.st_ino;
    return true;
}

bool file_state_begin(struct file_sink *sink, const struct commit_record *record, bool done,
                      struct error *error)
{
    struct string bytes = {record->bytes, record->length};
    /* No state may be on the disk without the name of the part that it is about. */
    if (!done && !sink->append && !sink->named_part) {
        if (!file_sync_folder(sink->part, error))
            return false;
        sink->named_part = true;
    }
    if (done) {
        sink->next = sink->state; /* what the last commit said, if it was this run's */
        sink->next.latest.phase = STATE_DONE;
        sink->next.tail = (struct string){0};
        sink->next.latest.tail_length = 0;
        sink->next.latest.tail_crc = state_crc(sink->next.tail);
        sink->next.has_previous = false;
        bytes = sink->state.latest.record;
    } else if (!checkpoint_make(sink, record, error)) {
        return false;
    }
    sink->next_record = memory_take(bytes.length + 1);
    if (!sink->next_record)
        return error_set(error, ERROR_MEMORY, "no memory to commit to %s", sink->target);
    if (bytes.length > 0)
        memcpy(sink->next_record, bytes.data, bytes.length);
    sink->next.latest.record = (struct string){sink->next_record, bytes.length};
    return state_writer_begin(&sink->state_writer, sink->bytes.context->engine, sink->state_path,
                              &sink->next, error);
}

enum sink_result file_state_step(struct file_sink *sink, struct error *error)
{
    enum state_step step = state_writer_step(&sink->state_writer, error);
    if (step == STATE_STEP_WAIT)
        return SINK_WAIT;
    if (step == STATE_STEP_FAIL)
        return SINK_FAIL;
    free(sink->records[1]);
    sink->records[1] = sink->records[0];
    sink->records[0] = sink->next_record;
    sink->next_record = NULL;
    /* what recover read may still hold the record of the previous one */
    sink->next.memory = sink->state.memory;
    sink->state = sink->next;
    sink->state.tail = (struct string){0};
    return SINK_OK;
}

void file_checkpoint_free(struct file_sink *sink)
{
    state_close(&sink->state);
    free(sink->records[0]);
    free(sink->records[1]);
    free(sink->next_record);
    free(sink->state_path);
    free(sink->lock_path);
}
