/* State files: see state_file.h. */
#include "io/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "core/clock.h"
#include "core/fault.h"

#define MAGIC       "leatSTAT"
#define MAGIC_SIZE  8
#define VERSION     1
#define HEADER_SIZE (MAGIC_SIZE + 24) /* magic, version, count, open, start, CRC of these */
/* CRC, phase, begun, skip, tail_crc (each 4); number, epoch, device, inode, length, tail_length,
 * length of the record (each 8) */
#define CHECKPOINT_SIZE  (5 * 4 + 7 * 8)
#define TEMPORARY_SUFFIX "-new"
#define LARGEST          (1u << 30) /* a longer file is none of ours */

char *side_path(const char *target, const char *kind)
{
    const char *slash = strrchr(target, '/');
    int folder = slash ? (int)(slash + 1 - target) : 0;
    size_t size = strlen(target) + strlen(kind) + sizeof("..leat-");
    char *path = memory_take(size);
    if (path)
        snprintf(path, size, "%.*s.%s.leat-%s", folder, target, target + folder, kind);
    return path;
}

uint32_t state_crc(struct string bytes)
{
    return (uint32_t)crc32_z(crc32_z(0, NULL, 0), (const unsigned char *)bytes.data, bytes.length);
}

/* ---- bytes ---- */

static char *put_number(char *at, uint64_t value, int size)
{
    for (int i = 0; i < size; i++)
        *at++ = (char)(value >> (8 * i));
    return at;
}

static uint64_t take_number(const char **at, int size)
{
    uint64_t value = 0;
    for (int i = 0; i < size; i++)
        value |= (uint64_t)(unsigned char)*(*at)++ << (8 * i);
    return value;
}

static char *put_checkpoint(char *at, const struct state_checkpoint *checkpoint)
{
    char *crc = at;
    at = put_number(at + 4, checkpoint->phase, 4);
    at = put_number(at, checkpoint->begun, 4);
    at = put_number(at, checkpoint->skip, 4);
    at = put_number(at, checkpoint->tail_crc, 4);
    at = put_number(at, checkpoint->number, 8);
    at = put_number(at, checkpoint->epoch, 8);
    at = put_number(at, checkpoint->device, 8);
    at = put_number(at, checkpoint->inode, 8);
    at = put_number(at, checkpoint->length, 8);
    at = put_number(at, checkpoint->tail_length, 8);
    at = put_number(at, checkpoint->record.length, 8);
    if (checkpoint->record.length > 0)
        memcpy(at, checkpoint->record.data, checkpoint->record.length);
    at += checkpoint->record.length;
    struct string covered = {crc + 4, (size_t)(at - crc) - 4};
    put_number(crc, state_crc(covered), 4);
    return at;
}

/* False: it is cut, damaged, or says what cannot be. */
static bool take_checkpoint(const char **at, const char *end, struct state_checkpoint *checkpoint)
{
    const char *begin = *at;
    if (end - begin < CHECKPOINT_SIZE)
        return false;
    uint32_t crc = (uint32_t)take_number(at, 4);
    uint64_t phase = take_number(at, 4);
    *checkpoint = (struct state_checkpoint){.phase = (enum state_phase)phase};
    checkpoint->begun = take_number(at, 4) != 0;
    checkpoint->skip = (uint32_t)take_number(at, 4);
    checkpoint->tail_crc = (uint32_t)take_number(at, 4);
    checkpoint->number = take_number(at, 8);
    checkpoint->epoch = take_number(at, 8);
    checkpoint->device = take_number(at, 8);
    checkpoint->inode = take_number(at, 8);
    checkpoint->length = take_number(at, 8);
    checkpoint->tail_length = take_number(at, 8);
    uint64_t record_length = take_number(at, 8);
    if (phase > STATE_DONE || record_length > (uint64_t)(end - *at))
        return false;
    checkpoint->record = (struct string){*at, record_length};
    *at += record_length;
    struct string covered = {begin + 4, (size_t)(*at - begin) - 4};
    return crc == state_crc(covered);
}

static bool state_damaged(const char *path, const char *why, struct error *error)
{
    return error_set(error, ERROR_STATE, "%s %s: remove it, or start over with --fresh", path, why);
}

/* The bytes behind the header, which are the state's own. */
static bool checkpoints_decode(struct state *state, uint32_t count, const char *end,
                               const char *path, struct error *error)
{
    const char *at = state->memory + HEADER_SIZE;
    state->has_previous = count == 2;
    bool whole = take_checkpoint(&at, end, &state->latest) &&
                 (count == 1 || take_checkpoint(&at, end, &state->previous));
    state->tail = (struct string){at, whole ? (size_t)(end - at) : 0};
    whole = whole && state->tail.length == state->latest.tail_length &&
            state_crc(state->tail) == state->latest.tail_crc;
    bool ordered = !whole || count == 1 ||
                   (state->previous.number < state->latest.number &&
                    state->previous.length <= state->latest.length &&
                    state->previous.inode == state->latest.inode);
    return (whole && ordered) || state_damaged(path, "is damaged", error);
}

bool state_decode(const char *bytes, size_t length, const char *path, struct state *state,
                  struct error *error)
{
    *state = (struct state){0};
    if (length < HEADER_SIZE || memcmp(bytes, MAGIC, MAGIC_SIZE) != 0)
        return state_damaged(path, "is no state file of leat, or damaged", error);
    const char *at = bytes + MAGIC_SIZE;
    uint32_t version = (uint32_t)take_number(&at, 4);
    uint32_t count = (uint32_t)take_number(&at, 4);
    bool open = take_number(&at, 4) != 0;
    uint64_t start = take_number(&at, 8);
    struct string covered = {bytes, HEADER_SIZE - 4};
    if (version != VERSION)
        return state_damaged(path, "was written by another version of leat", error);
    if (count < 1 || count > 2 || take_number(&at, 4) != state_crc(covered))
        return state_damaged(path, "is damaged", error);
    state->start = start;
    state->open = open;
    state->memory = memory_take(length);
    if (!state->memory)
        return error_set(error, ERROR_MEMORY, "no memory to read %s", path);
    memcpy(state->memory, bytes, length);
    if (checkpoints_decode(state, count, state->memory + length, path, error))
        return true;
    state_close(state);
    return false;
}

void state_close(struct state *state)
{
    free(state->memory);
    *state = (struct state){0};
}

/* ---- files ---- */

static bool descriptor_read(int fd, const char *path, struct state *state, struct error *error)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return error_set_errno(error, errno, "cannot look at %s", path);
    if (!S_ISREG(status.st_mode) || status.st_size > LARGEST)
        return state_damaged(path, "is no state file of leat", error);
    size_t length = (size_t)status.st_size;
    char *bytes = memory_take(length + 1);
    if (!bytes)
        return error_set(error, ERROR_MEMORY, "no memory to read %s", path);
    int64_t got = file_read(fd, bytes, length, 0);
    bool done = got >= 0 ? state_decode(bytes, (size_t)got, path, state, error)
                         : error_set_errno(error, (int)-got, "cannot read %s", path);
    free(bytes);
    return done;
}

bool state_file_read(const char *path, struct state *state, bool *found, struct error *error)
{
    *state = (struct state){0};
    *found = false;
    /* Not blocked by a FIFO that somebody put there. */
    int fd = file_open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, error);
    if (fd < 0)
        return error->os_errno == ENOENT;
    *found = true;
    bool done = descriptor_read(fd, path, state, error);
    close(fd); /* only read */
    return done;
}

void state_file_sweep(const char *path)
{
    size_t size = strlen(path) + sizeof(TEMPORARY_SUFFIX);
    char *temporary = memory_take(size);
    if (temporary) {
        snprintf(temporary, size, "%s" TEMPORARY_SUFFIX, path);
        (void)unlink(temporary); /* mostly there is none; one that stays is written over */
    }
    free(temporary);
}

bool state_file_remove(const char *path, struct error *error)
{
    if (!file_unlink(path, error))
        return error->os_errno == ENOENT;
    return file_sync_folder(path, error);
}

/* ---- writing ---- */

enum writer_stage { STAGE_WRITE, STAGE_SYNC, STAGE_NAME, STAGE_FOLDER };

static bool head_make(struct state_writer *writer, const struct state *state, struct error *error)
{
    size_t length = HEADER_SIZE + CHECKPOINT_SIZE + state->latest.record.length;
    if (state->has_previous)
        length += CHECKPOINT_SIZE + state->previous.record.length;
    writer->head = memory_take(length);
    size_t size = strlen(writer->path) + sizeof(TEMPORARY_SUFFIX);
    writer->temporary = memory_take(size);
    if (!writer->head || !writer->temporary)
        return error_set(error, ERROR_MEMORY, "no memory to write %s", writer->path);
    snprintf(writer->temporary, size, "%s" TEMPORARY_SUFFIX, writer->path);
    memcpy(writer->head, MAGIC, MAGIC_SIZE);
    char *at = put_number(writer->head + MAGIC_SIZE, VERSION, 4);
    at = put_number(at, state->has_previous ? 2 : 1, 4);
    at = put_number(at, state->open, 4);
    at = put_number(at, state->start, 8);
    at = put_number(at, state_crc((struct string){writer->head, HEADER_SIZE - 4}), 4);
    at = put_checkpoint(at, &state->latest);
    if (state->has_previous)
        at = put_checkpoint(at, &state->previous);
    CHECK(at == writer->head + length);
    writer->head_length = length;
    return true;
}

static void writer_end(struct state_writer *writer)
{
    CHECK(!writer->request.pending);
    if (writer->fd >= 0)
        close(writer->fd);
    free(writer->head);
    free(writer->temporary);
    *writer = (struct state_writer){.fd = -1, .replaced = writer->replaced};
}

static enum state_step writer_fail(struct state_writer *writer)
{
    if (writer->stage <= STAGE_NAME)
        (void)unlink(writer->temporary); /* the run has failed, and says why */
    writer_end(writer);
    return STATE_STEP_FAIL;
}

/* Submits what comes next of the stage. */
static void stage_submit(struct state_writer *writer)
{
    struct io_request *request = &writer->request;
    *request = (struct io_request){.kind = IO_SYNC, .fd = writer->fd, .owner = writer};
    if (writer->stage == STAGE_WRITE) {
        size_t written = writer->written;
        bool head = written < writer->head_length;
        request->kind = IO_WRITE;
        request->offset = written;
        request->buffer = head ? writer->head + written
                               : (char *)writer->tail.data + (written - writer->head_length);
        request->length = head ? writer->head_length - written
                               : writer->tail.length - (written - writer->head_length);
    }
    CHECK(io_engine_submit(writer->engine, request));
}

bool state_writer_begin(struct state_writer *writer, struct io_engine *engine, const char *path,
                        const struct state *state, struct error *error)
{
    CHECK(!state_writer_busy(writer) && state->tail.length == state->latest.tail_length);
    *writer = (struct state_writer){.engine = engine, .path = path, .tail = state->tail, .fd = -1};
    if (!head_make(writer, state, error)) {
        writer_end(writer);
        return false;
    }
    /* What a run that died has left under this name is nothing to anybody. */
    writer->fd =
        file_open(writer->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0666, error);
    if (writer->fd < 0) {
        writer_end(writer);
        return false;
    }
    stage_submit(writer);
    return true;
}

/* The folder, to be synced: its descriptor takes the file's place. */
static bool folder_begin(struct state_writer *writer, struct error *error)
{
    char folder[PATH_MAX];
    int fd = writer->fd;
    writer->fd = -1;
    if (!file_close(fd, writer->temporary, error) ||
        !file_rename(writer->temporary, writer->path, error))
        return false;
    writer->replaced = true;
    writer->stage = STAGE_FOLDER;
    size_t length = strlen(writer->path);
    CHECK(length < sizeof(folder)); /* the file was just renamed to it */
    memcpy(folder, writer->path, length + 1);
    writer->fd = file_open(dirname(folder), O_RDONLY | O_DIRECTORY, 0, error);
    return writer->fd >= 0;
}

/* The request of the stage has ended; begins the next. DONE: there is none. */
static enum state_step stage_end(struct state_writer *writer, struct error *error)
{
    int64_t result = writer->request.result;
    if (writer->stage == STAGE_WRITE && (result == -EINTR || result == -EAGAIN))
        result = 0;
    else if (writer->stage == STAGE_WRITE && result == 0)
        result = -ENOSPC;
    /* Some file systems have folders that cannot be synced, and need it not. */
    if (writer->stage == STAGE_FOLDER && (result == -EINVAL || result == -ENOTSUP))
        result = 0;
    if (result < 0) {
        error_set_errno(error, (int)-result, "cannot %s %s",
                        writer->stage == STAGE_WRITE ? "write" : "sync",
                        writer->stage == STAGE_FOLDER ? writer->path : writer->temporary);
        return writer_fail(writer);
    }
    if (writer->stage == STAGE_FOLDER) {
        writer_end(writer);
        return STATE_STEP_DONE;
    }
    if (writer->stage == STAGE_WRITE) {
        writer->written += (size_t)result;
        if (writer->written == writer->head_length + writer->tail.length)
            writer->stage = STAGE_SYNC;
    } else {
        writer->stage = STAGE_NAME;
        if (!folder_begin(writer, error))
            return writer_fail(writer);
    }
    stage_submit(writer);
    return STATE_STEP_WAIT;
}

enum state_step state_writer_step(struct state_writer *writer, struct error *error)
{
    CHECK(state_writer_busy(writer));
    for (;;) {
        while (writer->request.pending && io_engine_reap(writer->engine))
            continue; /* nothing else is in flight */
        if (writer->request.pending)
            return STATE_STEP_WAIT;
        enum state_step step = stage_end(writer, error);
        if (step != STATE_STEP_WAIT)
            return step;
    }
}

void state_writer_drop(struct state_writer *writer)
{
    if (!state_writer_busy(writer))
        return;
    while (writer->request.pending) {
        (void)io_engine_wait(writer->engine, NANOSECONDS);
        while (io_engine_reap(writer->engine))
            continue;
    }
    (void)writer_fail(writer);
}
