/* The command line: see arguments.h. */
#include "cli/arguments.h"

#include <stdlib.h>
#include <string.h>

#include "cli/quantity.h"
#include "core/fault.h"

#define KIND_FLAG     ARGUMENT_FLAG
#define KIND_TEXT     ARGUMENT_TEXT
#define KIND_FORMAT   ARGUMENT_FORMAT
#define KIND_WORD     ARGUMENT_WORD
#define KIND_COUNT    ARGUMENT_COUNTED
#define KIND_NUMBER   ARGUMENT_NUMBER
#define KIND_SIZE     ARGUMENT_SIZE
#define KIND_DURATION ARGUMENT_DURATION

const struct argument_spec argument_specs[ARGUMENT_COUNT] = {
#define OPTION(id, letter, name, kind, argument, field, commands, doc)                             \
    [ARGUMENT_##id] = {letter,                                                                     \
                       name,                                                                       \
                       KIND_##kind,                                                                \
                       argument,                                                                   \
                       offsetof(struct arguments, field),                                          \
                       OPTIONS_OF_##commands,                                                      \
                       doc},
#include "cli/options.def"
#undef OPTION
};

const struct command_spec command_specs[COMMAND_COUNT] = {
#define COMMAND(id, name, operands, doc) [COMMAND_##id] = {#name, operands, doc},
#include "cli/commands.def"
#undef COMMAND
};

/* The type that each kind stores: a wrong FIELD in options.def does not compile. */
typedef bool type_of_FLAG;
typedef const char *type_of_TEXT;
typedef const char *type_of_FORMAT;
typedef const char *type_of_WORD;
typedef unsigned type_of_COUNT;
typedef uint64_t type_of_NUMBER;
typedef uint64_t type_of_SIZE;
typedef int64_t type_of_DURATION;
#define OPTION(id, letter, name, kind, argument, field, commands, doc)                             \
    _Static_assert(                                                                                \
        __builtin_types_compatible_p(typeof(((struct arguments *)0)->field), type_of_##kind),      \
        "options.def: the field of " #id " has another type than its kind");
#include "cli/options.def"
#undef OPTION

struct parser {
    int count;
    char **words;
    int next; /* index in words */
    struct arguments *arguments;
    bool given[ARGUMENT_COUNT];
    bool command_known;
    struct error *error;
};

/* A word that looks like a secret or a binary could be long: messages show its first bytes. */
#define SHOWN "%.80s"

static bool unknown_option(struct parser *parser, const char *word, size_t length)
{
    const char *names[ARGUMENT_COUNT];
    for (size_t i = 0; i < ARGUMENT_COUNT; i++)
        names[i] = argument_specs[i].name;
    struct string name = {word + 2, length > 2 ? length - 2 : 0};
    const char *near = word[1] == '-' ? string_nearest(name, names, ARGUMENT_COUNT) : NULL;
    int shown = length < 80 ? (int)length : 80;
    if (near)
        return error_set(parser->error, ERROR_USAGE,
                         "unknown option \"%.*s\"; did you mean \"--%s\"?", shown, word, near);
    return error_set(parser->error, ERROR_USAGE,
                     "unknown option \"%.*s\"; \"leat help\" lists them all", shown, word);
}

static bool word_allowed(const char *words, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = words; *at;) {
        size_t size = strcspn(at, "|");
        if (size == length && memcmp(at, word, length) == 0)
            return true;
        at += size + (at[size] == '|');
    }
    return false;
}

/* A format's name, "csv", or its name with options, "json { values one }". */
static bool format_known(struct parser *parser, const struct argument_spec *spec, const char *text)
{
    const struct registry *registry = registry_get();
    const char *names[64];
    size_t count = 0;
    struct string name = {text, strcspn(text, " \t\n{")};
    for (size_t i = 0; i < registry->format_count && count < ARRAY_SIZE(names); i++) {
        names[count++] = registry->formats[i]->name;
        if (string_equal_text(name, registry->formats[i]->name))
            return true;
    }
    const char *near = string_nearest(name, names, count);
    int shown = name.length < 80 ? (int)name.length : 80;
    if (near)
        return error_set(parser->error, ERROR_USAGE,
                         "--%s: unknown format \"%.*s\"; did you mean \"%s\"?", spec->name, shown,
                         name.data, near);
    return error_set(parser->error, ERROR_USAGE,
                     "--%s: unknown format \"%.*s\"; \"leat help\" lists them all", spec->name,
                     shown, name.data);
}

static bool store_count(struct parser *parser, const struct argument_spec *spec, const char *text,
                        unsigned *field)
{
    uint64_t number;
    if (!quantity_whole(text, &number) || number == 0 || number > 1000000)
        return error_set(parser->error, ERROR_USAGE,
                         "--%s: \"" SHOWN "\" is no whole number from 1 to 1000000", spec->name,
                         text);
    *field = (unsigned)number;
    return true;
}

/* Stores the option's value; `text` is NULL for a flag. */
static bool store_value(struct parser *parser, enum option_id id, const char *text)
{
    const struct argument_spec *spec = &argument_specs[id];
    void *field = (char *)parser->arguments + spec->field;
    parser->given[id] = true;
    switch (spec->kind) {
    case ARGUMENT_FLAG:
        *(bool *)field = true;
        return true;
    case ARGUMENT_WORD:
        if (!word_allowed(spec->argument, text))
            return error_set(parser->error, ERROR_USAGE, "--%s: \"" SHOWN "\" is none of %s",
                             spec->name, text, spec->argument);
        *(const char **)field = text;
        return true;
    case ARGUMENT_FORMAT:
        *(const char **)field = text;
        return format_known(parser, spec, text);
    case ARGUMENT_TEXT:
        if (!*text)
            return error_set(parser->error, ERROR_USAGE, "--%s: the %s is empty", spec->name,
                             spec->argument);
        *(const char **)field = text;
        return true;
    case ARGUMENT_COUNTED:
        return store_count(parser, spec, text, field);
    case ARGUMENT_NUMBER:
        return quantity_whole(text, field) ||
               error_set(parser->error, ERROR_USAGE, "--%s: \"" SHOWN "\" is no whole number",
                         spec->name, text);
    case ARGUMENT_SIZE:
        return quantity_size(text, field) ||
               error_set(parser->error, ERROR_USAGE,
                         "--%s: \"" SHOWN "\" is no size; write 64KiB, 256MiB or 1GiB", spec->name,
                         text);
    case ARGUMENT_DURATION:
        return quantity_duration(text, field) ||
               error_set(parser->error, ERROR_USAGE,
                         "--%s: \"" SHOWN "\" is no duration; write 250ms, 5s, 10m or 2h",
                         spec->name, text);
    }
    CHECK(!"every kind of option is stored");
    return false;
}

/* The value of an option: what is attached to it, or the next word. */
static bool take_value(struct parser *parser, enum option_id id, const char *attached)
{
    const struct argument_spec *spec = &argument_specs[id];
    if (spec->kind == ARGUMENT_FLAG) {
        if (attached)
            return error_set(parser->error, ERROR_USAGE, "--%s takes no value", spec->name);
        return store_value(parser, id, NULL);
    }
    if (!attached) {
        if (parser->next == parser->count)
            return error_set(parser->error, ERROR_USAGE, "--%s needs a value: %s", spec->name,
                             spec->argument);
        attached = parser->words[parser->next++];
    }
    return store_value(parser, id, attached);
}

static bool parse_long(struct parser *parser, const char *word)
{
    size_t length = strcspn(word, "=");
    struct string name = {word + 2, length - 2};
    for (size_t i = 0; i < ARGUMENT_COUNT; i++)
        if (string_equal_text(name, argument_specs[i].name))
            return take_value(parser, (enum option_id)i, word[length] ? word + length + 1 : NULL);
    return unknown_option(parser, word, length);
}

/* -j 4, -j4; letters are not clustered. */
static bool parse_short(struct parser *parser, const char *word)
{
    for (size_t i = 0; i < ARGUMENT_COUNT; i++)
        if (argument_specs[i].letter && argument_specs[i].letter == word[1])
            return take_value(parser, (enum option_id)i, word[2] ? word + 2 : NULL);
    return unknown_option(parser, word, strlen(word));
}

static void take_operand(struct parser *parser, const char *word)
{
    struct arguments *arguments = parser->arguments;
    if (!parser->command_known) {
        parser->command_known = true;
        for (size_t i = COMMAND_PROGRAM + 1; i < COMMAND_COUNT; i++) {
            if (strcmp(command_specs[i].name, word) == 0) {
                arguments->command = (enum command)i;
                return;
            }
        }
    }
    arguments->operands[arguments->operand_count++] = word;
}

/* Options of other commands are refused by name: silence would hide a mistake. */
static bool check_commands(struct parser *parser)
{
    unsigned command = 1u << parser->arguments->command;
    for (size_t i = 0; i < ARGUMENT_COUNT; i++) {
        const struct argument_spec *spec = &argument_specs[i];
        if (!parser->given[i] || (spec->commands & command))
            continue;
        enum command owner = COMMAND_PROGRAM + 1;
        while (!(spec->commands & 1u << owner))
            owner++;
        const char *name = command_specs[parser->arguments->command].name;
        return error_set(parser->error, ERROR_USAGE,
                         "--%s is an option of \"leat %s\", not of %s%s", spec->name,
                         command_specs[owner].name, name ? "leat " : "a program", name ? name : "");
    }
    return true;
}

static void finish(struct arguments *arguments)
{
    if (arguments->io)
        arguments->run.io = strcmp(arguments->io, "uring") == 0 ? IO_ENGINE_URING : IO_ENGINE_POSIX;
    if (arguments->run.output && strcmp(arguments->run.output, "-") == 0)
        arguments->run.output = NULL;
    if (!arguments->progress)
        arguments->progress = "auto";
}

bool arguments_parse(int count, char **words, struct arguments *arguments, struct error *error)
{
    *arguments = (struct arguments){.records = 5};
    arguments->operands = memory_take_zeroed((size_t)count + 1, sizeof(*arguments->operands));
    if (!arguments->operands)
        return error_set(error, ERROR_MEMORY, "no memory for the command line");
    struct parser parser = {
        .count = count, .words = words, .next = 1, .arguments = arguments, .error = error};
    bool options_end = false;
    while (parser.next < count) {
        const char *word = words[parser.next++];
        if (options_end || word[0] != '-' || !word[1])
            take_operand(&parser, word);
        else if (strcmp(word, "--") == 0)
            options_end = true;
        else if (!(word[1] == '-' ? parse_long(&parser, word) : parse_short(&parser, word)))
            return false;
    }
    finish(arguments);
    return arguments->help || check_commands(&parser);
}

void arguments_close(struct arguments *arguments)
{
    free(arguments->operands);
    arguments->operands = NULL;
}
