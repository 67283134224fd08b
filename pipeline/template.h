/* Templates at run time: "out/{origin}/{month}.csv" becomes a column of paths, each expression put
 * in as one safe component. Const after open; any worker. */
#ifndef LEAT_PIPELINE_TEMPLATE_H
#define LEAT_PIPELINE_TEMPLATE_H

#include "lang/parse.h"
#include "lang/scope.h"

struct template;

/* NULL after errors (in the scope's diagnostics). Its moves are pending in the scope. */
struct template *template_open(struct program *program, struct scope *scope,
                               const struct option_value *value, struct diagnostics *diagnostics);
void template_close(struct template *template);
/* Whether the text holds any {expression}. */
bool template_has_expressions(struct string text);
/* Makes cells of `column` for the live rows; a row whose value cannot stand there is rejected for
 * `stage` (ERROR_PLACE). False: arena full. */
MUST_USE bool template_apply(const struct template *template, struct evaluator *evaluator,
                             struct batch *batch, uint32_t column, uint16_t stage);

#endif
