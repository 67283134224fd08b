/* Setting up a libcurl handle for one request: see http_internal.h. Options that are as the last
 * request left them are not set again. Also where redirects and links lead. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "clients/http_internal.h"
#include "core/fault.h"

/* Headers. */
bool http_header_name_is_valid(struct string name)
{
    for (size_t i = 0; i < name.length; i++) {
        unsigned char c = (unsigned char)name.data[i];
        bool is_alphanumeric = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
        if (!is_alphanumeric && (!c || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return name.length > 0;
}

bool http_header_value_is_valid(struct string value)
{
    for (size_t i = 0; i < value.length; i++) {
        unsigned char c = (unsigned char)value.data[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static bool name_equal(struct string a, struct string b)
{
    return a.length == b.length && strncasecmp(a.data, b.data, a.length) == 0;
}

/* What is wrong with a header, or NULL. */
static const char *header_fault(const struct request_header *header)
{
    if (!http_header_name_is_valid(header->name))
        return "a header's name is empty or has characters that names may not have";
    if (!http_header_value_is_valid(header->value))
        return "a header's value has control characters";
    if (http_text_is(header->name, "Content-Length") ||
        http_text_is(header->name, "Transfer-Encoding"))
        return "Content-Length and Transfer-Encoding are set by leat";
    return NULL;
}

/* What libcurl takes: "Name: value", and "Name;" for an empty value. Returns the end. */
static char *header_write(char *to, const struct request_header *header)
{
    memcpy(to, header->name.data, header->name.length);
    to += header->name.length;
    *to++ = header->value.length ? ':' : ';';
    if (header->value.length) {
        *to++ = ' ';
        memcpy(to, header->value.data, header->value.length);
        to += header->value.length;
    }
    *to++ = 0;
    return to;
}

static size_t header_room(const struct request_header *header)
{
    return header->name.length + header->value.length + 3;
}

static bool headers_append(struct curl_slist **list, const char *text)
{
    struct curl_slist *longer = curl_slist_append(*list, text);
    if (longer)
        *list = longer;
    return longer != NULL;
}

bool http_headers_open(struct http_transport *transport, struct error *error)
{
    const struct http_settings *settings = &transport->settings;
    bool has_encoding = settings->no_compression, done = true;
    for (uint32_t i = 0; i < settings->header_count; i++) {
        const struct request_header *header = &settings->headers[i];
        const char *fault = header_fault(header);
        if (fault)
            return error_set(error, ERROR_USAGE, "header %.*s: %s", (int)header->name.length,
                             header->name.data, fault);
        has_encoding |= http_text_is(header->name, "Accept-Encoding");
        char *text = memory_take(header_room(header));
        if (text)
            header_write(text, header);
        done = done && text && headers_append(&transport->headers, text);
        free(text);
    }
    if (!has_encoding)
        done = done && headers_append(&transport->headers, "Accept-Encoding: gzip, deflate, zstd");
    /* Neither is to be added by libcurl: it would wait for a 100 Continue, and call a body without
     * a type a form. */
    done = done && headers_append(&transport->headers, "Expect:");
    done = done && headers_append(&transport->headers, "Content-Type:");
    return done || error_set(error, ERROR_MEMORY, "no memory for headers");
}

/* Whether the request has a header of this line's name itself. */
static bool header_is_replaced(const struct request *request, const char *line)
{
    struct string name = {line, strcspn(line, ":;")};
    for (uint32_t i = 0; i < request->header_count; i++) {
        if (name_equal(request->headers[i].name, name))
            return true;
    }
    return false;
}

/* May go along to another host. */
static bool header_is_harmless(struct string name)
{
    return http_text_is(name, "Accept") || http_text_is(name, "Content-Type") ||
           http_text_is(name, "Accept-Encoding") || http_text_is(name, "Expect") ||
           http_text_is(name, "User-Agent");
}

/* The request's own headers, then the transport's. NULL: see the detail. */
static struct curl_slist *headers_build(struct http_sending *sending)
{
    const struct request *request = sending->exchange->request;
    size_t text = 0, nodes = request->header_count;
    for (uint32_t i = 0; i < request->header_count; i++) {
        const char *fault = header_fault(&request->headers[i]);
        if (fault) {
            http_detail(sending, "%s", fault);
            return NULL;
        }
        text += header_room(&request->headers[i]);
    }
    for (struct curl_slist *node = sending->transport->headers; node; node = node->next)
        nodes++;
    sending->header_text.length = sending->header_nodes.length = 0;
    if (!http_body_reserve(&sending->header_text, text) ||
        !http_body_reserve(&sending->header_nodes, nodes * sizeof(struct curl_slist))) {
        http_detail(sending, "no memory for headers");
        return NULL;
    }
    struct curl_slist *list = (struct curl_slist *)(void *)sending->header_nodes.data;
    struct curl_slist *node = list;
    char *to = sending->header_text.data;
    for (uint32_t i = 0; i < request->header_count; i++) {
        if (sending->elsewhere && !header_is_harmless(request->headers[i].name))
            continue;
        *node = (struct curl_slist){.data = to, .next = node + 1};
        to = header_write(to, &request->headers[i]);
        node++;
    }
    for (struct curl_slist *other = sending->transport->headers; other; other = other->next) {
        struct string name = {other->data, strcspn(other->data, ":;")};
        if (header_is_replaced(request, other->data) ||
            (sending->elsewhere && !header_is_harmless(name)))
            continue;
        *node = (struct curl_slist){.data = other->data, .next = node + 1};
        node++;
    }
    CHECK(node > list); /* Expect: at least */
    node[-1].next = NULL;
    return list;
}

static CURLcode headers_set(struct http_sending *sending)
{
    if (!sending->exchange->request->header_count && !sending->elsewhere) {
        if (sending->headers_default)
            return CURLE_OK;
        sending->headers_default = true;
        return curl_easy_setopt(sending->easy, CURLOPT_HTTPHEADER, sending->transport->headers);
    }
    struct curl_slist *list = headers_build(sending);
    if (!list)
        return CURLE_BAD_FUNCTION_ARGUMENT;
    sending->headers_default = false;
    return curl_easy_setopt(sending->easy, CURLOPT_HTTPHEADER, list);
}

/* The method. */
static CURLcode method_set(struct http_sending *sending)
{
    const struct request *request = sending->exchange->request;
    CURL *easy = sending->easy;
    CURLcode result = CURLE_OK;
    char name[24];
    struct string method = request->method, body = request->body;
    if (sending->method) {
        method = (struct string){sending->method, strlen(sending->method)};
        body = (struct string){"", 0};
    }
    if (string_equal_text(method, "GET") && !body.length) {
        if (!sending->is_get)
            result = curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, NULL) |
                     curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
        sending->is_get = true;
        return result;
    }
    sending->is_get = false;
    if (!http_header_name_is_valid(method) || method.length >= sizeof(name)) {
        http_detail(sending, "the method is no word");
        return CURLE_BAD_FUNCTION_ARGUMENT;
    }
    memcpy(name, method.data, method.length);
    name[method.length] = 0;
    if (string_equal_text(method, "HEAD"))
        return curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, NULL) |
               curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    bool has_body = body.length || string_equal_text(method, "POST") ||
                    string_equal_text(method, "PUT") || string_equal_text(method, "PATCH");
    result = curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    if (has_body) {
        result |= curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.length);
        result |= curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body.length ? body.data : "");
        result |= curl_easy_setopt(easy, CURLOPT_POST, 1L);
    }
    return result | curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, name);
}

static bool url_is_valid(struct http_sending *sending, bool *is_tls)
{
    const char *url = sending->url.data;
    *is_tls = strncasecmp(url, "https://", 8) == 0;
    if (!*is_tls && strncasecmp(url, "http://", 7) != 0) {
        http_detail(sending, "the URL begins with neither http:// nor https://");
        return false;
    }
    for (size_t i = 0; i + 1 < sending->url.length; i++) {
        if ((unsigned char)url[i] <= 0x20 || url[i] == 0x7f) {
            http_detail(sending, "the URL has a space or a control character");
            return false;
        }
    }
    return true;
}

bool http_request_prepare(struct http_sending *sending)
{
    bool is_tls;
    sending->exchange->detail[0] = 0;
    if (!url_is_valid(sending, &is_tls))
        return false;
    CURLcode result = curl_easy_setopt(sending->easy, CURLOPT_URL, sending->url.data);
    /* Who comes while the first TLS connection is being made waits for whether it is HTTP/2. */
    if (sending->transport->settings.version != HTTP_VERSION_1)
        result |= curl_easy_setopt(
            sending->easy, CURLOPT_PIPEWAIT,
            (long)(is_tls || sending->transport->settings.version == HTTP_VERSION_2));
    if (result == CURLE_OK)
        result = method_set(sending);
    if (result == CURLE_OK)
        result = headers_set(sending);
    if (result != CURLE_OK && !sending->exchange->detail[0])
        http_detail(sending, "the request cannot be set up: %s", curl_easy_strerror(result));
    return result == CURLE_OK;
}

/* Where a reference leads. */
struct place {
    CURLU *url;
    char *scheme, *host, *port;
};

static void place_close(struct place *place)
{
    curl_free(place->scheme);
    curl_free(place->host);
    curl_free(place->port);
    curl_url_cleanup(place->url);
}

/* `base`, and unless NULL what `reference` means there. */
static bool place_open(struct place *place, const char *base, const char *reference)
{
    *place = (struct place){.url = curl_url()};
    return place->url && !curl_url_set(place->url, CURLUPART_URL, base, 0) &&
           (!reference || !curl_url_set(place->url, CURLUPART_URL, reference, CURLU_URLENCODE)) &&
           !curl_url_get(place->url, CURLUPART_SCHEME, &place->scheme, 0) &&
           !curl_url_get(place->url, CURLUPART_HOST, &place->host, 0) &&
           !curl_url_get(place->url, CURLUPART_PORT, &place->port, CURLU_DEFAULT_PORT);
}

static bool place_same(const struct place *a, const struct place *b)
{
    return strcasecmp(a->scheme, b->scheme) == 0 && strcasecmp(a->host, b->host) == 0 &&
           strcmp(a->port, b->port) == 0;
}

/* Writes the place's whole URL. */
static bool place_write(const struct place *place, struct http_body *out)
{
    char *whole = NULL;
    if (curl_url_get(place->url, CURLUPART_URL, &whole, 0))
        return false;
    size_t length = strlen(whole);
    out->length = 0;
    bool done = http_body_reserve(out, length + 1);
    if (done) {
        memcpy(out->data, whole, length + 1);
        out->length = length + 1;
    }
    curl_free(whole);
    return done;
}

/* Checks and takes up the place that a redirect leads to. */
static bool redirect_take(struct http_sending *sending, const struct place *from,
                          const struct place *to)
{
    if (strcasecmp(to->scheme, "http") != 0 && strcasecmp(to->scheme, "https") != 0) {
        http_detail(sending, "redirect to another protocol (%.20s) not followed", to->scheme);
        return false;
    }
    bool same = place_same(from, to);
    if (!same && !sending->transport->settings.redirects_anywhere) {
        http_detail(sending, "redirect to another host (%.10s://%.60s:%.6s) not followed",
                    to->scheme, to->host, to->port);
        return false;
    }
    sending->elsewhere |= !same;
    return place_write(to, &sending->url);
}

bool http_redirect(struct http_sending *sending)
{
    const struct request *request = sending->exchange->request;
    int status = sending->head.status;
    if (sending->redirects >= sending->transport->settings.redirects) {
        if (sending->redirects)
            http_detail(sending, "more than %u redirects", sending->redirects);
        return false;
    }
    struct place from = {0}, to = {0};
    bool known = place_open(&from, sending->url.data, NULL) &&
                 place_open(&to, sending->url.data, sending->target.data);
    if (!known)
        http_detail(sending, "redirect to what is no URL not followed");
    bool taken = known && redirect_take(sending, &from, &to);
    place_close(&from);
    place_close(&to);
    if (!taken)
        return false;
    /* 303 asks for a GET, and after 301 and 302 everybody sends one instead of a POST. */
    bool was_head = string_equal_text(request->method, "HEAD");
    if ((status == 303 && !was_head) ||
        ((status == 301 || status == 302) && string_equal_text(request->method, "POST")))
        sending->method = "GET";
    sending->redirects++;
    return true;
}

void http_link_resolve(struct http_sending *sending)
{
    struct place to = {0};
    bool known = place_open(&to, sending->url.data, sending->target.data) &&
                 (strcasecmp(to.scheme, "http") == 0 || strcasecmp(to.scheme, "https") == 0) &&
                 place_write(&to, &sending->target);
    sending->link_length = known ? sending->target.length - 1 : 0;
    place_close(&to);
}
