/* Reads CSV or text the way a source does, in reads of a few bytes, and shows what came out as
 * text: a line for each record, `[cell,cell]` in JSON or `!slug@column`. For tests; one thread. */
#ifndef LEAT_TESTS_FORMATS_CSV_READER_H
#define LEAT_TESTS_FORMATS_CSV_READER_H

#include "tests/formats/batch_fixture.h"

/* Options as a user would write them, at most 8. text NULL with kind STRING: `none`. */
struct reader_option {
    const char *name;
    const char *text; /* words, strings; for names and types: "a b" and "a:int b:bool" */
};

struct csv_reader {
    const struct format_ops *ops;
    const struct reader_option *options;
    unsigned option_count;
    size_t step;       /* bytes of a read; each ends a batch where it can */
    size_t arena;      /* 0: FIXTURE_ARENA */
    bool members;      /* show members, else the projection */
    bool texts;        /* show what rejects say */
    const char *paths; /* the projection, "" for none */
};

/* The dialect, or NULL with *error set. */
struct format *csv_reader_open(const struct csv_reader *reader, struct error *error);
/* What came out, to be freed; "head: MESSAGE" where the head failed. Checks on the way what must
 * always hold: parts and lines add up, clean parts can be copied. */
char *csv_read(const struct csv_reader *reader, const char *text, size_t length);

#endif
