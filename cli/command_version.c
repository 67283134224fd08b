/* `leat version`, and the two commands that come with resuming. Main thread only. */
#include <stdio.h>
#include <sqlite3.h>
#include <zstd.h>

#include "cli/commands.h"
#include "cli/notice.h"

int command_version(const struct arguments *arguments)
{
    (void)arguments;
    printf("leat %s (zstd %s, SQLite %s)\n", LEAT_VERSION, ZSTD_versionString(),
           sqlite3_libversion());
    return 0;
}

/* Refused rather than unknown: the names are taken, and a script should hear why. */
static int refuse(const char *name)
{
    notice(NOTICE_ERROR, "usage",
           "\"leat %s\" comes with resuming, which this version does not have yet; an interrupted "
           "run left the old target, run it again",
           name);
    return 2;
}

int command_replay(const struct arguments *arguments)
{
    (void)arguments;
    return refuse("replay");
}
