/* The cache against a plain model (an array that is searched), its times, its bounds and the single
 * flight. */
#include "clients/cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/core/random.h"
#include "tests/suite.h"

static struct cache *open_cache(uint32_t entries, size_t bytes, int64_t live, int64_t live_failure)
{
    struct error error;
    struct cache_settings settings = {entries, bytes, live, live_failure};
    struct cache *cache = cache_open(&settings, 99, &error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(cache);
    return cache;
}

static struct string text(const char *bytes)
{
    return (struct string){bytes, strlen(bytes)};
}

static void fill(struct cache *cache, struct cache_flight *flight, const char *value, int64_t now,
                 bool negative)
{
    struct cached answer = {
        .value = text(value), .outcome = OUTCOME_ANSWER, .status = negative ? 404 : 200};
    cache_fill(cache, flight, &answer, now, negative);
    CU_ASSERT_PTR_NULL(cache_waiter_next(cache, flight));
}

static void test_times(void)
{
    struct cache_waiter waiter;
    struct cached found;
    struct cache_flight *flight;
    struct cache *cache = open_cache(10, 10000, 1000, 50);
    CU_ASSERT_EQUAL(cache_find(cache, text("a"), 5, &waiter, &found, &flight), CACHE_MISS);
    fill(cache, flight, "one", 7, false);
    CU_ASSERT_EQUAL(cache_find(cache, text("a"), 1006, &waiter, &found, &flight), CACHE_HIT);
    CU_ASSERT(string_equal(found.value, text("one")) && found.status == 200);
    CU_ASSERT_EQUAL(cache_find(cache, text("a"), 1007, &waiter, &found, &flight), CACHE_MISS);
    fill(cache, flight, "not found", 2000, true);
    CU_ASSERT_EQUAL(cache_find(cache, text("a"), 2049, &waiter, &found, &flight), CACHE_HIT);
    CU_ASSERT(string_equal(found.value, text("not found")) && found.status == 404);
    CU_ASSERT_EQUAL(cache_find(cache, text("a"), 2050, &waiter, &found, &flight), CACHE_MISS);
    cache_fail(cache, flight);
    CU_ASSERT_PTR_NULL(cache_waiter_next(cache, flight));
    CU_ASSERT_EQUAL(cache_find(cache, text(""), 0, &waiter, &found, &flight), CACHE_MISS);
    fill(cache, flight, "", INT64_MAX - 5, false); /* empty key, empty value, end of time */
    CU_ASSERT_EQUAL(cache_find(cache, text(""), INT64_MAX - 1, &waiter, &found, &flight),
                    CACHE_HIT);
    CU_ASSERT_EQUAL(found.value.length, 0);
    cache_close(cache);

    cache = open_cache(10, 10000, 1000, 0); /* failures are not kept */
    CU_ASSERT_EQUAL(cache_find(cache, text("a"), 0, &waiter, &found, &flight), CACHE_MISS);
    fill(cache, flight, "x", 0, true);
    CU_ASSERT_EQUAL(cache_find(cache, text("a"), 0, &waiter, &found, &flight), CACHE_MISS);
    cache_fail(cache, flight);
    cache_waiter_next(cache, flight);
    cache_close(cache);
}

static void test_single_flight(void)
{
    enum { MANY = 50 };
    struct cache_waiter waiters[MANY], other;
    struct cached found;
    struct cache_flight *flight, *flight_b, *none;
    struct cache *cache = open_cache(10, 100000, 1000, 0);
    CU_ASSERT_EQUAL(cache_find(cache, text("a"), 0, &other, &found, &flight), CACHE_MISS);
    CU_ASSERT_EQUAL(cache_find(cache, text("b"), 0, &other, &found, &flight_b), CACHE_MISS);
    for (size_t i = 0; i < MANY; i++) {
        waiters[i].owner = &waiters[i];
        CU_ASSERT_EQUAL(cache_find(cache, text("a"), 1, &waiters[i], &found, &none), CACHE_PENDING);
    }
    cache_leave(&waiters[0]);
    cache_leave(&waiters[17]);
    cache_leave(&waiters[MANY - 1]);
    cache_leave(&waiters[17]); /* twice is once */
    struct cached answer = {.value = text("x"), .status = 200};
    cache_fill(cache, flight, &answer, 2, false);
    /* While the waiters are served, the key may be found, evicted, asked for again. */
    CU_ASSERT_EQUAL(cache_find(cache, text("a"), 3, &other, &found, &none), CACHE_HIT);
    for (size_t i = 0; i < MANY; i++) { /* first come first, each once */
        if (i == 0 || i == 17 || i == MANY - 1)
            continue;
        struct cache_waiter *waiter = cache_waiter_next(cache, flight);
        CU_ASSERT_PTR_EQUAL_FATAL(waiter, &waiters[i]);
        CU_ASSERT_PTR_EQUAL(waiter->owner, waiter);
        if (i == 20)
            CU_ASSERT_EQUAL(cache_find(cache, text("a"), 5000, &other, &found, &none), CACHE_MISS);
        if (i == 21) {
            CU_ASSERT_EQUAL(cache_find(cache, text("a"), 5000, &waiters[0], &found, &flight_b),
                            CACHE_PENDING);
            cache_leave(&waiters[0]);
            cache_fail(cache, none);
            CU_ASSERT_PTR_NULL(cache_waiter_next(cache, none));
        }
    }
    CU_ASSERT_PTR_NULL(cache_waiter_next(cache, flight));
    struct cache_counts counts;
    cache_counts(cache, &counts);
    CU_ASSERT_EQUAL(counts.joined, MANY + 1);
    CU_ASSERT_EQUAL(counts.misses, 3);
    cache_close(cache); /* b's flight was never over: closed with it */
}

#define MODEL_KEYS 60
struct model_entry {
    bool present, flying;
    int64_t until;
    uint64_t used;
    char value[64];
};

static void model_key(char *key, uint64_t number)
{
    snprintf(key, 24, "key-%llu", (unsigned long long)number);
}

/* Bounded by entries: the model knows exactly what must be found. */
static void test_model(void)
{
    for (uint32_t most = 1; most <= 40; most += 13) {
        static struct model_entry model[MODEL_KEYS];
        struct cache_flight *flights[MODEL_KEYS] = {0};
        struct cache_waiter waiter;
        struct cached found;
        uint64_t state = most, clock = 0;
        int64_t now = 0;
        struct cache *cache = open_cache(most, 1 << 20, 500, 100);
        memset(model, 0, sizeof(model));
        for (unsigned turn = 0; turn < 20000; turn++) {
            uint64_t k = random_below(&state, MODEL_KEYS);
            char key[24];
            model_key(key, k);
            struct model_entry *entry = &model[k];
            now += (int64_t)random_below(&state, 8);
            if (entry->flying) { /* it comes back */
                bool negative = random_below(&state, 4) == 0;
                snprintf(entry->value, sizeof(entry->value), "%0*u",
                         1 + (int)random_below(&state, 60), turn);
                fill(cache, flights[k], entry->value, now, negative);
                entry->flying = false;
                entry->present = flights[k] != NULL;
                entry->until = now + (negative ? 100 : 500);
                entry->used = ++clock;
                continue;
            }
            enum cache_found what = cache_find(cache, text(key), now, &waiter, &found, &flights[k]);
            if (entry->present && now < entry->until) {
                CU_ASSERT_EQUAL_FATAL(what, CACHE_HIT);
                CU_ASSERT(string_equal(found.value, text(entry->value)));
                entry->used = ++clock;
                continue;
            }
            CU_ASSERT_EQUAL_FATAL(what, CACHE_MISS);
            entry->present = false;
            entry->flying = true;
            /* Room for it: the least recently used answer goes, if there is one. */
            unsigned held = 0, oldest = MODEL_KEYS;
            for (unsigned i = 0; i < MODEL_KEYS; i++) {
                held += model[i].present || (model[i].flying && i != k && flights[i]);
                if (model[i].present &&
                    (oldest == MODEL_KEYS || model[i].used < model[oldest].used))
                    oldest = i;
            }
            CU_ASSERT_EQUAL(flights[k] != NULL, held < most || oldest < MODEL_KEYS);
            if (held >= most && oldest < MODEL_KEYS)
                model[oldest].present = false;
            struct cache_counts counts;
            cache_counts(cache, &counts);
            CU_ASSERT(counts.entries <= most);
        }
        cache_close(cache);
    }
}

/* Bounded by bytes: the account never passes the limit, and returns to where it began. */
static void test_bytes(void)
{
    static char value[5000], key[3000];
    uint64_t state = 77;
    memset(value, 'v', sizeof(value));
    for (size_t bytes = 1000; bytes < 200000; bytes *= 3) {
        struct cache *cache = open_cache(1000, bytes, 100, 0);
        struct cache_counts counts;
        struct cache_waiter waiter;
        struct cached found;
        struct cache_flight *flight;
        for (unsigned i = 0; i < 3000; i++) {
            memset(key, 'a' + (int)random_below(&state, 20), sizeof(key));
            size_t key_length = random_below(&state, 20) == 0 ? sizeof(key) : 10;
            if (cache_find(cache, (struct string){key, key_length}, i, &waiter, &found, &flight) !=
                CACHE_MISS)
                continue;
            size_t length = random_below(&state, random_below(&state, sizeof(value)) + 1);
            struct cached answer = {.value = {value, length}, .status = 200};
            cache_fill(cache, flight, &answer, i, false);
            CU_ASSERT_PTR_NULL(cache_waiter_next(cache, flight));
            cache_counts(cache, &counts);
            CU_ASSERT(counts.bytes <= bytes);
        }
        CU_ASSERT(counts.hits > 0 && counts.evicted > 0);
        CU_ASSERT(counts.bytes > bytes / 4); /* and it is used */
        cache_close(cache);
    }
    struct error error;
    struct cache_settings small = {10, 50, 1, 1};
    CU_ASSERT_PTR_NULL(cache_open(&small, 1, &error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "at least"));
}

SUITE(cache, {"times to live, to the nanosecond", test_times},
      {"one flight for each key", test_single_flight}, {"against a plain model", test_model},
      {"never above its bytes", test_bytes})
