/* Shared by time.c and time_format.c. */
#ifndef LEAT_LANG_TIME_INTERNAL_H
#define LEAT_LANG_TIME_INTERNAL_H

#include "lang/time.h"

/* 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z */
#define TIMESTAMP_FIRST INT64_C(-62135596800)
#define TIMESTAMP_LAST  INT64_C(253402300799)

/* A timestamp, or ERROR_OVERFLOW outside of CEL's range. */
struct value timestamp_make(int64_t seconds, uint32_t nanoseconds);

#endif
