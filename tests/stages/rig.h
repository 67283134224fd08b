/* Stages driven directly over batches, without the runtime: a program's stages are opened through a
 * scope, text is located with the real formats, every stage is called on the whole batch in turn,
 * and what is left is written as NDJSON. Each rig is owned by its test; one thread. */
#ifndef LEAT_TESTS_STAGES_RIG_H
#define LEAT_TESTS_STAGES_RIG_H

#include "core/format.h"
#include "core/stage.h"
#include "lang/parse.h"
#include "lang/scope.h"

#define RIG_STAGES 8
#define RIG_ARENA  (4u << 20)
#define RIG_TEXT   (1u << 20)
#define RIG_MEMORY (1u << 20) /* what a stage with state may keep, unless said otherwise */

struct rig {
    struct diagnostics diagnostics;
    struct program *program;
    struct scope *scope;
    struct shared_limits shared;
    struct stage *stages[RIG_STAGES];
    uint32_t count;
    const struct shape *shape;
    const struct format_ops *read;
    struct format *format; /* read with */
    struct format *ndjson; /* written with */
    struct field_names *names;
    struct evaluator *evaluator;
    struct batch batch;
    struct stage_count counts[RIG_STAGES]; /* batch.counts */
    struct buffer output;
    enum stage_result result; /* of the stage that was called last */
    struct error error;
    char *text; /* of the last rig_output or rig_refusal */
};

/* Opens `program`'s stages for NDJSON, or for CSV where `header` is its first line. False: refused;
 * rig_refusal says what the diagnostics say. Close in any case. */
bool rig_open(struct rig *rig, const char *program, const char *header, size_t memory);
void rig_close(struct rig *rig);
const char *rig_refusal(struct rig *rig);

/* An empty batch with this text, located; the first record is number `record` of input 0. */
void rig_fill(struct rig *rig, const char *text, uint64_t offset, uint64_t record);
/* All stages in turn, as long as they answer STAGE_OK (or STAGE_STOP); the last answer. */
enum stage_result rig_stages(struct rig *rig, uint32_t first);
/* The rows that are left, as NDJSON. Valid until the next call. */
const char *rig_output(struct rig *rig);
/* Fill, run, output in one. */
const char *rig_run(struct rig *rig, const char *text);
/* rig_run of a program of its own on one text: output, or the refusal. Valid until the next call.
 */
const char *rig_once(const char *program, const char *text);
/* The code of the reject of `record`, or ERROR_NONE. */
enum error_code rig_reject(const struct rig *rig, uint32_t record);
/* What an aggregation hands on, as NDJSON. */
const char *rig_finish(struct rig *rig, uint32_t stage);

#endif
