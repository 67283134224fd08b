/* Secrets: small files whose content must never be printed. Any thread. */
#ifndef LEAT_LANG_SECRET_H
#define LEAT_LANG_SECRET_H

#include "core/error.h"

#define SECRET_LIMIT ((size_t)64 * 1024)

/* Reads the secret in the file `name`: its content but for one last newline, which is UTF-8 and not
 * empty. `content` has room for SECRET_LIMIT + 1 bytes; who calls keeps a copy and wipes it
 * (explicit_bzero). False: *error says what is wrong with which file; `content` is wiped. */
MUST_USE bool secret_read(struct string name, char *content, size_t *length, struct error *error);
/* The environment variable `name`, UTF-8; *text lives in the environment. False with *missing: it
 * is not set; else *error says what is wrong. */
MUST_USE bool environment_read(struct string name, struct string *text, bool *missing,
                               struct error *error);

#endif
