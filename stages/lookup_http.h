/* What the files of lookup http share; nobody else includes it. */
#ifndef LEAT_STAGES_LOOKUP_HTTP_H
#define LEAT_STAGES_LOOKUP_HTTP_H

#include "clients/http_words.h"
#include "lang/template_cells.h"
#include "stages/lookup.h"

#define HTTP_HEADERS_MOST 64

enum http_encoding { ENCODE_JSON, ENCODE_FORM, ENCODE_RAW };

/* "name" = expression, of header and query. */
struct http_pair {
    struct string name;
    const struct expression *expression;
    bool is_private;
};

struct http_lookup {
    struct lookup lookup; /* first */
    struct template *urls[LOOKUP_RACE_MOST];
    uint32_t url_count;
    struct string peers[LOOKUP_RACE_MOST]; /* where the host does not vary, once it was seen */
    char peer_texts[LOOKUP_RACE_MOST][300];
    struct http_pair query[HTTP_HEADERS_MOST];
    uint32_t query_count;
    bool query_private;
    struct http_pair headers[HTTP_HEADERS_MOST]; /* that depend on the record */
    uint32_t header_count;
    struct request_header constants[HTTP_HEADERS_MOST + 2]; /* sent with each request */
    uint32_t constant_count;
    const struct expression *body;
    enum http_encoding encoding;
    struct string method;
    bool repeatable;
    struct http_settings settings;
    struct http_words words; /* texts of the settings */
    struct buffer out;       /* URLs and form bodies of the row at hand; from connect on */
    struct request_header values[HTTP_HEADERS_MOST]; /* of the row at hand */
};

/* lookup_http_request.c: lookup_kind.make */
bool http_make(struct lookup *lookup, struct evaluation *evaluation, struct lookup_made *made,
               struct value *error);

#endif
