/* Base64 of RFC 4648, the standard alphabet. Pure; any thread. */
#ifndef LEAT_LANG_BASE64_H
#define LEAT_LANG_BASE64_H

#include "core/base.h"

/* Length of the text of so many bytes, padding included. */
static inline size_t base64_length(size_t length)
{
    return (length + 2) / 3 * 4;
}
/* Writes base64_length(length) bytes. */
void base64_encode(char *out, const char *bytes, size_t length);
/* `out` has room for length bytes. Padding may be missing. False: not base64. */
bool base64_decode(char *out, size_t *decoded, const char *text, size_t length);

#endif
