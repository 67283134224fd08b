/* Raw values: decoding one level, members, and JSON text. Expected results are written by hand or
 * by the plain writer here. */
#include "core/raw.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/core/random.h"
#include "tests/suite.h"

#define MANY 1000000

static struct arena arena;
static struct buffer buffer;

static void fixture_open(void)
{
    struct error error;
    CU_ASSERT_FATAL(arena_open(&arena, 64 << 20, 64 << 20, &error));
    CU_ASSERT_FATAL(buffer_open(&buffer, 16 << 20, 16 << 20, &error));
}

static void fixture_close(void)
{
    arena_close(&arena);
    buffer_close(&buffer);
}

static struct value raw(const char *text)
{
    return value_raw(text, strlen(text));
}

static struct value resolve(const char *text)
{
    return value_resolve(raw(text), &arena);
}

static void expect_text(struct value value, const char *text, size_t length)
{
    CU_ASSERT_EQUAL_FATAL(value.kind, VALUE_STRING);
    CU_ASSERT_EQUAL_FATAL(value.length, length);
    CU_ASSERT_EQUAL(memcmp(value.text, text, length), 0);
}

static void expect_json(struct value value, const char *text)
{
    const char *reason = NULL;
    buffer_reset(&buffer);
    CU_ASSERT_EQUAL_FATAL(value_write_json(value, &buffer, &reason), JSON_DONE);
    bool same = buffer.length == strlen(text) && memcmp(buffer.data, text, buffer.length) == 0;
    if (!same)
        printf("\n    %.*s is written for %s\n", (int)buffer.length, buffer.data, text);
    CU_ASSERT(same);
}

static void test_scalars(void)
{
    fixture_open();
    CU_ASSERT_EQUAL(resolve("null").kind, VALUE_NULL);
    CU_ASSERT_EQUAL(resolve("true").boolean, true);
    CU_ASSERT_EQUAL(resolve("false").kind, VALUE_BOOL);
    CU_ASSERT_EQUAL(resolve("false").boolean, false);
    CU_ASSERT_EQUAL(resolve("42").kind, VALUE_INT);
    CU_ASSERT_EQUAL(resolve("-42").integer, -42);
    CU_ASSERT_EQUAL(resolve("42.5").real, 42.5);
    CU_ASSERT_EQUAL(resolve("1e2").kind, VALUE_DOUBLE);
    CU_ASSERT_EQUAL(resolve("9223372036854775808").kind, VALUE_DOUBLE);
    CU_ASSERT_EQUAL(resolve("1e400").kind, VALUE_ERROR);
    CU_ASSERT_EQUAL(resolve("1e400").code, ERROR_OVERFLOW);
    CU_ASSERT_EQUAL(value_resolve(value_int(7), &arena).integer, 7);
    static const struct {
        const char *text;
        enum value_kind kind;
    } kinds[] = {{"null", VALUE_NULL},
                 {"true", VALUE_BOOL},
                 {"\"1\"", VALUE_STRING},
                 {"[1]", VALUE_LIST},
                 {"{}", VALUE_MAP},
                 {"0", VALUE_INT},
                 {"-1", VALUE_INT},
                 {"9223372036854775807", VALUE_INT},
                 {"9223372036854775808", VALUE_DOUBLE},
                 {"0.5", VALUE_DOUBLE},
                 {"1E2", VALUE_DOUBLE}};
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        CU_ASSERT_EQUAL(value_raw_kind(raw(kinds[i].text)), kinds[i].kind);
    CU_ASSERT_EQUAL(value_raw_kind(value_bytes("", 0)), VALUE_BYTES);
    fixture_close();
}

static void test_strings(void)
{
    fixture_open();
    const char *plain = "\"plain text of more than eight bytes\"";
    struct value value = resolve(plain);
    expect_text(value, plain + 1, strlen(plain) - 2);
    CU_ASSERT_PTR_EQUAL(value.text, plain + 1); /* not copied */
    CU_ASSERT_EQUAL(value.flags & VALUE_ASCII, VALUE_ASCII);
    CU_ASSERT_EQUAL(resolve("\"caf\xC3\xA9\"").flags & VALUE_ASCII, 0);
    CU_ASSERT_EQUAL(resolve("\"\xC3\xA9 and some more text\"").flags & VALUE_ASCII, 0);
    CU_ASSERT_EQUAL(resolve("\"some more text and \xC3\xA9\"").flags & VALUE_ASCII, 0);
    expect_text(resolve("\"\""), "", 0);
    expect_text(resolve("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), "\"\\/\b\f\n\r\t", 8);
    expect_text(resolve("\"\\u0041\\u00e9\\u20AC\\uD83D\\uDE00\""),
                "A\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", 10);
    expect_text(resolve("\"a\\u0000b\""), "a\0b", 3);
    /* surrogates alone, twice the same half, followed by something else or nothing */
    expect_text(resolve("\"\\uD83D\""), "\xEF\xBF\xBD", 3);
    expect_text(resolve("\"\\uDE00x\""), "\xEF\xBF\xBDx", 4);
    expect_text(resolve("\"\\uD83D\\uD83D\\uDE00\""), "\xEF\xBF\xBD\xF0\x9F\x98\x80", 7);
    expect_text(resolve("\"\\uD83D\\n\""), "\xEF\xBF\xBD\n", 4);
    expect_text(resolve("\"\\uD83D\\u0041\""),
                "\xEF\xBF\xBD"
                "A",
                4);
    expect_text(resolve("\"seven b\\\\\""), "seven b\\", 8);
    fixture_close();
}

/* A backslash at every place of strings of every short length. */
static void test_escape_places(void)
{
    fixture_open();
    for (size_t length = 1; length < 40; length++) {
        for (size_t place = 0; place < length; place++) {
            char text[64] = "\"";
            char expected[64];
            memset(text + 1, 'x', length + 1);
            memcpy(text + 1 + place, "\\n", 2);
            text[length + 2] = '"';
            memset(expected, 'x', length);
            expected[place] = '\n';
            expect_text(value_resolve(value_raw(text, length + 3), &arena), expected, length);
        }
    }
    fixture_close();
}

static void test_containers(void)
{
    fixture_open();
    struct value list = resolve("[ 1 ,\"a]\\\"\" , [2,[3]] ,{\"x\":[4]}, null ]");
    CU_ASSERT_EQUAL_FATAL(list.kind, VALUE_LIST);
    CU_ASSERT_EQUAL_FATAL(list.length, 5);
    static const char *const items[] = {"1", "\"a]\\\"\"", "[2,[3]]", "{\"x\":[4]}", "null"};
    for (size_t i = 0; i < 5; i++) {
        CU_ASSERT_EQUAL_FATAL(list.items[i].kind, VALUE_RAW);
        CU_ASSERT_EQUAL_FATAL(list.items[i].length, strlen(items[i]));
        CU_ASSERT_EQUAL(memcmp(list.items[i].text, items[i], strlen(items[i])), 0);
    }
    CU_ASSERT_EQUAL(resolve("[]").length, 0);
    CU_ASSERT_EQUAL(resolve("[ \n ]").length, 0);
    CU_ASSERT_EQUAL(resolve("{ }").kind, VALUE_MAP);
    CU_ASSERT_EQUAL(resolve("{ }").length, 0);
    struct value map = resolve("{\"a\" : 1, \"\\u0062\\\"\":\"}\",\n\"c\":{\"d\":{}},\"e\":[]}");
    CU_ASSERT_EQUAL_FATAL(map.length, 4);
    expect_text(map.entries[0].key, "a", 1);
    expect_text(map.entries[1].key, "b\"", 2);
    expect_text(map.entries[3].key, "e", 1);
    expect_json(map.entries[1].value, "\"}\"");
    expect_json(map.entries[2].value, "{\"d\":{}}");
    fixture_close();
}

static void test_members(void)
{
    fixture_open();
    struct value map = raw("{\"a\":1,\"b\":{\"a\":2},\"\\u0063\\n\":3,\"a\":4,\"\":5,\"n\":null}");
    for (int i = 0; i < 2; i++, map = value_resolve(map, &arena)) {
        expect_json(value_member(map, STRING("a"), &arena), "4"); /* the last one */
        expect_json(value_member(map, STRING("b"), &arena), "{\"a\":2}");
        expect_json(value_member(map, STRING("c\n"), &arena), "3");
        expect_json(value_member(map, STRING(""), &arena), "5");
        CU_ASSERT_EQUAL(value_raw_kind(value_member(map, STRING("n"), &arena)), VALUE_NULL);
        CU_ASSERT_EQUAL(value_member(map, STRING("c"), &arena).kind, VALUE_ABSENT);
        CU_ASSERT_EQUAL(value_member(map, STRING("\\u0063\\n"), &arena).kind, VALUE_ABSENT);
    }
    CU_ASSERT_EQUAL(value_member(raw("null"), STRING("a"), &arena).kind, VALUE_ABSENT);
    CU_ASSERT_EQUAL(value_member((struct value){0}, STRING("a"), &arena).kind, VALUE_ABSENT);
    CU_ASSERT_EQUAL(value_member(raw("[1]"), STRING("a"), &arena).code, ERROR_NO_OVERLOAD);
    CU_ASSERT_EQUAL(value_member(value_int(1), STRING("a"), &arena).code, ERROR_NO_OVERLOAD);
    fixture_close();
}

static void test_depth(void)
{
    fixture_open();
    size_t size = 2 * (size_t)MANY + 5;
    char *text = malloc(size + 1);
    CHECK(text != NULL);
    memcpy(text, "{\"a\":", 5);
    memset(text + 5, '[', MANY);
    memset(text + 5 + MANY, ']', MANY);
    text[size] = '}';
    struct value map = value_raw(text, size + 1);
    struct value member = value_member(map, STRING("a"), &arena);
    CU_ASSERT_EQUAL(member.length, 2 * MANY);
    CU_ASSERT_EQUAL(value_resolve(map, &arena).length, 1);
    CU_ASSERT_EQUAL(value_resolve(member, &arena).length, 1);
    const char *reason;
    CU_ASSERT_EQUAL(value_write_json(map, &buffer, &reason), JSON_DONE);
    CU_ASSERT_EQUAL(buffer.length, size + 1);
    free(text);
    /* made values, one inside the other */
    struct value *cells = malloc(MANY * sizeof(*cells));
    CHECK(cells != NULL);
    cells[0] = value_int(1);
    for (size_t i = 1; i < MANY; i++)
        cells[i] = (struct value){.kind = VALUE_LIST, .length = 1, .items = &cells[i - 1]};
    size_t before = buffer.length;
    CU_ASSERT_EQUAL(value_write_json(cells[250], &buffer, &reason), JSON_DONE);
    CU_ASSERT_EQUAL(buffer.length, before + 501);
    before = buffer.length;
    CU_ASSERT_EQUAL(value_write_json(cells[251], &buffer, &reason), JSON_REFUSED);
    CU_ASSERT_PTR_NOT_NULL(strstr(reason, "too deep"));
    CU_ASSERT_EQUAL(value_write_json(cells[MANY - 1], &buffer, &reason), JSON_REFUSED);
    CU_ASSERT_EQUAL(buffer.length, before);
    free(cells);
    fixture_close();
}

static void test_arena_full(void)
{
    struct error error;
    static const char *const texts[] = {"[1,2,3,4,5,6,7]", "{\"a\":1,\"b\":2,\"c\":3}",
                                        "\"0123456789012345678901234567890123456789\\n\"",
                                        "{\"01234567890123456789012345678901234567\\n\":1}"};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        CU_ASSERT_FATAL(arena_open(&arena, 48, 4096, &error));
        CU_ASSERT_PTR_NOT_NULL(arena_take_aligned(&arena, 15, 1));
        struct value value = resolve(texts[i]);
        CU_ASSERT_EQUAL(value.kind, VALUE_ERROR);
        CU_ASSERT_EQUAL(value.code, ERROR_ARENA_FULL);
        CU_ASSERT_EQUAL(arena.used, 15);
        arena.limit = 4096;
        CU_ASSERT_NOT_EQUAL(resolve(texts[i]).kind, VALUE_ERROR);
        arena_close(&arena);
    }
}

static void test_write(void)
{
    fixture_open();
    expect_json((struct value){0}, "null");
    expect_json(value_null(), "null");
    expect_json(value_bool(true), "true");
    expect_json(value_bool(false), "false");
    expect_json(value_int(INT64_MIN), "-9223372036854775808");
    expect_json(value_uint(UINT64_MAX), "18446744073709551615");
    expect_json(value_double(2), "2.0");
    expect_json(value_double(-0.0), "-0.0");
    expect_json(value_string("a\"b\\c\n\x01\x1f\x7f/", 10),
                "\"a\\\"b\\\\c\\n\\u0001\\u001f\x7f/\"");
    expect_json(value_bytes("", 0), "\"\"");
    expect_json(value_bytes("f", 1), "\"Zg==\""); /* RFC 4648, section 10 */
    expect_json(value_bytes("fo", 2), "\"Zm8=\"");
    expect_json(value_bytes("foo", 3), "\"Zm9v\"");
    expect_json(value_bytes("foob", 4), "\"Zm9vYg==\"");
    expect_json(value_bytes("fooba", 5), "\"Zm9vYmE=\"");
    expect_json(value_bytes("foobar", 6), "\"Zm9vYmFy\"");
    expect_json(value_bytes("\xfb\xff\xfe", 3), "\"+//+\"");
    expect_json((struct value){.kind = VALUE_TIMESTAMP, .integer = 1357016400, .length = 250000000},
                "\"2013-01-01T05:00:00.25Z\"");
    expect_json((struct value){.kind = VALUE_DURATION, .integer = -500000000}, "\"-0.5s\"");
    expect_json(raw("{\"a\" :\r\n\t[1.50, 1E400,\n\"\\u0041\"]}"),
                "{\"a\" :\t[1.50, 1E400,\"\\u0041\"]}");
    struct value items[] = {value_int(1), raw("1.0"), value_string("x", 1)};
    struct value list = {.kind = VALUE_LIST, .length = 3, .items = items};
    struct map_entry entries[] = {{value_string("k\"", 2), list}, {raw("\"r\""), value_null()}};
    expect_json((struct value){.kind = VALUE_MAP, .length = 2, .entries = entries},
                "{\"k\\\"\":[1,1.0,\"x\"],\"r\":null}");
    expect_json((struct value){.kind = VALUE_MAP}, "{}");
    expect_json((struct value){.kind = VALUE_LIST}, "[]");
    fixture_close();
}

static void test_refused(void)
{
    fixture_open();
    struct map_entry entry = {value_int(1), value_int(2)};
    struct value refused[] = {
        value_double(NAN),           value_double(INFINITY),
        value_double(-INFINITY),     {.kind = VALUE_MAP, .length = 1, .entries = &entry},
        value_error(ERROR_OVERFLOW), {.kind = VALUE_TYPE, .text = "int", .length = 3},
        {.kind = VALUE_OPTIONAL},
    };
    CU_ASSERT(buffer_append(&buffer, "kept", 4));
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        struct value items[] = {value_int(1), refused[i]};
        struct value list = {.kind = VALUE_LIST, .length = 2, .items = items};
        const char *reason = NULL;
        CU_ASSERT_EQUAL(value_write_json(list, &buffer, &reason), JSON_REFUSED);
        CU_ASSERT_FATAL(reason != NULL && strlen(reason) > 10);
        CU_ASSERT_EQUAL(buffer.length, 4);
    }
    fixture_close();
}

/* Byte by byte, from the text of RFC 8259 section 7. */
static size_t string_write_plainly(const char *text, size_t length, char *out)
{
    char *cursor = out;
    *cursor++ = '"';
    for (size_t i = 0; i < length; i++) {
        static const char from[] = "\"\\\b\f\n\r\t";
        static const char to[] = "\"\\bfnrt";
        const char *found = text[i] ? strchr(from, text[i]) : NULL;
        if (found)
            cursor += snprintf(cursor, 8, "\\%c", to[found - from]);
        else if ((unsigned char)text[i] < 32)
            cursor += snprintf(cursor, 8, "\\u%04x", text[i]);
        else
            *cursor++ = text[i];
    }
    *cursor++ = '"';
    return (size_t)(cursor - out);
}

static void test_string_writer(void)
{
    fixture_open();
    uint64_t state = 21;
    for (unsigned round = 0; round < 100000; round++) {
        char text[64];
        char expected[6 * sizeof(text) + 2];
        size_t length = random_below(&state, sizeof(text));
        uint64_t rare = 1 + random_below(&state, 40);
        for (size_t i = 0; i < length; i++)
            text[i] = random_below(&state, rare) ? 'a' : (char)random_below(&state, 128);
        char *copy = malloc(length + 1);
        CHECK(copy != NULL);
        memcpy(copy, text, length);
        size_t size = string_write_plainly(text, length, expected);
        buffer_reset(&buffer);
        memset(buffer.data, '#', sizeof(expected) + 8);
        CU_ASSERT_FATAL(string_write_json((struct string){copy, length}, &buffer));
        CU_ASSERT_FATAL(buffer.length == size && memcmp(buffer.data, expected, size) == 0);
        /* with any limit: all, or nothing */
        buffer.length = 3;
        buffer.limit = 3 + random_below(&state, size + 12);
        bool fits = string_write_json((struct string){copy, length}, &buffer);
        CU_ASSERT_FATAL(buffer.length == (fits ? 3 + size : 3) && buffer.length <= buffer.limit);
        CU_ASSERT_FATAL(fits || buffer.limit < 3 + size + 6);
        free(copy);
    }
    fixture_close();
}

static void test_full_changes_nothing(void)
{
    fixture_open();
    struct value items[] = {value_int(1), raw("[1,\n2]"), value_string("x\ny", 3),
                            value_bytes("abc", 3), value_double(1.5)};
    struct map_entry entry = {value_string("key", 3),
                              {.kind = VALUE_LIST, .length = 5, .items = items}};
    struct value map = {.kind = VALUE_MAP, .length = 1, .entries = &entry};
    const char *reason;
    CU_ASSERT_EQUAL(value_write_json(map, &buffer, &reason), JSON_DONE);
    size_t size = buffer.length;
    for (size_t limit = 0; limit < size; limit++) {
        buffer.length = 0;
        buffer.limit = limit;
        CU_ASSERT_EQUAL(value_write_json(map, &buffer, &reason), JSON_FULL);
        CU_ASSERT_EQUAL(buffer.length, 0);
    }
    fixture_close();
}

SUITE(raw, {"scalars", test_scalars}, {"strings", test_strings},
      {"an escape at every place", test_escape_places}, {"lists and maps", test_containers},
      {"members", test_members}, {"a million deep", test_depth},
      {"a full arena is left as it was", test_arena_full}, {"JSON text", test_write},
      {"what JSON cannot say", test_refused}, {"strings as a plain writer", test_string_writer},
      {"a full buffer is left as it was", test_full_changes_nothing})
