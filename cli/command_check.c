/* `leat check`: everything that can be known without running it. Errors go to stderr and end in 2;
 * a pipeline that is right is described on stdout. Main thread only. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/session.h"

static void describe(const struct session *session)
{
    const struct plan *plan = session->plan;
    uint32_t nodes = plan_node_count(plan);
    printf("%s is right: %u step%s\n", session->name, nodes, nodes == 1 ? "" : "s");
    for (uint32_t i = 0; i < nodes; i++) {
        const struct plan_node *node = plan_node(plan, i);
        printf("  %-7s %s\n", node->role, node->text && *node->text ? node->text : node->label);
    }
    puts("delivery");
    plan_print_promises(plan, stdout);
    puts("memory");
    plan_print_memory(plan, stdout);
}

int command_check(const struct arguments *arguments)
{
    struct session session;
    int status;
    if (session_open(&session, arguments, &status) && !arguments->quiet)
        describe(&session);
    session_close(&session);
    return status;
}
