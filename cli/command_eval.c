/* `leat eval`: the value of one expression without a record, or the conformance cases of the CEL
 * specification (--cases). Main thread only. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/notice.h"
#include "core/utf8.h"
#include "lang/cel_cases.h"
#include "lang/expression.h"
#include "lang/parse.h"

/* Room for what an expression makes; a constant of the command line needs no more. */
#define ARENA_SIZE (64u * 1024 * 1024)

/* There is no record: a name is a mistake, said where it stands. */
static struct resolution resolve_nothing(void *context, const struct path *path)
{
    diagnostics_error(context, path->span, "there is no record here, so \"%.*s\" has no value",
                      (int)size_min(path->names[0].length, 80), path->names[0].data);
    /* of any type, so that the one mistake does not make another */
    return (struct resolution){.kind = RESOLVED_COLUMN, .consumed = path->count};
}

static uint32_t record_nothing(void *context)
{
    diagnostics_error(context, (struct span){0, 0}, "there is no record here");
    return 0;
}

static int print_value(const struct expression *expression, struct evaluator *evaluator)
{
    struct error error;
    struct arena arena;
    if (!arena_open(&arena, ARENA_SIZE, ARENA_SIZE, &error)) {
        notice_error(&error);
        return 1;
    }
    /* one imaginary record, so that row 0 is there; no columns: nothing resolves to one */
    struct evaluation evaluation = {.record_count = 1, .arena = &arena, .evaluator = evaluator};
    struct value value = expression_row(expression, &evaluation, 0);
    int status = 0;
    if (value.kind == VALUE_ERROR) {
        const char *slug = error_slug(value.code);
        bool detailed = value.text && value.length;
        notice(NOTICE_ERROR, slug, "%s%s%.*s", error_meaning(value.code), detailed ? ": " : "",
               detailed ? (int)size_min(value.length, 400) : 0, detailed ? value.text : "");
        status = 1;
    } else {
        char *text = value_display(value);
        if (text)
            puts(text);
        else
            notice(NOTICE_ERROR, "memory", "no memory to print the value");
        status = text ? 0 : 1;
        free(text);
    }
    arena_close(&arena);
    return status;
}

static int evaluate(const struct node *node, struct diagnostics *diagnostics)
{
    struct resolver resolver = {
        .context = diagnostics, .resolve = resolve_nothing, .record_column = record_nothing};
    struct error error;
    struct expression *expression = expression_compile(node, &resolver, diagnostics);
    if (!expression)
        return 2;
    if (diagnostics->errors) {
        expression_free(expression);
        return 2;
    }
    struct evaluator *evaluator = evaluator_open(&error);
    int status = 1;
    if (evaluator) {
        status = print_value(expression, evaluator);
        evaluator_close(evaluator);
    } else {
        notice_error(&error);
    }
    expression_free(expression);
    return status;
}

static int eval_text(const char *text)
{
    struct diagnostics diagnostics;
    struct program_memory *memory = NULL;
    struct string program = {text, strlen(text)};
    if (program.length > UINT32_MAX / 2 || !utf8_valid(text, program.length)) {
        notice(NOTICE_ERROR, "usage", "the expression is not UTF-8 text");
        return 2;
    }
    diagnostics_open(&diagnostics, "expression", program);
    const struct node *node = expression_parse(&diagnostics, false, &memory);
    int status = node && !diagnostics.errors ? evaluate(node, &diagnostics) : 2;
    if (diagnostics.memory_short || (status && !diagnostics.count && !node)) {
        notice(NOTICE_ERROR, "memory", "there is no memory left to compile the expression");
        status = 1;
    } else if (diagnostics.count) {
        notice_diagnostics(&diagnostics);
    }
    diagnostics_close(&diagnostics);
    if (memory)
        program_memory_free(memory);
    return status;
}

static int eval_cases(const char *path)
{
    bool is_stdin = strcmp(path, "-") == 0;
    struct error error = {.code = ERROR_NONE};
    FILE *in = is_stdin ? stdin : fopen(path, "re");
    if (!in) {
        error_set_errno(&error, errno, "cannot open the cases %s", path);
        notice_error(&error);
        return 1;
    }
    int status = cel_cases_run(in, stdout, &error);
    if (error.code != ERROR_NONE)
        notice_error(&error);
    if (!is_stdin)
        fclose(in);
    return status;
}

int command_eval(const struct arguments *arguments)
{
    size_t wanted = arguments->cases ? 0 : 1;
    if (arguments->operand_count != wanted) {
        notice(NOTICE_ERROR, "usage",
               "leat eval takes one expression, or --cases FILE: leat eval '1 + 2'");
        return 2;
    }
    return arguments->cases ? eval_cases(arguments->cases) : eval_text(arguments->operands[0]);
}
