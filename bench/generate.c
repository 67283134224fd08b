/* Writes a made-up access log as NDJSON to stdout, about 300 bytes a line and the same bytes each
 * time: generate MEGABYTES [SEED]. Every number comes from a splitmix64 generator; 4 % of the lines
 * have a status of 500 or more. One thread; used by bench/run.py. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t state;

/* Sebastiano Vigna's splitmix64. */
static uint64_t random_next(void)
{
    uint64_t z = state += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
}

static uint64_t random_below(uint64_t limit)
{
    return random_next() % limit;
}

#define PICK(array) ((array)[random_below(sizeof(array) / sizeof((array)[0]))])

static const char *const levels[] = {"info", "info", "info", "info", "warn", "debug"};
static const char *const methods[] = {"GET", "GET", "GET", "GET", "POST", "PUT", "DELETE"};
static const char *const hosts[] = {"shop.example.com", "api.example.com", "static.example.net"};
static const char *const paths[] = {"/",
                                    "/cart",
                                    "/checkout/payment",
                                    "/api/v2/orders",
                                    "/api/v2/customers/search",
                                    "/images/header/logo-large.png",
                                    "/products/outdoor/tents-and-tarps",
                                    "/login"};
static const char *const agents[] = {
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/124.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) Safari/604.1", "curl/8.7.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Firefox/125.0"};

static unsigned status_pick(void)
{
    static const unsigned fine[] = {200, 200, 200, 201, 204, 301, 304, 404, 403, 400};
    static const unsigned bad[] = {500, 502, 503, 504};
    return random_below(100) < 4 ? PICK(bad) : PICK(fine);
}

/* The order of the draws is part of the format: arguments of a call have none. */
static int line_write(uint64_t number)
{
    uint64_t milliseconds = number * 7;
    uint64_t seconds = milliseconds / 1000;
    const char *level = PICK(levels);
    const char *host = PICK(hosts);
    uint64_t address = random_next();
    const char *method = PICK(methods);
    const char *path = PICK(paths);
    unsigned status = status_pick();
    uint64_t latency = random_below(30000);
    uint64_t bytes = random_below(200000);
    const char *agent = PICK(agents);
    uint64_t high = random_next();
    uint64_t low = random_next();
    return printf("{\"ts\":\"2024-05-%02uT%02u:%02u:%02u.%03uZ\",\"level\":\"%s\","
                  "\"host\":\"%s\",\"client_ip\":\"10.%u.%u.%u\",\"method\":\"%s\","
                  "\"path\":\"%s\",\"status\":%u,\"latency\":%" PRIu64 ".%04" PRIu64
                  ",\"bytes\":%" PRIu64 ",\"user_agent\":\"%s\","
                  "\"request_id\":\"%016" PRIx64 "%016" PRIx64 "\"}\n",
                  (unsigned)(1 + seconds / 86400 % 31), (unsigned)(seconds / 3600 % 24),
                  (unsigned)(seconds / 60 % 60), (unsigned)(seconds % 60),
                  (unsigned)(milliseconds % 1000), level, host, (unsigned)(address & 255),
                  (unsigned)(address >> 8 & 255), (unsigned)(address >> 16 & 255), method, path,
                  status, latency / 10000, latency % 10000, bytes, agent, high, low);
}

int main(int argc, char **argv)
{
    char *end;
    uint64_t megabytes = argc > 1 ? strtoull(argv[1], &end, 10) : 0;
    if (megabytes == 0 || *end) {
        fprintf(stderr, "usage: generate MEGABYTES [SEED] > FILE\n");
        return 2;
    }
    state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    for (uint64_t written = 0, number = 0; written < megabytes * 1000000; number++) {
        int length = line_write(number);
        if (length < 0)
            break;
        written += (uint64_t)length;
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("generate");
        return 1;
    }
    return 0;
}
