/* Speed of the JSON formats: GB/s of cut and locate for each instruction set, over log lines of
 * about 290 bytes that it makes up. `make micro` builds it. One thread.
 *     json [MEGABYTES] [ISA] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/fault.h"
#include "formats/formats.h"
#include "formats/isa.h"
/* the build of a micro benchmark links libraries alone */
#include "tests/formats/batch_fixture.c"

extern const struct format_ops format_ndjson, format_json;

static uint64_t random_state = 88172645463325252u;

static uint32_t random_below(uint32_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 32) % limit);
}

static size_t line_make(char *out, size_t size, unsigned index)
{
    static const char *const levels[] = {"info", "warn", "error", "debug"};
    static const char *const methods[] = {"GET", "POST", "PUT", "DELETE"};
    static const unsigned statuses[] = {200, 200, 200, 201, 304, 404, 500, 503};
    return (size_t)snprintf(
        out, size,
        "{\"ts\":\"2024-05-%02uT%02u:%02u:%02u.%03uZ\",\"level\":\"%s\",\"status\":%u,"
        "\"latency\":%u.%03u,\"method\":\"%s\",\"path\":\"/api/v1/items/%u/details\","
        "\"host\":\"web-%u.example.com\",\"client_ip\":\"10.%u.%u.%u\","
        "\"user_agent\":\"Mozilla/5.0 (X11; Linux x86_64) Firefox/%u.0\","
        "\"request_id\":\"%08x%08x\",\"bytes\":%u,\"cached\":%s}\n",
        1 + index / 1000000 % 28, random_below(24), random_below(60), random_below(60),
        random_below(1000), levels[random_below(4)], statuses[random_below(8)], random_below(3),
        random_below(1000), methods[random_below(4)], random_below(100000), random_below(64),
        random_below(256), random_below(256), random_below(256), 90 + random_below(40),
        random_below(UINT32_MAX), random_below(UINT32_MAX), random_below(1000000),
        random_below(4) ? "false" : "true");
}

struct job {
    const struct format_ops *ops;
    struct format *format;
    const char *text;
    size_t length;
};

/* All of the text in batches of 256 KiB, copied in as a source would; seconds in locate alone. */
static double locate_all(const struct job *job, const char *paths, bool members)
{
    static struct batch_fixture fixture;
    batch_fixture_open(&fixture, 512 << 10, 8 << 20);
    batch_fixture_project(&fixture, paths, members);
    int64_t spent = 0;
    struct cut_state state = {0};
    for (size_t at = 0; at < job->length;) {
        size_t left = size_min(job->length - at, 256 << 10);
        uint64_t mode = state.boundary_state;
        size_t length = left < 256 << 10
                            ? left
                            : job->ops->cut(job->format, &state, job->text + at, 0, left, false);
        uint64_t lines = state.lines;
        state = (struct cut_state){.state = state.boundary_state,
                                   .boundary_state = state.boundary_state};
        batch_fixture_fill(&fixture, job->text + at, length);
        fixture.batch.format_state = mode;
        fixture.batch.part_line = lines > 0; /* else nobody has counted */
        fixture.batch.line_end = lines;
        fixture.batch.ends_input = at + length == job->length;
        at += length;
        int64_t start = clock_thread_cpu();
        CHECK(job->ops->locate(job->format, &fixture.projection, &fixture.batch) == LOCATE_OK);
        spent += clock_thread_cpu() - start;
        CHECK(fixture.batch.last_part && fixture.batch.reject_count == 0);
    }
    batch_fixture_close(&fixture);
    return (double)spent / 1e9;
}

static double cut_all(const struct job *job)
{
    int64_t start = clock_thread_cpu();
    struct cut_state state = {0};
    size_t found = 0;
    for (size_t at = 0; at + (256 << 10) <= job->length; at += 256 << 10)
        found += job->ops->cut(job->format, &state, job->text + at, 0, 256 << 10, false);
    CHECK(found);
    return (double)(clock_thread_cpu() - start) / 1e9;
}

static double best(double (*run)(const struct job *, const char *, bool), const struct job *job,
                   const char *paths, bool members)
{
    double least = 1e9;
    for (int i = 0; i < 5; i++) {
        double seconds = run ? run(job, paths, members) : cut_all(job);
        least = seconds < least ? seconds : least;
    }
    return (double)job->length / least / 1e9;
}

static void report(const char *name, const struct job *job)
{
    printf(
        "%-9s %-7s cut %6.2f  locate: none %5.2f  4 fields %5.2f  4 fields, members %5.2f GB/s\n",
        isa_name(isa_get()), name, best(NULL, job, "", false), best(locate_all, job, "", false),
        best(locate_all, job, "ts status latency path", false),
        best(locate_all, job, "ts status latency path", true));
}

int main(int argc, char **argv)
{
    size_t size = (argc > 1 ? strtoul(argv[1], NULL, 10) : 64) << 20, length = 0;
    char *text = memory_take(size + 1024 + BATCH_PADDING);
    CHECK(text);
    for (unsigned i = 0; length < size; i++)
        length += line_make(text + length, 1024, i);
    for (enum isa isa = ISA_PORTABLE; isa < ISA_COUNT; isa++) {
        if (!isa_available(isa) || (argc > 2 && strcmp(argv[2], isa_name(isa)) != 0))
            continue;
        isa_force(isa);
        struct job lines = {&format_ndjson, batch_fixture_format(&format_ndjson), text, length};
        struct job any = {&format_json, batch_fixture_format(&format_json), text, length};
        report("ndjson", &lines);
        report("json", &any);
        format_ndjson.close(lines.format);
        format_json.close(any.format);
    }
    free(text);
    return 0;
}
