/* The table of PostgreSQL's types: see postgres_types.h. */
#include "clients/postgres_types.h"

#include <string.h>

/* OIDs of the built-in types, from PostgreSQL's pg_type.dat; they never change. */
static const struct {
    uint32_t oid;
    uint32_t array_oid;
    enum postgres_kind kind;
} types[] = {
    {16, 1000, POSTGRES_BOOL},        {17, 1001, POSTGRES_BYTEA},
    {19, 1003, POSTGRES_TEXT}, /* name */
    {20, 1016, POSTGRES_INT8},        {21, 1005, POSTGRES_INT2},
    {23, 1007, POSTGRES_INT4},        {25, 1009, POSTGRES_TEXT},
    {26, 1028, POSTGRES_OID},         {114, 199, POSTGRES_JSON},
    {142, 143, POSTGRES_TEXT}, /* xml */
    {700, 1021, POSTGRES_FLOAT4},     {701, 1022, POSTGRES_FLOAT8},
    {705, 0, POSTGRES_TEXT},     /* unknown: a literal in a query */
    {1042, 1014, POSTGRES_TEXT}, /* char(n) */
    {1043, 1015, POSTGRES_TEXT}, /* varchar */
    {1082, 1182, POSTGRES_DATE},      {1083, 1183, POSTGRES_TIME},
    {1114, 1115, POSTGRES_TIMESTAMP}, {1184, 1185, POSTGRES_TIMESTAMPTZ},
    {1186, 1187, POSTGRES_INTERVAL},  {1700, 1231, POSTGRES_NUMERIC},
    {2950, 2951, POSTGRES_UUID},      {3802, 3807, POSTGRES_JSONB},
};

struct postgres_type postgres_type_of(uint32_t oid)
{
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        if (types[i].oid == oid)
            return (struct postgres_type){.kind = types[i].kind};
        if (types[i].array_oid == oid && oid != 0)
            return (struct postgres_type){
                .kind = types[i].kind, .is_array = true, .element_oid = types[i].oid};
    }
    return (struct postgres_type){.kind = POSTGRES_UNKNOWN};
}

enum postgres_kind postgres_kind_named(char typtype, const char *typname)
{
    return typtype == 'e' || strcmp(typname, "citext") == 0 ? POSTGRES_TEXT : POSTGRES_UNKNOWN;
}

const char *postgres_kind_name(enum postgres_kind kind)
{
    static const char *const names[] = {
        [POSTGRES_UNKNOWN] = "unknown",     [POSTGRES_BOOL] = "boolean",
        [POSTGRES_INT2] = "smallint",       [POSTGRES_INT4] = "integer",
        [POSTGRES_INT8] = "bigint",         [POSTGRES_OID] = "oid",
        [POSTGRES_FLOAT4] = "real",         [POSTGRES_FLOAT8] = "double precision",
        [POSTGRES_NUMERIC] = "numeric",     [POSTGRES_TEXT] = "text",
        [POSTGRES_JSON] = "json",           [POSTGRES_JSONB] = "jsonb",
        [POSTGRES_BYTEA] = "bytea",         [POSTGRES_UUID] = "uuid",
        [POSTGRES_DATE] = "date",           [POSTGRES_TIME] = "time",
        [POSTGRES_TIMESTAMP] = "timestamp", [POSTGRES_TIMESTAMPTZ] = "timestamp with time zone",
        [POSTGRES_INTERVAL] = "interval",
    };
    _Static_assert(ARRAY_SIZE(names) == POSTGRES_KIND_COUNT, "a name for each kind");
    CHECK((size_t)kind < POSTGRES_KIND_COUNT);
    return names[kind];
}
