/* --from and --to with a block: `json { values one }`. The text is read by the language's own
 * parser, as the block of a source or sink. Main thread. */
#ifndef LEAT_PIPELINE_DIALECT_H
#define LEAT_PIPELINE_DIALECT_H

#include "pipeline/pipeline.h"

struct dialect {
    char *text; /* owned; the program's */
    struct diagnostics diagnostics;
    struct program *program;
    const struct options *options; /* NULL: `name` says it all */
};

/* `text` is a name, or a name and a block; NULL: nothing. `flag` is "--from" or "--to". False: it
 * is neither; *error says why. Close in any case. */
bool dialect_open(struct dialect *dialect, const char *text, const char *flag, struct error *error);
void dialect_close(struct dialect *dialect);

#endif
