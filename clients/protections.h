/* Options to protections: reads the words of protections.def. Main thread. */
#ifndef LEAT_CLIENTS_PROTECTIONS_H
#define LEAT_CLIENTS_PROTECTIONS_H

#include "clients/dispatcher.h"
#include "core/option.h"
#include "core/stage.h"

/* Fills *protections; `concurrency` and `adaptive` are read where the table has them (else 1). Of
 * those who send what they are given, no more: there is no budget for retries, as what is tried
 * again holds back what is new. *bucket: the rate, one user more, or NULL; the caller closes it.
 * False: ERROR_PROGRAM says which word is wrong, or ERROR_MEMORY. */
bool protections_read(const struct options *options, struct shared_limits *shared,
                      struct protections *protections, struct bucket **bucket, struct error *error);

#endif
