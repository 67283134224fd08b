/* The state of stages as bytes: see state.h. */
#include "stages/state.h"

static bool has_text(enum value_kind kind)
{
    return kind == VALUE_STRING || kind == VALUE_BYTES || kind == VALUE_RAW;
}

bool state_write_number(struct buffer *buffer, uint64_t number)
{
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(number >> 8 * i);
    return buffer_append(buffer, bytes, sizeof(bytes));
}

bool state_write_value(struct buffer *buffer, struct value value)
{
    enum value_kind kind = (enum value_kind)value.kind;
    if (!buffer_append_byte(buffer, (char)value.kind) ||
        !buffer_append_byte(buffer, (char)value.flags) || !state_write_number(buffer, value.code) ||
        !state_write_number(buffer, value.length))
        return false;
    return has_text(kind) ? buffer_append(buffer, value.text, value.length)
                          : state_write_number(buffer, value.natural);
}

static struct string state_take(struct state_reader *reader, size_t length)
{
    struct string taken = {reader->left.data, length};
    if (reader->left.length < length) {
        reader->wrong = true;
        return (struct string){NULL, 0};
    }
    reader->left.data += length;
    reader->left.length -= length;
    return taken;
}

uint64_t state_read_number(struct state_reader *reader)
{
    struct string bytes = state_take(reader, 8);
    uint64_t number = 0;
    for (size_t i = 0; i < bytes.length; i++)
        number |= (uint64_t)(unsigned char)bytes.data[i] << 8 * i;
    return number;
}

struct value state_read_value(struct state_reader *reader)
{
    struct string head = state_take(reader, 2);
    if (head.length == 0)
        return value_null();
    struct value value = {.kind = (uint8_t)head.data[0], .flags = (uint8_t)head.data[1]};
    value.code = (uint16_t)state_read_number(reader);
    value.length = (uint32_t)state_read_number(reader);
    if (has_text((enum value_kind)value.kind))
        value.text = state_take(reader, value.length).data;
    else
        value.natural = state_read_number(reader);
    return reader->wrong ? value_null() : value;
}

bool state_read_end(const struct state_reader *reader, struct error *error)
{
    if (reader->wrong || reader->left.length)
        return error_set(error, ERROR_STATE, "its recorded state is damaged; --fresh begins anew");
    return true;
}

bool state_restore_number(struct string state, uint64_t *number, struct error *error)
{
    struct state_reader reader = {.left = state};
    *number = state_read_number(&reader);
    return state_read_end(&reader, error);
}
