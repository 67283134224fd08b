/* Nouns by name, and their reference pages: see help_reference.h. */
#include "cli/help_reference.h"

#include <errno.h>
#include <string.h>

#include "cli/notice.h"
#include "lang/reference.h"
#include "pipeline/pipeline.h"

/* A table of nouns, and what comes before their names in a program. */
struct shelf {
    const char *role;
    const char *prefix;
    const char *title;
    const struct noun *const *nouns;
    size_t count;
};
#define SHELF_COUNT 6

static void shelves_fill(struct shelf shelves[SHELF_COUNT])
{
    const struct registry *registry = registry_get();
    shelves[0] = (struct shelf){"stage", "", "Stages", registry->verbs, registry->verb_count};
    shelves[1] =
        (struct shelf){"lookup", "lookup ", "Lookups", registry->lookups, registry->lookup_count};
    shelves[2] =
        (struct shelf){"from", "from ", "Sources", registry->sources, registry->source_count};
    shelves[3] = (struct shelf){"into", "into ", "Sinks", registry->sinks, registry->sink_count};
    shelves[4] =
        (struct shelf){"format", "format ", "Formats", registry->formats, registry->format_count};
    shelves[5] = (struct shelf){"pipeline", "", "The pipeline block", &registry->pipeline,
                                registry->pipeline ? 1 : 0};
}

/* The verb that has no table of its own: the kinds behind it. */
static bool lookups_print(FILE *out)
{
    const struct registry *registry = registry_get();
    fputs("lookup KIND … as NAME [{ option … }]\n\n"
          "Enriches each record by what another program answers.\n\n",
          out);
    for (size_t i = 0; i < registry->lookup_count; i++)
        fprintf(out, "  lookup %-10s %s\n", registry->lookups[i]->name,
                registry->lookups[i]->doc ? registry->lookups[i]->doc : "");
    fputs("\n\"leat help lookup KIND\" explains each.\n", out);
    return true;
}

bool reference_print(FILE *out, const char *role, const char *name)
{
    struct shelf shelves[SHELF_COUNT];
    bool found = false;
    shelves_fill(shelves);
    if (!role && strcmp(name, "lookup") == 0 && registry_get()->lookup_count)
        return lookups_print(out);
    for (size_t i = 0; i < SHELF_COUNT; i++) {
        if (role && strcmp(role, shelves[i].role) != 0)
            continue;
        for (size_t j = 0; j < shelves[i].count; j++) {
            if (strcmp(shelves[i].nouns[j]->name, name) != 0)
                continue;
            if (found)
                fputc('\n', out);
            reference_print_text(shelves[i].nouns[j], shelves[i].role, out);
            found = true;
        }
    }
    return found;
}

size_t reference_names(const char **names, size_t limit)
{
    struct shelf shelves[SHELF_COUNT];
    size_t count = 0;
    shelves_fill(shelves);
    if (registry_get()->lookup_count && limit)
        names[count++] = "lookup";
    for (size_t i = 0; i < SHELF_COUNT; i++)
        for (size_t j = 0; j < shelves[i].count && count < limit; j++)
            names[count++] = shelves[i].nouns[j]->name;
    return count;
}

static bool page_finish(FILE *out, const char *path)
{
    bool failed = ferror(out) != 0;
    failed |= fclose(out) != 0;
    if (failed)
        notice(NOTICE_ERROR, "io", "cannot write %s: %s", path, strerror(errno));
    return !failed;
}

static FILE *page_open(char *path, size_t size, const char *folder, const char *role,
                       const char *name)
{
    snprintf(path, size, "%s/%s%s%s.md", folder, role, *role ? "-" : "", name);
    FILE *out = fopen(path, "we");
    if (!out)
        notice(NOTICE_ERROR, "io", "cannot write %s: %s", path, strerror(errno));
    return out;
}

int reference_write(const char *folder)
{
    struct shelf shelves[SHELF_COUNT];
    char path[4096];
    shelves_fill(shelves);
    FILE *index = page_open(path, sizeof(path), folder, "", "README");
    if (!index)
        return 1;
    fputs("# Reference\n\nMade by `leat help --markdown` from the tables of options.\n", index);
    bool done = true;
    for (size_t i = 0; i < SHELF_COUNT && done; i++) {
        if (shelves[i].count == 0)
            continue;
        fprintf(index, "\n## %s\n\n", shelves[i].title);
        for (size_t j = 0; j < shelves[i].count && done; j++) {
            const struct noun *noun = shelves[i].nouns[j];
            char page[4096];
            FILE *out = page_open(page, sizeof(page), folder, shelves[i].role, noun->name);
            done = out != NULL;
            if (!out)
                continue;
            fprintf(index, "- [%s%s](%s-%s.md): %s\n", shelves[i].prefix, noun->name,
                    shelves[i].role, noun->name, noun->doc ? noun->doc : "");
            reference_print_markdown(noun, shelves[i].role, out);
            done = page_finish(out, page);
        }
    }
    return page_finish(index, path) && done ? 0 : 1;
}
