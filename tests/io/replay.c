/* Rejected records as a source: what every format gets back, what hostile lines become, headers
 * that change, records of all sizes, and going on from every place. What is expected is written
 * out, or made by the generator that made the lines. */
#include "io/replay_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "formats/formats.h"
#include "io/engine_simulated.h"
#include "io/reject_line.h"
#include "tests/io/fixture.h"
#include "tests/suite.h"

static struct fixture *replay_fixture(enum io_engine_kind kind, const char *path,
                                      const char *format, const struct options *options,
                                      size_t batch_text)
{
    static const struct options none;
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture_open(fixture, kind, batch_text, 1 << 20);
    /* for the permit of jumbo batches, and all that a runtime sets */
    CU_ASSERT_TRUE_FATAL(fixture_source(fixture, (const char *[]){path}, 1, NULL));
    fixture->source->ops->close(fixture->source);
    fixture->source = NULL;
    fixture->source_context.formats = &formats_all;
    fixture->source_context.options = options ? options : &none;
    fixture->source_context.files = NULL;
    fixture->source_context.file_count = 0;
    const struct format_ops *ops =
        format ? format_find(&formats_all, (struct string){format, strlen(format)}) : NULL;
    CU_ASSERT_TRUE_FATAL(replay_source_open(&fixture->source_context, path, ops, true,
                                            &fixture->source, &fixture->error));
    return fixture;
}

static void replay_free(struct fixture *fixture)
{
    fixture_close(fixture);
    free(fixture);
}

/* What came, a batch after the other: "<FIELDS>TEXT", or "<!REASON>TEXT" of one that is refused. */
static char *transcript(struct fixture *fixture)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    struct batch *batch;
    enum source_result result;
    while ((result = fixture_take(fixture, &batch)) == SOURCE_READY) {
        CU_ASSERT_TRUE(batch->recoded);
        fputc('<', out);
        if (batch->overlong)
            fprintf(out, "!%s", batch->refusal ? batch->refusal : "too long");
        for (uint32_t i = 0; !batch->overlong && batch->names && i < batch->names->count; i++)
            fprintf(out, "%s%.*s", i ? "," : "", (int)batch->names->names[i].length,
                    batch->names->names[i].data);
        fputc('>', out);
        fwrite(batch->text, 1, batch->text_length, out);
        fixture_give_back(fixture, batch);
    }
    CU_ASSERT_EQUAL(result, SOURCE_END);
    fclose(out);
    return text;
}

static void expect_transcript(const char *format, const struct options *options, const char *lines,
                              const char *expected)
{
    test_write(test_path("r.ndjson"), lines, strlen(lines));
    struct fixture *fixture =
        replay_fixture(IO_ENGINE_AUTO, test_path("r.ndjson"), format, options, 65536);
    char *text = transcript(fixture);
    if (strcmp(text, expected) != 0)
        fprintf(stderr, "\n  %s\n  came:   %s\n  wanted: %s\n", lines, text, expected);
    CU_ASSERT_STRING_EQUAL(text, expected);
    free(text);
    replay_free(fixture);
}

#define PUT   "{\"error\":\"x\",\"stage\":\"put\",\"source\":\"in\",\"line\":1,\"offset\":0,"
#define WRONG "{\"error\":\"malformed\",\"stage\":\"source\",\"source\":\"in\",\"line\":1,"

static void lines_of_json(void)
{
    expect_transcript("ndjson", NULL,
                      PUT "\"record\":\"{\\\"a\\\":1}\"}\n" PUT "\"record\":\"[2]\"}\n",
                      "<>{\"a\":1}\n[2]\n");
    /* one that was malformed stands alone, so that it takes no other with it */
    expect_transcript("ndjson", NULL,
                      PUT "\"record\":\"1\"}\n" WRONG "\"record\":\"{\\\"a\\\":\"}\n" PUT
                          "\"record\":\"2\"}\n",
                      "<>1\n<>{\"a\":<>2\n");
    /* the last line without its end; blank lines; members in another order, white space */
    expect_transcript("ndjson", NULL, "\n  \r\n" PUT "\"record\":\"1\"}", "<>1\n");
    expect_transcript("ndjson", NULL,
                      " { \"record\" : \"1\" , \"x\":[{\"a\":\"]\"}] ,\"stage\" : \"where\" } \n",
                      "<>1\n");
    expect_transcript("ndjson", NULL, "", "<>");
    expect_transcript("ndjson", NULL,
                      PUT "\"record\":\"\\\"\\u00e9\\ud83d\\ude00\\t\\/\\\\ \\u0041\\\"\"}\n",
                      "<>\"\xc3\xa9\xf0\x9f\x98\x80\t/\\ A\"\n");
}

static void json_of_any_layout(void)
{
    expect_transcript("json", NULL,
                      PUT "\"record\":\"{\\n  \\\"a\\\": [1,\\n 2]\\n}\"}\n" PUT
                          "\"record\":\"[1,2]\"}\n" WRONG "\"record\":\"{\\\"a\\\":\\n[\"}\n" PUT
                          "\"record\":\"3\"}\n",
                      "<>{\n  \"a\": [1,\n 2]\n}<>[1,2]<>{\"a\":\n[<>3");
    expect_transcript("json", test_options("values", "one", NULL), PUT "\"record\":\"{\\n}\"}\n",
                      "<>{\n}");
    expect_transcript("json", NULL, WRONG "\"record\":\"\"}\n",
                      "<!its record is empty>" WRONG "\"record\":\"\"}");
}

static void lines_of_csv(void)
{
    expect_transcript("csv", NULL,
                      PUT "\"record\":\"1,2\",\"header\":\"a,b\"}\n" PUT
                          "\"record\":\"3,4\",\"header\":\"a,b\"}\n",
                      "<a,b>1,2\n3,4\n");
    /* newlines inside of quotes */
    expect_transcript("csv", NULL,
                      PUT "\"record\":\"1,2\",\"header\":\"a,b\"}\n" PUT
                          "\"record\":\"3,\\\"x\\ny\\\"\",\"header\":\"a,b\"}\n" PUT
                          "\"record\":\"5,6\",\"header\":\"a,b\"}\n",
                      "<a,b>1,2\n<a,b>3,\"x\ny\"<a,b>5,6\n");
    /* a quote that the dialect does not see the end of takes nothing of the next record */
    expect_transcript("csv", NULL,
                      PUT "\"record\":\"1,2\",\"header\":\"a,b\"}\n" PUT
                          "\"record\":\"\\\"3,4\",\"header\":\"a,b\"}\n" PUT
                          "\"record\":\"5,6\",\"header\":\"a,b\"}\n",
                      "<a,b>1,2\n<a,b>\"3,4<a,b>5,6\n");
    /* headers that change */
    expect_transcript("csv", NULL,
                      PUT "\"record\":\"1,2\",\"header\":\"a,b\"}\n" PUT
                          "\"record\":\"3\",\"header\":\"c\"}\n" PUT
                          "\"record\":\"4,5\",\"header\":\"\\u0061,b\"}\n" PUT
                          "\"record\":\"6,7\",\"header\":\"a,b\"}\n",
                      "<a,b>1,2\n<c>3\n<a,b>4,5\n<a,b>6,7\n");
    expect_transcript("csv", NULL, PUT "\"record\":\"1,2\",\"header\":\"a,a\"}\n",
                      "<!its header is none to the format that is read>" PUT
                      "\"record\":\"1,2\",\"header\":\"a,a\"}");
    expect_transcript("csv", NULL, PUT "\"record\":\"1,2\",\"header\":\"a\\q\"}\n",
                      "<!its header has a bad escape>" PUT
                      "\"record\":\"1,2\",\"header\":\"a\\q\"}");
    expect_transcript("tsv", NULL, PUT "\"record\":\"1\\t2\",\"header\":\"a\\tb\"}\n",
                      "<a,b>1\t2\n");
}

static void csv_without_a_header(void)
{
    /* the fields are counted in the first record that was well formed */
    expect_transcript("csv", test_options("header", "no", NULL),
                      WRONG "\"record\":\"1\"}\n" PUT "\"record\":\"1,2\"}\n",
                      "<column_1,column_2>1<column_1,column_2>1,2\n");
    expect_transcript("text", NULL, PUT "\"record\":\"a,b \\\"c\\\"\"}\n" PUT "\"record\":\"\"}\n",
                      "<line>a,b \"c\"\n\n");
}

static void bytes_of_any_kind(void)
{
    expect_transcript("text", NULL, WRONG "\"record_base64\":\"/2EA\"}\n",
                      "<line>\xff\x61"); /* and a zero byte, where the transcript ends */
    expect_transcript("text", NULL, PUT "\"record_base64\":\"YQ==\"}\n", "<line>a\n");
    expect_transcript("text", NULL, PUT "\"record_base64\":\"YQ\"}\n", "<line>a\n");
    expect_transcript("text", NULL, PUT "\"record_base64\":\"YQ==YQ==\"}\n",
                      "<!its record is not in base64>" PUT "\"record_base64\":\"YQ==YQ==\"}");
    expect_transcript("text", NULL, PUT "\"record_base64\":\"Y*==\"}\n",
                      "<!its record is not in base64>" PUT "\"record_base64\":\"Y*==\"}");
}

static void format_by_the_first_line(void)
{
    expect_transcript(NULL, NULL,
                      "{\"stage\":\"put\",\"source\":\"a/b.csv.zst\",\"record\":\"1\","
                      "\"header\":\"a\"}\n",
                      "<a>1\n");
    expect_transcript(NULL, NULL, "{\"stage\":\"put\",\"source\":\"stdin\",\"record\":\"1\"}\n",
                      "<>1\n");
}

static void hostile_lines(void)
{
    static const struct {
        const char *line;
        const char *reason;
    } cases[] = {
        {"x", "it is no JSON object"},
        {"{", "it is no JSON object"},
        {"{\"record\"", "it is no JSON object"},
        {"{\"record\":", "it is no JSON object"},
        {"{\"record\":\"", "it is no JSON object"},
        {"{\"record\":\"\\\"", "it is no JSON object"},
        {"{\"record\":\"1\"", "it is no JSON object"},
        {"{\"record\":\"1\",}", "it is no JSON object"},
        {"{\"x\":[[[[,\"record\":\"1\"}", "it is no JSON object"},
        {"{record:\"1\"}", "it is no JSON object"},
        {"[\"record\"]", "it is no JSON object"},
        {"{\"record\":\"1\"} x", "something follows the JSON object"},
        {"{\"record\":\"1\"}{\"record\":\"2\"}", "something follows the JSON object"},
        {"{\"record\":1}", "its record is no string"},
        {"{\"record\":{\"a\":1}}", "its record is no string"},
        {"{\"record\":\"1\",\"record\":\"2\"}", "it has two records"},
        {"{\"record\":\"1\",\"length\":\"1\"}", "its length is no number"},
        {"{\"record\":\"1\",\"length\":-1}", "its length is no number"},
        {"{\"record\":\"1\",\"length\":99999999999999999999}", "its length is no number"},
        {"{\"record\":\"1\\x\"}", "its record has a bad escape"},
        {"{\"record\":\"\\u12\"}", "its record has a bad escape"},
        {"{\"record\":\"\\ud800\"}", "its record has a bad escape"},
        {"{\"record\":\"\\ud800\\u0041\"}", "its record has a bad escape"},
        {"{\"record\":\"\\udc00\"}", "its record has a bad escape"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char expected[400], lines[400];
        snprintf(lines, sizeof(lines), PUT "\"record\":\"1\"}\n%s\n" PUT "\"record\":\"2\"}\n",
                 cases[i].line);
        snprintf(expected, sizeof(expected), "<>1\n<!%s>%s<>2\n", cases[i].reason, cases[i].line);
        expect_transcript("ndjson", NULL, lines, expected);
    }
}

static void not_to_be_replayed(void)
{
    struct reject_line line;
    size_t length;
    static const char *const made = "{\"stage\":\"count\",\"source\":null,\"record\":null}";
    reject_line_read((struct string){made, strlen(made)}, &line);
    CU_ASSERT_PTR_NOT_NULL_FATAL(line.wrong);
    CU_ASSERT_PTR_NOT_NULL(strstr(line.wrong, "it holds no record"));
    static const char *const cut = "{\"stage\":\"source\",\"length\":70000,\"record\":\"abc\"}";
    reject_line_read((struct string){cut, strlen(cut)}, &line);
    CU_ASSERT_PTR_NULL_FATAL(line.wrong);
    const char *why = reject_record_measure(&line, &length);
    CU_ASSERT_PTR_NOT_NULL_FATAL(why);
    CU_ASSERT_PTR_NOT_NULL(strstr(why, "only the first bytes"));
    /* its length is told, but it is whole */
    expect_transcript("text", NULL, "{\"stage\":\"put\",\"length\":3,\"record\":\"abc\"}\n",
                      "<line>abc\n");
    /* what a replay has refused is told again, not read as a record */
    expect_transcript("ndjson", NULL,
                      "{\"stage\":\"replay\",\"length\":9,\"record\":\"{\\\"a\\\":1}xx\"}\n",
                      "<!a replay has refused this line before>{\"a\":1}xx");
}

/* ---- records of all sizes ---- */

static unsigned draw(unsigned *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

#define MADE_SIZE ((size_t)12 << 20)

/* Rejected records under one of `headers` headers, and what they give back, each record with the
 * number of its header in front. */
static void records_make(const char *path, size_t size, size_t longest, unsigned headers,
                         unsigned seed, char *expected, size_t *expected_length)
{
    FILE *file = fopen(path, "wb");
    size_t done = 0;
    unsigned header = 0;
    while (done < size) {
        size_t length = draw(&seed) % 16 == 0 ? draw(&seed) % longest : draw(&seed) % 60;
        header = draw(&seed) % 4 == 0 ? draw(&seed) % headers : header;
        done += (size_t)snprintf(expected + done, 16, "%u", header);
        fprintf(file, "{\"stage\":\"put\",\"record\":\"%u", header);
        for (size_t i = 0; i < length; i++) {
            char byte = " \"\\abcdefghijklmnopqrstuvwxyz/0"[draw(&seed) % 31];
            expected[done++] = byte;
            if (byte == '"' || byte == '\\' || byte == '/')
                fputc('\\', file);
            if (byte == 'z')
                fputs("\\u007a", file);
            else
                fputc(byte, file);
        }
        expected[done++] = '\n';
        fprintf(file, "\",\"header\":\"h%u\"}\n", header);
    }
    fclose(file);
    *expected_length = done;
}

/* Every record under its own header. */
static void headers_check(const struct batch *batch)
{
    if (batch->text_length == 0)
        return;
    CU_ASSERT_PTR_NOT_NULL_FATAL(batch->names);
    const char *name = batch->names->names[0].data;
    size_t length = batch->names->names[0].length - 1;
    for (size_t at = 0; at < batch->text_length;) {
        CU_ASSERT_EQUAL(memcmp(batch->text + at, name + 1, length), 0);
        const char *end = memchr(batch->text + at, '\n', batch->text_length - at);
        at = end ? (size_t)(end - batch->text) + 1 : batch->text_length;
    }
}

/* As the runtime does when a batch is settled. */
static void position_take(const struct batch *batch, struct position *position)
{
    struct position_mark head = batch->starts_input ? batch->head : position->head;
    *position = (struct position){.input = batch->origin.input,
                                  .offset = batch->content_end,
                                  .line = batch->line_end,
                                  .frame = batch->frame,
                                  .frame_offset = batch->frame_offset,
                                  .head = head,
                                  .tail = batch->tail};
}

/* Reads at most `batches`; records that stand alone have no LF, one is added. */
static enum source_result read_some(struct fixture *fixture, unsigned batches,
                                    struct position *position, char *text, size_t *length)
{
    struct batch *batch;
    enum source_result result = SOURCE_READY;
    while (batches-- > 0 && (result = fixture_take(fixture, &batch)) == SOURCE_READY) {
        CU_ASSERT_EQUAL(batch->origin.offset, position->offset);
        CU_ASSERT_EQUAL(batch->origin.line, position->line + 1);
        CU_ASSERT_FALSE(batch->overlong);
        headers_check(batch);
        CU_ASSERT(batch->text + batch->text_length <=
                  batch->memory + BATCH_HEADROOM + batch->text_capacity);
        memcpy(text + *length, batch->text, batch->text_length);
        *length += batch->text_length;
        if (batch->text_length > 0 && text[*length - 1] != '\n')
            text[(*length)++] = '\n';
        position_take(batch, position);
        fixture_give_back(fixture, batch);
    }
    return result;
}

static void expect_records(enum io_engine_kind kind, size_t batch_text, size_t longest,
                           unsigned headers, unsigned seed)
{
    char *expected = malloc(MADE_SIZE), *text = malloc(MADE_SIZE);
    size_t expected_length, length = 0;
    struct position position = {0};
    records_make(test_path("s.ndjson"), 2 << 20, longest, headers, seed, expected,
                 &expected_length);
    struct fixture *fixture =
        replay_fixture(kind, test_path("s.ndjson"), "csv",
                       test_options("delimiter", ";", "quote", "'", NULL), batch_text);
    CU_ASSERT_EQUAL(read_some(fixture, UINT32_MAX, &position, text, &length), SOURCE_END);
    CU_ASSERT_EQUAL(length, expected_length);
    CU_ASSERT(length == expected_length && memcmp(text, expected, length) == 0);
    CU_ASSERT_EQUAL(position.offset, fixture->source->inputs[0].size);
    replay_free(fixture);
    free(expected);
    free(text);
}

static void records_of_all_sizes(void)
{
    static const size_t batches[] = {4096, 65536, 256 * 1024};
    static const size_t longest[] = {100, 70 * 1024, 200 * 1024, 400 * 1024};
    for (size_t b = 0; b < ARRAY_SIZE(batches); b++)
        for (size_t l = 0; l < ARRAY_SIZE(longest); l++)
            for (unsigned headers = 1; headers <= 3; headers += 2)
                expect_records(IO_ENGINE_AUTO, batches[b], longest[l], headers,
                               (unsigned)(b * 7 + l));
}

static void simulated_reads(void)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct error error;
        struct io_simulation *simulation = io_simulation_open(seed, &error);
        expect_records(IO_ENGINE_SIMULATED, 16384, 100 * 1024, 3, (unsigned)seed);
        io_simulation_close(simulation);
    }
}

/* ---- positions ---- */

static bool seek(struct fixture *fixture, const struct input *input,
                 const struct position *position, bool incremental)
{
    fixture->source_context.inputs = input;
    fixture->source_context.input_count = 1;
    fixture->source_context.incremental = incremental;
    return fixture->source->ops->seek(fixture->source, position, &fixture->error);
}

static void from_every_place(void)
{
    char *expected = malloc(MADE_SIZE), *text = malloc(MADE_SIZE);
    size_t expected_length;
    const char *path = strdup(test_path("p.ndjson"));
    records_make(path, 300000, 40000, 3, 5, expected, &expected_length);
    for (unsigned step = 1; step < 40; step += step < 4 ? 1 : 9) {
        struct position position = {0};
        struct input input = {0};
        char name[256];
        size_t length = 0;
        enum source_result result = SOURCE_READY;
        for (unsigned round = 0; result == SOURCE_READY; round++) {
            struct fixture *fixture = replay_fixture(IO_ENGINE_POSIX, path, "csv",
                                                     test_options("delimiter", ";", NULL), 4096);
            if (round > 0)
                CU_ASSERT_TRUE_FATAL(seek(fixture, &input, &position, false));
            result = read_some(fixture, step, &position, text, &length);
            input = fixture->source->inputs[0];
            snprintf(name, sizeof(name), "%s", input.name);
            input.name = name;
            input.names = NULL;
            replay_free(fixture);
        }
        CU_ASSERT(length == expected_length && memcmp(text, expected, length) == 0);
        if (step > 1)
            continue;
        /* another replay: nothing; what was added since; and all of a file that was changed */
        struct fixture *fixture = replay_fixture(IO_ENGINE_POSIX, path, "csv", NULL, 4096);
        CU_ASSERT_TRUE_FATAL(seek(fixture, &input, &position, true));
        length = 0;
        CU_ASSERT_EQUAL(fixture_run(fixture), SOURCE_END);
        CU_ASSERT_EQUAL(fixture->batch_total, 0);
        replay_free(fixture);
    }
    free(expected);
    free(text);
    free((char *)path);
}

static void what_was_added(void)
{
    static const char *const line = PUT "\"record\":\"1\",\"header\":\"a\"}\n";
    const char *path = strdup(test_path("grown.ndjson"));
    struct position position = {0};
    char text[200], name[256];
    size_t length = 0;
    test_write(path, line, strlen(line));
    struct fixture *fixture = replay_fixture(IO_ENGINE_AUTO, path, "csv", NULL, 4096);
    struct batch *batch;
    CU_ASSERT_EQUAL_FATAL(fixture_take(fixture, &batch), SOURCE_READY);
    position_take(batch, &position);
    fixture_give_back(fixture, batch);
    /* the marks are those of the file, not of the record */
    CU_ASSERT_EQUAL(position.tail.hash, hash_bytes(line, strlen(line), HASH_SEED));
    CU_ASSERT_EQUAL(position.head.hash, position.tail.hash);
    struct input input = fixture->source->inputs[0];
    snprintf(name, sizeof(name), "%s", input.name);
    input.name = name;
    input.names = NULL;
    input.at = position;
    replay_free(fixture);
    FILE *file = fopen(path, "ab");
    fputs(PUT "\"record\":\"2\",\"header\":\"a\"}\n", file);
    fclose(file);
    fixture = replay_fixture(IO_ENGINE_AUTO, path, "csv", NULL, 4096);
    CU_ASSERT_TRUE_FATAL(seek(fixture, &input, &position, true));
    CU_ASSERT_EQUAL_FATAL(fixture_take(fixture, &batch), SOURCE_READY);
    length = batch->text_length;
    memcpy(text, batch->text, length);
    fixture_give_back(fixture, batch);
    CU_ASSERT(length == 2 && memcmp(text, "2\n", 2) == 0);
    replay_free(fixture);
    free((char *)path);
}

/* Told to stop while the spare batch is away: what is made goes out, nothing is torn, it ends. */
static void stopped(void)
{
    char *expected = malloc(MADE_SIZE), *text = malloc(MADE_SIZE);
    size_t expected_length;
    records_make(test_path("stop.ndjson"), 100000, 100, 3, 1, expected, &expected_length);
    for (unsigned batches = 0; batches < 20; batches++) {
        size_t length = 0;
        struct position position = {0};
        struct fixture *fixture = replay_fixture(IO_ENGINE_POSIX, test_path("stop.ndjson"), "csv",
                                                 test_options("delimiter", ";", NULL), 65536);
        CU_ASSERT_EQUAL(read_some(fixture, batches, &position, text, &length), SOURCE_READY);
        fixture->source->ops->stop(fixture->source);
        CU_ASSERT_EQUAL(read_some(fixture, UINT32_MAX, &position, text, &length), SOURCE_END);
        CU_ASSERT(length <= expected_length && memcmp(text, expected, length) == 0);
        replay_free(fixture);
    }
    free(expected);
    free(text);
}

static void too_many_headers(void)
{
    FILE *file = fopen(test_path("h.ndjson"), "wb");
    for (unsigned i = 0; i < 1100; i++)
        fprintf(file, PUT "\"record\":\"1\",\"header\":\"h%u\"}\n", i);
    fclose(file);
    struct fixture *fixture =
        replay_fixture(IO_ENGINE_AUTO, test_path("h.ndjson"), "csv", NULL, 65536);
    CU_ASSERT_EQUAL(fixture_run(fixture), SOURCE_END);
    CU_ASSERT_EQUAL(fixture->batch_total, 1100);
    CU_ASSERT_EQUAL(fixture->overlong, 100);
    replay_free(fixture);
}

static void long_lines(void)
{
    FILE *file = fopen(test_path("l.ndjson"), "wb");
    fputs(PUT "\"record\":\"", file);
    for (unsigned i = 0; i < 3 << 20; i++)
        fputc('x', file);
    fputs("\"}\n" PUT "\"record\":\"1\"}\n", file);
    fclose(file);
    struct fixture *fixture =
        replay_fixture(IO_ENGINE_AUTO, test_path("l.ndjson"), "ndjson", NULL, 65536);
    fixture->keep_content = true;
    CU_ASSERT_EQUAL(fixture_run(fixture), SOURCE_END);
    CU_ASSERT_EQUAL(fixture->overlong, 1);
    CU_ASSERT_EQUAL(fixture->content_length, 2);
    replay_free(fixture);
}

SUITE(replay, {"lines of JSON", lines_of_json}, {"JSON of any layout", json_of_any_layout},
      {"lines of CSV, headers that change", lines_of_csv},
      {"CSV without a header, text", csv_without_a_header}, {"bytes in base64", bytes_of_any_kind},
      {"the format by the first line", format_by_the_first_line}, {"hostile lines", hostile_lines},
      {"what cannot be replayed", not_to_be_replayed},
      {"records of all sizes", records_of_all_sizes}, {"simulated reads", simulated_reads},
      {"going on from every place", from_every_place}, {"what was added since", what_was_added},
      {"stopped", stopped}, {"too many headers", too_many_headers}, {"too long a line", long_lines})
