/* The state of stages as bytes, for checkpoints: numbers and values, one after another, read back
 * in the same order by the same version. A stage's own thread. */
#ifndef LEAT_STAGES_STATE_H
#define LEAT_STAGES_STATE_H

#include "core/buffer.h"
#include "core/value.h"

/* False: the buffer's limit. */
bool state_write_number(struct buffer *buffer, uint64_t number);
/* A scalar, or text: null, bool, int, uint, double, string, bytes, timestamp, duration, raw. */
bool state_write_value(struct buffer *buffer, struct value value);

/* What is left to read; `wrong` is set, and zeros are given, behind its end. */
struct state_reader {
    struct string left;
    bool wrong;
};
uint64_t state_read_number(struct state_reader *reader);
/* Text points into what is read. */
struct value state_read_value(struct state_reader *reader);
/* Whether all of it was read and nothing was wrong; else sets the error. */
MUST_USE bool state_read_end(const struct state_reader *reader, struct error *error);

/* For stages whose state is one number. */
bool state_restore_number(struct string state, uint64_t *number, struct error *error);

#endif
