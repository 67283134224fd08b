/* Fuzzes the JSON formats: every instruction set must agree with an independent validator about
 * each line of NDJSON and about the whole text as one value, and reading any JSON text in small
 * steps must give the records of reading it whole. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/isa.h"
/* the build of a fuzz target links libraries alone */
#include "tests/formats/batch_fixture.c"
#include "tests/formats/json_oracle.h"

extern const struct format_ops format_ndjson, format_json;

#define CAPACITY (64u << 10)

static struct batch_fixture fixture;

static void locate(const struct format *format)
{
    CHECK(format->ops->locate(format, &fixture.projection, &fixture.batch) == LOCATE_OK);
    CHECK(fixture.batch.last_part);
    CHECK(fixture.batch.row_count + fixture.batch.reject_count == fixture.batch.record_count);
}

static void lines_check(const struct format *format, const char *text, size_t size)
{
    struct batch *batch = &fixture.batch;
    uint32_t record = 0;
    batch_fixture_fill(&fixture, text, size);
    locate(format);
    for (size_t at = 0; at < size;) {
        const char *line = batch->text + at, *end = memchr(line, '\n', size - at);
        size_t length = end ? (size_t)(end - line) : size - at;
        struct oracle_span span;
        at += length + 1;
        size_t white = 0;
        while (white < length && strchr(" \t\r", line[white]) && line[white])
            white++;
        if (white == length)
            continue;
        CHECK(record < batch->record_count);
        bool valid = oracle_valid(line, length, "a", &span);
        CHECK(valid == !batch_fixture_reject(&fixture, record));
        struct value value = fixture.columns[0].cells[record++];
        if (valid && !memchr(line, '\\', length)) {
            CHECK(value.kind == (span.end ? VALUE_RAW : VALUE_ABSENT));
            CHECK(!span.end ||
                  (value.text == line + span.start && value.length == span.end - span.start));
        }
    }
    CHECK(record == batch->record_count);
}

static void one_check(const struct format *format, const char *text, size_t size)
{
    struct oracle_span span;
    batch_fixture_fill(&fixture, text, size);
    locate(format);
    CHECK(fixture.batch.record_count == 1);
    CHECK(oracle_valid(text, size, "a", &span) == (fixture.batch.reject_count == 0));
}

/* Adds to a hash of the records, each with its place in the whole text and whether it is rejected.
 */
static uint64_t records_sum(uint64_t sum, size_t start)
{
    for (uint32_t i = 0; i < fixture.batch.record_count; i++) {
        struct batch_record record = fixture.batch.records[i];
        sum = (sum ^ (start + record.offset)) * 0x9e3779b97f4a7c15u;
        sum = (sum ^ record.length ^ (uint64_t)!batch_fixture_reject(&fixture, i) << 63) *
              0x9e3779b97f4a7c15u;
    }
    return sum;
}

static uint64_t steps_sum(const struct format *format, const char *text, size_t size, size_t step)
{
    struct cut_state state = {0};
    uint64_t mode = 0, sum = 1;
    for (size_t start = 0, at = 0; start < size;) {
        size_t until = at + step < size ? at + step : size;
        size_t cut =
            format_json.cut(format, &state, text + start, at - start, until - start, until == size);
        at = until;
        if (at == size && (cut == 0 || cut == at - start))
            cut = size - start;
        if (cut == 0)
            continue;
        batch_fixture_fill(&fixture, text + start, cut);
        fixture.batch.format_state = mode;
        fixture.batch.ends_input = start + cut == size;
        mode = state.boundary_state;
        locate(format);
        sum = records_sum(sum, start);
        start += cut;
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct format *lines, *any, *one;
    static char text[CAPACITY + BATCH_PADDING];
    static struct option_value value = {.text = {"one", 3}};
    static const struct options options = {.values = &value, .count = 1};
    struct error error;
    if (!lines) {
        batch_fixture_open(&fixture, CAPACITY, 16 << 20);
        batch_fixture_project(&fixture, "a b.c", true);
        lines = batch_fixture_format(&format_ndjson);
        any = batch_fixture_format(&format_json);
        value.spec = &format_json.noun->options[0];
        CHECK(format_json.open(&options, &one, &error));
    }
    if (size < 1 || size > 4096)
        return 0;
    size_t step = data[0] % 70 + 1;
    memcpy(text, data + 1, --size);
    uint64_t first = 0;
    for (enum isa isa = ISA_PORTABLE; isa < ISA_COUNT; isa++) {
        if (!isa_available(isa))
            continue;
        isa_force(isa);
        lines_check(lines, text, size);
        one_check(one, text, size);
        uint64_t whole = 1;
        if (size) {
            batch_fixture_fill(&fixture, text, size);
            locate(any);
            whole = records_sum(whole, 0);
        }
        CHECK(isa == ISA_PORTABLE || whole == first);
        first = whole;
        CHECK(steps_sum(any, text, size, step) == whole);
    }
    return 0;
}
