/* What the tests of the SQLite sink share: see sqlite_rig.h. */
#include "tests/io/sqlite_rig.h"

#include <sqlite3.h>
#include <stdio.h>

#include "tests/suite.h"

static const struct option_spec *spec_of(const char *name)
{
    const struct option_spec *spec = sink_sqlite.noun->options;
    while (strcmp(spec->name, name) != 0)
        spec++;
    return spec;
}

struct option_value *option_add(struct rig *rig, const char *name, const char *text)
{
    struct option_value *value = &rig->values[rig->options.count++];
    *value = (struct option_value){.spec = spec_of(name), .text = {text, strlen(text)}};
    return value;
}

void rig_open(struct rig *rig, const char *file, const char *columns, const char *mode,
              const char *key)
{
    memset(rig, 0, sizeof(*rig));
    snprintf(rig->path, sizeof(rig->path), "%s/%s", suite_folder(), file);
    rig->options.values = rig->values;
    option_add(rig, "path", rig->path);
    option_add(rig, "table", "t");
    option_add(rig, "mode", mode);
    if (key) {
        struct option_value *value = option_add(rig, "key", "");
        rig->names[0] = (struct string){key, strlen(key)};
        rig->items[0].path = (struct path){.names = rig->names, .count = 1};
        value->items = rig->items;
        value->item_count = 1;
    }
    for (const char *name = columns; *name;) {
        size_t length = strcspn(name, " ");
        rig->fields[rig->shape.field_count] = (struct shape_field){
            .name = {name, length}, .column = rig->shape.field_count, .anchor = COLUMN_NONE};
        rig->shape.field_count++;
        name += length + (name[length] == ' ');
    }
    rig->shape.closed = true;
    rig->shape.fields = rig->fields;
    rig->context = (struct sink_context){.options = &rig->options, .shape = &rig->shape};
    rig->context.limits.timeout = 1000000; /* 1 ms: nobody else writes, or it is tested */
    rig->context.limits.memory = 8 << 20;
    struct batch *batch = &rig->batch;
    batch->columns = rig->columns;
    batch->column_count = COLUMNS;
    CHECK(arena_open(&batch->arena, 1 << 20, 2 << 20, &rig->error));
    CHECK(buffer_open(&batch->outputs[0].buffer, 4 << 20, 4 << 20, &rig->error));
}

void rig_close(struct rig *rig)
{
    if (rig->sink)
        sink_sqlite.close(rig->sink);
    arena_close(&rig->batch.arena);
    buffer_close(&rig->batch.outputs[0].buffer);
}

bool rig_start(struct rig *rig)
{
    rig->started = true;
    return (rig->sink || sink_sqlite.open(&rig->context, &rig->sink, &rig->error)) &&
           sink_sqlite.start(rig->sink, &rig->error) == SINK_OK;
}

struct value cell_of(const char *text)
{
    return text ? value_raw(text, strlen(text)) : (struct value){.kind = VALUE_ABSENT};
}

void batch_begin(struct rig *rig, uint32_t count)
{
    struct batch *batch = &rig->batch;
    CHECK(count <= ROWS);
    arena_reset(&batch->arena);
    buffer_reset(&batch->outputs[0].buffer);
    batch->rejects = NULL;
    batch->rejects_tail = &batch->rejects;
    batch->reject_count = 0;
    batch->record_count = batch->row_count = count;
    batch->rows = rig->rows;
    for (uint32_t i = 0; i < count; i++)
        rig->rows[i] = i;
    for (uint32_t i = 0; i < rig->shape.field_count; i++)
        CHECK(batch_column_make(batch, i) != NULL);
}

bool batch_send(struct rig *rig)
{
    struct batch *back = NULL;
    uint32_t done = 0;
    if (!rig->started && !rig_start(rig))
        return false;
    CHECK(sink_sqlite.encode(rig->sink, NULL, &rig->batch, 0, &done) == ENCODE_OK);
    CHECK(done == rig->batch.row_count);
    CHECK(sink_sqlite.offer(rig->sink, &rig->batch));
    enum sink_result result = sink_sqlite.take(rig->sink, &back, &rig->error);
    if (result == SINK_FAIL)
        CHECK(sink_sqlite.reclaim(rig->sink) == &rig->batch);
    CHECK(sink_sqlite.reclaim(rig->sink) == NULL);
    return result == SINK_OK && back == &rig->batch;
}

bool rows_send(struct rig *rig, const char *const *texts, uint32_t count)
{
    batch_begin(rig, count);
    for (uint32_t i = 0; i < count * rig->shape.field_count; i++)
        rig->columns[i % rig->shape.field_count].cells[i / rig->shape.field_count] =
            cell_of(texts[i]);
    return batch_send(rig);
}

bool rig_recover(struct rig *rig, bool *found)
{
    if (!rig->sink && !sink_sqlite.open(&rig->context, &rig->sink, &rig->error))
        return false;
    return sink_sqlite.recover(rig->sink, &rig->found, found, &rig->error);
}

bool rig_resume(struct rig *rig, uint64_t number, uint64_t epoch)
{
    return sink_sqlite.resume(rig->sink, number, epoch, &rig->error);
}

bool rig_commit(struct rig *rig, uint64_t number, const char *text, bool final)
{
    struct commit_record record = {
        .number = number, .bytes = text, .length = strlen(text), .final = final};
    if (!rig->started && !rig_start(rig))
        return false;
    return sink_sqlite.commit(rig->sink, &record, &rig->error) == SINK_OK;
}

void rig_kill(struct rig *rig)
{
    sink_sqlite.close(rig->sink); /* rolls back, as SQLite does for the next who opens the file */
    rig->sink = NULL;
    rig_close(rig);
}

bool rig_end(struct rig *rig)
{
    struct commit_record record = {.final = true};
    if (!rig->started && !rig_start(rig))
        return false;
    return sink_sqlite.commit(rig->sink, &record, &rig->error) == SINK_OK &&
           sink_sqlite.publish(rig->sink, &record, &rig->error) == SINK_OK;
}

static int row_add(void *context, int count, char **texts, char **names)
{
    char *out = context;
    (void)names;
    for (int i = 0; i < count; i++)
        snprintf(out + strlen(out), 4096 - strlen(out), "%s%s", i ? "|" : "",
                 texts[i] ? texts[i] : "NULL");
    snprintf(out + strlen(out), 4096 - strlen(out), ";");
    return 0;
}

const char *query(const char *file, const char *sql)
{
    static char text[4096];
    char path[256];
    sqlite3 *connection;
    char *message = NULL;
    snprintf(path, sizeof(path), "%s/%s", suite_folder(), file);
    text[0] = 0;
    CHECK(sqlite3_open(path, &connection) == SQLITE_OK);
    if (sqlite3_exec(connection, sql, row_add, text, &message) != SQLITE_OK)
        snprintf(text, sizeof(text), "%s", message);
    sqlite3_free(message);
    CHECK(sqlite3_close(connection) == SQLITE_OK);
    return text;
}

void expect_query(const char *file, const char *sql, const char *expected)
{
    const char *found = query(file, sql);
    if (strcmp(found, expected) != 0)
        printf("\n    %s\n    gives  %s\n    wanted %s\n", sql, found, expected);
    CU_ASSERT(strcmp(found, expected) == 0);
}

void expect_error(const struct rig *rig, const char *part)
{
    bool found = strstr(rig->error.text, part) != NULL;
    if (!found)
        printf("\n    \"%s\" is not what was expected\n", rig->error.text);
    CU_ASSERT(found);
}

void expect_good(const struct rig *rig, bool good)
{
    if (!good)
        printf("\n    %s\n", rig->error.text);
    CU_ASSERT_FATAL(good);
}
