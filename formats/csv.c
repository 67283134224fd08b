/* The formats csv and tsv: options, cutting, and the tables of both. The rest is in csv_head.c,
 * csv_locate.c and csv_encode.c. Opened by the main thread, then const. */
#include "formats/csv.h"

#include <stdlib.h>
#include <string.h>

#include "core/fault.h"

#define CSV_OPTIONS(delimiter_text)                                                                \
    {                                                                                              \
        {"header",                                                                                 \
         OPTION_WORD,                                                                              \
         0,                                                                                        \
         "yes|no",                                                                                 \
         NULL,                                                                                     \
         "Whether the first record holds the names of the fields; yes, unless `names` is given"},  \
            {"names",                                                                              \
             OPTION_NAMES,                                                                         \
             0,                                                                                    \
             NULL,                                                                                 \
             NULL,                                                                                 \
             "Names of the fields; with `header yes` they take the place of those in the header. " \
             "Without both, fields are called column_1, column_2 and so on"},                      \
            {"delimiter",                                                                          \
             OPTION_STRING,                                                                        \
             0,                                                                                    \
             NULL,                                                                                 \
             delimiter_text,                                                                       \
             "What stands between fields: one byte, no letter, digit, quote, sign or dot"},        \
            {"quote",                                                                              \
             OPTION_STRING,                                                                        \
             OPTION_OR_NONE,                                                                       \
             NULL,                                                                                 \
             "\"\\\"\"",                                                                           \
             "The byte around fields that hold delimiters, quotes or newlines; none: there is "    \
             "none"},                                                                              \
            {"null",                                                                               \
             OPTION_STRING,                                                                        \
             OPTION_OR_NONE,                                                                       \
             NULL,                                                                                 \
             "\"\"",                                                                               \
             "The unquoted text that stands for null, besides the empty one; none: nothing is "    \
             "null"},                                                                              \
            {"types",                                                                              \
             OPTION_TYPES,                                                                         \
             0,                                                                                    \
             CSV_TYPE_WORDS,                                                                       \
             "auto",                                                                               \
             "What fields are: of all, or in a block for each; auto makes JSON numbers, true and " \
             "false typed, the others reject records whose text does not convert"},                \
        {                                                                                          \
            NULL                                                                                   \
        }                                                                                          \
    }

static const struct option_spec csv_options[] = CSV_OPTIONS("\",\"");
static const struct option_spec tsv_options[] = CSV_OPTIONS("\"\\t\"");

struct csv_scan csv_scan_of(const struct csv *csv)
{
    return (struct csv_scan){
        .delimiter = csv->delimiter,
        .quote = csv->quote,
        .quoting = csv->quoting,
        .returns_only = true,
    };
}

static bool byte_plain(uint8_t byte)
{
    uint8_t letter = byte | 0x20;
    return byte >= 0x80 || (letter >= 'a' && letter <= 'z') || (byte >= '0' && byte <= '9') ||
           byte == '\n' || byte == '\r' || byte == '-' || byte == '+' || byte == '.';
}

/* One byte that cannot be part of a number or word. */
static bool byte_read(const struct option_value *value, const char *what, uint8_t *byte,
                      struct error *error)
{
    if (value->text.length != 1 || byte_plain((uint8_t)value->text.data[0]))
        return error_set(error, ERROR_PROGRAM,
                         "%s: one ASCII byte is wanted that is no letter, digit, sign, dot or line "
                         "end, such as %s",
                         what, *what == 'd' ? "\",\", \";\", \"|\" or \"\\t\"" : "\"'\"");
    *byte = (uint8_t)value->text.data[0];
    return true;
}

static bool delimiters_read(struct csv *csv, const struct options *options, struct error *error)
{
    const struct option_value *delimiter = option_find(options, "delimiter");
    const struct option_value *quote = option_find(options, "quote");
    if (delimiter && !byte_read(delimiter, "delimiter", &csv->delimiter, error))
        return false;
    if (quote && quote->integer == -1 && !quote->text.data)
        csv->quoting = false;
    else if (quote && !byte_read(quote, "quote", &csv->quote, error))
        return false;
    if (csv->quoting && csv->quote == csv->delimiter)
        return error_set(error, ERROR_PROGRAM,
                         "delimiter and quote are the same byte: name another for one of them");
    return true;
}

/* The text of `null` is kept in the dialect's own memory, as names are: options may go first. */
static bool null_read(struct csv *csv, const struct options *options, char *memory,
                      struct error *error)
{
    const struct option_value *null = option_find(options, "null");
    if (!null)
        return true;
    if (null->integer == -1 && !null->text.data) {
        csv->nulls = false;
        return true;
    }
    for (size_t i = 0; i < null->text.length; i++) {
        char byte = null->text.data[i];
        if (byte == '\n' || byte == '\r' || (uint8_t)byte == csv->delimiter ||
            (csv->quoting && (uint8_t)byte == csv->quote))
            return error_set(error, ERROR_PROGRAM,
                             "null: its text may hold no delimiter, quote or line end, as it "
                             "stands unquoted");
    }
    memcpy(memory, null->text.data, null->text.length);
    csv->null = (struct string){memory, null->text.length};
    return true;
}

static size_t null_size(const struct options *options)
{
    const struct option_value *null = option_find(options, "null");
    return null ? null->text.length : 0;
}

static enum csv_type type_of_word(struct string word)
{
    static const char *const words[] = {"string", "int", "double", "bool"};
    for (uint32_t type = 0; type < ARRAY_SIZE(words); type++)
        if (string_equal_text(word, words[type]))
            return (enum csv_type)type;
    return CSV_AUTO;
}

static bool types_read(struct csv *csv, const struct options *options,
                       struct csv_column_type *types, struct error *error)
{
    const struct option_value *value = option_find(options, "types");
    if (value && value->item_count == 0)
        csv->type = type_of_word(value->text);
    for (uint32_t i = 0; value && i < value->item_count; i++) {
        const struct option_item *item = &value->items[i];
        if (item->path.count != 1)
            return error_set(error, ERROR_PROGRAM, "types: a field of a CSV has one name, no path");
        types[i] = (struct csv_column_type){item->path.names[0], type_of_word(item->word)};
    }
    csv->types = types;
    csv->type_count = value ? value->item_count : 0;
    return true;
}

static bool names_read(struct csv *csv, const struct options *options, struct string *names,
                       struct error *error)
{
    const struct option_value *value = option_find(options, "names");
    uint32_t count = value ? value->item_count : 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct path *path = &value->items[i].path;
        if (path->count != 1)
            return error_set(error, ERROR_PROGRAM, "names: a field of a CSV has one name, no path");
        names[i] = path->names[0];
        for (uint32_t j = 0; j < i; j++)
            if (string_equal(names[i], names[j]))
                return error_set(error, ERROR_PROGRAM, "names: \"%.*s\" is there twice",
                                 (int)size_min(names[i].length, 100), names[i].data);
    }
    csv->names = names;
    csv->name_count = count;
    csv->header =
        option_find(options, "header") ? option_word_is(options, "header", "yes") : !count;
    return true;
}

static void kinds_fill(struct csv *csv)
{
    for (char digit = '0'; digit <= '9'; digit++)
        csv->kinds[(uint8_t)digit] = CSV_KIND_NUMBER;
    csv->kinds['-'] = CSV_KIND_NUMBER;
    csv->kinds['t'] = csv->kinds['f'] = CSV_KIND_WORD;
    if (csv->quoting)
        csv->kinds[csv->quote] = CSV_KIND_QUOTE;
    if (csv->nulls && csv->null.length)
        csv->kinds[(uint8_t)csv->null.data[0]] |= CSV_KIND_NULL;
}

static void classes_fill(struct csv *csv)
{
    memset(csv->classes, CSV_CLASS_TEXT, sizeof(csv->classes));
    for (char digit = '0'; digit <= '9'; digit++)
        csv->classes[(uint8_t)digit] = CSV_CLASS_DIGIT;
    csv->classes['0'] |= CSV_CLASS_ZERO;
    csv->classes['-'] = CSV_CLASS_MINUS;
    csv->classes['e'] = csv->classes['E'] = CSV_CLASS_POWER;
    csv->classes['.'] = csv->classes['+'] = CSV_CLASS_PART;
    csv->classes['t'] |= CSV_CLASS_SPECIAL;
    csv->classes['f'] |= CSV_CLASS_SPECIAL;
    if (csv->quoting)
        csv->classes[csv->quote] |= CSV_CLASS_QUOTE;
    if (csv->nulls && csv->null.length) /* bytes of 128 and more are looked up as 127 */
        csv->classes[size_min((uint8_t)csv->null.data[0], 127)] |= CSV_CLASS_SPECIAL;
}

static uint32_t option_items(const struct options *options, const char *name)
{
    const struct option_value *value = options ? option_find(options, name) : NULL;
    return value ? value->item_count : 0;
}

static bool dialect_open(const struct format_ops *ops, uint8_t delimiter,
                         const struct options *options, struct format **format, struct error *error)
{
    uint32_t names = option_items(options, "names"), types = option_items(options, "types");
    size_t size = sizeof(struct csv) + names * sizeof(struct string) +
                  types * sizeof(struct csv_column_type) + (options ? null_size(options) : 0);
    struct csv *csv = memory_take_zeroed(1, size);
    if (!csv)
        return error_set(error, ERROR_MEMORY, "no memory for a dialect of %s", ops->noun->name);
    struct string *name_list = (struct string *)(csv + 1);
    struct csv_column_type *type_list = (struct csv_column_type *)(name_list + names);
    csv->ops = ops;
    csv->delimiter = delimiter;
    csv->quote = '"';
    csv->quoting = csv->header = csv->nulls = true;
    csv->type = CSV_AUTO;
    bool opened = !options || (delimiters_read(csv, options, error) &&
                               null_read(csv, options, (char *)(type_list + types), error) &&
                               types_read(csv, options, type_list, error) &&
                               names_read(csv, options, name_list, error));
    kinds_fill(csv);
    classes_fill(csv);
    if (!opened) {
        free(csv);
        return false;
    }
    *format = (struct format *)csv;
    return true;
}

static bool csv_open(const struct options *options, struct format **format, struct error *error)
{
    return dialect_open(&format_csv, ',', options, format, error);
}

static bool tsv_open(const struct options *options, struct format **format, struct error *error)
{
    return dialect_open(&format_tsv, '\t', options, format, error);
}

static void csv_close(struct format *format)
{
    free(format);
}

static size_t csv_cut(const struct format *format, struct cut_state *state, const char *text,
                      size_t from, size_t length, bool at_end)
{
    (void)at_end; /* what is left at the end is a record, whole or not: locate says which */
    struct csv_scan scan = csv_scan_of(csv_of(format));
    scan.state = (uint32_t)state->state;
    scan.lines = state->lines_scanned;
    size_t boundary = csv_kernel_get()->cut(&scan, text, from, length, false);
    state->state = scan.state;
    state->lines_scanned = scan.lines;
    if (boundary) {
        state->lines = scan.boundary_lines;
        state->boundary_state = 0; /* every record begins outside quotes */
    }
    return boundary;
}

static size_t csv_skip(const struct format *format, struct cut_state *state, const char *text,
                       size_t length)
{
    struct csv_scan scan = csv_scan_of(csv_of(format));
    scan.state = (uint32_t)state->state;
    scan.lines = state->lines_scanned;
    size_t boundary = csv_kernel_get()->cut(&scan, text, 0, length, true);
    state->state = scan.state;
    state->lines_scanned = scan.lines;
    if (boundary) {
        state->lines = scan.boundary_lines;
        state->boundary_state = 0;
    }
    return boundary;
}

static const struct noun csv_noun = {
    .name = "csv",
    .doc = "Comma-separated values (RFC 4180), the first record naming the fields",
    .example = "from file \"flights.csv\" { null \"NA\" }",
    .options = csv_options,
};
static const struct noun tsv_noun = {
    .name = "tsv",
    .doc = "Values separated by tabs, otherwise as csv",
    .example = "from file \"flights.tsv\" { format tsv  types string }",
    .options = tsv_options,
};

const struct format_ops format_csv = {
    .noun = &csv_noun,
    .extensions = ".csv",
    .open = csv_open,
    .close = csv_close,
    .head = csv_head,
    .cut = csv_cut,
    .skip = csv_skip,
    .locate = csv_locate,
    .prologue = csv_prologue,
    .needs_columns = true,
    .encode = csv_encode,
};

const struct format_ops format_tsv = {
    .noun = &tsv_noun,
    .extensions = ".tsv",
    .open = tsv_open,
    .close = csv_close,
    .head = csv_head,
    .cut = csv_cut,
    .skip = csv_skip,
    .locate = csv_locate,
    .prologue = csv_prologue,
    .needs_columns = true,
    .encode = csv_encode,
};
