/* What the files of the source `http` share; nobody else includes it.
 *
 *   http_source.c  the source's operations and options, handing items out
 *   http_pages.c   pages: asking for them, looking into them, where the next one is
 *
 * One page is handed out while the next one is asked for. Opening is the main thread's, the rest
 * the source's. */
#ifndef LEAT_IO_HTTP_SOURCE_H
#define LEAT_IO_HTTP_SOURCE_H

#include "core/source.h"
#include "io/http_client.h"

enum http_next { HTTP_NEXT_NONE, HTTP_NEXT_LINK, HTTP_NEXT_CURSOR, HTTP_NEXT_PAGE };

/* The names that expressions know. */
enum http_name { HTTP_NAME_ANSWER, HTTP_NAME_STATUS, HTTP_NAME_PAGE, HTTP_NAME_COUNT };

/* A request for a page, and its answer until it was handed out. */
struct http_page {
    struct call call; /* first */
    struct request request;
    char *url;
    size_t url_length;
    int64_t number; /* from `first` on */
    uint32_t tries; /* requests sent for it before the breaker opened */
    bool answered;
};

/* URLs asked in this round, as hashes: the last ones, and one of long ago that is replaced at each
 * power of two (Brent, "An improved Monte Carlo factorization algorithm", 1980), so that a loop of
 * any length is found. */
#define HTTP_SEEN 1024
struct http_seen {
    uint64_t last[HTTP_SEEN];
    uint64_t count;
    uint64_t old;
};

struct http_source {
    struct source base; /* first */
    struct source_context *context;
    struct http_client client;
    struct format *format;
    struct input input;
    /* options */
    enum http_next next;
    struct expression *items, *until, *cursor; /* or NULL */
    char *parameter;                           /* name= in the query */
    int64_t first;                             /* number of the first page */
    int64_t every;                             /* ns from round to round; 0: one round */
    size_t answer_limit;
    struct string request_method;
    /* asking */
    struct http_page pages[2];
    struct http_page *asking; /* or NULL */
    int64_t hold_until;       /* the breaker is open: it is asked for then … */
    bool held;                /* … and not yet */
    char *resume;             /* polling by cursor: where the last round got to, or NULL */
    bool connected;
    bool stopping;
    int64_t round_begun;
    struct http_seen seen;
    uint64_t last_body; /* hash of the last page's answer */
    /* the page that is handed out */
    struct http_page *page; /* or NULL */
    struct evaluator *evaluator;
    struct arena arena; /* of its values */
    struct column columns[HTTP_NAME_COUNT];
    struct value cells[HTTP_NAME_COUNT];
    struct value list; /* resolved; or single */
    bool single;       /* the item is `list` itself */
    uint32_t item_count;
    uint32_t item_next;
    /* batches */
    struct batch *idle;
    unsigned offered;
    uint64_t offset, records;
    uint64_t bytes_unreported;
    bool begun;
    bool failed;
    struct error error;
};

/* ---- http_pages.c ---- */

bool http_expressions_open(struct http_source *source, struct diagnostics *diagnostics,
                           struct error *error);
/* Begins a round. False: failed, see source.error. */
bool http_round_begin(struct http_source *source, int64_t now);
/* Takes what was answered, opens the page when the one before it is handed out, asks for the next.
 * False: failed. */
bool http_pages_step(struct http_source *source, int64_t now);
/* The open page is handed out. */
void http_page_release(struct http_source *source);
/* Nobody wants what is under way. */
void http_pages_cancel(struct http_source *source);
void http_pages_close(struct http_source *source);

#endif
