/* The commit record as JSON text: see commit_text.h. */
#include "pipeline/commit_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/raw.h"
#include "lang/base64.h"
#include "lang/json_check.h"

#define VERSION 1

/* ---- writing ---- */

struct writer {
    struct buffer *buffer;
    bool full;
};

static void write_text(struct writer *writer, const char *text)
{
    writer->full |= !buffer_append(writer->buffer, text, strlen(text));
}

static void write_string(struct writer *writer, const char *key, struct string text)
{
    write_text(writer, key);
    writer->full |= !string_write_json(text, writer->buffer);
}

static void write_number(struct writer *writer, const char *key, uint64_t number)
{
    char text[96];
    snprintf(text, sizeof(text), "%s%" PRIu64, key, number);
    write_text(writer, text);
}

/* Hashes as text: JSON numbers lose bits elsewhere. */
static void write_hash(struct writer *writer, const char *key, uint64_t hash)
{
    char text[96];
    snprintf(text, sizeof(text), "%s\"%016" PRIx64 "\"", key, hash);
    write_text(writer, text);
}

static void write_mark(struct writer *writer, const char *key, const struct position_mark *mark)
{
    write_text(writer, key);
    write_number(writer, "{\"offset\":", mark->offset);
    write_number(writer, ",\"length\":", mark->length);
    write_hash(writer, ",\"hash\":", mark->hash);
    write_text(writer, "}");
}

static void write_position(struct writer *writer, const char *key, const struct position *position)
{
    write_text(writer, key);
    write_number(writer, "{\"input\":", position->input);
    write_number(writer, ",\"offset\":", position->offset);
    write_number(writer, ",\"line\":", position->line);
    write_number(writer, ",\"record\":", position->record);
    write_number(writer, ",\"frame\":", position->frame);
    write_number(writer, ",\"frame_offset\":", position->frame_offset);
    write_number(writer, ",\"state\":", position->state);
    write_number(writer, ",\"frame_offset\":", position->frame_offset);
    write_mark(writer, ",\"head\":", &position->head);
    write_mark(writer, ",\"tail\":", &position->tail);
    write_string(writer, ",\"key\":", position->key);
    write_text(writer, "}");
}

static void write_inputs(struct writer *writer, const struct commit_text *commit)
{
    write_text(writer, ",\"sources\":[");
    for (uint32_t i = 0; i < commit->source_count; i++) {
        write_text(writer, i ? ",[" : "[");
        for (uint32_t j = 0; j < commit->input_count[i]; j++) {
            const struct commit_input *input = &commit->inputs[i][j];
            write_string(writer, j ? ",{\"name\":" : "{\"name\":", input->name);
            write_number(writer, ",\"size\":", input->size);
            write_hash(writer, ",\"device\":", input->device);
            write_hash(writer, ",\"inode\":", input->inode);
            write_number(writer, ",\"modified\":", (uint64_t)input->modified);
            if (input->at.offset)
                write_position(writer, ",\"at\":", &input->at);
            write_text(writer, "}");
        }
        write_text(writer, "]");
    }
    write_text(writer, "]");
}

static void write_ledger(struct writer *writer, const struct run_totals *totals)
{
    write_number(writer, ",\"ledger\":{\"read\":", totals->read);
    write_number(writer, ",\"created\":", totals->created);
    write_number(writer, ",\"written\":", totals->written);
    write_number(writer, ",\"filtered\":", totals->filtered);
    write_number(writer, ",\"absorbed\":", totals->absorbed);
    write_number(writer, ",\"rejected\":", totals->rejected);
    write_text(writer, "}");
}

static void write_stage(struct writer *writer, const struct commit_stage *stage)
{
    write_string(writer, "{\"name\":", stage->label);
    write_number(writer, ",\"read\":", stage->count.read);
    write_number(writer, ",\"written\":", stage->count.written);
    write_number(writer, ",\"filtered\":", stage->count.filtered);
    write_number(writer, ",\"absorbed\":", stage->count.absorbed);
    write_number(writer, ",\"rejected\":", stage->count.rejected);
    write_number(writer, ",\"created\":", stage->count.created);
    write_number(writer, ",\"mismatched\":", stage->count.mismatched);
    if (stage->state.length) {
        const char *reason;
        struct value state = value_bytes(stage->state.data, stage->state.length);
        write_text(writer, ",\"state\":");
        writer->full |= value_write_json(state, writer->buffer, &reason) != JSON_DONE;
    }
    write_text(writer, "}");
}

static void write_cause(struct writer *writer, const struct commit_cause *cause)
{
    write_string(writer, "{\"stage\":", cause->stage);
    write_string(writer, ",\"code\":", cause->code);
    write_string(writer, ",\"text\":", cause->text);
    write_number(writer, ",\"count\":", cause->count);
    write_text(writer, cause->mismatch ? ",\"mismatch\":true}" : ",\"mismatch\":false}");
}

bool commit_text_write(const struct commit_text *commit, struct buffer *buffer)
{
    struct writer writer = {.buffer = buffer};
    write_number(&writer, "{\"version\":", VERSION);
    write_string(&writer, ",\"pipeline\":", commit->pipeline);
    write_string(&writer, ",\"fingerprint\":", commit->fingerprint);
    write_string(&writer, ",\"time\":", commit->time);
    write_number(&writer, ",\"number\":", commit->number);
    write_number(&writer, ",\"epoch\":", commit->epoch);
    write_text(&writer, commit->final ? ",\"final\":true" : ",\"final\":false");
    write_number(&writer, ",\"source\":", commit->source);
    write_position(&writer, ",\"position\":", &commit->position);
    write_ledger(&writer, &commit->totals);
    write_number(&writer, ",\"rejects\":", commit->rejects_number);
    write_text(&writer, ",\"stages\":[");
    for (uint32_t i = 0; i < commit->stage_count; i++) {
        write_text(&writer, i ? "," : "");
        write_stage(&writer, &commit->stages[i]);
    }
    write_text(&writer, "],\"causes\":[");
    for (uint32_t i = 0; i < commit->cause_count; i++) {
        write_text(&writer, i ? "," : "");
        write_cause(&writer, &commit->causes[i]);
    }
    write_text(&writer, "]");
    write_inputs(&writer, commit);
    write_text(&writer, "}");
    return !writer.full;
}

/* ---- reading ---- */

struct reader {
    struct arena *arena;
    bool wrong; /* not a record of ours */
};

static struct value read_member(struct reader *reader, struct value map, const char *key)
{
    struct string name = {key, strlen(key)};
    struct value value = value_resolve(value_member(map, name, reader->arena), reader->arena);
    reader->wrong |= value.kind == VALUE_ERROR || value.kind == VALUE_ABSENT;
    return value;
}

static uint64_t read_number(struct reader *reader, struct value map, const char *key)
{
    struct value value = read_member(reader, map, key);
    reader->wrong |= value.kind != VALUE_INT;
    return value.kind == VALUE_INT ? (uint64_t)value.integer : 0;
}

static bool read_bool(struct reader *reader, struct value map, const char *key)
{
    struct value value = read_member(reader, map, key);
    reader->wrong |= value.kind != VALUE_BOOL;
    return value.kind == VALUE_BOOL && value.boolean;
}

static struct string read_string(struct reader *reader, struct value map, const char *key)
{
    struct value value = read_member(reader, map, key);
    reader->wrong |= value.kind != VALUE_STRING;
    return value.kind == VALUE_STRING ? (struct string){value.text, value.length}
                                      : (struct string){"", 0};
}

static uint64_t read_hash(struct reader *reader, struct value map, const char *key)
{
    struct string text = read_string(reader, map, key);
    uint64_t hash = 0;
    reader->wrong |= text.length != 16;
    for (size_t i = 0; i < text.length; i++) {
        static const char digits[] = "0123456789abcdef";
        const char *found = memchr(digits, text.data[i], 16);
        reader->wrong |= found == NULL;
        hash = hash << 4 | (found ? (uint64_t)(found - digits) : 0);
    }
    return hash;
}

static struct position_mark read_mark(struct reader *reader, struct value map, const char *key)
{
    struct value mark = read_member(reader, map, key);
    return (struct position_mark){.offset = read_number(reader, mark, "offset"),
                                  .length = (uint32_t)read_number(reader, mark, "length"),
                                  .hash = read_hash(reader, mark, "hash")};
}

static void read_position(struct reader *reader, struct value map, struct position *position)
{
    position->input = (uint32_t)read_number(reader, map, "input");
    position->offset = read_number(reader, map, "offset");
    position->line = read_number(reader, map, "line");
    position->record = read_number(reader, map, "record");
    position->frame = read_number(reader, map, "frame");
    position->frame_offset = read_number(reader, map, "frame_offset");
    position->state = read_number(reader, map, "state");
    position->frame_offset = read_number(reader, map, "frame_offset");
    position->head = read_mark(reader, map, "head");
    position->tail = read_mark(reader, map, "tail");
    position->key = read_string(reader, map, "key");
}

/* The items of a list; *count is 0 where it is none. NULL when the arena is full or it is empty. */
static void *read_items(struct reader *reader, struct value list, size_t size, uint32_t *count)
{
    *count = 0;
    reader->wrong |= list.kind != VALUE_LIST;
    if (list.kind != VALUE_LIST || list.length == 0)
        return NULL;
    void *items = arena_take(reader->arena, list.length * size);
    if (items) {
        memset(items, 0, list.length * size);
        *count = list.length;
    }
    reader->wrong |= items == NULL;
    return items;
}

static void read_inputs(struct reader *reader, struct value record, struct commit_text *commit)
{
    struct value sources = read_member(reader, record, "sources");
    reader->wrong |= sources.kind != VALUE_LIST || sources.length > PLAN_MAX_SOURCES;
    if (reader->wrong)
        return;
    commit->source_count = sources.length;
    for (uint32_t i = 0; i < sources.length; i++) {
        struct value list = value_resolve(sources.items[i], reader->arena);
        struct commit_input *inputs =
            read_items(reader, list, sizeof(*inputs), &commit->input_count[i]);
        commit->inputs[i] = inputs;
        for (uint32_t j = 0; j < commit->input_count[i]; j++) {
            struct value map = value_resolve(list.items[j], reader->arena);
            inputs[j] = (struct commit_input){.name = read_string(reader, map, "name"),
                                              .size = read_number(reader, map, "size"),
                                              .device = read_hash(reader, map, "device"),
                                              .inode = read_hash(reader, map, "inode")};
            inputs[j].modified = (int64_t)read_number(reader, map, "modified");
            struct value at =
                value_resolve(value_member(map, STRING("at"), reader->arena), reader->arena);
            if (at.kind != VALUE_ABSENT)
                read_position(reader, at, &inputs[j].at);
        }
    }
}

static void read_ledger(struct reader *reader, struct value record, struct run_totals *totals)
{
    struct value map = read_member(reader, record, "ledger");
    totals->read = read_number(reader, map, "read");
    totals->created = read_number(reader, map, "created");
    totals->written = read_number(reader, map, "written");
    totals->filtered = read_number(reader, map, "filtered");
    totals->absorbed = read_number(reader, map, "absorbed");
    totals->rejected = read_number(reader, map, "rejected");
}

static struct string read_state(struct reader *reader, struct value map)
{
    struct value state =
        value_resolve(value_member(map, STRING("state"), reader->arena), reader->arena);
    if (state.kind == VALUE_ABSENT)
        return (struct string){NULL, 0};
    reader->wrong |= state.kind != VALUE_STRING;
    if (state.kind != VALUE_STRING)
        return (struct string){NULL, 0};
    char *bytes = arena_take(reader->arena, state.length + 1);
    size_t length = 0;
    if (!bytes || !base64_decode(bytes, &length, state.text, state.length)) {
        reader->wrong = true;
        return (struct string){NULL, 0};
    }
    return (struct string){bytes, length};
}

static void read_stages(struct reader *reader, struct value record, struct commit_text *commit)
{
    struct value list = read_member(reader, record, "stages");
    commit->stages = read_items(reader, list, sizeof(*commit->stages), &commit->stage_count);
    for (uint32_t i = 0; i < commit->stage_count; i++) {
        struct commit_stage *stage = &commit->stages[i];
        struct value map = value_resolve(list.items[i], reader->arena);
        stage->label = read_string(reader, map, "name");
        stage->count = (struct stage_count){
            .read = read_number(reader, map, "read"),
            .written = read_number(reader, map, "written"),
            .filtered = read_number(reader, map, "filtered"),
            .absorbed = read_number(reader, map, "absorbed"),
            .rejected = read_number(reader, map, "rejected"),
            .created = read_number(reader, map, "created"),
            .mismatched = read_number(reader, map, "mismatched"),
        };
        stage->state = read_state(reader, map);
    }
}

static void read_causes(struct reader *reader, struct value record, struct commit_text *commit)
{
    struct value list = read_member(reader, record, "causes");
    commit->causes = read_items(reader, list, sizeof(*commit->causes), &commit->cause_count);
    for (uint32_t i = 0; i < commit->cause_count; i++) {
        struct value map = value_resolve(list.items[i], reader->arena);
        commit->causes[i] = (struct commit_cause){.stage = read_string(reader, map, "stage"),
                                                  .code = read_string(reader, map, "code"),
                                                  .text = read_string(reader, map, "text"),
                                                  .count = read_number(reader, map, "count"),
                                                  .mismatch = read_bool(reader, map, "mismatch")};
    }
}

bool commit_text_read(struct commit_text *commit, struct string text, struct arena *arena,
                      struct error *error)
{
    struct reader reader = {.arena = arena};
    struct value record = {.kind = VALUE_NULL};
    *commit = (struct commit_text){0};
    if (json_check(text))
        record = value_resolve(value_raw(text.data, text.length), arena);
    uint64_t version = read_number(&reader, record, "version");
    if (!reader.wrong && version != VERSION)
        return error_set(error, ERROR_STATE,
                         "the recorded state is of version %" PRIu64 ", which this leat does not "
                         "know; --fresh begins anew",
                         version);
    commit->pipeline = read_string(&reader, record, "pipeline");
    commit->fingerprint = read_string(&reader, record, "fingerprint");
    commit->time = read_string(&reader, record, "time");
    commit->number = read_number(&reader, record, "number");
    commit->epoch = read_number(&reader, record, "epoch");
    commit->final = read_bool(&reader, record, "final");
    commit->source = (uint32_t)read_number(&reader, record, "source");
    commit->rejects_number = read_number(&reader, record, "rejects");
    read_position(&reader, read_member(&reader, record, "position"), &commit->position);
    read_ledger(&reader, record, &commit->totals);
    read_stages(&reader, record, commit);
    read_causes(&reader, record, commit);
    read_inputs(&reader, record, commit);
    if (reader.wrong)
        return error_set(error, ERROR_STATE, "the recorded state is damaged; --fresh begins anew");
    return true;
}
