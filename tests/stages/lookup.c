/* Lookups against a modelled peer: every record comes out once with its own answer, whatever the
 * order of answers, the size of the arena, the failures; what is cached, batched, refused. */
#include <stdio.h>
#include <string.h>

#include "clients/random.h"
#include "core/clock.h"
#include "tests/stages/lookup_rig.h"
#include "tests/suite.h"

#define MEMORY (8u << 20)
#define ARENA  (1u << 20)

/* The answer that record `key` must have got, as far as it begins with its key. */
static bool answer_is_own(const struct rig_record *record, uint32_t key)
{
    char wanted[40];
    int length = snprintf(wanted, sizeof(wanted), "{\"k\": %u,\"pad\":\"", key);
    return strncmp(record->answer, wanted, (size_t)length) == 0;
}

static void check_own(const struct lookup_rig *rig)
{
    uint32_t foreign = 0;
    for (uint32_t i = 0; i < rig->record_limit; i++)
        foreign += rig->records[i].fate == FATE_ANSWERED && !answer_is_own(&rig->records[i], i);
    CU_ASSERT_EQUAL(foreign, 0);
}

static uint32_t asked_most(const struct lookup_rig *rig)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < rig->record_limit; i++)
        if (rig->records[i].asked > most)
            most = rig->records[i].asked;
    return most;
}

static void test_each_its_own(void)
{
    for (int ordered = 0; ordered < 2; ordered++) {
        struct lookup_rig rig;
        CU_ASSERT_FATAL(
            lookup_rig_open(&rig, "lookup model k as x { concurrency 20 }", ordered, MEMORY, 5000));
        rig.peer.slow = 0.02;
        rig.peer.service_slow = 2 * NANOSECONDS;
        CU_ASSERT_FATAL(lookup_rig_enter(&rig));
        CU_ASSERT_EQUAL(lookup_rig_run(&rig, 300, 0, ARENA), 5000);
        check_own(&rig);
        CU_ASSERT_EQUAL(asked_most(&rig), 1);
        CU_ASSERT_STRING_EQUAL(rig.records[4].answer, "{\"k\": 4,\"pad\":\"\"}");
        CU_ASSERT_EQUAL(rig.log.in_flight_most, 20);
        lookup_rig_close(&rig);
    }
}

/* An arena that holds a few answers only: the batch goes on in many parts, nothing is asked twice.
 */
static void test_tiny_arena(void)
{
    for (int ordered = 0; ordered < 2; ordered++) {
        struct lookup_rig rig;
        CU_ASSERT_FATAL(
            lookup_rig_open(&rig, "lookup model k as x { concurrency 50 }", ordered, MEMORY, 3000));
        rig.answer_size = 400;
        CU_ASSERT_FATAL(lookup_rig_enter(&rig));
        uint32_t answered = lookup_rig_run(&rig, 200, 0.3, 12 * 1024), asked = 0;
        for (uint32_t i = 0; i < rig.record_limit; i++)
            asked += rig.records[i].asked;
        CU_ASSERT_EQUAL(answered, asked);
        CU_ASSERT(answered > 1900 && answered < 2300); /* but for those that were skipped */
        check_own(&rig);
        CU_ASSERT_EQUAL(asked_most(&rig), 1);
        for (uint32_t i = 0; i < rig.record_limit; i++)
            CU_ASSERT_EQUAL(rig.records[i].asked, rig.records[i].fate == FATE_ANSWERED);
        lookup_rig_close(&rig);
    }
}

static void test_too_large(void)
{
    struct lookup_rig rig;
    CU_ASSERT_FATAL(
        lookup_rig_open(&rig, "lookup model k as x { otherwise null }", true, MEMORY, 400));
    rig.answer_size = 20000; /* up to 40,000 */
    CU_ASSERT_FATAL(lookup_rig_enter(&rig));
    uint32_t answered = lookup_rig_run(&rig, 20, 0, 24 * 1024);
    uint32_t limited = 0;
    for (uint32_t i = 0; i < 400; i++)
        limited += rig.records[i].code == ERROR_LIMIT;
    CU_ASSERT(answered > 100 && limited > 100);
    CU_ASSERT_EQUAL(answered + limited, 400);
    check_own(&rig);
    CU_ASSERT_EQUAL(asked_most(&rig), 1);
    lookup_rig_close(&rig);
}

static void test_failures(void)
{
    for (int ordered = 0; ordered < 2; ordered++) {
        struct lookup_rig rig;
        CU_ASSERT_FATAL(lookup_rig_open(&rig,
                                        "lookup model k as x { concurrency 30 timeout 1s retry 6 "
                                        "backoff 10ms..1s }",
                                        ordered, MEMORY, 6000));
        rig.peer.refused = 0.1;
        rig.peer.broken = 0.05;
        rig.peer.hang = 0.02;
        rig.peer.connect = 0.03;
        CU_ASSERT_FATAL(lookup_rig_enter(&rig));
        uint32_t answered = lookup_rig_run(&rig, 500, 0.1, ARENA), rejected = 0;
        check_own(&rig);
        for (uint32_t i = 0; i < rig.record_limit; i++) {
            struct rig_record *record = &rig.records[i];
            if (record->code == ERROR_NONE)
                continue;
            rejected++;
            CU_ASSERT_EQUAL(record->code, ERROR_LOOKUP);
            CU_ASSERT_STRING_EQUAL(record->url, "model:///asked");
            CU_ASSERT(record->attempts >= 1);
        }
        /* the budget: at most a fifth of the traffic is tries again */
        CU_ASSERT(answered > 4800 && answered + rejected > 5200);
        lookup_rig_close(&rig);
    }
}

static void test_otherwise(void)
{
    struct lookup_rig rig;
    CU_ASSERT_FATAL(
        lookup_rig_open(&rig,
                        "lookup model k as x { otherwise {\"lost\": k, \"why\": status} "
                        "retry 0 status s attempts a }",
                        true, MEMORY, 1000));
    rig.absent = 0.3;
    rig.invalid = 0.1;
    CU_ASSERT_FATAL(lookup_rig_enter(&rig));
    CU_ASSERT_EQUAL(lookup_rig_run(&rig, 100, 0, ARENA), 1000);
    const struct stage_causes *causes = rig.stage->causes;
    CU_ASSERT_EQUAL_FATAL(causes->count, 2);
    uint64_t sum = 0, lost = 0;
    for (uint32_t i = 0; i < 2; i++) {
        bool known = strcmp(causes->items[i].text, "status 404") == 0 ||
                     strcmp(causes->items[i].text, "the answer is no JSON") == 0;
        CU_ASSERT(known);
        sum += causes->items[i].number;
    }
    for (uint32_t i = 0; i < 1000; i++) {
        char absent[60], invalid[60];
        snprintf(absent, sizeof(absent), "{\"lost\":%u,\"why\":404}", i);
        snprintf(invalid, sizeof(invalid), "{\"lost\":%u,\"why\":200}", i);
        bool is_lost = strcmp(rig.records[i].answer, absent) == 0 ||
                       strcmp(rig.records[i].answer, invalid) == 0;
        CU_ASSERT(is_lost || answer_is_own(&rig.records[i], i));
        lost += is_lost;
    }
    CU_ASSERT_EQUAL(sum, lost);
    CU_ASSERT(lost > 300 && lost < 460);
    lookup_rig_close(&rig);
}

static void test_take(void)
{
    struct lookup_rig rig;
    CU_ASSERT_FATAL(lookup_rig_open(
        &rig, "lookup model k as x { take [answer.k + 1, status, k, answer.pad == ''] }", true,
        MEMORY, 50));
    CU_ASSERT_FATAL(lookup_rig_enter(&rig));
    CU_ASSERT_EQUAL(lookup_rig_run(&rig, 10, 0, ARENA), 50);
    CU_ASSERT_STRING_EQUAL(rig.records[7].answer, "[8,200,7,true]");
    lookup_rig_close(&rig);
    /* what take cannot be made of is a failed lookup */
    CU_ASSERT_FATAL(
        lookup_rig_open(&rig, "lookup model k as x { take answer.k / (k - 3) }", true, MEMORY, 8));
    CU_ASSERT_FATAL(lookup_rig_enter(&rig));
    CU_ASSERT_EQUAL(lookup_rig_run(&rig, 4, 0, ARENA), 7);
    CU_ASSERT_EQUAL(rig.records[3].code, ERROR_LOOKUP);
    CU_ASSERT_STRING_EQUAL(rig.records[4].answer, "4");
    lookup_rig_close(&rig);
}

static void test_retry_when(void)
{
    struct lookup_rig rig;
    CU_ASSERT_FATAL(lookup_rig_open(
        &rig, "lookup model k as x { retry 2 retry_when answer.k == 5 && status == 200 }", true,
        MEMORY, 20));
    CU_ASSERT_FATAL(lookup_rig_enter(&rig));
    CU_ASSERT_EQUAL(lookup_rig_run(&rig, 20, 0, ARENA), 19);
    CU_ASSERT_EQUAL(rig.records[5].asked, 3);
    CU_ASSERT_EQUAL(rig.records[5].attempts, 3);
    CU_ASSERT_STRING_EQUAL(rig.records[5].text, "retry_when was true");
    lookup_rig_close(&rig);
}

/* Keys that come again are asked once: while they are under way, and as long as they are kept. */
static void test_cache(void)
{
    for (int ordered = 0; ordered < 2; ordered++) {
        struct lookup_rig rig;
        CU_ASSERT_FATAL(lookup_rig_open(&rig,
                                        "lookup model k % 50 as x { cache 1000 for 1h negative 1h "
                                        "otherwise status attempts a }",
                                        ordered, MEMORY, 4000));
        rig.absent = 0.3;
        CU_ASSERT_FATAL(lookup_rig_enter(&rig));
        CU_ASSERT_EQUAL(lookup_rig_run(&rig, 200, 0, ARENA), 4000);
        for (uint32_t i = 0; i < 4000; i++) {
            bool absent = strcmp(rig.records[i].answer, "404") == 0;
            CU_ASSERT(absent || answer_is_own(&rig.records[i], i % 50));
            CU_ASSERT_STRING_EQUAL(rig.records[i].answer, rig.records[i % 50].answer);
            CU_ASSERT_EQUAL(rig.records[i].asked, i < 50);
        }
        lookup_rig_close(&rig);
    }
}

static void batch_case(const char *program, bool by_key, bool reversed, const char *wrapped)
{
    for (int ordered = 0; ordered < 2; ordered++) {
        struct lookup_rig rig;
        CU_ASSERT_FATAL(lookup_rig_open(&rig, program, ordered, MEMORY, 3000));
        rig.by_key = by_key;
        rig.reversed = reversed;
        rig.wrapped = wrapped;
        rig.answer_size = 20;
        CU_ASSERT_FATAL(lookup_rig_enter(&rig));
        CU_ASSERT_EQUAL(lookup_rig_run(&rig, 170, 0, ARENA), 3000);
        check_own(&rig);
        CU_ASSERT_EQUAL(asked_most(&rig), 1);
        CU_ASSERT(rig.log.arrival_count >= 60 && rig.log.arrival_count < 300);
        lookup_rig_close(&rig);
    }
}

static void test_batches(void)
{
    batch_case("lookup model keys as x { batch 50 or 20ms key k }", false, false, NULL);
    batch_case("lookup model keys as x { batch 50 key k }", true, false, NULL);
    batch_case("lookup model keys as x { batch 50 key k by k }", false, true, NULL);
    batch_case("lookup model keys as x { batch 50 key k by k items answer.data }", false, true,
               "{\"data\":%s}");
    struct lookup_rig rig; /* one is missing: all of the request by position, just it by key */
    CU_ASSERT_FATAL(
        lookup_rig_open(&rig, "lookup model keys as x { batch 10 key k }", true, MEMORY, 20));
    rig.shortened = true;
    CU_ASSERT_FATAL(lookup_rig_enter(&rig));
    CU_ASSERT_EQUAL(lookup_rig_run(&rig, 20, 0, ARENA), 0);
    CU_ASSERT_STRING_EQUAL(rig.records[0].text, "9 answers came for 10 keys");
    lookup_rig_close(&rig);
    CU_ASSERT_FATAL(
        lookup_rig_open(&rig, "lookup model keys as x { batch 10 key k by k }", true, MEMORY, 20));
    rig.shortened = true;
    CU_ASSERT_FATAL(lookup_rig_enter(&rig));
    CU_ASSERT_EQUAL(lookup_rig_run(&rig, 20, 0, ARENA), 18);
    CU_ASSERT_STRING_EQUAL(rig.records[9].text, "the answer has nothing for this key");
    CU_ASSERT_EQUAL(rig.records[19].code, ERROR_LOOKUP);
    lookup_rig_close(&rig);
}

static void test_record_at_fault(void)
{
    struct lookup_rig rig;
    CU_ASSERT_FATAL(lookup_rig_open(&rig, "lookup model 10 / (k % 5) as x { otherwise null }", true,
                                    MEMORY, 100));
    CU_ASSERT_FATAL(lookup_rig_enter(&rig));
    CU_ASSERT_EQUAL(lookup_rig_run(&rig, 30, 0, ARENA), 80);
    CU_ASSERT_EQUAL(rig.records[15].code, ERROR_DIVIDE_BY_ZERO);
    lookup_rig_close(&rig);
    CU_ASSERT_FATAL(lookup_rig_open(&rig, "lookup model keys as x { batch 7 key k > 3 ? k : null }",
                                    true, MEMORY, 20));
    CU_ASSERT_FATAL(lookup_rig_enter(&rig));
    CU_ASSERT_EQUAL(lookup_rig_run(&rig, 20, 0, ARENA), 16);
    CU_ASSERT_EQUAL(rig.records[3].code, ERROR_PLACE);
    lookup_rig_close(&rig);
}

/* What is in flight may end, what was not asked is rejected; nothing is lost. */
static void test_stop(void)
{
    for (int ordered = 0; ordered < 2; ordered++) {
        struct lookup_rig rig;
        CU_ASSERT_FATAL(
            lookup_rig_open(&rig, "lookup model k as x { concurrency 10 }", ordered, MEMORY, 2000));
        rig.peer.hang = 0.03;
        CU_ASSERT_FATAL(lookup_rig_enter(&rig));
        for (int i = 0; i < 3; i++)
            CU_ASSERT(lookup_rig_feed(&rig, 500, 0, ARENA));
        for (int i = 0; i < 100; i++)
            lookup_rig_step(&rig);
        rig.stage->ops->async->stop(rig.stage, rig.now + NANOSECONDS);
        int64_t told = rig.now;
        uint32_t answered = lookup_rig_run(&rig, 500, 0, ARENA), unanswered = 0;
        for (uint32_t i = 0; i < 2000; i++)
            unanswered += rig.records[i].code == ERROR_UNANSWERED;
        CU_ASSERT(answered > 10 && answered < 500);
        CU_ASSERT_EQUAL(answered + unanswered, 2000);
        CU_ASSERT(rig.now - told < 2 * NANOSECONDS);
        check_own(&rig);
        lookup_rig_close(&rig);
    }
}

static void test_reclaim(void)
{
    struct lookup_rig rig;
    CU_ASSERT_FATAL(lookup_rig_open(&rig, "lookup model k as x { cache 100 }", true, MEMORY, 2000));
    CU_ASSERT_FATAL(lookup_rig_enter(&rig));
    for (int i = 0; i < 4; i++)
        CU_ASSERT(lookup_rig_feed(&rig, 500, 0, ARENA));
    for (int i = 0; i < 50; i++)
        lookup_rig_step(&rig);
    uint32_t owned = 0, back = 0;
    for (uint32_t i = 0; i < rig.batch_count; i++)
        owned += rig.batches[i].with_stage;
    while (rig.stage->ops->async->reclaim(rig.stage))
        back++;
    CU_ASSERT_EQUAL(owned, back);
    CU_ASSERT_EQUAL(rig.log.in_flight, 0);
    lookup_rig_close(&rig);
}

static void test_stops_the_run(void)
{
    struct lookup_rig rig;
    CU_ASSERT_FATAL(
        lookup_rig_open(&rig, "lookup model k as x { otherwise stop }", true, MEMORY, 100));
    rig.absent = 0.2;
    CU_ASSERT_FATAL(lookup_rig_enter(&rig));
    CU_ASSERT(lookup_rig_feed(&rig, 100, 0, ARENA));
    enum stage_result result = STAGE_WAIT;
    for (int i = 0; i < 1000 && result != STAGE_FAIL; i++)
        result = lookup_rig_step(&rig);
    CU_ASSERT_EQUAL(result, STAGE_FAIL);
    CU_ASSERT_STRING_EQUAL(rig.error.text, "status 404, model:///asked");
    lookup_rig_close(&rig);
}

/* Little memory, long answers, a slow first row, many batches: everything waits for everything. */
static void test_walk(void)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct lookup_rig rig;
        char program[300];
        uint64_t random = seed;
        bool ordered = random_bits(&random) & 1;
        uint32_t batch = random_bits(&random) % 3 ? 0 : 1 + (uint32_t)(random_bits(&random) % 20);
        int length = snprintf(program, sizeof(program),
                              "lookup model %s as x { concurrency %u timeout 3s retry %u "
                              "backoff 1ms..2s otherwise null %s",
                              batch ? "keys" : "k", 1 + (uint32_t)(random_bits(&random) % 40),
                              (uint32_t)(random_bits(&random) % 5),
                              random_bits(&random) & 1 ? "cache 30 for 1s " : "");
        if (batch)
            length += snprintf(program + length, sizeof(program) - (size_t)length,
                               "batch %u or 5ms key k ", batch);
        snprintf(program + length, sizeof(program) - (size_t)length, "}");
        size_t memory = (size_t)1 << (10 + random_bits(&random) % 12);
        CU_ASSERT_FATAL(lookup_rig_open(&rig, program, ordered, memory, 1500));
        rig.random = random;
        rig.peer.seed = seed;
        rig.peer.slow = 0.02;
        rig.peer.service_slow = NANOSECONDS;
        rig.peer.broken = rig.peer.refused = 0.1;
        rig.peer.hang = 0.02;
        rig.answer_size = (uint32_t)(random_bits(&random) % 700);
        CU_ASSERT_FATAL(lookup_rig_enter(&rig));
        uint32_t size = 1 + (uint32_t)(random_bits(&random) % 200);
        CU_ASSERT(lookup_rig_run(&rig, size, 0.2, 8192 + random_bits(&random) % 30000) > 500);
        for (uint32_t i = 0; i < rig.record_limit; i++) {
            const struct rig_record *record = &rig.records[i];
            CU_ASSERT(record->fate != FATE_ANSWERED || strcmp(record->answer, "null") == 0 ||
                      answer_is_own(record, i));
        }
        lookup_rig_close(&rig);
    }
}

static const char *refusal_of(const char *program)
{
    static char text[2000];
    struct lookup_rig rig;
    bool opened = lookup_rig_open(&rig, program, true, MEMORY, 1);
    snprintf(text, sizeof(text), "%s", opened ? "(none)" : lookup_rig_refusal(&rig));
    lookup_rig_close(&rig);
    return text;
}

static void test_refused(void)
{
    static const struct {
        const char *program, *part;
    } cases[] = {
        {"lookup model k as x { concurrency 0 }", "from 1 to 65536"},
        {"lookup model k as x { breaker open after 0 failures for 3s }", "one failure or more"},
        {"lookup model k as x { cache 0 }", "one answer or more"},
        {"lookup model k as x { key k }", "goes with batch"},
        {"lookup model keys as x { batch 0 key k }", "1 to 10000"},
        {"lookup model keys as x { batch 10 }", "needs the key"},
        {"lookup model keys as x { batch 10 key k response raw }", "needs JSON"},
        {"lookup model k as x { batch 10 key k }", "only keys"},
        {"lookup model k as x { retry_when k == 1 }", "only answer and status"},
        {"lookup model k as x { take anwer. }", "error"},
        {"lookup model k as x { limit api }", "api"},
        {"lookup model k as x { timeout 0s }", "longer than nothing"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *refusal = refusal_of(cases[i].program);
        CU_ASSERT_PTR_NOT_NULL(strstr(refusal, cases[i].part));
        if (!strstr(refusal, cases[i].part))
            printf("\n%s\n -> %s\n", cases[i].program, refusal);
    }
}

SUITE(lookup, {"each record gets its own answer", test_each_its_own},
      {"an arena for a few answers", test_tiny_arena},
      {"an answer too large for any arena", test_too_large},
      {"failures, retries, rejects", test_failures},
      {"otherwise gives a value, counted by cause", test_otherwise}, {"take", test_take},
      {"retry_when", test_retry_when}, {"cache and single flight", test_cache},
      {"many keys in a request", test_batches}, {"records at fault", test_record_at_fault},
      {"stop answers or rejects everything", test_stop},
      {"reclaim gives every batch back", test_reclaim}, {"otherwise stop", test_stops_the_run},
      {"random walks with little of everything", test_walk}, {"what it refuses", test_refused})
