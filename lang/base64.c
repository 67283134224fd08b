/* See base64.h. */
#include "lang/base64.h"

void base64_encode(char *out, const char *bytes, size_t length)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < length; i += 3) {
        size_t left = size_min(length - i, 3);
        uint32_t word = (uint32_t)(unsigned char)bytes[i] << 16;
        if (left > 1)
            word |= (uint32_t)(unsigned char)bytes[i + 1] << 8;
        if (left > 2)
            word |= (unsigned char)bytes[i + 2];
        *out++ = letters[word >> 18];
        *out++ = letters[word >> 12 & 63];
        *out++ = left > 1 ? letters[word >> 6 & 63] : '=';
        *out++ = left > 2 ? letters[word & 63] : '=';
    }
}

static int digit_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool base64_decode(char *out, size_t *decoded, const char *text, size_t length)
{
    if (length && length % 4 == 0 && text[length - 1] == '=')
        length -= text[length - 2] == '=' ? 2 : 1;
    uint32_t bits = 0, have = 0;
    *decoded = 0;
    for (size_t i = 0; i < length; i++) {
        int digit = digit_of(text[i]);
        if (digit < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[(*decoded)++] = (char)(bits >> have);
        }
    }
    return length % 4 != 1 && (bits & ((1u << have) - 1)) == 0;
}
