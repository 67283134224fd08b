/* Numbers: against the C library's strtod and printf (exact in glibc), and the powers of ten
 * against big integers. */
#include "core/number.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/big.h"
#include "core/powers.h"
#include "tests/core/random.h"
#include "tests/suite.h"

static bool same_bits(double a, double b)
{
    return memcmp(&a, &b, sizeof(a)) == 0;
}

static double double_random(uint64_t *state)
{
    for (;;) {
        uint64_t bits = random_next(state);
        double real;
        memcpy(&real, &bits, sizeof(real));
        if (isfinite(real))
            return real;
    }
}

/* Reads `text` from memory of exactly its size, so that reading behind it is seen. */
static void expect_as_strtod(const char *text)
{
    size_t length = strlen(text);
    char *copy = malloc(length + !length);
    CHECK(copy != NULL);
    memcpy(copy, text, length);
    double expected = strtod(text, NULL);
    double real = -1;
    bool overflow = false;
    if (!number_parse_double(copy, length, &real, &overflow) || !same_bits(real, expected) ||
        overflow != (bool)isinf(expected)) {
        printf("\n    %.60s reads as %.17g, not %.17g\n", text, real, expected);
        CU_FAIL("differs from strtod");
    }
    free(copy);
}

static void test_random_bits(void)
{
    uint64_t state = 1;
    for (unsigned i = 0; i < 300000; i++) {
        double real = double_random(&state);
        char text[64];
        snprintf(text, sizeof(text), "%.*e", (int)random_below(&state, 25), real);
        expect_as_strtod(text);
    }
}

static void test_random_digits(void)
{
    uint64_t state = 2;
    for (unsigned i = 0; i < 300000; i++) {
        char text[128];
        snprintf(text, sizeof(text), "%s%" PRIu64 "%.*s%" PRIu64 "e%d", i % 2 ? "-" : "",
                 random_next(&state) >> random_below(&state, 64), (int)(i % 3 == 0), ".",
                 random_next(&state) >> random_below(&state, 64),
                 (int)random_below(&state, 720) - 380);
        expect_as_strtod(text);
    }
}

static void test_known_hard(void)
{
    static const char *const hard[] = {
        "9007199254740993",
        "9007199254740992.99999999999999999999999999",
        "9007199254740991.5",
        "9007199254740993.00000000000000000000000000000000000001",
        "1e400",
        "-1e400",
        "1e-400",
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "1.7976931348623159e308",
        "179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017"
        "977587207096330286416692887910946555547851940402630657488671505820681908902000708383676273"
        "854845817711531764475730270069855571366959622842914819860834936475292719074168444365510704"
        "342711559699508093042880177904174497791",
        "179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017"
        "977587207096330286416692887910946555547851940402630657488671505820681908902000708383676273"
        "854845817711531764475730270069855571366959622842914819860834936475292719074168444365510704"
        "342711559699508093042880177904174497792",
        "4.9406564584124654e-324",
        "2.4703282292062327208e-324",
        "2.4703282292062328e-324",
        "2.47032822920623272e-324",
        "2.2250738585072011e-308",
        "2.2250738585072014e-308",
        "2.2250738585072012e-308",
        "6.631236846766476e-316",
        "3.2378839133029012895883524125015e-321",
        "123456789012345678901234567890",
        "0.000000000000000000000000000000123456789012345678901",
        "1448997445238699",
        "358416272e-33",
        "5e-324",
        "8.5e-324",
        "1e23",
        "8.442911973260991817e-270",
        "0e999999999999999999999999",
        "0.0e-99999999999999999999",
        "1e-99999999999999999999",
        "1e99999999999999999999",
        "10000000000000000000000000000000000000000000e-43",
        "7.0420557077594588669468784357561207962098443483187940792729600000e+59",
        "1.00000000000000011102230246251565404236316680908203125",
        "1.00000000000000011102230246251565404236316680908203124",
        "1.00000000000000011102230246251565404236316680908203126",
        "-0",
        "-0.0",
        "+1.5",
        ".5",
        "1.",
        "6250000000000000000000000000000000000000000000000000000e-60",
    };
    for (size_t i = 0; i < ARRAY_SIZE(hard); i++)
        expect_as_strtod(hard[i]);
}

/* The point halfway between two doubles, exactly, and a little off by a digit far behind. */
static void test_halfway(void)
{
    uint64_t state = 3;
    for (unsigned i = 0; i < 4000; i++) {
        double real = fabs(double_random(&state));
        if (i % 4 == 0)
            real = ldexp((double)(random_next(&state) >> 11), -1074); /* subnormals too */
        double after = nextafter(real, INFINITY);
        if (isinf(after))
            continue;
        long double half = ((long double)real + (long double)after) / 2;
        char text[1400];
        int length = snprintf(text, sizeof(text) - 8, "%.1100Le", half);
        expect_as_strtod(text);
        char *exponent = strchr(text, 'e');
        exponent[-1] = '1';
        expect_as_strtod(text);
        /* a little less: the last digit that is not zero goes down, nines follow */
        char *digit = exponent - 1;
        *digit = '0';
        while (*digit == '0' || *digit == '.')
            digit--;
        *digit -= 1;
        for (digit++; digit < exponent; digit++)
            *digit = *digit == '.' ? '.' : '9';
        expect_as_strtod(text);
        CU_ASSERT(length > 0);
    }
}

static void test_many_digits(void)
{
    size_t size = 100000;
    char *text = malloc(size + 32);
    CHECK(text != NULL);
    memset(text, '3', size);
    memcpy(text, "0.", 2);
    text[size] = 0;
    expect_as_strtod(text);
    memset(text + 2, '0', size - 3); /* 0.000…3e99990 */
    snprintf(text + size, 32, "e%zu", size - 10);
    expect_as_strtod(text);
    memset(text, '9', size); /* 999…e-99990 */
    snprintf(text + size, 32, "e-%zu", size - 10);
    expect_as_strtod(text);
    free(text);
}

static void test_grammar(void)
{
    static const char *const bad[] = {"",      "-",    "+1",  "01",   "-01", "1.",
                                      ".5",    "1e",   "1e+", "1.e5", " 1",  "1 ",
                                      "0x1",   "1e5 ", "nan", "inf",  "--1", "1..2",
                                      "1e5.5", "١",    "1_0", "00",   "1a",  "12345678x"};
    static const char *const good[] = {"0",
                                       "-0",
                                       "1",
                                       "10",
                                       "1.5",
                                       "1e5",
                                       "1E+5",
                                       "0e0",
                                       "-0.0e-0",
                                       "1.0e1",
                                       "123456789012345678901"};
    int64_t integer;
    double real;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        CU_ASSERT_EQUAL(number_parse(bad[i], strlen(bad[i]), &integer, &real), NUMBER_INVALID);
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        CU_ASSERT_NOT_EQUAL(number_parse(good[i], strlen(good[i]), &integer, &real),
                            NUMBER_INVALID);
    bool overflow;
    static const char *const never[] = {"", ".", "-", "e5", "+-1", "1e", "1x", "nan", "0x10", " 1"};
    for (size_t i = 0; i < ARRAY_SIZE(never); i++)
        CU_ASSERT_FALSE(number_parse_double(never[i], strlen(never[i]), &real, &overflow));
}

static enum number_kind parse(const char *text, int64_t *integer, double *real)
{
    return number_parse(text, strlen(text), integer, real);
}

static void test_integers(void)
{
    int64_t integer = 0;
    double real = 0;
    CU_ASSERT_EQUAL(parse("9223372036854775807", &integer, &real), NUMBER_INT);
    CU_ASSERT_EQUAL(integer, INT64_MAX);
    CU_ASSERT_EQUAL(parse("-9223372036854775808", &integer, &real), NUMBER_INT);
    CU_ASSERT_EQUAL(integer, INT64_MIN);
    CU_ASSERT_EQUAL(parse("9223372036854775808", &integer, &real), NUMBER_DOUBLE);
    CU_ASSERT_EQUAL(real, 9223372036854775808.0);
    CU_ASSERT_EQUAL(parse("-9223372036854775809", &integer, &real), NUMBER_DOUBLE);
    CU_ASSERT_EQUAL(parse("18446744073709551616", &integer, &real), NUMBER_DOUBLE);
    CU_ASSERT_EQUAL(real, 18446744073709551616.0);
    /* twenty digits and more that are an int64 when cut off or wrapped */
    CU_ASSERT_EQUAL(parse("10000000000000000000", &integer, &real), NUMBER_DOUBLE);
    CU_ASSERT_EQUAL(real, 1e19);
    CU_ASSERT_EQUAL(parse("18446744073709551617", &integer, &real), NUMBER_DOUBLE);
    CU_ASSERT_EQUAL(parse("-0", &integer, &real), NUMBER_INT);
    CU_ASSERT_EQUAL(integer, 0);
    CU_ASSERT_EQUAL(parse("1.0", &integer, &real), NUMBER_DOUBLE);
    CU_ASSERT_EQUAL(parse("1e2", &integer, &real), NUMBER_DOUBLE);
    CU_ASSERT_EQUAL(real, 100.0);
    CU_ASSERT_EQUAL(parse("1e309", &integer, &real), NUMBER_OUT_OF_RANGE);
    CU_ASSERT_EQUAL(parse("1E400", &integer, &real), NUMBER_OUT_OF_RANGE);
    uint64_t state = 4;
    for (unsigned i = 0; i < 200000; i++) {
        int64_t expected = (int64_t)random_next(&state) >> random_below(&state, 64);
        char text[32];
        char written[NUMBER_TEXT_SIZE];
        int length = snprintf(text, sizeof(text), "%" PRId64, expected);
        CU_ASSERT_FATAL(parse(text, &integer, &real) == NUMBER_INT && integer == expected);
        CU_ASSERT_FATAL(number_write_int(written, expected) == (size_t)length);
        CU_ASSERT_FATAL(memcmp(written, text, (size_t)length) == 0);
        length = snprintf(text, sizeof(text), "%" PRIu64, (uint64_t)expected);
        CU_ASSERT_FATAL(number_write_uint(written, (uint64_t)expected) == (size_t)length);
        CU_ASSERT_FATAL(memcmp(written, text, (size_t)length) == 0);
    }
    for (uint64_t power = 1, i = 0; i < 20; i++, power *= 10) { /* every count of digits */
        char text[32];
        char written[NUMBER_TEXT_SIZE];
        for (uint64_t natural = power - 1; natural <= power + 1; natural++) {
            int length = snprintf(text, sizeof(text), "%" PRIu64, natural);
            CU_ASSERT_EQUAL(number_write_uint(written, natural), (size_t)length);
            CU_ASSERT_EQUAL(memcmp(written, text, (size_t)length), 0);
        }
    }
}

/* Digits and exponent of the shortest decimal, by trying every precision of printf. */
static size_t shortest_by_trial(double real, char *text, size_t size)
{
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, size, "%.*e", digits - 1, real);
        if (strtod(text, NULL) == real)
            return (size_t)digits;
    }
    return 0;
}

static void expect_shortest(double real)
{
    char trial[64];
    char digits[17];
    int exponent;
    size_t least = shortest_by_trial(real, trial, sizeof(trial));
    size_t count = number_shortest_digits(real, digits, &exponent);
    char text[64];
    snprintf(text, sizeof(text), "0.%.*se%d", (int)count, digits, exponent);
    if (count > least || strtod(text, NULL) != real)
        printf("\n    %.17g is written %s\n", real, text);
    CU_ASSERT_FATAL(count <= least && strtod(text, NULL) == real);
    CU_ASSERT_FATAL(digits[0] != '0' && (count == 1 || digits[count - 1] != '0'));
    if (count < least) /* at powers of two: the nearest decimal of that length lies too far below */
        return;
    char nearest[64]; /* printf rounds the exact value */
    snprintf(nearest, sizeof(nearest), "%.*e", (int)count - 1, strtod(text, NULL));
    CU_ASSERT_EQUAL_FATAL(nearest[0], digits[0]);
    CU_ASSERT_FATAL(count == 1 || memcmp(nearest + 2, digits + 1, count - 1) == 0);
}

static void test_shortest(void)
{
    uint64_t state = 5;
    for (unsigned i = 0; i < 100000; i++)
        expect_shortest(fabs(double_random(&state)));
    for (unsigned i = 0; i < 20000; i++)
        expect_shortest((double)(1 + random_below(&state, 10000000)) / 1000);
    for (int exponent = -1074; exponent < 1024; exponent++) { /* where the lower gap is narrower */
        expect_shortest(ldexp(1, exponent));
        expect_shortest(nextafter(ldexp(1, exponent), INFINITY));
        if (exponent > -1074)
            expect_shortest(nextafter(ldexp(1, exponent), 0));
    }
}

static void test_write_double(void)
{
    static const struct {
        double real;
        const char *text;
    } cases[] = {
        {0.0, "0.0"},
        {-0.0, "-0.0"},
        {2.0, "2.0"},
        {0.1, "0.1"},
        {-1.5, "-1.5"},
        {100, "100.0"},
        {1e20, "100000000000000000000.0"},
        {1e21, "1e+21"},
        {1e22, "1e+22"},
        {1.5e300, "1.5e+300"},
        {123456789012345680000.0, "123456789012345680000.0"},
        {1e-6, "0.000001"},
        {1.25e-6, "0.00000125"},
        {9.9e-7, "9.9e-7"},
        {1e-7, "1e-7"},
        {5e-324, "5e-324"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {9007199254740993.0, "9007199254740992.0"},
        {0.30000000000000004, "0.30000000000000004"},
        {1e15, "1000000000000000.0"},
        {12.34, "12.34"},
        {-123.456, "-123.456"},
        {2251799813685248.5, "2251799813685248.5"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[NUMBER_TEXT_SIZE + 1];
        text[number_write_double(text, cases[i].real)] = 0;
        CU_ASSERT_STRING_EQUAL(text, cases[i].text);
    }
    uint64_t state = 6;
    for (unsigned i = 0; i < 200000; i++) {
        double real = i % 2 ? double_random(&state)
                            : (double)random_below(&state, 1000000) / 64 * pow(10, i % 40) / 1e20;
        char text[NUMBER_TEXT_SIZE + 9];
        memset(text, '#', sizeof(text));
        size_t length = number_write_double(text, real);
        CU_ASSERT_FATAL(length <= NUMBER_TEXT_SIZE && text[NUMBER_TEXT_SIZE] == '#');
        text[length] = 0;
        CU_ASSERT_FATAL(same_bits(strtod(text, NULL), real));
        CU_ASSERT_FATAL(strpbrk(text, ".e") != NULL);
        int64_t integer;
        double again;
        CU_ASSERT_FATAL(number_parse(text, length, &integer, &again) == NUMBER_DOUBLE);
        CU_ASSERT_FATAL(same_bits(again, real));
    }
}

static unsigned big_bits(const struct big *big)
{
    return big->count * 64 - (unsigned)__builtin_clzll(big->limbs[big->count - 1]);
}

static struct big big_from_power(struct power power, unsigned more)
{
    struct big big;
    big_set(&big, power.high);
    big_shift_left(&big, 64);
    big_multiply_add(&big, 1, power.low);
    big_multiply_add(&big, 1, more);
    return big;
}

/* entry * factor <= value < (entry + 1) * factor, or the same one entry lower where rounded up */
static void expect_between(int q, struct big value, unsigned power5, unsigned shift)
{
    struct big lower = big_from_power(powers[q - POWER_MIN], 0);
    struct big upper = big_from_power(powers[q - POWER_MIN], 1);
    big_multiply_power5(&lower, power5);
    big_multiply_power5(&upper, power5);
    big_shift_left(&lower, shift);
    big_shift_left(&upper, shift);
    if (q < 0 && q >= POWER_ROUNDED_UP_MIN) {
        CU_ASSERT_FATAL(big_compare(&lower, &value) > 0);
        struct power before = powers[q - POWER_MIN];
        before.high -= before.low == 0;
        before.low--;
        struct big under = big_from_power(before, 0);
        big_multiply_power5(&under, power5);
        big_shift_left(&under, shift);
        CU_ASSERT_FATAL(big_compare(&under, &value) < 0);
        return;
    }
    CU_ASSERT_FATAL(big_compare(&upper, &value) > 0);
    int order = big_compare(&lower, &value);
    CU_ASSERT_FATAL(q >= 0 && q <= POWER_EXACT_MAX ? order == 0 : order < 0);
}

static void test_powers(void)
{
    for (int q = POWER_MIN; q <= POWER_MAX; q++) {
        unsigned power5 = (unsigned)abs(q);
        struct big five;
        big_set(&five, 1);
        big_multiply_power5(&five, power5);
        unsigned bits = big_bits(&five);
        CU_ASSERT_FATAL(powers[q - POWER_MIN].high >> 63 == 1);
        if (q >= 0) {
            CU_ASSERT_EQUAL_FATAL(power_exponent(q), q + (int)bits - 1);
            if (bits < 128)
                big_shift_left(&five, 128 - bits);
            expect_between(q, five, 0, bits > 128 ? bits - 128 : 0);
        } else {
            CU_ASSERT_EQUAL_FATAL(power_exponent(q), q - (int)bits);
            struct big one;
            big_set(&one, 1);
            big_shift_left(&one, bits + 127);
            expect_between(q, one, power5, 0);
        }
    }
}

SUITE(number, {"random doubles read as by strtod", test_random_bits},
      {"random digits read as by strtod", test_random_digits},
      {"hard decimals read as by strtod", test_known_hard},
      {"halfway decimals go to even, others to the nearer side", test_halfway},
      {"100,000 digits", test_many_digits}, {"grammar", test_grammar}, {"integers", test_integers},
      {"the shortest digits, and the nearest of them", test_shortest},
      {"the text of doubles", test_write_double}, {"powers of ten", test_powers})
