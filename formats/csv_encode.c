/* Writes records as CSV: see csv.h and format.h. Called by workers; touches the batch's arena and
 * rejects, and the buffer.
 *
 * A string is quoted where it holds a delimiter, quote or line end, begins or ends with a space, or
 * would be read as something else without quotes. A field of the same dialect that nobody changed
 * is copied as it stood. */
#include "core/raw.h"
#include "formats/csv_cell.h"

struct writer {
    const struct csv *csv;
    struct batch *batch;
    struct buffer *buffer;
    bool same;
    const char *reason; /* why a cell was refused */
};

enum cell_result { CELL_DONE, CELL_FULL, CELL_SPLIT, CELL_REFUSED };

static const char no_quotes[] = "the text needs quotes, and the format has none (`quote none`)";

static inline enum cell_result bytes_write(struct buffer *buffer, const char *text, size_t length)
{
    return buffer_append(buffer, text, length) ? CELL_DONE : CELL_FULL;
}

/* Whether text holds a byte that may only stand between quotes. */
static bool text_is_special(const struct csv *csv, const char *text, size_t length)
{
    size_t at = 0;
#if defined(__SSE2__)
    const __m128i delimiter = _mm_set1_epi8((char)csv->delimiter);
    const __m128i quote = _mm_set1_epi8(csv->quoting ? (char)csv->quote : '\n');
    const __m128i feed = _mm_set1_epi8('\n'), carriage = _mm_set1_epi8('\r');
    for (; at + 16 <= length; at += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(text + at));
        __m128i found = _mm_or_si128(
            _mm_or_si128(_mm_cmpeq_epi8(bytes, delimiter), _mm_cmpeq_epi8(bytes, quote)),
            _mm_or_si128(_mm_cmpeq_epi8(bytes, feed), _mm_cmpeq_epi8(bytes, carriage)));
        if (_mm_movemask_epi8(found))
            return true;
    }
#endif
    for (; at < length; at++) {
        uint8_t byte = (uint8_t)text[at];
        if (byte == csv->delimiter || byte == '\n' || byte == '\r' ||
            (csv->quoting && byte == csv->quote))
            return true;
    }
    return false;
}

/* Whether text that is not empty would be read as null, number or bool without quotes. */
static bool text_is_typed(const struct csv *csv, const char *text, size_t length)
{
    unsigned kind = csv->kinds[(uint8_t)*text];
    if ((kind & CSV_KIND_NULL) && csv_cell_is_null(csv, text, (uint32_t)length))
        return true;
    if (csv->type != CSV_AUTO)
        return false;
    return ((kind & CSV_KIND_NUMBER) && csv_number_slow(text, length)) ||
           ((kind & CSV_KIND_WORD) && csv_word_is(text, length));
}

static bool text_is_spaced(const char *text, size_t length)
{
    return text[0] == ' ' || text[length - 1] == ' ';
}

static size_t quotes_count(const char *text, size_t length, char quote)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++)
        count += text[i] == quote;
    return count;
}

/* text between quotes; its own are doubled. text may not lie in the buffer. */
static enum cell_result quoted_write(const struct csv *csv, struct buffer *buffer, const char *text,
                                     size_t length)
{
    const char quote = (char)csv->quote;
    size_t doubled = quotes_count(text, length, quote);
    char *out = buffer_room(buffer, length + doubled + 2);
    if (!out)
        return CELL_FULL;
    *out++ = quote;
    if (doubled == 0) {
        memcpy(out, text, length);
        out += length;
    } else {
        for (size_t i = 0; i < length; i++) {
            *out++ = text[i];
            if (text[i] == quote)
                *out++ = quote;
        }
    }
    *out = quote;
    buffer->length += length + doubled + 2;
    return CELL_DONE;
}

static enum cell_result string_write(struct writer *writer, const char *text, size_t length)
{
    const struct csv *csv = writer->csv;
    if (length == 0)
        return csv->nulls && csv->quoting ? quoted_write(csv, writer->buffer, text, 0) : CELL_DONE;
    bool special = text_is_special(csv, text, length);
    if (!csv->quoting) {
        writer->reason = no_quotes;
        return special ? CELL_REFUSED : bytes_write(writer->buffer, text, length);
    }
    if (special || text_is_spaced(text, length) || text_is_typed(csv, text, length))
        return quoted_write(csv, writer->buffer, text, length);
    return bytes_write(writer->buffer, text, length);
}

/* The bytes of the buffer from `start` on become a quoted field, in place from the end. */
static enum cell_result tail_quote(struct writer *writer, size_t start)
{
    const struct csv *csv = writer->csv;
    struct buffer *buffer = writer->buffer;
    const char quote = (char)csv->quote;
    char *from = buffer->data + start;
    size_t length = buffer->length - start;
    if (!csv->quoting) {
        writer->reason = no_quotes;
        return text_is_special(csv, from, length) ? CELL_REFUSED : CELL_DONE;
    }
    size_t more = quotes_count(from, length, quote) + 2;
    if (!buffer_room(buffer, more))
        return CELL_FULL;
    char *out = from + length + more;
    *--out = quote;
    for (size_t i = length; i-- > 0;) {
        char byte = from[i];
        *--out = byte;
        if (byte == quote)
            *--out = quote;
    }
    *--out = quote;
    buffer->length += more;
    return CELL_DONE;
}

static enum cell_result json_append(struct writer *writer, struct value value)
{
    switch (value_write_json(value, writer->buffer, &writer->reason)) {
    case JSON_DONE:
        return CELL_DONE;
    case JSON_FULL:
        return CELL_FULL;
    default:
        return CELL_REFUSED;
    }
}

/* Lists and maps: their JSON text, quoted. */
static enum cell_result nested_write(struct writer *writer, struct value value)
{
    size_t start = writer->buffer->length;
    enum cell_result result = json_append(writer, value);
    return result == CELL_DONE ? tail_quote(writer, start) : result;
}

/* Bytes, timestamps and durations: what JSON has between quotes (never a quote), as a string. */
static enum cell_result text_write(struct writer *writer, struct value value)
{
    const struct csv *csv = writer->csv;
    struct buffer *buffer = writer->buffer;
    size_t start = buffer->length;
    enum cell_result result = json_append(writer, value);
    if (result != CELL_DONE)
        return result;
    char *text = buffer->data + start + 1;
    size_t length = buffer->length - start - 2;
    bool special = text_is_special(csv, text, length);
    if (special && !csv->quoting) {
        writer->reason = no_quotes;
        return CELL_REFUSED;
    }
    if (csv->quoting && (special || (length ? text_is_typed(csv, text, length) : csv->nulls))) {
        text[-1] = text[length] = (char)csv->quote;
        return CELL_DONE;
    }
    memmove(text - 1, text, length);
    buffer->length -= 2;
    return CELL_DONE;
}

static enum cell_result cell_write(struct writer *writer, struct value value);

static enum cell_result null_write(struct writer *writer, struct value value)
{
    const struct csv *csv = writer->csv;
    if (writer->same && value.code == CSV_CELL_PLAIN)
        return bytes_write(writer->buffer, value.text, value.length);
    return csv->null.length ? bytes_write(writer->buffer, csv->null.data, csv->null.length)
                            : CELL_DONE;
}

static enum cell_result raw_write(struct writer *writer, struct value value)
{
    switch (*value.text) {
    case '"':
        if (!memchr(value.text, '\\', value.length))
            return string_write(writer, value.text + 1, value.length - 2);
        value = value_resolve(value, &writer->batch->arena);
        return cell_write(writer, value);
    case '{':
    case '[':
        return nested_write(writer, value);
    case 'n':
        return null_write(writer, value_null());
    default:
        return bytes_write(writer->buffer, value.text, value.length);
    }
}

static enum cell_result cell_write(struct writer *writer, struct value value)
{
    switch (value.kind) {
    case VALUE_ABSENT:
        return null_write(writer, value_null());
    case VALUE_NULL:
        return null_write(writer, value);
    case VALUE_RAW:
        return raw_write(writer, value);
    case VALUE_STRING:
        if (writer->same && value.code == CSV_CELL_PLAIN)
            return bytes_write(writer->buffer, value.text, value.length);
        if (writer->same && value.code == CSV_CELL_QUOTED)
            return bytes_write(writer->buffer, value.text - 1, value.length + 2);
        return string_write(writer, value.text, value.length);
    case VALUE_LIST:
    case VALUE_MAP:
        return nested_write(writer, value);
    case VALUE_BYTES:
    case VALUE_TIMESTAMP:
    case VALUE_DURATION:
        return text_write(writer, value);
    case VALUE_DOUBLE:
        if (__builtin_isfinite(value.real))
            break;
        writer->reason = "NaN and infinities are not written";
        return CELL_REFUSED;
    case VALUE_ERROR:
        if (value.code == ERROR_ARENA_FULL)
            return CELL_SPLIT;
        break;
    default:
        break;
    }
    return json_append(writer, value);
}

/* Fields up to this long are copied as this many bytes: the text is padded, the buffer has slack.
 */
#define WIDE 32
_Static_assert(WIDE <= BATCH_PADDING && WIDE <= BUFFER_SLACK, "wide copies stay in bounds");

/* Short fields of the same dialect that nobody changed, which are most. */
static inline bool cell_copy(struct writer *writer, const struct value *value)
{
    struct buffer *buffer = writer->buffer;
    if (value->code != CSV_CELL_PLAIN || value->kind == VALUE_ERROR || !writer->same ||
        value->length > WIDE || value->length > buffer->limit - buffer->length)
        return false;
    memcpy(buffer->data + buffer->length, value->text, WIDE);
    buffer->length += value->length;
    return true;
}

static enum cell_result row_write(struct writer *writer, const struct shape *shape, uint32_t row,
                                  uint32_t *field)
{
    const struct column *columns = writer->batch->columns;
    for (*field = 0; *field < shape->field_count; ++*field) {
        uint32_t column = shape->fields[*field].column;
        struct value value = {0};
        if (column != COLUMN_NONE && columns[column].cells)
            value = columns[column].cells[row];
        if (*field > 0 && !buffer_append_byte(writer->buffer, (char)writer->csv->delimiter))
            return CELL_FULL;
        if (LIKELY(cell_copy(writer, &value)))
            continue;
        enum cell_result result = cell_write(writer, value);
        if (UNLIKELY(result != CELL_DONE))
            return result;
    }
    return buffer_append_byte(writer->buffer, '\n') ? CELL_DONE : CELL_FULL;
}

static enum encode_result rows_write(struct writer *writer, const struct shape *shape,
                                     uint32_t first, uint32_t *done)
{
    struct batch *batch = writer->batch;
    for (*done = first; *done < batch->row_count; ++*done) {
        size_t start = writer->buffer->length;
        uint32_t row = batch->rows[*done], field;
        enum cell_result result = row_write(writer, shape, row, &field);
        if (LIKELY(result == CELL_DONE))
            continue;
        writer->buffer->length = start;
        if (result == CELL_FULL)
            return ENCODE_FULL;
        struct string name = field < shape->field_count ? shape->fields[field].name : STRING("");
        if (result == CELL_SPLIT ||
            !batch_reject(batch, row, STAGE_SINK, ERROR_NOT_WRITABLE, UINT32_MAX, "%.*s: %s",
                          (int)size_min(name.length, 100), name.data, writer->reason))
            return ENCODE_SPLIT;
    }
    return ENCODE_OK;
}

enum encode_result csv_records_copy(const struct batch *batch, uint32_t first, uint32_t *done,
                                    struct buffer *buffer)
{
    for (*done = first; *done < batch->row_count;) {
        uint32_t row = batch->rows[*done], count = 1;
        struct string text = batch_record_text(batch, row);
        size_t room = buffer->limit - buffer->length;
        if (room < text.length + 1)
            return ENCODE_FULL;
        while (batch->clean && *done + count < batch->row_count &&
               batch->rows[*done + count] == row + count) {
            struct string next = batch_record_text(batch, row + count);
            size_t length = (size_t)(next.data + next.length - text.data);
            if (length + 1 > room)
                break;
            text.length = length;
            count++;
        }
        CHECK(buffer_append(buffer, text.data, text.length) && buffer_append_byte(buffer, '\n'));
        *done += count;
    }
    return ENCODE_OK;
}

enum encode_result csv_encode(const struct format *format, const struct shape *shape,
                              struct batch *batch, bool same, uint32_t first, uint32_t *done,
                              struct buffer *buffer)
{
    struct writer writer = {
        .csv = csv_of(format),
        .batch = batch,
        .buffer = buffer,
        .same = same,
    };
    if (shape->closed)
        return rows_write(&writer, shape, first, done);
    CHECK(same && shape_is_clean(shape));
    return csv_records_copy(batch, first, done, buffer);
}

bool csv_prologue(const struct format *format, const struct shape *shape, struct buffer *buffer)
{
    const struct csv *csv = csv_of(format);
    size_t start = buffer->length;
    bool written = true;
    for (uint32_t i = 0; csv->header && written && i < shape->field_count; i++) {
        struct string name = shape->fields[i].name;
        bool special = text_is_special(csv, name.data, name.length);
        if (i > 0)
            written = buffer_append_byte(buffer, (char)csv->delimiter);
        if (csv->quoting && (special || !name.length || text_is_spaced(name.data, name.length)))
            written = written && quoted_write(csv, buffer, name.data, name.length) == CELL_DONE;
        else /* without quotes such a name has no text of its own: false */
            written = written && !special && buffer_append(buffer, name.data, name.length);
    }
    if (csv->header && shape->field_count)
        written = written && buffer_append_byte(buffer, '\n');
    if (!written)
        buffer->length = start;
    return written;
}
