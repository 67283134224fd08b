/* Time zones of the system's database (TZif files), cached. Any thread. */
#ifndef LEAT_LANG_ZONE_H
#define LEAT_LANG_ZONE_H

#include "core/base.h"

/* Seconds east of UTC in `zone` at the instant `seconds`. zone: "" or "UTC", "+hh:mm", "-hh:mm",
 * "hh:mm", or an IANA name. False: there is no such zone. */
bool zone_offset(struct string zone, int64_t seconds, int32_t *offset);

#endif
