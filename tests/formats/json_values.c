/* JSON text of any layout: the conformance cases of nst/JSONTestSuite, records of lists and of
 * values one behind the other, what cannot be delimited, cutting in small steps, parts. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "formats/isa.h"
#include "tests/formats/batch_fixture.h"
#include "tests/formats/json_oracle.h"
#include "tests/suite.h"

extern const struct format_ops format_json;

#define EACH_ISA(isa)                                                                              \
    for (enum isa isa = ISA_PORTABLE; isa < ISA_COUNT; isa++)                                      \
        if (isa_available(isa) && (isa_force(isa), true))

static struct batch_fixture fixture;

static struct format *format_open(bool one)
{
    struct option_value value = {.spec = &format_json.noun->options[0],
                                 .text = one ? STRING("one") : STRING("any")};
    struct options options = {.values = &value, .count = 1};
    struct format *format = NULL;
    struct error error;
    CU_ASSERT_FATAL(format_json.open(&options, &format, &error));
    return format;
}

/* The whole input as one batch: accepted when no record was rejected. */
static bool accepts(const struct format *format, const char *text, size_t length)
{
    struct error error;
    struct cut_state state = {0};
    struct field_names *names;
    size_t consumed;
    CU_ASSERT_EQUAL(format_json.head(format, text, length, true, &state, &consumed, &names, &error),
                    HEAD_DONE);
    batch_fixture_fill(&fixture, text + consumed, length - consumed);
    CU_ASSERT_EQUAL_FATAL(format_json.locate(format, &fixture.projection, &fixture.batch),
                          LOCATE_OK);
    CU_ASSERT(fixture.batch.last_part);
    CU_ASSERT_EQUAL(fixture.batch.row_count + fixture.batch.reject_count,
                    fixture.batch.record_count);
    return fixture.batch.reject_count == 0;
}

static char *file_read(const char *path, size_t *length)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    char *text = memory_take(1 << 20);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    *length = fread(text, 1, 1 << 20, file);
    fclose(file);
    return text;
}

static void conformance_case(const struct format *format, const char *folder, const char *name)
{
    char path[768];
    size_t length = 0;
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    char *text = file_read(path, &length);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    bool first = false;
    EACH_ISA(isa)
    {
        bool accepted = accepts(format, text, length);
        if (isa == ISA_PORTABLE)
            first = accepted;
        bool right = accepted == first && (name[0] == 'i' || accepted == (name[0] == 'y'));
        if (!right)
            printf("%s, %s: %s\n", name, isa_name(isa), accepted ? "accepted" : "refused");
        CU_ASSERT(right);
    }
    free(text);
}

static void conformance_folder(const char *folder, unsigned least)
{
    DIR *cases = opendir(folder);
    CU_ASSERT_PTR_NOT_NULL_FATAL(cases);
    struct format *one = format_open(true);
    batch_fixture_open(&fixture, 1 << 20, FIXTURE_ARENA);
    batch_fixture_project(&fixture, "a a.b", true);
    unsigned count = 0;
    for (struct dirent *entry; (entry = readdir(cases));)
        if (entry->d_name[0] != '.' && strstr(entry->d_name, ".json")) {
            conformance_case(one, folder, entry->d_name);
            count++;
        }
    CU_ASSERT(count >= least);
    batch_fixture_close(&fixture);
    format_json.close(one);
    closedir(cases);
}

static void conformance(void)
{
    const char *folder = suite_shared_data("json");
    if (folder)
        conformance_folder(folder, 180);
    else
        suite_skip("no ../shared/data/json");
}

static void conformance_sample(void)
{
    conformance_folder("tests/formats/data/json", 20);
}

/* Cases: text, then the records as "+text" or "-text" (rejected), separated by '|'. */
static const struct {
    const char *text;
    const char *records;
} layouts[] = {
    {"", ""},
    {" \n\t ", ""},
    {"1", "+1"},
    {"[]", ""},
    {"[1, {\"a\":2},\n\"x\" ]\n", "+1|+{\"a\":2}|+\"x\""},
    {"[[1],[]]", "+[1]|+[]"},
    {"{\"a\":\n 1}\n\n{\"a\":2}{\"a\":3} 4 null\"s\"[5]6", "+{\"a\":\n 1}|+{\"a\":2}|+{\"a\":3}|+4|"
                                                           "+null|+\"s\"|+5|+6"},
    {"[1,2", "+1|+2|-"},
    {"[1,", "+1|-"},
    {"[", "-"},
    {"[1,]", "+1|-"},
    {"[,1]", "-|+1"},
    {"[1,,2]", "+1|-|+2"},
    {"[1 2, 3]", "-1 2|+3"},
    {"[1 {\"a\":[2,3]}, 3]", "-1 {\"a\":[2,3]}|+3"},
    {"[tru,1]", "-tru|+1"},
    {"[{\"a\":x},{\"a\":1}]", "-{\"a\":x}|+{\"a\":1}"},
    {"{\"a\":x}{\"a\":1}", "-{\"a\":x}|+{\"a\":1}"},
    {"{\"a\" 1} [2]", "-{\"a\" 1}|+2"},
    {"{]1", "-{]|+1"},
    {"[1}2", "-1|+2"},
    {"] 1", "-]|+1"},
    {"1,2:3", "+1|-,|+2|-:|+3"},
    {"{\"a\":[1,2}", "-{\"a\":[1,2}"},
    {"{\"a\":[1,2}\n{\"b\":1}\n", "-{\"a\":[1,2}\n{\"b\":1}"},
    {"\"abc", "-\"abc"},
    {"[1,\"abc, 2]", "+1|-\"abc, 2]|-"},
    {"{\"a\":\"x\ny\"} 1", "-{\"a\":\"x\ny\"}|+1"},
    {"tru\n1", "-tru|+1"},
};

/* Adds the records of the batch to `shown`, which has room for `size` bytes. */
static void records_show(char *shown, size_t size)
{
    for (uint32_t i = 0; i < fixture.batch.record_count; i++) {
        struct string text = batch_record_text(&fixture.batch, i);
        size_t used = strlen(shown);
        snprintf(shown + used, size - used, "%s%c%.*s", used ? "|" : "",
                 batch_fixture_reject(&fixture, i) ? '-' : '+', (int)text.length, text.data);
    }
}

static void layouts_whole(void)
{
    struct format *format = format_open(false);
    batch_fixture_open(&fixture, 1 << 16, FIXTURE_ARENA);
    batch_fixture_project(&fixture, "a", false);
    EACH_ISA(isa)
    {
        for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
            char shown[256] = "";
            accepts(format, layouts[i].text, strlen(layouts[i].text));
            records_show(shown, sizeof(shown));
            CU_ASSERT_STRING_EQUAL(shown, layouts[i].records);
        }
    }
    batch_fixture_close(&fixture);
    format_json.close(format);
}

/* Reads the text as a source does that gets `step` bytes at a time, and shows its records. */
static uint64_t read_in_steps(const struct format *format, const char *text, size_t total,
                              size_t step, char *shown, size_t size)
{
    struct cut_state state = {0};
    uint64_t mode = 0, lines = 0;
    char *copy = memory_take(total + BATCH_PADDING);
    CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
    memcpy(copy, text, total);
    for (size_t start = 0, at = 0; start < total;) {
        size_t until = at + step < total ? at + step : total;
        size_t cut = format_json.cut(format, &state, copy + start, at - start, until - start,
                                     until == total);
        at = until;
        if (at == total && (cut == 0 || cut == at - start))
            cut = total - start;
        if (cut == 0)
            continue;
        batch_fixture_fill(&fixture, text + start, cut);
        start += cut;
        fixture.batch.format_state = mode;
        fixture.batch.ends_input = start == total;
        mode = state.boundary_state;
        CU_ASSERT_EQUAL_FATAL(format_json.locate(format, &fixture.projection, &fixture.batch),
                              LOCATE_OK);
        CU_ASSERT(fixture.batch.last_part);
        lines += fixture.batch.line_count;
        records_show(shown, size);
    }
    free(copy);
    return lines;
}

static void layouts_in_steps(void)
{
    struct format *format = format_open(false);
    batch_fixture_open(&fixture, 1 << 16, FIXTURE_ARENA);
    batch_fixture_project(&fixture, "a", true);
    EACH_ISA(isa)
    {
        for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
            const char *text = layouts[i].text;
            uint64_t lines = 0;
            for (const char *byte = text; *byte; byte++)
                lines += *byte == '\n';
            for (size_t step = 1; step <= 7; step++) {
                char shown[256] = "";
                CU_ASSERT_EQUAL(
                    read_in_steps(format, text, strlen(text), step, shown, sizeof(shown)), lines);
                CU_ASSERT_STRING_EQUAL(shown, layouts[i].records);
            }
        }
    }
    batch_fixture_close(&fixture);
    format_json.close(format);
}

static uint64_t random_state = 7;

static uint32_t random_below(uint32_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 32) % limit);
}

/* Random token soup: whatever it is, every way of reading it gives the same records. */
static void soup(void)
{
    static const char *const pieces[] = {"{",     "}",         "[",        "]",  ",",   ":",
                                         "\"a\"", "\"a\\\"",   "\\",       "1",  "2 ",  "\n",
                                         "null",  "{\"a\":1}", "[{\"a\":", "\"", "[1,", "\xc3\xa9"};
    struct format *format = format_open(false);
    batch_fixture_open(&fixture, 1 << 16, FIXTURE_ARENA);
    batch_fixture_project(&fixture, "a", true);
    for (unsigned round = 0; round < 4000; round++) {
        char text[256] = "", whole[2048] = "";
        for (unsigned i = random_below(24); i > 0; i--)
            snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s",
                     pieces[random_below(ARRAY_SIZE(pieces))]);
        isa_force(ISA_PORTABLE);
        accepts(format, text, strlen(text));
        records_show(whole, sizeof(whole));
        EACH_ISA(isa)
        {
            char shown[2048] = "";
            size_t step = round % 3 ? 1 + random_below(7) : strlen(text) + 1;
            read_in_steps(format, text, strlen(text), step, shown, sizeof(shown));
            if (strcmp(shown, whole) != 0)
                printf("%s, steps of %zu: %s\n  whole: %s\n  steps: %s\n", isa_name(isa), step,
                       text, whole, shown);
            CU_ASSERT_STRING_EQUAL_FATAL(shown, whole);
        }
    }
    batch_fixture_close(&fixture);
    format_json.close(format);
}

/* Skipping an over-long record ends where cut would have ended it. */
static void skipping(void)
{
    static const char text[] = "{\"a\":\"}\\\"]\",\"b\":[1,2,{}]}{\"c\":1}";
    struct format *format = format_open(false);
    EACH_ISA(isa)
    {
        for (size_t step = 1; step <= 7; step++) {
            struct cut_state state = {0};
            char chunk[8 + BATCH_PADDING] = {0};
            size_t at = 0, end = 0;
            while (!end && at < sizeof(text) - 1) {
                size_t length = size_min(step, sizeof(text) - 1 - at);
                memcpy(chunk, text + at, length);
                end = format_json.skip(format, &state, chunk, length);
                at += end ? end : length;
            }
            CU_ASSERT_EQUAL(at, strlen("{\"a\":\"}\\\"]\",\"b\":[1,2,{}]}"));
        }
    }
    format_json.close(format);
}

/* A list of many elements in parts: the mode at top level goes from part to part. */
static void parts(void)
{
    char *text = memory_take(1 << 16);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    size_t length = 1;
    text[0] = '[';
    for (unsigned i = 0; i < 3000; i++)
        length += (size_t)snprintf(text + length, 32, "%s{\"a\": %u}", i ? ",\n" : "", i);
    length += (size_t)snprintf(text + length, 32, "] 7");
    struct format *format = format_open(false);
    batch_fixture_open(&fixture, 1 << 16, 96 << 10);
    batch_fixture_project(&fixture, "a", false);
    EACH_ISA(isa)
    {
        uint32_t part = 0, found = 0, turns = 0;
        batch_fixture_fill(&fixture, text, length);
        do {
            for (int again = 0; again < 2; again++) { /* a part may come twice */
                batch_fixture_part(&fixture, part);
                CU_ASSERT_EQUAL_FATAL(
                    format_json.locate(format, &fixture.projection, &fixture.batch), LOCATE_OK);
            }
            CU_ASSERT_EQUAL(fixture.batch.reject_count, 0);
            CU_ASSERT_FATAL(fixture.batch.part_end > part);
            part = fixture.batch.part_end;
            found += fixture.batch.row_count;
            turns++;
        } while (!fixture.batch.last_part);
        CU_ASSERT_EQUAL(found, 3001);
        CU_ASSERT(turns > 1);
    }
    batch_fixture_close(&fixture);
    format_json.close(format);
    free(text);
}

static void one_value(void)
{
    static const struct {
        const char *text;
        bool accepted;
    } cases[] = {{"[1,2]", true}, {" {} \n", true}, {"", false},     {" ", false},
                 {"1 2", false},  {"[1] ]", false}, {"{}{}", false}, {"\xef\xbb\xbf[]", true}};
    struct format *format = format_open(true);
    batch_fixture_open(&fixture, 1 << 16, FIXTURE_ARENA);
    EACH_ISA(isa)
    {
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
            CU_ASSERT_EQUAL(accepts(format, cases[i].text, strlen(cases[i].text)),
                            cases[i].accepted);
            CU_ASSERT_EQUAL(fixture.batch.record_count, 1);
        }
    }
    batch_fixture_close(&fixture);
    format_json.close(format);
}

SUITE(json, {"conformance", conformance}, {"conformance, sample", conformance_sample},
      {"layouts", layouts_whole}, {"layouts in small steps", layouts_in_steps},
      {"token soup", soup}, {"skipping", skipping}, {"parts", parts}, {"one value", one_value})
