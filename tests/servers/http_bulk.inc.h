/* The test server's answers to many at once: batches of keys, and the sink that stores records.
 * Included once, by http_server.c. */

/* The next value of a JSON array's inside, or of several lines of JSON; valid JSON is taken for
 * granted. False: there is none. */
static bool json_next(struct span *text, struct span *value)
{
    unsigned depth = 0;
    bool in_string = false;
    while (text->length && strchr(" \t\r\n,", *text->data))
        text->data++, text->length--;
    *value = (struct span){text->data, 0};
    while (text->length) {
        char c = *text->data;
        if (in_string && c == '\\' && text->length > 1) {
            text->data += 2;
            text->length -= 2;
            continue;
        }
        if (c == '"')
            in_string = !in_string;
        else if (!in_string && depth == 0 && strchr(",\r\n]", c))
            break;
        else if (!in_string && (c == '{' || c == '['))
            depth++;
        else if (!in_string && (c == '}' || c == ']'))
            depth--;
        text->data++;
        text->length--;
    }
    value->length = (size_t)(text->data - value->data);
    while (value->length && value->data[value->length - 1] == ' ')
        value->length--;
    return value->length > 0;
}

/* The inside of an array, or all of what is no array. */
static struct span json_inside(struct span text)
{
    while (text.length && isspace((unsigned char)*text.data))
        text.data++, text.length--;
    if (text.length && *text.data == '[')
        text.data++, text.length--;
    return text;
}

static void batch_answer(struct connection *c, const struct request *request)
{
    bool is_map = span_is(request->rest, "map"), reverse = span_is(request->rest, "reverse");
    struct span inside = json_inside(request->body), key;
    struct bytes body = {0};
    struct span *keys = NULL;
    size_t count = 0;
    while (json_next(&inside, &key)) {
        if (count % 1024 == 0 && !(keys = realloc(keys, (count + 1024) * sizeof(*keys))))
            die("memory");
        if (key.length >= 2 && *key.data == '"')
            key = (struct span){key.data + 1, key.length - 2};
        keys[count++] = key;
    }
    if (count && span_is(request->rest, "short"))
        count--;
    bytes_text(&body, is_map ? "{" : "[");
    for (size_t i = 0; i < count; i++) {
        key = keys[reverse ? count - 1 - i : i];
        bytes_text(&body, i ? "," : "");
        if (is_map) {
            json_text(&body, key);
            bytes_text(&body, ":");
        }
        echo_write(&body, key);
    }
    bytes_text(&body, is_map ? "}" : "]");
    answer_send(c, 200, "application/json", NULL, body.data, body.length);
    free(body.data);
    free(keys);
}

/* What the sink holds. */
static struct {
    struct bytes lines;
    uint64_t *known; /* hashes of idempotency keys */
    size_t known_count;
    uint64_t lost, busy; /* answers lost, refused so far */
} store;

static bool store_knows(uint64_t hash)
{
    for (size_t i = store.known_count; i > 0; i--) {
        if (store.known[i - 1] == hash)
            return true;
    }
    return false;
}

static void store_note(uint64_t hash)
{
    if (store.known_count % 1024 == 0) {
        store.known = realloc(store.known, (store.known_count + 1024) * sizeof(uint64_t));
        if (!store.known)
            die("memory");
    }
    store.known[store.known_count++] = hash;
}

/* Whether a record's "id" is one of the list in the query. */
static bool record_is_listed(struct span record, struct span list)
{
    const char *found = memmem(record.data, record.length, "\"id\":", 5);
    if (!found || !list.length)
        return false;
    struct span id = {found + 5, (size_t)(record.data + record.length - found - 5)};
    while (id.length && (*id.data == ' ' || *id.data == '"'))
        id.data++, id.length--;
    size_t length = 0;
    while (length < id.length && !strchr("\",} ", id.data[length]))
        length++;
    while (list.length) {
        struct span one = span_cut(&list, ',');
        if (one.length == length && memcmp(one.data, id.data, length) == 0)
            return true;
    }
    return false;
}

static bool body_unpack(struct span packed, struct bytes *body)
{
    z_stream stream = {.next_in = (Bytef *)packed.data, .avail_in = (uInt)packed.length};
    if (inflateInit2(&stream, 31) != Z_OK)
        die("zlib");
    int result = Z_OK;
    while (result == Z_OK) {
        bytes_reserve(body, 65536);
        stream.next_out = (Bytef *)body->data + body->length;
        stream.avail_out = (uInt)(body->capacity - body->length);
        result = inflate(&stream, Z_NO_FLUSH);
        body->length = body->capacity - stream.avail_out;
    }
    inflateEnd(&stream);
    return result == Z_STREAM_END;
}

static void bulk_store(const struct request *request, struct span records)
{
    struct span record;
    while (json_next(&records, &record)) {
        bytes_text(&store.lines, "{\"request\":");
        json_text(&store.lines, request->idempotency_key);
        bytes_text(&store.lines, ",\"record\":");
        bytes_add(&store.lines, record.data, record.length);
        bytes_text(&store.lines, "}\n");
    }
}

/* The answer's status; for 422, `rejected` becomes the indices. */
static unsigned bulk_check(const struct request *request, struct span records,
                           struct bytes *rejected, uint64_t *count)
{
    struct span reject = query_find(request, "reject"), bad = query_find(request, "bad"), record;
    bool any_bad = false, any_rejected = false;
    for (*count = 0; json_next(&records, &record); ++*count) {
        any_bad |= record_is_listed(record, bad);
        if (record_is_listed(record, reject)) {
            bytes_print(rejected, "%s%" PRIu64, any_rejected ? "," : "", *count);
            any_rejected = true;
        }
    }
    if ((double)*count > query_number(request, "most", 1e18))
        return 413;
    return any_bad ? 400 : any_rejected ? 422 : 200;
}

static void bulk_answer(struct connection *c, const struct request *request)
{
    struct bytes unpacked = {0}, rejected = {0};
    struct span body = request->body;
    uint64_t key = key_hash(request->idempotency_key), count = 0;
    char text[128];
    if (request->gzip) {
        if (!body_unpack(body, &unpacked)) {
            answer_send(c, 400, "text/plain", NULL, "no gzip\n", 8);
            free(unpacked.data);
            return;
        }
        body = (struct span){unpacked.data, unpacked.length};
    }
    struct span records = json_inside(body);
    unsigned status = bulk_check(request, records, &rejected, &count);
    bool known = request->idempotency_key.length && store_knows(key);
    if ((double)store.busy < query_number(request, "busy", 0)) {
        store.busy++;
        answer_send(c, 503, "text/plain", NULL, "busy\n", 5);
    } else if (status == 422) {
        struct bytes list = {0};
        bytes_text(&list, "{\"rejected\":[");
        bytes_add(&list, rejected.data, rejected.length);
        bytes_text(&list, "]}\n");
        answer_send(c, 422, "application/json", NULL, list.data, list.length);
        free(list.data);
    } else if (status != 200) {
        answer_send(c, status, "text/plain", NULL, "refused\n", 8);
    } else {
        if (!known)
            bulk_store(request, records);
        if (!known && request->idempotency_key.length)
            store_note(key);
        int length = snprintf(text, sizeof(text), "{\"stored\":%" PRIu64 "%s}\n", known ? 0 : count,
                              known ? ",\"repeated\":true" : "");
        if ((double)store.lost < query_number(request, "lost", 0)) {
            store.lost++;
            c->ending = ENDING_RESET;
        } else {
            answer_send(c, 200, "application/json", NULL, text, (size_t)length);
        }
    }
    free(unpacked.data);
    free(rejected.data);
}
