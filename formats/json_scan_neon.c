/* The JSON scan for 64-bit ARM: four vectors are one block. See json_scan.h. */
#include "formats/json_scan.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#include <string.h>

#define TARGET
#define KERNEL(name) name##_neon

struct block_neon {
    uint8x16_t bytes[4];
    uint8x16_t kinds[4]; /* see kinds_of */
    const uint8_t *classes;
};

/* Two lookups, by the halves of a byte, and-ed: 1: { }  2: [ ]  4: :  8: ,  16: space  32: tab LF
 * CR; a byte beyond ASCII gives 0. */
static inline uint8x16_t kinds_of(uint8x16_t bytes)
{
    const uint8x16_t by_low = {16, 0, 0, 0, 0, 0, 0, 0, 0, 32, 4 | 32, 3, 8, 3 | 32, 0, 0};
    const uint8x16_t by_high = {32, 0, 16 | 8, 4, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0};
    return vandq_u8(vqtbl1q_u8(by_low, vandq_u8(bytes, vdupq_n_u8(15))),
                    vqtbl1q_u8(by_high, vshrq_n_u8(bytes, 4)));
}

/* One bit of each byte (all ones or all zeros), by three pairwise additions. */
static inline uint64_t mask_of(const uint8x16_t found[4])
{
    const uint8x16_t weights = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t low = vpaddq_u8(vandq_u8(found[0], weights), vandq_u8(found[1], weights));
    uint8x16_t high = vpaddq_u8(vandq_u8(found[2], weights), vandq_u8(found[3], weights));
    uint8x16_t sums = vpaddq_u8(low, high);
    sums = vpaddq_u8(sums, sums);
    return vgetq_lane_u64(vreinterpretq_u64_u8(sums), 0);
}

static inline struct block_neon block_load(const char *bytes, const uint8_t *classes)
{
    struct block_neon block = {.classes = classes};
    for (int i = 0; i < 4; i++) {
        block.bytes[i] = vld1q_u8((const uint8_t *)bytes + 16 * i);
        block.kinds[i] = kinds_of(block.bytes[i]);
    }
    return block;
}
static inline uint64_t block_equal(struct block_neon block, char byte)
{
    for (int i = 0; i < 4; i++)
        block.bytes[i] = vceqq_u8(block.bytes[i], vdupq_n_u8((uint8_t)byte));
    return mask_of(block.bytes);
}
static inline uint64_t block_quotes(struct block_neon block)
{
    return block_equal(block, '"');
}
static inline uint64_t block_backslashes(struct block_neon block)
{
    return block_equal(block, '\\');
}
static inline uint64_t block_kinds(struct block_neon block, uint8_t kinds)
{
    for (int i = 0; i < 4; i++)
        block.kinds[i] = vtstq_u8(block.kinds[i], vdupq_n_u8(kinds));
    return mask_of(block.kinds);
}
static inline uint64_t block_operators(struct block_neon block)
{
    uint64_t found = block_kinds(block, 15);
    return block.classes == json_classes[1] ? found | block_equal(block, '\n') : found;
}
static inline uint64_t block_white(struct block_neon block)
{
    return block_kinds(block, 48);
}
static inline uint64_t block_controls(struct block_neon block)
{
    for (int i = 0; i < 4; i++)
        block.bytes[i] = vcltq_u8(block.bytes[i], vdupq_n_u8(0x20));
    return mask_of(block.bytes);
}
static inline uint64_t block_high(struct block_neon block)
{
    for (int i = 0; i < 4; i++)
        block.bytes[i] = vcgeq_u8(block.bytes[i], vdupq_n_u8(0x80));
    return mask_of(block.bytes);
}
static inline uint64_t block_hex(struct block_neon block)
{
    for (int i = 0; i < 4; i++) {
        uint8x16_t digit = vsubq_u8(block.bytes[i], vdupq_n_u8('0'));
        uint8x16_t lower = vorrq_u8(block.bytes[i], vdupq_n_u8(0x20));
        uint8x16_t letter = vsubq_u8(lower, vdupq_n_u8('a'));
        block.bytes[i] = vorrq_u8(vcltq_u8(digit, vdupq_n_u8(10)), vcltq_u8(letter, vdupq_n_u8(6)));
    }
    return mask_of(block.bytes);
}
static inline uint64_t block_escapable(struct block_neon block)
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

#include "formats/json_utf8.inc.h"

static inline uint8x16_t utf8_wrong(const uint8_t *bytes)
{
    uint8x16_t input = vld1q_u8(bytes), before1 = vld1q_u8(bytes - 1);
    uint8x16_t wrong =
        vandq_u8(vqtbl1q_u8(vld1q_u8(utf8_lead_high), vshrq_n_u8(before1, 4)),
                 vqtbl1q_u8(vld1q_u8(utf8_lead_low), vandq_u8(before1, vdupq_n_u8(15))));
    wrong = vandq_u8(wrong, vqtbl1q_u8(vld1q_u8(utf8_next_high), vshrq_n_u8(input, 4)));
    /* bytes 3 and 4 of a sequence: then, and only then, is a second continuation right */
    uint8x16_t third = vqsubq_u8(vld1q_u8(bytes - 2), vdupq_n_u8(0xe0 - 0x80));
    uint8x16_t fourth = vqsubq_u8(vld1q_u8(bytes - 3), vdupq_n_u8(0xf0 - 0x80));
    return veorq_u8(wrong, vandq_u8(vorrq_u8(third, fourth), vdupq_n_u8(0x80)));
}
static inline bool utf8_suspect(const char *bytes, uint64_t *open)
{
    uint8x16_t wrong = vdupq_n_u8(0);
    for (int i = 0; i < 64; i += 16)
        wrong = vorrq_u8(wrong, utf8_wrong((const uint8_t *)bytes + i));
    *open = utf8_ends_open(bytes);
    return vmaxvq_u8(wrong) != 0;
}

static inline uint32_t block_emit(struct block_neon block, uint64_t tokens, uint32_t base,
                                  const char *bytes, uint32_t *positions, uint8_t *classes)
{
    uint32_t count = (uint32_t)__builtin_popcountll(tokens);
    while (tokens) { /* in fours; what is beyond the last is overwritten by the next block */
        for (int i = 0; i < 4; i++) {
            uint32_t place = tokens ? (uint32_t)__builtin_ctzll(tokens) : 0;
            positions[i] = base + place;
            classes[i] = block.classes[(uint8_t)bytes[place]];
            tokens &= tokens - 1;
        }
        positions += 4;
        classes += 4;
    }
    return count;
}

#include "formats/json_scan.inc.h"
#endif
