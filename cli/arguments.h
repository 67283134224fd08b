/* The command line: one table of commands (commands.def) and one of options (options.def) give
 * parsing, help, the man page and the completions. Main thread only. */
#ifndef LEAT_CLI_ARGUMENTS_H
#define LEAT_CLI_ARGUMENTS_H

#include "core/error.h"
#include "pipeline/pipeline.h"

enum command {
    COMMAND_PROGRAM, /* the first operand is a program text */
#define COMMAND(id, name, operands, doc) COMMAND_##id,
#include "cli/commands.def"
#undef COMMAND
    COMMAND_COUNT
};

enum option_id {
#define OPTION(id, letter, name, kind, argument, field, commands, doc) ARGUMENT_##id,
#include "cli/options.def"
#undef OPTION
    ARGUMENT_COUNT
};

enum argument_kind {
    ARGUMENT_FLAG,
    ARGUMENT_TEXT,
    ARGUMENT_FORMAT,
    ARGUMENT_WORD,
    ARGUMENT_COUNTED, /* KIND COUNT */
    ARGUMENT_NUMBER,
    ARGUMENT_SIZE,
    ARGUMENT_DURATION,
};

/* Which commands take an option: bits by enum command. */
#define OPTIONS_OF(command) (1u << COMMAND_##command)
#define OPTIONS_OF_RUNS     (OPTIONS_OF(PROGRAM) | OPTIONS_OF(RUN) | OPTIONS_OF(REPLAY))
#define OPTIONS_OF_STATE    OPTIONS_OF(STATE)
#define OPTIONS_OF_PLANS                                                                           \
    (OPTIONS_OF_RUNS | OPTIONS_OF(CHECK) | OPTIONS_OF(GRAPH) | OPTIONS_OF(TRY) | OPTIONS_OF(STATE))
#define OPTIONS_OF_GRAPH OPTIONS_OF(GRAPH)
#define OPTIONS_OF_TRY   OPTIONS_OF(TRY)
#define OPTIONS_OF_FMT   OPTIONS_OF(FMT)
#define OPTIONS_OF_EVAL  OPTIONS_OF(EVAL)
#define OPTIONS_OF_HELP  OPTIONS_OF(HELP)
#define OPTIONS_OF_ANY   ((1u << COMMAND_COUNT) - 1)

struct argument_spec {
    char letter; /* 0: none */
    const char *name;
    enum argument_kind kind;
    const char *argument; /* its label, or the words of a WORD; NULL for a FLAG */
    size_t field;         /* offset in struct arguments */
    unsigned commands;
    const char *doc;
};

struct command_spec {
    const char *name;
    const char *operands;
    const char *doc;
};

/* All of it borrows argv, but for `operands`. */
struct arguments {
    enum command command;
    const char **operands; /* what is neither option nor command; owned */
    size_t operand_count;
    struct run_options run;
    const char *report;
    const char *progress;
    const char *log;
    const char *io;
    const char *cases;
    const char *completion;
    unsigned records;
    bool quiet;
    bool dot;
    bool write;
    bool check;
    bool forget;
    bool man;
    bool markdown;
    bool help;
    bool version;
};

/* Indexed by enum option_id and enum command (COMMAND_PROGRAM has no name: an empty spec). */
extern const struct argument_spec argument_specs[ARGUMENT_COUNT];
extern const struct command_spec command_specs[COMMAND_COUNT];

/* False: the command line is wrong (ERROR_USAGE) or memory is short. Call arguments_close in any
 * case. */
MUST_USE bool arguments_parse(int count, char **words, struct arguments *arguments,
                              struct error *error);
void arguments_close(struct arguments *arguments);

#endif
