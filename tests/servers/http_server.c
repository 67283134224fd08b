/* clang-format off: the list of paths stays as it is
 *
 * An HTTP/1.1 server for tests and benchmarks: fast where it is to be no limit, and as wrong as
 * servers can be where that is wanted. One thread, one epoll loop, no dependency but zlib.
 *
 *     http_server --port 0         listens on 127.0.0.1, prints the port, a line, on stdout
 *     http_server --unix PATH      listens there, prints PATH
 *     --mute                       accepts connections and never reads from them
 *     --full                       does not even accept: the backlog is 0
 *
 * KEY below is percent-decoded and comes back as JSON {"key":"KEY","value":N}, where N is the low
 * 53 bits of FNV-1a (64 bits) of KEY, so that a swapped answer is seen.
 *
 * Answers
 *   /echo/KEY                    at once
 *   /delay/MS/KEY                after MS milliseconds (decimals too; MS-MS: uniform, by KEY's hash)
 *   /status/CODE/KEY             with that status
 *   /first/N/CODE/KEY            the first N requests for KEY get CODE, the others 200
 *   /burst/GOOD/BAD/KEY          GOOD answers, then BAD times 503, in turns over all requests
 *   /flaky/PERCENT/KEY           fails at random by a hash of seed, KEY and attempt; ?seed=N
 *                                ?how=503, 429, reset, truncate, hang, mixed (503, reset, truncate)
 *   /batch /batch/map            POST of a JSON array of keys: array of echoes, or map by key
 *   /batch/reverse /batch/short  the array backwards; without its last
 *   /reflect                     the request as JSON: method, target, headers, body
 *   /text/KEY  /empty            KEY as text/plain; 204 without a body
 *   /gzip/KEY /deflate/KEY       compressed (whatever was accepted)
 *   /chunked/KEY                 in chunks
 *   /big/BYTES /big/chunked/BYTES   a JSON string of so many bytes
 *   /redirect/N/REST             302 to /redirect/N-1/REST … and at 0 the echo of REST
 *   /ring                        302 to itself by way of /ring/1
 *   /leave?to=URL                302 to URL
 *   /pages/link /pages/cursor /pages/number   records {"n":N} of a paged API: ?of=TOTAL&size=N; by
 *                                Link header, {"items":[…],"next":CURSOR or null}, ?page=N ([] at the end)
 *   /bulk                        POST sink: NDJSON or a JSON array, gzip too; records are stored by
 *                                Idempotency-Key (a known key is answered 200 and not stored again).
 *                                ?most=N: more records get 413; ?reject=K,K: a record with "id":K in it
 *                                makes the whole request 422 with {"rejected":[index…]}; ?bad=K,K: 400;
 *                                ?lost=N: the first N are stored, and the connection reset instead of
 *                                an answer; ?busy=N: the first N get 503
 * Misbehaviour
 *   /reset/N                     N bytes of the body, then RST (/reset/head: before any byte)
 *   /truncate/N                  N bytes of a longer body, then FIN (/truncate/head: within the head)
 *   /length/KIND                 Content-Length: negative, word, two (differing), short (more bytes
 *                                follow than said), huge (2^64)
 *   /garbage /garbage/binary     no HTTP at all: text; every byte value, over and over
 *   /headers/endless /headers/line /headers/BYTES   header lines without end; one line without end; so
 *                                many bytes of them, then an echo
 *   /hang /hang/body             never answers; sends the head and half of the body, then nothing
 *   /drip/MS/BYTES               a body of so many bytes, one every MS; /drip/MS/head: of the head
 *   /bomb/BYTES                  gzip that unpacks to so many zeros
 *   /gzip-broken /gzip-cut       damaged; ends too early (Content-Length is right)
 *   /chunked-bad/KIND            size (no number), overflow, ending (no CRLF behind a chunk), cut (FIN
 *                                before the last chunk)
 *   /close/KEY                   an echo, and FIN without having said so
 * About itself
 *   /stats                       JSON; see stats_answer. /stats/clear zeroes the counters
 *   /stored                      NDJSON, a line for each record stored: {"request":key,"record":…}
 *   /quit                        exits
 *
 * On every path: ?delay=MS holds the answer back, ?retry_after=TEXT adds that header, ?type=TEXT
 * sets the content type. */
/* clang-format on */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "tests/servers/http_connection.inc.h"

#include "tests/servers/http_answers.inc.h"

#include "tests/servers/http_bulk.inc.h"

#include "tests/servers/http_faults.inc.h"

static void stats_answer(struct connection *c, const struct request *request);

static void stored_answer(struct connection *c, const struct request *request)
{
    (void)request;
    answer_send(c, 200, "application/x-ndjson", NULL, store.lines.data, store.lines.length);
}

static void quit_answer(struct connection *c, const struct request *request)
{
    (void)request;
    server.quit = true;
    answer_send(c, 200, "text/plain", NULL, "bye\n", 4);
}

/* By the path's first part. */
static struct route {
    const char *name;
    void (*answer)(struct connection *c, const struct request *request);
    uint64_t count;
} routes[] = {
    {"echo", echo_answer, 0},
    {"delay", delay_answer, 0},
    {"status", status_answer, 0},
    {"first", first_answer, 0},
    {"burst", burst_answer, 0},
    {"flaky", flaky_answer, 0},
    {"batch", batch_answer, 0},
    {"reflect", reflect_answer, 0},
    {"text", text_answer, 0},
    {"empty", empty_answer, 0},
    {"gzip", gzip_answer, 0},
    {"deflate", gzip_answer, 0},
    {"chunked", chunked_answer, 0},
    {"big", big_answer, 0},
    {"redirect", redirect_answer, 0},
    {"ring", ring_answer, 0},
    {"leave", leave_answer, 0},
    {"pages", pages_answer, 0},
    {"bulk", bulk_answer, 0},
    {"reset", reset_answer, 0},
    {"truncate", truncate_answer, 0},
    {"length", length_answer, 0},
    {"garbage", garbage_answer, 0},
    {"headers", headers_answer, 0},
    {"hang", hang_answer, 0},
    {"drip", drip_answer, 0},
    {"bomb", bomb_answer, 0},
    {"gzip-broken", gzip_broken_answer, 0},
    {"gzip-cut", gzip_broken_answer, 0},
    {"chunked-bad", chunked_bad_answer, 0},
    {"close", close_answer, 0},
    {"stats", stats_answer, 0},
    {"stored", stored_answer, 0},
    {"quit", quit_answer, 0},
};
#define ROUTES (sizeof(routes) / sizeof(routes[0]))

/* {"requests":R,"answered":A,"broken_off":B,"connections":C,"open":O,"in_flight":F,
 *  "in_flight_most":M,"mean_service_ns":S,"cpu_ns":T,"paths":{"echo":N,…}}: requests read; answers
 * sent whole; answers that were cut off, by either side; connections accepted, open now; requests
 * being answered now (this one too), at most; nanoseconds from a request read to its answer sent;
 * CPU of this process; requests by the path's first part. */
static void stats_answer(struct connection *c, const struct request *request)
{
    struct bytes body = {0};
    struct timespec cpu;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    bytes_print(&body,
                "{\"requests\":%" PRIu64 ",\"answered\":%" PRIu64 ",\"broken_off\":%" PRIu64
                ",\"connections\":%" PRIu64 ",\"open\":%" PRIu64 ",\"in_flight\":%" PRIu64
                ",\"in_flight_most\":%" PRIu64 ",\"mean_service_ns\":%" PRId64
                ",\"cpu_ns\":%" PRId64 ",\"paths\":{",
                server.requests, server.answered, server.broken_off, server.accepted, server.open,
                server.in_flight, server.in_flight_most,
                server.answered ? server.service / (int64_t)server.answered : 0,
                (int64_t)cpu.tv_sec * 1000000000 + cpu.tv_nsec - server.cpu_started);
    const char *comma = "";
    for (size_t i = 0; i < ROUTES; i++) {
        if (routes[i].count) {
            bytes_print(&body, "%s\"%s\":%" PRIu64, comma, routes[i].name, routes[i].count);
            comma = ",";
        }
    }
    bytes_text(&body, "}}\n");
    answer_send(c, 200, "application/json", NULL, body.data, body.length);
    free(body.data);
    if (span_is(request->rest, "clear")) {
        server.requests = server.in_flight; /* so that the difference stays right */
        server.answered = server.broken_off = server.in_flight_most = 0;
        server.accepted = server.open;
        server.service = 0;
        server.cpu_started = (int64_t)cpu.tv_sec * 1000000000 + cpu.tv_nsec;
        for (size_t i = 0; i < ROUTES; i++)
            routes[i].count = 0;
    }
}

static void answer_count(struct connection *c, bool whole)
{
    c->answering = false;
    server.in_flight--;
    if (!whole) {
        server.broken_off++;
        return;
    }
    server.answered++;
    server.service += time_now() - c->asked;
}

static struct route *route_find(struct span name)
{
    for (size_t i = 0; i < ROUTES; i++) {
        if (span_is(name, routes[i].name))
            return &routes[i];
    }
    return NULL;
}

/* Answers the request at the beginning of c->in, if it is there as a whole. */
static bool request_answer(struct connection *c)
{
    struct request request = {0};
    switch (request_parse(&c->in, &request)) {
    case REQUEST_PART:
        if (request.expects_continue && !c->pump_state) {
            c->pump_state = 1; /* told once */
            bytes_text(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
            bool blocked;
            connection_send(c, &blocked);
        }
        return false;
    case REQUEST_BAD:
        c->ending = ENDING_CLOSE;
        break;
    case REQUEST_WHOLE:
        c->ending = request.closes ? ENDING_CLOSE : ENDING_KEEP;
        break;
    }
    c->answering = true;
    c->held = false;
    c->used = request.length;
    c->asked = time_now();
    c->pump = NULL;
    c->pump_gap = 0;
    c->pump_state = 0;
    server.requests++;
    if (++server.in_flight > server.in_flight_most)
        server.in_flight_most = server.in_flight;
    struct route *route = request.bad ? NULL : route_find(request.name);
    if (route) {
        route->count++;
        route->answer(c, &request);
    } else {
        answer_send(c, request.bad ? 400 : 404, "text/plain", NULL, "no such path\n", 13);
    }
    double delay = query_number(&request, "delay", 0);
    if (delay > 0)
        answer_hold(c, delay);
    return true;
}

static int listen_on(const char *path, int port, int backlog)
{
    struct sockaddr_in internet = {.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                   .sin_port = htons((uint16_t)port)};
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    int on = 1;
    int descriptor =
        socket(path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        die("socket");
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (path)
        snprintf(local.sun_path, sizeof(local.sun_path), "%s", path);
    socklen_t size = path ? sizeof(local) : sizeof(internet);
    struct sockaddr *address = path ? (struct sockaddr *)&local : (struct sockaddr *)&internet;
    if (bind(descriptor, address, size) != 0)
        die("bind");
    if (listen(descriptor, backlog) != 0)
        die("listen");
    if (!path && getsockname(descriptor, address, &size) != 0)
        die("getsockname");
    if (path)
        printf("%s\n", path);
    else
        printf("%d\n", ntohs(internet.sin_port));
    fflush(stdout);
    return descriptor;
}

int main(int argc, char **argv)
{
    const char *path = NULL;
    int port = 0, backlog = 4096;
    bool full = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--port") == 0 && i + 1 < argc)
            port = atoi(argv[++i]);
        else if (strcmp(argv[i], "--unix") == 0 && i + 1 < argc)
            path = argv[++i];
        else if (strcmp(argv[i], "--mute") == 0)
            server.mute = true;
        else if (strcmp(argv[i], "--full") == 0)
            full = true, backlog = 0;
        else {
            fprintf(stderr, "usage: http_server [--port N | --unix PATH] [--mute | --full]\n");
            return 2;
        }
    }
    signal(SIGPIPE, SIG_IGN);
    server.listener = listen_on(path, port, backlog);
    server.epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    if (server.epoll < 0 ||
        (!full && epoll_ctl(server.epoll, EPOLL_CTL_ADD, server.listener, &event) != 0))
        die("epoll");
    server_loop();
    return 0;
}
