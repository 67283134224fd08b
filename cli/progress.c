/* The progress line: see progress.h. */
#include "cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/human.h"
#include "cli/notice.h"
#include "core/clock.h"
#include "core/utf8.h"

#define QUIET_START (NANOSECONDS / 2)
/* Weight of the newest interval in the smoothed rate. */
#define RATE_WEIGHT 0.2

void progress_open(struct progress *progress)
{
    *progress = (struct progress){.started = clock_monotonic()};
    progress->last = progress->started;
}

static unsigned terminal_width(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 20)
        return 80;
    return size.ws_col;
}

static size_t text_width(const char *text)
{
    size_t length = strlen(text);
    return utf8_valid(text, length) ? utf8_count(text, length) : length;
}

/* Appends "  text" if that leaves the line within its width. */
static void part_append(char *out, size_t size, unsigned width, const char *text)
{
    size_t length = strlen(out);
    if (!*text || text_width(out) + 2 + text_width(text) > width ||
        length + 2 + strlen(text) >= size)
        return;
    snprintf(out + length, size - length, "  %s", text);
}

void progress_compose(char *out, size_t size, unsigned width, const struct run_totals *totals,
                      double rate, const char *bottleneck)
{
    char part[128];
    bool known = totals->bytes_total > 0;
    double total = (double)totals->bytes_total;
    double read = (double)totals->bytes_read;
    if (known && read > total)
        read = total;
    snprintf(out, size, "leat:%s", known ? "" : " running");
    if (known)
        snprintf(out, size, "leat: %.0f %%", 100 * read / total);
    snprintf(part, sizeof(part), "%s records", human_count(totals->read).text);
    part_append(out, size, width, part);
    if (rate > 0) {
        snprintf(part, sizeof(part), "%s/s", human_bytes(rate).text);
        part_append(out, size, width, part);
    }
    if (known && rate > 0) {
        snprintf(part, sizeof(part), "%s left", human_clock((total - read) / rate).text);
        part_append(out, size, width, part);
    }
    snprintf(part, sizeof(part), "%s%s%s", human_bytes(read).text, known ? " of " : "",
             known ? human_bytes(total).text : "");
    part_append(out, size, width, part);
    if (totals->rejected) {
        snprintf(part, sizeof(part), "%s rejected", human_count(totals->rejected).text);
        part_append(out, size, width, part);
    }
    part_append(out, size, width, bottleneck);
}

void progress_draw(struct progress *progress, struct run *run)
{
    int64_t now = clock_monotonic();
    struct run_totals totals;
    run_snapshot(run, &totals);
    double seconds = (double)(now - progress->last) / NANOSECONDS;
    if (seconds > 0) {
        double rate = (double)(totals.bytes_read - progress->last_bytes) / seconds;
        progress->rate += (progress->rate > 0 ? RATE_WEIGHT : 1) * (rate - progress->rate);
    }
    progress->last = now;
    progress->last_bytes = totals.bytes_read;
    if (now - progress->started < QUIET_START)
        return;
    char bottleneck[128] = "";
    char line[512];
    run_bottleneck(run, bottleneck, sizeof(bottleneck));
    progress_compose(line, sizeof(line), terminal_width() - 1, &totals, progress->rate, bottleneck);
    notice_line_draw(line);
}
