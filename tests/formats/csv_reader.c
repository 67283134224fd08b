/* A source and a sink in small: see csv_reader.h. */
#include "tests/formats/csv_reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/raw.h"

#define OPTIONS 8
#define ITEMS   16

struct parsed {
    struct option_value values[OPTIONS];
    struct option_item items[OPTIONS][ITEMS];
    struct string names[OPTIONS][ITEMS];
};

static void items_parse(struct parsed *parsed, unsigned at, const char *text)
{
    struct option_value *value = &parsed->values[at];
    value->items = parsed->items[at];
    while (*text) {
        size_t length = strcspn(text, " "), name = strcspn(text, " :");
        struct option_item *item = &parsed->items[at][value->item_count];
        parsed->names[at][value->item_count++] = (struct string){text, name};
        item->path.names = &parsed->names[at][value->item_count - 1];
        item->path.count = 1;
        if (name < length)
            item->word = (struct string){text + name + 1, length - name - 1};
        text += length;
        text += strspn(text, " ");
    }
}

static void option_parse(struct parsed *parsed, unsigned at, const struct option_spec *spec,
                         const char *text)
{
    struct option_value *value = &parsed->values[at];
    value->spec = spec;
    if (spec->kind == OPTION_NAMES || (spec->kind == OPTION_TYPES && strchr(text, ':')))
        items_parse(parsed, at, text);
    else if (text)
        value->text = (struct string){text, strlen(text)};
    else
        value->integer = -1;
}

struct format *csv_reader_open(const struct csv_reader *reader, struct error *error)
{
    static struct parsed parsed; /* dialects may keep names of it until the next one is opened */
    memset(&parsed, 0, sizeof(parsed));
    for (unsigned i = 0; i < reader->option_count; i++) {
        const struct option_spec *spec = reader->ops->noun->options;
        while (spec->name && strcmp(spec->name, reader->options[i].name))
            spec++;
        CHECK(spec->name);
        option_parse(&parsed, i, spec, reader->options[i].text);
    }
    struct options options = {parsed.values, reader->option_count, {0, 0}};
    struct format *format = NULL;
    return reader->ops->open(&options, &format, error) ? format : NULL;
}

struct run {
    const struct csv_reader *reader;
    struct format *format;
    struct batch_fixture fixture;
    const struct field_names *names;
    struct buffer out;
    uint64_t line; /* line ends before the batch */
};

static void value_show(struct run *run, struct value value)
{
    const char *reason;
    if (value.kind == VALUE_ERROR || value.kind == VALUE_ABSENT) {
        const char *word = value.kind == VALUE_ERROR ? error_slug(value.code) : "absent";
        CHECK(buffer_append(&run->out, word, strlen(word)));
    } else {
        CHECK(value_write_json(value, &run->out, &reason) == JSON_DONE);
    }
}

static void record_show(struct run *run, uint32_t record)
{
    const struct batch *batch = &run->fixture.batch;
    CHECK(buffer_append_byte(&run->out, '['));
    bool members = run->reader->members;
    uint32_t first = members ? batch->member_first[record] : 0;
    uint32_t count =
        members ? batch->member_first[record + 1] - first : run->fixture.projection.base_columns;
    CHECK(!members || count == run->names->count);
    for (uint32_t i = 0; i < count; i++) {
        if (i)
            CHECK(buffer_append_byte(&run->out, ','));
        value_show(run,
                   members ? batch->members[first + i].value : batch->columns[i].cells[record]);
    }
    CHECK(buffer_append(&run->out, "]\n", 2));
}

static void part_show(struct run *run)
{
    const struct batch *batch = &run->fixture.batch;
    uint32_t row = 0;
    const struct reject *reject = batch->rejects;
    for (uint32_t i = 0; i < batch->record_count; i++) {
        if (row < batch->row_count && batch->rows[row] == i) {
            row++;
            record_show(run, i);
            continue;
        }
        char text[500];
        CHECK(reject && reject->record == i);
        int length = snprintf(text, sizeof(text), "!%s@%d%s%.*s\n", error_slug(reject->code),
                              reject->column == UINT32_MAX ? -1 : (int)reject->column,
                              run->reader->texts ? ": " : "",
                              run->reader->texts ? (int)reject->text_length : 0, reject->text);
        CHECK(buffer_append(&run->out, text, (size_t)length));
        reject = reject->next;
    }
    CHECK(row == batch->row_count && !reject);
}

static uint64_t feeds(const char *text, size_t length)
{
    uint64_t count = 0;
    for (size_t i = 0; i < length; i++)
        count += text[i] == '\n';
    return count;
}

static void clean_check(const struct batch *batch)
{
    size_t at = batch->part_start;
    for (uint32_t i = 0; i < batch->record_count; i++) {
        CHECK(batch->records[i].offset == at);
        at += batch->records[i].length;
        CHECK(batch->text[at++] == '\n');
    }
    CHECK(at == batch->part_end && batch->row_count == batch->record_count);
}

static void batch_work(struct run *run, const char *text, size_t length, uint64_t lines)
{
    struct batch *batch = &run->fixture.batch;
    CHECK(lines == feeds(text, length));
    batch_fixture_fill(&run->fixture, text, length);
    batch->names = run->names;
    batch->line_end = run->line + lines;
    batch->part_line = run->line + 1;
    do {
        uint32_t start = batch->part_end;
        CHECK(run->format->ops->locate(run->format, &run->fixture.projection, batch) == LOCATE_OK);
        CHECK(batch->part_end > start && batch->part_end <= length);
        CHECK(batch->line_count == feeds(text + start, batch->part_end - start));
        CHECK(batch->last_part == (batch->part_end == length));
        if (batch->clean)
            clean_check(batch);
        part_show(run);
        uint64_t part_line = batch->part_line + batch->line_count;
        if (!batch->last_part)
            batch_fixture_part(&run->fixture, batch->part_end);
        batch->part_line = part_line;
    } while (!batch->last_part);
    run->line += lines;
}

/* The text is copied into a window with padding of quotes or newlines; whatever is whole after a
 * read becomes a batch. */
static void content_work(struct run *run, struct cut_state *state, const char *text, size_t length)
{
    char *window = malloc(length + BATCH_PADDING);
    size_t start = 0, end = 0;
    uint64_t lines = state->lines;
    CHECK(window);
    while (end < length) {
        size_t from = end - start;
        end += size_min(run->reader->step, length - end);
        memcpy(window, text + start, end - start);
        memset(window + (end - start), from % 2 ? '\n' : '"', BATCH_PADDING);
        size_t cut =
            run->format->ops->cut(run->format, state, window, from, end - start, end == length);
        CHECK(state->lines_scanned - lines == feeds(text + start, end - start));
        if (cut) {
            batch_work(run, text + start, cut, state->lines - lines);
            lines = state->lines;
            start += cut;
        }
    }
    if (start < length)
        batch_work(run, text + start, length - start, state->lines_scanned - lines);
    free(window);
}

char *csv_read(const struct csv_reader *reader, const char *text, size_t length)
{
    struct error error;
    struct run run = {.reader = reader, .format = csv_reader_open(reader, &error)};
    CHECK(run.format);
    CHECK(buffer_open(&run.out, 64 << 20, 64 << 20, &error));
    batch_fixture_open(&run.fixture, length + 64, reader->arena ? reader->arena : FIXTURE_ARENA);
    batch_fixture_project(&run.fixture, reader->paths ? reader->paths : "", reader->members);
    struct cut_state state = {0};
    struct field_names *names = NULL;
    size_t consumed = 0, seen = 0;
    enum head_result result;
    do {
        seen += size_min(reader->step, length - seen);
        char *exact = malloc(seen + 1); /* so that a read behind the end is found out */
        CHECK(exact);
        memcpy(exact, text, seen);
        result = reader->ops->head(run.format, exact, seen, seen == length, &state, &consumed,
                                   &names, &error);
        free(exact);
        CHECK(result != HEAD_MORE || seen < length);
    } while (result == HEAD_MORE);
    if (result == HEAD_FAIL) {
        CHECK(buffer_append(&run.out, "head: ", 6));
        CHECK(buffer_append(&run.out, error.text, strlen(error.text)));
    } else {
        run.names = names;
        CHECK(state.lines == feeds(text, consumed));
        run.line = state.lines;
        content_work(&run, &state, text + consumed, length - consumed);
    }
    char *shown = strndup(run.out.data, run.out.length);
    free(names);
    buffer_close(&run.out);
    batch_fixture_close(&run.fixture);
    reader->ops->close(run.format);
    return shown;
}
