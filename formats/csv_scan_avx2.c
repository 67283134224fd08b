/* The CSV kernel for AVX2 with carry-less multiplication: see csv_scan.h. Pure; any thread. */
#if defined(__x86_64__)
#include "formats/csv_scan.h"

#include <immintrin.h>

#define TARGET __attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt,pclmul")))

struct needle {
    __m256i bytes;
};
struct block {
    __m256i low;
    __m256i high;
};

TARGET static inline struct needle needle_make(uint8_t byte)
{
    return (struct needle){_mm256_set1_epi8((char)byte)};
}

TARGET static inline struct block block_load(const char *text)
{
    return (struct block){_mm256_loadu_si256((const __m256i *)text),
                          _mm256_loadu_si256((const __m256i *)(text + 32))};
}

TARGET static inline uint64_t block_high(struct block block)
{
    uint32_t low = (uint32_t)_mm256_movemask_epi8(block.low);
    return low | (uint64_t)(uint32_t)_mm256_movemask_epi8(block.high) << 32;
}

TARGET static inline uint64_t block_equal(struct block block, struct needle needle)
{
    return block_high((struct block){_mm256_cmpeq_epi8(block.low, needle.bytes),
                                     _mm256_cmpeq_epi8(block.high, needle.bytes)});
}

TARGET static inline uint64_t prefix_xor(uint64_t mask)
{
    __m128i product =
        _mm_clmulepi64_si128(_mm_set_epi64x(0, (long long)mask), _mm_set1_epi8((char)0xff), 0);
    return (uint64_t)_mm_cvtsi128_si64(product);
}

/* Eight at a time without asking whether there are as many: what is too much is overwritten. */
TARGET static inline void positions_write(uint32_t *out, uint64_t mask, uint32_t base)
{
    while (mask) {
        for (unsigned i = 0; i < 8; i++) {
            out[i] = base + (uint32_t)_tzcnt_u64(mask);
            mask = _blsr_u64(mask);
        }
        out += 8;
    }
}

#include "formats/csv_scan.inc.h"

const struct csv_kernel csv_kernel_avx2 = {scan_cut, scan_index};
#endif
