/* The pool of PostgreSQL connections and the SQL transport, against a real server. */
#include <poll.h>

#include "clients/dispatcher.h"
#include "clients/sql_transport.h"
#include "core/clock.h"
#include "tests/postgres.h"

static struct error error;
static struct postgres_settings settings;

static struct postgres_pool *pool_of(uint32_t least, uint32_t most)
{
    const char *dsn = server_dsn();
    CU_ASSERT(postgres_settings_open(&settings, (struct string){dsn, strlen(dsn)}, &error));
    struct postgres_pool_settings pool = {.connection = &settings,
                                          .least = least,
                                          .most = most,
                                          .wait = NANOSECONDS / 4,
                                          .check = NANOSECONDS / 10};
    return postgres_pool_open(&pool, &error);
}

static void pool_wait_for(struct postgres_pool *pool, int64_t nanoseconds)
{
    int64_t end = clock_monotonic() + nanoseconds, left;
    while ((left = end - clock_monotonic()) > 0) {
        struct pollfd ready = {.fd = postgres_pool_descriptor(pool), .events = POLLIN};
        int64_t wake = postgres_pool_wake(pool) - clock_monotonic();
        if (wake < left)
            left = wake < 0 ? 0 : wake;
        poll(&ready, 1, (int)(left / 1000000) + 1);
        postgres_pool_step(pool);
    }
}

/* Until a wait is over. */
static struct pool_wait *pool_answer(struct postgres_pool *pool)
{
    struct pool_wait *over;
    for (int i = 0; i < 1000; i++) {
        postgres_pool_step(pool);
        if ((over = postgres_pool_reap(pool)) != NULL)
            return over;
        pool_wait_for(pool, 5000000);
    }
    return NULL;
}

static struct postgres_pool_counts counts_of(const struct postgres_pool *pool)
{
    struct postgres_pool_counts counts;
    postgres_pool_counts(pool, &counts);
    return counts;
}

static void pool_end(struct postgres_pool *pool)
{
    postgres_pool_close(pool);
    postgres_settings_close(&settings);
}

static void test_lazy_and_bounded(void)
{
    struct pool_wait waits[4] = {0};
    if (!server_dsn())
        return;
    struct postgres_pool *pool = pool_of(1, 3);
    pool_wait_for(pool, 20000000);
    CU_ASSERT_EQUAL(counts_of(pool).opened, 0); /* nobody has asked */
    for (unsigned i = 0; i < 4; i++)
        postgres_pool_ask(pool, &waits[i]);
    for (unsigned i = 0; i < 3; i++) {
        struct pool_wait *over = pool_answer(pool);
        CU_ASSERT(over && over->connection);
    }
    CU_ASSERT_EQUAL(counts_of(pool).open, 3);
    struct pool_wait *over = pool_answer(pool); /* the fourth waits in vain */
    CU_ASSERT_PTR_EQUAL(over, &waits[3]);
    CU_ASSERT_PTR_NULL(over->connection);
    CU_ASSERT_STRING_EQUAL(over->detail,
                           "no connection within 0.2 s: 3 of 3 in use, 0 opening, 1 waiting");
    postgres_pool_ask(pool, &waits[3]);
    postgres_pool_return(pool, waits[0].connection, true);
    over = pool_answer(pool);
    CU_ASSERT(over == &waits[3] && over->connection == waits[0].connection);
    CU_ASSERT_EQUAL(counts_of(pool).opened, 3);
    pool_end(pool);
}

static void test_monitor(void)
{
    struct pool_wait wait = {0};
    if (!server_dsn())
        return;
    struct postgres_pool *pool = pool_of(2, 4);
    postgres_pool_ask(pool, &wait);
    CU_ASSERT(pool_answer(pool) == &wait && wait.connection);
    postgres_pool_return(pool, wait.connection, true);
    pool_wait_for(pool, NANOSECONDS / 2);
    CU_ASSERT_EQUAL(counts_of(pool).open, 2); /* the least */
    CU_ASSERT(counts_of(pool).checks >= 2);
    expect_rows("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE "
                "application_name = 'leat'",
                "2;");
    pool_wait_for(pool, NANOSECONDS / 2);
    CU_ASSERT_EQUAL(counts_of(pool).replaced_broken, 2);
    CU_ASSERT_EQUAL(counts_of(pool).opened, 4);
    CU_ASSERT_EQUAL(counts_of(pool).open, 2);
    pool_end(pool);
}

static void test_server_gone(void)
{
    struct pool_wait wait = {0};
    if (!server_dsn())
        return;
    struct postgres_pool *pool = pool_of(0, 2);
    server_command("fast");
    postgres_pool_ask(pool, &wait);
    struct pool_wait *over = pool_answer(pool);
    CU_ASSERT(over == &wait && !wait.connection);
    CU_ASSERT(strstr(wait.detail, "0 of 2 in use") && strstr(wait.detail, "No such file"));
    server_command("start");
    postgres_pool_ask(pool, &wait);
    over = pool_answer(pool);
    if (over && !over->connection) { /* it paused longer than the wait */
        postgres_pool_ask(pool, &wait);
        over = pool_answer(pool);
    }
    CU_ASSERT(over == &wait && wait.connection);
    pool_end(pool);
}

static void test_lifetime(void)
{
    struct pool_wait wait = {0};
    if (!server_dsn())
        return;
    const char *dsn = server_dsn();
    CU_ASSERT(postgres_settings_open(&settings, (struct string){dsn, strlen(dsn)}, &error));
    struct postgres_pool_settings short_lived = {.connection = &settings,
                                                 .most = 1,
                                                 .wait = NANOSECONDS,
                                                 .check = NANOSECONDS,
                                                 .lifetime = NANOSECONDS / 10};
    struct postgres_pool *pool = postgres_pool_open(&short_lived, &error);
    postgres_pool_ask(pool, &wait);
    CU_ASSERT(pool_answer(pool) == &wait && wait.connection);
    pool_wait_for(pool, NANOSECONDS / 5);
    CU_ASSERT_EQUAL(counts_of(pool).open, 1); /* not under somebody's hands */
    postgres_pool_return(pool, wait.connection, true);
    CU_ASSERT_EQUAL(counts_of(pool).open, 0);
    CU_ASSERT_EQUAL(counts_of(pool).replaced_old, 1);
    pool_end(pool);
}

/* ---- the transport ---- */

static struct transport *transport_of(const char *query, bool rows, uint32_t most)
{
    const char *dsn = server_dsn();
    struct sql_transport_settings sql = {
        .dsn = {dsn, strlen(dsn)},
        .query = {query, strlen(query)},
        .rows = rows,
        .answer_limit = 4096,
        .pool = {.most = most, .wait = NANOSECONDS, .check = NANOSECONDS}};
    struct transport *transport = sql_transport_open(&sql, &error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(transport);
    return transport;
}

static struct exchange *exchange_wait(struct transport *transport)
{
    for (int i = 0; i < 2000; i++) {
        struct exchange *over = transport->ops->reap(transport);
        if (over)
            return over;
        struct pollfd ready = {.fd = transport->descriptor, .events = POLLIN};
        int64_t left = transport->wake - clock_monotonic();
        poll(&ready, 1, left <= 0 ? 0 : left < 20000000 ? (int)(left / 1000000) + 1 : 20);
        transport->ops->step(transport);
    }
    return NULL;
}

/* The answer, or "OUTCOME: detail". */
static const char *ask(struct transport *transport, const struct value *values, uint32_t count)
{
    static char text[4096];
    struct request request = {.parameters = values, .parameter_count = count};
    struct exchange exchange = {.request = &request, .deadline = clock_monotonic() + NANOSECONDS};
    transport->ops->start(transport, &exchange);
    if (exchange_wait(transport) != &exchange)
        return "nothing came";
    if (exchange.outcome == OUTCOME_ANSWER)
        snprintf(text, sizeof(text), "%.*s", (int)exchange.answer.length, exchange.answer.data);
    else
        snprintf(text, sizeof(text), "%s: %s", outcome_name(exchange.outcome), exchange.detail);
    transport->ops->release(transport, &exchange);
    return text;
}

static void expect_answer(struct transport *transport, struct value value, const char *expected)
{
    const char *found = ask(transport, &value, 1);
    if (strcmp(found, expected) != 0)
        printf("\n    gives  %s\n    wanted %s\n", found, expected);
    CU_ASSERT(strcmp(found, expected) == 0);
}

static void test_transport_answers(void)
{
    if (!server_dsn())
        return;
    server_query("CREATE TABLE users (id int PRIMARY KEY, name text, \"a\"\"b\" numeric)");
    server_query("INSERT INTO users VALUES (1, 'Ann', 1.50), (2, 'B\"ob', NULL), (3, 'Cy', 7)");
    struct transport *one = transport_of("select * from users where id = $1", false, 2);
    expect_answer(one, value_int(1), "{\"id\":1,\"name\":\"Ann\",\"a\\\"b\":1.50}");
    expect_answer(one, value_int(2), "{\"id\":2,\"name\":\"B\\\"ob\",\"a\\\"b\":null}");
    expect_answer(one, value_string("3", 1), "{\"id\":3,\"name\":\"Cy\",\"a\\\"b\":7}");
    expect_answer(one, value_int(9), "null");
    expect_answer(one, value_null(), "null");
    expect_answer(one, value_string("x", 1),
                  "invalid: parameter $1 is integer and cannot take a string: it is no number");
    one->ops->close(one);
    struct value ids[] = {value_int(1), value_int(3), value_int(5)};
    struct value list = {.kind = VALUE_LIST, .length = 3, .items = ids};
    struct transport *all =
        transport_of("select id, name from users where id = any($1) order by id", true, 2);
    expect_answer(all, list, "[{\"id\":1,\"name\":\"Ann\"},{\"id\":3,\"name\":\"Cy\"}]");
    list.length = 0;
    expect_answer(all, list, "[]");
    all->ops->close(all);
}

static void test_transport_troubles(void)
{
    if (!server_dsn())
        return;
    struct transport *transport = transport_of("select 1 / $1::int as x", false, 2);
    expect_answer(transport, value_int(0), "invalid: division by zero (SQLSTATE 22012)");
    expect_answer(transport, value_int(1), "{\"x\":1}");
    CU_ASSERT_STRING_EQUAL(ask(transport, NULL, 0),
                           "invalid: the query has 1 parameters, and 0 were given");
    transport->ops->close(transport);
    transport = transport_of("select x from nowhere where y = $1", false, 2);
    expect_answer(transport, value_int(1),
                  "invalid: relation \"nowhere\" does not exist at character 15 (SQLSTATE 42P01)");
    transport->ops->close(transport);
    transport = transport_of("select point(1, $1) as p", false, 2);
    expect_answer(transport, value_int(1),
                  "invalid: column p of the query has a type that leat cannot read: cast it to "
                  "text");
    transport->ops->close(transport);
    transport = transport_of("select repeat('x', $1) as r", false, 2);
    expect_answer(transport, value_int(5000), "large: the answer is longer than 4096 bytes");
    expect_answer(transport, value_int(2), "{\"r\":\"xx\"}");
    transport->ops->close(transport);
    transport = transport_of("select pg_sleep($1)::text as s", false, 1);
    expect_answer(transport, value_double(5), "timeout: whole: the query took too long");
    expect_answer(transport, value_double(0), "{\"s\":\"\"}");
    transport->ops->close(transport);
    /* the table changes under the prepared statement */
    server_query("CREATE TABLE changing (a int); INSERT INTO changing VALUES (1)");
    transport = transport_of("select * from changing where a = $1", false, 1);
    expect_answer(transport, value_int(1), "{\"a\":1}");
    server_query("ALTER TABLE changing ADD b text DEFAULT 'b'");
    CU_ASSERT(strncmp(ask(transport, (struct value[]){value_int(1)}, 1), "broken: ", 8) == 0);
    expect_answer(transport, value_int(1), "{\"a\":1,\"b\":\"b\"}");
    /* backends that are terminated: the next call has a new connection */
    server_query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = "
                 "'leat'");
    const char *found = ask(transport, (struct value[]){value_int(1)}, 1);
    if (strncmp(found, "broken: ", 8) == 0) /* it was out before the news came */
        found = ask(transport, (struct value[]){value_int(1)}, 1);
    CU_ASSERT_STRING_EQUAL(found, "{\"a\":1,\"b\":\"b\"}");
    transport->ops->close(transport);
}

/* Many calls through a dispatcher: each answered with its own row, over no more connections than
 * allowed. */
static void test_dispatched(void)
{
    enum { CALLS = 2000, CONCURRENT = 50 };
    static struct call calls[CALLS];
    static struct request requests[CALLS];
    static struct value values[CALLS];
    if (!server_dsn())
        return;
    struct protections protections = {.concurrency = CONCURRENT, .timeout = 10 * NANOSECONDS};
    struct transport *transport = transport_of("select $1::int * 2 as twice", false, 4);
    struct dispatcher_hooks hooks = {0};
    struct dispatcher *dispatcher =
        dispatcher_open(&protections, &hooks, transport, CALLS, 1, &error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(dispatcher);
    for (unsigned i = 0; i < CALLS; i++) {
        values[i] = value_int(i);
        requests[i] =
            (struct request){.parameters = &values[i], .parameter_count = 1, .peer = STRING("db")};
        calls[i] = (struct call){.requests = &requests[i], .request_count = 1, .tag = i};
        dispatcher_submit(dispatcher, &calls[i]);
    }
    unsigned good = 0;
    int64_t end = clock_monotonic() + 20 * NANOSECONDS;
    while (dispatcher_pending(dispatcher) && clock_monotonic() < end) {
        struct call *call;
        dispatcher_step(dispatcher);
        while ((call = dispatcher_reap(dispatcher)) != NULL) {
            char expected[32];
            int length =
                snprintf(expected, sizeof(expected), "{\"twice\":%u}", 2 * (unsigned)call->tag);
            good += call->verdict == CALL_GOOD && call->exchange &&
                    call->exchange->answer.length == (size_t)length &&
                    memcmp(call->exchange->answer.data, expected, (size_t)length) == 0;
            dispatcher_release(dispatcher, call);
        }
        struct pollfd ready = {.fd = dispatcher_descriptor(dispatcher), .events = POLLIN};
        int64_t left = dispatcher_wake(dispatcher) - clock_monotonic();
        poll(&ready, 1, left <= 0 ? 0 : left < 20000000 ? (int)(left / 1000000) + 1 : 20);
    }
    CU_ASSERT_EQUAL(good, CALLS);
    struct postgres_pool_counts counts;
    sql_transport_pool_counts(transport, &counts);
    CU_ASSERT(counts.opened <= 4);
    dispatcher_close(dispatcher);
}

SUITE(postgres_pool, {"opened when asked for, and bounded", test_lazy_and_bounded},
      {"the monitor", test_monitor}, {"a server that is gone", test_server_gone},
      {"lifetime", test_lifetime}, {"answers of the transport", test_transport_answers},
      {"troubles of the transport", test_transport_troubles},
      {"through a dispatcher", test_dispatched})
