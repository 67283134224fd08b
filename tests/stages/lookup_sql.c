/* What is told of an SQL statement without its database, against what a PostgreSQL server makes of
 * the same text. */
#include "stages/lookup_sql.h"
#include "tests/postgres.h"
#include "tests/suite.h"

#define MANY "1234567890"

static const struct {
    const char *text;
    uint32_t parameters;
    bool only_reads;
} cases[] = {
    {"SELECT 1", 0, true},
    {"select $1::int", 1, true},
    {"  /* a /* nested $7 */ b */ select $1::int, $2::text", 2, true},
    {"SELECT $2::int, $1::int", 2, true},
    {"SELECT '$1', \"a$2\", '''$3' FROM (SELECT 1 AS \"a$2\") AS t", 0, true},
    {"SELECT E'\\'$1', $1::int", 1, true},
    {"SELECT e'\\\\', $1::int, '\\', $2::int", 2, true},
    {"SELECT $$ $1 $$, $a$ $2 $$ $a$, $1::text", 1, true},
    {"SELECT $a1$ $2 $a1$, $1::text", 1, true},
    {"SELECT 1 -- $1\n, $1::int", 1, true},
    {"SELECT 1 --", 0, true},
    {"SELECT 4 / $1::int", 1, true},
    {"SELECT 4 - - $1::int", 1, true},
    {"SELECT a$1 FROM (SELECT 1 AS a$1) AS t", 0, true},
    {"SELECT \xc3\xa4$1 FROM (SELECT 1 AS \xc3\xa4$1) AS t", 0, true},
    {"SELECT \"ins\"\"ert $1\", 'insert' FROM (SELECT 1 AS \"ins\"\"ert $1\") t", 0, true},
    {"VALUES ($1::int)", 1, true},
    {"TABLE t", 0, true},
    {"WITH a AS (SELECT $1::int AS b) SELECT b FROM a", 1, true},
    {"WITH a AS (INSERT INTO t VALUES ($1) RETURNING n) SELECT n FROM a", 1, false},
    {"WITH a AS (/**/delete/**/FROM t WHERE n = $1 RETURNING n) SELECT n FROM a", 1, false},
    {"WITH a AS (UPDATE t SET n = $2 WHERE n = $1 RETURNING n) SELECT n FROM a", 2, false},
    {"INSERT INTO t VALUES ($1) RETURNING n", 1, false},
    {"SELECT n INTO made FROM t", 0, false},
    {"(SELECT $1::int)", 1, true},
};

static void test_statements(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *text = cases[i].text;
        struct sql_outline outline = sql_outline_read((struct string){text, strlen(text)});
        if (outline.parameters != cases[i].parameters || outline.only_reads != cases[i].only_reads)
            printf("\n    %s: %u, %d\n", text, outline.parameters, outline.only_reads);
        CU_ASSERT_EQUAL(outline.parameters, cases[i].parameters);
        CU_ASSERT_EQUAL(outline.only_reads, cases[i].only_reads);
        CU_ASSERT_FALSE(outline.names_parameters);
    }
}

/* The server counts the same; and what only reads runs in a transaction that must. */
static void test_server_agrees(void)
{
    if (!server_dsn())
        return;
    expect_rows("CREATE TABLE t (n int)", "");
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *text = cases[i].text;
        PGresult *result = PQprepare(test_server.connection, "outline", text, 0, NULL);
        if (PQresultStatus(result) != PGRES_COMMAND_OK)
            printf("\n    %s: %s\n", text, PQresultErrorMessage(result));
        CU_ASSERT_EQUAL(PQresultStatus(result), PGRES_COMMAND_OK);
        PQclear(result);
        result = PQdescribePrepared(test_server.connection, "outline");
        CU_ASSERT_EQUAL(PQnparams(result), (int)cases[i].parameters);
        PQclear(result);
        const char *const values[] = {"1", "1"};
        PQclear(PQexec(test_server.connection, "BEGIN READ ONLY"));
        result = PQexecPrepared(test_server.connection, "outline", (int)cases[i].parameters, values,
                                NULL, NULL, 0);
        const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        bool refused = state && strcmp(state, "25006") == 0;
        if (refused == cases[i].only_reads)
            printf("\n    %s: %s\n", text, PQresultErrorMessage(result));
        CU_ASSERT_EQUAL(refused, !cases[i].only_reads);
        PQclear(result);
        PQclear(PQexec(test_server.connection, "ROLLBACK; DEALLOCATE outline"));
    }
}

static void test_names(void)
{
    static const char *const texts[] = {"SELECT ?", "SELECT ?2", "SELECT :a", "SELECT @a",
                                        "SELECT $a"};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        CU_ASSERT(sql_outline_read((struct string){texts[i], strlen(texts[i])}).names_parameters);
}

/* Cut off anywhere, and made of pieces that begin something: it ends, within the text (sanitizers
 * tell), and only says what is there. */
static void test_hostile(void)
{
    static const char *const pieces[] = {"'",  "\"",      "$$",   "$a$", "/*",         "*/",
                                         "--", "\n",      "e'",   "\\",  "$",          "$9",
                                         "`",  "select ", "\xc3", ":",   "$" MANY MANY};
    char text[64];
    uint32_t state = 1;
    for (int round = 0; round < 100000; round++) {
        size_t length = 0;
        while (length < 40) {
            state = state * 1664525 + 1013904223;
            const char *piece = pieces[(state >> 16) % ARRAY_SIZE(pieces)];
            length += (size_t)snprintf(text + length, sizeof(text) - length, "%s", piece);
        }
        char *cut = malloc(length % 41 ? length % 41 : 1); /* no byte behind it may be read */
        if (!cut)
            abort();
        memcpy(cut, text, length % 41);
        struct sql_outline outline = sql_outline_read((struct string){cut, length % 41});
        CU_ASSERT(outline.parameters <= 10000000);
        free(cut);
    }
}

SUITE(lookup_sql, {"parameters and writing", test_statements},
      {"a server agrees", test_server_agrees}, {"parameters by other names", test_names},
      {"hostile texts", test_hostile})
