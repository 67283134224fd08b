/* Quantities as options take them: whole numbers, durations, sizes, rates, percentages. Pure
 * functions; any thread. */
#ifndef LEAT_LANG_QUANTITY_H
#define LEAT_LANG_QUANTITY_H

#include "core/option.h"

/* Reads all of `text` as a quantity of option kind INTEGER, DURATION, SIZE, RATE, PERCENT or AMOUNT
 * into value->integer, real and is_percent, in the units that core/option.h gives. NULL: done;
 * otherwise what is wrong, as part of a sentence ("unknown unit; …"); static. */
const char *quantity_read(enum option_kind kind, struct string text, struct option_value *value);

/* Quantities of phrases and ranges: one whole number each. */
enum quantity_unit {
    QUANTITY_WHOLE,
    QUANTITY_DURATION,   /* nanoseconds */
    QUANTITY_SIZE,       /* bytes */
    QUANTITY_RATE,       /* millionths of one a second */
    QUANTITY_PERCENTILE, /* ten-thousandths: p95 is 9500 */
};
/* As quantity_read, into *number. */
const char *quantity_number(enum quantity_unit unit, struct string text, int64_t *number);

#endif
