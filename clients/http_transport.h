/* The HTTP transport: exchanges over libcurl's multi interface, with a pool of connections, TLS,
 * HTTP/2, proxies and unix sockets. See exchange.h for the contract; what is particular:
 *
 * - An answer counts only when it is whole: a head without end, a body shorter than said, lengths
 *   that contradict one another, broken chunks or a damaged or cut compressed body are
 *   OUTCOME_BROKEN. Bodies are decompressed here, not by libcurl, which takes a cut one for whole.
 * - A request is sent once. The one exception is libcurl's: a repeatable request on a kept
 *   connection that the peer closed without a byte of answer goes out again on a new one.
 * - Redirects are followed by us: at most `redirects`, and only within scheme, host and port unless
 *   `redirects_anywhere`. One that is not followed is the answer (status 3xx) and `detail` says
 * why. Elsewhere, only Accept and Content-Type go along, never credentials.
 * - No connection is opened to a link-local address (169.254.0.0/16, fe80::/10, the metadata
 * address fd00:ec2::254), by whatever name, unless `link_local`: OUTCOME_INVALID. A proxy is
 * trusted.
 * - `next_link` is absolute.
 * - Names are looked up by threads of libcurl; while the first lookup of a name is under way, other
 *   exchanges with it wait, so that many do not start as many threads.
 * - Details name the peer and the cause, never userinfo, query, or values of headers. */
#ifndef LEAT_CLIENTS_HTTP_TRANSPORT_H
#define LEAT_CLIENTS_HTTP_TRANSPORT_H

#include "clients/exchange.h"

enum http_version {
    HTTP_VERSION_AUTO, /* HTTP/2 where a TLS server offers it, multiplexed; else HTTP/1.1 */
    HTTP_VERSION_1,    /* HTTP/1.1 only */
    HTTP_VERSION_2,    /* HTTP/2 without asking first, also without TLS */
};

/* How to reach servers. Texts are NUL-terminated and copied; NULL or 0 is the default. */
struct http_settings {
    uint32_t connections_per_host; /* 0: as many as there are exchanges */
    uint32_t connections;          /* in all; 0: as many as there are exchanges */
    int64_t keepalive;             /* idle at most, nanoseconds, whole seconds count; 0: 118 s */
    bool no_keepalive;             /* a new connection for each exchange */
    int64_t lifetime;              /* of a connection, nanoseconds; 0: no bound */
    int64_t connect_timeout;       /* nanoseconds, TLS handshake included; 0: the deadline alone */
    int64_t first_byte_timeout;    /* from the start to the first byte; 0: the deadline alone */
    enum http_version version;
    const char *ca;          /* a file or folder of certificates instead of the system's */
    const char *cert, *key;  /* files; the client's own certificate; key NULL: it is in cert */
    bool no_verification;    /* takes any certificate */
    const char *unix_socket; /* connects there, whatever the URL's host */
    const char *proxy;       /* URL; NULL: http_proxy, https_proxy, no_proxy; "": none */
    uint32_t redirects;      /* followed at most */
    bool redirects_anywhere;
    bool link_local;                      /* allowed */
    const struct request_header *headers; /* sent with every request that has none of that name */
    uint32_t header_count;
    const char *user_agent; /* NULL: "leat/VERSION" */
    bool no_compression;    /* asks for no compressed answers */
    size_t answer_limit;    /* bytes, decompressed; 0: 16 MiB */
    size_t memory_limit;    /* of all answers held; 0: 4 answers of the limit */
};

#define HTTP_HEAD_LIMIT (256 * 1024) /* bytes of response headers; more are OUTCOME_BROKEN */

/* Whether this text may be a header's name (a token) or value (no control characters but tab). */
bool http_header_name_is_valid(struct string name);
bool http_header_value_is_valid(struct string value);

/* Opens a transport for the calling thread; nothing is connected yet. NULL: see the error (files
 * that cannot be read, headers that cannot be sent, memory). The first one opened in a process
 * initializes libcurl, with allocation through core/fault.h. */
struct transport *http_transport_open(const struct http_settings *settings, struct error *error);

#endif
