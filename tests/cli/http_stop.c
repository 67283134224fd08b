/* Runs into HTTP that are stopped, killed, or fail, and what the next run makes of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cli/http_server.h"
#include "tests/suite.h"

/* Starts leat, waits until the server has a request in flight, sends a signal: what the first one
 * waits for is delivered, the second one cancels. */
static const char *const stop_script =
    "import subprocess, sys, json, urllib.request, signal\n"
    "leat, url, path, count = sys.argv[1:5]\n"
    "program = 'from stdin { format ndjson } | into http \"%s%s\" { batch 10 or 1ms }' % (url, "
    "path)\n"
    "run = subprocess.Popen([leat, program, '--report', 'report.json'], stdin=subprocess.PIPE,\n"
    "                       stderr=subprocess.PIPE)\n"
    "run.stdin.write(b''.join(b'{\"id\":%d}\\n' % i for i in range(10)))\n"
    "run.stdin.flush()\n"
    "stat = lambda: json.load(urllib.request.urlopen(url + '/stats'))\n"
    "while stat()['in_flight'] < 2: pass\n" /* this request is one */
    "run.send_signal(signal.SIGTERM)\n"
    "while count == '2' and run.poll() is None: run.send_signal(signal.SIGTERM)\n"
    "run.wait()\n"
    "report = json.load(open('report.json'))\n"
    "print(run.returncode, report['read'], report['written'], report['rejected'])\n";

static char *leat_path(void)
{
    const char *given = getenv("LEAT");
    return realpath(given && *given ? given : "build/leat", NULL);
}

static void stopped(void)
{
    stand_begin();
    char *leat = leat_path();
    struct process process = {.program = "python3",
                              .folder = folder,
                              .arguments = {"-c", stop_script, leat ? leat : "build/leat",
                                            server.url, "/bulk?delay=300", "1"}};
    process_run(&process);
    EXPECT_OUT(process, "0 10 10 0\n");
    CU_ASSERT(http_server_stored(&server, RECORDS, stored_times) == 10);
    process_free(&process);
    struct process second = {.program = "python3",
                             .folder = folder,
                             .arguments = {"-c", stop_script, leat, server.url, "/hang", "2"}};
    process_run(&second);
    EXPECT_OUT(second, "143 0 0 0\n");
    process_free(&second);
    free(leat);
    stand_end();
}

/* Kills the run when the server has had so many requests, again and again, and lets it end: every
 * record is stored once, for what is sent again has the key that it had. */
static const char *const kill_script =
    "import subprocess, sys, json, urllib.request, os, collections\n"
    "leat, url, records, batch, first, checkpoint = sys.argv[1:7]\n"
    "get = lambda path: urllib.request.urlopen(url + path).read()\n"
    "with open('in.ndjson', 'w') as out:\n"
    "    for i in range(int(records)): out.write('{\"id\":%d}\\n' % i)\n"
    "with open('p.conf', 'w') as out:\n"
    "    out.write('pipeline p { workers 2  memory 64MiB }\\nfrom file \"in.ndjson\"\\n'\n"
    "              'where id % 10 != 3\\ninto http \"' + url + '/bulk?delay=2\" '\n"
    "              '{ batch ' + batch + ' or 5ms  concurrency 4 }\\n')\n"
    "env = dict(os.environ, LEAT_CHECKPOINT=checkpoint, LEAT_BATCH_TEXT='16384')\n"
    "killed = 0\n"
    "for i in range(20):\n"
    "    run = subprocess.Popen([leat, 'run', 'p.conf', '--report', 'r.json'], env=env,\n"
    "                           stderr=subprocess.PIPE)\n"
    "    wanted = int(first) * (i + 1)\n"
    "    while i < 3 and run.poll() is None:\n"
    "        if json.loads(get('/stats'))['paths'].get('bulk', 0) >= wanted: run.kill()\n"
    "    error = run.communicate()[1].decode()\n"
    "    if run.returncode == 0: break\n"
    "    killed += 1\n"
    "    if run.returncode != -9: print(run.returncode, error)\n"
    "stored = collections.Counter(json.loads(line)['record']['id']\n"
    "                             for line in get('/stored').splitlines())\n"
    "wanted = [i for i in range(int(records)) if i % 10 != 3]\n"
    "if sorted(stored) == wanted and max(stored.values()) == 1: print('each once', killed > 0)\n"
    "else: print(len(stored), sum(stored.values()), len(wanted))\n";

static void killed(void)
{
    static const char *const cases[][3] = {{"100", "2", "1"}, {"37", "20", "2"},  {"333", "5", "1"},
                                           {"50", "40", "3"}, {"1000", "3", "2"}, {"9", "60", "1"}};
    char *leat = leat_path();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        stand_begin();
        struct process process = {.program = "python3",
                                  .folder = folder,
                                  .arguments = {"-c", kill_script, leat, server.url, "6000",
                                                cases[i][0], cases[i][1], cases[i][2]}};
        process_run(&process);
        EXPECT_OUT(process, "each once True\n");
        process_free(&process);
        stand_end();
    }
    free(leat);
}

static void write_pipeline(const char *path, const char *block)
{
    char program[600];
    snprintf(program, sizeof(program),
             "pipeline p { workers 1 }\nfrom file \"in.ndjson\"\ninto http \"%s%s\" { batch 100 "
             "backoff 1ms..5ms %s }\n",
             server.url, path, block);
    file_write(path_join(folder, "p.conf"), program);
}

static struct process run_pipeline(const char *setting)
{
    struct process process = {.folder = folder, .arguments = {"run", "p.conf"}};
    if (setting) {
        process.environment[0] = setting;
        process.environment[1] = "LEAT_CHECKPOINT=1";
        process.environment[2] = "LEAT_BATCH_TEXT=4096";
    }
    return leat_run(process);
}

/* Any operation on files may fail: the next run goes on, and nothing is lost or doubled. */
static void failing_files(void)
{
    unsigned failures = 0;
    for (unsigned n = 1; n < 60; n += 3) {
        char setting[64];
        stand_begin();
        write_pipeline("/bulk", "");
        snprintf(setting, sizeof(setting), "LEAT_FAULT=io:%u:EIO", n);
        struct process process = run_pipeline(setting);
        CU_ASSERT(process.status >= 0 && process.status <= 2); /* 2: the program was not read */
        failures += process.status == 1;
        process_free(&process);
        process = run_pipeline(NULL);
        EXPECT_STATUS(process, 0);
        EXPECT_ALL_STORED();
        process_free(&process);
        stand_end();
    }
    CU_ASSERT(failures >= 10);
}

/* A finished pipeline sends only what came since; a failed one goes on. */
static void run_again(void)
{
    stand_begin();
    write_pipeline("/bulk", "");
    for (int i = 0; i < 2; i++) {
        struct process process = run_pipeline(NULL);
        EXPECT_STATUS(process, 0);
        process_free(&process);
        CU_ASSERT(http_server_stat(&server, "bulk") == RECORDS / 100);
    }
    FILE *file = fopen(path_join(folder, "in.ndjson"), "a");
    CU_ASSERT_FATAL(file != NULL);
    fputs("{\"id\":5}\n", file);
    fclose(file);
    struct process process = run_pipeline(NULL);
    EXPECT_STATUS(process, 0);
    process_free(&process);
    CU_ASSERT(http_server_stored(&server, RECORDS, stored_times) == RECORDS + 1 &&
              stored_times[5] == 2);
    stand_end();
    stand_begin();
    write_pipeline("/status/500/x", "retry 0");
    process = run_pipeline(NULL);
    EXPECT_STATUS(process, 1);
    process_free(&process);
    process = leat_run((struct process){.folder = folder, .arguments = {"state", "p.conf"}});
    EXPECT_STATUS(process, 0);
    process_free(&process);
    stand_end();
}

SUITE(http_stop, {"stopped", stopped}, {"killed", killed}, {"failing files", failing_files},
      {"run again", run_again})
