/* The plan: what a program becomes before it runs. Opened stages in segments (chains that a worker
 * runs in one go, with a serial stage between two of them), sources, sinks, the memory plan. Made
 * on the main thread, const during the run but for what its parts keep to themselves. */
#ifndef LEAT_PIPELINE_PLAN_H
#define LEAT_PIPELINE_PLAN_H

#include "core/sink.h"
#include "core/source.h"
#include "core/stage.h"
#include "lang/scope.h"
#include "lang/template_cells.h"
#include "pipeline/dialect.h"
#include "pipeline/fingerprint.h"
#include "pipeline/limits.h"
#include "pipeline/pipeline.h"
#include "pipeline/replay.h"
#include "pipeline/settings.h"

#define PLAN_MAX_STAGES   256
#define PLAN_MAX_SEGMENTS 32
#define PLAN_MAX_SOURCES  64

/* Stages [first, first + count) run in one go; then comes the serial stage `serial` or, in the last
 * segment, encoding. */
struct node_store;

struct segment {
    uint32_t first;
    uint32_t count;
    uint32_t serial; /* index of the stage, or UINT32_MAX */
};

struct plan_stage {
    struct stage *stage;
    const struct shape *shape; /* of the record behind it */
    char label[32];
    struct span span;
};

struct plan_source {
    struct source *source;
    struct input
        *recovered; /* inputs of the run that goes on, or NULL; context.inputs points here */
    uint32_t recovered_count;
    struct source_context context;
    struct span span;
};

struct plan_sink {
    struct sink *sink;
    struct sink_context context;
    struct span span;
    struct template *path; /* of a partitioned sink, or NULL */
    struct moves moves;    /* that the path needs */
    bool same;             /* writes with the dialect that is read */
    char label[64];
};

struct plan {
    const struct program *program;
    char fingerprint[FINGERPRINT_SIZE];
    char name[128];         /* of the pipeline; made of the fingerprint where it has none */
    struct replay replay;   /* where options.replay is set */
    char state_folder[512]; /* for what no sink can hold; empty: beside the targets */
    struct run_options options;
    struct diagnostics *diagnostics;
    struct dialect from, to; /* --from, --to */
    struct settings settings;
    struct limits limits;
    struct scope *scope;
    struct shared_limits shared;
    struct plan_source sources[PLAN_MAX_SOURCES];
    uint32_t source_count;
    struct plan_stage stages[PLAN_MAX_STAGES];
    uint32_t stage_count;
    struct segment segments[PLAN_MAX_SEGMENTS];
    uint32_t segment_count;
    bool as_completed;  /* parts may hold any of a batch's rows: asynchronous stages, order none */
    uint32_t last_head; /* index of the last head stage, or UINT32_MAX */
    struct plan_sink sinks[BATCH_MAX_SINKS];
    uint32_t sink_count; /* without rejects */
    struct plan_sink rejects;
    bool has_rejects; /* a `reject into` was given */
    bool has_fail_when;
    double fail_share; /* of the records read */
    uint64_t fail_count;
    bool fail_is_share;
    const struct projection *projection;
    const struct shape *shape;
    uint32_t column_count;
    bool wants_head;                /* some stage ends the run early */
    struct node_store *node_stores; /* plan_show.c's */
    uint32_t node_count;
};

/* The format that batches of this plan are read with (all sources of a plan share one dialect or
 * batches say theirs by names); by the batch's source. */
static inline const struct format *plan_format(const struct plan *plan, uint32_t source)
{
    return plan->sources[source].source->format;
}

#endif
