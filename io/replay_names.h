/* The names of fields of replayed records, by the header that a line brings: made once, kept as
 * long as the source. The source's thread, but for open and close. */
#ifndef LEAT_IO_REPLAY_NAMES_H
#define LEAT_IO_REPLAY_NAMES_H

#include "core/format.h"
#include "io/reject_line.h"

/* Headers of one file at most: each stays in memory. */
#define REPLAY_HEADERS 1000

struct replay_header {
    struct string raw; /* as it stands in the lines */
    struct field_names *names;
};

struct replay_names {
    const struct format *format;
    struct field_names *plain; /* of lines without a header; NULL: the format has no names */
    struct replay_header *headers;
    uint32_t count;
    uint32_t last; /* found */
};

/* `sample`: a line by whose record the fields of those without a header are counted, or NULL. */
bool replay_names_open(struct replay_names *names, const struct format *format,
                       const struct reject_line *sample, struct error *error);
void replay_names_close(struct replay_names *names);
/* The names under a header (data NULL: none). NULL, or why there are none (static text). */
const char *replay_names_find(struct replay_names *names, struct string raw,
                              const struct field_names **found);

#endif
