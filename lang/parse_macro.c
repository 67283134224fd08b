/* CEL's macros, expanded while parsing: has(), the comprehensions and cel.bind(). A macro's name
 * with another number of arguments is an ordinary call. Main thread only. */
#include "lang/parser.h"

/* macro_name(variables…, rest…): `variables` names come first, then a predicate if any, then a
 * transform if any. */
struct macro_form {
    const char *name;
    enum macro_kind macro;
    uint8_t variables;
    bool predicate;
    bool transform;
};

static const struct macro_form forms[] = {
    {"all", MACRO_ALL, 1, true, false},
    {"all", MACRO_ALL, 2, true, false},
    {"exists", MACRO_EXISTS, 1, true, false},
    {"exists", MACRO_EXISTS, 2, true, false},
    {"exists_one", MACRO_EXISTS_ONE, 1, true, false},
    {"exists_one", MACRO_EXISTS_ONE, 2, true, false},
    {"existsOne", MACRO_EXISTS_ONE, 1, true, false},
    {"existsOne", MACRO_EXISTS_ONE, 2, true, false},
    {"map", MACRO_MAP, 1, false, true},
    {"map", MACRO_MAP, 1, true, true},
    {"filter", MACRO_FILTER, 1, true, false},
    {"transformList", MACRO_TRANSFORM_LIST, 2, false, true},
    {"transformList", MACRO_TRANSFORM_LIST, 2, true, true},
    {"transformMap", MACRO_TRANSFORM_MAP, 2, false, true},
    {"transformMap", MACRO_TRANSFORM_MAP, 2, true, true},
};

/* A variable must be a plain name: not in backquotes, no path. */
static bool variable_name(struct parser *parser, const struct node *node, const char *macro,
                          struct string *name)
{
    if (node->kind != NODE_NAME || node->quoted || node->rooted)
        return diagnostics_error(parser->diagnostics, node->span,
                                 "%s() takes the name of its variable here, a plain one", macro);
    *name = node->name;
    return true;
}

static bool expand_comprehension(struct parser *parser, struct node *call,
                                 const struct macro_form *form)
{
    const struct node *const *arguments = call->items;
    if (!variable_name(parser, arguments[0], form->name, &call->name))
        return false;
    if (form->variables == 2) {
        if (!variable_name(parser, arguments[1], form->name, &call->name2))
            return false;
        if (string_equal(call->name, call->name2))
            return diagnostics_error(parser->diagnostics, arguments[1]->span,
                                     "the two variables of %s() need different names", form->name);
    }
    uint32_t next = form->variables;
    call->kind = NODE_MACRO;
    call->macro = form->macro;
    call->right = form->predicate ? arguments[next++] : NULL;
    call->third = form->transform ? arguments[next] : NULL;
    call->items = NULL;
    call->item_count = 0;
    return true;
}

static bool expand_has(struct parser *parser, struct node *call)
{
    const struct node *argument = call->items[0];
    bool field = argument->kind == NODE_SELECT && !argument->optional;
    bool name = argument->kind == NODE_NAME && !parser->cel_strict;
    if (!field && !name)
        return diagnostics_error(parser->diagnostics, argument->span,
                                 "has() takes a field, like has(a.b)");
    call->kind = NODE_HAS;
    call->left = argument;
    call->items = NULL;
    call->item_count = 0;
    return true;
}

static bool expand_bind(struct parser *parser, struct node *call)
{
    struct string name;
    if (!variable_name(parser, call->items[0], "cel.bind", &name))
        return false;
    call->kind = NODE_BIND;
    call->name = name;
    call->left = call->items[1];
    call->right = call->items[2];
    call->items = NULL;
    call->item_count = 0;
    return true;
}

bool expand_macro(struct parser *parser, struct node *call)
{
    const struct node *receiver = call->left;
    if (!receiver) {
        bool has = string_equal_text(call->name, "has") && call->item_count == 1 && !call->rooted;
        return has ? expand_has(parser, call) : true;
    }
    if (receiver->kind == NODE_NAME && !receiver->quoted && !receiver->rooted &&
        string_equal_text(receiver->name, "cel") && string_equal_text(call->name, "bind") &&
        call->item_count == 3)
        return expand_bind(parser, call);
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        uint32_t wanted = forms[i].variables + forms[i].predicate + forms[i].transform;
        if (call->item_count == wanted && string_equal_text(call->name, forms[i].name))
            return expand_comprehension(parser, call, &forms[i]);
    }
    return true;
}
