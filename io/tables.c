/* The tables of sources and sinks: see tables.h. */
#include "io/tables.h"

#define SOURCE(name) extern const struct source_ops source_##name;
#include "io/sources.def"
#undef SOURCE
#define SINK(name) extern const struct sink_ops sink_##name;
#include "io/sinks.def"
#undef SINK

const struct source_ops *const *sources_all(size_t *count)
{
    static const struct source_ops *const all[] = {
#define SOURCE(name) &source_##name,
#include "io/sources.def"
#undef SOURCE
    };
    *count = ARRAY_SIZE(all);
    return all;
}

const struct sink_ops *const *sinks_all(size_t *count)
{
    static const struct sink_ops *const all[] = {
#define SINK(name) &sink_##name,
#include "io/sinks.def"
#undef SINK
    };
    *count = ARRAY_SIZE(all);
    return all;
}
