/* The queues under threads: nothing lost, nothing twice, in order where order is promised. */
#include "pipeline/ring.h"

#include <pthread.h>
#include <stdlib.h>

#include "tests/suite.h"

#define ITEMS     200000
#define THREADS   3
#define RING_SIZE 16

static struct ring ring;
static struct batch *items;
static atomic_uchar *seen;
static atomic_uint taken;

/* Producer i pushes items i, i + THREADS, … in this order. */
static void *produce(void *argument)
{
    for (uintptr_t i = (uintptr_t)argument; i < ITEMS; i += THREADS)
        while (!ring_push(&ring, &items[i]))
            sched_yield();
    return NULL;
}

/* Of one producer's items each consumer sees later ones later. NULL: all was well. */
static void *consume(void *argument)
{
    (void)argument;
    uint64_t last[THREADS] = {0};
    void *wrong = NULL;
    while (atomic_load(&taken) < ITEMS) {
        struct batch *batch = ring_pop(&ring);
        if (!batch) {
            sched_yield();
            continue;
        }
        atomic_fetch_add(&taken, 1);
        size_t index = (size_t)(batch - items);
        if (atomic_fetch_add(&seen[index], 1) != 0 || batch->seq != index ||
            index + 1 <= last[index % THREADS])
            wrong = batch;
        last[index % THREADS] = index + 1;
    }
    return wrong;
}

static void test_many_to_many(void)
{
    struct error error;
    pthread_t producers[THREADS], consumers[THREADS];
    items = calloc(ITEMS, sizeof(*items));
    seen = calloc(ITEMS, sizeof(*seen));
    CU_ASSERT_FATAL(items && seen && ring_open(&ring, RING_SIZE, &error));
    atomic_store(&taken, 0);
    for (size_t i = 0; i < ITEMS; i++)
        items[i].seq = i;
    for (uintptr_t i = 0; i < THREADS; i++)
        CU_ASSERT_FATAL(!pthread_create(&producers[i], NULL, produce, (void *)i) &&
                        !pthread_create(&consumers[i], NULL, consume, NULL));
    for (unsigned i = 0; i < THREADS; i++) {
        void *wrong;
        CU_ASSERT(pthread_join(producers[i], NULL) == 0);
        CU_ASSERT(pthread_join(consumers[i], &wrong) == 0);
        CU_ASSERT_PTR_NULL(wrong);
    }
    unsigned once = 0;
    for (size_t i = 0; i < ITEMS; i++)
        once += atomic_load(&seen[i]) == 1;
    CU_ASSERT_EQUAL(once, ITEMS);
    CU_ASSERT_PTR_NULL(ring_pop(&ring));
    ring_close(&ring);
    free(items);
    free(seen);
}

static void test_full_and_empty(void)
{
    struct error error;
    static struct batch batches[20];
    for (size_t size = 1; size <= 9; size++) {
        unsigned room = 0;
        CU_ASSERT_FATAL(ring_open(&ring, size, &error));
        for (unsigned round = 0; round < 5; round++) {
            CU_ASSERT_PTR_NULL(ring_pop(&ring));
            for (room = 0; room < 20 && ring_push(&ring, &batches[room]); room++)
                ;
            CU_ASSERT(room >= size && room < 20);
            for (unsigned i = 0; i < room; i++)
                CU_ASSERT_PTR_EQUAL(ring_pop(&ring), &batches[i]);
        }
        ring_close(&ring);
    }
}

/* ---- ordered ---- */

#define WINDOW 8

static struct ordered ordered;
static atomic_ullong released;

/* Puts seqs i, i + THREADS, … as soon as the window lets it. */
static void *put(void *argument)
{
    for (uintptr_t i = (uintptr_t)argument; i < ITEMS; i += THREADS) {
        while (i >= atomic_load(&released) + WINDOW)
            sched_yield();
        ordered_put(&ordered, &items[i]);
    }
    return NULL;
}

static void test_ordered(void)
{
    struct error error;
    pthread_t threads[THREADS];
    items = calloc(ITEMS, sizeof(*items));
    CU_ASSERT_FATAL(items && ordered_open(&ordered, WINDOW, &error));
    atomic_store(&released, 0);
    for (size_t i = 0; i < ITEMS; i++)
        items[i].seq = i;
    for (uintptr_t i = 0; i < THREADS; i++)
        CU_ASSERT_FATAL(!pthread_create(&threads[i], NULL, put, (void *)i));
    unsigned wrong = 0;
    for (uint64_t seq = 0; seq < ITEMS;) {
        struct batch *batch = ordered_take(&ordered, seq);
        if (!batch) {
            sched_yield();
            continue;
        }
        wrong += batch != &items[seq];
        atomic_store(&released, ++seq);
    }
    for (unsigned i = 0; i < THREADS; i++)
        CU_ASSERT(pthread_join(threads[i], NULL) == 0);
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_PTR_NULL(ordered_take(&ordered, ITEMS));
    ordered_close(&ordered);
    free(items);
}

SUITE(ring, {"many producers, many consumers", test_many_to_many},
      {"full and empty", test_full_and_empty}, {"in the order of seq", test_ordered})
