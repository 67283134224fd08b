/* A lookup stage driven without the runtime, against a modelled peer under the simulated clock:
 * batches come in about in order, are taken, delivered after a while, and come again with their
 * rest. Every record has a key of its own and the peer's answer tells the key, so what a record got
 * is known to be its own. One thread. */
#ifndef LEAT_TESTS_STAGES_LOOKUP_RIG_H
#define LEAT_TESTS_STAGES_LOOKUP_RIG_H

#include "clients/simulated_transport.h"
#include "core/format.h"
#include "lang/parse.h"
#include "stages/lookup.h"

#define LOOKUP_RIG_BATCHES 12
#define LOOKUP_RIG_TEXT    (1u << 20)
#define LOOKUP_RIG_ARENA   (8u << 20)

enum rig_fate { FATE_NONE, FATE_ANSWERED, FATE_REJECTED };

/* What became of a record. */
struct rig_record {
    enum rig_fate fate;
    uint32_t times; /* that it came out; once is right */
    enum error_code code;
    uint32_t asked; /* times that its key came to the peer */
    char answer[200];
    char text[120]; /* of the reject */
    uint32_t attempts;
    int status;
    char url[64];
};

struct lookup_rig_batch {
    struct batch batch;
    size_t mark, limit;
    bool with_stage;
    bool resting; /* handed on, its rest will come again */
    int64_t back; /* when */
    uint32_t last_row;
    bool any_row;
};

struct lookup_rig {
    struct diagnostics diagnostics;
    struct program *program;
    struct scope *scope;
    struct shared_limits shared;
    struct stage *stage;
    struct evaluator *evaluator;
    struct format *format;
    struct simulated_settings peer;
    struct simulated_log log;
    int64_t now;
    uint64_t random;
    bool ordered;
    /* what a model answers */
    uint32_t answer_size; /* about so many bytes more; by key */
    double invalid;       /* share of keys that are answered with no JSON */
    double absent;        /* … with 404 */
    bool by_key;          /* a batch is answered as a map */
    bool reversed, shortened;
    const char *wrapped; /* "{\"data\":%s}" */
    /* batches */
    struct lookup_rig_batch batches[LOOKUP_RIG_BATCHES];
    uint32_t batch_count;
    uint64_t next_seq;
    uint32_t next_record;
    struct rig_record *records;
    uint32_t record_limit;
    struct error error;
    char *text; /* of the refusal */
};

/* Opens `program`, one lookup of kind `model`: `lookup model EXPR as NAME { … }`, EXPR being what
 * the peer is asked. False: refused. */
bool lookup_rig_open(struct lookup_rig *rig, const char *program, bool ordered, size_t memory,
                     uint32_t records);
void lookup_rig_close(struct lookup_rig *rig);
const char *lookup_rig_refusal(struct lookup_rig *rig);
/* Enters the stage; the peer's settings are the rig's. */
bool lookup_rig_enter(struct lookup_rig *rig);
/* Gives the stage a batch of so many records, {"k":N}, of which `skipped` (a share) are not live;
 * `arena`: bytes that the stage may use. False: no batch is free. */
bool lookup_rig_feed(struct lookup_rig *rig, uint32_t records, double skipped, size_t arena);
/* One call of take, and what it hands on is looked at; the clock moves on where it waits. */
enum stage_result lookup_rig_step(struct lookup_rig *rig);
/* All records through, in batches of `size`; then all is judged. Returns how many were answered. */
uint32_t lookup_rig_run(struct lookup_rig *rig, uint32_t size, double skipped, size_t arena);
/* Batches that the stage or the way behind it has. */
uint32_t lookup_rig_busy(const struct lookup_rig *rig);

#endif
