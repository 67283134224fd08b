/* The table of powers of ten: see powers.h. */
#include "core/powers.h"

const struct power powers[POWER_MAX - POWER_MIN + 1] = {
#define POWER(high, low) {high, low},
#include "core/powers.def"
#undef POWER
};
