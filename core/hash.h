/* A hash of bytes for knowing content again and for fingerprints: the same on every machine and in
 * every version. Not for tables that an attacker fills. Any thread. */
#ifndef LEAT_CORE_HASH_H
#define LEAT_CORE_HASH_H

#include "core/base.h"

#define HASH_SEED 0xcbf29ce484222325ULL

/* FNV-1a, 64 bits (Fowler, Noll, Vo); `seed`: HASH_SEED, or what the bytes before gave. */
static inline uint64_t hash_bytes(const void *bytes, size_t length, uint64_t seed)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < length; i++)
        seed = (seed ^ at[i]) * 0x100000001b3ULL;
    return seed;
}

#endif
