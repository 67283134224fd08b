/* Timestamps, durations and time zones. Pure functions; any thread (zones are cached behind a
 * lock). Uses no locale, no TZ, no libc time conversion. */
#ifndef LEAT_LANG_TIME_H
#define LEAT_LANG_TIME_H

#include "core/error.h"
#include "core/value.h"

/* Strict RFC 3339. VALUE_TIMESTAMP or VALUE_ERROR(CONVERSION or OVERFLOW). */
struct value timestamp_parse(struct string text);
/* CEL durations: "1h30m", "-1.5s". */
struct value duration_parse(struct string text);
/* `format` is strptime-like: %Y %m %d %H %M %S %f (fraction) %z %b %B %a %A %y %e %j %p %I %s %T %F
 * %D %R %Z(UTC, GMT) %%; the whole text must match. No zone: UTC. For time.parse(text, format). */
struct value timestamp_parse_format(struct string text, struct string format);
bool timestamp_format_valid(struct string format, size_t *bad_offset);

enum time_part {
    TIME_YEAR,
    TIME_MONTH,
    TIME_DATE,
    TIME_DAY_OF_MONTH,
    TIME_DAY_OF_WEEK,
    TIME_DAY_OF_YEAR,
    TIME_HOURS,
    TIME_MINUTES,
    TIME_SECONDS,
    TIME_MILLISECONDS
};
/* CEL's getters; zone "" is UTC. VALUE_INT or VALUE_ERROR. */
struct value timestamp_part(struct value timestamp, enum time_part part, struct string zone);
struct value timestamp_add(struct value timestamp, int64_t nanoseconds);
struct value timestamp_difference(struct value a, struct value b);

#endif
