/* The test server's misbehaviour, and answers that are made piece by piece. Included once, by
 * http_server.c. */

#define BLOCK_SIZE 65536

/* A body of a JSON string: quote, x …, quote; pump_left bytes are to come. */
static bool big_pump(struct connection *c)
{
    uint64_t size = c->pump_left < BLOCK_SIZE ? c->pump_left : BLOCK_SIZE;
    bytes_reserve(&c->out, BLOCK_SIZE + 32);
    if (c->pump_state == 1)
        bytes_print(&c->out, "%" PRIx64 "\r\n", size);
    memset(c->out.data + c->out.length, 'x', size);
    c->out.length += size;
    c->pump_left -= size;
    if (c->pump_left == 0)
        c->out.data[c->out.length - 1] = '"';
    if (c->pump_state == 1)
        bytes_text(&c->out, c->pump_left ? "\r\n" : "\r\n0\r\n\r\n");
    return c->pump_left > 0;
}

static void big_answer(struct connection *c, const struct request *request)
{
    struct span rest = request->rest;
    bool chunked = span_is(span_cut(&rest, '/'), "chunked");
    uint64_t size = span_number(chunked ? rest : request->rest, 1000);
    size = size < 2 ? 2 : size;
    head_write(c, 200, "application/json", NULL);
    if (chunked)
        bytes_text(&c->out, "Transfer-Encoding: chunked\r\n\r\n1\r\n\"\r\n");
    else
        bytes_print(&c->out, "Content-Length: %" PRIu64 "\r\n\r\n\"", size);
    c->pump = big_pump;
    c->pump_left = size - 1;
    c->pump_state = chunked;
}

static void chunked_answer(struct connection *c, const struct request *request)
{
    struct bytes key = {0}, body = {0};
    key_decode(request->rest, &key);
    echo_write(&body, (struct span){key.data, key.length});
    head_write(c, 200, "application/json", NULL);
    bytes_text(&c->out, "Transfer-Encoding: chunked\r\n\r\n");
    for (size_t i = 0; i < body.length; i += 5) {
        size_t size = body.length - i < 5 ? body.length - i : 5;
        bytes_print(&c->out, "%zx;extension=1\r\n", size);
        bytes_add(&c->out, body.data + i, size);
        bytes_text(&c->out, "\r\n");
    }
    bytes_text(&c->out, "0\r\n\r\n");
    free(key.data);
    free(body.data);
}

/* Packs with a window of `bits` (31: gzip, 15: zlib, which HTTP calls deflate). */
static void body_pack(const struct bytes *body, int bits, struct bytes *packed)
{
    z_stream stream = {.next_in = (Bytef *)body->data, .avail_in = (uInt)body->length};
    if (deflateInit2(&stream, 6, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        die("zlib");
    size_t bound = deflateBound(&stream, body->length) + 32;
    bytes_reserve(packed, bound);
    stream.next_out = (Bytef *)packed->data;
    stream.avail_out = (uInt)packed->capacity;
    if (deflate(&stream, Z_FINISH) != Z_STREAM_END)
        die("zlib");
    packed->length = packed->capacity - stream.avail_out;
    deflateEnd(&stream);
}

static void gzip_answer(struct connection *c, const struct request *request)
{
    bool gzip = span_is(request->name, "gzip");
    struct bytes key = {0}, body = {0}, packed = {0};
    key_decode(request->rest, &key);
    echo_write(&body, (struct span){key.data, key.length});
    body_pack(&body, gzip ? 31 : 15, &packed);
    answer_send(c, 200, "application/json",
                gzip ? "Content-Encoding: gzip\r\n" : "Content-Encoding: deflate\r\n", packed.data,
                packed.length);
    free(key.data);
    free(body.data);
    free(packed.data);
}

static void gzip_broken_answer(struct connection *c, const struct request *request)
{
    struct bytes body = {0}, packed = {0};
    for (int i = 0; i < 1000; i++)
        bytes_print(&body, "%d,", i * 7919);
    body_pack(&body, 31, &packed);
    if (span_is(request->name, "gzip-cut"))
        packed.length /= 2;
    else
        memset(packed.data + packed.length / 2, 0xff, 16);
    answer_send(c, 200, "application/json", "Content-Encoding: gzip\r\n", packed.data,
                packed.length);
    free(body.data);
    free(packed.data);
}

/* The same block of packed zeros, over and over, then the end with the checksum over all. */
#define ZEROS (1024 * 1024)
static bool bomb_pump(struct connection *c)
{
    if (c->pump_left) {
        bytes_add(&c->out, c->pump_block->data, c->pump_block->length);
        c->pump_left--;
        return true;
    }
    uint32_t trailer[2] = {(uint32_t)(c->pump_state >> 32), (uint32_t)c->pump_state};
    bytes_add(&c->out, "\x03\x00", 2); /* an empty last block */
    bytes_add(&c->out, trailer, sizeof(trailer));
    return false;
}

static void bomb_answer(struct connection *c, const struct request *request)
{
    static struct bytes block;
    uint64_t blocks = (span_number(request->rest, ZEROS) + ZEROS - 1) / ZEROS;
    char *zeros = calloc(1, ZEROS);
    if (!zeros)
        die("memory");
    if (!block.length) {
        z_stream stream = {.next_in = (Bytef *)zeros, .avail_in = ZEROS};
        bytes_reserve(&block, 65536);
        stream.next_out = (Bytef *)block.data;
        stream.avail_out = 65536;
        if (deflateInit2(&stream, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK ||
            deflate(&stream, Z_FULL_FLUSH) != Z_OK)
            die("zlib");
        block.length = 65536 - stream.avail_out;
        deflateEnd(&stream);
    }
    uLong one = crc32(0, (Bytef *)zeros, ZEROS), all = one;
    for (uint64_t i = 1; i < blocks; i++)
        all = crc32_combine(all, one, ZEROS);
    free(zeros);
    head_write(c, 200, "application/json", "Content-Encoding: gzip\r\n");
    bytes_print(&c->out, "Content-Length: %" PRIu64 "\r\n\r\n", 10 + blocks * block.length + 10);
    bytes_add(&c->out, "\x1f\x8b\x08\0\0\0\0\0\0\x03", 10);
    c->pump = bomb_pump;
    c->pump_block = &block;
    c->pump_left = blocks;
    c->pump_state = (uint64_t)all << 32 | (uint32_t)(blocks * ZEROS);
}

static void cut_off(struct connection *c, struct span where, enum ending ending)
{
    uint64_t size = span_number(where, 0);
    c->ending = ending;
    if (span_is(where, "head")) {
        if (ending == ENDING_CLOSE)
            bytes_text(&c->out, "HTTP/1.1 200 OK\r\nContent-Ty");
        return;
    }
    bytes_print(&c->out,
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %" PRIu64
                "\r\n\r\n",
                size + 1000);
    bytes_reserve(&c->out, size);
    memset(c->out.data + c->out.length, ' ', size);
    c->out.length += size;
}

static void reset_answer(struct connection *c, const struct request *request)
{
    cut_off(c, request->rest, ENDING_RESET);
}

static void truncate_answer(struct connection *c, const struct request *request)
{
    cut_off(c, request->rest, ENDING_CLOSE);
}

static void flaky_answer(struct connection *c, const struct request *request)
{
    struct span key = request->rest, none = {"10", 2}, how = query_find(request, "how");
    uint64_t percent = span_number(span_cut(&key, '/'), 20);
    uint64_t hash = hash_mix((uint64_t)query_number(request, "seed", 1), key_hash(key));
    uint32_t attempt = key_attempt(hash);
    uint64_t chance = hash_mix(hash, attempt);
    if (chance % 100 >= percent) {
        key_answer(c, request, 200, key);
        return;
    }
    unsigned kind = span_is(how, "mixed") ? (unsigned)(chance / 100 % 3) : 3;
    if (span_is(how, "reset") || kind == 0)
        cut_off(c, none, ENDING_RESET);
    else if (span_is(how, "truncate") || kind == 1)
        cut_off(c, none, ENDING_CLOSE);
    else if (span_is(how, "hang"))
        c->ending = ENDING_HANG;
    else
        key_answer(c, request, span_is(how, "429") ? 429 : 503, key);
}

static void length_answer(struct connection *c, const struct request *request)
{
    const char *lines = "Content-Length: -5\r\n";
    if (span_is(request->rest, "word"))
        lines = "Content-Length: many\r\n";
    else if (span_is(request->rest, "two"))
        lines = "Content-Length: 7\r\nContent-Length: 14\r\n";
    else if (span_is(request->rest, "short"))
        lines = "Content-Length: 7\r\n";
    else if (span_is(request->rest, "huge"))
        lines = "Content-Length: 18446744073709551616\r\n";
    head_write(c, 200, "application/json", lines);
    bytes_text(&c->out, "\r\n[1,2,3]{\"more\":1}{\"more\":2}");
    c->ending = span_is(request->rest, "short") ? ENDING_KEEP : ENDING_CLOSE;
}

static void garbage_answer(struct connection *c, const struct request *request)
{
    c->ending = ENDING_CLOSE;
    if (!span_is(request->rest, "binary")) {
        bytes_text(&c->out, "220 mail.example ESMTP ready\r\n250 OK\r\n\r\nwhat?\r\n");
        return;
    }
    bytes_reserve(&c->out, 4096);
    for (int i = 0; i < 4096; i++)
        c->out.data[c->out.length++] = (char)(i * 7);
}

static bool headers_pump(struct connection *c)
{
    bytes_reserve(&c->out, 4096);
    if (c->pump_state == 0) { /* lines; else one line */
        for (int i = 0; i < 64; i++)
            bytes_print(&c->out, "X-Header-%05d: %046d\r\n", i, i);
        return true;
    }
    memset(c->out.data + c->out.length, 'h', 4096);
    c->out.length += 4096;
    return true;
}

static void headers_answer(struct connection *c, const struct request *request)
{
    uint64_t size = span_number(request->rest, 0);
    if (size) {
        struct bytes headers = {0};
        while (headers.length + 64 <= size)
            bytes_text(&headers,
                       "X-Header: 0123456789012345678901234567890123456789012345678901\r\n");
        bytes_add(&headers, "", 1);
        bytes_text(&c->out, "HTTP/1.1 200 OK\r\n");
        bytes_text(&c->out, headers.data);
        bytes_text(&c->out, "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
        free(headers.data);
        return;
    }
    bytes_text(&c->out, "HTTP/1.1 200 OK\r\n");
    c->ending = ENDING_CLOSE;
    c->pump = headers_pump;
    c->pump_state = span_is(request->rest, "line");
    if (c->pump_state)
        bytes_text(&c->out, "X-Line: ");
}

static void hang_answer(struct connection *c, const struct request *request)
{
    if (span_is(request->rest, "body"))
        bytes_text(&c->out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                            "Content-Length: 100\r\n\r\n{\"half\":");
    c->ending = ENDING_HANG;
}

static bool drip_pump(struct connection *c)
{
    bytes_add(&c->out, " ", 1);
    return --c->pump_left > 0;
}

static bool drip_head_pump(struct connection *c)
{
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    bytes_add(&c->out, text + c->pump_state, 1);
    return ++c->pump_state < sizeof(text) - 1;
}

static void drip_answer(struct connection *c, const struct request *request)
{
    struct span rest = request->rest;
    c->pump_gap = (int64_t)(span_decimal(span_cut(&rest, '/')) * 1e6);
    c->pump = drip_head_pump;
    if (span_is(rest, "head"))
        return;
    c->pump = drip_pump;
    c->pump_left = span_number(rest, 10);
    head_write(c, 200, "application/json", NULL);
    bytes_print(&c->out, "Content-Length: %" PRIu64 "\r\n\r\n", c->pump_left);
    c->pump = c->pump_left ? drip_pump : NULL;
}

static void chunked_bad_answer(struct connection *c, const struct request *request)
{
    head_write(c, 200, "application/json", NULL);
    bytes_text(&c->out, "Transfer-Encoding: chunked\r\n\r\n5\r\n[1,2,\r\n");
    c->ending = ENDING_CLOSE;
    if (span_is(request->rest, "size"))
        bytes_text(&c->out, "zz\r\n3]\r\n0\r\n\r\n");
    else if (span_is(request->rest, "overflow"))
        bytes_text(&c->out, "fffffffffffffffff\r\n3]\r\n0\r\n\r\n");
    else if (span_is(request->rest, "ending"))
        bytes_text(&c->out, "2\r\n3]0\r\n\r\n");
    else
        bytes_text(&c->out, "2\r\n3]\r\n");
}

static void close_answer(struct connection *c, const struct request *request)
{
    key_answer(c, request, 200, request->rest);
    c->ending = ENDING_CLOSE;
}
