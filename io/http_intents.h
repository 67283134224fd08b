/* The log of intents of a sink that sends: before a request goes out, which records it holds is
 * written down and synced, so that a run after a crash sends it again with the same bounds, and so
 * with the same key. A line for each: the commit behind which it stands, its first and last record,
 * how many there are, and a CRC-32. Blocking; one thread at a time. */
#ifndef LEAT_IO_HTTP_INTENTS_H
#define LEAT_IO_HTTP_INTENTS_H

#include "core/error.h"

#define HTTP_PLACE_SIZE 48

struct http_intent {
    char from[HTTP_PLACE_SIZE]; /* the places of its first and last record */
    char to[HTTP_PLACE_SIZE];
    uint32_t count;
};

struct http_intents {
    char *path;
    int fd; /* -1: not open */
    uint64_t length;
    uint64_t number; /* of the commit before those that are added */
    /* Of the run before, behind that commit: what may have arrived or not. */
    struct http_intent *found;
    uint32_t found_count;
};

/* Opens the log, or makes it; finds what was noted behind commit `number`, and drops a torn end.
 * `intents` is all zero but for its path, which is malloc'ed. */
bool http_intents_open(struct http_intents *intents, uint64_t number, struct error *error);
/* The count of the intent that begins at the place, which is given once; 0: there is none. */
uint32_t http_intents_take(struct http_intents *intents, const char *from);
/* Adds lines and syncs. */
bool http_intents_add(struct http_intents *intents, const struct http_intent *added, uint32_t count,
                      struct error *error);
/* All of them were answered, and commit `number` says so: the log begins anew. */
bool http_intents_clear(struct http_intents *intents, uint64_t number, struct error *error);
void http_intents_close(struct http_intents *intents);

#endif
