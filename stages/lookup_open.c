/* Opening a lookup: its words, the names that its expressions see, its fields. Main thread. */
#include <stdlib.h>
#include <string.h>

#include "clients/protections.h"
#include "core/fault.h"
#include "stages/lookup.h"

#define ANSWER_MOST (1LL << 30)

/* ---- expressions with names of the lookup's own ---- */

static bool name_is(const struct path *path, const char *name)
{
    return string_equal_text(path->names[0], name);
}

static struct resolution own_resolve(void *context, const struct path *path)
{
    struct lookup_names *own = context;
    struct lookup *lookup = own->lookup;
    if ((own->set & NAMES_ANSWER) && name_is(path, "answer"))
        return (struct resolution){RESOLVED_COLUMN, lookup->answer_name, 1};
    if ((own->set & NAMES_ANSWER) && name_is(path, "status"))
        return (struct resolution){RESOLVED_COLUMN, lookup->status_name, 1};
    if ((own->set & NAMES_KEYS) && name_is(path, "keys"))
        return (struct resolution){RESOLVED_COLUMN, lookup->keys_name, 1};
    if (own->record)
        return own->record->resolve(own->record->context, path);
    diagnostics_error(own->diagnostics, path->span, "\"%.*s\" is not known here, only %s",
                      (int)path->names[0].length, path->names[0].data,
                      own->set & NAMES_KEYS ? "keys: a request is made for many records"
                                            : "answer and status are");
    return (struct resolution){RESOLVED_COLUMN, lookup->answer_name, path->count};
}

static uint32_t own_record_column(void *context)
{
    struct lookup_names *own = context;
    return own->record ? own->record->record_column(own->record->context)
                       : own->lookup->answer_name;
}

static const struct expression *expression_keep(struct lookup *lookup,
                                                struct expression *expression)
{
    if (expression && lookup->owned_count == lookup->owned_capacity) {
        uint32_t capacity = lookup->owned_capacity ? lookup->owned_capacity * 2 : 8;
        void *owned = memory_resize(lookup->owned, capacity * sizeof(struct expression *));
        if (!owned) {
            expression_free(expression);
            return NULL;
        }
        lookup->owned = owned;
        lookup->owned_capacity = capacity;
    }
    if (expression)
        lookup->owned[lookup->owned_count++] = expression;
    return expression;
}

static void names_open(struct lookup_names *names, struct stage_context *context,
                       struct lookup *lookup, unsigned set)
{
    *names = (struct lookup_names){
        .resolver = {.context = names,
                     .resolve = own_resolve,
                     .record_column = own_record_column,
                     .allows_secrets = (set & NAMES_SECRET) != 0},
        .lookup = lookup,
        .record = set & NAMES_RECORD ? scope_resolver(context->scope) : NULL,
        .diagnostics = context->diagnostics,
        .set = set,
    };
}

void lookup_names_open(struct lookup_names *names, struct stage_context *context,
                       struct lookup *lookup)
{
    names_open(names, context, lookup,
               NAMES_SECRET | (lookup->gather.most ? NAMES_KEYS : NAMES_RECORD));
}

static const struct expression *own_compile(struct stage_context *context, struct lookup *lookup,
                                            const struct node *node, struct lookup_names *names)
{
    const struct expression *kept =
        expression_keep(lookup, expression_compile(node, &names->resolver, context->diagnostics));
    if (!kept && context->diagnostics->errors == 0)
        diagnostics_memory(context->diagnostics, node->span);
    return kept;
}

const struct expression *lookup_compile(struct stage_context *context, struct lookup *lookup,
                                        const struct node *node)
{
    struct lookup_names names;
    lookup_names_open(&names, context, lookup);
    return own_compile(context, lookup, node, &names);
}

/* An option's expression, where it was given: *expression. */
static bool option_compile(struct stage_context *context, struct lookup *lookup, const char *name,
                           unsigned set, const struct expression **expression)
{
    struct lookup_names names;
    const struct option_value *value = option_find(context->options, name);
    if (!value || !value->node)
        return true;
    names_open(&names, context, lookup, set);
    *expression = own_compile(context, lookup, value->node, &names);
    return *expression != NULL;
}

/* ---- protections ---- */

static int64_t phrase_number(const struct options *options, const char *name, unsigned index)
{
    const struct option_value *value = option_find(options, name);
    return value ? value->numbers[index] : -1;
}

static bool refuse(struct stage_context *context, const char *name, const char *why)
{
    const struct option_value *value = option_find(context->options, name);
    return diagnostics_error(context->diagnostics, value ? value->span : context->options->span,
                             "%s %s", name, why);
}

static bool protections_open(struct stage_context *context, struct lookup *lookup)
{
    const struct options *options = context->options;
    struct protections *protections = &lookup->protections;
    struct error error;
    if (!protections_read(options, context->shared, protections, &lookup->bucket, &error))
        return error.code == ERROR_MEMORY
                   ? diagnostics_memory(context->diagnostics, options->span)
                   : diagnostics_error(context->diagnostics, options->span, "%s", error.text);
    protections->repeat_all = option_given(options, "repeat");
    protections->retry_budget = option_real(options, "retry_budget", 0.2);
    int64_t hedge = phrase_number(options, "hedge", 0);
    int64_t percentile = phrase_number(options, "hedge", 1);
    if (hedge > 0)
        protections->hedge_after = hedge;
    if (percentile > 0)
        protections->hedge_percentile = (double)percentile / 10000;
    return true;
}

static bool cache_read(struct stage_context *context, struct lookup *lookup)
{
    if (!option_find(context->options, "cache"))
        return true;
    int64_t entries = phrase_number(context->options, "cache", 0);
    int64_t live = phrase_number(context->options, "cache", 1);
    int64_t negative = phrase_number(context->options, "cache", 2);
    if (entries < 1 || entries > UINT32_MAX)
        return refuse(context, "cache", "has room for one answer or more");
    lookup->cache_settings = (struct cache_settings){
        .entries = (uint32_t)entries,
        .live = live < 0 ? INT64_MAX / 2 : live,
        .live_failure = negative < 0 ? 0 : negative,
    };
    return true;
}

static bool answers_read(struct stage_context *context, struct lookup *lookup)
{
    int64_t limit = option_integer(context->options, "answer_limit", 16 << 20);
    if (limit < 1 || limit > ANSWER_MOST)
        return refuse(context, "answer_limit", "is a size up to 1GiB");
    lookup->answer_limit = (size_t)limit;
    lookup->raw = option_word_is(context->options, "response", "raw");
    return true;
}

/* ---- the stage ---- */

struct lookup *lookup_open(struct stage_context *context, const struct lookup_kind *kind,
                           size_t size)
{
    struct lookup *lookup = stage_make(context, kind->ops, size);
    if (!lookup)
        return NULL;
    lookup->kind = kind;
    lookup->seed = context->seed + context->index;
    lookup->memory = context->memory;
    lookup->stage.descriptor = -1;
    lookup->stage.causes = &lookup->causes;
    lookup->stage.events = &lookup->events;
    lookup->stage.as_completed = option_word_is(context->options, "order", "none");
    lookup->answer_name = scope_hidden_column(context->scope);
    lookup->status_name = scope_hidden_column(context->scope);
    lookup->keys_name = scope_hidden_column(context->scope);
    const struct option_value *otherwise = option_find(context->options, "otherwise");
    if (otherwise && otherwise->node)
        lookup->otherwise = OTHERWISE_VALUE;
    else if (option_word_is(context->options, "otherwise", "stop"))
        lookup->otherwise = OTHERWISE_STOP;
    bool good = protections_open(context, lookup);
    good &= answers_read(context, lookup);
    good &= cache_read(context, lookup);
    good &= lookup_gather_open(context, lookup);
    good &= option_compile(context, lookup, "take", NAMES_ANSWER | NAMES_RECORD, &lookup->take);
    good &= option_compile(context, lookup, "otherwise", NAMES_ANSWER | NAMES_RECORD,
                           &lookup->otherwise_value);
    good &= option_compile(context, lookup, "retry_when", NAMES_ANSWER, &lookup->retry_when);
    good &= option_compile(context, lookup, "items", NAMES_ANSWER, &lookup->gather.items);
    good &= option_compile(context, lookup, "key", NAMES_RECORD, &lookup->gather.key);
    if (good)
        return lookup;
    lookup_close(&lookup->stage);
    return NULL;
}

static uint32_t field_bind(struct stage_context *context, const char *option)
{
    const struct option_value *name = option_find(context->options, option);
    return name ? scope_put_field(context->scope, name->text, true) : COLUMN_NONE;
}

bool lookup_finish(struct stage_context *context, struct lookup *lookup)
{
    lookup->before = scope_take_moves(context->scope);
    lookup->field = field_bind(context, "name");
    lookup->status = field_bind(context, "status");
    lookup->latency = field_bind(context, "latency");
    lookup->attempts = field_bind(context, "attempts");
    lookup->after = scope_take_moves(context->scope);
    /* what is no map is not asked for; the other moves copy the fields when they are there */
    uint32_t checks = 0;
    while (checks < lookup->after.count && lookup->after.items[checks].kind == MOVE_CHECK_MAP)
        checks++;
    lookup->checks = (struct moves){lookup->after.items, checks};
    lookup->after.items += checks;
    lookup->after.count -= checks;
    return context->diagnostics->errors == 0;
}

void lookup_close(struct stage *stage)
{
    struct lookup *lookup = (struct lookup *)stage;
    if (!lookup)
        return;
    dispatcher_close(lookup->dispatcher);
    lookup_pools_close(lookup);
    if (lookup->kind->close)
        lookup->kind->close(lookup);
    for (uint32_t i = 0; i < lookup->owned_count; i++)
        expression_free(lookup->owned[i]);
    free(lookup->owned);
    bucket_close(lookup->bucket);
    stage_free(stage);
}
