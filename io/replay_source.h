/* The source of `leat replay`: a file of rejected records, whose lines give back the records as
 * they were first read, in their own dialect. The file is read by the source `file`, with its
 * positions, so a replay goes on where it was interrupted, and another one finds nothing new. Lines
 * that hold no whole record are rejected, with the reason. */
#ifndef LEAT_IO_REPLAY_SOURCE_H
#define LEAT_IO_REPLAY_SOURCE_H

#include "core/source.h"

extern const struct source_ops source_replay; /* of no `from`: open is NULL */

/* Opens it on `path`. context->options are those of the `from` whose records were rejected (NULL:
 * there is none), read by `ops`; NULL: by the format that the name in the first line tells.
 * `added`: a rerun reads only what came since. On the main thread; blocks briefly. */
bool replay_source_open(struct source_context *context, const char *path,
                        const struct format_ops *ops, bool added, struct source **source,
                        struct error *error);

#endif
