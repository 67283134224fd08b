/* Literals: escapes of strings and digits of numbers, as CEL defines them (lexer.h). Pure
 * functions; main thread only. */
#include <string.h>

#include "core/utf8.h"
#include "lang/lexer.h"

/* Where decoding stands. */
struct decoder {
    const struct token *token;
    size_t at; /* in the content */
    char *out;
    size_t length;
    uint32_t *offsets;
    struct literal_problem *problem;
};

static bool decoder_refuse(struct decoder *decoder, size_t start, size_t end, const char *text)
{
    uint32_t base = decoder->token->start +
                    (uint32_t)(decoder->token->content.data - decoder->token->text.data);
    end = size_min(end, decoder->token->content.length);
    *decoder->problem =
        (struct literal_problem){text, base + (uint32_t)start, base + (uint32_t)end};
    return false;
}

static void decoder_put(struct decoder *decoder, size_t from, const char *bytes, size_t count)
{
    uint32_t base = decoder->token->start +
                    (uint32_t)(decoder->token->content.data - decoder->token->text.data);
    for (size_t i = 0; i < count; i++) {
        if (decoder->offsets)
            decoder->offsets[decoder->length] = base + (uint32_t)from;
        decoder->out[decoder->length++] = bytes[i];
    }
}

static int hex_digit(int byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* Reads exactly `count` digits of a base (8 or 16) at content[at]. */
static bool read_digits(struct string content, size_t at, unsigned count, int base,
                        uint32_t *number)
{
    *number = 0;
    if (count > content.length - size_min(at, content.length))
        return false;
    for (unsigned i = 0; i < count; i++) {
        int digit = hex_digit((unsigned char)content.data[at + i]);
        if (digit < 0 || digit >= base)
            return false;
        *number = *number * (uint32_t)base + (uint32_t)digit;
    }
    return true;
}

/* An escape that names a number: a code point in strings, an octet (of \x and octal) in bytes. */
static bool decode_number(struct decoder *decoder, size_t start, size_t digits, unsigned count,
                          int base)
{
    struct string content = decoder->token->content;
    uint32_t number;
    size_t end = digits + count;
    if (!read_digits(content, digits, count, base, &number))
        return decoder_refuse(decoder, start, start + 2,
                              base == 8    ? "an octal escape has three digits, \\000 to \\377"
                              : count == 2 ? "this escape needs two hexadecimal digits: \\x41"
                              : count == 4 ? "this escape needs four hexadecimal digits: \\u0041"
                                           : "this escape needs eight hexadecimal digits: "
                                             "\\U00000041");
    if (base == 8 && number > 0xFF)
        return decoder_refuse(decoder, start, end, "an octal escape ends at \\377");
    char bytes[4];
    if (decoder->token->is_bytes) {
        if (count > 3)
            return decoder_refuse(decoder, start, end, "bytes have no \\u or \\U; write \\x");
        bytes[0] = (char)number;
        decoder_put(decoder, start, bytes, 1);
    } else {
        if (number > 0x10FFFF || (number >= 0xD800 && number <= 0xDFFF))
            return decoder_refuse(decoder, start, end, "there is no such Unicode character");
        decoder_put(decoder, start, bytes, utf8_write(bytes, number));
    }
    decoder->at = end;
    return true;
}

/* An escape: content[start] is the backslash. */
static bool decode_escape(struct decoder *decoder, size_t start)
{
    static const char names[] = "\\?\"'`abfnrtv";
    static const char meanings[] = "\\?\"'`\a\b\f\n\r\t\v";
    struct string content = decoder->token->content;
    if (start + 1 >= content.length)
        return decoder_refuse(decoder, start, start + 1, "an escape is cut off here");
    char kind = content.data[start + 1];
    const char *simple = kind ? strchr(names, kind) : NULL;
    if (simple) {
        decoder_put(decoder, start, &meanings[simple - names], 1);
        decoder->at = start + 2;
        return true;
    }
    switch (kind) {
    case 'x':
    case 'X':
        return decode_number(decoder, start, start + 2, 2, 16);
    case 'u':
        return decode_number(decoder, start, start + 2, 4, 16);
    case 'U':
        return decode_number(decoder, start, start + 2, 8, 16);
    default:
        if (kind >= '0' && kind <= '7')
            return decode_number(decoder, start, start + 1, 3, 8);
        return decoder_refuse(decoder, start, start + 2,
                              "unknown escape; a backslash itself is written \\\\, or use r\"…\"");
    }
}

size_t literal_room(const struct token *token)
{
    /* No escape is shorter than what it stands for: \xff is four bytes for two. */
    return token->content.length + 4;
}

bool literal_decode(const struct token *token, char *out, size_t *length, uint32_t *offsets,
                    struct literal_problem *problem)
{
    struct decoder decoder = {.token = token, .out = out, .offsets = offsets, .problem = problem};
    struct string content = token->content;
    while (decoder.at < content.length) {
        if (content.data[decoder.at] == '\\' && !token->is_raw) {
            if (!decode_escape(&decoder, decoder.at))
                return false;
        } else {
            decoder_put(&decoder, decoder.at, content.data + decoder.at, 1);
            decoder.at++;
        }
    }
    if (offsets)
        offsets[decoder.length] =
            token->start + (uint32_t)(content.data - token->text.data + content.length);
    *length = decoder.length;
    return true;
}

bool literal_natural(const struct token *token, uint64_t *natural)
{
    struct string text = token->text;
    uint64_t base = 10;
    size_t at = 0;
    if (token->kind == TOKEN_UINT)
        text.length--;
    if (text.length > 2 && (text.data[1] | 0x20) == 'x') {
        base = 16;
        at = 2;
    }
    *natural = 0;
    for (; at < text.length; at++) {
        uint64_t digit = (uint64_t)hex_digit((unsigned char)text.data[at]);
        if (__builtin_mul_overflow(*natural, base, natural) ||
            __builtin_add_overflow(*natural, digit, natural))
            return false;
    }
    return true;
}
