/* The PostgreSQL sink against a real server: types, modes, names, commits. What the server shows is
 * the expected result; it parses and prints by itself. */
#include <math.h>
#include <stdio.h>

#include "tests/io/postgres_rig.h"
#include "tests/suite.h"

static void test_made_types(void)
{
    struct pg_rig rig;
    if (!pg_server())
        return;
    pg_open(&rig, "made", "i d s b n l m big mixed zip", "append", NULL, NULL);
    PG_FILL(&rig, 0, "42", "1.5", "\"caf\\u00e9\"", "true", "null", "[1,  2.50]", "{\"a\":{}}",
            "12345678901234567890.123456789", "1", "12345", "-7", "2", "\"a\\nb\"", "false", NULL,
            "[]", "{}", "1", "2.5", "\"00501\"");
    pg_good(&rig, pg_send_one(&rig));
    PG_FILL(&rig, 0, "43", "1e300", "\"\"", "null", "\"late\"", "null", "null", "1e-5", "1e2",
            "7.0");
    pg_good(&rig, pg_send_one(&rig));
    pg_good(&rig, pg_end(&rig));
    CU_ASSERT_EQUAL(rig.sink->records_written, 3);
    pg_close(&rig);
    pg_expect("SELECT * FROM made ORDER BY i",
              "-7|2|a\nb|f|NULL|[]|{}|1|2.5|00501;"
              "42|1.5|caf\xC3\xA9|t|NULL|[1, 2.50]|{\"a\": {}}|12345678901234567890.123456789|1|"
              "12345;43|1e+300||NULL|late|NULL|NULL|0.00001|100|7.0;");
    pg_expect("SELECT string_agg(format_type(atttypid, atttypmod), ',' ORDER BY attnum) FROM "
              "pg_attribute WHERE attrelid = 'made'::regclass AND attnum > 0",
              "bigint,double precision,text,boolean,text,jsonb,jsonb,numeric,double precision,"
              "text;");
}

static void test_computed_kinds(void)
{
    struct pg_rig rig;
    if (!pg_server())
        return;
    pg_open(&rig, "computed", "u t d b big n x", "append", NULL, NULL);
    pg_begin(&rig, 0, 1);
    struct value values[] = {value_uint(7),
                             {.kind = VALUE_TIMESTAMP, .integer = 1357016400, .length = 250000000},
                             {.kind = VALUE_DURATION, .integer = -1500000000},
                             value_bytes("\0\xff", 2),
                             value_uint(UINT64_MAX),
                             value_double(-INFINITY),
                             value_double(NAN)};
    for (unsigned i = 0; i < ARRAY_SIZE(values); i++)
        rig.batches[0].columns[i].cells[0] = values[i];
    pg_good(&rig, pg_send_one(&rig));
    pg_good(&rig, pg_end(&rig));
    pg_close(&rig);
    pg_expect("SELECT u, t AT TIME ZONE 'UTC', d, b, big, n, x FROM computed",
              "7|2013-01-01 05:00:00.25|-00:00:01.5|\\x00ff|18446744073709551615|-Infinity|NaN;");
    pg_expect("SELECT string_agg(format_type(atttypid, atttypmod), ',' ORDER BY attnum) FROM "
              "pg_attribute WHERE attrelid = 'computed'::regclass AND attnum > 0",
              "bigint,timestamp with time zone,interval,bytea,numeric,double precision,double "
              "precision;");
}

/* One column of a type, texts that go in, what the server shows then; NULL: rejected. */
static void expect_conversions(const char *type, const char *const (*cases)[2], unsigned count)
{
    struct pg_rig rig;
    char sql[200], rejected[16];
    pg_query("DROP TABLE IF EXISTS c; DROP TYPE IF EXISTS mood");
    pg_query("CREATE TYPE mood AS ENUM ('ok', 'sad'); SET timezone = 'UTC'; "
             "SET intervalstyle = 'postgres'");
    snprintf(sql, sizeof(sql), "CREATE TABLE c (id serial, v %s)", type);
    CU_ASSERT_STRING_EQUAL(pg_query(sql), "");
    pg_open(&rig, "c", "v", "append", NULL, NULL);
    /* the first batch is encoded by the sink, the others by "workers" */
    PG_FILL(&rig, 0, "null");
    pg_good(&rig, pg_send_one(&rig));
    for (unsigned i = 0; i < count; i++) {
        pg_fill(&rig, 0, &cases[i][0], 1);
        pg_good(&rig, pg_send_one(&rig));
        if (!cases[i][1]) {
            const char *text = pg_rejects(&rig, 0);
            if (!strstr(text, "column v of \"c\" is ") && !strstr(text, "SQLSTATE"))
                printf("\n    %s <- %s: rejected as \"%s\"\n", type, cases[i][0], text);
            CU_ASSERT_EQUAL(rig.batches[0].batch.reject_count, 1);
            CU_ASSERT(strstr(text, "column v of \"c\" is ") || strstr(text, "SQLSTATE"));
        } else if (rig.batches[0].batch.reject_count) {
            printf("\n    %s <- %s: %s\n", type, cases[i][0], pg_rejects(&rig, 0));
            CU_ASSERT_EQUAL(rig.batches[0].batch.reject_count, 0);
        }
    }
    pg_good(&rig, pg_end(&rig));
    pg_close(&rig);
    unsigned row = 0;
    for (unsigned i = 0; i < count; i++) {
        if (!cases[i][1])
            continue;
        snprintf(sql, sizeof(sql), "SELECT v FROM c ORDER BY id OFFSET %u LIMIT 1", ++row);
        pg_expect(sql, cases[i][1]);
    }
    snprintf(rejected, sizeof(rejected), "%u;", row + 1);
    pg_expect("SELECT count(*) FROM c", rejected);
}
#define CONVERSIONS(type, ...)                                                                     \
    expect_conversions(type, (const char *const[][2]){__VA_ARGS__},                                \
                       sizeof((const char *const[][2]){__VA_ARGS__}) / (2 * sizeof(char *)))

static void test_conversions_of_numbers(void)
{
    if (!pg_server())
        return;
    CONVERSIONS("smallint", {"32767", "32767;"}, {"-32768", "-32768;"}, {"32768", NULL},
                {"1.0", "1;"}, {"1.5", NULL}, {"\"12\"", "12;"}, {"\"x\"", NULL}, {"true", NULL},
                {"[1]", NULL});
    CONVERSIONS("integer", {"2147483647", "2147483647;"}, {"2147483648", NULL}, {"null", "NULL;"});
    CONVERSIONS("bigint", {"9223372036854775807", "9223372036854775807;"},
                {"9223372036854775808", NULL}, {"-9223372036854775808", "-9223372036854775808;"},
                {"1e3", "1000;"}, {"1e30", NULL});
    CONVERSIONS("real", {"1.5", "1.5;"}, {"1e39", NULL}, {"\"NaN\"", "NaN;"}, {"0.1", "0.1;"});
    CONVERSIONS("double precision", {"0.1", "0.1;"}, {"-0.0", "-0;"},
                {"\"-Infinity\"", "-Infinity;"}, {"1", "1;"}, {"\"1e5\"", "100000;"},
                {"\"1e999\"", NULL});
    CONVERSIONS("numeric", {"0", "0;"}, {"0.00", "0.00;"}, {"-0.5", "-0.5;"}, {"10000", "10000;"},
                {"9999.9999", "9999.9999;"}, {"0.00001234", "0.00001234;"},
                {"123456789012345678901234567890.098765432109876543210",
                 "123456789012345678901234567890.098765432109876543210;"},
                {"1e20", "100000000000000000000;"}, {"1.50e1", "15.0;"},
                {"1e-20", "0.00000000000000000001;"}, {"\"12.340\"", "12.340;"},
                {"\"NaN\"", "NaN;"}, {"\"Infinity\"", "Infinity;"}, {"\"1.2.3\"", NULL},
                {"\"\"", NULL}, {"1e-99999", NULL}, {"1e200000", NULL});
    CONVERSIONS("numeric(5,2)", {"123.456", "123.46;"}, {"999.99", "999.99;"}, {"1000", NULL});
    CONVERSIONS("boolean", {"true", "t;"}, {"\"false\"", "f;"}, {"1", NULL}, {"\"yes\"", NULL});
}

static void test_conversions_of_text(void)
{
    if (!pg_server())
        return;
    CONVERSIONS("text", {"\"x\"", "x;"}, {"1.50", "1.50;"}, {"true", "true;"},
                {"[1, 2]", "[1, 2];"}, {"\"a\\u0000b\"", NULL},
                {"{\"a\":\"\\u00e9\"}", "{\"a\":\"\\u00e9\"};"});
    CONVERSIONS("varchar(3)", {"\"abc\"", "abc;"}, {"\"abcd\"", NULL});
    CONVERSIONS("mood", {"\"ok\"", "ok;"}, {"\"glad\"", NULL});
    CONVERSIONS("json", {"{\"b\":1,  \"a\":1e2}", "{\"b\":1,  \"a\":1e2};"}, {"\"s\"", "\"s\";"},
                {"1.0", "1.0;"});
    CONVERSIONS("jsonb", {"{\"b\":1, \"a\":1.0}", "{\"a\": 1.0, \"b\": 1};"}, {"true", "true;"},
                {"\"\\u0000\"", NULL});
    CONVERSIONS("bytea", {"\"AP8=\"", "\\x00ff;"}, {"\"\\\\x00FF\"", "\\x00ff;"}, {"\"?\"", NULL},
                {"\"\\\\x0\"", NULL}, {"\"\"", "\\x;"}, {"7", NULL});
    CONVERSIONS(
        "uuid",
        {"\"A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11\"", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11;"},
        {"\"{a0eebc999c0b4ef8bb6d6bb9bd380a11}\"", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11;"},
        {"\"a0eebc99\"", NULL}, {"\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1g\"", NULL});
}

static void test_conversions_of_time(void)
{
    if (!pg_server())
        return;
    CONVERSIONS("date", {"\"2013-01-31\"", "2013-01-31;"}, {"\"2013-02-29\"", NULL},
                {"\"infinity\"", "infinity;"}, {"\"0001-01-01\"", "0001-01-01;"},
                {"20130131", NULL});
    CONVERSIONS("timestamp", {"\"2013-01-31T10:20:30.123456789Z\"", "2013-01-31 10:20:30.123457;"},
                {"\"2013-01-31 10:20\"", "2013-01-31 10:20:00;"},
                {"\"2013-01-31T00:00:00+02:00\"", "2013-01-30 22:00:00;"},
                {"\"1969-12-31T23:59:59.5Z\"", "1969-12-31 23:59:59.5;"},
                {"\"2013-01-31\"", "2013-01-31 00:00:00;"}, {"\"10:20\"", NULL},
                {"\"2013-01-31T25:00:00Z\"", NULL});
    CONVERSIONS("timestamptz", {"\"2013-01-31T10:20:30-05:00\"", "2013-01-31 15:20:30+00;"},
                {"\"2013-01-31T10:20:30\"", NULL}, {"\"-infinity\"", "-infinity;"});
    CONVERSIONS("time", {"\"10:20:30.5\"", "10:20:30.5;"}, {"\"24:00:00\"", "24:00:00;"},
                {"\"24:00:01\"", NULL});
    CONVERSIONS("interval", {"\"1.5s\"", "00:00:01.5;"},
                {"\"P1Y2M3DT4H5M6.5S\"", "1 year 2 mons 3 days 04:05:06.5;"},
                {"\"-PT1.5S\"", "-00:00:01.5;"}, {"\"P1W\"", "7 days;"}, {"\"P\"", NULL},
                {"\"PT\"", NULL}, {"5", NULL});
}

static void test_conversions_of_arrays(void)
{
    if (!pg_server())
        return;
    CONVERSIONS("integer[]", {"[1,2,null]", "{1,2,NULL};"}, {"[]", "{};"},
                {"[[1,2],[3,4]]", "{{1,2},{3,4}};"}, {"[[1],[2,3]]", NULL}, {"[1,[2]]", NULL},
                {"[[1],2]", NULL}, {"7", NULL}, {"[\"x\"]", NULL}, {"[[]]", NULL},
                {"[[1],[]]", NULL});
    CONVERSIONS("text[]", {"[\"a\",\"b,c\",1.50]", "{a,\"b,c\",1.50};"});
    CONVERSIONS("numeric[]", {"[1.10]", "{1.10};"});
    CONVERSIONS("jsonb[]", {"[{\"a\":1},[2]]", "{\"{\\\"a\\\": 1}\",[2]};"});
    CONVERSIONS("timestamptz[]", {"[\"2013-01-31T10:20:30Z\"]", "{\"2013-01-31 10:20:30+00\"};"});
    CONVERSIONS("mood[]", {"[\"ok\"]", "{ok};"});
}

static void test_names(void)
{
    struct pg_rig rig;
    if (!pg_server())
        return;
    pg_open(&rig, "o'dd \"T\"; drop", "a\"b select ;drop it's %s \xC3\xBC \\", "replace", NULL,
            NULL);
    PG_FILL(&rig, 0, "1", "2", "3", "4", "5", "6", "7");
    pg_good(&rig, pg_send_one(&rig));
    pg_good(&rig, pg_end(&rig));
    pg_close(&rig);
    pg_expect(
        "SELECT \"a\"\"b\", \"select\", \";drop\", \"it's\", \"%s\", \"\xC3\xBC\", \"\\\" FROM "
        "\"o'dd \"\"T\"\"; drop\"",
        "1|2|3|4|5|6|7;");
}

static void test_refused_rows(void)
{
    struct pg_rig rig;
    if (!pg_server())
        return;
    pg_query("CREATE TABLE parent (id int PRIMARY KEY); INSERT INTO parent VALUES (1)");
    pg_query("CREATE TABLE strict (a int UNIQUE, b text NOT NULL, c int CHECK (c < 10), "
             "d int REFERENCES parent, e varchar(2))");
    pg_open(&rig, "strict", "a b c d e", "append", NULL, NULL);
    PG_FILL(&rig, 0, "1", "\"x\"", "1", "1", "\"ab\"", "1", "\"x\"", "1", "1", "\"ab\"", "2", NULL,
            "1", "1", "\"ab\"", "3", "\"x\"", "10", "1", "\"ab\"", "4", "\"x\"", "1", "2", "\"ab\"",
            "5", "\"x\"", "1", "1", "\"abc\"", "6", "\"x\"", "1", "1", "\"ab\"");
    PG_FILL(&rig, 1, "7", "\"x\"", "1", "1", "\"ab\"", "6", "\"x\"", "1", "1", "\"ab\"");
    pg_good(&rig, pg_send(&rig, 2));
    pg_good(&rig, pg_end(&rig));
    static const char *const states[] = {"23505", "23502", "23514", "23503", "22001"};
    CU_ASSERT_EQUAL(rig.batches[0].batch.reject_count, 5);
    for (unsigned i = 0; i < ARRAY_SIZE(states); i++)
        CU_ASSERT(strstr(pg_rejects(&rig, 0), states[i]) != NULL);
    CU_ASSERT(strstr(pg_rejects(&rig, 0), "4:insert or update on table \"strict\" violates") !=
              NULL);
    CU_ASSERT_EQUAL(rig.batches[1].batch.reject_count, 1);
    CU_ASSERT(strncmp(pg_rejects(&rig, 1), "1:duplicate key", 15) == 0);
    CU_ASSERT_EQUAL(rig.sink->records_written, 3);
    pg_close(&rig);
    pg_expect("SELECT a FROM strict ORDER BY 1", "1;6;7;");
}

/* Bad rows in assorted ways among thousands, few and many: none lost, few round trips. */
static void test_many_refused(void)
{
    static char texts[PG_ROWS][16];
    static const char *cells[PG_ROWS * 2];
    struct pg_rig rig;
    static const unsigned every[] = {1000, 40, 1};
    if (!pg_server())
        return;
    for (unsigned k = 0; k < ARRAY_SIZE(every); k++) {
        char expected[32];
        unsigned bad = 0;
        pg_query(
            "DROP TABLE IF EXISTS many; CREATE TABLE many (a int PRIMARY KEY, b int CHECK (b > "
            "0))");
        pg_open(&rig, "many", "a b", "append", NULL, NULL);
        for (unsigned i = 0; i < PG_ROWS; i++) {
            bool is_bad = i % every[k] == every[k] / 2;
            snprintf(texts[i], sizeof(texts[i]), "%u", i);
            cells[2 * i] = texts[i];
            cells[2 * i + 1] = is_bad ? "-1" : "1";
            bad += is_bad;
        }
        pg_fill(&rig, 0, cells, PG_ROWS);
        unsigned before = pg_logged("COPY \"many\"");
        pg_good(&rig, pg_send_one(&rig));
        unsigned copies = pg_logged("COPY \"many\"") - before;
        CU_ASSERT_EQUAL(rig.batches[0].batch.reject_count, bad);
        if (copies > 1 + 12 * bad)
            printf("\n    %u COPYs for %u bad rows\n", copies, bad);
        CU_ASSERT(copies <= 1 + 12 * bad);
        pg_good(&rig, pg_end(&rig));
        snprintf(expected, sizeof(expected), "%u;", PG_ROWS - bad);
        pg_expect("SELECT count(*) FROM many", expected);
        pg_close(&rig);
    }
}

static void test_upsert(void)
{
    struct pg_rig rig;
    if (!pg_server())
        return;
    pg_open(&rig, "up", "k v", "upsert", "k", NULL);
    PG_FILL(&rig, 0, "1", "\"a\"", "2", "\"b\"", "1", "\"c\"");
    PG_FILL(&rig, 1, "2", "\"d\"", "3", "\"e\"", "null", "\"f\"", "3", "\"g\"");
    pg_good(&rig, pg_send(&rig, 2));
    CU_ASSERT(strstr(pg_rejects(&rig, 1), "2:column k of \"up\" is bigint and cannot take null") !=
              NULL);
    pg_good(&rig, pg_commit(&rig, false));
    PG_FILL(&rig, 0, "1", "\"z\"");
    pg_good(&rig, pg_send_one(&rig));
    pg_good(&rig, pg_end(&rig));
    pg_close(&rig);
    pg_expect("SELECT k, v FROM up ORDER BY k", "1|z;2|d;3|g;");
    /* a row that the merge refuses */
    pg_query("ALTER TABLE up ADD CHECK (v <> 'bad')");
    pg_open(&rig, "up", "k v", "upsert", "k", NULL);
    PG_FILL(&rig, 0, "1", "\"good\"", "1", "\"bad\"", "9", "\"bad\"", "8", "\"ok\"");
    pg_good(&rig, pg_send_one(&rig));
    pg_good(&rig, pg_end(&rig));
    CU_ASSERT_EQUAL(rig.batches[0].batch.reject_count, 2);
    CU_ASSERT(strstr(pg_rejects(&rig, 0), "SQLSTATE 23514") != NULL);
    pg_close(&rig);
    pg_expect("SELECT k, v FROM up ORDER BY k", "1|good;2|d;3|g;8|ok;");
    pg_query("CREATE TABLE nokey (k int, v text)");
    pg_open(&rig, "nokey", "k v", "upsert", "k", NULL);
    PG_FILL(&rig, 0, "1", "\"a\"");
    CU_ASSERT_FALSE(pg_send_one(&rig));
    pg_error(&rig, "no primary key or unique index on exactly the columns of `key`");
    pg_close(&rig);
}

static void test_replace(void)
{
    struct pg_rig rig;
    if (!pg_server())
        return;
    pg_query(
        "CREATE TABLE rep (a int PRIMARY KEY, b text DEFAULT 'd'); INSERT INTO rep VALUES (1)");
    pg_open(&rig, "rep", "a", "replace", NULL, NULL);
    PG_FILL(&rig, 0, "5", "6", "5");
    pg_good(&rig, pg_send_one(&rig));
    CU_ASSERT(strstr(pg_rejects(&rig, 0), "2:duplicate key") != NULL);
    pg_good(&rig, pg_commit(&rig, false));
    pg_expect("SELECT a FROM rep", "1;");
    pg_good(&rig, pg_end(&rig));
    pg_close(&rig);
    pg_expect("SELECT a, b FROM rep", "5|d;6|d;");
    CU_ASSERT_STRING_EQUAL(pg_query("INSERT INTO rep VALUES (5)"), "23505");
    /* with a view on it T stays, and is refilled */
    pg_query("CREATE VIEW rep_view AS SELECT a FROM rep");
    pg_open(&rig, "rep", "a", "replace", NULL, NULL);
    PG_FILL(&rig, 0, "7");
    pg_good(&rig, pg_send_one(&rig));
    pg_good(&rig, pg_end(&rig));
    pg_close(&rig);
    pg_expect("SELECT a FROM rep_view", "7;");
    pg_expect("SELECT count(*) FROM pg_class WHERE relname = 'rep__leat'", "0;");
    /* what was not finished is not seen, and dropped by the next run */
    pg_open(&rig, "rep", "a", "replace", NULL, NULL);
    PG_FILL(&rig, 0, "8");
    pg_good(&rig, pg_send_one(&rig));
    pg_good(&rig, pg_commit(&rig, false));
    sink_postgres.abort(rig.sink, false);
    pg_close(&rig);
    pg_expect("SELECT a FROM rep", "7;");
    pg_open(&rig, "rep", "a", "replace", NULL, NULL);
    PG_FILL(&rig, 0, "9");
    pg_good(&rig, pg_send_one(&rig));
    pg_good(&rig, pg_end(&rig));
    pg_close(&rig);
    pg_expect("SELECT a FROM rep", "9;");
}

/* What recover finds is what the last commit stored; a stale run can commit no more. */
static void recover_in_mode(const char *mode)
{
    struct pg_rig first, second;
    struct commit_record record;
    bool found = true;
    pg_query("DROP TABLE IF EXISTS rec, rec__leat");
    pg_query("DELETE FROM leat_commit WHERE pipeline = 'rec'");
    pg_open(&first, "rec", "a", mode, NULL, NULL);
    pg_good(&first, sink_postgres.recover(first.sink, &record, &found, &first.error));
    CU_ASSERT_FALSE(found);
    pg_good(&first, sink_postgres.resume(first.sink, 0, 1, &first.error));
    PG_FILL(&first, 0, "1", "2");
    pg_good(&first, pg_send_one(&first));
    pg_good(&first, pg_commit(&first, false));
    PG_FILL(&first, 0, "3");
    pg_good(&first, pg_send_one(&first));
    /* while the first one runs, nobody else may */
    pg_open(&second, "rec", "a", mode, NULL, NULL);
    CU_ASSERT_FALSE(sink_postgres.recover(second.sink, &record, &found, &second.error));
    CU_ASSERT_EQUAL(second.error.code, ERROR_LOCKED);
    pg_error(&second, "pipeline rec is run by process ");
    sink_postgres.abort(first.sink, false); /* as if killed: 3 was never committed */
    while (!sink_postgres.recover(second.sink, &record, &found, &second.error))
        CU_ASSERT_EQUAL_FATAL(second.error.code, ERROR_LOCKED);
    CU_ASSERT_TRUE(found);
    CU_ASSERT_EQUAL(record.number, 1);
    CU_ASSERT_EQUAL(record.epoch, 1);
    CU_ASSERT_FALSE(record.done);
    CU_ASSERT_EQUAL_FATAL(record.length, 10);
    CU_ASSERT(memcmp(record.bytes, "{\"n\":1}\n\\'", 10) == 0);
    pg_good(&second, sink_postgres.resume(second.sink, 1, 2, &second.error));
    second.record.number = 1;
    PG_FILL(&second, 0, "4");
    pg_good(&second, pg_send_one(&second));
    pg_good(&second, pg_end(&second));
    pg_close(&second);
    pg_expect("SELECT a FROM rec ORDER BY a", "1;2;4;");
    pg_expect("SELECT epoch, number, done FROM leat_commit WHERE pipeline = 'rec'", "2|2|t;");
    /* the first one wakes up again, and must not commit */
    PG_FILL(&first, 0, "66");
    if (pg_send_one(&first))
        CU_ASSERT_FALSE(pg_commit(&first, false));
    pg_error(&first,
             strcmp(mode, "append") == 0 ? "another run of pipeline rec has taken over" : "");
    pg_close(&first);
    pg_expect("SELECT a FROM rec ORDER BY a", "1;2;4;");
}

static void test_recover(void)
{
    if (!pg_server())
        return;
    recover_in_mode("append");
    recover_in_mode("replace");
}

static void test_forget(void)
{
    struct pg_rig rig;
    struct commit_record record;
    bool found = true;
    if (!pg_server())
        return;
    for (unsigned i = 0; i < 2; i++) {
        pg_open(&rig, "forgotten", "a", "append", NULL, NULL);
        pg_good(&rig, sink_postgres.recover(rig.sink, &record, &found, &rig.error));
        CU_ASSERT_FALSE(found);
        pg_good(&rig, sink_postgres.resume(rig.sink, 0, 1, &rig.error));
        PG_FILL(&rig, 0, "1");
        pg_good(&rig, pg_send_one(&rig));
        pg_good(&rig, pg_end(&rig));
        pg_close(&rig);
        pg_open(&rig, "forgotten", "a", "append", NULL, NULL);
        while (!sink_postgres.recover(rig.sink, &record, &found, &rig.error))
            CU_ASSERT_EQUAL_FATAL(rig.error.code, ERROR_LOCKED);
        CU_ASSERT_TRUE(found && record.done);
        pg_good(&rig, sink_postgres.forget(rig.sink, &rig.error));
        pg_close(&rig);
    }
    pg_expect("SELECT count(*) FROM forgotten", "2;");
}

/* `transaction`: commits where the run has no checkpoints, else the wish for one. */
static void test_transaction(void)
{
    struct pg_rig rig;
    struct batch *back;
    if (!pg_server())
        return;
    for (int checkpoints = 0; checkpoints < 2; checkpoints++) {
        pg_query("DROP TABLE IF EXISTS portions");
        pg_query("CREATE TABLE portions (a bigint)");
        pg_open(&rig, "portions", "a", "append", NULL, "transaction", "3", NULL);
        rig.context.checkpoints = checkpoints;
        PG_FILL(&rig, 0, "1", "2");
        pg_good(&rig, pg_send_one(&rig));
        CU_ASSERT_EQUAL(sink_postgres.take(rig.sink, &back, &rig.error), SINK_WAIT);
        CU_ASSERT_FALSE(rig.sink->commit_wanted);
        pg_expect("SELECT count(*) FROM portions", "0;");
        PG_FILL(&rig, 0, "3", "4");
        pg_good(&rig, pg_send_one(&rig));
        PG_FILL(&rig, 0, "5");
        pg_good(&rig, pg_send_one(&rig)); /* behind the commit, if there was one */
        CU_ASSERT_EQUAL(rig.sink->commit_wanted, checkpoints);
        pg_expect("SELECT count(*) FROM portions", checkpoints ? "0;" : "4;");
        pg_good(&rig, pg_commit(&rig, false));
        CU_ASSERT_FALSE(rig.sink->commit_wanted);
        pg_expect("SELECT count(*) FROM portions", "5;");
        pg_good(&rig, pg_end(&rig));
        pg_close(&rig);
    }
    pg_open(&rig, "portions", "a", "append", NULL, "transaction", "1000 or 1", NULL);
    PG_FILL(&rig, 0, "6");
    pg_good(&rig, pg_send_one(&rig));
    PG_FILL(&rig, 0, "7");
    pg_good(&rig, pg_send_one(&rig));
    pg_expect("SELECT a FROM portions WHERE a > 5", "6;");
    sink_postgres.abort(rig.sink, false);
    pg_close(&rig);
}

static void test_empty(void)
{
    struct pg_rig rig;
    if (!pg_server())
        return;
    pg_open(&rig, "none", "a b", "append", NULL, "columns", "integer", NULL);
    pg_good(&rig, pg_end(&rig));
    pg_close(&rig);
    pg_expect("SELECT count(*), count(a) FROM none", "0|0;");
    pg_query("INSERT INTO none VALUES (1, 2)");
    pg_open(&rig, "none", "a b", "replace", NULL, NULL);
    pg_good(&rig, pg_end(&rig));
    pg_close(&rig);
    pg_expect("SELECT count(*) FROM none", "0;");
}

SUITE(postgres, {"types of a table that is made", test_made_types},
      {"computed kinds", test_computed_kinds},
      {"conversions of numbers", test_conversions_of_numbers},
      {"conversions of text", test_conversions_of_text},
      {"conversions of time", test_conversions_of_time},
      {"conversions of arrays", test_conversions_of_arrays}, {"names are quoted", test_names},
      {"refused rows have their SQLSTATE", test_refused_rows},
      {"many refused rows", test_many_refused}, {"upsert: the last of a key wins", test_upsert},
      {"replace: swapped or refilled", test_replace}, {"recover, lock and fence", test_recover},
      {"forget", test_forget}, {"no records", test_empty},
      {"transaction: rows or time", test_transaction})
