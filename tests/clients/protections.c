/* Backoff, budget, percentiles, heap and hash, each against something simple. */
#include <stdlib.h>
#include <string.h>

#include "clients/backoff.h"
#include "clients/hash.h"
#include "clients/heap.h"
#include "clients/latency.h"
#include "clients/random.h"
#include "tests/core/random.h"
#include "tests/suite.h"

#define MILLISECOND INT64_C(1000000)
#define SECOND      INT64_C(1000000000)

/* Uniform in [least, bound]: ten cells of equal width get equally many (chi square, 9 degrees of
 * freedom: above 27.9 once in 1,000 times; the seed is fixed). */
static void test_jitter(void)
{
    uint64_t random = 42;
    for (uint32_t retry = 1; retry <= 12; retry++) {
        int64_t bound = (200 * MILLISECOND) << retry;
        if (bound > 10 * SECOND)
            bound = 10 * SECOND;
        unsigned cells[10] = {0};
        for (unsigned i = 0; i < 20000; i++) {
            int64_t delay = backoff_delay(200 * MILLISECOND, 10 * SECOND, retry, 0, &random);
            CU_ASSERT_FATAL(delay >= 200 * MILLISECOND && delay <= bound);
            int64_t cell = (delay - 200 * MILLISECOND) * 10 / (bound - 200 * MILLISECOND + 1);
            cells[cell]++;
        }
        double chi = 0;
        for (unsigned i = 0; i < 10; i++)
            chi += (cells[i] - 2000.0) * (cells[i] - 2000.0) / 2000.0;
        CU_ASSERT(chi < 27.9);
    }
}

static void test_backoff_edges(void)
{
    uint64_t random = 1, again = 1;
    for (unsigned i = 0; i < 1000; i++) {
        int64_t delay = backoff_delay(MILLISECOND, SECOND, 1 + i % 40, 0, &random);
        CU_ASSERT_EQUAL(backoff_delay(MILLISECOND, SECOND, 1 + i % 40, 0, &again), delay);
    }
    CU_ASSERT_EQUAL(backoff_delay(SECOND, SECOND, 5, 0, &random), SECOND);
    CU_ASSERT_EQUAL(backoff_delay(SECOND, MILLISECOND, 5, 0, &random), SECOND);
    CU_ASSERT_EQUAL(backoff_delay(0, 0, 5, 0, &random), 0);
    for (unsigned i = 0; i < 1000; i++) {
        int64_t delay = backoff_delay(0, INT64_MAX, UINT32_MAX, 0, &random);
        CU_ASSERT(delay >= 0);
        delay = backoff_delay(SECOND, 10 * SECOND, 3, 60 * SECOND, &random);
        CU_ASSERT(delay >= 60 * SECOND && delay <= 61 * SECOND);
        delay = backoff_delay(SECOND, 10 * SECOND, 3, INT64_MAX, &random);
        CU_ASSERT(delay > INT64_MAX - SECOND);
        CU_ASSERT(backoff_delay(SECOND, 10 * SECOND, 3, 1, &random) >= SECOND);
    }
}

static void test_budget(void)
{
    struct retry_budget budget = {.share = 0.2};
    for (unsigned i = 0; i < 10; i++)
        CU_ASSERT(retry_budget_spend(&budget, 1));
    CU_ASSERT_FALSE(retry_budget_spend(&budget, 1));
    budget.firsts = 4;
    CU_ASSERT_FALSE(retry_budget_spend(&budget, 1));
    budget.firsts = 5;
    CU_ASSERT_FALSE(retry_budget_spend(&budget, 2));
    CU_ASSERT(retry_budget_spend(&budget, 1));
    CU_ASSERT_FALSE(retry_budget_spend(&budget, 1));
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void check_percentiles(const struct latency *latency, int64_t *samples, size_t count)
{
    static const double shares[] = {0.0, 0.01, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0};
    qsort(samples, count, sizeof(*samples), compare);
    for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
        double exact = shares[i] * (double)count;
        size_t rank = (size_t)exact + ((double)(size_t)exact < exact);
        int64_t least = samples[rank ? rank - 1 : 0];
        int64_t got = latency_at(latency, shares[i]);
        CU_ASSERT(got >= least && got - least <= least / 64);
    }
}

static void test_percentiles(void)
{
    static struct latency latency;
    static int64_t samples[20000];
    uint64_t state = 7;
    CU_ASSERT_EQUAL(latency_at(&latency, 0.5), 0);
    for (unsigned kind = 0; kind < 3; kind++) {
        memset(&latency, 0, sizeof(latency));
        for (size_t i = 0; i < 20000; i++) {
            unsigned bits = kind == 0 ? 24 : kind == 1 ? 5 : 1 + random_next(&state) % 63;
            samples[i] = (int64_t)(random_next(&state) >> (64 - bits));
            latency_add(&latency, samples[i]);
        }
        check_percentiles(&latency, samples, 20000);
    }
    memset(&latency, 0, sizeof(latency));
    latency_add(&latency, -5);
    latency_add(&latency, INT64_MAX);
    CU_ASSERT_EQUAL(latency_at(&latency, 0.5), 0);
    CU_ASSERT_EQUAL(latency_at(&latency, 1), INT64_MAX);
    memset(&latency, 0, sizeof(latency));
    for (unsigned i = 0; i < 1000; i++)
        latency_add(&latency, 1000 * MILLISECOND);
    for (unsigned i = 0; i < 12; i++) { /* the past fades */
        latency_halve(&latency);
        for (unsigned j = 0; j < 500; j++)
            latency_add(&latency, 10 * MILLISECOND);
    }
    CU_ASSERT(latency_at(&latency, 0.99) < 11 * MILLISECOND);
}

/* Random additions and removals; the least is always the least of all that are in. */
static void test_heap(void)
{
    static struct heap_item items[100];
    struct heap heap;
    uint64_t state = 3;
    CU_ASSERT_FATAL(heap_open(&heap, 100));
    for (unsigned turn = 0; turn < 30000; turn++) {
        struct heap_item *item = &items[random_below(&state, 100)];
        if (item->place)
            heap_remove(&heap, item);
        else
            heap_add(&heap, item, (int64_t)random_below(&state, 50) - 25);
        int64_t least = INT64_MAX;
        uint32_t count = 0;
        for (unsigned i = 0; i < 100; i++)
            if (items[i].place) {
                count++;
                least = items[i].key < least ? items[i].key : least;
            }
        CU_ASSERT_EQUAL_FATAL(heap.count, count);
        CU_ASSERT_FATAL(count == 0 ? !heap_first(&heap) : heap_first(&heap)->key == least);
    }
    heap_remove(&heap, &(struct heap_item){0}); /* in no heap: nothing happens */
    heap_close(&heap);
}

/* SipHash-2-4: appendix A of the paper, and the first and last vectors of its reference
 * implementation (key 00 01 … 0f, text 00 01 …). */
static void test_hash(void)
{
    static const uint64_t key[2] = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};
    char text[64];
    for (unsigned i = 0; i < 64; i++)
        text[i] = (char)i;
    CU_ASSERT_EQUAL(hash_sip(key, (struct string){text, 15}, 2, 4), 0xa129ca6149be45e5u);
    CU_ASSERT_EQUAL(hash_sip(key, (struct string){text, 0}, 2, 4), 0x726fdb47dd0e0e31u);
    CU_ASSERT_EQUAL(hash_sip(key, (struct string){text, 1}, 2, 4), 0x74f839c593dc67fdu);
    CU_ASSERT_EQUAL(hash_sip(key, (struct string){text, 8}, 2, 4), 0x93f5f5799a932462u);
    CU_ASSERT_NOT_EQUAL(hash_bytes(key, (struct string){text, 8}),
                        hash_bytes(key, (struct string){text, 9}));
}

static void test_random(void)
{
    /* The first three numbers of SplitMix64 from seed 1234567 (its reference implementation). */
    uint64_t state = 1234567;
    CU_ASSERT_EQUAL(random_bits(&state), 6457827717110365317u);
    CU_ASSERT_EQUAL(random_bits(&state), 3203168211198807973u);
    CU_ASSERT_EQUAL(random_bits(&state), 9817491932198370423u);
    for (unsigned i = 0; i < 1000; i++) {
        int64_t number = random_between(&state, -3, 3);
        CU_ASSERT(number >= -3 && number <= 3);
        CU_ASSERT_EQUAL(random_between(&state, 9, 9), 9);
        double share = random_share(&state);
        CU_ASSERT(share >= 0 && share < 1);
        random_between(&state, INT64_MIN, INT64_MAX);
    }
}

SUITE(protections, {"full jitter", test_jitter}, {"backoff's edges", test_backoff_edges},
      {"the retry budget", test_budget}, {"percentiles against sorting", test_percentiles},
      {"the heap against searching", test_heap}, {"SipHash's vectors", test_hash},
      {"random numbers", test_random})
