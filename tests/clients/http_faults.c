/* Each way in which a server can misbehave, and the exact outcome; and that the next exchange is
 * not harmed by it. */
#include <stdio.h>
#include <string.h>

#include "tests/clients/http_rig.h"
#include "tests/suite.h"

#define MILLISECOND 1000000

struct expectation {
    const char *path;
    enum outcome outcome;
    const char *detail; /* part of it */
};

/* Exchanges one after another over one transport; a good one after each. */
static void expectations_check(const struct http_settings *settings,
                               const struct expectation *cases, size_t count, int64_t timeout)
{
    struct transport *transport = rig_open(settings);
    struct rig_exchange exchange;
    for (size_t i = 0; i < count; i++) {
        rig_prepare(&exchange, rig_url(), cases[i].path);
        exchange.exchange.deadline = clock_monotonic() + timeout;
        rig_start(transport, &exchange);
        rig_wait(transport, &exchange);
        bool as_expected = exchange.exchange.outcome == cases[i].outcome &&
                           rig_detail_has(&exchange, cases[i].detail) &&
                           strncmp(exchange.exchange.detail, "peer.example:80: ", 17) == 0;
        if (!as_expected)
            printf("%s: outcome %d, \"%s\"\n", cases[i].path, exchange.exchange.outcome,
                   exchange.exchange.detail);
        CU_ASSERT_TRUE(as_expected);
        CU_ASSERT_EQUAL(exchange.exchange.answer.length, 0);
        CU_ASSERT_EQUAL(exchange.exchange.status, 0);
        CU_ASSERT_TRUE(exchange.exchange.finished >= exchange.exchange.started);
        rig_release(transport, &exchange);
        rig_get(transport, &exchange, "/echo/good");
        CU_ASSERT_TRUE(rig_answer_is(&exchange, "good"));
        rig_release(transport, &exchange);
    }
    transport->ops->close(transport);
}

static void broken(void)
{
    static const struct expectation cases[] = {
        {"/reset/head", OUTCOME_BROKEN, "reset"},
        {"/reset/0", OUTCOME_BROKEN, ""},
        {"/reset/500", OUTCOME_BROKEN, ""},
        {"/truncate/head", OUTCOME_BROKEN, "within the head"},
        {"/truncate/0", OUTCOME_BROKEN, "within the body"},
        {"/truncate/5000", OUTCOME_BROKEN, "within the body"},
        {"/length/negative", OUTCOME_BROKEN, "Content-Length"},
        {"/length/word", OUTCOME_BROKEN, "Content-Length"},
        {"/length/two", OUTCOME_BROKEN, "Content-Length"},
        {"/length/huge", OUTCOME_BROKEN, "Content-Length"},
        {"/garbage", OUTCOME_BROKEN, "no HTTP answer"},
        {"/garbage/binary", OUTCOME_BROKEN, "no HTTP answer"},
        {"/headers/endless", OUTCOME_BROKEN, "headers"},
        {"/headers/line", OUTCOME_BROKEN, "header line"},
        {"/headers/300000", OUTCOME_BROKEN, "headers"},
        {"/chunked-bad/size", OUTCOME_BROKEN, "hexadecimal"},
        {"/chunked-bad/overflow", OUTCOME_BROKEN, "hexadecimal"},
        {"/chunked-bad/ending", OUTCOME_BROKEN, "chunk"},
        {"/chunked-bad/cut", OUTCOME_BROKEN, ""},
        {"/gzip-broken", OUTCOME_BROKEN, "damaged or cut"},
        {"/gzip-cut", OUTCOME_BROKEN, "damaged or cut"},
    };
    struct http_settings settings = {0};
    expectations_check(&settings, cases, ARRAY_SIZE(cases), 20 * NANOSECONDS);
}

static void large(void)
{
    static const struct expectation cases[] = {
        {"/big/1000000000", OUTCOME_LARGE, "longer than the limit of 100000"},
        {"/big/100001", OUTCOME_LARGE, "longer than the limit of 100000"},
        {"/big/chunked/1000000000", OUTCOME_LARGE, "longer than the limit of 100000"},
        {"/bomb/1000000000", OUTCOME_LARGE, "longer than the limit of 100000"},
        {"/bomb/10000000", OUTCOME_LARGE, "decompressed, is longer than the limit of 100000"},
    };
    struct http_settings settings = {.answer_limit = 100000};
    struct rig_exchange exchange;
    expectations_check(&settings, cases, ARRAY_SIZE(cases), 20 * NANOSECONDS);
    struct transport *transport = rig_open(&settings);
    rig_get(transport, &exchange, "/big/100000"); /* just within */
    CU_ASSERT_EQUAL(exchange.exchange.outcome, OUTCOME_ANSWER);
    CU_ASSERT_EQUAL(exchange.exchange.answer.length, 100000);
    transport->ops->close(transport);
}

static void timeouts(void)
{
    static const struct expectation whole[] = {
        {"/hang", OUTCOME_TIMEOUT, "whole timeout"},
        {"/hang", OUTCOME_TIMEOUT, "waiting for the first byte"},
        {"/hang/body", OUTCOME_TIMEOUT, "while receiving"},
        {"/drip/10/100", OUTCOME_TIMEOUT, "whole timeout"},
        {"/drip/10/head", OUTCOME_TIMEOUT, "whole timeout"},
    };
    static const struct expectation first[] = {
        {"/hang", OUTCOME_TIMEOUT, "first byte timeout"},
        {"/delay/5000/k", OUTCOME_TIMEOUT, "first byte timeout"},
    };
    struct http_settings settings = {0};
    struct rig_exchange exchange;
    expectations_check(&settings, whole, ARRAY_SIZE(whole), 60 * MILLISECOND);
    settings.first_byte_timeout = 60 * MILLISECOND;
    expectations_check(&settings, first, ARRAY_SIZE(first), 20 * NANOSECONDS);
    struct transport *transport = rig_open(&settings);
    int64_t began = clock_monotonic();
    rig_get(transport, &exchange, "/drip/5/40"); /* 200 ms in all, but begins at once */
    CU_ASSERT_EQUAL(exchange.exchange.outcome, OUTCOME_ANSWER);
    CU_ASSERT_EQUAL(exchange.exchange.answer.length, 40);
    CU_ASSERT_TRUE(clock_monotonic() - began >= 190 * MILLISECOND);
    CU_ASSERT_TRUE(exchange.exchange.first_byte - began < 150 * MILLISECOND);
    rig_release(transport, &exchange);
    rig_prepare(&exchange, rig_url(), "/echo/late"); /* over before it begins */
    exchange.exchange.deadline = clock_monotonic() - 1;
    rig_start(transport, &exchange);
    rig_wait(transport, &exchange);
    CU_ASSERT_TRUE(exchange.exchange.outcome == OUTCOME_TIMEOUT ||
                   rig_answer_is(&exchange, "late"));
    transport->ops->close(transport);
}

/* A server that accepts and never reads, and one that does not even accept. */
static void silent_servers(void)
{
    static const char *const mute[] = {"--port", "0", "--mute", NULL};
    static const char *const full[] = {"--port", "0", "--full", NULL};
    struct rig_program server;
    struct rig_exchange exchanges[4];
    char base[300];
    CU_ASSERT_TRUE_FATAL(rig_server_start(&server, mute));
    snprintf(base, sizeof(base), "http://127.0.0.1:%s", server.line);
    struct http_settings settings = {.connect_timeout = 100 * MILLISECOND};
    struct transport *transport = rig_open(&settings);
    rig_prepare(&exchanges[0], base, "/");
    exchanges[0].exchange.deadline = clock_monotonic() + 50 * MILLISECOND;
    rig_start(transport, &exchanges[0]);
    rig_wait(transport, &exchanges[0]);
    CU_ASSERT_EQUAL(exchanges[0].exchange.outcome, OUTCOME_TIMEOUT);
    CU_ASSERT_TRUE(rig_detail_has(&exchanges[0], "whole timeout"));
    rig_release(transport, &exchanges[0]);
    rig_program_stop(&server);

    CU_ASSERT_TRUE_FATAL(rig_server_start(&server, full));
    snprintf(base, sizeof(base), "http://127.0.0.1:%s", server.line);
    unsigned connect_timeouts = 0;
    for (size_t i = 0; i < ARRAY_SIZE(exchanges); i++) {
        rig_prepare(&exchanges[i], base, "/");
        exchanges[i].exchange.deadline = clock_monotonic() + 300 * MILLISECOND;
        rig_start(transport, &exchanges[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(exchanges); i++) {
        rig_wait(transport, &exchanges[i]);
        CU_ASSERT_EQUAL(exchanges[i].exchange.outcome, OUTCOME_TIMEOUT);
        connect_timeouts += rig_detail_has(&exchanges[i], "connect timeout");
    }
    CU_ASSERT_TRUE(connect_timeouts >= 1); /* the backlog takes one or two */
    transport->ops->close(transport);
    rig_program_stop(&server);
}

static void no_connection(void)
{
    struct http_settings settings = {0};
    struct transport *transport = rig_open(&settings);
    struct rig_exchange exchange, others[20];
    rig_prepare(&exchange, "http://127.0.0.1:1", "/");
    rig_start(transport, &exchange);
    rig_wait(transport, &exchange);
    CU_ASSERT_EQUAL(exchange.exchange.outcome, OUTCOME_CONNECT);
    CU_ASSERT_TRUE(rig_detail_has(&exchange, "refused"));
    rig_release(transport, &exchange);
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) { /* one lookup for all */
        rig_prepare(&others[i], "http://no-such-host.invalid", "/");
        rig_start(transport, &others[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        rig_wait(transport, &others[i]);
        CU_ASSERT_EQUAL(others[i].exchange.outcome, OUTCOME_CONNECT);
        CU_ASSERT_TRUE(rig_detail_has(&others[i], "name of the host"));
        rig_release(transport, &others[i]);
    }
    transport->ops->close(transport);
}

/* More bytes than the length says: the answer is as long as said, and the rest is nobody's. */
static void excess_harms_nobody(void)
{
    struct http_settings settings = {0};
    struct transport *transport = rig_open(&settings);
    struct rig_exchange exchange;
    for (int i = 0; i < 5; i++) {
        rig_get(transport, &exchange, "/length/short");
        CU_ASSERT_EQUAL(exchange.exchange.outcome, OUTCOME_ANSWER);
        CU_ASSERT_TRUE(string_equal_text(exchange.exchange.answer, "[1,2,3]"));
        rig_release(transport, &exchange);
        rig_get(transport, &exchange, "/echo/next");
        CU_ASSERT_TRUE(rig_answer_is(&exchange, "next"));
        rig_release(transport, &exchange);
    }
    transport->ops->close(transport);
}

/* libcurl sends again by itself on a kept connection that breaks; what is not repeatable must not
 * go out twice. */
static void not_sent_twice(void)
{
    struct http_settings settings = {0};
    struct transport *transport = rig_open(&settings);
    struct rig_exchange exchange;
    for (int repeatable = 0; repeatable < 2; repeatable++) {
        rig_get(transport, &exchange, "/echo/keep");
        rig_release(transport, &exchange);
        long before = rig_stat("reset");
        rig_prepare(&exchange, rig_url(), "/reset/head");
        exchange.request.method = STRING("POST");
        exchange.request.body = STRING("pay");
        exchange.request.repeatable = repeatable;
        rig_start(transport, &exchange);
        rig_wait(transport, &exchange);
        CU_ASSERT_EQUAL(exchange.exchange.outcome, OUTCOME_BROKEN);
        long sent = rig_stat("reset") - before;
        CU_ASSERT_TRUE(repeatable ? sent >= 1 : sent == 1);
        rig_release(transport, &exchange);
    }
    transport->ops->close(transport);
}

/* Whatever goes wrong, no detail holds userinfo, query or header values; but they are sent. */
static void secrets_stay_secret(void)
{
    static const char *const paths[] = {
        "/reset/5",     "/truncate/5",       "/garbage",      "/hang", "/bomb/9",
        "/length/word", "/chunked-bad/size", "/headers/line", "/leave"};
    static const struct request_header header = {STRING("X-Token"), STRING("hunter2")};
    struct http_settings settings = {.redirects = 3, .answer_limit = 100};
    struct transport *transport = rig_open(&settings);
    struct rig_exchange exchange;
    char base[400], path[256];
    const char *port = strrchr(rig_url(), ':');
    snprintf(base, sizeof(base), "http://user:hunter2@127.0.0.1%s", port);
    for (size_t i = 0; i < ARRAY_SIZE(paths) + 3; i++) {
        if (i == ARRAY_SIZE(paths))
            snprintf(base, sizeof(base), "http://user:hunter2@127.0.0.1:1");
        if (i == ARRAY_SIZE(paths) + 1)
            snprintf(base, sizeof(base), "http://user:hunter2@no-such-host.invalid");
        if (i == ARRAY_SIZE(paths) + 2)
            snprintf(base, sizeof(base), "https://user:hunter2@127.0.0.1%s", port);
        snprintf(path, sizeof(path), "%s?token=hunter2&to=http%%3A%%2F%%2Fu:hunter2%%40x.example",
                 paths[i % ARRAY_SIZE(paths)]);
        rig_prepare(&exchange, base, path);
        exchange.request.headers = &header;
        exchange.request.header_count = 1;
        exchange.exchange.deadline = clock_monotonic() + 200 * MILLISECOND;
        rig_start(transport, &exchange);
        rig_wait(transport, &exchange);
        CU_ASSERT_TRUE(exchange.exchange.detail[0]);
        CU_ASSERT_FALSE(rig_detail_has(&exchange, "hunter2"));
        rig_release(transport, &exchange);
    }
    snprintf(base, sizeof(base), "http://user:hunter2@127.0.0.1%s", port);
    settings.answer_limit = 0;
    transport->ops->close(transport);
    transport = rig_open(&settings);
    rig_prepare(&exchange, base, "/reflect");
    rig_start(transport, &exchange);
    rig_wait(transport, &exchange);
    struct string answer = exchange.exchange.answer;
    static const char basic[] = "Basic dXNlcjpodW50ZXIy"; /* printf user:hunter2 | base64 */
    CU_ASSERT_PTR_NOT_NULL(memmem(answer.data, answer.length, basic, sizeof(basic) - 1));
    transport->ops->close(transport);
}

SUITE(http_faults, {"what is broken", broken}, {"what is too large", large},
      {"timeouts say which", timeouts}, {"servers that do not answer", silent_servers},
      {"no connection", no_connection}, {"bytes behind an answer", excess_harms_nobody},
      {"what may not repeat is sent once", not_sent_twice}, {"secrets", secrets_stay_secret})
