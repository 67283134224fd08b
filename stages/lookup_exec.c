/* lookup exec: child processes that read a line and answer with a line. The core is in lookup.c. */
#include <stdlib.h>
#include <string.h>

#include "clients/exec_transport.h"
#include "core/fault.h"
#include "core/number.h"
#include "core/raw.h"
#include "stages/lookup.h"

#define ARGUMENTS_MOST 64

struct exec_lookup {
    struct lookup lookup;
    char *command;                       /* cut into … */
    char *arguments[ARGUMENTS_MOST + 1]; /* NULL-terminated */
    const struct expression *body;
    bool raw_body;
    uint32_t processes;
    uint32_t depth;
};

static const struct option_spec exec_options[] = {
    {"command", OPTION_STRING, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL,
     "the program and its arguments, separated by blanks; quotes hold an argument together; there "
     "is no shell"},
#include "stages/lookup_words.def"
    {"body", OPTION_EXPRESSION, 0, NULL, NULL,
     "what a process is asked, one line each; else the record, with batch the list of keys"},
    {"encode", OPTION_WORD, 0, "json|raw", "json", "raw: the line is a text as it stands"},
    {"processes", OPTION_INTEGER, OPTION_TUNING, NULL, "4", "how many run, at most"},
    {"depth", OPTION_INTEGER, OPTION_TUNING, NULL, "1",
     "questions that one process may have at once; it must answer them in turn"},
    {0},
};

static const struct noun exec_noun = {
    .name = "exec",
    .doc = "Asks child processes: each record is a line, each answer too",
    .example = "lookup exec \"python3 geo.py\" as geo {\n"
               "    body client_ip\n"
               "    processes 4\n"
               "    timeout 5s\n"
               "    otherwise null\n"
               "}",
    .options = exec_options,
};

/* ---- requests ---- */

static bool line_make(struct exec_lookup *exec, struct value value, struct string *line,
                      struct value *error)
{
    struct lookup *lookup = &exec->lookup;
    if (!exec->raw_body)
        return lookup_write_json(lookup, value, line, error);
    char *scratch = arena_take(&lookup->scratch, NUMBER_TEXT_SIZE + 8);
    *error = value_error(ERROR_ARENA_FULL);
    if (!scratch)
        return false;
    struct string why = STRING("null, a list or a map cannot stand in a line of text");
    if (lookup_scalar_text(value, scratch, line)) {
        if (!line->length ||
            (!memchr(line->data, '\n', line->length) && !memchr(line->data, '\r', line->length)))
            return true;
        why = STRING("a text with a line break cannot stand in a line");
    }
    *error = value_error_text(ERROR_PLACE, why.data, why.length);
    return false;
}

static bool exec_make(struct lookup *lookup, struct evaluation *evaluation,
                      struct lookup_made *made, struct value *error)
{
    struct exec_lookup *exec = (struct exec_lookup *)lookup;
    struct value value = expression_row(exec->body, evaluation, 0);
    if (exec->raw_body || value.kind == VALUE_ERROR) {
        value = value_resolve(value, evaluation->arena);
        *error = value;
        if (value.kind == VALUE_ERROR)
            return false;
    }
    struct string program = {exec->arguments[0], strlen(exec->arguments[0])};
    made->count = 1;
    made->requests[0] = (struct request){
        .peer = program,
        .shown_url = program,
        .repeatable = true,
    };
    return line_make(exec, value, &made->requests[0].body, error);
}

static struct transport *exec_connect(struct lookup *lookup, struct error *error)
{
    struct exec_lookup *exec = (struct exec_lookup *)lookup;
    struct exec_settings settings = {
        .arguments = (const char *const *)exec->arguments,
        .processes = exec->processes,
        .depth = exec->depth,
        .answer_limit = lookup->answer_limit,
    };
    return exec_transport_open(&settings, error);
}

static void exec_close(struct lookup *lookup)
{
    free(((struct exec_lookup *)lookup)->command);
}

static const struct lookup_kind exec_kind = {
    .ops = &stage_lookup_exec,
    .make = exec_make,
    .connect = exec_connect,
    .close = exec_close,
};

/* ---- opening ---- */

/* Cuts the command at blanks outside of quotes; a backslash makes the next character plain, but for
 * single quotes. NULL, or what is wrong. */
static const char *command_cut(struct exec_lookup *exec)
{
    uint32_t count = 0;
    char *from = exec->command, *to = exec->command;
    for (;;) {
        from += strspn(from, " \t\n");
        if (!*from)
            break;
        if (count == ARGUMENTS_MOST)
            return "has too many arguments";
        exec->arguments[count++] = to;
        char quote = 0;
        for (; *from && (quote || !strchr(" \t\n", *from)); from++) {
            if (*from == '\\' && quote != '\'' && from[1])
                *to++ = *++from;
            else if (!quote && (*from == '"' || *from == '\''))
                quote = *from;
            else if (quote && *from == quote)
                quote = 0;
            else
                *to++ = *from;
        }
        if (quote)
            return "has a quote without its end";
        from += *from != 0;
        *to++ = 0;
    }
    return count ? NULL : "is empty";
}

static bool command_open(struct stage_context *context, struct exec_lookup *exec)
{
    const struct option_value *command = option_find(context->options, "command");
    if (!command)
        return false;
    if (memchr(command->text.data, 0, command->text.length))
        return diagnostics_error(context->diagnostics, command->span,
                                 "a command cannot hold a NUL character");
    exec->command = memory_copy_text(command->text.data, command->text.length);
    if (!exec->command)
        return diagnostics_memory(context->diagnostics, command->span);
    const char *problem = command_cut(exec);
    return !problem ||
           diagnostics_error(context->diagnostics, command->span, "the command %s", problem);
}

static bool exec_settings_read(struct stage_context *context, struct exec_lookup *exec)
{
    const struct options *options = context->options;
    int64_t processes = option_integer(options, "processes", 4);
    int64_t depth = option_integer(options, "depth", 1);
    if (processes < 1 || processes > 4096 || depth < 1 || depth > 4096)
        return diagnostics_error(context->diagnostics, options->span,
                                 "processes and depth are numbers from 1 to 4096");
    exec->processes = (uint32_t)processes;
    exec->depth = (uint32_t)depth;
    uint32_t most = exec->processes * exec->depth;
    struct protections *protections = &exec->lookup.protections;
    if (!option_given(options, "concurrency") || protections->concurrency > most)
        protections->concurrency = most;
    return true;
}

static bool exec_open(struct stage_context *context, struct stage **stage)
{
    static const struct node record = {.kind = NODE_NAME, .name = {"record", 6}, .height = 1};
    static const struct node keys = {.kind = NODE_NAME, .name = {"keys", 4}, .height = 1};
    struct exec_lookup *exec =
        (struct exec_lookup *)lookup_open(context, &exec_kind, sizeof(*exec));
    if (!exec)
        return false;
    const struct option_value *body = option_find(context->options, "body");
    const struct node *node = body ? body->node : exec->lookup.gather.most ? &keys : &record;
    exec->raw_body = option_word_is(context->options, "encode", "raw");
    bool good = command_open(context, exec);
    good &= exec_settings_read(context, exec);
    good &= (exec->body = lookup_compile(context, &exec->lookup, node)) != NULL;
    good &= lookup_finish(context, &exec->lookup);
    if (!good) {
        lookup_close(&exec->lookup.stage);
        return false;
    }
    *stage = &exec->lookup.stage;
    return true;
}

const struct stage_ops stage_lookup_exec = {
    .noun = &exec_noun,
    .traits = STAGE_ASYNC | STAGE_LOOKUP,
    .open = exec_open,
    .close = lookup_close,
    .async = &lookup_async,
    .counters = lookup_counters,
};
