/* Decompression of answers, whole in memory to whole in memory, with a limit. A decoder belongs to
 * one thread and serves one answer after another. */
#ifndef LEAT_CLIENTS_HTTP_DECODE_H
#define LEAT_CLIENTS_HTTP_DECODE_H

#include "clients/http_head.h"

/* An answer's bytes; memory of core/fault.h. */
struct http_body {
    char *data;
    size_t length;
    size_t capacity;
};
/* Makes room for `more` bytes behind what is there. False: no memory. */
bool http_body_reserve(struct http_body *body, size_t more);
void http_body_free(struct http_body *body);

enum http_decoded {
    HTTP_DECODED,
    HTTP_DECODED_DAMAGED, /* also: ends too early, or more follows its end */
    HTTP_DECODED_LARGE,   /* more than the limit */
    HTTP_DECODED_MEMORY,
};
struct http_decoder;
struct http_decoder *http_decoder_open(void); /* NULL: no memory */
void http_decoder_close(struct http_decoder *decoder);
/* Decodes `packed` into `body`, which is empty; at most `limit` bytes. Gzip of several members,
 * deflate with and without zlib's frame (servers differ), zstd of several frames. */
enum http_decoded http_decode(struct http_decoder *decoder, enum http_encoding encoding,
                              struct string packed, size_t limit, struct http_body *body);

#endif
