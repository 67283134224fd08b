/* The cache of answers: see cache.h. A hash table of chains; entries that hold an answer are in a
 * list by age of use, flights are not: nothing evicts them. */
#include "clients/cache.h"

#include <stdlib.h>
#include <string.h>

#include "clients/hash.h"
#include "clients/random.h"
#include "core/fault.h"

#define SLOTS_LEAST    16
#define BLOCK_OVERHEAD 16 /* what the allocator adds to a piece of memory */

struct entry {
    struct entry *chain;         /* next of its slot */
    struct entry *newer, *older; /* by use; answers only */
    uint64_t hash;
    struct cache_flight *flight; /* being fetched; NULL: holds an answer */
    int64_t until;               /* monotonic: not any more at this time */
    char *value;                 /* its own piece of memory; NULL where it is empty */
    size_t value_length;
    size_t key_length;
    enum outcome outcome;
    int status;
    uint32_t flags;
    char key[];
};

/* Lives until its waiters are served; the entry may be evicted meanwhile. */
struct cache_flight {
    struct entry *entry; /* NULL: over */
    struct cache_waiter *first, *last;
};

struct cache {
    struct cache_settings settings;
    uint64_t key[2];
    struct entry **slots;
    uint32_t slot_count; /* a power of two */
    struct entry *newest, *oldest;
    struct cache_counts counts;
};

static size_t entry_size(const struct entry *entry)
{
    size_t size = sizeof(*entry) + entry->key_length + BLOCK_OVERHEAD;
    if (entry->flight)
        size += sizeof(*entry->flight) + BLOCK_OVERHEAD;
    return entry->value ? size + entry->value_length + BLOCK_OVERHEAD : size;
}

struct cache *cache_open(const struct cache_settings *settings, uint64_t seed, struct error *error)
{
    CHECK(settings->entries > 0);
    size_t slots = SLOTS_LEAST;
    /* No more slots than entries, and no more of the memory for them than a quarter. */
    while (slots < settings->entries && slots * 2 * sizeof(struct entry *) <= settings->bytes / 4)
        slots *= 2;
    size_t least = sizeof(struct cache) + slots * sizeof(struct entry *);
    if (least > settings->bytes) {
        error_set(error, ERROR_MEMORY, "a cache needs at least %zu bytes, not %zu", least,
                  settings->bytes);
        return NULL;
    }
    struct cache *cache = memory_take_zeroed(1, sizeof(*cache));
    if (cache)
        cache->slots = memory_take_zeroed(slots, sizeof(*cache->slots));
    if (!cache || !cache->slots) {
        free(cache);
        error_set(error, ERROR_MEMORY, "no memory for a cache");
        return NULL;
    }
    cache->settings = *settings;
    cache->slot_count = (uint32_t)slots;
    cache->counts.bytes = least;
    cache->key[0] = random_bits(&seed);
    cache->key[1] = random_bits(&seed);
    return cache;
}

static void entry_unlink_use(struct cache *cache, struct entry *entry)
{
    *(entry->newer ? &entry->newer->older : &cache->newest) = entry->older;
    *(entry->older ? &entry->older->newer : &cache->oldest) = entry->newer;
    entry->newer = NULL;
    entry->older = NULL;
}

static void entry_link_use(struct cache *cache, struct entry *entry)
{
    entry->newer = NULL;
    entry->older = cache->newest;
    *(cache->newest ? &cache->newest->newer : &cache->oldest) = entry;
    cache->newest = entry;
}

/* Out of the table, and freed; of a flight only after its flight left it. */
static void entry_drop(struct cache *cache, struct entry *entry)
{
    struct entry **place = &cache->slots[entry->hash & (cache->slot_count - 1)];
    while (*place != entry)
        place = &(*place)->chain;
    *place = entry->chain;
    cache->counts.entries--;
    cache->counts.bytes -= entry_size(entry);
    free(entry->value);
    free(entry);
}

static void entry_evict(struct cache *cache, struct entry *entry)
{
    entry_unlink_use(cache, entry);
    entry_drop(cache, entry);
}

/* Makes room for an entry of `size` more bytes by letting the least recently used ones go. */
static bool cache_room(struct cache *cache, size_t size, uint32_t entries)
{
    if (size > cache->settings.bytes)
        return false;
    while (cache->counts.bytes > cache->settings.bytes - size ||
           cache->counts.entries + entries > cache->settings.entries) {
        if (!cache->oldest)
            return false;
        entry_evict(cache, cache->oldest);
        cache->counts.evicted++;
    }
    return true;
}

static struct cache_flight *flight_make(struct cache *cache, struct string key, uint64_t hash)
{
    size_t size =
        sizeof(struct entry) + key.length + sizeof(struct cache_flight) + 2 * BLOCK_OVERHEAD;
    if (key.length > cache->settings.bytes || !cache_room(cache, size, 1))
        return NULL;
    struct entry *entry = memory_take(sizeof(*entry) + key.length);
    struct cache_flight *flight = memory_take_zeroed(1, sizeof(*flight));
    if (!entry || !flight) {
        free(entry);
        free(flight);
        return NULL;
    }
    struct entry **slot = &cache->slots[hash & (cache->slot_count - 1)];
    *entry =
        (struct entry){.chain = *slot, .hash = hash, .flight = flight, .key_length = key.length};
    if (key.length)
        memcpy(entry->key, key.data, key.length);
    *slot = entry;
    flight->entry = entry;
    cache->counts.entries++;
    cache->counts.bytes += entry_size(entry);
    return flight;
}

static void flight_join(struct cache_flight *flight, struct cache_waiter *waiter)
{
    waiter->next = NULL;
    waiter->previous = flight->last;
    waiter->flight = flight;
    *(flight->last ? &flight->last->next : &flight->first) = waiter;
    flight->last = waiter;
}

static struct entry *entry_find(struct cache *cache, struct string key, uint64_t hash)
{
    struct entry *entry = cache->slots[hash & (cache->slot_count - 1)];
    while (entry && (entry->hash != hash ||
                     !string_equal((struct string){entry->key, entry->key_length}, key)))
        entry = entry->chain;
    return entry;
}

enum cache_found cache_find(struct cache *cache, struct string key, int64_t now,
                            struct cache_waiter *waiter, struct cached *found,
                            struct cache_flight **flight)
{
    uint64_t hash = hash_bytes(cache->key, key);
    struct entry *entry = entry_find(cache, key, hash);
    *flight = NULL;
    waiter->flight = NULL;
    if (entry && entry->flight) {
        flight_join(entry->flight, waiter);
        cache->counts.joined++;
        return CACHE_PENDING;
    }
    if (entry && now < entry->until) {
        entry_unlink_use(cache, entry);
        entry_link_use(cache, entry);
        *found = (struct cached){.value = {entry->value, entry->value_length},
                                 .outcome = entry->outcome,
                                 .status = entry->status,
                                 .flags = entry->flags};
        cache->counts.hits++;
        return CACHE_HIT;
    }
    if (entry) {
        entry_evict(cache, entry);
        cache->counts.expired++;
    }
    cache->counts.misses++;
    *flight = flight_make(cache, key, hash);
    return CACHE_MISS;
}

/* The entry leaves its flight, which lives on for those who wait. */
static struct entry *flight_end(struct cache *cache, struct cache_flight *flight)
{
    struct entry *entry = flight->entry;
    CHECK(entry && entry->flight == flight);
    cache->counts.bytes -= entry_size(entry);
    entry->flight = NULL;
    flight->entry = NULL;
    cache->counts.bytes += entry_size(entry);
    return entry;
}

void cache_fill(struct cache *cache, struct cache_flight *flight, const struct cached *answer,
                int64_t now, bool negative)
{
    if (!flight)
        return;
    struct entry *entry = flight_end(cache, flight);
    int64_t live = negative ? cache->settings.live_failure : cache->settings.live;
    size_t length = answer->value.length;
    bool kept = live > 0 && length <= cache->settings.bytes &&
                cache_room(cache, length ? length + BLOCK_OVERHEAD : 0, 0);
    if (kept && length) {
        entry->value = memory_take(length);
        kept = entry->value != NULL;
    }
    if (!kept) {
        entry_drop(cache, entry);
        return;
    }
    if (length) {
        memcpy(entry->value, answer->value.data, length);
        entry->value_length = length;
        cache->counts.bytes += length + BLOCK_OVERHEAD;
    }
    entry->outcome = answer->outcome;
    entry->status = answer->status;
    entry->flags = answer->flags;
    if (__builtin_add_overflow(now, live, &entry->until))
        entry->until = INT64_MAX;
    entry_link_use(cache, entry);
}

void cache_fail(struct cache *cache, struct cache_flight *flight)
{
    if (flight)
        entry_drop(cache, flight_end(cache, flight));
}

struct cache_waiter *cache_waiter_next(struct cache *cache, struct cache_flight *flight)
{
    (void)cache;
    if (!flight)
        return NULL;
    CHECK(!flight->entry); /* over: filled or failed */
    struct cache_waiter *waiter = flight->first;
    if (waiter)
        cache_leave(waiter);
    else
        free(flight);
    return waiter;
}

void cache_leave(struct cache_waiter *waiter)
{
    struct cache_flight *flight = waiter->flight;
    if (!flight)
        return;
    *(waiter->previous ? &waiter->previous->next : &flight->first) = waiter->next;
    *(waiter->next ? &waiter->next->previous : &flight->last) = waiter->previous;
    waiter->flight = NULL;
}

void cache_close(struct cache *cache)
{
    if (!cache)
        return;
    for (uint32_t i = 0; i < cache->slot_count; i++) {
        struct entry *next;
        for (struct entry *entry = cache->slots[i]; entry; entry = next) {
            next = entry->chain;
            CHECK(!entry->flight || !entry->flight->first);
            free(entry->flight);
            free(entry->value);
            free(entry);
        }
    }
    free(cache->slots);
    free(cache);
}

void cache_counts(const struct cache *cache, struct cache_counts *counts)
{
    *counts = cache->counts;
}
