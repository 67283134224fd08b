/* The SQLite sink's commits: the row of leat_commit, going on behind it, and whoever comes between.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/fault.h"
#include "tests/io/sqlite_rig.h"
#include "tests/suite.h"

#define COMMITS "SELECT pipeline, epoch, number, record, done FROM leat_commit"

/* A run that begins anew, up to its first batch. */
static void run_begin(struct rig *rig, const char *file, const char *columns, const char *mode)
{
    bool found = true;
    rig_open(rig, file, columns, mode, NULL);
    rig->context.checkpoints = true;
    expect_good(rig, rig_recover(rig, &found));
    expect_good(rig, rig_resume(rig, 0, rig->found.epoch + 1));
}

/* … that goes on behind checkpoint `number`. */
static void run_go_on(struct rig *rig, const char *file, const char *columns, const char *mode,
                      uint64_t number)
{
    bool found = false;
    rig_open(rig, file, columns, mode, NULL);
    rig->context.checkpoints = true;
    expect_good(rig, rig_recover(rig, &found));
    CU_ASSERT(found);
    CU_ASSERT_EQUAL(rig->found.number, number);
    expect_good(rig, rig_resume(rig, number, rig->found.epoch + 1));
}

static void test_record(void)
{
    struct rig rig;
    bool found = true;
    rig_open(&rig, "record.db", "a", "append", NULL);
    expect_good(&rig, rig_recover(&rig, &found));
    CU_ASSERT_FALSE(found);
    expect_good(&rig, rig_resume(&rig, 0, 1));
    CU_ASSERT_NOT_EQUAL(access(rig.path, F_OK), 0); /* nothing is made so far */
    CU_ASSERT(rig.sink->appends);
    expect_good(&rig, SEND(&rig, "1"));
    expect_good(&rig, rig_commit(&rig, 4, "first", false));
    expect_query("record.db", COMMITS, "program|1|4|first|0;");
    expect_good(&rig, SEND(&rig, "2"));
    expect_good(&rig, rig_commit(&rig, 5, "second", false));
    expect_good(&rig, SEND(&rig, "3"));
    rig_kill(&rig);
    expect_query("record.db", COMMITS, "program|1|5|second|0;");
    expect_query("record.db", "SELECT a FROM t", "1;2;");
    run_go_on(&rig, "record.db", "a", "append", 5);
    CU_ASSERT_EQUAL(rig.found.length, 6);
    CU_ASSERT_FALSE(rig.found.done);
    expect_query("record.db", COMMITS, "program|2|5|second|0;");
    expect_good(&rig, SEND(&rig, "3"));
    expect_good(&rig, rig_commit(&rig, 6, "third", true));
    expect_good(&rig, sink_sqlite.publish(rig.sink, &rig.found, &rig.error) == SINK_OK);
    rig_close(&rig);
    expect_query("record.db", COMMITS, "program|2|6|third|1;");
    expect_query("record.db", "SELECT a FROM t", "1;2;3;");
    /* adding to a finished run, which ends early: the record of the finished one stays */
    run_go_on(&rig, "record.db", "a", "append", 6);
    CU_ASSERT(rig.found.done);
    expect_good(&rig, SEND(&rig, "4"));
    rig_kill(&rig);
    expect_query("record.db", COMMITS, "program|3|6|third|1;");
    run_go_on(&rig, "record.db", "a", "append", 6);
    expect_good(&rig, SEND(&rig, "5"));
    expect_good(&rig, rig_commit(&rig, 7, "fourth", true));
    rig_close(&rig);
    expect_query("record.db", COMMITS, "program|4|7|fourth|1;");
    expect_query("record.db", "SELECT a FROM t", "1;2;3;5;");
}

static void test_wrong_number(void)
{
    struct rig rig;
    bool found;
    run_begin(&rig, "number.db", "a", "append");
    expect_good(&rig, SEND(&rig, "1"));
    expect_good(&rig, rig_commit(&rig, 3, "x", false));
    rig_kill(&rig);
    rig_open(&rig, "number.db", "a", "append", NULL);
    expect_good(&rig, rig_recover(&rig, &found));
    CU_ASSERT_FALSE(rig_resume(&rig, 2, 9));
    CU_ASSERT_EQUAL(rig.error.code, ERROR_STATE);
    expect_error(&rig, "is number 3, and not 2");
    rig_kill(&rig);
    expect_query("number.db", COMMITS, "program|1|3|x|0;");
}

/* Two pipelines in one database; --fresh over one that was interrupted; forgetting. */
static void test_forget(void)
{
    struct rig rig;
    bool found;
    for (int i = 0; i < 2; i++) {
        rig_open(&rig, "forget.db", "a", "replace", NULL);
        rig.context.pipeline = i ? "it's" : "other";
        rig.context.checkpoints = true;
        if (i == 0)
            rig.values[1].text = STRING("u");
        expect_good(&rig, rig_recover(&rig, &found));
        CU_ASSERT_FALSE(found);
        expect_good(&rig, rig_resume(&rig, 0, 1));
        expect_good(&rig, SEND(&rig, "1"));
        expect_good(&rig, rig_commit(&rig, 1, "x", false));
        rig_kill(&rig);
    }
    expect_query("forget.db", COMMITS, "other|1|1|x|0;it's|1|1|x|0;");
    rig_open(&rig, "forget.db", "a", "replace", NULL);
    rig.context.pipeline = "it's";
    expect_good(&rig, rig_recover(&rig, &found));
    CU_ASSERT(found);
    expect_good(&rig, sink_sqlite.forget(rig.sink, &rig.error));
    expect_query("forget.db", COMMITS, "other|1|1|x|0;");
    expect_query("forget.db", "SELECT name FROM sqlite_schema WHERE name GLOB '[tu]*'", "u__leat;");
    expect_good(&rig, rig_resume(&rig, 0, 7)); /* and it can go on */
    expect_good(&rig, SEND(&rig, "2"));
    expect_good(&rig, rig_commit(&rig, 1, "y", true));
    rig_close(&rig);
    expect_query("forget.db", COMMITS, "other|1|1|x|0;it's|7|1|y|1;");
    rig_open(&rig, "forget.db", "a", "replace", NULL);
    rig.context.pipeline = "other";
    rig.values[1].text = STRING("u");
    expect_good(&rig, rig_recover(&rig, &found));
    CU_ASSERT(found);
    expect_good(&rig, rig_resume(&rig, 0, 2)); /* anew: the record of what is gone goes too */
    rig_kill(&rig);
    expect_query("forget.db", COMMITS, "other|2|1||0;it's|7|1|y|1;");
    expect_query("forget.db", "SELECT count(*) FROM sqlite_schema WHERE name = 'u__leat'", "0;");
}

/* A process that lost the pipeline to another commits nothing more. */
static void test_fenced(void)
{
    struct rig rig;
    static const char *const changes[] = {"epoch = epoch + 1", "number = number + 1"};
    for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
        char sql[100];
        query("fenced.db", "DROP TABLE IF EXISTS t; DROP TABLE IF EXISTS leat_commit");
        run_begin(&rig, "fenced.db", "a", "append");
        expect_good(&rig, SEND(&rig, "1"));
        expect_good(&rig, rig_commit(&rig, 1, "x", false));
        snprintf(sql, sizeof(sql), "UPDATE leat_commit SET %s", changes[i]);
        query("fenced.db", sql);
        expect_good(&rig, SEND(&rig, "2"));
        CU_ASSERT_FALSE(rig_commit(&rig, 2, "y", false));
        CU_ASSERT_EQUAL(rig.error.code, ERROR_STATE);
        expect_error(&rig, "another process has taken over pipeline program");
        sink_sqlite.abort(rig.sink, false);
        rig_close(&rig);
        expect_query("fenced.db", "SELECT a FROM t", "1;");
    }
    bool found;
    rig_open(&rig, "fenced.db", "a", "append", NULL); /* … between looking and beginning */
    expect_good(&rig, rig_recover(&rig, &found));
    query("fenced.db", "UPDATE leat_commit SET epoch = 77");
    CU_ASSERT_FALSE(rig_resume(&rig, 0, 3));
    CU_ASSERT_EQUAL(rig.error.code, ERROR_STATE);
    rig_close(&rig);
}

static void test_locks(void)
{
    struct rig rig, second;
    bool found;
    run_begin(&rig, "lock.db", "a", "replace");
    rig_open(&second, "lock.db", "a", "replace", NULL);
    CU_ASSERT_FALSE(rig_recover(&second, &found));
    CU_ASSERT_EQUAL(second.error.code, ERROR_PROGRAM);
    expect_error(&second, "two sinks of a pipeline");
    rig_close(&second);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        char holder[40];
        snprintf(holder, sizeof(holder), "(process %ld)", (long)getppid());
        rig_open(&second, "lock.db", "a", "replace", NULL);
        bool good = !rig_recover(&second, &found) && second.error.code == ERROR_LOCKED &&
                    strstr(second.error.text, holder);
        rig_close(&second);
        rig_open(&second, "lock.db", "a", "append", NULL); /* another pipeline may */
        second.context.pipeline = "other";
        good = good && rig_recover(&second, &found);
        rig_close(&second);
        rig_open(&second, "lock.db", "a", "replace", NULL); /* but not replace the same table */
        second.context.pipeline = "other";
        good = good && !rig_recover(&second, &found) && second.error.code == ERROR_LOCKED;
        rig_close(&second);
        _exit(good ? 0 : 1);
    }
    int status;
    CU_ASSERT(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    rig_close(&rig);
    run_begin(&rig, "lock.db", "a", "replace"); /* free again */
    rig_close(&rig);
}

/* Types are found from all values, also those of the run that was interrupted. */
static void test_types_go_on(void)
{
    struct rig rig;
    for (int kill = 0; kill < 2; kill++) {
        query("types.db", "DROP TABLE IF EXISTS t; DROP TABLE IF EXISTS leat_commit");
        run_begin(&rig, "types.db", "a b c", "append");
        expect_good(&rig, SEND(&rig, "\"x\"", "1", "1"));
        expect_good(&rig, rig_commit(&rig, 1, "x", false));
        if (kill) {
            rig_kill(&rig);
            run_go_on(&rig, "types.db", "a b c", "append", 1);
        }
        expect_good(&rig, SEND(&rig, "1", "2", "2.5"));
        expect_good(&rig, rig_commit(&rig, 2, "y", true));
        rig_close(&rig);
        expect_query("types.db", "SELECT name, type FROM pragma_table_info('t')",
                     "a|;b|INTEGER;c|;");
        expect_query("types.db", "SELECT a, typeof(a), c FROM t", "x|text|1;1|integer|2.5;");
    }
}

static void test_replace_goes_on(void)
{
    struct rig rig;
    query("again.db", "CREATE TABLE t (a INTEGER PRIMARY KEY, b); INSERT INTO t VALUES (9, 'old');"
                      "CREATE INDEX i ON t(b)");
    run_begin(&rig, "again.db", "a b", "replace");
    expect_good(&rig, SEND(&rig, "1", "\"x\""));
    expect_good(&rig, rig_commit(&rig, 1, "x", false));
    expect_good(&rig, SEND(&rig, "2", "\"lost\""));
    rig_kill(&rig);
    run_go_on(&rig, "again.db", "a b", "replace", 1);
    expect_query("again.db", "SELECT * FROM t", "9|old;");
    expect_good(&rig, SEND(&rig, "2", "\"y\""));
    expect_good(&rig, rig_commit(&rig, 2, "y", false));
    sink_sqlite.abort(rig.sink, false); /* what is committed stays */
    rig_close(&rig);
    run_go_on(&rig, "again.db", "a b", "replace", 2); /* nothing was left but the end */
    expect_good(&rig, rig_commit(&rig, 3, "z", true));
    rig_close(&rig);
    expect_query("again.db", "SELECT * FROM t", "1|x;2|y;");
    expect_query("again.db", "SELECT name, tbl_name FROM sqlite_schema WHERE type = 'index'",
                 "sqlite_autoindex_leat_commit_1|leat_commit;i|t;");
    expect_query("again.db", "SELECT count(*) FROM sqlite_schema WHERE name = 't__leat'", "0;");
    run_go_on(&rig, "again.db", "a b", "replace", 3); /* done: the table is not replaced again */
    expect_good(&rig, rig_commit(&rig, 4, "z", true));
    rig_close(&rig);
    expect_query("again.db", "SELECT * FROM t", "1|x;2|y;");
    run_begin(&rig, "again.db", "a b", "replace"); /* anew */
    expect_good(&rig, SEND(&rig, "5", "\"n\""));
    expect_good(&rig, rig_commit(&rig, 5, "z", true));
    rig_close(&rig);
    expect_query("again.db", "SELECT * FROM t", "5|n;");
}

/* One run in a process of its own, with a fault, from where the last one stands. 0: done. */
static int run_with_fault(const char *fault, const char *mode)
{
    fflush(stdout);
    pid_t child = fork();
    CU_ASSERT_FATAL(child >= 0);
    if (child == 0) {
        struct rig rig;
        char value[16];
        bool found = false;
        if (fault)
            setenv("LEAT_FAULT", fault, 1);
        rig_open(&rig, "fault.db", "a b", mode, NULL);
        rig.context.checkpoints = true;
        if (!fault_open())
            _exit(99);
        bool good = rig_recover(&rig, &found);
        uint64_t number = good && found ? rig.found.number : 0;
        good = good && rig_resume(&rig, number, rig.found.epoch + 1);
        for (uint64_t i = number; i < 4 && good; i++) {
            snprintf(value, sizeof(value), "%d", 10 + (int)i);
            good = SEND(&rig, value, "\"new\"") && rig_commit(&rig, i + 1, value, i == 3);
        }
        good = good && sink_sqlite.publish(rig.sink, &rig.found, &rig.error) == SINK_OK;
        if (!good && rig.error.text[0] == 0)
            _exit(98);
        if (!good && rig.sink)
            sink_sqlite.abort(rig.sink, false);
        rig_close(&rig);
        _exit(good ? 0 : 1);
    }
    int status;
    CU_ASSERT_FATAL(waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Every operation fails once, or from then on; the next run goes on, and the result is that of one
 * undisturbed run. */
static void torture(const char *form, const char *mode, const char *rows)
{
    int passed = 0; /* in a row: enough of them, and there is no n-th operation any more */
    for (int n = 1; passed < 20; n++) {
        char fault[32];
        CU_ASSERT_FATAL(n < 2000);
        query("fault.db",
              "PRAGMA journal_mode = WAL; DROP TABLE IF EXISTS t; DROP TABLE IF EXISTS t__leat;"
              "DROP TABLE IF EXISTS leat_commit; CREATE TABLE t (a, b);"
              "INSERT INTO t VALUES (1, 'old')");
        snprintf(fault, sizeof(fault), form, n);
        int status = run_with_fault(fault, mode);
        CU_ASSERT_FATAL(status == 0 || status == 1);
        passed = status == 0 ? passed + 1 : 0;
        const char *state = query("fault.db", "SELECT done FROM leat_commit");
        if (status == 1 && strcmp(state, "1;") != 0) /* done: only the checkpoint has failed */
            CU_ASSERT_EQUAL_FATAL(run_with_fault(NULL, mode), 0);
        const char *found = query("fault.db", "SELECT a, b FROM t ORDER BY rowid");
        if (strcmp(found, rows) != 0)
            printf("\n    %s: %s\n", fault, found);
        CU_ASSERT_FATAL(strcmp(found, rows) == 0);
        expect_query("fault.db", "SELECT number, record, done FROM leat_commit", "4|13|1;");
        expect_query("fault.db", "SELECT count(*) FROM sqlite_schema WHERE name = 't__leat'", "0;");
        expect_query("fault.db", "PRAGMA integrity_check", "ok;");
    }
}

static void test_faults(void)
{
    static const char replaced[] = "10|new;11|new;12|new;13|new;";
    static const char appended[] = "1|old;10|new;11|new;12|new;13|new;";
    torture("io:%d:ENOSPC", "replace", replaced);
    torture("io:%d+:EIO", "replace", replaced);
    torture("io:%d:EIO", "append", appended);
    torture("io:%d+:ENOSPC", "append", appended);
    torture("alloc:%d", "append", appended);
}

SUITE(sqlite_commits, {"the record moves with the rows", test_record},
      {"a checkpoint that is not there", test_wrong_number}, {"begin anew, forget", test_forget},
      {"taken over by another", test_fenced}, {"one run at a time", test_locks},
      {"types over an interruption", test_types_go_on}, {"replace goes on", test_replace_goes_on},
      {"every operation fails, and the next run goes on", test_faults})
