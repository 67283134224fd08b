/* A small registry and a plain text form of syntax trees, for the tests of the parser and of fmt.
 * Any thread; the registry is const. */
#ifndef LEAT_TESTS_LANG_FIXTURE_H
#define LEAT_TESTS_LANG_FIXTURE_H

#include <stdio.h>

#include "lang/parse.h"

extern const struct registry fixture_registry;

/* The tree in prefix form, without places: (+ a 1). */
void dump_node(const struct node *node, FILE *out);
/* A line for each statement, given options only, then those of the pipeline block. */
void dump_program(const struct program *program, FILE *out);
/* malloc'ed results of the two, and of all diagnostics printed. */
char *dump_program_text(const struct program *program);
char *parse_and_dump(const char *text); /* the dump, or the diagnostics if there are any */
char *parse_expression_and_dump(const char *text, bool cel_strict);

#endif
