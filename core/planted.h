/* Bugs that tests plant, to see that they would be found (tests/crash/planted.py): LEAT_PLANT names
 * one. Only in builds with -DLEAT_PLANTED (`make crash-planted`); otherwise nothing of it is in the
 * program. Any thread. */
#ifndef LEAT_CORE_PLANTED_H
#define LEAT_CORE_PLANTED_H

#include "core/base.h"

#ifdef LEAT_PLANTED
/* Whether this bug is planted. */
bool planted(const char *name);
#else
#define planted(name) false
#endif

#endif
