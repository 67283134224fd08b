/* Circuit breakers: see breaker.h. */
#include "clients/breaker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/hash.h"
#include "clients/random.h"
#include "core/fault.h"

#define BREAKER_SLOTS 512 /* of the hash table; a power of two */
#define BREAKER_NAME  256 /* bytes of a name that are kept to be shown */

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

/* One peer that failed since it last answered. */
struct breaker {
    struct breaker *next; /* of its slot, or of the free ones */
    uint64_t hash[2];     /* two keyed hashes of the whole name: they are its identity */
    enum breaker_state state;
    uint32_t failures; /* in a row, while closed */
    uint32_t sent;     /* trials under way or good */
    uint32_t good;     /* trials */
    uint64_t since;    /* permits below this one are older than its state */
    int64_t until;     /* open: monotonic */
    uint32_t length;
    char name[BREAKER_NAME];
};

struct breakers {
    struct breaker_settings settings;
    uint64_t key[4];
    uint64_t permit; /* grows with each change of any breaker */
    uint64_t opened, closed;
    uint32_t watched; /* peers in the table */
    struct breaker *slots[BREAKER_SLOTS];
    struct breaker *unused;
    struct breaker peers[BREAKER_PEERS];
};

struct breakers *breakers_open(const struct breaker_settings *settings, uint64_t seed)
{
    CHECK(settings->failures > 0 && settings->trials > 0);
    struct breakers *breakers = memory_take_zeroed(1, sizeof(*breakers));
    if (!breakers)
        return NULL;
    breakers->settings = *settings;
    breakers->permit = 1;
    for (size_t i = 0; i < ARRAY_SIZE(breakers->key); i++)
        breakers->key[i] = random_bits(&seed);
    for (size_t i = BREAKER_PEERS; i-- > 0;) {
        breakers->peers[i].next = breakers->unused;
        breakers->unused = &breakers->peers[i];
    }
    return breakers;
}

void breakers_close(struct breakers *breakers)
{
    free(breakers);
}

/* Where the pointer to the peer's breaker is, or would be. */
static struct breaker **breaker_place(struct breakers *breakers, struct string peer,
                                      uint64_t hash[2])
{
    hash[0] = hash_bytes(breakers->key, peer);
    hash[1] = hash_bytes(breakers->key + 2, peer);
    struct breaker **place = &breakers->slots[hash[0] % BREAKER_SLOTS];
    while (*place && ((*place)->hash[0] != hash[0] || (*place)->hash[1] != hash[1]))
        place = &(*place)->next;
    return place;
}

static struct breaker *breaker_find(struct breakers *breakers, struct string peer)
{
    uint64_t hash[2];
    if (LIKELY(breakers->watched == 0))
        return NULL; /* all is well: not even a hash */
    return *breaker_place(breakers, peer, hash);
}

static void breaker_tell(struct breakers *breakers, const struct breaker *breaker,
                         const char *state, const char *reason)
{
    struct string peer = {breaker->name, breaker->length};
    if (breakers->settings.changed)
        breakers->settings.changed(breakers->settings.context, peer, state, reason);
}

static void breaker_trip(struct breakers *breakers, struct breaker *breaker, const char *reason,
                         int64_t now)
{
    breaker->state = BREAKER_OPEN;
    if (__builtin_add_overflow(now, breakers->settings.pause, &breaker->until))
        breaker->until = INT64_MAX;
    breaker->since = ++breakers->permit;
    breakers->opened++;
    breaker_tell(breakers, breaker, "open", reason);
}

bool breakers_allow(struct breakers *breakers, struct string peer, int64_t now)
{
    const struct breaker *breaker = breaker_find(breakers, peer);
    if (LIKELY(!breaker) || breaker->state == BREAKER_CLOSED)
        return true;
    if (breaker->state == BREAKER_OPEN)
        return now >= breaker->until;
    return breaker->sent < breakers->settings.trials;
}

uint64_t breakers_pass(struct breakers *breakers, struct string peer, int64_t now)
{
    struct breaker *breaker = breaker_find(breakers, peer);
    if (LIKELY(!breaker))
        return breakers->permit;
    if (breaker->state == BREAKER_OPEN) {
        CHECK(now >= breaker->until);
        breaker->state = BREAKER_HALF_OPEN;
        breaker->sent = 0;
        breaker->good = 0;
        breaker->since = ++breakers->permit;
        breaker_tell(breakers, breaker, "half-open", "the pause is over");
    }
    if (breaker->state == BREAKER_HALF_OPEN) {
        CHECK(breaker->sent < breakers->settings.trials);
        breaker->sent++;
    }
    return breakers->permit;
}

static struct breaker *breaker_make(struct breakers *breakers, struct breaker **place,
                                    struct string peer, const uint64_t hash[2])
{
    struct breaker *breaker = breakers->unused;
    if (!breaker)
        return NULL;
    breakers->unused = breaker->next;
    breakers->watched++;
    *breaker = (struct breaker){.hash = {hash[0], hash[1]}, .next = *place};
    breaker->length = (uint32_t)size_min(peer.length, BREAKER_NAME);
    if (breaker->length)
        memcpy(breaker->name, peer.data, breaker->length);
    *place = breaker;
    return breaker;
}

/* Its failures are forgotten. */
static void breaker_free(struct breakers *breakers, struct breaker **place)
{
    struct breaker *breaker = *place;
    *place = breaker->next;
    breaker->next = breakers->unused;
    breakers->unused = breaker;
    breakers->watched--;
}

static void result_good(struct breakers *breakers, struct breaker **place)
{
    struct breaker *breaker = *place;
    if (breaker->state == BREAKER_HALF_OPEN && ++breaker->good < breakers->settings.trials)
        return;
    if (breaker->state == BREAKER_HALF_OPEN) {
        breakers->closed++;
        breakers->permit++;
        breaker_tell(breakers, breaker, "closed", "the trial requests were answered");
    }
    breaker_free(breakers, place);
}

void breakers_result(struct breakers *breakers, struct string peer, uint64_t permit, bool good,
                     const char *reason, int64_t now)
{
    uint64_t hash[2];
    if (good && !breaker_find(breakers, peer))
        return;
    struct breaker **place = breaker_place(breakers, peer, hash);
    struct breaker *breaker = *place;
    if (breaker && (permit < breaker->since || breaker->state == BREAKER_OPEN))
        return;
    if (good) {
        result_good(breakers, place);
        return;
    }
    if (!breaker && !(breaker = breaker_make(breakers, place, peer, hash)))
        return;
    if (breaker->state == BREAKER_HALF_OPEN) {
        breaker_trip(breakers, breaker, reason, now);
    } else if (++breaker->failures >= breakers->settings.failures) {
        char text[200];
        snprintf(text, sizeof(text), "%u failures in a row, the last one: %s", breaker->failures,
                 reason);
        breaker_trip(breakers, breaker, text, now);
    }
}

void breakers_return(struct breakers *breakers, struct string peer, uint64_t permit)
{
    struct breaker *breaker = breaker_find(breakers, peer);
    if (breaker && breaker->state == BREAKER_HALF_OPEN && permit >= breaker->since) {
        CHECK(breaker->sent > 0);
        breaker->sent--;
    }
}

uint64_t breakers_opened(const struct breakers *breakers)
{
    return breakers->opened;
}

uint64_t breakers_closed(const struct breakers *breakers)
{
    return breakers->closed;
}
