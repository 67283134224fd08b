/* Reading numbers: see number.h. Short decimals are exact in one multiplication or division of
 * doubles (Clinger); nearly all others are decided by one or two 64-bit products (Eisel and Lemire,
 * arXiv:2101.11408; that no fallback is needed below 20 digits: Mushtak and Lemire,
 * arXiv:2212.06644); longer ones that lie between two doubles are compared with the halfway point
 * in big integers. */
#include "core/number.h"

#include <float.h>
#include <string.h>

#include "core/big.h"
#include "core/powers.h"

#define MANTISSA_DIGITS 19 /* as many as always fit 64 bits */
#define EXPONENT_LIMIT  1000000000000000LL
#define FRACTION_BITS   52
#define EXPONENT_BIAS   1023
#define INFINITE        0x7FF

/* A number taken apart: (-1)^negative * mantissa * 10^exponent; if truncated, the mantissa holds
 * the first 19 significant digits and the rest is not zero. */
struct decimal {
    uint64_t mantissa;
    int64_t exponent;
    const char *digits;     /* first digit … */
    const char *digits_end; /* … and behind the last one; a dot may lie between */
    bool negative;
    bool truncated;
    bool integral; /* neither dot nor exponent */
};

static inline bool is_digit(char byte)
{
    return (unsigned char)(byte - '0') < 10;
}

/* Eight digits at once within a word; the text's first digit is the lowest byte. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are read as little-endian text");

static inline bool is_eight_digits(uint64_t word)
{
    return (((word & 0xF0F0F0F0F0F0F0F0) |
             (((word + 0x0606060606060606) & 0xF0F0F0F0F0F0F0F0) >> 4)) == 0x3333333333333333);
}

static inline uint32_t eight_digits(uint64_t word)
{
    word = (word & 0x0F0F0F0F0F0F0F0F) * 2561 >> 8; /* pairs: 10 * first + second */
    word = (word & 0x00FF00FF00FF00FF) * 6553601 >> 16;
    return (uint32_t)((word & 0x0000FFFF0000FFFF) * 42949672960001 >> 32);
}

/* Adds the digits at `cursor` to *number (it wraps beyond 64 bits; the caller counts them). */
static inline const char *digits_scan(const char *cursor, const char *end, uint64_t *number)
{
    uint64_t value = *number;
    while (end - cursor >= 8) {
        uint64_t word;
        memcpy(&word, cursor, sizeof(word));
        if (!is_eight_digits(word))
            break;
        value = value * 100000000 + eight_digits(word);
        cursor += 8;
    }
    for (; cursor < end && is_digit(*cursor); cursor++)
        value = value * 10 + (uint64_t)(*cursor - '0');
    *number = value;
    return cursor;
}

/* More than 19 digits: takes the first 19 significant ones. `exponent` is that of the last digit.
 */
static void mantissa_shorten(struct decimal *decimal)
{
    const char *cursor = decimal->digits;
    while (cursor < decimal->digits_end && (*cursor == '0' || *cursor == '.'))
        cursor++;
    uint64_t mantissa = 0;
    unsigned taken = 0;
    for (; cursor < decimal->digits_end && taken < MANTISSA_DIGITS; cursor++) {
        if (*cursor == '.')
            continue;
        mantissa = mantissa * 10 + (uint64_t)(*cursor - '0');
        taken++;
    }
    decimal->mantissa = mantissa;
    for (; cursor < decimal->digits_end; cursor++) {
        if (*cursor == '.')
            continue;
        decimal->exponent++;
        decimal->truncated |= *cursor != '0';
    }
}

/* [eE] [+-] digits; NULL if there are no digits. */
static const char *exponent_scan(const char *cursor, const char *end, int64_t *exponent)
{
    bool negative = false;
    cursor++;
    if (cursor < end && (*cursor == '+' || *cursor == '-'))
        negative = *cursor++ == '-';
    const char *first = cursor;
    int64_t value = 0;
    for (; cursor < end && is_digit(*cursor); cursor++) {
        if (value < EXPONENT_LIMIT)
            value = value * 10 + (*cursor - '0');
    }
    *exponent = negative ? -value : value;
    return cursor == first ? NULL : cursor;
}

/* All of text[0..length). `json`: JSON's grammar, which allows less. */
static inline bool decimal_scan(const char *text, size_t length, bool json, struct decimal *decimal)
{
    const char *cursor = text;
    const char *end = text + length;
    *decimal = (struct decimal){.integral = true};
    if (cursor < end && (*cursor == '-' || (!json && *cursor == '+')))
        decimal->negative = *cursor++ == '-';
    decimal->digits = cursor;
    cursor = digits_scan(cursor, end, &decimal->mantissa);
    size_t count = (size_t)(cursor - decimal->digits);
    if (json && (count == 0 || (count > 1 && *decimal->digits == '0')))
        return false;
    if (cursor < end && *cursor == '.') {
        const char *fraction = ++cursor;
        cursor = digits_scan(cursor, end, &decimal->mantissa);
        decimal->integral = false;
        decimal->exponent = fraction - cursor;
        if (json && cursor == fraction)
            return false;
        count += (size_t)(cursor - fraction);
    }
    decimal->digits_end = cursor;
    if (count > MANTISSA_DIGITS)
        mantissa_shorten(decimal);
    if (cursor < end && (*cursor == 'e' || *cursor == 'E')) {
        int64_t exponent;
        cursor = exponent_scan(cursor, end, &exponent);
        decimal->integral = false;
        decimal->exponent += exponent;
    }
    return cursor == end && count > 0;
}

static double double_from_bits(uint64_t bits)
{
    double real;
    memcpy(&real, &bits, sizeof(real));
    return real;
}

/* The double below one, as bits: fraction and biased exponent. */
static inline uint64_t bits_join(uint64_t fraction, int biased_exponent)
{
    return fraction | (uint64_t)biased_exponent << FRACTION_BITS;
}

/* The leading 128 bits of mantissa * 10^power, as exactly as rounding to a double can need. */
static inline uint128 product_approximate(uint64_t mantissa, int power)
{
    const struct power *entry = &powers[power - POWER_MIN];
    uint128 product = (uint128)mantissa * entry->high;
    /* The low half of the power matters only where the bits below those of a double (and one to
     * round by) are all ones, so that a carry could run through them. */
    if (UNLIKELY(((uint64_t)(product >> 64) & 0x1FF) == 0x1FF))
        product += (uint128)mantissa * entry->low >> 64;
    return product;
}

/* The bits of the double nearest to mantissa * 10^exponent (Eisel and Lemire). */
static uint64_t double_nearest(uint64_t mantissa, int64_t exponent)
{
    if (mantissa == 0 || exponent < POWER_MIN)
        return 0;
    if (exponent > DBL_MAX_10_EXP)
        return bits_join(0, INFINITE);
    int power = (int)exponent;
    int zeros = __builtin_clzll(mantissa);
    uint128 product = product_approximate(mantissa << zeros, power);
    uint64_t high = (uint64_t)(product >> 64);
    int top = (int)(high >> 63);
    int shift = top + 64 - FRACTION_BITS - 3;
    uint64_t rounded = high >> shift; /* 53 bits and one to round by */
    int biased = power_exponent(power) + 63 + top - zeros + EXPONENT_BIAS;
    if (biased <= 0) { /* subnormal */
        if (1 - biased >= 64)
            return 0;
        rounded >>= 1 - biased;
        rounded = (rounded + (rounded & 1)) >> 1;
        return rounded; /* 2^52, rounded up to the smallest normal, has the right bits by itself */
    }
    /* Halfway between two doubles, exactly: only possible for small powers. To even. */
    if ((uint64_t)product <= 1 && power >= -4 && power <= 23 && (rounded & 3) == 1 &&
        rounded << shift == high)
        rounded &= ~(uint64_t)1;
    rounded = (rounded + (rounded & 1)) >> 1;
    if (rounded >= (uint64_t)2 << FRACTION_BITS) {
        rounded >>= 1;
        biased++;
    }
    if (biased >= INFINITE)
        return bits_join(0, INFINITE);
    return bits_join(rounded & (((uint64_t)1 << FRACTION_BITS) - 1), biased);
}

/* A digit of the text that cannot change any comparison with a halfway point between doubles, as
 * those have at most 767 significant digits, but by not being zero. */
#define DIGITS_COMPARED 768

/* Takes the digits of `decimal` into a big integer; returns the power of ten of the last one. */
static int64_t big_from_digits(struct big *big, const struct decimal *decimal)
{
    const char *cursor = decimal->digits;
    while (*cursor == '0' || *cursor == '.')
        cursor++;
    /* `exponent` belongs to the 19th significant digit. */
    int64_t exponent = decimal->exponent + MANTISSA_DIGITS;
    big_set(big, 0);
    unsigned taken = 0;
    bool rest = false;
    for (; cursor < decimal->digits_end; cursor++) {
        if (*cursor == '.')
            continue;
        if (taken == DIGITS_COMPARED) {
            rest |= *cursor != '0';
            continue;
        }
        big_multiply_add(big, 10, (uint64_t)(*cursor - '0'));
        taken++;
        exponent--;
    }
    if (rest) {
        big_multiply_add(big, 10, 1);
        exponent--;
    }
    return exponent;
}

/* `lower` or the double after it, whichever is nearer to the decimal, which lies between them. */
static uint64_t double_decide(const struct decimal *decimal, uint64_t lower)
{
    uint64_t fraction = lower & (((uint64_t)1 << FRACTION_BITS) - 1);
    int biased = (int)(lower >> FRACTION_BITS);
    if (biased > 0)
        fraction |= (uint64_t)1 << FRACTION_BITS;
    /* halfway = (2 * fraction + 1) * 2^exponent2 */
    int exponent2 = (biased > 0 ? biased : 1) - EXPONENT_BIAS - FRACTION_BITS - 1;
    struct big halfway;
    big_set(&halfway, 2 * fraction + 1);
    struct big value;
    int64_t exponent10 = big_from_digits(&value, decimal);
    CHECK(exponent10 > -2000 && exponent10 < 400);
    if (exponent10 >= 0)
        big_multiply_power5(&value, (unsigned)exponent10);
    else
        big_multiply_power5(&halfway, (unsigned)-exponent10);
    int shift = (int)exponent10 - exponent2; /* value * 2^shift against halfway */
    if (shift >= 0)
        big_shift_left(&value, (unsigned)shift);
    else
        big_shift_left(&halfway, (unsigned)-shift);
    int order = big_compare(&value, &halfway);
    return lower + (order > 0 || (order == 0 && (lower & 1)));
}

/* Clinger: where the mantissa and the power of ten are doubles, one operation rounds correctly. */
static inline bool double_simple(uint64_t mantissa, int64_t exponent, bool negative, double *real)
{
    static const double exact_powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                          1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                          1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (mantissa > (uint64_t)1 << (FRACTION_BITS + 1) || exponent < -22 || exponent > 22)
        return false;
    double value = (double)(int64_t)mantissa;
    if (exponent < 0)
        value /= exact_powers[-exponent];
    else
        value *= exact_powers[exponent];
    *real = negative ? -value : value;
    return true;
}

/* False: beyond double (*real is infinite then). */
static bool decimal_to_double(const struct decimal *decimal, double *real)
{
    if (!decimal->truncated &&
        double_simple(decimal->mantissa, decimal->exponent, decimal->negative, real))
        return true;
    uint64_t bits = double_nearest(decimal->mantissa, decimal->exponent);
    if (decimal->truncated && double_nearest(decimal->mantissa + 1, decimal->exponent) != bits)
        bits = double_decide(decimal, bits);
    *real = double_from_bits(bits | (uint64_t)decimal->negative << 63);
    return bits != bits_join(0, INFINITE);
}

static enum number_kind number_parse_any(const char *text, size_t length, int64_t *integer,
                                         double *real)
{
    struct decimal decimal;
    if (!decimal_scan(text, length, true, &decimal))
        return NUMBER_INVALID;
    if (decimal.integral && decimal.exponent == 0 &&
        decimal.mantissa <= (uint64_t)INT64_MAX + decimal.negative) {
        *integer = (int64_t)(decimal.negative ? 0 - decimal.mantissa : decimal.mantissa);
        return NUMBER_INT;
    }
    return decimal_to_double(&decimal, real) ? NUMBER_DOUBLE : NUMBER_OUT_OF_RANGE;
}

/* Nearly all numbers, in registers: -12345 and -123.45 of at most 18 digits. What is anything else,
 * or perhaps no number at all, is left to number_parse_any. */
enum number_kind number_parse(const char *text, size_t length, int64_t *integer, double *real)
{
    if (length == 0 || length > MANTISSA_DIGITS)
        return number_parse_any(text, length, integer, real);
    const char *end = text + length;
    bool negative = *text == '-';
    const char *first = text + negative;
    uint64_t mantissa = 0;
    const char *cursor = digits_scan(first, end, &mantissa);
    if (cursor == first || (*first == '0' && cursor - first > 1))
        return NUMBER_INVALID;
    if (cursor == end && cursor - first < MANTISSA_DIGITS) {
        *integer = negative ? -(int64_t)mantissa : (int64_t)mantissa;
        return NUMBER_INT;
    }
    if (cursor < end && *cursor == '.') {
        const char *fraction = cursor + 1;
        cursor = digits_scan(fraction, end, &mantissa);
        if (cursor == end && cursor > fraction &&
            double_simple(mantissa, fraction - cursor, negative, real))
            return NUMBER_DOUBLE;
    }
    return number_parse_any(text, length, integer, real);
}

bool number_parse_double(const char *text, size_t length, double *real, bool *overflow)
{
    struct decimal decimal;
    if (!decimal_scan(text, length, false, &decimal))
        return false;
    *overflow = !decimal_to_double(&decimal, real);
    return true;
}
