/* Writing CSV and text. What is expected was written by hand from LANGUAGE.md and RFC 4180. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/raw.h"
#include "formats/csv.h"
#include "tests/formats/csv_reader.h"
#include "tests/suite.h"

#define FIELDS 12

struct writing {
    struct batch_fixture fixture;
    struct csv_reader reader;
    struct format *format;
    struct shape_field fields[FIELDS];
    struct shape shape;
    struct value cells[FIELDS][4];
    uint32_t rows[4];
};

static void writing_open(struct writing *writing, const struct format_ops *ops,
                         const struct reader_option *options, unsigned count)
{
    struct error error;
    memset(writing, 0, sizeof(*writing));
    batch_fixture_open(&writing->fixture, 1 << 16, 1 << 20);
    batch_fixture_fill(&writing->fixture, "", 0);
    writing->reader = (struct csv_reader){.ops = ops, .options = options, .option_count = count};
    writing->format = csv_reader_open(&writing->reader, &error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(writing->format);
    writing->shape = (struct shape){.closed = true, .fields = writing->fields};
    struct batch *batch = &writing->fixture.batch;
    for (uint32_t i = 0; i < FIELDS; i++)
        batch->columns[i].cells = writing->cells[i];
    batch->rows = writing->rows;
    batch->record_count = batch->row_count = 1;
}

static void writing_close(struct writing *writing)
{
    writing->format->ops->close(writing->format);
    batch_fixture_close(&writing->fixture);
}

static void add(struct writing *writing, struct value value)
{
    uint32_t i = writing->shape.field_count++;
    writing->fields[i] = (struct shape_field){.name = STRING("f"), .column = i};
    writing->cells[i][0] = value;
}

static struct value text_value(const char *text)
{
    return value_string(text, strlen(text));
}

static struct value raw_value(const char *text)
{
    return value_raw(text, strlen(text));
}

/* Writes the rows; rejects show as "!slug text". */
static void wrote(struct writing *writing, const char *expected)
{
    struct buffer *out = &writing->fixture.output;
    struct batch *batch = &writing->fixture.batch;
    uint32_t done;
    out->length = 0;
    CU_ASSERT_EQUAL(
        writing->format->ops->encode(writing->format, &writing->shape, batch, false, 0, &done, out),
        ENCODE_OK);
    CU_ASSERT_EQUAL(done, batch->row_count);
    for (const struct reject *reject = batch->rejects; reject; reject = reject->next) {
        char line[500];
        CU_ASSERT_EQUAL(reject->stage, STAGE_SINK);
        int length = snprintf(line, sizeof(line), "!%s %.*s\n", error_slug(reject->code),
                              (int)reject->text_length, reject->text);
        CHECK(buffer_append(out, line, (size_t)length));
    }
    CHECK(buffer_append_byte(out, 0));
    CU_ASSERT_STRING_EQUAL(out->data, expected);
    if (strcmp(out->data, expected))
        printf("\nwrote: %s\nwant:  %s\n", out->data, expected);
    batch->rejects = NULL;
    batch->rejects_tail = &batch->rejects;
    writing->shape.field_count = 0;
}

static void test_strings(void)
{
    struct writing writing;
    static const struct reader_option na[] = {{"null", "NA"}};
    writing_open(&writing, &format_csv, na, 1);
    static const char *const quoted[] = {"",   "a,b", "a\"b",   "a\nb", "a\rb",  " a",
                                         "a ", "1",   "-0.5e3", "true", "false", "NA"};
    static const char *const bare[] = {"a b",  "007", "+5",  ".5",       "True",
                                       "null", "N",   "NAN", "\xc3\xa9", "-"};
    for (size_t i = 0; i < ARRAY_SIZE(quoted); i++)
        add(&writing, text_value(quoted[i]));
    wrote(&writing, "\"\",\"a,b\",\"a\"\"b\",\"a\nb\",\"a\rb\",\" a\",\"a \",\"1\",\"-0.5e3\","
                    "\"true\",\"false\",\"NA\"\n");
    for (size_t i = 0; i < ARRAY_SIZE(bare); i++)
        add(&writing, text_value(bare[i]));
    wrote(&writing, "a b,007,+5,.5,True,null,N,NAN,\xc3\xa9,-\n");
    add(&writing, value_null());
    add(&writing, (struct value){0});
    add(&writing, raw_value("null"));
    wrote(&writing, "NA,NA,NA\n");
    writing_close(&writing);
}

static void test_values(void)
{
    struct writing writing;
    writing_open(&writing, &format_csv, NULL, 0);
    add(&writing, value_int(-5));
    add(&writing, value_uint(UINT64_MAX));
    add(&writing, value_double(2));
    add(&writing, value_bool(true));
    add(&writing, value_null());
    add(&writing, value_bytes("\xff\x00\x01", 3));
    add(&writing, value_bytes("\xd7\x6d\xf8", 3)); /* 1234 in base64 */
    add(&writing, (struct value){.kind = VALUE_TIMESTAMP, .integer = 0});
    add(&writing, (struct value){.kind = VALUE_DURATION, .integer = 1500000000});
    wrote(&writing, "-5,18446744073709551615,2.0,true,,/wAB,\"1234\",1970-01-01T00:00:00Z,1.5s\n");
    add(&writing, raw_value("1.50"));
    add(&writing, raw_value("123456789012345678901234567890"));
    add(&writing, raw_value("\"a\""));
    add(&writing, raw_value("\"1\""));
    add(&writing, raw_value("\"x\\\"\\u00e9\\n\""));
    add(&writing, raw_value("\"\\/\""));
    add(&writing, raw_value("[1, \"a\\\"b\",\n 2]"));
    add(&writing, raw_value("{\"k\":null}"));
    wrote(&writing, "1.50,123456789012345678901234567890,a,\"1\",\"x\"\"\xc3\xa9\n\",/,"
                    "\"[1, \"\"a\\\"\"b\"\", 2]\",\"{\"\"k\"\":null}\"\n");
    add(&writing, value_double(__builtin_nan("")));
    add(&writing, value_int(1));
    wrote(&writing, "!not_writable f: NaN and infinities are not written\n");
    writing_close(&writing);
}

static void test_unquoted(void)
{
    struct writing writing;
    static const struct reader_option none[] = {{"quote", NULL}, {"delimiter", ";"}};
    writing_open(&writing, &format_csv, none, 2);
    add(&writing, text_value("a \"b\", c"));
    add(&writing, text_value("1"));
    add(&writing, raw_value("[1,\"a\"]"));
    wrote(&writing, "a \"b\", c;1;[1,\"a\"]\n");
    add(&writing, text_value("a;b"));
    wrote(&writing, "!not_writable f: the text needs quotes, and the format has none (`quote "
                    "none`)\n");
    writing_close(&writing);
}

static void test_full(void)
{
    /* every limit of the buffer: whole rows or nothing, and go on where it stopped */
    struct writing writing;
    writing_open(&writing, &format_csv, NULL, 0);
    struct batch *batch = &writing.fixture.batch;
    struct buffer *out = &writing.fixture.output;
    add(&writing, text_value("x\"y"));
    add(&writing, raw_value("{\"k\":\"v\"}"));
    for (uint32_t i = 1; i < 4; i++) {
        writing.rows[i] = i;
        writing.cells[0][i] = text_value("plain");
        writing.cells[1][i] = value_bytes("\xd7\x6d\xf8", 3);
    }
    batch->record_count = batch->row_count = 4;
    static const char want[] = "\"x\"\"y\",\"{\"\"k\"\":\"\"v\"\"}\"\n"
                               "plain,\"1234\"\nplain,\"1234\"\nplain,\"1234\"\n";
    for (size_t limit = 24; limit < sizeof(want) + 2; limit++) {
        char all[200] = {0};
        size_t length = 0;
        uint32_t done = 0;
        out->limit = limit;
        enum encode_result result = ENCODE_FULL;
        for (unsigned turn = 0; turn < 5 && result == ENCODE_FULL; turn++) {
            out->length = 0;
            result =
                format_csv.encode(writing.format, &writing.shape, batch, false, done, &done, out);
            memcpy(all + length, out->data, out->length);
            length += out->length;
        }
        CU_ASSERT_EQUAL(result, ENCODE_OK);
        CU_ASSERT_STRING_EQUAL(all, want);
    }
    writing_close(&writing);
}

/* Reads text, writes it with the same dialect: by columns, and by whole records. */
static void test_same(void)
{
    static const struct reader_option na[] = {{"null", "NA"}};
    static const char head[] = "a,b,c\n";
    static const char body[] = "\"x\",1.50,NA\n,\"\",\"1\"\n\"a\"\"b\",\"c\nd\",007\n 1, x ,true\n";
    struct error error;
    struct batch_fixture fixture;
    struct csv_reader reader = {.ops = &format_csv, .options = na, .option_count = 1};
    struct format *format = csv_reader_open(&reader, &error);
    struct field_names *names;
    struct cut_state state = {0};
    size_t consumed;
    CU_ASSERT_EQUAL(
        format_csv.head(format, head, sizeof(head) - 1, true, &state, &consumed, &names, &error),
        HEAD_DONE);
    batch_fixture_open(&fixture, 1 << 16, 1 << 20);
    batch_fixture_project(&fixture, "a b c", false);
    batch_fixture_fill(&fixture, body, sizeof(body) - 1);
    fixture.batch.names = names;
    CU_ASSERT_EQUAL(format_csv.locate(format, &fixture.projection, &fixture.batch), LOCATE_OK);
    CU_ASSERT_EQUAL(fixture.batch.row_count, 4);
    CU_ASSERT(fixture.batch.clean);
    struct shape_field fields[] = {{.name = STRING("a"), .column = 0},
                                   {.name = STRING("b,"), .column = 1},
                                   {.name = STRING(""), .column = 2}};
    struct shape shapes[] = {{.closed = true, .fields = fields, .field_count = 3}, {0}};
    for (unsigned i = 0; i < 2; i++) {
        uint32_t done;
        fixture.output.length = 0;
        CU_ASSERT_EQUAL(
            format_csv.encode(format, &shapes[i], &fixture.batch, true, 0, &done, &fixture.output),
            ENCODE_OK);
        CU_ASSERT_EQUAL(done, 4);
        CU_ASSERT_EQUAL(fixture.output.length, sizeof(body) - 1);
        CU_ASSERT_EQUAL(memcmp(fixture.output.data, body, sizeof(body) - 1), 0);
    }
    fixture.output.length = 0;
    CU_ASSERT(format_csv.prologue(format, &shapes[0], &fixture.output));
    CU_ASSERT_EQUAL(fixture.output.length, 10);
    CU_ASSERT_EQUAL(memcmp(fixture.output.data, "a,\"b,\",\"\"\n", 10), 0);
    batch_fixture_close(&fixture);
    free(names);
    format_csv.close(format);
}

static void text_reads(const char *text, size_t length, const char *expected)
{
    static const size_t steps[] = {1, 2, 7, 1000};
    struct csv_reader reader = {.ops = &format_text};
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        reader.step = steps[i];
        reader.members = i % 2;
        reader.paths = "line";
        char *shown = csv_read(&reader, text, length);
        CU_ASSERT_STRING_EQUAL(shown, expected);
        free(shown);
    }
}

#define TEXT_READS(text, expected) text_reads(text, sizeof(text) - 1, expected)

static void test_text(void)
{
    TEXT_READS("", "");
    TEXT_READS("\n", "[\"\"]\n");
    TEXT_READS("a\n\nb\r\n\r\nc", "[\"a\"]\n[\"\"]\n[\"b\"]\n[\"\"]\n[\"c\"]\n");
    TEXT_READS("\xef\xbb\xbf"
               "x\ry\r",
               "[\"x\\ry\\r\"]\n");
    TEXT_READS("\"a,\nb\0\n", "[\"\\\"a,\"]\n[\"b\\u0000\"]\n");
    TEXT_READS("a\n\xff\n\xc3\xa9\n\xc3\n", "[\"a\"]\n!utf8@-1\n[\"\xc3\xa9\"]\n!utf8@-1\n");
    struct writing writing;
    writing_open(&writing, &format_text, NULL, 0);
    add(&writing, text_value("1,\"x\""));
    wrote(&writing, "1,\"x\"\n");
    add(&writing, raw_value("\"a\\tb\""));
    wrote(&writing, "a\tb\n");
    add(&writing, raw_value("{\"a\":\"b\"}"));
    wrote(&writing, "{\"a\":\"b\"}\n");
    add(&writing, (struct value){.kind = VALUE_TIMESTAMP, .integer = 0});
    wrote(&writing, "1970-01-01T00:00:00Z\n");
    add(&writing, value_null());
    wrote(&writing, "\n");
    add(&writing, text_value("a\nb"));
    wrote(&writing, "!not_writable text with a newline in it cannot be one line\n");
    add(&writing, value_int(1));
    add(&writing, value_int(1));
    wrote(&writing, "!not_writable a line of text is one field: `select` the one to write\n");
    writing_close(&writing);
}

SUITE(csv_encode, {"strings", test_strings}, {"values", test_values},
      {"without quotes", test_unquoted}, {"a full buffer", test_full},
      {"the same dialect", test_same}, {"text", test_text})
