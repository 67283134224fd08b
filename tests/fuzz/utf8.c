/* UTF-8 from any bytes: all kernels agree, at every offset within a vector, and a valid text's code
 * points are written back as the same bytes. */
#include <stdlib.h>
#include <string.h>

#include "core/utf8.h"
#include "core/utf8_kernels.h"

static void check_points(const char *text, size_t size)
{
    const char *cursor = text;
    size_t count = 0;
    while (cursor < text + size) {
        const char *start = cursor;
        char again[4];
        CHECK(utf8_offset(text, size, count) == (size_t)(start - text));
        size_t length = utf8_write(again, utf8_next(&cursor));
        CHECK(length == (size_t)(cursor - start) && memcmp(again, start, length) == 0);
        count++;
    }
    CHECK(cursor == text + size && utf8_count(text, size) == count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct utf8_kernel *kernels;
    size_t count = utf8_kernels_find(&kernels);
    const char *text = (const char *)data;
    bool valid = utf8_valid(text, size);
    for (size_t pad = 0; pad < 80; pad += 13) {
        char *padded = malloc(pad + size + 1);
        memset(padded, 'x', pad);
        memcpy(padded + pad, text, size);
        for (size_t i = 0; i < count; i++)
            CHECK(kernels[i].valid(padded, pad + size) == valid);
        free(padded);
    }
    if (valid && size < 4096)
        check_points(text, size);
    return 0;
}
