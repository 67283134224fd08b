/* The PostgreSQL sink where something breaks: a server that goes and comes back, transactions that
 * conflict, addresses and tables that are wrong. */
#include <stdio.h>
#include <sys/socket.h>

#include "io/postgres_session.h"
#include "tests/io/postgres_rig.h"
#include "tests/suite.h"

static struct pg_rig rig;

static void table_open(const char *table, bool checkpoints)
{
    char sql[128];
    struct commit_record record;
    bool found;
    snprintf(sql, sizeof(sql), "DROP TABLE IF EXISTS %s; CREATE TABLE %s (a int)", table, table);
    pg_query(sql);
    pg_open(&rig, table, "a", "append", NULL, NULL);
    if (!checkpoints)
        return;
    pg_good(&rig, sink_postgres.recover(rig.sink, &record, &found, &rig.error));
    pg_good(&rig, sink_postgres.resume(rig.sink, 0, 1, &rig.error));
}

static bool row_send(const char *row)
{
    pg_fill(&rig, 0, &row, 1);
    return pg_send_one(&rig);
}

/* Nothing of an open transaction was given back: the sink goes on by itself. */
static void test_restart_between(void)
{
    static const char *const ways[] = {"restart", "immediate", "terminate"};
    if (!pg_server())
        return;
    for (unsigned k = 0; k < ARRAY_SIZE(ways); k++) {
        table_open("between", true);
        pg_good(&rig, row_send("1"));
        pg_good(&rig, pg_commit(&rig, false));
        if (k == 2) {
            pg_query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                     "application_name = 'leat'");
        } else {
            pg_command(ways[k]);
            if (k == 1)
                pg_command("begin"); /* it is not ready yet */
        }
        pg_good(&rig, row_send("2"));
        pg_good(&rig, pg_end(&rig));
        pg_close(&rig);
        pg_expect("SELECT a FROM between ORDER BY a", "1;2;");
    }
}

/* Rows were given back whose transaction is lost: only a replay brings them again. */
static void test_restart_within(void)
{
    if (!pg_server())
        return;
    for (unsigned k = 0; k < 2; k++) {
        table_open("within", true);
        pg_good(&rig, row_send("1"));
        pg_good(&rig, pg_commit(&rig, false));
        pg_good(&rig, row_send("2"));
        pg_command("restart");
        CU_ASSERT_FALSE(k == 0 ? row_send("3") : pg_commit(&rig, false));
        CU_ASSERT_EQUAL(rig.error.code, ERROR_REPLAY);
        pg_close(&rig);
        pg_expect("SELECT a FROM within", "1;");
    }
}

static struct postgres_sink *inside(void)
{
    return (struct postgres_sink *)rig.sink;
}

/* The answer to COMMIT does not arrive. `applied`: the server has committed all the same. */
static void commit_in_doubt(bool applied)
{
    struct commit_record *record = &rig.record;
    enum sink_result result;
    *record = (struct commit_record){.number = 1, .bytes = "{}", .length = 2};
    while ((result = sink_postgres.commit(rig.sink, record, &rig.error)) == SINK_WAIT &&
           inside()->phase != PHASE_RECORD)
        (void)io_engine_wait(rig.context.engine, 1000000);
    CU_ASSERT_EQUAL(result, SINK_WAIT);
    /* the next step sends COMMIT; cut here or there */
    if (!applied)
        pg_query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                 "application_name = 'leat'");
    while (inside()->phase == PHASE_RECORD &&
           (result = sink_postgres.commit(rig.sink, record, &rig.error)) == SINK_WAIT)
        (void)io_engine_wait(rig.context.engine, 1000000);
    if (applied && inside()->phase == PHASE_COMMIT) {
        while (strcmp(pg_query("SELECT count(*) FROM doubt"), "1;") != 0)
            ;
        /* whatever the server has answered is thrown away with the connection */
        inside()->postgres.state = POSTGRES_CLOSED;
        postgres_disconnect(&inside()->postgres);
    }
    while ((result = sink_postgres.commit(rig.sink, record, &rig.error)) == SINK_WAIT)
        (void)io_engine_wait(rig.context.engine, 10000000);
    CU_ASSERT_EQUAL(result, applied ? SINK_OK : SINK_FAIL);
    if (!applied)
        CU_ASSERT_EQUAL(rig.error.code, ERROR_REPLAY);
}

static void test_commit_in_doubt(void)
{
    if (!pg_server())
        return;
    for (int applied = 0; applied < 2; applied++) {
        table_open("doubt", true);
        pg_good(&rig, row_send("1"));
        commit_in_doubt(applied);
        if (applied) {
            pg_good(&rig, row_send("2"));
            pg_good(&rig, pg_end(&rig));
        }
        pg_close(&rig);
        pg_expect("SELECT a FROM doubt ORDER BY a", applied ? "1;2;" : "");
    }
}

/* The sink waits for another session that waits for the sink. */
static void test_deadlock(void)
{
    if (!pg_server())
        return;
    pg_query("DROP TABLE IF EXISTS dead; CREATE TABLE dead (k int PRIMARY KEY, v int); INSERT INTO "
             "dead VALUES (1, 0), (2, 0)");
    PGconn *other = PQconnectdb(pg_dsn());
    PQclear(PQexec(other, "SET deadlock_timeout = '1min'"));
    PQclear(PQexec(other, "BEGIN"));
    PQclear(PQexec(other, "UPDATE dead SET v = 7 WHERE k = 2"));
    pg_open(&rig, "dead", "k v", "upsert", "k", NULL);
    PG_FILL(&rig, 0, "1", "5", "2", "5");
    uint32_t done;
    struct batch *back = NULL;
    CU_ASSERT_EQUAL(sink_postgres.encode(rig.sink, NULL, &rig.batches[0].batch, 0, &done), 0);
    CU_ASSERT(sink_postgres.offer(rig.sink, &rig.batches[0].batch));
    enum sink_result result;
    bool sent = false, committed = false;
    while ((result = sink_postgres.take(rig.sink, &back, &rig.error)) == SINK_WAIT) {
        (void)io_engine_wait(rig.context.engine, 20000000);
        if (!sent && strcmp(pg_query("SELECT count(*) FROM pg_stat_activity WHERE application_name "
                                     "= 'leat' AND wait_event_type = 'Lock'"),
                            "1;") == 0)
            sent = PQsendQuery(other, "UPDATE dead SET v = 7 WHERE k = 1");
        if (sent && !committed && PQconsumeInput(other) && !PQisBusy(other)) {
            PGresult *answer;
            while ((answer = PQgetResult(other)) != NULL)
                PQclear(answer);
            PQclear(PQexec(other, "COMMIT"));
            committed = true;
        }
    }
    CU_ASSERT(committed);
    pg_good(&rig, result == SINK_OK);
    CU_ASSERT_EQUAL(rig.batches[0].batch.reject_count, 0);
    pg_good(&rig, pg_end(&rig));
    pg_close(&rig);
    PQfinish(other);
    pg_expect("SELECT k, v FROM dead ORDER BY k", "1|5;2|5;");
    CU_ASSERT(pg_logged("deadlock detected") > 0);
}

static bool wrong_dsn(const char *dsn)
{
    const char *row = "1";
    pg_open(&rig, "x", "a", "append", NULL, NULL);
    struct sink *sink = rig.sink;
    rig.values[0].text = (struct string){dsn, strlen(dsn)};
    sink_postgres.close(sink);
    rig.sink = NULL;
    if (!sink_postgres.open(&rig.context, &rig.sink, &rig.error)) {
        rig.sink = NULL;
        return false;
    }
    pg_fill(&rig, 0, &row, 1);
    return pg_send_one(&rig);
}

static void test_wrong_addresses(void)
{
    static const struct {
        const char *more;
        const char *message;
    } cases[] = {
        {"dbname=nowhere password=hunter2", "database \"nowhere\" does not exist"},
        {"dbname=hunter2 password=hunter2", "database \"***\" does not exist"},
        {"user=nobody_here", "role \"nobody_here\" does not exist"},
        {"port=1", "No such file or directory"},
        {"password=hunter2 nonsense", "the connection string is neither"},
        {"password='hunter2", "the connection string is neither"},
    };
    char dsn[400];
    if (!pg_server())
        return;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        snprintf(dsn, sizeof(dsn), "%s %s", pg_dsn(), cases[i].more);
        CU_ASSERT_FALSE(wrong_dsn(dsn));
        pg_error(&rig, cases[i].message);
        CU_ASSERT(strstr(rig.error.text, "hunter2") == NULL);
        CU_ASSERT(!rig.sink || strstr(rig.sink->name, "password") == NULL);
        pg_close(&rig);
    }
}

static void test_wrong_tables(void)
{
    if (!pg_server())
        return;
    pg_query("CREATE TABLE odd (a int, p point, g int GENERATED ALWAYS AS (a + 1) STORED); "
             "CREATE VIEW seen AS SELECT a FROM odd");
    static const struct {
        const char *table;
        const char *column;
        const char *message;
    } cases[] = {
        {"odd", "z", "table odd has no column z; its columns: a, p, g"},
        {"odd", "p", "column p of table odd has type point, which leat cannot write"},
        {"odd", "g", "column g of table odd is generated"},
        {"seen", "a", "seen is no table"},
    };
    const char *row = "1";
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        pg_open(&rig, cases[i].table, cases[i].column, "append", NULL, NULL);
        pg_fill(&rig, 0, &row, 1);
        CU_ASSERT_FALSE(pg_send_one(&rig));
        pg_error(&rig, cases[i].message);
        pg_close(&rig);
    }
    pg_open(&rig, "missing", "a", "append", NULL, "create", "no", NULL);
    pg_fill(&rig, 0, &row, 1);
    CU_ASSERT_FALSE(pg_send_one(&rig));
    pg_error(&rig, "there is no table missing");
    pg_close(&rig);
}

static void test_statement_timeout(void)
{
    if (!pg_server())
        return;
    PGconn *other = PQconnectdb(pg_dsn());
    pg_query("CREATE TABLE held (a int)");
    PQclear(PQexec(other, "BEGIN"));
    PQclear(PQexec(other, "LOCK TABLE held"));
    pg_open(&rig, "held", "a", "append", NULL, "statement_timeout", "200000000", NULL);
    CU_ASSERT_FALSE(row_send("1"));
    pg_error(&rig, "SQLSTATE 57014");
    pg_close(&rig);
    PQfinish(other);
}

SUITE(postgres_failures, {"a restart between transactions", test_restart_between},
      {"a restart within a transaction", test_restart_within},
      {"a COMMIT without an answer", test_commit_in_doubt}, {"a deadlock", test_deadlock},
      {"wrong addresses, without passwords", test_wrong_addresses},
      {"wrong tables", test_wrong_tables}, {"statement_timeout", test_statement_timeout})
