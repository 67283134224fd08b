/* Conformance cases of the CEL specification, for `leat eval --cases FILE`: each line is an object
 * with `expr`, `bindings` (name to value) and `container`, values being encoded as objects of one
 * key: {"int": "1"}, {"string": "a"}, {"list": […]}, {"map": [[k, v] …]}, {"timestamp": "…"} …
 * Evaluated by the specification alone: without leat's deviations and without its checker. Main
 * thread only. */
#ifndef LEAT_LANG_CEL_CASES_H
#define LEAT_LANG_CEL_CASES_H

#include <stdio.h>

#include "core/error.h"
#include "core/value.h"

/* Reads cases, one JSON object a line, and prints for each a line, {"value": …} or {"error": "…"}.
 * The exit status; on a failed operation 1 with *error filled. */
int cel_cases_run(FILE *in, FILE *out, struct error *error);

/* The value of one case, in `arena`; an error value where it fails to parse or to evaluate. `text`:
 * valid JSON, one case. */
struct value cel_case_evaluate(struct string text, struct arena *arena);

/* A value in that encoding; malloc'ed, NULL without memory or nested beyond reason. The value must
 * be resolved throughout. */
char *cel_value_encode(struct value value);

#endif
