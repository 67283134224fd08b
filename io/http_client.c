/* One HTTP server for a source or a sink: see http_client.h. */
#include "io/http_client.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "clients/bucket.h"
#include "core/fault.h"
#include "lang/diagnostic.h"

#define SCRATCH ((size_t)1 << 20) /* for evaluating the URL's expressions */

/* ---- opening (main thread) ---- */

struct no_names {
    struct resolver resolver;
    struct diagnostics *diagnostics;
    bool said;
};

static struct resolution no_names_resolve(void *context, const struct path *path)
{
    struct no_names *names = context;
    names->said = true;
    diagnostics_error(names->diagnostics, path->span,
                      "\"%.*s\" is not known here: this is the same for all requests, no record "
                      "has a part in it",
                      (int)path->names[0].length, path->names[0].data);
    return (struct resolution){.kind = RESOLVED_ABSENT, .consumed = path->count};
}

static uint32_t no_names_record(void *context)
{
    struct no_names *names = context;
    if (!names->said)
        diagnostics_error(names->diagnostics, (struct span){0, 0},
                          "there is no record here: this is the same for all requests");
    names->said = true;
    return 0;
}

static void no_names_open(struct no_names *names, struct diagnostics *diagnostics)
{
    *names = (struct no_names){
        .resolver = {.context = names,
                     .resolve = no_names_resolve,
                     .record_column = no_names_record,
                     .allows_secrets = true},
        .diagnostics = diagnostics,
    };
}

/* The URL's text, as it is sent or as it is shown. NULL: said, or *error. */
static char *url_write(const struct template *template, struct evaluation *evaluation, bool hide,
                       struct buffer *buffer, struct error *error)
{
    struct value problem;
    buffer_reset(buffer);
    arena_reset(evaluation->arena);
    if (!template_append(template, evaluation, 0, hide, buffer, &problem)) {
        error_set(error, ERROR_PROGRAM, "the URL cannot be made: %.*s", (int)problem.length,
                  problem.text ? problem.text : "");
        return NULL;
    }
    char *text = memory_copy_text(buffer->data, buffer->length);
    if (!text)
        error_set(error, ERROR_MEMORY, "no memory for a URL");
    return text;
}

static bool url_open(struct http_client *client, const struct program *program,
                     const struct option_value *value, struct diagnostics *diagnostics,
                     struct error *error)
{
    struct no_names names;
    struct arena arena = {0};
    struct buffer buffer = {0};
    no_names_open(&names, diagnostics);
    struct template *template = template_open_url(program, &names.resolver, value, 0, diagnostics);
    if (!template)
        return false;
    struct evaluator *evaluator = evaluator_open(error);
    struct evaluation evaluation = {.record_count = 1, .arena = &arena, .evaluator = evaluator};
    bool done = evaluator && arena_open(&arena, SCRATCH, SCRATCH, error) &&
                buffer_open(&buffer, TEMPLATE_LIMIT, TEMPLATE_LIMIT, error);
    if (done) {
        client->url = url_write(template, &evaluation, false, &buffer, error);
        client->shown = client->url ? url_write(template, &evaluation, true, &buffer, error) : NULL;
    }
    buffer_close(&buffer);
    arena_close(&arena);
    evaluator_close(evaluator);
    template_close(template);
    return done && client->shown;
}

/* scheme://user@HOST:PORT/… */
static struct string authority_of(struct string url)
{
    const char *begin = memmem(url.data, url.length, "://", 3);
    if (!begin)
        return (struct string){url.data, 0};
    begin += 3;
    size_t length = 0, left = (size_t)(url.data + url.length - begin);
    while (length < left && !memchr("/?#", begin[length], 3))
        length++;
    const char *at = memrchr(begin, '@', length);
    if (at) {
        length -= (size_t)(at + 1 - begin);
        begin = at + 1;
    }
    return (struct string){begin, length};
}

static bool header_open(struct http_client *client, const struct option_item *item,
                        struct diagnostics *diagnostics)
{
    struct no_names names;
    struct value value;
    no_names_open(&names, diagnostics);
    if (client->value_count == HTTP_CLIENT_HEADERS)
        return diagnostics_error(diagnostics, item->span, "at most %d headers",
                                 HTTP_CLIENT_HEADERS);
    struct expression *expression = expression_compile(item->node, &names.resolver, diagnostics);
    if (!expression)
        return diagnostics->errors > 0 || diagnostics_memory(diagnostics, item->span);
    client->values[client->value_count++] = expression;
    if (!expression_constant(expression, &value))
        return names.said || diagnostics_error(diagnostics, item->span,
                                               "this header is the same for all requests: its "
                                               "value must be known before the run");
    if (value.kind == VALUE_NULL)
        return true;
    struct request_header header = {item->word, {value.text, value.length}};
    if (value.kind != VALUE_STRING)
        return diagnostics_error(diagnostics, item->span, "a header's value is a string, not %s",
                                 value_kind_name((enum value_kind)value.kind));
    if (!http_header_name_is_valid(header.name) || !http_header_value_is_valid(header.value))
        return diagnostics_error(diagnostics, item->span,
                                 "a header cannot hold line breaks or other control characters");
    client->headers[client->header_count++] = header;
    return true;
}

bool http_client_open(struct http_client *client, const struct options *options,
                      const struct program *program, struct diagnostics *diagnostics,
                      struct shared_limits *shared, struct error *error)
{
    const struct option_value *url = option_find(options, "url");
    const struct option_value *header = option_find(options, "header");
    size_t before = diagnostics->errors;
    for (uint32_t i = 0; header && i < header->item_count; i++)
        (void)header_open(client, &header->items[i], diagnostics);
    if (!url || !url_open(client, program, url, diagnostics, error) || diagnostics->errors > before)
        return false;
    client->peer = authority_of((struct string){client->url, strlen(client->url)});
    if (!protections_read(options, shared, &client->protections, &client->bucket, error) ||
        !http_words_read(&client->words, options, &client->settings, error))
        return false;
    /* the host comes from the program, unless a server may send us elsewhere */
    client->settings.link_local = !client->settings.redirects_anywhere;
    return true;
}

bool http_client_has_header(const struct http_client *client, const char *name)
{
    size_t length = strlen(name);
    for (uint32_t i = 0; i < client->header_count; i++) {
        struct string own = client->headers[i].name;
        if (own.length == length && strncasecmp(own.data, name, length) == 0)
            return true;
    }
    return false;
}

void http_client_close(struct http_client *client)
{
    http_client_disconnect(client);
    http_words_close(&client->words);
    for (uint32_t i = 0; i < client->value_count; i++)
        expression_free(client->values[i]);
    client->value_count = client->header_count = 0;
    bucket_close(client->bucket);
    client->bucket = NULL;
    if (client->url)
        explicit_bzero(client->url, strlen(client->url));
    free(client->url);
    free(client->shown);
    client->url = client->shown = NULL;
}

/* ---- running ---- */

bool http_client_connect(struct http_client *client, uint32_t calls, size_t limit, uint64_t seed,
                         struct error *error)
{
    static const struct dispatcher_hooks no_hooks;
    client->settings.headers = client->headers;
    client->settings.header_count = client->header_count;
    client->settings.answer_limit = limit;
    struct transport *transport = http_transport_open(&client->settings, error);
    if (transport)
        client->dispatcher =
            dispatcher_open(&client->protections, &no_hooks, transport, calls, seed, error);
    return client->dispatcher || error_add_context(error, "%s", client->shown);
}

void http_client_disconnect(struct http_client *client)
{
    if (client->dispatcher)
        dispatcher_close(client->dispatcher);
    client->dispatcher = NULL;
}

int64_t http_client_watch(struct http_client *client, struct io_engine *engine)
{
    int descriptor = dispatcher_descriptor(client->dispatcher);
    while (io_engine_reap(engine))
        ;
    if (!client->poll.pending && descriptor >= 0) {
        client->poll = (struct io_request){.kind = IO_POLL_IN, .fd = descriptor};
        CHECK(io_engine_submit(engine, &client->poll)); /* nothing else is in flight */
    }
    int64_t wake = dispatcher_wake(client->dispatcher);
    return wake > 0 ? wake : 1;
}

/* ---- URLs and messages ---- */

static bool is_scheme(struct string url, const char *scheme)
{
    size_t length = strlen(scheme);
    return url.length >= length && strncasecmp(url.data, scheme, length) == 0;
}

/* host[:port] without the port that the scheme has anyway. */
static struct string host_of(struct string url)
{
    struct string host = authority_of(url);
    const char *port = is_scheme(url, "https://") ? ":443" : ":80";
    size_t length = strlen(port);
    if (host.length > length && memcmp(host.data + host.length - length, port, length) == 0)
        host.length -= length;
    return host;
}

bool http_same_origin(struct string a, struct string b)
{
    struct string one = host_of(a), other = host_of(b);
    bool http = is_scheme(a, "http://") && is_scheme(b, "http://");
    bool https = is_scheme(a, "https://") && is_scheme(b, "https://");
    return (http || https) && one.length == other.length &&
           strncasecmp(one.data, other.data, one.length) == 0;
}

bool http_client_refuse(const struct call *call, uint32_t attempts, struct error *error)
{
    enum error_code code = call->outcome == OUTCOME_TIMEOUT ? ERROR_TIMEOUT : ERROR_IO;
    const char *remedy = "";
    if (call->outcome == OUTCOME_LARGE)
        remedy = "; answer_limit allows longer ones";
    else if (call->outcome == OUTCOME_ANSWER && (call->status == 401 || call->status == 403))
        remedy = "; it wants to know who asks: header \"authorization\" = secret(…)";
    return error_set(error, code, "%s (%u attempt%s)%s",
                     call->detail[0] ? call->detail : outcome_name(call->outcome), attempts,
                     attempts == 1 ? "" : "s", remedy);
}
