/* Making nodes: what the files that parse expressions share. Main thread only. */
#ifndef LEAT_LANG_PARSE_NODE_H
#define LEAT_LANG_PARSE_NODE_H

#include "lang/parser.h"

/* A node whose span and name_span are `start`. */
struct node *node_make(struct parser *parser, enum node_kind kind, struct span start);
/* Sets the height of a node whose children are set. NULL: too high (reported). */
struct node *node_settle(struct parser *parser, struct node *node);

/* lang/parse_literal.c: a number, string or bytes; a minus that belongs to it has been consumed
 * (`start` is its place). NULL: reported. */
struct node *parse_literal(struct parser *parser, bool negative, struct span start);
/* true false null; NULL without a report where none of them stands. */
struct node *parse_constant(struct parser *parser);
/* The current token is an ERROR: says how to write what was probably meant. */
void report_token(struct parser *parser);

#endif
