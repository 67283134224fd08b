/* Names of the fields of CSV and text inputs in one block of memory: see csv.h. Any thread. */
#include <string.h>

#include "core/fault.h"
#include "core/raw.h"
#include "formats/csv.h"

/* A JSON string needs up to six bytes for each, two quotes and a colon. */
static size_t names_size(const struct string *names, uint32_t count, struct string header)
{
    size_t size = sizeof(struct field_names) + 2 * count * sizeof(struct string) + header.length;
    for (uint32_t i = 0; i < count; i++)
        size += 7 * names[i].length + 3;
    return size + BUFFER_SLACK;
}

struct field_names *csv_names_make(const struct string *names, uint32_t count, struct string header)
{
    size_t size = names_size(names, count, header);
    struct field_names *result = memory_take(size);
    if (!result)
        return NULL;
    struct string *decoded = (struct string *)(result + 1);
    struct string *json = decoded + count;
    char *bytes = (char *)(json + count);
    struct buffer buffer = {.data = bytes};
    buffer.limit = size - (size_t)(bytes - (char *)result) - BUFFER_SLACK;
    for (uint32_t i = 0; i < count; i++) {
        decoded[i] = (struct string){bytes + buffer.length, names[i].length};
        CHECK(buffer_append(&buffer, names[i].data, names[i].length));
        size_t start = buffer.length;
        CHECK(string_write_json(names[i], &buffer) && buffer_append_byte(&buffer, ':'));
        json[i] = (struct string){bytes + start, buffer.length - start};
    }
    struct string kept = {bytes + buffer.length, header.length};
    if (header.length)
        CHECK(buffer_append(&buffer, header.data, header.length));
    *result = (struct field_names){count, decoded, json, header.data ? kept : header};
    return result;
}
