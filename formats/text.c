/* The format text: every line is a record with one field, `line`, without its LF or CRLF; it must
 * be UTF-8. Written: the text of the one field that the records have. Lines are cut by the CSV
 * kernel without delimiters and quotes. Opened by the main thread, then const; the rest is called
 * by sources and workers. */
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "core/raw.h"
#include "core/utf8.h"
#include "formats/csv.h"

static const struct option_spec text_options[] = {{NULL}};

static bool text_open(const struct options *options, struct format **format, struct error *error)
{
    (void)options;
    *format = memory_take(sizeof(**format));
    if (!*format)
        return error_set(error, ERROR_MEMORY, "no memory for the format text");
    (*format)->ops = &format_text;
    return true;
}

static void text_close(struct format *format)
{
    free(format);
}

/* ---- reading ---- */

static enum head_result text_head(const struct format *format, const char *text, size_t length,
                                  bool at_end, struct cut_state *state, size_t *consumed,
                                  struct field_names **names, struct error *error)
{
    (void)format, (void)state;
    static const char mark[3] = {'\xef', '\xbb', '\xbf'};
    static const struct string name = {"line", 4};
    *names = NULL;
    *consumed = 0;
    size_t prefix = size_min(length, sizeof(mark));
    if (memcmp(text, mark, prefix) == 0) {
        if (prefix < sizeof(mark) && !at_end)
            return HEAD_MORE;
        *consumed = prefix == sizeof(mark) ? prefix : 0;
    }
    *names = csv_names_make(&name, 1, (struct string){NULL, 0});
    if (*names)
        return HEAD_DONE;
    error_set(error, ERROR_MEMORY, "no memory for the name of a field");
    return HEAD_FAIL;
}

static size_t lines_cut(struct cut_state *state, const char *text, size_t from, size_t length,
                        bool first)
{
    struct csv_scan scan = {.delimiter = '\n', .lines = state->lines_scanned};
    size_t boundary = csv_kernel_get()->cut(&scan, text, from, length, first);
    state->lines_scanned = scan.lines;
    if (boundary)
        state->lines = scan.boundary_lines;
    return boundary;
}

static size_t text_cut(const struct format *format, struct cut_state *state, const char *text,
                       size_t from, size_t length, bool at_end)
{
    (void)format, (void)at_end;
    return lines_cut(state, text, from, length, false);
}

static size_t text_skip(const struct format *format, struct cut_state *state, const char *text,
                        size_t length)
{
    (void)format;
    return lines_cut(state, text, 0, length, true);
}

struct reader {
    struct batch *batch;
    uint32_t capacity;
    uint32_t node;       /* of the projection, for `line`; 0: nobody wants it */
    struct value *cells; /* its cells, or NULL */
    bool valid;          /* the whole part is UTF-8 */
};

static struct value *cells_take(struct batch *batch, uint32_t column, uint32_t capacity)
{
    struct value *cells = arena_take(&batch->arena, (capacity + 1) * sizeof(*cells));
    batch->columns[column] = (struct column){.cells = cells};
    if (cells)
        memset(cells, 0, (capacity + 1) * sizeof(*cells));
    return cells;
}

static bool room_take(struct reader *reader, const struct projection *projection)
{
    struct batch *batch = reader->batch;
    struct arena *arena = &batch->arena;
    size_t each = sizeof(struct batch_record) + 2 * sizeof(uint32_t) + sizeof(struct member) +
                  projection->base_columns * sizeof(struct value);
    uint64_t lines = batch->text_length - batch->part_start;
    if (batch->line_end + 1 > batch->part_line && batch->part_line)
        lines = batch->line_end + 1 - batch->part_line;
    size_t fit = (arena->limit - arena->used) / 2 / each;
    size_t capacity = size_min(size_min(fit, BATCH_MAX_RECORDS), lines + 1);
    reader->capacity = (uint32_t)size_max(capacity, 1);
    batch->records = arena_take(arena, reader->capacity * sizeof(struct batch_record));
    batch->rows = arena_take(arena, reader->capacity * sizeof(uint32_t));
    batch->member_first = NULL;
    batch->members = NULL;
    if (projection->members) {
        batch->member_first = arena_take(arena, (reader->capacity + 1) * sizeof(uint32_t));
        batch->members = arena_take(arena, reader->capacity * sizeof(struct member));
        if (!batch->member_first || !batch->members)
            return false;
        batch->member_first[0] = 0;
    }
    for (uint32_t i = 0; i < projection->base_columns; i++)
        if (!cells_take(batch, i, reader->capacity))
            return false;
    return batch->records && batch->rows;
}

static uint32_t line_node(const struct projection *projection)
{
    uint32_t node = projection->node_count ? projection->nodes[0].first_child : 0;
    while (node && !string_equal(projection->nodes[node].name, STRING("line")))
        node = projection->nodes[node].next_sibling;
    return node;
}

/* Paths below the line: it is no map. */
static void below_set(const struct projection *projection, struct batch *batch, uint32_t node,
                      uint32_t record)
{
    uint32_t child = projection->nodes[node].first_child;
    for (; child; child = projection->nodes[child].next_sibling) {
        uint32_t column = projection->nodes[child].column;
        if (column != COLUMN_NONE)
            batch->columns[column].cells[record] = value_error(ERROR_NO_OVERLOAD);
        below_set(projection, batch, child, record);
    }
}

/* False: the arena is full. */
static bool line_take(struct reader *reader, const struct projection *projection, uint32_t offset,
                      uint32_t length)
{
    struct batch *batch = reader->batch;
    uint32_t record = batch->record_count;
    const char *text = batch->text + offset;
    batch->records[record] = (struct batch_record){offset, length};
    bool good = reader->valid || utf8_valid(text, length);
    if (good) {
        struct value value = value_string(text, length);
        if (reader->cells)
            reader->cells[record] = value;
        if (batch->members)
            batch->members[batch->row_count] = (struct member){
                .name = "line",
                .name_length = 4,
                .column = reader->node ? projection->nodes[reader->node].column : COLUMN_NONE,
                .value = value};
        if (reader->node)
            below_set(projection, batch, reader->node, record);
        batch->rows[batch->row_count++] = record;
    } else {
        batch->clean = false;
        if (!batch_reject(batch, record, STAGE_SOURCE, ERROR_UTF8, UINT32_MAX,
                          "the line is not UTF-8"))
            return false;
    }
    batch->record_count++;
    if (batch->members)
        batch->member_first[record + 1] = batch->row_count;
    return true;
}

/* Takes lines until the part is full or the text over. */
static void lines_take(struct reader *reader, const struct projection *projection)
{
    struct batch *batch = reader->batch;
    uint32_t at = batch->part_start;
    while (at < batch->text_length && batch->record_count < reader->capacity) {
        const char *feed = memchr(batch->text + at, '\n', batch->text_length - at);
        uint32_t end = feed ? (uint32_t)(feed - batch->text) : batch->text_length, stop = end;
        stop -= feed && stop > at && batch->text[stop - 1] == '\r';
        if (!line_take(reader, projection, at, stop - at))
            break;
        if (!feed || stop != end)
            batch->clean = false;
        batch->line_count += feed != NULL;
        at = feed ? end + 1 : end;
    }
    batch->part_end = at;
}

static enum locate_result text_locate(const struct format *format,
                                      const struct projection *projection, struct batch *batch)
{
    (void)format;
    struct reader reader = {.batch = batch, .node = line_node(projection)};
    batch->record_count = batch->row_count = 0;
    batch->line_count = 0;
    batch->clean = true;
    batch->part_end = batch->part_start;
    if (!room_take(&reader, projection))
        return LOCATE_FULL;
    uint32_t column = reader.node ? projection->nodes[reader.node].column : COLUMN_NONE;
    if (column != COLUMN_NONE)
        reader.cells = batch->columns[column].cells;
    reader.valid =
        utf8_valid(batch->text + batch->part_start, batch->text_length - batch->part_start);
    lines_take(&reader, projection);
    batch->last_part = batch->part_end == batch->text_length;
    if (batch->row_count && column < 256)
        batch->seen[column / 64] |= UINT64_C(1) << (column % 64);
    return batch->record_count == 0 && !batch->last_part ? LOCATE_FULL : LOCATE_OK;
}

/* ---- writing ---- */

enum line_result { LINE_DONE, LINE_FULL, LINE_SPLIT, LINE_REFUSED };

static enum line_result string_write(struct buffer *buffer, const char *text, size_t length,
                                     const char **reason)
{
    if (length && memchr(text, '\n', length)) {
        *reason = "text with a newline in it cannot be one line";
        return LINE_REFUSED;
    }
    return buffer_append(buffer, text, length) ? LINE_DONE : LINE_FULL;
}

/* Everything but strings as JSON has it; what JSON puts between quotes without them. */
static enum line_result json_write(struct buffer *buffer, struct value value, const char **reason)
{
    size_t start = buffer->length;
    switch (value_write_json(value, buffer, reason)) {
    case JSON_FULL:
        return LINE_FULL;
    case JSON_REFUSED:
        return LINE_REFUSED;
    default:
        break;
    }
    if (buffer->data[start] == '"') {
        memmove(buffer->data + start, buffer->data + start + 1, buffer->length - start - 2);
        buffer->length -= 2;
    }
    return LINE_DONE;
}

static enum line_result value_write(struct buffer *buffer, struct value value, struct arena *arena,
                                    const char **reason)
{
    if (value.kind == VALUE_RAW) {
        enum value_kind kind = value_raw_kind(value);
        if (kind == VALUE_STRING || kind == VALUE_NULL)
            value = value_resolve(value, arena);
    }
    switch (value.kind) {
    case VALUE_ABSENT:
    case VALUE_NULL:
        return LINE_DONE;
    case VALUE_STRING:
        return string_write(buffer, value.text, value.length, reason);
    case VALUE_ERROR:
        if (value.code == ERROR_ARENA_FULL)
            return LINE_SPLIT;
        return json_write(buffer, value, reason);
    default:
        return json_write(buffer, value, reason);
    }
}

static enum line_result row_write(const struct shape *shape, struct batch *batch, uint32_t row,
                                  struct buffer *buffer, const char **reason)
{
    if (shape->field_count != 1) {
        *reason = "a line of text is one field: `select` the one to write";
        return LINE_REFUSED;
    }
    uint32_t column = shape->fields[0].column;
    struct value value = {0};
    if (column != COLUMN_NONE && batch->columns[column].cells)
        value = batch->columns[column].cells[row];
    enum line_result result = value_write(buffer, value, &batch->arena, reason);
    if (result == LINE_DONE && !buffer_append_byte(buffer, '\n'))
        return LINE_FULL;
    return result;
}

static enum encode_result text_encode(const struct format *format, const struct shape *shape,
                                      struct batch *batch, bool same, uint32_t first,
                                      uint32_t *done, struct buffer *buffer)
{
    (void)format;
    if (!shape->closed) {
        CHECK(same && shape_is_clean(shape));
        return csv_records_copy(batch, first, done, buffer);
    }
    for (*done = first; *done < batch->row_count; ++*done) {
        const char *reason = "";
        size_t start = buffer->length;
        uint32_t row = batch->rows[*done];
        enum line_result result = row_write(shape, batch, row, buffer, &reason);
        if (LIKELY(result == LINE_DONE))
            continue;
        buffer->length = start;
        if (result == LINE_FULL)
            return ENCODE_FULL;
        if (result == LINE_SPLIT ||
            !batch_reject(batch, row, STAGE_SINK, ERROR_NOT_WRITABLE, UINT32_MAX, "%s", reason))
            return ENCODE_SPLIT;
    }
    return ENCODE_OK;
}

static const struct noun text_noun = {
    .name = "text",
    .doc = "Lines of text: read as the field `line`, written from records of one field",
    .example = "from file \"access.log\" { format text }",
    .options = text_options,
};

const struct format_ops format_text = {
    .noun = &text_noun,
    .extensions = ".txt .log",
    .open = text_open,
    .close = text_close,
    .head = text_head,
    .cut = text_cut,
    .skip = text_skip,
    .locate = text_locate,
    .needs_columns = true,
    .encode = text_encode,
};
