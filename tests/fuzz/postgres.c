/* Binary fields as a PostgreSQL server might send them, of every type and as arrays: read without
 * harm, and what they become is JSON that reads back; text as values of every type: written without
 * harm, and what is accepted reads back. Byte 0 chooses the type, byte 1 the direction. */
#include <stdlib.h>
#include <string.h>

#include "clients/postgres_types.h"
#include "core/raw.h"

static struct arena arena;
static struct buffer buffer;
static struct buffer back;

static void decode(const char *bytes, size_t length, const struct postgres_type *type)
{
    bool corrupt = false;
    buffer.length = 0;
    if (!postgres_decode(bytes, length, type, &buffer, &corrupt) || buffer.length == 0)
        return;
    char first = buffer.data[0];
    CHECK(strchr("\"-0123456789[tfn{", first) || type->kind == POSTGRES_JSON ||
          type->kind == POSTGRES_JSONB);
}

/* A value that was encoded can be decoded, and that encoded to the same bytes. */
static void encode(struct value value, const struct postgres_type *type)
{
    const char *reason = NULL;
    bool corrupt = false;
    buffer.length = back.length = 0;
    arena.used = 0;
    if (postgres_encode(value, type, &arena, &buffer, &reason) != POSTGRES_ENCODED)
        return;
    CHECK(buffer.length >= 4);
    uint32_t length = postgres_load32(buffer.data);
    CHECK(length == UINT32_MAX || length + 4 == buffer.length);
    if (length == UINT32_MAX || type->kind == POSTGRES_JSON || type->kind == POSTGRES_JSONB)
        return;
    CHECK(postgres_decode(buffer.data + 4, length, type, &back, &corrupt) && !corrupt);
    /* text and float4 say more, or less, than their JSON text */
    if (type->kind == POSTGRES_TEXT)
        return;
    size_t size = buffer.length;
    struct value again = value_raw(back.data, back.length);
    arena.used = 0;
    CHECK(postgres_encode(again, type, &arena, &buffer, &reason) == POSTGRES_ENCODED);
    CHECK(buffer.length == 2 * size && memcmp(buffer.data, buffer.data + size, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error;
    if (!buffer.data)
        CHECK(buffer_open(&buffer, 1 << 20, 1 << 20, &error) &&
              buffer_open(&back, 1 << 20, 1 << 20, &error) &&
              arena_open(&arena, 1 << 20, 1 << 20, &error));
    if (size < 2 || size > 4096)
        return 0;
    struct postgres_type type = {.kind = 1 + data[0] % (POSTGRES_KIND_COUNT - 1)};
    type.is_array = data[0] & 128;
    type.element_oid = type.is_array ? 25 : 0;
    char *bytes = malloc(size - 2 + 1); /* exactly as long: reading behind it is seen */
    memcpy(bytes, data + 2, size - 2);
    if (data[1] % 2 == 0) {
        decode(bytes, size - 2, &type);
    } else if (!type.is_array) {
        encode(value_string(bytes, size - 2), &type);
    }
    free(bytes);
    return 0;
}
