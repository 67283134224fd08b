/* Where a PostgreSQL connection goes, and SQL text put together with quoted names: see postgres.h.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/postgres.h"
#include "core/clock.h"
#include "core/fault.h"

#define CONNECT_TIMEOUT (10 * NANOSECONDS)

static char *shown_make(const PQconninfoOption *options, const char *database)
{
    const char *host = NULL, *service = NULL;
    for (const PQconninfoOption *option = options; option->keyword; option++) {
        const char *value = option->val && option->val[0] ? option->val : NULL;
        if (value && (strcmp(option->keyword, "host") == 0 ||
                      (!host && strcmp(option->keyword, "hostaddr") == 0)))
            host = value;
        if (value && !database && strcmp(option->keyword, "dbname") == 0)
            database = value;
        if (value && strcmp(option->keyword, "service") == 0)
            service = value;
    }
    if (!database)
        database = service ? service : getenv("PGDATABASE");
    if (!host)
        host = getenv("PGHOST");
    char text[200];
    snprintf(text, sizeof(text), "%s%s%s", database ? database : "default database",
             host ? " at " : "", host ? host : "");
    return memory_copy_text(text, strlen(text));
}

static bool secrets_copy(struct postgres_settings *settings, const PQconninfoOption *options)
{
    static const char *const names[] = {"password", "sslpassword"};
    _Static_assert(ARRAY_SIZE(names) == ARRAY_SIZE(settings->secrets), "one of each");
    for (const PQconninfoOption *option = options; option->keyword; option++)
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
            if (strcmp(option->keyword, names[i]) == 0 && option->val && option->val[0] &&
                !(settings->secrets[i] = memory_copy_text(option->val, strlen(option->val))))
                return false;
    return true;
}

static int64_t connect_timeout_read(const PQconninfoOption *options)
{
    for (const PQconninfoOption *option = options; option->keyword; option++) {
        if (strcmp(option->keyword, "connect_timeout") != 0 || !option->val)
            continue;
        int64_t seconds = 0;
        for (const char *at = option->val; *at >= '0' && *at <= '9' && seconds < 100000; at++)
            seconds = seconds * 10 + (*at - '0');
        if (seconds > 0)
            return seconds * NANOSECONDS;
    }
    return CONNECT_TIMEOUT;
}

bool postgres_settings_open(struct postgres_settings *settings, struct string dsn,
                            struct error *error)
{
    *settings = (struct postgres_settings){0};
    if (memchr(dsn.data, 0, dsn.length))
        return error_set(error, ERROR_PROGRAM, "a connection string cannot hold U+0000");
    settings->dsn = memory_copy_text(dsn.data, dsn.length);
    if (!settings->dsn)
        return error_set(error, ERROR_MEMORY, "no memory for a connection string");
    /* A name alone would be taken for a database's, as libpq does with an expanded dbname. */
    bool is_string = strchr(settings->dsn, '=') || strstr(settings->dsn, "://");
    PQconninfoOption *options = is_string ? PQconninfoParse(settings->dsn, NULL) : PQconndefaults();
    if (!options) /* libpq's message may quote a password */
        return error_set(error, ERROR_PROGRAM,
                         "the connection string is neither KEY=VALUE pairs nor a postgresql:// "
                         "URI as libpq reads them, or has an unknown key");
    settings->connect_timeout = connect_timeout_read(options);
    settings->shown = shown_make(options, is_string || dsn.length == 0 ? NULL : settings->dsn);
    bool copied = secrets_copy(settings, options);
    PQconninfoFree(options);
    return (settings->shown && copied) ||
           error_set(error, ERROR_MEMORY, "no memory for a connection string");
}

void postgres_settings_close(struct postgres_settings *settings)
{
    free(settings->dsn);
    free(settings->shown);
    for (size_t i = 0; i < ARRAY_SIZE(settings->secrets); i++)
        free(settings->secrets[i]);
    *settings = (struct postgres_settings){0};
}

/* ---- SQL ---- */

static void bytes_append(struct sql_text *sql, const char *bytes, size_t length)
{
    if (!sql->failed && sql->capacity - sql->length <= length) {
        size_t capacity = 2 * (sql->capacity + length) + 256;
        char *text = memory_resize(sql->text, capacity);
        sql->failed = !text;
        if (text) {
            sql->text = text;
            sql->capacity = capacity;
        }
    }
    if (sql->failed) {
        free(sql->text);
        sql->text = NULL;
        return;
    }
    memcpy(sql->text + sql->length, bytes, length);
    sql->length += length;
    sql->text[sql->length] = 0;
}

static void quoted_append(struct sql_text *sql, const struct string *text, char quote)
{
    if (quote == '\'' && memchr(text->data, '\\', text->length))
        bytes_append(sql, " E", 2);
    bytes_append(sql, &quote, 1);
    for (size_t i = 0; i < text->length; i++) {
        char byte = text->data[i];
        if (byte == quote || (byte == '\\' && quote == '\''))
            bytes_append(sql, &byte, 1);
        bytes_append(sql, &byte, 1);
    }
    bytes_append(sql, &quote, 1);
}

void sql_append(struct sql_text *sql, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    for (const char *at = format; *at; at++) {
        char number[24];
        const char *text = at;
        size_t length = 1;
        if (*at == '%') {
            switch (*++at) {
            case 'I':
                quoted_append(sql, va_arg(arguments, const struct string *), '"');
                continue;
            case 'L':
                quoted_append(sql, va_arg(arguments, const struct string *), '\'');
                continue;
            case 's':
                text = va_arg(arguments, const char *);
                length = strlen(text);
                break;
            case 'd':
                length = (size_t)snprintf(number, sizeof(number), "%lld",
                                          (long long)*va_arg(arguments, const int64_t *));
                text = number;
                break;
            default:
                CHECK(!"%I, %L, %s or %d");
            }
        }
        bytes_append(sql, text, length);
    }
    bytes_append(sql, "", 0); /* text, even of nothing */
    va_end(arguments);
}
