/* Keyed hashes: see hash.h. */
#include "clients/hash.h"

#include <endian.h>
#include <string.h>

static inline uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static inline void sip_rounds(uint64_t v[4], unsigned rounds)
{
    while (rounds-- > 0) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] = rotate(v[0], 32);
        v[2] += v[1];
        v[0] += v[3];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[2] = rotate(v[2], 32);
    }
}

uint64_t hash_sip(const uint64_t key[2], struct string text, unsigned compress, unsigned finish)
{
    uint64_t v[4] = {
        0x736f6d6570736575u ^ key[0],
        0x646f72616e646f6du ^ key[1],
        0x6c7967656e657261u ^ key[0],
        0x7465646279746573u ^ key[1],
    };
    size_t offset = 0;
    uint64_t word;
    for (; text.length - offset >= 8; offset += 8) {
        memcpy(&word, text.data + offset, 8);
        word = le64toh(word);
        v[3] ^= word;
        sip_rounds(v, compress);
        v[0] ^= word;
    }
    word = (uint64_t)text.length << 56;
    for (size_t i = 0; i < text.length - offset; i++)
        word |= (uint64_t)(uint8_t)text.data[offset + i] << (8 * i);
    v[3] ^= word;
    sip_rounds(v, compress);
    v[0] ^= word;
    v[2] ^= 0xff;
    sip_rounds(v, finish);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
