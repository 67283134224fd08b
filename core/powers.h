/* The leading 128 bits of powers of ten, for reading and writing doubles. Constant data; any
 * thread. Internal to core/number_*.c and their tests. */
#ifndef LEAT_CORE_POWERS_H
#define LEAT_CORE_POWERS_H

#include "core/base.h"

#define POWER_MIN (-342)
#define POWER_MAX 324
/* Powers from 10^0 to this one are exact in 128 bits. */
#define POWER_EXACT_MAX 55
/* From this one to 10^-1, entries are rounded up; the other inexact ones are rounded down. */
#define POWER_ROUNDED_UP_MIN (-27)

struct power {
    uint64_t high; /* its top bit is set */
    uint64_t low;
};
/* powers[q - POWER_MIN] * 2^(power_exponent(q) - 127) is 10^q. */
extern const struct power powers[POWER_MAX - POWER_MIN + 1];

/* floor(log2(10^q)), for |q| up to 1233. */
static inline int power_exponent(int q)
{
    return (q * 1741647) >> 19;
}

__extension__ typedef unsigned __int128 uint128;

#endif
