/* Writing records as JSON objects: shared by ndjson and json. Pure but for the batch's arena and
 * its rejects; any worker. */
#ifndef LEAT_FORMATS_JSON_ENCODE_H
#define LEAT_FORMATS_JSON_ENCODE_H

#include "core/format.h"

/* As format_ops.encode. Each record is written as `before`, the record, `after`. */
enum encode_result json_encode(const struct shape *shape, struct batch *batch, bool same,
                               struct string before, struct string after, uint32_t first,
                               uint32_t *done, struct buffer *buffer);

#endif
