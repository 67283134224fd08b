/* A small check that a text is one JSON value, for texts that come from the command line instead of
 * through a format. Pure; any thread. */
#ifndef LEAT_LANG_JSON_CHECK_H
#define LEAT_LANG_JSON_CHECK_H

#include "core/base.h"

/* RFC 8259 and UTF-8, no white space around, nested at most 500 deep. */
bool json_check(struct string text);

#endif
