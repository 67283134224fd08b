/* The table of every format that is built in, from formats.def. Const; any thread. */
#ifndef LEAT_FORMATS_FORMATS_H
#define LEAT_FORMATS_FORMATS_H

#include "core/format.h"

extern const struct format_table formats_all;

#endif
