/* What the runtime asks of the file sink beyond its operations. Pure; any thread. */
#ifndef LEAT_IO_FILE_SINK_H
#define LEAT_IO_FILE_SINK_H

#include "core/sink.h"

extern const struct sink_ops sink_file;
extern const struct noun file_sink_noun;

/* Whether a path holds {expressions}: then sink_context.path_column is needed, and each value in
 * that column is the final path of its record. */
bool file_sink_is_template(struct string path);

#endif
