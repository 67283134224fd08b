/* --from and --to with a block. */
#include "pipeline/dialect.h"

#include <string.h>

#include "tests/suite.h"

static void test_names(void)
{
    struct dialect dialect;
    struct error error;
    CU_ASSERT(dialect_open(&dialect, NULL, "--from", &error));
    CU_ASSERT_PTR_NULL(dialect.options);
    dialect_close(&dialect);
    CU_ASSERT(dialect_open(&dialect, "csv", "--from", &error));
    CU_ASSERT_PTR_NULL(dialect.options);
    dialect_close(&dialect);
}

static void test_block(void)
{
    struct dialect dialect;
    struct error error;
    CU_ASSERT_FATAL(dialect_open(&dialect, "json { values one }", "--from", &error));
    CU_ASSERT(option_word_is(dialect.options, "values", "one"));
    CU_ASSERT(string_equal(option_text(dialect.options, "format", ""), STRING("json")));
    dialect_close(&dialect);
    CU_ASSERT_FATAL(dialect_open(&dialect, "csv {header no}\n", "--to", &error));
    CU_ASSERT(option_word_is(dialect.options, "header", "no"));
    dialect_close(&dialect);
    CU_ASSERT_FATAL(dialect_open(&dialect, "csv { types { n int } }", "--from", &error));
    CU_ASSERT_PTR_NOT_NULL(option_find(dialect.options, "types"));
    dialect_close(&dialect);
}

static void test_refused(void)
{
    static const char *const texts[] = {"json { values two }",
                                        "csv { nothing 1 }",
                                        "{",
                                        "{}",
                                        "csv { header no } | into file \"x\"",
                                        "csv { header no",
                                        "csv } into file \"x\" {"};
    for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct dialect dialect;
        struct error error = {.code = ERROR_NONE};
        bool opened = dialect_open(&dialect, texts[i], "--from", &error);
        CU_ASSERT_FALSE(opened);
        if (opened)
            printf("(%s) ", texts[i]);
        CU_ASSERT_EQUAL(error.code, ERROR_USAGE);
        CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "--from"));
        dialect_close(&dialect);
    }
}

SUITE(dialect, {"a name says it all", test_names}, {"a block", test_block},
      {"what it refuses", test_refused})
