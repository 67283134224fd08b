/* What came of a call: is it good, what do the fields become, and where they cannot be had, the
 * reject or what stands instead. The actor's thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/raw.h"
#include "core/utf8.h"
#include "lang/json_check.h"
#include "stages/lookup.h"

/* ---- judging ---- */

static bool status_is_cause(const struct retry_causes *causes, int status)
{
    if (status >= 100 && status < 800 && (causes->classes >> (status / 100) & 1))
        return true;
    for (uint32_t i = 0; i < causes->status_count; i++)
        if (causes->statuses[i] == status)
            return true;
    return false;
}

static struct value status_value(int status)
{
    return status ? value_int(status) : value_null();
}

/* An answer as expressions see it; its text is not copied. */
static struct value answer_value(const struct lookup *lookup, struct string text, bool is_json)
{
    if (is_json)
        return text.length ? value_raw(text.data, text.length) : value_null();
    if (!lookup->raw)
        return value_null();
    return utf8_valid(text.data, text.length) ? value_string(text.data, text.length)
                                              : value_bytes(text.data, text.length);
}

static bool retry_wanted(struct lookup *lookup, struct string text, bool is_json, int status)
{
    if (!lookup->retry_when)
        return false;
    struct evaluation evaluation = lookup_view(lookup, NULL, 0);
    lookup->answer_cell = answer_value(lookup, text, is_json);
    lookup->status_cell = status_value(status);
    struct value wanted = expression_row(lookup->retry_when, &evaluation, 0);
    wanted = value_resolve(wanted, &lookup->scratch);
    return wanted.kind == VALUE_BOOL && wanted.boolean;
}

enum call_verdict lookup_judge(void *context, const struct call *call,
                               const struct exchange *exchange, char *detail, size_t size)
{
    struct lookup *lookup = context;
    const struct retry_causes *causes = &lookup->protections.causes;
    struct lookup_call *own = (struct lookup_call *)call;
    int status = exchange->status;
    bool welcome = status == 0 || status / 100 == 2;
    struct string text = lookup->raw ? exchange->answer : lookup_trim(exchange->answer);
    own->is_json =
        !lookup->raw && (text.length ? json_check(text) : status == 204 || status == 205);
    if (retry_wanted(lookup, text, own->is_json, status)) {
        snprintf(detail, size, "retry_when was true");
        return CALL_RETRY;
    }
    if (!welcome) {
        snprintf(detail, size, "status %d%s%s", status, exchange->detail[0] ? ": " : "",
                 exchange->detail);
        return status_is_cause(causes, status) ? CALL_RETRY : CALL_BAD;
    }
    if (!lookup->raw && !own->is_json) {
        snprintf(detail, size, "the answer is no JSON");
        return causes->outcomes >> OUTCOME_BROKEN & 1 ? CALL_RETRY : CALL_BAD;
    }
    if (lookup->null_fails && string_equal_text(text, "null")) {
        snprintf(detail, size, LOOKUP_NO_ROW);
        return CALL_BAD;
    }
    return CALL_GOOD;
}

/* ---- into the batch ---- */

void lookup_row_end(struct lookup_batch *own, uint32_t row, enum lookup_row_state state)
{
    CHECK(own->states[row] == LOOKUP_ASKED && own->left > 0);
    own->states[row] = (uint8_t)state;
    own->left--;
    own->done += state == LOOKUP_DONE;
    if (own->first_done == 0)
        own->first_done = clock_monotonic();
}

bool lookup_reject(struct lookup *lookup, struct lookup_batch *own, uint32_t row,
                   const struct lookup_answer *answer)
{
    struct batch *batch = own->batch;
    struct reject_call *call = NULL;
    size_t mark = arena_mark(&batch->arena);
    if (answer->url.length) {
        call = arena_take(&batch->arena, sizeof(*call));
        char *url = call ? arena_copy_text(&batch->arena, answer->url) : NULL;
        if (!url)
            goto full;
        *call = (struct reject_call){
            .url = {url, answer->url.length},
            .attempts = answer->attempts,
            .status = answer->status,
        };
    }
    if (!batch_reject(batch, row, lookup->stage.index, (enum error_code)answer->code, UINT32_MAX,
                      "%.*s", (int)size_min(answer->text.length, 400), answer->text.data))
        goto full;
    struct reject *reject =
        (struct reject *)((char *)batch->rejects_tail - offsetof(struct reject, next));
    reject->call = call;
    return true;
full:
    arena_rewind(&batch->arena, mark);
    return false;
}

static void cause_count(struct stage_causes *causes, struct string text)
{
    size_t length = size_min(text.length, sizeof(causes->items[0].text) - 1);
    for (uint32_t i = 0; i < causes->count; i++) {
        struct stage_cause *cause = &causes->items[i];
        if (strlen(cause->text) != length || memcmp(cause->text, text.data, length) != 0)
            continue;
        __atomic_store_n(&cause->number, cause->number + 1, __ATOMIC_RELAXED);
        return;
    }
    if (causes->count == STAGE_CAUSES) {
        __atomic_store_n(&causes->others, causes->others + 1, __ATOMIC_RELAXED);
        return;
    }
    struct stage_cause *cause = &causes->items[causes->count];
    if (length)
        memcpy(cause->text, text.data, length);
    cause->text[length] = 0;
    cause->number = 1;
    __atomic_store_n(&causes->count, causes->count + 1, __ATOMIC_RELEASE);
}

void lookup_breaker_changed(void *context, struct string peer, const char *state,
                            const char *reason)
{
    struct lookup *lookup = context;
    char text[sizeof(lookup->events.items[0].text)];
    snprintf(text, sizeof(text), "the breaker of %.*s is %s: %s", (int)size_min(peer.length, 60),
             peer.data, state, reason ? reason : "");
    cause_count(&lookup->events, (struct string){text, strlen(text)});
}

static void cell_set(const struct lookup_batch *own, uint32_t column, uint32_t row,
                     struct value value)
{
    if (column != COLUMN_NONE)
        own->batch->columns[column].cells[row] = value;
}

enum applied {
    APPLIED,
    APPLIED_FULL,   /* the arena does not take it */
    APPLIED_FAILED, /* an error of evaluation: *error */
};

/* The field becomes `value`, which may lie anywhere. */
static enum applied field_set(struct lookup *lookup, struct lookup_batch *own, uint32_t row,
                              struct value value, const struct lookup_answer *answer,
                              struct value *error)
{
    if (value.kind == VALUE_ERROR) {
        if (value.code == ERROR_ARENA_FULL)
            value = value_error(ERROR_LIMIT); /* of the scratch memory */
        *error = value;
        return APPLIED_FAILED;
    }
    if (value.kind == VALUE_ABSENT)
        value = value_null();
    size_t mark = arena_mark(&own->batch->arena);
    if (!lookup_value_copy(&value, &own->batch->arena)) {
        arena_rewind(&own->batch->arena, mark);
        return APPLIED_FULL;
    }
    cell_set(own, lookup->field, row, value);
    cell_set(own, lookup->status, row, status_value(answer->status));
    cell_set(own, lookup->attempts, row, value_int(answer->attempts));
    cell_set(own, lookup->latency, row,
             (struct value){.kind = VALUE_DURATION, .integer = answer->latency});
    lookup_row_end(own, row, LOOKUP_DONE);
    return APPLIED;
}

static enum applied apply_good(struct lookup *lookup, struct lookup_batch *own, uint32_t row,
                               const struct lookup_answer *answer, struct value *error)
{
    struct value value = answer_value(lookup, answer->text, answer->is_json);
    if (lookup->take) {
        struct evaluation evaluation = lookup_view(lookup, own->batch, row);
        lookup->answer_cell = value;
        lookup->status_cell = status_value(answer->status);
        value = expression_row(lookup->take, &evaluation, 0);
    }
    return field_set(lookup, own, row, value, answer, error);
}

static enum applied apply_instead(struct lookup *lookup, struct lookup_batch *own, uint32_t row,
                                  const struct lookup_answer *answer, struct value *error)
{
    struct evaluation evaluation = lookup_view(lookup, own->batch, row);
    lookup->answer_cell = value_null();
    lookup->status_cell = status_value(answer->status);
    struct value value = expression_row(lookup->otherwise_value, &evaluation, 0);
    enum applied applied = field_set(lookup, own, row, value, answer, error);
    if (applied == APPLIED)
        cause_count(&lookup->causes, answer->text);
    return applied;
}

static enum applied apply_reject(struct lookup *lookup, struct lookup_batch *own, uint32_t row,
                                 const struct lookup_answer *answer)
{
    if (!lookup_reject(lookup, own, row, answer))
        return APPLIED_FULL;
    lookup_row_end(own, row, LOOKUP_GONE);
    return APPLIED;
}

/* An error of evaluation as what went wrong. */
static void answer_blame(struct lookup_answer *answer, struct value error)
{
    const char *meaning = error_meaning(error.code);
    answer->good = false;
    answer->code = error.code;
    answer->text = error.text && error.length ? (struct string){error.text, error.length}
                                              : (struct string){meaning, strlen(meaning)};
}

static enum applied apply_failed(struct lookup *lookup, struct lookup_batch *own, uint32_t row,
                                 const struct lookup_answer *answer)
{
    struct value error;
    if (answer->code != ERROR_LOOKUP || lookup->otherwise == OTHERWISE_REJECT)
        return apply_reject(lookup, own, row, answer);
    if (lookup->otherwise == OTHERWISE_STOP) {
        char text[400];
        snprintf(text, sizeof(text), "%.*s%s%.*s", (int)size_min(answer->text.length, 160),
                 answer->text.data, answer->url.length ? ", " : "",
                 (int)size_min(answer->url.length, 200), answer->url.data);
        lookup_fail(lookup, ERROR_LOOKUP, text);
        return apply_reject(lookup, own, row, answer);
    }
    enum applied applied = apply_instead(lookup, own, row, answer, &error);
    if (applied != APPLIED_FAILED)
        return applied;
    struct lookup_answer blamed = *answer;
    answer_blame(&blamed, error);
    return apply_reject(lookup, own, row, &blamed);
}

/* False: the arena is full; the batch has to go on before. */
static bool answer_apply(struct lookup *lookup, struct lookup_batch *own, uint32_t row,
                         const struct lookup_answer *answer)
{
    struct value error;
    enum applied applied = answer->good ? apply_good(lookup, own, row, answer, &error)
                                        : apply_failed(lookup, own, row, answer);
    if (applied == APPLIED_FAILED) {
        /* `take` could make nothing of it: the lookup failed */
        struct lookup_answer blamed = *answer;
        answer_blame(&blamed, error);
        blamed.code = ERROR_LOOKUP;
        applied = apply_failed(lookup, own, row, &blamed);
    }
    if (applied == APPLIED)
        return true;
    if (own->left < own->count) {
        own->full = true;
        return false;
    }
    /* not even alone */
    struct lookup_answer limit = *answer;
    limit.code = ERROR_LIMIT;
    limit.text = STRING("the answer needs more memory than --memory allows");
    if (!lookup_reject(lookup, own, row, &limit)) {
        limit.url = (struct string){NULL, 0};
        own->batch->arena.limit += own->reserve;
        CHECK(lookup_reject(lookup, own, row, &limit));
        own->batch->arena.limit -= own->reserve;
    }
    lookup_row_end(own, row, LOOKUP_GONE);
    return true;
}

/* Whether answers for this row may go into the batch now. */
static bool row_is_next(const struct lookup *lookup, const struct lookup_ask *ask)
{
    const struct lookup_batch *own = ask->batch;
    return own->present && !own->full && own->count > 0 &&
           ask->row <= own->batch->rows[own->count - 1] && (!lookup->ordered || own->first == ask);
}

static void answer_keep(struct lookup *lookup, struct lookup_ask *ask,
                        const struct lookup_answer *answer)
{
    size_t length = answer->text.length, url_length = answer->good ? 0 : answer->url.length;
    ask->answered = true;
    ask->kept = *answer;
    if (!lookup_ask_room(lookup, ask, length + url_length)) {
        ask->kept.good = false;
        ask->kept.code = ERROR_LIMIT;
        ask->kept.text = STRING("no memory to keep the answer");
        ask->kept.url = (struct string){NULL, 0};
        return;
    }
    if (length)
        memcpy(ask->memory, answer->text.data, length);
    if (url_length)
        memcpy(ask->memory + length, answer->url.data, url_length);
    ask->kept.text.data = ask->memory;
    ask->kept.url = (struct string){ask->memory + length, url_length};
}

void lookup_batch_apply(struct lookup *lookup, struct lookup_batch *own)
{
    struct lookup_ask *next;
    for (struct lookup_ask *ask = own->first; ask; ask = next) {
        next = ask->next;
        if (!ask->answered && lookup->ordered)
            return;
        if (!ask->answered)
            continue;
        if (!row_is_next(lookup, ask) || !answer_apply(lookup, own, ask->row, &ask->kept))
            return;
        lookup_ask_free(lookup, ask);
    }
}

void lookup_ask_done(struct lookup *lookup, struct lookup_ask *ask,
                     const struct lookup_answer *answer)
{
    struct lookup_batch *own = ask->batch;
    if (!row_is_next(lookup, ask) || !answer_apply(lookup, own, ask->row, answer)) {
        answer_keep(lookup, ask, answer);
        return;
    }
    lookup_ask_free(lookup, ask);
    if (lookup->ordered)
        lookup_batch_apply(lookup, own);
}

void lookup_ask_settle(struct lookup *lookup, struct lookup_ask *ask,
                       const struct lookup_answer *answer, bool cacheable)
{
    struct cache_flight *flight = ask->flight;
    bool leads = ask->leads;
    ask->leads = false;
    ask->flight = NULL;
    if (leads && cacheable) {
        struct cached cached = {
            .value = answer->text,
            .outcome = OUTCOME_ANSWER,
            .status = answer->status,
            .flags = (answer->good ? 1u : 0) | (answer->is_json ? 2u : 0),
        };
        cache_fill(lookup->cache, flight, &cached, clock_monotonic(), !answer->good);
    } else if (leads) {
        cache_fail(lookup->cache, flight);
    }
    lookup_ask_done(lookup, ask, answer);
    struct cache_waiter *waiter;
    while (leads && (waiter = cache_waiter_next(lookup->cache, flight)))
        lookup_ask_done(lookup, waiter->owner, answer);
}

void lookup_call_done(struct lookup *lookup, struct lookup_call *call)
{
    struct exchange *exchange = call->call.exchange;
    bool good = call->call.verdict == CALL_GOOD;
    const char *detail = call->call.detail;
    struct lookup_answer answer = {
        .good = good,
        .is_json = good && call->is_json,
        .code = lookup->stopping && call->call.outcome == OUTCOME_CANCELLED ? ERROR_UNANSWERED
                                                                            : ERROR_LOOKUP,
        .status = call->call.status,
        .attempts = call->call.attempts,
        .latency = call->call.latency,
        .text = {detail, strlen(detail)},
        .url = exchange ? exchange->request->shown_url : call->call.requests[0].shown_url,
    };
    call->submitted = false;
    if (good)
        answer.text = lookup->raw ? exchange->answer : lookup_trim(exchange->answer);
    bool refused = exchange && exchange->outcome == OUTCOME_INVALID;
    if (refused && exchange->hopeless)
        lookup_fail(lookup, ERROR_DATABASE, detail);
    if (refused && call->ask_count > 1 && !lookup->failed) {
        lookup_gather_doubt(lookup, call);
    } else if (lookup->gather.most) {
        lookup_gather_spread(lookup, call, &answer);
    } else {
        int status = answer.status;
        bool lasting = (status / 100 == 4 && status != 408 && status != 425 && status != 429) ||
                       (lookup->null_fails && call->call.outcome == OUTCOME_ANSWER);
        lookup_ask_settle(lookup, call->asks, &answer, good || lasting);
    }
    dispatcher_release(lookup->dispatcher, &call->call);
    lookup_call_free(lookup, call);
}
