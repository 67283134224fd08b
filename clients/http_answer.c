/* What comes back from a peer, and what it means: see http_internal.h. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "clients/http_internal.h"
#include "core/clock.h"

void http_detail(struct http_sending *sending, const char *format, ...)
{
    struct exchange *exchange = sending->exchange;
    struct string peer = exchange->request->peer;
    size_t length = size_min(peer.length, sizeof(exchange->detail) / 2);
    va_list list;
    if (length) {
        memcpy(exchange->detail, peer.data, length);
        memcpy(exchange->detail + length, ": ", 2);
        length += 2;
    }
    va_start(list, format);
    vsnprintf(exchange->detail + length, sizeof(exchange->detail) - length, format, list);
    va_end(list);
}

/* A callback's own word on how the exchange ends. */
static void verdict_set(struct http_sending *sending, enum outcome outcome)
{
    sending->exchange->outcome = outcome;
    sending->verdict = true;
}

static bool target_keep(struct http_sending *sending, struct string text, size_t *length)
{
    struct http_body *target = &sending->target;
    target->length = 0;
    if (!http_body_reserve(target, text.length + 1))
        return false;
    memcpy(target->data, text.data, text.length);
    target->data[text.length] = 0;
    target->length = text.length + 1;
    sending->link_length = sending->location_length = 0;
    *length = text.length;
    return true;
}

static bool status_redirects(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static bool request_is_head(const struct http_sending *sending)
{
    return string_equal_text(sending->exchange->request->method, "HEAD");
}

/* At the end of a head: whether its body may come. */
static bool head_accept(struct http_sending *sending)
{
    const struct http_head *head = &sending->head;
    size_t limit = sending->transport->settings.answer_limit;
    if (head->encoding == HTTP_ENCODING_UNKNOWN && !request_is_head(sending)) {
        http_detail(sending, "the answer has a content encoding that was not asked for");
        verdict_set(sending, OUTCOME_BROKEN);
        return false;
    }
    if (head->content_length > (int64_t)limit && !request_is_head(sending) && head->status >= 200 &&
        head->status != 304) {
        http_detail(sending, "an answer of %lld bytes is longer than the limit of %zu",
                    (long long)head->content_length, limit);
        verdict_set(sending, OUTCOME_LARGE);
        return false;
    }
    return true;
}

size_t http_header_take(char *data, size_t size, size_t count, void *context)
{
    struct http_sending *sending = context;
    struct http_transport *transport = sending->transport;
    struct string line = {data, size * count}, location = {0}, link = {0};
    struct http_head *head = &sending->head;
    bool was_complete = head->complete, kept = true;
    if (!sending->exchange->first_byte)
        sending->exchange->first_byte = transport->now;
    http_head_line(head, line, clock_wall(), &location, &link);
    if (head->size > HTTP_HEAD_LIMIT) {
        http_detail(sending, "more than %d KiB of response headers", HTTP_HEAD_LIMIT / 1024);
        verdict_set(sending, OUTCOME_BROKEN);
        return 0;
    }
    if (head->wrong) {
        http_detail(sending, "what came is no answer: %s", head->wrong);
        verdict_set(sending, OUTCOME_BROKEN);
        return 0;
    }
    if (UNLIKELY(location.data))
        kept = target_keep(sending, location, &sending->location_length);
    else if (UNLIKELY(link.data && !sending->location_length))
        kept = target_keep(sending, link, &sending->link_length);
    if (!kept) {
        http_detail(sending, "no memory for a header");
        verdict_set(sending, OUTCOME_BROKEN);
        return 0;
    }
    if (head->complete && !was_complete && !head_accept(sending))
        return 0;
    return line.length;
}

size_t http_body_take(char *data, size_t size, size_t count, void *context)
{
    struct http_sending *sending = context;
    struct http_transport *transport = sending->transport;
    struct http_body *body = &sending->body;
    size_t length = size * count;
    if (length > transport->settings.answer_limit - body->length) {
        http_detail(sending, "the answer is longer than the limit of %zu bytes",
                    transport->settings.answer_limit);
        verdict_set(sending, OUTCOME_LARGE);
        return 0;
    }
    if (length > body->capacity - body->length) {
        /* The oldest always goes on, so that something does. */
        if (transport->held + length > transport->settings.memory_limit &&
            sending != transport->running.first) {
            transport->paused_count += !sending->paused;
            sending->paused = true;
            return CURL_WRITEFUNC_PAUSE;
        }
        size_t before = body->capacity;
        if (!http_body_reserve(body, length)) {
            http_detail(sending, "no memory for the answer");
            verdict_set(sending, OUTCOME_BROKEN);
            return 0;
        }
        transport->held += body->capacity - before;
    }
    memcpy(body->data + body->length, data, length);
    body->length += length;
    return length;
}

/* Unpacks the body; true: it is whole. */
static bool body_decode(struct http_sending *sending)
{
    struct http_transport *transport = sending->transport;
    struct http_body *text = &sending->text;
    struct string packed = {sending->body.data, sending->body.length};
    size_t before = text->capacity;
    text->length = 0;
    enum http_decoded decoded = http_decode(transport->decoder, sending->head.encoding, packed,
                                            transport->settings.answer_limit, text);
    transport->held += text->capacity - before;
    switch (decoded) {
    case HTTP_DECODED:
        return true;
    case HTTP_DECODED_LARGE:
        http_detail(sending, "the answer, decompressed, is longer than the limit of %zu bytes",
                    transport->settings.answer_limit);
        verdict_set(sending, OUTCOME_LARGE);
        return false;
    case HTTP_DECODED_MEMORY:
        http_detail(sending, "no memory to decompress the answer");
        break;
    case HTTP_DECODED_DAMAGED:
        http_detail(sending, "the compressed body of the answer is damaged or cut");
        break;
    }
    verdict_set(sending, OUTCOME_BROKEN);
    return false;
}

/* libcurl took it for whole; is it? True: it goes on, redirected. */
static bool answer_take(struct http_sending *sending)
{
    struct exchange *exchange = sending->exchange;
    const struct http_head *head = &sending->head;
    exchange->outcome = OUTCOME_ANSWER;
    if (!head->complete || head->status < 200) {
        http_detail(sending, "the connection was closed within the head of the answer");
        exchange->outcome = OUTCOME_BROKEN;
        return false;
    }
    if (sending->location_length && status_redirects(head->status) && http_redirect(sending))
        return true;
    struct string answer = {sending->body.data, sending->body.length};
    if (head->encoding != HTTP_ENCODING_NONE && answer.length) {
        if (!body_decode(sending))
            return false;
        answer = (struct string){sending->text.data, sending->text.length};
    }
    exchange->status = head->status;
    exchange->answer = answer.data ? answer : STRING("");
    exchange->answer_is_json = head->is_json;
    exchange->retry_after = head->retry_after;
    if (sending->link_length)
        http_link_resolve(sending);
    if (sending->link_length)
        exchange->next_link = (struct string){sending->target.data, sending->link_length};
    return false;
}

/* What libcurl's codes mean here, and what to say; a NULL text: libcurl's own, which names hosts
 * and certificates but nothing secret. */
static const struct code_meaning {
    CURLcode code;
    enum outcome outcome;
    const char *text;
} meanings[] = {
    {CURLE_COULDNT_RESOLVE_HOST, OUTCOME_CONNECT, "the name of the host is not known"},
    {CURLE_COULDNT_RESOLVE_PROXY, OUTCOME_CONNECT, "the name of the proxy is not known"},
    {CURLE_COULDNT_CONNECT, OUTCOME_CONNECT, "no connection: "},
    {CURLE_PROXY, OUTCOME_CONNECT, "the proxy does not connect"},
    {CURLE_SSL_CONNECT_ERROR, OUTCOME_CONNECT, NULL},
    {CURLE_PEER_FAILED_VERIFICATION, OUTCOME_CONNECT, NULL},
    {CURLE_SSL_ISSUER_ERROR, OUTCOME_CONNECT, NULL},
    {CURLE_SSL_INVALIDCERTSTATUS, OUTCOME_CONNECT, NULL},
    {CURLE_USE_SSL_FAILED, OUTCOME_CONNECT, NULL},
    {CURLE_SSL_CLIENTCERT, OUTCOME_CONNECT, NULL},
    {CURLE_SSL_CERTPROBLEM, OUTCOME_INVALID, "the client certificate or its key cannot be used"},
    {CURLE_SSL_CACERT_BADFILE, OUTCOME_INVALID, "the certificates of `ca` cannot be read"},
    {CURLE_SSL_CIPHER, OUTCOME_CONNECT, NULL},
    {CURLE_URL_MALFORMAT, OUTCOME_INVALID, "the URL is malformed"},
    {CURLE_BAD_FUNCTION_ARGUMENT, OUTCOME_INVALID, "libcurl does not take the request"},
    {CURLE_GOT_NOTHING, OUTCOME_BROKEN, "the connection was closed without an answer"},
    {CURLE_PARTIAL_FILE, OUTCOME_BROKEN, "the connection was closed within the body of the answer"},
    {CURLE_SEND_ERROR, OUTCOME_BROKEN, "the connection broke while sending"},
    {CURLE_RECV_ERROR, OUTCOME_BROKEN, NULL},
    {CURLE_WEIRD_SERVER_REPLY, OUTCOME_BROKEN, NULL},
    {CURLE_UNSUPPORTED_PROTOCOL, OUTCOME_BROKEN, "what came is no HTTP answer"},
    {CURLE_FILESIZE_EXCEEDED, OUTCOME_BROKEN, "what came is no answer: its Content-Length"},
    {CURLE_OUT_OF_MEMORY, OUTCOME_BROKEN, "a header line without end, or memory is short"},
    {CURLE_HTTP2, OUTCOME_BROKEN, "HTTP/2 broke"},
    {CURLE_HTTP2_STREAM, OUTCOME_BROKEN, "the peer broke off the HTTP/2 stream"},
};

static const char *system_reason(CURL *easy)
{
    long number = 0;
    curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &number);
    return number ? strerrordesc_np((int)number) : "refused or out of reach";
}

static void failure_take(struct http_sending *sending, CURLcode code)
{
    const struct code_meaning *meaning = NULL;
    sending->exchange->outcome = OUTCOME_BROKEN;
    if (sending->refused) {
        http_detail(sending, "link-local and metadata addresses are refused");
        sending->exchange->outcome = OUTCOME_INVALID;
        return;
    }
    if (code == CURLE_OPERATION_TIMEDOUT) {
        http_detail(sending, "connect timeout after %.3g s",
                    (double)sending->transport->settings.connect_timeout / (double)NANOSECONDS);
        sending->exchange->outcome = OUTCOME_TIMEOUT;
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(meanings) && !meaning; i++) {
        if (meanings[i].code == code)
            meaning = &meanings[i];
    }
    if (meaning)
        sending->exchange->outcome = meaning->outcome;
    const char *own = sending->error_text[0] ? sending->error_text : curl_easy_strerror(code);
    http_detail(sending, "%s%s", meaning && meaning->text ? meaning->text : own,
                code == CURLE_COULDNT_CONNECT ? system_reason(sending->easy) : "");
}

bool http_answer_finish(struct http_sending *sending, CURLcode code)
{
    if (sending->verdict)
        return false;
    if (code == CURLE_OK && answer_take(sending))
        return true;
    if (code != CURLE_OK)
        failure_take(sending, code);
    return false;
}
