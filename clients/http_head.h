/* What response headers mean: pure functions over text that a peer sent, whatever it is. Any
 * thread. */
#ifndef LEAT_CLIENTS_HTTP_HEAD_H
#define LEAT_CLIENTS_HTTP_HEAD_H

#include "core/base.h"

enum http_encoding {
    HTTP_ENCODING_NONE,
    HTTP_ENCODING_GZIP,
    HTTP_ENCODING_DEFLATE,
    HTTP_ENCODING_ZSTD,
    HTTP_ENCODING_UNKNOWN,
};

/* What matters of a response's head. Begin with all zeros, content_length -1. */
struct http_head {
    int status;
    bool complete; /* the empty line was seen */
    bool is_json;  /* application/json, text/json, application/ANYTHING+json */
    enum http_encoding encoding;
    int64_t content_length; /* -1: not said */
    int64_t retry_after;    /* nanoseconds from now, >= 0; 0: not said */
    size_t size;            /* of all lines */
    const char *wrong;      /* a static text: what makes it no valid head; or NULL */
};

/* Takes one line, with its end, status line and empty line too. `wall`: now, nanoseconds since
 * 1970. *location and *next_link become parts of `line` where it is a Location, or a Link with
 * rel="next"; else they stay. A status line begins anew (100 Continue and the like). */
void http_head_line(struct http_head *head, struct string line, int64_t wall,
                    struct string *location, struct string *next_link);

/* The target of the first link with relation "next" in the value of a Link header (RFC 8288). */
bool http_link_next(struct string value, struct string *target);
/* Seconds, or an HTTP date in one of its three forms (RFC 9110, 5.6.7): nanoseconds from `wall`, at
 * least 0 and at most a day. False: neither. */
bool http_retry_after(struct string value, int64_t wall, int64_t *nanoseconds);
/* An HTTP date as seconds since 1970; `wall` decides the century of two-digit years. */
bool http_date_parse(struct string text, int64_t wall, int64_t *seconds);
/* Equal but for the case of ASCII letters. */
bool http_text_is(struct string text, const char *expected);

#endif
