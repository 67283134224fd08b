/* lookup sql end to end: leat against a PostgreSQL server of the test's own, whose backends are
 * terminated and which is restarted while the run lasts, and against SQLite. What a record must get
 * is worked out here from its key; every ledger is exact. */
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "core/base.h"
#include "core/fault.h"
#include "tests/cli/process.h"
#include "tests/postgres.h"

#define USERS    20000
#define PASSWORD "wachtwoord-7f3a"

/* ---- the databases ---- */

/* The server's connection string, once its tables are there; NULL: there is no server. */
static const char *dsn(void)
{
    static char text[300];
    const char *server = server_dsn();
    if (!server || text[0])
        return server ? text : NULL;
    snprintf(text, sizeof(text), "%s password=%s", server, PASSWORD);
    expect_rows("CREATE TABLE users (id bigint PRIMARY KEY, name text, score numeric)", "");
    expect_rows(
        "INSERT INTO users SELECT i, 'user ' || i, i * 1.10 FROM generate_series(1, 20000) i", "");
    expect_rows("CREATE TABLE visits (id bigint, page text)", "");
    expect_rows("INSERT INTO visits SELECT 1 + i % 3, 'page ' || i FROM generate_series(1, 8) i",
                "");
    return text;
}

static const char *sqlite_path(void)
{
    static const char *path;
    sqlite3 *connection;
    if (path)
        return path;
    path = path_join(folder_make(), "users.db");
    CHECK(sqlite3_open(path, &connection) == SQLITE_OK);
    CHECK(sqlite3_exec(connection,
                       "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT);"
                       "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000)"
                       "INSERT INTO users SELECT i, 'user ' || i FROM n",
                       NULL, NULL, NULL) == SQLITE_OK);
    sqlite3_close(connection);
    return path;
}

/* ---- records ---- */

static uint32_t key_of(uint32_t record, uint32_t keys)
{
    return 1 + (uint32_t)((uint64_t)record * 7919 % keys);
}

/* {"k":KEY}, a line each. */
static char *records_make(uint32_t count, uint32_t keys)
{
    size_t size = count * (size_t)24 + 1;
    char *text = memory_take(size), *to = text;
    CHECK(text);
    *to = 0;
    for (uint32_t i = 0; i < count; i++)
        to += snprintf(to, size - (size_t)(to - text), "{\"k\":%u}\n", key_of(i, keys));
    return text;
}

/* What they become, in the same order. */
static char *answers_make(uint32_t count, uint32_t keys)
{
    size_t size = count * (size_t)80 + 1;
    char *text = memory_take(size), *to = text;
    CHECK(text);
    *to = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t key = key_of(i, keys);
        to += snprintf(to, size - (size_t)(to - text),
                       "{\"k\":%u,\"user\":{\"id\":%u,\"name\":\"user %u\"}}\n", key, key, key);
    }
    return text;
}

/* A number of the report: "NAME": 12; -1: it is not there. */
static long report_number(const char *report, const char *name)
{
    char wanted[64];
    snprintf(wanted, sizeof(wanted), "\"%s\": ", name);
    const char *at = report ? strstr(report, wanted) : NULL;
    return at ? strtol(at + strlen(wanted), NULL, 10) : -1;
}

/* Runs `lookup sql DATABASE "QUERY" OPTIONS` over so many records, all of which must get their own
 * row, in order. Returns the report. */
static char *run_whole(const char *database, const char *query, const char *options, uint32_t count,
                       uint32_t keys)
{
    char program[1200];
    const char *folder = folder_make(), *report = path_join(folder, "report.json");
    char *records = records_make(count, keys), *answers = answers_make(count, keys);
    snprintf(program, sizeof(program), "lookup sql \"%s\" \"%s\" with k as user { %s }", database,
             query, options);
    struct process process = LEAT(records, program, "--report", report);
    EXPECT_STATUS(process, 0);
    CU_ASSERT(strcmp(process.out, answers) == 0);
    CU_ASSERT_PTR_NULL(strstr(process.err, PASSWORD));
    process_free(&process);
    free(records);
    free(answers);
    char *text = file_read(report);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    CU_ASSERT_PTR_NULL(strstr(text, PASSWORD));
    CU_ASSERT_EQUAL(report_number(text, "written"), count);
    CU_ASSERT_EQUAL(report_number(text, "rejected"), 0);
    return text;
}

#define ONE "SELECT id, name FROM users WHERE id = $1"
#define ANY "SELECT id, name FROM users WHERE id = any($1)"

/* ---- answers ---- */

static void test_each_its_own(void)
{
    if (!dsn())
        return;
    char *report = run_whole(dsn(), ONE, "pool max 8", 100000, USERS);
    CU_ASSERT_EQUAL(report_number(report, "requests"), 100000);
    CU_ASSERT(report_number(report, "in_flight_most") > 1);
    CU_ASSERT(report_number(report, "connections_opened") >= 1);
    CU_ASSERT(report_number(report, "connections_opened") <= 8);
    CU_ASSERT_EQUAL(report_number(report, "connections_broken"), 0);
    free(report);
}

static void test_batched(void)
{
    if (!dsn())
        return;
    char *report = run_whole(dsn(), ANY, "batch 200 or 20ms  by id", 100000, USERS);
    CU_ASSERT(report_number(report, "requests") >= 500);
    CU_ASSERT(report_number(report, "requests") < 2000);
    free(report);
}

/* Connections that grow old are replaced between two queries; nobody notices. */
static void test_aged(void)
{
    if (!dsn())
        return;
    char *report = run_whole(dsn(), ONE, "pool max 2  lifetime 50ms", 50000, USERS);
    CU_ASSERT(report_number(report, "connections_aged") > 4);
    CU_ASSERT_EQUAL(report_number(report, "requests"), 50000);
    free(report);
}

static void test_cached(void)
{
    if (!dsn())
        return;
    char *report = run_whole(dsn(), ONE, "cache 1000", 30000, 100);
    CU_ASSERT_EQUAL(report_number(report, "requests"), 100);
    CU_ASSERT_EQUAL(report_number(report, "cache_hits") + report_number(report, "cache_joined"),
                    30000 - 100);
    free(report);
    report = run_whole(dsn(), ANY, "cache 1000  batch 10  by id", 30000, 100);
    CU_ASSERT(report_number(report, "requests") <= 100);
    free(report);
}

static void test_sqlite(void)
{
    free(run_whole(sqlite_path(), ONE, "", 50000, USERS));
    free(run_whole(sqlite_path(),
                   "SELECT id, name FROM users WHERE id IN (SELECT value FROM json_each($1))",
                   "batch 100  by id", 50000, USERS));
}

/* ---- values, rows, absence ---- */

/* One program with the database's name before `rest`. */
static struct process look_up(const char *database, const char *text, const char *rest)
{
    char program[1500];
    snprintf(program, sizeof(program), "lookup sql \"%s\" %s", database, rest);
    return LEAT(text, program);
}

static void expect_answer(const char *database, const char *text, const char *rest,
                          const char *wanted)
{
    struct process process = look_up(database, text, rest);
    EXPECT_STATUS(process, 0);
    EXPECT_OUT(process, wanted);
    process_free(&process);
}

static void test_values(void)
{
    if (!dsn())
        return;
    expect_answer(dsn(),
                  "{\"n\":12345678901234567890.10,\"l\":[1,2,3],\"m\":{\"a\":[null,1.50]}}\n",
                  "\"SELECT $1::numeric AS n, $2::int8[] AS l, $3::jsonb AS m, $4::text AS t, "
                  "$5::timestamptz AS at, $6::bool AS b, $7::int AS none\" with n, l, m, "
                  "t = 'a\\u00e9\\'', at = timestamp('2020-02-29T23:59:59.25+01:00'), b = true, "
                  "missing as x | select x",
                  "{\"x\":{\"n\":12345678901234567890.10,\"l\":[1,2,3],\"m\":{\"a\": [null, 1.50]},"
                  "\"t\":\"a\xc3\xa9'\",\"at\":\"2020-02-29T22:59:59.25Z\",\"b\":true,"
                  "\"none\":null}}\n");
    /* never into the text of the query */
    expect_answer(dsn(), "{\"s\":\"'; DROP TABLE users; --\"}\n",
                  "\"SELECT $1::text AS s\" with s as x | select s = x.s",
                  "{\"s\":\"'; DROP TABLE users; --\"}\n");
    expect_rows("SELECT count(*) FROM users", "20000;");
}

static void test_rows(void)
{
    const char *records = "{\"k\":2.0}\n{\"k\":9}\n{\"k\":null}\n{\"k\":\"1\"}\n";
    if (!dsn())
        return;
    static const char pages[] = "{\"k\":2.0,\"p\":[\"page 1\",\"page 4\",\"page 7\"]}\n"
                                "{\"k\":9,\"p\":[]}\n{\"k\":null,\"p\":[]}\n"
                                "{\"k\":\"1\",\"p\":[\"page 3\",\"page 6\"]}\n";
    expect_answer(dsn(), records,
                  "\"SELECT page FROM visits WHERE id = $1 ORDER BY page\" with k as p "
                  "{ rows all  take answer.map(r, r.page) }",
                  pages);
    /* keys compare as numbers do, wherever they come from */
    expect_answer(dsn(), "{\"k\":1.10}\n{\"k\":11}\n",
                  "\"SELECT score AS s, id FROM users WHERE score = any($1)\" with k as i "
                  "{ batch 4  by s  take answer.id }",
                  "{\"k\":1.10,\"i\":1}\n{\"k\":11,\"i\":10}\n");
    expect_answer(dsn(), records,
                  "\"SELECT id, page FROM visits WHERE id = any($1) ORDER BY page\" with k as p "
                  "{ rows all  batch 4  by id  take answer.map(r, r.page) }",
                  pages);
}

/* No row is null, or what `otherwise` says; with batch as without. */
static void test_no_row(void)
{
    static const char *const queries[][2] = {
        {"\"SELECT id, name FROM users WHERE id = $1\"", ""},
        {"\"SELECT id, name FROM users WHERE id = any($1)\"", "batch 10  by id"},
    };
    char rest[400];
    if (!dsn())
        return;
    for (size_t i = 0; i < ARRAY_SIZE(queries); i++) {
        snprintf(rest, sizeof(rest), "%s with k as u { %s }", queries[i][0], queries[i][1]);
        expect_answer(dsn(), "{\"k\":7}\n{\"k\":-7}\n{\"k\":null}\n", rest,
                      "{\"k\":7,\"u\":{\"id\":7,\"name\":\"user 7\"}}\n{\"k\":-7,\"u\":null}\n"
                      "{\"k\":null,\"u\":null}\n");
        snprintf(rest, sizeof(rest), "%s with k as u { otherwise \"k\" + string(k)  %s }",
                 queries[i][0], queries[i][1]);
        expect_answer(dsn(), "{\"k\":7}\n{\"k\":-7}\n", rest,
                      "{\"k\":7,\"u\":{\"id\":7,\"name\":\"user 7\"}}\n{\"k\":-7,\"u\":\"k-7\"}\n");
        snprintf(rest, sizeof(rest), "%s with k as u { otherwise reject  %s }", queries[i][0],
                 queries[i][1]);
        struct process process = look_up(dsn(), "{\"k\":7}\n{\"k\":-7}\n", rest);
        EXPECT_STATUS(process, 1);
        EXPECT_ERR(process, "stdin:2: lookup sql: no row was found");
        process_free(&process);
    }
}

/* ---- what goes wrong ---- */

static void expect_failure(const char *database, const char *text, const char *rest, int status,
                           const char *wanted)
{
    struct process process = look_up(database, text, rest);
    EXPECT_STATUS(process, status);
    EXPECT_ERR(process, wanted);
    CU_ASSERT_PTR_NULL(strstr(process.err, PASSWORD));
    process_free(&process);
}

/* The statement is wrong: the run ends, whoever takes rejects. */
static void test_wrong_statement(void)
{
    char rest[300];
    const char *rejects = path_join(folder_make(), "rejects.ndjson");
    static const char *const cases[][2] = {
        {"\"SELCT 1\" as u", "syntax error at or near \"SELCT\" at character 1 (SQLSTATE 42601)"},
        {"\"SELECT nme FROM users WHERE id = $1\" with k as u",
         "column \"nme\" does not exist at character 8 (SQLSTATE 42703)"},
        {"\"SELECT 1 AS x FROM nowhere\" as u { batch 5  by x }", "batch asks by one key"},
        {"\"SELECT id FROM nowhere WHERE id = any($1)\" with k as u { batch 5  by id }",
         "relation \"nowhere\" does not exist at character 16 (SQLSTATE 42P01)"},
        {"\"SELECT pg_reload_conf(), point(1, 2) AS p\" as u", "cast it to text"},
        {"\"CREATE TABLE made (a int)\" as u", "the query gives no columns"},
        {"\"SELECT 1; SELECT 2\" as u", "cannot insert multiple commands"},
    };
    char *records = records_make(500, USERS);
    for (size_t i = 0; dsn() && i < ARRAY_SIZE(cases); i++) {
        snprintf(rest, sizeof(rest), "%s | reject into file \"%s\"", cases[i][0], rejects);
        expect_failure(dsn(), records, rest, i == 2 ? 2 : 1, cases[i][1]);
    }
    expect_failure(sqlite_path(), records, "\"SELECT nme FROM users WHERE id = $1\" with k as u", 1,
                   "no such column: nme at byte 8");
    free(records);
}

/* One key that the column cannot be compared with: the others of its query get their answers. */
static void test_poison_key(void)
{
    const char *folder = folder_make(), *rejects = path_join(folder, "rejects.ndjson");
    char program[900];
    if (!dsn())
        return;
    snprintf(program, sizeof(program),
             "lookup sql \"%s\" \"" ANY "\" with k as u { batch 50  by id  take answer.name }\n"
             "reject into file \"%s\"",
             dsn(), rejects);
    struct process process =
        LEAT("{\"k\":1}\n{\"k\":\"x\"}\n{\"k\":3}\n{\"k\":\"4\"}\n", program, "--quiet");
    EXPECT_STATUS(process, 3);
    EXPECT_OUT(process, "{\"k\":1,\"u\":\"user 1\"}\n{\"k\":3,\"u\":\"user 3\"}\n"
                        "{\"k\":\"4\",\"u\":\"user 4\"}\n");
    process_free(&process);
    char *text = file_read(rejects);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "cannot take"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"line\":2,"));
    CU_ASSERT_PTR_NULL(strstr(text, PASSWORD));
    CU_ASSERT_PTR_EQUAL(strchr(text, '\n'), text + strlen(text) - 1);
    free(text);
}

static void test_exhausted(void)
{
    if (!dsn())
        return;
    expect_failure(dsn(), "{}\n{}\n{}\n",
                   "\"SELECT pg_sleep(2)::text AS s\" as u { pool max 1  concurrency 3  "
                   "acquire 300ms  retry 0 }",
                   1, "no connection within 0.3 s: 1 of 1 in use");
    expect_failure("host=/nonexistent password=" PASSWORD, "{}\n",
                   "\"SELECT 1 AS s\" as u { acquire 200ms  retry 1 }", 1,
                   "No such file or directory");
}

static void test_timeouts(void)
{
    if (!dsn())
        return;
    expect_failure(dsn(), "{}\n",
                   "\"SELECT pg_sleep(20)::text AS s\" as u { statement_timeout 200ms  retry 0 }",
                   1, "statement timeout (SQLSTATE 57014)");
    expect_failure(
        dsn(), "{}\n",
        "\"SELECT pg_sleep(20)::text AS s\" as u { timeout 200ms  retry 0  statement_timeout 9s }",
        1, "the query took too long");
}

/* What writes is not asked again, unless `repeat` says so. */
static void test_writes_once(void)
{
    if (!dsn())
        return;
    /* a sequence goes on though the transaction is lost */
    static const char *const options[] = {"", "  repeat"}, *const tries[] = {"1;", "4;"};
    expect_rows("CREATE TABLE written (n int)", "");
    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        char rest[400];
        expect_rows("DROP SEQUENCE IF EXISTS tries; CREATE SEQUENCE tries", "");
        snprintf(rest, sizeof(rest),
                 "\"WITH w AS (INSERT INTO written SELECT nextval('tries') RETURNING n) "
                 "SELECT pg_terminate_backend(pg_backend_pid()) AS t FROM w\" as u "
                 "{ retry 3  backoff 10ms..20ms%s }",
                 options[i]);
        expect_failure(dsn(), "{\"k\":1}\n", rest, 1, "terminating connection");
        expect_rows("SELECT last_value FROM tries", tries[i]);
    }
}

/* ---- a server that comes and goes ---- */

struct trouble {
    pthread_t thread;
    atomic_bool ends;
    unsigned terminated;
};

/* Terminates a few backends of the run every 20 ms, by a connection of its own. */
static void *terminate(void *argument)
{
    struct trouble *trouble = argument;
    PGconn *connection = PQconnectdb(server_dsn());
    while (!atomic_load(&trouble->ends)) {
        PGresult *result = PQexec(
            connection, "SELECT count(pg_terminate_backend(pid)), pg_sleep(0.02) FROM (SELECT pid "
                        "FROM pg_stat_activity WHERE application_name = 'leat' AND "
                        "pid <> pg_backend_pid() ORDER BY random() LIMIT 2) AS victims");
        if (PQresultStatus(result) == PGRES_TUPLES_OK)
            trouble->terminated += (unsigned)strtoul(PQgetvalue(result, 0, 0), NULL, 10);
        PQclear(result);
    }
    PQfinish(connection);
    return NULL;
}

static void test_terminated(void)
{
    if (!dsn())
        return;
    struct trouble trouble = {0};
    char with_name[400];
    snprintf(with_name, sizeof(with_name), "%s application_name=leat", dsn());
    CHECK(pthread_create(&trouble.thread, NULL, terminate, &trouble) == 0);
    char *report =
        run_whole(with_name, ONE, "pool min 2 max 6  backoff 10ms..200ms", 100000, USERS);
    atomic_store(&trouble.ends, true);
    pthread_join(trouble.thread, NULL);
    CU_ASSERT(trouble.terminated > 20);
    CU_ASSERT(report_number(report, "retries") > 0);
    CU_ASSERT(report_number(report, "connections_broken") > 20);
    CU_ASSERT_EQUAL(report_number(report, "requests"), 100000 + report_number(report, "retries"));
    free(report);
}

static void *restart(void *argument)
{
    struct trouble *trouble = argument;
    const char *const commands[] = {"fast", "start", "immediate", "start"};
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        /* long enough for some lookups; a server that is away needs no waiting for */
        if (i % 2 == 0)
            PQclear(server_answer("SELECT pg_sleep(0.3)"));
        server_command(commands[i]);
        trouble->terminated++;
    }
    return NULL;
}

static void test_restarted(void)
{
    if (!dsn())
        return;
    struct trouble trouble = {0};
    CHECK(pthread_create(&trouble.thread, NULL, restart, &trouble) == 0);
    char *report = run_whole(dsn(), ONE, "rate 20000/s  burst 100", 60000, USERS);
    pthread_join(trouble.thread, NULL);
    CU_ASSERT_EQUAL(trouble.terminated, 4);
    CU_ASSERT(report_number(report, "broken_off") > 0);
    free(report);
}

/* ---- secrets ---- */

static void test_secret(void)
{
    if (!dsn())
        return;
    const char *folder = folder_make();
    char program[700];
    file_write(path_join(folder, "dsn"), dsn());
    file_write(path_join(folder, "bad"), "postgresql://u:" PASSWORD "@[::1");
    snprintf(program, sizeof(program),
             "lookup sql secret(\"%s\") \"SELECT name FROM users WHERE id = $1\" with k as u",
             path_join(folder, "dsn"));
    struct process process = LEAT("{\"k\":5}\n", program, "--verbose");
    EXPECT_STATUS(process, 0);
    EXPECT_OUT(process, "{\"k\":5,\"u\":{\"name\":\"user 5\"}}\n");
    CU_ASSERT_PTR_NULL(strstr(process.err, PASSWORD));
    process_free(&process);
    snprintf(program, sizeof(program), "lookup sql secret(\"%s\") \"SELECT 1 AS a\" as u",
             path_join(folder, "bad"));
    process = LEAT("{\"k\":5}\n", program);
    EXPECT_STATUS(process, 2);
    EXPECT_ERR(process, "as libpq reads them");
    CU_ASSERT_PTR_NULL(strstr(process.err, PASSWORD));
    process_free(&process);
}

SUITE(lookup_sql, {"100,000 records, each its own row, in order", test_each_its_own},
      {"many keys in a query", test_batched}, {"connections grow old", test_aged},
      {"each key asked once with a cache", test_cached}, {"SQLite, alone and batched", test_sqlite},
      {"values both ways", test_values}, {"all rows of a key", test_rows}, {"no row", test_no_row},
      {"a wrong statement ends the run", test_wrong_statement},
      {"a poison key is its record's affair", test_poison_key},
      {"no connection is free, or to be had", test_exhausted}, {"timeouts", test_timeouts},
      {"what writes is asked once", test_writes_once},
      {"backends terminated at random", test_terminated},
      {"a server restarted twice", test_restarted}, {"secrets stay secret", test_secret})
