/* Templates: strings that hold {expression}. They are split here, not while the program is parsed,
 * because only their owner knows that it wants one now. Expressions are read out of the decoded
 * string; a table of offsets leads messages back to the program. Main thread only. */
#include "lang/parse.h"
#include "lang/parser.h"

/* For each byte of the decoded text, and its end, the place in the program. *literal: the text does
 * not stand in the program, so it holds no expressions. */
static const uint32_t *map_offsets(struct parser *parser, const struct program *program,
                                   const struct option_value *value, bool *literal)
{
    uint32_t *offsets = parser_take(parser, value->text.length + 1, sizeof(*offsets));
    struct lexer lexer = {.text = program->text, .position = value->span.start};
    struct token token = {.kind = TOKEN_END};
    *literal = false;
    if (!value->is_default && !value->is_secret) {
        token = lexer_next(&lexer);
        if (token.kind == TOKEN_NAME && string_equal_text(token.text, value->spec->name))
            token = lexer_next(&lexer);
    }
    if (token.kind == TOKEN_STRING) {
        struct literal_problem problem;
        size_t room = literal_room(&token), length;
        uint32_t *mapped = parser_take(parser, room + 1, sizeof(*mapped));
        char *decoded = parser_take(parser, room, 1);
        if (literal_decode(&token, decoded, &length, mapped, &problem) &&
            length == value->text.length)
            return mapped;
    }
    /* From a default or the environment: everything points to where it was asked for. Names in it
     * are not in the program, whose names the plan has counted; a secret must not be shown. */
    *literal = true;
    for (size_t i = 0; i <= value->text.length; i++)
        offsets[i] = i < value->text.length ? value->span.start : value->span.end;
    return offsets;
}

struct splitter {
    struct parser parser;
    const struct program *program;
    const struct option_value *value;
    struct string text;
    const uint32_t *offsets;
    const struct template_part *parts;
    uint32_t count;
    bool good;
};

static struct span splitter_span(const struct splitter *splitter, size_t start, size_t end)
{
    return (struct span){splitter->offsets[start], splitter->offsets[end]};
}

static bool at_double(const struct splitter *splitter, size_t at)
{
    return at + 1 < splitter->text.length && splitter->text.data[at] == splitter->text.data[at + 1];
}

/* Literal text up to a { that opens an expression, or the end; *at moves there. */
static bool read_literal(struct splitter *splitter, size_t *at, struct string *literal)
{
    char *out = parser_take(&splitter->parser, splitter->text.length - *at + 1, 1);
    literal->data = out;
    literal->length = 0;
    while (*at < splitter->text.length) {
        char byte = splitter->text.data[*at];
        bool brace = byte == '{' || byte == '}';
        if (brace && at_double(splitter, *at))
            ++*at;
        else if (byte == '{')
            return true;
        else if (byte == '}')
            return diagnostics_error(splitter->parser.diagnostics,
                                     splitter_span(splitter, *at, *at + 1),
                                     "a brace of the text itself is written twice: }}");
        out[literal->length++] = byte;
        ++*at;
    }
    return true;
}

/* {expression}: *at is the brace, and moves behind the closing one. */
static const struct node *read_expression(struct splitter *splitter, size_t *at)
{
    struct parser *parser = &splitter->parser;
    struct span open = splitter_span(splitter, *at, *at + 1);
    parser->lexer.position = (uint32_t)*at + 1;
    parser->last = open;
    parser->token = lexer_next(&parser->lexer);
    if (at_punctuation(parser, '}')) {
        diagnostics_error(parser->diagnostics, span_join(open, parser->token.span),
                          "an expression is missing between these braces; a brace of the text "
                          "itself is written twice: {{");
        return NULL;
    }
    const struct node *node = parse_expression(parser);
    if (!node)
        return NULL;
    if (parser->token.kind == TOKEN_END) {
        diagnostics_error(parser->diagnostics, open, "this brace is not closed: `}` is missing");
        return NULL;
    }
    if (!at_punctuation(parser, '}')) {
        parser_expected(parser, "an operator or `}`");
        return NULL;
    }
    *at = parser->token.end;
    return node;
}

/* The outcome is in splitter.parts, unless there is an error. */
static bool split(struct splitter *splitter)
{
    size_t at = 0;
    while (at < splitter->text.length) {
        struct template_part part = {.node = NULL};
        if (!read_literal(splitter, &at, &part.literal))
            return false;
        if (part.literal.length > 0)
            scratch_push(&splitter->parser, &part, sizeof(part));
        if (at == splitter->text.length)
            break;
        part = (struct template_part){.node = read_expression(splitter, &at)};
        if (!part.node)
            return false;
        scratch_push(&splitter->parser, &part, sizeof(part));
    }
    splitter->parts =
        scratch_keep(&splitter->parser, 0, sizeof(struct template_part), &splitter->count);
    return true;
}

/* The text as it is: one literal, or nothing. */
static bool keep_whole(struct splitter *splitter)
{
    struct template_part part = {.literal = splitter->text};
    splitter->count = splitter->text.length > 0;
    splitter->parts = parser_keep(&splitter->parser, &part, splitter->count, sizeof(part));
    return true;
}

static void read_template(struct parser *parser, void *context)
{
    struct splitter *splitter = context;
    bool literal;
    splitter->offsets = map_offsets(parser, splitter->program, splitter->value, &literal);
    parser->lexer = (struct lexer){.text = splitter->text, .offsets = splitter->offsets};
    splitter->good = literal ? keep_whole(splitter) : split(splitter);
}

bool template_parse(const struct program *program, const struct option_value *value,
                    struct diagnostics *diagnostics, const struct template_part **parts,
                    uint32_t *count)
{
    struct splitter splitter = {
        .parser = {.memory = program->memory, .diagnostics = diagnostics},
        .program = program,
        .value = value,
        .text = value->text,
    };
    if (!parser_run(&splitter.parser, read_template, &splitter))
        splitter.good = diagnostics_memory(diagnostics, value->span);
    parser_close(&splitter.parser);
    *parts = splitter.good ? splitter.parts : NULL;
    *count = splitter.good ? splitter.count : 0;
    return splitter.good;
}
