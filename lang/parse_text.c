/* Options that are strings: literals, env("NAME") and secret("file"), and sums of them. Both calls
 * are answered while parsing, once, so that everything later sees plain text; fmt does not ask (it
 * must not depend on where it runs). Main thread only. */
#include <stdio.h>
#include <string.h>

#include "lang/parser.h"
#include "lang/secret.h"

static bool at_call(const struct parser *parser, const char *name)
{
    if (!at_word(parser, name))
        return false;
    struct token next = parser_peek(parser);
    return next.kind == TOKEN_PUNCTUATION && next.punctuation == '(';
}

bool at_option_text(const struct parser *parser)
{
    return parser->token.kind == TOKEN_STRING || at_call(parser, "env") ||
           at_call(parser, "secret");
}

static bool parse_plain_string(struct parser *parser, const char *wanted, struct string *text)
{
    if (parser->token.kind != TOKEN_STRING)
        return parser_expected(parser, wanted);
    if (parser->token.is_bytes)
        return diagnostics_error(parser->diagnostics, parser->token.span,
                                 "bytes cannot stand here; leave out the b for a string");
    if (!parser_decode(parser, text))
        return false;
    parser_advance(parser);
    return true;
}

static bool report_error(struct parser *parser, struct span span, const struct error *error)
{
    return diagnostics_error(parser->diagnostics, span, "%s", error->text);
}

static bool answer_env(struct parser *parser, struct string name, struct span span,
                       const struct string *otherwise, struct option_value *value)
{
    struct error error;
    struct string text;
    bool missing;
    if (environment_read(name, &text, &missing, &error)) {
        value->text = (struct string){parser_keep(parser, text.data, text.length, 1), text.length};
        return true;
    }
    if (!missing)
        return report_error(parser, span, &error);
    if (!otherwise)
        return diagnostics_error(
            parser->diagnostics, span,
            "the environment variable %.*s is not set; set it, or give a default: "
            "env(\"%.*s\", \"…\")",
            SHOW(name), SHOW(name));
    value->text = *otherwise;
    return true;
}

static bool answer_secret(struct parser *parser, struct string name, struct span span,
                          struct option_value *value)
{
    struct error error;
    char content[SECRET_LIMIT + 1];
    size_t length;
    if (!secret_read(name, content, &length, &error))
        return report_error(parser, span, &error);
    value->text = (struct string){parser_keep(parser, content, length, 1), length};
    value->is_secret = true;
    explicit_bzero(content, sizeof(content));
    return true;
}

static bool parse_text_call(struct parser *parser, struct option_value *value)
{
    bool is_env = at_word(parser, "env");
    struct span start = parser->token.span;
    struct string name, otherwise;
    bool has_otherwise = false;
    parser_advance(parser);
    parser_advance_as(parser, LAYOUT_TIGHT);
    if (!parse_plain_string(
            parser, is_env ? "the variable's name, a string," : "the file's name, a string,",
            &name))
        return false;
    if (is_env && at_punctuation(parser, ',')) {
        parser_advance_as(parser, LAYOUT_TIGHT_BEFORE);
        has_otherwise = true;
        if (!parse_plain_string(parser, "the default, a string,", &otherwise))
            return false;
    }
    if (!at_punctuation(parser, ')'))
        return parser_expected(parser, "`)`");
    parser_advance_as(parser, LAYOUT_TIGHT_BEFORE);
    struct span span = span_since(parser, start);
    if (parser->layout)
        return true;
    return is_env ? answer_env(parser, name, span, has_otherwise ? &otherwise : NULL, value)
                  : answer_secret(parser, name, span, value);
}

static bool parse_text_part(struct parser *parser, struct string owner, struct option_value *value)
{
    if (parser->token.kind != TOKEN_STRING && at_option_text(parser))
        return parse_text_call(parser, value);
    char wanted[100];
    snprintf(wanted, sizeof(wanted), "a string for `%.*s`", SHOW(owner));
    return parse_plain_string(parser, wanted, &value->text);
}

bool parse_option_text(struct parser *parser, struct string owner, struct option_value *value)
{
    enum option_kind kind = value->spec->kind;
    bool sums = kind == OPTION_STRING || kind == OPTION_STRINGS;
    if (!parse_text_part(parser, owner, value))
        return false;
    if (!sums || !at_punctuation(parser, '+'))
        return true;
    /* "postgres://app:" + secret("password.txt") + "@db": joined at the end, once */
    size_t mark = parser->scratch_used, length = 0;
    scratch_push(parser, &value->text, sizeof(value->text));
    while (at_punctuation(parser, '+')) {
        parser_advance(parser);
        if (!parse_text_part(parser, owner, value))
            return false;
        scratch_push(parser, &value->text, sizeof(value->text));
    }
    uint32_t count;
    const struct string *parts = scratch_keep(parser, mark, sizeof(*parts), &count);
    for (uint32_t i = 0; i < count; i++)
        length += parts[i].length;
    char *text = parser_take(parser, length + 1, 1);
    value->text = (struct string){text, length};
    for (uint32_t i = 0; i < count; i++) {
        if (parts[i].length)
            memcpy(text, parts[i].data, parts[i].length);
        text += parts[i].length;
    }
    return true;
}
