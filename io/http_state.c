/* Where a run of the sink `http` stands, kept in the pipeline's state folder: the commit record in
 * a state file, and behind it the log of intents. recover, resume and forget run on the main thread
 * before the run, the rest on the sink's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "io/http_sink_internal.h"
#include "io/lock_file.h"
#include "io/partition_files.h"

static char *path_make(const struct http_sink *sink, const char *kind)
{
    const char *folder = sink->context->state_folder;
    size_t size = strlen(folder) + 48;
    char *path = memory_take(size);
    if (path)
        snprintf(path, size, "%s/.http-%u.leat-%s", folder, sink->context->output, kind);
    return path;
}

/* Makes the folder, takes the lock. */
static bool state_open(struct http_sink *sink, struct error *error)
{
    struct http_state *state = &sink->state;
    if (!state->state_path) {
        state->state_path = path_make(sink, "state");
        state->lock_path = path_make(sink, "lock");
        state->intents.path = path_make(sink, "intents");
        if (!state->state_path || !state->lock_path || !state->intents.path)
            return error_set(error, ERROR_MEMORY, "no memory for a path");
        if (!partition_prefix_make(state->state_path, error))
            return false;
    }
    if (state->lock_fd < 0)
        state->lock_fd = lock_file_take(state->lock_path, sink->base.name, error);
    return state->lock_fd >= 0;
}

bool http_state_recover(struct sink *base, struct commit_record *record, bool *found,
                        struct error *error)
{
    struct http_sink *sink = (struct http_sink *)base;
    struct http_state *state = &sink->state;
    *found = false;
    *record = (struct commit_record){0};
    if (!sink->context->checkpoints)
        return true; /* what is read cannot be read again: there is nothing to go on with */
    if (!state_open(sink, error))
        return false;
    bool there = false;
    if (!state->recovered && !state_file_read(state->state_path, &state->state, &there, error))
        return error_add_context(error, "cannot go on with %s", base->name);
    state->recovered = true;
    const struct state_checkpoint *latest = &state->state.latest;
    *found = latest->number > 0;
    *record = (struct commit_record){.number = latest->number,
                                     .epoch = latest->epoch,
                                     .bytes = latest->record.data,
                                     .length = latest->record.length,
                                     .final = latest->phase == STATE_DONE,
                                     .done = latest->phase == STATE_DONE};
    return true;
}

bool http_state_resume(struct sink *base, uint64_t number, uint64_t epoch, struct error *error)
{
    struct http_sink *sink = (struct http_sink *)base;
    struct http_state *state = &sink->state;
    (void)epoch; /* it comes with each record; other processes are kept away by the lock */
    if (!state->recovered)
        return number == 0 || error_set(error, ERROR_STATE, "%s keeps no commits", base->name);
    if (number != 0 && number != state->state.latest.number)
        return error_set(error, ERROR_STATE,
                         "%s knows of commit %llu, not of %llu: start over with --fresh",
                         state->state_path, (unsigned long long)state->state.latest.number,
                         (unsigned long long)number);
    if (number == 0 && !state_file_remove(state->state_path, error))
        return false;
    state_close(&state->state);
    state->noted = memory_take((sink->client.protections.concurrency + 2) * sizeof(*state->noted));
    if (!state->noted)
        return error_set(error, ERROR_MEMORY, "no memory for the log of %s", base->name);
    if (!http_intents_open(&state->intents, number, error))
        return false;
    sink->base.catches_up = state->intents.found_count > 0;
    for (uint32_t i = 0; i < state->intents.found_count; i++)
        sink->base.resent += state->intents.found[i].count;
    return true;
}

bool http_state_forget(struct sink *base, struct error *error)
{
    struct http_sink *sink = (struct http_sink *)base;
    struct http_state *state = &sink->state;
    if (!state->state_path)
        return true;
    CHECK(state->lock_fd >= 0);
    state_close(&state->state);
    return state_file_remove(state->state_path, error) &&
           state_file_remove(state->intents.path, error);
}

bool http_state_note(struct http_sink *sink, struct error *error)
{
    struct http_state *state = &sink->state;
    uint32_t count = 0;
    if (state->intents.fd < 0)
        return true;
    for (struct http_group *group = sink->ready; group; group = group->next) {
        if (group->noted)
            continue;
        if (count == sink->sending_count + 2)
            break;
        struct http_intent *intent = &state->noted[count++];
        http_group_places(sink, group, intent->from, intent->to);
        intent->count = group->count;
        group->noted = true;
    }
    return count == 0 || http_intents_add(&state->intents, state->noted, count, error);
}

/* Writes the state file; the sink has nothing else to do meanwhile. */
enum sink_result http_state_commit(struct http_sink *sink, const struct commit_record *record,
                                   struct error *error)
{
    struct http_state *state = &sink->state;
    if (state->intents.fd < 0)
        return SINK_OK; /* nothing is kept */
    if (!state_writer_busy(&state->writer)) {
        state->record = memory_take(record->length + 1);
        if (!state->record) {
            error_set(error, ERROR_MEMORY, "no memory to commit");
            return SINK_FAIL;
        }
        memcpy(state->record, record->bytes, record->length);
        struct state next = {
            .latest = {.number = record->number,
                       .epoch = record->epoch,
                       .phase = record->final ? STATE_DONE : STATE_RUNNING,
                       .tail_crc = state_crc((struct string){"", 0}),
                       .record = {state->record, record->length}},
        };
        if (!state_writer_begin(&state->writer, sink->context->engine, state->state_path, &next,
                                error))
            return SINK_FAIL;
    }
    enum state_step step = state_writer_step(&state->writer, error);
    if (step == STATE_STEP_WAIT)
        return SINK_WAIT;
    free(state->record);
    state->record = NULL;
    if (step == STATE_STEP_FAIL || !http_intents_clear(&state->intents, record->number, error))
        return SINK_FAIL;
    return SINK_OK;
}

void http_state_abort(struct http_sink *sink)
{
    state_writer_drop(&sink->state.writer);
}

void http_state_close(struct http_sink *sink)
{
    struct http_state *state = &sink->state;
    state_close(&state->state);
    http_intents_close(&state->intents);
    if (state->lock_fd >= 0)
        lock_file_release(state->lock_fd, state->lock_path);
    free(state->record);
    free(state->noted);
    free(state->state_path);
    free(state->lock_path);
}
