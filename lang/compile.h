/* What the files of the compiler share: compile.c (operators), compile_name.c (names and paths),
 * compile_call.c (functions and macros), compile_outside.c (env, secret), check.c (kinds). Main
 * thread only. */
#ifndef LEAT_LANG_COMPILE_H
#define LEAT_LANG_COMPILE_H

#include "lang/term.h"

struct local {
    struct string name;
    uint32_t slot;
};

struct compiler {
    struct expression *expression;
    const struct resolver *resolver;
    struct diagnostics *diagnostics;
    struct evaluator *evaluator; /* for folding */
    struct local locals[SLOT_LIMIT];
    uint32_t local_count;
    unsigned depth;
    bool strict; /* the specification alone */
};

/* All give NULL after an error was reported (or memory was short). */
struct term *compile_node(struct compiler *compiler, const struct node *node);
struct term *compile_path(struct compiler *compiler, const struct node *node);
struct term *compile_has(struct compiler *compiler, const struct node *node);
struct term *compile_call(struct compiler *compiler, const struct node *node);
struct term *compile_macro(struct compiler *compiler, const struct node *node);
/* compile_outside.c: env("NAME"[, "default"]) and secret("file"), constants. */
struct term *compile_env(struct compiler *compiler, const struct node *node);
struct term *compile_secret(struct compiler *compiler, const struct node *node);
struct term *compile_bind(struct compiler *compiler, const struct node *node);

struct term *term_make(struct compiler *compiler, enum term_kind kind, uint32_t kinds);
struct term *term_constant(struct compiler *compiler, struct value value);
/* A run-time error: what the specification does with unknown names. */
struct term *term_error(struct compiler *compiler, enum error_code code, struct string text);
void *compiler_take(struct compiler *compiler, size_t size);
struct string compiler_copy(struct compiler *compiler, struct string text);
/* Compiles items[0..count) into an array; false after an error (all are tried). */
bool compile_items(struct compiler *compiler, const struct node *const *nodes, uint32_t count,
                   const struct term *const **items);
/* Replaces a term whose operands are constants by its value. */
struct term *term_fold(struct compiler *compiler, struct term *term);
/* Binds a name for what is compiled until local_count goes back. False: too many (reported). */
bool local_push(struct compiler *compiler, const struct node *node, struct string name,
                uint32_t *slot);
const struct local *local_find(const struct compiler *compiler, struct string name);

/* A call has another number of arguments than it takes. Gives NULL, but in the strict mode a
 * run-time error. */
struct term *report_count(struct compiler *compiler, const struct node *node, const char *name,
                          unsigned minimum, unsigned maximum);
/* Reports where no pair of kinds has the operator. */
bool check_binary(struct compiler *compiler, const struct node *node, const struct term *left,
                  const struct term *right);
bool check_unary(struct compiler *compiler, const struct node *node, const struct term *operand,
                 uint32_t allowed, const char *what);
/* Kinds that the operator gives for such operands. */
uint32_t binary_kinds(enum operator_kind operator, uint32_t left, uint32_t right, bool mixed);
/* "int or string" */
const char *kinds_text(uint32_t kinds, char *out, size_t size);

#endif
