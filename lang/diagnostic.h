/* Diagnostics of a program: collected, sorted by place, printed like a good compiler's:
 *
 *     pipeline.conf:7:14: error: unknown function "uppr"; did you mean "upper"?
 *         where uppr(carrier) == "UA"
 *               ^~~~
 *
 * One list for each program text; used by the main thread only. Texts are copied. */
#ifndef LEAT_LANG_DIAGNOSTIC_H
#define LEAT_LANG_DIAGNOSTIC_H

#include <stdio.h>

#include "core/error.h"
#include "core/option.h"

enum severity { SEVERITY_ERROR, SEVERITY_WARNING };

struct diagnostic {
    enum severity severity;
    struct span span;
    char text[400];
};

struct diagnostics {
    const char *name;   /* of the file, or "program" for the command line; borrowed */
    struct string text; /* the program; borrowed */
    struct diagnostic *items;
    size_t count;
    size_t capacity;
    size_t errors;     /* of severity ERROR, those that were not kept included */
    bool memory_short; /* diagnostics_memory was called: the program itself may be right */
};

/* So many are kept, which bounds the memory and time that a hostile program may cost; further
 * errors are counted only. */
#define DIAGNOSTICS_LIMIT 1000

void diagnostics_open(struct diagnostics *diagnostics, const char *name, struct string text);
void diagnostics_close(struct diagnostics *diagnostics);
/* Adds one; a second error at the very same span is dropped (one mistake, one message). Returns
 * false always, for `return diagnostics_error(...)`. */
bool diagnostics_error(struct diagnostics *diagnostics, struct span span, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* No memory to look at what stands at `span`: an error, but none of the program. Returns false. */
bool diagnostics_memory(struct diagnostics *diagnostics, struct span span);
bool diagnostics_warning(struct diagnostics *diagnostics, struct span span, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* Line and column (both from 1; columns count code points) of a byte offset. */
void diagnostics_locate(const struct diagnostics *diagnostics, uint32_t offset, uint32_t *line,
                        uint32_t *column);
void diagnostics_print(struct diagnostics *diagnostics, FILE *out);

#endif
