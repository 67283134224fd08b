/* Templates at run time: strings of options that hold {expression}, for file names and for URLs.
 * What an expression gives is escaped for its place, so that no record can lead out of the place
 * that the template gives it. Opened by the main thread; const afterwards; any worker. */
#ifndef LEAT_LANG_TEMPLATE_CELLS_H
#define LEAT_LANG_TEMPLATE_CELLS_H

#include "core/buffer.h"
#include "lang/parse.h"
#include "lang/scope.h"

struct template;

/* No template gives more bytes than this. */
#define TEMPLATE_LIMIT (16 * 1024)

/* A path: each expression becomes one safe component, or part of one. NULL after errors (in
 * `diagnostics`). What the resolver finds is pending in its scope (scope_take_moves). */
struct template *template_open(const struct program *program, struct scope *scope,
                               const struct option_value *value, struct diagnostics *diagnostics);
/* A URL of http or https. `value`: an OPTION_TEMPLATE, or with `item` one of OPTION_TEMPLATES. The
 * resolver of a scope, or of one's own; secrets are allowed whatever it says. Percent-encoding is
 * that of RFC 3986: all but its unreserved characters, in user, path and query. The beginning
 * (scheme, host) comes from the program, from env() or secret(), or else one expression gives the
 * whole URL, which is taken as it is. */
struct template *template_open_url(const struct program *program, const struct resolver *resolver,
                                   const struct option_value *value, uint32_t item,
                                   struct diagnostics *diagnostics);
void template_close(struct template *template);

/* Whether the text holds any {expression}. */
bool template_has_expressions(struct string text);
/* URL: the host, or the whole, depends on the record. */
bool template_host_varies(const struct template *template);
/* It holds a secret: show it only with `hide`. */
bool template_is_private(const struct template *template);

/* Appends the text for one row to `out`; nothing is taken from the arena but what evaluation takes.
 * `hide`: as it may be shown, with *** for secrets and for user and password. False, `out` as it
 * was: *error is an error of evaluation, ERROR_PLACE (null, empty, "." and "..", lists and maps,
 * and what else cannot stand there; static text), or ERROR_ARENA_FULL where arena or `out` is full.
 */
MUST_USE bool template_append(const struct template *template, struct evaluation *evaluation,
                              uint32_t row, bool hide, struct buffer *out, struct value *error);
/* Makes cells of `column` for the live rows; a row whose value cannot stand there is rejected for
 * `stage`. False: arena full. */
MUST_USE bool template_apply(const struct template *template, struct evaluator *evaluator,
                             struct batch *batch, uint32_t column, uint16_t stage);

#endif
