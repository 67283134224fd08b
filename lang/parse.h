/* Program text to syntax tree, and back (fmt). Main thread only. */
#ifndef LEAT_LANG_PARSE_H
#define LEAT_LANG_PARSE_H

#include "lang/ast.h"

/* Parses all of diagnostics->text. Errors go to `diagnostics` (all of them: the parser recovers at
 * the next statement); the program is returned all the same, NULL only when memory is short. The
 * text must outlive it. `registry` gives verbs, kinds and option tables. */
struct program *program_parse(const struct registry *registry, struct diagnostics *diagnostics);
void program_free(struct program *program);

/* One expression, all of the text, for `leat eval`; `cel_strict`: the specification alone (names
 * reserved by CEL refused as identifiers, `#` is no comment). The node lives as long as *memory,
 * freed by program_memory_free. */
struct program_memory;
const struct node *expression_parse(struct diagnostics *diagnostics, bool cel_strict,
                                    struct program_memory **memory);
void program_memory_free(struct program_memory *memory);

/* A template's text split into literals and expressions: items of OPTION_TEMPLATE values. */
struct template_part {
    struct string literal; /* where node is NULL */
    const struct node *node;
};
/* Splits the text of `value`; parts live in the program's memory. Diagnostics point into the
 * string. A text from env(), secret() or a default holds no expressions: it is one literal. False
 * after an error. */
bool template_parse(const struct program *program, const struct option_value *value,
                    struct diagnostics *diagnostics, const struct template_part **parts,
                    uint32_t *count);

/* The program in its one canonical layout: one statement a line, aligned lists, comments kept.
 * malloc'ed; the caller frees. Formatting twice changes nothing, and the result parses to the same
 * tree. NULL where the text does not parse (see diagnostics). */
char *program_format(const struct registry *registry, struct diagnostics *diagnostics);

#endif
