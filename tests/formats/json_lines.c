/* NDJSON: records, projections, rejects, parts, and every instruction set against an independent
 * validator over random mutations. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/raw.h"
#include "formats/formats.h"
#include "formats/isa.h"
#include "tests/formats/batch_fixture.h"
#include "tests/formats/json_oracle.h"
#include "tests/suite.h"

extern const struct format_ops format_ndjson;

static struct batch_fixture fixture;

static void begin(const char *paths, bool members)
{
    batch_fixture_open(&fixture, 1 << 20, FIXTURE_ARENA);
    batch_fixture_project(&fixture, paths, members);
}

static void end(void)
{
    batch_fixture_close(&fixture);
    isa_force(ISA_PORTABLE);
}

static enum locate_result locate(void)
{
    struct format *format = batch_fixture_format(&format_ndjson);
    enum locate_result result = format_ndjson.locate(format, &fixture.projection, &fixture.batch);
    format_ndjson.close(format);
    return result;
}

static void locate_text(const char *text, size_t length)
{
    batch_fixture_fill(&fixture, text, length);
    CU_ASSERT_EQUAL_FATAL(locate(), LOCATE_OK);
}

/* What cell `column` of `record` holds, as text: raw text, "-" for absent, "!" for an error. */
static const char *cell(uint32_t column, uint32_t record)
{
    static char text[4][128];
    static unsigned turn;
    char *out = text[turn++ % 4];
    struct value value = fixture.columns[column].cells[record];
    if (value.kind == VALUE_RAW)
        snprintf(out, sizeof(text[0]), "%.*s", (int)value.length, value.text);
    else
        snprintf(out, sizeof(text[0]), "%s", value.kind == VALUE_ABSENT ? "-" : "!");
    return out;
}

#define EACH_ISA(isa)                                                                              \
    for (enum isa isa = ISA_PORTABLE; isa < ISA_COUNT; isa++)                                      \
        if (isa_available(isa) && (isa_force(isa), true))

static void records_and_lines(void)
{
    static const char text[] = "{\"a\":1}\n\n  [2] \r\n\t\n\"three\"\n4\r\n{\"a\":5}";
    static const char *const records[] = {"{\"a\":1}", "[2]", "\"three\"", "4", "{\"a\":5}"};
    begin("a", false);
    EACH_ISA(isa)
    {
        locate_text(text, sizeof(text) - 1);
        CU_ASSERT_EQUAL(fixture.batch.reject_count, 0);
        CU_ASSERT_EQUAL_FATAL(fixture.batch.record_count, 5);
        for (uint32_t i = 0; i < 5; i++)
            CU_ASSERT(string_equal_text(batch_record_text(&fixture.batch, i), records[i]));
        CU_ASSERT_STRING_EQUAL(cell(0, 0), "1");
        CU_ASSERT_STRING_EQUAL(cell(0, 1), "-");
        CU_ASSERT_STRING_EQUAL(cell(0, 4), "5");
        CU_ASSERT_EQUAL(fixture.batch.line_count, 6);
        CU_ASSERT(fixture.batch.last_part);
        CU_ASSERT_EQUAL(fixture.batch.part_end, sizeof(text) - 1);
        CU_ASSERT_FALSE(fixture.batch.clean);
    }
    end();
}

static void cleanness(void)
{
    static const struct {
        const char *text;
        bool clean;
    } cases[] = {{"{\"a\":1}\n{\"a\":2}\n", true},
                 {"{ \"a\" : 1 }\n", true},
                 {"1\n\"x\"\n[]\n", true},
                 {"", true},
                 {"{\"a\":1}\n{\"a\":2}", false},
                 {"{\"a\":1}\r\n", false},
                 {"{\"a\":1} \n", false},
                 {" {\"a\":1}\n", false},
                 {"{\"a\":1}\n\n", false},
                 {"{\"a\":1}\n{\"a\"}\n", false},
                 {"\n", false},
                 {"{\"a\":1}\n1\n ", false}};
    begin("a", false);
    EACH_ISA(isa)
    {
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
            locate_text(cases[i].text, strlen(cases[i].text));
            CU_ASSERT_EQUAL(fixture.batch.clean, cases[i].clean);
        }
    }
    end();
}

static void projections(void)
{
    static const char text[] =
        "{\"a\":1,\"b\":{\"c\":\"x\",\"d\":[1,{\"c\":9}]},\"e\":null}\n"
        "{\"b\":{\"d\":{},\"c\":2},\"a\":-1.5e3}\n"
        "{\"a\":1,\"a\":2,\"b\":{\"c\":1},\"b\":{\"d\":3}}\n"
        "{\"b\":5}\n{\"b\":null}\n{\"b\":\"s\"}\n{\"b\":[1]}\n{\"b\":true}\n7\n"
        "{\"\\u0061\":\"escaped\",\"\\u0062\":{\"\\u0063\" : \"deep\" }}\n"
        "{\"b\":{\"c\":1},\"b\":7}\n{\"aa\":1,\"\":2}\n";
    static const char *const expected[][3] = {{"1", "\"x\"", "[1,{\"c\":9}]"},
                                              {"-1.5e3", "2", "{}"},
                                              {"2", "-", "3"},
                                              {"-", "!", "!"},
                                              {"-", "-", "-"},
                                              {"-", "!", "!"},
                                              {"-", "!", "!"},
                                              {"-", "!", "!"},
                                              {"-", "-", "-"},
                                              {"\"escaped\"", "\"deep\"", "-"},
                                              {"-", "!", "!"},
                                              {"-", "-", "-"}};
    char twice[2 * sizeof(text)]; /* so that every record meets its own shape again */
    size_t length = (size_t)snprintf(twice, sizeof(twice), "%s%s", text, text);
    begin("a b.c b.d", true);
    EACH_ISA(isa)
    {
        locate_text(twice, length);
        uint32_t count = ARRAY_SIZE(expected);
        CU_ASSERT_EQUAL_FATAL(fixture.batch.row_count, 2 * count);
        for (uint32_t i = 0; i < 2 * count; i++)
            for (uint32_t j = 0; j < 3; j++)
                CU_ASSERT_STRING_EQUAL(cell(j, i), expected[i % count][j]);
        CU_ASSERT_EQUAL(fixture.batch.seen[0], 7);
    }
    end();
}

static void members(void)
{
    static const char text[] = "{\"a\":1,\"n\\\"x\" : [1, 2] , \"a\":\"z\",\"b\":{\"a\":3}}\n"
                               "[1]\n{}\n{\"x\":null}\n";
    static const char *const expected[] = {"a=1@0", "n\\\"x=[1, 2]@-", "a=\"z\"@0", "b={\"a\":3}@-",
                                           "x=null@-"};
    begin("a", true);
    EACH_ISA(isa)
    {
        locate_text(text, sizeof(text) - 1);
        CU_ASSERT_EQUAL_FATAL(fixture.batch.row_count, 4);
        const uint32_t *first = fixture.batch.member_first;
        CU_ASSERT(first[0] == 0 && first[1] == 4 && first[2] == 4 && first[3] == 4);
        CU_ASSERT_EQUAL_FATAL(first[4], 5);
        for (uint32_t i = 0; i < 5; i++) {
            const struct member *member = &fixture.batch.members[i];
            char shown[64];
            snprintf(shown, sizeof(shown), "%.*s=%.*s@%s", (int)member->name_length, member->name,
                     (int)member->value.length, member->value.text,
                     member->column == 0 ? "0" : "-");
            CU_ASSERT_STRING_EQUAL(shown, expected[i]);
        }
    }
    end();
}

static void rejects(void)
{
    static const struct {
        const char *line;
        uint32_t column;
        enum error_code code;
        const char *text;
    } cases[] = {
        {"{\"a\":1 \"b\":2}", 7, ERROR_MALFORMED, "expected , or } after the value"},
        {"[1 2]", 3, ERROR_MALFORMED, "expected , or ] after the value"},
        {"{\"a\":1} x", 8, ERROR_MALFORMED, "text after the value"},
        {"{\"a\" 1}", 5, ERROR_MALFORMED, "expected : after the name"},
        {"{1:2}", 1, ERROR_MALFORMED, "expected a name in quotes or }"},
        {"{\"a\":1,}", 7, ERROR_MALFORMED, "expected a name in quotes"},
        {"[1,]", 3, ERROR_MALFORMED, "expected a value"},
        {"{\"a\":", 5, ERROR_MALFORMED, "the record ends inside a value"},
        {"{\"a\":01}", 5, ERROR_MALFORMED, "a number may not start with 0"},
        {"{\"a\":-}", 6, ERROR_MALFORMED, "a digit is missing in a number"},
        {"{\"a\":1.}", 7, ERROR_MALFORMED, "a digit is missing in a number"},
        {"{\"a\":1e+}", 8, ERROR_MALFORMED, "a digit is missing in a number"},
        {"{\"a\":12x}", 7, ERROR_MALFORMED, "not part of a number"},
        {"{\"a\":tru}", 5, ERROR_MALFORMED, "neither a number nor true, false or null"},
        {"{\"a\":\"x", 5, ERROR_MALFORMED, "a string is not closed"},
        {"{\"a\":\"x\\q\"}", 7, ERROR_MALFORMED, "bad escape \\q in a string"},
        {"{\"a\":\"\\u12g4\"}", 6, ERROR_MALFORMED, "\\u needs four hexadecimal digits"},
        {"{\"a\":\"x\ty\"}", 7, ERROR_MALFORMED, "control character in a string"},
        {"{\"a\":\"\xc3\x28\"}", 6, ERROR_UTF8, "not UTF-8"},
        {"{\"a\":\"\xed\xa0\x80\"}", 6, ERROR_UTF8, "not UTF-8"},
        {"}", 0, ERROR_MALFORMED, "expected a value"},
        {"'a'", 0, ERROR_MALFORMED, "neither a number nor true, false or null"},
    };
    begin("a", true);
    EACH_ISA(isa)
    {
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
            char text[256];
            int length = snprintf(text, sizeof(text),
                                  "{\"a\":\"before\"}\n%s\r\n{\"a\":\"after\"}\n", cases[i].line);
            locate_text(text, (size_t)length);
            CU_ASSERT_EQUAL_FATAL(fixture.batch.record_count, 3);
            CU_ASSERT_EQUAL(fixture.batch.row_count, 2);
            CU_ASSERT_STRING_EQUAL(cell(0, 0), "\"before\"");
            CU_ASSERT_STRING_EQUAL(cell(0, 1), "-");
            CU_ASSERT_STRING_EQUAL(cell(0, 2), "\"after\"");
            CU_ASSERT(string_equal_text(batch_record_text(&fixture.batch, 1), cases[i].line));
            const struct reject *reject = batch_fixture_reject(&fixture, 1);
            CU_ASSERT_PTR_NOT_NULL_FATAL(reject);
            CU_ASSERT_EQUAL(reject->code, cases[i].code);
            CU_ASSERT_EQUAL(reject->column, cases[i].column);
            CU_ASSERT_EQUAL(reject->stage, STAGE_SOURCE);
            CU_ASSERT_STRING_EQUAL(reject->text, cases[i].text);
        }
    }
    end();
}

static void deep(void)
{
    enum { DEPTH = 400000 };
    char *text = malloc(2 * DEPTH + 4096);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    begin("a", false);
    EACH_ISA(isa)
    {
        size_t length = 0;
        for (int i = 0; i < 1024; i++) /* as deep as allowed */
            text[length++] = '[';
        for (int i = 0; i < 1024; i++)
            text[length++] = ']';
        text[length++] = '\n';
        memset(text + length, '[', DEPTH);
        memset(text + length + DEPTH, ']', DEPTH);
        length += 2 * DEPTH;
        memcpy(text + length, "\n{\"a\":3}\n", 9);
        locate_text(text, length + 9);
        CU_ASSERT_EQUAL_FATAL(fixture.batch.record_count, 3);
        CU_ASSERT_EQUAL(fixture.batch.row_count, 2);
        CU_ASSERT_EQUAL(batch_fixture_reject(&fixture, 1)->code, ERROR_TOO_DEEP);
        CU_ASSERT_STRING_EQUAL(cell(0, 2), "3");
    }
    end();
    free(text);
}

static uint64_t random_state = 42;

static uint32_t random_below(uint32_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 32) % limit);
}

/* Lines that look alike, with random damage. */
static size_t lines_make(char *text, unsigned lines, unsigned damage)
{
    static const char *const patterns[] = {
        "{\"ts\":\"2024-05-01T12:%02u:00Z\",\"level\":\"info\",\"status\":%u,\"latency\":0.0%u,"
        "\"path\":\"/api/v1/items/%u\",\"host\":\"web-%u\"}\n",
        "{\"status\": %u, \"nested\": {\"a\": [%u, -1, 2e%u, true], \"b\": {\"c\": null}}, "
        "\"text\": \"caf\xc3\xa9 \\u00e9 \\\"%u\\\" \xf0\x9f\x98\x80 %u\"}\n",
        "[%u,%u,\"%u\",{\"status\":%u}, -0.%u]\n",
        "{\"status\":null,\"message\":\"%u \\\\\\\\ "
        "%u\",\"status\":%u,\"x\":{},\"y\":[],\"z\":%u%u}\n",
    };
    static const char bytes[] = "{}[]:,\"\\\n 0123e+-.tfnu\t\r\x80\xc3\xed\xf4\x01";
    size_t length = 0;
    for (unsigned i = 0; i < lines; i++)
        length += (size_t)snprintf(text + length, 512, patterns[random_below(4)], random_below(60),
                                   random_below(1000), random_below(10), random_below(100000),
                                   random_below(10));
    for (unsigned i = 0; i < damage; i++) {
        size_t at = random_below((uint32_t)length);
        if (random_below(3)) {
            text[at] = bytes[random_below(sizeof(bytes) - 1)];
        } else {
            size_t count = 1 + random_below(5);
            count = at + count > length ? length - at : count;
            memmove(text + at, text + at + count, length - at - count);
            length -= count;
        }
    }
    return length;
}

/* The batch as located against the oracle, line by line. */
static void compare_with_oracle(void)
{
    struct batch *batch = &fixture.batch;
    uint32_t record = 0, row = 0;
    size_t at = 0;
    while (at < batch->text_length) {
        const char *line = batch->text + at;
        const char *line_end = memchr(line, '\n', batch->text_length - at);
        size_t length = line_end ? (size_t)(line_end - line) : batch->text_length - at;
        at += length + 1;
        if (strspn(line, " \t\r") >= length)
            continue;
        struct oracle_span span;
        bool valid = oracle_valid(line, length, "status", &span);
        CU_ASSERT_FATAL(record < batch->record_count);
        CU_ASSERT_EQUAL_FATAL(valid, batch_fixture_reject(&fixture, record) == NULL);
        struct value value = fixture.columns[0].cells[record];
        if (valid) {
            CU_ASSERT_EQUAL_FATAL(batch->rows[row++], record);
            if (!memchr(line, '\\', length)) {
                CU_ASSERT_EQUAL_FATAL(value.kind, span.end ? VALUE_RAW : VALUE_ABSENT);
                CU_ASSERT_FATAL(!span.end || (value.text == line + span.start &&
                                              value.length == span.end - span.start));
            }
        } else {
            CU_ASSERT_EQUAL(value.kind, VALUE_ABSENT);
        }
        record++;
    }
    CU_ASSERT_EQUAL_FATAL(record, batch->record_count);
    CU_ASSERT_EQUAL_FATAL(row, batch->row_count);
}

static void mutations(void)
{
    char *text = malloc(1 << 16);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    begin("status nested.a", true);
    for (unsigned round = 0; round < 1500; round++) {
        size_t length = lines_make(text, 1 + random_below(40), random_below(12));
        uint32_t rejected = 0;
        uint64_t shown = 0;
        EACH_ISA(isa)
        {
            locate_text(text, length);
            compare_with_oracle();
            uint64_t sum = 0; /* of what the rejects say: the same for all */
            for (const struct reject *reject = fixture.batch.rejects; reject; reject = reject->next)
                sum = sum * 31 + reject->record + reject->column * 7 + reject->code * 3 +
                      reject->text_length;
            if (isa == ISA_PORTABLE) {
                rejected = fixture.batch.reject_count;
                shown = sum;
            }
            CU_ASSERT_EQUAL_FATAL(fixture.batch.reject_count, rejected);
            CU_ASSERT_EQUAL_FATAL(sum, shown);
        }
    }
    end();
    free(text);
}

/* Everything that may straddle two blocks, at every place of a block. */
static void block_edges(void)
{
    static const char *const things[] = {"\\\\",
                                         "\\\"",
                                         "\\\\\\\"",
                                         "\\",
                                         "\\u00e9",
                                         "\\u00g9",
                                         "\\u12",
                                         "\\ud800\\",
                                         "\xc3\xa9",
                                         "\xe2\x82\xac",
                                         "\xf0\x9f\x98\x80",
                                         "\xe2\x82",
                                         "\xf0\x9f\x98",
                                         "\xed\xa0\x80",
                                         "\xc0\xaf",
                                         "\xf4\x90\x80\x80",
                                         "\x80",
                                         "\"",
                                         "\",\"status\":\"",
                                         "\":1,\"",
                                         "\x01",
                                         "\x7f",
                                         "{[,:]}",
                                         "\\q",
                                         "\n",
                                         "\\\n"};
    static const char *const frames[] = {
        "{\"status\":\"%s%s\",\"b\":1}\n{\"status\":2}\n", "[\"%s%s\"]\n{\"status\":2}\n",
        "{\"%s%s\":1,\"status\":0}\n{\"status\":2}\n", "{\"status\":\"%s%s"};
    char filler[160], text[512];
    begin("status", true);
    EACH_ISA(isa)
    {
        for (size_t i = 0; i < ARRAY_SIZE(things) * ARRAY_SIZE(frames); i++) {
            for (size_t gap = 0; gap < 140; gap++) {
                memset(filler, 'x', gap);
                filler[gap] = 0;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
                int length = snprintf(text, sizeof(text), frames[i % ARRAY_SIZE(frames)], filler,
                                      things[i / ARRAY_SIZE(frames)]);
#pragma GCC diagnostic pop
                locate_text(text, (size_t)length);
                compare_with_oracle();
            }
        }
    }
    end();
}

/* Numbers that are right and wrong, where a shape is known already. */
static void scalars(void)
{
    static const char *const all[] = {"0",
                                      "-0",
                                      "00",
                                      "01",
                                      "-01",
                                      "0.",
                                      ".5",
                                      "0.5",
                                      "-0.5",
                                      "-",
                                      "--1",
                                      "1-",
                                      "1.2.3",
                                      "1..2",
                                      "1e5",
                                      "1E+5",
                                      "1e",
                                      "1e+",
                                      "1.5e-07",
                                      "1e5.5",
                                      "+1",
                                      "0x10",
                                      "1_000",
                                      "12345678901234567",
                                      "1234567890123456",
                                      "-123456789012345.5",
                                      "123456789012345678901234567890.25",
                                      "0.00001",
                                      "00.5",
                                      "1a",
                                      "true",
                                      "false",
                                      "null",
                                      "True",
                                      "tru",
                                      "truee",
                                      "nul",
                                      "falsy",
                                      "fals",
                                      "NaN",
                                      "Infinity",
                                      "-Infinity",
                                      "1 ",
                                      "1\t",
                                      "1 2",
                                      "true ",
                                      "truex",
                                      "nulltrue",
                                      "\xc3\xa9",
                                      "1\xc3\xa9",
                                      "-a",
                                      "9",
                                      "123456789",
                                      "1234567",
                                      "12345678",
                                      "0123",
                                      "1:",
                                      "/",
                                      "'1'"};
    char text[256];
    begin("status", false);
    EACH_ISA(isa)
    {
        for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
            int length = snprintf(text, sizeof(text),
                                  "{\"a\":1,\"status\":2}\n{\"a\":2,\"status\":%s}\n"
                                  "{\"a\":%s,\"status\":2}\n[1,2,%s,%s]\n%s\n[1,2,3,4]\n",
                                  all[i], all[i], all[i], all[i], all[i]);
            locate_text(text, (size_t)length);
            compare_with_oracle();
        }
    }
    end();
}

/* Records with more of everything than a shape holds. */
static void wide_records(void)
{
    enum { SIZE = 1 << 18 };
    char *text = malloc(SIZE);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    begin("status", true);
    for (unsigned members = 1; members < 400; members += 1 + members / 8) {
        size_t length = 0;
        for (unsigned line = 0; line < 6; line++) {
            length += (size_t)snprintf(text + length, 64, "{\"status\":%u", random_below(1000));
            for (unsigned i = 0; i < members; i++)
                length += (size_t)snprintf(text + length, 128,
                                           ",\"a name that is as long as %0*u\":[%u,{}]",
                                           (int)(i % 40), i, random_below(1000));
            length += (size_t)snprintf(text + length, 64, "%s\n", line == 4 ? "" : "}");
        }
        EACH_ISA(isa)
        {
            locate_text(text, length);
            compare_with_oracle();
            CU_ASSERT_EQUAL(fixture.batch.reject_count, 1);
            CU_ASSERT_EQUAL(fixture.batch.member_first[4], 4 * (members + 1));
        }
    }
    end();
    free(text);
}

/* Parts: whatever the arena holds, the records are the same in the end. */
static void parts(void)
{
    char *text = malloc(1 << 16);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    size_t length = lines_make(text, 200, 10);
    begin("status", false);
    locate_text(text, length);
    uint32_t records = fixture.batch.record_count, rejected = fixture.batch.reject_count;
    uint64_t lines = fixture.batch.line_count;
    end();
    bool split = false;
    for (unsigned members = 0; members < 2; members++) {
        for (size_t arena = 32 << 10; arena < 1 << 20; arena += arena / 3) {
            batch_fixture_open(&fixture, 1 << 16, arena);
            batch_fixture_project(&fixture, "status", members);
            batch_fixture_fill(&fixture, text, length);
            uint32_t found = 0, bad = 0, part = 0, turns = 0;
            uint64_t counted = 0;
            enum locate_result result;
            do {
                batch_fixture_part(&fixture, part);
                size_t used = fixture.batch.arena.used, limit = fixture.batch.arena.limit;
                result = locate();
                if (result != LOCATE_OK)
                    break;
                CU_ASSERT(fixture.batch.arena.used - used <= (limit - used) / 2);
                CU_ASSERT_EQUAL(fixture.batch.arena.limit, limit);
                CU_ASSERT_FATAL(fixture.batch.part_end > part);
                part = fixture.batch.part_end;
                found += fixture.batch.record_count;
                bad += fixture.batch.reject_count;
                counted += fixture.batch.line_count;
                turns++;
            } while (!fixture.batch.last_part);
            if (arena > 48 << 10)
                CU_ASSERT_EQUAL(result, LOCATE_OK);
            if (result == LOCATE_OK) {
                CU_ASSERT_EQUAL(found, records);
                CU_ASSERT_EQUAL(bad, rejected);
                CU_ASSERT_EQUAL(counted, lines);
                split |= turns > 1;
            }
            batch_fixture_close(&fixture);
        }
    }
    CU_ASSERT(split);
    free(text);
}

/* cut over growing buffers in steps of 1 to 7 bytes finds every line end that locate finds. */
static void cutting(void)
{
    static const char text[] = "{\"a\":1}\n\n{\"b\":\"x\n}\r\n  \n[1,2]\n{\"c\":3}";
    struct format *format = batch_fixture_format(&format_ndjson);
    EACH_ISA(isa)
    {
        for (size_t step = 1; step <= 7; step++) {
            struct cut_state state = {0};
            size_t start = 0, at = 0, total = sizeof(text) - 1;
            while (at < total) {
                size_t until = at + step < total ? at + step : total;
                size_t cut = format_ndjson.cut(format, &state, text + start, at - start,
                                               until - start, until == total);
                at = until;
                if (cut) {
                    CU_ASSERT_EQUAL(text[start + cut - 1], '\n');
                    start += cut;
                }
                uint64_t lines = 0;
                for (size_t i = 0; i < start; i++)
                    lines += text[i] == '\n';
                CU_ASSERT_EQUAL(state.lines, lines);
            }
            CU_ASSERT_STRING_EQUAL(text + start, "{\"c\":3}");
        }
    }
    format_ndjson.close(format);
}

SUITE(ndjson, {"records and lines", records_and_lines}, {"cleanness", cleanness},
      {"projections", projections}, {"members", members}, {"rejects", rejects}, {"depth", deep},
      {"block edges", block_edges}, {"scalars", scalars}, {"wide records", wide_records},
      {"mutations against an oracle", mutations}, {"parts", parts}, {"cutting", cutting})
