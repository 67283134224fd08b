/* What the files that parse statements share. Main thread only. */
#ifndef LEAT_LANG_PARSE_STATEMENT_H
#define LEAT_LANG_PARSE_STATEMENT_H

#include "lang/parser.h"

/* Positional options, an optional block, defaults. `place` is what messages about missing options
 * point to. False: reported; the current token is wherever the mistake was. */
bool parse_noun_options(struct parser *parser, const struct noun *noun, struct span place,
                        struct options *options);
/* Its parts; values are pushed onto the scratch stack, from `mark` on. */
bool parse_positionals(struct parser *parser, const struct noun *noun);
bool parse_block(struct parser *parser, const struct noun *noun, size_t mark);
/* Adds the defaults of what is not there from `mark` on and keeps it all. */
void options_finish(struct parser *parser, const struct noun *noun, size_t mark,
                    struct options *options);

/* Reads a whole program into `program`, whose text, name and memory are set. */
void parse_program(struct parser *parser, struct program *program);
/* program_parse, which records the layout for fmt too (NULL: it does not). */
struct program *program_parse_with(const struct registry *registry, struct diagnostics *diagnostics,
                                   struct layout *layout);

#endif
