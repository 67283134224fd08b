/* Options to the settings of the HTTP transport: reads the words of http_words.def. Main thread. */
#ifndef LEAT_CLIENTS_HTTP_WORDS_H
#define LEAT_CLIENTS_HTTP_WORDS_H

#include "clients/http_transport.h"
#include "core/option.h"

/* The texts that settings point to. All zero before use. */
struct http_words {
    char *texts[8];
    uint32_t count;
};

/* Fills *settings, without headers and limits. False: ERROR_PROGRAM says which word is wrong, or
 * ERROR_MEMORY. Closed in any case. */
bool http_words_read(struct http_words *words, const struct options *options,
                     struct http_settings *settings, struct error *error);
void http_words_close(struct http_words *words);

#endif
