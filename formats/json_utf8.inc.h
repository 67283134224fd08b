/* Tables of the UTF-8 check of the vector kernels, which is the lookup method of John Keiser and
 * Daniel Lemire ("Validating UTF-8 in less than one instruction per byte", 2021): three lookups, by
 * the two halves of a byte and the high half of the next, and-ed together, leave a bit for each way
 * in which the two can be wrong. Included by kernels. */

enum {
    UTF8_TOO_SHORT = 1,       /* a lead byte, and no continuation behind it */
    UTF8_TOO_LONG = 2,        /* a continuation behind ASCII */
    UTF8_OVERLONG_3 = 4,      /* E0 80..9F */
    UTF8_TOO_LARGE = 8,       /* F4 90.., F5.. */
    UTF8_SURROGATE = 16,      /* ED A0.. */
    UTF8_OVERLONG_2 = 32,     /* C0, C1 */
    UTF8_TOO_LARGE_2 = 64,    /* F5.. 80..8F; with it: */
    UTF8_OVERLONG_4 = 64,     /* F0 80..8F */
    UTF8_CONTINUATIONS = 128, /* two continuations: right only in sequences of 3 or 4 */
    UTF8_ANY_LOW = UTF8_TOO_SHORT | UTF8_TOO_LONG | UTF8_CONTINUATIONS,
};

/* By the high half of the first byte. */
static const _Alignas(16) uint8_t utf8_lead_high[16] = {
    UTF8_TOO_LONG,
    UTF8_TOO_LONG,
    UTF8_TOO_LONG,
    UTF8_TOO_LONG,
    UTF8_TOO_LONG,
    UTF8_TOO_LONG,
    UTF8_TOO_LONG,
    UTF8_TOO_LONG,
    UTF8_CONTINUATIONS,
    UTF8_CONTINUATIONS,
    UTF8_CONTINUATIONS,
    UTF8_CONTINUATIONS,
    UTF8_TOO_SHORT | UTF8_OVERLONG_2,
    UTF8_TOO_SHORT,
    UTF8_TOO_SHORT | UTF8_OVERLONG_3 | UTF8_SURROGATE,
    UTF8_TOO_SHORT | UTF8_TOO_LARGE | UTF8_TOO_LARGE_2 | UTF8_OVERLONG_4};
/* By the low half of the first byte. */
static const _Alignas(16) uint8_t utf8_lead_low[16] = {
    UTF8_ANY_LOW | UTF8_OVERLONG_3 | UTF8_OVERLONG_2 | UTF8_OVERLONG_4,
    UTF8_ANY_LOW | UTF8_OVERLONG_2,
    UTF8_ANY_LOW,
    UTF8_ANY_LOW,
    UTF8_ANY_LOW | UTF8_TOO_LARGE,
    UTF8_ANY_LOW | UTF8_TOO_LARGE | UTF8_TOO_LARGE_2,
    UTF8_ANY_LOW | UTF8_TOO_LARGE | UTF8_TOO_LARGE_2,
    UTF8_ANY_LOW | UTF8_TOO_LARGE | UTF8_TOO_LARGE_2,
    UTF8_ANY_LOW | UTF8_TOO_LARGE | UTF8_TOO_LARGE_2,
    UTF8_ANY_LOW | UTF8_TOO_LARGE | UTF8_TOO_LARGE_2,
    UTF8_ANY_LOW | UTF8_TOO_LARGE | UTF8_TOO_LARGE_2,
    UTF8_ANY_LOW | UTF8_TOO_LARGE | UTF8_TOO_LARGE_2,
    UTF8_ANY_LOW | UTF8_TOO_LARGE | UTF8_TOO_LARGE_2,
    UTF8_ANY_LOW | UTF8_TOO_LARGE | UTF8_TOO_LARGE_2 | UTF8_SURROGATE,
    UTF8_ANY_LOW | UTF8_TOO_LARGE | UTF8_TOO_LARGE_2,
    UTF8_ANY_LOW | UTF8_TOO_LARGE | UTF8_TOO_LARGE_2};
/* By the high half of the second byte. */
static const _Alignas(16) uint8_t utf8_next_high[16] = {
    UTF8_TOO_SHORT,
    UTF8_TOO_SHORT,
    UTF8_TOO_SHORT,
    UTF8_TOO_SHORT,
    UTF8_TOO_SHORT,
    UTF8_TOO_SHORT,
    UTF8_TOO_SHORT,
    UTF8_TOO_SHORT,
    UTF8_TOO_LONG | UTF8_OVERLONG_2 | UTF8_CONTINUATIONS | UTF8_OVERLONG_3 | UTF8_TOO_LARGE_2 |
        UTF8_OVERLONG_4,
    UTF8_TOO_LONG | UTF8_OVERLONG_2 | UTF8_CONTINUATIONS | UTF8_OVERLONG_3 | UTF8_TOO_LARGE,
    UTF8_TOO_LONG | UTF8_OVERLONG_2 | UTF8_CONTINUATIONS | UTF8_SURROGATE | UTF8_TOO_LARGE,
    UTF8_TOO_LONG | UTF8_OVERLONG_2 | UTF8_CONTINUATIONS | UTF8_SURROGATE | UTF8_TOO_LARGE,
    UTF8_TOO_SHORT,
    UTF8_TOO_SHORT,
    UTF8_TOO_SHORT,
    UTF8_TOO_SHORT};
/* Whether the 64 bytes end inside a sequence. */
static inline uint64_t utf8_ends_open(const char *bytes)
{
    const unsigned char *end = (const unsigned char *)bytes + 64;
    return end[-1] >= 0xc0 || end[-2] >= 0xe0 || end[-3] >= 0xf0;
}
