/* The token bucket: events at a rate, with a burst saved up. Exact: over any interval of t seconds
 * no more than burst + rate * t events pass, and a patient caller gets no less in the long run.
 * Any thread may take; a bucket may have several users (a named limit). */
#ifndef LEAT_CLIENTS_BUCKET_H
#define LEAT_CLIENTS_BUCKET_H

#include "core/error.h"
#include "core/stage.h"

struct bucket;

/* `rate` events a second (> 0), at most `burst` (at least 1) at once after a pause; begins full.
 * NULL: no memory. One user, the caller. */
struct bucket *bucket_open(double rate, int64_t burst);
/* The bucket of this name, one more user. The first to name it gives its rate; the others give 0,
 * or the same rate. Main thread, before the run; the name's text must live as long as the bucket.
 * NULL: see the error. */
struct bucket *bucket_shared(struct shared_limits *shared, struct string name, double rate,
                             int64_t burst, struct error *error);
/* One user less; the last one frees it. NULL is fine. Main thread. */
void bucket_close(struct bucket *bucket);
/* How many of `wanted` may pass now; where none may, *wake is when the next one may (monotonic,
 * nanoseconds; else it is left alone). Any thread. */
uint32_t bucket_take(struct bucket *bucket, uint32_t wanted, int64_t *wake);

#endif
