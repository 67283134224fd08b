/* `leat state`: shows where a pipeline stands, or has it forgotten. Main thread only. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/notice.h"
#include "cli/session.h"

int command_state(const struct arguments *arguments)
{
    struct session session;
    int status;
    if (session_open(&session, arguments, &status)) {
        struct error error;
        if (!plan_show_state(session.plan, arguments->forget, stdout, &error)) {
            notice_error(&error);
            status = session_status(&error);
        }
    }
    session_close(&session);
    return status;
}
