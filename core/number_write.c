/* Writing numbers: see number.h. Doubles: Schubfach (Raffaello Giulietti, "The Schubfach way to
 * render doubles", 2020) with 128-bit powers. */
#include "core/number.h"

#include <string.h>

#include "core/powers.h"

#define FRACTION_BITS 52
#define FRACTION_MASK (((uint64_t)1 << FRACTION_BITS) - 1)
#define EXPONENT_MASK 0x7FF
#define EXPONENT_BIAS (1023 + FRACTION_BITS)

static const char pairs[201] = "00010203040506070809"
                               "10111213141516171819"
                               "20212223242526272829"
                               "30313233343536373839"
                               "40414243444546474849"
                               "50515253545556575859"
                               "60616263646566676869"
                               "70717273747576777879"
                               "80818283848586878889"
                               "90919293949596979899";

/* Decimal digits of a number; 1 for 0. */
static unsigned digits_count(uint64_t natural)
{
    static const uint64_t limits[20] = {
        0,    10,   100,  1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000,
        1e10, 1e11, 1e12, 1e13, 1e14,  1e15,   1e16,    1e17,     1e18,      10000000000000000000U,
    };
    /* log10(2) is a little over 1233 / 4096 */
    unsigned guess = (unsigned)(64 - __builtin_clzll(natural | 1)) * 1233 >> 12;
    return guess + (natural >= limits[guess]);
}

/* The digits of `natural`, the last one just before `end`. */
static void digits_write_before(char *end, uint64_t natural)
{
    while (natural >= 100) {
        uint64_t rest = natural / 100;
        end -= 2;
        memcpy(end, pairs + 2 * (natural - rest * 100), 2);
        natural = rest;
    }
    if (natural >= 10)
        memcpy(end - 2, pairs + 2 * natural, 2);
    else
        end[-1] = (char)('0' + natural);
}

size_t number_write_uint(char *out, uint64_t natural)
{
    unsigned count = digits_count(natural);
    digits_write_before(out + count, natural);
    return count;
}

size_t number_write_int(char *out, int64_t integer)
{
    if (integer >= 0)
        return number_write_uint(out, (uint64_t)integer);
    *out = '-';
    return 1 + number_write_uint(out + 1, 0 - (uint64_t)integer);
}

/* The 128 leading bits of 10^q, rounded up. */
static struct power power_rounded_up(int q)
{
    struct power power = powers[q - POWER_MIN];
    if (q > POWER_EXACT_MAX || q < POWER_ROUNDED_UP_MIN) {
        power.low++;
        power.high += power.low == 0;
    }
    return power;
}

/* power * factor / 2^128, the last bit set where anything was cut off (rounded to odd). */
static uint64_t product_to_odd(struct power power, uint64_t factor)
{
    uint128 low = (uint128)power.low * factor;
    uint128 product = (uint128)power.high * factor + (uint64_t)(low >> 64);
    return (uint64_t)(product >> 64) | ((uint64_t)product > 1);
}

/* floor(q * log10(2)), or of q * log10(2) + log10(3/4) where the interval below is the half one. */
static int decimal_exponent(int q, bool lower_is_closer)
{
    return (q * 1262611 - (lower_is_closer ? 524031 : 0)) >> 22;
}

struct shortest {
    uint64_t digits;
    int exponent; /* the double is digits * 10^exponent */
};

/* Giulietti's choice for c * 2^q: of the decimals inside the interval that rounds to this double
 * one with the fewest digits, and of those the nearest. */
static struct shortest shortest_find(uint64_t c, int q, bool lower_is_closer)
{
    bool odd = c & 1; /* the interval's ends belong to it where c is even */
    int k = decimal_exponent(q, lower_is_closer);
    int h = q + power_exponent(-k) + 1;
    struct power power = power_rounded_up(-k);
    /* four times the double and its interval's ends, in units of 10^k */
    uint64_t lower = product_to_odd(power, (4 * c - 2 + lower_is_closer) << h) + odd;
    uint64_t middle = product_to_odd(power, (4 * c) << h);
    uint64_t upper = product_to_odd(power, (4 * c + 2) << h) - odd;
    uint64_t s = middle / 4;
    if (s >= 10) {
        uint64_t tens = s / 10;
        bool down_inside = lower <= 40 * tens;
        bool up_inside = 40 * tens + 40 <= upper;
        if (down_inside != up_inside)
            return (struct shortest){tens + up_inside, k + 1};
    }
    bool down_inside = lower <= 4 * s;
    bool up_inside = 4 * s + 4 <= upper;
    if (down_inside != up_inside)
        return (struct shortest){s + up_inside, k};
    uint64_t half = 4 * s + 2;
    bool up = middle > half || (middle == half && (s & 1));
    return (struct shortest){s + up, k};
}

/* Takes zeros off the end, few divisions for many of them. */
static void zeros_strip(struct shortest *shortest)
{
    static const struct {
        uint64_t power;
        int zeros;
    } steps[] = {{100000000, 8}, {100000000, 8}, {10000, 4}, {100, 2}, {10, 1}};
    for (unsigned i = 0; i < ARRAY_SIZE(steps); i++) {
        if (shortest->digits % steps[i].power == 0) {
            shortest->digits /= steps[i].power;
            shortest->exponent += steps[i].zeros;
        }
    }
}

static struct shortest double_shortest(double real)
{
    uint64_t bits;
    memcpy(&bits, &real, sizeof(bits));
    uint64_t fraction = bits & FRACTION_MASK;
    int biased = (int)(bits >> FRACTION_BITS & EXPONENT_MASK);
    CHECK(biased != EXPONENT_MASK);
    struct shortest shortest;
    uint64_t c = biased ? fraction | (uint64_t)1 << FRACTION_BITS : fraction;
    int q = (biased ? biased : 1) - EXPONENT_BIAS;
    if (q <= 0 && q > -FRACTION_BITS - 1 && (c & (((uint64_t)1 << -q) - 1)) == 0)
        shortest = (struct shortest){c >> -q, 0}; /* a whole number below 2^53 */
    else
        shortest = shortest_find(c, q, fraction == 0 && biased > 1);
    zeros_strip(&shortest);
    return shortest;
}

size_t number_shortest_digits(double real, char digits[17], int *exponent)
{
    CHECK(real > 0);
    struct shortest shortest = double_shortest(real);
    size_t count = number_write_uint(digits, shortest.digits);
    *exponent = shortest.exponent + (int)count;
    return count;
}

/* d.ddde+22 */
static char *scientific_write(char *out, const char *digits, size_t count, int exponent)
{
    *out++ = digits[0];
    if (count > 1) {
        *out++ = '.';
        memcpy(out, digits + 1, count - 1);
        out += count - 1;
    }
    *out++ = 'e';
    *out++ = exponent < 0 ? '-' : '+';
    return out + number_write_uint(out, (uint64_t)(exponent < 0 ? -exponent : exponent));
}

size_t number_write_double(char *out, double real)
{
    char *cursor = out;
    if (__builtin_signbit(real)) {
        *cursor++ = '-';
        real = -real;
    }
    if (real == 0) {
        memcpy(cursor, "0.0", 3);
        return (size_t)(cursor - out) + 3;
    }
    char digits[17];
    int point; /* digits before the decimal point */
    size_t count = number_shortest_digits(real, digits, &point);
    if (point > 21 || point < -5)
        return (size_t)(scientific_write(cursor, digits, count, point - 1) - out);
    size_t whole = point > 0 ? (size_t)point : 0;
    if (whole == 0) {
        memcpy(cursor, "0.00000", 7); /* at most five zeros before the digits */
        cursor += 2 - point;
        memcpy(cursor, digits, count);
        return (size_t)(cursor - out) + count;
    }
    size_t before = size_min(count, whole);
    memcpy(cursor, digits, before);
    memset(cursor + before, '0', whole - before);
    cursor += whole;
    *cursor++ = '.';
    if (count > whole) {
        memcpy(cursor, digits + whole, count - whole);
        return (size_t)(cursor - out) + count - whole;
    }
    *cursor++ = '0';
    return (size_t)(cursor - out);
}
