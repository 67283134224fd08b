/* lookup http: the requests of one row. The actor's thread. */
#include <string.h>

#include "core/number.h"
#include "core/raw.h"
#include "stages/lookup_http.h"

static bool refuse(struct value *error, struct string why)
{
    *error = value_error_text(ERROR_PLACE, why.data, why.length);
    return false;
}

static bool is_unreserved(unsigned char byte)
{
    return (byte >= '0' && byte <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z') ||
           byte == '-' || byte == '.' || byte == '_' || byte == '~';
}

/* Percent-encoded but for RFC 3986's unreserved characters. False: the buffer is full. */
static bool text_encode(struct buffer *out, struct string text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.length; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        char encoded[3] = {'%', digits[byte >> 4], digits[byte & 15]};
        if (is_unreserved(byte) ? !buffer_append_byte(out, (char)byte)
                                : !buffer_append(out, encoded, sizeof(encoded)))
            return false;
    }
    return true;
}

/* The text that an expression gives: *absent for null. `what` cannot be lists and the like. */
static bool pair_text(const struct expression *expression, struct evaluation *evaluation,
                      struct string *text, bool *absent, struct value *error)
{
    struct value value = expression_row(expression, evaluation, 0);
    value = value_resolve(value, evaluation->arena);
    *error = value;
    *absent = value.kind == VALUE_NULL || value.kind == VALUE_ABSENT;
    if (value.kind == VALUE_ERROR)
        return false;
    if (*absent)
        return true;
    char *scratch = arena_take(evaluation->arena, NUMBER_TEXT_SIZE + 8);
    *error = value_error(ERROR_ARENA_FULL);
    if (!scratch)
        return false;
    return lookup_scalar_text(value, scratch, text) ||
           refuse(error, STRING("a list or a map cannot stand in a header, query or form"));
}

/* name=value behind `before`. */
static bool pair_append(struct buffer *out, char before, struct string name, struct string value,
                        bool hide)
{
    return (!before || buffer_append_byte(out, before)) && text_encode(out, name) &&
           buffer_append_byte(out, '=') &&
           (hide ? buffer_append(out, "***", 3) : text_encode(out, value));
}

static bool query_append(struct http_lookup *http, struct evaluation *evaluation, size_t start,
                         bool hide, struct value *error)
{
    struct buffer *out = &http->out;
    bool first = memchr(out->data + start, '?', out->length - start) == NULL;
    for (uint32_t i = 0; i < http->query_count; i++) {
        const struct http_pair *pair = &http->query[i];
        struct string text;
        bool absent;
        if (!pair_text(pair->expression, evaluation, &text, &absent, error))
            return false;
        if (absent)
            continue;
        *error = value_error(ERROR_ARENA_FULL);
        if (!pair_append(out, first ? '?' : '&', pair->name, text, hide && pair->is_private))
            return false;
        first = false;
    }
    return true;
}

static bool url_append(struct http_lookup *http, struct evaluation *evaluation, uint32_t index,
                       bool hide, struct string *url, struct value *error)
{
    size_t start = http->out.length;
    if (!template_append(http->urls[index], evaluation, 0, hide, &http->out, error) ||
        !query_append(http, evaluation, start, hide, error))
        return false;
    *url = (struct string){http->out.data + start, http->out.length - start};
    return true;
}

/* host:port as the URL has it, without user and password. */
static struct string url_peer(struct string url)
{
    const char *begin = memmem(url.data, url.length, "://", 3);
    if (!begin)
        return url;
    const char *end = url.data + url.length, *at = begin += 3;
    while (at < end && *at != '/' && *at != '?' && *at != '#') {
        if (*at == '@')
            begin = at + 1;
        at++;
    }
    return (struct string){begin, (size_t)(at - begin)};
}

static struct string peer_of(struct http_lookup *http, uint32_t index, struct string url)
{
    if (http->peers[index].data)
        return http->peers[index];
    struct string peer = url_peer(url);
    if (!template_host_varies(http->urls[index]) &&
        peer.length <= sizeof(http->peer_texts[index])) {
        memcpy(http->peer_texts[index], peer.data, peer.length);
        http->peers[index] = (struct string){http->peer_texts[index], peer.length};
    }
    return peer;
}

static bool headers_make(struct http_lookup *http, struct evaluation *evaluation, uint32_t *count,
                         struct value *error)
{
    *count = 0;
    for (uint32_t i = 0; i < http->header_count; i++) {
        struct request_header *header = &http->values[*count];
        bool absent;
        header->name = http->headers[i].name;
        if (!pair_text(http->headers[i].expression, evaluation, &header->value, &absent, error))
            return false;
        if (absent)
            continue;
        if (!http_header_value_is_valid(header->value))
            return refuse(error, STRING("this text cannot stand in a header"));
        ++*count;
    }
    return true;
}

static bool form_make(struct http_lookup *http, struct evaluation *evaluation, struct value map,
                      struct string *body, struct value *error)
{
    struct buffer *out = &http->out;
    size_t start = out->length;
    char before = 0;
    if (map.kind != VALUE_MAP)
        return refuse(error, STRING("a form is made of a map"));
    for (uint32_t i = 0; i < map.length; i++) {
        struct value key = value_resolve(map.entries[i].key, evaluation->arena);
        struct value value = value_resolve(map.entries[i].value, evaluation->arena);
        char scratch[2][NUMBER_TEXT_SIZE + 8];
        struct string name, text;
        *error = key.kind == VALUE_ERROR ? key : value;
        if (error->kind == VALUE_ERROR)
            return false;
        if (value.kind == VALUE_NULL)
            continue;
        if (!lookup_scalar_text(key, scratch[0], &name) ||
            !lookup_scalar_text(value, scratch[1], &text))
            return refuse(error, STRING("a list or a map cannot stand in a form"));
        *error = value_error(ERROR_ARENA_FULL);
        if (!pair_append(out, before, name, text, false))
            return false;
        before = '&';
    }
    *body = (struct string){out->data + start, out->length - start};
    return true;
}

static bool body_make(struct http_lookup *http, struct evaluation *evaluation, struct string *body,
                      struct value *error)
{
    *body = (struct string){NULL, 0};
    if (!http->body)
        return true;
    struct value value = expression_row(http->body, evaluation, 0);
    if (http->encoding == ENCODE_JSON && value.kind != VALUE_ERROR)
        return lookup_write_json(&http->lookup, value, body, error);
    value = value_resolve(value, evaluation->arena);
    *error = value;
    if (value.kind == VALUE_ERROR)
        return false;
    if (http->encoding == ENCODE_FORM)
        return form_make(http, evaluation, value, body, error);
    char *scratch = arena_take(evaluation->arena, NUMBER_TEXT_SIZE + 8);
    *error = value_error(ERROR_ARENA_FULL);
    if (!scratch)
        return false;
    if (value.kind == VALUE_BYTES)
        *body = (struct string){value.text, value.length};
    else if (!lookup_scalar_text(value, scratch, body))
        return refuse(error, STRING("null, a list or a map is no raw body"));
    return true;
}

bool http_make(struct lookup *lookup, struct evaluation *evaluation, struct lookup_made *made,
               struct value *error)
{
    struct http_lookup *http = (struct http_lookup *)lookup;
    struct request request = {
        .method = http->method,
        .headers = http->values,
        .repeatable = http->repeatable,
    };
    buffer_reset(&http->out);
    if (!headers_make(http, evaluation, &request.header_count, error) ||
        !body_make(http, evaluation, &request.body, error))
        return false;
    made->count = http->url_count;
    for (uint32_t i = 0; i < http->url_count; i++) {
        if (!url_append(http, evaluation, i, false, &request.url, error))
            return false;
        request.peer = peer_of(http, i, request.url);
        request.shown_url = request.url;
        bool hides = template_is_private(http->urls[i]) || http->query_private ||
                     memchr(request.url.data, '@', request.url.length) != NULL;
        if (hides && !url_append(http, evaluation, i, true, &request.shown_url, error))
            return false;
        made->requests[i] = request;
    }
    return true;
}
