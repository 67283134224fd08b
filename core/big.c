/* Big natural numbers: see big.h. */
#include "core/big.h"

#include <string.h>

#include "core/powers.h"

/* 5^27 is the highest power of five that fits 64 bits. */
#define POWER5_STEP 27

void big_set(struct big *big, uint64_t natural)
{
    big->limbs[0] = natural;
    big->count = natural != 0;
}

void big_multiply_add(struct big *big, uint64_t factor, uint64_t addend)
{
    uint64_t carry = addend;
    for (unsigned i = 0; i < big->count; i++) {
        uint128 product = (uint128)big->limbs[i] * factor + carry;
        big->limbs[i] = (uint64_t)product;
        carry = (uint64_t)(product >> 64);
    }
    if (carry) {
        CHECK(big->count < BIG_LIMBS);
        big->limbs[big->count++] = carry;
    }
}

void big_multiply_power5(struct big *big, unsigned power)
{
    const uint64_t step = 7450580596923828125;
    for (; power >= POWER5_STEP; power -= POWER5_STEP)
        big_multiply_add(big, step, 0);
    uint64_t rest = 1;
    for (; power > 0; power--)
        rest *= 5;
    big_multiply_add(big, rest, 0);
}

void big_shift_left(struct big *big, unsigned bits)
{
    unsigned limbs = bits / 64;
    big_multiply_add(big, (uint64_t)1 << bits % 64, 0);
    if (big->count == 0 || limbs == 0)
        return;
    CHECK(big->count + limbs <= BIG_LIMBS);
    memmove(big->limbs + limbs, big->limbs, big->count * sizeof(big->limbs[0]));
    memset(big->limbs, 0, limbs * sizeof(big->limbs[0]));
    big->count += limbs;
}

int big_compare(const struct big *a, const struct big *b)
{
    if (a->count != b->count)
        return a->count < b->count ? -1 : 1;
    for (unsigned i = a->count; i-- > 0;) {
        if (a->limbs[i] != b->limbs[i])
            return a->limbs[i] < b->limbs[i] ? -1 : 1;
    }
    return 0;
}
