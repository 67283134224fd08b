/* The file sink for paths with {expressions}: a file for each path that records have. Opened by
 * io/file_sink.c; its operations are those of `sink->ops`, not of sink_file.
 *
 * An output buffer holds runs: struct partition_run, the path, the encoded records. */
#ifndef LEAT_IO_PARTITION_SINK_H
#define LEAT_IO_PARTITION_SINK_H

#include "core/sink.h"

struct partition_run {
    uint32_t path_length;
    uint32_t unused;
    uint64_t length; /* of the records behind the path */
};

/* Opens the sink for the template `path`; touches no file before start. False: *error says which
 * option is wrong. Main thread; the sink is freed by its close. */
bool partition_sink_open(struct sink_context *context, struct string path, struct sink **sink,
                         struct error *error);

/* partition_encode.c: any worker; pure but for the batch. `prefix`: what every path begins with. */
enum encode_result partition_encode(const struct sink_context *context, const struct format *format,
                                    struct string prefix, struct batch *batch, uint32_t first,
                                    uint32_t *done);
/* Whether what follows the prefix is one or more plain components: none empty, `.`, `..`, too long,
 * with a NUL, or named like a part file. */
bool partition_path_safe(struct string rest);

#endif
