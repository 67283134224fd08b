/* fmt: layouts written by hand; whatever is formatted must keep its tree and not change when it is
 * formatted again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lang/fixture.h"
#include "tests/suite.h"

static char *format(const char *source)
{
    struct diagnostics diagnostics;
    diagnostics_open(&diagnostics, "p", (struct string){source, strlen(source)});
    char *formatted = program_format(&fixture_registry, &diagnostics);
    CU_ASSERT_EQUAL(formatted == NULL, diagnostics.errors > 0);
    diagnostics_close(&diagnostics);
    return formatted;
}

static char *tree(const char *source)
{
    struct diagnostics diagnostics;
    diagnostics_open(&diagnostics, "p", (struct string){source, strlen(source)});
    struct program *program = program_parse(&fixture_registry, &diagnostics);
    char *text = dump_program_text(program);
    program_free(program);
    diagnostics_close(&diagnostics);
    return text;
}

static void check(const char *source, const char *expected)
{
    char *formatted = format(source);
    CU_ASSERT_PTR_NOT_NULL_FATAL(formatted);
    if (strcmp(formatted, expected) != 0)
        printf("\n  gave\n%s  expected\n%s", formatted, expected);
    CU_ASSERT_STRING_EQUAL(formatted, expected);
    char *again = format(formatted);
    CU_ASSERT_STRING_EQUAL(again, formatted);
    char *before = tree(source), *after = tree(formatted);
    CU_ASSERT_STRING_EQUAL(before, after);
    free(before);
    free(after);
    free(again);
    free(formatted);
}

static void statements(void)
{
    check("where a>1|head 5;pass", "where a > 1\nhead  5\npass\n");
    check("from   stdin{null 'x';types string}\ninto stdout{ }",
          "from stdin { null 'x'  types string }\ninto stdout { }\n");
    check("pass\n\n\n\npass\r\npass", "pass\n\npass\npass\n");
    check("\n\nwhere a\n\nselect b\nhead 1\n\n", "where a\n\nselect b\nhead   1\n");
    check("", "");
    check("fail when rejected>5%\nreject into file'x'",
          "fail when rejected > 5%\nreject into file 'x'\n");
    check("limit 500/s{burst 5;wait 250ms}", "limit 500/s { burst 5  wait 250ms }\n");
    check("\xef\xbb\xbfpass", "pass\n");
}

static void expressions(void)
{
    check("where !a&&- b*( c+1 )<=d . e [ 0 ] . ? f", "where !a && -b * (c + 1) <= d.e[0].?f\n");
    check("where a?b:c?d:e", "where a ? b : c ? d : e\n");
    check("where f ( a,b ).g( )in[1,2 , ? x]", "where f(a, b).g() in [1, 2, ?x]\n");
    check("where {'a':1,?'b' : 2}==m [ ? 'k' ]", "where {'a': 1, ?'b': 2} == m[?'k']\n");
    check("where . a - - 1 == `x y`. `z`", "where .a - -1 == `x y`.`z`\n");
    check("where l.all( x,x>1 )||has( a.b )", "where l.all(x, x > 1) || has(a.b)\n");
    check("where a == r'\\d' + \"\"\"x\n  y\"\"\"", "where a == r'\\d' + \"\"\"x\n  y\"\"\"\n");
}

static void lists(void)
{
    check("put a=1", "put a = 1\n");
    check("put a=1,long.name=2 ,b = 3",
          "put a         = 1,\n    long.name = 2,\n    b         = 3\n");
    check("select a,b.c,d=1", "select a, b.c, d = 1\n");
    check("rename a=b,c=d", "rename a = b, c = d\n");
    check("drop a,b\nput a = 1, b = 2", "drop a, b\nput  a = 1,\n     b = 2\n");
    check("select aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, "
          "ccc = dddddddddddddddddd",
          "select aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa,\n"
          "       bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb,\n"
          "       ccc = dddddddddddddddddd\n");
}

static void blocks(void)
{
    check("from file 'a' {\nnull 'x'\n types { a int, b string; } }",
          "from file 'a' { null 'x'  types { a int  b string } }\n");
    check("from file 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' { null 'x' "
          "missing ok timeout 5s header no }",
          "from file 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' {\n"
          "  null 'x'\n  missing ok\n  timeout 5s\n  header no\n}\n");
}

static void comments(void)
{
    check("# top\n\n# second\npass# end\n  # last", "# top\n\n# second\npass  # end\n# last\n");
    check("put a=1,# one\n # own\nb=2", "put a = 1,  # one\n    # own\n    b = 2\n");
    check("where a # x\n | # y\nhead 1", "where a  # x\n# y\nhead  1\n");
    check("where a && // why\n b", "where a &&  // why\n    b\n");
    check("from file 'a' { # one\n null 'x'# two\n# three\n}",
          "from file 'a' {  # one\n  null 'x'  # two\n  # three\n}\n");
    check("from file 'a' { types { a int # x\n } }",
          "from file 'a' {\n  types {\n    a int  # x\n  }\n}\n");
    check("#", "#\n");
    check("where '#' == \"//\"", "where '#' == \"//\"\n");
}

static void refused(void)
{
    CU_ASSERT_PTR_NULL(format("where"));
    CU_ASSERT_PTR_NULL(format("where \xff"));
    unsetenv("LEAT_TEST_NONE");
    /* what a run would ask the machine for is none of fmt's business */
    check("into file env('LEAT_TEST_NONE')", "into file env('LEAT_TEST_NONE')\n");
    check("into file secret( '/nowhere' )", "into file secret('/nowhere')\n");
}

SUITE(fmt, {"statements", statements}, {"expressions", expressions}, {"lists", lists},
      {"blocks", blocks}, {"comments", comments}, {"refused, and never asked", refused})
