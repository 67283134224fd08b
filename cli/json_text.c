/* JSON strings: see json_text.h. */
#include "cli/json_text.h"

#include <string.h>

#include "core/utf8.h"

/* Bytes of the valid code point at `text` (1 to 4), or 0. */
static size_t code_point_length(const char *text, size_t left)
{
    for (size_t length = 1; length <= 4 && length <= left; length++)
        if (utf8_valid(text, length))
            return length;
    return 0;
}

void json_text_write(FILE *out, const char *text)
{
    size_t left = strlen(text);
    fputc('"', out);
    while (left) {
        unsigned char byte = (unsigned char)*text;
        size_t length = code_point_length(text, left);
        if (length == 0)
            fputs("\\ufffd", out);
        else if (byte == '"' || byte == '\\')
            fprintf(out, "\\%c", byte);
        else if (byte < ' ')
            fprintf(out, "\\u%04x", byte);
        else
            fwrite(text, 1, length, out);
        length += length == 0;
        text += length;
        left -= length;
    }
    fputc('"', out);
}
