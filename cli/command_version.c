/* `leat version`. Main thread only. */
#include <stdio.h>
#include <sqlite3.h>
#include <zstd.h>

#include "cli/commands.h"

int command_version(const struct arguments *arguments)
{
    (void)arguments;
    printf("leat %s (zstd %s, SQLite %s)\n", LEAT_VERSION, ZSTD_versionString(),
           sqlite3_libversion());
    return 0;
}
