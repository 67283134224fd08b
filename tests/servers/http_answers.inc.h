/* The test server's requests and its well-behaved answers. Included once, by http_server.c. */

struct request {
    struct span method, target, name, rest, query, headers, body;
    struct span idempotency_key;
    size_t length; /* head and body */
    bool closes, expects_continue, gzip, bad;
};
enum request_state { REQUEST_PART, REQUEST_WHOLE, REQUEST_BAD };

static bool span_is(struct span span, const char *text)
{
    return span.length == strlen(text) && memcmp(span.data, text, span.length) == 0;
}

static bool span_is_caseless(struct span span, const char *text)
{
    return span.length == strlen(text) && strncasecmp(span.data, text, span.length) == 0;
}

/* What stands before the first `mark`; *span becomes what is behind it. */
static struct span span_cut(struct span *span, char mark)
{
    struct span part = *span;
    const char *found = span->length ? memchr(span->data, mark, span->length) : NULL;
    if (!found) {
        *span = (struct span){span->data + span->length, 0};
        return part;
    }
    part.length = (size_t)(found - span->data);
    span->data += part.length + 1;
    span->length -= part.length + 1;
    return part;
}

static uint64_t span_number(struct span span, uint64_t otherwise)
{
    uint64_t number = 0;
    for (size_t i = 0; i < span.length; i++) {
        if (!isdigit((unsigned char)span.data[i]))
            return otherwise;
        number = number * 10 + (uint64_t)(span.data[i] - '0');
    }
    return span.length ? number : otherwise;
}

static double span_decimal(struct span span)
{
    char text[32];
    snprintf(text, sizeof(text), "%.*s", (int)span.length, span.data ? span.data : "");
    return strtod(text, NULL);
}

static struct span query_find(const struct request *request, const char *name)
{
    struct span query = request->query;
    while (query.length) {
        struct span value = span_cut(&query, '&');
        if (span_is(span_cut(&value, '='), name))
            return value;
    }
    return (struct span){NULL, 0};
}

static double query_number(const struct request *request, const char *name, double otherwise)
{
    struct span value = request->query.length ? query_find(request, name) : (struct span){NULL, 0};
    return value.data ? span_decimal(value) : otherwise;
}

static void header_read(struct request *request, struct span name, struct span value,
                        uint64_t *body_length)
{
    while (value.length && *value.data == ' ')
        value.data++, value.length--;
    if (span_is_caseless(name, "content-length"))
        *body_length = span_number(value, UINT64_MAX);
    else if (span_is_caseless(name, "connection"))
        request->closes = span_is_caseless(value, "close");
    else if (span_is_caseless(name, "expect"))
        request->expects_continue = true;
    else if (span_is_caseless(name, "idempotency-key"))
        request->idempotency_key = value;
    else if (span_is_caseless(name, "content-encoding"))
        request->gzip = span_is_caseless(value, "gzip");
    else if (span_is_caseless(name, "transfer-encoding"))
        *body_length = UINT64_MAX; /* not taken here */
}

static enum request_state request_parse(const struct bytes *in, struct request *request)
{
    const char *end = memmem(in->data, in->length, "\r\n\r\n", 4);
    if (!end) {
        request->bad = in->length > 1024 * 1024 || !isupper((unsigned char)in->data[0]);
        request->length = in->length;
        return request->bad ? REQUEST_BAD : REQUEST_PART;
    }
    uint64_t body_length = 0;
    size_t head = (size_t)(end - in->data) + 4;
    struct span rest = {in->data, head - 2};
    struct span line = span_cut(&rest, '\n');
    request->headers = (struct span){rest.data, rest.length};
    request->method = span_cut(&line, ' ');
    request->target = span_cut(&line, ' ');
    request->query = request->target;
    request->rest = span_cut(&request->query, '?');
    if (request->rest.length > 7 && memcmp(request->rest.data, "http://", 7) == 0) {
        span_cut(&request->rest, '/'); /* as asked of a proxy: http://host/path */
        span_cut(&request->rest, '/');
    }
    span_cut(&request->rest, '/');
    request->name = span_cut(&request->rest, '/');
    while (rest.length) {
        struct span value = span_cut(&rest, '\n');
        if (value.length && value.data[value.length - 1] == '\r')
            value.length--;
        header_read(request, span_cut(&value, ':'), value, &body_length);
    }
    request->bad = body_length > (uint64_t)1 << 32;
    if (request->bad) {
        request->length = in->length;
        return REQUEST_BAD;
    }
    request->length = head + body_length;
    request->body = (struct span){in->data + head, body_length};
    return in->length < request->length ? REQUEST_PART : REQUEST_WHOLE;
}

/* Keys: decoding, hashing, writing as JSON. */
static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : isxdigit((unsigned char)c) ? (c | 32) - 'a' + 10 : -1;
}

static void key_decode(struct span text, struct bytes *key)
{
    bytes_reserve(key, text.length + 1);
    for (size_t i = 0; i < text.length; i++) {
        char c = text.data[i];
        if (c == '%' && i + 2 < text.length && hex_digit(text.data[i + 1]) >= 0 &&
            hex_digit(text.data[i + 2]) >= 0) {
            c = (char)(hex_digit(text.data[i + 1]) * 16 + hex_digit(text.data[i + 2]));
            i += 2;
        }
        key->data[key->length++] = c;
    }
}

static uint64_t key_hash(struct span key)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < key.length; i++)
        hash = (hash ^ (unsigned char)key.data[i]) * 0x100000001b3u;
    return hash;
}

/* A hash of several, well mixed (the finalizer of MurmurHash3). */
static uint64_t hash_mix(uint64_t a, uint64_t b)
{
    uint64_t hash = a * 0x9e3779b97f4a7c15u + b;
    hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccdu;
    hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53u;
    return hash ^ (hash >> 33);
}

static void json_text(struct bytes *out, struct span text)
{
    bytes_reserve(out, text.length * 6 + 2);
    char *to = out->data + out->length;
    *to++ = '"';
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c == '"' || c == '\\')
            *to++ = '\\';
        if (c < 0x20)
            to += snprintf(to, 7, "\\u%04x", c);
        else
            *to++ = (char)c;
    }
    *to++ = '"';
    out->length = (size_t)(to - out->data);
}

/* {"key":…,"value":…} of a key that is decoded. */
static void echo_write(struct bytes *out, struct span key)
{
    char number[24];
    bytes_text(out, "{\"key\":");
    json_text(out, key);
    bytes_text(out, ",\"value\":");
    uint64_t value = key_hash(key) & (((uint64_t)1 << 53) - 1);
    char *digit = number + sizeof(number);
    do
        *--digit = (char)('0' + value % 10);
    while (value /= 10);
    bytes_add(out, digit, (size_t)(number + sizeof(number) - digit));
    bytes_text(out, "}");
}

/* How many times it has been asked for, this time too: an open-addressed table of hashes. */
static uint32_t key_attempt(uint64_t hash)
{
    static struct attempt {
        uint64_t hash;
        uint32_t count;
    } * table;
    static size_t used, capacity;
    hash += !hash;
    if (used * 2 >= capacity) {
        size_t old_capacity = capacity;
        struct attempt *old = table;
        capacity = capacity ? capacity * 2 : 4096;
        if (!(table = calloc(capacity, sizeof(*table))))
            die("memory");
        for (size_t i = 0; i < old_capacity; i++) {
            size_t slot = old[i].hash & (capacity - 1);
            while (old[i].hash && table[slot].hash)
                slot = (slot + 1) & (capacity - 1);
            if (old[i].hash)
                table[slot] = old[i];
        }
        free(old);
    }
    size_t slot = hash & (capacity - 1);
    while (table[slot].hash && table[slot].hash != hash)
        slot = (slot + 1) & (capacity - 1);
    used += !table[slot].hash;
    table[slot].hash = hash;
    return ++table[slot].count;
}

static const char *status_text(unsigned status)
{
    switch (status) {
    case 200:
        return "OK";
    case 204:
        return "No Content";
    case 302:
        return "Found";
    case 404:
        return "Not Found";
    case 429:
        return "Too Many Requests";
    case 503:
        return "Service Unavailable";
    default:
        return "Status";
    }
}

/* The head of an answer; `headers`: whole lines, or NULL. */
static void head_write(struct connection *c, unsigned status, const char *type, const char *headers)
{
    bytes_print(&c->out, "HTTP/1.1 %u %s\r\nContent-Type: %s\r\n%s", status, status_text(status),
                type, headers ? headers : "");
    if (c->ending == ENDING_CLOSE)
        bytes_text(&c->out, "Connection: close\r\n");
}

static void answer_send(struct connection *c, unsigned status, const char *type,
                        const char *headers, const void *body, size_t length)
{
    head_write(c, status, type, headers);
    if (status == 204 || status == 304)
        length = 0;
    else
        bytes_print(&c->out, "Content-Length: %zu\r\n", length);
    bytes_text(&c->out, "\r\n");
    bytes_add(&c->out, body, length);
}

static void answer_hold(struct connection *c, double milliseconds)
{
    c->held = true;
    timer_start(c, c->asked + (int64_t)(milliseconds * 1e6));
}

/* The usual answer: the echo of a key as it stands in the path, with what the query asks for. */
static void key_answer(struct connection *c, const struct request *request, unsigned status,
                       struct span text)
{
    static struct bytes key, body; /* kept, so that nothing is allocated for a request */
    char headers[256] = "", type[64] = "application/json";
    key.length = body.length = 0;
    key_decode(text, &key);
    echo_write(&body, (struct span){key.data, key.length});
    if (request->query.length) {
        struct span after = query_find(request, "retry_after");
        struct span wanted = query_find(request, "type");
        struct bytes decoded = {0};
        key_decode(after, &decoded);
        if (after.length)
            snprintf(headers, sizeof(headers), "Retry-After: %.*s\r\n", (int)decoded.length,
                     decoded.data);
        if (wanted.length)
            snprintf(type, sizeof(type), "%.*s", (int)wanted.length, wanted.data);
        free(decoded.data);
    }
    if (span_is(request->method, "HEAD"))
        body.length = 0;
    answer_send(c, status, type, headers, body.data, body.length);
}

static void echo_answer(struct connection *c, const struct request *request)
{
    key_answer(c, request, 200, request->rest);
}

static void delay_answer(struct connection *c, const struct request *request)
{
    struct span key = request->rest;
    struct span most = span_cut(&key, '/');
    struct span least = span_cut(&most, '-');
    double delay = span_decimal(least);
    if (most.length)
        delay +=
            (span_decimal(most) - delay) * (double)(hash_mix(1, key_hash(key)) >> 11) * 0x1p-53;
    key_answer(c, request, 200, key);
    answer_hold(c, delay);
}

static void status_answer(struct connection *c, const struct request *request)
{
    struct span key = request->rest;
    unsigned status = (unsigned)span_number(span_cut(&key, '/'), 200);
    key_answer(c, request, status, key);
}

static void first_answer(struct connection *c, const struct request *request)
{
    struct span key = request->rest;
    uint64_t bad = span_number(span_cut(&key, '/'), 1);
    unsigned status = (unsigned)span_number(span_cut(&key, '/'), 503);
    bool good = key_attempt(hash_mix(2, key_hash(request->target))) > bad;
    key_answer(c, request, good ? 200 : status, key);
}

static void burst_answer(struct connection *c, const struct request *request)
{
    static uint64_t turn;
    struct span key = request->rest;
    uint64_t good = span_number(span_cut(&key, '/'), 1);
    uint64_t bad = span_number(span_cut(&key, '/'), 1);
    bool is_good = good + bad == 0 || turn++ % (good + bad) < good;
    key_answer(c, request, is_good ? 200 : 503, key);
}

static void reflect_answer(struct connection *c, const struct request *request)
{
    struct bytes body = {0};
    struct span headers = request->headers;
    bytes_text(&body, "{\"method\":");
    json_text(&body, request->method);
    bytes_text(&body, ",\"target\":");
    json_text(&body, request->target);
    bytes_text(&body, ",\"headers\":{");
    for (bool first = true; headers.length; first = false) {
        struct span value = span_cut(&headers, '\n');
        struct span name = span_cut(&value, ':');
        while (value.length && isspace((unsigned char)*value.data))
            value.data++, value.length--;
        while (value.length && isspace((unsigned char)value.data[value.length - 1]))
            value.length--;
        bytes_text(&body, first ? "" : ",");
        json_text(&body, name);
        for (size_t i = body.length - name.length - 2; i < body.length; i++)
            body.data[i] = (char)tolower((unsigned char)body.data[i]);
        bytes_text(&body, ":");
        json_text(&body, value);
    }
    bytes_text(&body, "},\"body\":");
    json_text(&body, request->body);
    bytes_text(&body, "}\n");
    answer_send(c, 200, "application/json", NULL, body.data, body.length);
    free(body.data);
}

static void text_answer(struct connection *c, const struct request *request)
{
    struct bytes key = {0};
    key_decode(request->rest, &key);
    answer_send(c, 200, "text/plain; charset=utf-8", NULL, key.data, key.length);
    free(key.data);
}

static void empty_answer(struct connection *c, const struct request *request)
{
    (void)request;
    answer_send(c, 204, "text/plain", NULL, NULL, 0);
}

static void redirect_answer(struct connection *c, const struct request *request)
{
    struct span key = request->rest;
    uint64_t left = span_number(span_cut(&key, '/'), 0);
    char location[512];
    if (left == 0) {
        key_answer(c, request, 200, key);
        return;
    }
    snprintf(location, sizeof(location), "Location: /redirect/%" PRIu64 "/%.*s\r\n", left - 1,
             (int)key.length, key.data);
    answer_send(c, 302, "text/plain", location, "away\n", 5);
}

static void ring_answer(struct connection *c, const struct request *request)
{
    answer_send(c, 302, "text/plain",
                request->rest.length ? "Location: /ring\r\n" : "Location: /ring/1\r\n", "away\n",
                5);
}

static void leave_answer(struct connection *c, const struct request *request)
{
    struct bytes location = {0};
    bytes_text(&location, "Location: ");
    key_decode(query_find(request, "to"), &location);
    bytes_add(&location, "\r\n", 3);
    answer_send(c, 302, "text/plain", location.data, "away\n", 5);
    free(location.data);
}

static void pages_answer(struct connection *c, const struct request *request)
{
    uint64_t of = (uint64_t)query_number(request, "of", 100);
    uint64_t size = (uint64_t)query_number(request, "size", 10);
    uint64_t page = (uint64_t)query_number(request, "page", 1);
    bool by_cursor = span_is(request->rest, "cursor"), by_link = span_is(request->rest, "link");
    char link[512] = "";
    struct bytes body = {0};
    if (by_cursor)
        page = (uint64_t)query_number(request, "cursor", 1);
    uint64_t from = page ? (page - 1) * size : 0;
    bool more = from + size < of;
    bytes_text(&body, by_cursor ? "{\"items\":[" : "[");
    for (uint64_t n = from; n < from + size && n < of; n++)
        bytes_print(&body, "%s{\"n\":%" PRIu64 "}", n > from ? "," : "", n);
    bytes_text(&body, "]");
    if (by_cursor && more)
        bytes_print(&body, ",\"next\":\"%" PRIu64 "\"}", page + 1);
    else if (by_cursor)
        bytes_text(&body, ",\"next\":null}");
    if (by_link && more)
        snprintf(link, sizeof(link),
                 "Link: </pages/link?of=1>; rel=\"first\", </pages/link?of=%" PRIu64
                 "&size=%" PRIu64 "&page=%" PRIu64 ">; title=\"a, b; c\"; rel=\"last next\"\r\n",
                 of, size, page + 1);
    answer_send(c, 200, "application/json", link, body.data, body.length);
    free(body.data);
}
