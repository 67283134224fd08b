/* The source `http`: pages of an API, their items as records. Options are read on the main thread,
 * the rest runs on the source's. See http_source.h. */
#include "io/http_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/fault.h"
#include "core/raw.h"
#include "lang/diagnostic.h"

#define OFFERS        16 /* batches held at most */
#define OVERLONG_KEEP 4096
#define ANSWER_MOST   ((size_t)16 << 20)
#define ANSWER_LEAST  ((size_t)64 << 10)
#define ARENA_LEAST   ((size_t)1 << 20)

static const struct option_spec option_specs[] = {
    {"url", OPTION_TEMPLATE, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL,
     "the first page; {secret('file')} may stand in it"},
    {"items", OPTION_EXPRESSION, 0, NULL, NULL,
     "where in answer the list of records is; else the answer is that list, or one record"},
    {"next", OPTION_WORD, 0, "link|cursor|page", NULL,
     "how to find the next page: by the Link header, by a cursor in the answer, by its number"},
    {"cursor", OPTION_EXPRESSION, 0, NULL, NULL,
     "next cursor: what the next page is asked with, of answer, status and page; null: there is "
     "none. A whole URL is asked as it is, without param"},
    {"param", OPTION_STRING, 0, NULL, NULL,
     "the parameter that takes it: \"cursor\" or \"page\" if left out"},
    {"first", OPTION_INTEGER, 0, NULL, "1", "next page: the number of the first page"},
    {"until", OPTION_EXPRESSION, 0, NULL, NULL,
     "true for the last page, of answer, status and page; pages by number end with an empty one"},
    {"every", OPTION_DURATION, 0, NULL, NULL,
     "asks again so long after it began to, until it is stopped; by cursor, from where it stood"},
    {"answer_limit", OPTION_SIZE, OPTION_TUNING, NULL, NULL,
     "a longer answer is an error; up to 16MiB, as --memory allows, if left out"},
    HTTP_CLIENT_HEADER_WORD,
#include "clients/http_words.def"
#include "clients/protections.def"
    {0},
};

static const struct noun noun = {
    .name = "http",
    .doc = "Reads records from an API over HTTP, page by page",
    .example = "from http \"https://api.example/v1/events?limit=100\" {\n"
               "    items answer.data\n"
               "    next cursor  cursor answer.next  param \"after\"\n"
               "    header \"accept\" = \"application/json\"\n"
               "    retry 5  rate 10/s\n"
               "}",
    .options = option_specs,
};

/* ---- opening (main thread) ---- */

static bool next_read(struct http_source *source, const struct options *options,
                      struct error *error)
{
    static const char *const kinds[] = {"link", "cursor", "page"};
    const struct option_value *next = option_find(options, "next");
    bool cursor = option_given(options, "cursor"), param = option_given(options, "param");
    source->next = cursor ? HTTP_NEXT_CURSOR : HTTP_NEXT_NONE;
    for (size_t i = 0; next && i < ARRAY_SIZE(kinds); i++)
        if (string_equal_text(next->text, kinds[i]))
            source->next = (enum http_next)(i + 1);
    if (source->next == HTTP_NEXT_CURSOR && !cursor)
        return error_set(error, ERROR_PROGRAM,
                         "`next cursor` needs the expression: cursor answer.next");
    if (cursor && source->next != HTTP_NEXT_CURSOR)
        return error_set(error, ERROR_PROGRAM, "`cursor` goes with `next cursor`");
    if (param && source->next != HTTP_NEXT_CURSOR && source->next != HTTP_NEXT_PAGE)
        return error_set(error, ERROR_PROGRAM, "`param` goes with `next cursor` or `next page`");
    if (option_given(options, "first") && source->next != HTTP_NEXT_PAGE)
        return error_set(error, ERROR_PROGRAM, "`first` goes with `next page`");
    source->first = source->next == HTTP_NEXT_PAGE ? option_integer(options, "first", 1) : 1;
    return true;
}

/* The parameter's name, which the URL must not have already. */
static bool parameter_read(struct http_source *source, const struct options *options,
                           struct error *error)
{
    struct string name =
        option_text(options, "param", source->next == HTTP_NEXT_PAGE ? "page" : "cursor");
    bool good = name.length > 0 && name.length < 200;
    for (size_t i = 0; i < name.length; i++)
        good = good && name.data[i] > 0x20 && name.data[i] < 0x7f &&
               !strchr("&=#%+?\"<>", name.data[i]);
    if (!good)
        return error_set(error, ERROR_PROGRAM,
                         "`param` is the name of a parameter, as it stands in a URL");
    source->parameter = memory_copy_text(name.data, name.length);
    if (!source->parameter)
        return error_set(error, ERROR_MEMORY, "no memory for a source");
    if (source->next != HTTP_NEXT_PAGE && source->next != HTTP_NEXT_CURSOR)
        return true;
    const char *query = strchr(source->client.url, '?');
    for (const char *at = query; at; at = strchr(at, '&')) {
        at++;
        if (strncmp(at, source->parameter, name.length) == 0 &&
            (at[name.length] == '=' || at[name.length] == '&' || at[name.length] == 0))
            return error_set(error, ERROR_PROGRAM,
                             "the URL has the parameter %s already: leave it out there, or name "
                             "another with `param`",
                             source->parameter);
    }
    return true;
}

/* Two answers are held at most, and the values of one. */
static bool memory_open(struct http_source *source, const struct options *options,
                        struct error *error)
{
    const struct source_limits *limits = &source->context->limits;
    size_t budget = limits->decoder_memory * (limits->decoders ? limits->decoders : 1);
    size_t usual = size_max(ANSWER_LEAST, size_min(ANSWER_MOST, budget / 8));
    source->answer_limit = (size_t)option_integer(options, "answer_limit", (int64_t)usual);
    if (source->answer_limit == 0)
        return error_set(error, ERROR_PROGRAM, "`answer_limit` is longer than nothing");
    size_t held = 2 * size_min(source->answer_limit, budget / 2);
    size_t arena = size_max(ARENA_LEAST, size_max(budget - held, source->answer_limit));
    return arena_open(&source->arena, arena, arena, error);
}

static void http_close(struct source *base)
{
    struct http_source *source = (struct http_source *)base;
    http_client_close(&source->client);
    http_pages_close(source);
    if (source->format)
        source->format->ops->close(source->format);
    free(source->parameter);
    free((char *)source->input.name);
    free(source);
}

static bool http_prepare(struct http_source *source, struct error *error)
{
    const struct source_context *context = source->context;
    const struct options *options = context->options;
    const struct format_ops *ops = format_find(context->formats, STRING("ndjson"));
    CHECK(ops);
    source->every = option_integer(options, "every", 0);
    if (option_given(options, "every") && source->every <= 0)
        return error_set(error, ERROR_PROGRAM, "`every` is longer than nothing");
    if (!http_client_open(&source->client, options, context->program, context->diagnostics,
                          context->shared, error) ||
        !http_expressions_open(source, context->diagnostics, error) ||
        !next_read(source, options, error) || !parameter_read(source, options, error) ||
        !memory_open(source, options, error) || !ops->open(NULL, &source->format, error))
        return false;
    source->input.name = memory_copy_text(source->client.shown, strlen(source->client.shown));
    return source->input.name || error_set(error, ERROR_MEMORY, "no memory for a source");
}

static bool http_open(struct source_context *context, struct source **result, struct error *error)
{
    extern const struct source_ops source_http;
    struct http_source *source = memory_take_zeroed(1, sizeof(*source));
    if (!source)
        return error_set(error, ERROR_MEMORY, "no memory for a source");
    source->base.ops = &source_http;
    source->context = context;
    if (!http_prepare(source, error)) {
        http_close(&source->base);
        return false;
    }
    source->base.format = source->format;
    source->base.inputs = &source->input;
    source->base.input_count = 1;
    source->base.endless = source->every > 0;
    *result = &source->base;
    return true;
}

/* ---- handing items out ---- */

static struct batch *idle_take(struct http_source *source)
{
    struct batch *batch = source->idle;
    source->idle = batch->next;
    batch->next = NULL;
    source->offered--;
    return batch;
}

static void batch_begin(struct http_source *source, struct batch *batch)
{
    batch->text = batch->memory + BATCH_HEADROOM;
    batch->text_length = 0;
    batch->origin = (struct origin){.input = 0,
                                    .offset = source->offset,
                                    .line = source->records + 1,
                                    .record = source->records};
    batch->bytes_read = source->bytes_unreported;
    batch->format_state = 0;
    batch->names = NULL;
    batch->input_name = source->input.name;
    batch->frame = 0;
    batch->key_length = 0;
    batch->starts_input = !source->begun;
    batch->ends_input = false;
    batch->jumbo = batch->overlong = false;
    source->bytes_unreported = 0;
    source->begun = true;
}

static void batch_end(struct http_source *source, struct batch *batch, uint64_t length,
                      uint32_t records)
{
    source->offset += length;
    source->records += records;
    batch->content_end = source->offset;
    batch->line_end = source->records;
}

static struct value item_at(const struct http_source *source, uint32_t index)
{
    return source->single ? source->list : source->list.items[index];
}

/* As many items as fit, and no more than `most`, a line each. False: an item is none that JSON can
 * say. */
static bool items_write(struct http_source *source, struct batch *batch, uint32_t most,
                        uint32_t *written)
{
    struct buffer buffer = {.data = batch->text, .limit = batch->text_capacity};
    const char *reason = NULL;
    for (*written = 0; source->item_next < source->item_count && *written < most; ++*written) {
        size_t before = buffer.length;
        buffer.limit--; /* room for the line's end */
        enum json_result result =
            value_write_json(item_at(source, source->item_next), &buffer, &reason);
        buffer.limit++;
        if (result == JSON_REFUSED) {
            error_set(&source->error, ERROR_NOT_WRITABLE, "%.200s: an item %s",
                      source->client.shown, reason);
            source->failed = true;
            return false;
        }
        if (result == JSON_FULL) {
            buffer.length = before;
            break;
        }
        CHECK(buffer_append_byte(&buffer, '\n'));
        source->item_next++;
    }
    batch->text_length = (uint32_t)buffer.length;
    return true;
}

/* An item too long for any batch: its first bytes stand for it. */
static void item_skip(struct http_source *source, struct batch *batch)
{
    struct value item = item_at(source, source->item_next);
    bool raw = item.kind == VALUE_RAW;
    size_t kept = raw ? size_min(item.length, OVERLONG_KEEP) : 0;
    if (kept)
        memcpy(batch->text, item.text, kept);
    batch->text_length = (uint32_t)kept;
    batch->overlong = true;
    batch->overlong_length = raw ? item.length : source->context->limits.record_limit + 1;
    source->item_next++;
    batch_end(source, batch, batch->overlong_length + 1, 1);
}

/* Fills an idle batch from the open page. WAIT: the jumbo permit is not free. */
static enum source_result items_take(struct http_source *source, struct batch **out)
{
    const struct source_limits *limits = &source->context->limits;
    struct batch *batch = source->idle;
    uint32_t written;
    uint64_t unreported = source->bytes_unreported;
    bool begun = source->begun;
    batch_begin(source, batch);
    if (!items_write(source, batch, UINT32_MAX, &written))
        return SOURCE_FAIL;
    if (written == 0) {
        bool possible = limits->record_limit > limits->batch_text;
        if (possible && !source->context->jumbo_take(source->context->jumbo_context)) {
            source->bytes_unreported = unreported;
            source->begun = begun;
            return SOURCE_WAIT;
        }
        batch->jumbo = possible;
        if (possible)
            batch->text_capacity = size_min(batch->text_reserved, limits->record_limit + 1);
        if (possible && !items_write(source, batch, 1, &written))
            return SOURCE_FAIL;
    }
    if (written > 0)
        batch_end(source, batch, batch->text_length, written);
    else
        item_skip(source, batch);
    *out = idle_take(source);
    (*out)->ends_input =
        source->item_next == source->item_count && !source->asking && source->every == 0;
    return SOURCE_READY;
}

/* ---- running (the source's thread) ---- */

static bool http_offer(struct source *base, struct batch *batch)
{
    struct http_source *source = (struct http_source *)base;
    if (source->offered == OFFERS || source->failed)
        return false;
    batch->next = source->idle;
    source->idle = batch;
    source->offered++;
    return true;
}

/* The next page, or the next round. END: there is none. */
static enum source_result pages_go_on(struct http_source *source, int64_t now)
{
    if (!source->connected) {
        if (!http_client_connect(&source->client, 2, source->answer_limit, source->context->seed,
                                 &source->error))
            return SOURCE_FAIL;
        source->connected = true;
        if (!http_round_begin(source, now))
            return SOURCE_FAIL;
    }
    if (!source->page && !source->asking) {
        if (source->every == 0 || source->stopping)
            return SOURCE_END;
        if (now - source->round_begun >= source->every && !http_round_begin(source, now))
            return SOURCE_FAIL;
    }
    if (!source->asking && !source->page)
        return SOURCE_WAIT;
    return http_pages_step(source, now) ? SOURCE_WAIT : SOURCE_FAIL;
}

static void wake_set(struct http_source *source, int64_t now)
{
    int64_t wake = INT64_MAX, due;
    if (source->connected && (source->asking || source->page))
        wake = http_client_watch(&source->client, source->context->engine);
    if (source->held && source->hold_until > now && source->hold_until < wake)
        wake = source->hold_until;
    if (!source->page && !source->asking &&
        !__builtin_add_overflow(source->round_begun, source->every, &due) && due < wake)
        wake = due;
    source->base.wake = wake == INT64_MAX ? 0 : wake;
}

static enum source_result pages_take(struct http_source *source, struct batch **batch)
{
    int64_t now = clock_monotonic();
    for (;;) {
        if (source->stopping && !source->page)
            return SOURCE_END;
        enum source_result result = pages_go_on(source, now);
        if (result != SOURCE_WAIT)
            return result;
        if (!source->page)
            break;
        if (source->item_next == source->item_count) {
            http_page_release(source);
            continue;
        }
        if (!source->idle) {
            if (source->stopping)
                return SOURCE_END; /* nothing more is offered */
            break;
        }
        result = items_take(source, batch);
        if (result != SOURCE_WAIT)
            return result;
        break;
    }
    wake_set(source, now);
    return SOURCE_WAIT;
}

static enum source_result http_take(struct source *base, struct batch **batch, struct error *error)
{
    struct http_source *source = (struct http_source *)base;
    enum source_result result = source->failed ? SOURCE_FAIL : pages_take(source, batch);
    if (result == SOURCE_FAIL) {
        source->failed = true;
        *error = source->error;
    }
    return result;
}

static void http_stop(struct source *base)
{
    struct http_source *source = (struct http_source *)base;
    source->stopping = true;
    if (source->connected)
        http_pages_cancel(source);
}

static struct batch *http_reclaim(struct source *base)
{
    struct http_source *source = (struct http_source *)base;
    if (source->connected)
        http_pages_cancel(source);
    source->stopping = true;
    return source->idle ? idle_take(source) : NULL;
}

const struct source_ops source_http = {
    .noun = &noun,
    .open = http_open,
    .offer = http_offer,
    .take = http_take,
    .stop = http_stop,
    .reclaim = http_reclaim,
    .close = http_close,
};
