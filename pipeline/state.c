/* `leat state`: what the sinks' records say, for people. Main thread. */
#include <inttypes.h>

#include "pipeline/run_internal.h"

static void print_inputs(const struct commit_text *text, FILE *out)
{
    for (uint32_t i = 0; i < text->source_count; i++) {
        for (uint32_t j = 0; j < text->input_count[i]; j++) {
            const struct commit_input *input = &text->inputs[i][j];
            bool here = i == text->source && j == text->position.input;
            bool read = input->at.offset > 0 || i < text->source ||
                        (i == text->source && j < text->position.input);
            fprintf(out, "  input    %.*s, %" PRIu64 " bytes, ", (int)input->name.length,
                    input->name.data, input->size);
            if (here)
                fprintf(out, "read up to byte %" PRIu64 " of its content, line %" PRIu64 "\n",
                        text->position.offset, text->position.line);
            else
                fputs(read ? "read to its end\n" : "not begun\n", out);
        }
    }
    if (text->position.key.length)
        fprintf(out, "  key      read up to %.*s\n", (int)text->position.key.length,
                text->position.key.data);
}

static void print_standing(const struct standing *standing, FILE *out)
{
    const struct commit_text *text = &standing->text;
    const struct run_totals *totals = &text->totals;
    fprintf(out, "%s\n", standing->sink->actor.name);
    if (!standing->found) {
        fputs("  nothing is recorded: a run begins anew\n", out);
        return;
    }
    const char *state = standing->record.done    ? "finished"
                        : standing->record.final ? "finished, its result not yet named"
                                                 : "interrupted: a run goes on from here";
    fprintf(out, "  state    %s\n", state);
    fprintf(out, "  when     %.*s, checkpoint %" PRIu64 "\n", (int)text->time.length,
            text->time.data, standing->record.number);
    print_inputs(text, out);
    fprintf(out,
            "  ledger   %" PRIu64 " read + %" PRIu64 " created = %" PRIu64 " written + %" PRIu64
            " filtered + %" PRIu64 " absorbed + %" PRIu64 " rejected\n",
            totals->read, totals->created, totals->written, totals->filtered, totals->absorbed,
            totals->rejected);
}

static bool show(const struct recovery *recovery, bool forget, FILE *out, struct error *error)
{
    if (recovery->count == 0)
        fputs("no sink of this pipeline keeps any state\n", out);
    for (uint32_t i = 0; i < recovery->count; i++) {
        const struct standing *standing = &recovery->standings[i];
        struct sink *sink = standing->sink->sink->sink;
        if (!forget)
            print_standing(standing, out);
        else if (sink->ops->forget && !sink->ops->forget(sink, error))
            return error_add_context(error, "%s", standing->sink->actor.name);
        else
            fprintf(out, "%s: forgotten\n", standing->sink->actor.name);
    }
    return true;
}

bool plan_show_state(struct plan *plan, bool forget, FILE *out, struct error *error)
{
    struct run *run = run_make(plan, false, error);
    struct recovery recovery;
    if (!run)
        return false;
    bool done = recovery_ask(&recovery, run, false, error) && show(&recovery, forget, out, error);
    recovery_close(&recovery);
    run_close(run);
    return done;
}
