/* A small generator of random numbers (SplitMix64: Steele, Lea and Flood 2014): repeatable from its
 * seed, not for secrets. The state is the caller's; one thread. */
#ifndef LEAT_CLIENTS_RANDOM_H
#define LEAT_CLIENTS_RANDOM_H

#include "core/base.h"

static inline uint64_t random_bits(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}
/* Uniform in [0, 1). */
static inline double random_share(uint64_t *state)
{
    return (double)(random_bits(state) >> 11) * 0x1p-53;
}
/* Uniform in [least, most]; least <= most. */
static inline int64_t random_between(uint64_t *state, int64_t least, int64_t most)
{
    uint64_t range = (uint64_t)most - (uint64_t)least + 1;
    if (range == 0)
        return (int64_t)random_bits(state);
    return least + (int64_t)(((unsigned __int128)random_bits(state) * range) >> 64);
}

#endif
