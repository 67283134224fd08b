/* TLS: certificates are verified, own ones are shown, HTTP/2 is taken where it is offered. The
 * certificates are made by the openssl command; its s_server answers. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>

#include "tests/clients/http_rig.h"
#include "tests/suite.h"

static char folder[256];

static bool shell(const char *format, ...) PRINTF_LIKE(1, 2);
static bool shell(const char *format, ...)
{
    char command[2048], quiet[2200];
    va_list list;
    va_start(list, format);
    vsnprintf(command, sizeof(command), format, list);
    va_end(list);
    snprintf(quiet, sizeof(quiet), "cd '%s' && (%s) >/dev/null 2>&1", suite_folder(), command);
    return system(quiet) == 0;
}

/* An authority, a server certificate for 127.0.0.1 and localhost, and a client's. */
static bool certificates_make(void)
{
    if (folder[0])
        return true;
    bool done =
        shell("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key "
              "-out ca.pem -days 2 -subj /CN=leat-test-authority") &&
        shell("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key "
              "-out server.csr -subj /CN=localhost && printf "
              "'subjectAltName=DNS:localhost,IP:127.0.0.1' > san && openssl x509 -req -in "
              "server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out "
              "server.pem") &&
        shell("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout client.key "
              "-out client.csr -subj /CN=client && openssl x509 -req -in client.csr -CA ca.pem "
              "-CAkey ca.key -CAcreateserial -days 2 -out client.pem");
    if (done)
        snprintf(folder, sizeof(folder), "%s", suite_folder());
    return done;
}

static const char *file(const char *name)
{
    static char paths[8][320];
    static unsigned turn;
    char *path = paths[turn++ % ARRAY_SIZE(paths)];
    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

/* openssl s_server -www, on a port of its choice; url has room for 300. */
static bool tls_server_start(struct rig_program *server, bool wants_client, char *url)
{
    const char *const argv[] = {"openssl",
                                "s_server",
                                "-www",
                                "-accept",
                                "127.0.0.1:0",
                                "-cert",
                                file("server.pem"),
                                "-key",
                                file("server.key"),
                                "-CAfile",
                                file("ca.pem"),
                                wants_client ? "-Verify" : NULL,
                                "1",
                                "-verify_return_error",
                                NULL};
    if (!rig_program_start(server, argv, "ACCEPT"))
        return false;
    const char *colon = strrchr(server->line, ':');
    snprintf(url, 300, "https://127.0.0.1%s", colon ? colon : "");
    return colon != NULL;
}

static void https_get(const struct http_settings *settings, struct rig_exchange *exchange,
                      const char *url, enum outcome outcome, const char *detail)
{
    struct transport *transport = rig_open(settings);
    rig_prepare(exchange, url, "/");
    rig_start(transport, exchange);
    rig_wait(transport, exchange);
    bool right = exchange->exchange.outcome == outcome && rig_detail_has(exchange, detail);
    if (!right)
        printf("%s: %d %s\n", url, exchange->exchange.outcome, exchange->exchange.detail);
    CU_ASSERT_TRUE(right);
    if (outcome == OUTCOME_ANSWER)
        CU_ASSERT_TRUE(exchange->exchange.status == 200 && exchange->exchange.answer.length > 100);
    transport->ops->close(transport);
}

static void verified(void)
{
    struct rig_program server;
    struct rig_exchange exchange;
    char url[300], named[300];
    if (!certificates_make() || !tls_server_start(&server, false, url)) {
        suite_skip("no openssl command");
        return;
    }
    https_get(&(struct http_settings){0}, &exchange, url, OUTCOME_CONNECT, "certificate");
    https_get(&(struct http_settings){.ca = file("ca.pem")}, &exchange, url, OUTCOME_ANSWER, "");
    https_get(&(struct http_settings){.no_verification = true}, &exchange, url, OUTCOME_ANSWER, "");
    /* Another authority of the same name does not help, nor does a name that is not in it. */
    CU_ASSERT_TRUE(shell("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
                         "-keyout other.key -out other.pem -days 2 -subj /CN=leat-test-authority"));
    https_get(&(struct http_settings){.ca = file("other.pem")}, &exchange, url, OUTCOME_CONNECT,
              "certificate");
    snprintf(named, sizeof(named), "https://127.1.2.3%s", strrchr(url, ':'));
    struct rig_exchange other;
    https_get(&(struct http_settings){.ca = file("ca.pem")}, &other, named, OUTCOME_CONNECT, "");
    struct error error;
    CU_ASSERT_PTR_NULL(
        http_transport_open(&(struct http_settings){.ca = file("missing.pem")}, &error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "missing.pem"));
    /* Plain HTTP to a TLS server, and TLS to a plain one. */
    snprintf(named, sizeof(named), "http://%s", url + strlen("https://"));
    https_get(&(struct http_settings){0}, &exchange, named, OUTCOME_BROKEN, "");
    rig_program_stop(&server);
    snprintf(named, sizeof(named), "https://%s", rig_url() + strlen("http://"));
    https_get(&(struct http_settings){0}, &exchange, named, OUTCOME_CONNECT, "");
}

static void client_certificates(void)
{
    struct rig_program server;
    struct rig_exchange exchange;
    char url[300];
    if (!certificates_make() || !tls_server_start(&server, true, url)) {
        suite_skip("no openssl command");
        return;
    }
    struct http_settings settings = {.ca = file("ca.pem")};
    struct transport *transport = rig_open(&settings);
    rig_prepare(&exchange, url, "/");
    rig_start(transport, &exchange);
    rig_wait(transport, &exchange);
    CU_ASSERT_NOT_EQUAL(exchange.exchange.outcome, OUTCOME_ANSWER);
    transport->ops->close(transport);
    settings.cert = file("client.pem");
    settings.key = file("client.key");
    https_get(&settings, &exchange, url, OUTCOME_ANSWER, "");
    settings.key = file("ca.key"); /* not the certificate's */
    https_get(&settings, &exchange, url, OUTCOME_INVALID, "client certificate");
    rig_program_stop(&server);
}

/* A port that was free a moment ago. */
static int port_free(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int port = 0;
    if (bind(descriptor, (struct sockaddr *)&address, size) == 0 &&
        getsockname(descriptor, (struct sockaddr *)&address, &size) == 0)
        port = ntohs(address.sin_port);
    close(descriptor);
    return port;
}

/* Many exchanges over one connection, if nghttpd (package nghttp2-server) is there. */
static void http2_multiplexes(void)
{
    struct rig_program server;
    static struct rig_exchange exchanges[200];
    char command[1024], base[64];
    int number = port_free();
    snprintf(base, sizeof(base), "https://127.0.0.1:%d", number);
    if (!certificates_make() || system("command -v nghttpd >/dev/null") != 0) {
        suite_skip("no nghttpd");
        return;
    }
    CU_ASSERT_TRUE(shell("printf 'two' > two.txt"));
    const char *const argv[] = {"sh", "-c", command, NULL};
    snprintf(command, sizeof(command),
             "echo started; exec nghttpd --htdocs '%s' --address 127.0.0.1 %d '%s' '%s'", folder,
             number, file("server.key"), file("server.pem"));
    CU_ASSERT_TRUE_FATAL(rig_program_start(&server, argv, "started"));
    struct http_settings settings = {.ca = file("ca.pem"), .connections_per_host = 1};
    struct transport *transport = rig_open(&settings);
    int64_t limit = clock_monotonic() + 10 * NANOSECONDS;
    do { /* until it listens */
        rig_prepare(&exchanges[0], base, "/two.txt");
        rig_start(transport, &exchanges[0]);
        rig_wait(transport, &exchanges[0]);
        rig_release(transport, &exchanges[0]);
    } while (exchanges[0].exchange.outcome == OUTCOME_CONNECT && clock_monotonic() < limit);
    for (size_t i = 0; i < ARRAY_SIZE(exchanges); i++) {
        rig_prepare(&exchanges[i], base, "/two.txt");
        rig_start(transport, &exchanges[i]);
        if (i % 10 == 9)
            transport->ops->step(transport);
    }
    unsigned right = 0;
    for (size_t i = 0; i < ARRAY_SIZE(exchanges); i++) {
        if (i % 7 == 3 && !exchanges[i].over) {
            transport->ops->cancel(transport, &exchanges[i].exchange);
            right++;
            continue;
        }
        rig_wait(transport, &exchanges[i]);
        right += exchanges[i].exchange.status == 200 &&
                 string_equal_text(exchanges[i].exchange.answer, "two");
        rig_release(transport, &exchanges[i]);
    }
    CU_ASSERT_EQUAL(right, ARRAY_SIZE(exchanges));
    transport->ops->close(transport);
    rig_program_stop(&server);
}

SUITE(http_tls, {"certificates are verified", verified},
      {"certificates of the client", client_certificates}, {"HTTP/2", http2_multiplexes})
