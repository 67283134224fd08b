/* One lookup of a name at a time: libcurl starts a thread for each handle that looks up a name, and
 * a thousand handles that start at once would start a thousand threads for one name. So the first
 * exchange with a host goes ahead and holds the host's gate; others wait until it has connected or
 * failed. Then the name is in libcurl's cache for as long as an entry here says.
 *
 * Addresses and localhost need no lookup and pass. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "clients/http_internal.h"
#include "core/clock.h"
#include "core/fault.h"

#define BUCKETS       64
#define KNOWN_SECONDS 50 /* libcurl's cache holds a name for 60 */

struct http_gate {
    struct http_gate *next;
    struct http_gates *gates;
    uint64_t hash;
    struct http_sending *holder; /* looks the name up */
    struct http_list waiting;
};
/* A name that is known: its hash alone, one for each slot; forgetting one costs nothing much. */
struct http_known {
    uint64_t hash;
    int64_t until;
};
struct http_gates {
    struct http_gate *buckets[BUCKETS];
    struct http_known known[1024];
    struct http_gate *free;
};

struct http_gates *http_gates_open(void)
{
    return memory_take_zeroed(1, sizeof(struct http_gates));
}

void http_gates_close(struct http_gates *gates)
{
    if (!gates)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        CHECK(!gates->buckets[i]);
    while (gates->free) {
        struct http_gate *gate = gates->free;
        gates->free = gate->next;
        free(gate);
    }
    free(gates);
}

/* The host of a URL that begins with http:// or https://. */
static struct string url_host(const char *url)
{
    const char *begin = strstr(url, "://") + 3;
    const char *end = begin + strcspn(begin, "/?#");
    const char *at = memrchr(begin, '@', (size_t)(end - begin));
    if (at)
        begin = at + 1;
    if (*begin != '[') {
        const char *colon = memchr(begin, ':', (size_t)(end - begin));
        if (colon)
            end = colon;
    }
    return (struct string){begin, (size_t)(end - begin)};
}

/* FNV-1a of the name in lower case; 0: it needs no lookup. */
static uint64_t host_hash(struct string host)
{
    char text[64];
    struct in_addr address;
    uint64_t hash = 0xcbf29ce484222325u;
    if (!host.length || host.data[0] == '[' || http_text_is(host, "localhost"))
        return 0;
    if (host.length < sizeof(text) && host.data[host.length - 1] <= '9') {
        memcpy(text, host.data, host.length);
        text[host.length] = 0;
        if (inet_aton(text, &address))
            return 0;
    }
    for (size_t i = 0; i < host.length; i++) {
        unsigned char c = (unsigned char)host.data[i];
        hash = (hash ^ (c >= 'A' && c <= 'Z' ? c | 32u : c)) * 0x100000001b3u;
    }
    return hash ? hash : 1;
}

bool http_gate_enter(struct http_gates *gates, struct http_sending *sending, int64_t now)
{
    CHECK(!sending->gate);
    uint64_t hash = host_hash(url_host(sending->url.data));
    struct http_known *known = &gates->known[hash % ARRAY_SIZE(gates->known)];
    if (!hash || (known->hash == hash && known->until > now))
        return true;
    struct http_gate **bucket = &gates->buckets[hash % BUCKETS], *gate = *bucket;
    while (gate && gate->hash != hash)
        gate = gate->next;
    if (gate) {
        sending->gate = gate;
        sending->phase = HTTP_WAITING;
        http_list_append(&gate->waiting, sending);
        return false;
    }
    gate = gates->free;
    if (gate)
        gates->free = gate->next;
    else if (!(gate = memory_take(sizeof(*gate))))
        return true; /* a thread more than needed, no harm */
    *gate = (struct http_gate){.next = *bucket, .gates = gates, .hash = hash, .holder = sending};
    *bucket = gate;
    sending->gate = gate;
    return true;
}

static void gate_remove(struct http_gate *gate)
{
    struct http_gates *gates = gate->gates;
    struct http_gate **link = &gates->buckets[gate->hash % BUCKETS];
    while (*link != gate)
        link = &(*link)->next;
    *link = gate->next;
    gate->next = gates->free;
    gates->free = gate;
}

/* For the next step: here we may be inside of libcurl, which then takes no new handles. */
static void sending_ready(struct http_sending *sending)
{
    sending->phase = HTTP_READY;
    http_list_append(&sending->transport->ready, sending);
}

void http_gate_open(struct http_sending *sending, int64_t now, bool failed)
{
    struct http_gate *gate = sending->gate;
    sending->gate = NULL;
    CHECK(gate && gate->holder == sending);
    if (!failed)
        gate->gates->known[gate->hash % 1024] =
            (struct http_known){gate->hash, now + KNOWN_SECONDS * NANOSECONDS};
    struct http_sending *next = gate->waiting.first;
    gate->waiting = (struct http_list){0};
    gate_remove(gate);
    while (next) {
        struct http_sending *waiting = next;
        next = waiting->next;
        waiting->next = waiting->previous = NULL;
        waiting->gate = NULL;
        if (failed) {
            memcpy(waiting->exchange->detail, sending->exchange->detail,
                   sizeof(waiting->exchange->detail));
            http_end(waiting, sending->exchange->outcome);
        } else {
            sending_ready(waiting);
        }
    }
}

void http_gate_leave(struct http_sending *sending)
{
    struct http_gate *gate = sending->gate;
    sending->gate = NULL;
    if (gate->holder != sending) {
        http_list_remove(&gate->waiting, sending);
        return;
    }
    struct http_sending *next = gate->waiting.first;
    gate->holder = next;
    if (!next) {
        gate_remove(gate);
        return;
    }
    http_list_remove(&gate->waiting, next);
    sending_ready(next);
}
