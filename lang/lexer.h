/* Program text to tokens. The lexer is a position in a text: it reports nothing and allocates
 * nothing, so that the parser may read the same place again in another mode. Main thread only. */
#ifndef LEAT_LANG_LEXER_H
#define LEAT_LANG_LEXER_H

#include "core/option.h"

enum token_kind {
    TOKEN_END,
    TOKEN_NAME,   /* a bare name, true false null in included */
    TOKEN_QUOTED, /* a name in backquotes; content is the name */
    TOKEN_STRING, /* any CEL string or bytes literal, see the flags; content is what stands between
                     the quotes, escapes not yet decoded */
    TOKEN_INT,    /* decimal or hexadecimal digits */
    TOKEN_UINT,   /* the same with u */
    TOKEN_DOUBLE,
    TOKEN_QUANTITY, /* only from lexer_quantity */
    TOKEN_PUNCTUATION,
    TOKEN_ERROR, /* cannot be a token: `problem` says why */
};

/* Punctuation of two characters has codes above those of single ones. */
enum {
    PUNCTUATION_AND = 256,
    PUNCTUATION_OR,
    PUNCTUATION_EQUAL,
    PUNCTUATION_NOT_EQUAL,
    PUNCTUATION_LESS_EQUAL,
    PUNCTUATION_GREATER_EQUAL
};

struct token {
    enum token_kind kind;
    int punctuation; /* the character, or a PUNCTUATION_ code */
    uint32_t start;  /* offsets in the lexer's text */
    uint32_t end;
    struct span span;      /* the same place in the program (differs inside templates) */
    struct string text;    /* all of it as written */
    struct string content; /* QUOTED, STRING */
    bool is_bytes;         /* STRING */
    bool is_raw;
    bool is_triple;
    bool line_start;     /* only white space stands before it on its line */
    const char *problem; /* ERROR: a whole sentence without period; static */
};

struct lexer {
    struct string text;
    uint32_t position;
    bool cel_strict; /* '#' is no comment */
    const uint32_t
        *offsets; /* text offset to program offset, text.length + 1 of them; NULL: same */
};

/* The next token; at the end TOKEN_END again and again. */
struct token lexer_next(struct lexer *lexer);
/* Reads one quantity (see LANGUAGE.md) from where `token` begins: all letters, digits, `.`, `%`
 * that touch, and a `/` between a digit and a letter; it begins with a digit, or `p` and a digit.
 * For a token that cannot begin one, gives `token`. */
struct token lexer_quantity(struct lexer *lexer, const struct token *token);
/* The comment at or behind *position and before `end`; false: none. Moves *position behind it.
 * *comment excludes the newline and what white space stands before it. */
bool lexer_comment(const struct lexer *lexer, uint32_t *position, uint32_t end,
                   struct span *comment);

/* Text of a literal. Reports are left to the caller: `problem` and where. */
struct literal_problem {
    const char *text; /* a sentence; static */
    uint32_t start;   /* offsets in the lexer's text */
    uint32_t end;
};
/* Decodes a STRING token's content into `out`, which has room for content.length bytes and more
 * (literal_room). `offsets`, if not NULL, gets for each byte of the result, and its end, the offset
 * in the lexer's text that it came from. False: *problem says why. */
bool literal_decode(const struct token *token, char *out, size_t *length, uint32_t *offsets,
                    struct literal_problem *problem);
/* Enough room for what literal_decode writes. */
size_t literal_room(const struct token *token);
/* Reads the digits of an INT or UINT token; false: more than 64 bits. */
bool literal_natural(const struct token *token, uint64_t *natural);

#endif
