/* A connection to SQLite: see sqlite_database.h. */
#include "io/sqlite_database.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "io/sqlite_vfs.h"

#define MEMORY_LEAST (4 << 20) /* below this SQLite cannot do much */

/* SQLite's heap limit is one for the process: the sum of what its connections may use. */
static pthread_mutex_t heap_lock = PTHREAD_MUTEX_INITIALIZER;
static int64_t heap_sum; /* under heap_lock */

static void heap_limit_add(int64_t bytes)
{
    CHECK(pthread_mutex_lock(&heap_lock) == 0);
    heap_sum += bytes;
    sqlite3_hard_heap_limit64(heap_sum);
    sqlite3_soft_heap_limit64(heap_sum / 4 * 3);
    CHECK(pthread_mutex_unlock(&heap_lock) == 0);
}

const char *database_code_name(int code)
{
    static const struct {
        int code;
        const char *name;
    } names[] = {
#define NAME(code) {code, #code}
        NAME(SQLITE_ERROR),
        NAME(SQLITE_PERM),
        NAME(SQLITE_BUSY),
        NAME(SQLITE_BUSY_SNAPSHOT),
        NAME(SQLITE_BUSY_RECOVERY),
        NAME(SQLITE_LOCKED),
        NAME(SQLITE_NOMEM),
        NAME(SQLITE_READONLY),
        NAME(SQLITE_READONLY_DIRECTORY),
        NAME(SQLITE_READONLY_DBMOVED),
        NAME(SQLITE_INTERRUPT),
        NAME(SQLITE_IOERR),
        NAME(SQLITE_IOERR_READ),
        NAME(SQLITE_IOERR_SHORT_READ),
        NAME(SQLITE_IOERR_WRITE),
        NAME(SQLITE_IOERR_FSYNC),
        NAME(SQLITE_IOERR_DIR_FSYNC),
        NAME(SQLITE_IOERR_TRUNCATE),
        NAME(SQLITE_IOERR_DELETE),
        NAME(SQLITE_IOERR_NOMEM),
        NAME(SQLITE_IOERR_LOCK),
        NAME(SQLITE_IOERR_SHMOPEN),
        NAME(SQLITE_IOERR_SHMSIZE),
        NAME(SQLITE_IOERR_SHMMAP),
        NAME(SQLITE_CORRUPT),
        NAME(SQLITE_FULL),
        NAME(SQLITE_CANTOPEN),
        NAME(SQLITE_CANTOPEN_ISDIR),
        NAME(SQLITE_TOOBIG),
        NAME(SQLITE_MISMATCH),
        NAME(SQLITE_NOTADB),
        NAME(SQLITE_CONSTRAINT),
        NAME(SQLITE_CONSTRAINT_CHECK),
        NAME(SQLITE_CONSTRAINT_COMMITHOOK),
        NAME(SQLITE_CONSTRAINT_DATATYPE),
        NAME(SQLITE_CONSTRAINT_FOREIGNKEY),
        NAME(SQLITE_CONSTRAINT_FUNCTION),
        NAME(SQLITE_CONSTRAINT_NOTNULL),
        NAME(SQLITE_CONSTRAINT_PRIMARYKEY),
        NAME(SQLITE_CONSTRAINT_ROWID),
        NAME(SQLITE_CONSTRAINT_TRIGGER),
        NAME(SQLITE_CONSTRAINT_UNIQUE),
        NAME(SQLITE_CONSTRAINT_VTAB),
#undef NAME
    };
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (names[i].code == code)
            return names[i].name;
    }
    return sqlite3_errstr(code);
}

bool database_fail(const struct database *database, const char *doing, struct error *error)
{
    int code = database->connection ? sqlite3_extended_errcode(database->connection) : SQLITE_NOMEM;
    const char *message =
        database->connection ? sqlite3_errmsg(database->connection) : sqlite3_errstr(code);
    bool system = (code & 0xFF) == SQLITE_CANTOPEN || (code & 0xFF) == SQLITE_IOERR;
    int os_errno = system && database->connection ? sqlite3_system_errno(database->connection) : 0;
    const char *remedy = "";
    if ((code & 0xFF) == SQLITE_BUSY)
        remedy = "; another process is writing to it: let that one finish";
    else if (code == SQLITE_NOMEM)
        remedy = "; allow more with --memory";
    char reason[100] = "";
    if (os_errno) {
        char text[80];
        snprintf(reason, sizeof(reason), ": %s", strerror_r(os_errno, text, sizeof(text)));
    }
    error_set(error, code == SQLITE_NOMEM ? ERROR_MEMORY : ERROR_DATABASE, "cannot %s: %s%s (%s)%s",
              doing, message, reason, database_code_name(code), remedy);
    error->os_errno = os_errno;
    return false;
}

bool database_run(struct database *database, const char *doing, struct error *error,
                  const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *sql = sqlite3_vmprintf(format, arguments);
    va_end(arguments);
    if (!sql)
        return error_set(error, ERROR_MEMORY, "no memory for SQL; allow more with --memory");
    int code = sqlite3_exec(database->connection, sql, NULL, NULL, NULL);
    sqlite3_free(sql);
    return code == SQLITE_OK || database_fail(database, doing, error);
}

bool database_prepare(struct database *database, const char *doing, const char *sql,
                      sqlite3_stmt **statement, struct error *error)
{
    return sqlite3_prepare_v3(database->connection, sql, -1, SQLITE_PREPARE_PERSISTENT, statement,
                              NULL) == SQLITE_OK ||
           database_fail(database, doing, error);
}

/* One query; the first column as text (sqlite3_free), or NULL. */
static bool query_first(struct database *database, char **text, struct error *error,
                        const char *format, va_list arguments)
{
    static const char doing[] = "read its tables";
    *text = NULL;
    char *sql = sqlite3_vmprintf(format, arguments);
    if (!sql)
        return error_set(error, ERROR_MEMORY, "no memory for SQL; allow more with --memory");
    sqlite3_stmt *statement;
    bool done = database_prepare(database, doing, sql, &statement, error);
    sqlite3_free(sql);
    if (!done)
        return false;
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW && sqlite3_column_type(statement, 0) != SQLITE_NULL) {
        *text = sqlite3_mprintf("%s", sqlite3_column_text(statement, 0));
        code = *text ? SQLITE_ROW : SQLITE_NOMEM;
    }
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        done = database_fail(database, doing, error);
    sqlite3_finalize(statement);
    return done;
}

bool database_text(struct database *database, char **text, struct error *error, const char *format,
                   ...)
{
    va_list arguments;
    va_start(arguments, format);
    bool done = query_first(database, text, error, format, arguments);
    va_end(arguments);
    return done;
}

bool database_integer(struct database *database, int64_t *integer, struct error *error,
                      const char *format, ...)
{
    char *text;
    va_list arguments;
    va_start(arguments, format);
    bool done = query_first(database, &text, error, format, arguments);
    va_end(arguments);
    *integer = 0;
    if (text && sscanf(text, "%ld", integer) != 1)
        *integer = 0;
    sqlite3_free(text);
    return done;
}

/* What a user may have named by mistake, told before SQLite says less. */
static bool path_check(const char *path, struct error *error)
{
    struct stat status;
    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
        return error_set(error, ERROR_DATABASE, "not a database but %s",
                         S_ISDIR(status.st_mode) ? "a folder: name a file in it" : "no plain file");
    return true;
}

bool database_open(struct database *database, const char *path, enum database_access access,
                   int64_t patience, size_t memory, struct error *error)
{
    static const int access_flags[] = {
        [DATABASE_READ] = SQLITE_OPEN_READONLY,
        [DATABASE_WRITE] = SQLITE_OPEN_READWRITE,
        [DATABASE_CREATE] = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
    };
    *database = (struct database){0};
    if (!path_check(path, error) || !sqlite_vfs_register(error))
        return false;
    if (memory) {
        database->memory = size_max(memory, MEMORY_LEAST);
        heap_limit_add((int64_t)database->memory);
    }
    int flags = access_flags[access] | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(path, &database->connection, flags, SQLITE_VFS_NAME) != SQLITE_OK)
        return database_fail(database, "open it", error);
    sqlite3_extended_result_codes(database->connection, 1);
    sqlite3_busy_timeout(database->connection, (int)(patience / 1000000));
    /* The page cache gets half. Reading the schema's version is the first look at the file: it says
     * what is wrong with it. */
    size_t cache = database->memory ? database->memory / 2048 : 16384;
    return database_run(database, "use it", error, "PRAGMA cache_size = -%d; PRAGMA schema_version",
                        (int)size_min(cache, 65536));
}

/* FULL, not NORMAL: other sinks of the run (its rejects, too) go back at most to the checkpoint
 * before their last one, so a power cut must not take more than one from us. */
bool database_prepare_writing(struct database *database, struct error *error)
{
    return database_run(database, "write to it", error,
                        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                        "PRAGMA legacy_alter_table = ON");
}

void database_close(struct database *database)
{
    if (database->connection) {
        database_rollback(database);
        CHECK(sqlite3_close(database->connection) == SQLITE_OK);
    }
    if (database->memory)
        heap_limit_add(-(int64_t)database->memory);
    *database = (struct database){0};
}

bool database_begin(struct database *database, struct error *error)
{
    if (!database->in_transaction)
        database->in_transaction = database_run(database, "write to it", error, "BEGIN IMMEDIATE");
    return database->in_transaction;
}

bool database_commit(struct database *database, struct error *error)
{
    if (database->in_transaction && !database_run(database, "commit", error, "COMMIT"))
        return false;
    database->in_transaction = false;
    return true;
}

void database_rollback(struct database *database)
{
    /* SQLite may have rolled back by itself after a failure; then there is nothing left to do, and
     * an error of this is no news. */
    if (database->in_transaction && !sqlite3_get_autocommit(database->connection))
        (void)sqlite3_exec(database->connection, "ROLLBACK", NULL, NULL, NULL);
    database->in_transaction = false;
}
