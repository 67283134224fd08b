/* The CSV kernel for 64-bit ARM: see csv_scan.h. Pure; any thread. */
#if defined(__aarch64__)
#include "formats/csv_scan.h"

#include <arm_neon.h>

#define TARGET

struct needle {
    uint8x16_t bytes;
};
struct block {
    uint8x16_t quarters[4];
};

static inline struct needle needle_make(uint8_t byte)
{
    return (struct needle){vdupq_n_u8(byte)};
}

static inline struct block block_load(const char *text)
{
    struct block block;
    for (unsigned i = 0; i < 4; i++)
        block.quarters[i] = vld1q_u8((const uint8_t *)text + 16 * i);
    return block;
}

/* One bit of each byte (all ones or all zeros), by three pairwise additions. */
static inline uint64_t block_gather(struct block block)
{
    const uint8x16_t weights = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t low =
        vpaddq_u8(vandq_u8(block.quarters[0], weights), vandq_u8(block.quarters[1], weights));
    uint8x16_t high =
        vpaddq_u8(vandq_u8(block.quarters[2], weights), vandq_u8(block.quarters[3], weights));
    uint8x16_t sums = vpaddq_u8(low, high);
    sums = vpaddq_u8(sums, sums);
    return vgetq_lane_u64(vreinterpretq_u64_u8(sums), 0);
}

static inline uint64_t block_equal(struct block block, struct needle needle)
{
    for (unsigned i = 0; i < 4; i++)
        block.quarters[i] = vceqq_u8(block.quarters[i], needle.bytes);
    return block_gather(block);
}

static inline uint64_t block_high(struct block block)
{
    for (unsigned i = 0; i < 4; i++)
        block.quarters[i] = vcgeq_u8(block.quarters[i], vdupq_n_u8(0x80));
    return block_gather(block);
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

const struct csv_kernel csv_kernel_neon = {scan_cut, scan_index};
#endif
