/* Programs: statements driven by the tables of the registry. Every mistake is reported; behind one,
 * parsing goes on at the next statement. Main thread only. */
#include "lang/parse.h"

#include <string.h>

#include "lang/parse_statement.h"

static const struct option_spec fail_options[] = {
    {"when", OPTION_KEYWORD, OPTION_POSITIONAL | OPTION_REQUIRED, NULL, NULL, ""},
    {"rejected", OPTION_AMOUNT, OPTION_POSITIONAL | OPTION_REQUIRED, NULL, NULL,
     "how many rejected records the run bears, or how large a part of those read"},
    {0},
};

const struct noun noun_fail = {
    .name = "fail",
    .doc = "Says how many rejected records a run bears; judged at its end",
    .example = "fail when rejected > 1%",
    .options = fail_options,
};

/* ---- finding statements ---- */

static const struct noun *noun_find(const struct noun *const *nouns, size_t count,
                                    struct string name)
{
    for (size_t i = 0; i < count; i++)
        if (string_equal_text(name, nouns[i]->name))
            return nouns[i];
    return NULL;
}

static void list_verbs(const struct parser *parser, struct name_list *list)
{
    static const char *const fixed[] = {"from", "into", "reject", "fail"};
    list->count = 0;
    for (size_t i = 0; i < parser->registry->verb_count; i++)
        name_list_add(list, parser->registry->verbs[i]->name);
    for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
        name_list_add(list, fixed[i]);
    if (parser->registry->lookup_count)
        name_list_add(list, "lookup");
}

/* "status >= 500": an expression without its verb. */
static bool at_bare_condition(const struct parser *parser)
{
    struct token next = parser_peek(parser);
    if (next.kind == TOKEN_NAME)
        return string_equal_text(next.text, "in");
    if (next.kind != TOKEN_PUNCTUATION || next.line_start)
        return false;
    static const char signs[] = ".([<>+-*/%?";
    return next.punctuation >= PUNCTUATION_AND || strchr(signs, next.punctuation);
}

static bool report_verb(struct parser *parser)
{
    if (at_bare_condition(parser))
        return diagnostics_error(parser->diagnostics, parser->token.span,
                                 "a statement begins with its verb; did you mean `where %.*s …`?",
                                 SHOW(parser->token.text));
    struct name_list list;
    list_verbs(parser, &list);
    return report_unknown(parser, parser->token.span, "unknown statement", parser->token.text,
                          &list);
}

/* The kind behind from, into or lookup. */
static const struct noun *parse_kind_name(struct parser *parser, const char *what,
                                          const struct noun *const *nouns, size_t count)
{
    const struct registry *registry = parser->registry;
    if (parser->token.kind != TOKEN_NAME) {
        parser_expected(parser, what);
        return NULL;
    }
    const struct noun *noun = noun_find(nouns, count, parser->token.text);
    if (!noun) {
        struct name_list list = {.count = 0};
        for (size_t i = 0; i < count; i++)
            name_list_add(&list, nouns[i]->name);
        const char *unknown = nouns == registry->sources   ? "unknown source"
                              : nouns == registry->lookups ? "unknown lookup"
                                                           : "unknown sink";
        report_unknown(parser, parser->token.span, unknown, parser->token.text, &list);
        return NULL;
    }
    parser_advance(parser);
    return noun;
}

/* ---- statements ---- */

static const struct noun *parse_sink_name(struct parser *parser)
{
    return parse_kind_name(parser, "the kind of a sink, like `file`,", parser->registry->sinks,
                           parser->registry->sink_count);
}

/* when rejected > AMOUNT */
static bool parse_fail(struct parser *parser, struct statement *statement)
{
    static const struct option_spec *const amount = &fail_options[1];
    struct option_value value;
    if (!at_word(parser, "when"))
        return parser_expected(parser, "`when rejected > …`");
    parser_advance(parser);
    if (!at_word(parser, "rejected"))
        return parser_expected(parser, "`rejected > …`");
    parser_advance(parser);
    if (!at_punctuation(parser, '>'))
        return parser_expected(parser, "`>`");
    parser_advance(parser);
    if (!parse_option_value(parser, amount, STRING("rejected >"), &value))
        return false;
    statement->options.values = parser_keep(parser, &value, 1, sizeof(value));
    statement->options.count = 1;
    statement->options.span = value.span;
    return true;
}

/* The verb is the current token. False: reported. */
static bool parse_statement(struct parser *parser, struct statement *statement)
{
    struct span verb = parser->token.span;
    struct string name = parser->token.text;
    const struct registry *registry = parser->registry;
    statement->verb_span = verb;
    parser_advance_as(parser, LAYOUT_STATEMENT);
    if (string_equal_text(name, "fail")) {
        statement->kind = STATEMENT_FAIL;
        statement->noun = &noun_fail;
        return parse_fail(parser, statement);
    }
    if (string_equal_text(name, "from")) {
        statement->kind = STATEMENT_FROM;
        statement->noun = parse_kind_name(parser, "the kind of a source, like `file`,",
                                          registry->sources, registry->source_count);
    } else if (string_equal_text(name, "into")) {
        statement->kind = STATEMENT_INTO;
        statement->noun = parse_sink_name(parser);
    } else if (string_equal_text(name, "reject")) {
        statement->kind = STATEMENT_REJECT;
        if (!at_word(parser, "into"))
            return parser_expected(parser, "`into`");
        parser_advance(parser);
        statement->noun = parse_sink_name(parser);
    } else if (string_equal_text(name, "lookup")) {
        statement->kind = STATEMENT_STAGE;
        statement->noun = parse_kind_name(parser, "the kind of a lookup, like `http`,",
                                          registry->lookups, registry->lookup_count);
    } else {
        statement->kind = STATEMENT_STAGE;
        statement->noun = noun_find(registry->verbs, registry->verb_count, name);
        CHECK(statement->noun);
    }
    if (!statement->noun)
        return false;
    return parse_noun_options(parser, statement->noun, span_since(parser, verb),
                              &statement->options);
}

static bool at_separator(const struct parser *parser)
{
    return at_punctuation(parser, '|') || at_punctuation(parser, ';');
}

/* A verb, or behind a separator what was probably meant to be one. */
static bool at_verb(const struct parser *parser, bool behind_separator)
{
    struct name_list list;
    if (parser->token.kind != TOKEN_NAME)
        return false;
    if (name_is_verb(parser, parser->token.text))
        return true;
    list_verbs(parser, &list);
    return behind_separator && string_nearest(parser->token.text, list.names, list.count);
}

/* Behind a mistake: to the next verb that begins a line or follows a separator, but for lines
 * inside a block. A verb at the very margin counts even there: the block was not closed. */
static void recover(struct parser *parser)
{
    unsigned depth = 0;
    bool behind_separator = false;
    while (parser->token.kind != TOKEN_END) {
        bool margin =
            parser->token.start == 0 || parser->lexer.text.data[parser->token.start - 1] == '\n';
        bool begins = depth == 0 ? parser->token.line_start || behind_separator : margin;
        if (begins && at_verb(parser, behind_separator))
            return;
        depth += at_punctuation(parser, '{');
        depth -= at_punctuation(parser, '}') && depth > 0;
        behind_separator = at_separator(parser);
        parser_advance(parser);
    }
}

/* A statement is over: what stands here must be able to follow it. */
static bool check_end(struct parser *parser)
{
    const struct token *token = &parser->token;
    if (token->kind == TOKEN_END || at_separator(parser))
        return true;
    if (at_punctuation(parser, '='))
        return diagnostics_error(parser->diagnostics, token->span,
                                 "here stands `=`; did you mean `==`?");
    if (at_punctuation(parser, '{'))
        return diagnostics_error(parser->diagnostics, token->span, "a block cannot stand here");
    if (token->kind != TOKEN_NAME)
        return parser_expected(parser, "the next statement or `|`");
    if (name_is_verb(parser, token->text) || token->line_start)
        return true;
    return parser_expected(parser, "an operator, `|` or the next statement");
}

/* ---- the program ---- */

/* pipeline NAME [block] */
static void parse_pipeline(struct parser *parser, struct program *program)
{
    struct span start = parser->token.span;
    size_t mark = parser->scratch_used;
    bool good = true;
    parser_advance_as(parser, LAYOUT_STATEMENT);
    if (at_name(parser) && (parser->token.kind == TOKEN_QUOTED || !parser->token.line_start ||
                            !name_is_verb(parser, parser->token.text))) {
        program->pipeline = parser_name(parser);
        parser_advance(parser);
    } else {
        good = parser_expected(parser, "the pipeline's name");
    }
    if (at_punctuation(parser, '{'))
        good = parse_block(parser, parser->registry->pipeline, mark) && good;
    if (good)
        good = check_end(parser);
    if (!good) {
        parser->scratch_used = mark;
        recover(parser);
    }
    options_finish(parser, parser->registry->pipeline, mark, &program->settings);
    program->settings.span = span_since(parser, start);
}

static bool report_beginning(struct parser *parser)
{
    if (at_word(parser, "pipeline"))
        return diagnostics_error(parser->diagnostics, parser->token.span,
                                 "`pipeline` can only stand once, at the beginning");
    if (parser->token.kind == TOKEN_NAME)
        return report_verb(parser);
    if (parser->token.kind == TOKEN_QUOTED)
        return diagnostics_error(parser->diagnostics, parser->token.span,
                                 "a name in backquotes is always a field; a statement begins with "
                                 "its verb");
    return parser_expected(parser, "a statement");
}

static void warn_same_line(struct parser *parser)
{
    diagnostics_warning(parser->diagnostics, parser->token.span,
                        "a statement begins on the line of another; write `|` between them, or "
                        "begin a new line");
}

void parse_program(struct parser *parser, struct program *program)
{
    size_t mark = parser->scratch_used;
    bool separated = true;
    while (at_separator(parser))
        parser_advance_as(parser, LAYOUT_SEPARATOR);
    if (at_word(parser, "pipeline"))
        parse_pipeline(parser, program);
    else
        options_finish(parser, parser->registry->pipeline, mark, &program->settings);
    while (parser->token.kind != TOKEN_END) {
        if (at_separator(parser)) {
            parser_advance_as(parser, LAYOUT_SEPARATOR);
            separated = true;
            continue;
        }
        struct statement statement = {.noun = NULL};
        struct span start = parser->token.span;
        size_t inner = parser->scratch_used;
        bool good;
        if (parser->token.kind == TOKEN_NAME && name_is_verb(parser, parser->token.text)) {
            if (!separated && !parser->token.line_start)
                warn_same_line(parser);
            good = parse_statement(parser, &statement) && check_end(parser);
        } else {
            good = report_beginning(parser);
            parser_advance(parser);
        }
        parser->scratch_used = inner;
        parser->depth = 0;
        statement.span = span_since(parser, start);
        if (good)
            scratch_push(parser, &statement, sizeof(statement));
        else
            recover(parser);
        separated = !good;
    }
    program->statements =
        scratch_keep(parser, mark, sizeof(struct statement), &program->statement_count);
}

struct program *program_parse(const struct registry *registry, struct diagnostics *diagnostics)
{
    return program_parse_with(registry, diagnostics, NULL);
}

static void read_program(struct parser *parser, void *context)
{
    struct program **program = context;
    *program = parser_take(parser, 1, sizeof(**program));
    (*program)->name = parser->diagnostics->name;
    (*program)->text = parser->diagnostics->text;
    (*program)->memory = parser->memory;
    parse_program(parser, *program);
}

struct program *program_parse_with(const struct registry *registry, struct diagnostics *diagnostics,
                                   struct layout *layout)
{
    struct parser parser = {
        .memory = program_memory_open(), .registry = registry, .layout = layout};
    struct program *program = NULL;
    if (!parser.memory)
        return NULL;
    if (!parser_open(&parser, diagnostics, false))
        parser.token = (struct token){.kind = TOKEN_END}; /* nothing of it can be read */
    if (!parser_run(&parser, read_program, &program)) {
        program_memory_free(parser.memory);
        program = NULL;
    }
    parser_close(&parser);
    return program;
}

void program_free(struct program *program)
{
    if (program)
        program_memory_free(program->memory);
}
