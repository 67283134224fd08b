/* libcurl itself: see http_internal.h. Owns the process's initialization of libcurl, and each
 * transport's multi handle, share and epoll descriptor.
 *
 * Between two requests libcurl wants a kept connection watched no more. Taking it out of epoll and
 * putting it in again would be two system calls for each request, so it stays in, and is taken out
 * when it becomes readable while nobody wants it (the peer closes it). For that we must hear of
 * every close, so we open and close the sockets ourselves. */
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clients/http_internal.h"
#include "core/clock.h"
#include "core/fault.h"

#define EVENTS             32
#define ROUNDS             1
#define MILLISECOND        1000000
#define RECEIVE_SIZE       8192L
#define CACHE_SIZE         64
#define KEEPALIVE_SECONDS  118L
#define SUPPORTED_PROTOCOL "http,https"

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_opened; /* written once under curl_once */

static char *text_copy(const char *text)
{
    return memory_copy_text(text, strlen(text));
}

static void curl_initialize(void)
{
    curl_opened = curl_global_init_mem(CURL_GLOBAL_ALL, memory_take, free, memory_resize, text_copy,
                                       memory_take_zeroed);
}

/* Sockets. */
static struct http_socket *socket_slot(struct http_transport *transport, curl_socket_t descriptor)
{
    size_t index = (size_t)descriptor;
    if (index >= transport->socket_count) {
        size_t count = size_max(index + 64, transport->socket_count * 2);
        struct http_socket *sockets =
            memory_resize(transport->sockets, count * sizeof(struct http_socket));
        if (!sockets)
            return NULL;
        memset(sockets + transport->socket_count, 0,
               (count - transport->socket_count) * sizeof(struct http_socket));
        transport->sockets = sockets;
        transport->socket_count = count;
    }
    return &transport->sockets[index];
}

static bool socket_watch(struct http_transport *transport, int descriptor,
                         struct http_socket *socket, uint8_t mask)
{
    struct epoll_event event = {.data.fd = descriptor};
    if (mask & CURL_POLL_IN)
        event.events |= EPOLLIN;
    if (mask & CURL_POLL_OUT)
        event.events |= EPOLLOUT;
    int operation = !mask ? EPOLL_CTL_DEL : socket->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    bool done = epoll_ctl(transport->transport.descriptor, operation, descriptor, &event) == 0;
    socket->watched = done ? mask : 0;
    return done || !mask;
}

/* CURLMOPT_SOCKETFUNCTION */
static int socket_changed(CURL *easy, curl_socket_t descriptor, int what, void *context, void *own)
{
    struct http_transport *transport = context;
    struct http_socket *socket = socket_slot(transport, descriptor);
    (void)easy;
    (void)own;
    if (!socket)
        return -1;
    socket->wanted = what == CURL_POLL_REMOVE ? 0 : (uint8_t)what;
    if (socket->wanted == socket->watched || (!socket->wanted && socket->ours))
        return 0;
    return socket_watch(transport, descriptor, socket, socket->wanted) ? 0 : -1;
}

/* Link-local, and the metadata address that one cloud has outside of it. */
static bool address_is_link_local(const struct sockaddr *address)
{
    static const uint8_t metadata[16] = {0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54};
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *internet = (const struct sockaddr_in *)address;
        return ntohl(internet->sin_addr.s_addr) >> 16 == 0xa9fe;
    }
    if (address->sa_family != AF_INET6)
        return false;
    const struct in6_addr *six = &((const struct sockaddr_in6 *)address)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(six) || IN6_IS_ADDR_V4COMPAT(six))
        return six->s6_addr[12] == 169 && six->s6_addr[13] == 254;
    static const uint8_t translated[12] = {0x00, 0x64, 0xff, 0x9b}; /* 64:ff9b::/96, NAT64 */
    if (memcmp(six->s6_addr, translated, sizeof(translated)) == 0)
        return six->s6_addr[12] == 169 && six->s6_addr[13] == 254;
    return IN6_IS_ADDR_LINKLOCAL(six) || memcmp(six, metadata, sizeof(metadata)) == 0;
}

/* CURLOPT_OPENSOCKETFUNCTION */
static curl_socket_t socket_open(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct http_sending *sending = context;
    struct http_transport *transport = sending->transport;
    (void)purpose;
    if (!transport->settings.link_local && address_is_link_local(&address->addr)) {
        sending->refused = true;
        return CURL_SOCKET_BAD;
    }
    int descriptor = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (descriptor < 0)
        return CURL_SOCKET_BAD;
    struct http_socket *slot = socket_slot(transport, descriptor);
    if (!slot) {
        close(descriptor);
        return CURL_SOCKET_BAD;
    }
    *slot = (struct http_socket){.ours = true};
    return descriptor;
}

/* CURLOPT_CLOSESOCKETFUNCTION */
static int socket_close(void *context, curl_socket_t descriptor)
{
    struct http_transport *transport = context;
    if ((size_t)descriptor < transport->socket_count)
        transport->sockets[descriptor] = (struct http_socket){0};
    return close(descriptor);
}

/* CURLMOPT_TIMERFUNCTION */
static int timer_changed(CURLM *multi, long milliseconds, void *context)
{
    struct http_transport *transport = context;
    (void)multi;
    transport->curl_due =
        milliseconds < 0 ? INT64_MAX : clock_monotonic() + (int64_t)milliseconds * MILLISECOND;
    return 0;
}

/* CURLOPT_PREREQFUNCTION: connected, about to send. libcurl sends again by itself when a kept
 * connection turns out to be closed. */
static int request_goes_out(void *context, char *peer, char *local, int peer_port, int local_port)
{
    struct http_sending *sending = context;
    (void)peer;
    (void)local;
    (void)peer_port;
    (void)local_port;
    if (sending->gate)
        http_gate_open(sending, sending->transport->now, false);
    if (sending->sent++ > 0 && !sending->exchange->request->repeatable) {
        http_detail(sending, "the connection was closed before an answer");
        sending->exchange->outcome = OUTCOME_BROKEN;
        sending->verdict = true;
        return CURL_PREREQFUNC_ABORT;
    }
    return CURL_PREREQFUNC_OK;
}

static void socket_action(struct http_transport *transport, curl_socket_t descriptor, int mask)
{
    int running;
    if (!transport->sick &&
        curl_multi_socket_action(transport->multi, descriptor, mask, &running) != CURLM_OK)
        transport->sick = true;
}

static void socket_event(struct http_transport *transport, const struct epoll_event *event)
{
    int mask = 0, descriptor = event->data.fd;
    struct http_socket *socket = &transport->sockets[descriptor];
    if (!socket->wanted) {
        if (socket->watched)
            socket_watch(transport, descriptor, socket, 0);
        return;
    }
    if (event->events & (EPOLLIN | EPOLLHUP))
        mask |= CURL_CSELECT_IN;
    if (event->events & EPOLLOUT)
        mask |= CURL_CSELECT_OUT;
    if (event->events & EPOLLERR)
        mask |= CURL_CSELECT_ERR;
    socket_action(transport, descriptor, mask);
}

void http_curl_step(struct http_transport *transport)
{
    struct epoll_event events[EVENTS];
    for (int round = 0; round < ROUNDS; round++) {
        if (transport->curl_due <= transport->now) {
            transport->curl_due = INT64_MAX;
            socket_action(transport, CURL_SOCKET_TIMEOUT, 0);
        }
        int count = epoll_wait(transport->transport.descriptor, events, EVENTS, 0);
        for (int i = 0; i < count; i++)
            socket_event(transport, &events[i]);
        if (count < EVENTS)
            break;
        transport->now = clock_monotonic();
    }
}

/* Options of handles. A refused option is a libcurl that lacks something. */
#define SET(option, value) result |= curl_easy_setopt(easy, option, value)

static CURLcode limits_set(CURL *easy, const struct http_settings *settings)
{
    CURLcode result = CURLE_OK;
    long keepalive = (settings->keepalive + NANOSECONDS - 1) / NANOSECONDS;
    SET(CURLOPT_MAXAGE_CONN, keepalive ? keepalive : KEEPALIVE_SECONDS);
    if (settings->lifetime)
        SET(CURLOPT_MAXLIFETIME_CONN, (long)((settings->lifetime + NANOSECONDS - 1) / NANOSECONDS));
    if (settings->no_keepalive)
        SET(CURLOPT_FORBID_REUSE, 1L);
    if (settings->connect_timeout)
        SET(CURLOPT_CONNECTTIMEOUT_MS,
            (long)((settings->connect_timeout + MILLISECOND - 1) / MILLISECOND));
    return result;
}

static CURLcode way_set(CURL *easy, const struct http_settings *settings)
{
    static const long versions[] = {
        [HTTP_VERSION_AUTO] = CURL_HTTP_VERSION_2TLS,
        [HTTP_VERSION_1] = CURL_HTTP_VERSION_1_1,
        [HTTP_VERSION_2] = CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE,
    };
    CURLcode result = CURLE_OK;
    SET(CURLOPT_HTTP_VERSION, versions[settings->version]);
    if (settings->proxy)
        SET(CURLOPT_PROXY, settings->proxy);
    if (settings->unix_socket)
        SET(CURLOPT_UNIX_SOCKET_PATH, settings->unix_socket);
    if (settings->ca) {
        bool folder = access(settings->ca, R_OK | X_OK) == 0;
        if (folder)
            SET(CURLOPT_CAPATH, settings->ca);
        SET(CURLOPT_CAINFO, folder ? NULL : settings->ca);
        if (!folder)
            SET(CURLOPT_CAPATH, NULL);
    }
    if (settings->cert) {
        SET(CURLOPT_SSLCERT, settings->cert);
        SET(CURLOPT_SSLKEY, settings->key ? settings->key : settings->cert);
    }
    if (settings->no_verification) {
        SET(CURLOPT_SSL_VERIFYPEER, 0L);
        SET(CURLOPT_SSL_VERIFYHOST, 0L);
    }
    return result;
}

bool http_curl_prepare(struct http_sending *sending)
{
    struct http_transport *transport = sending->transport;
    CURL *easy = sending->easy;
    CURLcode result = CURLE_OK;
    SET(CURLOPT_PRIVATE, sending);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); /* a cancelled lookup of a name is not waited for */
    SET(CURLOPT_PROTOCOLS_STR, SUPPORTED_PROTOCOL);
    SET(CURLOPT_REDIR_PROTOCOLS_STR, SUPPORTED_PROTOCOL);
    SET(CURLOPT_ERRORBUFFER, sending->error_text);
    SET(CURLOPT_BUFFERSIZE, RECEIVE_SIZE);
    SET(CURLOPT_UPLOAD_BUFFERSIZE, 16384L);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_USERAGENT,
        transport->settings.user_agent ? transport->settings.user_agent : "leat/" LEAT_VERSION);
    SET(CURLOPT_HEADERFUNCTION, http_header_take);
    SET(CURLOPT_HEADERDATA, sending);
    SET(CURLOPT_WRITEFUNCTION, http_body_take);
    SET(CURLOPT_WRITEDATA, sending);
    SET(CURLOPT_OPENSOCKETFUNCTION, socket_open);
    SET(CURLOPT_OPENSOCKETDATA, sending);
    SET(CURLOPT_CLOSESOCKETFUNCTION, socket_close);
    SET(CURLOPT_CLOSESOCKETDATA, transport);
    SET(CURLOPT_PREREQFUNCTION, request_goes_out);
    SET(CURLOPT_PREREQDATA, sending);
    if (transport->share)
        SET(CURLOPT_SHARE, transport->share);
    result |= limits_set(easy, &transport->settings);
    result |= way_set(easy, &transport->settings);
    return result == CURLE_OK;
}

bool http_multi_open(struct http_transport *transport)
{
    const struct http_settings *settings = &transport->settings;
    CURLM *multi = curl_multi_init();
    if (!multi)
        return false;
    long pipelining = settings->version == HTTP_VERSION_1 ? CURLPIPE_NOTHING : CURLPIPE_MULTIPLEX;
    CURLMcode result = curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, socket_changed);
    result |= curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, transport);
    result |= curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, timer_changed);
    result |= curl_multi_setopt(multi, CURLMOPT_TIMERDATA, transport);
    result |= curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)CACHE_SIZE);
    result |= curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS,
                                (long)settings->connections_per_host);
    result |= curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)settings->connections);
    result |= curl_multi_setopt(multi, CURLMOPT_PIPELINING, pipelining);
    CHECK(result == CURLM_OK); /* all these options are older than what we build with */
    transport->multi = multi;
    transport->cache_size = CACHE_SIZE;
    transport->curl_due = INT64_MAX;
    transport->sick = false;
    return true;
}

void http_multi_close(struct http_transport *transport)
{
    if (transport->multi)
        curl_multi_cleanup(transport->multi);
    transport->multi = NULL;
    transport->curl_due = INT64_MAX;
}

bool http_curl_open(struct http_transport *transport, struct error *error)
{
    CHECK(pthread_once(&curl_once, curl_initialize) == 0);
    if (curl_opened != CURLE_OK)
        return error_set(error, ERROR_IO, "libcurl does not start: %s",
                         curl_easy_strerror(curl_opened));
    transport->transport.descriptor = epoll_create1(EPOLL_CLOEXEC);
    if (transport->transport.descriptor < 0)
        return error_set_errno(error, errno, "epoll");
    transport->share = curl_share_init();
    if (!transport->share || !http_multi_open(transport))
        return error_set(error, ERROR_MEMORY, "no memory for connections");
    curl_share_setopt(transport->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    return true;
}
