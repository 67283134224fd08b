/* Lookups in SQLite: values both ways, what cannot be asked, locks, and queries that never end. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clients/sqlite_transport.h"
#include "tests/clients/http_rig.h"
#include "tests/suite.h"

#define MILLISECOND 1000000LL

static const char *database(const char *file, const char *sql)
{
    static char path[256];
    sqlite3 *connection;
    snprintf(path, sizeof(path), "%s/%s", suite_folder(), file);
    CHECK(sqlite3_open(path, &connection) == SQLITE_OK);
    CHECK(sqlite3_exec(connection, sql, NULL, NULL, NULL) == SQLITE_OK);
    CHECK(sqlite3_close(connection) == SQLITE_OK);
    return path;
}

static struct transport *lookup_open(const char *path, const char *query, bool rows, size_t limit)
{
    struct error error;
    struct sqlite_transport_settings settings = {.path = {path, strlen(path)},
                                                 .query = {query, strlen(query)},
                                                 .rows = rows,
                                                 .answer_limit = limit,
                                                 .patience = 50 * MILLISECOND};
    struct transport *transport = sqlite_transport_open(&settings, &error);
    CHECK(transport);
    return transport;
}

static void ask(struct transport *transport, struct rig_exchange *exchange,
                const struct value *parameters, uint32_t count)
{
    rig_prepare(exchange, "", "");
    exchange->request.parameters = parameters;
    exchange->request.parameter_count = count;
    rig_start(transport, exchange);
}

static void expect_answer(struct transport *transport, const struct value *parameters,
                          uint32_t count, const char *expected)
{
    struct rig_exchange exchange;
    ask(transport, &exchange, parameters, count);
    rig_wait(transport, &exchange);
    CU_ASSERT_EQUAL(exchange.exchange.outcome, OUTCOME_ANSWER);
    struct string answer = exchange.exchange.answer;
    bool same = string_equal_text(answer, expected);
    if (!same)
        printf("\n    %.*s (%s)\n    wanted %s\n", (int)answer.length, answer.data,
               exchange.exchange.detail, expected);
    CU_ASSERT(same);
    CU_ASSERT(exchange.exchange.answer_is_json);
    CU_ASSERT(exchange.exchange.finished >= exchange.exchange.started);
    rig_release(transport, &exchange);
}

static void expect_outcome(struct transport *transport, const struct value *parameters,
                           uint32_t count, enum outcome outcome, const char *part)
{
    struct rig_exchange exchange;
    ask(transport, &exchange, parameters, count);
    rig_wait(transport, &exchange);
    CU_ASSERT_EQUAL(exchange.exchange.outcome, outcome);
    bool said = strstr(exchange.exchange.detail, part) != NULL;
    if (!said)
        printf("\n    \"%s\"\n", exchange.exchange.detail);
    CU_ASSERT(said);
    rig_release(transport, &exchange);
}

static void test_answers(void)
{
    const char *path =
        database("answers.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, \"a\"\"b\", r REAL, b);"
                               "INSERT INTO t VALUES (1, 'x', 2, x'00ff'), (2, NULL, 1e-7, 'é')");
    struct value one[] = {value_int(1)}, two[] = {value_int(1), value_int(2)},
                 none[] = {value_int(9)};
    struct transport *first = lookup_open(path, "SELECT * FROM t WHERE id = $1;", false, 1000);
    expect_answer(first, one, 1, "{\"id\":1,\"a\\\"b\":\"x\",\"r\":2.0,\"b\":\"AP8=\"}");
    expect_answer(first, none, 1, "null");
    expect_answer(first, two + 1, 1, "{\"id\":2,\"a\\\"b\":null,\"r\":1e-7,\"b\":\"é\"}");
    expect_outcome(first, two, 2, OUTCOME_INVALID, "has 1 parameters, and 2 are given");
    database("answers.db", "ALTER TABLE t DROP COLUMN b"); /* while it is open */
    expect_answer(first, one, 1, "{\"id\":1,\"a\\\"b\":\"x\",\"r\":2.0}");
    first->ops->close(first);
    /* the numbers say which is which, not their order */
    struct transport *all =
        lookup_open(path, "SELECT id FROM t WHERE id <= $2 AND id >= $1 ORDER BY id", true, 1000);
    expect_answer(all, two, 2, "[{\"id\":1},{\"id\":2}]");
    struct value swapped[] = {value_int(2), value_int(1)};
    expect_answer(all, swapped, 2, "[]");
    all->ops->close(all);
}

static void test_parameters(void)
{
    struct value list[2] = {value_int(3), value_string("x", 1)};
    struct value given[] = {value_null(),
                            value_bool(true),
                            value_uint(7),
                            value_double(0.5),
                            value_string("a\0b", 3),
                            value_bytes("\0\xff", 2),
                            {.kind = VALUE_LIST, .length = 2, .items = list},
                            {.kind = VALUE_TIMESTAMP, .integer = 0},
                            value_uint(UINT64_MAX)};
    const char *path = database("parameters.db", "CREATE TABLE t (a)");
    struct transport *transport = lookup_open(
        path, "SELECT ? a, ? b, ? c, ? d, length(CAST(? AS BLOB)) e, hex(?) f, ? g, ? h, ? i",
        false, 1000);
    expect_answer(transport, given, 9,
                  "{\"a\":null,\"b\":1,\"c\":7,\"d\":0.5,\"e\":3,\"f\":\"00FF\","
                  "\"g\":\"[3,\\\"x\\\"]\",\"h\":\"1970-01-01T00:00:00Z\","
                  "\"i\":\"18446744073709551615\"}");
    transport->ops->close(transport);
    database("parameters.db", "INSERT INTO t VALUES (3), ('x'), ('y')");
    transport = lookup_open(
        path, "SELECT a FROM t WHERE a IN (SELECT value FROM json_each(?1)) ORDER BY a", true, 99);
    expect_answer(transport, given + 6, 1, "[{\"a\":3},{\"a\":\"x\"}]");
    transport->ops->close(transport);
}

static void test_refusals(void)
{
    char missing[300];
    struct value number = value_int(1);
    const char *path = database("refusals.db", "CREATE TABLE t (a); INSERT INTO t VALUES (1)");
    static const struct {
        const char *query;
        enum outcome outcome;
        const char *part;
    } cases[] = {{"SELEC ?", OUTCOME_INVALID, "syntax error"},
                 {"SELECT * FROM u WHERE a = ?", OUTCOME_INVALID, "no such table: u"},
                 {"", OUTCOME_INVALID, "prepare the query"},
                 {"SELECT :name", OUTCOME_INVALID, "not by a name"},
                 {"SELECT ?; SELECT 2", OUTCOME_INVALID, "one statement"},
                 {"DELETE FROM t WHERE a = ?", OUTCOME_BROKEN, "readonly"},
                 {"SELECT abs(-9223372036854775808) + ?", OUTCOME_BROKEN, "integer overflow"},
                 {"SELECT zeroblob(? + 999)", OUTCOME_LARGE, "longer than 100 bytes"}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct transport *transport = lookup_open(path, cases[i].query, i % 2, 100);
        for (int again = 0; again < 2; again++)
            expect_outcome(transport, &number, 1, cases[i].outcome, cases[i].part);
        transport->ops->close(transport);
    }
    /* a database that comes later is found */
    snprintf(missing, sizeof(missing), "%s/later.db", suite_folder());
    struct transport *transport = lookup_open(missing, "SELECT a FROM t WHERE a = ?", false, 100);
    expect_outcome(transport, &number, 1, OUTCOME_CONNECT, "unable to open");
    CU_ASSERT_NOT_EQUAL(access(missing, F_OK), 0);
    database("later.db", "CREATE TABLE t (a); INSERT INTO t VALUES (1)");
    expect_answer(transport, &number, 1, "{\"a\":1}");
    transport->ops->close(transport);
}

static void test_locked(void)
{
    struct value number = value_int(1);
    sqlite3 *other;
    const char *path = database("locked.db", "CREATE TABLE t (a); INSERT INTO t VALUES (1)");
    struct transport *transport = lookup_open(path, "SELECT a FROM t WHERE a = ?", false, 100);
    CHECK(sqlite3_open(path, &other) == SQLITE_OK);
    CHECK(sqlite3_exec(other, "BEGIN EXCLUSIVE", NULL, NULL, NULL) == SQLITE_OK);
    expect_outcome(transport, &number, 1, OUTCOME_CONNECT, "locked");
    sqlite3_close(other);
    expect_answer(transport, &number, 1, "{\"a\":1}");
    transport->ops->close(transport);
}

#define ENDLESS                                                                                    \
    "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n "        \
    "WHERE ?1 > 0 LIMIT 1"

/* Late and cancelled exchanges are over at once, and the thread goes on with the next. */
static void test_endless(void)
{
    struct rig_exchange exchanges[4];
    struct value one = value_int(1);
    const char *path = database("endless.db", "CREATE TABLE t (a)");
    struct transport *transport = lookup_open(path, ENDLESS, false, 100);
    int64_t begin = clock_monotonic();
    for (int i = 0; i < 4; i++) {
        rig_prepare(&exchanges[i], "", "");
        exchanges[i].request.parameters = &one;
        exchanges[i].request.parameter_count = 1;
        exchanges[i].exchange.deadline = begin + (i % 2 ? 20000 : 100) * MILLISECOND;
        rig_start(transport, &exchanges[i]);
    }
    rig_wait(transport, &exchanges[0]);
    rig_wait(transport, &exchanges[2]);
    CU_ASSERT_EQUAL(exchanges[0].exchange.outcome, OUTCOME_TIMEOUT);
    CU_ASSERT_EQUAL(exchanges[2].exchange.outcome, OUTCOME_TIMEOUT);
    transport->ops->cancel(transport, &exchanges[1].exchange);
    rig_release(transport, &exchanges[0]);
    CU_ASSERT(clock_monotonic() - begin < 5000 * MILLISECOND);
    transport->ops->close(transport); /* with one reaped, one asked for */
    CU_ASSERT(clock_monotonic() - begin < 5000 * MILLISECOND);
}

/* Many at once: each gets its own answer, whatever is cancelled between. */
static void test_many(void)
{
    static struct rig_exchange exchanges[200];
    static struct value numbers[200];
    const char *path = database("many.db", "CREATE TABLE t (a)");
    struct transport *transport = lookup_open(path, "SELECT ? * 2 AS a", false, 100);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 200; i++) {
            numbers[i] = value_int(i);
            ask(transport, &exchanges[i], &numbers[i], 1);
        }
        for (int i = 0; i < 200; i += 3)
            if (!exchanges[i].over)
                transport->ops->cancel(transport, &exchanges[i].exchange);
        for (int i = 0; i < 200; i++) {
            char expected[40];
            if (i % 3 == 0)
                continue;
            rig_wait(transport, &exchanges[i]);
            snprintf(expected, sizeof(expected), "{\"a\":%d}", 2 * i);
            CU_ASSERT(string_equal_text(exchanges[i].exchange.answer, expected));
            rig_release(transport, &exchanges[i]);
        }
    }
    transport->ops->close(transport);
}

SUITE(sqlite_lookup, {"answers", test_answers}, {"parameters", test_parameters},
      {"what cannot be asked", test_refusals}, {"locked by another", test_locked},
      {"queries without end", test_endless}, {"many at once", test_many})
