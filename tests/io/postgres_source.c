/* The source `from postgres` against a real server: values as JSON text, keys, limits, a connection
 * that breaks. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "tests/io/fixture.h"
#include "tests/io/postgres_rig.h"
#include "tests/suite.h"

extern const struct source_ops source_postgres;

#define READER_BATCHES 3
#define RESERVED       (256 * 1024)

struct reader {
    struct option_value values[12];
    struct option_item items[2];
    struct options options;
    struct source_context context;
    struct source *source;
    struct batch batches[READER_BATCHES];
    struct batch *free[READER_BATCHES];
    unsigned free_count;
    struct error error;
    char *text; /* all that was read */
    size_t length;
    unsigned batch_count;
    unsigned overlong;
    char key[BATCH_KEY_SIZE + 1];
    bool ended; /* a batch said so */
};

static struct format_ops ndjson;
static const struct noun ndjson_noun = {.name = "ndjson", .doc = "lines"};
static const struct format_ops *const ndjson_only[] = {&ndjson};
static const struct format_table formats = {ndjson_only, 1};

static bool jumbo_take(void *context)
{
    (void)context;
    return true;
}

static const struct option_spec *spec_of(const char *name)
{
    const struct option_spec *spec = source_postgres.noun->options;
    while (strcmp(spec->name, name) != 0)
        spec++;
    return spec;
}

/* Options: name, text pairs ended by NULL. */
static void reader_open(struct reader *reader, ...)
{
    va_list more;
    memset(reader, 0, sizeof(*reader));
    ndjson = format_lines;
    ndjson.noun = &ndjson_noun;
    reader->options.values = reader->values;
    va_start(more, reader);
    const char *name = "dsn", *text = pg_dsn();
    for (; name; name = va_arg(more, const char *), text = name ? va_arg(more, const char *) : "") {
        struct option_value *value = &reader->values[reader->options.count++];
        *value = (struct option_value){
            .spec = spec_of(name), .span = {1, 2}, .text = {text, strlen(text)}};
        reader->items[0].word = value->text;
        value->items = reader->items;
        value->item_count = strcmp(name, "params") == 0;
    }
    va_end(more);
    reader->context = (struct source_context){
        .options = &reader->options,
        .formats = &formats,
        .limits = {.batch_text = 4096, .record_limit = 64 * 1024, .timeout = 20 * NANOSECONDS},
        .engine = io_engine_open(IO_ENGINE_AUTO, 8, &reader->error),
        .jumbo_take = jumbo_take};
    for (unsigned i = 0; i < READER_BATCHES; i++) {
        struct batch *batch = &reader->batches[i];
        batch->memory = malloc(BATCH_HEADROOM + RESERVED + BATCH_PADDING);
        batch->text_capacity = batch->text_soft = 4096;
        batch->text_reserved = RESERVED;
        reader->free[reader->free_count++] = batch;
    }
    reader->text = calloc(1, 64 << 20);
    if (!source_postgres.open(&reader->context, &reader->source, &reader->error))
        reader->source = NULL;
}

static void reader_close(struct reader *reader)
{
    if (reader->source)
        while (source_postgres.reclaim(reader->source))
            ;
    io_engine_close(reader->context.engine);
    if (reader->source)
        source_postgres.close(reader->source);
    for (unsigned i = 0; i < READER_BATCHES; i++)
        free(reader->batches[i].memory);
    free(reader->text);
}

/* The next batch; its text is appended to what was read. */
static enum source_result reader_take(struct reader *reader)
{
    struct batch *batch = NULL;
    enum source_result result;
    for (;;) {
        while (reader->free_count > 0 &&
               source_postgres.offer(reader->source, reader->free[reader->free_count - 1]))
            reader->free_count--;
        result = source_postgres.take(reader->source, &batch, &reader->error);
        if (result != SOURCE_WAIT)
            break;
        (void)io_engine_wait(reader->context.engine, NANOSECONDS / 20);
    }
    if (result != SOURCE_READY)
        return result;
    CU_ASSERT_EQUAL(batch->starts_input, reader->batch_count == 0 && batch->origin.record == 0);
    CU_ASSERT_EQUAL(batch->origin.line, batch->origin.record + 1);
    CU_ASSERT_EQUAL(batch->content_end, batch->origin.offset + batch->text_length);
    CU_ASSERT_FALSE(reader->ended);
    reader->ended = batch->ends_input;
    reader->batch_count++;
    reader->overlong += batch->overlong;
    if (!batch->overlong)
        memcpy(reader->text + reader->length, batch->text, batch->text_length);
    reader->length += batch->overlong ? 0 : batch->text_length;
    snprintf(reader->key, sizeof(reader->key), "%.*s", (int)batch->key_length, batch->key);
    reader->free[reader->free_count++] = batch;
    return result;
}

static enum source_result reader_run(struct reader *reader)
{
    enum source_result result;
    if (!reader->source)
        return SOURCE_FAIL;
    while ((result = reader_take(reader)) == SOURCE_READY)
        continue;
    return result;
}

static void expect_read(struct reader *reader, const char *expected)
{
    if (reader_run(reader) != SOURCE_END) {
        printf("\n    %s\n", reader->error.text);
        CU_FAIL("it does not end well");
    }
    if (strcmp(reader->text, expected) != 0)
        printf("\n    gives  %s    wanted %s", reader->text, expected);
    CU_ASSERT(strcmp(reader->text, expected) == 0);
}

static void expect_value(const char *expression, const char *json)
{
    struct reader reader;
    char query[300], expected[300];
    snprintf(query, sizeof(query), "SELECT %s AS v;", expression);
    snprintf(expected, sizeof(expected), "{\"v\":%s}\n", json);
    reader_open(&reader, "query", query, NULL);
    expect_read(&reader, expected);
    reader_close(&reader);
}

/* Expected texts are those of the standards and of PostgreSQL's own to_json where it has one. */
static void test_values(void)
{
    static const char *const cases[][2] = {
        {"true", "true"},
        {"(-32768)::smallint", "-32768"},
        {"9223372036854775807", "9223372036854775807"},
        {"4294967295::oid", "4294967295"},
        {"0.1::real", "0.1"},
        {"3.4028235e38::real", "3.4028235e+38"},
        {"16777216::real", "16777216.0"},
        {"0.1::float8", "0.1"},
        {"'NaN'::float8", "\"NaN\""},
        {"'-Infinity'::float8", "\"-Infinity\""},
        {"0::numeric", "0"},
        {"0.00::numeric", "0.00"},
        {"-1234567890123456789012345.6789012345678901234567890",
         "-1234567890123456789012345.6789012345678901234567890"},
        {"1e20::numeric", "100000000000000000000"},
        {"0.00001::numeric", "0.00001"},
        {"10000.0001", "10000.0001"},
        {"'NaN'::numeric", "\"NaN\""},
        {"'Infinity'::numeric", "\"Infinity\""},
        {"E'a\"b\\\\\\n\\u00e9'", "\"a\\\"b\\\\\\n\xC3\xA9\""},
        {"'ab'::char(4)", "\"ab  \""},
        {"'{\"b\": 1,  \"a\": [1e2]}'::json", "{\"b\": 1,  \"a\": [1e2]}"},
        {"'{\"b\": 1, \"a\": null}'::jsonb", "{\"a\": null, \"b\": 1}"},
        {"E'{\\n\"a\":\\n1}'::json", "{\"a\":1}"},
        {"'\\x00ff'::bytea", "\"AP8=\""},
        {"'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid",
         "\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\""},
        {"'2013-01-31'::date", "\"2013-01-31\""},
        {"'infinity'::date", "\"infinity\""},
        {"'1969-12-31 23:59:59.999999'::timestamp", "\"1969-12-31T23:59:59.999999\""},
        {"'2013-01-31 10:20:30.5+02'::timestamptz", "\"2013-01-31T08:20:30.5Z\""},
        {"'-infinity'::timestamptz", "\"-infinity\""},
        {"'10:20:30.25'::time", "\"10:20:30.25\""},
        {"'24:00'::time", "\"24:00:00\""},
        {"'1 year 2 mons 3 days 04:05:06.5'::interval", "\"P1Y2M3DT4H5M6.5S\""},
        {"'-1.5 s'::interval", "\"PT-1.5S\""},
        {"'0'::interval", "\"PT0S\""},
        {"'{1,NULL,3}'::int[]", "[1,null,3]"},
        {"'{{1,2},{3,4}}'::int[]", "[[1,2],[3,4]]"},
        {"'{}'::text[]", "[]"},
        {"array['a,b','\"']", "[\"a,b\",\"\\\"\"]"},
        {"null::int", "null"},
        {"'late'::feeling", "\"late\""},
        {"'{late}'::feeling[]", "[\"late\"]"},
    };
    if (!pg_server())
        return;
    pg_query("CREATE TYPE feeling AS ENUM ('late', 'early')");
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
        expect_value(cases[i][0], cases[i][1]);
}

static void test_queries(void)
{
    struct reader reader;
    if (!pg_server())
        return;
    reader_open(&reader, "query", "SELECT g AS id, 'x'||g AS s FROM generate_series(1, $1::int) g",
                "params", "2", NULL);
    expect_read(&reader, "{\"id\":1,\"s\":\"x1\"}\n{\"id\":2,\"s\":\"x2\"}\n");
    CU_ASSERT(reader.ended);
    CU_ASSERT_FALSE(reader.source->replayable);
    reader_close(&reader);
    reader_open(&reader, "query", "SELECT 1 AS a WHERE false", NULL);
    expect_read(&reader, "");
    reader_close(&reader);
    static const char *const wrong[][2] = {
        {"SELECT nonsense", "SQLSTATE 42703"},
        {"SELECT '1,2'::point AS p", "column \"p\" of postgres leat at "},
        {"SELECT 1 / (g - 5000) AS x FROM generate_series(1, 9000) g", "SQLSTATE 22012"},
        {"SELECT $1::int AS x", "the query has 1 parameters, and 0 params are given"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
        reader_open(&reader, "query", wrong[i][0], NULL);
        CU_ASSERT_EQUAL(reader_run(&reader), SOURCE_FAIL);
        if (!strstr(reader.error.text, wrong[i][1]))
            printf("\n    %s\n", reader.error.text);
        CU_ASSERT(strstr(reader.error.text, wrong[i][1]) != NULL);
        reader_close(&reader);
    }
}

/* A run that ends in the middle and another that goes on behind it read each row once. */
static void test_keys(void)
{
    struct reader reader;
    unsigned rows = 0;
    if (!pg_server())
        return;
    pg_query(
        "CREATE TABLE \"K s\" (\"the id\" text PRIMARY KEY, n int); INSERT INTO \"K s\" SELECT "
        "'k''\"\\' || lpad(g::text, 6, '0'), g FROM generate_series(1, 5000) g ORDER BY random()");
    reader_open(&reader, "table", "K s", "key", "the id", NULL);
    CU_ASSERT(reader.source->replayable);
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(reader_take(&reader), SOURCE_READY);
    struct position position = {.key = {reader.key, strlen(reader.key)}};
    for (const char *at = reader.text; (at = strchr(at, '\n')) != NULL; at++)
        rows++;
    position.record = rows;
    position.offset = reader.length;
    struct reader second;
    reader_open(&second, "table", "K s", "key", "the id", NULL);
    CU_ASSERT(source_postgres.seek(second.source, &position, &second.error));
    CU_ASSERT_EQUAL(reader_run(&second), SOURCE_END);
    CU_ASSERT_STRING_EQUAL(second.key, "\"k'\\\"\\\\005000\"");
    const char *at = strstr(second.text, "\"n\":");
    CU_ASSERT_EQUAL(strtol(at + 4, NULL, 10), (long)rows + 1);
    for (at = second.text; (at = strchr(at, '\n')) != NULL; at++)
        rows++;
    CU_ASSERT_EQUAL(rows, 5000);
    reader_close(&second);
    reader_close(&reader);
    /* nothing new, then two more */
    pg_query("INSERT INTO \"K s\" VALUES ('l1', 1), ('l2', 2)");
    char last[] = "\"k'\\\"\\\\005000\"";
    position.key = (struct string){last, strlen(last)};
    reader_open(&reader, "table", "K s", "key", "the id", "incremental", "yes", NULL);
    CU_ASSERT_EQUAL(reader.source->incremental, 1);
    CU_ASSERT(source_postgres.seek(reader.source, &position, &reader.error));
    expect_read(&reader, "{\"the id\":\"l1\",\"n\":1}\n{\"the id\":\"l2\",\"n\":2}\n");
    reader_close(&reader);
}

static void test_wrong_keys(void)
{
    struct reader reader;
    static const char *const cases[][2] = {
        {"SELECT 1 AS id UNION ALL SELECT 1", "the key id is not unique: 1 stands in two rows"},
        {"SELECT NULL::int AS id", "the key id is null in a row"},
        {"SELECT repeat('x', 300) AS id", "the key id is longer than 256 bytes"},
        {"SELECT 1 AS other", "SQLSTATE 42703"},
    };
    if (!pg_server())
        return;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        reader_open(&reader, "query", cases[i][0], "key", "id", NULL);
        CU_ASSERT_EQUAL(reader_run(&reader), SOURCE_FAIL);
        if (!strstr(reader.error.text, cases[i][1]))
            printf("\n    %s\n", reader.error.text);
        CU_ASSERT(strstr(reader.error.text, cases[i][1]) != NULL);
        reader_close(&reader);
    }
}

static void test_long_rows(void)
{
    struct reader reader;
    if (!pg_server())
        return;
    reader_open(
        &reader, "query",
        "SELECT repeat('x', n) AS s FROM (VALUES (3000), (3000), (50000), (3), (100000), (5)) "
        "AS v(n)",
        NULL);
    CU_ASSERT_EQUAL(reader_run(&reader), SOURCE_END);
    CU_ASSERT_EQUAL(reader.overlong, 1);
    CU_ASSERT_EQUAL(reader.length, 3000 + 3000 + 50000 + 3 + 5 + 5 * strlen("{\"s\":\"\"}\n"));
    reader_close(&reader);
}

/* The connection breaks in the middle of a load: with a key the source goes on by itself. */
static void test_broken(void)
{
    struct reader reader;
    unsigned rows = 0;
    if (!pg_server())
        return;
    pg_query(
        "CREATE TABLE long (id int PRIMARY KEY, s text); INSERT INTO long SELECT g, repeat('x', "
        "100) FROM generate_series(1, 200000) g");
    for (int keyed = 0; keyed < 2; keyed++) {
        if (keyed)
            reader_open(&reader, "table", "long", "key", "id", NULL);
        else
            reader_open(&reader, "table", "long", NULL);
        for (int i = 0; i < 5; i++)
            CU_ASSERT_EQUAL(reader_take(&reader), SOURCE_READY);
        pg_query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = "
                 "'leat'");
        CU_ASSERT_EQUAL(reader_run(&reader), keyed ? SOURCE_END : SOURCE_FAIL);
        if (keyed) {
            const char *at = reader.text;
            for (; *at && strtol(at + strlen("{\"id\":"), NULL, 10) == (long)rows + 1;
                 at = strchr(at, '\n') + 1)
                rows++;
            CU_ASSERT_EQUAL(rows, 200000);
            CU_ASSERT(*at == 0);
        }
        reader_close(&reader);
    }
}

static void test_stop(void)
{
    struct reader reader;
    if (!pg_server())
        return;
    reader_open(&reader, "query", "SELECT g FROM generate_series(1, 100000000) g", NULL);
    CU_ASSERT_EQUAL(reader_take(&reader), SOURCE_READY);
    source_postgres.stop(reader.source);
    int64_t start = clock_monotonic();
    CU_ASSERT_EQUAL(reader_run(&reader), SOURCE_END);
    CU_ASSERT(clock_monotonic() - start < 5 * NANOSECONDS);
    reader_close(&reader);
}

SUITE(postgres_source, {"values as JSON", test_values}, {"queries", test_queries},
      {"going on behind a key", test_keys}, {"wrong keys", test_wrong_keys},
      {"long rows", test_long_rows}, {"a connection that breaks", test_broken},
      {"told to stop", test_stop})
