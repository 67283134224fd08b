/* The choice of a CSV kernel, and the portable one: eight bytes at a time in ordinary registers.
 * Pure functions; any thread. */
#include "formats/csv_scan.h"

#include <endian.h>
#include <string.h>

#include "formats/isa.h"

#define TARGET
#define LOW_BITS  UINT64_C(0x0101010101010101)
#define HIGH_BITS UINT64_C(0x8080808080808080)

struct needle {
    uint64_t bytes;
};
struct block {
    uint64_t words[8];
};

static inline struct needle needle_make(uint8_t byte)
{
    return (struct needle){LOW_BITS * byte};
}

static inline struct block block_load(const char *text)
{
    struct block block;
    memcpy(&block, text, sizeof(block));
    for (unsigned i = 0; i < 8; i++)
        block.words[i] = le64toh(block.words[i]);
    return block;
}

/* The high bits of eight bytes as eight bits. */
static inline uint64_t high_gather(uint64_t word)
{
    return ((word & HIGH_BITS) >> 7) * UINT64_C(0x0102040810204080) >> 56;
}

static inline uint64_t block_equal(struct block block, struct needle needle)
{
    uint64_t mask = 0;
    for (unsigned i = 0; i < 8; i++) {
        uint64_t other = block.words[i] ^ needle.bytes;
        uint64_t differs = ((other & ~HIGH_BITS) + ~HIGH_BITS) | other;
        mask |= high_gather(~differs) << (8 * i);
    }
    return mask;
}

static inline uint64_t block_high(struct block block)
{
    uint64_t mask = 0;
    for (unsigned i = 0; i < 8; i++)
        mask |= high_gather(block.words[i]) << (8 * i);
    return mask;
}

static inline uint64_t prefix_xor(uint64_t mask)
{
    for (unsigned shift = 1; shift < 64; shift *= 2)
        mask ^= mask << shift;
    return mask;
}

static inline void positions_write(uint32_t *out, uint64_t mask, uint32_t base)
{
    for (; mask; mask &= mask - 1)
        *out++ = base + (uint32_t)__builtin_ctzll(mask);
}

#include "formats/csv_scan.inc.h"

const struct csv_kernel csv_kernel_portable = {scan_cut, scan_index};

const struct csv_kernel *csv_kernel_get(void)
{
    switch (isa_get()) {
#if defined(__x86_64__)
    case ISA_AVX512:
        return &csv_kernel_avx512;
    case ISA_AVX2:
        return &csv_kernel_avx2;
#elif defined(__aarch64__)
    case ISA_NEON:
        return &csv_kernel_neon;
#endif
    default:
        return &csv_kernel_portable;
    }
}
