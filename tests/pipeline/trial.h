/* A seeded case for the simulator: input files, a program, and what must come of it by a model of
 * the language in plain C that shares nothing with leat. One thread. */
#ifndef LEAT_TESTS_PIPELINE_TRIAL_H
#define LEAT_TESTS_PIPELINE_TRIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECORDS_MOST 240
#define TEXT_MOST    (1024 * 1024)
#define FILES_MOST   4
#define STEPS_MOST   7

enum malformed { WELL_FORMED, NOT_JSON, OVERLONG };

/* One record of the input: {"n":i,"k":"k<i%4>","pad":"p…"}. */
struct trial_record {
    enum malformed malformed;
    unsigned file;
    uint64_t line;   /* in its file */
    uint64_t offset; /* in its file */
    char pad[48];
};

struct trial_reject {
    char stage[24];
    unsigned file;
    uint64_t line;
    uint64_t offset;
};

struct trial_step {
    int kind;
    unsigned a, b;
    char name[8], from[8], base[8]; /* base: the number that the step reads, n or count */
    unsigned left;                  /* of head and skip */
};

struct trial_text {
    char *data; /* TEXT_MOST bytes */
    size_t length;
};

struct trial {
    uint64_t seed, state;
    unsigned records, files;
    bool csv_input, glob, csv_output, any_order, rejects;
    unsigned batch_text;
    struct trial_record input[RECORDS_MOST];
    struct trial_step steps[STEPS_MOST];
    unsigned step_count;
    char program[1600];
    struct trial_text lines; /* what the NDJSON sink should hold */
    struct trial_text csv;   /* what the CSV sink should hold */
    struct trial_reject rejected_at[RECORDS_MOST];
    unsigned read, written, filtered, absorbed, created, rejected;
    bool must_fail; /* a reject that is not borne */
};

/* The next seeded number below `limit`. */
unsigned trial_below(struct trial *trial, unsigned limit);
/* Plans a case from its seed: options, records, program. */
void trial_plan(struct trial *trial, uint64_t seed);
/* The text of input file `file`; notes each record's line and offset. */
void trial_input(struct trial *trial, unsigned file, struct trial_text *text);
/* Runs the model over the input (after trial_input of every file). */
void trial_model(struct trial *trial);
void text_append(struct trial_text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
