/* `leat try`: real input, sinks off; the first records before and after each stage. Main thread. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/notice.h"
#include "cli/session.h"

int command_try(const struct arguments *arguments)
{
    struct session session;
    struct error error;
    int status;
    if (session_open(&session, arguments, &status) &&
        !plan_try(session.plan, arguments->records, stdout, &error)) {
        fflush(stdout);
        notice_error(&error);
        status = session_status(&error);
    }
    session_close(&session);
    return status;
}
