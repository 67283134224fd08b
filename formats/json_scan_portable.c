/* The JSON scan without vectors of any kind: 64 bytes are eight words of eight bytes, and a mask is
 * gathered word by word. It runs everywhere; where it matters a vector kernel takes its place.
 * See json_scan.h. */
#include "formats/json_scan.h"

#include <string.h>

#define TARGET
#define KERNEL(name) name##_portable

struct block_portable {
    const char *bytes;
    const uint8_t *classes;
    uint64_t operators;
    uint64_t white;
    uint64_t controls;
    uint64_t high;
};

#define EACH  0x0101010101010101u
#define HIGHS 0x8080808080808080u

/* Bit 7 of each byte, side by side in 8 bits. */
static inline uint64_t bits_gather(uint64_t word)
{
    return ((word & HIGHS) >> 7) * 0x0102040810204080u >> 56;
}

static inline uint64_t word_load(const char *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* Bit 7 of each byte that is less than `limit` (1..128). */
static inline uint64_t word_less(uint64_t word, uint8_t limit)
{
    uint64_t sums = (word & ~HIGHS) + EACH * (0x80u - limit); /* bit 7: low bits >= limit */
    return ~(sums | word) & HIGHS;
}

static inline struct block_portable block_load(const char *bytes, const uint8_t *classes)
{
    struct block_portable block = {.bytes = bytes, .classes = classes};
    for (unsigned i = 0; i < 64; i += 8) {
        uint64_t word = word_load(bytes + i), kinds = 0;
        block.controls |= bits_gather(word_less(word, 0x20)) << i;
        block.high |= bits_gather(word) << i;
        for (unsigned j = 0; j < 64; j += 8)
            kinds |= (uint64_t)classes[word >> j & 0xff] << j;
        block.operators |= bits_gather(kinds) << i;
        block.white |= bits_gather(kinds << 1) << i;
    }
    return block;
}
static inline uint64_t block_equal(struct block_portable block, char byte)
{
    uint64_t mask = 0;
    for (unsigned i = 0; i < 64; i += 8)
        mask |= bits_gather(word_less(word_load(block.bytes + i) ^ EACH * (uint8_t)byte, 1)) << i;
    return mask;
}
static inline uint64_t block_quotes(struct block_portable block)
{
    return block_equal(block, '"');
}
static inline uint64_t block_backslashes(struct block_portable block)
{
    return block_equal(block, '\\');
}
static inline uint64_t block_operators(struct block_portable block)
{
    return block.operators;
}
static inline uint64_t block_white(struct block_portable block)
{
    return block.white;
}
static inline uint64_t block_controls(struct block_portable block)
{
    return block.controls;
}
static inline uint64_t block_high(struct block_portable block)
{
    return block.high;
}
static inline uint64_t block_hex(struct block_portable block)
{
    uint64_t mask = 0;
    for (unsigned i = 0; i < 64; i++) {
        unsigned byte = (unsigned char)block.bytes[i];
        mask |= (uint64_t)((byte - '0' < 10) | ((byte | 0x20) - 'a' < 6)) << i;
    }
    return mask;
}
static inline uint64_t block_escapable(struct block_portable block)
{
    uint64_t mask = 0;
    for (const char *byte = "\"\\/bfnrtu"; *byte; byte++)
        mask |= block_equal(block, *byte);
    return mask;
}
static inline uint64_t bits_prefix_xor(uint64_t bits)
{
    for (unsigned i = 1; i < 64; i <<= 1)
        bits ^= bits << i;
    return bits;
}

/* How many bytes the sequence at `bytes` has, 0 where it is none. Reads at most 4 bytes. */
static inline unsigned sequence_length(const unsigned char *bytes)
{
    unsigned lead = bytes[0];
    if (lead < 0x80)
        return 1;
    if ((bytes[1] & 0xc0) != 0x80)
        return 0;
    if (lead >= 0xc2 && lead < 0xe0)
        return 2;
    unsigned code = (lead & 15) << 6 | (bytes[1] & 63);
    if (lead < 0xe0 || (bytes[2] & 0xc0) != 0x80)
        return 0;
    if (lead < 0xf0)
        return code >= 0x20 && (code < 0x360 || code >= 0x380) ? 3 : 0;
    return lead < 0xf5 && code >= 0x10 && code < 0x110 && (bytes[3] & 0xc0) == 0x80 ? 4 : 0;
}

/* `open` counts the bytes that a sequence of the block before has in this one; they were checked
 * with it. A sequence that reaches behind the text is open at its end, which is an error. */
static inline bool utf8_suspect(const char *bytes, uint64_t *open)
{
    unsigned at = (unsigned)*open;
    while (at < 64) {
        unsigned length = sequence_length((const unsigned char *)bytes + at);
        if (length == 0) {
            *open = 0;
            return true;
        }
        at += length;
    }
    *open = at - 64;
    return false;
}

static inline uint32_t block_emit(struct block_portable block, uint64_t tokens, uint32_t base,
                                  const char *bytes, uint32_t *positions, uint8_t *classes)
{
    uint32_t count = 0;
    for (; tokens; tokens &= tokens - 1) {
        uint32_t place = (uint32_t)__builtin_ctzll(tokens);
        positions[count] = base + place;
        classes[count++] = block.classes[(unsigned char)bytes[place]];
    }
    return count;
}

#include "formats/json_scan.inc.h"
