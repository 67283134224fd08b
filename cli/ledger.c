/* The ledger for people: see ledger.h. */
#include "cli/ledger.h"

#include <string.h>

#include "cli/human.h"
#include "cli/notice.h"
#include "core/utf8.h"

/* More causes than these are counted, not named; --report has them all. */
#define CAUSES_SHOWN 8

bool ledger_balances(const struct run_totals *totals)
{
    return totals->read + totals->created ==
           totals->written + totals->filtered + totals->absorbed + totals->rejected;
}

static double rate_of(double amount, double seconds)
{
    return seconds > 0 ? amount / seconds : 0;
}

/* What stands between in and out. A run that failed was cut off between the two, which is no fault
 * of the ledger's: its figures say how far each had come. */
static const char *line_relation(const struct run *run, const struct run_totals *totals)
{
    int status = run_exit_status(run);
    if (status != RUN_DONE && status != RUN_REJECTED)
        return ";";
    return ledger_balances(totals) ? " =" : " !=";
}

/* "1,000 read = 40 written + 960 filtered   0.021 s, 48,211 records/s" */
static void line_compose(char *line, size_t size, const struct run *run,
                         const struct run_totals *totals)
{
    const struct {
        uint64_t count;
        const char *name;
    } ends[] = {{totals->filtered, "filtered"},
                {totals->absorbed, "absorbed"},
                {totals->rejected, "rejected"}};
    size_t length = (size_t)snprintf(line, size, "%s read", human_count(totals->read).text);
    if (totals->created)
        length += (size_t)snprintf(line + length, size - length, " + %s created",
                                   human_count(totals->created).text);
    length += (size_t)snprintf(line + length, size - length, "%s %s written",
                               line_relation(run, totals), human_count(totals->written).text);
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
        if (ends[i].count)
            length += (size_t)snprintf(line + length, size - length, " + %s %s",
                                       human_count(ends[i].count).text, ends[i].name);
    CHECK(length < size);
    snprintf(line + length, size - length, "   %s, %s records/s",
             human_seconds(totals->seconds).text,
             human_count((uint64_t)rate_of((double)totals->read, totals->seconds)).text);
}

static void print_figure(FILE *out, const char *name, uint64_t count, const char *rest)
{
    fprintf(out, "  %-9s %14s%s%s\n", name, human_count(count).text, *rest ? "  " : "", rest);
}

static void print_figures(FILE *out, const struct run *run, const struct run_totals *totals)
{
    int status = run_exit_status(run);
    char rest[128];
    fputs("ledger\n", out);
    snprintf(rest, sizeof(rest), "%s, %s/s", human_bytes((double)totals->bytes_read).text,
             human_bytes(rate_of((double)totals->bytes_read, totals->seconds)).text);
    print_figure(out, "read", totals->read, rest);
    if (totals->created)
        print_figure(out, "created", totals->created, "");
    print_figure(out, "written", totals->written, human_bytes((double)totals->bytes_written).text);
    print_figure(out, "filtered", totals->filtered, "");
    if (totals->absorbed)
        print_figure(out, "absorbed", totals->absorbed, "");
    print_figure(out, "rejected", totals->rejected, "");
    uint64_t ended = totals->written + totals->filtered + totals->absorbed + totals->rejected;
    if (status != RUN_DONE && status != RUN_REJECTED)
        fputs("  cut off where the run ended", out);
    else if (ledger_balances(totals))
        fputs("  balanced", out);
    else
        fprintf(out, "  NOT balanced: %s read, %s accounted for",
                human_count(totals->read + totals->created).text, human_count(ended).text);
    fprintf(out, ";  %s,  %s records/s,  peak memory %.1f MiB\n",
            human_seconds(totals->seconds).text,
            human_count((uint64_t)rate_of((double)totals->read, totals->seconds)).text,
            (double)totals->peak_rss_bytes / (1024 * 1024));
}

/* Code points, for aligning; bytes where it is no UTF-8. */
static size_t name_width(const char *name)
{
    size_t length = strlen(name);
    return utf8_valid(name, length) ? utf8_count(name, length) : length;
}

static void print_stage(FILE *out, const struct run_stage *stage, size_t width)
{
    const struct stage_count *count = &stage->count;
    double all = stage->busy_seconds + stage->wait_input_seconds + stage->wait_output_seconds;
    fprintf(out, "  %s%*s %13s %13s %13s %10s %6s %8s %8s\n", stage->name,
            (int)(width - name_width(stage->name)), "", human_count(count->read).text,
            human_count(count->written).text, human_count(count->filtered + count->absorbed).text,
            human_count(count->rejected).text, human_share(stage->busy_seconds, all).text,
            human_share(stage->wait_input_seconds, all).text,
            human_share(stage->wait_output_seconds, all).text);
}

static void print_stages(FILE *out, struct run *run)
{
    uint32_t count = run_stage_count(run);
    struct run_stage stage;
    size_t width = strlen("stage");
    for (uint32_t i = 0; i < count; i++) {
        run_stage(run, i, &stage);
        width = size_max(width, name_width(stage.name));
    }
    fprintf(out, "  %-*s %13s %13s %13s %10s %6s %8s %8s\n", (int)width, "stage", "read", "written",
            "filtered", "rejected", "busy", "wait in", "wait out");
    for (uint32_t i = 0; i < count; i++) {
        run_stage(run, i, &stage);
        print_stage(out, &stage, width);
    }
}

/* "2 rejected by parse: no match (no_match)" */
static void notice_cause(const char *what, enum notice_level level, const struct run_cause *cause)
{
    const char *slug = error_slug(cause->code);
    notice(level, slug, "%s %s %s: %s (%s)", human_count(cause->count).text, what, cause->stage,
           cause->text[0] ? cause->text : error_meaning(cause->code), slug);
}

static void print_causes(const struct run *run)
{
    uint32_t rejected = run_reject_cause_count(run);
    for (uint32_t i = 0; i < rejected && i < CAUSES_SHOWN; i++)
        notice_cause("rejected by", NOTICE_WARNING, run_reject_cause(run, i));
    if (rejected > CAUSES_SHOWN)
        notice(NOTICE_WARNING, "rejected", "and %u causes more (--report names them all)",
               rejected - CAUSES_SHOWN);
    uint32_t instead = run_instead_cause_count(run);
    for (uint32_t i = 0; i < instead && i < CAUSES_SHOWN; i++)
        notice_cause("answered otherwise by", NOTICE_WARNING, run_instead_cause(run, i));
    if (instead > CAUSES_SHOWN)
        notice(NOTICE_WARNING, "lookup", "and %u causes more (--report names them all)",
               instead - CAUSES_SHOWN);
    uint32_t events = run_event_count(run);
    for (uint32_t i = 0; i < events && i < CAUSES_SHOWN; i++)
        notice_cause("times in", NOTICE_INFO, run_event(run, i));
    uint32_t mismatched = run_mismatch_cause_count(run);
    for (uint32_t i = 0; i < mismatched && i < CAUSES_SHOWN; i++)
        notice_cause("did not match in", NOTICE_INFO, run_mismatch_cause(run, i));
    for (uint32_t i = 0; i < run_never_seen_count(run); i++) {
        const char *hint = run_never_seen_hint(run, i);
        notice(NOTICE_WARNING, "never_seen", "no record had a field \"%s\"%s%s%s",
               run_never_seen(run, i), hint ? "; did you mean \"" : "", hint ? hint : "",
               hint ? "\"?" : "");
    }
}

void ledger_print(FILE *out, struct run *run, const struct run_totals *totals, bool whole)
{
    char line[512];
    line_compose(line, sizeof(line), run, totals);
    print_causes(run);
    if (notice_is_json()) {
        notice(NOTICE_INFO, "ledger", "%s", line);
    } else if (!whole) {
        fprintf(out, "leat: %s\n", line);
    } else {
        print_figures(out, run, totals);
        print_stages(out, run);
    }
}
