/* The log of intents: what a crash may leave of it. */
#include "io/http_intents.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "io/http_client.h"
#include "tests/io/fixture.h"
#include "tests/suite.h"

static const char log_name[] = "intents";

static struct http_intents log_open(uint64_t number)
{
    struct http_intents intents = {.fd = -1};
    struct error error;
    const char *path = test_path(log_name);
    intents.path = memory_copy_text(path, strlen(path));
    CU_ASSERT_FATAL(http_intents_open(&intents, number, &error));
    return intents;
}

static void log_add(struct http_intents *intents, const char *from, uint32_t count)
{
    struct http_intent intent = {.count = count};
    struct error error;
    snprintf(intent.from, sizeof(intent.from), "%s", from);
    snprintf(intent.to, sizeof(intent.to), "0.99");
    CU_ASSERT(http_intents_add(intents, &intent, 1, &error));
}

static void found_again(void)
{
    test_write(test_path(log_name), "", 0);
    struct http_intents intents = log_open(7);
    log_add(&intents, "0.0", 10);
    log_add(&intents, "0.10", 20);
    http_intents_close(&intents);
    intents = log_open(7);
    CU_ASSERT(intents.found_count == 2);
    CU_ASSERT(http_intents_take(&intents, "0.1") == 0);
    CU_ASSERT(http_intents_take(&intents, "0.10") == 20);
    CU_ASSERT(http_intents_take(&intents, "0.10") == 0);
    CU_ASSERT(http_intents_take(&intents, "0.0") == 10);
    log_add(&intents, "0.30", 5);
    http_intents_close(&intents);
    intents = log_open(7);
    CU_ASSERT(intents.found_count == 3);
    http_intents_close(&intents);
    intents = log_open(8); /* the commit came, and the log was not cut any more */
    CU_ASSERT(intents.found_count == 0);
    http_intents_close(&intents);
}

static void cleared(void)
{
    struct error error;
    test_write(test_path(log_name), "", 0);
    struct http_intents intents = log_open(1);
    log_add(&intents, "0.0", 10);
    CU_ASSERT(http_intents_clear(&intents, 2, &error));
    log_add(&intents, "0.50", 10);
    http_intents_close(&intents);
    intents = log_open(2);
    CU_ASSERT(intents.found_count == 1 && http_intents_take(&intents, "0.50") == 10);
    http_intents_close(&intents);
}

/* Cut at every byte: the whole lines before are there, and what is added then is too. */
static void torn(void)
{
    size_t length;
    test_write(test_path(log_name), "", 0);
    struct http_intents intents = log_open(3);
    log_add(&intents, "0.0", 10);
    size_t first = intents.length;
    log_add(&intents, "0.10", 20);
    http_intents_close(&intents);
    char *whole = test_read(test_path(log_name), &length);
    CU_ASSERT_FATAL(whole != NULL && length > first);
    for (size_t cut = 0; cut <= length; cut++) {
        test_write(test_path(log_name), whole, cut);
        intents = log_open(3);
        CU_ASSERT(intents.found_count == (cut >= first) + 0u + (cut == length));
        log_add(&intents, "0.77", 1);
        http_intents_close(&intents);
        intents = log_open(3);
        CU_ASSERT(http_intents_take(&intents, "0.77") == 1);
        http_intents_close(&intents);
    }
    free(whole);
}

/* Any byte changed: the line counts no more, nor does what follows. */
static void damaged(void)
{
    size_t length;
    test_write(test_path(log_name), "", 0);
    struct http_intents intents = log_open(3);
    log_add(&intents, "0.0", 10);
    http_intents_close(&intents);
    char *whole = test_read(test_path(log_name), &length);
    CU_ASSERT_FATAL(whole != NULL);
    for (size_t at = 0; at < length; at++) {
        whole[at] ^= 1;
        test_write(test_path(log_name), whole, length);
        intents = log_open(3);
        CU_ASSERT(intents.found_count == 0);
        http_intents_close(&intents);
        whole[at] ^= 1;
    }
    free(whole);
    char *long_line = memory_take(100000);
    CU_ASSERT_FATAL(long_line != NULL);
    memset(long_line, '1', 100000);
    test_write(test_path(log_name), long_line, 100000);
    intents = log_open(3);
    CU_ASSERT(intents.found_count == 0 && intents.length == 0);
    http_intents_close(&intents);
    free(long_line);
}

static void origins(void)
{
    static const struct {
        const char *a, *b;
        bool same;
    } cases[] = {
        {"http://a/x", "http://a/y?z", true},   {"http://a/x", "http://a", true},
        {"http://A/x", "HTTP://a:80/", true},   {"https://a/x", "https://a:443/", true},
        {"http://u:p@a/x", "http://a/", true},  {"http://a:8080/", "http://a:8080/x", true},
        {"http://a/", "https://a/", false},     {"http://a/", "http://b/", false},
        {"http://a/", "http://a:81/", false},   {"http://a/", "http://a.b/", false},
        {"http://a/", "http://b@a.c/", false},  {"http://a/", "http://b/@a/", false},
        {"http://a/", "http://b?@a/", false},   {"http://a/", "http://b#@a/", false},
        {"https://a/", "https://a:80/", false}, {"http://a/", "ftp://a/", false},
        {"http://a/", "//a/", false},           {"http://a/", "", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct string a = {cases[i].a, strlen(cases[i].a)}, b = {cases[i].b, strlen(cases[i].b)};
        CU_ASSERT(http_same_origin(a, b) == cases[i].same);
        CU_ASSERT(http_same_origin(b, a) == cases[i].same);
    }
}

SUITE(http_intents, {"found again", found_again}, {"cleared", cleared}, {"torn", torn},
      {"damaged", damaged}, {"origins", origins})
