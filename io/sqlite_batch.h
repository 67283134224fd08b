/* Inserting the encoded rows of a batch into a table, and finding those that it refuses.
 *
 * A row that violates a constraint is known at once: SQLite undoes its statement and nothing else.
 * Foreign keys that are declared DEFERRED are the exception: they are looked at behind the batch
 * and, where some row refers to nothing, the batch is undone and halved until the rows are found.
 * So a row may refer to one of the same batch or of an earlier one. The sink's thread. */
#ifndef LEAT_IO_SQLITE_BATCH_H
#define LEAT_IO_SQLITE_BATCH_H

#include "io/sqlite_table.h"

/* In the open transaction, with a prepared table. Refused rows are rejected in the batch
 * (STAGE_SINK, REFUSED). *written: rows inserted. */
MUST_USE bool batch_insert(struct table *table, struct batch *batch, const struct buffer *rows,
                           uint64_t *written, struct error *error);

#endif
