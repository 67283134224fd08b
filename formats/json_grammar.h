/* The grammar of single JSON tokens (RFC 8259), and a name for everything that can be wrong with a
 * record. Pure functions; any thread. */
#ifndef LEAT_FORMATS_JSON_GRAMMAR_H
#define LEAT_FORMATS_JSON_GRAMMAR_H

#include "core/error.h"

enum json_fault {
#define FAULT(name, code, text) JSON_FAULT_##name,
#include "formats/json_faults.def"
#undef FAULT
    JSON_FAULT_COUNT
};

/* The text of a fault; the one of ESCAPE holds a %c for the byte. */
extern const char *const json_fault_texts[JSON_FAULT_COUNT];
extern const enum error_code json_fault_codes[JSON_FAULT_COUNT];

/* Whether text[0..length) is one number, true, false or null and nothing else; *place is where it
 * is not. */
enum json_fault json_scalar_check(const char *text, size_t length, size_t *place);
/* Whether text[0..length) may stand between the quotes of a string: escapes, control characters,
 * UTF-8. Escapes of lone surrogates are accepted. */
enum json_fault json_string_check(const char *text, size_t length, size_t *place);

static inline bool json_is_white(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

#endif
