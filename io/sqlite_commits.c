/* The table leat_commit: see sqlite_commits.h. */
#include "io/sqlite_commits.h"

#include <stdlib.h>
#include <string.h>

#include "core/fault.h"

static void past_clear(struct table_past *past)
{
    free(past->made);
    free(past->kinds);
    *past = (struct table_past){0};
}

void commits_close(struct commits *commits)
{
    free(commits->record);
    commits->record = NULL;
    commits->length = 0;
    past_clear(&commits->past);
}

/* A column's bytes with a NUL behind them; NULL: no memory. */
static char *column_copy(sqlite3_stmt *statement, int column, size_t *length)
{
    const char *bytes = sqlite3_column_blob(statement, column);
    *length = (size_t)sqlite3_column_bytes(statement, column);
    return memory_copy_text(bytes ? bytes : "", *length);
}

static bool row_copy(struct commits *commits, sqlite3_stmt *row)
{
    struct table_past *past = &commits->past;
    size_t length;
    commits->found = true;
    commits->epoch = (uint64_t)sqlite3_column_int64(row, 0);
    commits->number = (uint64_t)sqlite3_column_int64(row, 1);
    commits->done = sqlite3_column_int(row, 2) != 0;
    commits->record = column_copy(row, 3, &commits->length);
    if (sqlite3_column_type(row, 4) != SQLITE_NULL)
        past->made = column_copy(row, 4, &length);
    past->kinds = (uint8_t *)column_copy(row, 5, &length);
    past->kind_count = (uint32_t)length;
    return commits->record && past->kinds &&
           (past->made || sqlite3_column_type(row, 4) == SQLITE_NULL);
}

bool commits_read(struct commits *commits, struct error *error)
{
    static const char doing[] = "read the last commit";
    struct database *database = commits->database;
    int64_t there;
    commits_close(commits);
    commits->found = commits->done = false;
    commits->epoch = commits->number = 0;
    if (!database_integer(database, &there, error,
                          "SELECT count(*) FROM sqlite_schema WHERE name = 'leat_commit'"))
        return false;
    if (!there)
        return true;
    sqlite3_stmt *row;
    if (!database_prepare(database, doing,
                          "SELECT epoch, number, done, record, made, kinds FROM leat_commit "
                          "WHERE pipeline = ?",
                          &row, error))
        return false;
    sqlite3_bind_text(row, 1, commits->pipeline, -1, SQLITE_STATIC);
    int code = sqlite3_step(row);
    bool good = code == SQLITE_DONE || code == SQLITE_ROW;
    if (!good)
        database_fail(database, doing, error);
    else if (code == SQLITE_ROW && !row_copy(commits, row))
        good = error_set(error, ERROR_MEMORY, "no memory for a commit record");
    sqlite3_finalize(row);
    return good;
}

static bool fenced(const struct commits *commits, struct error *error)
{
    return error_set(error, ERROR_STATE,
                     "another process has taken over pipeline %s (table leat_commit); this one "
                     "stops",
                     commits->pipeline);
}

/* The last statement has changed our row and nothing else. */
static bool changed_one(const struct commits *commits, struct error *error)
{
    return sqlite3_changes(commits->database->connection) == 1 || fenced(commits, error);
}

#define NOW "strftime('%%Y-%%m-%%dT%%H:%%M:%%fZ', 'now')"

bool commits_claim(struct commits *commits, uint64_t epoch, bool anew, struct error *error)
{
    static const char doing[] = "take over the pipeline";
    struct database *database = commits->database;
    if (!database_run(database, doing, error,
                      "CREATE TABLE IF NOT EXISTS leat_commit (pipeline TEXT PRIMARY KEY, "
                      "epoch INTEGER NOT NULL, number INTEGER NOT NULL, record BLOB NOT NULL, "
                      "done INTEGER NOT NULL, updated TEXT NOT NULL, made TEXT, "
                      "kinds BLOB NOT NULL)"))
        return false;
    bool done;
    if (!commits->found)
        done = database_run(database, doing, error,
                            "INSERT INTO leat_commit VALUES (%Q, %lld, 0, x'', 0, " NOW
                            ", NULL, x'') ON CONFLICT (pipeline) DO NOTHING",
                            commits->pipeline, (long long)epoch);
    else
        done = database_run(
            database, doing, error,
            "UPDATE leat_commit SET epoch = %lld, updated = " NOW "%s "
            "WHERE pipeline = %Q AND epoch = %lld AND number = %lld",
            (long long)epoch, anew ? ", record = x'', done = 0, made = NULL, kinds = x''" : "",
            commits->pipeline, (long long)commits->epoch, (long long)commits->number);
    return done && changed_one(commits, error);
}

bool commits_store(struct commits *commits, const struct commit_record *record,
                   const struct table_past *past, struct error *error)
{
    static const char doing[] = "store the commit record";
    struct database *database = commits->database;
    sqlite3_stmt *update;
    if (!database_prepare(database, doing,
                          "UPDATE leat_commit SET number = ?1, record = ?2, done = ?3, made = ?4, "
                          "kinds = ?5, updated = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') "
                          "WHERE pipeline = ?6 AND epoch = ?7 AND number = ?8",
                          &update, error))
        return false;
    sqlite3_bind_int64(update, 1, (sqlite3_int64)record->number);
    sqlite3_bind_blob64(update, 2, record->length ? record->bytes : "", record->length,
                        SQLITE_STATIC);
    sqlite3_bind_int(update, 3, record->final);
    sqlite3_bind_text(update, 4, past->made, -1, SQLITE_STATIC); /* NULL binds null */
    sqlite3_bind_blob64(update, 5, past->kinds ? (const void *)past->kinds : "", past->kind_count,
                        SQLITE_STATIC);
    sqlite3_bind_text(update, 6, commits->pipeline, -1, SQLITE_STATIC);
    sqlite3_bind_int64(update, 7, (sqlite3_int64)commits->epoch);
    sqlite3_bind_int64(update, 8, (sqlite3_int64)commits->number);
    bool done = sqlite3_step(update) == SQLITE_DONE;
    if (!done)
        database_fail(database, doing, error);
    sqlite3_finalize(update);
    return done && changed_one(commits, error);
}

void commits_stored(struct commits *commits, const struct commit_record *record)
{
    commits->number = record->number;
    commits->done = record->final;
}

bool commits_forget(struct commits *commits, struct error *error)
{
    if (!commits->found)
        return true;
    commits->found = commits->done = false;
    commits->epoch = commits->number = 0;
    return database_run(commits->database, "remove the commit record", error,
                        "DELETE FROM leat_commit WHERE pipeline = %Q", commits->pipeline);
}
