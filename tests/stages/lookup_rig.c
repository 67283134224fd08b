/* See lookup_rig.h. */
#include "tests/stages/lookup_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/random.h"
#include "core/clock.h"
#include "core/fault.h"
#include "core/raw.h"
#include "formats/formats.h"
#include "tests/suite.h"

/* ---- the kind ---- */

struct model_lookup {
    struct lookup lookup;
    const struct expression *body;
};

static struct lookup_rig *current; /* the rig being opened or run: kinds know no rigs */

static const struct option_spec model_options[] = {
    {"body", OPTION_EXPRESSION, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL, "asked"},
#include "stages/lookup_words.def"
    {0},
};
static const struct noun model_noun = {.name = "model", .doc = "", .options = model_options};
static const struct stage_ops stage_model;

static bool model_make(struct lookup *lookup, struct evaluation *evaluation,
                       struct lookup_made *made, struct value *error)
{
    struct model_lookup *model = (struct model_lookup *)lookup;
    struct value value = expression_row(model->body, evaluation, 0);
    *error = value;
    if (value.kind == VALUE_ERROR)
        return false;
    made->count = 1;
    made->requests[0] = (struct request){
        .peer = STRING("model"), .shown_url = STRING("model:///asked"), .repeatable = true};
    return lookup_write_json(lookup, value, &made->requests[0].body, error);
}

/* {"k":N,"pad":"…"}; the length is the key's own. */
static size_t answer_write(struct lookup_rig *rig, char *out, size_t size, uint64_t key)
{
    uint64_t state = key;
    uint32_t pad = rig->answer_size ? (uint32_t)random_between(&state, 0, rig->answer_size * 2) : 0;
    int length = snprintf(out, size, "{\"k\": %llu,\"pad\":\"", (unsigned long long)key);
    CHECK((size_t)length + pad + 3 < size);
    memset(out + length, 'x', pad);
    memcpy(out + length + pad, "\"}", 3);
    return (size_t)length + pad + 2;
}

static bool key_is(double share, uint64_t key, uint64_t salt)
{
    uint64_t state = key * 3 + salt;
    return random_share(&state) < share;
}

static size_t keys_answer(struct lookup_rig *rig, char *out, size_t size, const char *text)
{
    uint64_t keys[1000];
    uint32_t count = 0;
    for (const char *at = text; *at && *at != ']'; at += strcspn(at, ",]")) {
        at++;
        keys[count++] = strtoull(at, NULL, 10);
        rig->records[keys[count - 1]].asked++;
    }
    if (rig->shortened)
        count--;
    size_t length = (size_t)snprintf(out, size, rig->by_key ? "{" : "[");
    for (uint32_t i = 0; i < count; i++) {
        uint64_t key = keys[rig->reversed ? count - 1 - i : i];
        length += (size_t)snprintf(out + length, size - length, "%s", i ? ", " : "");
        if (rig->by_key)
            length +=
                (size_t)snprintf(out + length, size - length, "\"%llu\":", (unsigned long long)key);
        length += answer_write(rig, out + length, size - length, key);
    }
    return length + (size_t)snprintf(out + length, size - length, rig->by_key ? "}" : "]");
}

static void model_answer(void *context, const struct request *request, int64_t now,
                         struct simulated_reply *reply)
{
    static char body[1 << 20], wrapped[1 << 20];
    struct lookup_rig *rig = context;
    char text[16384];
    (void)now;
    CHECK(request->body.length < sizeof(text));
    memcpy(text, request->body.data, request->body.length);
    text[request->body.length] = 0;
    size_t length;
    if (text[0] == '[') {
        length = keys_answer(rig, body, sizeof(body), text);
        if (rig->wrapped) {
            CHECK(snprintf(wrapped, sizeof(wrapped), rig->wrapped, body) > 0);
            memcpy(body, wrapped, length = strlen(wrapped));
        }
    } else {
        uint64_t key = strtoull(text, NULL, 10);
        CHECK(key < rig->record_limit);
        rig->records[key].asked++;
        length = answer_write(rig, body, sizeof(body), key);
        if (key_is(rig->invalid, key, 1))
            body[length - 1] = ']';
        if (key_is(rig->absent, key, 2))
            reply->status = reply->status == 200 ? 404 : reply->status;
    }
    reply->body = (struct string){body, length};
}

static struct transport *model_connect(struct lookup *lookup, struct error *error)
{
    (void)error;
    current->peer.exchanges = 70000;
    current->peer.context = current;
    current->peer.answer = model_answer;
    (void)lookup;
    return simulated_transport_open(&current->peer, &current->log);
}

static const struct lookup_kind model_kind = {
    .ops = &stage_model, .make = model_make, .connect = model_connect};

static bool model_open(struct stage_context *context, struct stage **stage)
{
    struct model_lookup *model =
        (struct model_lookup *)lookup_open(context, &model_kind, sizeof(*model));
    if (!model)
        return false;
    model->body =
        lookup_compile(context, &model->lookup, option_find(context->options, "body")->node);
    bool good = lookup_finish(context, &model->lookup) && model->body;
    if (!good)
        lookup_close(&model->lookup.stage);
    else
        *stage = &model->lookup.stage;
    return good;
}

static const struct stage_ops stage_model = {
    .noun = &model_noun,
    .traits = STAGE_ASYNC | STAGE_LOOKUP,
    .open = model_open,
    .close = lookup_close,
    .async = &lookup_async,
};

/* ---- the rig ---- */

static const struct registry *model_registry(void)
{
    static const struct option_spec nothing[] = {{0}};
    static const struct noun pipeline = {.name = "pipeline", .doc = "", .options = nothing};
    static const struct noun *lookups[] = {&model_noun};
    static const struct noun *verbs[1];
    static struct registry registry = {
        .pipeline = &pipeline, .lookups = lookups, .lookup_count = 1, .verbs = verbs};
    return &registry;
}

bool lookup_rig_open(struct lookup_rig *rig, const char *program, bool ordered, size_t memory,
                     uint32_t records)
{
    *rig = (struct lookup_rig){.ordered = ordered, .record_limit = records, .random = 1};
    rig->now = 1000 * NANOSECONDS;
    clock_simulate(&rig->now);
    rig->peer = (struct simulated_settings){
        .seed = 1, .service_least = 1000000, .service_mean = 10000000, .refused_status = 503};
    rig->records = memory_take_zeroed(records, sizeof(*rig->records));
    diagnostics_open(&rig->diagnostics, "test", (struct string){program, strlen(program)});
    rig->program = program_parse(model_registry(), &rig->diagnostics);
    rig->scope = scope_open(&rig->diagnostics, NULL, (uint32_t)strlen(program));
    rig->evaluator = evaluator_open(&rig->error);
    const struct format_ops *ops = format_find(&formats_all, STRING("ndjson"));
    CHECK(rig->program && rig->scope && rig->evaluator && rig->records);
    CHECK(ops->open(NULL, &rig->format, &rig->error));
    if (rig->diagnostics.errors)
        return false;
    struct stage_context context = {
        .scope = rig->scope,
        .diagnostics = &rig->diagnostics,
        .options = &rig->program->statements[0].options,
        .seed = 7,
        .memory = memory,
        .shared = &rig->shared,
    };
    return stage_model.open(&context, &rig->stage) && rig->diagnostics.errors == 0;
}

static void batch_open(struct lookup_rig *rig, struct batch *batch)
{
    batch->memory = memory_take(BATCH_HEADROOM + LOOKUP_RIG_TEXT + BATCH_PADDING);
    batch->text = batch->memory + BATCH_HEADROOM;
    batch->column_count = scope_column_count(rig->scope);
    batch->columns = memory_take_zeroed(batch->column_count + 1, sizeof(*batch->columns));
    batch->counts = memory_take_zeroed(1, sizeof(*batch->counts));
    CHECK(batch->memory && batch->columns && batch->counts);
    CHECK(arena_open(&batch->arena, LOOKUP_RIG_ARENA, LOOKUP_RIG_ARENA, &rig->error));
}

bool lookup_rig_enter(struct lookup_rig *rig)
{
    current = rig;
    for (uint32_t i = 0; i < LOOKUP_RIG_BATCHES; i++)
        batch_open(rig, &rig->batches[i].batch);
    rig->batch_count = LOOKUP_RIG_BATCHES;
    return stage_model.async->enter(rig->stage, rig->ordered, &rig->error);
}

void lookup_rig_close(struct lookup_rig *rig)
{
    if (rig->stage) {
        if (((struct lookup *)rig->stage)->entered)
            while (stage_model.async->reclaim(rig->stage))
                ;
        lookup_close(rig->stage);
    }
    for (uint32_t i = 0; i < rig->batch_count; i++) {
        free(rig->batches[i].batch.memory);
        free(rig->batches[i].batch.columns);
        free(rig->batches[i].batch.counts);
        arena_close(&rig->batches[i].batch.arena);
    }
    rig->format->ops->close(rig->format);
    evaluator_close(rig->evaluator);
    scope_close(rig->scope);
    program_free(rig->program);
    diagnostics_close(&rig->diagnostics);
    free(rig->records);
    free(rig->text);
    clock_simulate(NULL);
}

const char *lookup_rig_refusal(struct lookup_rig *rig)
{
    size_t size;
    free(rig->text);
    FILE *out = open_memstream(&rig->text, &size);
    CHECK(out);
    diagnostics_print(&rig->diagnostics, out);
    fclose(out);
    return rig->text;
}

static void batch_locate(struct lookup_rig *rig, struct batch *batch, uint32_t records)
{
    size_t length = 0;
    arena_reset(&batch->arena);
    memset(batch->columns, 0, batch->column_count * sizeof(*batch->columns));
    for (uint32_t i = 0; i < records; i++)
        length += (size_t)snprintf(batch->text + length, LOOKUP_RIG_TEXT - length, "{\"k\":%u}\n",
                                   rig->next_record + i);
    CHECK(length < LOOKUP_RIG_TEXT);
    memset(batch->text + length, '"', BATCH_PADDING);
    batch->text_length = (uint32_t)length;
    batch->seq = rig->next_seq++;
    batch->origin.record = batch->part_record = rig->next_record;
    batch->part_start = batch->part_end = 0;
    batch->rejects = NULL;
    batch->rejects_tail = &batch->rejects;
    batch->reject_count = 0;
    CHECK(rig->format->ops->locate(rig->format, scope_projection(rig->scope), batch) == LOCATE_OK);
    CHECK(batch->record_count == records && batch->row_count == records);
    rig->next_record += records;
}

static void batch_give(struct lookup_rig *rig, struct lookup_rig_batch *own)
{
    struct batch *batch = &own->batch;
    own->with_stage = true;
    own->resting = false;
    batch->rest = NULL;
    batch->rest_count = 0;
    batch->arena.limit = own->limit;
    stage_model.async->start(rig->stage, rig->evaluator, batch);
}

bool lookup_rig_feed(struct lookup_rig *rig, uint32_t records, double skipped, size_t arena)
{
    for (uint32_t i = 0; i < rig->batch_count; i++) {
        struct lookup_rig_batch *own = &rig->batches[i];
        if (own->with_stage || own->resting)
            continue;
        struct batch *batch = &own->batch;
        batch_locate(rig, batch, records);
        uint32_t kept = 0;
        for (uint32_t row = 0; row < records; row++)
            if (random_share(&rig->random) >= skipped)
                batch->rows[kept++] = row;
            else
                rig->records[batch->origin.record + row].fate = FATE_REJECTED;
        for (uint32_t row = 0; row < records; row++) {
            struct rig_record *record = &rig->records[batch->origin.record + row];
            record->times = record->fate == FATE_REJECTED; /* skipped: nothing comes */
        }
        batch->row_count = kept;
        own->mark = arena_mark(&batch->arena);
        own->limit = size_min(own->mark + arena, LOOKUP_RIG_ARENA);
        own->any_row = false;
        batch_give(rig, own);
        return true;
    }
    return false;
}

/* Answers and rejects of what was handed on. */
static void batch_judge(struct lookup_rig *rig, struct lookup_rig_batch *own)
{
    struct batch *batch = &own->batch;
    struct lookup *lookup = (struct lookup *)rig->stage;
    const struct value *cells = batch->columns[lookup->field].cells;
    for (uint32_t i = 0; i < batch->row_count; i++) {
        uint32_t row = batch->rows[i];
        struct rig_record *record = &rig->records[batch->origin.record + row];
        record->times++;
        record->fate = FATE_ANSWERED;
        struct buffer buffer = {.data = record->answer, .limit = sizeof(record->answer) - 1};
        char long_text[1 << 16];
        struct buffer spare = {.data = long_text, .limit = sizeof(long_text) - BUFFER_SLACK};
        const char *reason;
        CHECK(value_write_json(cells[row], &spare, &reason) == JSON_DONE);
        buffer.length = size_min(spare.length, buffer.limit);
        memcpy(buffer.data, long_text, buffer.length);
        record->answer[buffer.length] = 0;
        if (rig->ordered) {
            CU_ASSERT_FALSE(own->any_row && row <= own->last_row);
            own->any_row = true;
            own->last_row = row;
        }
    }
    for (const struct reject *reject = batch->rejects; reject; reject = reject->next) {
        struct rig_record *record = &rig->records[batch->origin.record + reject->record];
        record->times++;
        record->fate = FATE_REJECTED;
        record->code = reject->code;
        snprintf(record->text, sizeof(record->text), "%.*s", (int)reject->text_length,
                 reject->text);
        if (reject->call) {
            record->attempts = reject->call->attempts;
            record->status = reject->call->status;
            snprintf(record->url, sizeof(record->url), "%.*s", (int)reject->call->url.length,
                     reject->call->url.data);
        }
    }
    for (uint32_t i = 1; i < batch->rest_count; i++)
        CU_ASSERT(batch->rest[i - 1] < batch->rest[i]);
    if (rig->ordered && batch->row_count && batch->rest_count)
        CU_ASSERT(batch->rows[batch->row_count - 1] < batch->rest[0]);
}

static void batch_delivered(struct lookup_rig *rig, struct lookup_rig_batch *own)
{
    struct batch *batch = &own->batch;
    own->with_stage = false;
    batch_judge(rig, own);
    own->resting = batch->rest_count > 0;
    own->back = rig->now + random_between(&rig->random, 0, 30000000);
    if (!own->resting)
        return;
    /* as the runtime: the rest in its place, the arena as it was before */
    batch->rows = batch->rest;
    batch->row_count = batch->rest_count;
    arena_rewind(&batch->arena, own->mark);
    memset(batch->arena.base + own->mark, 0xa5, 4096);
    batch->rejects = NULL;
    batch->rejects_tail = &batch->rejects;
    batch->reject_count = 0;
    for (uint32_t i = 0; i < batch->column_count; i++)
        batch->columns[i].decoded = NULL;
}

/* The next one that comes again, where its time has come. */
static bool rest_return(struct lookup_rig *rig)
{
    for (uint32_t i = 0; i < rig->batch_count; i++)
        if (rig->batches[i].resting && rig->batches[i].back <= rig->now) {
            batch_give(rig, &rig->batches[i]);
            return true;
        }
    return false;
}

enum stage_result lookup_rig_step(struct lookup_rig *rig)
{
    struct batch *batch = NULL;
    current = rig;
    rest_return(rig);
    enum stage_result result =
        stage_model.async->take(rig->stage, rig->evaluator, &batch, &rig->error);
    if (result == STAGE_OK) {
        uint32_t i = 0;
        while (&rig->batches[i].batch != batch)
            i++;
        CU_ASSERT_FATAL(i < rig->batch_count && rig->batches[i].with_stage);
        batch_delivered(rig, &rig->batches[i]);
    } else if (result == STAGE_WAIT) {
        int64_t next = rig->stage->wake ? rig->stage->wake : INT64_MAX;
        for (uint32_t i = 0; i < rig->batch_count; i++)
            if (rig->batches[i].resting && rig->batches[i].back < next)
                next = rig->batches[i].back;
        CU_ASSERT_FATAL(next != INT64_MAX ||
                        lookup_rig_busy(rig) == 0); /* nothing comes any more */
        if (next != INT64_MAX && next > rig->now)
            rig->now = next;
    }
    return result;
}

uint32_t lookup_rig_busy(const struct lookup_rig *rig)
{
    uint32_t busy = 0;
    for (uint32_t i = 0; i < rig->batch_count; i++)
        busy += rig->batches[i].with_stage || rig->batches[i].resting;
    return busy;
}

uint32_t lookup_rig_run(struct lookup_rig *rig, uint32_t size, double skipped, size_t arena)
{
    uint32_t answered = 0, steps = 0;
    while (rig->next_record < rig->record_limit || lookup_rig_busy(rig)) {
        uint32_t left = rig->record_limit - rig->next_record;
        if (left && random_bits(&rig->random) % 3 == 0)
            lookup_rig_feed(rig, left < size ? left : size, skipped, arena);
        enum stage_result result = lookup_rig_step(rig);
        CU_ASSERT_FATAL(result != STAGE_FAIL);
        CU_ASSERT_FATAL(++steps < 100u * 1000 * 1000);
    }
    for (uint32_t i = 0; i < rig->record_limit; i++) {
        struct rig_record *record = &rig->records[i];
        CU_ASSERT_EQUAL(record->times, 1);
        answered += record->fate == FATE_ANSWERED;
    }
    return answered;
}
