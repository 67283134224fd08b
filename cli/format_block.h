/* --from 'json { values one }': a format with options on the command line. The block is read by the
 * language's own parser, as the block of a `from stdin` or an `into stdout`. Main thread only. */
#ifndef LEAT_CLI_FORMAT_BLOCK_H
#define LEAT_CLI_FORMAT_BLOCK_H

#include "lang/parse.h"

struct format_block {
    char *name;              /* the format's, without the block; owned */
    char *text;              /* what is parsed; owned */
    struct program *program; /* holds the options; owned */
    struct diagnostics diagnostics;
};

/* `value` of the option `--from` or `--to`: "json" or "json { values one }". False: what is wrong
 * is in *error, or, where error->code is NONE, in the diagnostics. Close it in any case. */
MUST_USE bool format_block_open(struct format_block *block, const char *option, const char *value,
                                struct error *error);
/* NULL where there is no block; lives as long as the block. */
const struct options *format_block_options(const struct format_block *block);
void format_block_close(struct format_block *block);

#endif
