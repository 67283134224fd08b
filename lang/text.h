/* Reading text that may be anything: one code point at a time, damaged bytes told apart. For the
 * lexer's first check and for messages that show what a user wrote. Pure functions; any thread. */
#ifndef LEAT_LANG_TEXT_H
#define LEAT_LANG_TEXT_H

#include "core/base.h"

#define TEXT_DAMAGED UINT32_MAX

/* The code point at `offset` (< text.length); *size (1 to 4) is how many bytes it takes. A byte
 * that begins no valid UTF-8 sequence gives TEXT_DAMAGED with *size 1. */
uint32_t text_point(struct string text, size_t offset, unsigned *size);
/* May be sent to a terminal as it stands: no control character (tab included), no mark that turns
 * the direction of writing, not damaged. */
bool text_point_printable(uint32_t point);
/* The offset of the first damaged byte, or text.length. */
size_t text_damage(struct string text);

#endif
