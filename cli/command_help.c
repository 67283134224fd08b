/* `leat help`: the overview, one command, or one stage, source, sink or format; the man page, the
 * completions and the reference for those who package leat. All of it from the tables. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/commands.h"
#include "cli/help_functions.h"
#include "cli/help_reference.h"
#include "cli/notice.h"

#define TEXT_WIDTH 79

/* Wraps `text` at blanks, each further line indented; the first begins at column `at`. */
static void print_wrapped(FILE *out, const char *text, int indent, int at)
{
    while (*text) {
        int word = (int)strcspn(text, " ");
        if (at > indent && at + 1 + word > TEXT_WIDTH) {
            fprintf(out, "\n%*s", indent, "");
            at = indent;
        } else if (at > indent) {
            fputc(' ', out);
            at++;
        }
        fwrite(text, 1, (size_t)word, out);
        at += word;
        text += word;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static void print_entry(FILE *out, const char *name, int width, const char *doc)
{
    int length = (int)strlen(name);
    fprintf(out, "  %-*s", width, name);
    if (length >= width)
        fprintf(out, "\n%*s", width + 2, "");
    print_wrapped(out, doc, width + 2, width + 2);
}

static void print_option(FILE *out, const struct argument_spec *spec)
{
    char name[80];
    char letter[8] = "    ";
    if (spec->letter)
        snprintf(letter, sizeof(letter), "-%c, ", spec->letter);
    snprintf(name, sizeof(name), "%s--%s%s%s", letter, spec->name, spec->argument ? " " : "",
             spec->argument ? spec->argument : "");
    print_entry(out, name, 29, spec->doc);
}

static void print_options(FILE *out, unsigned commands)
{
    for (size_t i = 0; i < ARGUMENT_COUNT; i++)
        if (argument_specs[i].commands & commands)
            print_option(out, &argument_specs[i]);
}

static void print_names(FILE *out, const char *title, const struct noun *const *nouns, size_t count)
{
    char line[1024] = "";
    size_t length = 0;
    for (size_t i = 0; i < count && length < sizeof(line) - 1; i++)
        length += (size_t)snprintf(line + length, sizeof(line) - length, "%s%s", i ? " " : "",
                                   nouns[i]->name);
    print_entry(out, title, 10, line);
}

static void print_language(FILE *out)
{
    const struct registry *registry = registry_get();
    fputs("\nThe language (\"leat help NAME\" explains each)\n", out);
    print_names(out, "stages", registry->verbs, registry->verb_count);
    if (registry->lookup_count)
        print_names(out, "lookup", registry->lookups, registry->lookup_count);
    print_names(out, "from", registry->sources, registry->source_count);
    print_names(out, "into", registry->sinks, registry->sink_count);
    print_names(out, "formats", registry->formats, registry->format_count);
    print_entry(out, "functions", 10, "\"leat help functions\" lists them");
}

void help_usage(FILE *out)
{
    fputs("usage: leat 'PROGRAM' [FILE...]\n", out);
    for (size_t i = COMMAND_PROGRAM + 1; i < COMMAND_COUNT; i++)
        fprintf(out, "       leat %s %s\n", command_specs[i].name, command_specs[i].operands);
    fputs("\n  leat 'where status >= 500 | select ts, path' < app.ndjson\n"
          "  leat pass flights.csv -o flights.ndjson.zst\n"
          "\n\"leat help\" says more.\n",
          out);
}

static void help_overview(FILE *out)
{
    fputs("leat moves records: it reads, filters, derives, converts and loads them.\n\n"
          "  leat 'where status >= 500 | put ms = latency * 1000 | select ts, ms' < app.ndjson\n"
          "  leat pass flights.csv -o flights.ndjson.zst\n"
          "  leat run pipeline.conf\n\n"
          "Commands\n",
          out);
    print_entry(out, "'PROGRAM' [FILE...]", 22, "run a program given as text, on files or stdin");
    for (size_t i = COMMAND_PROGRAM + 1; i < COMMAND_COUNT; i++) {
        char name[64];
        snprintf(name, sizeof(name), "%s %s", command_specs[i].name, command_specs[i].operands);
        print_entry(out, name, 22, command_specs[i].doc);
    }
    fputs("\nOptions of a run\n", out);
    print_options(out, OPTIONS_OF_RUNS);
    print_language(out);
    fputs(
        "\nExit status: 0 all delivered; 1 the run failed; 2 the command line or the pipeline is\n"
        "wrong; 3 more records rejected than allowed; 75 another run holds the pipeline; 128+N\n"
        "stopped by signal N.\n",
        out);
}

const char help_replay[] =
    "REJECTED is what `reject into` or --reject has written. Its records are read as the "
    "pipeline's "
    "`from` would, from the first statement on; the inputs need not be there any more. The place "
    "in REJECTED is remembered: another replay reads only what was added since. What is rejected "
    "again is added to --reject FILE, or to REJECTED.again.ndjson. Sinks that would replace what "
    "they have (files, `mode replace`) are refused; -o FILE takes the records in their place.";

void help_command(FILE *out, enum command command)
{
    const struct command_spec *spec = &command_specs[command];
    if (command == COMMAND_PROGRAM || command == COMMAND_HELP) {
        help_overview(out);
        return;
    }
    fprintf(out, "leat %s %s\n  ", spec->name, spec->operands);
    print_wrapped(out, spec->doc, 2, 2);
    if (command == COMMAND_REPLAY) {
        fputs("\n  ", out);
        print_wrapped(out, help_replay, 2, 2);
    }
    fputs("\nOptions\n", out);
    print_options(out, 1u << command);
}

static bool help_named_command(const char *name)
{
    for (size_t i = COMMAND_PROGRAM + 1; i < COMMAND_COUNT; i++) {
        if (strcmp(command_specs[i].name, name) == 0) {
            help_command(stdout, (enum command)i);
            return true;
        }
    }
    return false;
}

static int help_unknown(const char *name)
{
    const char *names[REFERENCE_MAX];
    size_t count = reference_names(names, REFERENCE_MAX);
    const char *near = string_nearest((struct string){name, strlen(name)}, names, count);
    notice(NOTICE_ERROR, "usage",
           "nothing is called \"%.80s\"%s%s%s; \"leat help\" lists everything", name,
           near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    return 2;
}

int command_help(const struct arguments *arguments)
{
    size_t count = arguments->operand_count;
    const char *const *operands = (const char *const *)arguments->operands;
    if (arguments->markdown)
        return count == 1 ? reference_write(operands[0])
                          : (notice(NOTICE_ERROR, "usage", "--markdown needs a folder"), 2);
    if (arguments->man) {
        help_man(stdout);
    } else if (arguments->completion) {
        help_completion(stdout, arguments->completion);
    } else if (count == 0) {
        help_overview(stdout);
    } else if (count == 1 && strcmp(operands[0], "functions") == 0) {
        functions_print(stdout);
    } else {
        /* "into file", "from file", "file", "where" */
        const char *name = operands[count - 1];
        const char *role = count > 1 ? operands[0] : NULL;
        if (!reference_print(stdout, role, name) && (role || !help_named_command(name)))
            return help_unknown(name);
    }
    return 0;
}
