/* Quantities on the command line, written as in the language: whole numbers, sizes, durations.
 * Pure functions; any thread. Each reads all of `text` and returns false where it is anything else
 * or does not fit. */
#ifndef LEAT_CLI_QUANTITY_H
#define LEAT_CLI_QUANTITY_H

#include "core/base.h"

/* 0, 42. */
MUST_USE bool quantity_whole(const char *text, uint64_t *number);
/* 4096, 64KiB, 256MiB, 1GiB, 1TiB, and KB MB GB TB of powers of ten, in bytes; at least 1. */
MUST_USE bool quantity_size(const char *text, uint64_t *bytes);
/* 50us, 250ms, 5s, 10m, 2h, 1d, in nanoseconds; at least 1. */
MUST_USE bool quantity_duration(const char *text, int64_t *nanoseconds);

#endif
