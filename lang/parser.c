/* What all parts of the parser share: tokens, memory, messages (parser.h), and the entry point for
 * a single expression. Main thread only. */
#include "lang/parser.h"

#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "lang/parse.h"
#include "lang/text.h"

bool parser_open(struct parser *parser, struct diagnostics *diagnostics, bool cel_strict)
{
    struct string text = diagnostics->text;
    parser->diagnostics = diagnostics;
    parser->cel_strict = cel_strict;
    parser->lexer = (struct lexer){.text = text, .cel_strict = cel_strict};
    if (text.length > PARSER_TEXT_LIMIT) {
        parser->lexer.text.length = 0;
        return diagnostics_error(diagnostics, (struct span){0, 0},
                                 "a program may have up to 16 MiB; this one has %zu bytes",
                                 text.length);
    }
    size_t damage = text_damage(text);
    if (damage < text.length)
        return diagnostics_error(diagnostics, (struct span){(uint32_t)damage, (uint32_t)damage + 1},
                                 "the program is not UTF-8: byte 0x%02x at offset %zu",
                                 (unsigned char)text.data[damage], damage);
    const char *zero = cel_strict || text.length == 0 ? NULL : memchr(text.data, 0, text.length);
    if (zero) {
        uint32_t at = (uint32_t)(zero - text.data);
        return diagnostics_error(diagnostics, (struct span){at, at + 1},
                                 "a zero byte cannot stand in a program; is this text?");
    }
    if (text.length >= 3 && memcmp(text.data, "\xEF\xBB\xBF", 3) == 0)
        parser->lexer.position = 3;
    parser->token = lexer_next(&parser->lexer);
    return true;
}

void parser_close(struct parser *parser)
{
    free(parser->scratch);
    parser->scratch = NULL;
}

void *parser_take(struct parser *parser, size_t count, size_t size)
{
    size_t bytes;
    void *taken = NULL;
    if (!__builtin_mul_overflow(count, size, &bytes))
        taken = program_memory_take(parser->memory, bytes);
    if (!taken)
        longjmp(*parser->memory_short, 1);
    return taken;
}

void *parser_keep(struct parser *parser, const void *items, size_t count, size_t size)
{
    void *kept = parser_take(parser, count, size);
    if (count)
        memcpy(kept, items, count * size);
    return kept;
}

void scratch_push(struct parser *parser, const void *item, size_t size)
{
    if (size > parser->scratch_size - parser->scratch_used) {
        size_t grown = parser->scratch_size * 2 + size + 1024;
        char *scratch = memory_resize(parser->scratch, grown);
        if (!scratch)
            longjmp(*parser->memory_short, 1);
        parser->scratch = scratch;
        parser->scratch_size = grown;
    }
    memcpy(parser->scratch + parser->scratch_used, item, size);
    parser->scratch_used += size;
}

void *scratch_keep(struct parser *parser, size_t mark, size_t size, uint32_t *count)
{
    CHECK(mark <= parser->scratch_used && (parser->scratch_used - mark) % size == 0);
    size_t number = (parser->scratch_used - mark) / size;
    void *kept = parser_take(parser, number, size);
    if (number)
        memcpy(kept, parser->scratch + mark, number * size);
    parser->scratch_used = mark;
    *count = (uint32_t)number;
    return kept;
}

static void layout_add(struct parser *parser)
{
    struct layout *layout = parser->layout;
    if (layout->count == layout->capacity) {
        size_t capacity = layout->capacity * 2 + 256;
        struct layout_token *tokens =
            memory_resize(layout->tokens, capacity * sizeof(*layout->tokens));
        if (!tokens)
            longjmp(*parser->memory_short, 1);
        layout->tokens = tokens;
        layout->capacity = capacity;
    }
    layout->tokens[layout->count++] = (struct layout_token){parser->token.span, parser->role};
}

void parser_advance(struct parser *parser)
{
    if (parser->token.kind == TOKEN_END)
        return;
    if (parser->layout)
        layout_add(parser);
    parser->role = LAYOUT_PLAIN;
    parser->last = parser->token.span;
    parser->token = lexer_next(&parser->lexer);
}

void parser_advance_as(struct parser *parser, enum layout_role role)
{
    parser->role = role;
    parser_advance(parser);
}

bool at_word(const struct parser *parser, const char *word)
{
    return parser->token.kind == TOKEN_NAME && string_equal_text(parser->token.text, word);
}

bool at_name(const struct parser *parser)
{
    if (parser->token.kind == TOKEN_QUOTED)
        return true;
    return parser->token.kind == TOKEN_NAME && !at_word(parser, "true") &&
           !at_word(parser, "false") && !at_word(parser, "null") && !at_word(parser, "in");
}

struct string parser_name(const struct parser *parser)
{
    bool quoted = parser->token.kind == TOKEN_QUOTED;
    return quoted ? parser->token.content : parser->token.text;
}

bool parser_expected(struct parser *parser, const char *wanted)
{
    const struct token *token = &parser->token;
    struct span behind = {parser->last.end, parser->last.end};
    switch (token->kind) {
    case TOKEN_END:
        return diagnostics_error(parser->diagnostics, behind.end ? behind : token->span,
                                 "%s is missing here", wanted);
    case TOKEN_ERROR:
        return diagnostics_error(parser->diagnostics, token->span, "%s", token->problem);
    case TOKEN_STRING:
        return diagnostics_error(parser->diagnostics, token->span,
                                 "here stands %s, but %s is expected",
                                 token->is_bytes ? "bytes" : "a string", wanted);
    default:
        return diagnostics_error(parser->diagnostics, token->span,
                                 "here stands `%.*s`, but %s is expected", SHOW(token->text),
                                 wanted);
    }
}

bool parser_decode(struct parser *parser, struct string *text)
{
    struct literal_problem problem;
    const struct token *token = &parser->token;
    CHECK(token->kind == TOKEN_STRING);
    char *out = parser_take(parser, literal_room(token), 1);
    if (!literal_decode(token, out, &text->length, NULL, &problem)) {
        struct span span = {problem.start, problem.end};
        if (parser->lexer.offsets)
            span = (struct span){parser->lexer.offsets[problem.start],
                                 parser->lexer.offsets[problem.end]};
        return diagnostics_error(parser->diagnostics, span, "%s", problem.text);
    }
    text->data = out;
    return true;
}

bool parser_run(struct parser *parser, void (*body)(struct parser *, void *), void *context)
{
    jmp_buf memory_short;
    parser->memory_short = &memory_short;
    if (setjmp(memory_short) != 0)
        return false;
    body(parser, context);
    return true;
}

static void read_expression(struct parser *parser, void *context)
{
    const struct node **node = context;
    *node = parse_expression(parser);
    if (*node && parser->token.kind != TOKEN_END)
        parser_expected(parser, "an operator or the end");
}

const struct node *expression_parse(struct diagnostics *diagnostics, bool cel_strict,
                                    struct program_memory **memory)
{
    struct parser parser = {.memory = program_memory_open()};
    const struct node *node = NULL;
    *memory = parser.memory;
    bool opened = parser.memory && parser_open(&parser, diagnostics, cel_strict);
    if (!parser.memory || (opened && !parser_run(&parser, read_expression, &node)))
        diagnostics_memory(diagnostics, (struct span){0, 0});
    parser_close(&parser);
    return diagnostics->errors ? NULL : node;
}
