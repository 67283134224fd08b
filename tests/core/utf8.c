/* UTF-8: each kernel against a plain decoder that follows the table of RFC 3629 bit by bit. */
#include "core/utf8.h"

#include <stdlib.h>
#include <string.h>

#include "core/utf8_kernels.h"
#include "tests/core/random.h"
#include "tests/suite.h"

/* Decodes, then looks at what came out: nothing in common with the kernels. */
static bool valid_by_decoding(const unsigned char *text, size_t length)
{
    for (size_t i = 0; i < length;) {
        unsigned lead = text[i++];
        unsigned follow = lead < 0x80 ? 0 : lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
        if (lead >= 0xF8 || (lead >= 0x80 && lead < 0xC0) || length - i < follow)
            return false;
        uint32_t point = follow ? lead & (0x3FU >> follow) : lead;
        for (unsigned k = 0; k < follow; k++, i++) {
            if (text[i] >> 6 != 2)
                return false;
            point = point << 6 | (text[i] & 0x3FU);
        }
        static const uint32_t least[4] = {0, 0x80, 0x800, 0x10000};
        if (point < least[follow] || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF))
            return false;
    }
    return true;
}

static const struct utf8_kernel *kernels;
static size_t kernel_count;

static void expect_agreement(const char *text, size_t length)
{
    bool expected = valid_by_decoding((const unsigned char *)text, length);
    for (size_t i = 0; i < kernel_count; i++)
        CU_ASSERT_EQUAL_FATAL(kernels[i].valid(text, length), expected);
    CU_ASSERT_EQUAL_FATAL(utf8_valid(text, length), expected);
}

static void test_short_sequences(void)
{
    kernel_count = utf8_kernels_find(&kernels);
    CU_ASSERT_FATAL(kernel_count >= 1);
    char text[4];
    expect_agreement(text, 0);
    for (unsigned a = 0; a < 256; a++) {
        text[0] = (char)a;
        expect_agreement(text, 1);
        for (unsigned b = 0; b < 256; b++) {
            text[1] = (char)b;
            expect_agreement(text, 2);
            for (unsigned c = 0; c < 256; c++) {
                text[2] = (char)c;
                expect_agreement(text, 3);
            }
        }
    }
}

/* Bytes at which some rule of RFC 3629 begins or ends. */
static const unsigned char edges[] = {0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0,
                                      0xC1, 0xC2, 0xDF, 0xE0, 0xED, 0xEF, 0xF0, 0xF4, 0xFF};

static void test_four_bytes(void)
{
    kernel_count = utf8_kernels_find(&kernels);
    for (unsigned lead = 0xE0; lead < 256; lead++) {
        for (unsigned second = 0; second < 256; second++) {
            for (size_t i = 0; i < sizeof(edges); i++) {
                for (size_t k = 0; k < sizeof(edges); k++) {
                    char text[4] = {(char)lead, (char)second, (char)edges[i], (char)edges[k]};
                    expect_agreement(text, 4);
                }
            }
        }
    }
}

static size_t sequence_random(uint64_t *state, char *out)
{
    static const uint32_t starts[] = {0, 0x80, 0x800, 0xE000, 0x10000};
    static const uint32_t ends[] = {0x80, 0x800, 0xD800, 0x10000, 0x110000};
    uint64_t kind = random_below(state, 5);
    return utf8_write(out,
                      (uint32_t)(starts[kind] + random_below(state, ends[kind] - starts[kind])));
}

/* Valid text of every length across the vectors' bounds, then with one byte changed. */
static void test_long(void)
{
    kernel_count = utf8_kernels_find(&kernels);
    uint64_t state = 11;
    for (unsigned round = 0; round < 40000; round++) {
        char text[400];
        size_t length = 0;
        size_t wanted = random_below(&state, 300);
        size_t plain = random_below(&state, 130);
        for (; length < plain && length < wanted; length++)
            text[length] = (char)('a' + length % 26);
        while (length < wanted)
            length += sequence_random(&state, text + length);
        char *copy = malloc(length + 1); /* of its size, so that reading outside is seen */
        memcpy(copy, text, length);
        expect_agreement(copy, length);
        CU_ASSERT_FATAL(utf8_valid(copy, length));
        if (length > 0) {
            copy[random_below(&state, length)] = (char)random_next(&state);
            expect_agreement(copy, length);
            expect_agreement(copy, random_below(&state, length));
        }
        free(copy);
    }
}

static void test_write_and_next(void)
{
    char text[8];
    for (uint32_t point = 0; point <= 0x10FFFF; point++) {
        if (point == 0xD800)
            point = 0xE000;
        size_t length = utf8_write(text, point);
        const char *cursor = text;
        CU_ASSERT_FATAL(valid_by_decoding((const unsigned char *)text, length));
        CU_ASSERT_FATAL(utf8_next(&cursor) == point && cursor == text + length);
    }
}

static void test_count_and_offset(void)
{
    const char *text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80z"; /* a é € 😀 z */
    size_t length = strlen(text);
    static const size_t offsets[] = {0, 1, 3, 6, 10, 11};
    CU_ASSERT_EQUAL(utf8_count(text, length), 5);
    for (size_t i = 0; i < ARRAY_SIZE(offsets); i++)
        CU_ASSERT_EQUAL(utf8_offset(text, length, i), offsets[i]);
    CU_ASSERT_EQUAL(utf8_offset(text, length, 6), SIZE_MAX);
    CU_ASSERT_EQUAL(utf8_offset("", 0, 0), 0);
    CU_ASSERT_EQUAL(utf8_count("", 0), 0);
}

SUITE(utf8, {"all sequences of one to three bytes", test_short_sequences},
      {"four bytes at the edges", test_four_bytes}, {"long texts, one byte changed", test_long},
      {"every code point is written and read", test_write_and_next},
      {"count and offset", test_count_and_offset})
