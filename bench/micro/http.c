/* Speed of the HTTP transport alone: COUNT requests for URL followed by a number, CONCURRENCY at a
 * time; requests a second, and for each second of CPU of this process; memory at the end.
 * Usage: http URL COUNT CONCURRENCY, e.g. http http://127.0.0.1:PORT/echo/ 200000 100 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "clients/http_transport.h"
#include "core/clock.h"

struct slot {
    struct request request;
    struct exchange exchange;
    char url[256];
};

static void slot_start(struct transport *transport, struct slot *slot, const char *url, long number)
{
    int length = snprintf(slot->url, sizeof(slot->url), "%s%ld", url, number);
    slot->request = (struct request){.method = STRING("GET"),
                                     .url = {slot->url, (size_t)length},
                                     .peer = STRING("bench"),
                                     .repeatable = true};
    slot->exchange = (struct exchange){
        .request = &slot->request, .owner = slot, .deadline = clock_monotonic() + 10 * NANOSECONDS};
    transport->ops->start(transport, &slot->exchange);
}

static double cpu_seconds(const struct rusage *usage)
{
    return (double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) +
           (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) * 1e-6;
}

int main(int argc, char **argv)
{
    struct error error;
    struct http_settings settings = {0};
    if (argc != 4) {
        fprintf(stderr, "usage: http URL COUNT CONCURRENCY\n");
        return 2;
    }
    long count = strtol(argv[2], NULL, 10), concurrency = strtol(argv[3], NULL, 10);
    struct transport *transport = http_transport_open(&settings, &error);
    struct slot *slots = calloc((size_t)concurrency, sizeof(*slots));
    CHECK(transport && slots);
    long started = 0, over = 0, failed = 0;
    int64_t begin = clock_monotonic();
    for (; started < concurrency && started < count; started++)
        slot_start(transport, &slots[started], argv[1], started);
    while (over < count) {
        struct exchange *exchange;
        int64_t left = transport->wake - clock_monotonic();
        struct pollfd wait = {transport->descriptor, POLLIN, 0};
        if (left > 0)
            poll(&wait, 1,
                 left > 1000 * (int64_t)1000000 ? 1000 : (int)((left + 999999) / 1000000));
        transport->ops->step(transport);
        while ((exchange = transport->ops->reap(transport))) {
            struct slot *slot = exchange->owner;
            over++;
            if (exchange->outcome != OUTCOME_ANSWER && failed++ < 5)
                fprintf(stderr, "%s\n", exchange->detail);
            transport->ops->release(transport, exchange);
            if (started < count)
                slot_start(transport, slot, argv[1], started++);
        }
    }
    double seconds = (double)(clock_monotonic() - begin) / (double)NANOSECONDS;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu = cpu_seconds(&usage);
    printf("%ld requests, %ld failed, %.0f a second, %.0f a CPU second, %ld KiB at most\n", count,
           failed, (double)count / seconds, (double)count / cpu, usage.ru_maxrss);
    transport->ops->close(transport);
    free(slots);
    return failed ? 1 : 0;
}
