/* Every format read and written, each from and to each. Python's json and csv modules make the
 * input files and judge the output. */
#include "tests/cli/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/suite.h"

/* Records that CSV can tell apart from their types: strings that look like numbers are quoted. */
static const char *const make_script =
    "import csv, json, os, sys\n"
    "records = [{'n': 1, 'x': 2.5, 's': 'plain', 't': True},\n"
    "           {'n': -7, 'x': 0.1, 's': 'comma, \"quote\"', 't': False},\n"
    "           {'n': 0, 'x': 1e300, 's': 'two\\nlines', 't': True},\n"
    "           {'n': 9007199254740993, 'x': 3.0, 's': 'h\\u00e9 \\U0001f600', 't': False}]\n"
    "os.chdir(sys.argv[1])\n"
    "with open('in.ndjson', 'w') as f:\n"
    "    for r in records: f.write(json.dumps(r) + '\\n')\n"
    "json.dump(records, open('in.json', 'w'), indent=2)\n"
    "def text(v): return json.dumps(v) if not isinstance(v, str) else v\n"
    "for name, dialect in ('in.csv', 'excel'), ('in.tsv', 'excel-tab'):\n"
    "    with open(name, 'w', newline='') as f:\n"
    "        w = csv.writer(f, dialect)\n"
    "        w.writerow(records[0])\n"
    "        for r in records: w.writerow([text(v) for v in r.values()])\n";

static const char *const judge_script =
    "import csv, json, sys\n"
    "records = [json.loads(line) for line in open('in.ndjson')]\n"
    "def typed(v):\n"
    "    try: return json.loads(v)\n"
    "    except ValueError: return v\n"
    "name = sys.argv[1]\n"
    "if name.endswith('.ndjson'): got = [json.loads(line) for line in open(name)]\n"
    "elif name.endswith('.json'):\n"
    "    got, text, at = [], open(name).read(), 0\n"
    "    decoder = json.JSONDecoder()\n"
    "    while text[at:].strip():\n"
    "        at += len(text[at:]) - len(text[at:].lstrip())\n"
    "        value, at = decoder.raw_decode(text, at)\n"
    "        got += value if isinstance(value, list) else [value]\n"
    "else:\n"
    "    dialect = 'excel-tab' if name.endswith('.tsv') else 'excel'\n"
    "    rows = csv.DictReader(open(name, newline=''), dialect=dialect)\n"
    "    got = [{k: typed(v) for k, v in row.items()} for row in rows]\n"
    "print('same' if got == records else got)\n";

static void convert(const char *folder, const char *from, const char *to)
{
    struct process leat = {.folder = folder, .arguments = {"pass", from, "-o", to}};
    process_run(&leat);
    EXPECT_STATUS(leat, 0);
    process_free(&leat);
    struct process python = {
        .program = "python3", .folder = folder, .arguments = {"-c", judge_script, to}};
    process_run(&python);
    if (strcmp(python.out, "same\n") != 0)
        printf("\n  %s to %s", from, to);
    EXPECT_OUT(python, "same\n");
    process_free(&python);
}

static void each_to_each(void)
{
    static const char *const formats[] = {"ndjson", "json", "csv", "tsv"};
    const char *folder = folder_make();
    struct process python = PYTHON(NULL, make_script, folder);
    EXPECT_STATUS(python, 0);
    process_free(&python);
    for (size_t i = 0; i < 4; i++) {
        for (size_t j = 0; j < 4; j++) {
            char from[32], to[32];
            snprintf(from, sizeof(from), "in.%s", formats[i]);
            snprintf(to, sizeof(to), "%s-out.%s", formats[i], formats[j]);
            convert(folder, from, to);
        }
    }
}

static void through_compression(void)
{
    static const char *const names[][2] = {{"z.ndjson.zst", "zstd"}, {"g.ndjson.gz", "gzip"}};
    const char *folder = folder_make();
    struct process python = PYTHON(NULL, make_script, folder);
    process_free(&python);
    for (size_t i = 0; i < 2; i++) {
        struct process leat = {.folder = folder,
                               .arguments = {"pass", "in.ndjson", "-o", names[i][0]}};
        process_run(&leat);
        EXPECT_STATUS(leat, 0);
        process_free(&leat);
        struct process tool = {
            .program = names[i][1], .folder = folder, .arguments = {"-dc", names[i][0]}};
        process_run(&tool);
        EXPECT_STATUS(tool, 0);
        char *original = file_read(path_join(folder, "in.ndjson"));
        EXPECT_OUT(tool, original);
        free(original);
        process_free(&tool);
        convert(folder, names[i][0], "back.ndjson");
    }
}

/* Compression is told by the first bytes, whatever the name says, also on stdin. */
static void compression_by_magic(void)
{
    const char *folder = folder_make();
    file_write(path_join(folder, "plain"), "a,b\n1,x\n");
    struct process shell = {.program = "sh",
                            .folder = folder,
                            .arguments = {"-c", "zstd -qc plain > z.csv; gzip -c plain > g.csv; "
                                                "cp plain not.csv.gz; cp z.csv z.csv.gz"}};
    process_run(&shell);
    EXPECT_STATUS(shell, 0);
    process_free(&shell);
    static const char *const names[] = {"z.csv", "g.csv", "not.csv.gz", "z.csv.gz"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct process named = {.folder = folder,
                                .arguments = {"pass", names[i], "--to", "ndjson"}};
        process_run(&named);
        EXPECT_STATUS(named, 0);
        EXPECT_OUT(named, "{\"a\":1,\"b\":\"x\"}\n");
        process_free(&named);
        struct process piped = {.folder = folder,
                                .input_file = path_join(folder, names[i]),
                                .arguments = {"pass", "--from", "csv", "--to", "ndjson"}};
        process_run(&piped);
        EXPECT_STATUS(piped, 0);
        EXPECT_OUT(piped, "{\"a\":1,\"b\":\"x\"}\n");
        process_free(&piped);
    }
}

/* A name that tells no format is an error with the remedy, and each remedy works. */
static void unknown_extension(void)
{
    const char *folder = folder_make();
    static const char *const names[] = {"in.dat", "in", "in.dat.zst"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        file_write(path_join(folder, names[i]), "{\"a\":1}\n");
        struct process leat = {.folder = folder, .arguments = {"pass", names[i]}};
        process_run(&leat);
        EXPECT_STATUS(leat, 2);
        EXPECT_ERR(leat, "cannot tell the format of in");
        EXPECT_ERR(leat, "--from csv, or { format csv }");
        process_free(&leat);
        leat =
            (struct process){.folder = folder, .arguments = {"pass", names[i], "--from", "ndjson"}};
        process_run(&leat);
        EXPECT_STATUS(leat, 0);
        EXPECT_OUT(leat, "{\"a\":1}\n");
        process_free(&leat);
    }
    struct process block = {.folder = folder,
                            .arguments = {"from file \"in.dat\" { format ndjson } | pass"}};
    process_run(&block);
    EXPECT_STATUS(block, 0);
    EXPECT_OUT(block, "{\"a\":1}\n");
    process_free(&block);
}

static void text_lines(void)
{
    struct process leat =
        LEAT("one\n\ntwo \"x\"\r\n", "where line != \"\"", "--from", "text", "--to", "ndjson");
    EXPECT_STATUS(leat, 0);
    struct process python =
        PYTHON(leat.out, "import sys, json\n"
                         "for line in sys.stdin: print([json.loads(line)['line']])");
    EXPECT_OUT(python, "['one']\n['two \"x\"']\n");
    process_free(&leat);
    process_free(&python);
    leat = LEAT("{\"line\":\"a b\"}\n", "pass", "--to", "text");
    EXPECT_STATUS(leat, 0);
    EXPECT_OUT(leat, "a b\n");
    process_free(&leat);
}

static void csv_typing(void)
{
    struct process leat =
        LEAT("a,b,c,d,e\n1,007,\"5\",,true\n", "pass", "--from", "csv", "--to", "ndjson");
    EXPECT_STATUS(leat, 0);
    EXPECT_OUT(leat, "{\"a\":1,\"b\":\"007\",\"c\":\"5\",\"d\":null,\"e\":true}\n");
    process_free(&leat);
}

static void csv_rows_of_other_lengths(void)
{
    const char *folder = folder_make();
    struct process leat = {
        .folder = folder,
        .input = "a,b\r\n1,2\r\n3\r\n4,5,6\r\n\"x\ny\",7\r\n",
        .arguments = {"pass", "--from", "csv", "--to", "ndjson", "--reject", "bad.ndjson"}};
    process_run(&leat);
    EXPECT_STATUS(leat, 3);
    EXPECT_OUT(leat, "{\"a\":1,\"b\":2}\n{\"a\":\"x\\ny\",\"b\":7}\n");
    char *bad = file_read(path_join(folder, "bad.ndjson"));
    CU_ASSERT_PTR_NOT_NULL_FATAL(bad);
    struct process python = PYTHON(bad, "import sys, json\n"
                                        "for line in sys.stdin:\n"
                                        "    r = json.loads(line)\n"
                                        "    print(r['line'], r['record'], r['header'],\n"
                                        "          r['error'].split(':')[0])");
    EXPECT_OUT(python, "3 3 a,b columns\n4 4,5,6 a,b columns\n");
    free(bad);
    process_free(&leat);
    process_free(&python);
}

static void json_values_one(void)
{
    struct process leat =
        LEAT("{\n \"a\": 1\n}\n", "pass", "--from", "json { values one }", "--to", "ndjson");
    EXPECT_STATUS(leat, 0);
    EXPECT_OUT(leat, "{\"a\":1}\n");
    process_free(&leat);
    leat = LEAT("1 2", "pass", "--from", "json { values one }");
    EXPECT_STATUS(leat, 1);
    process_free(&leat);
}

static void truncated_zstd(void)
{
    const char *folder = folder_make();
    struct process cut = {
        .program = "sh",
        .folder = folder,
        .arguments = {"-c", "seq 100000 | zstd -qc | head -c 20000 > cut.ndjson.zst"}};
    process_run(&cut);
    process_free(&cut);
    struct process leat = {.folder = folder,
                           .arguments = {"pass", "cut.ndjson.zst", "-o", "out.ndjson"}};
    process_run(&leat);
    EXPECT_STATUS(leat, 1);
    EXPECT_ERR(leat, "cut.ndjson.zst");
    CU_ASSERT_EQUAL(folder_count(folder), 1);
    process_free(&leat);
}

SUITE(conversions, {"each to each", each_to_each}, {"through compression", through_compression},
      {"compression by the first bytes", compression_by_magic},
      {"a name that tells no format", unknown_extension}, {"text", text_lines},
      {"CSV typing", csv_typing}, {"CSV rows of other lengths", csv_rows_of_other_lengths},
      {"json { values one }", json_values_one}, {"truncated zstd", truncated_zstd})
