/* Circuit breakers, one for each peer (Nygard, "Release It!", 2007). Closed: everything passes;
 * `failures` failures in a row open it. Open: nothing passes for `pause`. Half-open: exactly
 * `trials` requests pass; if all come back good it closes, at the first bad one it opens again.
 *
 * Only peers that failed since they last answered need memory, so a bounded number is kept
 * (BREAKER_PEERS); when so many fail at once, further peers are not watched: they pass. One thread;
 * time comes from the caller. */
#ifndef LEAT_CLIENTS_BREAKER_H
#define LEAT_CLIENTS_BREAKER_H

#include "core/base.h"

#define BREAKER_PEERS 256

struct breaker_settings {
    uint32_t failures; /* in a row, until it opens; > 0 */
    int64_t pause;     /* nanoseconds */
    uint32_t trials;   /* > 0 */
    void *context;
    /* "open", "half-open", "closed", and why. May be NULL. */
    void (*changed)(void *context, struct string peer, const char *state, const char *reason);
};

struct breakers;
/* NULL: no memory. Settings are copied. */
struct breakers *breakers_open(const struct breaker_settings *settings, uint64_t seed);
void breakers_close(struct breakers *breakers);

/* May a request to this peer be sent now? Changes nothing that a second question would notice. */
bool breakers_allow(struct breakers *breakers, struct string peer, int64_t now);
/* A request is sent, after breakers_allow said so. The permit goes with it, and exactly one of
 * breakers_result and breakers_return ends it. */
uint64_t breakers_pass(struct breakers *breakers, struct string peer, int64_t now);
/* What came of it. `reason` ("timeout", "status 503") is shown when this opens the breaker. Results
 * of requests that were sent before it opened, or before it was half-open, do not count then. */
void breakers_result(struct breakers *breakers, struct string peer, uint64_t permit, bool good,
                     const char *reason, int64_t now);
/* It was cancelled or says nothing about the peer: a trial may be made again. */
void breakers_return(struct breakers *breakers, struct string peer, uint64_t permit);
/* How often breakers opened and closed again. */
uint64_t breakers_opened(const struct breakers *breakers);
uint64_t breakers_closed(const struct breakers *breakers);

#endif
