/* Literals of expressions: numbers, strings, bytes, true false null; and what is said about tokens
 * that are none. See parser.h for how errors and memory are handled. Main thread only. */
#include <string.h>

#include "core/number.h"
#include "lang/parse_node.h"

/* Looks like 5m, 1.5h or 1h30m. */
static bool looks_like_duration(struct string text)
{
    if (!strchr("smh", text.data[text.length - 1]))
        return false;
    for (size_t i = 0; i < text.length; i++)
        if (!text.data[i] || !strchr("0123456789.hmsnu", text.data[i]))
            return false;
    return text.data[0] >= '0' && text.data[0] <= '9';
}

/* Something that is no token stands here; says how to write what was probably meant. */
void report_token(struct parser *parser)
{
    struct token token = parser->token;
    if (looks_like_duration(token.text))
        diagnostics_error(parser->diagnostics, token.span,
                          "`%.*s`: did you mean `duration(\"%.*s\")`?", SHOW(token.text),
                          SHOW(token.text));
    else if (token.text.data[0] >= '0' && token.text.data[0] <= '9')
        diagnostics_error(parser->diagnostics, token.span, "`%.*s`: %s", SHOW(token.text),
                          token.problem);
    else
        diagnostics_error(parser->diagnostics, token.span, "%s", token.problem);
}

static bool literal_integer(struct parser *parser, bool negative, struct value *value)
{
    uint64_t natural;
    uint64_t limit = (uint64_t)INT64_MAX + negative;
    if (!literal_natural(&parser->token, &natural) ||
        (parser->token.kind == TOKEN_INT && natural > limit)) {
        const char *kind = parser->token.kind == TOKEN_INT ? "an int" : "a uint";
        return diagnostics_error(parser->diagnostics, parser->token.span,
                                 "this number is too large for %s (64 bits)", kind);
    }
    if (parser->token.kind == TOKEN_UINT)
        *value = value_uint(natural);
    else
        *value = value_int((int64_t)(negative ? 0 - natural : natural));
    return true;
}

static bool literal_double(struct parser *parser, bool negative, struct value *value)
{
    double real = 0;
    bool overflow = false;
    struct string text = parser->token.text;
    if (!number_parse_double(text.data, text.length, &real, &overflow) || overflow)
        return diagnostics_error(parser->diagnostics, parser->token.span,
                                 "this number is too large for a double");
    *value = value_double(negative ? -real : real);
    return true;
}

/* A number, string or bytes; a minus that belongs to it has been consumed (`start` is its place).
 */
struct node *parse_literal(struct parser *parser, bool negative, struct span start)
{
    struct node *node = node_make(parser, NODE_LITERAL, start);
    struct string text = {NULL, 0};
    bool good;
    switch (parser->token.kind) {
    case TOKEN_INT:
    case TOKEN_UINT:
        good = literal_integer(parser, negative, &node->value);
        break;
    case TOKEN_DOUBLE:
        good = literal_double(parser, negative, &node->value);
        break;
    default:
        good = parser_decode(parser, &text);
        node->value = value_string(text.data, text.length);
        if (parser->token.is_bytes)
            node->value.kind = VALUE_BYTES;
    }
    if (!good)
        return NULL;
    parser_advance(parser);
    node->span = node->name_span = span_since(parser, start);
    return node_settle(parser, node);
}

/* true false null, or NULL without an error. */
struct node *parse_constant(struct parser *parser)
{
    struct value value;
    if (at_word(parser, "true"))
        value = value_bool(true);
    else if (at_word(parser, "false"))
        value = value_bool(false);
    else if (at_word(parser, "null"))
        value = value_null();
    else
        return NULL;
    struct node *node = node_make(parser, NODE_LITERAL, parser->token.span);
    node->value = value;
    parser_advance(parser);
    return node_settle(parser, node);
}
