/* Shared by the files of the PostgreSQL connection; nobody else includes it. */
#ifndef LEAT_CLIENTS_POSTGRES_INTERNAL_H
#define LEAT_CLIENTS_POSTGRES_INTERNAL_H

#include "clients/postgres.h"

/* Keeps `text` as the message: on one line, cut, without the secrets. */
void postgres_say(struct postgres *postgres, const char *text);

#endif
