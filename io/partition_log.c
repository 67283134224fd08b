/* The log of a partitioned sink's commits: see partition_log.h. */
#include "io/partition_log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fault.h"
#include "core/hash.h"
#include "io/engine.h"

#define MAGIC        "leatPLOG"
#define HEADER_SIZE  12 /* magic, version */
#define VERSION      1
#define FRAME_HEADER 16           /* CRC-32, 0, length of what follows */
#define FRAME_LEAST  (4 * 8 + 4)  /* number, epoch, phase, record's length; entries */
#define ENTRY_LEAST  (4 + 5 * 8)  /* path's length; inode, size, turn, tail_from, tail's length */
#define LOG_LEAST    (64u * 1024) /* a shorter log is never compacted */
#define LOG_LARGEST  (1ull << 40)

/* ---- frames ---- */

static char *frame_room(struct log_frame *frame, size_t size)
{
    if (frame->failed)
        return NULL;
    if (frame->room - frame->length < size) {
        size_t room = size_max(2 * frame->room, frame->length + size + 4096);
        char *bytes = memory_resize(frame->bytes, room);
        frame->failed = !bytes;
        if (!bytes)
            return NULL;
        frame->bytes = bytes;
        frame->room = room;
    }
    char *at = frame->bytes + frame->length;
    frame->length += size;
    return at;
}

static void frame_number(struct log_frame *frame, uint64_t value, int size)
{
    char *at = frame_room(frame, (size_t)size);
    for (int i = 0; at && i < size; i++)
        at[i] = (char)(value >> (8 * i));
}

static void frame_text(struct log_frame *frame, struct string text)
{
    char *at = frame_room(frame, text.length);
    if (at && text.length > 0)
        memcpy(at, text.data, text.length);
}

static void number_put(char *at, uint64_t value, int size)
{
    for (int i = 0; i < size; i++)
        at[i] = (char)(value >> (8 * i));
}

void log_frame_begin(struct log_frame *frame, const struct log_commit *commit)
{
    frame->begin = frame->length;
    frame->entries = 0;
    (void)frame_room(frame, FRAME_HEADER);
    frame_number(frame, commit->number, 8);
    frame_number(frame, commit->epoch, 8);
    frame_number(frame, commit->phase, 8);
    frame_number(frame, commit->record.length, 8);
    frame_number(frame, 0, 4); /* entries, by end */
    frame_text(frame, commit->record);
}

void log_frame_add(struct log_frame *frame, const struct log_entry *entry)
{
    frame->entries++;
    frame_number(frame, entry->path.length, 4);
    frame_number(frame, entry->inode, 8);
    frame_number(frame, entry->size, 8);
    frame_number(frame, entry->turn, 8);
    frame_number(frame, entry->tail_from, 8);
    frame_number(frame, entry->tail.length, 8);
    frame_text(frame, entry->path);
    frame_text(frame, entry->tail);
}

void log_frame_end(struct log_frame *frame)
{
    if (frame->failed)
        return;
    char *begin = frame->bytes + frame->begin;
    struct string payload = {begin + FRAME_HEADER, frame->length - frame->begin - FRAME_HEADER};
    number_put(begin + FRAME_HEADER + 32, frame->entries, 4);
    number_put(begin, state_crc(payload), 4);
    number_put(begin + 4, 0, 4);
    number_put(begin + 8, payload.length, 8);
}

void log_frame_free(struct log_frame *frame)
{
    free(frame->bytes);
    *frame = (struct log_frame){0};
}

/* ---- reading ---- */

struct reader {
    const char *at;
    const char *end;
    bool failed;
};

static uint64_t read_number(struct reader *reader, int size)
{
    uint64_t value = 0;
    if (reader->end - reader->at < size) {
        reader->failed = true;
        return 0;
    }
    for (int i = 0; i < size; i++)
        value |= (uint64_t)(unsigned char)*reader->at++ << (8 * i);
    return value;
}

static struct string read_text(struct reader *reader, uint64_t length)
{
    struct string text = {reader->at, 0};
    if (length > (uint64_t)(reader->end - reader->at)) {
        reader->failed = true;
        return text;
    }
    text.length = length;
    reader->at += length;
    return text;
}

static bool table_grow(struct log_state *state)
{
    size_t room = state->room ? 2 * state->room : 64;
    struct log_file *files = memory_resize(state->files, room * sizeof(*files));
    if (!files)
        return false;
    state->files = files;
    uint32_t *table = memory_take_zeroed(2 * room, sizeof(uint32_t));
    if (!table)
        return false;
    free(state->table);
    state->table = table;
    state->table_size = 2 * room;
    state->room = room;
    for (size_t i = 0; i < state->count; i++) {
        const char *path = files[i].path;
        size_t slot = hash_bytes(path, strlen(path), HASH_SEED) & (2 * room - 1);
        while (table[slot])
            slot = (slot + 1) & (2 * room - 1);
        table[slot] = (uint32_t)(i + 1);
    }
    return true;
}

static struct log_file *file_find(struct log_state *state, struct string path)
{
    if (state->count == state->room && !table_grow(state))
        return NULL;
    size_t slot = hash_bytes(path.data, path.length, HASH_SEED) & (state->table_size - 1);
    for (; state->table[slot]; slot = (slot + 1) & (state->table_size - 1)) {
        struct log_file *file = &state->files[state->table[slot] - 1];
        if (strlen(file->path) == path.length && memcmp(file->path, path.data, path.length) == 0)
            return file;
    }
    char *copy = memory_copy_text(path.data, path.length);
    if (!copy)
        return NULL;
    state->table[slot] = (uint32_t)state->count + 1;
    struct log_file *file = &state->files[state->count++];
    *file = (struct log_file){.path = copy};
    return file;
}

/* Takes a change over. False: it cannot be, or no memory (*short_of). */
static bool entry_take(struct log_state *state, const struct log_entry *entry, bool *short_of)
{
    struct log_file *file = file_find(state, entry->path);
    *short_of = !file;
    if (!file || file->changed == state->latest.number)
        return false; /* twice in one commit */
    if (entry->tail_from > 0 &&
        (entry->tail_from != file->now.tail_length || entry->size != file->now.size))
        return false;
    size_t length = entry->tail_from + entry->tail.length;
    char *tail = memory_take(length + 1);
    *short_of = !tail;
    if (!tail)
        return false;
    if (entry->tail_from > 0)
        memcpy(tail, file->now.tail, entry->tail_from);
    if (entry->tail.length > 0)
        memcpy(tail + entry->tail_from, entry->tail.data, entry->tail.length);
    free(file->before.tail);
    file->before = file->now;
    file->now = (struct log_version){.exists = true,
                                     .inode = entry->inode,
                                     .size = entry->size,
                                     .turn = entry->turn,
                                     .tail = tail,
                                     .tail_length = length};
    file->changed = state->latest.number;
    return true;
}

/* A frame whose checksum is right. False: it says what cannot be, or no memory. */
static bool frame_take(struct log_state *state, struct string payload, bool *short_of)
{
    struct reader reader = {payload.data, payload.data + payload.length, false};
    struct log_commit commit = {.number = read_number(&reader, 8)};
    commit.epoch = read_number(&reader, 8);
    uint64_t phase = read_number(&reader, 8);
    uint64_t record_length = read_number(&reader, 8);
    uint64_t entries = read_number(&reader, 4);
    commit.record = read_text(&reader, record_length);
    commit.phase = (enum state_phase)phase;
    if (reader.failed || phase > STATE_DONE || commit.number < state->latest.number ||
        commit.number == 0)
        return false;
    if (commit.number > state->latest.number) /* else: the same, by now done */
        state->previous = state->latest;
    state->latest = commit;
    for (uint64_t i = 0; i < entries; i++) {
        struct log_entry entry = {0};
        uint64_t path_length = read_number(&reader, 4);
        entry.inode = read_number(&reader, 8);
        entry.size = read_number(&reader, 8);
        entry.turn = read_number(&reader, 8);
        entry.tail_from = read_number(&reader, 8);
        uint64_t tail_length = read_number(&reader, 8);
        entry.path = read_text(&reader, path_length);
        entry.tail = read_text(&reader, tail_length);
        if (reader.failed || path_length == 0 || memchr(entry.path.data, 0, entry.path.length) ||
            !entry_take(state, &entry, short_of))
            return false;
    }
    return reader.at == reader.end;
}

static bool log_damaged(const char *path, const char *why, struct error *error)
{
    return error_set(error, ERROR_STATE, "%s %s: remove it, or start over with --fresh", path, why);
}

static bool frames_take(struct log_state *state, size_t length, const char *path,
                        struct error *error)
{
    struct reader reader = {state->memory + HEADER_SIZE, state->memory + length, false};
    for (;;) {
        state->length = (size_t)(reader.at - state->memory);
        uint32_t crc = (uint32_t)read_number(&reader, 4);
        (void)read_number(&reader, 4);
        struct string payload = read_text(&reader, read_number(&reader, 8));
        if (reader.failed || crc != state_crc(payload) || payload.length < FRAME_LEAST)
            break; /* a commit that did not come to stand */
        bool short_of = false;
        if (frame_take(state, payload, &short_of))
            continue;
        if (short_of)
            return error_set(error, ERROR_MEMORY, "no memory to read %s", path);
        return log_damaged(path, "is damaged", error);
    }
    /* It never is without its first frame. */
    return state->latest.number > 0 || log_damaged(path, "is damaged", error);
}

bool partition_log_decode(const char *bytes, size_t length, const char *path,
                          struct log_state *state, struct error *error)
{
    *state = (struct log_state){0};
    if (length < HEADER_SIZE || memcmp(bytes, MAGIC, sizeof(MAGIC) - 1) != 0)
        return log_damaged(path, "is no state file of leat, or damaged", error);
    struct reader reader = {bytes + sizeof(MAGIC) - 1, bytes + length, false};
    if (read_number(&reader, 4) != VERSION)
        return log_damaged(path, "was written by another version of leat", error);
    state->memory = memory_take(length);
    if (!state->memory)
        return error_set(error, ERROR_MEMORY, "no memory to read %s", path);
    memcpy(state->memory, bytes, length);
    if (frames_take(state, length, path, error))
        return true;
    log_state_close(state);
    return false;
}

void log_state_close(struct log_state *state)
{
    for (size_t i = 0; i < state->count; i++) {
        free(state->files[i].path);
        free(state->files[i].now.tail);
        free(state->files[i].before.tail);
    }
    free(state->files);
    free(state->table);
    free(state->memory);
    *state = (struct log_state){0};
}

bool partition_log_read(const char *path, struct log_state *state, bool *found, struct error *error)
{
    *state = (struct log_state){0};
    *found = false;
    struct stat status;
    int fd = file_open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, error);
    if (fd < 0)
        return error->os_errno == ENOENT;
    *found = true;
    bool done = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
                (uint64_t)status.st_size < LOG_LARGEST;
    if (!done)
        log_damaged(path, "is no state file of leat", error);
    char *bytes = done ? memory_take((size_t)status.st_size + 1) : NULL;
    if (done && !bytes)
        done = error_set(error, ERROR_MEMORY, "no memory to read %s", path);
    int64_t got = done ? file_read(fd, bytes, (size_t)status.st_size, 0) : 0;
    if (got < 0)
        done = error_set_errno(error, (int)-got, "cannot read %s", path);
    done = done && partition_log_decode(bytes, (size_t)got, path, state, error);
    free(bytes);
    close(fd);
    return done;
}

/* ---- writing ---- */

static bool log_sync(int fd, const char *path, struct error *error)
{
    int fault = fault_io();
    if (fault || fdatasync(fd) != 0)
        return error_set_errno(error, fault ? fault : errno, "cannot sync %s", path);
    return true;
}

static bool log_put(int fd, const char *bytes, size_t length, uint64_t offset, const char *path,
                    struct error *error)
{
    int64_t put = file_write(fd, bytes, length, offset);
    return put >= 0 || error_set_errno(error, (int)-put, "cannot write %s", path);
}

/* A whole log under another name. Returns its descriptor, or -1. */
static int log_make(const char *path, const struct log_frame *frames, struct error *error)
{
    char header[HEADER_SIZE] = MAGIC;
    number_put(header + sizeof(MAGIC) - 1, VERSION, 4);
    int fd = file_open(path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0666, error);
    bool done = fd >= 0 && log_put(fd, header, sizeof(header), 0, path, error) &&
                log_put(fd, frames->bytes, frames->length, sizeof(header), path, error) &&
                log_sync(fd, path, error);
    if (done)
        return fd;
    if (fd >= 0) {
        close(fd);
        (void)unlink(path);
    }
    return -1;
}

static char *next_name(const struct partition_log *log, struct error *error)
{
    size_t size = strlen(log->path) + sizeof("-new");
    char *next = memory_take(size);
    if (next)
        snprintf(next, size, "%s-new", log->path);
    else
        error_set(error, ERROR_MEMORY, "no memory to commit to %s", log->path);
    return next;
}

/* The log under another name becomes the log. */
static bool next_take(struct partition_log *log, struct error *error)
{
    bool done = file_rename(log->next, log->path, error) && file_sync_folder(log->path, error);
    free(log->next);
    log->next = NULL;
    log->length = log->base = log->next_base;
    return done;
}

bool partition_log_prepare(struct partition_log *log, const struct log_frame *frames,
                           struct error *error)
{
    CHECK(!log->next);
    if (frames->failed)
        return error_set(error, ERROR_MEMORY, "no memory to commit to %s", log->path);
    char *next = next_name(log, error);
    int fd = next ? log_make(next, frames, error) : -1;
    if (fd < 0) {
        free(next);
        return false;
    }
    close(fd);
    log->next = next;
    log->next_base = HEADER_SIZE + frames->length;
    return true;
}

static bool log_open(struct partition_log *log, struct error *error)
{
    if (log->fd >= 0)
        close(log->fd);
    log->fd = file_open(log->path, O_RDWR | O_NOFOLLOW, 0, error);
    return log->fd >= 0;
}

bool partition_log_replace(struct partition_log *log, const struct log_frame *frames,
                           struct error *error)
{
    return partition_log_prepare(log, frames, error) && next_take(log, error) &&
           log_open(log, error);
}

bool partition_log_append(struct partition_log *log, const struct log_frame *frame,
                          struct error *error)
{
    if (frame->failed)
        return error_set(error, ERROR_MEMORY, "no memory to commit to %s", log->path);
    if (log->next && (!next_take(log, error) || !log_open(log, error)))
        return false;
    if (!log_put(log->fd, frame->bytes, frame->length, log->length, log->path, error) ||
        !log_sync(log->fd, log->path, error))
        return false;
    log->length += frame->length;
    return true;
}

bool partition_log_is_long(const struct partition_log *log)
{
    return !log->next && log->length > 2 * size_max(log->base, LOG_LEAST);
}

void partition_log_close(struct partition_log *log)
{
    if (log->fd >= 0)
        close(log->fd);
    if (log->next)
        (void)unlink(log->next);
    free(log->next);
    log->next = NULL;
    log->fd = -1;
}
