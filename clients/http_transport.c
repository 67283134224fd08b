/* The HTTP transport: see http_transport.h. Owns its exchanges' states from start to release, and
 * the deadlines; libcurl is in http_curl.c, requests in http_request.c, answers in http_answer.c.
 *
 * free → (waiting → ready →) running → over → reaped → free */
#include "clients/http_transport.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clients/http_internal.h"
#include "core/clock.h"
#include "core/fault.h"

#define ANSWER_LIMIT  ((size_t)16 << 20)
#define BODY_KEPT     8192 /* of an answer's buffer, from one exchange to the next */
#define LIMIT_LARGEST (SIZE_MAX / 8)

void http_list_append(struct http_list *list, struct http_sending *sending)
{
    sending->next = NULL;
    sending->previous = list->last;
    if (list->last)
        list->last->next = sending;
    else
        list->first = sending;
    list->last = sending;
}

void http_list_remove(struct http_list *list, struct http_sending *sending)
{
    if (sending->previous)
        sending->previous->next = sending->next;
    else
        list->first = sending->next;
    if (sending->next)
        sending->next->previous = sending->previous;
    else
        list->last = sending->previous;
    sending->next = sending->previous = NULL;
}

/* States. */
static void sending_destroy(struct http_sending *sending)
{
    if (sending->easy)
        curl_easy_cleanup(sending->easy);
    http_body_free(&sending->body);
    http_body_free(&sending->text);
    http_body_free(&sending->target);
    http_body_free(&sending->url);
    http_body_free(&sending->header_text);
    http_body_free(&sending->header_nodes);
    free(sending);
}

static struct http_sending *sending_make(struct http_transport *transport)
{
    struct http_sending *sending = transport->free.first;
    if (sending) {
        http_list_remove(&transport->free, sending);
        return sending;
    }
    if (!deadlines_reserve(&transport->deadlines, transport->made_count + 1) ||
        !(sending = memory_take_zeroed(1, sizeof(*sending))))
        return NULL;
    sending->transport = transport;
    sending->easy = curl_easy_init();
    if (!sending->easy || !http_curl_prepare(sending)) {
        sending_destroy(sending);
        return NULL;
    }
    sending->next_made = transport->made;
    transport->made = sending;
    transport->made_count++;
    return sending;
}

static void body_give_back(struct http_transport *transport, struct http_body *body)
{
    transport->held -= body->capacity;
    body->length = 0;
    if (body->capacity > BODY_KEPT)
        http_body_free(body);
}

static void sending_free(struct http_sending *sending)
{
    struct http_transport *transport = sending->transport;
    sending->exchange->state = NULL;
    sending->exchange = NULL;
    sending->phase = HTTP_FREE;
    body_give_back(transport, &sending->body);
    body_give_back(transport, &sending->text);
    http_list_append(&transport->free, sending);
}

/* Takes it out of wherever it is, before it is over. */
static void sending_stop(struct http_sending *sending)
{
    struct http_transport *transport = sending->transport;
    if (sending->phase == HTTP_RUNNING) {
        if (transport->multi)
            curl_multi_remove_handle(transport->multi, sending->easy);
        http_list_remove(&transport->running, sending);
        transport->running_count--;
        transport->paused_count -= sending->paused;
        sending->paused = false;
    } else if (sending->phase == HTTP_READY) {
        http_list_remove(&transport->ready, sending);
    }
    if (sending->gate)
        http_gate_leave(sending);
    sending->phase = HTTP_FREE;
}

void http_end(struct http_sending *sending, enum outcome outcome)
{
    struct http_transport *transport = sending->transport;
    struct exchange *exchange = sending->exchange;
    exchange->outcome = outcome;
    exchange->finished = clock_monotonic();
    deadline_clear(&transport->deadlines, &sending->deadline);
    sending->phase = HTTP_OVER;
    http_list_append(&transport->over, sending);
}

/* libcurl keeps as many idle connections as there were exchanges at once, so that none is closed
 * only because another one ended first. */
static void cache_grow(struct http_transport *transport)
{
    if (transport->running_count <= transport->cache_size)
        return;
    transport->cache_size = transport->running_count * 2;
    curl_multi_setopt(transport->multi, CURLMOPT_MAXCONNECTS, (long)transport->cache_size);
}

void http_begin(struct http_sending *sending)
{
    struct http_transport *transport = sending->transport;
    sending->head = (struct http_head){.content_length = -1};
    sending->body.length = 0;
    sending->link_length = sending->location_length = 0;
    sending->verdict = sending->refused = false;
    sending->sent = 0;
    sending->error_text[0] = 0;
    if (!http_request_prepare(sending)) {
        sending_stop(sending);
        http_end(sending, OUTCOME_INVALID);
        return;
    }
    sending->phase = HTTP_RUNNING;
    http_list_append(&transport->running, sending);
    transport->running_count++;
    bool usable = transport->multi || http_multi_open(transport);
    if (usable)
        cache_grow(transport);
    if (!usable || curl_multi_add_handle(transport->multi, sending->easy) != CURLM_OK) {
        http_detail(sending, "no memory for a request");
        sending_stop(sending);
        http_end(sending, OUTCOME_BROKEN);
    }
}

static bool url_take(struct http_sending *sending)
{
    struct string url = sending->exchange->request->url;
    sending->url.length = 0;
    if (!http_body_reserve(&sending->url, url.length + 1))
        return false;
    memcpy(sending->url.data, url.data, url.length);
    sending->url.data[url.length] = 0;
    sending->url.length = url.length + 1;
    return true;
}

static void exchange_clear(struct exchange *exchange)
{
    exchange->status = 0;
    exchange->answer = exchange->next_link = (struct string){"", 0};
    exchange->answer_is_json = false;
    exchange->retry_after = exchange->first_byte = exchange->finished = 0;
    exchange->detail[0] = 0;
    exchange->state = NULL;
    exchange->next = NULL;
}

static bool url_has_host(const struct http_sending *sending)
{
    return strstr(sending->url.data, "://") != NULL;
}

static void http_start(struct transport *base, struct exchange *exchange)
{
    struct http_transport *transport = (struct http_transport *)base;
    const struct http_settings *settings = &transport->settings;
    transport->now = exchange->started = clock_monotonic();
    exchange_clear(exchange);
    base->wake = transport->now;
    struct http_sending *sending = sending_make(transport);
    if (!sending) {
        static const char what[] = "no memory for a request";
        memcpy(exchange->detail, what, sizeof(what));
        exchange->outcome = OUTCOME_BROKEN;
        exchange->finished = exchange->started;
        exchange->next = transport->unsent;
        transport->unsent = exchange;
        return;
    }
    exchange->state = sending;
    sending->exchange = exchange;
    sending->redirects = 0;
    sending->method = NULL;
    sending->elsewhere = false;
    transport->held += sending->body.capacity + sending->text.capacity;
    int64_t due = exchange->deadline;
    if (settings->first_byte_timeout && due - exchange->started > settings->first_byte_timeout)
        due = exchange->started + settings->first_byte_timeout;
    deadline_set(&transport->deadlines, &sending->deadline, due);
    if (!url_take(sending)) {
        http_detail(sending, "no memory for a URL");
        http_end(sending, OUTCOME_BROKEN);
        return;
    }
    if (!transport->gates || !url_has_host(sending) ||
        http_gate_enter(transport->gates, sending, transport->now))
        http_begin(sending);
}

/* What libcurl is done with. */
static void messages_take(struct http_transport *transport)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(transport->multi, &left))) {
        struct http_sending *sending;
        CURLcode code = message->data.result;
        CHECK(message->msg == CURLMSG_DONE);
        CHECK(curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&sending) ==
              CURLE_OK);
        CHECK(sending->phase == HTTP_RUNNING);
        bool goes_on = http_answer_finish(sending, code);
        if (sending->gate)
            http_gate_open(sending, transport->now,
                           code == CURLE_COULDNT_RESOLVE_HOST ||
                               code == CURLE_COULDNT_RESOLVE_PROXY);
        sending_stop(sending);
        if (goes_on)
            http_begin(sending);
        else
            http_end(sending, sending->exchange->outcome);
    }
}

/* libcurl ran out of memory at a place from which it does not recover. */
static void multi_replace(struct http_transport *transport)
{
    while (transport->running.first) {
        struct http_sending *sending = transport->running.first;
        if (!sending->verdict)
            http_detail(sending, "no memory in libcurl");
        sending_stop(sending);
        http_end(sending, OUTCOME_BROKEN);
    }
    http_multi_close(transport);
    transport->sick = false;
}

static void deadline_passed(struct http_sending *sending)
{
    struct http_transport *transport = sending->transport;
    struct exchange *exchange = sending->exchange;
    double waited = (double)(transport->now - exchange->started) / (double)NANOSECONDS;
    if (transport->now < exchange->deadline && exchange->first_byte) {
        deadline_set(&transport->deadlines, &sending->deadline, exchange->deadline);
        return;
    }
    if (transport->now < exchange->deadline)
        http_detail(sending, "first byte timeout after %.3g s%s", waited,
                    sending->sent ? "" : ", while waiting for a connection");
    else
        http_detail(sending, "whole timeout after %.3g s, while %s", waited,
                    exchange->first_byte ? "receiving"
                    : sending->sent      ? "waiting for the first byte"
                                         : "waiting for a connection");
    sending_stop(sending);
    http_end(sending, OUTCOME_TIMEOUT);
}

static void deadlines_expire(struct http_transport *transport)
{
    struct deadline *due;
    while ((due = deadlines_due(&transport->deadlines, transport->now))) {
        char *sending = (char *)due - offsetof(struct http_sending, deadline);
        deadline_passed((struct http_sending *)(void *)sending);
    }
}

/* Lets those go on that were paused, as far as memory allows; the oldest always. */
static void paused_resume(struct http_transport *transport)
{
    struct http_sending *sending = transport->running.first;
    while (sending && transport->paused_count) {
        struct http_sending *next = sending->next;
        bool may = sending == transport->running.first ||
                   transport->held + BODY_KEPT <= transport->settings.memory_limit;
        if (sending->paused && may) {
            sending->paused = false;
            transport->paused_count--;
            CURLcode code = curl_easy_pause(sending->easy, CURLPAUSE_CONT);
            if (code != CURLE_OK) {
                http_answer_finish(sending, code);
                sending_stop(sending);
                http_end(sending, sending->exchange->outcome);
            }
        } else if (!may) {
            break;
        }
        sending = next;
    }
}

static void http_step(struct transport *base)
{
    struct http_transport *transport = (struct http_transport *)base;
    transport->now = clock_monotonic();
    while (transport->ready.first) {
        struct http_sending *sending = transport->ready.first;
        http_list_remove(&transport->ready, sending);
        http_begin(sending);
    }
    if (transport->multi) {
        http_curl_step(transport);
        messages_take(transport);
    }
    if (transport->sick)
        multi_replace(transport);
    deadlines_expire(transport);
    if (transport->paused_count)
        paused_resume(transport);
    base->wake = transport->curl_due;
    if (deadlines_next(&transport->deadlines) < base->wake)
        base->wake = deadlines_next(&transport->deadlines);
    if (transport->ready.first || transport->over.first)
        base->wake = transport->now;
}

static struct exchange *http_reap(struct transport *base)
{
    struct http_transport *transport = (struct http_transport *)base;
    struct exchange *unsent = transport->unsent;
    struct http_sending *sending = transport->over.first;
    if (unsent) {
        transport->unsent = unsent->next;
        return unsent;
    }
    if (!sending)
        return NULL;
    http_list_remove(&transport->over, sending);
    sending->phase = HTTP_REAPED;
    return sending->exchange;
}

static void http_release(struct transport *base, struct exchange *exchange)
{
    struct http_sending *sending = exchange->state;
    if (!sending)
        return;
    CHECK(sending->phase == HTTP_REAPED);
    sending_free(sending);
    if (((struct http_transport *)base)->paused_count)
        base->wake = INT64_MIN; /* some may go on now */
}

static void http_cancel(struct transport *base, struct exchange *exchange)
{
    struct http_transport *transport = (struct http_transport *)base;
    struct http_sending *sending = exchange->state;
    if (!sending) {
        struct exchange **link = &transport->unsent;
        while (*link && *link != exchange)
            link = &(*link)->next;
        if (*link)
            *link = exchange->next;
        return;
    }
    CHECK(sending->phase != HTTP_REAPED);
    if (sending->phase == HTTP_OVER)
        http_list_remove(&transport->over, sending);
    else
        sending_stop(sending);
    deadline_clear(&transport->deadlines, &sending->deadline);
    exchange->outcome = OUTCOME_CANCELLED;
    exchange->finished = clock_monotonic();
    sending_free(sending);
    base->wake = INT64_MIN; /* libcurl may have something for others that waited */
}

static void http_memory_limit(struct transport *base, size_t bytes)
{
    struct http_transport *transport = (struct http_transport *)base;
    size_t own = size_min(transport->settings.answer_limit, LIMIT_LARGEST) * 4;
    transport->settings.memory_limit = bytes ? bytes : own;
    base->wake = INT64_MIN;
}

static void http_close(struct transport *base)
{
    struct http_transport *transport = (struct http_transport *)base;
    for (struct http_sending *sending = transport->made; sending; sending = sending->next_made) {
        if (sending->phase == HTTP_RUNNING || sending->phase == HTTP_READY ||
            sending->phase == HTTP_WAITING)
            sending_stop(sending);
    }
    while (transport->made) {
        struct http_sending *sending = transport->made;
        transport->made = sending->next_made;
        sending_destroy(sending);
    }
    http_multi_close(transport);
    if (transport->share)
        curl_share_cleanup(transport->share);
    curl_slist_free_all(transport->headers);
    http_gates_close(transport->gates);
    http_decoder_close(transport->decoder);
    deadlines_free(&transport->deadlines);
    free(transport->sockets);
    for (uint32_t i = 0; i < transport->text_count; i++)
        free(transport->texts[i]);
    if (base->descriptor >= 0)
        close(base->descriptor);
    free(transport);
}

static const struct transport_ops http_ops = {
    .start = http_start,
    .cancel = http_cancel,
    .step = http_step,
    .reap = http_reap,
    .release = http_release,
    .memory_limit = http_memory_limit,
    .close = http_close,
};

/* Copies one text of the settings. */
static bool text_keep(struct http_transport *transport, const char **text)
{
    if (!*text)
        return true;
    CHECK(transport->text_count < ARRAY_SIZE(transport->texts));
    char *copy = memory_copy_text(*text, strlen(*text));
    *text = copy;
    if (copy)
        transport->texts[transport->text_count++] = copy;
    return copy != NULL;
}

static bool file_check(const char *path, const char *option, struct error *error)
{
    if (!path || access(path, R_OK) == 0)
        return true;
    return error_set_errno(error, errno, "%s \"%s\" cannot be read", option, path);
}

static bool proxy_in_environment(void)
{
    static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                        "ALL_PROXY"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        const char *value = getenv(names[i]);
        if (value && *value)
            return true;
    }
    return false;
}

static bool settings_take(struct http_transport *transport, struct error *error)
{
    struct http_settings *settings = &transport->settings;
    if (!file_check(settings->ca, "ca", error) || !file_check(settings->cert, "cert", error) ||
        !file_check(settings->key, "key", error))
        return false;
    if (!text_keep(transport, &settings->ca) || !text_keep(transport, &settings->cert) ||
        !text_keep(transport, &settings->key) || !text_keep(transport, &settings->unix_socket) ||
        !text_keep(transport, &settings->proxy) || !text_keep(transport, &settings->user_agent))
        return error_set(error, ERROR_MEMORY, "no memory for settings");
    if (!settings->answer_limit)
        settings->answer_limit = ANSWER_LIMIT;
    settings->answer_limit = size_min(settings->answer_limit, LIMIT_LARGEST);
    http_memory_limit(&transport->transport, settings->memory_limit);
    /* libcurl asks the environment for each request unless told that there is no proxy. */
    if (!settings->proxy && !proxy_in_environment())
        settings->proxy = "";
    return http_headers_open(transport, error);
}

struct transport *http_transport_open(const struct http_settings *settings, struct error *error)
{
    struct http_transport *transport = memory_take_zeroed(1, sizeof(*transport));
    if (!transport) {
        error_set(error, ERROR_MEMORY, "no memory for an HTTP client");
        return NULL;
    }
    transport->transport = (struct transport){&http_ops, -1, INT64_MAX};
    transport->settings = *settings;
    transport->curl_due = INT64_MAX;
    bool open = settings_take(transport, error) && http_curl_open(transport, error);
    transport->settings.headers = NULL; /* the caller's */
    transport->settings.header_count = 0;
    if (open && !settings->unix_socket) {
        transport->gates = http_gates_open();
        open = transport->gates || error_set(error, ERROR_MEMORY, "no memory for names");
    }
    if (open) {
        transport->decoder = http_decoder_open();
        open = transport->decoder || error_set(error, ERROR_MEMORY, "no memory for answers");
    }
    if (!open) {
        http_close(&transport->transport);
        return NULL;
    }
    transport->transport.wake = INT64_MAX;
    return &transport->transport;
}
