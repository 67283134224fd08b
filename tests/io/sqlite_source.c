/* The SQLite source, driven directly: values, batches, keys, snapshots, going on. What it reads is
 * compared with what was inserted, by SQLite's own json functions where that is more than a few
 * rows. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/io/fixture.h"
#include "tests/io/sqlite_rig.h"
#include "tests/suite.h"

extern const struct source_ops source_sqlite;

static const struct noun ndjson_noun = {.name = "ndjson"};
static struct format_ops ndjson_ops;
static const struct format_ops *const items[] = {&ndjson_ops};
static const struct format_table formats = {items, 1};

/* Opens the source in the fixture, with name, text pairs as options. */
static bool open_with(struct fixture *fixture, const struct options *options, size_t batch_text)
{
    ndjson_ops = format_lines;
    ndjson_ops.noun = &ndjson_noun;
    fixture_open(fixture, IO_ENGINE_POSIX, batch_text, 4 * batch_text);
    fixture->keep_content = true;
    const char *none[] = {NULL};
    (void)fixture_source(fixture, none, 0, NULL); /* for its context */
    if (fixture->source)
        fixture->source->ops->close(fixture->source);
    fixture->source = NULL;
    fixture->source_context.options = options;
    fixture->source_context.formats = &formats;
    return source_sqlite.open(&fixture->source_context, &fixture->source, &fixture->error);
}

static const char *file_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof(path), "%s/%s", suite_folder(), name);
    return path;
}

static void expect_content(struct fixture *fixture, const char *expected)
{
    CU_ASSERT_EQUAL(fixture_run(fixture), SOURCE_END);
    bool same = fixture->content_length == strlen(expected) &&
                (fixture->content_length == 0 ||
                 memcmp(fixture->content, expected, fixture->content_length) == 0);
    if (!same)
        printf("\n    %.*s\n    wanted %s\n    %s\n", (int)fixture->content_length,
               fixture->content, expected, fixture->error.text);
    CU_ASSERT(same);
    fixture_close(fixture);
}

static void expect_refused(const struct options *options, enum error_code code, const char *part)
{
    struct fixture fixture;
    CU_ASSERT_FALSE(open_with(&fixture, options, 4096));
    CU_ASSERT_EQUAL(fixture.error.code, code);
    bool said = strstr(fixture.error.text, part) != NULL;
    if (!said)
        printf("\n    %s\n", fixture.error.text);
    CU_ASSERT(said);
    fixture.source = NULL;
    fixture_close(&fixture);
}

static void test_values(void)
{
    struct fixture fixture;
    query("source_values.db",
          "CREATE TABLE \"odd \"\"t\" (i, r REAL, \"a\"\"\nb\" TEXT, b BLOB);"
          "INSERT INTO \"odd \"\"t\" VALUES (9223372036854775807, 2, 'é\"\\' || char(10), x'0001'),"
          "(-1, 1e300 * 1e300, char(0), x''), (NULL, -0.1, '', NULL), ('007', 1e22, 1.5, 'text')");
    CU_ASSERT_FATAL(open_with(
        &fixture, test_options("path", file_of("source_values.db"), "table", "odd \"t", NULL),
        4096));
    CU_ASSERT_FALSE(fixture.source->replayable);
    CU_ASSERT_EQUAL(fixture.source->incremental, -1);
    CU_ASSERT_EQUAL(fixture.source->inputs[0].names->count, 4);
    CU_ASSERT(string_equal_text(fixture.source->inputs[0].names->names[2], "a\"\nb"));
    expect_content(
        &fixture,
        "{\"i\":9223372036854775807,\"r\":2.0,\"a\\\"\\nb\":\"é\\\"\\\\\\n\",\"b\":\"AAE=\"}\n"
        "{\"i\":-1,\"r\":null,\"a\\\"\\nb\":\"\\u0000\",\"b\":\"\"}\n"
        "{\"i\":null,\"r\":-0.1,\"a\\\"\\nb\":\"\",\"b\":null}\n"
        "{\"i\":\"007\",\"r\":1e+22,\"a\\\"\\nb\":\"1.5\",\"b\":\"text\"}\n");
}

static void test_query(void)
{
    struct fixture fixture;
    query("source_query.db",
          "CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 'x'), (2, '2'), (3, 'z')");
    const char *path = file_of("source_query.db");
    CU_ASSERT_FATAL(
        open_with(&fixture,
                  test_options("path", path, "query", "SELECT a FROM t WHERE a > ? -- end ;",
                               "params", "1", NULL),
                  4096));
    expect_content(&fixture, "{\"a\":2}\n{\"a\":3}\n");
    CU_ASSERT_FATAL(open_with(&fixture,
                              test_options("path", path, "query",
                                           "SELECT a FROM t WHERE b >= $1 ORDER BY a DESC;",
                                           "params", "x", NULL),
                              4096));
    expect_content(&fixture, "{\"a\":3}\n{\"a\":1}\n");
    query("source_query.db", "DELETE FROM t");
    CU_ASSERT_FATAL(open_with(&fixture, test_options("path", path, "table", "t", NULL), 4096));
    expect_content(&fixture, "");
}

static void test_refusals(void)
{
    query("source_refused.db", "CREATE TABLE t (a)");
    char path[256];
    snprintf(path, sizeof(path), "%s", file_of("source_refused.db"));
    expect_refused(test_options("path", path, NULL), ERROR_PROGRAM, "a `query` or a `table`");
    expect_refused(test_options("path", path, "query", "SELECT 1", "table", "t", NULL),
                   ERROR_PROGRAM, "a `query` or a `table`");
    expect_refused(test_options("path", path, "table", "u", NULL), ERROR_DATABASE,
                   "no such table: u");
    expect_refused(test_options("path", path, "table", "t", "key", "b", NULL), ERROR_DATABASE,
                   "there is no column b, the key");
    expect_refused(test_options("path", path, "table", "t", "params", "1", NULL), ERROR_PROGRAM,
                   "`params` are those of a `query`");
    expect_refused(test_options("path", path, "query", "SELECT ?, ?", "params", "1", NULL),
                   ERROR_PROGRAM, "has 2 parameters, and 1 params");
    expect_refused(test_options("path", path, "query", "SELECT :a", NULL), ERROR_PROGRAM,
                   "not by a name");
    expect_refused(test_options("path", path, "query", "SELECT 1; DROP TABLE t", NULL),
                   ERROR_DATABASE, "syntax error");
    expect_refused(test_options("path", path, "table", "t", "incremental", "yes", NULL),
                   ERROR_PROGRAM, "incremental needs `key`");
    expect_refused(test_options("path", file_of("source_none.db"), "table", "t", NULL),
                   ERROR_DATABASE, "No such file or directory");
    CU_ASSERT(strstr(query("source_refused.db", "SELECT a FROM t"), "no such") == NULL);
}

static void test_bad_keys(void)
{
    static const struct {
        const char *rows;
        const char *part;
    } cases[] = {{"(1), (NULL)", "the key a is null"},
                 {"(1), (2), (2)", "the key a is not unique: 2"},
                 {"(x'00')", "the key a is a blob"},
                 {"(CAST(x'ff' AS TEXT))", "the key a is not UTF-8"},
                 {"(hex(zeroblob(200)))", "longer than 256 bytes"}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fixture fixture;
        char sql[200];
        snprintf(sql, sizeof(sql),
                 "DROP TABLE IF EXISTS t; CREATE TABLE t (a); INSERT INTO t VALUES %s",
                 cases[i].rows);
        query("source_keys.db", sql);
        CU_ASSERT_FATAL(open_with(
            &fixture,
            test_options("path", file_of("source_keys.db"), "table", "t", "key", "a", NULL), 4096));
        CU_ASSERT_EQUAL(fixture_run(&fixture), SOURCE_FAIL);
        CU_ASSERT_PTR_NOT_NULL(strstr(fixture.error.text, cases[i].part));
        fixture_close(&fixture);
    }
}

#define NUMBERS "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) "

/* Every batch's key leads to the rest, in every kind of key; what comes while it is read is not
 * seen. */
static void go_on_everywhere(const char *key_sql, const char *collation)
{
    char sql[500];
    struct fixture fixture;
    snprintf(sql, sizeof(sql),
             "PRAGMA journal_mode = WAL; DROP TABLE IF EXISTS t; CREATE TABLE t (k %s, v);" NUMBERS
             "INSERT INTO t SELECT %s, i FROM n ORDER BY random()",
             collation, key_sql);
    query("source_seek.db", sql);
    const char *expected = query("source_seek.db", "SELECT count(*), sum(v) FROM t");
    CU_ASSERT(strcmp(expected, "5000|12502500;") == 0);
    const struct options *options =
        test_options("path", file_of("source_seek.db"), "table", "t", "key", "k", NULL);
    static struct position positions[2000];
    static char keys[2000][BATCH_KEY_SIZE];
    unsigned count = 0;
    CU_ASSERT_FATAL(open_with(&fixture, options, 1000));
    CU_ASSERT(fixture.source->replayable);
    struct batch *batch;
    while (fixture_take(&fixture, &batch) == SOURCE_READY && count < 2000) {
        if (count == 0)
            query("source_seek.db", "DELETE FROM t WHERE v % 2"); /* behind the snapshot */
        memcpy(keys[count], batch->key, batch->key_length);
        positions[count] = (struct position){.offset = batch->content_end,
                                             .line = batch->line_end,
                                             .key = {keys[count], batch->key_length}};
        count++;
        fixture_give_back(&fixture, batch);
    }
    CU_ASSERT(count > 50);
    CU_ASSERT_EQUAL(positions[count - 1].line, 5000);
    fixture_close(&fixture);
    query("source_seek.db", "DELETE FROM t");
    query("source_seek.db", strstr(sql, "WITH"));
    for (unsigned i = 0; i < count; i += 7) {
        CU_ASSERT_FATAL(open_with(&fixture, options, 1000));
        CU_ASSERT_FATAL(fixture.source->ops->seek(fixture.source, &positions[i], &fixture.error));
        CU_ASSERT(string_equal(fixture.source->inputs[0].at.key, positions[i].key));
        bool first = true;
        uint64_t lines = 0;
        while (fixture_take(&fixture, &batch) == SOURCE_READY) {
            CU_ASSERT(!first || (batch->origin.line == positions[i].line + 1 &&
                                 batch->origin.offset == positions[i].offset));
            first = false;
            lines = batch->line_end;
            fixture_give_back(&fixture, batch);
        }
        CU_ASSERT(first ? i == count - 1 : lines == 5000);
        fixture_close(&fixture);
    }
}

static void test_keys(void)
{
    go_on_everywhere("i", "INTEGER PRIMARY KEY");
    go_on_everywhere("i / 7.0", "REAL");
    go_on_everywhere("i * 1000003 % 5003 - 2000", "");
    go_on_everywhere("CASE i % 3 WHEN 0 THEN i WHEN 1 THEN i / 3.0 ELSE 'k''\"' || i END", "");
    go_on_everywhere("CASE i % 2 WHEN 0 THEN 'k' ELSE 'K' END || (i / 2)", "TEXT COLLATE NOCASE");
}

/* Rows longer than a batch, and beyond the record limit. */
static void test_long_rows(void)
{
    struct fixture fixture;
    query("source_long.db",
          "CREATE TABLE t (a); INSERT INTO t VALUES ('short'), (hex(zeroblob(900))),"
          "(hex(zeroblob(9000))), ('end')");
    CU_ASSERT_FATAL(open_with(
        &fixture, test_options("path", file_of("source_long.db"), "table", "t", NULL), 1000));
    CU_ASSERT_EQUAL(fixture_run(&fixture), SOURCE_END);
    CU_ASSERT_EQUAL(fixture.overlong, 1);
    CU_ASSERT(fixture.overlong_length > 18000);
    CU_ASSERT_EQUAL(fixture.jumbo_count, 2);
    fixture_close(&fixture);
}

static void test_other_file(void)
{
    struct fixture fixture;
    struct position position = {.key = STRING("1"), .line = 1};
    query("source_other.db", "CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)");
    CU_ASSERT_FATAL(open_with(
        &fixture, test_options("path", file_of("source_other.db"), "table", "t", "key", "a", NULL),
        1000));
    struct input recorded = fixture.source->inputs[0];
    fixture.source_context.inputs = &recorded;
    fixture.source_context.input_count = 1;
    CU_ASSERT(fixture.source->ops->seek(fixture.source, &position, &fixture.error));
    recorded.inode++;
    CU_ASSERT_FALSE(fixture.source->ops->seek(fixture.source, &position, &fixture.error));
    CU_ASSERT_EQUAL(fixture.error.code, ERROR_STATE);
    fixture.source_context.incremental = true; /* a finished run's file may have been copied */
    CU_ASSERT(fixture.source->ops->seek(fixture.source, &position, &fixture.error));
    struct batch *batch;
    CU_ASSERT_EQUAL_FATAL(fixture_take(&fixture, &batch), SOURCE_READY);
    CU_ASSERT(batch->text_length == 8 && memcmp(batch->text, "{\"a\":2}\n", 8) == 0);
    CU_ASSERT(batch->ends_input && !batch->starts_input);
    fixture_give_back(&fixture, batch);
    CU_ASSERT_EQUAL(fixture_take(&fixture, &batch), SOURCE_END);
    fixture_close(&fixture);
}

/* A recorded key that nobody here has written. */
static void test_hostile_keys(void)
{
    static const char *const keys[] = {"{",    "\"\\x\"", "\"a",   "[1]", "{}",
                                       "null", "true",    "1e999", "x"};
    query("source_hostile.db", "CREATE TABLE t (a); INSERT INTO t VALUES (1)");
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        struct fixture fixture;
        struct position position = {.key = {keys[i], strlen(keys[i])}, .line = 1};
        CU_ASSERT_FATAL(open_with(
            &fixture,
            test_options("path", file_of("source_hostile.db"), "table", "t", "key", "a", NULL),
            1000));
        CU_ASSERT_FALSE(fixture.source->ops->seek(fixture.source, &position, &fixture.error));
        CU_ASSERT_EQUAL(fixture.error.code, ERROR_STATE);
        fixture_close(&fixture);
    }
}

SUITE(sqlite_source, {"every kind of value", test_values}, {"queries", test_query},
      {"what cannot be read", test_refusals}, {"keys that are none", test_bad_keys},
      {"going on behind each key", test_keys}, {"long rows", test_long_rows},
      {"another file", test_other_file}, {"keys that nobody recorded", test_hostile_keys})
