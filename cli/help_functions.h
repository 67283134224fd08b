/* The functions of expressions, listed from their table. Main thread only. */
#ifndef LEAT_CLI_HELP_FUNCTIONS_H
#define LEAT_CLI_HELP_FUNCTIONS_H

#include <stdio.h>

/* A line for each: how it is called, what it takes first, what it gives. */
void functions_print(FILE *out);

#endif
