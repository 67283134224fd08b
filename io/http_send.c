/* Groups sent, and what comes of them: see http_sink_internal.h.
 *
 * Where a server refuses a body (400, 413, 422) the group is sent again in halves, until the record
 * that it does not take stands alone: that one is rejected. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/fault.h"
#include "io/http_sink_internal.h"

#define ANSWER_LIMIT  ((size_t)1 << 20) /* of what a server says to a request */
#define ANSWER_SHOWN  160               /* bytes of it in a reject */
#define GZIP_OVERHEAD 64

static bool send_fail(struct http_sink *sink, enum error_code code, const char *text)
{
    if (!sink->failed)
        error_set(&sink->error, code, "%s", text);
    sink->failed = true;
    return false;
}

/* ---- bodies ---- */

static bool room_make(char **memory, size_t *capacity, size_t wanted)
{
    if (wanted <= *capacity)
        return true;
    char *larger = memory_resize(*memory, wanted);
    if (!larger)
        return false;
    *memory = larger;
    *capacity = wanted;
    return true;
}

struct body_walk {
    char *to;
    bool as_list;
    bool first;
};

static bool body_visit(void *context, struct http_held *held, uint32_t line, struct string text)
{
    struct body_walk *walk = context;
    (void)held;
    (void)line;
    if (walk->as_list)
        *walk->to++ = walk->first ? '[' : ',';
    memcpy(walk->to, text.data, text.length);
    walk->to += text.length;
    if (!walk->as_list)
        *walk->to++ = '\n';
    walk->first = false;
    return true;
}

static bool body_compress(struct http_sink *sink, struct http_sending *sending, size_t length)
{
    z_stream *deflater = &sink->deflate;
    if (deflateReset(deflater) != Z_OK || length > UINT32_MAX)
        return false;
    size_t most = deflateBound(deflater, length) + GZIP_OVERHEAD;
    if (!room_make(&sending->body, &sending->capacity, most))
        return false;
    deflater->next_in = (Bytef *)sink->plain;
    deflater->avail_in = (uInt)length;
    deflater->next_out = (Bytef *)sending->body;
    deflater->avail_out = (uInt)size_min(most, UINT32_MAX);
    if (deflate(deflater, Z_FINISH) != Z_STREAM_END)
        return false;
    sending->request.body = (struct string){sending->body, deflater->total_out};
    return true;
}

/* False: no memory. */
static bool body_make(struct http_sink *sink, struct http_sending *sending)
{
    /* a last line may come without its LF; a list has its brackets */
    size_t most = sending->group->bytes + 3;
    char **memory = sink->gzip ? &sink->plain : &sending->body;
    if (!room_make(memory, sink->gzip ? &sink->plain_capacity : &sending->capacity, most))
        return false;
    struct body_walk walk = {.to = *memory, .as_list = sink->as_list, .first = true};
    CHECK(http_group_walk(sink, sending->group, body_visit, &walk));
    if (sink->as_list)
        *walk.to++ = ']';
    size_t length = (size_t)(walk.to - *memory);
    CHECK(length <= most);
    if (sink->gzip)
        return body_compress(sink, sending, length);
    sending->request.body = (struct string){sending->body, length};
    return true;
}

/* ---- requests ---- */

static void header_add(struct http_sink *sink, struct http_sending *sending, const char *name,
                       const char *value)
{
    if (http_client_has_header(&sink->client, name))
        return; /* the pipeline says it otherwise */
    sending->headers[sending->request.header_count++] =
        (struct request_header){{name, strlen(name)}, {value, strlen(value)}};
}

static bool sending_start(struct http_sink *sink, struct http_group *group)
{
    struct http_sending *sending = sink->unused_sendings;
    sink->unused_sendings = sending->next;
    sending->group = group;
    sending->request = (struct request){
        .method = sink->method,
        .url = {sink->client.url, strlen(sink->client.url)},
        .headers = sending->headers,
        .peer = sink->client.peer,
        .shown_url = {sink->client.shown, strlen(sink->client.shown)},
        .repeatable = true, /* by its key, or at least as at least once has it */
    };
    http_group_key(sink, group, sending->key, sizeof(sending->key));
    header_add(sink, sending, "content-type",
               sink->as_list ? "application/json" : "application/x-ndjson");
    header_add(sink, sending, "idempotency-key", sending->key);
    if (sink->gzip)
        header_add(sink, sending, "content-encoding", "gzip");
    sending->call = (struct call){.requests = &sending->request, .request_count = 1};
    sink->in_flight++;
    if (!body_make(sink, sending))
        return send_fail(sink, ERROR_MEMORY, "no memory for the body of a request");
    dispatcher_submit(sink->client.dispatcher, &sending->call);
    return true;
}

bool http_send_open(struct http_sink *sink, struct error *error)
{
    uint32_t count = sink->client.protections.concurrency;
    sink->sendings = memory_take_zeroed(count, sizeof(*sink->sendings));
    if (!sink->sendings)
        return error_set(error, ERROR_MEMORY, "no memory for %u requests at once", count);
    sink->sending_count = count;
    for (uint32_t i = count; i-- > 0;) {
        sink->sendings[i].next = sink->unused_sendings;
        sink->unused_sendings = &sink->sendings[i];
    }
    if (sink->gzip && deflateInit2(&sink->deflate, Z_DEFAULT_COMPRESSION, Z_DEFLATED,
                                   MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return error_set(error, ERROR_MEMORY, "no memory to compress requests");
    sink->deflate_open = sink->gzip;
    return http_client_connect(&sink->client, count, ANSWER_LIMIT, sink->context->seed, error);
}

void http_send_count(struct http_sink *sink)
{
    struct dispatcher_counts counts;
    if (!sink->client.dispatcher)
        return;
    dispatcher_counts(sink->client.dispatcher, &counts);
    const uint64_t values[HTTP_COUNTERS] = {
        [HTTP_REQUESTS] = counts.exchanges,
        [HTTP_RETRIES] = counts.retries,
        [HTTP_IN_FLIGHT_MOST] = counts.in_flight_most,
        [HTTP_BREAKER_OPENED] = counts.breaker_opened,
        [HTTP_BREAKER_REFUSALS] = counts.breaker_refusals,
        [HTTP_LATENCY_P50] = (uint64_t)counts.latency_p50,
        [HTTP_LATENCY_P95] = (uint64_t)counts.latency_p95,
    };
    for (unsigned i = 0; i < HTTP_COUNTERS; i++)
        __atomic_store_n(&sink->counters[i], values[i], __ATOMIC_RELAXED);
}

void http_send_close(struct http_sink *sink)
{
    http_send_count(sink);
    http_client_disconnect(&sink->client);
    for (uint32_t i = 0; i < sink->sending_count; i++) {
        free(sink->sendings[i].body);
        free(sink->sendings[i].group);
    }
    free(sink->sendings);
    free(sink->plain);
    if (sink->deflate_open)
        deflateEnd(&sink->deflate);
    for (struct http_group *group = sink->ready, *next; group; group = next) {
        next = group->next;
        free(group);
    }
    for (struct http_group *group = sink->unused_groups, *next; group; group = next) {
        next = group->next;
        free(group);
    }
    sink->sendings = sink->unused_sendings = NULL;
    sink->sending_count = sink->in_flight = sink->ready_count = 0;
    sink->ready = sink->unused_groups = NULL;
    sink->open.count = 0;
    sink->plain = NULL;
    sink->deflate_open = false;
}

/* ---- what comes of them ---- */

static bool answered_visit(void *context, struct http_held *held, uint32_t line, struct string text)
{
    (void)context;
    (void)line;
    (void)text;
    CHECK(held->left > 0);
    held->left--;
    return true;
}

struct reject_walk {
    struct http_sink *sink;
    const struct call *call;
    char reason[320];
};

static bool is_rejected(const struct batch *batch, uint32_t record)
{
    for (const struct reject *reject = batch->rejects; reject; reject = reject->next)
        if (reject->record == record)
            return true; /* another sink refused it too */
    return false;
}

static bool reject_record(const struct reject_walk *walk, struct batch *batch, uint32_t record)
{
    const struct http_client *client = &walk->sink->client;
    struct reject_call *call = arena_take(&batch->arena, sizeof(*call));
    char *url =
        call ? arena_copy_text(&batch->arena, (struct string){client->shown, strlen(client->shown)})
             : NULL;
    if (!url)
        return false;
    *call = (struct reject_call){
        .url = {url, strlen(url)}, .attempts = walk->call->attempts, .status = walk->call->status};
    if (!batch_reject(batch, record, STAGE_SINK, ERROR_REFUSED, UINT32_MAX, "%s", walk->reason))
        return false;
    struct reject *reject =
        (struct reject *)(void *)((char *)batch->rejects_tail - offsetof(struct reject, next));
    reject->call = call;
    return true;
}

static bool reject_visit(void *context, struct http_held *held, uint32_t line, struct string text)
{
    const struct reject_walk *walk = context;
    struct batch *batch = held->batch;
    uint32_t record = batch->rows[held->first_row + line];
    (void)text;
    CHECK(held->left > 0);
    held->left--;
    if (is_rejected(batch, record) || reject_record(walk, batch, record))
        return true;
    /* at the sink nothing else needs the arena any more */
    batch->arena.limit = batch->arena.reserved;
    return reject_record(walk, batch, record) ||
           send_fail(walk->sink, ERROR_MEMORY, "no memory to reject so many records");
}

/* The detail, and the beginning of what the server said to it. */
static void reason_write(struct reject_walk *walk)
{
    const struct call *call = walk->call;
    const struct exchange *exchange = call->exchange;
    size_t size = sizeof(walk->reason);
    size_t used = (size_t)snprintf(walk->reason, size, "%s",
                                   call->detail[0] ? call->detail : outcome_name(call->outcome));
    if (!exchange || call->outcome != OUTCOME_ANSWER || exchange->answer.length == 0)
        return;
    size_t shown = size_min(exchange->answer.length, ANSWER_SHOWN);
    used += (size_t)snprintf(walk->reason + used, size - used, ": ");
    for (size_t i = 0; i < shown && used + 1 < size; i++) {
        char byte = exchange->answer.data[i];
        if (byte != '\n' && byte != '\r')
            walk->reason[used++] = byte >= 0x20 && byte < 0x7f ? byte : '?';
    }
    walk->reason[used] = 0;
}

static bool is_refusal(const struct call *call)
{
    return call->outcome == OUTCOME_ANSWER &&
           (call->status == 400 || call->status == 413 || call->status == 422);
}

static void group_done(struct http_sink *sink, struct http_sending *sending)
{
    const struct http_group *group = sending->group;
    CHECK(http_group_walk(sink, group, answered_visit, NULL));
    __atomic_fetch_add(&sink->base.records_written, group->count, __ATOMIC_RELAXED);
    __atomic_fetch_add(&sink->base.bytes_written, sending->request.body.length, __ATOMIC_RELAXED);
    http_group_free(sink, sending->group);
}

static bool group_reject(struct http_sink *sink, struct http_sending *sending)
{
    struct reject_walk walk = {.sink = sink, .call = &sending->call};
    reason_write(&walk);
    bool done = http_group_walk(sink, sending->group, reject_visit, &walk);
    http_group_free(sink, sending->group);
    return done;
}

static bool group_halve(struct http_sink *sink, struct http_group *group)
{
    struct http_group *rest = http_group_split(sink, group, group->count / 2);
    if (!rest) {
        http_group_free(sink, group);
        return send_fail(sink, ERROR_MEMORY, "no memory to take a request apart");
    }
    http_group_return(sink, rest);
    http_group_return(sink, group);
    return true;
}

/* False: the run fails. */
static bool call_settle(struct http_sink *sink, struct http_sending *sending, int64_t now)
{
    const struct call *call = &sending->call;
    struct http_group *group = sending->group;
    if (call->verdict == CALL_GOOD) {
        group_done(sink, sending);
        return true;
    }
    if (is_refusal(call))
        return group->count > 1 ? group_halve(sink, group) : group_reject(sink, sending);
    group->tries += call->attempts;
    if (call->outcome == OUTCOME_OPEN && group->tries <= sink->client.protections.retries) {
        sink->hold_until = now + sink->client.protections.breaker_pause;
        http_group_return(sink, group);
        return true;
    }
    if (sink->rejects_all)
        return group_reject(sink, sending);
    if (!sink->failed)
        (void)http_client_refuse(call, group->tries, &sink->error);
    sink->failed = true;
    http_group_free(sink, group);
    return false;
}

/* What was answered. False: the run fails. */
static bool calls_reap(struct http_sink *sink, int64_t now, bool *moved)
{
    struct dispatcher *dispatcher = sink->client.dispatcher;
    struct call *call;
    bool good = true;
    while ((call = dispatcher_reap(dispatcher)) != NULL) {
        struct http_sending *sending = (struct http_sending *)call;
        good &= call_settle(sink, sending, now);
        sending->group = NULL;
        dispatcher_release(dispatcher, call);
        sending->next = sink->unused_sendings;
        sink->unused_sendings = sending;
        sink->in_flight--;
        *moved = true;
    }
    return good;
}

bool http_send_step(struct http_sink *sink, int64_t now)
{
    bool moved = true;
    /* until nothing moves: a call that is over and not reaped wakes nobody */
    while (moved) {
        moved = false;
        dispatcher_step(sink->client.dispatcher);
        if (!calls_reap(sink, now, &moved))
            return false;
        if (!http_groups_cut(sink, now))
            return send_fail(sink, ERROR_MEMORY, "no memory for requests");
        bool sends = sink->ready && sink->unused_sendings && now >= sink->hold_until;
        if (sends && !http_state_note(sink, &sink->error)) {
            sink->failed = true;
            return false;
        }
        while (sink->ready && sink->unused_sendings && now >= sink->hold_until) {
            struct http_group *group = sink->ready;
            sink->ready = group->next;
            sink->ready_count--;
            moved = true;
            if (!sending_start(sink, group))
                return false;
        }
    }
    return true;
}
