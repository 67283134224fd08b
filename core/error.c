/* Errors: see error.h. */
#include "core/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const slugs[] = {
#define ERROR(code, slug, text) slug,
#include "core/errors.def"
#undef ERROR
};

static const char *const meanings[] = {
#define ERROR(code, slug, text) text,
#include "core/errors.def"
#undef ERROR
};

const char *error_slug(enum error_code code)
{
    CHECK(code < ERROR_CODE_COUNT);
    return slugs[code];
}

const char *error_meaning(enum error_code code)
{
    CHECK(code < ERROR_CODE_COUNT);
    return meanings[code];
}

bool error_set(struct error *error, enum error_code code, const char *format, ...)
{
    error->code = code;
    error->os_errno = 0;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof(error->text), format, arguments);
    va_end(arguments);
    return false;
}

bool error_set_errno(struct error *error, int os_errno, const char *format, ...)
{
    error->code = ERROR_IO;
    error->os_errno = os_errno;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof(error->text), format, arguments);
    va_end(arguments);
    size_t length = strlen(error->text);
    char reason[128];
    snprintf(error->text + length, sizeof(error->text) - length, ": %s",
             strerror_r(os_errno, reason, sizeof(reason)));
    return false;
}

bool error_add_context(struct error *error, const char *format, ...)
{
    char context[sizeof(error->text)];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(context, sizeof(context), format, arguments);
    va_end(arguments);
    char text[sizeof(error->text)];
    memcpy(text, error->text, sizeof(text));
    int written = snprintf(error->text, sizeof(error->text), "%s: ", context);
    CHECK(written > 0);
    size_t start = size_min((size_t)written, sizeof(error->text) - 1);
    size_t length = size_min(strlen(text), sizeof(error->text) - 1 - start);
    memcpy(error->text + start, text, length);
    error->text[start + length] = 0;
    return false;
}
