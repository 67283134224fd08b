/* The tables of sources and sinks, from sources.def and sinks.def. Const. */
#ifndef LEAT_IO_TABLES_H
#define LEAT_IO_TABLES_H

#include "core/sink.h"
#include "core/source.h"

const struct source_ops *const *sources_all(size_t *count);
const struct sink_ops *const *sinks_all(size_t *count);

#endif
