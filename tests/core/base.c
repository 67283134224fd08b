/* Strings, errors, arenas, buffers and injected faults. */
#include "core/base.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/arena.h"
#include "core/buffer.h"
#include "core/error.h"
#include "core/fault.h"
#include "tests/suite.h"

static void test_strings(void)
{
    CU_ASSERT(string_equal(STRING("abc"), STRING("abc")));
    CU_ASSERT_FALSE(string_equal(STRING("abc"), STRING("abd")));
    CU_ASSERT_FALSE(string_equal(STRING("abc"), STRING("ab")));
    CU_ASSERT(string_equal((struct string){NULL, 0}, STRING("")));
    CU_ASSERT(string_equal_text(STRING("abc"), "abc"));
    CU_ASSERT_FALSE(string_equal_text((struct string){"abc", 2}, "abc"));
    CU_ASSERT_FALSE(string_equal_text((struct string){"a\0b", 3}, "a"));
}

static void test_nearest(void)
{
    static const char *const verbs[] = {"where", "put", "select", "drop", "rename", "head"};
    static const struct {
        const char *name;
        const char *nearest;
    } cases[] = {{"wehre", "where"}, {"wher", "where"}, {"selct", "select"}, {"selects", "select"},
                 {"puts", "put"},    {"hed", "head"},   {"reanme", "rename"}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct string name = {cases[i].name, strlen(cases[i].name)};
        const char *nearest = string_nearest(name, verbs, ARRAY_SIZE(verbs));
        CU_ASSERT_PTR_NOT_NULL_FATAL(nearest);
        CU_ASSERT_STRING_EQUAL(nearest, cases[i].nearest);
    }
    CU_ASSERT_PTR_NULL(string_nearest(STRING("aggregate"), verbs, ARRAY_SIZE(verbs)));
    CU_ASSERT_PTR_NULL(string_nearest(STRING("x"), verbs, ARRAY_SIZE(verbs)));
    CU_ASSERT_PTR_NULL(string_nearest(STRING("where"), verbs, 0));
    char longest[300];
    memset(longest, 'a', sizeof(longest));
    CU_ASSERT_PTR_NULL(string_nearest((struct string){longest, sizeof(longest)}, verbs, 6));
}

static void test_errors(void)
{
    struct error error;
    CU_ASSERT_FALSE(error_set(&error, ERROR_CORRUPT, "byte %d", 7));
    CU_ASSERT_EQUAL(error.code, ERROR_CORRUPT);
    CU_ASSERT_STRING_EQUAL(error.text, "byte 7");
    CU_ASSERT_FALSE(error_add_context(&error, "file %s", "a.csv"));
    CU_ASSERT_STRING_EQUAL(error.text, "file a.csv: byte 7");
    CU_ASSERT_FALSE(error_set_errno(&error, ENOENT, "cannot open %s", "x"));
    CU_ASSERT_EQUAL(error.code, ERROR_IO);
    CU_ASSERT_EQUAL(error.os_errno, ENOENT);
    CU_ASSERT_STRING_EQUAL(error.text, "cannot open x: No such file or directory");
    for (unsigned i = 0; i < 300; i++) /* texts are cut, never overrun */
        error_add_context(&error, "context %u", i);
    CU_ASSERT(strlen(error.text) < sizeof(error.text));
    CU_ASSERT_EQUAL(strncmp(error.text, "context 299: context 298: ", 26), 0);
    CU_ASSERT_STRING_EQUAL(error_slug(ERROR_TOO_LONG), "too_long");
    for (unsigned code = 0; code < ERROR_CODE_COUNT; code++)
        CU_ASSERT(strlen(error_meaning(code)) > 3 && strlen(error_slug(code)) > 1);
}

static void test_arena(void)
{
    struct error error;
    struct arena arena;
    CU_ASSERT_FATAL(arena_open(&arena, 1000, 100000, &error));
    char *first = arena_take(&arena, 10);
    char *second = arena_take(&arena, 10);
    CU_ASSERT_EQUAL(second - first, 16);
    CU_ASSERT_EQUAL((uintptr_t)second % 16, 0);
    size_t mark = arena_mark(&arena);
    CU_ASSERT_PTR_NULL(arena_take(&arena, 1000));
    CU_ASSERT_PTR_NULL(arena_take(&arena, SIZE_MAX));
    CU_ASSERT_PTR_NULL(arena_take(&arena, SIZE_MAX - 30));
    CU_ASSERT_EQUAL(arena_mark(&arena), mark);
    CU_ASSERT_PTR_NOT_NULL(arena_take_aligned(&arena, 1000 - mark, 1));
    CU_ASSERT_PTR_NULL(arena_take_aligned(&arena, 1, 1));
    arena_rewind(&arena, mark);
    char *text = arena_copy_text(&arena, STRING("copied"));
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    CU_ASSERT_STRING_EQUAL(text, "copied");
    arena.limit = arena.reserved; /* the jumbo permit */
    memset(arena_take(&arena, 90000), 1, 90000);
    arena_reset(&arena);
    CU_ASSERT_EQUAL(arena.used, 0);
    CU_ASSERT_EQUAL(arena.limit, 1000);
    arena_close(&arena);
}

static void test_buffer(void)
{
    struct error error;
    struct buffer buffer;
    CU_ASSERT_FATAL(buffer_open(&buffer, 8, 100000, &error));
    CU_ASSERT(buffer_append(&buffer, "12345", 5));
    CU_ASSERT_FALSE(buffer_append(&buffer, "6789", 4));
    CU_ASSERT_EQUAL(buffer.length, 5);
    CU_ASSERT(buffer_append(&buffer, "678", 3));
    CU_ASSERT_FALSE(buffer_append_byte(&buffer, '9'));
    CU_ASSERT_EQUAL(memcmp(buffer.data, "12345678", 8), 0);
    CU_ASSERT_PTR_NOT_NULL(buffer_room(&buffer, 0));
    CU_ASSERT_PTR_NULL(buffer_room(&buffer, SIZE_MAX));
    buffer.limit = buffer.reserved;
    memset(buffer.data, 1, buffer.reserved + BUFFER_SLACK);
    buffer_reset(&buffer);
    CU_ASSERT_EQUAL(buffer.length, 0);
    CU_ASSERT_EQUAL(buffer.limit, 8);
    buffer_close(&buffer);
}

/* fault_open is for once in a process: each case has a child. Returns the bits of what failed. */
static int faults_in_child(const char *setting, bool io)
{
    fflush(stdout);
    pid_t child = fork();
    CU_ASSERT_FATAL(child >= 0);
    if (child == 0) {
        int failed = 0;
        setenv("LEAT_FAULT", setting, 1);
        if (!freopen("/dev/null", "w", stderr))
            _exit(100);
        if (!fault_open())
            _exit(99);
        for (int i = 0; i < 6; i++) {
            void *memory = io ? NULL : memory_take(1);
            bool fails = io ? fault_io() == ENOSPC : memory == NULL;
            failed |= (int)fails << i;
            free(memory);
        }
        _exit(failed);
    }
    int status;
    CU_ASSERT_FATAL(waitpid(child, &status, 0) == child);
    CU_ASSERT(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_faults(void)
{
    CU_ASSERT_EQUAL(faults_in_child("io:3:ENOSPC", true), 4);
    CU_ASSERT_EQUAL(faults_in_child("io:3+:ENOSPC", true), 4 + 8 + 16 + 32);
    CU_ASSERT_EQUAL(faults_in_child("io:2:28", true), 2);
    CU_ASSERT_EQUAL(faults_in_child("alloc:1", false), 1);
    CU_ASSERT_EQUAL(faults_in_child("alloc:5+", false), 16 + 32);
    CU_ASSERT_EQUAL(faults_in_child("alloc:1", true), 0);
    CU_ASSERT_EQUAL(faults_in_child("", true), 0);
    static const char *const wrong[] = {"x", "io:", "io:0", "io:1:NOPE", "alloc:1:EIO", "io:1x"};
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        CU_ASSERT_EQUAL(faults_in_child(wrong[i], true), 99);
}

SUITE(base, {"strings", test_strings}, {"did you mean", test_nearest}, {"errors", test_errors},
      {"arena", test_arena}, {"buffer", test_buffer}, {"injected faults", test_faults})
