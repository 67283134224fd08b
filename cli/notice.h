/* What leat says on stderr: problems, one line each, as "leat: error: ..." or as JSON lines, and
 * the one line of progress that they must not tear. Any thread. */
#ifndef LEAT_CLI_NOTICE_H
#define LEAT_CLI_NOTICE_H

#include "core/error.h"
#include "lang/diagnostic.h"

enum notice_level { NOTICE_ERROR, NOTICE_WARNING, NOTICE_INFO, NOTICE_LEVEL_COUNT };

/* Before the first notice: JSON lines instead of text, and from which level on to be silent
 * (NOTICE_LEVEL_COUNT: never). */
void notice_open(bool json, enum notice_level silent_from);
bool notice_is_json(void);
/* One problem. Bytes that would move the cursor or are no UTF-8 are shown as escapes. `code` is an
 * error's slug or a word like it. */
void notice(enum notice_level level, const char *code, const char *format, ...) PRINTF_LIKE(3, 4);
/* "leat: error: TEXT"; the code is the error's. */
void notice_error(const struct error *error);
/* All diagnostics of a program, as they print themselves or as JSON lines with line and column. */
void notice_diagnostics(struct diagnostics *diagnostics);
/* A line of the runtime, "slow: where took ..."; what stands before the colon is its code. */
void notice_line(const char *line);

/* Draws the progress line over the one before; the next notice wipes it first. */
void notice_line_draw(const char *text);
void notice_line_clear(void);

#endif
