/* parse PATH with r"(?P<name>…)": the named groups of a regular expression become fields. Const at
 * run time; each worker brings its own scratch. */
#include <string.h>

#include "core/raw.h"
#include "lang/regex.h"
#include "lang/scope.h"
#include "stages/stages.h"

#define PARSE_MAX_GROUPS 64

struct parse_stage {
    struct stage stage;
    struct regex *regex;
    struct moves before; /* so that the subject can be read */
    struct moves after;  /* the shape's */
    uint32_t subject;    /* column, or COLUMN_NONE */
    uint32_t group_count;
    uint32_t columns[PARSE_MAX_GROUPS];
    bool keep; /* otherwise keep */
};

static const struct option_spec parse_options[] = {
    {"field", OPTION_PATH, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL,
     "the field that holds the text"},
    {"with", OPTION_KEYWORD, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL, ""},
    {"pattern", OPTION_STRING, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL,
     "a regular expression (RE2's dialect); each named group (?P<name>...) becomes a field, null "
     "where the group took no part"},
    {"otherwise", OPTION_WORD, 0, "reject|keep", "reject",
     "what becomes of a record whose text does not match"},
    {0},
};

static const struct noun parse_noun = {
    .name = "parse",
    .doc = "Named groups of a regular expression become fields",
    .example = "parse line with r'^(?P<client>\\S+) (?P<rest>.*)$' { otherwise keep }",
    .options = parse_options,
};

static void parse_close(struct stage *stage)
{
    if (stage)
        regex_free(((struct parse_stage *)stage)->regex);
    stage_free(stage);
}

static bool parse_compile(struct stage_context *context, struct parse_stage *parse)
{
    const struct option_value *pattern = option_find(context->options, "pattern");
    struct error error;
    uint32_t offset;
    if (!pattern)
        return false;
    parse->regex = regex_compile(pattern->text, &offset, &error);
    if (!parse->regex)
        return diagnostics_error(context->diagnostics, pattern->span, "%s (at %u)", error.text,
                                 offset);
    parse->group_count = regex_group_count(parse->regex);
    if (parse->group_count == 0)
        return diagnostics_error(context->diagnostics, pattern->span,
                                 "the pattern has no named group: write (?P<name>...)");
    if (parse->group_count > PARSE_MAX_GROUPS)
        return diagnostics_error(context->diagnostics, pattern->span,
                                 "the pattern has more than %d named groups", PARSE_MAX_GROUPS);
    return true;
}

static bool parse_open(struct stage_context *context, struct stage **stage)
{
    const struct option_value *field = option_find(context->options, "field");
    struct parse_stage *parse = stage_make(context, &stage_parse, sizeof(*parse));
    if (!parse || !field || !parse_compile(context, parse) ||
        !scope_read(context->scope, &field->path, &parse->subject)) {
        parse_close(parse ? &parse->stage : NULL);
        return false;
    }
    parse->before = scope_take_moves(context->scope);
    parse->keep = option_word_is(context->options, "otherwise", "keep");
    for (uint32_t i = 0; i < parse->group_count; i++)
        parse->columns[i] =
            scope_put_field(context->scope, regex_group_name(parse->regex, i), !parse->keep);
    parse->after = scope_take_moves(context->scope);
    *stage = &parse->stage;
    return true;
}

enum parse_row { PARSE_KEPT, PARSE_REJECTED, PARSE_FULL };

static enum parse_row parse_reject(const struct parse_stage *parse, struct batch *batch,
                                   uint32_t row, enum error_code code, const char *why)
{
    return batch_reject(batch, row, parse->stage.index, code, UINT32_MAX, "%s", why)
               ? PARSE_REJECTED
               : PARSE_FULL;
}

static enum parse_row parse_row(const struct parse_stage *parse, struct evaluator *evaluator,
                                struct batch *batch, uint32_t row)
{
    struct value text = {.kind = VALUE_ABSENT};
    if (parse->subject != COLUMN_NONE)
        text = value_resolve(batch->columns[parse->subject].cells[row], &batch->arena);
    if (text.kind == VALUE_ERROR && text.code == ERROR_ARENA_FULL)
        return PARSE_FULL;
    if (text.kind != VALUE_STRING)
        return parse->keep ? PARSE_KEPT
                           : parse_reject(parse, batch, row, ERROR_NO_MATCH,
                                          "the field to parse is no string");
    struct string subject = {text.text, text.length};
    struct regex_scratch *scratch = evaluator_regex_scratch(evaluator);
    switch (regex_match(parse->regex, scratch, subject)) {
    case REGEX_NO_MATCH:
        return parse->keep ? PARSE_KEPT
                           : parse_reject(parse, batch, row, ERROR_NO_MATCH,
                                          "the text does not match the pattern");
    case REGEX_LIMIT:
        return parse_reject(parse, batch, row, ERROR_REGEX,
                            "the pattern needs too many steps for this text");
    case REGEX_MATCH:
        break;
    }
    for (uint32_t i = 0; i < parse->group_count; i++) {
        struct string group = regex_group(parse->regex, scratch, subject, i);
        batch->columns[parse->columns[i]].cells[row] =
            group.data ? value_string(group.data, group.length) : value_null();
    }
    return PARSE_KEPT;
}

static enum stage_result parse_batch(struct stage *stage, struct evaluator *evaluator,
                                     struct batch *batch, struct error *error)
{
    (void)error;
    const struct parse_stage *parse = (const struct parse_stage *)stage;
    if (!moves_apply(&parse->before, evaluator, batch, stage->index))
        return STAGE_SPLIT;
    for (uint32_t i = 0; i < parse->group_count; i++)
        if (!batch_column_make(batch, parse->columns[i]))
            return STAGE_SPLIT;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < batch->row_count; i++) {
        uint32_t row = batch->rows[i];
        switch (parse_row(parse, evaluator, batch, row)) {
        case PARSE_KEPT:
            batch->rows[kept++] = row;
            break;
        case PARSE_REJECTED:
            break;
        case PARSE_FULL:
            return STAGE_SPLIT;
        }
    }
    batch->row_count = kept;
    return moves_apply(&parse->after, evaluator, batch, stage->index) ? STAGE_OK : STAGE_SPLIT;
}

const struct stage_ops stage_parse = {
    .noun = &parse_noun,
    .open = parse_open,
    .close = parse_close,
    .batch = parse_batch,
};
