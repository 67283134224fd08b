/* Expressions: CEL's grammar whole, by recursive descent, with operators by precedence. See
 * parser.h for how errors and memory are handled. Main thread only.
 *
 * The tree's height is bounded, not just the parser's own depth: a chain like a + a + a … leans to
 * the left without any nesting in the text, and whoever walks the tree recurses. */
#include <string.h>

#include "lang/parse_node.h"

static struct node *parse_unary(struct parser *parser);
static const struct node *parse_conditional_or(struct parser *parser);

static bool report_depth(struct parser *parser, struct span span)
{
    return diagnostics_error(parser->diagnostics, span,
                             "this expression nests deeper than %d levels", PARSER_DEPTH_LIMIT);
}

/* Sets the height of a node whose children are set. NULL: too high (reported). */
struct node *node_settle(struct parser *parser, struct node *node)
{
    unsigned height = 0;
    const struct node *children[] = {node->left, node->right, node->third};
    for (size_t i = 0; i < ARRAY_SIZE(children); i++)
        if (children[i] && children[i]->height > height)
            height = children[i]->height;
    for (uint32_t i = 0; i < node->item_count; i++)
        if (node->items[i]->height > height)
            height = node->items[i]->height;
    if (height >= PARSER_DEPTH_LIMIT) {
        report_depth(parser, node->name_span);
        return NULL;
    }
    node->height = (uint16_t)(height + 1);
    return node;
}

struct node *node_make(struct parser *parser, enum node_kind kind, struct span start)
{
    struct node *node = parser_take(parser, 1, sizeof(*node));
    node->kind = kind;
    node->span = start;
    node->name_span = start;
    return node;
}

/* ---- lists in brackets ---- */

/* What stands between brackets: a, b, c [,] up to `close`, which is consumed. */
struct sequence {
    const struct node *const *items;
    const bool *optional; /* NULL where no "?" was written */
    uint32_t count;
};

enum sequence_kind { SEQUENCE_ARGUMENTS, SEQUENCE_LIST, SEQUENCE_MAP };

struct element {
    const struct node *node;
    bool optional;
};

static bool element_read(struct parser *parser, enum sequence_kind kind, struct element *element)
{
    element->optional = kind != SEQUENCE_ARGUMENTS && at_punctuation(parser, '?');
    if (element->optional)
        parser_advance_as(parser, LAYOUT_TIGHT_AFTER);
    element->node = parse_expression(parser);
    return element->node != NULL;
}

/* One element, or a key with its value, onto the scratch stack. */
static bool sequence_step(struct parser *parser, enum sequence_kind kind)
{
    struct element element;
    if (!element_read(parser, kind, &element))
        return false;
    scratch_push(parser, &element, sizeof(element));
    if (kind != SEQUENCE_MAP)
        return true;
    if (!at_punctuation(parser, ':'))
        return parser_expected(parser, "`:` between a key and its value");
    parser_advance_as(parser, LAYOUT_TIGHT_BEFORE);
    struct element value = {.node = parse_expression(parser)};
    if (value.node)
        scratch_push(parser, &value, sizeof(value));
    return value.node != NULL;
}

static void sequence_keep(struct parser *parser, size_t mark, struct sequence *sequence)
{
    uint32_t count;
    const struct element *elements = scratch_keep(parser, mark, sizeof(*elements), &count);
    const struct node **items = parser_take(parser, count, sizeof(*items));
    bool *optional = parser_take(parser, count, sizeof(*optional));
    bool any = false;
    for (uint32_t i = 0; i < count; i++) {
        items[i] = elements[i].node;
        optional[i] = elements[i].optional;
        any |= optional[i];
    }
    *sequence = (struct sequence){items, any ? optional : NULL, count};
}

/* The opening bracket is the current token. */
static bool parse_sequence(struct parser *parser, enum sequence_kind kind, int close,
                           struct sequence *sequence)
{
    struct span open = parser->token.span;
    const char *wanted = close == ')' ? "`,` or `)`" : close == ']' ? "`,` or `]`" : "`,` or `}`";
    size_t mark = parser->scratch_used;
    parser_advance_as(parser, kind == SEQUENCE_ARGUMENTS ? LAYOUT_TIGHT : LAYOUT_TIGHT_AFTER);
    while (!at_punctuation(parser, close)) {
        if (parser->token.kind == TOKEN_END)
            return diagnostics_error(parser->diagnostics, open,
                                     "this bracket is not closed: `%c` is missing", close);
        if (!sequence_step(parser, kind))
            return false;
        if (!at_punctuation(parser, ',')) {
            if (at_punctuation(parser, close))
                break;
            if (parser->token.kind == TOKEN_END)
                continue;
            return parser_expected(parser, wanted);
        }
        parser_advance_as(parser, LAYOUT_TIGHT_BEFORE);
        if (kind == SEQUENCE_ARGUMENTS && at_punctuation(parser, close))
            return parser_expected(parser, "another argument");
        if (at_punctuation(parser, ','))
            return parser_expected(parser, "an expression");
    }
    parser_advance_as(parser, LAYOUT_TIGHT_BEFORE);
    sequence_keep(parser, mark, sequence);
    return true;
}

/* ---- primaries ---- */

static bool name_is_reserved(struct string name)
{
    static const char *const reserved[] = {
        "as",  "break", "const",   "continue",  "else",   "for", "function", "if",    "import",
        "let", "loop",  "package", "namespace", "return", "var", "void",     "while",
    };
    for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
        if (string_equal_text(name, reserved[i]))
            return true;
    return false;
}

static struct node *parse_arguments(struct parser *parser, struct node *call)
{
    struct sequence arguments;
    if (call->quoted) {
        diagnostics_error(parser->diagnostics, call->name_span,
                          "a name in backquotes is always a field, never a function");
        return NULL;
    }
    if (!parse_sequence(parser, SEQUENCE_ARGUMENTS, ')', &arguments))
        return NULL;
    call->kind = NODE_CALL;
    call->items = arguments.items;
    call->item_count = arguments.count;
    call->span = span_since(parser, call->span);
    if (!expand_macro(parser, call))
        return NULL;
    return node_settle(parser, call);
}

/* A name, with arguments or without; `start` is that of a leading dot, if `rooted`. */
static struct node *parse_name(struct parser *parser, bool rooted, struct span start)
{
    if (!at_name(parser)) {
        parser_expected(parser, rooted ? "a name after `.`" : "an expression");
        return NULL;
    }
    bool quoted = parser->token.kind == TOKEN_QUOTED;
    struct string name = parser_name(parser);
    if (parser->cel_strict && (quoted || name_is_reserved(name))) {
        diagnostics_error(parser->diagnostics, parser->token.span,
                          quoted ? "a name in backquotes can only stand after a dot in CEL"
                                 : "`%.*s` is a word reserved by CEL",
                          SHOW(name));
        return NULL;
    }
    struct node *node = node_make(parser, NODE_NAME, start);
    node->name = name;
    node->quoted = quoted;
    node->rooted = rooted;
    node->name_span = parser->token.span;
    parser_advance(parser);
    node->span = span_since(parser, start);
    if (at_punctuation(parser, '('))
        return parse_arguments(parser, node);
    return node_settle(parser, node);
}

static struct node *parse_group(struct parser *parser)
{
    struct span open = parser->token.span;
    parser_advance_as(parser, LAYOUT_TIGHT_AFTER);
    const struct node *inner = parse_expression(parser);
    if (!inner)
        return NULL;
    if (!at_punctuation(parser, ')')) {
        if (parser->token.kind == TOKEN_END)
            diagnostics_error(parser->diagnostics, open,
                              "this bracket is not closed: `)` is missing");
        else
            parser_expected(parser, "an operator or `)`");
        return NULL;
    }
    parser_advance_as(parser, LAYOUT_TIGHT_BEFORE);
    struct node *node = (struct node *)inner; /* ours until it has a parent */
    node->span = span_since(parser, open);
    return node;
}

static struct node *parse_list_or_map(struct parser *parser, enum sequence_kind kind, int close)
{
    struct node *node =
        node_make(parser, kind == SEQUENCE_MAP ? NODE_MAP : NODE_LIST, parser->token.span);
    struct sequence sequence;
    if (!parse_sequence(parser, kind, close, &sequence))
        return NULL;
    node->items = sequence.items;
    node->item_optional = sequence.optional;
    node->item_count = sequence.count;
    node->span = span_since(parser, node->span);
    return node_settle(parser, node);
}

/* ---- primaries, all of them ---- */

static struct node *parse_primary(struct parser *parser)
{
    struct span start = parser->token.span;
    switch (parser->token.kind) {
    case TOKEN_INT:
    case TOKEN_UINT:
    case TOKEN_DOUBLE:
    case TOKEN_STRING:
        return parse_literal(parser, false, start);
    case TOKEN_NAME: {
        struct node *constant = parse_constant(parser);
        return constant ? constant : parse_name(parser, false, start);
    }
    case TOKEN_PUNCTUATION:
        if (parser->token.punctuation == '(')
            return parse_group(parser);
        if (parser->token.punctuation == '[')
            return parse_list_or_map(parser, SEQUENCE_LIST, ']');
        if (parser->token.punctuation == '{')
            return parse_list_or_map(parser, SEQUENCE_MAP, '}');
        if (parser->token.punctuation == '.') {
            parser_advance_as(parser, LAYOUT_TIGHT_AFTER);
            return parse_name(parser, true, start);
        }
        if (parser->token.punctuation == '-') {
            struct token next = parser_peek(parser);
            if (next.kind == TOKEN_INT || next.kind == TOKEN_DOUBLE) {
                parser_advance_as(parser, LAYOUT_TIGHT_AFTER);
                return parse_literal(parser, true, start);
            }
        }
        break;
    case TOKEN_ERROR:
        report_token(parser);
        return NULL;
    default:
        break;
    }
    return parse_name(parser, false, start);
}

/* ---- members ---- */

/* left.name, left.?name, left.name(…): the dot is the current token. */
static struct node *parse_select(struct parser *parser, const struct node *left)
{
    parser_advance_as(parser, LAYOUT_TIGHT);
    struct node *node = node_make(parser, NODE_SELECT, left->span);
    node->left = left;
    if (at_punctuation(parser, '?')) {
        node->optional = true;
        parser_advance_as(parser, LAYOUT_TIGHT);
    }
    if (!at_name(parser)) {
        if (parser->token.kind == TOKEN_ERROR)
            report_token(parser);
        else if (parser->token.kind == TOKEN_NAME)
            diagnostics_error(parser->diagnostics, parser->token.span,
                              "`%.*s` is a word of the language; write it in backquotes",
                              SHOW(parser->token.text));
        else
            parser_expected(parser, "a field's name after `.`");
        return NULL;
    }
    node->name = parser_name(parser);
    node->quoted = parser->token.kind == TOKEN_QUOTED;
    node->name_span = parser->token.span;
    parser_advance(parser);
    node->span = span_since(parser, left->span);
    if (!node->optional && at_punctuation(parser, '('))
        return parse_arguments(parser, node);
    return node_settle(parser, node);
}

static struct node *parse_index(struct parser *parser, const struct node *left)
{
    struct span open = parser->token.span;
    struct node *node = node_make(parser, NODE_INDEX, left->span);
    parser_advance_as(parser, LAYOUT_TIGHT);
    node->left = left;
    if (at_punctuation(parser, '?')) {
        node->optional = true;
        parser_advance_as(parser, LAYOUT_TIGHT_AFTER);
    }
    node->right = parse_expression(parser);
    if (!node->right)
        return NULL;
    if (!at_punctuation(parser, ']')) {
        if (parser->token.kind == TOKEN_END)
            diagnostics_error(parser->diagnostics, open,
                              "this bracket is not closed: `]` is missing");
        else
            parser_expected(parser, "an operator or `]`");
        return NULL;
    }
    parser_advance_as(parser, LAYOUT_TIGHT_BEFORE);
    node->span = span_since(parser, left->span);
    node->name_span = span_since(parser, open);
    return node_settle(parser, node);
}

static struct node *parse_members(struct parser *parser, struct node *node)
{
    while (node) {
        if (at_punctuation(parser, '.'))
            node = parse_select(parser, node);
        else if (at_punctuation(parser, '['))
            node = parse_index(parser, node);
        else
            break;
    }
    return node;
}

/* ---- operators ---- */

/* A run of one unary operator. The last minus before a number belongs to the number, which is how
 * the smallest int can be written at all. */
static struct node *parse_unary_run(struct parser *parser, int sign)
{
    struct span start = parser->token.span;
    if (++parser->depth > PARSER_DEPTH_LIMIT) {
        report_depth(parser, start);
        return NULL;
    }
    parser_advance_as(parser, LAYOUT_TIGHT_AFTER);
    struct node *inner;
    if (sign == '-' && (parser->token.kind == TOKEN_INT || parser->token.kind == TOKEN_DOUBLE)) {
        inner = parse_members(parser, parse_literal(parser, true, start));
    } else {
        inner = at_punctuation(parser, sign) ? parse_unary_run(parser, sign)
                                             : parse_members(parser, parse_primary(parser));
        if (inner) {
            struct node *node = node_make(parser, sign == '!' ? NODE_NOT : NODE_NEGATE, start);
            node->left = inner;
            node->span = span_since(parser, start);
            inner = node_settle(parser, node);
        }
    }
    parser->depth--;
    return inner;
}

static struct node *parse_unary(struct parser *parser)
{
    if (at_punctuation(parser, '!') || at_punctuation(parser, '-'))
        return parse_unary_run(parser, parser->token.punctuation);
    return parse_members(parser, parse_primary(parser));
}

enum precedence { PRECEDENCE_RELATION = 1, PRECEDENCE_SUM, PRECEDENCE_PRODUCT };

static const struct {
    int punctuation;
    enum precedence precedence;
    enum operator_kind operator;
} operators[] = {
    {PUNCTUATION_EQUAL, PRECEDENCE_RELATION, OPERATOR_EQUAL},
    {PUNCTUATION_NOT_EQUAL, PRECEDENCE_RELATION, OPERATOR_NOT_EQUAL},
    {'<', PRECEDENCE_RELATION, OPERATOR_LESS},
    {PUNCTUATION_LESS_EQUAL, PRECEDENCE_RELATION, OPERATOR_LESS_EQUAL},
    {'>', PRECEDENCE_RELATION, OPERATOR_GREATER},
    {PUNCTUATION_GREATER_EQUAL, PRECEDENCE_RELATION, OPERATOR_GREATER_EQUAL},
    {'+', PRECEDENCE_SUM, OPERATOR_ADD},
    {'-', PRECEDENCE_SUM, OPERATOR_SUBTRACT},
    {'*', PRECEDENCE_PRODUCT, OPERATOR_MULTIPLY},
    {'/', PRECEDENCE_PRODUCT, OPERATOR_DIVIDE},
    {'%', PRECEDENCE_PRODUCT, OPERATOR_MODULO},
};

/* The precedence of the operator that stands here, or 0. */
static unsigned at_operator(const struct parser *parser, enum operator_kind *operator)
{
    if (at_word(parser, "in")) {
        *operator= OPERATOR_IN;
        return PRECEDENCE_RELATION;
    }
    if (parser->token.kind != TOKEN_PUNCTUATION)
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(operators); i++)
        if (parser->token.punctuation == operators[i].punctuation) {
            *operator= operators[i].operator;
            return operators[i].precedence;
        }
    return 0;
}

/* Operands joined by operators of at least `lowest` precedence; all are left associative. */
static const struct node *parse_binary(struct parser *parser, unsigned lowest)
{
    const struct node *left = parse_unary(parser);
    enum operator_kind operator= OPERATOR_ADD;
    unsigned precedence;
    while (left && (precedence = at_operator(parser, &operator)) >= lowest) {
        struct node *node = node_make(parser, NODE_BINARY, left->span);
        node->operator= operator;
        node->name_span = parser->token.span;
        node->left = left;
        parser_advance(parser);
        node->right = parse_binary(parser, precedence + 1);
        if (!node->right)
            return NULL;
        node->span = span_join(left->span, node->right->span);
        left = node_settle(parser, node);
    }
    return left;
}

/* Assignments and words of other languages that stand where an operator could. */
static bool foreign_operator(struct parser *parser)
{
    static const struct {
        const char *word;
        const char *meant;
    } words[] = {{"and", "&&"}, {"or", "||"}, {"AND", "&&"}, {"OR", "||"}};
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (at_word(parser, words[i].word) && !parser->token.line_start) {
            diagnostics_error(parser->diagnostics, parser->token.span,
                              "unknown operator `%s`; did you mean `%s`?", words[i].word,
                              words[i].meant);
            return true;
        }
    if (parser->token.kind == TOKEN_ERROR && parser->token.text.data[0] == '&') {
        report_token(parser);
        return true;
    }
    return false;
}

/* a && b && c as one node of three items, so that long chains are not deep. */
static const struct node *parse_chain(struct parser *parser, bool is_or)
{
    int code = is_or ? PUNCTUATION_OR : PUNCTUATION_AND;
    size_t mark = parser->scratch_used;
    const struct node *first =
        is_or ? parse_chain(parser, false) : parse_binary(parser, PRECEDENCE_RELATION);
    if (!first || !at_punctuation(parser, code))
        return first;
    struct node *node = node_make(parser, is_or ? NODE_OR : NODE_AND, first->span);
    node->name_span = parser->token.span;
    const struct node *item = first;
    for (;;) {
        scratch_push(parser, &item, sizeof(item));
        if (!at_punctuation(parser, code))
            break;
        parser_advance(parser);
        item = is_or ? parse_chain(parser, false) : parse_binary(parser, PRECEDENCE_RELATION);
        if (!item)
            return NULL;
    }
    node->items = scratch_keep(parser, mark, sizeof(item), &node->item_count);
    node->span = span_join(first->span, item->span);
    return node_settle(parser, node);
}

static const struct node *parse_conditional_or(struct parser *parser)
{
    const struct node *node = parse_chain(parser, true);
    if (node && foreign_operator(parser))
        return NULL;
    return node;
}

static const struct node *parse_conditional(struct parser *parser)
{
    const struct node *condition = parse_conditional_or(parser);
    if (!condition || !at_punctuation(parser, '?'))
        return condition;
    struct node *node = node_make(parser, NODE_CONDITIONAL, condition->span);
    node->name_span = parser->token.span;
    node->left = condition;
    parser_advance(parser);
    node->right = parse_conditional_or(parser);
    if (!node->right)
        return NULL;
    if (!at_punctuation(parser, ':')) {
        parser_expected(parser, "`:` and what the condition gives otherwise");
        return NULL;
    }
    parser_advance(parser);
    node->third = parse_expression(parser);
    if (!node->third)
        return NULL;
    node->span = span_join(condition->span, node->third->span);
    return node_settle(parser, node);
}

const struct node *parse_expression(struct parser *parser)
{
    if (parser->depth >= PARSER_DEPTH_LIMIT) {
        report_depth(parser, parser->token.span);
        return NULL;
    }
    unsigned depth = parser->depth++;
    size_t mark = parser->scratch_used;
    const struct node *node = parse_conditional(parser);
    parser->scratch_used = mark; /* both are behind after an error */
    parser->depth = depth;
    return node;
}
