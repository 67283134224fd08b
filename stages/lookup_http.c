/* lookup http: its words, how its servers are reached. Requests are made in lookup_http_request.c;
 * the core is in lookup.c. Main thread, but for http_connect. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/fault.h"
#include "stages/lookup_http.h"

static const struct option_spec http_options[] = {
    {"url", OPTION_TEMPLATE, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL,
     "where to ask; an {expression} is escaped for its place"},
#include "stages/lookup_words.def"
    {"method", OPTION_WORD, 0, "GET|POST|PUT|PATCH", NULL,
     "GET, or POST where there is a body; only GET and PUT are tried again unless repeat says so"},
    {"header", OPTION_HEADERS, OPTION_REPEATED, NULL, NULL,
     "\"name\" = expression, …; left out where it is null"},
    {"query", OPTION_HEADERS, OPTION_REPEATED, NULL, NULL,
     "\"name\" = expression, …: parameters behind the URL; left out where null"},
    {"body", OPTION_EXPRESSION, 0, NULL, NULL, "what is sent; with batch else the list keys"},
    {"encode", OPTION_WORD, 0, "json|form|raw", "json", "what the body becomes"},
    {"race", OPTION_TEMPLATES, OPTION_REPEATED, NULL, NULL,
     "further URLs that are asked at the same time; the first good answer wins"},
#include "clients/http_words.def"
    {"connections_total", OPTION_INTEGER, OPTION_TUNING, NULL, NULL, "open at once, to all hosts"},
    {"link_local", OPTION_FLAG, 0, NULL, NULL,
     "allows 169.254.0.0/16 and the like where the host comes from the record"},
    {0},
};

static const struct noun http_noun = {
    .name = "http",
    .doc = "Enriches each record by an HTTP request; the answer becomes a field",
    .example = "lookup http \"https://geo.example/v1/ip/{client_ip}\" as geo {\n"
               "    concurrency 100  connections 30 per host  keepalive 30s\n"
               "    timeout 5s  rate 500/s  burst 50\n"
               "    retry 4  backoff 200ms..10s  on timeout, connect, 429, 5xx\n"
               "    breaker open after 5 failures for 30s\n"
               "    cache 100000 for 10m\n"
               "    otherwise null\n"
               "}",
    .options = http_options,
};

#define CONNECTIONS_MOST 65536

/* ---- the kind ---- */

static struct transport *http_connect(struct lookup *lookup, struct error *error)
{
    struct http_lookup *http = (struct http_lookup *)lookup;
    size_t room = 4 * LOOKUP_RACE_MOST * TEMPLATE_LIMIT;
    if (!http->out.data && !buffer_open(&http->out, room, room, error))
        return NULL;
    return http_transport_open(&http->settings, error);
}

static void http_close(struct lookup *lookup)
{
    struct http_lookup *http = (struct http_lookup *)lookup;
    for (uint32_t i = 0; i < http->url_count; i++)
        template_close(http->urls[i]);
    http_words_close(&http->words);
    buffer_close(&http->out);
}

static const struct lookup_kind http_kind = {
    .ops = &stage_lookup_http,
    .make = http_make,
    .connect = http_connect,
    .close = http_close,
};

/* ---- opening ---- */

static bool url_open(struct stage_context *context, struct http_lookup *http,
                     const struct option_value *value, uint32_t item)
{
    struct lookup_names names;
    if (http->url_count == LOOKUP_RACE_MOST)
        return diagnostics_error(context->diagnostics, value->span,
                                 "a race has at most %d URLs, the first one included",
                                 LOOKUP_RACE_MOST);
    lookup_names_open(&names, context, &http->lookup);
    struct template *url =
        template_open_url(context->program, &names.resolver, value, item, context->diagnostics);
    if (!url)
        return false;
    http->urls[http->url_count++] = url;
    return true;
}

static bool urls_open(struct stage_context *context, struct http_lookup *http)
{
    const struct option_value *race = option_find(context->options, "race");
    bool good = url_open(context, http, option_find(context->options, "url"), 0);
    for (uint32_t i = 0; race && good && i < race->item_count; i++)
        good = url_open(context, http, race, i);
    return good;
}

static bool constant_header(struct http_lookup *http, struct string name, struct string value)
{
    if (http->constant_count == ARRAY_SIZE(http->constants))
        return false;
    http->constants[http->constant_count++] = (struct request_header){name, value};
    return true;
}

static bool pairs_open(struct stage_context *context, struct http_lookup *http, const char *option,
                       struct http_pair *pairs, uint32_t *count)
{
    const struct option_value *value = option_find(context->options, option);
    bool good = true;
    for (uint32_t i = 0; value && i < value->item_count; i++) {
        const struct option_item *item = &value->items[i];
        if (*count == HTTP_HEADERS_MOST)
            return diagnostics_error(context->diagnostics, item->span, "more than %d of these",
                                     HTTP_HEADERS_MOST);
        struct http_pair *pair = &pairs[*count];
        pair->name = item->word;
        pair->expression = lookup_compile(context, &http->lookup, item->node);
        good &= pair->expression != NULL;
        if (!pair->expression)
            continue;
        pair->is_private = expression_is_private(pair->expression);
        ++*count;
    }
    return good;
}

/* Headers that are the same for all records belong to the transport. */
static bool headers_open(struct stage_context *context, struct http_lookup *http)
{
    if (!pairs_open(context, http, "header", http->headers, &http->header_count))
        return false;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < http->header_count; i++) {
        struct value value;
        const struct http_pair *pair = &http->headers[i];
        if (!http_header_name_is_valid(pair->name))
            return diagnostics_error(
                context->diagnostics, option_find(context->options, "header")->span,
                "\"%.*s\" cannot be a header's name", (int)pair->name.length, pair->name.data);
        if (!expression_constant(pair->expression, &value) || value.kind != VALUE_STRING) {
            http->headers[kept++] = *pair;
            continue;
        }
        if (!http_header_value_is_valid((struct string){value.text, value.length}))
            return diagnostics_error(context->diagnostics,
                                     option_find(context->options, "header")->span,
                                     "the value of the header \"%.*s\" has a line break or another "
                                     "control character",
                                     (int)pair->name.length, pair->name.data);
        constant_header(http, pair->name, (struct string){value.text, value.length});
    }
    http->header_count = kept;
    return true;
}

static bool header_given(const struct http_lookup *http, const char *name)
{
    for (uint32_t i = 0; i < http->header_count; i++)
        if (http->headers[i].name.length == strlen(name) &&
            strncasecmp(http->headers[i].name.data, name, strlen(name)) == 0)
            return true;
    for (uint32_t i = 0; i < http->constant_count; i++)
        if (http->constants[i].name.length == strlen(name) &&
            strncasecmp(http->constants[i].name.data, name, strlen(name)) == 0)
            return true;
    return false;
}

static bool body_open(struct stage_context *context, struct http_lookup *http)
{
    static const struct node keys = {.kind = NODE_NAME, .name = {"keys", 4}, .height = 1};
    static const char *const types[] = {"application/json", "application/x-www-form-urlencoded",
                                        "text/plain; charset=utf-8"};
    const struct option_value *body = option_find(context->options, "body");
    const struct option_value *method = option_find(context->options, "method");
    const struct option_value *encode = option_find(context->options, "encode");
    bool gets = method && string_equal_text(method->text, "GET");
    const struct node *node = body ? body->node : http->lookup.gather.most && !gets ? &keys : NULL;
    http->encoding = encode ? (enum http_encoding)encode->integer : ENCODE_JSON;
    http->method = method ? method->text : node ? STRING("POST") : STRING("GET");
    http->repeatable =
        string_equal_text(http->method, "GET") || string_equal_text(http->method, "PUT");
    if (body && gets)
        return diagnostics_error(context->diagnostics, body->span,
                                 "a GET has no body: write method POST, or leave method out");
    if (node && !(http->body = lookup_compile(context, &http->lookup, node)))
        return false;
    const char *type = types[http->encoding];
    if (node && !header_given(http, "content-type"))
        constant_header(http, STRING("content-type"), (struct string){type, strlen(type)});
    if (!http->lookup.raw && !header_given(http, "accept"))
        constant_header(http, STRING("accept"), STRING("application/json"));
    return true;
}

static bool settings_open(struct stage_context *context, struct http_lookup *http)
{
    const struct options *options = context->options;
    struct http_settings *settings = &http->settings;
    struct error error;
    bool varies = false;
    for (uint32_t i = 0; i < http->url_count; i++)
        varies |= template_host_varies(http->urls[i]);
    if (!http_words_read(&http->words, options, settings, &error))
        return error.code == ERROR_MEMORY
                   ? diagnostics_memory(context->diagnostics, options->span)
                   : diagnostics_error(context->diagnostics, options->span, "%s", error.text);
    int64_t connections = option_integer(options, "connections_total", 0);
    if (connections > CONNECTIONS_MOST)
        return diagnostics_error(context->diagnostics, options->span,
                                 "`connections_total` is a number up to %d", CONNECTIONS_MOST);
    settings->connections = (uint32_t)connections;
    settings->link_local =
        option_given(options, "link_local") || (!varies && !settings->redirects_anywhere);
    settings->headers = http->constants;
    settings->header_count = http->constant_count;
    settings->answer_limit = http->lookup.answer_limit;
    settings->memory_limit = size_max(http->lookup.memory / 4, 1 << 20);
    return true;
}

static bool http_open(struct stage_context *context, struct stage **stage)
{
    struct http_lookup *http =
        (struct http_lookup *)lookup_open(context, &http_kind, sizeof(*http));
    if (!http)
        return false;
    bool good = urls_open(context, http);
    good &= pairs_open(context, http, "query", http->query, &http->query_count);
    for (uint32_t i = 0; i < http->query_count; i++)
        http->query_private |= http->query[i].is_private;
    good &= headers_open(context, http);
    good &= body_open(context, http);
    good &= settings_open(context, http);
    good &= lookup_finish(context, &http->lookup);
    if (!good) {
        lookup_close(&http->lookup.stage);
        return false;
    }
    *stage = &http->lookup.stage;
    return true;
}

const struct stage_ops stage_lookup_http = {
    .noun = &http_noun,
    .traits = STAGE_ASYNC | STAGE_LOOKUP,
    .open = http_open,
    .close = lookup_close,
    .async = &lookup_async,
    .counters = lookup_counters,
};
