/* Lookups that put many rows into one request: gathering keys, and spreading the list or map that
 * comes back over the rows. The actor's thread, but for lookup_gather_open. */
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "clients/hash.h"
#include "core/number.h"
#include "core/raw.h"
#include "stages/lookup.h"

#define GATHER_MOST 10000

bool lookup_gather_open(struct stage_context *context, struct lookup *lookup)
{
    static const char *const words[] = {"key", "by", "items"};
    const struct option_value *batch = option_find(context->options, "batch");
    struct lookup_gather *gather = &lookup->gather;
    if (!batch) {
        for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
            const struct option_value *value = option_find(context->options, words[i]);
            if (value)
                return diagnostics_error(context->diagnostics, value->span,
                                         "%s goes with batch: write batch 50 or 20ms", words[i]);
        }
        return true;
    }
    if (batch->numbers[0] < 1 || batch->numbers[0] > GATHER_MOST)
        return diagnostics_error(context->diagnostics, batch->span,
                                 "batch takes 1 to %d records into a request", GATHER_MOST);
    if (!lookup->kind->makes_key && !option_find(context->options, "key"))
        return diagnostics_error(context->diagnostics, batch->span,
                                 "batch needs the key that a record asks for: key id");
    if (lookup->raw)
        return diagnostics_error(context->diagnostics, batch->span,
                                 "batch needs JSON answers: leave `response raw` out");
    gather->most = (uint32_t)batch->numbers[0];
    gather->wait = batch->numbers[1] < 0 ? LOOKUP_PATIENCE : batch->numbers[1];
    const struct option_value *by = option_find(context->options, "by");
    if (by)
        gather->by = by->path;
    return true;
}

#define WHOLE_MOST 9007199254740992.0 /* 2^53: up to there each whole number is a double */

/* Where a database compares, 1.0 finds the row whose key is 1, so it is the same key. */
static struct value key_plain(const struct lookup *lookup, struct value key)
{
    bool whole = lookup->kind->makes_key && key.kind == VALUE_DOUBLE && key.real <= WHOLE_MOST &&
                 key.real >= -WHOLE_MOST && (double)(int64_t)key.real == key.real;
    return whole ? value_int((int64_t)key.real) : key;
}

bool lookup_gather_key(struct lookup *lookup, struct evaluation *evaluation, struct string *json,
                       struct string *plain, struct value *error)
{
    struct value key = expression_row(lookup->gather.key, evaluation, 0);
    struct value resolved = value_resolve(key, evaluation->arena);
    *error = resolved;
    if (resolved.kind == VALUE_ERROR)
        return false;
    char *scratch = arena_take(evaluation->arena, NUMBER_TEXT_SIZE + 8);
    *error = value_error(ERROR_ARENA_FULL);
    if (!scratch)
        return false;
    if (resolved.kind == VALUE_NULL && lookup->kind->makes_key) {
        *plain = (struct string){"", 1}; /* U+0000, which no key of a row is */
    } else if (!lookup_scalar_text(key_plain(lookup, resolved), scratch, plain)) {
        struct string why = STRING("the key is null, a list or a map");
        *error = value_error_text(ERROR_PLACE, why.data, why.length);
        return false;
    }
    return lookup_write_json(lookup, resolved, json, error);
}

static void keys_clear(struct lookup_gather *gather)
{
    buffer_reset(&gather->keys);
    CHECK(buffer_append_byte(&gather->keys, '['));
}

bool lookup_gather_add(struct lookup *lookup, struct lookup_ask *ask, struct string json,
                       int64_t now)
{
    struct lookup_gather *gather = &lookup->gather;
    /* a bracket, a comma, and what the writing of a value wants to have behind it */
    size_t room = json.length + 2 + BUFFER_SLACK;
    if (gather->open && !buffer_room(&gather->keys, room))
        lookup_gather_send(lookup);
    if (!gather->open) {
        gather->open = lookup_call_take(lookup);
        keys_clear(gather);
        gather->due = now + gather->wait;
        if (!gather->open)
            return false;
    }
    struct lookup_call *call = gather->open;
    if (!buffer_room(&gather->keys, room))
        return false; /* not even alone; it goes with the empty call that is open now */
    if (call->ask_count)
        CHECK(buffer_append_byte(&gather->keys, ','));
    CHECK(buffer_append(&gather->keys, json.data, json.length));
    *call->asks_tail = ask;
    call->asks_tail = &ask->sibling;
    if (++call->ask_count == gather->most)
        lookup_gather_send(lookup);
    return true;
}

static void gather_fail(struct lookup *lookup, struct lookup_call *call,
                        const struct lookup_answer *answer)
{
    struct lookup_ask *next;
    for (struct lookup_ask *ask = call->asks; ask; ask = next) {
        next = ask->sibling;
        lookup_ask_settle(lookup, ask, answer, false);
    }
}

/* The call asks for the keys in gather.keys, which want their bracket. */
static void gathered_submit(struct lookup *lookup, struct lookup_call *call)
{
    struct lookup_gather *gather = &lookup->gather;
    struct lookup_made made = {0};
    struct value error = value_error(ERROR_LOOKUP);
    CHECK(buffer_append_byte(&gather->keys, ']'));
    struct evaluation evaluation = lookup_view(lookup, NULL, 0);
    lookup->keys_cell = value_raw(gather->keys.data, gather->keys.length);
    bool done = lookup->kind->make(lookup, &evaluation, &made, &error);
    if (done && lookup_call_fill(lookup, call, &made)) {
        lookup_call_submit(lookup, call);
        return;
    }
    const char *meaning = error_meaning(error.code);
    struct lookup_answer answer = {
        .code = done || error.code == ERROR_ARENA_FULL ? ERROR_LIMIT : error.code,
        .text = {meaning, strlen(meaning)},
    };
    if (answer.code == ERROR_LIMIT)
        answer.text = STRING("the request needs more memory than --memory allows");
    else if (error.text && error.length)
        answer.text = (struct string){error.text, error.length};
    gather_fail(lookup, call, &answer);
    lookup_call_free(lookup, call);
}

void lookup_gather_send(struct lookup *lookup)
{
    struct lookup_call *call = lookup->gather.open;
    if (!call)
        return;
    lookup->gather.open = NULL;
    if (call->ask_count == 0)
        lookup_call_free(lookup, call);
    else
        gathered_submit(lookup, call);
}

void lookup_gather_doubt(struct lookup *lookup, struct lookup_call *call)
{
    *call->asks_tail = lookup->gather.suspects;
    lookup->gather.suspects = call->asks;
}

bool lookup_gather_single_out(struct lookup *lookup)
{
    struct lookup_gather *gather = &lookup->gather;
    bool any = gather->suspects && lookup->free_calls;
    if (any)
        lookup_gather_send(lookup); /* the keys of one request at a time */
    while (gather->suspects && lookup->free_calls) {
        struct lookup_ask *ask = gather->suspects;
        struct lookup_call *call = lookup_call_take(lookup);
        gather->suspects = ask->sibling;
        ask->sibling = NULL;
        call->asks = ask;
        call->ask_count = 1;
        keys_clear(gather);
        CHECK(buffer_append(&gather->keys, ask->memory + ask->key_length, ask->json_length));
        gathered_submit(lookup, call);
    }
    return any;
}

/* ---- spreading ---- */

/* The elements for each key text: open addressing. */
struct spread_slot {
    struct string key;
    uint32_t first, last; /* among the items */
    bool used;
};
struct spread {
    uint64_t seed[2];
    struct spread_slot *slots;
    uint32_t mask;
    uint32_t *next; /* of each item: the next one with the same key, or 0 */
};

static struct spread_slot *spread_find(const struct spread *spread, struct string key)
{
    uint64_t at = hash_bytes(spread->seed, key);
    while (spread->slots[at & spread->mask].used &&
           !string_equal(spread->slots[at & spread->mask].key, key))
        at++;
    return &spread->slots[at & spread->mask];
}

static bool spread_open(struct spread *spread, struct arena *arena, uint32_t count)
{
    uint32_t size = 16;
    while (size < count * 2)
        size *= 2;
    spread->mask = size - 1;
    spread->slots = arena_take(arena, size * sizeof(*spread->slots));
    spread->next = arena_take(arena, (count + 1) * sizeof(*spread->next));
    if (!spread->slots || !spread->next)
        return false;
    memset(spread->slots, 0, size * sizeof(*spread->slots));
    memset(spread->next, 0, (count + 1) * sizeof(*spread->next));
    return true;
}

static bool spread_add(struct lookup *lookup, struct spread *spread, struct value key,
                       uint32_t item)
{
    struct arena *arena = &lookup->scratch;
    char *scratch = arena_take(arena, NUMBER_TEXT_SIZE + 8);
    struct string text;
    key = value_resolve(key, arena);
    if (!scratch || (key.kind == VALUE_ERROR && key.code == ERROR_ARENA_FULL))
        return false;
    if (!lookup_scalar_text(key_plain(lookup, key), scratch, &text))
        return true; /* no key: nobody's */
    struct spread_slot *slot = spread_find(spread, text);
    if (slot->used)
        spread->next[slot->last] = item;
    else
        *slot = (struct spread_slot){.key = text, .first = item, .used = true};
    slot->last = item;
    return true;
}

/* What the element's field `by` is. */
static struct value element_key(const struct lookup_gather *gather, struct value element,
                                struct arena *arena)
{
    for (uint32_t i = 0; i < gather->by.count; i++) {
        element = value_member(element, gather->by.names[i], arena);
        if (element.kind == VALUE_ERROR && element.code != ERROR_ARENA_FULL)
            return value_null();
    }
    return element;
}

/* The elements by key. False: the scratch memory is full. */
static bool spread_fill(struct lookup *lookup, struct value items, struct spread *spread)
{
    struct arena *arena = &lookup->scratch;
    spread->seed[0] = spread->seed[1] = lookup->seed;
    if (!spread_open(spread, arena, items.length))
        return false;
    for (uint32_t i = 0; i < items.length; i++) {
        bool is_map = items.kind == VALUE_MAP;
        struct value key =
            is_map ? items.entries[i].key : element_key(&lookup->gather, items.items[i], arena);
        if (!spread_add(lookup, spread, key, i))
            return false;
    }
    return true;
}

static void element_settle(struct lookup *lookup, struct lookup_ask *ask,
                           const struct lookup_answer *whole, const struct value *element)
{
    struct lookup_answer answer = *whole;
    answer.good = element && element->kind == VALUE_RAW;
    answer.code = ERROR_LOOKUP;
    if (!element && lookup->gather.missing.length) {
        answer.good = true;
        answer.text = lookup->gather.missing;
    } else if (answer.good)
        answer.text = (struct string){element->text, element->length};
    else if (element)
        answer.text = STRING("items must give parts of the answer as they are");
    else
        answer.text = lookup->null_fails ? STRING(LOOKUP_NO_ROW)
                                         : STRING("the answer has nothing for this key");
    lookup_ask_settle(lookup, ask, &answer, answer.good || !element);
}

/* All elements of the slot's key, as a list. False: the scratch memory is full. */
static bool group_join(struct lookup *lookup, const struct spread *spread,
                       const struct spread_slot *slot, struct value items, struct value *group)
{
    size_t length = 2;
    for (uint32_t i = slot->first;; i = spread->next[i]) {
        CHECK(items.items[i].kind == VALUE_RAW); /* no expression `items` is allowed with groups */
        length += items.items[i].length + 1;
        if (i == slot->last)
            break;
    }
    char *text = arena_take_aligned(&lookup->scratch, length, 1), *to = text;
    if (!text)
        return false;
    for (uint32_t i = slot->first;; i = spread->next[i]) {
        *to++ = i == slot->first ? '[' : ',';
        memcpy(to, items.items[i].text, items.items[i].length);
        to += items.items[i].length;
        if (i == slot->last)
            break;
    }
    *to++ = ']';
    *group = value_raw(text, (size_t)(to - text));
    return true;
}

/* What the key of `ask` has found. */
static void key_settle(struct lookup *lookup, struct lookup_ask *ask, const struct spread *spread,
                       const struct lookup_answer *whole, struct value items)
{
    struct spread_slot *slot = spread_find(spread, (struct string){ask->memory, ask->key_length});
    size_t floor = lookup->scratch_floor;
    struct value group;
    if (!slot->used) {
        element_settle(lookup, ask, whole, NULL);
    } else if (items.kind == VALUE_MAP) {
        element_settle(lookup, ask, whole, &items.entries[slot->first].value);
    } else if (!lookup->gather.groups) {
        element_settle(lookup, ask, whole, &items.items[slot->first]);
    } else if (group_join(lookup, spread, slot, items, &group)) {
        lookup->scratch_floor = arena_mark(&lookup->scratch);
        element_settle(lookup, ask, whole, &group);
    } else {
        struct lookup_answer failed = *whole;
        failed.good = false;
        failed.code = ERROR_LOOKUP;
        failed.text = STRING("the rows of this key need more memory than --memory allows");
        lookup_ask_settle(lookup, ask, &failed, false);
    }
    lookup->scratch_floor = floor;
    arena_rewind(&lookup->scratch, floor);
}

static void spread_items(struct lookup *lookup, struct lookup_call *call,
                         const struct lookup_answer *whole, struct value items)
{
    bool by_position = items.kind == VALUE_LIST && lookup->gather.by.count == 0;
    struct lookup_answer failed = *whole;
    struct spread spread;
    char text[100];
    failed.good = false;
    failed.code = ERROR_LOOKUP;
    if (by_position && items.length != call->ask_count) {
        snprintf(text, sizeof(text), "%u answers came for %u keys", items.length, call->ask_count);
        failed.text = (struct string){text, strlen(text)};
        gather_fail(lookup, call, &failed);
        return;
    }
    if (!by_position && !spread_fill(lookup, items, &spread)) {
        failed.text = STRING("the answer needs more memory than --memory allows");
        gather_fail(lookup, call, &failed);
        return;
    }
    /* rows are evaluated above what was made here */
    lookup->scratch_floor = arena_mark(&lookup->scratch);
    uint32_t position = 0;
    struct lookup_ask *next;
    for (struct lookup_ask *ask = call->asks; ask; ask = next, position++) {
        next = ask->sibling;
        if (by_position)
            element_settle(lookup, ask, whole, &items.items[position]);
        else
            key_settle(lookup, ask, &spread, whole, items);
    }
}

void lookup_gather_spread(struct lookup *lookup, struct lookup_call *call,
                          const struct lookup_answer *answer)
{
    if (!answer->good) {
        gather_fail(lookup, call, answer);
        return;
    }
    struct evaluation evaluation = lookup_view(lookup, NULL, 0);
    struct value items =
        answer->text.length ? value_raw(answer->text.data, answer->text.length) : value_null();
    if (lookup->gather.items) {
        lookup->answer_cell = items;
        lookup->status_cell = value_int(answer->status);
        items = expression_row(lookup->gather.items, &evaluation, 0);
    }
    items = value_resolve(items, &lookup->scratch);
    if (items.kind != VALUE_LIST && items.kind != VALUE_MAP) {
        struct lookup_answer failed = *answer;
        failed.good = false;
        failed.code = ERROR_LOOKUP;
        failed.text = items.kind == VALUE_ERROR && items.code == ERROR_ARENA_FULL
                          ? STRING("the answer needs more memory than --memory allows")
                          : STRING("the answer is neither a list nor a map");
        gather_fail(lookup, call, &failed);
        return;
    }
    size_t floor = lookup->scratch_floor;
    spread_items(lookup, call, answer, items);
    lookup->scratch_floor = floor;
}
