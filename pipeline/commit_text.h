/* The commit record as JSON text: what a sink stores and a later run goes on from, and what `leat
 * state` shows. Main thread when read; whoever assembles a checkpoint when written. */
#ifndef LEAT_PIPELINE_COMMIT_TEXT_H
#define LEAT_PIPELINE_COMMIT_TEXT_H

#include "core/buffer.h"
#include "core/sink.h"
#include "pipeline/plan.h"

struct commit_input {
    struct string name;
    uint64_t size;
    uint64_t device;
    uint64_t inode;
    int64_t modified;
    struct position at; /* how far it was read; all zero: not begun, or it is where position is */
};

struct commit_stage {
    struct string label;
    struct stage_count count;
    struct string state; /* of stages that save it; bytes */
};

struct commit_cause {
    struct string stage;
    struct string code; /* slug */
    struct string text;
    uint64_t count;
    bool mismatch;
};

/* What the text says. All of it lies in the arena that it was read with, or is borrowed by the
 * writer. */
struct commit_text {
    struct string pipeline;
    struct string fingerprint; /* hexadecimal */
    struct string time;        /* RFC 3339, of the commit */
    uint64_t number;
    uint64_t epoch;
    bool final;
    uint32_t source; /* index in the plan of the source that position lies in */
    struct position position;
    struct commit_input *inputs[PLAN_MAX_SOURCES];
    uint32_t input_count[PLAN_MAX_SOURCES];
    uint32_t source_count;
    struct run_totals totals;
    struct commit_stage *stages;
    uint32_t stage_count;
    struct commit_cause *causes;
    uint32_t cause_count;
    uint64_t rejects_number; /* the rejects' checkpoint, 0: none were written */
};

/* Appends. False: the buffer's limit. */
MUST_USE bool commit_text_write(const struct commit_text *commit, struct buffer *buffer);
/* ERROR_STATE: not a record, or one of a later version. */
MUST_USE bool commit_text_read(struct commit_text *commit, struct string text, struct arena *arena,
                               struct error *error);

#endif
