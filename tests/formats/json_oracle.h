/* An independent, slow, obvious JSON validator: one byte at a time, straight from RFC 8259 and RFC
 * 3629, for tests and fuzzing. Shares nothing with formats/. Pure functions. */
#ifndef LEAT_TESTS_FORMATS_JSON_ORACLE_H
#define LEAT_TESTS_FORMATS_JSON_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define ORACLE_DEPTH 1024

struct oracle {
    const unsigned char *text;
    size_t length;
    size_t at;
};

static inline int oracle_peek(const struct oracle *oracle)
{
    return oracle->at < oracle->length ? oracle->text[oracle->at] : -1;
}

static inline void oracle_white(struct oracle *oracle)
{
    while (oracle_peek(oracle) == ' ' || oracle_peek(oracle) == '\t' ||
           oracle_peek(oracle) == '\n' || oracle_peek(oracle) == '\r')
        oracle->at++;
}

static inline bool oracle_take(struct oracle *oracle, int byte)
{
    if (oracle_peek(oracle) != byte)
        return false;
    oracle->at++;
    return true;
}

static inline bool oracle_range(struct oracle *oracle, int low, int high)
{
    int byte = oracle_peek(oracle);
    if (byte < low || byte > high)
        return false;
    oracle->at++;
    return true;
}

/* The table of RFC 3629, section 4. */
static inline bool oracle_utf8(struct oracle *oracle)
{
    int lead = oracle_peek(oracle);
    oracle->at++;
    if (lead >= 0xc2 && lead <= 0xdf)
        return oracle_range(oracle, 0x80, 0xbf);
    if (lead >= 0xe0 && lead <= 0xef)
        return oracle_range(oracle, lead == 0xe0 ? 0xa0 : 0x80, lead == 0xed ? 0x9f : 0xbf) &&
               oracle_range(oracle, 0x80, 0xbf);
    if (lead >= 0xf0 && lead <= 0xf4)
        return oracle_range(oracle, lead == 0xf0 ? 0x90 : 0x80, lead == 0xf4 ? 0x8f : 0xbf) &&
               oracle_range(oracle, 0x80, 0xbf) && oracle_range(oracle, 0x80, 0xbf);
    return false;
}

static inline bool oracle_hex(struct oracle *oracle)
{
    return oracle_range(oracle, '0', '9') || oracle_range(oracle, 'a', 'f') ||
           oracle_range(oracle, 'A', 'F');
}

static inline bool oracle_string(struct oracle *oracle)
{
    if (!oracle_take(oracle, '"'))
        return false;
    for (;;) {
        int byte = oracle_peek(oracle);
        if (byte < 0x20)
            return false; /* also the end */
        if (byte >= 0x80) {
            if (!oracle_utf8(oracle))
                return false;
            continue;
        }
        oracle->at++;
        if (byte == '"')
            return true;
        if (byte != '\\')
            continue;
        int escape = oracle_peek(oracle);
        if (escape < 0 || escape == 0 || !strchr("\"\\/bfnrtu", escape))
            return false;
        oracle->at++;
        for (int i = 0; escape == 'u' && i < 4; i++)
            if (!oracle_hex(oracle))
                return false;
    }
}

static inline bool oracle_digits(struct oracle *oracle)
{
    bool any = false;
    while (oracle_range(oracle, '0', '9'))
        any = true;
    return any;
}

static inline bool oracle_scalar(struct oracle *oracle)
{
    const char *const words[] = {"true", "false", "null"};
    for (int i = 0; i < 3; i++) {
        size_t length = strlen(words[i]);
        if (oracle->length - oracle->at >= length &&
            memcmp(oracle->text + oracle->at, words[i], length) == 0) {
            oracle->at += length;
            return true;
        }
    }
    oracle_take(oracle, '-');
    if (!oracle_take(oracle, '0') && !oracle_digits(oracle))
        return false;
    if (oracle_take(oracle, '.') && !oracle_digits(oracle))
        return false;
    if (oracle_take(oracle, 'e') || oracle_take(oracle, 'E')) {
        if (!oracle_take(oracle, '+'))
            oracle_take(oracle, '-');
        return oracle_digits(oracle);
    }
    return true;
}

/* A member's value in the map at top level. */
struct oracle_span {
    size_t start;
    size_t end; /* 0: no such member */
};

/* One value from oracle->at on, white space before it skipped. `key`: the last top-level member
 * with this name (written without escapes) goes to *span. */
static inline bool oracle_value(struct oracle *oracle, const char *key, struct oracle_span *span)
{
    char open[ORACLE_DEPTH];
    size_t depth = 0, value = 0;
    bool wanted = false;
    *span = (struct oracle_span){0, 0};
    for (;;) {
        oracle_white(oracle);
        if (depth && open[depth - 1] == '{') { /* a name must come */
            size_t name = oracle->at + 1;
            if (!oracle_string(oracle))
                return false;
            if (depth == 1)
                wanted = oracle->at - 1 - name == strlen(key) &&
                         memcmp(oracle->text + name, key, strlen(key)) == 0;
            oracle_white(oracle);
            if (!oracle_take(oracle, ':'))
                return false;
            oracle_white(oracle);
        }
        if (depth == 1)
            value = oracle->at;
        int byte = oracle_peek(oracle);
        if (byte == '{' || byte == '[') {
            if (depth == ORACLE_DEPTH)
                return false;
            open[depth++] = (char)byte;
            oracle->at++;
            oracle_white(oracle);
            if (!oracle_take(oracle, byte == '{' ? '}' : ']'))
                continue;
            depth--;
        } else if (byte == '"' ? !oracle_string(oracle) : !oracle_scalar(oracle)) {
            return false;
        }
        for (;;) { /* behind a value */
            if (depth == 1 && open[0] == '{' && wanted)
                *span = (struct oracle_span){value, oracle->at};
            if (depth == 0)
                return true;
            oracle_white(oracle);
            if (oracle_take(oracle, ','))
                break;
            if (!oracle_take(oracle, open[depth - 1] == '{' ? '}' : ']'))
                return false;
            depth--;
        }
    }
}

/* Whether the text is exactly one JSON value. */
static inline bool oracle_valid(const char *text, size_t length, const char *key,
                                struct oracle_span *span)
{
    struct oracle oracle = {(const unsigned char *)text, length, 0};
    if (!oracle_value(&oracle, key, span))
        return false;
    oracle_white(&oracle);
    return oracle.at == length;
}

#endif
