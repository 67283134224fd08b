/* `leat run` and one-liners: plan, run, progress, ledger, report. The main thread waits and draws;
 * the runtime's threads do the work; signals go to run_stop. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/ledger.h"
#include "cli/notice.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/session.h"
#include "cli/signals.h"
#include "core/clock.h"
#include "core/thread.h"
#include "pipeline/log.h"

/* How often the main thread looks up: five times a second. */
#define TICK          (NANOSECONDS / 5)
#define REPORT_PERIOD (10 * NANOSECONDS)

static bool writes_stdout(const struct plan *plan)
{
    for (uint32_t i = 0; i < plan_node_count(plan); i++) {
        const struct plan_node *node = plan_node(plan, i);
        if (strcmp(node->role, "sink") == 0 && strncmp(node->label, "stdout", 6) == 0)
            return true;
    }
    return false;
}

/* The reader of our stdout went away: the run ended where it stood, and nobody wants to know. */
static bool stdout_abandoned(const struct plan *plan)
{
    struct pollfd descriptor = {.fd = STDOUT_FILENO};
    return writes_stdout(plan) && poll(&descriptor, 1, 0) == 1 && (descriptor.revents & POLLERR);
}

static bool progress_wanted(const struct arguments *arguments, const struct plan *plan)
{
    if (strcmp(arguments->progress, "auto") != 0)
        return strcmp(arguments->progress, "always") == 0;
    /* records and a progress line on one terminal would overwrite each other */
    bool mixed = writes_stdout(plan) && isatty(STDOUT_FILENO);
    return !arguments->quiet && !mixed && isatty(STDERR_FILENO);
}

/* A report that cannot be written must not stop the run, but is told once. */
static void report_running(const char *path, struct run *run, bool *failed)
{
    struct error error;
    if (*failed || report_write(path, run, REPORT_STATUS_RUNNING, &error))
        return;
    *failed = true;
    notice(NOTICE_WARNING, error_slug(error.code), "%s", error.text);
}

static void wait_for_end(const struct arguments *arguments, const struct plan *plan,
                         struct run *run)
{
    struct progress progress;
    bool draws = progress_wanted(arguments, plan);
    bool report_failed = false;
    int64_t report_next = clock_monotonic() + REPORT_PERIOD;
    progress_open(&progress);
    while (!run_wait(run, TICK)) {
        if (draws)
            progress_draw(&progress, run);
        if (arguments->report && clock_monotonic() >= report_next) {
            report_running(arguments->report, run, &report_failed);
            report_next += REPORT_PERIOD;
        }
    }
    notice_line_clear();
}

static void show_errors(const struct run *run)
{
    for (uint32_t i = 0; i < run_error_count(run); i++)
        notice_error(run_error(run, i));
}

static int end_run(const struct arguments *arguments, const struct session *session,
                   struct run *run)
{
    bool abandoned = stdout_abandoned(session->plan);
    struct run_totals totals;
    run_snapshot(run, &totals);
    show_errors(run);
    int status = run_exit_status(run);
    if (!arguments->quiet && !abandoned) {
        bool whole = arguments->command != COMMAND_PROGRAM || arguments->run.verbose;
        ledger_print(stderr, run, &totals, whole);
    }
    struct error error;
    if (arguments->report && !report_write(arguments->report, run, status, &error)) {
        notice_error(&error);
        status = status == RUN_DONE ? RUN_FAILED : status;
    }
    return status;
}

/* A run that lost its connection is gone on with from its last checkpoint, unless that does not
 * help for so long. */
#define AGAIN_PATIENCE (60 * NANOSECONDS)
#define AGAIN_PAUSE    (NANOSECONDS / 5)
#define AGAIN_LONGEST  (10 * NANOSECONDS)

struct again {
    bool wanted;
    uint64_t number; /* of the last checkpoint at the last try */
    int64_t since;   /* no checkpoint has come since then; monotonic */
    int64_t pause;
};

static void again_judge(struct again *again, const struct run *run)
{
    uint64_t number;
    int64_t now = clock_monotonic();
    again->wanted = run_wants_again(run, &number);
    if (!again->wanted)
        return;
    if (again->since == 0 || number != again->number)
        *again = (struct again){true, number, now, AGAIN_PAUSE};
    again->wanted = now - again->since < AGAIN_PATIENCE;
    if (again->wanted)
        notice(NOTICE_WARNING, error_slug(run_error(run, 0)->code),
               "%s; going on from the last checkpoint", run_error(run, 0)->text);
}

/* Waits before another try, as long as no signal comes. */
static void again_wait(struct again *again)
{
    struct event never = {0};
    int64_t end = clock_monotonic() + again->pause;
    while (clock_monotonic() < end && signals_first() == 0)
        event_wait(&never, event_sequence(&never), NANOSECONDS / 20);
    again->pause = again->pause * 2 < AGAIN_LONGEST ? again->pause * 2 : AGAIN_LONGEST;
}

static int run_plan(const struct arguments *arguments, struct session *session, struct again *again)
{
    struct error error;
    if (arguments->run.verbose) {
        plan_print_promises(session->plan, stderr);
        plan_print_memory(session->plan, stderr);
    }
    log_handler(notice_line);
    struct run *run = run_start(session->plan, &error);
    again->wanted = false;
    if (!run) {
        /* the server may still be coming back */
        again->wanted = again->since && error.code == ERROR_DATABASE &&
                        clock_monotonic() - again->since < AGAIN_PATIENCE;
        if (again->wanted)
            return RUN_FAILED;
        notice_error(&error);
        return error.code == ERROR_STOPPED ? RUN_STOPPED + signals_first() : session_status(&error);
    }
    signals_watch(run);
    wait_for_end(arguments, session->plan, run);
    signals_watch(NULL);
    again_judge(again, run);
    int status = again->wanted ? RUN_FAILED : end_run(arguments, session, run);
    run_close(run);
    return status;
}

/* Nothing was run: a report of an earlier run must not be taken for this one's. */
static void report_nothing(const struct arguments *arguments, int status)
{
    struct error error;
    if (arguments->report && !report_write(arguments->report, NULL, status, &error))
        notice_error(&error);
}

int command_program(const struct arguments *arguments)
{
    struct again again = {.wanted = false};
    struct arguments tried = *arguments;
    int status;
    signals_open();
    for (;;) {
        struct session session;
        if (session_open(&session, &tried, &status))
            status = run_plan(&tried, &session, &again);
        else
            report_nothing(arguments, status);
        session_close(&session);
        if (!again.wanted)
            return status;
        again_wait(&again);
        tried.run.again = true;
    }
}

int command_run(const struct arguments *arguments)
{
    return command_program(arguments);
}
