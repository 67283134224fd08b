/* The expressions of a program with errors, each checked on its own, so that a mistake in the
 * syntax of one statement does not hide an unknown function in another. Main thread only. */
#ifndef LEAT_CLI_EXPRESSIONS_CHECK_H
#define LEAT_CLI_EXPRESSIONS_CHECK_H

#include "lang/ast.h"

/* Adds what is wrong with the expressions of the statements that did parse. Every name may be a
 * field: which there are depends on statements that may be missing. */
void expressions_check(const struct program *program, struct diagnostics *diagnostics);

#endif
