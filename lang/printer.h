/* Text that grows by malloc, for printing values; one owner. */
#ifndef LEAT_LANG_PRINTER_H
#define LEAT_LANG_PRINTER_H

#include "core/value.h"

struct printer {
    char *text; /* NUL-terminated once something was added; the caller frees */
    size_t length;
    size_t capacity;
    bool failed; /* no memory: the text is incomplete */
};

void printer_add(struct printer *printer, const char *text, size_t length);
void printer_add_text(struct printer *printer, const char *text);
/* As a JSON string with its quotes. */
void printer_add_json(struct printer *printer, const char *text, size_t length);
/* Standard base64 with padding. */
void printer_add_base64(struct printer *printer, const char *bytes, size_t length);
/* Shortest that reads back equal; finite. */
void printer_add_double(struct printer *printer, double real);

#endif
