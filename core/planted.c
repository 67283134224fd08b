/* Planted bugs: see planted.h. */
#include "core/planted.h"

#ifdef LEAT_PLANTED
#include <stdlib.h>
#include <string.h>

bool planted(const char *name)
{
    const char *wanted = getenv("LEAT_PLANT");
    return wanted && strcmp(wanted, name) == 0;
}
#endif
