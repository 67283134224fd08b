/* The ledger as JSON: see report.h. */
#include "cli/report.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/json_text.h"
#include "io/engine.h"

static const char *status_name(int status)
{
    switch (status) {
    case REPORT_STATUS_RUNNING:
        return "running";
    case RUN_DONE:
        return "done";
    case 2:
        return "wrong";
    case RUN_REJECTED:
        return "rejected";
    case RUN_LOCKED:
        return "locked";
    default:
        return status > RUN_STOPPED ? "stopped" : "failed";
    }
}

static void write_key(FILE *out, const char *name, uint64_t number)
{
    fprintf(out, ",\n  \"%s\": %llu", name, (unsigned long long)number);
}

static void write_totals(FILE *out, const struct run_totals *totals)
{
    write_key(out, "read", totals->read);
    write_key(out, "created", totals->created);
    write_key(out, "written", totals->written);
    write_key(out, "filtered", totals->filtered);
    write_key(out, "absorbed", totals->absorbed);
    write_key(out, "rejected", totals->rejected);
    write_key(out, "bytes_read", totals->bytes_read);
    write_key(out, "bytes_written", totals->bytes_written);
    fprintf(out, ",\n  \"seconds\": %.6f", totals->seconds);
    write_key(out, "peak_rss_bytes", totals->peak_rss_bytes);
}

static void write_counters(FILE *out, const struct run_stage *stage)
{
    for (uint32_t i = 0; i < stage->counter_count; i++)
        fprintf(out, "%s\"%s\": %llu", i ? ", " : ", \"counters\": {", stage->counters[i].name,
                (unsigned long long)stage->counters[i].value);
    fputs(stage->counter_count ? "}" : "", out);
}

static void write_stages(FILE *out, struct run *run)
{
    uint32_t count = run ? run_stage_count(run) : 0;
    fputs(",\n  \"stages\": [", out);
    for (uint32_t i = 0; i < count; i++) {
        struct run_stage stage;
        run_stage(run, i, &stage);
        fprintf(out, "%s\n    {\"name\": ", i ? "," : "");
        json_text_write(out, stage.name);
        fprintf(out,
                ", \"read\": %llu, \"written\": %llu, \"filtered\": %llu, \"rejected\": %llu, "
                "\"busy_seconds\": %.6f, \"wait_input_seconds\": %.6f, "
                "\"wait_output_seconds\": %.6f",
                (unsigned long long)stage.count.read, (unsigned long long)stage.count.written,
                (unsigned long long)stage.count.filtered, (unsigned long long)stage.count.rejected,
                stage.busy_seconds, stage.wait_input_seconds, stage.wait_output_seconds);
        write_counters(out, &stage);
        fputs("}", out);
    }
    fputs(count ? "\n  ]" : "]", out);
}

static void write_never_seen(FILE *out, const struct run *run)
{
    uint32_t count = run ? run_never_seen_count(run) : 0;
    fputs(",\n  \"fields_never_seen\": [", out);
    for (uint32_t i = 0; i < count; i++) {
        fputs(i ? ", " : "", out);
        json_text_write(out, run_never_seen(run, i));
    }
    fputs("]", out);
}

static void write_cause(FILE *out, const char *kind, const struct run_cause *cause, bool first)
{
    fprintf(out, "%s\n    {\"kind\": \"%s\", \"stage\": ", first ? "" : ",", kind);
    json_text_write(out, cause->stage);
    fprintf(out, ", \"error\": \"%s\", \"count\": %llu, \"text\": ", error_slug(cause->code),
            (unsigned long long)cause->count);
    json_text_write(out, cause->text);
    fputs("}", out);
}

static void write_causes(FILE *out, const struct run *run)
{
    static const struct {
        const char *kind;
        uint32_t (*count)(const struct run *run);
        const struct run_cause *(*get)(const struct run *run, uint32_t index);
    } lists[] = {
        {"rejected", run_reject_cause_count, run_reject_cause},
        {"mismatched", run_mismatch_cause_count, run_mismatch_cause},
        {"otherwise", run_instead_cause_count, run_instead_cause},
        {"event", run_event_count, run_event},
    };
    bool first = true;
    fputs(",\n  \"causes\": [", out);
    for (size_t i = 0; run && i < ARRAY_SIZE(lists); i++) {
        uint32_t count = lists[i].count(run);
        for (uint32_t j = 0; j < count; j++, first = false)
            write_cause(out, lists[i].kind, lists[i].get(run, j), first);
    }
    fputs(first ? "]" : "\n  ]", out);
}

static void write_errors(FILE *out, const struct run *run)
{
    uint32_t count = run ? run_error_count(run) : 0;
    fputs(",\n  \"errors\": [", out);
    for (uint32_t i = 0; i < count; i++) {
        const struct error *error = run_error(run, i);
        fprintf(out, "%s\n    {\"error\": \"%s\", \"text\": ", i ? "," : "",
                error_slug(error->code));
        json_text_write(out, error->text);
        fputs("}", out);
    }
    fputs(count ? "\n  ]" : "]", out);
}

static void write_report(FILE *out, struct run *run, int status)
{
    bool running = status == REPORT_STATUS_RUNNING;
    struct run_totals totals = {0};
    if (run)
        run_snapshot(run, &totals);
    fprintf(out, "{\n  \"status\": \"%s\",\n  \"exit\": ", status_name(status));
    if (running)
        fputs("null", out);
    else
        fprintf(out, "%d", status);
    write_totals(out, &totals);
    write_stages(out, run);
    write_never_seen(out, running ? NULL : run);
    write_causes(out, running ? NULL : run);
    write_errors(out, running ? NULL : run);
    fputs("\n}\n", out);
}

/* "folder/.name.leat-part" of "folder/name". */
static bool part_path(const char *path, char *part, size_t size, struct error *error)
{
    const char *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash - path) + 1 : 0;
    int length = snprintf(part, size, "%.*s.%s.leat-part", folder, path, path + folder);
    if (length < 0 || (size_t)length >= size)
        return error_set(error, ERROR_USAGE, "the path of the report is too long");
    return true;
}

bool report_write(const char *path, struct run *run, int status, struct error *error)
{
    char part[PATH_MAX];
    if (!part_path(path, part, sizeof(part), error))
        return false;
    int fd = file_open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666, error);
    if (fd < 0)
        return error_add_context(error, "the report");
    FILE *out = fdopen(fd, "w");
    if (!out) {
        close(fd);
        return error_set_errno(error, errno, "cannot write the report %s", path);
    }
    write_report(out, run, status);
    bool failed = ferror(out) != 0;
    failed |= fclose(out) != 0;
    if (failed)
        error_set_errno(error, errno, "cannot write the report %s", path);
    if (!failed && file_rename(part, path, error))
        return true;
    unlink(part);
    return false;
}
