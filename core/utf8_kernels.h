/* UTF-8 validation for each instruction set; core/utf8.h's utf8_valid calls the best that the
 * processor has, or the one that the environment variable LEAT_ISA names (portable, avx2, avx512;
 * tests). Pure functions; any thread. */
#ifndef LEAT_CORE_UTF8_KERNELS_H
#define LEAT_CORE_UTF8_KERNELS_H

#include "core/base.h"

struct utf8_kernel {
    const char *name;
    bool (*valid)(const char *text, size_t length);
};
/* Those that this processor can run, the best first; the last one is portable. */
size_t utf8_kernels_find(const struct utf8_kernel **kernels);

bool utf8_valid_portable(const char *text, size_t length);

#endif
