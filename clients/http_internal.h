/* What the files of the HTTP transport share; nobody else includes it. All of it belongs to the
 * transport's thread. */
#ifndef LEAT_CLIENTS_HTTP_INTERNAL_H
#define LEAT_CLIENTS_HTTP_INTERNAL_H

#include <curl/curl.h>

#include "clients/deadlines.h"
#include "clients/http_decode.h"
#include "clients/http_head.h"
#include "clients/http_transport.h"

enum http_phase {
    HTTP_FREE,    /* in the free list */
    HTTP_WAITING, /* for the first lookup of its host's name: in a gate's list */
    HTTP_READY,   /* to be handed to libcurl by the next step: in the ready list */
    HTTP_RUNNING, /* libcurl has it: in the running list, oldest first */
    HTTP_OVER,    /* to be reaped: in the over list */
    HTTP_REAPED,  /* its answer is in use: in no list */
};

struct http_gate;
struct http_transport;

/* The state of one exchange, with libcurl's handle; used again and again. */
struct http_sending {
    struct http_transport *transport;
    CURL *easy;
    struct exchange *exchange;
    enum http_phase phase;
    struct http_sending *next, *previous; /* in the list of its phase */
    struct http_sending *next_made;       /* all that there are */
    struct deadline deadline;
    struct http_gate *gate; /* waits there, or holds it */
    struct http_head head;
    struct http_body body;   /* as it came */
    struct http_body text;   /* decompressed */
    struct http_body target; /* Location or next link, absolute at the end; NUL-terminated */
    size_t link_length;      /* of a next link in `target`; 0: none */
    size_t location_length;  /* of a Location in `target`; 0: none */
    struct http_body url;    /* where it is sent now, NUL-terminated */
    struct http_body header_text;
    struct http_body header_nodes; /* struct curl_slist [] */
    bool headers_default;          /* the handle has the transport's own list now */
    bool is_get;                   /* the handle is set up for GET */
    bool paused;
    bool elsewhere; /* redirected to another host: no credentials */
    bool refused;   /* a link-local address */
    bool verdict;   /* a callback has set outcome and detail */
    uint32_t sent;  /* how many times the request went out */
    uint32_t redirects;
    const char *method; /* instead of the request's, after a redirect; or NULL */
    char error_text[CURL_ERROR_SIZE];
};

struct http_list {
    struct http_sending *first, *last;
};

/* By descriptor: what epoll watches, and what libcurl wants watched. */
struct http_socket {
    uint8_t watched, wanted;
    bool ours; /* opened by us, so that we hear of its end */
};

struct http_transport {
    struct transport transport; /* first */
    struct http_settings settings;
    CURLM *multi; /* NULL: memory was short; opened again when needed */
    bool sick;    /* see http_multi_open */
    CURLSH *share;
    struct http_list ready, running, over, free;
    struct exchange *unsent; /* no memory for a state; linked by `next` */
    struct http_sending *made;
    uint32_t made_count, running_count, paused_count;
    uint32_t cache_size; /* CURLMOPT_MAXCONNECTS as set */
    struct deadlines deadlines;
    int64_t curl_due; /* when libcurl wants to be called */
    int64_t now;      /* of this step */
    size_t held;      /* capacity of all answers */
    struct http_socket *sockets;
    size_t socket_count;
    struct http_decoder *decoder;
    struct curl_slist *headers; /* what every request sends */
    struct http_gates *gates;   /* NULL: names are not looked up here */
    char *texts[8];             /* copies of the settings' */
    uint32_t text_count;
};

/* http_transport.c */
void http_list_append(struct http_list *list, struct http_sending *sending);
void http_list_remove(struct http_list *list, struct http_sending *sending);
/* Hands it to libcurl. */
void http_begin(struct http_sending *sending);
/* Over: sets the exchange and moves it to the over list; it must be with libcurl no more. */
void http_end(struct http_sending *sending, enum outcome outcome);

/* http_curl.c: the process's libcurl, the transport's multi handle and its sockets. */
bool http_curl_open(struct http_transport *transport, struct error *error);
/* The multi handle; false: no memory. After libcurl has reported an error of its own (memory was
 * short) the handle is not fit for use, `sick`: everything in it ends, and a new one is opened. */
bool http_multi_open(struct http_transport *transport);
void http_multi_close(struct http_transport *transport);
/* Calls libcurl for what epoll reports and for its timers. */
void http_curl_step(struct http_transport *transport);
/* Options of a new handle that never change. */
bool http_curl_prepare(struct http_sending *sending);

/* http_request.c: a handle's options for one request. */
bool http_request_prepare(struct http_sending *sending);
bool http_headers_open(struct http_transport *transport, struct error *error);
/* Makes sending->url the redirect's target. False: not to be followed; the detail says why. */
bool http_redirect(struct http_sending *sending);
/* Makes the next link absolute, in sending->target. */
void http_link_resolve(struct http_sending *sending);

/* http_answer.c: what comes back. */
size_t http_header_take(char *data, size_t size, size_t count, void *context);
size_t http_body_take(char *data, size_t size, size_t count, void *context);
/* Sets the outcome of what libcurl is done with; true: it goes on, redirected. */
bool http_answer_finish(struct http_sending *sending, CURLcode code);
/* "PEER: what" */
void http_detail(struct http_sending *sending, const char *format, ...) PRINTF_LIKE(2, 3);

/* http_gates.c: one lookup of a name at a time. */
struct http_gates *http_gates_open(void); /* NULL: no memory */
void http_gates_close(struct http_gates *gates);
/* True: goes ahead. False: waits until its gate opens. */
bool http_gate_enter(struct http_gates *gates, struct http_sending *sending, int64_t now);
/* The name is known, or `failed`: all that wait go ahead, or end alike. */
void http_gate_open(struct http_sending *sending, int64_t now, bool failed);
/* Gives up: waits no more, or was the one that looked up; then the next does. */
void http_gate_leave(struct http_sending *sending);

#endif
