/* PostgreSQL's binary numeric: sign, weight and digits of base 10,000, from and to decimal text
 * without loss (numeric_send and numeric_recv in PostgreSQL's numeric.c). */
#include <string.h>

#include "clients/postgres_types.h"

#define SIGN_POSITIVE  0x0000
#define SIGN_NEGATIVE  0x4000
#define SIGN_NAN       0xC000
#define SIGN_INFINITE  0xD000
#define SIGN_MINUS_INF 0xF000
#define SCALE_MOST     16383  /* digits behind the point */
#define WHOLE_MOST     131072 /* digits in front of it */
#define HEADER_SIZE    8

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static enum postgres_encoding header_append(struct buffer *buffer, uint32_t digits, int32_t weight,
                                            uint16_t sign, uint32_t scale)
{
    char *out = buffer_room(buffer, 4 + HEADER_SIZE);
    if (!out)
        return POSTGRES_FULL;
    postgres_store32(out, HEADER_SIZE + 2 * digits);
    postgres_store16(out + 4, (uint16_t)digits);
    postgres_store16(out + 6, (uint16_t)weight);
    postgres_store16(out + 8, sign);
    postgres_store16(out + 10, (uint16_t)scale);
    buffer->length += 4 + HEADER_SIZE;
    return POSTGRES_ENCODED;
}

/* A decimal taken apart: 0.d1d2d3… times 10^point, from the first digit that is not 0. */
struct decimal {
    const char *text; /* digits, perhaps with one dot among them */
    size_t length;    /* of it */
    int64_t point;    /* where the decimal point is, relative to the first digit of text */
    int64_t fraction; /* digits behind the point as written: the scale */
    uint16_t sign;
};

/* The exponent, clamped far outside of what is allowed. */
static bool exponent_read(const char *at, const char *end, int64_t *exponent)
{
    bool negative = at < end && *at == '-';
    at += at < end && (*at == '-' || *at == '+');
    if (at == end)
        return false;
    for (; at < end; at++) {
        if (!is_digit(*at))
            return false;
        if (*exponent < 10000000)
            *exponent = *exponent * 10 + (*at - '0');
    }
    if (negative)
        *exponent = -*exponent;
    return true;
}

static bool decimal_read(const char *text, size_t length, struct decimal *decimal)
{
    const char *at = text, *end = text + length;
    *decimal = (struct decimal){.sign = SIGN_POSITIVE};
    if (at < end && (*at == '-' || *at == '+'))
        decimal->sign = *at++ == '-' ? SIGN_NEGATIVE : SIGN_POSITIVE;
    const char *start = at;
    int64_t whole = 0, fraction = 0, exponent = 0;
    while (at < end && is_digit(*at))
        at++, whole++;
    if (at < end && *at == '.') {
        at++;
        while (at < end && is_digit(*at))
            at++, fraction++;
    }
    if (whole + fraction == 0)
        return false;
    decimal->text = start;
    decimal->length = (size_t)(at - start);
    if (at < end && ((*at++ | 0x20) != 'e' || !exponent_read(at, end, &exponent)))
        return false;
    decimal->point = whole + exponent;
    decimal->fraction = fraction - exponent;
    if (decimal->fraction < 0)
        decimal->fraction = 0;
    /* leading zeros say nothing */
    while (decimal->length > 0 && (*decimal->text == '0' || *decimal->text == '.')) {
        decimal->point -= *decimal->text == '0';
        decimal->text++;
        decimal->length--;
    }
    return true;
}

/* Writes the digits in groups of four that are aligned to the point. */
static enum postgres_encoding digits_append(const struct decimal *decimal, struct buffer *buffer)
{
    /* group 0 begins this many places before the first digit */
    int64_t lead = ((-decimal->point) % 4 + 4) % 4;
    int64_t weight = (decimal->point + lead) / 4 - 1;
    size_t header = buffer->length;
    if (header_append(buffer, 0, (int32_t)weight, decimal->sign, (uint32_t)decimal->fraction))
        return POSTGRES_FULL;
    char *out = buffer_room(buffer, decimal->length / 2 + 4);
    if (!out)
        return POSTGRES_FULL;
    char *begin = out, *used = out; /* used: behind the last group that is not 0 */
    unsigned group = 0, places = (unsigned)lead;
    for (size_t i = 0; i < decimal->length; i++) {
        if (decimal->text[i] == '.')
            continue;
        group = group * 10 + (unsigned)(decimal->text[i] - '0');
        if (++places < 4)
            continue;
        postgres_store16(out, (uint16_t)group);
        out += 2;
        used = group ? out : used;
        group = places = 0;
    }
    if (group) {
        for (; places < 4; places++)
            group *= 10;
        postgres_store16(out, (uint16_t)group);
        used = out + 2;
    }
    uint32_t count = (uint32_t)(used - begin) / 2;
    postgres_store32(buffer->data + header, HEADER_SIZE + 2 * count);
    postgres_store16(buffer->data + header + 4, (uint16_t)count);
    buffer->length = (size_t)(used - buffer->data);
    return POSTGRES_ENCODED;
}

enum postgres_encoding postgres_numeric_encode(const char *text, size_t length,
                                               struct buffer *buffer, const char **reason)
{
    struct string word = {text, length};
    if (string_equal_text(word, "NaN"))
        return header_append(buffer, 0, 0, SIGN_NAN, 0);
    if (string_equal_text(word, "Infinity"))
        return header_append(buffer, 0, 0, SIGN_INFINITE, 0);
    if (string_equal_text(word, "-Infinity"))
        return header_append(buffer, 0, 0, SIGN_MINUS_INF, 0);
    struct decimal decimal;
    if (!decimal_read(text, length, &decimal))
        return POSTGRES_REFUSED;
    bool zero = decimal.length == 0;
    if (decimal.fraction > SCALE_MOST || (!zero && decimal.point > WHOLE_MOST)) {
        *reason = "numeric holds at most 131072 digits before the point and 16383 behind it";
        return POSTGRES_REFUSED;
    }
    if (zero)
        return header_append(buffer, 0, 0, SIGN_POSITIVE, (uint32_t)decimal.fraction);
    return digits_append(&decimal, buffer);
}

static bool word_append(struct buffer *buffer, const char *word)
{
    return buffer_append(buffer, word, strlen(word));
}

/* The base-10,000 digit of this weight, 0 where none is stored. */
static unsigned digit_at(const char *digits, int32_t count, int32_t weight, int32_t at)
{
    int32_t index = weight - at;
    return index >= 0 && index < count ? postgres_load16(digits + 2 * index) : 0;
}

bool postgres_numeric_decode(const char *bytes, size_t length, struct buffer *buffer, bool *corrupt)
{
    if (length < HEADER_SIZE) {
        *corrupt = true;
        return false;
    }
    int32_t count = postgres_load16(bytes);
    int32_t weight = (int16_t)postgres_load16(bytes + 2);
    unsigned sign = postgres_load16(bytes + 4);
    int32_t scale = postgres_load16(bytes + 6);
    const char *digits = bytes + HEADER_SIZE;
    if (sign == SIGN_NAN)
        return word_append(buffer, "\"NaN\"");
    if (sign == SIGN_INFINITE || sign == SIGN_MINUS_INF)
        return word_append(buffer, sign == SIGN_INFINITE ? "\"Infinity\"" : "\"-Infinity\"");
    *corrupt = length != HEADER_SIZE + 2 * (size_t)count ||
               (sign != SIGN_POSITIVE && sign != SIGN_NEGATIVE) || scale > SCALE_MOST;
    for (int32_t i = 0; i < count && !*corrupt; i++)
        *corrupt = postgres_load16(digits + 2 * i) > 9999;
    if (*corrupt)
        return false;
    size_t most = 16 + (size_t)(weight > 0 ? weight : 0) * 4 + (size_t)scale;
    char *out = buffer_room(buffer, most);
    if (!out)
        return false;
    char *begin = out;
    if (sign == SIGN_NEGATIVE)
        *out++ = '-';
    bool leading = true;
    for (int32_t at = weight > 0 ? weight : 0; at >= 0; at--) {
        unsigned digit = digit_at(digits, count, weight, at);
        for (unsigned unit = 1000; unit > 0; unit /= 10) {
            leading = leading && digit / unit % 10 == 0 && !(at == 0 && unit == 1);
            if (!leading)
                *out++ = (char)('0' + digit / unit % 10);
        }
    }
    if (scale > 0)
        *out++ = '.';
    unsigned unit = 0, digit = 0;
    for (int32_t i = 0, at = -1; i < scale; i++, unit /= 10) {
        if (unit == 0) {
            digit = digit_at(digits, count, weight, at--);
            unit = 1000;
        }
        *out++ = (char)('0' + digit / unit % 10);
    }
    buffer->length += (size_t)(out - begin);
    return true;
}
