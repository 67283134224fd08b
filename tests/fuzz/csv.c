/* Fuzzes reading CSV against a parser of its own, written the plain way: records and fields as
 * strings, every instruction set, cut at every other place, arenas that hold few records. The first
 * two bytes choose the delimiter, where reads end, and the arena. */
#include <stdlib.h>
#include <string.h>

#include "core/raw.h"
#include "core/utf8.h"
#include "formats/csv.h"
#include "formats/isa.h"

#define SIZE   (1 << 16)
#define FIELDS 64

/* What the plain parser says of one record. */
struct plain_record {
    size_t offset;
    size_t end;    /* without the line end */
    size_t behind; /* behind the line end */
    unsigned fields;
    bool malformed;
    size_t starts[FIELDS];
    size_t ends[FIELDS];
};

static struct plain_record plain_read(const char *text, size_t length, size_t at, char delimiter)
{
    struct plain_record record = {.offset = at};
    enum { START, BARE, QUOTED, CLOSED } state = START;
    record.starts[0] = at;
    for (; at < length; at++) {
        char byte = text[at];
        if (state == QUOTED) {
            if (byte == '"')
                state = CLOSED;
            continue;
        }
        bool line_end = byte == '\n';
        bool carriage = byte == '\r' && at + 1 < length && text[at + 1] == '\n';
        if (byte == '"' && state == START) {
            state = QUOTED;
        } else if (byte == '"' && state == CLOSED) {
            state = QUOTED;
        } else if (byte == delimiter) {
            if (record.fields < FIELDS)
                record.ends[record.fields] = at;
            if (++record.fields < FIELDS)
                record.starts[record.fields] = at + 1;
            state = START;
        } else if (line_end) {
            break;
        } else if (carriage) {
            continue; /* the line end follows */
        } else {
            record.malformed |= byte == '"' || byte == '\r' || state == CLOSED;
            state = BARE;
        }
    }
    record.malformed |= state == QUOTED;
    record.behind = at < length ? at + 1 : at;
    record.end = at < length && at > record.offset && text[at - 1] == '\r' ? at - 1 : at;
    if (record.fields < FIELDS)
        record.ends[record.fields] = record.end;
    record.fields++;
    return record;
}

static bool number_is(const char *text, size_t length)
{
    size_t at = 0, run;
    if (at < length && text[at] == '-')
        at++;
    for (run = at; run < length && text[run] >= '0' && text[run] <= '9'; run++) {
    }
    if (run == at || (run > at + 1 && text[at] == '0'))
        return false;
    at = run;
    if (at < length && text[at] == '.') {
        for (run = at + 1; run < length && text[run] >= '0' && text[run] <= '9'; run++) {
        }
        if (run == at + 1)
            return false;
        at = run;
    }
    if (at < length && (text[at] == 'e' || text[at] == 'E')) {
        at++;
        if (at < length && (text[at] == '+' || text[at] == '-'))
            at++;
        for (run = at; run < length && text[run] >= '0' && text[run] <= '9'; run++) {
        }
        if (run == at)
            return false;
        at = run;
    }
    return at == length;
}

static void value_check(struct value value, const char *text, size_t length)
{
    static char plain[SIZE];
    if (length && *text == '"') {
        size_t out = 0;
        for (size_t i = 1; i + 1 < length; i++) {
            plain[out++] = text[i];
            i += text[i] == '"';
        }
        CHECK(value.kind == VALUE_STRING && value.length == out);
        CHECK(out == 0 || memcmp(value.text, plain, out) == 0);
        return;
    }
    bool raw = number_is(text, length) || (length == 4 && memcmp(text, "true", 4) == 0) ||
               (length == 5 && memcmp(text, "false", 5) == 0);
    CHECK(value.kind == (length == 0 ? VALUE_NULL : raw ? VALUE_RAW : VALUE_STRING));
    CHECK(value.length == length && (length == 0 || memcmp(value.text, text, length) == 0));
}

struct target {
    struct batch batch;
    struct column columns[2];
    struct format *formats[4];
    struct projection projection;
    struct projection_node nodes[3];
    char memory[SIZE + BATCH_PADDING];
};

static const char delimiters[] = ",;\t|";
static struct target target;

static void target_open(void)
{
    struct error error;
    for (unsigned i = 0; i < 4; i++) {
        static const struct option_spec spec = {.name = "delimiter", .kind = OPTION_STRING};
        struct option_value value = {.spec = &spec, .text = {delimiters + i, 1}};
        struct options options = {&value, 1, {0, 0}};
        CHECK(format_csv.open(&options, &target.formats[i], &error));
    }
    CHECK(arena_open(&target.batch.arena, 4 << 20, 4 << 20, &error));
    target.batch.columns = target.columns;
    target.batch.column_count = 2;
    target.nodes[0] = (struct projection_node){.column = COLUMN_NONE, .first_child = 1};
    target.nodes[1] = (struct projection_node){.column = 0, .next_sibling = 2};
    target.nodes[2] = (struct projection_node){.column = 1};
}

/* The records of one batch against the plain parser; returns where it stands in the whole text. */
static size_t batch_check(const char *text, size_t length, size_t at, char delimiter,
                          unsigned fields)
{
    struct batch *batch = &target.batch;
    uint32_t row = 0, member = 0;
    for (uint32_t i = 0; i < batch->record_count; i++) {
        struct plain_record plain = plain_read(text, length, at, delimiter);
        while (plain.end == plain.offset && fields != 1) /* blank lines are no records */
            plain = plain_read(text, length, plain.behind, delimiter);
        at = plain.behind;
        struct string record = batch_record_text(batch, i);
        CHECK(record.length == plain.end - plain.offset);
        CHECK(memcmp(record.data, text + plain.offset, record.length) == 0);
        if (row == batch->row_count || batch->rows[row] != i)
            continue; /* one of the rejects below */
        row++;
        CHECK(!plain.malformed && plain.fields == fields);
        CHECK(utf8_valid(record.data, record.length));
        for (unsigned field = 0; batch->members && field < fields; field++)
            value_check(batch->members[member++].value, text + plain.starts[field],
                        plain.ends[field] - plain.starts[field]);
        for (unsigned column = 0; column < 2 && column < fields; column++)
            value_check(batch->columns[column].cells[i], text + plain.starts[column],
                        plain.ends[column] - plain.starts[column]);
    }
    CHECK(row == batch->row_count);
    uint32_t rejects = 0;
    for (const struct reject *reject = batch->rejects; reject; reject = reject->next) {
        struct string record = batch_record_text(batch, reject->record);
        struct plain_record plain = plain_read(record.data, record.length, 0, delimiter);
        rejects++;
        CHECK(plain.malformed == (reject->code == ERROR_MALFORMED));
        if (!plain.malformed && utf8_valid(record.data, record.length))
            CHECK(reject->code == ERROR_COLUMNS && plain.fields != fields);
        else if (!plain.malformed)
            CHECK(reject->code == ERROR_UTF8);
        CHECK(reject->column == UINT32_MAX || reject->column <= record.length);
    }
    CHECK(rejects == batch->reject_count && rejects + row == batch->record_count);
    return at;
}

static size_t text_locate(const struct format *format, const char *whole, size_t length, size_t at,
                          const char *text, size_t size, char delimiter, unsigned fields)
{
    struct batch *batch = &target.batch;
    memcpy(target.memory, text, size);
    memset(target.memory + size, size % 2 ? '"' : '\n', BATCH_PADDING);
    batch->text = target.memory;
    batch->text_length = (uint32_t)size;
    batch->part_start = 0;
    batch->last_part = false;
    while (!batch->last_part) {
        batch->arena.used = 0;
        batch->rejects = NULL;
        batch->rejects_tail = &batch->rejects;
        batch->reject_count = 0;
        CHECK(format_csv.locate(format, &target.projection, batch) == LOCATE_OK);
        CHECK(batch->part_end > batch->part_start);
        at = batch_check(whole, length, at, delimiter, fields);
        batch->part_start = batch->part_end;
    }
    return at;
}

static void input_run(const struct format *format, const char *text, size_t length, size_t step,
                      char delimiter)
{
    struct error error;
    struct cut_state state = {0};
    struct field_names *names;
    size_t consumed;
    if (format_csv.head(format, text, length, true, &state, &consumed, &names, &error) != HEAD_DONE)
        return;
    target.batch.names = names;
    target.nodes[1].name =
        names->count > 0 ? names->names[0] : STRING("\xfe"); /* no name: not UTF-8 */
    target.nodes[2].name = names->count > 1 ? names->names[1] : STRING("\xff");
    target.projection = (struct projection){target.nodes, 3, 2, step % 2};
    char *window = malloc(length + BATCH_PADDING);
    size_t start = consumed, end = consumed, at = consumed;
    CHECK(window);
    while (end < length && names->count <= FIELDS) {
        size_t from = end - start;
        end += size_min(step, length - end);
        memcpy(window, text + start, end - start);
        memset(window + (end - start), '"', BATCH_PADDING);
        size_t cut = format_csv.cut(format, &state, window, from, end - start, end == length);
        if (end == length)
            cut = end - start;
        if (cut)
            at = text_locate(format, text, length, at, text + start, cut, delimiter, names->count);
        start += cut;
    }
    while (names->count <= FIELDS && at < length) { /* nothing but blank lines is left */
        struct plain_record plain = plain_read(text, length, at, delimiter);
        CHECK(names->count != 1 && plain.end == plain.offset);
        at = plain.behind;
    }
    free(window);
    free(names);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!target.columns[0].cells && !target.formats[0])
        target_open();
    if (size < 2 || size > SIZE)
        return 0;
    static const size_t arenas[] = {4 << 20, 16384, 32768, 1 << 18};
    target.batch.arena.limit = arenas[data[0] / 4 % 4];
    size_t step = data[1] < 128 ? 1 + data[1] : SIZE + data[1];
    char *text = malloc(size - 2 + 1); /* exact, so that reads behind it are found out */
    CHECK(text);
    memcpy(text, data + 2, size - 2);
    for (enum isa isa = ISA_PORTABLE; isa < ISA_COUNT; isa++) {
        if (!isa_available(isa))
            continue;
        isa_force(isa);
        input_run(target.formats[data[0] % 4], text, size - 2, step, delimiters[data[0] % 4]);
    }
    free(text);
    return 0;
}
