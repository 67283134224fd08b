/* UTF-8: validation at memory speed and small helpers. Pure functions; any thread. */
#ifndef LEAT_CORE_UTF8_H
#define LEAT_CORE_UTF8_H

#include "core/base.h"

/* Strict (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF. */
bool utf8_valid(const char *text, size_t length);
/* Code points of valid text. */
size_t utf8_count(const char *text, size_t length);
/* The byte offset of code point `index` of valid text (index == count: length), or SIZE_MAX. */
size_t utf8_offset(const char *text, size_t length, size_t index);
/* Writes 1 to 4 bytes, returns how many. */
size_t utf8_write(char out[4], uint32_t code_point);
/* Reads the code point at *cursor of valid text and moves the cursor behind it. */
uint32_t utf8_next(const char **cursor);

#endif
