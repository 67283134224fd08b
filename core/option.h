/* Option tables. Each stage, source, sink and format has one table of `struct option_spec`; it
 * gives parsing, defaults, checking, help, the reference page, completion and the fingerprint.
 * Tables are static and const. Parsed options live in the program's arena and as long as the
 * program. Read by the threads that open things; immutable after parsing. */
#ifndef LEAT_CORE_OPTION_H
#define LEAT_CORE_OPTION_H

#include "core/base.h"

struct node;    /* lang/ast.h: an expression */
struct program; /* lang/ast.h */

/* Bytes [start, end) of the program text. */
struct span {
    uint32_t start;
    uint32_t end;
};

/* A dotted path of names: a.b.c */
struct path {
    const struct string *names;
    uint32_t count;
    struct span span;
};

enum option_kind {
    OPTION_FLAG,        /* the name alone */
    OPTION_KEYWORD,     /* positional only: a fixed word that must stand there: parse P *with* S */
    OPTION_WORD,        /* one of `words` */
    OPTION_NAME,        /* any NAME */
    OPTION_STRING,      /* string, env("X"[, "default"]) or secret("file") */
    OPTION_STRINGS,     /* one or more strings separated by commas */
    OPTION_TEMPLATE,    /* a string that may hold {expression} */
    OPTION_INTEGER,     /* a whole number >= 0 */
    OPTION_DURATION,    /* 250ms 5s 10m 2h 1d: nanoseconds */
    OPTION_SIZE,        /* 64KiB 256MiB 1GiB or a whole number: bytes */
    OPTION_RATE,        /* 500/s 60/m: events a second, as a double */
    OPTION_PERCENT,     /* 1% 0.5%: fraction as a double */
    OPTION_AMOUNT,      /* a whole number or a percentage: `is_percent` tells */
    OPTION_EXPRESSION,  /* an expression */
    OPTION_PATH,        /* a.b.c */
    OPTION_PATHS,       /* PATH, … */
    OPTION_NAMES,       /* NAME, … */
    OPTION_ASSIGNMENTS, /* PATH = EXPR, … */
    OPTION_SELECTIONS,  /* PATH or NAME = EXPR, … */
    OPTION_RENAMES,     /* NEW = OLD, …: path is NEW, from is OLD */
    OPTION_TYPES,       /* one word for all, or a block { NAME word … } with words of `words` */
    OPTION_RANGE,       /* 200ms..10s: two durations into numbers[0] and [1]; one stands for both */
    OPTION_PHRASE,    /* several parts as the pattern `words` says, e.g. "open after N failures for
                         DURATION", "N [for DURATION]", "after DURATION|PERCENTILE": words stand for
                         themselves, N (a whole number), DURATION, SIZE, RATE and PERCENTILE (p95)
                         for quantities, [...] for what may be left out, A|B for a choice of
                         quantities, a place each. They go into numbers[] by their place in the pattern
                         (durations in ns, sizes in bytes, rates in millionths of 1/s, percentiles
                         in ten-thousandths: p95 is 9500); -1 where one was left out */
    OPTION_CAUSES,    /* timeout, connect, 429, 5xx: names of `words`, HTTP statuses and classes of
                         them: items[].word, as written */
    OPTION_HEADERS,   /* "name" = EXPR, …: items[].word and .node */
    OPTION_TEMPLATES, /* one or more templates separated by commas: items[].word and .span */
    OPTION_CHOICE,    /* one of `words`, else an expression: text or node is set */
};
#define OPTION_NUMBERS 4

enum option_flags {
    OPTION_REQUIRED = 1,
    OPTION_POSITIONAL = 2, /* stands before the block, in table order, without its name */
    OPTION_TUNING = 4,     /* not in the fingerprint: workers, memory, timeouts … */
    OPTION_WITH_NEXT = 8,  /* positional: this one and the next come together or not at all */
    OPTION_REPEATED = 32,  /* lists: may be given several times; the items are put together */
    OPTION_OR_NONE = 16,   /* STRING: the bare word none may stand instead: text {NULL, 0} and
                              integer -1 */
};

struct option_spec {
    const char *name; /* NULL ends a table */
    enum option_kind kind;
    unsigned flags;
    const char *words;        /* "append|replace|upsert" of WORD and TYPES, or NULL */
    const char *default_text; /* as a user would write it, or NULL; applied by the parser */
    const char *doc;          /* one sentence, no trailing period */
};

struct option_item {
    struct path path;        /* what is set, selected, dropped, or the new name */
    struct path from;        /* RENAMES: the old one */
    const struct node *node; /* ASSIGNMENTS, SELECTIONS with "=": the expression, else NULL */
    struct string word;      /* TYPES: the word given for path; STRINGS TEMPLATES CAUSES HEADERS */
    bool is_secret;          /* STRINGS TEMPLATES: word came from secret(): never print it */
    struct span span;
};

struct option_value {
    const struct option_spec *spec;
    struct span span; /* where it was written; {0, 0} for a default */
    bool is_default;
    bool is_secret;     /* text came from secret(): never print it */
    bool is_percent;    /* AMOUNT */
    struct string text; /* WORD NAME STRING TEMPLATE (raw text for template, see template_parse);
                           TYPES: the one word for all, item_count is 0 then */
    int64_t integer;    /* INTEGER SIZE (bytes) DURATION (nanoseconds) AMOUNT; WORD: its index;
                           TYPES: the index of the one word; STRING given as none: -1 */
    double real;        /* RATE PERCENT AMOUNT */
    int64_t numbers[OPTION_NUMBERS]; /* RANGE PHRASE */
    const struct node *node;         /* EXPRESSION */
    struct path path;                /* PATH */
    const struct option_item *items; /* lists, STRINGS (word holds each), TYPES */
    uint32_t item_count;
};

/* All options of one statement: given ones in the order written, then defaults. */
struct options {
    const struct option_value *values;
    uint32_t count;
    struct span span;
};

/* NULL where it was not given and has no default. The other getters give `otherwise` then. */
const struct option_value *option_find(const struct options *options, const char *name);
bool option_given(const struct options *options, const char *name); /* written by the user */
struct string option_text(const struct options *options, const char *name, const char *otherwise);
int64_t option_integer(const struct options *options, const char *name, int64_t otherwise);
double option_real(const struct options *options, const char *name, double otherwise);
bool option_word_is(const struct options *options, const char *name, const char *word);

/* What a verb, source, sink or format is to the parser, the help and the reference pages. */
struct noun {
    const char *name;
    const char *doc;     /* one sentence */
    const char *example; /* a line or block that `leat check` accepts, or NULL */
    const struct option_spec *options;
    bool takes_format; /* its block may also hold the options of formats and compressions */
};

/* The tables that the parser knows; filled by pipeline/registry.c from the .def files. */
struct registry {
    const struct noun *const *verbs; /* where, put, …; not from, into, reject into */
    size_t verb_count;
    const struct noun *const *lookups; /* the kinds behind the verb `lookup`: http, exec, sql */
    size_t lookup_count;
    const struct noun *const *sources;
    size_t source_count;
    const struct noun *const *sinks;
    size_t sink_count;
    const struct noun *const *formats;
    size_t format_count;
    const struct noun *pipeline; /* the options of the pipeline block */
};

#endif
