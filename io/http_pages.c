/* Pages of an API over HTTP: see http_source.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "core/hash.h"
#include "core/number.h"
#include "core/raw.h"
#include "io/http_source.h"
#include "lang/diagnostic.h"
#include "lang/json_check.h"

#define URL_LIMIT ((size_t)64 << 10)

static bool page_fail(struct http_source *source, const char *text)
{
    error_set(&source->error, ERROR_MALFORMED, "%.200s: %s", source->client.shown, text);
    source->failed = true;
    return false;
}

static bool memory_fail(struct http_source *source)
{
    error_set(&source->error, ERROR_MEMORY, "no memory for a page of %.200s", source->client.shown);
    source->failed = true;
    return false;
}

/* ---- expressions ---- */

struct page_names {
    struct resolver resolver;
    struct diagnostics *diagnostics;
};

static struct resolution page_resolve(void *context, const struct path *path)
{
    static const char *const names[HTTP_NAME_COUNT] = {"answer", "status", "page"};
    struct page_names *own = context;
    for (uint32_t i = 0; i < HTTP_NAME_COUNT; i++)
        if (string_equal_text(path->names[0], names[i]))
            return (struct resolution){RESOLVED_COLUMN, i, 1};
    diagnostics_error(own->diagnostics, path->span,
                      "\"%.*s\" is not known here, only answer, status and page are",
                      (int)path->names[0].length, path->names[0].data);
    return (struct resolution){.kind = RESOLVED_ABSENT, .consumed = path->count};
}

static uint32_t page_record_column(void *context)
{
    (void)context;
    return HTTP_NAME_ANSWER;
}

static bool expression_open(struct http_source *source, const char *option,
                            struct expression **expression, struct diagnostics *diagnostics)
{
    const struct option_value *value = option_find(source->context->options, option);
    struct page_names names = {
        .resolver = {.resolve = page_resolve, .record_column = page_record_column},
        .diagnostics = diagnostics,
    };
    names.resolver.context = &names;
    if (!value || !value->node)
        return true;
    *expression = expression_compile(value->node, &names.resolver, diagnostics);
    return *expression ||
           (diagnostics->errors == 0 && diagnostics_memory(diagnostics, value->span));
}

bool http_expressions_open(struct http_source *source, struct diagnostics *diagnostics,
                           struct error *error)
{
    size_t before = diagnostics->errors;
    bool done = expression_open(source, "items", &source->items, diagnostics);
    done &= expression_open(source, "until", &source->until, diagnostics);
    done &= expression_open(source, "cursor", &source->cursor, diagnostics);
    if (!done || diagnostics->errors > before)
        return false;
    for (uint32_t i = 0; i < HTTP_NAME_COUNT; i++)
        source->columns[i].cells = &source->cells[i];
    source->evaluator = evaluator_open(error);
    return source->evaluator != NULL;
}

static struct evaluation page_view(struct http_source *source)
{
    return (struct evaluation){.columns = source->columns,
                               .record_count = 1,
                               .arena = &source->arena,
                               .evaluator = source->evaluator};
}

/* The expression over the open page, resolved one level. False: failed. */
static bool page_evaluate(struct http_source *source, const struct expression *expression,
                          const char *option, struct value *value)
{
    struct evaluation view = page_view(source);
    char text[200];
    *value = value_resolve(expression_row(expression, &view, 0), &source->arena);
    if (value->kind != VALUE_ERROR)
        return true;
    if (value->code == ERROR_ARENA_FULL)
        return page_fail(source, "an answer has more values than fit into memory: let the server "
                                 "send smaller pages, or give more --memory");
    snprintf(text, sizeof(text), "%s of page %" PRId64 ": %s%s%.*s", option, source->page->number,
             error_meaning((enum error_code)value->code), value->length ? ": " : "",
             (int)size_min(value->length, 80), value->length ? value->text : "");
    return page_fail(source, text);
}

/* ---- asking ---- */

static struct http_page *page_free(struct http_source *source)
{
    struct http_page *page = &source->pages[0];
    return page == source->page ? &source->pages[1] : page;
}

/* Whether this round has asked for it already. */
static bool seen_before(struct http_seen *seen, uint64_t hash)
{
    uint64_t known = seen->count < HTTP_SEEN ? seen->count : HTTP_SEEN;
    for (uint64_t i = 0; i < known; i++)
        if (seen->last[i] == hash)
            return true;
    if (seen->count && seen->old == hash)
        return true;
    seen->last[seen->count % HTTP_SEEN] = hash;
    seen->count++;
    if ((seen->count & (seen->count - 1)) == 0)
        seen->old = hash;
    return false;
}

static void page_submit(struct http_source *source, struct http_page *page)
{
    page->request = (struct request){
        .method = STRING("GET"),
        .url = {page->url, page->url_length},
        .peer = source->client.peer,
        .shown_url = {source->client.shown, strlen(source->client.shown)},
        .repeatable = true,
    };
    page->call = (struct call){.requests = &page->request, .request_count = 1};
    page->answered = false;
    source->held = false;
    dispatcher_submit(source->client.dispatcher, &page->call);
}

/* Asks for a page; the URL is taken over. */
static bool page_ask(struct http_source *source, char *url, int64_t number)
{
    struct http_page *page = page_free(source);
    if (!url)
        return memory_fail(source);
    free(page->url);
    page->url = url;
    page->url_length = strlen(url);
    page->number = number;
    page->tries = 0;
    source->asking = page;
    page_submit(source, page);
    return true;
}

/* The source's URL with the parameter behind it, percent-encoded (RFC 3986, section 2.3). NULL: no
 * memory. */
static char *url_with(const struct http_source *source, struct string value)
{
    static const char digits[] = "0123456789ABCDEF";
    const char *base = source->client.url;
    size_t length = strlen(base), name = strlen(source->parameter);
    char *url = memory_take(length + name + 3 * value.length + 3);
    if (!url)
        return NULL;
    memcpy(url, base, length);
    char *to = url + length;
    if (!strchr(base, '?'))
        *to++ = '?';
    else if (to[-1] != '?' && to[-1] != '&')
        *to++ = '&';
    memcpy(to, source->parameter, name);
    to += name;
    *to++ = '=';
    for (size_t i = 0; i < value.length; i++) {
        unsigned char byte = (unsigned char)value.data[i];
        bool plain = (byte >= '0' && byte <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z');
        if (plain || (byte && strchr("-._~", byte))) {
            *to++ = (char)byte;
            continue;
        }
        *to++ = '%';
        *to++ = digits[byte >> 4];
        *to++ = digits[byte & 15];
    }
    *to = 0;
    return url;
}

static char *url_numbered(const struct http_source *source, int64_t number)
{
    char text[NUMBER_TEXT_SIZE];
    return url_with(source, (struct string){text, number_write_int(text, number)});
}

bool http_round_begin(struct http_source *source, int64_t now)
{
    source->round_begun = now;
    source->seen.count = 0;
    source->last_body = 0;
    const char *first = source->resume ? source->resume : source->client.url;
    char *url = source->next == HTTP_NEXT_PAGE ? url_numbered(source, source->first)
                                               : memory_copy_text(first, strlen(first));
    if (url)
        (void)seen_before(&source->seen, hash_bytes(url, strlen(url), HASH_SEED));
    return page_ask(source, url, source->first);
}

/* ---- where the next page is ---- */

/* A URL that the server gave: it must not lead away from it. */
static bool url_given(struct http_source *source, struct string given, char **url)
{
    struct string own = {source->client.url, strlen(source->client.url)};
    if (given.length > URL_LIMIT)
        return page_fail(source, "the next page's URL is too long");
    if (!http_same_origin(own, given) && !source->client.settings.redirects_anywhere)
        return page_fail(source, "the next page is on another host; redirects_anywhere allows it");
    *url = memory_copy_text(given.data, given.length);
    return *url || memory_fail(source);
}

static bool is_url(struct string text)
{
    return (text.length > 7 && memcmp(text.data, "http://", 7) == 0) ||
           (text.length > 8 && memcmp(text.data, "https://", 8) == 0);
}

/* *url stays NULL where the cursor says that this was the last page. */
static bool cursor_url(struct http_source *source, char **url)
{
    char scratch[NUMBER_TEXT_SIZE];
    struct value value;
    struct string text = {scratch, 0};
    if (!page_evaluate(source, source->cursor, "cursor", &value))
        return false;
    switch (value.kind) {
    case VALUE_ABSENT:
    case VALUE_NULL:
        return true;
    case VALUE_BOOL:
        if (!value.boolean)
            return true;
        return page_fail(source, "the cursor is true: a string or a number is wanted");
    case VALUE_STRING:
        text = (struct string){value.text, value.length};
        break;
    case VALUE_INT:
        text.length = number_write_int(scratch, value.integer);
        break;
    case VALUE_UINT:
        text.length = number_write_uint(scratch, value.natural);
        break;
    default:
        return page_fail(source, "the cursor is neither a string nor a whole number");
    }
    if (text.length == 0)
        return true;
    if (is_url(text) && !option_given(source->context->options, "param"))
        return url_given(source, text, url);
    if (text.length > URL_LIMIT)
        return page_fail(source, "the cursor is too long for a URL");
    *url = url_with(source, text);
    return *url || memory_fail(source);
}

/* The answer to a page that does not know its number is the same each time. */
static bool page_url(struct http_source *source, struct string body, char **url)
{
    uint64_t hash = hash_bytes(body.data, body.length, HASH_SEED);
    char text[200];
    if (source->item_count == 0)
        return true;
    if (hash == source->last_body) {
        snprintf(text, sizeof(text),
                 "pages %" PRId64 " and %" PRId64 " are the same: the server does not know the "
                 "parameter %.60s",
                 source->page->number - 1, source->page->number, source->parameter);
        return page_fail(source, text);
    }
    source->last_body = hash;
    if (source->page->number == INT64_MAX)
        return true;
    *url = url_numbered(source, source->page->number + 1);
    return *url || memory_fail(source);
}

/* Polling by cursor: the next round goes on from here (NULL: begins at the front). */
static bool resume_keep(struct http_source *source, const char *url)
{
    if (source->every == 0 || source->next != HTTP_NEXT_CURSOR)
        return true;
    free(source->resume);
    source->resume = url ? memory_copy_text(url, strlen(url)) : NULL;
    return !url || source->resume || memory_fail(source);
}

/* Whether the open page is the last one that is wanted. */
static bool until_met(struct http_source *source, bool *met)
{
    struct value until;
    *met = false;
    if (!source->until)
        return true;
    if (!page_evaluate(source, source->until, "until", &until))
        return false;
    if (until.kind != VALUE_BOOL)
        return page_fail(source, "until is neither true nor false");
    *met = until.boolean;
    return true;
}

/* The URL of the page behind the open one; *url NULL: there is none. */
static bool next_url(struct http_source *source, char **url)
{
    const struct exchange *exchange = source->page->call.exchange;
    *url = NULL;
    switch (source->next) {
    case HTTP_NEXT_NONE:
        return true;
    case HTTP_NEXT_LINK:
        return exchange->next_link.length == 0 || url_given(source, exchange->next_link, url);
    case HTTP_NEXT_CURSOR:
        return cursor_url(source, url);
    case HTTP_NEXT_PAGE:
        return page_url(source, exchange->answer, url);
    }
    return true;
}

static bool next_ask(struct http_source *source)
{
    char *url = NULL;
    bool last;
    if (!until_met(source, &last) || !next_url(source, &url) || !resume_keep(source, url)) {
        free(url);
        return false;
    }
    if (!url || last) {
        free(url);
        return true;
    }
    bool same = string_equal((struct string){url, strlen(url)},
                             (struct string){source->page->url, source->page->url_length});
    if (same && source->every > 0 && source->next == HTTP_NEXT_CURSOR) {
        free(url); /* nothing new: the feed stands where it stood */
        return true;
    }
    if (!seen_before(&source->seen, hash_bytes(url, strlen(url), HASH_SEED)))
        return page_ask(source, url, source->page->number + 1);
    free(url);
    return page_fail(source, "the pages lead in a circle: the next one was read already");
}

/* ---- looking into a page ---- */

static struct string trimmed(struct string text)
{
    while (text.length && text.data[0] && strchr(" \t\r\n", text.data[0]))
        text.data++, text.length--;
    while (text.length && text.data[text.length - 1] &&
           strchr(" \t\r\n", text.data[text.length - 1]))
        text.length--;
    return text;
}

/* Which values are the records. */
static bool items_find(struct http_source *source)
{
    struct value *list = &source->list;
    *list = source->cells[HTTP_NAME_ANSWER];
    if (source->items) {
        if (!page_evaluate(source, source->items, "items", list))
            return false;
    } else {
        enum value_kind kind = list->kind == VALUE_RAW ? value_raw_kind(*list) : VALUE_NULL;
        if (kind == VALUE_LIST)
            *list = value_resolve(*list, &source->arena);
    }
    source->single =
        !source->items && list->kind == VALUE_RAW && value_raw_kind(*list) != VALUE_NULL;
    source->item_next = 0;
    source->item_count = source->single ? 1 : list->kind == VALUE_LIST ? list->length : 0;
    if (list->kind == VALUE_ERROR)
        return page_fail(source, "an answer has more records than fit into memory: let the server "
                                 "send smaller pages, or give more --memory");
    if (source->single || list->kind == VALUE_LIST || list->kind == VALUE_NULL ||
        list->kind == VALUE_ABSENT || list->kind == VALUE_RAW)
        return true;
    return page_fail(source, "items is no list");
}

static bool page_open(struct http_source *source)
{
    struct http_page *page = source->page;
    struct string body = trimmed(page->call.exchange->answer);
    arena_reset(&source->arena);
    for (uint32_t i = 0; i < HTTP_NAME_COUNT; i++)
        source->columns[i].decoded = NULL;
    source->bytes_unreported += page->call.exchange->answer.length;
    __atomic_fetch_add(&source->base.bytes_done, page->call.exchange->answer.length,
                       __ATOMIC_RELAXED);
    if (body.length > 0 && !json_check(body)) {
        char text[120];
        snprintf(text, sizeof(text), "page %" PRId64 " is no JSON (status %d, %zu bytes)",
                 page->number, page->call.status, body.length);
        return page_fail(source, text);
    }
    source->cells[HTTP_NAME_ANSWER] =
        body.length ? value_raw(body.data, body.length) : value_null();
    source->cells[HTTP_NAME_STATUS] = value_int(page->call.status);
    source->cells[HTTP_NAME_PAGE] = value_int(page->number);
    return items_find(source) && next_ask(source);
}

/* The asked page was answered: good, or the run fails. */
static bool answer_take(struct http_source *source, int64_t now)
{
    struct http_page *page = source->asking;
    const struct call *call = &page->call;
    page->answered = true;
    if (call->verdict == CALL_GOOD)
        return true;
    page->tries += call->attempts;
    if (call->outcome == OUTCOME_OPEN && page->tries <= source->client.protections.retries) {
        dispatcher_release(source->client.dispatcher, &page->call);
        source->hold_until = now + source->client.protections.breaker_pause;
        source->held = true;
        page->answered = false;
        return true;
    }
    (void)http_client_refuse(call, page->tries, &source->error);
    error_add_context(&source->error, "%.200s", source->client.shown);
    dispatcher_release(source->client.dispatcher, &page->call);
    source->asking = NULL;
    source->failed = true;
    return false;
}

bool http_pages_step(struct http_source *source, int64_t now)
{
    struct dispatcher *dispatcher = source->client.dispatcher;
    if (source->held && now >= source->hold_until)
        page_submit(source, source->asking);
    /* until nothing moves: a call that is over and not reaped wakes nobody */
    for (;;) {
        dispatcher_step(dispatcher);
        struct call *call = dispatcher_reap(dispatcher);
        if (call) {
            CHECK(source->asking && call == &source->asking->call);
            if (!answer_take(source, now))
                return false;
        }
        if (source->page || !source->asking || !source->asking->answered)
            return true;
        source->page = source->asking;
        source->asking = NULL;
        if (!page_open(source))
            return false;
    }
}

void http_page_release(struct http_source *source)
{
    dispatcher_release(source->client.dispatcher, &source->page->call);
    source->page = NULL;
    source->item_count = source->item_next = 0;
}

void http_pages_cancel(struct http_source *source)
{
    struct http_page *page = source->asking;
    if (!page)
        return;
    if (page->answered)
        dispatcher_release(source->client.dispatcher, &page->call);
    else if (!source->held)
        dispatcher_cancel(source->client.dispatcher, &page->call);
    source->held = false;
    source->asking = NULL;
}

void http_pages_close(struct http_source *source)
{
    expression_free(source->items);
    expression_free(source->until);
    expression_free(source->cursor);
    evaluator_close(source->evaluator);
    arena_close(&source->arena);
    for (size_t i = 0; i < ARRAY_SIZE(source->pages); i++)
        free(source->pages[i].url);
    free(source->resume);
}
