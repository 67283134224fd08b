/* The commands of leat, one function each, in files of their names. Each returns the exit status;
 * what went wrong has been said by then. Main thread only. */
#ifndef LEAT_CLI_COMMANDS_H
#define LEAT_CLI_COMMANDS_H

#include <stdio.h>

#include "cli/arguments.h"

/* A program text in a command's place; `leat run` is the same with a file. */
int command_program(const struct arguments *arguments);
#define COMMAND(id, name, operands, doc) int command_##name(const struct arguments *arguments);
#include "cli/commands.def"
#undef COMMAND

/* The usage in a few lines, and with all options; `help` writes the second for one command. */
void help_usage(FILE *out);
void help_command(FILE *out, enum command command);
/* What a line of the table has no room for. */
extern const char help_replay[];
/* The man page as roff, and the completion script of a shell. */
void help_man(FILE *out);
void help_completion(FILE *out, const char *shell);

#endif
