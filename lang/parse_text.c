/* Options that are strings: literals, env("NAME") and secret("file"). Both calls are answered while
 * parsing, once, so that everything later sees plain text; fmt does not ask (it must not depend on
 * where it runs). Main thread only. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/fault.h"
#include "lang/parser.h"
#include "lang/text.h"

#define SECRET_LIMIT ((size_t)64 * 1024)

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

/* NUL-terminated; such a name cannot hold a NUL itself. */
static bool system_name(struct parser *parser, struct string text, struct span span, char **name)
{
    if (text.length == 0 || memchr(text.data, 0, text.length))
        return diagnostics_error(parser->diagnostics, span,
                                 "this name is empty or holds a zero byte");
    *name = parser_take(parser, text.length + 1, 1);
    memcpy(*name, text.data, text.length);
    return true;
}

static bool answer_env(struct parser *parser, struct string name, struct span span,
                       const struct string *otherwise, struct option_value *value)
{
    char *variable = NULL;
    if (!system_name(parser, name, span, &variable))
        return false;
    const char *answer = getenv(variable);
    if (!answer && !otherwise)
        return diagnostics_error(
            parser->diagnostics, span,
            "the environment variable %.*s is not set; set it, or give a default: "
            "env(\"%.*s\", \"…\")",
            SHOW(name), SHOW(name));
    if (!answer) {
        value->text = *otherwise;
        return true;
    }
    struct string text = {answer, strlen(answer)};
    if (text_damage(text) < text.length)
        return diagnostics_error(parser->diagnostics, span,
                                 "the environment variable %.*s is not UTF-8", SHOW(name));
    value->text = (struct string){parser_keep(parser, answer, text.length, 1), text.length};
    return true;
}

/* Reads a small file whole; errno tells what went wrong (EFBIG: more than SECRET_LIMIT). */
static bool read_small_file(struct parser *parser, const char *name, struct string *text)
{
    int injected = fault_io();
    FILE *file = injected ? NULL : fopen(name, "rbe");
    if (!file) {
        errno = injected ? injected : errno;
        return false;
    }
    char content[SECRET_LIMIT + 1];
    size_t length = fread(content, 1, sizeof(content), file);
    int problem = ferror(file) ? errno : length > SECRET_LIMIT ? EFBIG : 0;
    fclose(file);
    if (!problem)
        *text = (struct string){parser_keep(parser, content, length, 1), length};
    explicit_bzero(content, sizeof(content));
    errno = problem;
    return problem == 0;
}

static bool answer_secret(struct parser *parser, struct string name, struct span span,
                          struct option_value *value)
{
    char *path = NULL;
    struct string text = {NULL, 0};
    if (!system_name(parser, name, span, &path))
        return false;
    if (!read_small_file(parser, path, &text))
        return diagnostics_error(parser->diagnostics, span, "cannot read the secret in %.*s: %s",
                                 SHOW(name), strerror(errno));
    if (text.length > 0 && text.data[text.length - 1] == '\n')
        text.length--;
    if (text.length > 0 && text.data[text.length - 1] == '\r')
        text.length--;
    if (text_damage(text) < text.length)
        return diagnostics_error(parser->diagnostics, span, "the secret in %.*s is not UTF-8",
                                 SHOW(name));
    value->text = text;
    value->is_secret = true;
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

bool parse_option_text(struct parser *parser, struct string owner, struct option_value *value)
{
    if (parser->token.kind != TOKEN_STRING && at_option_text(parser))
        return parse_text_call(parser, value);
    char wanted[100];
    snprintf(wanted, sizeof(wanted), "a string for `%.*s`", SHOW(owner));
    return parse_plain_string(parser, wanted, &value->text);
}
