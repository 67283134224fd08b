/* From a program to a plan: opens sources, stages and sinks, cuts the stages into segments, sizes
 * the memory. See plan.h. What a plan says of itself is in plan_show.c. */
#include "pipeline/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "formats/formats.h"
#include "io/tables.h"
#include "pipeline/columns.h"
#include "pipeline/plan_open.h"
#include "stages/stages.h"

static const struct options no_options;

static const struct stage_ops *stage_ops_of(const struct noun *noun)
{
    size_t count;
    const struct stage_ops *const *all = stages_all(&count);
    for (size_t i = 0; i < count; i++)
        if (all[i]->noun == noun)
            return all[i];
    CHECK(!"a verb without a stage");
    return NULL;
}

/* By the noun of a statement, or by name where there is no statement. */
static const struct source_ops *source_ops_of(const struct noun *noun, const char *name)
{
    size_t count;
    const struct source_ops *const *all = sources_all(&count);
    for (size_t i = 0; i < count; i++)
        if (all[i]->noun == noun || (name && strcmp(all[i]->noun->name, name) == 0))
            return all[i];
    CHECK(!"a source");
    return NULL;
}

uint32_t statements_of(const struct program *program, enum statement_kind kind)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < program->statement_count; i++)
        count += program->statements[i].kind == kind;
    return count;
}

const struct statement *plan_statement(const struct program *program, enum statement_kind kind,
                                       uint32_t index)
{
    for (uint32_t i = 0; i < program->statement_count; i++)
        if (program->statements[i].kind == kind && index-- == 0)
            return &program->statements[i];
    return NULL;
}

/* ---- memory ---- */

static bool plan_memory(struct plan *plan, struct error *error)
{
    const struct program *program = plan->program;
    uint32_t sinks = statements_of(program, STATEMENT_INTO);
    unsigned stateful = 0;
    bool head = false;
    for (uint32_t i = 0; i < program->statement_count; i++) {
        if (program->statements[i].kind != STATEMENT_STAGE)
            continue;
        const struct stage_ops *ops = stage_ops_of(program->statements[i].noun);
        stateful += ops->finish != NULL || (ops->traits & STAGE_ASYNC);
        head |= strcmp(ops->noun->name, "head") == 0;
    }
    plan->wants_head = head;
    if (sinks + 1 > BATCH_MAX_SINKS)
        return diagnostics_error(plan->diagnostics,
                                 plan_statement(program, STATEMENT_INTO, BATCH_MAX_SINKS - 1)->span,
                                 "at most %d sinks", BATCH_MAX_SINKS - 1);
    return limits_plan(&plan->limits, plan->settings.memory, plan->settings.workers,
                       sinks ? sinks : 1, stateful, plan->settings.batch_text,
                       plan->settings.record_limit, error);
}

/* ---- sources ---- */

/* `options` NULL: there is no statement; the command line says what is read. */
static bool source_open(struct plan *plan, const struct source_ops *ops,
                        const struct options *options, struct span span, struct error *error)
{
    bool implicit = options == NULL;
    if (implicit)
        options = plan->from.options ? plan->from.options : &no_options;
    if (plan->source_count == PLAN_MAX_SOURCES)
        return diagnostics_error(plan->diagnostics, span, "at most %d sources", PLAN_MAX_SOURCES);
    struct plan_source *entry = &plan->sources[plan->source_count];
    entry->span = span;
    entry->context = (struct source_context){
        .options = options,
        .program = plan->program,
        .formats = &formats_all,
        .format_name = plan->from.options ? NULL : plan->options.from_format,
        .limits =
            {
                .batch_text = plan->limits.batch_text,
                .record_limit = plan->limits.record_limit,
                .decoders = plan->settings.workers,
                .decoder_memory = plan->limits.source_memory / plan->settings.workers,
                .timeout = option_integer(options, "timeout", 0),
                .head = plan->wants_head,
            },
        .diagnostics = plan->diagnostics,
        .shared = &plan->shared,
        .seed = plan->settings.seed,
    };
    if (implicit) {
        entry->context.files = plan->options.files;
        entry->context.file_count = plan->options.file_count;
    }
    bool done = plan->options.replay ? replay_open_source(plan, entry, error)
                                     : ops->open(&entry->context, &entry->source, error);
    if (!done)
        return false;
    plan->source_count++;
    return true;
}

static bool plan_sources(struct plan *plan, struct error *error)
{
    uint32_t count = statements_of(plan->program, STATEMENT_FROM);
    if (plan->options.replay) {
        const struct statement *first = plan_statement(plan->program, STATEMENT_FROM, 0);
        return source_open(plan, NULL, first ? &first->options : NULL,
                           first ? first->span : (struct span){0, 0}, error);
    }
    if (count == 0) {
        const char *kind = plan->options.file_count ? "file" : "stdin";
        return source_open(plan, source_ops_of(NULL, kind), NULL, (struct span){0, 0}, error);
    }
    if (plan->options.file_count)
        return error_set(error, ERROR_USAGE,
                         "the pipeline says what it reads (from ...), so no files can be named on "
                         "the command line: leave out \"%s\"",
                         plan->options.files[0]);
    for (uint32_t i = 0; i < count; i++) {
        const struct statement *statement = plan_statement(plan->program, STATEMENT_FROM, i);
        if (!source_open(plan, source_ops_of(statement->noun, NULL), &statement->options,
                         statement->span, error)) {
            if (error->code != ERROR_USAGE && error->code != ERROR_PROGRAM)
                return false;
            diagnostics_error(plan->diagnostics, statement->span, "%s", error->text);
            *error = (struct error){0};
        }
    }
    return plan->diagnostics->errors == 0;
}

/* Different names and paths in the program: no more base columns than that. */
static uint32_t count_names(struct string text)
{
    uint32_t count = 0;
    bool inside = false;
    for (size_t i = 0; i < text.length; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        bool name = byte >= 0x80 || byte == '_' || byte == '`' || (byte >= '0' && byte <= '9') ||
                    ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z');
        count += (name && !inside) + (byte == '`');
        inside = name;
    }
    return count;
}

static const struct field_names *known_names(const struct plan *plan)
{
    const struct source *source = plan->sources[0].source;
    if (plan->source_count == 1 && source->input_count == 1 && source->inputs)
        return source->inputs[0].names;
    return NULL;
}

/* ---- stages ---- */

static void stage_label(struct plan *plan, struct plan_stage *entry, const char *name)
{
    unsigned same = 1;
    size_t length = strlen(name);
    for (struct plan_stage *other = plan->stages; other < entry; other++)
        same += strncmp(other->label, name, length) == 0 &&
                (other->label[length] == 0 || other->label[length] == '#');
    if (same == 1)
        snprintf(entry->label, sizeof(entry->label), "%s", name);
    else
        snprintf(entry->label, sizeof(entry->label), "%s#%u", name, same);
}

static bool stage_add(struct plan *plan, struct stage *stage, struct span span)
{
    struct plan_stage *entry = &plan->stages[plan->stage_count];
    entry->stage = stage;
    entry->span = span;
    entry->shape = scope_shape(plan->scope);
    char name[20];
    snprintf(name, sizeof(name), "%s%s", stage->ops->traits & STAGE_LOOKUP ? "lookup " : "",
             stage->ops->noun->name);
    stage_label(plan, entry, name);
    stage->index = (uint16_t)plan->stage_count;
    stage->label = entry->label;
    plan->stage_count++;
    return entry->shape != NULL;
}

/* Stages that hand records on as they are answered make a run without order of them. */
static bool stage_order(struct plan *plan, const struct stage *stage, struct span span)
{
    if (!stage->as_completed || !plan->settings.ordered)
        return true;
    if (plan->settings.order_given)
        return diagnostics_error(plan->diagnostics, span,
                                 "order none here, but the run wants order input: leave one out");
    plan->settings.ordered = false;
    return true;
}

static bool plan_stages(struct plan *plan)
{
    uint32_t count = statements_of(plan->program, STATEMENT_STAGE);
    bool good = true;
    plan->last_head = UINT32_MAX;
    for (uint32_t i = 0; i < count; i++) {
        const struct statement *statement = plan_statement(plan->program, STATEMENT_STAGE, i);
        const struct stage_ops *ops = stage_ops_of(statement->noun);
        if (plan->stage_count + 3 > PLAN_MAX_STAGES)
            return diagnostics_error(plan->diagnostics, statement->span, "at most %d statements",
                                     PLAN_MAX_STAGES - 3);
        struct stage_context context = {
            .scope = plan->scope,
            .diagnostics = plan->diagnostics,
            .options = &statement->options,
            .program = plan->program,
            .index = (uint16_t)plan->stage_count,
            .seed = plan->settings.seed,
            .memory = plan->limits.stage_memory,
            .shared = &plan->shared,
        };
        struct stage *stage = NULL;
        if (!ops->open(&context, &stage)) {
            good = false; /* said in the diagnostics; the others are checked all the same */
            continue;
        }
        if (!stage_add(plan, stage, statement->span))
            return false;
        good &= stage_order(plan, stage, statement->span);
        if (strcmp(ops->noun->name, "head") == 0)
            plan->last_head = plan->stage_count - 1;
    }
    return good && plan->diagnostics->errors == 0;
}

static bool plan_segments(struct plan *plan)
{
    struct segment *segment = plan->segments;
    *segment = (struct segment){.serial = UINT32_MAX};
    for (uint32_t i = 0; i < plan->stage_count; i++) {
        if (!(plan->stages[i].stage->ops->traits & (STAGE_SERIAL | STAGE_ASYNC))) {
            segment->count++;
            continue;
        }
        if (segment == &plan->segments[PLAN_MAX_SEGMENTS - 1])
            return diagnostics_error(plan->diagnostics, plan->stages[i].span,
                                     "at most %d statements that keep state",
                                     PLAN_MAX_SEGMENTS - 1);
        segment->serial = i;
        segment++;
        *segment = (struct segment){.first = i + 1, .serial = UINT32_MAX};
    }
    plan->segment_count = (uint32_t)(segment - plan->segments) + 1;
    for (uint32_t i = 0; i < plan->stage_count && !plan->settings.ordered; i++)
        plan->as_completed |= (plan->stages[i].stage->ops->traits & STAGE_ASYNC) != 0;
    return true;
}

/* ---- shape ---- */

/* True: the options of the format were left as they are, so that two formats of one kind are one
 * dialect. */
static bool dialect_plain(const struct options *options, const struct format *format)
{
    const struct option_spec *spec = format->ops->noun->options;
    for (; spec && spec->name; spec++)
        if (option_given(options, spec->name))
            return false;
    return true;
}

static bool sink_same(const struct plan *plan, const struct plan_sink *sink)
{
    const struct format *format = sink->sink->format;
    for (uint32_t i = 0; format && i < plan->source_count; i++) {
        const struct format *read = plan->sources[i].source->format;
        bool equal = read->ops == format->ops &&
                     dialect_plain(plan->sources[i].context.options, read) &&
                     dialect_plain(sink->context.options, format);
        /* a header stands in the text itself, so it says nothing about another file's */
        if (read != format && !equal)
            return false;
    }
    return format != NULL;
}

static bool needs_columns(const struct plan *plan)
{
    for (uint32_t i = 0; i < plan->sink_count; i++) {
        const struct sink *sink = plan->sinks[i].sink;
        if ((sink->ops->traits & SINK_NEEDS_COLUMNS) ||
            (sink->format && sink->format->ops->needs_columns))
            return true;
    }
    return false;
}

static bool plan_columns(struct plan *plan)
{
    struct stage *columns, *fill;
    struct shape *fixed;
    const struct shape *open = scope_shape(plan->scope);
    if (!open)
        return false;
    if (!columns_open(plan->scope, open, &columns, &fill, &fixed))
        return diagnostics_error(plan->diagnostics, (struct span){0, 0},
                                 "no memory for the columns");
    plan->shape = fixed;
    return stage_add(plan, columns, (struct span){0, 0}) &&
           stage_add(plan, fill, (struct span){0, 0});
}

static bool plan_shape(struct plan *plan)
{
    for (uint32_t i = 0; i < plan->sink_count; i++)
        plan->sinks[i].same = sink_same(plan, &plan->sinks[i]);
    bool all_same = true;
    for (uint32_t i = 0; i < plan->sink_count; i++)
        all_same &= plan->sinks[i].same;
    plan->shape = scope_shape(plan->scope);
    if (!plan->shape)
        return false;
    bool clean_copy = shape_is_clean(plan->shape) && all_same;
    if (!plan->shape->closed && needs_columns(plan)) {
        if (scope_fix_columns(plan->scope))
            plan->shape = scope_shape(plan->scope);
        else if (!plan_columns(plan))
            return false;
    }
    if (!plan->shape)
        return false;
    if (!plan->shape->closed && !clean_copy)
        scope_want_members(plan->scope);
    for (uint32_t i = 0; i < plan->sink_count; i++)
        plan->sinks[i].context.shape = plan->shape;
    plan->rejects.context.shape = plan->shape;
    return true;
}

/* ---- fail when ---- */

static bool plan_fail_when(struct plan *plan)
{
    const struct statement *statement = plan_statement(plan->program, STATEMENT_FAIL, 0);
    if (!statement)
        return true;
    const struct option_value *rejected = option_find(&statement->options, "rejected");
    if (!plan->has_rejects)
        return diagnostics_error(plan->diagnostics, statement->span,
                                 "fail when needs reject into ...: without it the first reject "
                                 "stops the run");
    CHECK(rejected);
    plan->has_fail_when = true;
    plan->fail_is_share = rejected->is_percent;
    plan->fail_share = rejected->real;
    plan->fail_count = (uint64_t)rejected->integer;
    return true;
}

/* Who the pipeline is to those that store its state, and where that is kept besides. */
static bool plan_name(struct plan *plan, struct error *error)
{
    const struct program *program = plan->program;
    fingerprint_make(program, &plan->options, plan->fingerprint);
    const char *slash = program->name ? strrchr(program->name, '/') : NULL;
    int folder = slash ? (int)(slash - program->name + 1) : 0;
    if (plan->options.replay)
        return replay_name(plan, error);
    if (!program->pipeline.length) {
        snprintf(plan->name, sizeof(plan->name), "program-%s", plan->fingerprint);
        return true;
    }
    if (program->pipeline.length >= sizeof(plan->name))
        return error_set(error, ERROR_USAGE, "the pipeline's name is too long");
    snprintf(plan->name, sizeof(plan->name), "%.*s", (int)program->pipeline.length,
             program->pipeline.data);
    int length = snprintf(plan->state_folder, sizeof(plan->state_folder), "%.*s.leat/%s", folder,
                          folder ? program->name : "", plan->name);
    if (length < 0 || (size_t)length >= sizeof(plan->state_folder))
        return error_set(error, ERROR_USAGE, "the path of the pipeline file is too long");
    return true;
}

static bool plan_build(struct plan *plan, struct error *error)
{
    if (!plan_name(plan, error))
        return false;
    if (!dialect_open(&plan->from, plan->options.from_format, "--from", error) ||
        !dialect_open(&plan->to, plan->options.to_format, "--to", error))
        return false;
    if (!settings_read(&plan->settings, plan->program, &plan->options, plan->diagnostics) ||
        !plan_memory(plan, error) || !plan_sources(plan, error))
        return false;
    plan->scope =
        scope_open(plan->diagnostics, known_names(plan), count_names(plan->program->text));
    if (!plan->scope)
        return error_set(error, ERROR_MEMORY, "no memory to compile the pipeline");
    bool stages = plan_stages(plan);
    bool sinks = plan_sinks(plan, error) && plan_rejects(plan, error) && plan_fail_when(plan);
    if (!stages || !sinks || plan->diagnostics->errors || !plan_shape(plan) || !plan_segments(plan))
        return false;
    plan->projection = scope_projection(plan->scope);
    plan->column_count = scope_column_count(plan->scope);
    return plan_describe(plan, error);
}

struct plan *plan_open(const struct program *program, const struct run_options *options,
                       struct diagnostics *diagnostics, struct error *error)
{
    *error = (struct error){0};
    struct plan *plan = memory_take_zeroed(1, sizeof(*plan));
    if (!plan) {
        error_set(error, ERROR_MEMORY, "no memory for the plan");
        return NULL;
    }
    plan->program = program;
    plan->options = *options;
    plan->diagnostics = diagnostics;
    if (plan_build(plan, error) && diagnostics->errors == 0)
        return plan;
    if (diagnostics->errors == 0 && error->code == ERROR_NONE)
        error_set(error, ERROR_MEMORY, "no memory to compile the pipeline");
    plan_close(plan);
    return NULL;
}

void plan_close(struct plan *plan)
{
    if (!plan)
        return;
    for (uint32_t i = 0; i < BATCH_MAX_SINKS; i++) {
        if (plan->sinks[i].sink)
            plan->sinks[i].sink->ops->close(plan->sinks[i].sink);
        template_close(plan->sinks[i].path);
    }
    if (plan->rejects.sink)
        plan->rejects.sink->ops->close(plan->rejects.sink);
    for (uint32_t i = plan->stage_count; i-- > 0;)
        plan->stages[i].stage->ops->close(plan->stages[i].stage);
    for (uint32_t i = 0; i < plan->source_count; i++) {
        struct plan_source *entry = &plan->sources[i];
        entry->source->ops->close(entry->source);
        for (uint32_t j = 0; entry->recovered && j < entry->recovered_count; j++)
            free((char *)entry->recovered[j].name);
        free(entry->recovered);
    }
    scope_close(plan->scope);
    dialect_close(&plan->from);
    dialect_close(&plan->to);
    free(plan->node_stores);
    free(plan);
}
