/* The one error type: a code, a bounded text and, for the operating system's errors, errno.
 * Functions that can fail return bool (true: done) and take a `struct error *` last, which they
 * fill when they return false. Messages name the thing, the place and the remedy.
 * A struct error is plain data owned by the caller; no function keeps a pointer to it. */
#ifndef LEAT_CORE_ERROR_H
#define LEAT_CORE_ERROR_H

#include "core/base.h"

enum error_code {
#define ERROR(code, slug, text) ERROR_##code,
#include "core/errors.def"
#undef ERROR
    ERROR_CODE_COUNT
};

struct error {
    enum error_code code;
    int os_errno;   /* 0 where the operating system had no part in it */
    char text[480]; /* NUL-terminated, one line, no trailing period or newline */
};

const char *error_slug(enum error_code code);
const char *error_meaning(enum error_code code);
/* Always returns false, so that `return error_set(...)` reads well. */
bool error_set(struct error *error, enum error_code code, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* As error_set, with ": strerror(os_errno)" appended and code ERROR_IO. */
bool error_set_errno(struct error *error, int os_errno, const char *format, ...) PRINTF_LIKE(3, 4);
/* Puts "context: " before the text that is there. Returns false. */
bool error_add_context(struct error *error, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
