/* How tests register: each file in tests/FOLDER/ ends with SUITE(name, {"what", function}, …), and
 * tests/suite.c runs every suite that was linked in. Asserts are CUnit's. */
#ifndef LEAT_TESTS_SUITE_H
#define LEAT_TESTS_SUITE_H

#include <CUnit/CUnit.h>

struct suite_case {
    const char *name;
    void (*function)(void);
};
void suite_register(const char *name, const struct suite_case *cases, unsigned count);

#define SUITE(suite_name, ...)                                                                     \
    static const struct suite_case suite_cases_##suite_name[] = {__VA_ARGS__};                     \
    __attribute__((constructor)) static void suite_register_##suite_name(void)                     \
    {                                                                                              \
        suite_register(#suite_name, suite_cases_##suite_name,                                      \
                       sizeof(suite_cases_##suite_name) / sizeof(suite_cases_##suite_name[0]));    \
    }

/* A folder for this test process, removed at exit. */
const char *suite_folder(void);
/* The path of a file of ../shared/data, or NULL (then skip, saying so with suite_skip). */
const char *suite_shared_data(const char *name);
void suite_skip(const char *why);

#endif
