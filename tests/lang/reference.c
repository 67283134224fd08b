/* Help and reference pages: golden texts, written by hand from the fixture's tables. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lang/reference.h"
#include "tests/lang/fixture.h"
#include "tests/suite.h"

typedef void printer(const struct noun *noun, const char *role, FILE *out);

static char *print(printer *function, const struct noun *noun, const char *role)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    function(noun, role, out);
    fclose(out);
    return text;
}

static void check(printer *function, const struct noun *noun, const char *role,
                  const char *expected)
{
    char *found = print(function, noun, role);
    if (strcmp(found, expected) != 0)
        printf("\n  gave\n%s  expected\n%s", found, expected);
    CU_ASSERT_STRING_EQUAL(found, expected);
    free(found);
}

static const struct noun *verb(const char *name)
{
    for (size_t i = 0; i < fixture_registry.verb_count; i++)
        if (strcmp(fixture_registry.verbs[i]->name, name) == 0)
            return fixture_registry.verbs[i];
    return NULL;
}

static void grammar(void)
{
    check(reference_print_grammar, verb("where"), "stage", "where [strict] EXPR");
    check(reference_print_grammar, verb("put"), "stage", "put PATH = EXPR, …");
    check(reference_print_grammar, verb("count"), "stage", "count [by PATH or NAME = EXPR, …]");
    check(reference_print_grammar, verb("limit"), "stage", "limit [RATE] [NAME] [{ option … }]");
    check(reference_print_grammar, verb("parse"), "stage",
          "parse PATH with \"STRING\" [{ option … }]");
    check(reference_print_grammar, verb("pass"), "stage", "pass");
    check(reference_print_grammar, fixture_registry.sources[0], "from",
          "from file \"STRING\", … [{ option … }]");
    check(reference_print_grammar, fixture_registry.sinks[2], "into",
          "into sqlite \"STRING\" { option … }");
    check(reference_print_grammar, fixture_registry.formats[0], "format",
          "{ format csv  option … }");
    check(reference_print_grammar, fixture_registry.pipeline, "pipeline",
          "pipeline NAME [{ option … }]");
}

static void text(void)
{
    check(reference_print_text, fixture_registry.sinks[2], "into",
          "into sqlite \"STRING\" { option … }\n\nsqlite.\n\n"
          "  path   \"STRING\"               the database\n"
          "\nOptions, between { and }\n"
          "  table  NAME                   the table to write (required)\n"
          "  mode   append|replace|upsert  what to do with old rows (default append)\n"
          "  key    NAME, …                the columns of the key\n"
          "  quiet                         says nothing\n");
    check(reference_print_text, fixture_registry.sources[1], "from",
          "from stdin [{ option … }]\n\nstdin.\n\nOptions, between { and }\n"
          "  those of its format: leat help csv, …\n");
}

static void long_text(void)
{
    static const struct option_spec options[] = {
        {"short", OPTION_WORD, 0, "one|two|three|four|five|six|seven", "one",
         "a sentence that is so long that it has to go on in the line below the first one"},
        {"n", OPTION_INTEGER, 0, NULL, NULL, "how many"},
        {0},
    };
    static const struct noun noun = {
        .name = "thing",
        .doc = "Has a sentence of its own that is longer than the eighty columns that a line of "
               "a terminal has",
        .example = "thing { n 5 }",
        .options = options,
    };
    check(reference_print_text, &noun, "stage",
          "thing [{ option … }]\n\n"
          "Has a sentence of its own that is longer than the eighty columns that a line of\n"
          "a terminal has.\n\n"
          "Options, between { and }\n"
          "  short  one|two|three|four|five|six|seven\n"
          "            a sentence that is so long that it has to go on in the line below\n"
          "            the first one (default one)\n"
          "  n      N  how many\n"
          "\nExample\n  thing { n 5 }\n");
}

static void markdown(void)
{
    check(reference_print_markdown, fixture_registry.formats[0], "format",
          "# format csv\n\ncsv.\n\n```\n{ format csv  option … }\n```\n"
          "\nOptions, between `{` and `}`:\n\n"
          "| option | takes | default | what it does |\n| --- | --- | --- | --- |\n"
          "| `header` | `yes\\|no` | `yes` | the first record names the columns |\n"
          "| `null` | `\"STRING\" or none` |  | what null is written as |\n"
          "| `types` | `TYPE or { NAME TYPE … }` |  | the types of columns; types: "
          "`auto\\|string\\|int` |\n");
    check(reference_print_markdown, verb("parse"), "stage",
          "# parse\n\nparse.\n\n```\nparse PATH with \"STRING\" [{ option … }]\n```\n\n"
          "| part | takes | default | what it does |\n| --- | --- | --- | --- |\n"
          "| `field` | `PATH` |  | the text |\n"
          "| `pattern` | `\"STRING\"` |  | the pattern |\n"
          "\nOptions, between `{` and `}`:\n\n"
          "| option | takes | default | what it does |\n| --- | --- | --- | --- |\n"
          "| `otherwise` | `reject\\|keep` | `reject` | what to do without a match |\n");
}

SUITE(reference, {"grammar", grammar}, {"text", text}, {"long text", long_text},
      {"markdown", markdown})
