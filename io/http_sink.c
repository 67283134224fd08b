/* The sink `http`: records go out in requests of many, several requests at once; a batch is taken
 * back when all of it was answered. Options are read on the main thread, the rest runs on the
 * sink's. See http_sink_internal.h. */
#include "core/clock.h"
#include "core/fault.h"
#include "core/stage.h"
#include "io/http_sink_internal.h"
#include "lang/diagnostic.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_RECORDS 1000000
#define LEAST_BYTES  ((size_t)64 << 10)

static const struct option_spec option_specs[] = {
    {"url", OPTION_TEMPLATE, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL,
     "where to send; {secret('file')} may stand in it, but nothing of a record"},
    {"batch", OPTION_PHRASE, OPTION_TUNING, "N [or DURATION]", "1000 or 1s",
     "so many records in a request, or as many as came in this time"},
    {"batch_bytes", OPTION_SIZE, OPTION_TUNING, NULL, "8MiB",
     "no more than this in a request, before compression, but for one record alone"},
    {"encode", OPTION_WORD, 0, "ndjson|json", "ndjson",
     "ndjson: a line for each record; json: one list of them"},
    {"gzip", OPTION_FLAG, 0, NULL, NULL, "compresses what is sent"},
    {"method", OPTION_WORD, 0, "POST|PUT|PATCH", "POST", "the method"},
    HTTP_CLIENT_HEADER_WORD,
    {"otherwise", OPTION_WORD, 0, "stop|reject", "stop",
     "what becomes of records that cannot be delivered at all: the run fails, or they are "
     "rejected; a record that the server refuses (400, 413, 422) is rejected in any case"},
    {"concurrency", OPTION_INTEGER, OPTION_TUNING, NULL, "8",
     "requests in flight at most; 1 keeps the order"},
    {"adaptive", OPTION_FLAG, OPTION_TUNING, NULL, NULL,
     "finds by latency how many requests the server takes best, up to that"},
#include "clients/http_words.def"
#include "clients/protections.def"
    {0},
};

static const struct noun noun = {
    .name = "http",
    .doc = "Sends records to a server, many in a request, at least once: each request has an "
           "Idempotency-Key, the same when it is sent again",
    .example = "into http \"https://api.example/events\" {\n"
               "    batch 1000 or 1s  gzip\n"
               "    header \"authorization\" = \"Bearer abc\"\n"
               "    concurrency 4  retry 5  backoff 200ms..10s\n"
               "    breaker open after 5 failures for 30s\n"
               "}",
    .options = option_specs,
};

const struct sink_ops sink_http;
static const struct sink_ops keeping_ops;

/* ---- opening (main thread) ---- */

static bool options_read(struct http_sink *sink, const struct options *options, struct error *error)
{
    const struct option_value *batch = option_find(options, "batch");
    size_t wanted = (size_t)option_integer(options, "batch_bytes", 8 << 20);
    size_t share = sink->context->limits.memory / (sink->client.protections.concurrency + 2);
    CHECK(batch);
    if (batch->numbers[0] < 1 || batch->numbers[0] > MOST_RECORDS)
        return error_set(error, ERROR_PROGRAM, "`batch` takes 1 to %d records into a request",
                         MOST_RECORDS);
    sink->most = (uint32_t)batch->numbers[0];
    sink->wait = batch->numbers[1] < 0 ? NANOSECONDS : batch->numbers[1];
    sink->most_bytes = size_max(LEAST_BYTES, size_min(wanted, share));
    if (wanted < LEAST_BYTES)
        sink->most_bytes = wanted;
    sink->as_list = option_word_is(options, "encode", "json");
    sink->gzip = option_given(options, "gzip");
    sink->rejects_all = option_word_is(options, "otherwise", "reject");
    sink->method = option_text(options, "method", "POST");
    return true;
}

/* pipeline/fingerprint, in characters that may stand in a header. */
static void prefix_write(struct http_sink *sink)
{
    const char *pipeline = sink->context->pipeline ? sink->context->pipeline : "";
    const char *fingerprint = sink->context->fingerprint ? sink->context->fingerprint : "";
    snprintf(sink->key_prefix, sizeof(sink->key_prefix), "%.140s/%.40s", pipeline, fingerprint);
    for (char *at = sink->key_prefix; *at; at++)
        if (!isalnum((unsigned char)*at) && !strchr("._-/", *at))
            *at = '-';
}

static bool format_open(struct http_sink *sink, struct error *error)
{
    const struct format_ops *ops = format_find(sink->context->formats, STRING("ndjson"));
    CHECK(ops);
    if (!ops->open(NULL, &sink->format, error))
        return false;
    sink->base.format = sink->format;
    return true;
}

static void http_close(struct sink *base)
{
    struct http_sink *sink = (struct http_sink *)base;
    http_send_close(sink);
    http_client_close(&sink->client);
    http_state_close(sink);
    if (sink->format)
        sink->format->ops->close(sink->format);
    free(sink->name);
    free(sink);
}

static bool http_open(struct sink_context *context, struct sink **result, struct error *error)
{
    struct http_sink *sink = memory_take_zeroed(1, sizeof(*sink));
    if (!sink)
        return error_set(error, ERROR_MEMORY, "no memory for a sink");
    /* one without a name has nowhere to keep where it stands */
    sink->base.ops = context->state_folder ? &keeping_ops : &sink_http;
    sink->base.appends = context->state_folder != NULL;
    sink->state.lock_fd = sink->state.intents.fd = -1;
    sink->context = context;
    context->limits.timeout = 0; /* `timeout` is that of one try: nobody else is to look after it */
    bool done = http_client_open(&sink->client, context->options, context->program,
                                 context->diagnostics, context->shared, error) &&
                options_read(sink, context->options, error) && format_open(sink, error);
    if (done) {
        size_t size = strlen(sink->client.shown) + 6;
        sink->name = memory_take(size);
        done = sink->name || error_set(error, ERROR_MEMORY, "no memory for a sink");
    }
    if (!done) {
        http_close(&sink->base);
        return false;
    }
    snprintf(sink->name, strlen(sink->client.shown) + 6, "http %s", sink->client.shown);
    sink->base.name = sink->name;
    prefix_write(sink);
    *result = &sink->base;
    return true;
}

/* ---- running (the sink's thread) ---- */

static enum sink_result http_start(struct sink *base, struct error *error)
{
    return http_send_open((struct http_sink *)base, error) ? SINK_OK : SINK_FAIL;
}

static bool http_offer(struct sink *base, struct batch *batch)
{
    struct http_sink *sink = (struct http_sink *)base;
    if (sink->failed || sink->held_end - sink->held_first == HTTP_HELD)
        return false;
    http_hold(sink, batch);
    return true;
}

static struct batch *held_pop(struct http_sink *sink)
{
    if (sink->held_first == sink->held_end)
        return NULL;
    return http_held(sink, sink->held_first++)->batch;
}

/* Sets when the actor has to come again. */
static void wake_set(struct http_sink *sink, int64_t now)
{
    int64_t wake = http_client_watch(&sink->client, sink->context->engine);
    int64_t due = http_groups_due(sink);
    wake = due < wake ? due : wake;
    if (sink->hold_until > now && sink->ready && sink->hold_until < wake)
        wake = sink->hold_until;
    if (sink->base.deadline && sink->base.deadline < wake)
        wake = sink->base.deadline;
    sink->base.wake = wake == INT64_MAX ? 0 : wake;
}

static enum sink_result http_take(struct sink *base, struct batch **batch, struct error *error)
{
    struct http_sink *sink = (struct http_sink *)base;
    int64_t now = clock_monotonic();
    bool waits = sink->held_first < sink->held_end;
    if (!sink->failed && waits && base->deadline && now >= base->deadline) {
        error_set(&sink->error, ERROR_STOPPED,
                  "the run was stopped, and the server did not answer in time: what was sent last "
                  "may have arrived");
        sink->failed = true;
    }
    if (sink->failed || !http_send_step(sink, now)) {
        *error = sink->error;
        return SINK_FAIL;
    }
    if (waits && http_held(sink, sink->held_first)->left == 0) {
        *batch = held_pop(sink);
        return SINK_OK;
    }
    wake_set(sink, now);
    http_send_count(sink);
    return SINK_WAIT;
}

/* All that was offered was answered. */
static enum sink_result http_commit(struct sink *base, const struct commit_record *record,
                                    struct error *error)
{
    struct http_sink *sink = (struct http_sink *)base;
    http_send_count(sink);
    CHECK(sink->held_first == sink->held_end);
    return http_state_commit(sink, record, error);
}

static void http_abort(struct sink *base, bool keep_part)
{
    (void)keep_part; /* what a server has taken cannot be taken back */
    http_send_close((struct http_sink *)base);
    http_state_abort((struct http_sink *)base);
}

static struct batch *http_reclaim(struct sink *base)
{
    struct http_sink *sink = (struct http_sink *)base;
    http_send_close(sink);
    sink->failed = true;
    return held_pop(sink);
}

static uint32_t http_counters(const struct sink *base, struct stage_counter *counters)
{
    static const char *const names[HTTP_COUNTERS] = {
        "requests",         "retries",        "in_flight_most", "breaker_opened",
        "breaker_refusals", "latency_p50_ns", "latency_p95_ns",
    };
    const struct http_sink *sink = (const struct http_sink *)base;
    for (unsigned i = 0; i < HTTP_COUNTERS; i++)
        counters[i] =
            (struct stage_counter){names[i], __atomic_load_n(&sink->counters[i], __ATOMIC_RELAXED)};
    counters[HTTP_COUNTERS] = (struct stage_counter){"resent_after_unknown", base->resent};
    return HTTP_COUNTERS + 1;
}

static const struct sink_ops keeping_ops = {
    .noun = &noun,
    .traits = SINK_BLOCKING | SINK_TRANSACTIONAL,
    .open = http_open,
    .recover = http_state_recover,
    .resume = http_state_resume,
    .forget = http_state_forget,
    .start = http_start,
    .offer = http_offer,
    .take = http_take,
    .commit = http_commit,
    .abort = http_abort,
    .reclaim = http_reclaim,
    .close = http_close,
    .counters = http_counters,
};

const struct sink_ops sink_http = {
    .noun = &noun,
    .traits = SINK_BLOCKING | SINK_TRANSACTIONAL,
    .open = http_open,
    .start = http_start,
    .offer = http_offer,
    .take = http_take,
    .commit = http_commit,
    .abort = http_abort,
    .reclaim = http_reclaim,
    .close = http_close,
    .counters = http_counters,
};
