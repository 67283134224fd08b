/* Dates of the proleptic Gregorian calendar and the text of timestamps and durations. Pure
 * functions; any thread; no locale, no time zone but UTC, no libc time conversion. Days and seconds
 * count from 1970-01-01T00:00:00Z, without leap seconds. */
#ifndef LEAT_CORE_CALENDAR_H
#define LEAT_CORE_CALENDAR_H

#include "core/base.h"

/* Day number of a date (Howard Hinnant's days_from_civil). month 1..12, day 1..31; a day beyond the
 * month's end counts on into the next. Any |year| below 10^12. */
int64_t calendar_days(int64_t year, unsigned month, unsigned day);
/* The date of a day number (Howard Hinnant's civil_from_days). Any |days| below 10^14. */
void calendar_date(int64_t days, int64_t *year, unsigned *month, unsigned *day);
/* 28..31 */
unsigned calendar_month_length(int64_t year, unsigned month);
bool calendar_is_leap(int64_t year);

#define CALENDAR_TEXT_SIZE 40
/* RFC 3339 in UTC with the shortest fraction that is exact: 2013-01-01T05:00:00Z,
 * 2013-01-01T05:00:00.25Z. Writes at most CALENDAR_TEXT_SIZE bytes without NUL and returns how
 * many. nanoseconds 0..999999999. Years outside 0..9999 have more digits or a sign (and are then
 * no RFC 3339 any more). */
size_t calendar_write_timestamp(char *out, int64_t seconds, uint32_t nanoseconds);
/* Seconds with the shortest exact fraction: 1.5s, -0.5s, 5400s. As above. */
size_t calendar_write_duration(char *out, int64_t nanoseconds);

#endif
