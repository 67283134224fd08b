/* The syntax tree: what the parser makes of a program. Everything lives in the program's own memory
 * and is const after parsing. Spans point into the program text. */
#ifndef LEAT_LANG_AST_H
#define LEAT_LANG_AST_H

#include "core/option.h"
#include "core/value.h"
#include "lang/diagnostic.h"

enum node_kind {
    NODE_LITERAL,     /* value: null bool int uint double string bytes */
    NODE_NAME,        /* name; quoted: in backquotes; rooted: ".name" */
    NODE_SELECT,      /* left.name; optional: ".?"; quoted */
    NODE_INDEX,       /* left[right]; optional: "[?" */
    NODE_CALL,        /* name(items) or left.name(items) where left is not NULL */
    NODE_LIST,        /* items */
    NODE_MAP,         /* items: key, value, key, value … */
    NODE_NOT,         /* !left */
    NODE_NEGATE,      /* -left */
    NODE_BINARY,      /* left operator right */
    NODE_AND,         /* items, two or more */
    NODE_OR,          /* items, two or more */
    NODE_CONDITIONAL, /* left ? right : third */
    NODE_HAS,         /* has(left), left is a SELECT (or in leat a NAME: has(a)) */
    NODE_MACRO,       /* a comprehension: macro over left, variable name (and name2), right
                         (predicate or NULL), third (transform or NULL) */
    NODE_BIND,        /* cel.bind(name, left, right) */
};

enum operator_kind {
    OPERATOR_ADD,
    OPERATOR_SUBTRACT,
    OPERATOR_MULTIPLY,
    OPERATOR_DIVIDE,
    OPERATOR_MODULO,
    OPERATOR_EQUAL,
    OPERATOR_NOT_EQUAL,
    OPERATOR_LESS,
    OPERATOR_LESS_EQUAL,
    OPERATOR_GREATER,
    OPERATOR_GREATER_EQUAL,
    OPERATOR_IN,
};

enum macro_kind {
    MACRO_ALL,
    MACRO_EXISTS,
    MACRO_EXISTS_ONE,
    MACRO_MAP,
    MACRO_FILTER,
    MACRO_TRANSFORM_LIST,
    MACRO_TRANSFORM_MAP
};

struct node {
    enum node_kind kind;
    struct span span;      /* of the whole sub-expression */
    struct span name_span; /* of the operator, the function's or the field's name */
    struct value value;
    struct string name;
    struct string name2;
    enum operator_kind operator;
    enum macro_kind macro;
    bool quoted;
    bool rooted;
    bool optional;
    uint16_t height; /* levels of this subtree, 1 for a leaf; the parser bounds it, so that whoever
                        walks the tree may recurse */
    const struct node *left;
    const struct node *right;
    const struct node *third;
    const struct node *const *items;
    const bool *item_optional; /* LIST, MAP: "?" before the element; NULL where none has */
    uint32_t item_count;
};

enum statement_kind {
    STATEMENT_FROM,
    STATEMENT_STAGE,
    STATEMENT_INTO,
    STATEMENT_REJECT,
    STATEMENT_FAIL
};

struct statement {
    enum statement_kind kind;
    struct span span;        /* all of it */
    struct span verb_span;   /* its first word */
    const struct noun *noun; /* the verb's, or the source's or sink's table */
    struct options options;
};

struct program {
    const char *name; /* file name for messages */
    struct string text;
    struct string pipeline;  /* NAME, or empty */
    struct options settings; /* of the pipeline block (defaults where there is none) */
    const struct statement *statements;
    uint32_t statement_count;
    struct program_memory *memory;
};

#endif
