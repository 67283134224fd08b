/* Response headers and compressed bodies, by the cases of their specifications; and every prefix of
 * valid ones. Expected times were worked out with Python's email.utils; compressed data is made by
 * zlib and libzstd themselves. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "clients/http_decode.h"
#include "core/clock.h"
#include "tests/suite.h"

/* 2026-11-21T12:00:00Z */
#define WALL (1795262400 * NANOSECONDS)

static struct string text(const char *c)
{
    return (struct string){c, strlen(c)};
}

static void dates(void)
{
    static const struct {
        const char *text;
        int64_t seconds; /* -1: no date */
    } cases[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777}, /* RFC 9110, 5.6.7: its three forms */
        {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
        {"Sun Nov  6 08:49:37 1994", 784111777},
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Tue, 29 Feb 2028 23:59:60 GMT", 1835481600},
        {"Sat, 29 Feb 2031 00:00:00 GMT", -1},
        {"Sunday, 06-Nov-76 08:49:37 GMT", 3371878177}, /* 2076: fifty years ahead */
        {"Sunday, 06-Nov-77 08:49:37 GMT", 247654177},  /* 1977 */
        {"Sun, 06 Nov 1994 08:49:37 PST", -1},
        {"Sun, 06 Nov 1994 24:49:37 GMT", -1},
        {"Sun, 32 Nov 1994 08:49:37 GMT", -1},
        {"Sun, 06 Nuv 1994 08:49:37 GMT", -1},
        {"1994-11-06T08:49:37Z", -1},
        {"", -1},
        {",", -1},
        {"Sun,", -1},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int64_t seconds = -1;
        bool parsed = http_date_parse(text(cases[i].text), WALL, &seconds);
        if (parsed != (cases[i].seconds >= 0) || (parsed && seconds != cases[i].seconds))
            printf("%s: %lld\n", cases[i].text, (long long)seconds);
        CU_ASSERT_EQUAL(parsed, cases[i].seconds >= 0);
        CU_ASSERT_TRUE(!parsed || seconds == cases[i].seconds);
    }
}

static void retry_after(void)
{
    int64_t wait = -1;
    CU_ASSERT_TRUE(http_retry_after(text("120"), WALL, &wait) && wait == 120 * NANOSECONDS);
    CU_ASSERT_TRUE(http_retry_after(text(" 0 "), WALL, &wait) && wait == 0);
    CU_ASSERT_TRUE(http_retry_after(text("99999999999999999999999"), WALL, &wait) &&
                   wait == 86400 * NANOSECONDS);
    CU_ASSERT_TRUE(http_retry_after(text("Sat, 21 Nov 2026 12:00:30 GMT"), WALL, &wait) &&
                   wait == 30 * NANOSECONDS);
    CU_ASSERT_TRUE(http_retry_after(text("Sat, 21 Nov 2026 11:00:00 GMT"), WALL, &wait) && !wait);
    CU_ASSERT_TRUE(http_retry_after(text("Sat, 21 Nov 2099 11:00:00 GMT"), WALL, &wait) &&
                   wait == 86400 * NANOSECONDS);
    CU_ASSERT_TRUE(http_retry_after(text("Sun Nov  7 08:49:37 199"), WALL, &wait) && !wait);
    CU_ASSERT_FALSE(http_retry_after(text(""), WALL, &wait));
    CU_ASSERT_FALSE(http_retry_after(text("-5"), WALL, &wait));
    CU_ASSERT_FALSE(http_retry_after(text("1.5"), WALL, &wait));
    CU_ASSERT_FALSE(http_retry_after(text("soon"), WALL, &wait));
}

static void links(void)
{
    static const struct {
        const char *value, *target;
    } cases[] = {
        {"<https://a.example/?page=2>; rel=\"next\"", "https://a.example/?page=2"},
        {"<https://a.example/?page=2>; rel=next", "https://a.example/?page=2"},
        {"</p?a=1,2;b>; rel=\"prev\", </n>; rel=\"next\"", "/n"},
        {"</n> ; title=\"a, b; rel=x\" ; REL = \"last NEXT first\"", "/n"},
        {"</a>; rel=\"nextish\", </b>; rel=\"next\"", "/b"},
        {"</a>; rel=\"prev\"; rel=\"next\"", NULL}, /* the first rel counts (RFC 8288, 3.3) */
        {"</a>; title=\"\\\"; rel=next\"; rel=prev", NULL},
        {"</a>; rel=\"next", "/a"},
        {"</a", NULL},
        {"<>; rel=next", NULL},
        {"rel=next", NULL},
        {"nothing, </a>; rel=next", "/a"},
        {", ,</a>;;rel=next,", "/a"},
        {"", NULL},
        {"</a>; rel", NULL},
        {"</a>; rel=", NULL},
        {"</a>; x=\"\\", NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct string target = {0};
        bool found = http_link_next(text(cases[i].value), &target);
        if (found != (cases[i].target != NULL))
            printf("%s\n", cases[i].value);
        CU_ASSERT_EQUAL(found, cases[i].target != NULL);
        CU_ASSERT_TRUE(!found || string_equal_text(target, cases[i].target));
    }
}

static struct http_head head_of(const char *const *lines)
{
    struct http_head head = {.content_length = -1};
    struct string location, link;
    for (; *lines; lines++)
        http_head_line(&head, text(*lines), WALL, &location, &link);
    return head;
}

static void heads(void)
{
    static const struct {
        const char *type;
        bool is_json;
    } types[] = {{"application/json", true},
                 {"Application/JSON; charset=utf-8", true},
                 {"application/problem+json", true},
                 {"application/vnd.api+json;v=1", true},
                 {"text/json", true},
                 {"text/plain", false},
                 {"application/jsonx", false},
                 {"application/+json", true},
                 {"image/svg+json", false},
                 {"application/x-ndjson", false},
                 {"", false}};
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        char line[128];
        snprintf(line, sizeof(line), "CONTENT-type: %s\r\n", types[i].type);
        struct http_head head = head_of((const char *const[]){"HTTP/1.1 200 OK\r\n", line, NULL});
        CU_ASSERT_EQUAL(head.is_json, types[i].is_json);
    }
    struct http_head head = head_of(
        (const char *const[]){"HTTP/1.1 100 Continue\r\n", "Content-Length: 9\r\n", "\r\n",
                              "HTTP/2 204 \r\n", "Content-Length: 5\r\n", "content-length:5\r\n",
                              "Content-Encoding: GZIP\r\n", "\r\n", "Content-Length: 7\r\n", NULL});
    CU_ASSERT_TRUE(head.status == 204 && head.complete && !head.wrong && head.content_length == 5);
    CU_ASSERT_EQUAL(head.encoding, HTTP_ENCODING_GZIP);
    head = head_of((const char *const[]){"HTTP/1.1 200\n", "Content-Encoding: gzip\n",
                                         "Content-Encoding: gzip\n", "\n", NULL});
    CU_ASSERT_TRUE(head.encoding == HTTP_ENCODING_UNKNOWN && head.complete);
    static const char *const wrong[] = {"Content-Length: 5, 6\r\n", "Content-Length: +5\r\n",
                                        "Content-Length: \r\n", "Content-Length: 0x5\r\n",
                                        "Content-Length: 99999999999999999999\r\n"};
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        head = head_of((const char *const[]){"HTTP/1.1 200 OK\r\n", wrong[i], NULL});
        CU_ASSERT_PTR_NOT_NULL(head.wrong);
    }
    CU_ASSERT_PTR_NOT_NULL(head_of((const char *const[]){"HTTP/1.1 abc\r\n", NULL}).wrong);
    CU_ASSERT_PTR_NOT_NULL(head_of((const char *const[]){"HTTP/1.1\r\n", NULL}).wrong);
}

static size_t pack(int bits, const char *from, size_t length, char *to, size_t room)
{
    z_stream stream = {.next_in = (Bytef *)from, .avail_in = (uInt)length};
    CU_ASSERT_EQUAL_FATAL(deflateInit2(&stream, 6, Z_DEFLATED, bits, 8, 0), Z_OK);
    stream.next_out = (Bytef *)to;
    stream.avail_out = (uInt)room;
    CU_ASSERT_EQUAL_FATAL(deflate(&stream, Z_FINISH), Z_STREAM_END);
    deflateEnd(&stream);
    return room - stream.avail_out;
}

/* Decodes and compares; then every prefix, which must never pass for whole. */
static void decode_check(struct http_decoder *decoder, enum http_encoding encoding,
                         const char *packed, size_t packed_length, const char *plain, size_t length)
{
    struct http_body body = {0};
    struct string whole = {packed, packed_length};
    CU_ASSERT_EQUAL(http_decode(decoder, encoding, whole, length, &body), HTTP_DECODED);
    CU_ASSERT_TRUE(body.length == length && memcmp(body.data, plain, length) == 0);
    body.length = 0;
    CU_ASSERT_EQUAL(http_decode(decoder, encoding, whole, length - 1, &body), HTTP_DECODED_LARGE);
    size_t step = packed_length / 400 + 1;
    for (size_t cut = 0; cut < packed_length; cut += step) {
        char *copy = malloc(cut + 1); /* so that reading beyond is seen */
        memcpy(copy, packed, cut);
        body.length = 0;
        CU_ASSERT_EQUAL(http_decode(decoder, encoding, (struct string){copy, cut}, length, &body),
                        HTTP_DECODED_DAMAGED);
        free(copy);
    }
    http_body_free(&body);
}

static void compressed_bodies(void)
{
    static char plain[200000], packed[400000];
    for (size_t i = 0; i < sizeof(plain); i++)
        plain[i] = (char)("0123456789abcdef"[(i * i / 7 + i / 300) % 16]);
    struct http_decoder *decoder = http_decoder_open();
    static const struct {
        enum http_encoding encoding;
        int bits;
    } kinds[] = {{HTTP_ENCODING_GZIP, 31},
                 {HTTP_ENCODING_DEFLATE, 15},
                 {HTTP_ENCODING_DEFLATE, -15},
                 {HTTP_ENCODING_GZIP, 31}};
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        size_t size = pack(kinds[i].bits, plain, sizeof(plain), packed, sizeof(packed));
        decode_check(decoder, kinds[i].encoding, packed, size, plain, sizeof(plain));
    }
    size_t size = ZSTD_compress(packed, sizeof(packed), plain, sizeof(plain), 3);
    CU_ASSERT_FALSE_FATAL(ZSTD_isError(size));
    decode_check(decoder, HTTP_ENCODING_ZSTD, packed, size, plain, sizeof(plain));
    /* Two members are one body; what follows the last is damage. */
    struct http_body body = {0};
    size = pack(31, plain, 1000, packed, sizeof(packed));
    size_t second = pack(31, plain + 1000, 1000, packed + size, sizeof(packed) - size);
    struct string both = {packed, size + second};
    CU_ASSERT_EQUAL(http_decode(decoder, HTTP_ENCODING_GZIP, both, 5000, &body), HTTP_DECODED);
    CU_ASSERT_TRUE(body.length == 2000 && memcmp(body.data, plain, 2000) == 0);
    memset(packed + both.length, 'x', 20);
    both.length += 20;
    body.length = 0;
    CU_ASSERT_EQUAL(http_decode(decoder, HTTP_ENCODING_GZIP, both, 5000, &body),
                    HTTP_DECODED_DAMAGED);
    http_body_free(&body);
    http_decoder_close(decoder);
}

SUITE(http_head, {"dates", dates}, {"Retry-After", retry_after}, {"links", links}, {"heads", heads},
      {"compressed bodies", compressed_bodies})
