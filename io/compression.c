/* Telling compressions apart: see compression.h. */
#include "io/compression.h"

#include <string.h>
#include <strings.h>

enum compression compression_detect(const void *bytes, size_t length)
{
    const unsigned char *byte = bytes;
    if (length >= 2 && byte[0] == 0x1f && byte[1] == 0x8b)
        return COMPRESSION_GZIP;
    if (length < 4)
        return COMPRESSION_NONE;
    uint32_t magic =
        byte[0] | (uint32_t)byte[1] << 8 | (uint32_t)byte[2] << 16 | (uint32_t)byte[3] << 24;
    /* RFC 8878: a frame, or one of the 16 kinds of skippable frames. */
    bool zstd = magic == 0xFD2FB528u || (magic & 0xFFFFFFF0u) == 0x184D2A50u;
    return zstd ? COMPRESSION_ZSTD : COMPRESSION_NONE;
}

bool compression_possible(unsigned char first)
{
    return first == 0x1f || first == 0x28 || (first & 0xF0) == 0x50;
}

enum compression compression_for_path(const char *path)
{
    size_t length = strlen(path);
    if (length > 4 && strcasecmp(path + length - 4, ".zst") == 0)
        return COMPRESSION_ZSTD;
    if (length > 3 && strcasecmp(path + length - 3, ".gz") == 0)
        return COMPRESSION_GZIP;
    return COMPRESSION_NONE;
}

enum compression compression_option(const struct options *options, enum compression otherwise)
{
    static const char *const words[] = {"none", "zstd", "gzip", "auto"};
    if (!options)
        return otherwise;
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (option_word_is(options, "compression", words[i]))
            return (enum compression)i;
    }
    return otherwise;
}
