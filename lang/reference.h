/* What the tables of options say, for people: help on a terminal and pages of the reference. Pure
 * output; main thread only. Whether writing succeeded is for the owner of the stream to ask. */
#ifndef LEAT_LANG_REFERENCE_H
#define LEAT_LANG_REFERENCE_H

#include <stdio.h>

#include "core/option.h"

/* `role`: "stage", "lookup", "from", "into", "format" or "pipeline": what stands before the noun's
 * name in a program. Text has lines of at most 80 columns where words allow. */
void reference_print_text(const struct noun *noun, const char *role, FILE *out);
/* A page: title, sentence, grammar, tables of options, example. */
void reference_print_markdown(const struct noun *noun, const char *role, FILE *out);
/* The grammar of a noun in one line, derived from its table: "parse PATH with STRING [{ … }]". */
void reference_print_grammar(const struct noun *noun, const char *role, FILE *out);

#endif
