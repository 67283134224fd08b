/* Reading CSV: hostile input first, then what each option does, csv-spectrum, and generated files
 * against Python's csv module. Expected texts were written by hand from RFC 4180 and LANGUAGE.md.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/csv.h"
#include "formats/isa.h"
#include "tests/formats/csv_reader.h"
#include "tests/suite.h"

/* Appends to text, which must have room; returns how much. */
PRINTF_LIKE(2, 3) static size_t put(char *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, 1000, format, arguments);
    va_end(arguments);
    CHECK(length >= 0 && length < 1000);
    return (size_t)length;
}

static const struct reader_option plain[] = {{"types", "string"}, {"null", NULL}};
static const size_t steps[] = {1, 2, 3, 7, 64, 1 << 20};

static void expect(const struct csv_reader *reader, const char *text, size_t length,
                   const char *expected)
{
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        struct csv_reader with = *reader;
        with.step = steps[i];
        char *shown = csv_read(&with, text, length);
        if (strcmp(shown, expected))
            printf("\nof:   %.*s\nread: %s\nwant: %s\n", (int)length, text, shown, expected);
        CU_ASSERT_STRING_EQUAL(shown, expected);
        free(shown);
    }
}

#define EXPECT(reader, text, expected) expect(reader, text, sizeof(text) - 1, expected)

static const struct csv_reader csv = {.ops = &format_csv, .members = true};
static const struct csv_reader strings = {
    .ops = &format_csv, .members = true, .options = plain, .option_count = 2};

static void test_hostile(void)
{
    EXPECT(&csv, "", "");
    EXPECT(&csv, "a,b", "");
    EXPECT(&csv, "a,b\n", "");
    EXPECT(&csv,
           "\xef\xbb\xbf"
           "a,b\n1,2",
           "[1,2]\n");
    EXPECT(&csv, "\xef\xbb", "head: the header (line 1) is not UTF-8");
    EXPECT(&csv, "\n\r\n\na,b\n\n1,2\n\r\n\n", "[1,2]\n");
    EXPECT(&csv, "\"",
           "head: the header (line 1, byte 1 of it): a quoted field is never closed: "
           "its closing quote is missing");
    EXPECT(&csv, "a\rb\rc",
           "head: the header (line 1, byte 2 of it): a carriage return that ends "
           "no line: quote the field");
    EXPECT(&csv, "a,b\n1,\"", "!malformed@2\n");
    EXPECT(&csv, "a,b\n1,\"x\n2,3\n", "!malformed@2\n");
    EXPECT(&csv, "a,b\n1,2\r", "!malformed@3\n");
    EXPECT(&csv, "a,b\n1,\"2\"\r", "!malformed@5\n");
    EXPECT(&csv, "a,b\n1\rx,2\n3,4\n", "!malformed@1\n[3,4]\n");
    EXPECT(&csv, "a,b\n\0,\"\0\"\n", "[\"\\u0000\",\"\\u0000\"]\n");
    EXPECT(&csv, "a,b\n1,\xff\n\"\xc3\",2\n3,\xc3\xa9\n", "!utf8@2\n!utf8@1\n[3,\"\xc3\xa9\"]\n");
    EXPECT(&csv, "a,b\n1\n1,2,3\n,\n", "!columns@-1\n!columns@-1\n[null,null]\n");
}

static void test_quotes(void)
{
    EXPECT(&csv, "a,b\n\"x\",\"\"\n", "[\"x\",\"\"]\n");
    EXPECT(&csv, "a,b\n\"x\ny\r\n\",\"1\"\r\n2,\"\"\"\"\r\n",
           "[\"x\\ny\\r\\n\",\"1\"]\n[2,\"\\\"\"]\n");
    EXPECT(&csv, "a,b\n\"a\"\"\"\"b\"\"\",\",\"\n", "[\"a\\\"\\\"b\\\"\",\",\"]\n");
    /* malformed records end where quotes that open fields say, and nowhere else */
    EXPECT(&csv, "a,b\nx\"y,\"z\n\"\n1,2\n", "!malformed@1\n[1,2]\n");
    EXPECT(&csv, "a,b\n\"x\"y\",1\n1,2\n", "!malformed@3\n[1,2]\n");
    EXPECT(&csv, "a,b\n\"x\" ,1\n1,2\n", "!malformed@3\n[1,2]\n");
    EXPECT(&csv, "a,b\n \"x\",1\n1,2\n", "!malformed@1\n[1,2]\n");
    EXPECT(&csv, "a,b\nx\"\"\"\n1,2\n", "!malformed@1\n[1,2]\n");
    static const struct reader_option none[] = {{"quote", NULL}};
    struct csv_reader bare = csv;
    bare.options = none;
    bare.option_count = 1;
    EXPECT(&bare, "a,b\n\"x,y\"\"z\n", "[\"\\\"x\",\"y\\\"\\\"z\"]\n");
}

static void test_types(void)
{
    EXPECT(&csv,
           "a\n1\n-0\n1.50\n1e5\n1E+05\n-1.5e-3\n30000000000000000000000000000001\ntrue\nfalse\n",
           "[1]\n[-0]\n[1.50]\n[1e5]\n[1E+05]\n[-1.5e-3]\n[30000000000000000000000000000001]\n"
           "[true]\n[false]\n");
    EXPECT(&csv, "a\n007\n+5\n.5\n5.\n1_000\n-\n1e\n1e+\n 1\n1 \nTrue\nnull\nNaN\n0x1\n",
           "[\"007\"]\n[\"+5\"]\n[\".5\"]\n[\"5.\"]\n[\"1_000\"]\n[\"-\"]\n[\"1e\"]\n[\"1e+\"]\n"
           "[\" 1\"]\n[\"1 \"]\n[\"True\"]\n[\"null\"]\n[\"NaN\"]\n[\"0x1\"]\n");
    EXPECT(&csv, "a\n00000000000000000000001\n1234567890123456789012.\n\"1\"\n",
           "[\"00000000000000000000001\"]\n[\"1234567890123456789012.\"]\n[\"1\"]\n");
    static const struct reader_option typed[] = {{"types", "i:int d:double b:bool s:string"}};
    struct csv_reader types = csv;
    types.options = typed;
    types.option_count = 1;
    EXPECT(&types, "i,d,b,s,x\n+007,5,TRUE,1,1\n\"8\",1e2,false,,\n,,,\"\",true\n",
           "[7,5.0,true,\"1\",1]\n[8,1e2,false,null,null]\n[null,null,null,\"\",true]\n");
    EXPECT(&types,
           "i,d,b,s\n1.0,1,true,\n1,x,true,\n1,1,yes,\n9223372036854775808,1,true,\n"
           "-9223372036854775808,1e999,true,\n",
           "!conversion@0\n!conversion@2\n!conversion@4\n!conversion@0\n!conversion@21\n");
    EXPECT(&types, "i,d,c\n", "head: types: there is no field \"b\"");
    types.members = false; /* types are kept whether somebody reads the field or not */
    EXPECT(&types, "i,d,b,s\nx,1,true,\n1,1,true,\n", "!conversion@0\n[]\n");
}

static void test_nulls(void)
{
    static const struct reader_option null_na[] = {{"null", "NA"}};
    struct csv_reader na = csv;
    na.options = null_na;
    na.option_count = 1;
    EXPECT(&na, "a,b\nNA,\"NA\"\n,\"\"\nNAN,N\n", "[null,\"NA\"]\n[null,\"\"]\n[\"NAN\",\"N\"]\n");
    static const struct reader_option null_minus[] = {{"null", "-"}};
    na.options = null_minus;
    EXPECT(&na, "a,b\n-,-1\n--,\"-\"\n", "[null,-1]\n[\"--\",\"-\"]\n");
    static const struct reader_option null_none[] = {{"null", NULL}};
    na.options = null_none;
    EXPECT(&na, "a,b\n,\"\"\n1,x\n", "[\"\",\"\"]\n[1,\"x\"]\n");
}

static void test_header(void)
{
    static const struct reader_option without[] = {{"header", "no"}};
    static const struct reader_option named[] = {{"names", "x y"}, {"header", "yes"}};
    struct csv_reader reader = csv;
    reader.options = without;
    reader.option_count = 1;
    reader.members = false;
    reader.paths = "column_2 column_1";
    EXPECT(&reader, "a,b\n1,2\n", "[\"b\",\"a\"]\n[2,1]\n");
    EXPECT(&reader, "", "");
    reader.options = named;
    reader.paths = "y x";
    EXPECT(&reader, "1,2\n", "[2,1]\n");
    reader.option_count = 2;
    EXPECT(&reader, "a,b\n1,2\n", "[2,1]\n");
    EXPECT(&reader, "a,b,c\n1,2\n", "head: 2 names were given, but the header has 3 fields");
    reader = csv;
    reader.members = false;
    reader.paths = "c column_2 b.x b.x.y none";
    EXPECT(&reader, "b,,\"c\"\"\n\"\n1,2,3\n",
           "[absent,2,no_such_overload,no_such_overload,absent]\n");
    EXPECT(&reader, "b,,\"c\"\n,2,3\n", "[3,2,absent,absent,absent]\n");
    EXPECT(&csv, "a,b,a\n",
           "head: fields 1 and 3 are both called \"a\": name them apart with "
           "`names`, and skip the header with `header yes`");
    EXPECT(&csv, "a,column_1,\n", "");
    EXPECT(&csv, ",column_1\n",
           "head: fields 1 and 2 are both called \"column_1\": name them apart "
           "with `names`, and skip the header with `header yes`");
}

static void test_dialects(void)
{
    static const struct reader_option semicolon[] = {{"delimiter", ";"}, {"quote", "'"}};
    struct csv_reader reader = csv;
    reader.options = semicolon;
    reader.option_count = 2;
    EXPECT(&reader, "a;b\n'x;''';1,5\n\"y\";2\n", "[\"x;'\",\"1,5\"]\n[\"\\\"y\\\"\",2]\n");
    struct csv_reader tsv = {.ops = &format_tsv, .members = true};
    EXPECT(&tsv, "a\tb\n1,2\t\"x\ty\"\n", "[\"1,2\",\"x\\ty\"]\n");
    static const struct reader_option bad[][2] = {
        {{"delimiter", "ab"}}, {{"delimiter", "1"}},   {{"delimiter", "\n"}}, {{"delimiter", "\""}},
        {{"quote", "e"}},      {{"quote", ","}},       {{"null", "a,b"}},     {{"null", "\"\""}},
        {{"names", "a a"}},    {{"delimiter", "\xe9"}}};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct error error = {0};
        reader.options = bad[i];
        reader.option_count = 1;
        CU_ASSERT_PTR_NULL(csv_reader_open(&reader, &error));
        CU_ASSERT_EQUAL(error.code, ERROR_PROGRAM);
    }
}

static void test_large(void)
{
    /* one field longer than many slices, with quotes and newlines; then far too many fields */
    size_t size = 300 * 1000, at = 0;
    char *text = malloc(3 * size), *want = malloc(6 * size);
    at += put(text, "a,b\n1,\"");
    size_t out = put(want, "[1,\"");
    for (size_t i = 0; i < size / 10; i++) {
        at += put(text + at, "x\"\",\n456789");
        out += put(want + out, "x\\\",\\n456789");
    }
    at += put(text + at, "\"\n");
    out += put(want + out, "\"]\n");
    memset(text + at, ',', size);
    at += size;
    at += put(text + at, "\n2,3\n");
    put(want + out, "!columns@-1\n[2,3]\n");
    struct csv_reader reader = csv;
    reader.step = 100000;
    char *shown = csv_read(&reader, text, at);
    CU_ASSERT_STRING_EQUAL(shown, want);
    free(shown);
    free(text);
    free(want);
}

static void test_parts(void)
{
    /* an arena that holds few records, and strings to unescape: the parts add up (csv_read checks)
     */
    size_t count = 5000, at = 0, out = 0;
    char *text = malloc(count * 40), *want = malloc(count * 40);
    at += put(text, "a,b,c\n");
    for (size_t i = 0; i < count; i++) {
        at += put(text + at, "%zu,\"q\"\"%zu\",\n%s", i, i, i % 7 ? "" : "bad\n\n");
        out += put(want + out, "[%zu,\"q\\\"%zu\",null]\n%s", i, i, i % 7 ? "" : "!columns@-1\n");
    }
    static const size_t arenas[] = {3000, 8000, 40000, 1 << 20};
    for (size_t i = 0; i < ARRAY_SIZE(arenas); i++) {
        struct csv_reader reader = csv;
        reader.step = 100000;
        reader.arena = arenas[i];
        char *shown = csv_read(&reader, text, at);
        CU_ASSERT_STRING_EQUAL(shown, want);
        free(shown);
    }
    free(text);
    free(want);
}

static char *file_read(const char *path, size_t *length)
{
    FILE *file = fopen(path, "rb");
    char *text = malloc(1 << 20);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    *length = fread(text, 1, 1 << 20, file);
    text[*length == 1 << 20 ? *length - 1 : *length] = 0;
    fclose(file);
    return text;
}

static char *command_read(const char *command)
{
    size_t size = 8 << 20;
    char *out = malloc(size);
    FILE *pipe = popen(command, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(pipe);
    out[fread(out, 1, size - 1, pipe)] = 0;
    CU_ASSERT_EQUAL(pclose(pipe), 0);
    return out;
}

static void test_spectrum(void)
{
    static const char *const names[] = {"comma_in_quotes",
                                        "empty",
                                        "empty_crlf",
                                        "escaped_quotes",
                                        "json",
                                        "newlines",
                                        "newlines_crlf",
                                        "quotes_and_newlines",
                                        "simple",
                                        "simple_crlf",
                                        "utf8"};
    if (!suite_shared_data("csv/csvs/simple.csv")) {
        suite_skip("csv-spectrum is not there");
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        char path[128], command[400];
        size_t length;
        snprintf(path, sizeof(path), "csv/csvs/%s.csv", names[i]);
        char *text = file_read(suite_shared_data(path), &length);
        snprintf(path, sizeof(path), "csv/json/%s.json", names[i]);
        snprintf(
            command, sizeof(command),
            "python3 -c 'import json,sys\nfor row in json.load(open(sys.argv[1])): "
            "print(json.dumps(list(row.values()),ensure_ascii=False,separators=(\",\",\":\")))'"
            " %s",
            suite_shared_data(path));
        char *want = command_read(command);
        expect(&strings, text, length, want);
        free(want);
        free(text);
    }
}

static uint64_t seed = 88172645463325252u;

static unsigned dice(unsigned sides)
{
    seed ^= seed << 13; /* xorshift64, Marsaglia 2003 */
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed >> 33) % sides;
}

/* One field that RFC 4180 allows. */
static size_t field_make(char *out)
{
    static const char *const words[] = {"a",    ",",
                                        "\"\"", "\n",
                                        "\r\n", "\xc3\xa9",
                                        "12",   " ",
                                        "\r",   "\xf0\x9f\x99\x82",
                                        "true", "xxxxxxxxxxxxxxxxxxxxxxxxxxx"};
    static const unsigned plain_words[] = {0, 5, 6, 7, 9, 10, 11};
    size_t at = 0;
    bool quoted = dice(3) == 0;
    if (quoted)
        out[at++] = '"';
    for (unsigned left = dice(5); left; left--) {
        const char *word = words[quoted ? dice(ARRAY_SIZE(words)) : plain_words[dice(7)]];
        memcpy(out + at, word, strlen(word));
        at += strlen(word);
    }
    if (quoted)
        out[at++] = '"';
    return at;
}

static size_t case_make(char *out)
{
    size_t at = 0;
    unsigned columns = 1 + dice(6), rows = dice(40);
    const char *end = dice(2) ? "\n" : "\r\n";
    for (unsigned row = 0; row <= rows; row++) {
        for (unsigned column = 0; column < columns; column++) {
            if (column)
                out[at++] = ',';
            at += field_make(out + at);
            if (row == 0 && at == 0) /* a blank first line is no header */
                out[at++] = 'h';
        }
        if (row < rows || dice(2))
            at += put(out + at, "%s", end);
        if (columns > 1 && dice(9) == 0)
            at += put(out + at, "%s", row < rows ? end : "");
    }
    return at;
}

static void test_python(void)
{
    enum { CASES = 400, SIZE = 1 << 18 };
    static const struct reader_option options[] = {
        {"types", "string"}, {"null", NULL}, {"header", "no"}};
    struct csv_reader reader = strings;
    reader.options = options;
    reader.option_count = 3;
    char *text = malloc(SIZE), path[128], command[256];
    char *ours = malloc(32 << 20);
    size_t length = 0;
    for (unsigned i = 0; i < CASES; i++) {
        size_t size = case_make(text);
        snprintf(path, sizeof(path), "%s/case_%u.csv", suite_folder(), i);
        FILE *file = fopen(path, "wb");
        CU_ASSERT_EQUAL(fwrite(text, 1, size, file), size);
        fclose(file);
        reader.step = steps[i % ARRAY_SIZE(steps)];
        char *shown = csv_read(&reader, text, size);
        size_t shown_length = strlen(shown);
        memcpy(ours + length, shown, shown_length);
        length += shown_length;
        length += put(ours + length, "#\n");
        free(shown);
    }
    snprintf(command, sizeof(command), "python3 tests/formats/csv_oracle.py %s", suite_folder());
    char *want = command_read(command);
    size_t same = 0;
    while (ours[same] && ours[same] == want[same])
        same++;
    if (ours[same] != want[same])
        printf("\nours: %.300s\npython: %.300s\n", ours + (same > 100 ? same - 100 : 0),
               want + (same > 100 ? same - 100 : 0));
    CU_ASSERT_EQUAL(ours[same], want[same]);
    CU_ASSERT(same > 100000);
    free(want);
    free(ours);
    free(text);
}

/* Bytes without rules: every kernel at every step must say the same as the portable one at once. */
static void test_kernels(void)
{
    static const char bytes[] = "\"\"\"\"\",,,\n\n\r\nab1\xc3\xa9";
    char text[3000];
    for (unsigned round = 0; round < 300; round++) {
        size_t length = put(text, "x,y\n");
        unsigned size = dice(sizeof(text) - 10), density = 1 + dice(30);
        while (length < size)
            text[length++] = dice(density) ? 'q' : bytes[dice(sizeof(bytes) - 1)];
        struct csv_reader reader = csv;
        reader.step = 1 << 20;
        isa_force(ISA_PORTABLE);
        char *want = csv_read(&reader, text, length);
        for (enum isa isa = ISA_PORTABLE; isa < ISA_COUNT; isa++) {
            if (!isa_available(isa))
                continue;
            isa_force(isa);
            reader.step = round % 2 ? 1 << 20 : 1 + dice(100);
            char *shown = csv_read(&reader, text, length);
            CU_ASSERT_STRING_EQUAL(shown, want);
            free(shown);
        }
        free(want);
    }
}

/* Fields that look like numbers and words, typed by a regular expression in Python. */
static void test_numbers(void)
{
    static const char script[] =
        "import json,re,sys\n"
        "number=re.compile(r\"-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?|true|false\")\n"
        "cell=lambda x: \"null\" if x in (\"\",\"NA\") else x if number.fullmatch(x) else "
        "json.dumps(x)\n"
        "for line in open(sys.argv[1]).read().split(\"\\n\")[1:-1]:\n"
        "    print(\"[\"+\",\".join(map(cell,line.split(\",\")))+\"]\")\n";
    static const char *const parts[] = {"0",  "0", "1", "7",  "12345678", "-", "+",    ".",
                                        "e",  "E", "t", "NA", "true",     "f", "alse", "",
                                        "99", "x", " ", ".5", "e-3",      "N"};
    static const struct reader_option null_na[] = {{"null", "NA"}};
    enum { ROWS = 4000, SIZE = 1 << 20 };
    char *text = malloc(SIZE), path[128], command[1200];
    size_t length = put(text, "a,b,c\n");
    for (unsigned row = 0; row < ROWS; row++) {
        for (unsigned column = 0; column < 3; column++) {
            for (unsigned left = dice(5); left; left--)
                length += put(text + length, "%s", parts[dice(ARRAY_SIZE(parts))]);
            text[length++] = column < 2 ? ',' : '\n';
        }
    }
    snprintf(path, sizeof(path), "%s/numbers.csv", suite_folder());
    FILE *file = fopen(path, "wb");
    CU_ASSERT_EQUAL(fwrite(text, 1, length, file), length);
    fclose(file);
    snprintf(command, sizeof(command), "python3 -c '%s' %s", script, path);
    char *want = command_read(command);
    struct csv_reader reader = csv;
    reader.options = null_na;
    reader.option_count = 1;
    for (enum isa isa = ISA_PORTABLE; isa < ISA_COUNT; isa++) {
        if (!isa_available(isa))
            continue;
        isa_force(isa);
        reader.step = isa == ISA_AVX2 ? 300 : SIZE;
        reader.members = true;
        char *shown = csv_read(&reader, text, length);
        CU_ASSERT_STRING_EQUAL(shown, want);
        free(shown);
        reader.members = false; /* the other way to the same cells */
        reader.paths = "a b c";
        shown = csv_read(&reader, text, length);
        CU_ASSERT_STRING_EQUAL(shown, want);
        free(shown);
    }
    free(want);
    free(text);
}

/* What is wrong lies slices before the end of the record. */
static void test_far(void)
{
    enum { LONG = 100 * 1000 };
    static const struct {
        const char *start, *end, *want;
    } cases[] = {
        {"x\"", ",1\n2,3\n",
         "!malformed@1: a quote inside an unquoted field: quote the field and "
         "write the quote twice, or read with `quote none`\n[2,3]\n"},
        {"\xff", ",1\n2,3\n", "!utf8@0: byte 0xff is not UTF-8\n[2,3]\n"},
        {"\"", "\",1\n2,3", NULL},
        {"\"", "", "!malformed@0: a quoted field is never closed: its closing quote is missing\n"},
        {",,", "\n2,3\n", "!columns@-1: 3 fields where 2 are expected\n[2,3]\n"},
        {"\"\",", ",,\n2,3\n", "!columns@-1: 4 fields where 2 are expected\n[2,3]\n"},
    };
    char *text = malloc(LONG + 100), *long_text = malloc(LONG + 1);
    memset(long_text, 'y', LONG);
    long_text[LONG] = 0;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        size_t length = put(text, "a,b\n%s", cases[i].start);
        memcpy(text + length, long_text, LONG);
        length += LONG;
        length += put(text + length, "%s", cases[i].end);
        struct csv_reader reader = csv;
        reader.step = LONG / 3;
        reader.texts = true;
        char *shown = csv_read(&reader, text, length);
        if (cases[i].want)
            CU_ASSERT_STRING_EQUAL(shown, cases[i].want);
        CU_ASSERT(cases[i].want || strlen(shown) == LONG + 13);
        free(shown);
    }
    size_t length = put(text, "a,b\n"); /* commas beyond every slice */
    memset(text + length, ',', LONG);
    text[length + LONG] = '\n';
    struct csv_reader reader = csv;
    reader.step = LONG * 2;
    reader.texts = true;
    char *shown = csv_read(&reader, text, length + LONG + 1);
    CU_ASSERT_STRING_EQUAL(shown, "!columns@-1: 100001 fields where 2 are expected\n");
    free(shown);
    free(long_text);
    free(text);
}

/* A table of more fields than the index on the stack has room for. */
static void test_wide(void)
{
    enum { WIDE = 5000, SIZE = 1 << 17 };
    char *text = malloc(SIZE), *want = malloc(SIZE);
    size_t length = 0, out = 0;
    for (unsigned i = 0; i < WIDE; i++)
        length += put(text + length, "f%u%s", i, i + 1 < WIDE ? "," : "\n");
    for (unsigned row = 0; row < 3; row++) {
        out += put(want + out, "[");
        for (unsigned i = 0; i < WIDE; i++) {
            length += put(text + length, "%u%s", (i + row) % 10, i + 1 < WIDE ? "," : "\n");
            out += put(want + out, "%u%s", (i + row) % 10, i + 1 < WIDE ? "," : "]\n");
        }
        if (row == 1) {
            length += put(text + length, "1,2\n");
            out += put(want + out, "!columns@-1\n");
        }
    }
    for (unsigned round = 0; round < 4; round++) {
        struct csv_reader reader = csv;
        reader.step = round % 2 ? 1000 : SIZE;
        reader.members = round < 2;
        reader.paths = "f1 f4999 f0";
        char *shown = csv_read(&reader, text, length);
        CU_ASSERT_STRING_EQUAL(shown,
                               round < 2 ? want : "[1,9,0]\n[2,0,1]\n!columns@-1\n[3,1,2]\n");
        free(shown);
    }
    free(want);
    free(text);
}

SUITE(csv, {"hostile input", test_hostile}, {"quotes", test_quotes}, {"types", test_types},
      {"nulls", test_nulls}, {"headers and projections", test_header}, {"dialects", test_dialects},
      {"large fields and records", test_large}, {"faults far away", test_far},
      {"a wide table", test_wide}, {"parts", test_parts}, {"csv-spectrum", test_spectrum},
      {"Python's csv module", test_python}, {"instruction sets agree", test_kernels},
      {"numbers", test_numbers})
