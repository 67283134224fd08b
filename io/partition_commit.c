/* Commits of a partitioned sink: what changed since the last one is synced, then logged. A commit
 * keeps the frames of compressed files open and logs their content instead, and which files were
 * open in what order, so that frames are cut where an undisturbed run cuts them. Blocking; recover,
 * resume and forget on the main thread before the run, the rest on the sink's. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fault.h"
#include "io/engine.h"
#include "io/partition_files_internal.h"

#define SYNC_EACH 64 /* with more changed files, one syncfs instead of an fdatasync for each */

struct partition_commits {
    char *path;
    struct partition_log log;
    struct log_state state; /* as recover found it; closed by resume */
    bool recovered;
    bool stands;
    struct log_commit last; /* its record is `record` */
    char *record;
};

struct partition_commits *partition_commits_open(const char *path, struct error *error)
{
    struct partition_commits *commits = memory_take_zeroed(1, sizeof(*commits));
    if (commits)
        commits->path = memory_copy_text(path, strlen(path));
    if (commits && commits->path) {
        commits->log = (struct partition_log){.path = commits->path, .fd = -1};
        return commits;
    }
    free(commits);
    error_set(error, ERROR_MEMORY, "no memory for a sink");
    return NULL;
}

void partition_commits_close(struct partition_commits *commits)
{
    if (!commits)
        return;
    partition_log_close(&commits->log);
    log_state_close(&commits->state);
    free(commits->record);
    free(commits->path);
    free(commits);
}

bool partition_commits_stand(const struct partition_commits *commits)
{
    return commits->stands;
}

/* ---- recovering ---- */

/* A file as the log tells of it, by name only. */
static struct partition file_named(const struct log_file *file)
{
    return (struct partition){.path = file->path, .slot = PARTITION_NO_SLOT};
}

enum place { PLACE_PART, PLACE_NAMED, PLACE_WRONG, PLACE_FAIL };

/* Where a file is: still a part of at least its length, or under its name (or taken away). */
static enum place file_look(struct partition_files *files, const struct log_file *file, bool final,
                            const char **what, struct error *error)
{
    struct partition partition = file_named(file);
    struct stat status;
    const char *name;
    char part[256];
    int folder = partition_folder_open(files, &partition, &name, error);
    if (folder < 0)
        return PLACE_FAIL;
    partition_part_name(name, part);
    enum place place = PLACE_WRONG;
    bool there = fstatat(folder, part, &status, AT_SYMLINK_NOFOLLOW) == 0;
    *what = there ? "is not the file that the last commit left" : "is gone";
    if (there && status.st_ino == file->now.inode) {
        *what = "is shorter than the last commit left it";
        place = (uint64_t)status.st_size >= file->now.size ? PLACE_PART : PLACE_WRONG;
    } else if (final) {
        there = fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
        if (there ? status.st_ino == file->now.inode : errno == ENOENT)
            place = PLACE_NAMED;
    }
    close(folder);
    return place;
}

static bool state_check(struct partition_commits *commits, struct partition_files *files,
                        struct error *error)
{
    const struct log_state *state = &commits->state;
    const char *what = NULL;
    if (state->latest.phase == STATE_DONE)
        return true;
    for (size_t i = 0; i < state->count; i++) {
        const struct log_file *file = &state->files[i];
        enum place place = file_look(files, file, state->latest.phase == STATE_FINAL, &what, error);
        if (place == PLACE_FAIL)
            return false;
        if (place == PLACE_WRONG)
            return error_set(error, ERROR_STATE,
                             "cannot go on with %s%s: its part file %s; put it back, or start over "
                             "with --fresh",
                             files->prefix, file->path, what);
    }
    return true;
}

bool partition_commits_recover(struct partition_commits *commits, struct partition_files *files,
                               struct commit_record *record, bool *found, struct error *error)
{
    struct log_state *state = &commits->state;
    bool there;
    *found = false;
    if (!commits->recovered) {
        if (!partition_log_read(commits->path, state, &there, error))
            return error_add_context(error, "cannot go on with %s", files->prefix);
        if (there && !state_check(commits, files, error)) {
            log_state_close(state);
            return false;
        }
        commits->recovered = true;
    }
    *found = state->latest.number > 0;
    *record = (struct commit_record){.number = state->latest.number,
                                     .epoch = state->latest.epoch,
                                     .bytes = state->latest.record.data,
                                     .length = state->latest.record.length,
                                     .final = state->latest.phase != STATE_RUNNING,
                                     .done = state->latest.phase == STATE_DONE};
    return true;
}

static bool part_remove(struct partition_files *files, const struct log_file *file,
                        struct error *error)
{
    struct partition partition = file_named(file);
    const char *name;
    char part[256];
    int folder = partition_folder_open(files, &partition, &name, error);
    if (folder < 0)
        return false;
    partition_part_name(name, part);
    int fault = fault_io();
    bool done = !fault && (unlinkat(folder, part, 0) == 0 || errno == ENOENT);
    if (!done)
        partition_fail(files, &partition, "remove the part of", fault ? fault : errno, error);
    close(folder);
    return done;
}

bool partition_commits_forget(struct partition_commits *commits, struct partition_files *files,
                              struct error *error)
{
    struct log_state *state = &commits->state;
    if (!state_file_remove(commits->path, error)) /* first: it is never without its parts */
        return false;
    for (size_t i = 0; i < state->count && state->latest.phase != STATE_DONE; i++) {
        if (!part_remove(files, &state->files[i], error))
            return false;
    }
    log_state_close(state);
    commits->recovered = true;
    return true;
}

/* ---- resuming ---- */

static const struct log_version *version_at(const struct log_state *state,
                                            const struct log_file *file, bool back)
{
    return back && file->changed == state->latest.number ? &file->before : &file->now;
}

static bool commit_keep(struct partition_commits *commits, const struct log_commit *commit)
{
    char *record = memory_take(commit->record.length + 1);
    if (!record)
        return false;
    if (commit->record.length > 0)
        memcpy(record, commit->record.data, commit->record.length);
    free(commits->record);
    commits->record = record;
    commits->last = *commit;
    commits->last.record.data = record;
    return true;
}

/* The log as if the commit gone on from had been the last: before any file is cut. */
static bool log_restart(struct partition_commits *commits, bool back, struct error *error)
{
    const struct log_state *state = &commits->state;
    struct log_frame frame = {0};
    log_frame_begin(&frame, back ? &state->previous : &state->latest);
    for (size_t i = 0; i < state->count; i++) {
        const struct log_file *file = &state->files[i];
        const struct log_version *version = version_at(state, file, back);
        struct log_entry entry = {.path = {file->path, strlen(file->path)},
                                  .inode = version->inode,
                                  .size = version->size,
                                  .turn = version->turn,
                                  .tail = {version->tail, version->tail_length}};
        if (version->exists)
            log_frame_add(&frame, &entry);
    }
    log_frame_end(&frame);
    bool done = partition_log_replace(&commits->log, &frame, error);
    log_frame_free(&frame);
    return done;
}

/* Makes the partition known, its part cut to what the commit covers. */
static bool part_restore(struct partition_files *files, const struct log_file *file,
                         const struct log_version *version, struct error *error)
{
    struct partition *partition =
        partition_add(files, (struct string){file->path, strlen(file->path)});
    if (!partition)
        return error_set(error, ERROR_MEMORY, "no memory for the partitions of %s", files->prefix);
    partition->made = true;
    partition->is_new = false;
    partition->inode = version->inode;
    partition->size = partition->logged_size = version->size;
    partition->logged_tail = version->tail_length;
    int fd = partition_reopen(files, partition, error);
    if (fd < 0)
        return false;
    struct stat status;
    bool same = fstat(fd, &status) == 0 && status.st_ino == version->inode;
    bool done = same && file_truncate(fd, version->size, partition->path, error);
    if (!same)
        error_set(error, ERROR_STATE, "cannot go on with %s%s: its part file has changed",
                  files->prefix, file->path);
    close(fd);
    return done;
}

struct opened {
    struct partition *partition;
    const struct log_version *version;
};

static int turn_compare(const void *a, const void *b)
{
    uint64_t one = ((const struct opened *)a)->version->turn;
    uint64_t other = ((const struct opened *)b)->version->turn;
    return one < other ? -1 : one > other;
}

/* Opens what was open, in the order of use, with the content of the open frames. */
static bool slots_restore(struct partition_files *files, const struct log_state *state, bool back,
                          struct error *error)
{
    struct opened *opened = memory_take_zeroed(files->count + 1, sizeof(*opened));
    size_t count = 0;
    size_t item = 0;
    if (!opened)
        return error_set(error, ERROR_MEMORY, "no memory for the partitions of %s", files->prefix);
    for (size_t i = 0; i < state->count; i++) {
        const struct log_version *version = version_at(state, &state->files[i], back);
        if (!version->exists)
            continue;
        if (version->turn > 0)
            opened[count++] = (struct opened){files->items[item], version};
        item++;
    }
    qsort(opened, count, sizeof(*opened), turn_compare);
    bool done = true;
    for (size_t i = 0; done && i < count; i++) {
        struct partition *partition = opened[i].partition;
        const struct log_version *version = opened[i].version;
        done = partition_write(files, partition, version->tail, version->tail_length, error);
        if (done)
            files->slots[partition->slot].used = files->turn = version->turn;
    }
    free(opened);
    for (size_t i = 0; i < files->count; i++) /* no more than the log has */
        files->items[i]->changed = files->items[i]->size != files->items[i]->logged_size;
    return done;
}

static bool parts_restore(struct partition_files *files, const struct log_state *state, bool back,
                          struct error *error)
{
    for (size_t i = 0; i < state->count; i++) {
        const struct log_file *file = &state->files[i];
        const struct log_version *version = version_at(state, file, back);
        bool done = version->exists ? part_restore(files, file, version, error)
                                    : part_remove(files, file, error);
        if (!done)
            return false;
    }
    return slots_restore(files, state, back, error);
}

/* The last commit was the run's last: what is left is to give names. */
static bool finals_take(struct partition_files *files, const struct log_state *state,
                        struct error *error)
{
    const char *what;
    for (size_t i = 0; i < state->count; i++) {
        const struct log_file *file = &state->files[i];
        struct partition *partition =
            partition_add(files, (struct string){file->path, strlen(file->path)});
        if (!partition)
            return error_set(error, ERROR_MEMORY, "no memory for the partitions of %s",
                             files->prefix);
        enum place place = file_look(files, file, true, &what, error);
        if (place == PLACE_FAIL)
            return false;
        partition->made = true;
        partition->published = place == PLACE_NAMED;
    }
    return true;
}

bool partition_commits_resume(struct partition_commits *commits, struct partition_files *files,
                              uint64_t number, bool *finished, bool *named, struct error *error)
{
    struct log_state *state = &commits->state;
    CHECK(commits->recovered);
    *finished = *named = false;
    if (number == 0) {
        bool kept = state->latest.phase == STATE_DONE; /* until the next commit */
        bool done = kept || partition_commits_forget(commits, files, error);
        log_state_close(state);
        return done;
    }
    bool back = number == state->previous.number;
    bool ended = state->latest.phase != STATE_RUNNING;
    if ((!back && number != state->latest.number) || (back && state->latest.phase == STATE_DONE))
        return error_set(
            error, ERROR_STATE, "%s knows of commit %llu, not of %llu: start over with --fresh",
            commits->path, (unsigned long long)state->latest.number, (unsigned long long)number);
    commits->stands = true;
    *finished = ended && !back;
    *named = state->latest.phase == STATE_DONE;
    bool done = commit_keep(commits, back ? &state->previous : &state->latest) ||
                error_set(error, ERROR_MEMORY, "no memory to go on with %s", files->prefix);
    done = done && (*named || log_restart(commits, back, error));
    if (done && !*named)
        done =
            *finished ? finals_take(files, state, error) : parts_restore(files, state, back, error);
    log_state_close(state);
    return done;
}

/* ---- committing ---- */

static bool file_sync(struct partition_files *files, struct partition *partition,
                      struct error *error)
{
    bool open = partition->slot != PARTITION_NO_SLOT;
    int fd = open ? files->slots[partition->slot].fd : partition_reopen(files, partition, error);
    if (fd < 0)
        return false;
    int fault = fault_io();
    int problem = fault ? fault : fdatasync(fd) != 0 ? errno : 0;
    if (!open)
        close(fd);
    return !problem || partition_fail(files, partition, "sync", problem, error);
}

/* The name of a new part. */
static bool name_sync(struct partition_files *files, struct partition *partition,
                      struct error *error)
{
    const char *name;
    int folder = partition_folder_open(files, partition, &name, error);
    if (folder < 0)
        return false;
    int fault = fault_io();
    int problem = fault ? fault : fsync(folder) != 0 ? errno : 0;
    close(folder);
    if (problem && problem != EINVAL && problem != ENOTSUP)
        return partition_fail(files, partition, "sync the folder of", problem, error);
    return true;
}

/* What was written since the last commit reaches the disk. */
static bool changes_sync(struct partition_files *files, struct error *error)
{
    size_t changed = 0;
    for (size_t i = 0; i < files->count; i++)
        changed += files->items[i]->written || files->items[i]->is_new;
    if (changed > SYNC_EACH || files->folders_made)
        return partition_folders_sync(files, error);
    for (size_t i = 0; i < files->count; i++) {
        struct partition *partition = files->items[i];
        if ((partition->written && !file_sync(files, partition, error)) ||
            (partition->is_new && !name_sync(files, partition, error)))
            return false;
    }
    return true;
}

/* How the partition stands now; with `whole`, whatever the log has already. */
static struct log_entry entry_make(const struct partition_files *files,
                                   const struct partition *partition, bool whole)
{
    struct log_entry entry = {.path = {partition->path, strlen(partition->path)},
                              .inode = partition->inode,
                              .size = partition->size};
    if (files->options.compression == COMPRESSION_NONE || partition->slot == PARTITION_NO_SLOT)
        return entry;
    const struct partition_slot *slot = &files->slots[partition->slot];
    entry.turn = slot->used;
    entry.tail = (struct string){slot->buffer, slot->length};
    if (!whole && partition->size == partition->logged_size) {
        CHECK(partition->logged_tail <= slot->length);
        entry.tail_from = partition->logged_tail;
        entry.tail.data += entry.tail_from;
        entry.tail.length -= entry.tail_from;
    }
    return entry;
}

static void entries_add(struct partition_files *files, struct log_frame *frame, bool whole)
{
    for (size_t i = 0; i < files->count; i++) {
        const struct partition *partition = files->items[i];
        if (!whole && !partition->changed && !partition->is_new)
            continue;
        struct log_entry entry = entry_make(files, partition, whole);
        log_frame_add(frame, &entry);
    }
}

static void changes_forget(struct partition_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        struct partition *partition = files->items[i];
        bool open = partition->slot != PARTITION_NO_SLOT;
        partition->changed = partition->written = partition->is_new = false;
        partition->logged_size = partition->size;
        partition->logged_tail = open && files->options.compression != COMPRESSION_NONE
                                     ? files->slots[partition->slot].length
                                     : 0;
    }
    files->folders_made = false;
}

/* Writes a commit to the log: its changes, or everything where there is no log yet. */
static bool log_commit(struct partition_commits *commits, struct partition_files *files,
                       const struct log_commit *commit, struct error *error)
{
    struct log_frame frame = {0};
    bool whole = commits->log.fd < 0;
    log_frame_begin(&frame, commit);
    entries_add(files, &frame, whole);
    log_frame_end(&frame);
    bool done = whole ? partition_log_replace(&commits->log, &frame, error)
                      : partition_log_append(&commits->log, &frame, error);
    log_frame_free(&frame);
    return done;
}

static bool log_compact(struct partition_commits *commits, struct partition_files *files,
                        struct error *error)
{
    struct log_frame frame = {0};
    log_frame_begin(&frame, &commits->last);
    entries_add(files, &frame, true);
    log_frame_end(&frame);
    bool done = partition_log_prepare(&commits->log, &frame, error);
    log_frame_free(&frame);
    return done;
}

/* What is buffered is written; the open frames of compressed files stay open until the end. */
static bool buffers_write(struct partition_files *files, bool final, struct error *error)
{
    if (final)
        return partition_slots_close(files, error);
    for (unsigned i = 0; i < files->slot_count; i++) {
        struct partition_slot *slot = &files->slots[i];
        if (slot->partition && files->options.compression == COMPRESSION_NONE &&
            !partition_slot_flush(files, slot, error))
            return false;
    }
    return true;
}

bool partition_commits_add(struct partition_commits *commits, struct partition_files *files,
                           const struct commit_record *record, struct error *error)
{
    struct log_commit commit = {.number = record->number,
                                .epoch = record->epoch,
                                .phase = record->final ? STATE_FINAL : STATE_RUNNING,
                                .record = {record->bytes, record->length}};
    if (!buffers_write(files, record->final, error) || !changes_sync(files, error))
        return false;
    if (!log_commit(commits, files, &commit, error)) {
        commits->stands = access(commits->path, F_OK) == 0; /* it may have come to stand */
        return false;
    }
    commits->stands = true;
    if (!commit_keep(commits, &commit))
        return error_set(error, ERROR_MEMORY, "no memory to commit to %s", files->prefix);
    changes_forget(files);
    return !partition_log_is_long(&commits->log) || log_compact(commits, files, error);
}

bool partition_commits_done(struct partition_commits *commits, struct error *error)
{
    struct log_commit commit = commits->last;
    struct log_frame frame = {0};
    commit.phase = STATE_DONE;
    log_frame_begin(&frame, &commit);
    log_frame_end(&frame);
    /* The files are of no interest any more: a log of one frame. */
    if (commits->log.next) {
        (void)unlink(commits->log.next);
        free(commits->log.next);
        commits->log.next = NULL;
    }
    bool done = partition_log_replace(&commits->log, &frame, error);
    log_frame_free(&frame);
    return done;
}
