/* What comes before the first record of JSON text. Pure; any thread. */
#ifndef LEAT_FORMATS_JSON_HEAD_H
#define LEAT_FORMATS_JSON_HEAD_H

#include "core/format.h"

/* format_ops.head of ndjson and json: consumes a byte order mark. */
enum head_result json_head(const struct format *format, const char *text, size_t length,
                           bool at_end, struct cut_state *state, size_t *consumed,
                           struct field_names **names, struct error *error);

#endif
