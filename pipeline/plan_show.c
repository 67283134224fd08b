/* What a plan says of itself: nodes for graph and reports, memory, promises. Main thread. */
#include <stdio.h>
#include <string.h>

#include "core/fault.h"
#include "pipeline/plan_open.h"

#define TEXT_SHOWN 60

/* The text of a statement on one line. */
static void text_line(const struct plan *plan, struct span span, char *out, size_t size)
{
    size_t length = 0;
    bool blank = false;
    for (uint32_t i = span.start; i < span.end && length + 4 < size && length < TEXT_SHOWN; i++) {
        char byte = plan->program->text.data[i];
        bool space = byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r';
        if (space && blank)
            continue;
        out[length++] = space ? ' ' : byte;
        blank = space;
    }
    while (length && ((unsigned char)out[length - 1] & 0xC0) == 0x80 && length >= TEXT_SHOWN)
        length--; /* not in the middle of a character */
    while (length && out[length - 1] == ' ')
        length--;
    out[length] = 0;
}

struct node_store {
    struct plan_node node;
    char label[64];
    char text[TEXT_SHOWN + 8];
};

static void node_add(struct plan *plan, const char *role, const char *label, struct span span,
                     bool serial, uint32_t segment)
{
    struct node_store *stores = plan->node_stores;
    struct node_store *entry = &stores[plan->node_count];
    snprintf(entry->label, sizeof(entry->label), "%s", label);
    if (span.end > span.start)
        text_line(plan, span, entry->text, sizeof(entry->text));
    else
        snprintf(entry->text, sizeof(entry->text), "%s", label);
    entry->node = (struct plan_node){.role = role,
                                     .label = entry->label,
                                     .text = entry->text,
                                     .serial = serial,
                                     .segment = segment};
    plan->node_count++;
}

bool plan_describe(struct plan *plan, struct error *error)
{
    uint32_t most = plan->source_count + plan->stage_count + plan->sink_count + 1;
    plan->node_stores = memory_take_zeroed(most, sizeof(struct node_store));
    if (!plan->node_stores)
        return error_set(error, ERROR_MEMORY, "no memory for the plan");
    for (uint32_t i = 0; i < plan->source_count; i++) {
        const struct plan_source *source = &plan->sources[i];
        node_add(plan, "source", source->source->ops->noun->name, source->span, true, 0);
    }
    uint32_t segment = 0;
    for (uint32_t i = 0; i < plan->stage_count; i++) {
        bool serial = (plan->stages[i].stage->ops->traits & (STAGE_SERIAL | STAGE_ASYNC)) != 0;
        node_add(plan, "stage", plan->stages[i].label, plan->stages[i].span, serial, segment);
        segment += serial;
    }
    for (uint32_t i = 0; i < plan->sink_count; i++)
        node_add(plan, "sink", plan->sinks[i].label, plan->sinks[i].span, true, segment);
    if (plan->has_rejects)
        node_add(plan, "reject", plan->rejects.label, plan->rejects.span, true, segment);
    return true;
}

uint32_t plan_node_count(const struct plan *plan)
{
    return plan->node_count;
}

const struct plan_node *plan_node(const struct plan *plan, uint32_t index)
{
    CHECK(index < plan->node_count);
    const struct node_store *stores = plan->node_stores;
    return &stores[index].node;
}

void plan_print_memory(const struct plan *plan, FILE *out)
{
    limits_print(&plan->limits, out);
}

static const char *promise(const struct source *source, const struct sink *sink)
{
    if (strcmp(sink->ops->noun->name, "stdout") == 0)
        return "at most once: what a reader of the pipe got cannot be taken back";
    if (!sink->ops->publish)
        return "at least once: what is in doubt after a crash is sent again, and counted";
    if (source->endless || !source->replayable)
        return "all or nothing: the result appears whole at the end; this source cannot be read "
               "again from where a run was cut short";
    if (sink->ops->recover)
        return "exactly once: a run that was cut short goes on from its last checkpoint";
    return "all or nothing: the result appears whole at the end, and a run that was cut short "
           "starts anew";
}

void plan_print_promises(const struct plan *plan, FILE *out)
{
    for (uint32_t i = 0; i < plan->source_count; i++)
        for (uint32_t j = 0; j < plan->sink_count; j++)
            fprintf(out, "%s -> %s: %s\n", plan->sources[i].source->ops->noun->name,
                    plan->sinks[j].label, promise(plan->sources[i].source, plan->sinks[j].sink));
}
