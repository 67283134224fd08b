/* Finding short texts in texts, quicker than memmem where both are short. Pure; any thread. */
#ifndef LEAT_LANG_TEXT_SEARCH_H
#define LEAT_LANG_TEXT_SEARCH_H

#include "core/base.h"

/* Whether `wanted` occurs in `text`. Never more than linear in the text for a long one. */
bool text_contains(struct string text, struct string wanted);

#endif
