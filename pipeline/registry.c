/* The registry of every verb, source, sink and format, from the .def files. Const after the first
 * call, which the main thread makes. */
#include "formats/formats.h"
#include "io/tables.h"
#include "pipeline/pipeline.h"
#include "pipeline/settings.h"
#include "stages/stages.h"

#define REGISTRY_MOST 64

const struct registry *registry_get(void)
{
    static const struct noun *verbs[REGISTRY_MOST], *lookups[REGISTRY_MOST],
        *sources[REGISTRY_MOST], *sinks[REGISTRY_MOST], *formats[REGISTRY_MOST];
    static struct registry registry;
    if (registry.verb_count)
        return &registry;
    size_t count;
    const struct stage_ops *const *stages = stages_all(&count);
    CHECK(count <= REGISTRY_MOST);
    for (size_t i = 0; i < count; i++)
        if (stages[i]->traits & STAGE_LOOKUP)
            lookups[registry.lookup_count++] = stages[i]->noun;
        else
            verbs[registry.verb_count++] = stages[i]->noun;
    registry.verbs = verbs;
    registry.lookups = lookups;
    const struct source_ops *const *source_ops = sources_all(&count);
    CHECK(count <= REGISTRY_MOST);
    for (size_t i = 0; i < count; i++)
        sources[i] = source_ops[i]->noun;
    registry.sources = sources;
    registry.source_count = count;
    const struct sink_ops *const *sink_ops = sinks_all(&count);
    CHECK(count <= REGISTRY_MOST);
    for (size_t i = 0; i < count; i++)
        sinks[i] = sink_ops[i]->noun;
    registry.sinks = sinks;
    registry.sink_count = count;
    const struct format_table *table = &formats_all;
    CHECK(table->count <= REGISTRY_MOST);
    for (size_t i = 0; i < table->count; i++)
        formats[i] = table->items[i]->noun;
    registry.formats = formats;
    registry.format_count = table->count;
    registry.pipeline = &settings_noun;
    return &registry;
}
