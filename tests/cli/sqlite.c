/* SQLite from outside: rows that are refused, runs that are killed between checkpoints and run
 * again, from files and from SQLite. What is in the databases is read by the sqlite3 library. */
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/thread.h"
#include "tests/cli/process.h"
#include "tests/suite.h"

#define ROWS 20000

/* The first value of the first row, as text; "" while there is none, or no database. */
static const char *value_of(const char *path, const char *sql)
{
    static char text[200];
    sqlite3 *connection;
    sqlite3_stmt *statement = NULL;
    text[0] = 0;
    if (sqlite3_open_v2(path, &connection, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK) {
        sqlite3_busy_timeout(connection, 5000);
        if (sqlite3_prepare_v2(connection, sql, -1, &statement, NULL) == SQLITE_OK &&
            sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_text(statement, 0))
            snprintf(text, sizeof(text), "%s", (const char *)sqlite3_column_text(statement, 0));
        sqlite3_finalize(statement);
    }
    sqlite3_close(connection);
    return text;
}

static void expect_value(const char *path, const char *sql, const char *expected)
{
    const char *found = value_of(path, sql);
    if (strcmp(found, expected) != 0)
        printf("\n    %s: %s, wanted %s\n", sql, found, expected);
    CU_ASSERT_STRING_EQUAL(found, expected);
}

static void sql_run(const char *path, const char *sql)
{
    sqlite3 *connection;
    CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &connection), SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_exec(connection, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(connection);
}

static void rows_write(const char *path, unsigned count)
{
    FILE *file = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    for (unsigned i = 0; i < count; i++)
        fprintf(file, "{\"n\":%u,\"k\":%u,\"t\":\"row %0300u\",\"v\":%d}\n", i, i % 97, i * 7,
                i % 1000 == 999 ? -1 : 1);
    CU_ASSERT_EQUAL(fclose(file), 0);
}

/* One row in a thousand violates a constraint, in four ways. */
static void refused_rows(void)
{
    const char *folder = folder_make();
    char *path = strdup(path_join(folder, "out.db"));
    FILE *file = fopen(path_join(folder, "in.ndjson"), "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    for (int i = 0; i < 100 * 1000; i++) {
        int kind = i % 1000 == 500 ? i / 1000 % 4 : -1;
        fprintf(file, "{\"id\":%d,\"p\":%d,\"v\":%d,\"s\":%s}\n", kind == 0 ? i - 1 : i,
                kind == 1 ? 9 : 1, kind == 2 ? -1 : 1, kind == 3 ? "null" : "\"x\"");
    }
    CU_ASSERT_EQUAL(fclose(file), 0);
    sql_run(path, "CREATE TABLE p (id INTEGER PRIMARY KEY); INSERT INTO p VALUES (1);"
                  "CREATE TABLE t (id INTEGER PRIMARY KEY, p REFERENCES p(id), "
                  "v CHECK (v > 0), s NOT NULL)");
    struct process run = leat_run((struct process){
        .folder = folder,
        .arguments = {"--report", "report.json",
                      "from file \"in.ndjson\" | into sqlite \"out.db\" { table t } | "
                      "reject into file \"bad.ndjson\" | fail when rejected > 100"}});
    EXPECT_STATUS(run, 0);
    process_free(&run);
    expect_value(path, "SELECT count(*) || ' ' || sum(id % 1000 = 500) FROM t", "99900 0");
    char *bad = file_read(path_join(folder, "bad.ndjson"));
    static const char *const codes[] = {"CONSTRAINT_PRIMARYKEY", "CONSTRAINT_FOREIGNKEY",
                                        "CONSTRAINT_CHECK", "CONSTRAINT_NOTNULL"};
    for (size_t i = 0; i < 4; i++) {
        unsigned found = 0;
        for (const char *at = bad; at && (at = strstr(at, codes[i])); at++)
            found++;
        CU_ASSERT_EQUAL(found, 25);
    }
    free(bad);
    char *report = file_read(path_join(folder, "report.json"));
    CU_ASSERT_PTR_NOT_NULL(strstr(report ? report : "", "\"rejected\": 100"));
    free(report);
    free(path);
}

/* A run that is killed once checkpoint `number` stands. */
static void run_killed(const char *folder, const char *program, const char *database, int number)
{
    const char *leat = getenv("LEAT");
    static const char sql[] = "SELECT number FROM leat_commit";
    pid_t child = fork();
    CU_ASSERT_FATAL(child >= 0);
    if (child == 0) {
        char path[4096];
        if (!realpath(leat ? leat : "build/leat", path) || chdir(folder) != 0 ||
            setenv("LEAT_CHECKPOINT", "2", 1) != 0 || setenv("LEAT_BATCH_TEXT", "4096", 1) != 0)
            _exit(99);
        execl(path, path, "--quiet", program, (char *)NULL);
        _exit(98);
    }
    int status;
    struct event never = {0};
    int64_t end = clock_monotonic() + 30 * NANOSECONDS;
    while (waitpid(child, &status, WNOHANG) == 0 && clock_monotonic() < end) {
        if (atoll(value_of(database, sql)) >= number) {
            kill(child, SIGKILL);
            break;
        }
        event_wait(&never, event_sequence(&never), NANOSECONDS / 1000);
    }
    kill(child, SIGKILL);
    (void)waitpid(child, &status, 0);
}

static void killed_between(const char *source, const char *mode)
{
    const char *folder = folder_make();
    char program[300];
    char *database = strdup(path_join(folder, "out.db"));
    rows_write(path_join(folder, "in.ndjson"), ROWS);
    snprintf(program, sizeof(program),
             "%s | where v > 0 | put m = n %% 2 == 0 ? n : t | into sqlite \"out.db\" { table t  "
             "mode %s } | reject into file \"bad.ndjson\"",
             source, mode);
    struct process load = leat_run((struct process){
        .folder = folder,
        .arguments = {"from file \"in.ndjson\" | into sqlite \"in.db\" { table s }"}});
    EXPECT_STATUS(load, 0);
    process_free(&load);
    run_killed(folder, program, database, 5);
    run_killed(folder, program, database, 25);
    expect_value(database, "SELECT done FROM leat_commit", "0");
    CU_ASSERT(atoi(value_of(database, "SELECT number FROM leat_commit")) >= 25);
    struct process run = leat_run(
        (struct process){.folder = folder, .arguments = {"--report", "report.json", program}});
    EXPECT_STATUS(run, 0);
    EXPECT_ERR(run, "going on where a run was interrupted");
    process_free(&run);
    expect_value(database, "SELECT count(*) || ' ' || count(DISTINCT n) || ' ' || sum(n) FROM t",
                 "19980 19980 199780020"); /* 20 rows, 999 + 1000 i, were filtered */
    expect_value(database, "SELECT group_concat(name || ' ' || type) FROM pragma_table_info('t')",
                 "n INTEGER,k INTEGER,t TEXT,v INTEGER,m ");
    expect_value(database, "SELECT done || ' ' || epoch FROM leat_commit", "1 3");
    expect_value(database, "SELECT count(*) FROM sqlite_schema WHERE name = 't__leat'", "0");
    expect_value(database, "PRAGMA integrity_check", "ok");
    char *report = file_read(path_join(folder, "report.json"));
    CU_ASSERT_PTR_NOT_NULL(strstr(report ? report : "", "\"read\": 20000"));
    CU_ASSERT_PTR_NOT_NULL(strstr(report ? report : "", "\"written\": 19980"));
    free(report);
    free(database);
}

static void killed_runs(void)
{
    killed_between("from file \"in.ndjson\"", "append");
    killed_between("from file \"in.ndjson\"", "replace");
    killed_between("from file \"in.ndjson\"", "upsert  key n");
    killed_between("from sqlite \"in.db\" { table s  key n }", "append");
    killed_between("from sqlite \"in.db\" { table s  key n }", "replace");
}

/* A rerun of an appending pipeline takes what is new behind the last key. */
static void incremental(void)
{
    const char *folder = folder_make();
    char *in = strdup(path_join(folder, "in.db"));
    char *out = strdup(path_join(folder, "out.db"));
    static const char program[] =
        "from sqlite \"in.db\" { table s  key n  incremental yes } | into sqlite \"out.db\" "
        "{ table t }";
    sql_run(in, "CREATE TABLE s (n INTEGER PRIMARY KEY); INSERT INTO s VALUES (1), (2), (5)");
    static const char *const wanted[] = {"3", "3", "5", "10"};
    for (size_t i = 0; i < 4; i++) {
        if (i == 2)
            sql_run(in, "INSERT INTO s VALUES (7), (9)");
        struct process run = leat_run(
            (struct process){.folder = folder, .arguments = {program, i == 3 ? "--fresh" : NULL}});
        EXPECT_STATUS(run, 0);
        process_free(&run);
        expect_value(out, "SELECT count(*) FROM t", wanted[i]);
    }
    free(in);
    free(out);
}

static void order_none(void)
{
    struct process run =
        LEAT("{}", "--order", "none", "into sqlite \"never.db\" { table t  mode upsert  key n }");
    EXPECT_STATUS(run, 2);
    EXPECT_ERR(run, "leave order none out");
    process_free(&run);
}

SUITE(sqlite, {"rows that are refused", refused_rows}, {"killed between checkpoints", killed_runs},
      {"only what is new", incremental}, {"upsert needs an order", order_none})
