/* RE2's syntax, checked and rewritten for PCRE2. Pure; any thread. */
#ifndef LEAT_LANG_REGEX_DIALECT_H
#define LEAT_LANG_REGEX_DIALECT_H

#include "core/error.h"

enum literal_kind {
    LITERAL_NONE,   /* nothing known */
    LITERAL_WITHIN, /* the pattern is plain text: found anywhere */
    LITERAL_PREFIX, /* ^text, and that is all */
    LITERAL_SUFFIX, /* text$ */
    LITERAL_WHOLE,  /* ^text$ */
    LITERAL_BEGINS, /* ^text and more: a necessary condition */
};

struct dialect {
    char *text; /* for PCRE2; malloc'ed, the caller frees */
    size_t length;
    char *literal; /* malloc'ed, the caller frees */
    size_t literal_length;
    enum literal_kind literal_kind;
    uint32_t groups;
};

/* False: not RE2's; *offset: where. Nothing is kept then. */
bool dialect_translate(struct string pattern, struct dialect *dialect, uint32_t *offset,
                       struct error *error);

#endif
