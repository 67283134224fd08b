/* Memory of one program: blocks that only grow and are freed all at once. Nodes, options and
 * decoded strings live here. Main thread only. */
#ifndef LEAT_LANG_PROGRAM_MEMORY_H
#define LEAT_LANG_PROGRAM_MEMORY_H

#include "core/base.h"

struct program_memory;

/* NULL when memory is short. Freed by program_memory_free (lang/parse.h). */
struct program_memory *program_memory_open(void);
/* Zeroed and aligned for anything; NULL when memory is short. */
void *program_memory_take(struct program_memory *memory, size_t size);

#endif
