/* The man page, as roff: prose here, commands and options from their tables. `make install` calls
 * `leat help --man`. Main thread only. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"

/* Text for roff: a backslash and a hyphen are escaped, a leading dot or quote is shielded. */
static void print_roff(FILE *out, const char *text)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", out);
    for (; *text; text++) {
        if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else
            fputc(*text, out);
    }
}

static void print_paragraph(FILE *out, const char *term, const char *argument, const char *doc)
{
    fputs(".TP\n.B ", out);
    print_roff(out, term);
    if (argument && *argument) {
        fputs(" \\fI", out);
        print_roff(out, argument);
        fputs("\\fR", out);
    }
    fputc('\n', out);
    print_roff(out, doc);
    fputs(".\n", out);
}

static void print_option(FILE *out, const struct argument_spec *spec)
{
    char term[64];
    char letter[8] = "";
    if (spec->letter)
        snprintf(letter, sizeof(letter), "-%c, ", spec->letter);
    snprintf(term, sizeof(term), "%s--%s", letter, spec->name);
    print_paragraph(out, term, spec->argument, spec->doc);
}

static void print_options(FILE *out)
{
    fputs(".SH OPTIONS\nOptions may stand anywhere behind the command; "
          "\\fB\\-\\-\\fR ends them.\n",
          out);
    for (size_t i = 0; i < ARGUMENT_COUNT; i++)
        if (argument_specs[i].commands & OPTIONS_OF_RUNS)
            print_option(out, &argument_specs[i]);
    for (size_t command = COMMAND_RUN + 1; command < COMMAND_COUNT; command++) {
        bool titled = false;
        for (size_t i = 0; i < ARGUMENT_COUNT; i++) {
            unsigned commands = argument_specs[i].commands;
            if ((commands & OPTIONS_OF_RUNS) || !(commands & 1u << command))
                continue;
            if (!titled)
                fprintf(out, ".SS Options of leat %s\n", command_specs[command].name);
            titled = true;
            print_option(out, &argument_specs[i]);
        }
    }
}

static void print_nouns(FILE *out, const char *title, const struct noun *const *nouns, size_t count)
{
    fprintf(out, ".SS %s\n", title);
    for (size_t i = 0; i < count; i++)
        print_paragraph(out, nouns[i]->name, NULL, nouns[i]->doc ? nouns[i]->doc : "");
}

static void print_language(FILE *out)
{
    const struct registry *registry = registry_get();
    fputs(".SH LANGUAGE\n"
          "A pipeline is a list of statements, one verb each; the order of the text is the order "
          "of the flow.\nStatements may be separated by \\fB|\\fR or \\fB;\\fR. Expressions are "
          "CEL, the Common Expression Language; a name reads the field of that name.\n"
          "\\fBleat help\\fR \\fISTAGE\\fR explains each with its options.\n",
          out);
    print_nouns(out, "Stages", registry->verbs, registry->verb_count);
    if (registry->lookup_count)
        print_nouns(out, "Lookups (lookup)", registry->lookups, registry->lookup_count);
    print_nouns(out, "Sources (from)", registry->sources, registry->source_count);
    print_nouns(out, "Sinks (into)", registry->sinks, registry->sink_count);
    print_nouns(out, "Formats", registry->formats, registry->format_count);
}

static const char *const exit_status[][2] = {
    {"0", "All was delivered, and no more rejected than \"fail when\" allows"},
    {"1", "The run failed; what was there before is still there"},
    {"2", "The command line or the pipeline is wrong; nothing was read"},
    {"3", "The run came to its end with more rejections than allowed"},
    {"75", "Another run holds the pipeline"},
    {"128+N", "Signal N stopped the run before a finite input's end"},
};

static const char *const examples[][2] = {
    {"leat 'where status >= 500 | select ts, path' < app.ndjson", "The failed requests of a log"},
    {"leat pass flights.csv -o flights.ndjson.zst", "Convert and compress"},
    {"leat 'count by carrier' flights.csv.zst --to csv", "Count by a key"},
    {"leat run pipeline.conf --report report.json", "Run a pipeline and keep its ledger"},
};

static void print_examples(FILE *out)
{
    fputs(".SH EXAMPLES\n", out);
    for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
        print_roff(out, examples[i][1]);
        fputs(":\n.PP\n.RS 4\n.nf\n", out);
        print_roff(out, examples[i][0]);
        fputs("\n.fi\n.RE\n.PP\n", out);
    }
}

void help_man(FILE *out)
{
    fprintf(out, ".TH LEAT 1 \"\" \"leat %s\" \"User Commands\"\n", LEAT_VERSION);
    fputs(".SH NAME\nleat \\- stream records from sources through stages into sinks\n"
          ".SH SYNOPSIS\n\\fBleat\\fR [\\fIOPTION\\fR...] '\\fIPROGRAM\\fR' [\\fIFILE\\fR...]\n",
          out);
    for (size_t i = COMMAND_RUN; i < COMMAND_COUNT; i++) {
        fprintf(out, ".br\n\\fBleat %s\\fR ", command_specs[i].name);
        print_roff(out, command_specs[i].operands);
        fputc('\n', out);
    }
    fputs(".SH DESCRIPTION\nleat reads records from files, pipes and databases, filters, derives "
          "and converts them, and writes them to files, pipes and databases. Every record read "
          "ends in exactly one place: written, filtered, absorbed or rejected; the ledger at the "
          "end says so.\nFormats and compression are inferred from names and first bytes "
          "(.ndjson .jsonl .json .csv .tsv .txt .log, .zst .gz). Input without a name is NDJSON; "
          "stdout has the format of the first source.\n"
          ".SH COMMANDS\n",
          out);
    for (size_t i = COMMAND_RUN; i < COMMAND_COUNT; i++)
        print_paragraph(out, command_specs[i].name, command_specs[i].operands,
                        command_specs[i].doc);
    fputs(".SS leat replay\n", out);
    print_roff(out, help_replay);
    fputc('\n', out);
    print_options(out);
    print_language(out);
    fputs(".SH EXIT STATUS\n", out);
    for (size_t i = 0; i < ARRAY_SIZE(exit_status); i++)
        print_paragraph(out, exit_status[i][0], NULL, exit_status[i][1]);
    fputs(".SH SIGNALS\nThe first SIGINT, SIGTERM or SIGHUP stops reading, and finishes what can "
          "be finished; the second aborts. A reader who closes stdout ends the run quietly.\n",
          out);
    print_examples(out);
}
