/* Where the nouns of the language are found by name, and the reference pages that are made of them.
 * Main thread only. */
#ifndef LEAT_CLI_HELP_REFERENCE_H
#define LEAT_CLI_HELP_REFERENCE_H

#include <stdio.h>

#include "core/base.h"

#define REFERENCE_MAX 256

/* Prints every noun of that name: a stage, a source ("from"), a sink ("into"), a format, or
 * "pipeline". `role`: only those ("from", "into", "stage", "format"), or NULL. False: none. */
bool reference_print(FILE *out, const char *role, const char *name);
/* The names of all nouns, for "did you mean"; returns how many, at most `limit`. */
size_t reference_names(const char **names, size_t limit);
/* Writes a page for each noun and an index into the folder, which must be there. The exit status.
 */
int reference_write(const char *folder);

#endif
