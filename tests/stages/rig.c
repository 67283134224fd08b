/* See rig.h. */
#include "tests/stages/rig.h"

#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "formats/formats.h"
#include "stages/stages.h"

#define RIG_OUTPUT (4u << 20)

static const struct registry *rig_registry(void)
{
    static const struct option_spec nothing[] = {{0}};
    static const struct noun pipeline = {.name = "pipeline", .doc = "", .options = nothing};
    static const struct noun *verbs[64];
    static struct registry registry = {.verbs = verbs, .pipeline = &pipeline};
    const struct stage_ops *const *all = stages_all(&registry.verb_count);
    CHECK(registry.verb_count <= ARRAY_SIZE(verbs));
    for (size_t i = 0; i < registry.verb_count; i++)
        verbs[i] = all[i]->noun;
    return &registry;
}

static const struct stage_ops *ops_of(const struct noun *noun)
{
    size_t count;
    const struct stage_ops *const *all = stages_all(&count);
    for (size_t i = 0; i < count; i++)
        if (all[i]->noun == noun)
            return all[i];
    CHECK(!"a verb of the table");
    return NULL;
}

static bool stages_open(struct rig *rig, size_t memory)
{
    bool good = true;
    for (uint32_t i = 0; i < rig->program->statement_count; i++) {
        const struct statement *statement = &rig->program->statements[i];
        struct stage_context context = {
            .scope = rig->scope,
            .diagnostics = &rig->diagnostics,
            .options = &statement->options,
            .index = (uint16_t)i,
            .memory = memory,
            .shared = &rig->shared,
        };
        CHECK(i < RIG_STAGES);
        if (!ops_of(statement->noun)->open(&context, &rig->stages[rig->count])) {
            good = false;
            continue;
        }
        rig->stages[rig->count++]->label = statement->noun->name;
    }
    return good && rig->diagnostics.errors == 0;
}

static struct format *dialect_open(const char *name)
{
    struct error error;
    struct format *format = NULL;
    const struct format_ops *ops = format_find(&formats_all, (struct string){name, strlen(name)});
    CHECK(ops && ops->open(NULL, &format, &error));
    return format;
}

static void header_read(struct rig *rig, const char *header)
{
    struct cut_state state = {0};
    size_t consumed;
    size_t length = strlen(header);
    char *padded = memory_take_zeroed(1, length + BATCH_PADDING);
    CHECK(padded);
    memcpy(padded, header, length);
    CHECK(rig->format->ops->head(rig->format, padded, length, true, &state, &consumed, &rig->names,
                                 &rig->error) == HEAD_DONE);
    free(padded);
}

static void batch_open(struct rig *rig)
{
    struct batch *batch = &rig->batch;
    batch->memory = memory_take(BATCH_HEADROOM + RIG_TEXT + BATCH_PADDING);
    batch->text = batch->memory + BATCH_HEADROOM;
    batch->text_capacity = batch->text_soft = batch->text_reserved = RIG_TEXT;
    batch->column_count = scope_column_count(rig->scope);
    batch->columns = memory_take_zeroed(batch->column_count + 1, sizeof(*batch->columns));
    batch->counts = rig->counts;
    CHECK(batch->memory && batch->columns);
    CHECK(arena_open(&batch->arena, RIG_ARENA, RIG_ARENA, &rig->error));
    CHECK(buffer_open(&rig->output, RIG_OUTPUT, RIG_OUTPUT, &rig->error));
}

bool rig_open(struct rig *rig, const char *program, const char *header, size_t memory)
{
    *rig = (struct rig){0};
    rig->format = dialect_open(header ? "csv" : "ndjson");
    rig->ndjson = dialect_open("ndjson");
    if (header)
        header_read(rig, header);
    diagnostics_open(&rig->diagnostics, "test", (struct string){program, strlen(program)});
    rig->program = program_parse(rig_registry(), &rig->diagnostics);
    rig->scope = scope_open(&rig->diagnostics, rig->names, (uint32_t)strlen(program));
    rig->evaluator = evaluator_open(&rig->error);
    CHECK(rig->program && rig->scope && rig->evaluator);
    if (rig->diagnostics.errors || !stages_open(rig, memory))
        return false;
    rig->shape = scope_shape(rig->scope);
    if (!rig->shape->closed)
        scope_want_members(rig->scope);
    batch_open(rig);
    return true;
}

void rig_close(struct rig *rig)
{
    for (uint32_t i = 0; i < rig->count; i++)
        rig->stages[i]->ops->close(rig->stages[i]);
    rig->format->ops->close(rig->format);
    rig->ndjson->ops->close(rig->ndjson);
    evaluator_close(rig->evaluator);
    scope_close(rig->scope);
    program_free(rig->program);
    diagnostics_close(&rig->diagnostics);
    free(rig->names);
    free(rig->batch.memory);
    free(rig->batch.columns);
    arena_close(&rig->batch.arena);
    buffer_close(&rig->output);
    free(rig->text);
}

const char *rig_refusal(struct rig *rig)
{
    size_t size;
    free(rig->text);
    FILE *out = open_memstream(&rig->text, &size);
    CHECK(out);
    diagnostics_print(&rig->diagnostics, out);
    fclose(out);
    return rig->text;
}

static void batch_clear(struct rig *rig)
{
    struct batch *batch = &rig->batch;
    arena_reset(&batch->arena);
    batch->part_start = batch->part_end = 0;
    batch->record_count = batch->row_count = 0;
    batch->rest = NULL;
    batch->rest_count = 0;
    batch->rejects = NULL;
    batch->rejects_tail = &batch->rejects;
    batch->reject_count = 0;
    memset(batch->seen, 0, sizeof(batch->seen));
    memset(batch->columns, 0, batch->column_count * sizeof(*batch->columns));
    memset(rig->counts, 0, sizeof(rig->counts));
}

void rig_fill(struct rig *rig, const char *text, uint64_t offset, uint64_t record)
{
    struct batch *batch = &rig->batch;
    size_t length = strlen(text);
    CHECK(length <= RIG_TEXT);
    batch_clear(rig);
    memcpy(batch->text, text, length);
    memset(batch->text + length, '"', BATCH_PADDING);
    batch->text_length = (uint32_t)length;
    batch->names = rig->names;
    batch->input_name = "test";
    batch->origin = (struct origin){.line = record + 1, .offset = offset, .record = record};
    batch->part_record = record;
    batch->part_line = record + 1;
    batch->line_end = record;
    for (size_t i = 0; i < length; i++)
        batch->line_end += text[i] == '\n';
    CHECK(rig->format->ops->locate(rig->format, scope_projection(rig->scope), batch) == LOCATE_OK);
    CHECK(batch->part_end == length);
}

enum stage_result rig_stages(struct rig *rig, uint32_t first)
{
    rig->result = STAGE_OK;
    for (uint32_t i = first; i < rig->count; i++) {
        rig->result =
            rig->stages[i]->ops->batch(rig->stages[i], rig->evaluator, &rig->batch, &rig->error);
        if (rig->result != STAGE_OK && rig->result != STAGE_STOP)
            return rig->result;
    }
    return rig->result;
}

const char *rig_output(struct rig *rig)
{
    uint32_t done = 0;
    buffer_reset(&rig->output);
    CHECK(rig->ndjson->ops->encode(rig->ndjson, rig->shape, &rig->batch,
                                   rig->names == NULL && !rig->batch.created, 0, &done,
                                   &rig->output) == ENCODE_OK);
    free(rig->text);
    rig->text = memory_copy_text(rig->output.data, rig->output.length);
    CHECK(rig->text);
    return rig->text;
}

const char *rig_run(struct rig *rig, const char *text)
{
    rig_fill(rig, text, 0, 0);
    rig_stages(rig, 0);
    CHECK(rig->result == STAGE_OK || rig->result == STAGE_STOP);
    return rig_output(rig);
}

const char *rig_once(const char *program, const char *text)
{
    static char result[4096];
    struct rig rig;
    const char *output =
        rig_open(&rig, program, NULL, RIG_MEMORY) ? rig_run(&rig, text) : rig_refusal(&rig);
    snprintf(result, sizeof(result), "%s", output);
    rig_close(&rig);
    return result;
}

enum error_code rig_reject(const struct rig *rig, uint32_t record)
{
    for (const struct reject *reject = rig->batch.rejects; reject; reject = reject->next)
        if (reject->record == record)
            return (enum error_code)reject->code;
    return ERROR_NONE;
}

const char *rig_finish(struct rig *rig, uint32_t stage)
{
    struct batch *batch = &rig->batch;
    batch_clear(rig);
    batch->created = true;
    rig->result = rig->stages[stage]->ops->finish(rig->stages[stage], batch, &rig->error);
    const char *output = rig_output(rig);
    batch->created = false;
    return output;
}
