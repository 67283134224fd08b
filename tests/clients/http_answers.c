/* What is sent, and what comes back as an answer: methods, headers, bodies, encodings, links,
 * redirects, unix sockets, proxies; and requests that can never be sent. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/clients/http_rig.h"
#include "tests/suite.h"

static bool answer_has(const struct rig_exchange *exchange, const char *text)
{
    struct string answer = exchange->exchange.answer;
    return memmem(answer.data, answer.length, text, strlen(text)) != NULL;
}

static void plain_answers(void)
{
    struct http_settings settings = {0};
    struct transport *transport = rig_open(&settings);
    struct rig_exchange exchange;
    static const char *const paths[] = {"/echo/k%20%22", "/delay/5/k%20%22", "/chunked/k%20%22",
                                        "/gzip/k%20%22", "/deflate/k%20%22", "/close/k%20%22"};
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        rig_get(transport, &exchange, paths[i]);
        CU_ASSERT_EQUAL(exchange.exchange.outcome, OUTCOME_ANSWER);
        CU_ASSERT_EQUAL(exchange.exchange.status, 200);
        CU_ASSERT_TRUE(answer_has(&exchange, "{\"key\":\"k \\\"\",\"value\":"));
        CU_ASSERT_TRUE(exchange.exchange.answer_is_json);
        CU_ASSERT_TRUE(exchange.exchange.first_byte >= exchange.exchange.started);
        CU_ASSERT_TRUE(exchange.exchange.finished >= exchange.exchange.first_byte);
        CU_ASSERT_EQUAL(exchange.exchange.detail[0], 0);
        rig_release(transport, &exchange);
    }
    rig_get(transport, &exchange, "/empty");
    CU_ASSERT_EQUAL(exchange.exchange.status, 204);
    CU_ASSERT_EQUAL(exchange.exchange.answer.length, 0);
    rig_release(transport, &exchange);
    rig_get(transport, &exchange, "/text/hello");
    CU_ASSERT_FALSE(exchange.exchange.answer_is_json);
    CU_ASSERT_TRUE(string_equal_text(exchange.exchange.answer, "hello"));
    rig_release(transport, &exchange);
    rig_get(transport, &exchange, "/echo/t?type=application/problem%2Bjson");
    CU_ASSERT_EQUAL(exchange.exchange.status, 200);
    rig_release(transport, &exchange);
    rig_get(transport, &exchange, "/big/5000000");
    CU_ASSERT_EQUAL(exchange.exchange.answer.length, 5000000);
    rig_release(transport, &exchange);
    rig_get(transport, &exchange, "/headers/200000"); /* below the bound */
    CU_ASSERT_TRUE(string_equal_text(exchange.exchange.answer, "{}"));
    transport->ops->close(transport);
}

static void statuses(void)
{
    static const int all[] = {200, 201, 404, 409, 429, 500, 503};
    struct http_settings settings = {0};
    struct transport *transport = rig_open(&settings);
    struct rig_exchange exchange;
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        char path[64];
        snprintf(path, sizeof(path), "/status/%d/k?retry_after=7", all[i]);
        rig_get(transport, &exchange, path);
        CU_ASSERT_EQUAL(exchange.exchange.status, all[i]);
        CU_ASSERT_TRUE(rig_answer_is(&exchange, "k"));
        CU_ASSERT_EQUAL(exchange.exchange.retry_after, 7 * NANOSECONDS);
        rig_release(transport, &exchange);
    }
    rig_get(transport, &exchange,
            "/status/503/k?retry_after=Fri%2C%2031%20Dec%209999%2023%3A59%3A59%20GMT");
    CU_ASSERT_TRUE(exchange.exchange.retry_after > 86399 * NANOSECONDS); /* cut at a day */
    CU_ASSERT_TRUE(exchange.exchange.retry_after <= 86400 * NANOSECONDS);
    transport->ops->close(transport);
}

static void rig_send(struct transport *transport, struct rig_exchange *exchange, const char *path,
                     const char *method, const char *body, const struct request_header *headers,
                     uint32_t count)
{
    rig_prepare(exchange, rig_url(), path);
    exchange->request.method = (struct string){method, strlen(method)};
    exchange->request.body = (struct string){body, strlen(body)};
    exchange->request.headers = headers;
    exchange->request.header_count = count;
    rig_start(transport, exchange);
    rig_wait(transport, exchange);
}

static void methods_and_headers(void)
{
    static const char *const methods[] = {"POST", "PUT", "PATCH", "DELETE", "GET", "POST", "QUERY"};
    static const struct request_header defaults[] = {{STRING("X-Default"), STRING("d")},
                                                     {STRING("x-both"), STRING("default")}};
    static const struct request_header own[] = {{STRING("Content-Type"), STRING("text/x")},
                                                {STRING("X-Both"), STRING("own")},
                                                {STRING("X-Empty"), STRING("")}};
    struct http_settings settings = {.headers = defaults, .header_count = 2};
    struct transport *transport = rig_open(&settings);
    struct rig_exchange exchange;
    for (size_t i = 0; i < ARRAY_SIZE(methods) * 2; i++) { /* one handle in all orders */
        const char *method = methods[i % ARRAY_SIZE(methods)];
        bool with_own = i % 3 == 0;
        char text[64];
        rig_send(transport, &exchange, "/reflect?a=b", method, "{\"a\":1}", own, with_own ? 3 : 0);
        snprintf(text, sizeof(text), "{\"method\":\"%s\",\"target\":\"/reflect?a=b\"", method);
        CU_ASSERT_TRUE(answer_has(&exchange, text));
        CU_ASSERT_TRUE(answer_has(&exchange, "\"body\":\"{\\\"a\\\":1}\""));
        CU_ASSERT_TRUE(answer_has(&exchange, "\"x-default\":\"d\""));
        CU_ASSERT_TRUE(answer_has(&exchange, "\"user-agent\":\"leat/"));
        CU_ASSERT_FALSE(answer_has(&exchange, "expect"));
        CU_ASSERT_EQUAL(answer_has(&exchange, "\"content-type\":\"text/x\""), with_own);
        CU_ASSERT_EQUAL(answer_has(&exchange, "content-type"), with_own);
        CU_ASSERT_EQUAL(answer_has(&exchange, "\"x-empty\":\"\""), with_own);
        CU_ASSERT_EQUAL(answer_has(&exchange, "\"x-both\":\"own\""), with_own);
        CU_ASSERT_EQUAL(answer_has(&exchange, "\"x-both\":\"default\""), !with_own);
        rig_release(transport, &exchange);
        rig_get(transport, &exchange, "/reflect");
        CU_ASSERT_TRUE(answer_has(&exchange, "{\"method\":\"GET\""));
        CU_ASSERT_TRUE(answer_has(&exchange, "\"body\":\"\""));
        CU_ASSERT_FALSE(answer_has(&exchange, "content-length"));
        rig_release(transport, &exchange);
    }
    rig_send(transport, &exchange, "/echo/head", "HEAD", "", NULL, 0);
    CU_ASSERT_EQUAL(exchange.exchange.status, 200);
    CU_ASSERT_EQUAL(exchange.exchange.answer.length, 0);
    rig_release(transport, &exchange);
    rig_send(transport, &exchange, "/batch", "POST", "[\"a\",\"b\"]", NULL, 0);
    CU_ASSERT_TRUE(answer_has(&exchange, "[{\"key\":\"a\"") && answer_has(&exchange, "\"b\""));
    rig_release(transport, &exchange);
    char *body = malloc(3000001);
    memset(body, 'b', 3000000);
    body[3000000] = 0;
    rig_send(transport, &exchange, "/reflect", "POST", body, NULL, 0);
    CU_ASSERT_TRUE(answer_has(&exchange, "\"content-length\":\"3000000\""));
    CU_ASSERT_TRUE(exchange.exchange.answer.length > 3000000);
    free(body);
    transport->ops->close(transport);
}

static void invalid_requests(void)
{
    static const char *const urls[] = {"",
                                       "relative/path",
                                       "file:///etc/passwd",
                                       "ftp://127.0.0.1/",
                                       "gopher://127.0.0.1/",
                                       "http://",
                                       "http://127.0.0.1:99999/",
                                       "http://127.0.0.1/with space",
                                       "http://127.0.0.1/line\r\nX: y",
                                       "http://[::1/",
                                       "http://user:secret-word@[bad/"};
    static const struct request_header bad[] = {{STRING("X-Line"), STRING("a\r\nInjected: yes")},
                                                {STRING("X Space"), STRING("a")},
                                                {STRING(""), STRING("a")},
                                                {STRING("X-Nul"), {"a\0b", 3}},
                                                {STRING("Content-Length"), STRING("5")},
                                                {STRING("X:Colon"), STRING("b")}};
    struct http_settings settings = {0};
    struct transport *transport = rig_open(&settings);
    struct rig_exchange exchange;
    for (size_t i = 0; i < ARRAY_SIZE(urls); i++) {
        rig_prepare(&exchange, urls[i], "");
        rig_start(transport, &exchange);
        CU_ASSERT_FALSE(exchange.over); /* never at once */
        rig_wait(transport, &exchange);
        if (exchange.exchange.outcome != OUTCOME_INVALID)
            printf("%s: %d %s\n", urls[i], exchange.exchange.outcome, exchange.exchange.detail);
        CU_ASSERT_EQUAL(exchange.exchange.outcome, OUTCOME_INVALID);
        CU_ASSERT_FALSE(rig_detail_has(&exchange, "secret-word"));
        CU_ASSERT_TRUE(exchange.exchange.detail[0]);
        rig_release(transport, &exchange);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        rig_send(transport, &exchange, "/reflect", "GET", "", &bad[i], 1);
        CU_ASSERT_EQUAL(exchange.exchange.outcome, OUTCOME_INVALID);
        CU_ASSERT_FALSE(rig_detail_has(&exchange, "Injected"));
        rig_release(transport, &exchange);
        struct error error;
        struct http_settings with = {.headers = &bad[i], .header_count = 1};
        CU_ASSERT_PTR_NULL(http_transport_open(&with, &error));
        CU_ASSERT_PTR_NULL(strstr(error.text, "Injected"));
    }
    rig_send(transport, &exchange, "/reflect", "GE T", "", NULL, 0);
    CU_ASSERT_EQUAL(exchange.exchange.outcome, OUTCOME_INVALID);
    rig_release(transport, &exchange);
    rig_get(transport, &exchange, "/echo/still");
    CU_ASSERT_TRUE(rig_answer_is(&exchange, "still"));
    transport->ops->close(transport);
}

/* Whatever spells a link-local address: a name, other notations, IPv6, a redirect. */
static void link_local_refused(void)
{
    static const char *const urls[] = {"http://169.254.169.254/latest/meta-data/",
                                       "http://2852039166/",
                                       "http://0xa9fea9fe/",
                                       "http://0251.0376.0251.0376/",
                                       "http://[fe80::1]/",
                                       "http://[fd00:ec2::254]/",
                                       "http://[::ffff:169.254.169.254]/",
                                       "http://[64:ff9b::169.254.169.254]/"};
    struct http_settings settings = {.redirects = 5, .redirects_anywhere = true};
    struct transport *transport = rig_open(&settings);
    struct rig_exchange exchange;
    for (size_t i = 0; i < ARRAY_SIZE(urls); i++) {
        rig_prepare(&exchange, urls[i], "");
        rig_start(transport, &exchange);
        rig_wait(transport, &exchange);
        if (exchange.exchange.outcome != OUTCOME_INVALID)
            printf("%s: %d %s\n", urls[i], exchange.exchange.outcome, exchange.exchange.detail);
        CU_ASSERT_EQUAL(exchange.exchange.outcome, OUTCOME_INVALID);
        CU_ASSERT_TRUE(rig_detail_has(&exchange, "link-local"));
        rig_release(transport, &exchange);
    }
    rig_get(transport, &exchange, "/leave?to=http%3A%2F%2F169.254.169.254%2Flatest");
    CU_ASSERT_EQUAL(exchange.exchange.outcome, OUTCOME_INVALID);
    CU_ASSERT_TRUE(rig_detail_has(&exchange, "link-local"));
    transport->ops->close(transport);
}

static void redirects(void)
{
    static const struct request_header secret[] = {{STRING("Authorization"), STRING("Bearer s3")},
                                                   {STRING("X-Api-Key"), STRING("s3")},
                                                   {STRING("Accept"), STRING("text/a")}};
    struct http_settings settings = {.redirects = 3};
    struct transport *transport = rig_open(&settings);
    struct rig_exchange exchange;
    rig_get(transport, &exchange, "/redirect/3/k");
    CU_ASSERT_TRUE(rig_answer_is(&exchange, "k"));
    rig_release(transport, &exchange);
    rig_get(transport, &exchange, "/redirect/4/k");
    CU_ASSERT_EQUAL(exchange.exchange.outcome, OUTCOME_ANSWER);
    CU_ASSERT_EQUAL(exchange.exchange.status, 302);
    CU_ASSERT_TRUE(rig_detail_has(&exchange, "more than 3 redirects"));
    rig_release(transport, &exchange);
    long before = rig_stat("ring");
    rig_get(transport, &exchange, "/ring");
    CU_ASSERT_EQUAL(exchange.exchange.status, 302);
    CU_ASSERT_EQUAL(rig_stat("ring") - before, 4);
    rig_release(transport, &exchange);
    rig_get(transport, &exchange, "/leave?to=http%3A%2F%2Flocalhost%3A9%2F%3Ftoken%3Dqwerty");
    CU_ASSERT_EQUAL(exchange.exchange.status, 302);
    CU_ASSERT_TRUE(rig_detail_has(&exchange, "http://localhost:9) not followed"));
    CU_ASSERT_FALSE(rig_detail_has(&exchange, "qwerty"));
    rig_release(transport, &exchange);
    rig_get(transport, &exchange, "/leave?to=file%3A%2F%2F%2Fetc%2Fpasswd");
    CU_ASSERT_EQUAL(exchange.exchange.status, 302);
    CU_ASSERT_TRUE(rig_detail_has(&exchange, "not followed"));
    rig_release(transport, &exchange);
    rig_send(transport, &exchange, "/leave?to=%2Freflect", "POST", "body", secret, 3);
    CU_ASSERT_TRUE(answer_has(&exchange, "{\"method\":\"GET\""));
    CU_ASSERT_TRUE(answer_has(&exchange, "\"authorization\":\"Bearer s3\"")); /* same host */
    transport->ops->close(transport);

    settings.redirects_anywhere = true;
    transport = rig_open(&settings);
    char path[512];
    snprintf(path, sizeof(path), "/leave?to=http://localhost%s/reflect", strrchr(rig_url(), ':'));
    rig_send(transport, &exchange, path, "GET", "", secret, 3);
    CU_ASSERT_EQUAL(exchange.exchange.outcome, OUTCOME_ANSWER);
    CU_ASSERT_TRUE(answer_has(&exchange, "\"accept\":\"text/a\""));
    CU_ASSERT_FALSE(answer_has(&exchange, "s3"));
    rig_release(transport, &exchange);
    rig_send(transport, &exchange, "/reflect", "GET", "", secret, 3); /* the next has all again */
    CU_ASSERT_TRUE(answer_has(&exchange, "\"x-api-key\":\"s3\""));
    transport->ops->close(transport);

    settings = (struct http_settings){0};
    transport = rig_open(&settings);
    rig_get(transport, &exchange, "/redirect/1/k");
    CU_ASSERT_EQUAL(exchange.exchange.status, 302);
    CU_ASSERT_EQUAL(exchange.exchange.detail[0], 0);
    transport->ops->close(transport);
}

static void next_links(void)
{
    struct http_settings settings = {0};
    struct transport *transport = rig_open(&settings);
    struct rig_exchange exchange;
    char url[1024], expected[1024];
    snprintf(url, sizeof(url), "%s/pages/link?of=25&size=10", rig_url());
    for (int page = 2; page <= 4; page++) {
        rig_prepare(&exchange, url, "");
        rig_start(transport, &exchange);
        rig_wait(transport, &exchange);
        struct string link = exchange.exchange.next_link;
        snprintf(expected, sizeof(expected), "%s/pages/link?of=25&size=10&page=%d", rig_url(),
                 page);
        CU_ASSERT_TRUE(string_equal_text(link, page < 4 ? expected : ""));
        snprintf(url, sizeof(url), "%.*s", (int)link.length, link.data);
        rig_release(transport, &exchange);
    }
    transport->ops->close(transport);
}

static void unix_sockets(void)
{
    char path[256], error_path[300];
    struct rig_program server;
    struct rig_exchange exchange;
    snprintf(path, sizeof(path), "%s/http.socket", suite_folder());
    snprintf(error_path, sizeof(error_path), "%s.none", path);
    const char *const arguments[] = {"--unix", path, NULL};
    CU_ASSERT_TRUE_FATAL(rig_server_start(&server, arguments));
    struct http_settings settings = {.unix_socket = path};
    struct transport *transport = rig_open(&settings);
    rig_prepare(&exchange, "http://any.example", "/echo/unix");
    rig_start(transport, &exchange);
    rig_wait(transport, &exchange);
    CU_ASSERT_TRUE(rig_answer_is(&exchange, "unix"));
    transport->ops->close(transport);
    rig_program_stop(&server);
    settings.unix_socket = error_path;
    transport = rig_open(&settings);
    rig_prepare(&exchange, "http://any.example", "/echo/unix");
    rig_start(transport, &exchange);
    rig_wait(transport, &exchange);
    CU_ASSERT_EQUAL(exchange.exchange.outcome, OUTCOME_CONNECT);
    transport->ops->close(transport);
}

/* The server takes absolute targets as a proxy would. */
static void proxies(void)
{
    struct rig_exchange exchange;
    struct http_settings settings = {.proxy = rig_url()};
    struct transport *transport = rig_open(&settings);
    rig_prepare(&exchange, "http://far.example", "/echo/by-proxy");
    rig_start(transport, &exchange);
    rig_wait(transport, &exchange);
    CU_ASSERT_TRUE(rig_answer_is(&exchange, "by-proxy"));
    transport->ops->close(transport);

    setenv("http_proxy", rig_url(), 1);
    settings.proxy = NULL;
    transport = rig_open(&settings);
    rig_prepare(&exchange, "http://far.example", "/echo/by-environment");
    rig_start(transport, &exchange);
    rig_wait(transport, &exchange);
    CU_ASSERT_TRUE(rig_answer_is(&exchange, "by-environment"));
    transport->ops->close(transport);
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    settings.proxy = ""; /* none, whatever the environment says */
    transport = rig_open(&settings);
    rig_get(transport, &exchange, "/echo/direct");
    CU_ASSERT_TRUE(rig_answer_is(&exchange, "direct"));
    transport->ops->close(transport);
    unsetenv("http_proxy");
}

SUITE(http_answers, {"plain answers", plain_answers}, {"statuses and Retry-After", statuses},
      {"methods and headers", methods_and_headers}, {"what can never be sent", invalid_requests},
      {"link-local addresses", link_local_refused}, {"redirects", redirects},
      {"next links", next_links}, {"unix sockets", unix_sockets}, {"proxies", proxies})
