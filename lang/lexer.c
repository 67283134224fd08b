/* The lexer: see lexer.h. Owns nothing. Main thread only. */
#include "lang/lexer.h"

#include <string.h>

static bool is_digit(int byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_name_start(int byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '_';
}

static bool is_name_part(int byte)
{
    return is_name_start(byte) || is_digit(byte);
}

static bool is_hex(int byte)
{
    return is_digit(byte) || (byte >= 'a' && byte <= 'f') || (byte >= 'A' && byte <= 'F');
}

/* The byte at an offset, or -1 behind the end. */
static int byte_at(const struct lexer *lexer, uint32_t offset)
{
    return offset < lexer->text.length ? (unsigned char)lexer->text.data[offset] : -1;
}

static bool comment_begins(const struct lexer *lexer, uint32_t offset)
{
    int byte = byte_at(lexer, offset);
    return (byte == '#' && !lexer->cel_strict) ||
           (byte == '/' && byte_at(lexer, offset + 1) == '/');
}

static uint32_t line_end(const struct lexer *lexer, uint32_t offset)
{
    const char *begin = lexer->text.data + offset;
    const char *newline = memchr(begin, '\n', lexer->text.length - offset);
    return newline ? (uint32_t)(newline - lexer->text.data) : (uint32_t)lexer->text.length;
}

/* Moves behind white space and comments; *line_start: a newline (or the beginning) was passed. */
static void skip_blank(struct lexer *lexer, bool *line_start)
{
    *line_start = lexer->position == 0;
    for (;;) {
        int byte = byte_at(lexer, lexer->position);
        if (byte == '\n')
            *line_start = true;
        if (byte == ' ' || byte == '\t' || byte == '\r' || byte == '\f' || byte == '\n')
            lexer->position++;
        else if (comment_begins(lexer, lexer->position))
            lexer->position = line_end(lexer, lexer->position);
        else
            return;
    }
}

bool lexer_comment(const struct lexer *lexer, uint32_t *position, uint32_t end,
                   struct span *comment)
{
    while (*position < end && !comment_begins(lexer, *position))
        ++*position;
    if (*position >= end)
        return false;
    comment->start = *position;
    *position = line_end(lexer, *position);
    comment->end = *position;
    while (comment->end > comment->start && strchr(" \t\r\f", lexer->text.data[comment->end - 1]))
        comment->end--;
    return true;
}

/* Fills what every token has and moves behind it. */
static void token_finish(struct lexer *lexer, struct token *token, uint32_t end)
{
    token->end = end;
    token->text = (struct string){lexer->text.data + token->start, end - token->start};
    token->span = (struct span){token->start, end};
    if (lexer->offsets)
        token->span = (struct span){lexer->offsets[token->start], lexer->offsets[end]};
    lexer->position = end;
}

static void token_refuse(struct lexer *lexer, struct token *token, uint32_t end,
                         const char *problem)
{
    token->kind = TOKEN_ERROR;
    token->problem = problem;
    token_finish(lexer, token, end);
}

static void read_name(struct lexer *lexer, struct token *token)
{
    uint32_t end = token->start;
    while (is_name_part(byte_at(lexer, end)))
        end++;
    token->kind = TOKEN_NAME;
    token_finish(lexer, token, end);
}

static void read_quoted_name(struct lexer *lexer, struct token *token)
{
    uint32_t end = token->start + 1;
    while (byte_at(lexer, end) != '`') {
        int byte = byte_at(lexer, end);
        if (byte < 0 || byte == '\n') {
            token_refuse(lexer, token, end, "this name is not closed: a backquote is missing");
            return;
        }
        end++;
    }
    token->kind = TOKEN_QUOTED;
    token->content = (struct string){lexer->text.data + token->start + 1, end - token->start - 1};
    token_finish(lexer, token, end + 1);
    if (token->content.length == 0)
        token_refuse(lexer, token, end + 1, "a name in backquotes cannot be empty");
}

/* A string whose opening quote stands at `quote`, behind its prefix if any. */
static void read_string(struct lexer *lexer, struct token *token, uint32_t quote)
{
    int mark = byte_at(lexer, quote);
    token->kind = TOKEN_STRING;
    token->is_triple = byte_at(lexer, quote + 1) == mark && byte_at(lexer, quote + 2) == mark;
    uint32_t begin = quote + (token->is_triple ? 3 : 1);
    for (uint32_t at = begin;; at++) {
        int byte = byte_at(lexer, at);
        bool closed = byte == mark;
        if (closed && token->is_triple)
            closed = byte_at(lexer, at + 1) == mark && byte_at(lexer, at + 2) == mark;
        if (closed) {
            token->content = (struct string){lexer->text.data + begin, at - begin};
            token_finish(lexer, token, at + (token->is_triple ? 3 : 1));
            return;
        }
        if (byte < 0 || (!token->is_triple && (byte == '\n' || byte == '\r'))) {
            token_refuse(lexer, token, at,
                         token->is_triple ? "this string is not closed: three quotes are missing"
                                          : "this string is not closed on its line");
            return;
        }
        if (byte == '\\' && !token->is_raw && byte_at(lexer, at + 1) >= 0 &&
            byte_at(lexer, at + 1) != '\n' && byte_at(lexer, at + 1) != '\r')
            at++;
    }
}

/* A string with a prefix (r, b, rb, br in any case) may begin here. */
static bool read_prefixed_string(struct lexer *lexer, struct token *token)
{
    uint32_t at = token->start;
    for (int i = 0; i < 2; i++, at++) {
        int byte = byte_at(lexer, at) | 0x20;
        if (byte == 'r' && !token->is_raw)
            token->is_raw = true;
        else if (byte == 'b' && !token->is_bytes)
            token->is_bytes = true;
        else
            break;
    }
    int quote = byte_at(lexer, at);
    if (quote != '"' && quote != '\'') {
        token->is_raw = false;
        token->is_bytes = false;
        return false;
    }
    read_string(lexer, token, at);
    return true;
}

/* Moves behind an exponent if a whole one stands at `at`. */
static uint32_t skip_exponent(const struct lexer *lexer, uint32_t at)
{
    if ((byte_at(lexer, at) | 0x20) != 'e')
        return at;
    uint32_t digits = at + 1;
    if (byte_at(lexer, digits) == '+' || byte_at(lexer, digits) == '-')
        digits++;
    if (!is_digit(byte_at(lexer, digits)))
        return at;
    while (is_digit(byte_at(lexer, digits)))
        digits++;
    return digits;
}

static void read_number(struct lexer *lexer, struct token *token)
{
    uint32_t at = token->start;
    token->kind = TOKEN_INT;
    if (byte_at(lexer, at) == '0' && (byte_at(lexer, at + 1) | 0x20) == 'x' &&
        is_hex(byte_at(lexer, at + 2))) {
        for (at += 2; is_hex(byte_at(lexer, at));)
            at++;
    } else {
        while (is_digit(byte_at(lexer, at)))
            at++;
        if (byte_at(lexer, at) == '.' && is_digit(byte_at(lexer, at + 1))) {
            token->kind = TOKEN_DOUBLE;
            for (at++; is_digit(byte_at(lexer, at));)
                at++;
        }
        uint32_t exponent = skip_exponent(lexer, at);
        if (exponent != at)
            token->kind = TOKEN_DOUBLE;
        at = exponent;
    }
    if (token->kind == TOKEN_INT && (byte_at(lexer, at) | 0x20) == 'u') {
        token->kind = TOKEN_UINT;
        at++;
    }
    if (is_name_part(byte_at(lexer, at))) {
        while (is_name_part(byte_at(lexer, at)))
            at++;
        token_refuse(lexer, token, at, "a number cannot touch a letter");
        return;
    }
    token_finish(lexer, token, at);
}

static const struct {
    char text[3];
    int code;
} pairs[] = {
    {"&&", PUNCTUATION_AND},        {"||", PUNCTUATION_OR},
    {"==", PUNCTUATION_EQUAL},      {"!=", PUNCTUATION_NOT_EQUAL},
    {"<=", PUNCTUATION_LESS_EQUAL}, {">=", PUNCTUATION_GREATER_EQUAL},
};

/* The bytes behind the first one of a UTF-8 sequence are taken along, so that messages show it. */
static uint32_t character_end(const struct lexer *lexer, uint32_t at)
{
    for (at++; (byte_at(lexer, at) & 0xC0) == 0x80 && byte_at(lexer, at) >= 0;)
        at++;
    return at;
}

static void read_punctuation(struct lexer *lexer, struct token *token)
{
    int first = byte_at(lexer, token->start);
    int second = byte_at(lexer, token->start + 1);
    token->kind = TOKEN_PUNCTUATION;
    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
        if (first == pairs[i].text[0] && second == pairs[i].text[1]) {
            token->punctuation = pairs[i].code;
            token_finish(lexer, token, token->start + 2);
            return;
        }
    if (first != 0 && strchr("()[]{}.,:?;|!=<>+-*/%", first)) {
        token->punctuation = first;
        token_finish(lexer, token, token->start + 1);
    } else if (first == '&') {
        token_refuse(lexer, token, token->start + 1, "unknown operator; did you mean `&&`?");
    } else {
        token_refuse(lexer, token, character_end(lexer, token->start),
                     "this character has no meaning here");
    }
}

struct token lexer_next(struct lexer *lexer)
{
    struct token token = {.kind = TOKEN_END};
    skip_blank(lexer, &token.line_start);
    token.start = lexer->position;
    int byte = byte_at(lexer, token.start);
    if (byte < 0)
        token_finish(lexer, &token, token.start);
    else if (byte == '"' || byte == '\'')
        read_string(lexer, &token, token.start);
    else if (is_name_start(byte)) {
        if (!read_prefixed_string(lexer, &token))
            read_name(lexer, &token);
    } else if (byte == '`')
        read_quoted_name(lexer, &token);
    else if (is_digit(byte) || (byte == '.' && is_digit(byte_at(lexer, token.start + 1))))
        read_number(lexer, &token);
    else
        read_punctuation(lexer, &token);
    return token;
}

struct token lexer_quantity(struct lexer *lexer, const struct token *token)
{
    struct token quantity = *token;
    uint32_t at = token->start;
    bool percentile = byte_at(lexer, at) == 'p' && is_digit(byte_at(lexer, at + 1));
    if (!is_digit(byte_at(lexer, at)) && byte_at(lexer, at) != '.' && !percentile)
        return quantity;
    for (;; at++) {
        int byte = byte_at(lexer, at);
        bool rate = byte == '/' && at > token->start && is_name_part(byte_at(lexer, at - 1)) &&
                    is_name_start(byte_at(lexer, at + 1));
        if (!is_name_part(byte) && byte != '.' && byte != '%' && !rate)
            break;
    }
    quantity.kind = TOKEN_QUANTITY;
    quantity.problem = NULL;
    token_finish(lexer, &quantity, at);
    return quantity;
}
