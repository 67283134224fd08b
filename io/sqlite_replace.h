/* Putting a freshly filled table into the place of another, and what has to be known of that other:
 * its definition, its columns, who refers to it. Internal to the SQLite sink; its thread. */
#ifndef LEAT_IO_SQLITE_REPLACE_H
#define LEAT_IO_SQLITE_REPLACE_H

#include "io/sqlite_table.h"

/* T has every column that is written; else an error that names one that it lacks. */
MUST_USE bool replace_columns_check(struct table *table, struct error *error);
/* T's own definition under the name of the table to fill (sqlite3_free), or NULL where T lacks a
 * column and nothing hangs on its definition. Sets table->referred. */
MUST_USE bool replace_definition(struct table *table, char **definition, struct error *error);
/* Sets table->referred alone: T__leat is there already. */
MUST_USE bool replace_look(struct table *table, struct error *error);
/* In the open transaction. */
MUST_USE bool replace_swap(struct table *table, struct error *error);

#endif
