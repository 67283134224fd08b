/* Writing NDJSON and JSON: clean copies, closed shapes, splices, refusals, buffers that are full.
 * The expected texts are written by hand. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "formats/isa.h"
#include "tests/formats/batch_fixture.h"
#include "tests/suite.h"

extern const struct format_ops format_ndjson, format_json;

static struct batch_fixture fixture;

#define FIELD(text, value_column, anchor_column)                                                   \
    {                                                                                              \
        .name = STRING(text), .json_name = STRING("\"" text "\":"), .column = (value_column),      \
        .anchor = (anchor_column)                                                                  \
    }

static const struct shape untouched = {0};

/* Locates `text` as format `from` into the fixture, members on. */
static void read_text(const struct format_ops *from, const char *paths, const char *text)
{
    struct format *format = batch_fixture_format(from);
    batch_fixture_project(&fixture, paths, true);
    batch_fixture_fill(&fixture, text, strlen(text));
    CU_ASSERT_EQUAL_FATAL(from->locate(format, &fixture.projection, &fixture.batch), LOCATE_OK);
    from->close(format);
    buffer_reset(&fixture.output);
}

static enum encode_result write_rows(const struct format_ops *to, const struct shape *shape,
                                     bool same, uint32_t *row)
{
    struct format *format = batch_fixture_format(to);
    enum encode_result result =
        to->encode(format, shape, &fixture.batch, same, *row, row, &fixture.output);
    to->close(format);
    return result;
}

static void expect_output(const char *expected)
{
    char shown[1024];
    snprintf(shown, sizeof(shown), "%.*s", (int)fixture.output.length, fixture.output.data);
    CU_ASSERT_STRING_EQUAL(shown, expected);
}

static void expect_written(const struct format_ops *to, const struct shape *shape, bool same,
                           const char *expected)
{
    uint32_t row = 0;
    CU_ASSERT_EQUAL(write_rows(to, shape, same, &row), ENCODE_OK);
    CU_ASSERT_EQUAL(row, fixture.batch.row_count);
    expect_output(expected);
}

static void begin(void)
{
    batch_fixture_open(&fixture, 1 << 16, FIXTURE_ARENA);
}

static void end(void)
{
    batch_fixture_close(&fixture);
}

static void copies(void)
{
    begin();
    read_text(&format_ndjson, "a", "{\"a\":1}\n [2] \r\n\n3\n{ \"a\" : 1E400 }");
    expect_written(&format_ndjson, &untouched, true, "{\"a\":1}\n[2]\n3\n{ \"a\" : 1E400 }\n");
    read_text(&format_ndjson, "a", "1\n2\n3\n4\n5\n6\n");
    static const uint32_t some[] = {0, 2, 3, 4};
    memcpy(fixture.batch.rows, some, sizeof(some));
    fixture.batch.row_count = 4;
    expect_written(&format_ndjson, &untouched, true, "1\n3\n4\n5\n");
    end();
}

static void closed(void)
{
    static const struct shape_field fields[] = {
        FIELD("b", 1, COLUMN_NONE), FIELD("x", 3, COLUMN_NONE), FIELD("a", 0, COLUMN_NONE),
        FIELD("c", 2, COLUMN_NONE)};
    static const struct shape shape = {.closed = true, .fields = fields, .field_count = 4};
    begin();
    read_text(&format_ndjson, "a b c.d",
              "{\"a\":12345678901234567890123,\"b\":\"\\u00e9\",\"c\":{\"d\":[1, 2]}}\n{}\n7\n");
    struct value *computed = batch_column_make(&fixture.batch, 3);
    CU_ASSERT_PTR_NOT_NULL_FATAL(computed);
    computed[0] = value_double(2);
    computed[1] = value_string("q\"\n", 3);
    computed[2] = value_bool(true);
    expect_written(&format_ndjson, &shape, true,
                   "{\"b\":\"\\u00e9\",\"x\":2.0,\"a\":12345678901234567890123,\"c\":[1, 2]}\n"
                   "{\"b\":null,\"x\":\"q\\\"\\n\",\"a\":null,\"c\":null}\n"
                   "{\"b\":null,\"x\":true,\"a\":null,\"c\":null}\n");
    static const struct shape none = {.closed = true};
    buffer_reset(&fixture.output);
    expect_written(&format_ndjson, &none, true, "{}\n{}\n{}\n");
    end();
}

/* a is replaced by column 3, b is dropped, z (column 4) is appended or replaces z. */
static void splices(void)
{
    static const struct shape_field fields[] = {FIELD("a", 3, 0), FIELD("b", COLUMN_NONE, 1),
                                                FIELD("z", 4, 2), FIELD("new", 3, COLUMN_NONE)};
    static const struct shape shape = {.fields = fields, .field_count = 4};
    begin();
    read_text(&format_ndjson, "a b z",
              "{\"k\" : 1.50 , \"l\":[1,\t2],\"a\":1,\"b\":2,\"m\":{\"a\":3}, \"n\":1E400}\n"
              "{\"a\":1,\"x\":0,\"a\":2}\n{}\n{\"z\":{},\"b\":1}\n{\"b\":1,\"b\":2,\"y\":3}\n"
              "{\"a\":1,\"k\":1}\n");
    struct value *a = batch_column_make(&fixture.batch, 3);
    struct value *z = batch_column_make(&fixture.batch, 4);
    CU_ASSERT_FATAL(a && z);
    for (int i = 0; i < 5; i++)
        a[i] = value_int(i);
    z[1] = value_raw("\"zz\"", 4);
    z[3] = value_null();
    expect_written(&format_ndjson, &shape, true,
                   "{\"k\" : 1.50 , \"l\":[1,\t2],\"a\":0,\"m\":{\"a\":3}, \"n\":1E400,\"new\":0}\n"
                   "{\"x\":0,\"a\":1,\"z\":\"zz\",\"new\":1}\n"
                   "{\"a\":2,\"new\":2}\n"
                   "{\"z\":null,\"a\":3,\"new\":3}\n"
                   "{\"y\":3,\"a\":4,\"new\":4}\n"
                   "{\"k\":1}\n");
    end();
}

static void refusals(void)
{
    static const struct shape_field fields[] = {FIELD("a", 1, 0)};
    static const struct shape shape = {.fields = fields, .field_count = 1};
    begin();
    read_text(&format_ndjson, "a", "{\"a\":1,\"b\":2}\n{\"a\":2}\n{\"a\":3}\n");
    struct value *a = batch_column_make(&fixture.batch, 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(a);
    a[0] = value_double(NAN);
    a[1] = value_int(5);
    a[2] = value_double(INFINITY);
    expect_written(&format_ndjson, &shape, true, "{\"a\":5}\n");
    CU_ASSERT_EQUAL(fixture.batch.reject_count, 2);
    for (uint32_t record = 0; record < 3; record += 2) {
        const struct reject *reject = batch_fixture_reject(&fixture, record);
        CU_ASSERT_PTR_NOT_NULL_FATAL(reject);
        CU_ASSERT_EQUAL(reject->stage, STAGE_SINK);
        CU_ASSERT_EQUAL(reject->code, ERROR_NOT_WRITABLE);
        CU_ASSERT(reject->text_length > 0);
    }
    end();
}

/* Whatever the limit, the pieces make up the whole, and each is whole records. */
static void full_buffers(void)
{
    static const char text[] = "{\"a\":1,\"b\":\"x\"}\n{\"a\":22}\n{\"a\":333,\"c\":[]}\n[4]\n";
    static const struct shape_field fields[] = {FIELD("a", 0, COLUMN_NONE)};
    static const struct shape select = {.closed = true, .fields = fields, .field_count = 1};
    static const struct {
        const struct shape *shape;
        const char *expected;
    } cases[] = {{&untouched, text},
                 {&select, "{\"a\":1}\n{\"a\":22}\n{\"a\":333}\n{\"a\":null}\n"}};
    begin();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        for (size_t limit = 17; limit < 80; limit++) {
            read_text(&format_ndjson, "a", text);
            char whole[256] = "";
            uint32_t row = 0;
            enum encode_result result;
            fixture.output.limit = limit;
            do {
                uint32_t before = row;
                result = write_rows(&format_ndjson, cases[i].shape, true, &row);
                CU_ASSERT_FATAL(row > before);
                CU_ASSERT(fixture.output.length <= limit);
                CU_ASSERT_EQUAL(fixture.output.data[fixture.output.length - 1], '\n');
                size_t used = strlen(whole);
                snprintf(whole + used, sizeof(whole) - used, "%.*s", (int)fixture.output.length,
                         fixture.output.data);
                fixture.output.length = 0;
            } while (result == ENCODE_FULL);
            CU_ASSERT_EQUAL(result, ENCODE_OK);
            CU_ASSERT_STRING_EQUAL(whole, cases[i].expected);
            fixture.output.limit = fixture.output.soft;
        }
    }
    read_text(&format_ndjson, "a", text);
    fixture.output.limit = 5;
    uint32_t row = 0;
    CU_ASSERT_EQUAL(write_rows(&format_ndjson, &untouched, true, &row), ENCODE_FULL);
    CU_ASSERT(row == 0 && fixture.output.length == 0);
    end();
}

/* A file of json is prologue, records (the first without its separator), epilogue. */
static void json_files(void)
{
    struct format *format = batch_fixture_format(&format_json);
    begin();
    read_text(&format_json, "a", "[{\"a\":\n 1}, 2]\n\"x\"");
    CU_ASSERT(format_json.prologue(format, &untouched, &fixture.output));
    expect_output("[\n");
    fixture.output.length = 0;
    expect_written(&format_json, &untouched, true, ",\n{\"a\":\n 1},\n2,\n\"x\"");
    CU_ASSERT_EQUAL(format_json.first_skip, 2);
    fixture.output.length = 0;
    CU_ASSERT(format_json.epilogue(format, &fixture.output));
    expect_output("\n]\n");
    end();
    format_json.close(format);
}

/* From json to lines: newlines between tokens go, bytes of values stay. */
static void json_to_lines(void)
{
    static const struct shape_field fields[] = {FIELD("n", 0, COLUMN_NONE), FIELD("a", 0, 0)};
    static const struct shape edited = {.fields = fields, .field_count = 2};
    static const struct shape select = {.closed = true, .fields = fields, .field_count = 1};
    static const char text[] =
        "[{\"a\":\n{\"x\":1.10,\n\"y\":[\n2]}, \"b\":\"\\n\"}, {}, 5, [\n1\n]]";
    begin();
    read_text(&format_json, "a", text);
    expect_written(&format_ndjson, &untouched, false,
                   "{\"a\":{\"x\":1.10,\"y\":[2]},\"b\":\"\\n\"}\n{}\n5\n[1]\n");
    buffer_reset(&fixture.output);
    expect_written(&format_ndjson, &select, false,
                   "{\"n\":{\"x\":1.10,\"y\":[2]}}\n{\"n\":null}\n{\"n\":null}\n{\"n\":null}\n");
    fixture.batch.row_count = 2;
    buffer_reset(&fixture.output);
    expect_written(
        &format_ndjson, &edited, false,
        "{\"a\":{\"x\":1.10,\"y\":[2]},\"b\":\"\\n\",\"n\":{\"x\":1.10,\"y\":[2]}}\n{}\n");
    end();
}

/* Records of a source that is not JSON: members whose values are computed. */
static void other_sources(void)
{
    static struct member members[] = {{.name = "zip", .name_length = 3, .column = COLUMN_NONE},
                                      {.name = "q\\\"", .name_length = 3, .column = COLUMN_NONE},
                                      {.name = "n", .name_length = 1, .column = COLUMN_NONE}};
    static uint32_t first[] = {0, 3};
    begin();
    read_text(&format_ndjson, "", "1\n");
    members[0].value = value_string("007", 3);
    members[1].value = value_null();
    members[2].value = value_raw("1.50", 4);
    fixture.batch.members = members;
    fixture.batch.member_first = first;
    expect_written(&format_ndjson, &untouched, false,
                   "{\"zip\":\"007\",\"q\\\"\":null,\"n\":1.50}\n");
    end();
}

SUITE(json_write, {"copies", copies}, {"closed shapes", closed}, {"splices", splices},
      {"refusals", refusals}, {"full buffers", full_buffers}, {"json files", json_files},
      {"json to lines", json_to_lines}, {"other sources", other_sources})
