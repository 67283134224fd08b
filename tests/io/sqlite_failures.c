/* The SQLite sink where things go wrong: what cannot be a target, locks, and every operation of a
 * run made to fail. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/fault.h"
#include "tests/io/sqlite_rig.h"
#include "tests/suite.h"

static bool start_fails(struct rig *rig, const char *file)
{
    rig_open(rig, file, "a", "append", NULL);
    bool failed = !SEND(rig, "1");
    if (rig->sink)
        sink_sqlite.abort(rig->sink, false);
    rig_close(rig);
    return failed;
}

static void test_bad_targets(void)
{
    struct rig rig;
    char path[256];
    snprintf(path, sizeof(path), "%s/folder", suite_folder());
    CU_ASSERT_EQUAL_FATAL(mkdir(path, 0700), 0);
    CU_ASSERT(start_fails(&rig, "folder"));
    expect_error(&rig, "not a database but a folder");
    CU_ASSERT(start_fails(&rig, "missing/x.db"));
    expect_error(&rig, "No such file or directory (SQLITE_CANTOPEN");
    snprintf(path, sizeof(path), "%s/text.db", suite_folder());
    FILE *file = fopen(path, "w");
    for (int i = 0; i < 200; i++)
        fprintf(file, "this is a text and no database\n");
    fclose(file);
    CU_ASSERT(start_fails(&rig, "text.db"));
    expect_error(&rig, "file is not a database (SQLITE_NOTADB)");
    query("view.db", "CREATE VIEW t AS SELECT 1 AS a");
    CU_ASSERT(start_fails(&rig, "view.db"));
    expect_error(&rig, "t is a view");
    rig_open(&rig, "none.db", "a", "append", NULL);
    option_add(&rig, "create", "no");
    CU_ASSERT_FALSE(SEND(&rig, "1"));
    expect_error(&rig, "there is no table t");
    rig_close(&rig);
    if (geteuid() == 0)
        return; /* root writes everywhere */
    query("locked.db", "CREATE TABLE t (a)");
    snprintf(path, sizeof(path), "%s/locked.db", suite_folder());
    CU_ASSERT_EQUAL(chmod(path, 0400), 0);
    CU_ASSERT(start_fails(&rig, "locked.db"));
    expect_error(&rig, "SQLITE_READONLY");
}

static void test_locked(void)
{
    struct rig rig;
    char path[256];
    sqlite3 *other;
    query("busy.db", "PRAGMA journal_mode = WAL; CREATE TABLE t (a)");
    snprintf(path, sizeof(path), "%s/busy.db", suite_folder());
    CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &other), SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    CU_ASSERT(start_fails(&rig, "busy.db"));
    expect_error(&rig, "database is locked (SQLITE_BUSY); another process is writing");
    sqlite3_close(other);
    CU_ASSERT_FALSE(start_fails(&rig, "busy.db"));
}

/* One run over a table that is there, in a process of its own with a fault. 0: done, 1: an error.
 */
static int run_with_fault(const char *fault, const char *mode)
{
    fflush(stdout);
    pid_t child = fork();
    CU_ASSERT_FATAL(child >= 0);
    if (child == 0) {
        struct rig rig;
        char value[16];
        setenv("LEAT_FAULT", fault, 1);
        rig_open(&rig, "fault.db", "a b", mode, NULL);
        if (!fault_open())
            _exit(99);
        bool good = true;
        for (int i = 0; i < 3 && good; i++) {
            snprintf(value, sizeof(value), "%d", 10 + i);
            good = SEND(&rig, value, "\"new\"");
        }
        good = good && rig_end(&rig);
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

/* Every operation fails once, or from then on: a message, and the old table or the new one. */
static void torture(const char *form, const char *mode)
{
    static const char old_rows[] = "1|old;";
    static const char new_rows[] = "10|new;11|new;12|new;";
    int passed = 0; /* in a row: enough of them, and there is no n-th operation any more */
    for (int n = 1; passed < 20; n++) {
        char fault[32];
        CU_ASSERT_FATAL(n < 2000);
        query("fault.db",
              "PRAGMA journal_mode = WAL; DROP TABLE IF EXISTS t; CREATE TABLE t (a, b);"
              "INSERT INTO t VALUES (1, 'old')");
        snprintf(fault, sizeof(fault), form, n);
        int status = run_with_fault(fault, mode);
        CU_ASSERT_FATAL(status == 0 || status == 1);
        const char *found = query("fault.db", "SELECT a, b FROM t");
        bool is_new = strcmp(found, new_rows) == 0;
        if (!is_new && strcmp(found, old_rows) != 0)
            printf("\n    %s: %s\n", fault, found);
        CU_ASSERT_FATAL(is_new || strcmp(found, old_rows) == 0);
        CU_ASSERT_FATAL(status != 0 || is_new);
        expect_query("fault.db", "PRAGMA integrity_check", "ok;");
        query("fault.db", "DROP TABLE IF EXISTS t__leat");
        passed = status == 0 ? passed + 1 : 0;
    }
}

static void test_faults(void)
{
    torture("io:%d:ENOSPC", "replace");
    torture("io:%d:EIO", "replace");
    torture("io:%d+:EIO", "replace");
    torture("alloc:%d", "replace");
}

SUITE(sqlite_failures, {"bad targets", test_bad_targets}, {"locked by another", test_locked},
      {"every operation fails", test_faults})
