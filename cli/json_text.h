/* JSON strings for reports and log lines, on a stream. Any thread. */
#ifndef LEAT_CLI_JSON_TEXT_H
#define LEAT_CLI_JSON_TEXT_H

#include <stdio.h>

/* Writes `text` as a JSON string with its quotes. Every byte that is not part of valid UTF-8
 * becomes U+FFFD: file names may hold anything, JSON may not. Errors are the stream's. */
void json_text_write(FILE *out, const char *text);

#endif
