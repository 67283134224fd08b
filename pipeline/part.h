/* Taking a batch through the plan, part by part. A part is what goes through in one go: usually all
 * of the batch; less where the arena, an output buffer or a rate limit does not let all of it
 * through. What is left is remembered in batch_progress and taken up when the part was delivered:
 * first what is left to encode, then rows held back by serial stages and rest of slices, innermost
 * first, then the rest of the text. Stateless stages are pure, so running one again with fewer rows
 * is always right.
 *
 * A worker calls part_run; a serial actor the part_serial_* functions; the settling thread
 * part_settled. One thread at a time: the owner of the batch. */
#ifndef LEAT_PIPELINE_PART_H
#define LEAT_PIPELINE_PART_H

#include "pipeline/plan.h"

/* Rows that entered a segment, and how far they have gone. */
struct slice {
    uint32_t *rows;
    uint32_t count;
    uint32_t next;
    size_t mark; /* of the arena, behind what the slice needs */
};

/* Rows that a serial stage held back. */
struct held {
    uint32_t *rows;
    uint32_t count;
    size_t mark; /* of the arena, behind what they need */
};

struct batch_progress {
    uint32_t source;      /* index of the plan's source */
    uint32_t text_length; /* all of it */
    bool text_left;
    struct slice slices[PLAN_MAX_SEGMENTS];
    struct held held[PLAN_MAX_SEGMENTS]; /* by the serial stage behind segment i */
    uint32_t *encode_rows;
    uint32_t encode_count;
    uint32_t encode_next;
    size_t encode_mark; /* of the arena, behind what the rows to encode need */
    uint32_t reported;  /* records of the located text that parts before have accounted for */
    uint32_t boundary;  /* this part accounts for records [reported, boundary) */
    uint32_t rejects_boundary; /* … and for the rejects of records before this one */
    struct stage_count *saved; /* counts before an attempt; by stage */
    uint32_t creator;          /* the stage that made the batch, where one did */
    uint32_t *entered;         /* copy of the rows that entered the serial stage at hand … */
    uint32_t entered_count;
    uint32_t entered_rejects; /* … the rejects there were … */
    struct reject **entered_tail;
    size_t entered_mark;          /* … and the arena's mark before the copy */
    size_t arena_limit;           /* the arena's, while an asynchronous stage has less of it */
    uint16_t *fates;              /* by record: which stage took it out; NULL in plans without
                                     `head` */
    bool fates_fresh;             /* created: no segment has seen it yet */
    bool cut;                     /* `head` ended the run inside this batch … */
    uint32_t cut_end;             /* … and no record from this one on was read */
    uint64_t sink_records;        /* rows written by this part */
    uint32_t delivered_rejects;   /* reject_count when it went to the sinks */
    struct reject *taken_rejects; /* those being written to the rejects' sink */
};

enum part_result {
    PART_SERIAL,  /* hand it to the serial stage behind batch.segment */
    PART_DELIVER, /* outputs are filled: to the sinks */
};

/* Memory of a batch's progress and counts. */
bool part_open(const struct plan *plan, struct batch *batch, struct error *error);
void part_close(struct batch *batch);

/* A batch just filled by a source (or by a stage's finish: created) is ready for its first part. */
void part_begin(const struct plan *plan, struct batch *batch, uint32_t source);
/* For a stage's finish: empties the batch. */
void part_begin_created(const struct plan *plan, struct batch *batch);

/* Goes on with the batch from where it stands, as far as the next serial stage or the sinks.
 * busy[stage] gets nanoseconds; slow (0: off) names steps that took longer on stderr. */
struct part_clock {
    int64_t *busy; /* by stage, then one for locate, one for encode; atomic adds */
    int64_t slow;
};
enum part_result part_run(const struct plan *plan, struct evaluator *evaluator, struct batch *batch,
                          struct part_clock *clock);
/* Where a batch that was delivered goes on: true: with serial stage *serial (held rows are its
 * rows now); false: with part_run. */
bool part_resumes_serial(const struct plan *plan, struct batch *batch, uint32_t *serial);
/* Around a serial stage's call: before, and after it returned STAGE_OK or STAGE_STOP. */
void part_serial_enter(const struct plan *plan, struct batch *batch);
void part_serial_leave(const struct plan *plan, struct batch *batch, bool stop);
/* The same for an asynchronous stage, which leaves the segments behind it their share of the arena.
 */
void part_async_enter(const struct plan *plan, struct batch *batch);
void part_async_leave(const struct plan *plan, struct batch *batch);
/* Puts back what entered the serial stage, which asked for fewer rows; row_count is as it was. */
void part_serial_undo(struct batch *batch);
/* Gives the arena back down to `mark`, and forgets the decoded cells, which may lie above it. */
void part_rewind(struct batch *batch, size_t mark);
/* True: nothing of this batch will come to the serial stage behind `segment` again. */
bool part_upstream_done(const struct batch *batch, uint32_t segment);
/* The rejects to account for now, in order of records; those behind the boundary stay. */
struct reject *part_take_rejects(struct batch *batch);
/* Records that this part accounts for; moves on. */
uint32_t part_take_records(struct batch *batch);

#endif
