/* A PostgreSQL server for unit tests: starts build/…/servers/postgres (tests/servers/postgres.c)
 * once for the test process; it ends with it. And a connection of the test's own, to look at what
 * was written. For one thread. */
#ifndef LEAT_TESTS_POSTGRES_H
#define LEAT_TESTS_POSTGRES_H

#include <fcntl.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/suite.h"

static struct {
    bool tried;
    FILE *in;
    FILE *out;
    char folder[160];
    PGconn *connection;
} test_server;

/* "host=FOLDER user=leat dbname=leat", or NULL where there is no server (said once). */
static const char *server_dsn(void)
{
    static char dsn[256];
    char path[512];
    int in[2], out[2];
    if (test_server.tried)
        return test_server.folder[0] ? dsn : NULL;
    test_server.tried = true;
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 64);
    if (length <= 0 || pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)
        abort();
    path[length] = 0;
    snprintf(strrchr(path, '/'), 32, "/../servers/postgres");
    pid_t child = fork();
    if (child == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        execl(path, path, "-c", "log_statement=all", (char *)NULL);
        _exit(77);
    }
    close(in[0]);
    close(out[1]);
    test_server.in = fdopen(in[1], "w");
    test_server.out = fdopen(out[0], "r");
    if (!fgets(test_server.folder, sizeof(test_server.folder), test_server.out)) {
        test_server.folder[0] = 0;
        suite_skip("no PostgreSQL server, or servers/postgres was not built");
        return NULL;
    }
    test_server.folder[strcspn(test_server.folder, "\n")] = 0;
    snprintf(dsn, sizeof(dsn), "host=%s user=leat dbname=leat", test_server.folder);
    return dsn;
}

/* fast, immediate, start, restart, begin: see tests/servers/postgres.c. */
__attribute__((unused)) static void server_command(const char *command)
{
    char answer[16];
    fprintf(test_server.in, "%s\n", command);
    fflush(test_server.in);
    if (!fgets(answer, sizeof(answer), test_server.out) || strcmp(answer, "ok\n") != 0)
        abort();
}

/* The answer of the server; connects where it has to, also where a restart has cut it off. */
static PGresult *server_answer(const char *sql)
{
    for (int tries = 0;; tries++) {
        if (!test_server.connection) {
            test_server.connection = PQconnectdb(server_dsn());
            PQclear(PQexec(test_server.connection, "SET client_min_messages = warning"));
        }
        PGresult *result = PQexec(test_server.connection, sql);
        const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        if (PQresultStatus(result) != PGRES_FATAL_ERROR || tries == 5 ||
            (state && strncmp(state, "57P", 3) != 0))
            return result;
        PQclear(result);
        PQfinish(test_server.connection);
        test_server.connection = NULL;
    }
}

/* Rows as "a|b;c|d;", null as NULL; an error as its SQLSTATE. */
__attribute__((unused)) static const char *server_query(const char *sql)
{
    static char text[8192];
    size_t used = 0;
    PGresult *result = server_answer(sql);
    text[0] = 0;
    if (PQresultStatus(result) == PGRES_FATAL_ERROR) {
        const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        snprintf(text, sizeof(text), "%s", state ? state : PQerrorMessage(test_server.connection));
    }
    for (int row = 0; row < PQntuples(result); row++)
        for (int column = 0; column < PQnfields(result); column++)
            used += (size_t)snprintf(
                text + used, used < sizeof(text) ? sizeof(text) - used : 0, "%s%s%s",
                column ? "|" : "",
                PQgetisnull(result, row, column) ? "NULL" : PQgetvalue(result, row, column),
                column + 1 == PQnfields(result) ? ";" : "");
    PQclear(result);
    return text;
}

__attribute__((unused)) static void expect_rows(const char *sql, const char *expected)
{
    const char *found = server_query(sql);
    if (strcmp(found, expected) != 0)
        printf("\n    %s\n    gives  %s\n    wanted %s\n", sql, found, expected);
    CU_ASSERT(strcmp(found, expected) == 0);
}

#endif
