/* Lines of rejected records: see reject_line.h. */
#include "io/reject_line.h"

#include <string.h>

#include "lang/base64.h"

struct reader {
    const char *at;
    const char *end;
};

static void blanks_skip(struct reader *reader)
{
    while (reader->at < reader->end &&
           (*reader->at == ' ' || *reader->at == '\t' || *reader->at == '\r'))
        reader->at++;
}

static bool byte_take(struct reader *reader, char byte)
{
    blanks_skip(reader);
    if (reader->at == reader->end || *reader->at != byte)
        return false;
    reader->at++;
    return true;
}

/* A string; its text without the quotes, escapes as they are. */
static bool string_take(struct reader *reader, struct string *text)
{
    if (!byte_take(reader, '"'))
        return false;
    const char *begin = reader->at;
    for (;;) {
        size_t left = (size_t)(reader->end - reader->at);
        const char *quote = memchr(reader->at, '"', left);
        if (!quote)
            return false;
        size_t slashes = 0;
        while (quote - slashes > begin && quote[-1 - (ptrdiff_t)slashes] == '\\')
            slashes++;
        reader->at = quote + 1;
        if (slashes % 2)
            continue;
        *text = (struct string){begin, (size_t)(quote - begin)};
        return true;
    }
}

/* Any value but a string: up to what ends it. Maps and lists, which no line of ours has, are passed
 * by their brackets. */
static bool other_take(struct reader *reader, struct string *text)
{
    uint64_t depth = 0;
    struct string ignored;
    blanks_skip(reader);
    const char *begin = reader->at;
    while (reader->at < reader->end) {
        char byte = *reader->at;
        if (depth == 0 && (byte == ',' || byte == '}' || byte == ']'))
            break;
        if (byte == '"') {
            if (!string_take(reader, &ignored))
                return false;
            continue;
        }
        depth += byte == '{' || byte == '[';
        depth -= byte == '}' || byte == ']';
        reader->at++;
    }
    *text = (struct string){begin, (size_t)(reader->at - begin)};
    while (text->length &&
           (text->data[text->length - 1] == ' ' || text->data[text->length - 1] == '\t'))
        text->length--;
    return depth == 0 && text->length > 0;
}

static bool number_read(struct string text, uint64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < text.length; i++) {
        unsigned digit = (unsigned)(text.data[i] - '0');
        if (digit > 9 || __builtin_mul_overflow(*number, 10, number) ||
            __builtin_add_overflow(*number, digit, number))
            return false;
    }
    return text.length > 0;
}

/* One member that was read; NULL or what is wrong with it. */
static const char *member_keep(struct reject_line *line, struct string name, struct string value,
                               bool is_string)
{
    bool base64 = string_equal_text(name, "record_base64");
    if (base64 || string_equal_text(name, "record")) {
        if (!is_string && !string_equal_text(value, "null"))
            return "its record is no string";
        if (line->record.data)
            return "it has two records";
        line->is_base64 = base64;
        line->record = is_string ? value : (struct string){0};
    } else if (string_equal_text(name, "length")) {
        line->has_length = true;
        if (is_string || !number_read(value, &line->length))
            return "its length is no number";
    } else if (!is_string) {
        return NULL;
    } else if (string_equal_text(name, "header")) {
        line->header = value;
    } else if (string_equal_text(name, "source")) {
        line->source = value;
    } else if (string_equal_text(name, "stage")) {
        line->was_line = string_equal_text(value, "replay");
        line->was_read = !line->was_line && !string_equal_text(value, "source");
    }
    return NULL;
}

static const char *members_read(struct reader *reader, struct reject_line *line)
{
    if (!byte_take(reader, '{'))
        return "it is no JSON object";
    bool more = !byte_take(reader, '}');
    while (more) {
        struct string name, value;
        if (!string_take(reader, &name) || !byte_take(reader, ':'))
            return "it is no JSON object";
        blanks_skip(reader);
        bool is_string = reader->at < reader->end && *reader->at == '"';
        if (is_string ? !string_take(reader, &value) : !other_take(reader, &value))
            return "it is no JSON object";
        const char *wrong = member_keep(line, name, value, is_string);
        if (wrong)
            return wrong;
        more = byte_take(reader, ',');
        if (!more && !byte_take(reader, '}'))
            return "it is no JSON object";
    }
    blanks_skip(reader);
    return reader->at == reader->end ? NULL : "something follows the JSON object";
}

void reject_line_read(struct string text, struct reject_line *line)
{
    struct reader reader = {text.data, text.data + text.length};
    *line = (struct reject_line){0};
    line->wrong = members_read(&reader, line);
    if (!line->wrong && !line->record.data)
        line->wrong = "it holds no record: a stage had made it, so what it was made of has to be "
                      "read again";
}

/* ---- decoding ---- */

static bool hex_read(const char *text, size_t length, uint32_t *code)
{
    *code = 0;
    if (length < 4)
        return false;
    for (size_t i = 0; i < 4; i++) {
        char byte = text[i], letter = (char)(byte | 0x20);
        if (byte >= '0' && byte <= '9')
            *code = *code << 4 | (uint32_t)(byte - '0');
        else if (letter >= 'a' && letter <= 'f')
            *code = *code << 4 | (uint32_t)(letter - 'a' + 10);
        else
            return false;
    }
    return true;
}

static size_t utf8_put(char *out, uint32_t code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 63));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xE0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 63));
        out[2] = (char)(0x80 | (code & 63));
        return 3;
    }
    out[0] = (char)(0xF0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 63));
    out[2] = (char)(0x80 | (code >> 6 & 63));
    out[3] = (char)(0x80 | (code & 63));
    return 4;
}

/* Behind "\u": the character, which may take two of them. Returns how many bytes it had, or 0. */
static size_t character_read(const char *text, size_t length, uint32_t *code)
{
    uint32_t low;
    if (!hex_read(text, length, code) || (*code >= 0xDC00 && *code < 0xE000))
        return 0;
    if (*code < 0xD800 || *code >= 0xE000)
        return 4;
    if (length < 10 || text[4] != '\\' || text[5] != 'u' || !hex_read(text + 6, 4, &low) ||
        low < 0xDC00 || low >= 0xE000)
        return 0;
    *code = 0x10000 + ((*code - 0xD800) << 10) + (low - 0xDC00);
    return 10;
}

bool reject_string_decode(struct string text, char *out, size_t *length)
{
    static const char escapes[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    size_t at = 0, done = 0;
    while (at < text.length) {
        const char *slash = memchr(text.data + at, '\\', text.length - at);
        size_t plain = slash ? (size_t)(slash - text.data) - at : text.length - at;
        if (out)
            memmove(out + done, text.data + at, plain);
        at += plain;
        done += plain;
        if (!slash)
            break;
        if (at + 1 >= text.length)
            return false;
        char kind = text.data[at + 1];
        at += 2;
        const char *found = memchr(escapes, kind, sizeof(escapes) - 1);
        uint32_t code;
        char bytes[4];
        if (found) {
            if (out)
                out[done] = meanings[found - escapes];
            done++;
            continue;
        }
        size_t taken = kind == 'u' ? character_read(text.data + at, text.length - at, &code) : 0;
        if (taken == 0)
            return false;
        at += taken;
        size_t width = utf8_put(bytes, code);
        if (out)
            memcpy(out + done, bytes, width);
        done += width;
    }
    *length = done;
    return true;
}

/* In pieces, which are decoded and forgotten. */
static bool base64_measure(struct string text, size_t *length)
{
    char piece[192];
    *length = 0;
    const char *padding = memchr(text.data, '=', text.length);
    if (padding && text.data + text.length - padding > 2)
        return false;
    for (size_t at = 0; at < text.length; at += 256) {
        size_t decoded;
        if (!base64_decode(piece, &decoded, text.data + at, size_min(text.length - at, 256)))
            return false;
        *length += decoded;
    }
    return true;
}

const char *reject_record_measure(const struct reject_line *line, size_t *length)
{
    if (line->is_base64 && !base64_measure(line->record, length))
        return "its record is not in base64";
    if (!line->is_base64 && !reject_string_decode(line->record, NULL, length))
        return "its record has a bad escape";
    if (line->has_length && line->length != *length)
        return "it holds only the first bytes of a record that was too long: read the record again "
               "from where it came, with a higher limit";
    return NULL;
}

size_t reject_record_decode(const struct reject_line *line, char *out)
{
    size_t length = 0;
    CHECK(line->is_base64 ? base64_decode(out, &length, line->record.data, line->record.length)
                          : reject_string_decode(line->record, out, &length));
    return length;
}
