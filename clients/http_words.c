/* Options to the settings of the HTTP transport: see http_words.h. */
#include "clients/http_words.h"

#include <stdlib.h>
#include <string.h>

#include "core/fault.h"

#define REDIRECTS_MOST   100
#define CONNECTIONS_MOST 65536

/* A NUL-terminated copy of an option's text, or NULL where it was not given. */
static bool text_read(struct http_words *words, const struct options *options, const char *name,
                      const char **text, struct error *error)
{
    const struct option_value *value = option_find(options, name);
    *text = NULL;
    if (!value || !value->text.data)
        return true;
    if (value->text.length == 0 || memchr(value->text.data, 0, value->text.length))
        return error_set(error, ERROR_PROGRAM, "`%s` is empty or has a NUL character", name);
    CHECK(words->count < ARRAY_SIZE(words->texts));
    char *copy = memory_copy_text(value->text.data, value->text.length);
    if (!copy)
        return error_set(error, ERROR_MEMORY, "no memory for `%s`", name);
    *text = words->texts[words->count++] = copy;
    return true;
}

bool http_words_read(struct http_words *words, const struct options *options,
                     struct http_settings *settings, struct error *error)
{
    const struct option_value *connections = option_find(options, "connections");
    const struct option_value *proxy = option_find(options, "proxy");
    int64_t redirects = option_integer(options, "redirects", 5);
    *settings = (struct http_settings){
        .keepalive = option_integer(options, "keepalive", 0),
        .lifetime = option_integer(options, "lifetime", 0),
        .connect_timeout = option_integer(options, "connect_timeout", 0),
        .first_byte_timeout = option_integer(options, "first_byte_timeout", 0),
        .no_verification = option_word_is(options, "verify", "no"),
        .redirects_anywhere = option_given(options, "redirects_anywhere"),
    };
    settings->no_keepalive = option_given(options, "keepalive") && settings->keepalive == 0;
    if (redirects > REDIRECTS_MOST)
        return error_set(error, ERROR_PROGRAM, "`redirects` is a number up to %d", REDIRECTS_MOST);
    settings->redirects = (uint32_t)redirects;
    if (connections && (connections->numbers[0] < 1 || connections->numbers[0] > CONNECTIONS_MOST))
        return error_set(error, ERROR_PROGRAM, "`connections` is a number from 1 to %d",
                         CONNECTIONS_MOST);
    settings->connections_per_host = connections ? (uint32_t)connections->numbers[0] : 0;
    if (option_word_is(options, "protocol", "http1"))
        settings->version = HTTP_VERSION_1;
    else if (option_word_is(options, "protocol", "http2"))
        settings->version = HTTP_VERSION_2;
    if (!text_read(words, options, "ca", &settings->ca, error) ||
        !text_read(words, options, "cert", &settings->cert, error) ||
        !text_read(words, options, "cert_key", &settings->key, error) ||
        !text_read(words, options, "unix", &settings->unix_socket, error) ||
        !text_read(words, options, "proxy", &settings->proxy, error))
        return false;
    if (proxy && !settings->proxy)
        settings->proxy = ""; /* none */
    return true;
}

void http_words_close(struct http_words *words)
{
    for (uint32_t i = 0; i < words->count; i++) {
        explicit_bzero(words->texts[i], strlen(words->texts[i])); /* a proxy's password */
        free(words->texts[i]);
    }
    words->count = 0;
}
