/* What the files of lookup sql share; nobody else includes it. */
#ifndef LEAT_STAGES_LOOKUP_SQL_H
#define LEAT_STAGES_LOOKUP_SQL_H

#include "stages/lookup.h"

#define LOOKUP_NO_BUDGET 1e12 /* retries for each first try: as good as no bound */

/* What can be told of a statement without its database. */
struct sql_outline {
    uint32_t parameters;   /* the highest N of $N */
    bool names_parameters; /* there are others, like ? or :name: their number is not known */
    bool only_reads; /* SELECT, VALUES, TABLE, or WITH … without INSERT, UPDATE, DELETE, MERGE:
                        may be asked again (what functions do is not seen) */
};

/* lookup_sql_text.c. Strings, quoted names, $dollar$ quotes and comments are skipped, as
 * https://www.postgresql.org/docs/current/sql-syntax-lexical.html has them. */
struct sql_outline sql_outline_read(struct string query);

#endif
