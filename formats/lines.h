/* Line ends in text, at memory speed. Pure functions; any thread. */
#ifndef LEAT_FORMATS_LINES_H
#define LEAT_FORMATS_LINES_H

#include "core/base.h"

/* How many LF there are in text[0..length). */
size_t lines_count(const char *text, size_t length);
/* The offset behind the last LF of text[0..length), 0: there is none. */
size_t lines_last(const char *text, size_t length);

#endif
