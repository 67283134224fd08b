/* Calls, comprehensions and cel.bind: see compile.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "lang/compile.h"
#include "lang/time.h"

/* The namespaced function of ns.f(…), or NULL: then it is a method of a field called ns. */
static const struct function *find_namespaced(struct compiler *compiler, const struct node *node)
{
    const struct node *left = node->left;
    if (!left || left->kind != NODE_NAME || left->quoted || local_find(compiler, left->name))
        return NULL;
    char name[64];
    if (left->name.length + node->name.length + 1 > sizeof(name))
        return NULL;
    memcpy(name, left->name.data, left->name.length);
    name[left->name.length] = '.';
    memcpy(name + left->name.length + 1, node->name.data, node->name.length);
    size_t length = left->name.length + 1 + node->name.length;
    return function_find((struct string){name, length}, FUNCTION_GLOBAL);
}

static const struct function *find(struct compiler *compiler, const struct node *node,
                                   bool *has_receiver)
{
    *has_receiver = false;
    const struct function *function = find_namespaced(compiler, node);
    if (!function) {
        *has_receiver = node->left != NULL;
        function = function_find(node->name, node->left ? FUNCTION_METHOD : FUNCTION_GLOBAL);
    }
    return function && compiler->strict && (function->style & FUNCTION_LEAT) ? NULL : function;
}

/* Names of functions of a style, for "did you mean". */
static size_t function_names(enum function_style style, const char **names, size_t room)
{
    size_t count, used = 0;
    const struct function *table = function_table(&count);
    for (size_t i = 0; i < count && used < room; i++) {
        if (table[i].style & style)
            names[used++] = table[i].name;
    }
    if (style == FUNCTION_GLOBAL && used + 4 <= room) {
        names[used++] = "has";
        names[used++] = "coalesce";
        names[used++] = "env";
        names[used++] = "secret";
    }
    return used;
}

static struct term *report_unknown(struct compiler *compiler, const struct node *node)
{
    struct diagnostics *diagnostics = compiler->diagnostics;
    int length = (int)size_min(node->name.length, 80);
    enum function_style style = node->left ? FUNCTION_METHOD : FUNCTION_GLOBAL;
    const struct function *other =
        function_find(node->name, node->left ? FUNCTION_GLOBAL : FUNCTION_METHOD);
    const char *names[160];
    size_t count = function_names(style, names, ARRAY_SIZE(names));
    const char *near = string_nearest(node->name, names, count);
    const char *what = node->left ? "method" : "function";
    if (other && node->left)
        diagnostics_error(diagnostics, node->name_span,
                          "\"%.*s\" is a function: write %.*s(x), not x.%.*s()", length,
                          node->name.data, length, node->name.data, length, node->name.data);
    else if (other)
        diagnostics_error(diagnostics, node->name_span,
                          "\"%.*s\" is a method: write x.%.*s(…), not %.*s(x, …)", length,
                          node->name.data, length, node->name.data, length, node->name.data);
    else if (near)
        diagnostics_error(diagnostics, node->name_span, "unknown %s \"%.*s\"; did you mean \"%s\"?",
                          what, length, node->name.data, near);
    else
        diagnostics_error(diagnostics, node->name_span, "unknown %s \"%.*s\"", what, length,
                          node->name.data);
    return NULL;
}

struct term *report_count(struct compiler *compiler, const struct node *node, const char *name,
                          unsigned minimum, unsigned maximum)
{
    if (compiler->strict)
        return term_error(compiler, ERROR_NO_OVERLOAD, node->name);
    char wanted[40];
    if (maximum == FUNCTION_ANY_COUNT)
        snprintf(wanted, sizeof(wanted), "%u or more", minimum);
    else if (minimum == maximum)
        snprintf(wanted, sizeof(wanted), "%u", minimum);
    else
        snprintf(wanted, sizeof(wanted), "%u to %u", minimum, maximum);
    diagnostics_error(compiler->diagnostics, node->span, "%s takes %s argument%s, not %u", name,
                      wanted, maximum == 1 ? "" : "s", node->item_count);
    return NULL;
}

static struct term *compile_coalesce(struct compiler *compiler, const struct node *node)
{
    if (node->item_count == 0)
        return report_count(compiler, node, "coalesce", 1, FUNCTION_ANY_COUNT);
    struct term *term = term_make(compiler, TERM_COALESCE, 0);
    if (!term || !compile_items(compiler, node->items, node->item_count, &term->items))
        return NULL;
    term->item_count = node->item_count;
    for (uint32_t i = 0; i < term->item_count; i++)
        term->kinds |= term->items[i]->kinds;
    return term_fold(compiler, term);
}

/* Takes ownership. False: no memory (reported). */
static bool keep_regex(struct compiler *compiler, struct regex *regex)
{
    struct expression *expression = compiler->expression;
    struct regex **all =
        memory_resize(expression->regexes, (expression->regex_count + 1) * sizeof(struct regex *));
    if (!all) {
        regex_free(regex);
        return diagnostics_error(compiler->diagnostics, (struct span){0, 0},
                                 "no memory is left to compile the expression");
    }
    expression->regexes = all;
    all[expression->regex_count++] = regex;
    return true;
}

/* text.matches("constant"): the pattern is compiled once, here. */
static struct term *compile_matches(struct compiler *compiler, const struct node *node,
                                    const struct term *text, const struct term *pattern)
{
    struct string source = {pattern->constant.text, pattern->constant.length};
    struct error error;
    uint32_t offset;
    struct regex *regex = regex_compile(source, &offset, &error);
    if (!regex && compiler->strict)
        return term_error(compiler, ERROR_REGEX, (struct string){error.text, strlen(error.text)});
    if (!regex) {
        const struct node *place = node->items[node->item_count - 1];
        diagnostics_error(compiler->diagnostics, place->span,
                          "bad regular expression, at byte %u: %s", offset + 1,
                          compiler->expression->is_private ? "a secret" : error.text);
        return NULL;
    }
    struct term *term = term_make(compiler, TERM_MATCHES, KIND(BOOL));
    if (!keep_regex(compiler, regex) || !term)
        return NULL;
    term->left = text;
    term->regex = regex;
    return term_fold(compiler, term);
}

/* Constants that can never do: a bad format, a text that is no timestamp. */
static bool check_constants(struct compiler *compiler, const struct node *node,
                            const struct term *call, const struct term *folded)
{
    if (compiler->strict)
        return true;
    const struct term *last = call->item_count ? call->items[call->item_count - 1] : NULL;
    size_t bad;
    if (strcmp(call->function->name, "time.parse") == 0 && last->kind == TERM_CONSTANT &&
        last->constant.kind == VALUE_STRING &&
        !timestamp_format_valid((struct string){last->constant.text, last->constant.length}, &bad))
        return diagnostics_error(compiler->diagnostics, node->items[1]->span,
                                 "time.parse does not know the format at byte %zu; it knows "
                                 "%%Y %%m %%d %%H %%M %%S %%f %%z %%b %%B %%a %%A %%y %%e %%j %%p "
                                 "%%I %%s %%T %%F %%D %%R %%Z %%%%",
                                 bad + 1);
    if (folded && folded->kind == TERM_CONSTANT && folded->constant.kind == VALUE_ERROR &&
        folded->constant.code == ERROR_CONVERSION)
        return diagnostics_error(compiler->diagnostics, node->span,
                                 "this always fails: %s cannot convert that constant%s",
                                 call->function->name,
                                 folded->kinds ? "" : " (see the form it takes)");
    return true;
}

static struct term *compile_function(struct compiler *compiler, const struct node *node,
                                     const struct function *function, bool has_receiver)
{
    uint32_t count = node->item_count + has_receiver;
    if (count < function->minimum || count > function->maximum)
        return report_count(compiler, node, function->name, function->minimum - has_receiver,
                            function->maximum == FUNCTION_ANY_COUNT
                                ? FUNCTION_ANY_COUNT
                                : function->maximum - has_receiver);
    const struct node **nodes = compiler_take(compiler, (count + 1) * sizeof(struct node *));
    struct term *term = term_make(compiler, TERM_CALL, function->results);
    if (!nodes || !term)
        return NULL;
    nodes[0] = node->left;
    for (uint32_t i = 0; i < node->item_count; i++)
        nodes[i + has_receiver] = node->items[i];
    if (!compile_items(compiler, nodes, count, &term->items))
        return NULL;
    term->item_count = count;
    term->function = function;
    if (count && !check_unary(compiler, nodes[0], term->items[0], function->first, function->name))
        return NULL;
    if (function->body == function_matches && term->items[1]->kind == TERM_CONSTANT &&
        term->items[1]->constant.kind == VALUE_STRING)
        return compile_matches(compiler, node, term->items[0], term->items[1]);
    struct term *folded = term_fold(compiler, term);
    return check_constants(compiler, node, term, folded) ? folded : NULL;
}

/* o.or(other), o.orValue(value): the other one is evaluated only where it is needed. */
static struct term *compile_or_else(struct compiler *compiler, const struct node *node)
{
    bool unwrap = string_equal_text(node->name, "orValue");
    struct term *left = compile_node(compiler, node->left);
    struct term *right = compile_node(compiler, node->items[0]);
    if (!left || !right || !check_unary(compiler, node->left, left, KIND(OPTIONAL), "or"))
        return NULL;
    struct term *term = term_make(compiler, TERM_OR_ELSE, unwrap ? KINDS_ANY : KIND(OPTIONAL));
    if (!term)
        return NULL;
    term->left = left;
    term->right = right;
    term->unwrap = unwrap;
    return term_fold(compiler, term);
}

/* o.optMap(name, expression), o.optFlatMap(name, expression) */
static struct term *compile_optional_map(struct compiler *compiler, const struct node *node)
{
    struct term *term = term_make(compiler, TERM_OPTIONAL_MAP, KIND(OPTIONAL));
    struct term *left = compile_node(compiler, node->left);
    uint32_t locals = compiler->local_count;
    if (!term || !left || !check_unary(compiler, node->left, left, KIND(OPTIONAL), "optMap") ||
        !local_push(compiler, node, node->items[0]->name, &term->column))
        return NULL;
    term->left = left;
    term->right = compile_node(compiler, node->items[1]);
    term->unwrap = string_equal_text(node->name, "optFlatMap");
    compiler->local_count = locals;
    return term->right ? term : NULL;
}

static bool is_plain_name(const struct node *node)
{
    return node->kind == NODE_NAME && !node->quoted && !node->rooted;
}

/* Methods whose arguments are not just evaluated; *taken tells whether it is one. */
static struct term *compile_lazy(struct compiler *compiler, const struct node *node, bool *taken)
{
    *taken = true;
    if (node->left && node->item_count == 1 &&
        (string_equal_text(node->name, "or") || string_equal_text(node->name, "orValue")))
        return compile_or_else(compiler, node);
    if (node->left && node->item_count == 2 && is_plain_name(node->items[0]) &&
        (string_equal_text(node->name, "optMap") || string_equal_text(node->name, "optFlatMap")))
        return compile_optional_map(compiler, node);
    if (!node->left && !compiler->strict && string_equal_text(node->name, "coalesce"))
        return compile_coalesce(compiler, node);
    if (!node->left && !compiler->strict && string_equal_text(node->name, "env"))
        return compile_env(compiler, node);
    if (!node->left && !compiler->strict && string_equal_text(node->name, "secret"))
        return compile_secret(compiler, node);
    *taken = false;
    return NULL;
}

struct term *compile_call(struct compiler *compiler, const struct node *node)
{
    bool taken;
    struct term *lazy = compile_lazy(compiler, node, &taken);
    if (taken)
        return lazy;
    bool has_receiver;
    const struct function *function = find(compiler, node, &has_receiver);
    if (function)
        return compile_function(compiler, node, function, has_receiver);
    if (!compiler->strict)
        return report_unknown(compiler, node);
    return term_error(compiler, ERROR_UNKNOWN_NAME, node->name);
}

static uint32_t macro_kinds(enum macro_kind macro)
{
    if (macro == MACRO_TRANSFORM_MAP)
        return KIND(MAP);
    return macro <= MACRO_EXISTS_ONE ? KIND(BOOL) : KIND(LIST);
}

struct term *compile_macro(struct compiler *compiler, const struct node *node)
{
    struct term *term = term_make(compiler, TERM_MACRO, macro_kinds(node->macro));
    struct term *range = compile_node(compiler, node->left);
    if (!term || !range ||
        !check_unary(compiler, node->left, range, KIND(LIST) | KIND(MAP), "a comprehension"))
        return NULL;
    term->macro = (uint8_t)node->macro;
    term->left = range;
    term->pairs = node->name2.length > 0;
    uint32_t locals = compiler->local_count;
    if (!local_push(compiler, node, node->name, &term->column) ||
        (term->pairs && !local_push(compiler, node, node->name2, &term->slot2))) {
        compiler->local_count = locals;
        return NULL;
    }
    bool good = true;
    if (node->right)
        good = (term->right = compile_node(compiler, node->right)) != NULL &&
               check_unary(compiler, node->right, term->right, KIND(BOOL), "a predicate");
    if (node->third)
        good = (term->third = compile_node(compiler, node->third)) != NULL && good;
    compiler->local_count = locals;
    return good ? term : NULL;
}

struct term *compile_bind(struct compiler *compiler, const struct node *node)
{
    struct term *term = term_make(compiler, TERM_BIND, 0);
    struct term *bound = compile_node(compiler, node->left);
    uint32_t locals = compiler->local_count;
    if (!term || !bound || !local_push(compiler, node, node->name, &term->column))
        return NULL;
    struct term *body = compile_node(compiler, node->right);
    compiler->local_count = locals;
    if (!body)
        return NULL;
    term->left = bound;
    term->right = body;
    term->kinds = body->kinds;
    return term;
}
