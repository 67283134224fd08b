/* put, select, drop and rename through the scope and over real text: what is written, byte by byte.
 */
#include <string.h>

#include "tests/stages/rig.h"
#include "tests/suite.h"

#define IS(program, in, out)   CU_ASSERT_STRING_EQUAL(rig_once(program, in "\n"), out "\n")
#define REFUSED(program, text) CU_ASSERT_PTR_NOT_NULL_FATAL(strstr(rig_once(program, ""), text))

static void test_put(void)
{
    IS("put b = a + 1", "{\"a\":1}", "{\"a\":1,\"b\":2}");
    IS("put a = a + 1, b = a * 10", "{\"a\":1,\"z\":0}", "{\"a\":2,\"z\":0,\"b\":20}");
    IS("put a = 1 | put a = a + 1", "{}", "{\"a\":2}");
    IS("put a = 5", "{\"a\":1,\"b\":2,\"a\":3}", "{\"b\":2,\"a\":5}"); /* the last one counts */
    IS("put x = null", "{\"a\":1}", "{\"a\":1,\"x\":null}");
    IS("put x = missing", "{\"a\":1}", "{\"a\":1,\"x\":null}");
    IS("put x = a", "{\"a\":1.50}", "{\"a\":1.50,\"x\":1.50}"); /* moved, so with its bytes */
}

static void test_put_nested(void)
{
    IS("put a.b = 1", "{}", "{\"a\":{\"b\":1}}");
    IS("put a.b = 1", "{\"a\":null}", "{\"a\":{\"b\":1}}");
    IS("put a.b = 1", "{\"a\":{\"c\":0,\"b\":7,\"d\":9}}", "{\"a\":{\"c\":0,\"b\":1,\"d\":9}}");
    IS("put a.b.c = 1, a.b.d = 2", "{\"z\":0}", "{\"z\":0,\"a\":{\"b\":{\"c\":1,\"d\":2}}}");
    IS("put a.b = 1 | put c = a.b + 1", "{\"a\":{}}", "{\"a\":{\"b\":1},\"c\":2}");
    IS("put a.b = 4", "{\"a\":{\"b\":1,\"x\":1E400,\"b\":2}}", "{\"a\":{\"x\":1E400,\"b\":4}}");
    struct rig rig;
    CU_ASSERT_FATAL(rig_open(&rig, "put a.b = 1", NULL, RIG_MEMORY));
    CU_ASSERT_STRING_EQUAL(rig_run(&rig, "{\"a\":[]}\n{\"a\":{}}\n{\"a\":3}\n{\"a\":\"x\"}\n"),
                           "{\"a\":{\"b\":1}}\n");
    CU_ASSERT_EQUAL(rig.batch.reject_count, 3);
    CU_ASSERT_EQUAL(rig_reject(&rig, 0), ERROR_NOT_A_MAP);
    CU_ASSERT_EQUAL(rig_reject(&rig, 3), ERROR_NOT_A_MAP);
    rig_close(&rig);
}

static void test_put_rejects(void)
{
    struct rig rig;
    CU_ASSERT_FATAL(rig_open(&rig, "put b = 10 / a", NULL, RIG_MEMORY));
    CU_ASSERT_STRING_EQUAL(rig_run(&rig, "{\"a\":0}\n{\"a\":5}\n{\"a\":\"x\"}\n{}\n7\n"),
                           "{\"a\":5,\"b\":2}\n");
    CU_ASSERT_EQUAL(rig_reject(&rig, 0), ERROR_DIVIDE_BY_ZERO);
    CU_ASSERT_EQUAL(rig_reject(&rig, 2), ERROR_NO_OVERLOAD);
    CU_ASSERT_EQUAL(rig_reject(&rig, 3), ERROR_NO_OVERLOAD);
    CU_ASSERT_EQUAL(rig_reject(&rig, 4), ERROR_NOT_A_MAP);
    rig_close(&rig);
}

static void test_select(void)
{
    IS("select b, a", "{\"a\":1,\"b\":2,\"c\":3}", "{\"b\":2,\"a\":1}");
    IS("select a, x", "{\"a\":1}", "{\"a\":1,\"x\":null}");
    IS("select a = b, b = a", "{\"a\":1,\"b\":2}", "{\"a\":2,\"b\":1}"); /* a swap */
    IS("select a.b", "{\"a\":{\"b\":1,\"c\":2}}", "{\"a\":{\"b\":1}}");
    IS("select a.b, a.c.d", "{\"a\":{\"b\":1,\"c\":{\"d\":4,\"e\":5}}}",
       "{\"a\":{\"b\":1,\"c\":{\"d\":4}}}");
    IS("select a.b", "{\"a\":null}", "{\"a\":{\"b\":null}}");
    IS("select b = a.b", "{\"a\":{\"b\":[1, 2]}}", "{\"b\":[1, 2]}");
    IS("select n = a | put m = n + 1 | select m", "{\"a\":1}", "{\"m\":2}");
    IS("select a", "7", "{\"a\":null}"); /* a value without fields has none to select */
    REFUSED("select a, a", "selected twice");
    REFUSED("select status | put x = statsu", "did you mean \"status\"?");
    REFUSED("select a | drop b", "no field \"b\"");
    REFUSED("select a | rename c = b", "no field \"b\"");
}

static void test_drop(void)
{
    IS("drop a", "{\"a\":1,\"b\":2,\"a\":3}", "{\"b\":2}");
    IS("drop a", "{\"b\":2}", "{\"b\":2}");
    IS("drop a, b", "{\"a\":1,\"b\":2}", "{}");
    IS("drop a | put a = 9", "{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":9}"); /* it is new, so last */
    IS("put a = 9 | drop a", "{\"a\":1,\"b\":2}", "{\"b\":2}");
    IS("put c = 9 | drop c", "{\"a\":1}", "{\"a\":1}");
    IS("drop a.b", "{\"a\":{\"b\":1,\"c\":2}}", "{\"a\":{\"c\":2}}");
    IS("drop a.b", "{\"a\":7}", "{\"a\":7}");
    IS("drop a.b", "{}", "{}");
    IS("drop a | put x = coalesce(a, 1)", "{\"a\":5}", "{\"x\":1}");
}

static void test_rename(void)
{
    IS("rename x = a", "{\"a\":1,\"b\":2}", "{\"x\":1,\"b\":2}");
    IS("rename x = a", "{\"b\":2}", "{\"b\":2}");
    IS("rename x = a | put y = x + 1", "{\"a\":1}", "{\"x\":1,\"y\":2}");
    IS("rename a.x = a.b", "{\"a\":{\"b\":1,\"c\":2}}", "{\"a\":{\"x\":1,\"c\":2}}");
    IS("rename a.c = a.b", "{\"a\":{\"b\":1,\"c\":2}}", "{\"a\":{\"c\":1}}");
    IS("rename a = b, b = c", "{\"c\":3,\"b\":2}", "{\"b\":3,\"a\":2}");
    REFUSED("rename x = a.b", "rename stays inside one map");
}

/* The new name may be there already: where the old field is present it wins, where not the other
 * one stays what it was. */
static void test_rename_onto(void)
{
    IS("rename b = a", "{\"a\":1,\"b\":2,\"c\":3}", "{\"b\":1,\"c\":3}");
    IS("rename b = a", "{\"b\":2,\"c\":3}", "{\"b\":2,\"c\":3}");
    IS("rename b = a", "{\"a\":null,\"b\":2}", "{\"b\":null}"); /* null is present */
    IS("rename b = a | put x = b", "{\"a\":1,\"b\":2}", "{\"b\":1,\"x\":1}");
    IS("rename b = a | put x = b", "{\"b\":2}", "{\"b\":2,\"x\":2}");
    IS("rename b = a | put b = 7", "{\"a\":1,\"b\":2}", "{\"b\":7}");
    IS("rename b = a | drop b", "{\"a\":1,\"b\":2,\"c\":3}", "{\"c\":3}");
    IS("rename b = a | drop b", "{\"b\":2,\"c\":3}", "{\"c\":3}");
    IS("rename b = a | select b", "{\"b\":2}", "{\"b\":2}");
    IS("rename b = a | put b = 7", "{\"b\":2,\"c\":3}", "{\"b\":7,\"c\":3}"); /* in place */
    IS("rename b = a | put c = 1 | put b = 7", "{}", "{\"c\":1,\"b\":7}");    /* new, so last */
    IS("rename b = a | put b = 7, b = 8, x = b", "{\"b\":2,\"c\":3}", "{\"b\":8,\"c\":3,\"x\":8}");
    IS("rename b = a | drop b.x", "{\"b\":{\"x\":1,\"y\":2},\"c\":3}", "{\"b\":{\"y\":2},\"c\":3}");
    IS("rename b = a | rename d = b", "{\"b\":2,\"c\":3}", "{\"d\":2,\"c\":3}");
    IS("rename b = a | rename b = c", "{\"b\":2,\"c\":3}", "{\"b\":3}");
    IS("select a, b | rename b = a", "{\"a\":1,\"b\":2}", "{\"b\":1}");
}

/* What no stage changed is written with the bytes it came with. */
static void test_bytes_survive(void)
{
#define UNTOUCHED                                                                                  \
    "\"id\":9007199254740993,\"d\":0.1000000000000000000000000000001,\"e\":1E400,"                 \
    "\"s\":\"\\u0041\\/\",\"l\":[1.0,  2.50]"
    IS("put x = 1", "{" UNTOUCHED "}", "{" UNTOUCHED ",\"x\":1}");
    IS("drop x", "{\"x\":0," UNTOUCHED "}", "{" UNTOUCHED "}");
    IS("rename y = x", "{\"x\":0," UNTOUCHED "}", "{\"y\":0," UNTOUCHED "}");
    IS("select id, d, e, s, l", "{" UNTOUCHED "}", "{" UNTOUCHED "}");
    IS("put a.x = 1", "{\"a\":{" UNTOUCHED "}}", "{\"a\":{" UNTOUCHED ",\"x\":1}}");
    IS("put r = record | select r.id", "{" UNTOUCHED "}", "{\"r\":{\"id\":9007199254740993}}");
}

/* Where a CSV's header is known, a name that is not in it is an error of the program. */
static void test_known_names(void)
{
    static const char *const refused[][2] = {
        {"where carier == \"UA\"", "did you mean \"carrier\"?"},
        {"select carrier, dets", "did you mean \"dest\"?"},
        {"drop nothing_like_it", "the input has no field \"nothing_like_it\" here"},
        {"rename x = dets", "did you mean \"dest\"?"},
        {"put x = dets", "did you mean \"dest\"?"},
    };
    struct rig rig;
    for (unsigned i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        CU_ASSERT_FALSE(rig_open(&rig, refused[i][0], "carrier,dest\n", RIG_MEMORY));
        CU_ASSERT_PTR_NOT_NULL(strstr(rig_refusal(&rig), refused[i][1]));
        rig_close(&rig);
    }
    CU_ASSERT_FATAL(
        rig_open(&rig, "rename to = dest | put n = carrier", "carrier,dest\n", RIG_MEMORY));
    CU_ASSERT_STRING_EQUAL(rig_run(&rig, "UA,007\n\"1\",2\n"),
                           "{\"carrier\":\"UA\",\"to\":\"007\",\"n\":\"UA\"}\n"
                           "{\"carrier\":\"1\",\"to\":2,\"n\":\"1\"}\n");
    rig_close(&rig);
}

/* The columns of a known header, for formats that need them: what gave way to a renamed field stays
 * away. */
static void test_fixed_columns(void)
{
    struct rig rig;
    CU_ASSERT_FATAL(rig_open(&rig, "rename k = pad | put pad = n | rename pad = k | drop x",
                             "n,k,pad,x\n", RIG_MEMORY));
    CU_ASSERT(scope_fix_columns(rig.scope));
    rig.shape = scope_shape(rig.scope);
    CU_ASSERT_STRING_EQUAL(rig_run(&rig, "1,a,b,c\n"), "{\"n\":1,\"pad\":\"b\"}\n");
    rig_close(&rig);
}

/* Short of memory: asked to split, never half done. */
static void test_split(void)
{
    static const char *const programs[] = {"put b = a + \"!\"", "select b = a + \"!\"",
                                           "put m.b = a", "drop m.b", "rename m.c = m.b"};
    for (unsigned i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
        struct rig rig;
        CU_ASSERT_FATAL(rig_open(&rig, programs[i], NULL, RIG_MEMORY));
        rig_fill(&rig, "{\"a\":\"x\",\"m\":{\"b\":1}}\n{\"a\":\"y\",\"m\":{\"b\":2}}\n", 0, 0);
        size_t used = rig.batch.arena.used;
        unsigned splits = 0;
        for (size_t room = 0; room < 4096; room += 16) {
            struct batch *batch = &rig.batch;
            batch->arena.used = used;
            batch->arena.limit = used + room;
            batch->rejects = NULL;
            batch->rejects_tail = &batch->rejects;
            batch->reject_count = 0;
            for (uint32_t c = scope_projection(rig.scope)->base_columns; c < batch->column_count;
                 c++)
                batch->columns[c] = (struct column){0};
            for (uint32_t c = 0; c < batch->column_count; c++)
                batch->columns[c].decoded = NULL;
            batch->row_count = 2;
            batch->rows[0] = 0;
            batch->rows[1] = 1;
            enum stage_result result = rig_stages(&rig, 0);
            CU_ASSERT(result == STAGE_OK || result == STAGE_SPLIT);
            CU_ASSERT(result == STAGE_SPLIT || batch->row_count == 2);
            splits += result == STAGE_SPLIT;
        }
        CU_ASSERT(splits > 0 && splits < 256);
        rig_close(&rig);
    }
}

SUITE(edit, {"put appends and changes in place", test_put}, {"put of paths", test_put_nested},
      {"put rejects what it cannot set", test_put_rejects},
      {"select keeps, lifts and swaps", test_select}, {"drop", test_drop},
      {"rename in place", test_rename}, {"rename onto a field", test_rename_onto},
      {"untouched bytes survive", test_bytes_survive},
      {"names of a header are known", test_known_names},
      {"columns fixed by a header", test_fixed_columns}, {"short of memory", test_split})
