/* Regular expressions in RE2's dialect on PCRE2's JIT: what PCRE2 has beyond RE2 is refused,
 * matching is bounded. A regex is const after compiling; each thread brings its own scratch. */
#ifndef LEAT_LANG_REGEX_H
#define LEAT_LANG_REGEX_H

#include "core/error.h"

struct regex;
struct regex_scratch;

/* NULL where the pattern is not RE2's: `error` says why, `*offset` where in the pattern. */
struct regex *regex_compile(struct string pattern, uint32_t *offset, struct error *error);
void regex_free(struct regex *regex);
struct regex_scratch *regex_scratch_open(void);
void regex_scratch_close(struct regex_scratch *scratch);

enum regex_result { REGEX_NO_MATCH, REGEX_MATCH, REGEX_LIMIT };
/* Unanchored search in valid UTF-8. */
enum regex_result regex_match(const struct regex *regex, struct regex_scratch *scratch,
                              struct string text);
/* Named groups, in order of their numbers. */
uint32_t regex_group_count(const struct regex *regex);
struct string regex_group_name(const struct regex *regex, uint32_t index);
/* After REGEX_MATCH with the same scratch: the text of a named group; data NULL: not set. */
struct string regex_group(const struct regex *regex, const struct regex_scratch *scratch,
                          struct string text, uint32_t index);

#endif
