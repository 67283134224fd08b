/* A plan that replays rejected records: see replay.h. */
#include "pipeline/replay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "formats/formats.h"
#include "io/replay_source.h"
#include "io/tables.h"
#include "pipeline/plan_open.h"

#define KEPT_EXTENSION ".again.ndjson"

/* ---- source ---- */

/* The format that one `from` reads; NULL: its names do not tell. */
static const struct format_ops *format_of(const struct plan *plan, const struct options *options,
                                          const char *kind)
{
    struct string name = option_text(options, "format", NULL);
    const char *given = plan->from.options ? NULL : plan->options.from_format;
    if (!name.data && given)
        name = (struct string){given, strlen(given)};
    if (name.data)
        return format_find(&formats_all, name);
    if (kind && strcmp(kind, "file") != 0)
        return format_find(&formats_all, STRING("ndjson")); /* stdin, rows of queries */
    const struct option_value *files = option_find(options, "files");
    for (uint32_t i = 0; files && i < files->item_count; i++) {
        char path[4096];
        snprintf(path, sizeof(path), "%.*s", (int)size_min(files->items[i].word.length, 4000),
                 files->items[i].word.data);
        const struct format_ops *ops = format_for_path(&formats_all, path);
        if (ops)
            return ops;
    }
    return NULL;
}

static struct string option_source(const struct plan *plan, const struct options *options,
                                   const char *name)
{
    if (!option_given(options, name))
        return (struct string){0};
    struct span span = option_find(options, name)->span;
    return (struct string){plan->program->text.data + span.start, span.end - span.start};
}

/* Whether two `from` read one dialect of the format. */
static bool dialect_same(const struct plan *plan, const struct format_ops *ops,
                         const struct options *one, const struct options *other)
{
    const struct option_spec *spec = ops->noun->options;
    for (; spec && spec->name; spec++)
        if (!string_equal(option_source(plan, one, spec->name),
                          option_source(plan, other, spec->name)))
            return false;
    return true;
}

bool replay_open_source(struct plan *plan, struct plan_source *entry, struct error *error)
{
    const struct statement *first = plan_statement(plan->program, STATEMENT_FROM, 0);
    const struct format_ops *ops =
        format_of(plan, entry->context.options, first ? first->noun->name : NULL);
    for (uint32_t i = 1; first; i++) {
        const struct statement *other = plan_statement(plan->program, STATEMENT_FROM, i);
        if (!other)
            break;
        const struct format_ops *others = format_of(plan, &other->options, other->noun->name);
        if (others != ops || (ops && !dialect_same(plan, ops, &first->options, &other->options)))
            return error_set(error, ERROR_USAGE,
                             "the pipeline reads several formats (%s, and %s with other options or "
                             "not), and a rejected record does not tell which was its own: replay "
                             "with a pipeline of one `from`",
                             ops ? ops->noun->name : "one that its names do not tell",
                             others ? others->noun->name : "one that its names do not tell");
    }
    /* what a file is to be written of has to be written of all again */
    bool added = plan->options.output == NULL;
    return replay_source_open(&entry->context, plan->options.replay, ops, added, &entry->source,
                              error);
}

/* ---- name ---- */

bool replay_name(struct plan *plan, struct error *error)
{
    const struct program *program = plan->program;
    struct stat status;
    if (stat(plan->options.replay, &status) != 0)
        return error_set_errno(error, errno, "cannot replay %s", plan->options.replay);
    const char *path = program->name ? program->name : "program";
    const char *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash - path + 1) : 0;
    bool named = program->pipeline.length > 0;
    struct string name =
        named ? program->pipeline : (struct string){path + folder, strlen(path + folder)};
    int length = snprintf(plan->name, sizeof(plan->name), "%.*s/replay-%" PRIx64,
                          (int)size_min(name.length, sizeof(plan->name)), name.data,
                          (uint64_t)status.st_ino);
    if (length < 0 || (size_t)length >= sizeof(plan->name))
        return error_set(error, ERROR_USAGE, "the pipeline's name is too long");
    if (!named)
        return true;
    length = snprintf(plan->state_folder, sizeof(plan->state_folder), "%.*s.leat/%s", folder, path,
                      plan->name);
    if (length < 0 || (size_t)length >= sizeof(plan->state_folder))
        return error_set(error, ERROR_USAGE, "the path of the pipeline file is too long");
    return true;
}

/* ---- sinks ---- */

static bool file_same(const char *one, const char *other)
{
    struct stat a, b;
    return stat(one, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

bool replay_check_sinks(struct plan *plan, struct error *error)
{
    const char *output = plan->options.output;
    if (output && file_same(output, plan->options.replay))
        return error_set(error, ERROR_USAGE, "-o %s is the file that is replayed: name another",
                         output);
    for (uint32_t i = 0; !output; i++) {
        const struct statement *statement = plan_statement(plan->program, STATEMENT_INTO, i);
        if (!statement)
            break;
        if (!option_word_is(&statement->options, "mode", "replace"))
            continue;
        error_set(error, ERROR_USAGE,
                  "a replay adds records, but the pipeline's `into %s` replaces what is there, all "
                  "the others would be gone: write them to a file of their own (-o FILE), or let "
                  "the sink add (mode append)",
                  statement->noun->name);
        return false;
    }
    return true;
}

/* The path without its extensions: "a/rejected.ndjson.zst" is "a/rejected". */
static int stem_length(const char *path)
{
    static const char *const extensions[] = {".zst", ".gz", ".ndjson", ".jsonl"};
    size_t length = strlen(path);
    for (size_t i = 0; i < ARRAY_SIZE(extensions); i++) {
        size_t extension = strlen(extensions[i]);
        if (length > extension && memcmp(path + length - extension, extensions[i], extension) == 0)
            length -= extension;
    }
    return (int)length;
}

static void append_choose(struct plan *plan)
{
    size_t count;
    const struct option_spec *spec = NULL;
    const struct sink_ops *const *all = sinks_all(&count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(all[i]->noun->name, "file") == 0)
            spec = all[i]->noun->options;
    while (spec && spec->name && strcmp(spec->name, "mode") != 0)
        spec++;
    CHECK(spec && spec->name);
    plan->replay.mode = (struct option_value){.spec = spec, .text = STRING("append"), .integer = 1};
    plan->replay.append = (struct options){.values = &plan->replay.mode, .count = 1};
}

bool replay_choose_rejects(struct plan *plan, bool bears, struct error *error)
{
    const char *path = plan->options.reject_file, *replayed = plan->options.replay;
    if (!path && bears) {
        int length = snprintf(plan->replay.rejects, sizeof(plan->replay.rejects),
                              "%.*s" KEPT_EXTENSION, stem_length(replayed), replayed);
        if (length < 0 || (size_t)length >= sizeof(plan->replay.rejects))
            return error_set(error, ERROR_USAGE, "the path %s is too long", replayed);
        path = plan->options.reject_file = plan->replay.rejects;
    }
    if (path && file_same(path, replayed))
        return error_set(error, ERROR_USAGE,
                         "--reject %s is the file that is replayed: name another", path);
    append_choose(plan);
    return true;
}
