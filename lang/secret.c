/* Secrets and the environment: see secret.h. */
#include "lang/secret.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "lang/text.h"

#define NAME_LIMIT 4096

/* For messages. */
#define SHOWN(name) (int)size_min((name).length, 60), (name).data

/* With a NUL behind it, as the system wants names. */
static bool name_copy(struct string name, char *copy, struct error *error)
{
    if (name.length == 0 || memchr(name.data, 0, name.length))
        return error_set(error, ERROR_USAGE, "this name is empty or holds a zero byte");
    if (name.length >= NAME_LIMIT)
        return error_set(error, ERROR_USAGE, "this name is too long");
    memcpy(copy, name.data, name.length);
    copy[name.length] = 0;
    return true;
}

/* Up to SECRET_LIMIT bytes; errno tells what went wrong (EFBIG: it has more). */
static bool file_read(const char *path, char *content, size_t *length)
{
    int injected = fault_io();
    FILE *file = injected ? NULL : fopen(path, "rbe");
    if (!file) {
        errno = injected ? injected : errno;
        return false;
    }
    setvbuf(file, NULL, _IONBF, 0); /* no second copy of it stays anywhere */
    *length = fread(content, 1, SECRET_LIMIT + 1, file);
    int problem = ferror(file) ? errno : *length > SECRET_LIMIT ? EFBIG : 0;
    fclose(file);
    errno = problem;
    return problem == 0;
}

bool secret_read(struct string name, char *content, size_t *length, struct error *error)
{
    char path[NAME_LIMIT];
    bool good = false;
    if (!name_copy(name, path, error))
        return false;
    if (!file_read(path, content, length)) {
        error_set(error, ERROR_USAGE, "cannot read the secret in %.*s: %s", SHOWN(name),
                  strerror(errno));
    } else {
        *length -= *length > 0 && content[*length - 1] == '\n';
        *length -= *length > 0 && content[*length - 1] == '\r';
        good = text_damage((struct string){content, *length}) == *length && *length > 0;
        if (!good)
            error_set(error, ERROR_USAGE, "the secret in %.*s is %s", SHOWN(name),
                      *length ? "not UTF-8" : "empty");
    }
    if (!good)
        explicit_bzero(content, SECRET_LIMIT + 1);
    return good;
}

bool environment_read(struct string name, struct string *text, bool *missing, struct error *error)
{
    char variable[NAME_LIMIT];
    *missing = false;
    if (!name_copy(name, variable, error))
        return false;
    const char *answer = getenv(variable);
    *missing = answer == NULL;
    if (!answer)
        return false;
    *text = (struct string){answer, strlen(answer)};
    if (text_damage(*text) < text->length)
        return error_set(error, ERROR_USAGE, "the environment variable %.*s is not UTF-8",
                         SHOWN(name));
    return true;
}
