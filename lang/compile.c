/* Syntax tree to terms: operators, literals, folding. See compile.h and expression.h. Owns the
 * expression's memory. Main thread only. */
#include "lang/compile.h"

#include <stdlib.h>
#include <string.h>

#include "core/fault.h"

/* Address space for the terms of one expression; resident as far as it is used. */
#define EXPRESSION_MEMORY ((size_t)16 << 20)

void *compiler_take(struct compiler *compiler, size_t size)
{
    void *memory = arena_take(&compiler->expression->arena, size);
    if (!memory)
        diagnostics_error(compiler->diagnostics, (struct span){0, 0},
                          "the expression is too large (its terms need more than %zu MiB)",
                          EXPRESSION_MEMORY >> 20);
    return memory;
}

struct string compiler_copy(struct compiler *compiler, struct string text)
{
    char *copy = compiler_take(compiler, text.length + 1);
    if (!copy)
        return (struct string){0};
    if (text.length)
        memcpy(copy, text.data, text.length);
    copy[text.length] = 0;
    return (struct string){copy, text.length};
}

struct term *term_make(struct compiler *compiler, enum term_kind kind, uint32_t kinds)
{
    struct term *term = compiler_take(compiler, sizeof(*term));
    if (term) {
        memset(term, 0, sizeof(*term));
        term->kind = (uint8_t)kind;
        term->kinds = kinds;
    }
    return term;
}

struct term *term_constant(struct compiler *compiler, struct value value)
{
    uint32_t kinds = value.kind == VALUE_ERROR ? 0 : 1u << value.kind;
    struct term *term =
        term_make(compiler, TERM_CONSTANT, value.kind == VALUE_ABSENT ? KIND(NULL) : kinds);
    if (term)
        term->constant = value;
    return term;
}

struct term *term_error(struct compiler *compiler, enum error_code code, struct string text)
{
    text = compiler_copy(compiler, text);
    return text.data ? term_constant(compiler, value_error_text(code, text.data, text.length))
                     : NULL;
}

static bool is_foldable(const struct term *term)
{
    if ((term->left && term->left->kind != TERM_CONSTANT) ||
        (term->right && term->right->kind != TERM_CONSTANT) ||
        (term->third && term->third->kind != TERM_CONSTANT))
        return false;
    for (uint32_t i = 0; i < term->item_count; i++) {
        if (term->items[i]->kind != TERM_CONSTANT)
            return false;
    }
    switch ((enum term_kind)term->kind) {
    case TERM_CONSTANT:
    case TERM_COLUMN:
    case TERM_VARIABLE:
    case TERM_MACRO:
    case TERM_BIND:
    case TERM_OPTIONAL_MAP:
        return false;
    default:
        return true;
    }
}

struct term *term_fold(struct compiler *compiler, struct term *term)
{
    if (!term || !is_foldable(term))
        return term;
    struct arena *arena = &compiler->expression->arena;
    struct evaluation evaluation = {.arena = arena, .evaluator = compiler->evaluator};
    struct machine machine = {&evaluation, compiler->evaluator, arena, 0};
    size_t mark = arena_mark(arena);
    struct value value = term_value(term, &machine);
    if (value_is_hard_error(value)) { /* too large a constant: made for each row, within limits */
        arena_rewind(arena, mark);
        return term;
    }
    return term_constant(compiler, value);
}

bool compile_items(struct compiler *compiler, const struct node *const *nodes, uint32_t count,
                   const struct term *const **items)
{
    const struct term **compiled = compiler_take(compiler, count * sizeof(*compiled));
    if (!compiled)
        return false;
    bool good = true;
    for (uint32_t i = 0; i < count; i++) {
        compiled[i] = compile_node(compiler, nodes[i]);
        good = good && compiled[i];
    }
    *items = compiled;
    return good;
}

static struct term *compile_literal(struct compiler *compiler, const struct node *node)
{
    struct value value = node->value;
    if (value.kind == VALUE_STRING || value.kind == VALUE_BYTES) {
        struct string copy = compiler_copy(compiler, (struct string){value.text, value.length});
        if (!copy.data)
            return NULL;
        value.text = copy.data;
    }
    return term_constant(compiler, value);
}

static struct term *compile_unary(struct compiler *compiler, const struct node *node)
{
    bool is_not = node->kind == NODE_NOT;
    struct term *left = compile_node(compiler, node->left);
    if (!left || !check_unary(compiler, node, left, is_not ? KIND(BOOL) : KIND(INT) | KIND(DOUBLE),
                              is_not ? "`!`" : "`-`"))
        return NULL;
    struct term *term = term_make(compiler, is_not ? TERM_NOT : TERM_NEGATE,
                                  left->kinds & (is_not ? KIND(BOOL) : KIND(INT) | KIND(DOUBLE)));
    if (term)
        term->left = left;
    return term_fold(compiler, term);
}

/* `x in [constants]` becomes a hash set where == and the hash surely agree. */
static bool in_set(struct compiler *compiler, struct term *term)
{
    const struct value *list = &term->right->constant;
    if (term->right->kind != TERM_CONSTANT || list->kind != VALUE_LIST || list->length < 3)
        return true;
    for (uint32_t i = 0; i < list->length; i++) {
        if (!key_is_hashable(list->items[i]))
            return true;
    }
    struct key_table *table = compiler_take(compiler, sizeof(*table));
    if (!table ||
        !key_table_make(table, list->items, 1, list->length, &compiler->expression->arena))
        return false;
    term->kind = TERM_IN_SET;
    term->table = table;
    return true;
}

static enum term_kind binary_term_kind(enum operator_kind operator)
{
    switch (operator) {
    case OPERATOR_EQUAL:
    case OPERATOR_NOT_EQUAL:
        return TERM_EQUAL;
    case OPERATOR_LESS:
    case OPERATOR_LESS_EQUAL:
    case OPERATOR_GREATER:
    case OPERATOR_GREATER_EQUAL:
        return TERM_ORDER;
    case OPERATOR_IN:
        return TERM_IN;
    default:
        return TERM_ARITHMETIC;
    }
}

static struct term *compile_binary(struct compiler *compiler, const struct node *node)
{
    struct term *left = compile_node(compiler, node->left);
    struct term *right = compile_node(compiler, node->right);
    if (!left || !right || !check_binary(compiler, node, left, right))
        return NULL;
    bool mixed = !compiler->strict;
    struct term *term = term_make(compiler, binary_term_kind(node->operator),
                                  binary_kinds(node->operator, left->kinds, right->kinds, mixed));
    if (!term)
        return NULL;
    term->operator=(uint8_t) node->operator;
    term->mixed = mixed;
    term->left = left;
    term->right = right;
    if (term->kind == TERM_IN && left->kind != TERM_CONSTANT && !in_set(compiler, term))
        return NULL;
    return term_fold(compiler, term);
}

static struct term *compile_logic(struct compiler *compiler, const struct node *node)
{
    struct term *term =
        term_make(compiler, node->kind == NODE_AND ? TERM_AND : TERM_OR, KIND(BOOL));
    if (!term || !compile_items(compiler, node->items, node->item_count, &term->items))
        return NULL;
    term->item_count = node->item_count;
    for (uint32_t i = 0; i < node->item_count; i++) {
        if (!check_unary(compiler, node->items[i], term->items[i], KIND(BOOL),
                         node->kind == NODE_AND ? "`&&`" : "`||`"))
            return NULL;
    }
    return term_fold(compiler, term);
}

static struct term *compile_conditional(struct compiler *compiler, const struct node *node)
{
    struct term *condition = compile_node(compiler, node->left);
    struct term *first = compile_node(compiler, node->right);
    struct term *second = compile_node(compiler, node->third);
    if (!condition || !first || !second ||
        !check_unary(compiler, node->left, condition, KIND(BOOL), "the condition of `?:`"))
        return NULL;
    if (condition->kind == TERM_CONSTANT && condition->constant.kind == VALUE_BOOL)
        return condition->constant.boolean ? first : second;
    struct term *term = term_make(compiler, TERM_CONDITIONAL, first->kinds | second->kinds);
    if (!term)
        return NULL;
    term->left = condition;
    term->right = first;
    term->third = second;
    return term_fold(compiler, term);
}

static struct term *compile_index(struct compiler *compiler, const struct node *node)
{
    struct term *left = compile_node(compiler, node->left);
    struct term *right = compile_node(compiler, node->right);
    if (!left || !right ||
        !check_unary(compiler, node, left, KIND(LIST) | KIND(MAP) | KIND(OPTIONAL), "`[…]`"))
        return NULL;
    struct term *term =
        term_make(compiler, TERM_INDEX, node->optional ? KIND(OPTIONAL) : KINDS_ANY);
    if (!term)
        return NULL;
    term->left = left;
    term->right = right;
    term->optional = node->optional;
    return term_fold(compiler, term);
}

static struct term *compile_collection(struct compiler *compiler, const struct node *node)
{
    bool is_list = node->kind == NODE_LIST;
    struct term *term =
        term_make(compiler, is_list ? TERM_LIST : TERM_MAP, is_list ? KIND(LIST) : KIND(MAP));
    if (!term || !compile_items(compiler, node->items, node->item_count, &term->items))
        return NULL;
    term->item_count = node->item_count;
    if (node->item_optional) {
        bool *optional = compiler_take(compiler, node->item_count * sizeof(*optional));
        if (!optional)
            return NULL;
        memcpy(optional, node->item_optional, node->item_count * sizeof(*optional));
        term->item_optional = optional;
    }
    return term_fold(compiler, term);
}

static struct term *compile_any(struct compiler *compiler, const struct node *node)
{
    switch (node->kind) {
    case NODE_LITERAL:
        return compile_literal(compiler, node);
    case NODE_NAME:
    case NODE_SELECT:
        return compile_path(compiler, node);
    case NODE_INDEX:
        return compile_index(compiler, node);
    case NODE_CALL:
        return compile_call(compiler, node);
    case NODE_LIST:
    case NODE_MAP:
        return compile_collection(compiler, node);
    case NODE_NOT:
    case NODE_NEGATE:
        return compile_unary(compiler, node);
    case NODE_BINARY:
        return compile_binary(compiler, node);
    case NODE_AND:
    case NODE_OR:
        return compile_logic(compiler, node);
    case NODE_CONDITIONAL:
        return compile_conditional(compiler, node);
    case NODE_HAS:
        return compile_has(compiler, node);
    case NODE_MACRO:
        return compile_macro(compiler, node);
    case NODE_BIND:
        return compile_bind(compiler, node);
    }
    CHECK(!"a kind of node");
    return NULL;
}

struct term *compile_node(struct compiler *compiler, const struct node *node)
{
    if (compiler->depth == TERM_DEPTH_LIMIT) {
        diagnostics_error(compiler->diagnostics, node->span,
                          "the expression nests more than %d deep", TERM_DEPTH_LIMIT);
        return NULL;
    }
    compiler->depth++;
    struct term *term = compile_any(compiler, node);
    compiler->depth--;
    return term;
}

struct expression *expression_compile(const struct node *node, const struct resolver *resolver,
                                      struct diagnostics *diagnostics)
{
    struct error error;
    struct expression *expression = memory_take_zeroed(1, sizeof(*expression));
    struct evaluator *evaluator = evaluator_open(&error);
    if (!expression || !evaluator ||
        !arena_open(&expression->arena, EXPRESSION_MEMORY, EXPRESSION_MEMORY, &error)) {
        diagnostics_memory(diagnostics, node->span);
        free(expression);
        if (evaluator)
            evaluator_close(evaluator);
        return NULL;
    }
    struct compiler compiler = {.expression = expression,
                                .resolver = resolver,
                                .diagnostics = diagnostics,
                                .evaluator = evaluator,
                                .strict = resolver->cel_strict};
    expression->root = compile_node(&compiler, node);
    evaluator_close(evaluator);
    if (expression->root)
        return expression;
    expression_free(expression);
    return NULL;
}

void expression_free(struct expression *expression)
{
    if (!expression)
        return;
    for (uint32_t i = 0; i < expression->regex_count; i++)
        regex_free(expression->regexes[i]);
    free(expression->regexes);
    arena_close(&expression->arena);
    free(expression);
}

bool expression_constant(const struct expression *expression, struct value *value)
{
    if (expression->root->kind != TERM_CONSTANT)
        return false;
    *value = expression->root->constant;
    if (value->kind == VALUE_ABSENT)
        *value = value_null();
    return true;
}

bool expression_is_private(const struct expression *expression)
{
    return expression->is_private;
}

bool expression_is_column(const struct expression *expression, uint32_t *column)
{
    if (expression->root->kind != TERM_COLUMN)
        return false;
    *column = expression->root->column;
    return true;
}
