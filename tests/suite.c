/* Runs every suite linked into this test binary and exits 1 after any failure. `suite NAME` as
 * argument runs the suites whose name contains NAME. */
#include "tests/suite.h"

#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    const char *name;
    const struct suite_case *cases;
    unsigned count;
} suites[128];
static unsigned suite_count;
static char folder[64];

void suite_register(const char *name, const struct suite_case *cases, unsigned count)
{
    if (suite_count == sizeof(suites) / sizeof(suites[0]))
        abort();
    suites[suite_count].name = name;
    suites[suite_count].cases = cases;
    suites[suite_count++].count = count;
}

static void folder_remove(void)
{
    char command[96];
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    if (folder[0] && system(command) != 0)
        fprintf(stderr, "cannot remove %s\n", folder);
}

const char *suite_folder(void)
{
    if (!folder[0]) {
        snprintf(folder, sizeof(folder), "/tmp/leat-test-XXXXXX");
        if (!mkdtemp(folder))
            abort();
        atexit(folder_remove);
    }
    return folder;
}

const char *suite_shared_data(const char *name)
{
    static char path[4][512];
    static unsigned turn;
    char *result = path[turn++ % 4];
    snprintf(result, sizeof(path[0]), "../shared/data/%s", name);
    return access(result, R_OK) == 0 ? result : NULL;
}

void suite_skip(const char *why)
{
    printf("(skipped: %s) ", why);
}

int main(int argc, char **argv)
{
    if (CU_initialize_registry() != CUE_SUCCESS)
        return 2;
    for (unsigned i = 0; i < suite_count; i++) {
        if (argc > 1 && !strstr(suites[i].name, argv[1]))
            continue;
        CU_pSuite suite = CU_add_suite(suites[i].name, NULL, NULL);
        for (unsigned j = 0; suite && j < suites[i].count; j++)
            CU_add_test(suite, suites[i].cases[j].name, suites[i].cases[j].function);
    }
    CU_basic_set_mode(CU_BRM_NORMAL);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed ? 1 : 0;
}
