/* One suite over the three engines: transfers, polls, wakes, cancels, errors. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "io/engine_simulated.h"
#include "tests/io/fixture.h"
#include "tests/suite.h"

struct rig {
    struct io_simulation *simulation;
    struct io_engine *engine;
};

/* False: io_uring is forbidden here, and the case is skipped. */
static bool rig_open(struct rig *rig, enum io_engine_kind kind)
{
    struct error error;
    rig->simulation = kind == IO_ENGINE_SIMULATED ? io_simulation_open(7, &error) : NULL;
    rig->engine = io_engine_open(kind, 8, &error);
    if (!rig->engine && kind == IO_ENGINE_URING)
        suite_skip("io_uring is not allowed");
    else
        CU_ASSERT_PTR_NOT_NULL_FATAL(rig->engine);
    return rig->engine != NULL;
}

static void rig_close(struct rig *rig)
{
    io_engine_close(rig->engine);
    if (rig->simulation)
        io_simulation_close(rig->simulation);
}

static struct io_request *reap_wait(struct io_engine *engine)
{
    for (int i = 0; i < 200; i++) {
        struct io_request *request = io_engine_reap(engine);
        if (request)
            return request;
        (void)io_engine_wait(engine, NANOSECONDS / 10);
    }
    return NULL;
}

static void finish_all(struct io_engine *engine, unsigned count)
{
    for (; count > 0; count--)
        CU_ASSERT_PTR_NOT_NULL_FATAL(reap_wait(engine));
}

static void transfers(enum io_engine_kind kind)
{
    struct rig rig;
    if (!rig_open(&rig, kind))
        return;
    struct error error;
    int fd = file_open(test_path("transfers"), O_RDWR | O_CREAT | O_TRUNC, 0600, &error);
    CU_ASSERT_FATAL(fd >= 0);
    char out[8][1000];
    char in[8][1000];
    struct io_request requests[9] = {0};
    for (unsigned i = 0; i < 8; i++) {
        memset(out[i], (int)('a' + i), sizeof(out[i]));
        requests[i] = (struct io_request){
            .kind = IO_WRITE, .fd = fd, .offset = i * 1000, .buffer = out[i], .length = 1000};
        CU_ASSERT_TRUE(io_engine_submit(rig.engine, &requests[i]));
    }
    requests[8] = (struct io_request){.kind = IO_SYNC, .fd = fd};
    CU_ASSERT_FALSE(io_engine_submit(rig.engine, &requests[8])); /* 8 is the depth */
    for (unsigned left = 8; left > 0;) {                         /* short writes are continued */
        struct io_request *done = reap_wait(rig.engine);
        CU_ASSERT_PTR_NOT_NULL_FATAL(done);
        CU_ASSERT_FATAL(done->result > 0);
        done->buffer = (char *)done->buffer + done->result;
        done->offset += (uint64_t)done->result;
        done->length -= (size_t)done->result;
        if (done->length == 0)
            left--;
        else
            CU_ASSERT_TRUE(io_engine_submit(rig.engine, done));
    }
    CU_ASSERT_TRUE(io_engine_submit(rig.engine, &requests[8]));
    CU_ASSERT_PTR_EQUAL(reap_wait(rig.engine), &requests[8]);
    CU_ASSERT_EQUAL(requests[8].result, 0);
    for (unsigned i = 0; i < 8; i++) {
        requests[i] = (struct io_request){
            .kind = IO_READ, .fd = fd, .offset = i * 1000, .buffer = in[i], .length = 1000};
        CU_ASSERT_TRUE(io_engine_submit(rig.engine, &requests[i]));
    }
    finish_all(rig.engine, 8);
    for (unsigned i = 0; i < 8; i++) {
        CU_ASSERT_FATAL(requests[i].result > 0);
        CU_ASSERT_EQUAL(memcmp(in[i], out[i], (size_t)requests[i].result), 0);
    }
    char all[8001];
    CU_ASSERT_EQUAL(file_read(fd, all, sizeof(all), 0), 8000); /* an independent reader */
    CU_ASSERT_EQUAL(memcmp(all, out, 8000), 0);
    CU_ASSERT_PTR_NULL(io_engine_reap(rig.engine));
    close(fd);
    rig_close(&rig);
}

static void errors(enum io_engine_kind kind)
{
    struct rig rig;
    if (!rig_open(&rig, kind))
        return;
    char byte = 'x';
    struct io_request bad = {.kind = IO_READ, .fd = 9999, .buffer = &byte, .length = 1};
    CU_ASSERT_TRUE(io_engine_submit(rig.engine, &bad));
    CU_ASSERT_PTR_EQUAL(reap_wait(rig.engine), &bad);
    CU_ASSERT_EQUAL(bad.result, -EBADF);
    int full = open("/dev/full", O_WRONLY);
    struct io_request write = {.kind = IO_WRITE, .fd = full, .buffer = &byte, .length = 1};
    CU_ASSERT_TRUE(io_engine_submit(rig.engine, &write));
    CU_ASSERT_PTR_EQUAL(reap_wait(rig.engine), &write);
    CU_ASSERT_EQUAL(write.result, -ENOSPC);
    close(full);
    rig_close(&rig);
}

static void polls(enum io_engine_kind kind)
{
    struct rig rig;
    if (!rig_open(&rig, kind))
        return;
    int ends[2];
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    struct io_request in = {.kind = IO_POLL_IN, .fd = ends[0]};
    CU_ASSERT_TRUE(io_engine_submit(rig.engine, &in));
    CU_ASSERT_FALSE(io_engine_wait(rig.engine, NANOSECONDS / 100));
    CU_ASSERT_PTR_NULL(io_engine_reap(rig.engine));
    CU_ASSERT_EQUAL(write(ends[1], "x", 1), 1);
    CU_ASSERT_PTR_EQUAL(reap_wait(rig.engine), &in);
    CU_ASSERT(in.result >= 0);
    char text[8];
    struct io_request read = {
        .kind = IO_READ, .fd = ends[0], .offset = IO_NO_OFFSET, .buffer = text, .length = 8};
    CU_ASSERT_TRUE(io_engine_submit(rig.engine, &read));
    CU_ASSERT_PTR_EQUAL(reap_wait(rig.engine), &read);
    CU_ASSERT_EQUAL(read.result, 1);
    CU_ASSERT_TRUE(io_engine_submit(rig.engine, &in));
    io_engine_cancel(rig.engine, &in);
    CU_ASSERT_PTR_EQUAL(reap_wait(rig.engine), &in);
    CU_ASSERT_EQUAL(in.result, -ECANCELED);
    CU_ASSERT_TRUE(io_engine_submit(rig.engine, &in)); /* close drains it */
    rig_close(&rig);
    close(ends[0]);
    close(ends[1]);
}

static void *waker(void *argument)
{
    for (int i = 0; i < 100; i++)
        io_engine_wake(argument);
    return NULL;
}

static void wakes(enum io_engine_kind kind)
{
    struct rig rig;
    if (!rig_open(&rig, kind))
        return;
    io_engine_wake(rig.engine);
    CU_ASSERT_TRUE(io_engine_wait(rig.engine, 60 * NANOSECONDS)); /* noted before the wait */
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, waker, rig.engine), 0);
        int64_t start = clock_monotonic();
        CU_ASSERT_TRUE(kind == IO_ENGINE_SIMULATED ||
                       io_engine_wait(rig.engine, 60 * NANOSECONDS) ||
                       io_engine_wait(rig.engine, 60 * NANOSECONDS));
        CU_ASSERT(clock_monotonic() - start < 50 * NANOSECONDS);
        pthread_join(thread, NULL);
    }
    rig_close(&rig);
}

#define CASES(name, kind)                                                                          \
    static void name##_transfers(void)                                                             \
    {                                                                                              \
        transfers(kind);                                                                           \
    }                                                                                              \
    static void name##_errors(void)                                                                \
    {                                                                                              \
        errors(kind);                                                                              \
    }                                                                                              \
    static void name##_polls(void)                                                                 \
    {                                                                                              \
        polls(kind);                                                                               \
    }                                                                                              \
    static void name##_wakes(void)                                                                 \
    {                                                                                              \
        wakes(kind);                                                                               \
    }
CASES(uring, IO_ENGINE_URING)
CASES(posix, IO_ENGINE_POSIX)
CASES(simulated, IO_ENGINE_SIMULATED)

static void file_errors(void)
{
    struct error error = {0};
    CU_ASSERT_EQUAL(file_open(test_path("no/such"), O_RDONLY, 0, &error), -1);
    CU_ASSERT_EQUAL(error.os_errno, ENOENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "no/such for reading: No such file"));
    CU_ASSERT_FALSE(file_rename(test_path("none"), test_path("other"), &error));
    CU_ASSERT_EQUAL(error.os_errno, ENOENT);
    CU_ASSERT_FALSE(file_unlink(test_path("none"), &error));
    CU_ASSERT_TRUE(file_sync_folder(test_path("x"), &error));
}

/* The same seed gives the same order; another seed another one. */
static void simulated_order(void)
{
    char orders[3][8];
    uint64_t seeds[3] = {1, 1, 2};
    test_write(test_path("ordered"), "0123456789", 10);
    for (int run = 0; run < 3; run++) {
        struct error error;
        struct io_simulation *simulation = io_simulation_open(seeds[run], &error);
        struct io_engine *engine = io_engine_open(IO_ENGINE_SIMULATED, 8, &error);
        int fd = open(test_path("ordered"), O_RDONLY);
        char bytes[8];
        struct io_request requests[8];
        for (unsigned i = 0; i < 8; i++) {
            requests[i] = (struct io_request){
                .kind = IO_READ, .fd = fd, .offset = i, .buffer = &bytes[i], .length = 1};
            CU_ASSERT_TRUE(io_engine_submit(engine, &requests[i]));
        }
        for (unsigned i = 0; i < 8; i++)
            orders[run][i] = (char)(reap_wait(engine) - requests);
        io_simulation_fail(simulation, 1, EIO);
        CU_ASSERT_TRUE(io_engine_submit(engine, &requests[0]));
        CU_ASSERT_EQUAL(reap_wait(engine)->result, -EIO);
        close(fd);
        io_engine_close(engine);
        io_simulation_close(simulation);
    }
    CU_ASSERT_EQUAL(memcmp(orders[0], orders[1], 8), 0);
    CU_ASSERT_NOT_EQUAL(memcmp(orders[0], orders[2], 8), 0);
}

SUITE(engine, {"io_uring transfers at offsets", uring_transfers},
      {"io_uring reports errors", uring_errors}, {"io_uring polls and cancels", uring_polls},
      {"io_uring wakes", uring_wakes}, {"posix transfers at offsets", posix_transfers},
      {"posix reports errors", posix_errors}, {"posix polls and cancels", posix_polls},
      {"posix wakes", posix_wakes}, {"simulated transfers at offsets", simulated_transfers},
      {"simulated reports errors", simulated_errors},
      {"simulated polls and cancels", simulated_polls}, {"simulated wakes", simulated_wakes},
      {"simulated order follows from the seed", simulated_order},
      {"file operations name the path", file_errors})
