/* The SQLite sink, driven directly with batches made by hand. */
#include <math.h>
#include <stdio.h>

#include "io/row_code.h"
#include "tests/io/sqlite_rig.h"
#include "tests/suite.h"

static void test_kinds(void)
{
    struct rig rig;
    rig_open(&rig, "kinds.db", "i r s b n l m x", "append", NULL);
    expect_good(&rig, SEND(&rig, "42", "1.5", "\"caf\\u00e9\"", "true", "null", "[1,  2.50]",
                           "{\"a\":{}}", "1", "-7", "2.0", "\"a\\nb\"", "false", NULL, "[]", "{}",
                           "\"007\""));
    batch_begin(&rig, 1);
    struct value values[] = {value_uint(7),
                             value_double(-INFINITY),
                             {.kind = VALUE_TIMESTAMP, .integer = 1357016400},
                             value_bool(true),
                             value_null(),
                             {.kind = VALUE_LIST},
                             value_bytes("\0\xff", 2),
                             value_uint(UINT64_MAX)};
    values[1] = value_double(1e300);
    for (unsigned i = 0; i < COLUMNS; i++)
        rig.columns[i].cells[0] = values[i];
    expect_good(&rig, batch_send(&rig));
    batch_begin(&rig, 1);
    rig.columns[2].cells[0] = (struct value){.kind = VALUE_DURATION, .integer = 1500000000};
    expect_good(&rig, batch_send(&rig));
    expect_good(&rig, rig_end(&rig));
    CU_ASSERT_EQUAL(rig.sink->records_written, 4);
    rig_close(&rig);
    expect_query("kinds.db", "SELECT * FROM t WHERE rowid < 3",
                 "42|1.5|caf\xC3\xA9|1|NULL|[1,  2.50]|{\"a\":{}}|1;"
                 "-7|2.0|a\nb|0|NULL|[]|{}|007;");
    expect_query("kinds.db", "SELECT i, r, s, b, n, l, hex(m), x FROM t WHERE rowid > 2",
                 "7|1.0e+300|2013-01-01T05:00:00Z|1|NULL|[]|00FF|18446744073709551615;"
                 "NULL|NULL|1.5s|NULL|NULL|NULL||NULL;");
    expect_query("kinds.db", "SELECT typeof(i), typeof(r), typeof(s), typeof(b), typeof(x) FROM t",
                 "integer|real|text|integer|integer;integer|real|text|integer|text;"
                 "integer|real|text|integer|text;null|null|text|null|null;");
    expect_query("kinds.db", "SELECT name, type FROM pragma_table_info('t')",
                 "i|INTEGER;r|REAL;s|TEXT;b|INTEGER;n|;l|TEXT;m|;x|;");
    expect_query("kinds.db", "PRAGMA integrity_check", "ok;");
    expect_query("kinds.db", "PRAGMA journal_mode", "wal;");
}

/* What comes first does not decide how the rest is stored. */
static void test_late_kinds(void)
{
    struct rig rig;
    rig_open(&rig, "late.db", "zip n", "append", NULL);
    expect_good(&rig, SEND(&rig, "12345", NULL));
    expect_good(&rig, SEND(&rig, "\"00501\"", "1"));
    expect_good(&rig, SEND(&rig, "1.0", "2"));
    expect_good(&rig, rig_end(&rig));
    rig_close(&rig);
    expect_query("late.db", "SELECT zip, typeof(zip), n FROM t",
                 "12345|integer|NULL;00501|text|1;1.0|real|2;");
    expect_query("late.db", "SELECT name, type FROM pragma_table_info('t')", "zip|;n|INTEGER;");
}

/* A definition that somebody changed while the run filled the table is left as it is. */
static void test_changed_meanwhile(void)
{
    struct rig rig;
    rig_open(&rig, "changed.db", "a", "append", NULL);
    expect_good(&rig, SEND(&rig, "1"));
    expect_good(&rig, rig_commit(&rig, 1, "", false));
    expect_query("changed.db", "ALTER TABLE t ADD COLUMN more DEFAULT 'm'", "");
    expect_good(&rig, SEND(&rig, "2"));
    expect_good(&rig, rig_end(&rig));
    rig_close(&rig);
    expect_query("changed.db", "SELECT * FROM t", "1|m;2|m;");
    expect_query("changed.db", "PRAGMA integrity_check", "ok;");
}

static void test_names(void)
{
    struct rig rig;
    rig_open(&rig, "names.db", "a\"b select ;drop it's %s \xC3\xBC", "replace", NULL);
    expect_good(&rig, SEND(&rig, "1", "2", "3", "4", "5", "6"));
    expect_good(&rig, rig_end(&rig));
    rig_close(&rig);
    expect_query("names.db",
                 "SELECT \"a\"\"b\", \"select\", \";drop\", \"it's\", \"%s\", \"\xC3\xBC\" FROM t",
                 "1|2|3|4|5|6;");
    rig_open(&rig, "names.db", "a A", "replace", NULL);
    CU_ASSERT_FALSE(SEND(&rig, "1", "2"));
    expect_error(&rig, "duplicate column name");
    rig_close(&rig);
}

static void test_append(void)
{
    struct rig rig;
    for (int i = 0; i < 2; i++) {
        rig_open(&rig, "append.db", "a b", "append", NULL);
        expect_good(&rig, SEND(&rig, "1", "\"x\"", "2", "\"y\""));
        expect_good(&rig, rig_end(&rig));
        rig_close(&rig);
    }
    expect_query("append.db", "SELECT a, b FROM t", "1|x;2|y;1|x;2|y;");
    rig_open(&rig, "append.db", "a c", "append", NULL);
    CU_ASSERT_FALSE(SEND(&rig, "1", "2"));
    expect_error(&rig, "table t has no column c; its columns: a, b");
    sink_sqlite.abort(rig.sink, false);
    rig_close(&rig);
    expect_query("append.db", "SELECT count(*) FROM t", "4;");
}

static void test_abort(void)
{
    struct rig rig;
    rig_open(&rig, "abort.db", "a", "append", NULL); /* a table of this run goes with it */
    expect_good(&rig, SEND(&rig, "1"));
    sink_sqlite.abort(rig.sink, false);
    rig_close(&rig);
    expect_query("abort.db", "SELECT count(*) FROM sqlite_schema", "0;");
    rig_open(&rig, "abort.db", "a", "replace", NULL);
    expect_good(&rig, SEND(&rig, "1"));
    expect_good(&rig, rig_end(&rig));
    rig_close(&rig);
    rig_open(&rig, "abort.db", "a", "replace", NULL);
    expect_good(&rig, SEND(&rig, "2", "3"));
    expect_query("abort.db", "SELECT a FROM t", "1;"); /* readers see the old one */
    sink_sqlite.abort(rig.sink, false);
    rig_close(&rig);
    expect_query("abort.db", "SELECT a FROM t", "1;");
    expect_query("abort.db", "SELECT name FROM sqlite_schema", "t;");
}

static void test_replace(void)
{
    struct rig rig;
    query("replace.db", "CREATE TABLE t__leat (stale)");
    for (int i = 0; i < 2; i++) {
        rig_open(&rig, "replace.db", "a b", "replace", NULL);
        expect_good(&rig, SEND(&rig, "1", "\"x\"", "2", "\"y\""));
        expect_good(&rig, SEND(&rig, "3", "\"z\""));
        expect_good(&rig, rig_end(&rig));
        rig_close(&rig);
        expect_query("replace.db", "SELECT * FROM t", "1|x;2|y;3|z;");
        expect_query("replace.db", "SELECT name, sql FROM sqlite_schema",
                     "t|CREATE TABLE \"t\" (\"a\" INTEGER, \"b\" TEXT);");
    }
    rig_open(&rig, "replace.db", "a c", "replace", NULL); /* other columns: another table */
    expect_good(&rig, SEND(&rig, "1.5", "2"));
    expect_good(&rig, rig_end(&rig));
    rig_close(&rig);
    expect_query("replace.db", "SELECT * FROM t", "1.5|2;");
    rig_open(&rig, "replace.db", "a c", "replace", NULL); /* nothing came */
    expect_good(&rig, rig_end(&rig));
    rig_close(&rig);
    expect_query("replace.db", "SELECT count(*) FROM t", "0;");
    expect_query("replace.db", "SELECT count(*) FROM sqlite_schema", "1;");
}

static void test_replace_keeps_definition(void)
{
    struct rig rig;
    query("kept.db",
          "CREATE TABLE [t] (a INTEGER PRIMARY KEY, b TEXT NOT NULL, c DEFAULT 'c');"
          "CREATE INDEX by_b ON t(b); CREATE TABLE other(t); INSERT INTO t VALUES(9,'q',0)");
    rig_open(&rig, "kept.db", "b a", "replace", NULL);
    expect_good(&rig, SEND(&rig, "\"x\"", "2", NULL, "3", "\"y\"", "1", "\"z\"", "2"));
    CU_ASSERT_EQUAL(rig.batch.reject_count, 2); /* NOT NULL, and 2 twice */
    expect_good(&rig, rig_end(&rig));
    rig_close(&rig);
    expect_query("kept.db", "SELECT * FROM t", "1|y|c;2|x|c;");
    expect_query("kept.db", "SELECT name, tbl_name FROM sqlite_schema WHERE type = 'index'",
                 "by_b|t;");
    expect_query("kept.db", "INSERT INTO t VALUES (1, 'w', 0)", "UNIQUE constraint failed: t.a");
    rig_open(&rig, "kept.db", "a z", "replace", NULL);
    CU_ASSERT_FALSE(SEND(&rig, "1", "2"));
    expect_error(&rig, "has no column z, and indexes");
    sink_sqlite.abort(rig.sink, false);
    rig_close(&rig);
    expect_query("kept.db", "SELECT count(*) FROM t", "2;");
}

static void test_replace_referred(void)
{
    struct rig rig;
    query("referred.db",
          "CREATE TABLE t (a INTEGER PRIMARY KEY, b); INSERT INTO t VALUES (1, 'old');"
          "CREATE TABLE child (id REFERENCES t(a) ON DELETE CASCADE); INSERT INTO child VALUES (1);"
          "CREATE VIEW v AS SELECT b FROM t; CREATE TABLE log (b);"
          "CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.b); END");
    rig_open(&rig, "referred.db", "a b", "replace", NULL);
    expect_good(&rig, SEND(&rig, "1", "\"new\"", "2", "\"more\""));
    expect_query("referred.db", "SELECT b FROM v", "old;");
    expect_good(&rig, rig_end(&rig));
    rig_close(&rig);
    expect_query("referred.db", "SELECT b FROM v", "new;more;");
    expect_query("referred.db", "SELECT id FROM child", "1;"); /* no cascade */
    expect_query("referred.db", "SELECT b FROM log", "new;more;");
    rig_open(&rig, "referred.db", "a b", "replace", NULL);
    expect_good(&rig, SEND(&rig, "7", "\"x\""));
    CU_ASSERT_FALSE(rig_end(&rig));
    expect_error(&rig, "1 rows of other tables would refer");
    sink_sqlite.abort(rig.sink, false);
    rig_close(&rig);
    expect_query("referred.db", "SELECT b FROM v", "new;more;");
    expect_query("referred.db", "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%leat%'",
                 "0;");
}

static void test_upsert(void)
{
    struct rig rig;
    for (int i = 0; i < 2; i++) {
        rig_open(&rig, "upsert.db", "k v", "upsert", "k");
        expect_good(&rig, SEND(&rig, "\"a\"", "1", "\"b\"", "2", NULL, "3", "\"a\"", "4"));
        CU_ASSERT_EQUAL(rig.batch.reject_count, 1);
        CU_ASSERT_EQUAL(rig.batch.rejects->record, 2);
        CU_ASSERT_STRING_EQUAL(rig.batch.rejects->text, "the key k is null");
        expect_good(&rig, rig_end(&rig));
        rig_close(&rig);
    }
    expect_query("upsert.db", "SELECT k, v FROM t ORDER BY k", "a|4;b|2;");
    query("upsert.db", "DROP TABLE t; CREATE TABLE t (k, v)");
    rig_open(&rig, "upsert.db", "k v", "upsert", "k");
    option_add(&rig, "create", "no");
    CU_ASSERT_FALSE(SEND(&rig, "1", "2"));
    expect_error(&rig, "no primary key or unique index");
    rig_close(&rig);
    rig_open(&rig, "upsert.db", "k v", "upsert", "k"); /* create yes: it is made */
    expect_good(&rig, SEND(&rig, "1", "2", "1", "3"));
    expect_good(&rig, rig_end(&rig));
    rig_close(&rig);
    expect_query("upsert.db", "SELECT k, v FROM t", "1|3;");
    query("upsert.db", "DROP INDEX t__leat_key; INSERT INTO t VALUES (1, 4)");
    rig_open(&rig, "upsert.db", "k v", "upsert", "k");
    CU_ASSERT_FALSE(SEND(&rig, "1", "2"));
    expect_error(&rig, "cannot make a unique index on the key: UNIQUE constraint failed: t.k");
    rig_close(&rig);
    rig_open(&rig, "upsert2.db", "a b", "upsert", "k");
    CU_ASSERT_FALSE(SEND(&rig, "1", "2"));
    expect_error(&rig, "the key k is none of the fields");
    rig_close(&rig);
    rig_open(&rig, "upsert2.db", "a", "upsert", "a");
    expect_good(&rig, SEND(&rig, "1", "1", "2"));
    expect_good(&rig, rig_end(&rig));
    rig_close(&rig);
    expect_query("upsert2.db", "SELECT a FROM t", "1;2;");
}

static void test_refused(void)
{
    struct rig rig;
    query("refused.db",
          "CREATE TABLE p (id INTEGER PRIMARY KEY); INSERT INTO p VALUES (1);"
          "CREATE TABLE t (a UNIQUE, b NOT NULL, c CHECK (c < 10), d REFERENCES p(id),"
          "e INTEGER PRIMARY KEY)");
    rig_open(&rig, "refused.db", "a b c d e", "append", NULL);
    static const char *const row[] = {"1", "1", "1",     "1", "1", "1", "1", "1", "1",
                                      "2", "2", NULL,    "1", "1", "3", "3", "1", "11",
                                      "1", "4", "4",     "1", "1", "5", "5", "5", "1",
                                      "1", "1", "\"x\"", "6", "1", "1", "1", "6"};
    expect_good(&rig, rows_send(&rig, row, 7));
    static const struct {
        uint32_t record;
        const char *name;
    } wanted[] = {{1, "UNIQUE constraint failed: t.a (SQLITE_CONSTRAINT_UNIQUE)"},
                  {2, "(SQLITE_CONSTRAINT_NOTNULL)"},
                  {3, "(SQLITE_CONSTRAINT_CHECK)"},
                  {4, "(SQLITE_CONSTRAINT_FOREIGNKEY)"},
                  {5, "datatype mismatch (SQLITE_MISMATCH)"}};
    const struct reject *reject = rig.batch.rejects;
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++, reject = reject->next) {
        CU_ASSERT_PTR_NOT_NULL_FATAL(reject);
        CU_ASSERT_EQUAL(reject->record, wanted[i].record);
        CU_ASSERT_EQUAL(reject->stage, STAGE_SINK);
        CU_ASSERT_EQUAL(reject->code, ERROR_REFUSED);
        CU_ASSERT_PTR_NOT_NULL(strstr(reject->text, wanted[i].name));
    }
    CU_ASSERT_PTR_NULL(reject);
    CU_ASSERT_EQUAL(rig.sink->records_written, 2);
    expect_good(&rig, rig_end(&rig));
    rig_close(&rig);
    expect_query("refused.db", "SELECT a FROM t", "1;6;");
}

/* Foreign keys that are checked at the commit only: the rows at fault are found all the same. */
static void test_deferred(void)
{
    struct rig rig;
    query("deferred.db",
          "CREATE TABLE p (id INTEGER PRIMARY KEY); INSERT INTO p VALUES (1);"
          "CREATE TABLE t (a UNIQUE, b REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED)");
    rig_open(&rig, "deferred.db", "a b", "append", NULL);
    batch_begin(&rig, 1000);
    for (uint32_t i = 0; i < 1000; i++) {
        rig.columns[0].cells[i] = value_int(i == 400 ? 399 : (int64_t)i);
        rig.columns[1].cells[i] = value_int(i % 100 == 77 ? 2 : 1);
    }
    expect_good(&rig, batch_send(&rig));
    CU_ASSERT_EQUAL_FATAL(rig.batch.reject_count, 11);
    const struct reject *reject = rig.batch.rejects;
    static const uint32_t wanted[] = {77, 177, 277, 377, 400, 477, 577, 677, 777, 877, 977};
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++, reject = reject->next) {
        CU_ASSERT_EQUAL(reject->record, wanted[i]);
        const char *code = wanted[i] == 400 ? "CONSTRAINT_UNIQUE" : "CONSTRAINT_FOREIGNKEY";
        CU_ASSERT_PTR_NOT_NULL(strstr(reject->text, code));
    }
    CU_ASSERT_PTR_NULL(reject);
    batch_begin(&rig, 64); /* all bad: one by one */
    for (uint32_t i = 0; i < 64; i++) {
        rig.columns[0].cells[i] = value_int(2000 + i);
        rig.columns[1].cells[i] = value_int(3);
    }
    expect_good(&rig, batch_send(&rig));
    CU_ASSERT_EQUAL(rig.batch.reject_count, 64);
    CU_ASSERT_EQUAL(rig.sink->records_written, 989);
    expect_good(&rig, rig_end(&rig));
    rig_close(&rig);
    expect_query("deferred.db", "SELECT count(*), sum(b) FROM t", "989|989;");
}

/* More refusals than the arena holds in its ordinary size. */
static void test_many_refused(void)
{
    struct rig rig;
    query("many.db", "CREATE TABLE t (a CHECK (a < 0))");
    rig_open(&rig, "many.db", "a", "append", NULL);
    rig.batch.arena.soft = rig.batch.arena.limit = 200000;
    batch_begin(&rig, ROWS);
    for (uint32_t i = 0; i < ROWS; i++)
        rig.columns[0].cells[i] = value_int(i % 8 ? (int64_t)i : -1);
    expect_good(&rig, batch_send(&rig));
    CU_ASSERT_EQUAL(rig.batch.reject_count, ROWS / 8 * 7);
    expect_good(&rig, rig_end(&rig));
    rig_close(&rig);
    expect_query("many.db", "SELECT count(*) FROM t", "512;");
}

/* Nothing is seen before a commit, and nothing is locked behind it. */
static void test_transactions(void)
{
    struct rig rig;
    struct batch *back;
    rig_open(&rig, "seen.db", "a", "append", NULL);
    query("seen.db", "PRAGMA journal_mode = WAL; CREATE TABLE t (a)");
    expect_good(&rig, SEND(&rig, "1"));
    CU_ASSERT_EQUAL(sink_sqlite.take(rig.sink, &back, &rig.error), SINK_WAIT);
    expect_query("seen.db", "SELECT a FROM t", "");
    expect_good(&rig, rig_commit(&rig, 1, "", false));
    expect_query("seen.db", "SELECT a FROM t", "1;");
    expect_query("seen.db", "INSERT INTO t VALUES (0)", "");
    expect_good(&rig, SEND(&rig, "2"));
    expect_query("seen.db", "SELECT a FROM t", "1;0;");
    expect_good(&rig, rig_end(&rig));
    rig_close(&rig);
    expect_query("seen.db", "SELECT a FROM t", "1;0;2;");
}

/* `transaction`: commits where the run has no checkpoints, else the wish for one. */
static void test_transaction_option(void)
{
    struct rig rig;
    struct batch *back;
    for (int checkpoints = 0; checkpoints < 2; checkpoints++) {
        query("long.db", "PRAGMA journal_mode = WAL; DROP TABLE IF EXISTS t; CREATE TABLE t (a)");
        rig_open(&rig, "long.db", "a", "append", NULL);
        struct option_value *value = option_add(&rig, "transaction", "");
        value->numbers[0] = 3;
        value->numbers[1] = -1;
        rig.context.checkpoints = checkpoints;
        expect_good(&rig, SEND(&rig, "1", "2"));
        CU_ASSERT_FALSE(rig.sink->commit_wanted);
        expect_query("long.db", "SELECT a FROM t", "");
        expect_good(&rig, SEND(&rig, "3", "4"));
        CU_ASSERT_EQUAL(rig.sink->commit_wanted, checkpoints);
        expect_query("long.db", "SELECT count(*) FROM t", checkpoints ? "0;" : "4;");
        expect_good(&rig, rig_commit(&rig, 1, "", false));
        CU_ASSERT_FALSE(rig.sink->commit_wanted);
        expect_good(&rig, rig_end(&rig));
        rig_close(&rig);
    }
    rig_open(&rig, "long.db", "a", "append", NULL);
    struct option_value *value = option_add(&rig, "transaction", "");
    value->numbers[0] = INT64_MAX;
    value->numbers[1] = 1;
    expect_good(&rig, SEND(&rig, "5"));
    CU_ASSERT_EQUAL(sink_sqlite.take(rig.sink, &back, &rig.error), SINK_WAIT);
    expect_query("long.db", "SELECT count(*) FROM t", "5;");
    rig_kill(&rig);
}

static void test_options(void)
{
    struct rig rig;
    rig_open(&rig, "options.db", "a", "upsert", NULL);
    CU_ASSERT_FALSE(rig_start(&rig));
    CU_ASSERT_EQUAL(rig.error.code, ERROR_PROGRAM);
    expect_error(&rig, "needs `key`");
    rig_close(&rig);
    rig_open(&rig, "options.db", "a", "append", "a");
    CU_ASSERT_FALSE(rig_start(&rig));
    expect_error(&rig, "upsert only");
    rig_close(&rig);
    rig_open(&rig, "typed.db", "a b", "append", NULL);
    struct option_value *types = option_add(&rig, "columns", "");
    rig.names[1] = STRING("b");
    rig.items[1] =
        (struct option_item){.path = {.names = &rig.names[1], .count = 1}, .word = STRING("text")};
    types->items = &rig.items[1];
    types->item_count = 1;
    expect_good(&rig, SEND(&rig, "1", "2"));
    expect_good(&rig, rig_end(&rig));
    rig_close(&rig);
    expect_query("typed.db", "SELECT a, typeof(a), b, typeof(b) FROM t", "1|integer|2|text;");
    expect_query("typed.db", "SELECT type FROM pragma_table_info('t')", "INTEGER;TEXT;");
}

static void test_row_code(void)
{
    struct rig rig;
    rig_open(&rig, "unused.db", "a b c", "append", NULL);
    batch_begin(&rig, 3);
    const char *texts[] = {"1", "\"text\"", "[1]", "1e400", "1", "1", "3", "null", "\"x\\ty\""};
    for (unsigned i = 0; i < 9; i++)
        rig.columns[i % 3].cells[i / 3] = cell_of(texts[i]);
    struct buffer *buffer = &rig.batch.outputs[0].buffer;
    uint32_t done;
    CU_ASSERT_EQUAL(row_encode(&rig.shape, &rig.batch, 0, &done, buffer), ENCODE_OK);
    size_t size = buffer->length;
    CU_ASSERT_EQUAL(rig.batch.reject_count, 1);
    CU_ASSERT_EQUAL(rig.batch.rejects->record, 1);
    CU_ASSERT_EQUAL(rig.batch.rejects->code, ERROR_OVERFLOW);
    struct row_reader reader = row_reader_open(buffer);
    uint32_t record;
    CU_ASSERT(row_next(&reader, &record) && record == 0);
    CU_ASSERT_EQUAL(row_cell(&reader).integer, 1);
    CU_ASSERT(string_equal(row_cell(&reader).text, STRING("text")));
    CU_ASSERT(string_equal(row_cell(&reader).text, STRING("[1]")));
    CU_ASSERT(row_next(&reader, &record) && record == 2);
    CU_ASSERT_EQUAL(row_cell(&reader).integer, 3);
    CU_ASSERT_EQUAL(row_cell(&reader).kind, ROW_NULL);
    CU_ASSERT(string_equal(row_cell(&reader).text, STRING("x\ty")));
    CU_ASSERT_FALSE(row_next(&reader, &record));
    for (size_t limit = 0; limit < size; limit++) { /* whole rows, or none */
        buffer->length = 0;
        buffer->limit = limit;
        CU_ASSERT_EQUAL(row_encode(&rig.shape, &rig.batch, 0, &done, buffer), ENCODE_FULL);
        CU_ASSERT(done == 0 ? buffer->length == 0 : buffer->length > 20 && done < 3);
    }
    buffer_reset(buffer);
    rig.batch.arena.limit = rig.batch.arena.used; /* "x\ty" has to be decoded */
    CU_ASSERT_EQUAL(row_encode(&rig.shape, &rig.batch, 2, &done, buffer), ENCODE_SPLIT);
    CU_ASSERT_EQUAL(done, 2);
    rig.batch.arena.limit = rig.batch.arena.soft;
    static const enum value_kind kinds[] = {VALUE_TYPE, VALUE_OPTIONAL};
    for (size_t i = 0; i < 3; i++) {
        batch_begin(&rig, 1);
        rig.columns[1].cells[0] = value_double(NAN);
        if (i < 2)
            rig.columns[1].cells[0] = (struct value){.kind = (uint8_t)kinds[i]};
        CU_ASSERT_EQUAL(row_encode(&rig.shape, &rig.batch, 0, &done, buffer), ENCODE_OK);
        CU_ASSERT_EQUAL(buffer->length, 0);
        CU_ASSERT_EQUAL_FATAL(rig.batch.reject_count, 1);
        CU_ASSERT_EQUAL(rig.batch.rejects->code, ERROR_NOT_WRITABLE);
        CU_ASSERT_EQUAL(strncmp(rig.batch.rejects->text, "b: ", 3), 0);
    }
    rig_close(&rig);
}

SUITE(sqlite, {"every kind of value", test_kinds}, {"kinds that come late", test_late_kinds},
      {"a definition changed meanwhile", test_changed_meanwhile}, {"names are quoted", test_names},
      {"append", test_append}, {"abort", test_abort}, {"replace", test_replace},
      {"replace keeps a definition", test_replace_keeps_definition},
      {"replace what others refer to", test_replace_referred}, {"upsert", test_upsert},
      {"refused rows", test_refused}, {"many refused rows", test_many_refused},
      {"foreign keys checked at the commit", test_deferred},
      {"nothing is seen before a commit", test_transactions},
      {"transaction", test_transaction_option}, {"options", test_options},
      {"rows as bytes", test_row_code})
