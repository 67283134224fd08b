/* UTF-8 validation with vectors, and the choice among the kernels: see utf8_kernels.h. */
#include "core/utf8_kernels.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/utf8.h"

#ifdef __x86_64__
#include <immintrin.h>

/* What can be wrong with two bytes after one another. Each table tells which mistakes its nibble
 * allows; a mistake is one where all three agree. */
enum mistake {
    TOO_SHORT = 1,       /* 11______ 0_______ or 11______ 11______ */
    TOO_LONG = 2,        /* 0_______ 10______ */
    OVERLONG_3 = 4,      /* 11100000 100_____ */
    TOO_LARGE = 8,       /* 11110100 1001____ and above */
    SURROGATE = 16,      /* 11101101 101_____ */
    OVERLONG_2 = 32,     /* 1100000_ 10______ */
    TOO_LARGE_1000 = 64, /* 11110101 1000____ and above */
    OVERLONG_4 = 64,     /* 11110000 1000____ */
    TWO_CONTINUATIONS = 128,
    CARRY = TOO_SHORT | TOO_LONG | TWO_CONTINUATIONS, /* do not depend on the low nibble */
};

#define KERNEL(name)   name##_avx2
#define TARGET         __attribute__((target("avx2")))
#define VECTOR         __m256i
#define WIDTH          32
#define LOAD(pointer)  _mm256_loadu_si256((const __m256i *)(const void *)(pointer))
#define AND(a, b)      _mm256_and_si256(a, b)
#define OR(a, b)       _mm256_or_si256(a, b)
#define XOR(a, b)      _mm256_xor_si256(a, b)
#define SUBTRACT(a, b) _mm256_subs_epu8(a, b)
#define ALL(byte)      _mm256_set1_epi8(byte)
#define TABLE(...)     _mm256_broadcastsi128_si256(_mm_setr_epi8(__VA_ARGS__))
#define LOOK_UP(t, i)  _mm256_shuffle_epi8(t, i)
#define HIGH_NIBBLE(v) AND(_mm256_srli_epi16(v, 4), ALL(0x0F))
#define BEFORE(v, p, count)                                                                        \
    _mm256_alignr_epi8(v, _mm256_permute2x128_si256(p, v, 0x21), 16 - (count))
#define ANY(v)      (!_mm256_testz_si256(v, v))
#define ANY_HIGH(v) (_mm256_movemask_epi8(v) != 0)
#include "core/utf8_lookup.inc.h"
#undef KERNEL
#undef TARGET
#undef VECTOR
#undef WIDTH
#undef LOAD
#undef AND
#undef OR
#undef XOR
#undef SUBTRACT
#undef ALL
#undef TABLE
#undef LOOK_UP
#undef HIGH_NIBBLE
#undef BEFORE
#undef ANY
#undef ANY_HIGH

#define KERNEL(name)        name##_avx512
#define TARGET              __attribute__((target("avx512f,avx512bw")))
#define VECTOR              __m512i
#define WIDTH               64
#define LOAD(pointer)       _mm512_loadu_si512(pointer)
#define AND(a, b)           _mm512_and_si512(a, b)
#define OR(a, b)            _mm512_or_si512(a, b)
#define XOR(a, b)           _mm512_xor_si512(a, b)
#define SUBTRACT(a, b)      _mm512_subs_epu8(a, b)
#define ALL(byte)           _mm512_set1_epi8(byte)
#define TABLE(...)          _mm512_broadcast_i32x4(_mm_setr_epi8(__VA_ARGS__))
#define LOOK_UP(t, i)       _mm512_shuffle_epi8(t, i)
#define HIGH_NIBBLE(v)      AND(_mm512_srli_epi16(v, 4), ALL(0x0F))
#define BEFORE(v, p, count) _mm512_alignr_epi8(v, _mm512_alignr_epi64(v, p, 6), 16 - (count))
#define ANY(v)              (_mm512_test_epi8_mask(v, v) != 0)
#define ANY_HIGH(v)         (_mm512_movepi8_mask(v) != 0)
#include "core/utf8_lookup.inc.h"

static const struct utf8_kernel kernels_all[] = {
    {"avx512", utf8_valid_avx512},
    {"avx2", utf8_valid_avx2},
    {"portable", utf8_valid_portable},
};

static unsigned kernels_skipped(void)
{
    if (__builtin_cpu_supports("avx512bw"))
        return 0;
    return __builtin_cpu_supports("avx2") ? 1 : 2;
}

#else

static const struct utf8_kernel kernels_all[] = {{"portable", utf8_valid_portable}};

static unsigned kernels_skipped(void)
{
    return 0;
}

#endif

size_t utf8_kernels_find(const struct utf8_kernel **kernels)
{
    unsigned skipped = kernels_skipped();
    *kernels = kernels_all + skipped;
    return ARRAY_SIZE(kernels_all) - skipped;
}

static bool utf8_valid_first(const char *text, size_t length);
/* Any thread may choose first; all choose the same, so relaxed order suffices. */
static bool (*_Atomic utf8_valid_chosen)(const char *, size_t) = utf8_valid_first;

static bool utf8_valid_first(const char *text, size_t length)
{
    const struct utf8_kernel *kernels;
    size_t count = utf8_kernels_find(&kernels);
    const char *wanted = getenv("LEAT_ISA");
    const struct utf8_kernel *chosen = kernels;
    for (size_t i = 0; wanted && i < count; i++) {
        if (strcmp(kernels[i].name, wanted) == 0)
            chosen = kernels + i;
    }
    atomic_store_explicit(&utf8_valid_chosen, chosen->valid, memory_order_relaxed);
    return chosen->valid(text, length);
}

/* Shorter texts are mostly ASCII, seen a word at a time, sooner than a vector is filled. */
#define VECTORS_FROM 32

bool utf8_valid(const char *text, size_t length)
{
    if (length < VECTORS_FROM)
        return utf8_valid_portable(text, length);
    return atomic_load_explicit(&utf8_valid_chosen, memory_order_relaxed)(text, length);
}
