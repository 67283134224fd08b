/* Natural numbers of at most BIG_LIMBS * 64 bits, for the few decimals that only exact arithmetic
 * can round. Plain data on the stack, no allocation; any thread. Results that do not fit are a bug
 * of the caller (CHECK). */
#ifndef LEAT_CORE_BIG_H
#define LEAT_CORE_BIG_H

#include "core/base.h"

/* 768 digits (2552 bits) times 2^1074, or 54 bits times 5^1111 (2580 bits) times 2^1024. */
#define BIG_LIMBS 72

struct big {
    uint64_t limbs[BIG_LIMBS]; /* lowest first */
    unsigned count;            /* limbs in use; the highest of them is not 0 */
};

void big_set(struct big *big, uint64_t natural);
/* big = big * factor + addend */
void big_multiply_add(struct big *big, uint64_t factor, uint64_t addend);
void big_multiply_power5(struct big *big, unsigned power);
void big_shift_left(struct big *big, unsigned bits);
/* Below 0, 0 or above 0, as a is less than, equal to or greater than b. */
int big_compare(const struct big *a, const struct big *b);

#endif
