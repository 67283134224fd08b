/* From rows to calls: which row is asked for next, whether its answer is known or under way, and
 * the memory of requests. The actor's thread. */
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/fault.h"
#include "stages/lookup.h"

/* Calls that wait for another try hold no slot of the concurrency, so there are more than that. */
#define CALLS_LEAST    64
#define CALLS_TIMES    8
#define CALLS_MOST     65536
#define CALL_ESTIMATE  2048        /* bytes, with what the dispatcher and the transport keep */
#define ASKS_MOST      (64 * 1024) /* made at the start; a few more where the oldest row wants one */
#define CALL_KEEPS     4096        /* bytes that a call keeps for its next request */
#define PUMP_MOST      512         /* rows asked for in one go */
#define SCRATCH_LEAST  (256 * 1024)
#define KEY_SEPARATION sizeof(uint32_t)

/* ---- pools ---- */

static bool asks_make(struct lookup *lookup, uint32_t count)
{
    struct {
        void *next;
        struct lookup_ask asks[];
    } *block = memory_take_zeroed(1, sizeof(*block) + count * sizeof(struct lookup_ask));
    if (!block)
        return false;
    block->next = lookup->ask_blocks;
    lookup->ask_blocks = block;
    for (uint32_t i = count; i-- > 0;) {
        block->asks[i].next = lookup->free_asks;
        lookup->free_asks = &block->asks[i];
    }
    return true;
}

static bool calls_make(struct lookup *lookup)
{
    lookup->calls = memory_take_zeroed(lookup->call_count, sizeof(*lookup->calls));
    if (!lookup->calls)
        return false;
    for (uint32_t i = lookup->call_count; i-- > 0;) {
        lookup->calls[i].next = lookup->free_calls;
        lookup->free_calls = &lookup->calls[i];
    }
    return true;
}

static void sizes_plan(struct lookup *lookup, size_t *scratch, uint32_t *asks)
{
    size_t concurrency = lookup->protections.concurrency;
    size_t fit = lookup->memory / 4 / CALL_ESTIMATE;
    size_t calls = size_max(concurrency * CALLS_TIMES, CALLS_LEAST * CALLS_TIMES);
    calls = size_max(size_min(size_min(calls, fit), CALLS_MOST), concurrency + 4);
    size_t rows = calls * (lookup->gather.most ? lookup->gather.most : 4);
    fit = lookup->memory / 8 / sizeof(struct lookup_ask);
    *asks = (uint32_t)size_max(size_min(size_min(rows, fit), ASKS_MOST),
                               size_max(calls, lookup->gather.most));
    *scratch = size_max(lookup->memory / 8, SCRATCH_LEAST);
    lookup->call_count = (uint32_t)calls;
    size_t cache = lookup->cache_settings.entries ? size_max(lookup->memory / 4, SCRATCH_LEAST) : 0;
    lookup->cache_settings.bytes = cache;
    lookup->held_limit = size_max(lookup->memory / 4, SCRATCH_LEAST);
}

bool lookup_pools_open(struct lookup *lookup, struct error *error)
{
    size_t scratch;
    uint32_t asks;
    sizes_plan(lookup, &scratch, &asks);
    lookup->rows = memory_take(BATCH_MAX_RECORDS * sizeof(*lookup->rows));
    if (!lookup->rows || !calls_make(lookup) || !asks_make(lookup, asks))
        return error_set(error, ERROR_MEMORY, "no memory for %u requests", lookup->call_count);
    if (!arena_open(&lookup->scratch, scratch, scratch, error))
        return false;
    if (lookup->gather.most && !buffer_open(&lookup->gather.keys, scratch, scratch, error))
        return false;
    if (lookup->cache_settings.entries) {
        lookup->cache = cache_open(&lookup->cache_settings, lookup->seed, error);
        if (!lookup->cache)
            return false;
    }
    struct dispatcher_hooks hooks = {
        .context = lookup, .judge = lookup_judge, .breaker_changed = lookup_breaker_changed};
    struct transport *transport = lookup->kind->connect(lookup, error);
    if (!transport)
        return false;
    struct dispatcher *dispatcher = dispatcher_open(&lookup->protections, &hooks, transport,
                                                    lookup->call_count, lookup->seed, error);
    /* lookup_counters may look for it at any time */
    __atomic_store_n(&lookup->dispatcher, dispatcher, __ATOMIC_RELEASE);
    return dispatcher != NULL;
}

uint32_t lookup_counters(const struct stage *stage, struct stage_counter *counters)
{
    const struct lookup *lookup = (const struct lookup *)stage;
    const struct dispatcher *dispatcher = __atomic_load_n(&lookup->dispatcher, __ATOMIC_ACQUIRE);
    struct dispatcher_counts counts = {0};
    if (dispatcher)
        dispatcher_counts(dispatcher, &counts);
    const struct stage_counter all[] = {
        {"requests", counts.exchanges},
        {"retries", counts.retries},
        {"retries_over_budget", counts.budget_refusals},
        {"hedges", counts.hedges},
        {"hedges_won", counts.hedges_won},
        {"timeouts", counts.outcomes[OUTCOME_TIMEOUT]},
        {"connect_failures", counts.outcomes[OUTCOME_CONNECT]},
        {"broken_off", counts.outcomes[OUTCOME_BROKEN]},
        {"breaker_opened", counts.breaker_opened},
        {"breaker_closed", counts.breaker_closed},
        {"breaker_refusals", counts.breaker_refusals},
        {"rate_waits", counts.rate_waits},
        {"in_flight_most", counts.in_flight_most},
        {"concurrency", counts.concurrency_now},
        {"latency_p50_ns", (uint64_t)counts.latency_p50},
        {"latency_p95_ns", (uint64_t)counts.latency_p95},
        {"latency_p99_ns", (uint64_t)counts.latency_p99},
        {"cache_hits", __atomic_load_n(&lookup->cache_hits, __ATOMIC_RELAXED)},
        {"cache_joined", __atomic_load_n(&lookup->cache_joined, __ATOMIC_RELAXED)},
    };
    _Static_assert(ARRAY_SIZE(all) <= STAGE_COUNTERS, "room for all");
    memcpy(counters, all, sizeof(all));
    return ARRAY_SIZE(all);
}

void lookup_pools_close(struct lookup *lookup)
{
    for (struct lookup_batch *own = lookup->batches; own; own = own->next)
        for (struct lookup_ask *ask = own->first; ask; ask = ask->next) {
            cache_leave(&ask->waiter);
            free(ask->memory);
            ask->memory = NULL;
        }
    for (struct lookup_ask *ask = lookup->free_asks; ask; ask = ask->next)
        free(ask->memory);
    cache_close(lookup->cache);
    for (uint32_t i = 0; lookup->calls && i < lookup->call_count; i++)
        free(lookup->calls[i].memory);
    free(lookup->calls);
    while (lookup->ask_blocks) {
        void *block = lookup->ask_blocks;
        memcpy(&lookup->ask_blocks, block, sizeof(lookup->ask_blocks));
        free(block);
    }
    struct lookup_batch *lists[] = {lookup->batches, lookup->free_batches};
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
        for (struct lookup_batch *own = lists[i], *next; own; own = next) {
            next = own->next;
            free(own);
        }
    arena_close(&lookup->scratch);
    buffer_close(&lookup->gather.keys);
    free(lookup->view);
    free(lookup->rows);
}

/* ---- calls ---- */

struct lookup_call *lookup_call_take(struct lookup *lookup)
{
    struct lookup_call *call = lookup->free_calls;
    if (!call)
        return NULL;
    lookup->free_calls = call->next;
    call->asks = NULL;
    call->asks_tail = &call->asks;
    call->ask_count = 0;
    call->submitted = call->is_json = false;
    return call;
}

void lookup_call_free(struct lookup *lookup, struct lookup_call *call)
{
    if (call->capacity > CALL_KEEPS) {
        lookup->held -= call->capacity;
        free(call->memory);
        call->memory = NULL;
        call->capacity = 0;
    }
    call->next = lookup->free_calls;
    lookup->free_calls = call;
}

void lookup_call_submit(struct lookup *lookup, struct lookup_call *call)
{
    call->submitted = true;
    dispatcher_submit(lookup->dispatcher, &call->call);
}

static bool value_has_text(const struct value *value)
{
    return value->kind == VALUE_STRING || value->kind == VALUE_BYTES || value->kind == VALUE_RAW;
}

static size_t parameter_size(const struct value *value)
{
    return sizeof(*value) + KEY_SEPARATION + (value_has_text(value) ? value->length : 0);
}

static size_t request_size(const struct request *request)
{
    size_t size = sizeof(*request) + request->header_count * sizeof(*request->headers) +
                  request->parameter_count * sizeof(*request->parameters);
    size += request->url.length + request->body.length + request->peer.length +
            request->shown_url.length + 4 * KEY_SEPARATION;
    for (uint32_t i = 0; i < request->header_count; i++)
        size += request->headers[i].value.length + KEY_SEPARATION;
    for (uint32_t i = 0; i < request->parameter_count; i++)
        size += parameter_size(&request->parameters[i]);
    return size;
}

/* A text behind its length: so no two sequences of texts look the same. */
static void text_put(char **to, struct string *text)
{
    uint32_t length = (uint32_t)text->length;
    memcpy(*to, &length, sizeof(length));
    *to += sizeof(length);
    if (text->length)
        memcpy(*to, text->data, text->length);
    text->data = *to;
    *to += text->length;
}

static void parameter_put(char **to, struct value *value)
{
    struct value head = *value;
    if (value_has_text(value))
        head.natural = 0; /* where the text lies is no part of the key */
    memcpy(*to, &head, sizeof(head));
    *to += sizeof(head);
    if (!value_has_text(value))
        return;
    struct string text = {value->text, value->length};
    text_put(to, &text);
    value->text = text.data;
}

bool lookup_call_fill(struct lookup *lookup, struct lookup_call *call,
                      const struct lookup_made *made)
{
    size_t size = 0;
    for (uint32_t i = 0; i < made->count; i++)
        size += request_size(&made->requests[i]);
    if (size > call->capacity) {
        size_t capacity = (size + 255) & ~(size_t)255;
        char *memory = memory_resize(call->memory, capacity);
        if (!memory)
            return false;
        lookup->held += capacity - call->capacity;
        call->memory = memory;
        call->capacity = capacity;
    }
    /* requests, then headers and parameters, then what varies: texts */
    struct request *requests = (struct request *)call->memory;
    struct request_header *headers = (struct request_header *)(requests + made->count);
    for (uint32_t i = 0; i < made->count; i++) {
        requests[i] = made->requests[i];
        if (requests[i].header_count)
            memcpy(headers, requests[i].headers, requests[i].header_count * sizeof(*headers));
        requests[i].headers = headers;
        headers += requests[i].header_count;
    }
    struct value *parameters = (struct value *)headers;
    for (uint32_t i = 0; i < made->count; i++) {
        if (requests[i].parameter_count)
            memcpy(parameters, requests[i].parameters,
                   requests[i].parameter_count * sizeof(*parameters));
        requests[i].parameters = parameters;
        parameters += requests[i].parameter_count;
    }
    char *to = (char *)parameters;
    for (uint32_t i = 0; i < made->count; i++) {
        text_put(&to, &requests[i].url);
        text_put(&to, &requests[i].body);
        for (uint32_t j = 0; j < requests[i].header_count; j++)
            text_put(&to, &((struct request_header *)requests[i].headers)[j].value);
        for (uint32_t j = 0; j < requests[i].parameter_count; j++)
            parameter_put(&to, &((struct value *)requests[i].parameters)[j]);
    }
    call->key_start = (size_t)((char *)parameters - call->memory);
    call->key_length = (size_t)(to - (char *)parameters);
    for (uint32_t i = 0; i < made->count; i++) {
        text_put(&to, &requests[i].peer);
        text_put(&to, &requests[i].shown_url);
    }
    CHECK((size_t)(to - call->memory) <= call->capacity);
    call->call.requests = requests;
    call->call.request_count = made->count;
    return true;
}

/* ---- asking ---- */

static struct lookup_ask *ask_make(struct lookup *lookup, struct lookup_batch *own, uint32_t row)
{
    struct lookup_ask *ask = lookup->free_asks;
    lookup->free_asks = ask->next;
    ask->batch = own;
    ask->row = row;
    ask->answered = ask->leads = false;
    ask->flight = NULL;
    ask->sibling = NULL;
    ask->waiter = (struct cache_waiter){.owner = ask};
    ask->next = NULL;
    ask->previous = own->last;
    *(own->last ? &own->last->next : &own->first) = ask;
    own->last = ask;
    own->states[row] = LOOKUP_ASKED;
    return ask;
}

/* The ask's answer is not known and not under way: it leads, and has to be fetched. True: so. */
static bool ask_cache(struct lookup *lookup, struct lookup_ask *ask, struct string key, int64_t now)
{
    struct cached found;
    if (!lookup->cache)
        return true;
    switch (cache_find(lookup->cache, key, now, &ask->waiter, &found, &ask->flight)) {
    case CACHE_HIT: {
        __atomic_store_n(&lookup->cache_hits, lookup->cache_hits + 1, __ATOMIC_RELAXED);
        bool good = (found.flags & 1) != 0;
        struct lookup_answer answer = {
            .good = good,
            .is_json = (found.flags & 2) != 0,
            .code = ERROR_LOOKUP,
            .status = found.status,
            .text = found.value,
        };
        lookup_ask_done(lookup, ask, &answer);
        return false;
    }
    case CACHE_PENDING:
        __atomic_store_n(&lookup->cache_joined, lookup->cache_joined + 1, __ATOMIC_RELAXED);
        return false;
    case CACHE_MISS:
        ask->leads = true;
        break;
    }
    return true;
}

static void ask_refuse(struct lookup *lookup, struct lookup_ask *ask, enum error_code code,
                       struct string text)
{
    struct lookup_answer answer = {.code = (uint16_t)code, .text = text};
    lookup_ask_done(lookup, ask, &answer);
}

/* The row's request could not be made: the record's fault. */
static void ask_error(struct lookup *lookup, struct lookup_ask *ask, struct value error)
{
    const char *meaning = error_meaning(error.code);
    struct string text = {meaning, strlen(meaning)};
    if (error.code == ERROR_ARENA_FULL) {
        error.code = ERROR_LIMIT;
        text = STRING("the request needs more memory than --memory allows");
    } else if (error.text && error.length) {
        text = (struct string){error.text, error.length};
    }
    ask_refuse(lookup, ask, error.code, text);
}

static bool made_by_kind(struct lookup *lookup, struct evaluation *evaluation,
                         struct lookup_made *made, struct value *error)
{
    *made = (struct lookup_made){0};
    *error = value_error(ERROR_LOOKUP);
    return lookup->kind->make(lookup, evaluation, made, error);
}

static void ask_alone(struct lookup *lookup, struct lookup_ask *ask, int64_t now)
{
    struct lookup_made made;
    struct value error;
    struct evaluation evaluation = lookup_view(lookup, ask->batch->batch, ask->row);
    if (!made_by_kind(lookup, &evaluation, &made, &error)) {
        ask_error(lookup, ask, error);
        return;
    }
    struct lookup_call *call = lookup_call_take(lookup);
    CHECK(call);
    if (!lookup_call_fill(lookup, call, &made)) {
        lookup_call_free(lookup, call);
        ask_refuse(lookup, ask, ERROR_LIMIT, STRING("no memory for the request"));
        return;
    }
    struct string key = {call->memory + call->key_start, call->key_length};
    if (!ask_cache(lookup, ask, key, now)) {
        lookup_call_free(lookup, call);
        return;
    }
    call->asks = ask;
    call->ask_count = 1;
    lookup_call_submit(lookup, call);
}

static void ask_gathered(struct lookup *lookup, struct lookup_ask *ask, int64_t now)
{
    struct string json, plain;
    struct value error;
    struct evaluation evaluation = lookup_view(lookup, ask->batch->batch, ask->row);
    if (!lookup_gather_key(lookup, &evaluation, &json, &plain, &error)) {
        ask_error(lookup, ask, error);
        return;
    }
    if (!ask_cache(lookup, ask, json, now))
        return;
    bool done = lookup_ask_room(lookup, ask, plain.length + json.length);
    if (done) {
        if (plain.length)
            memcpy(ask->memory, plain.data, plain.length);
        memcpy(ask->memory + plain.length, json.data, json.length);
        ask->key_length = (uint32_t)plain.length;
        ask->json_length = (uint32_t)json.length;
        done = lookup_gather_add(lookup, ask, json, now);
    }
    if (!done) {
        struct lookup_answer answer = {.code = ERROR_LIMIT,
                                       .text = STRING("no memory for the request")};
        lookup_ask_settle(lookup, ask, &answer, false);
    }
}

/* The first row that is not asked for, or NULL. */
static struct lookup_batch *next_batch(struct lookup *lookup)
{
    for (struct lookup_batch *own = lookup->batches; own; own = own->next) {
        if (!own->present)
            continue;
        while (own->next_row < own->count &&
               own->states[own->batch->rows[own->next_row]] != LOOKUP_WAITS)
            own->next_row++;
        if (own->next_row < own->count)
            return own;
    }
    return NULL;
}

/* Whether another row may be asked for. The oldest row of all always may, in the end: what holds
 * the memory may be waiting for it. */
static bool may_ask(struct lookup *lookup, const struct lookup_batch *own)
{
    if (!lookup->free_calls)
        return false;
    if (lookup->free_asks && lookup->held <= lookup->held_limit)
        return true;
    if (own != lookup->batches || own->first)
        return false;
    return lookup->free_asks || asks_make(lookup, 1);
}

bool lookup_pump(struct lookup *lookup, int64_t now)
{
    struct lookup_batch *own;
    uint32_t asked = lookup_gather_single_out(lookup);
    while (!lookup->failed && asked < PUMP_MOST && (own = next_batch(lookup))) {
        if (lookup->stopping ? !lookup->free_asks : !may_ask(lookup, own))
            break;
        struct lookup_ask *ask = ask_make(lookup, own, own->batch->rows[own->next_row++]);
        asked++;
        if (lookup->stopping)
            ask_refuse(lookup, ask, ERROR_UNANSWERED, STRING("the run was stopped"));
        else if (lookup->gather.most)
            ask_gathered(lookup, ask, now);
        else
            ask_alone(lookup, ask, now);
    }
    struct lookup_gather *gather = &lookup->gather;
    if (gather->open && now >= gather->due) {
        lookup_gather_send(lookup);
        asked++;
    }
    return asked > 0;
}
