/* The parser's inner state, shared by the files parse_*.c only. One parser reads one text, on the
 * main thread. It reads each token once, in order; only a quantity is read again (in another mode
 * of the lexer) from where the current token begins.
 *
 * Errors are reported where they are found, and NULL or false climbs up to the place that can go
 * on: an option of a block, or a statement. Memory that runs short is the one exception: it leaves
 * by longjmp to the entry point (parser_take), because no level could do anything about it. */
#ifndef LEAT_LANG_PARSER_H
#define LEAT_LANG_PARSER_H

#include <setjmp.h>

#include "lang/ast.h"
#include "lang/lexer.h"
#include "lang/program_memory.h"

#define PARSER_TEXT_LIMIT ((size_t)16 * 1024 * 1024)
/* Levels of an expression's tree, and of what the parser calls itself for. */
#define PARSER_DEPTH_LIMIT 250

/* What a token is in the layout of a program; see lang/program_format.c. */
enum layout_role {
    LAYOUT_PLAIN,
    LAYOUT_STATEMENT, /* its first word */
    LAYOUT_SEPARATOR, /* | or ; between statements or options */
    LAYOUT_BLOCK_OPEN,
    LAYOUT_BLOCK_CLOSE,
    LAYOUT_OPTION,       /* an option's name in a block */
    LAYOUT_ITEM,         /* first token of an item of a list */
    LAYOUT_LINE_ITEM,    /* the same, of a list that has a line for each item */
    LAYOUT_ITEM_COMMA,   /* comma between such items */
    LAYOUT_ITEM_EQUALS,  /* = of such an item */
    LAYOUT_TIGHT_AFTER,  /* unary operator, opening bracket: nothing follows at a distance */
    LAYOUT_TIGHT_BEFORE, /* comma, colon of a map, closing bracket */
    LAYOUT_TIGHT,        /* dot, bracket of a call or an index */
};
struct layout_token {
    struct span span;
    enum layout_role role;
};

struct layout {
    struct layout_token *tokens;
    size_t count;
    size_t capacity;
};

struct parser {
    struct lexer lexer;
    struct token token; /* the one to be consumed next */
    struct span last;   /* of the last one consumed */
    bool cel_strict;
    unsigned depth; /* calls of parse_expression under way */
    struct diagnostics *diagnostics;
    struct program_memory *memory;
    const struct registry *registry; /* NULL where only an expression is read */
    struct layout *layout;           /* NULL but for fmt */
    enum layout_role role;           /* of the next token to be consumed */
    jmp_buf *memory_short;

    /* Things whose number is not known yet, kept till it is (scratch_*). */
    char *scratch;
    size_t scratch_used;
    size_t scratch_size;
};

/* Begins at the first token. False: the text is too long or not UTF-8 (reported). */
bool parser_open(struct parser *parser, struct diagnostics *diagnostics, bool cel_strict);
void parser_close(struct parser *parser);
/* Calls body(parser, context), between the two above. False: memory ran short on the way. */
MUST_USE bool parser_run(struct parser *parser, void (*body)(struct parser *, void *),
                         void *context);
/* Zeroed memory of the program; only inside parser_run. Never NULL: jumps to *memory_short instead.
 */
void *parser_take(struct parser *parser, size_t count, size_t size);
/* A copy of something in the program's memory. */
void *parser_keep(struct parser *parser, const void *items, size_t count, size_t size);

/* A stack of things of unknown number: remember scratch_used, push, keep what was pushed, which
 * puts scratch_used back. */
void scratch_push(struct parser *parser, const void *item, size_t size);
void *scratch_keep(struct parser *parser, size_t mark, size_t size, uint32_t *count);

/* Consumes the current token. */
void parser_advance(struct parser *parser);
void parser_advance_as(struct parser *parser, enum layout_role role);
static inline bool at_punctuation(const struct parser *parser, int code)
{
    return parser->token.kind == TOKEN_PUNCTUATION && parser->token.punctuation == code;
}
/* A bare name equal to `word`. */
bool at_word(const struct parser *parser, const char *word);
/* A name that may stand for a field: in backquotes, or bare and none of true false null in. */
bool at_name(const struct parser *parser);
/* Reports that `wanted` ("a field's name", …) does not stand here, whatever does; gives false. */
bool parser_expected(struct parser *parser, const char *wanted);
/* The text of the current name token. */
struct string parser_name(const struct parser *parser);
/* Decodes the current STRING token (not consumed) into the program's memory; false: reported. */
bool parser_decode(struct parser *parser, struct string *text);
/* From a start to the end of the last token consumed. */
static inline struct span span_since(const struct parser *parser, struct span start)
{
    return (struct span){start.start, parser->last.end};
}
static inline struct span span_join(struct span a, struct span b)
{
    return (struct span){a.start, b.end};
}
/* For %.*s of a message: length cut so that the message stays readable. */
#define SHOW(string) (int)size_min((string).length, 60), (string).data

/* lang/parse_option.c: reads what an option of this kind takes. `owner` is the word that asks for
 * it, for messages: the option's name, or the statement's where it is positional. */
bool parse_option_value(struct parser *parser, const struct option_spec *spec, struct string owner,
                        struct option_value *value);
/* An option of this kind could begin at the current token. */
bool option_begins(struct parser *parser, const struct option_spec *spec);
/* Value of a table's default_text; must be right (CHECK). */
void parse_option_default(struct parser *parser, const struct option_spec *spec,
                          struct option_value *value);
/* "a size like 64KiB" … for messages and help. `words` of WORD and TYPES are not listed. */
const char *option_kind_wanted(enum option_kind kind);
/* Index of `word` in "a|b|c", or -1. */
int words_find(const char *words, struct string word);
/* One of `words`, "a|b|c". */
bool parse_word(struct parser *parser, const char *words, struct string owner, struct string *text,
                int64_t *index);
/* A quantity that begins with a digit stands here. */
bool at_quantity(const struct parser *parser);
/* lang/parse_phrase.c: PHRASE, RANGE, and one item of CAUSES. */
bool parse_phrase(struct parser *parser, const struct option_spec *spec, struct string owner,
                  struct option_value *value);
bool phrase_begins(const struct parser *parser, const struct option_spec *spec);
/* The words of a phrase's pattern, from index 0 on; false: it has no more. */
bool phrase_has_word(const struct option_spec *spec, size_t index, char *word, size_t size);
bool parse_range(struct parser *parser, struct string owner, struct option_value *value);
bool parse_cause(struct parser *parser, const struct option_spec *spec, struct string owner,
                 struct option_item *item);
/* lang/parse_text.c: a string, env(…) or secret(…); text and is_secret are set. */
bool parse_option_text(struct parser *parser, struct string owner, struct option_value *value);
/* A string or such a call stands here. */
bool at_option_text(const struct parser *parser);
/* lang/parse_names.c: "did you mean" and lists for messages. */
struct name_list {
    const char *names[192];
    size_t count;
};
void name_list_add(struct name_list *list, const char *name);
/* Reports "TEXT `name`; did you mean …?" or "TEXT `name`; there are: …". Gives false. */
bool report_unknown(struct parser *parser, struct span span, const char *text, struct string name,
                    const struct name_list *list);
/* from, into, reject, fail, lookup and every verb. */
bool name_is_verb(const struct parser *parser, struct string name);
/* The token behind the current one. */
struct token parser_peek(const struct parser *parser);

/* lang/parse_expression.c: reads one as far as it goes; NULL: reported. */
const struct node *parse_expression(struct parser *parser);
/* lang/parse_macro.c: turns a call into what the macro of its name means, if it is one. Gives false
 * after an error. */
bool expand_macro(struct parser *parser, struct node *call);

#endif
