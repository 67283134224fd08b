/* Where JSON text that is no NDJSON may be cut: behind a value at top level, and before an element
 * of a list at top level. Cut and locate agree because both count brackets, of whatever kind,
 * outside of strings. Pure; any thread. */
#ifndef LEAT_FORMATS_JSON_CUT_H
#define LEAT_FORMATS_JSON_CUT_H

#include "core/format.h"

/* Where in the structure at top level a position is: cut_state.boundary_state and
 * batch.format_state. */
enum json_mode {
    JSON_MODE_TOP,   /* before a value, or the end */
    JSON_MODE_FIRST, /* behind the [ of a list that is read element by element */
    JSON_MODE_NEXT,  /* behind a comma of it */
    JSON_MODE_AFTER, /* behind an element of it (to cut: or inside) */
};

/* As format_ops.cut and .skip. */
size_t json_cut(struct cut_state *state, const char *text, size_t from, size_t length);
size_t json_skip(struct cut_state *state, const char *text, size_t length);

#endif
