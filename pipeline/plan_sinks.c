/* The sinks of a plan and where its rejects go: opened with what the statements and the command
 * line say. Main thread, while the plan is made. */
#include <stdio.h>
#include <string.h>

#include "formats/formats.h"
#include "io/tables.h"
#include "pipeline/plan_open.h"

static const struct options no_options;

/* By the noun of a statement, or by name where there is no statement. */
static const struct sink_ops *sink_ops_of(const struct noun *noun, const char *name)
{
    size_t count;
    const struct sink_ops *const *all = sinks_all(&count);
    for (size_t i = 0; i < count; i++)
        if (all[i]->noun == noun || (name && strcmp(all[i]->noun->name, name) == 0))
            return all[i];
    CHECK(!"a sink");
    return NULL;
}

/* A rerun reads only what is new, so what it rejects adds to what was rejected before. */
static bool rejects_add(const struct plan *plan)
{
    bool adds = plan->sink_count > 0;
    for (uint32_t i = 0; i < plan->sink_count; i++)
        adds &= plan->sinks[i].sink->appends;
    for (uint32_t i = 0; i < plan->source_count; i++)
        adds &= plan->sources[i].source->replayable && plan->sources[i].source->incremental >= 0;
    return adds;
}

/* `options` NULL: there is no statement; the command line says what is written. */
static bool sink_open(struct plan *plan, struct plan_sink *entry, const struct sink_ops *ops,
                      const struct options *options, struct span span, struct error *error)
{
    bool rejects = entry == &plan->rejects, implicit = options == NULL;
    bool dialect = !rejects && plan->to.options;
    if (implicit)
        options = dialect                           ? plan->to.options
                  : rejects && plan->options.replay ? &plan->replay.append
                                                    : &no_options;
    const struct option_value *path = option_find(options, "path");
    entry->span = span;
    entry->context = (struct sink_context){
        .options = options,
        .program = plan->program,
        .scope = plan->scope,
        .shape = NULL, /* set by plan_shape, before the first encode */
        .formats = &formats_all,
        .format_name = rejects   ? "ndjson"
                       : dialect ? NULL
                                 : plan->options.to_format,
        .path_column = COLUMN_NONE,
        .source_format = plan->sources[0].source->format,
        .limits =
            {
                /* a simulated run has one thread */
                .encoders = plan->options.io == IO_ENGINE_SIMULATED ? 0 : plan->settings.workers,
                .memory = plan->limits.sink_memory,
                .open_files = 64,
                .timeout = option_integer(options, "timeout", 0),
            },
        .adds = rejects && rejects_add(plan),
        .pipeline = plan->name,
        .fingerprint = plan->fingerprint,
        .state_folder = plan->state_folder[0] ? plan->state_folder : NULL,
        .output = rejects ? 0 : (uint32_t)(entry - plan->sinks),
        .diagnostics = plan->diagnostics,
        .shared = &plan->shared,
        .seed = plan->settings.seed,
    };
    if (implicit)
        entry->context.file = rejects ? plan->options.reject_file : plan->options.output;
    if (path && !rejects && path->spec->kind == OPTION_TEMPLATE &&
        template_has_expressions(path->text)) {
        entry->path = template_open(plan->program, plan->scope, path, plan->diagnostics);
        if (!entry->path)
            return false;
        entry->moves = scope_take_moves(plan->scope);
        entry->context.path_column = scope_hidden_column(plan->scope);
    }
    if (!ops->open(&entry->context, &entry->sink, error)) {
        template_close(entry->path);
        entry->path = NULL;
        return false;
    }
    snprintf(entry->label, sizeof(entry->label), "%s", entry->sink->name);
    return true;
}

/* What the user got wrong is a diagnostic, what the system refused an error. */
static bool sink_error(struct plan *plan, struct span span, struct error *error)
{
    if (error->code != ERROR_USAGE && error->code != ERROR_PROGRAM)
        return false;
    if (plan->diagnostics->errors == 0 && span.end > 0) {
        diagnostics_error(plan->diagnostics, span, "%s", error->text);
        *error = (struct error){0};
    }
    return false;
}

bool plan_rejects(struct plan *plan, struct error *error)
{
    const struct statement *statement = plan_statement(plan->program, STATEMENT_REJECT, 0);
    const struct statement *second = plan_statement(plan->program, STATEMENT_REJECT, 1);
    if (second)
        return diagnostics_error(plan->diagnostics, second->span,
                                 "rejects can go to one place only");
    if (plan->options.replay) {
        if (!replay_choose_rejects(plan, statement != NULL, error))
            return false;
        statement = NULL;
    }
    if (statement && plan->options.reject_file)
        return error_set(error, ERROR_USAGE,
                         "the pipeline has reject into ..., so --reject cannot be given too");
    if (!statement && !plan->options.reject_file)
        return true;
    if (statement && strcmp(statement->noun->name, "file") != 0 &&
        strcmp(statement->noun->name, "stdout") != 0)
        return diagnostics_error(plan->diagnostics, statement->span,
                                 "rejects are JSON lines: they go into a file or stdout");
    struct span span = statement ? statement->span : (struct span){0, 0};
    if (!sink_open(plan, &plan->rejects,
                   statement ? sink_ops_of(statement->noun, NULL) : sink_ops_of(NULL, "file"),
                   statement ? &statement->options : NULL, span, error))
        return sink_error(plan, span, error);
    plan->has_rejects = true;
    return true;
}

bool plan_sinks(struct plan *plan, struct error *error)
{
    uint32_t count = statements_of(plan->program, STATEMENT_INTO);
    if (plan->options.replay && !replay_check_sinks(plan, error))
        return false;
    if (plan->options.replay && plan->options.output)
        count = 0; /* -o in their place */
    if (count && plan->options.output)
        return error_set(error, ERROR_USAGE,
                         "the pipeline says where it writes (into ...), so -o cannot be given too");
    for (uint32_t i = 0; i < (count ? count : 1); i++) {
        const struct statement *statement =
            count ? plan_statement(plan->program, STATEMENT_INTO, i) : NULL;
        const char *kind = plan->options.output ? "file" : "stdout";
        struct span span = statement ? statement->span : (struct span){0, 0};
        if (!sink_open(plan, &plan->sinks[i],
                       statement ? sink_ops_of(statement->noun, NULL) : sink_ops_of(NULL, kind),
                       statement ? &statement->options : NULL, span, error)) {
            if (!sink_error(plan, span, error) && error->code != ERROR_NONE)
                return false;
            continue;
        }
        plan->sink_count = i + 1;
        if (plan->sinks[i].sink->needs_order && !plan->settings.ordered)
            diagnostics_error(plan->diagnostics, span,
                              "of several records with a key the last one counts here, which order "
                              "none cannot tell: leave order none out");
    }
    return plan->diagnostics->errors == 0 && plan->sink_count > 0;
}
