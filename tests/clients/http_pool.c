/* Many exchanges at once: connections are kept and bounded, answers are not swapped, any exchange
 * can be cancelled at any time, memory is bounded. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/clients/http_rig.h"
#include "tests/core/random.h"
#include "tests/suite.h"

#define MILLISECOND 1000000
#define MANY        1000

static void many_start(struct transport *transport, struct rig_exchange *exchanges, int count,
                       const char *path)
{
    for (int i = 0; i < count; i++) {
        char text[128];
        snprintf(text, sizeof(text), "%s%d", path, i);
        rig_prepare(&exchanges[i], rig_url(), text);
        rig_start(transport, &exchanges[i]);
    }
}

static int many_wait(struct transport *transport, struct rig_exchange *exchanges, int count)
{
    int right = 0;
    for (int i = 0; i < count; i++) {
        char key[16];
        rig_wait(transport, &exchanges[i]);
        snprintf(key, sizeof(key), "%d", i);
        right += rig_answer_is(&exchanges[i], key);
        rig_release(transport, &exchanges[i]);
    }
    return right;
}

static void thousand_at_once(void)
{
    struct http_settings settings = {0};
    struct transport *transport = rig_open(&settings);
    struct rig_exchange *exchanges = calloc(MANY, sizeof(*exchanges));
    rig_url();
    long before = rig_stat("connections");
    int64_t began = clock_monotonic();
    for (int round = 0; round < 3; round++) {
        many_start(transport, exchanges, MANY, "/delay/1-50/");
        CU_ASSERT_EQUAL(many_wait(transport, exchanges, MANY), MANY);
    }
    CU_ASSERT_TRUE(clock_monotonic() - began < 20 * NANOSECONDS);
    CU_ASSERT_TRUE(rig_stat("connections") - before <= MANY + 8); /* kept from round to round */
    transport->ops->close(transport);
    free(exchanges);
}

static void connections_kept(void)
{
    struct http_settings settings = {0};
    struct transport *transport = rig_open(&settings);
    struct rig_exchange exchange;
    rig_url();
    long before = rig_stat("connections");
    for (int i = 0; i < 50; i++) {
        rig_get(transport, &exchange, "/echo/a");
        CU_ASSERT_TRUE(rig_answer_is(&exchange, "a"));
        rig_release(transport, &exchange);
    }
    CU_ASSERT_EQUAL(rig_stat("connections") - before, 2); /* one, and that of rig_stat */
    transport->ops->close(transport);
    settings.no_keepalive = true;
    transport = rig_open(&settings);
    before = rig_stat("connections");
    for (int i = 0; i < 50; i++) {
        rig_get(transport, &exchange, "/echo/a");
        rig_release(transport, &exchange);
    }
    CU_ASSERT_EQUAL(rig_stat("connections") - before, 51);
    transport->ops->close(transport);
}

static void connections_bounded(void)
{
    for (int total = 0; total < 2; total++) {
        struct http_settings settings = {.connections_per_host = total ? 0 : 7,
                                         .connections = total ? 7 : 0};
        struct transport *transport = rig_open(&settings);
        struct rig_exchange exchanges[100];
        rig_url();
        long before = rig_stat("connections");
        many_start(transport, exchanges, 100, "/delay/2/");
        CU_ASSERT_EQUAL(many_wait(transport, exchanges, 100), 100);
        CU_ASSERT_EQUAL(rig_stat("connections") - before, 8);
        transport->ops->close(transport);
    }
}

/* Else there is nothing to wait for. */
static bool any_waits(const struct rig_exchange *exchanges, const bool *used, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (used[i] && !exchanges[i].over)
            return true;
    }
    return false;
}

/* Seeded: starts, steps, cancels, releases in any order; what is left is right. */
static void cancel_at_any_time(void)
{
    static const char *const paths[] = {"/echo/",       "/delay/3/",    "/chunked/",  "/gzip/",
                                        "/reset/5?k=",  "/hang?k=",     "/flaky/50/", "/big/90000?",
                                        "/redirect/2/", "/drip/1/100?", "/hang/body?"};
    struct http_settings settings = {.redirects = 5, .memory_limit = 300000};
    struct transport *transport = rig_open(&settings);
    static struct rig_exchange exchanges[64];
    static bool used[64];
    uint64_t seed = 4;
    unsigned over = 0, cancelled = 0;
    for (int turn = 0; turn < 6000; turn++) {
        size_t i = random_next(&seed) % ARRAY_SIZE(exchanges);
        char text[128], key[16];
        snprintf(key, sizeof(key), "%d", turn);
        if (!used[i]) {
            snprintf(text, sizeof(text), "%s%s", paths[random_next(&seed) % ARRAY_SIZE(paths)],
                     key);
            rig_prepare(&exchanges[i], rig_url(), text);
            exchanges[i].exchange.deadline = clock_monotonic() + 30 * MILLISECOND;
            rig_start(transport, &exchanges[i]);
            used[i] = true;
        } else if (exchanges[i].over) {
            over++;
            rig_release(transport, &exchanges[i]);
            used[i] = false;
        } else if (random_next(&seed) % 3 == 0) {
            cancelled++;
            transport->ops->cancel(transport, &exchanges[i].exchange);
            CU_ASSERT_FALSE(exchanges[i].over);
            memset(&exchanges[i], 0xdd, sizeof(exchanges[i])); /* ours again */
            used[i] = false;
        }
        if (random_next(&seed) % 4 == 0)
            transport->ops->step(transport);
        if (random_next(&seed) % 8 == 0 && any_waits(exchanges, used, ARRAY_SIZE(used)))
            rig_step(transport);
    }
    CU_ASSERT_TRUE(over > 10 && cancelled > 10);
    struct rig_exchange exchange;
    rig_get(transport, &exchange, "/echo/after-all");
    CU_ASSERT_TRUE(rig_answer_is(&exchange, "after-all"));
    transport->ops->close(transport); /* with some still under way */
    memset(used, 0, sizeof(used));
}

/* What the process holds, from the system. */
static long resident_pages(void)
{
    char text[128] = "";
    int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? 0 : read(file, text, sizeof(text) - 1);
    long size = 0, resident = 0;
    if (file >= 0)
        close(file);
    return length > 0 && sscanf(text, "%ld %ld", &size, &resident) == 2 ? resident : 0;
}

/* 32 answers of 8 MiB with 16 MiB allowed: receiving pauses, all come in the end. */
static void memory_bounded(void)
{
    struct http_settings settings = {.memory_limit = (size_t)16 << 20};
    struct transport *transport = rig_open(&settings);
    static struct rig_exchange exchanges[32];
    for (size_t i = 0; i < ARRAY_SIZE(exchanges); i++) {
        rig_prepare(&exchanges[i], rig_url(), "/big/8388608");
        rig_start(transport, &exchanges[i]);
    }
    long before = resident_pages(), most = 0;
    unsigned over = 0;
    int64_t limit = clock_monotonic() + 60 * NANOSECONDS;
    while (over < ARRAY_SIZE(exchanges) && clock_monotonic() < limit) {
        rig_step(transport);
        for (size_t i = 0; i < ARRAY_SIZE(exchanges); i++) {
            if (!exchanges[i].over)
                continue;
            CU_ASSERT_EQUAL(exchanges[i].exchange.outcome, OUTCOME_ANSWER);
            CU_ASSERT_EQUAL(exchanges[i].exchange.answer.length, 8388608);
            rig_release(transport, &exchanges[i]);
            exchanges[i].over = false;
            over++;
        }
        if (resident_pages() > most)
            most = resident_pages();
    }
    CU_ASSERT_EQUAL(over, ARRAY_SIZE(exchanges));
    printf("(%ld MiB more than at rest) ", (most - before) * sysconf(_SC_PAGESIZE) >> 20);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    /* 16 MiB, one answer more for the oldest, and buffers that double. */
    CU_ASSERT_TRUE((most - before) * sysconf(_SC_PAGESIZE) < (long)64 << 20);
#endif
    /* No room at all: still one after another. */
    transport->ops->memory_limit(transport, 1);
    for (size_t i = 0; i < 8; i++) {
        rig_prepare(&exchanges[i], rig_url(), "/big/1000000");
        rig_start(transport, &exchanges[i]);
    }
    for (size_t i = 0; i < 8; i++) {
        rig_wait(transport, &exchanges[i]);
        CU_ASSERT_EQUAL(exchanges[i].exchange.answer.length, 1000000);
        rig_release(transport, &exchanges[i]);
    }
    transport->ops->close(transport);
}

/* A thousand with the same name, before it is known: nobody is swapped or forgotten. */
static void names_looked_up_once(void)
{
    char host[256] = "", url[512];
    struct http_settings settings = {0};
    struct transport *transport = rig_open(&settings);
    struct rig_exchange *exchanges = calloc(100, sizeof(*exchanges));
    if (gethostname(host, sizeof(host) - 1) != 0 || !host[0]) {
        suite_skip("this host has no name");
    } else {
        /* The server listens on the loopback address alone: by the host's name it may be reached or
         * refused, but every exchange ends, alike. */
        snprintf(url, sizeof(url), "http://%s%s/echo/x", host, strrchr(rig_url(), ':'));
        for (int i = 0; i < 100; i++) {
            rig_prepare(&exchanges[i], url, "");
            rig_start(transport, &exchanges[i]);
            if (i == 50)
                transport->ops->cancel(transport, &exchanges[0].exchange); /* who looks it up */
        }
        for (int i = 1; i < 100; i++) {
            rig_wait(transport, &exchanges[i]);
            CU_ASSERT_EQUAL(exchanges[i].exchange.outcome, exchanges[1].exchange.outcome);
            CU_ASSERT_TRUE(exchanges[i].exchange.outcome == OUTCOME_ANSWER ||
                           exchanges[i].exchange.outcome == OUTCOME_CONNECT);
            rig_release(transport, &exchanges[i]);
        }
    }
    transport->ops->close(transport);
    free(exchanges);
}

SUITE(http_pool, {"a thousand at once", thousand_at_once},
      {"connections are kept", connections_kept}, {"connections are bounded", connections_bounded},
      {"cancel at any time", cancel_at_any_time}, {"memory is bounded", memory_bounded},
      {"names are looked up once", names_looked_up_once})
