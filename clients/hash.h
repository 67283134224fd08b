/* Keyed hashes of bytes (SipHash: Aumasson and Bernstein 2012): keys that come from records cannot
 * be made to collide without the seed. Pure; any thread. */
#ifndef LEAT_CLIENTS_HASH_H
#define LEAT_CLIENTS_HASH_H

#include "core/base.h"

/* SipHash with `compress` rounds for each word and `finish` rounds at the end. */
uint64_t hash_sip(const uint64_t key[2], struct string text, unsigned compress, unsigned finish);
/* SipHash-1-3, which is enough for a hash table. */
static inline uint64_t hash_bytes(const uint64_t key[2], struct string text)
{
    return hash_sip(key, text, 1, 3);
}

#endif
