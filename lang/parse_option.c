/* The parts of options, each kind by its own rule (core/option.h). Main thread only. */
#include <stdio.h>
#include <string.h>

#include "lang/parser.h"
#include "lang/quantity.h"

const char *option_kind_wanted(enum option_kind kind)
{
    switch (kind) {
    case OPTION_FLAG:
    case OPTION_KEYWORD:
    case OPTION_WORD:
        return "a word";
    case OPTION_NAME:
        return "a name";
    case OPTION_STRING:
    case OPTION_STRINGS:
    case OPTION_TEMPLATE:
        return "a string";
    case OPTION_INTEGER:
        return "a whole number";
    case OPTION_DURATION:
        return "a duration like 250ms, 5s or 2h";
    case OPTION_SIZE:
        return "a size like 64KiB or 1GiB";
    case OPTION_RATE:
        return "a rate like 500/s or 60/m";
    case OPTION_PERCENT:
        return "a percentage like 1%";
    case OPTION_AMOUNT:
        return "a whole number or a percentage";
    case OPTION_EXPRESSION:
        return "an expression";
    case OPTION_PATH:
    case OPTION_PATHS:
        return "a field's name";
    case OPTION_NAMES:
        return "a name";
    case OPTION_ASSIGNMENTS:
        return "an assignment like name = expression";
    case OPTION_SELECTIONS:
        return "a field's name, or name = expression";
    case OPTION_RENAMES:
        return "a pair like new = old";
    case OPTION_TYPES:
        return "a type, or a block { name type }";
    case OPTION_RANGE:
        return "a range like 200ms..10s";
    case OPTION_PHRASE:
        return "numbers and words as its form says";
    case OPTION_CAUSES:
        return "causes like timeout, connect, 429, 5xx";
    case OPTION_HEADERS:
        return "a header like \"name\" = expression";
    case OPTION_TEMPLATES:
        return "a string";
    case OPTION_CHOICE:
        return "a word or an expression";
    }
    CHECK(!"unknown kind of option");
    return "";
}

int words_find(const char *words, struct string word)
{
    int index = 0;
    for (const char *at = words; at; index++) {
        const char *bar = strchr(at, '|');
        size_t length = bar ? (size_t)(bar - at) : strlen(at);
        if (string_equal((struct string){at, length}, word))
            return index;
        at = bar ? bar + 1 : NULL;
    }
    return -1;
}

/* "`size` takes a size like 64KiB; here stands `x`". */
static bool option_expected(struct parser *parser, const struct option_spec *spec,
                            struct string owner)
{
    char wanted[160];
    if (parser->token.kind == TOKEN_ERROR && parser->token.text.data[0] == '"')
        return parser_expected(parser, "");
    snprintf(wanted, sizeof(wanted), "%s for `%.*s`", option_kind_wanted(spec->kind), SHOW(owner));
    return parser_expected(parser, wanted);
}

/* ---- words and quantities ---- */

static bool report_word(struct parser *parser, const char *words, struct string owner)
{
    char copy[256], allowed[300], text[120];
    struct name_list list = {.count = 0};
    snprintf(copy, sizeof(copy), "%s", words);
    for (char *rest = copy, *word; (word = strsep(&rest, "|"));)
        name_list_add(&list, word);
    if (parser->token.kind == TOKEN_NAME) {
        snprintf(text, sizeof(text), "`%.*s` cannot be", SHOW(owner));
        return report_unknown(parser, parser->token.span, text, parser->token.text, &list);
    }
    size_t used = 0;
    for (size_t i = 0; i < list.count && used < sizeof(allowed) - 64; i++)
        used += (size_t)snprintf(allowed + used, sizeof(allowed) - used, "%s`%.40s`",
                                 i == 0                ? ""
                                 : i + 1 == list.count ? " or "
                                                       : ", ",
                                 list.names[i]);
    snprintf(allowed + used, sizeof(allowed) - used, " for `%.*s`", SHOW(owner));
    return parser_expected(parser, allowed);
}

bool parse_word(struct parser *parser, const char *words, struct string owner, struct string *text,
                int64_t *index)
{
    int found = parser->token.kind == TOKEN_NAME ? words_find(words, parser->token.text) : -1;
    if (found < 0)
        return report_word(parser, words, owner);
    *text = parser->token.text;
    *index = found;
    parser_advance(parser);
    return true;
}

bool at_quantity(const struct parser *parser)
{
    if (parser->token.kind == TOKEN_END)
        return false;
    char first = parser->token.text.data[0];
    return (first >= '0' && first <= '9') || parser->token.kind == TOKEN_DOUBLE;
}

static bool parse_quantity(struct parser *parser, const struct option_spec *spec,
                           struct string owner, struct option_value *value)
{
    if (!at_quantity(parser))
        return option_expected(parser, spec, owner);
    parser->token = lexer_quantity(&parser->lexer, &parser->token);
    const char *problem = quantity_read(spec->kind, parser->token.text, value);
    if (problem)
        return diagnostics_error(parser->diagnostics, parser->token.span,
                                 "`%.*s`: %s; `%.*s` takes %s", SHOW(parser->token.text), problem,
                                 SHOW(owner), option_kind_wanted(spec->kind));
    parser_advance(parser);
    return true;
}

/* ---- names, paths and lists ---- */

static bool parse_name_part(struct parser *parser, const char *wanted, struct string *name)
{
    if (!at_name(parser)) {
        if (parser->token.kind == TOKEN_NAME)
            return diagnostics_error(parser->diagnostics, parser->token.span,
                                     "`%.*s` is a word of the language; write it in backquotes",
                                     SHOW(parser->token.text));
        return parser_expected(parser, wanted);
    }
    *name = parser_name(parser);
    parser_advance(parser);
    return true;
}

static bool parse_path(struct parser *parser, const char *wanted, struct path *path)
{
    struct span start = parser->token.span;
    size_t mark = parser->scratch_used;
    struct string name;
    for (;;) {
        if (!parse_name_part(parser, wanted, &name))
            return false;
        scratch_push(parser, &name, sizeof(name));
        if (!at_punctuation(parser, '.'))
            break;
        parser_advance_as(parser, LAYOUT_TIGHT);
        wanted = "a field's name after `.`";
    }
    path->names = scratch_keep(parser, mark, sizeof(name), &path->count);
    path->span = span_since(parser, start);
    return true;
}

/* What stands behind the path of an item: nothing, or "=" and what the kind takes. */
static bool parse_item_right(struct parser *parser, const struct option_spec *spec,
                             struct option_item *item)
{
    bool plain = spec->kind == OPTION_PATHS || spec->kind == OPTION_NAMES;
    bool equals = at_punctuation(parser, '=');
    if (at_punctuation(parser, PUNCTUATION_EQUAL))
        return diagnostics_error(parser->diagnostics, parser->token.span,
                                 "`==` compares; did you mean `=`?");
    if (equals && plain)
        return diagnostics_error(parser->diagnostics, parser->token.span,
                                 "only names can stand here, without `=`");
    if (!equals && at_punctuation(parser, '(') && !plain)
        return diagnostics_error(parser->diagnostics, item->path.span,
                                 "what is computed needs a name: write name = %.*s(…)",
                                 SHOW(item->path.names[item->path.count - 1]));
    if (!equals)
        return plain || spec->kind == OPTION_SELECTIONS ? true : parser_expected(parser, "`=`");
    if (spec->kind == OPTION_SELECTIONS && item->path.count > 1)
        return diagnostics_error(parser->diagnostics, item->path.span,
                                 "what is computed gets a plain name here, not a path");
    parser_advance_as(parser, LAYOUT_ITEM_EQUALS);
    if (spec->kind == OPTION_RENAMES)
        return parse_path(parser, "the old name", &item->from);
    item->node = parse_expression(parser);
    return item->node != NULL;
}

/* "name" = EXPR; the name is a token of RFC 9110. */
static bool parse_header(struct parser *parser, struct string owner, struct option_item *item)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    struct span place = parser->token.span;
    char wanted[160];
    snprintf(wanted, sizeof(wanted), "%s for `%.*s`", option_kind_wanted(OPTION_HEADERS),
             SHOW(owner));
    if (parser->token.kind != TOKEN_STRING)
        return parser_expected(parser, wanted);
    if (parser->token.is_bytes)
        return diagnostics_error(parser->diagnostics, place, "a header's name is no bytes");
    if (!parser_decode(parser, &item->word))
        return false;
    parser_advance(parser);
    bool good = item->word.length > 0;
    for (size_t i = 0; i < item->word.length; i++) {
        unsigned char byte = (unsigned char)item->word.data[i];
        bool letter = (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z';
        good &= letter || (byte >= '0' && byte <= '9') || (byte && strchr(marks, byte));
    }
    if (!good)
        return diagnostics_error(parser->diagnostics, place,
                                 "a header's name has letters, digits and `-`, and nothing else");
    if (at_punctuation(parser, ':'))
        return diagnostics_error(parser->diagnostics, parser->token.span,
                                 "here stands `:`; a header is written \"name\" = expression");
    if (at_punctuation(parser, PUNCTUATION_EQUAL))
        return diagnostics_error(parser->diagnostics, parser->token.span,
                                 "`==` compares; did you mean `=`?");
    if (!at_punctuation(parser, '='))
        return parser_expected(parser, "`=`");
    parser_advance_as(parser, LAYOUT_ITEM_EQUALS);
    item->node = parse_expression(parser);
    return item->node != NULL;
}

static bool parse_item(struct parser *parser, const struct option_spec *spec, struct string owner,
                       struct option_item *item)
{
    char wanted[160];
    struct span start = parser->token.span;
    snprintf(wanted, sizeof(wanted), "%s for `%.*s`", option_kind_wanted(spec->kind), SHOW(owner));
    parser->role = spec->kind == OPTION_ASSIGNMENTS ? LAYOUT_LINE_ITEM : LAYOUT_ITEM;
    if (spec->kind == OPTION_STRINGS || spec->kind == OPTION_TEMPLATES) {
        struct option_value text = {.spec = spec};
        if (!parse_option_text(parser, owner, &text))
            return false;
        item->word = text.text;
        item->is_secret = text.is_secret;
    } else if (spec->kind == OPTION_CAUSES) {
        if (!parse_cause(parser, spec, owner, item))
            return false;
    } else if (spec->kind == OPTION_HEADERS) {
        if (!parse_header(parser, owner, item))
            return false;
    } else {
        if (!parse_path(parser, wanted, &item->path))
            return false;
        if (spec->kind == OPTION_NAMES && item->path.count > 1)
            return diagnostics_error(parser->diagnostics, item->path.span,
                                     "plain names stand here, no paths");
        if (!parse_item_right(parser, spec, item))
            return false;
    }
    item->span = span_since(parser, start);
    return true;
}

static bool parse_list(struct parser *parser, const struct option_spec *spec, struct string owner,
                       struct option_value *value)
{
    size_t mark = parser->scratch_used;
    for (;;) {
        struct option_item item = {.word = {NULL, 0}};
        if (!parse_item(parser, spec, owner, &item))
            return false;
        scratch_push(parser, &item, sizeof(item));
        if (!at_punctuation(parser, ','))
            break;
        parser_advance_as(parser, LAYOUT_ITEM_COMMA);
    }
    value->items = scratch_keep(parser, mark, sizeof(struct option_item), &value->item_count);
    return true;
}

/* { NAME word … } with commas or semicolons between them if one likes. */
static bool parse_types(struct parser *parser, const struct option_spec *spec, struct string owner,
                        struct option_value *value)
{
    if (!at_punctuation(parser, '{'))
        return parse_word(parser, spec->words, owner, &value->text, &value->integer);
    size_t mark = parser->scratch_used;
    parser_advance_as(parser, LAYOUT_BLOCK_OPEN);
    while (!at_punctuation(parser, '}')) {
        struct option_item item = {.word = {NULL, 0}};
        struct span start = parser->token.span;
        int64_t index;
        parser->role = LAYOUT_OPTION;
        if (!parse_path(parser, "a field's name or `}`", &item.path) ||
            !parse_word(parser, spec->words, item.path.names[item.path.count - 1], &item.word,
                        &index))
            return false;
        item.span = span_since(parser, start);
        scratch_push(parser, &item, sizeof(item));
        if (at_punctuation(parser, ',') || at_punctuation(parser, ';'))
            parser_advance_as(parser, LAYOUT_SEPARATOR);
    }
    parser_advance_as(parser, LAYOUT_BLOCK_CLOSE);
    value->items = scratch_keep(parser, mark, sizeof(struct option_item), &value->item_count);
    return true;
}

/* ---- any kind ---- */

/* A word wins over an expression that is a field of this name. */
static bool parse_choice(struct parser *parser, const struct option_spec *spec,
                         struct option_value *value)
{
    if (parser->token.kind == TOKEN_NAME && words_find(spec->words, parser->token.text) >= 0) {
        value->text = parser->token.text;
        value->integer = words_find(spec->words, parser->token.text);
        parser_advance(parser);
        return true;
    }
    value->node = parse_expression(parser);
    if (!value->node || value->node->kind != NODE_NAME || value->node->quoted)
        return value->node != NULL;
    char copy[256];
    struct name_list list = {.count = 0};
    snprintf(copy, sizeof(copy), "%s", spec->words);
    for (char *rest = copy, *word; (word = strsep(&rest, "|"));)
        name_list_add(&list, word);
    const char *near = string_nearest(value->node->name, list.names, list.count);
    if (near)
        diagnostics_warning(parser->diagnostics, value->node->span,
                            "this reads the field `%.*s`; did you mean `%s`? In backquotes it is "
                            "the field",
                            SHOW(value->node->name), near);
    return true;
}

static bool parse_keyword(struct parser *parser, const struct option_spec *spec)
{
    char wanted[64];
    if (at_word(parser, spec->name)) {
        parser_advance(parser);
        return true;
    }
    snprintf(wanted, sizeof(wanted), "`%s`", spec->name);
    return parser_expected(parser, wanted);
}

static bool parse_kind(struct parser *parser, const struct option_spec *spec, struct string owner,
                       struct option_value *value)
{
    switch (spec->kind) {
    case OPTION_FLAG:
        return spec->flags & OPTION_POSITIONAL ? parse_keyword(parser, spec) : true;
    case OPTION_KEYWORD:
        return parse_keyword(parser, spec);
    case OPTION_WORD:
        return parse_word(parser, spec->words, owner, &value->text, &value->integer);
    case OPTION_NAME:
        return parse_name_part(parser, "a name", &value->text);
    case OPTION_STRING:
        if ((spec->flags & OPTION_OR_NONE) && at_word(parser, "none")) {
            value->integer = -1;
            parser_advance(parser);
            return true;
        }
        return parse_option_text(parser, owner, value);
    case OPTION_TEMPLATE:
        return parse_option_text(parser, owner, value);
    case OPTION_EXPRESSION:
        value->node = parse_expression(parser);
        return value->node != NULL;
    case OPTION_PATH:
        return parse_path(parser, "a field's name", &value->path);
    case OPTION_TYPES:
        return parse_types(parser, spec, owner, value);
    case OPTION_CHOICE:
        return parse_choice(parser, spec, value);
    case OPTION_PHRASE:
        return parse_phrase(parser, spec, owner, value);
    case OPTION_RANGE:
        return parse_range(parser, owner, value);
    case OPTION_STRINGS:
    case OPTION_PATHS:
    case OPTION_NAMES:
    case OPTION_ASSIGNMENTS:
    case OPTION_SELECTIONS:
    case OPTION_RENAMES:
    case OPTION_CAUSES:
    case OPTION_HEADERS:
    case OPTION_TEMPLATES:
        return parse_list(parser, spec, owner, value);
    default:
        return parse_quantity(parser, spec, owner, value);
    }
}

bool parse_option_value(struct parser *parser, const struct option_spec *spec, struct string owner,
                        struct option_value *value)
{
    size_t mark = parser->scratch_used;
    struct span start = parser->token.span;
    *value = (struct option_value){.spec = spec};
    bool good = parse_kind(parser, spec, owner, value);
    if (!good)
        parser->scratch_used = mark;
    value->span = span_since(parser, start);
    return good;
}

/* A name stands here that is not the first word of the next statement. */
static bool at_field(const struct parser *parser)
{
    if (!at_name(parser))
        return false;
    return parser->token.kind == TOKEN_QUOTED || !name_is_verb(parser, parser->token.text);
}

bool option_begins(struct parser *parser, const struct option_spec *spec)
{
    switch (spec->kind) {
    case OPTION_FLAG:
    case OPTION_KEYWORD:
        return at_word(parser, spec->name);
    case OPTION_WORD:
        return parser->token.kind == TOKEN_NAME && words_find(spec->words, parser->token.text) >= 0;
    case OPTION_STRING:
        return at_option_text(parser) ||
               ((spec->flags & OPTION_OR_NONE) && at_word(parser, "none"));
    case OPTION_STRINGS:
    case OPTION_TEMPLATE:
    case OPTION_TEMPLATES:
        return at_option_text(parser);
    case OPTION_HEADERS:
        return parser->token.kind == TOKEN_STRING;
    case OPTION_PHRASE:
        return phrase_begins(parser, spec);
    case OPTION_CAUSES:
        return at_quantity(parser) || (parser->token.kind == TOKEN_NAME &&
                                       words_find(spec->words, parser->token.text) >= 0);
    case OPTION_RANGE:
    case OPTION_INTEGER:
    case OPTION_DURATION:
    case OPTION_SIZE:
    case OPTION_RATE:
    case OPTION_PERCENT:
    case OPTION_AMOUNT:
        return at_quantity(parser);
    case OPTION_CHOICE:
    case OPTION_EXPRESSION: {
        bool closes = at_punctuation(parser, '|') || at_punctuation(parser, ';') ||
                      at_punctuation(parser, '{') || at_punctuation(parser, '}');
        bool verb = parser->token.kind == TOKEN_NAME && name_is_verb(parser, parser->token.text);
        return parser->token.kind != TOKEN_END && !closes && !verb;
    }
    default:
        return at_field(parser);
    }
}

void parse_option_default(struct parser *parser, const struct option_spec *spec,
                          struct option_value *value)
{
    struct parser saved = *parser;
    struct diagnostics problems;
    struct string text = {spec->default_text, strlen(spec->default_text)};
    /* Nothing of a default stands in the program: every place is {0, 0}. */
    const uint32_t *offsets = parser_take(parser, text.length + 1, sizeof(*offsets));
    diagnostics_open(&problems, spec->name, text);
    parser->diagnostics = &problems;
    parser->layout = NULL;
    parser->lexer = (struct lexer){.text = text, .offsets = offsets};
    parser->token = lexer_next(&parser->lexer);
    parser->last = (struct span){0, 0};
    bool good =
        parse_option_value(parser, spec, (struct string){spec->name, strlen(spec->name)}, value);
    CHECK(good && parser->token.kind == TOKEN_END);
    diagnostics_close(&problems);
    saved.scratch = parser->scratch; /* it may have grown */
    saved.scratch_size = parser->scratch_size;
    *parser = saved;
    value->is_default = true;
    value->span = (struct span){0, 0};
}
