/* What the tests of the PostgreSQL sink share: see postgres_rig.h. */
#include "tests/io/postgres_rig.h"

#include <stdarg.h>

#include "core/clock.h"
#include "tests/postgres.h"

bool pg_server(void)
{
    return server_dsn() != NULL;
}
const char *pg_dsn(void)
{
    return server_dsn();
}
void pg_command(const char *command)
{
    server_command(command);
}
const char *pg_query(const char *sql)
{
    return server_query(sql);
}
void pg_expect(const char *sql, const char *expected)
{
    expect_rows(sql, expected);
}

unsigned pg_logged(const char *text)
{
    char path[256], line[4096];
    unsigned count = 0;
    snprintf(path, sizeof(path), "%s/log", test_server.folder);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof(line), file))
        count += strstr(line, text) != NULL && !strstr(line, "STATEMENT:");
    if (file)
        fclose(file);
    return count;
}

static const struct option_spec *spec_of(const char *name)
{
    const struct option_spec *spec = sink_postgres.noun->options;
    while (strcmp(spec->name, name) != 0)
        spec++;
    return spec;
}

static struct option_value *option_put(struct pg_rig *rig, const char *name, const char *text)
{
    struct option_value *value = &rig->values[rig->options.count++];
    *value = (struct option_value){
        .spec = spec_of(name), .text = {text, strlen(text)}, .integer = strtoll(text, NULL, 10)};
    const char *time = strstr(text, " or "); /* "ROWS or NANOSECONDS" */
    value->numbers[0] = value->integer;
    value->numbers[1] = time ? strtoll(time + 4, NULL, 10) : -1;
    return value;
}

void pg_open(struct pg_rig *rig, const char *table, const char *columns, const char *mode,
             const char *key, ...)
{
    memset(rig, 0, sizeof(*rig));
    rig->options.values = rig->values;
    option_put(rig, "dsn", pg_dsn());
    option_put(rig, "table", table);
    option_put(rig, "mode", mode);
    if (key) {
        struct option_value *value = option_put(rig, "key", "");
        rig->names[0] = (struct string){key, strlen(key)};
        rig->items[0].path = (struct path){.names = rig->names, .count = 1};
        value->items = rig->items;
        value->item_count = 1;
    }
    va_list more;
    va_start(more, key);
    for (const char *name; (name = va_arg(more, const char *)) != NULL;)
        option_put(rig, name, va_arg(more, const char *));
    va_end(more);
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
    rig->context.limits.timeout = 20 * NANOSECONDS;
    rig->context.engine = io_engine_open(IO_ENGINE_AUTO, 8, &rig->error);
    CHECK(rig->context.engine);
    for (unsigned i = 0; i < PG_BATCHES; i++) {
        struct pg_batch *batch = &rig->batches[i];
        batch->batch.columns = batch->columns;
        batch->batch.column_count = PG_COLUMNS;
        CHECK(arena_open(&batch->batch.arena, 1 << 20, 2 << 20, &rig->error));
        CHECK(buffer_open(&batch->batch.outputs[0].buffer, 4 << 20, 4 << 20, &rig->error));
    }
    if (!sink_postgres.open(&rig->context, &rig->sink, &rig->error))
        rig->sink = NULL;
}

void pg_close(struct pg_rig *rig)
{
    io_engine_close(rig->context.engine);
    if (rig->sink)
        sink_postgres.close(rig->sink);
    for (unsigned i = 0; i < PG_BATCHES; i++) {
        arena_close(&rig->batches[i].batch.arena);
        buffer_close(&rig->batches[i].batch.outputs[0].buffer);
    }
}

void pg_begin(struct pg_rig *rig, unsigned index, uint32_t count)
{
    struct pg_batch *filled = &rig->batches[index];
    struct batch *batch = &filled->batch;
    CHECK(count <= PG_ROWS && index < PG_BATCHES);
    arena_reset(&batch->arena);
    buffer_reset(&batch->outputs[0].buffer);
    batch->rejects = NULL;
    batch->rejects_tail = &batch->rejects;
    batch->reject_count = 0;
    batch->record_count = batch->row_count = count;
    batch->rows = filled->rows;
    for (uint32_t i = 0; i < count; i++)
        filled->rows[i] = i;
    for (uint32_t i = 0; i < rig->shape.field_count; i++)
        CHECK(batch_column_make(batch, i) != NULL);
}

void pg_fill(struct pg_rig *rig, unsigned index, const char *const *texts, uint32_t count)
{
    uint32_t fields = rig->shape.field_count;
    pg_begin(rig, index, count);
    for (uint32_t i = 0; i < count * fields; i++)
        rig->batches[index].columns[i % fields].cells[i / fields] =
            texts[i] ? value_raw(texts[i], strlen(texts[i])) : (struct value){.kind = VALUE_ABSENT};
}

/* Waits as an actor does. */
static void engine_wait(struct pg_rig *rig)
{
    (void)io_engine_wait(rig->context.engine, NANOSECONDS / 10);
}

bool pg_send(struct pg_rig *rig, unsigned count)
{
    unsigned offered = 0, back = 0;
    for (unsigned i = 0; i < count; i++) {
        struct batch *batch = &rig->batches[i].batch;
        uint32_t done = 0;
        CHECK(sink_postgres.encode(rig->sink, NULL, batch, 0, &done) == ENCODE_OK);
        CHECK(done == batch->row_count);
        if (batch->outputs[0].buffer.length == 0) {
            back++; /* as the runtime: nothing of it is left to write */
            continue;
        }
        CHECK(sink_postgres.offer(rig->sink, batch));
        offered++;
    }
    while (back < count) {
        struct batch *batch = NULL;
        enum sink_result result = sink_postgres.take(rig->sink, &batch, &rig->error);
        if (result == SINK_OK)
            back++;
        else if (result == SINK_WAIT)
            engine_wait(rig);
        else
            break;
    }
    if (back < count) {
        sink_postgres.abort(rig->sink, false);
        while (sink_postgres.reclaim(rig->sink))
            offered--;
    }
    return back == count;
}

bool pg_send_one(struct pg_rig *rig)
{
    return pg_send(rig, 1);
}

bool pg_commit(struct pg_rig *rig, bool final)
{
    enum sink_result result;
    rig->record.number++;
    rig->record.bytes = "{\"n\":1}\n\\'";
    rig->record.length = 10;
    rig->record.final = final;
    while ((result = sink_postgres.commit(rig->sink, &rig->record, &rig->error)) == SINK_WAIT)
        engine_wait(rig);
    return result == SINK_OK;
}

bool pg_end(struct pg_rig *rig)
{
    enum sink_result result;
    if (!pg_commit(rig, true))
        return false;
    while ((result = sink_postgres.publish(rig->sink, &rig->record, &rig->error)) == SINK_WAIT)
        engine_wait(rig);
    return result == SINK_OK;
}

const char *pg_rejects(const struct pg_rig *rig, unsigned index)
{
    static char text[8192];
    size_t used = 0;
    text[0] = 0;
    for (const struct reject *reject = rig->batches[index].batch.rejects; reject;
         reject = reject->next)
        if (used < sizeof(text))
            used += (size_t)snprintf(text + used, sizeof(text) - used, "%u:%.*s;", reject->record,
                                     (int)reject->text_length, reject->text);
    return text;
}

void pg_good(const struct pg_rig *rig, bool good)
{
    if (!good)
        printf("\n    %s\n", rig->error.text);
    CU_ASSERT_FATAL(good);
}

void pg_error(const struct pg_rig *rig, const char *part)
{
    bool found = strstr(rig->error.text, part) != NULL;
    if (!found)
        printf("\n    \"%s\" is not what was expected\n", rig->error.text);
    CU_ASSERT(found);
}
