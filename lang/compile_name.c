/* Names, paths and has(): which column, variable or type a name is. See compile.h. */
#include <string.h>

#include "lang/compile.h"

bool local_push(struct compiler *compiler, const struct node *node, struct string name,
                uint32_t *slot)
{
    if (compiler->local_count == SLOT_LIMIT) {
        diagnostics_error(compiler->diagnostics, node->span,
                          "more than %d variables of comprehensions inside one another",
                          SLOT_LIMIT);
        return false;
    }
    *slot = compiler->local_count;
    compiler->locals[compiler->local_count++] = (struct local){name, *slot};
    return true;
}

const struct local *local_find(const struct compiler *compiler, struct string name)
{
    for (uint32_t i = compiler->local_count; i-- > 0;) {
        if (string_equal(compiler->locals[i].name, name))
            return &compiler->locals[i];
    }
    return NULL;
}

/* A name and the selections on it: a.b.c, innermost first. */
struct chain {
    const struct node *root; /* the NAME */
    struct string *names;
    uint32_t count;
};

/* False: not a plain path (the chain is empty then), or no memory. */
static bool chain_open(struct compiler *compiler, const struct node *node, struct chain *chain)
{
    *chain = (struct chain){0};
    const struct node *link = node;
    uint32_t count = 1;
    while (link->kind == NODE_SELECT && !link->optional) {
        link = link->left;
        count++;
    }
    if (link->kind != NODE_NAME)
        return false;
    struct string *names = compiler_take(compiler, count * sizeof(*names));
    if (!names)
        return false;
    chain->root = link;
    chain->names = names;
    chain->count = count;
    for (link = node; link->kind == NODE_SELECT; link = link->left)
        names[--count] = compiler_copy(compiler, link->name);
    names[0] = compiler_copy(compiler, link->name);
    return true;
}

/* Puts selections of the names from `first` on around `term`. */
static struct term *chain_select(struct compiler *compiler, struct term *term,
                                 const struct chain *chain, uint32_t first, bool lenient)
{
    for (uint32_t i = first; term && i < chain->count; i++) {
        struct term *select = term_make(compiler, TERM_SELECT, KINDS_ANY);
        if (!select)
            return NULL;
        select->left = term;
        select->name = chain->names[i];
        select->lenient = lenient;
        term = select;
    }
    return term;
}

static struct term *compile_variable(struct compiler *compiler, uint32_t slot)
{
    struct term *term = term_make(compiler, TERM_VARIABLE, KINDS_ANY);
    if (term)
        term->column = slot;
    return term;
}

static struct term *compile_column(struct compiler *compiler, uint32_t column)
{
    struct term *term = term_make(compiler, TERM_COLUMN, KINDS_ANY);
    if (term)
        term->column = column;
    return term;
}

/* The type that a whole path names, as far as it names one; *consumed: names used. */
static struct value chain_type(const struct chain *chain, uint32_t *consumed)
{
    *consumed = 1;
    if (chain->count >= 3 && string_equal_text(chain->names[0], "google") &&
        string_equal_text(chain->names[1], "protobuf")) {
        *consumed = 3;
        if (string_equal_text(chain->names[2], "Timestamp"))
            return type_by_name(STRING("google.protobuf.Timestamp"));
        if (string_equal_text(chain->names[2], "Duration"))
            return type_by_name(STRING("google.protobuf.Duration"));
        return (struct value){0};
    }
    return type_by_name(chain->names[0]);
}

/* The specification's way: variables, then types, then an error at run time. */
static struct term *resolve_strict(struct compiler *compiler, const struct chain *chain,
                                   struct resolution resolution)
{
    if (resolution.kind == RESOLVED_COLUMN) {
        struct term *column = compile_column(compiler, resolution.column);
        return chain_select(compiler, column, chain, resolution.consumed, false);
    }
    uint32_t consumed;
    struct value type = chain_type(chain, &consumed);
    if (type.kind == VALUE_TYPE && !chain->root->quoted)
        return chain_select(compiler, term_constant(compiler, type), chain, consumed, false);
    return term_error(compiler, ERROR_UNKNOWN_NAME, chain->names[0]);
}

static struct term *resolve_record(struct compiler *compiler, const struct chain *chain,
                                   struct resolution resolution)
{
    switch (resolution.kind) {
    case RESOLVED_COLUMN:
        CHECK(resolution.consumed >= 1 && resolution.consumed <= chain->count);
        return chain_select(compiler, compile_column(compiler, resolution.column), chain,
                            resolution.consumed, true);
    case RESOLVED_RECORD: {
        uint32_t column = compiler->resolver->record_column(compiler->resolver->context);
        return chain_select(compiler, compile_column(compiler, column), chain, 1, true);
    }
    case RESOLVED_ABSENT:
        return term_constant(compiler, (struct value){0});
    default:
        return term_error(compiler, ERROR_UNKNOWN_NAME, chain->names[0]);
    }
}

static struct resolution resolve(struct compiler *compiler, const struct chain *chain,
                                 struct span span)
{
    struct path path = {chain->names, chain->count, span};
    return compiler->resolver->resolve(compiler->resolver->context, &path);
}

/* Names of the record, deviation 2: what is absent reads null. */
static struct term *compile_field(struct compiler *compiler, struct chain chain, struct span span)
{
    if (!chain.root->quoted && string_equal_text(chain.names[0], "record")) {
        if (chain.count == 1) {
            uint32_t column = compiler->resolver->record_column(compiler->resolver->context);
            return compile_column(compiler, column);
        }
        chain.names++; /* record.a is the field a */
        chain.count--;
    }
    return resolve_record(compiler, &chain, resolve(compiler, &chain, span));
}

static struct term *compile_select(struct compiler *compiler, const struct node *node)
{
    struct term *left = compile_node(compiler, node->left);
    if (!left ||
        !check_unary(compiler, node, left, KIND(MAP) | KIND(OPTIONAL), "selecting a field"))
        return NULL;
    struct term *term =
        term_make(compiler, TERM_SELECT, node->optional ? KIND(OPTIONAL) : KINDS_ANY);
    if (!term)
        return NULL;
    term->left = left;
    term->name = compiler_copy(compiler, node->name);
    term->optional = node->optional;
    return term->name.data ? term_fold(compiler, term) : NULL;
}

struct term *compile_path(struct compiler *compiler, const struct node *node)
{
    struct chain chain;
    if (!chain_open(compiler, node, &chain))
        return node->kind == NODE_SELECT ? compile_select(compiler, node) : NULL;
    const struct local *local = NULL;
    if (!chain.root->quoted && !chain.root->rooted)
        local = local_find(compiler, chain.names[0]);
    if (local)
        return chain_select(compiler, compile_variable(compiler, local->slot), &chain, 1, false);
    if (compiler->strict)
        return resolve_strict(compiler, &chain, resolve(compiler, &chain, node->span));
    uint32_t consumed;
    struct value type = chain_type(&chain, &consumed);
    if (type.kind == VALUE_TYPE && consumed == chain.count && !chain.root->quoted)
        return term_constant(compiler, type);
    return compile_field(compiler, chain, node->span);
}

/* has() of a path from the record, or of a name: there unless absent. */
static struct term *has_field(struct compiler *compiler, struct term *path)
{
    if (!path || (path->kind == TERM_CONSTANT && path->constant.kind == VALUE_ERROR))
        return path; /* an unknown name */
    if (compiler->strict && path->kind != TERM_SELECT)
        return term_constant(compiler, value_bool(true)); /* a dotted name is a variable */
    struct term *term = term_make(compiler, TERM_HAS, KIND(BOOL));
    if (term)
        term->left = path;
    return term;
}

struct term *compile_has(struct compiler *compiler, const struct node *node)
{
    const struct node *argument = node->left;
    struct chain chain;
    bool named = chain_open(compiler, argument, &chain) &&
                 (chain.root->quoted || !local_find(compiler, chain.names[0]));
    if (named && compiler->strict)
        return has_field(compiler, compile_path(compiler, argument));
    if (named)
        return has_field(compiler, compile_field(compiler, chain, argument->span));
    if (argument->kind != NODE_SELECT) {
        diagnostics_error(compiler->diagnostics, argument->span,
                          "has() takes a field, as has(a.b), not a variable");
        return NULL;
    }
    struct term *select = term_make(compiler, TERM_SELECT, KINDS_ANY);
    struct term *term = term_make(compiler, TERM_HAS, KIND(BOOL));
    struct term *left = compile_node(compiler, argument->left);
    if (!select || !term || !left)
        return NULL;
    select->left = left;
    select->name = compiler_copy(compiler, argument->name);
    term->left = select;
    return select->name.data ? term : NULL;
}
