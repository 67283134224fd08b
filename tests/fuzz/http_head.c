/* Fuzzing what a peer sends before its body: lines of a head, links, dates; and compressed bodies,
 * decoded within a limit. The first byte chooses. Nothing may crash, read outside or exceed. */
#include <stdlib.h>
#include <string.h>

#include "clients/http_decode.h"
#include "core/clock.h"

#define LIMIT 100000

static void head_try(const char *text, size_t length)
{
    struct http_head head = {.content_length = -1};
    struct string location = {0}, link = {0};
    while (length) {
        const char *end = memchr(text, '\n', length);
        size_t size = end ? (size_t)(end - text) + 1 : length;
        char *line = malloc(size); /* so that reading beyond is seen */
        memcpy(line, text, size);
        http_head_line(&head, (struct string){line, size}, 1795262400 * NANOSECONDS, &location,
                       &link);
        CHECK(head.retry_after >= 0 && head.retry_after <= 86400 * NANOSECONDS);
        CHECK(head.content_length >= -1);
        free(line);
        text += size;
        length -= size;
    }
}

static void body_try(enum http_encoding encoding, const char *text, size_t length)
{
    static struct http_decoder *decoder;
    struct http_body body = {0};
    if (!decoder)
        decoder = http_decoder_open();
    enum http_decoded decoded =
        http_decode(decoder, encoding, (struct string){text, length}, LIMIT, &body);
    CHECK(decoded == HTTP_DECODED_LARGE ? body.length == LIMIT + 1 : body.length <= LIMIT);
    CHECK(body.capacity <= 4 * LIMIT);
    http_body_free(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    const char *text = (const char *)data + 1;
    switch (data[0] & 3) {
    case 1:
        body_try(HTTP_ENCODING_GZIP, text, size - 1);
        break;
    case 2:
        body_try(HTTP_ENCODING_DEFLATE, text, size - 1);
        break;
    case 3:
        body_try(HTTP_ENCODING_ZSTD, text, size - 1);
        break;
    default:
        head_try(text, size - 1);
        break;
    }
    return 0;
}
