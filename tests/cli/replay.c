/* `leat replay`: what was rejected comes in again, once. Rows are read back by Python's sqlite3. */
#include "tests/cli/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/suite.h"

static const char *const pipeline = "pipeline t { }\n"
                                    "from file \"in.csv\" { null \"NA\" }\n"
                                    "put y = %s\n"
                                    "select id, name, y\n"
                                    "into sqlite \"t.db\" { table t }\n"
                                    "reject into file \"rejected.ndjson\"\n";

static void pipeline_write(const char *folder, const char *expression)
{
    char text[400];
    snprintf(text, sizeof(text), pipeline, expression);
    file_write(path_join(folder, "p.conf"), text);
}

/* A folder in which a run has rejected two of four records, one of them over two lines. */
static const char *folder_rejected(void)
{
    const char *folder = folder_make();
    file_write(path_join(folder, "in.csv"),
               "id,name,x\n1,a,10\n2,\"two\nlines \"\"q\"\"\",abc\n3,NA,30\n4,d,\n");
    pipeline_write(folder, "x * 2");
    struct process leat =
        leat_run((struct process){.folder = folder, .arguments = {"run", "p.conf"}});
    EXPECT_STATUS(leat, 3);
    process_free(&leat);
    unlink(path_join(folder, "in.csv")); /* a replay does not need it */
    return folder;
}

static struct process replay(const char *folder, const char *file, const char *more,
                             const char *value)
{
    return leat_run(
        (struct process){.folder = folder, .arguments = {"replay", file, "p.conf", more, value}});
}

static void expect_rows(const char *folder, const char *expected)
{
    struct process python = leat_run((struct process){
        .program = "python3",
        .folder = folder,
        .arguments = {"-c",
                      "import sqlite3\n"
                      "for r in sqlite3.connect('t.db').execute('select * from t order by id'):"
                      " print(r)"}});
    EXPECT_STATUS(python, 0);
    EXPECT_OUT(python, expected);
    process_free(&python);
}

#define FIRST_ROWS "(1, 'a', 20)\n(3, None, 60)\n"
#define ALL_ROWS   "(1, 'a', 20)\n(2, 'two\\nlines \"q\"', 0)\n(3, None, 60)\n(4, 'd', 0)\n"

static void missing_rows_once(void)
{
    const char *folder = folder_rejected();
    expect_rows(folder, FIRST_ROWS);
    pipeline_write(folder, "0");
    struct process leat = replay(folder, "rejected.ndjson", NULL, NULL);
    EXPECT_STATUS(leat, 0);
    EXPECT_ERR(leat, "read                   2");
    EXPECT_ERR(leat, "written                2");
    process_free(&leat);
    expect_rows(folder, ALL_ROWS);
    leat = replay(folder, "rejected.ndjson", NULL, NULL);
    EXPECT_STATUS(leat, 0);
    EXPECT_ERR(leat, "read                   0");
    process_free(&leat);
    expect_rows(folder, ALL_ROWS);
    /* moved, it is the same file */
    rename(path_join(folder, "rejected.ndjson"), path_join(folder, "moved.ndjson"));
    leat = replay(folder, "moved.ndjson", NULL, NULL);
    EXPECT_STATUS(leat, 0);
    EXPECT_ERR(leat, "read                   0");
    process_free(&leat);
    expect_rows(folder, ALL_ROWS);
}

/* The run's own state is as it was: nothing new is there for it, and it says so. */
static void state_of_its_own(void)
{
    const char *folder = folder_rejected();
    file_write(path_join(folder, "in.csv"), "id,name,x\n");
    struct process before =
        leat_run((struct process){.folder = folder, .arguments = {"state", "p.conf"}});
    EXPECT_STATUS(before, 0);
    pipeline_write(folder, "0");
    struct process leat = replay(folder, "rejected.ndjson", NULL, NULL);
    EXPECT_STATUS(leat, 0);
    process_free(&leat);
    pipeline_write(folder, "x * 2");
    struct process after =
        leat_run((struct process){.folder = folder, .arguments = {"state", "p.conf"}});
    EXPECT_STATUS(after, 0);
    EXPECT_OUT(after, before.out);
    process_free(&before);
    process_free(&after);
}

/* What fails again is kept beside what failed before, with nothing lost on the way. */
static void rejected_again(void)
{
    const char *folder = folder_rejected();
    const char *again = path_join(folder, "rejected.again.ndjson");
    char *first = file_read(path_join(folder, "rejected.ndjson"));
    struct process leat = replay(folder, "rejected.ndjson", NULL, NULL);
    EXPECT_STATUS(leat, 3);
    process_free(&leat);
    char *text = file_read(again);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    CU_ASSERT_PTR_NOT_NULL(strstr(
        text,
        "\"record\":\"2,\\\"two\\nlines \\\"\\\"q\\\"\\\"\\\",abc\",\"header\":\"id,name,x\""));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"source\":\"rejected.ndjson\",\"line\":2,"));
    leat = replay(folder, "rejected.ndjson", NULL, NULL);
    EXPECT_STATUS(leat, 0);
    process_free(&leat);
    char *kept = file_read(again);
    CU_ASSERT_STRING_EQUAL(kept, text);
    free(kept);
    kept = file_read(path_join(folder, "rejected.ndjson"));
    CU_ASSERT_STRING_EQUAL(kept, first);
    free(kept);
    pipeline_write(folder, "0");
    leat = replay(folder, "rejected.again.ndjson", NULL, NULL);
    EXPECT_STATUS(leat, 0);
    process_free(&leat);
    expect_rows(folder, ALL_ROWS);
    free(first);
    free(text);
}

static void into_a_file(void)
{
    const char *folder = folder_rejected();
    pipeline_write(folder, "0");
    for (int i = 0; i < 2; i++) {
        struct process leat = replay(folder, "rejected.ndjson", "-o", "late.ndjson");
        EXPECT_STATUS(leat, 0);
        process_free(&leat);
        char *text = file_read(path_join(folder, "late.ndjson"));
        CU_ASSERT_PTR_NOT_NULL_FATAL(text);
        CU_ASSERT_STRING_EQUAL(text, "{\"id\":2,\"name\":\"two\\nlines \\\"q\\\"\",\"y\":0}\n"
                                     "{\"id\":4,\"name\":\"d\",\"y\":0}\n");
        free(text);
    }
    expect_rows(folder, FIRST_ROWS);
}

static void json_of_any_layout(void)
{
    const char *folder = folder_make();
    file_write(path_join(folder, "in.json"),
               "[{\"a\":1},\n{\"a\":\n  {\"b\": [1,\n 2]}},\n[1, 2],\n{\"a\": }, {\"a\":3}]\n");
    file_write(path_join(folder, "p.conf"), "from file \"in.json\"\nwhere strict a > 0\n"
                                            "into file \"out.ndjson\"\n"
                                            "reject into file \"rejected.ndjson\"\n");
    struct process leat =
        leat_run((struct process){.folder = folder, .arguments = {"run", "p.conf"}});
    EXPECT_STATUS(leat, 3);
    process_free(&leat);
    file_write(path_join(folder, "q.conf"), "from file \"in.json\"\n");
    leat = leat_run((struct process){.folder = folder,
                                     .arguments = {"replay", "rejected.ndjson", "q.conf", "--to",
                                                   "ndjson", "--reject", "again.ndjson"}});
    EXPECT_STATUS(leat, 3);
    EXPECT_OUT(leat, "{\"a\":{\"b\": [1, 2]}}\n[1, 2]\n");
    process_free(&leat);
    char *text = file_read(path_join(folder, "again.ndjson"));
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"record\":\"{\\\"a\\\": }\""));
    free(text);
}

static void refusals(void)
{
    const char *folder = folder_rejected();
    static const struct {
        const char *program;
        const char *option, *value;
        const char *message;
    } cases[] = {
        {"from file \"in.csv\" | into file \"x.csv\"", NULL, NULL,
         "`into file` replaces what is there"},
        {"from file \"in.csv\" | into sqlite \"t.db\" { table t  mode replace }", NULL, NULL,
         "`into sqlite` replaces what is there"},
        {"from file \"in.csv\" | pass", "-o", "rejected.ndjson", "is the file that is replayed"},
        {"from file \"in.csv\" | pass", "--reject", "./rejected.ndjson",
         "is the file that is replayed"},
        {"from file \"in.csv\" | from file \"in.ndjson\" | pass", NULL, NULL, "several formats"},
        {"from file \"a.csv\" | from file \"b.csv\" { delimiter \";\" } | pass", NULL, NULL,
         "several formats"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        file_write(path_join(folder, "p.conf"), cases[i].program);
        struct process leat = replay(folder, "rejected.ndjson", cases[i].option, cases[i].value);
        EXPECT_STATUS(leat, 2);
        EXPECT_OUT(leat, "");
        EXPECT_ERR(leat, cases[i].message);
        process_free(&leat);
    }
    expect_rows(folder, FIRST_ROWS);
    struct process leat =
        leat_run((struct process){.folder = folder, .arguments = {"replay", "rejected.ndjson"}});
    EXPECT_STATUS(leat, 2);
    EXPECT_ERR(leat, "name a file: leat replay rejected.ndjson FILE.conf");
    process_free(&leat);
    leat = leat_run((struct process){.folder = folder, .arguments = {"state"}});
    EXPECT_STATUS(leat, 2);
    EXPECT_ERR(leat, "name a file: leat state FILE.conf");
    process_free(&leat);
    leat = replay(folder, "absent.ndjson", NULL, NULL);
    EXPECT_STATUS(leat, 1);
    EXPECT_ERR(leat, "cannot replay absent.ndjson");
    process_free(&leat);
    pipeline_write(folder, "0");
    leat = replay(folder, "/dev/null", NULL, NULL);
    EXPECT_STATUS(leat, 2);
    EXPECT_ERR(leat, "it is no file");
    process_free(&leat);
}

/* Lines that hold no record are rejected again, and are no records to the replay after it. */
static void lines_without_records(void)
{
    const char *folder = folder_make();
    file_write(path_join(folder, "p.conf"), "from stdin\n");
    file_write(path_join(folder, "rejected.ndjson"),
               "{\"stage\":\"put\",\"source\":\"stdin\",\"record\":\"{\\\"a\\\":1}\"}\n"
               "{\"stage\":\"count\",\"source\":null,\"record\":null}\n"
               "{\"stage\":\"source\",\"length\":5000,\"record\":\"{\"}\nnonsense\n");
    struct process leat = replay(folder, "rejected.ndjson", "--reject", "again.ndjson");
    EXPECT_STATUS(leat, 3);
    EXPECT_OUT(leat, "{\"a\":1}\n");
    EXPECT_ERR(leat, "it holds no record");
    process_free(&leat);
    char *text = file_read(path_join(folder, "again.ndjson"));
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "it holds only the first bytes of a record"));
    free(text);
    for (int i = 0; i < 2; i++) {
        leat = replay(folder, i ? "more.ndjson" : "again.ndjson", "--reject",
                      i ? "most.ndjson" : "more.ndjson");
        EXPECT_STATUS(leat, 3);
        EXPECT_OUT(leat, "");
        EXPECT_ERR(leat, "3 rejected by source: a replay has refused this line before");
        process_free(&leat);
    }
    text = file_read(path_join(folder, "most.ndjson"));
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"record\":\"nonsense\"}"));
    free(text);
}

/* Killed again and again while it replays 300,000 records of two headers, run until it is done:
 * each is there once. */
static void killed(void)
{
    static const char script[] =
        "import json, os, random, signal, sqlite3, subprocess, time\n"
        "leat = os.path.abspath(os.environ.get('LEAT', 'build/leat'))\n"
        "import sys; os.chdir(sys.argv[1])\n"
        "random.seed(7)\n"
        "with open('rejected.ndjson', 'w') as f:\n"
        "    for i in range(300000):\n"
        "        pad = 'x' * (i * 7919 % 60)\n"
        "        two = i // 5000 % 2\n"
        "        f.write(json.dumps({'stage': 'put', 'source': 'in.csv', 'line': i,\n"
        "            'record': f'{pad},{i}' if two else f'{i},{pad}',\n"
        "            'header': 'pad,id' if two else 'id,pad'}) + '\\n')\n"
        "open('p.conf', 'w').write('pipeline k { }  from file \"in.csv\"  \\nput y = id * "
        "2\\nselect id, pad, y\\n'\n"
        "    'into sqlite \"k.db\" { table k }')\n"
        "command = [leat, 'replay', 'rejected.ndjson', 'p.conf', '-q', '--memory', '16MiB', "
        "'-j2']\n"
        "environment = dict(os.environ, LEAT_CHECKPOINT='1')\n"
        "kills = 0\n"
        "while True:\n"
        "    process = subprocess.Popen(command, env=environment)\n"
        "    try:\n"
        "        status = process.wait(random.uniform(0.02, 0.15) if kills < 15 else 60)\n"
        "        break\n"
        "    except subprocess.TimeoutExpired:\n"
        "        process.send_signal(signal.SIGKILL)\n"
        "        process.wait()\n"
        "        kills += 1\n"
        "rows = sqlite3.connect('k.db').execute('select id, pad, y from k order by "
        "id').fetchall()\n"
        "good = rows == [(i, 'x' * (i * 7919 % 60) or None, 2 * i) for i in range(300000)]\n"
        "again = subprocess.call(command, env=environment)\n"
        "count = sqlite3.connect('k.db').execute('select count(*) from k').fetchone()[0]\n"
        "print(status, kills > 2, len(rows), good, again, count)\n";
    struct process python = PYTHON(NULL, script, folder_make());
    EXPECT_STATUS(python, 0);
    EXPECT_OUT(python, "0 True 300000 True 0 300000\n");
    process_free(&python);
}

SUITE(replay, {"the missing rows, once", missing_rows_once},
      {"a state of its own", state_of_its_own}, {"rejected again", rejected_again},
      {"into a file", into_a_file}, {"JSON of any layout", json_of_any_layout},
      {"refusals", refusals}, {"lines without records", lines_without_records}, {"killed", killed})
