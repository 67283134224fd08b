/* Injected faults and counted allocation: see fault.h. */
#include "core/fault.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum fault_mode { FAULT_OFF, FAULT_COUNT, FAULT_IO, FAULT_ALLOC };

/* Written once by fault_open before any thread is started; read by all. */
static enum fault_mode mode;
static uint64_t target;
static bool from_then_on;
static int target_errno = EIO;
/* Counters: relaxed; only their own order matters. */
static atomic_ullong io_count;
static atomic_ullong alloc_count;

static const struct {
    const char *name;
    int number;
} errno_names[] = {
    {"EIO", EIO},       {"ENOSPC", ENOSPC}, {"EACCES", EACCES}, {"EPIPE", EPIPE},
    {"ENOMEM", ENOMEM}, {"EINTR", EINTR},   {"EAGAIN", EAGAIN}, {"EDQUOT", EDQUOT},
    {"EROFS", EROFS},   {"EMFILE", EMFILE}, {"ENOENT", ENOENT}, {"EISDIR", EISDIR},
};

static bool errno_parse(const char *text, int *number)
{
    for (size_t i = 0; i < ARRAY_SIZE(errno_names); i++) {
        if (strcmp(text, errno_names[i].name) == 0) {
            *number = errno_names[i].number;
            return true;
        }
    }
    char *end;
    long value = strtol(text, &end, 10);
    *number = (int)value;
    return *text && !*end && value > 0 && value < 4096;
}

static void counts_print(void)
{
    fprintf(stderr, "fault points: io %llu alloc %llu\n", (unsigned long long)fault_io_count(),
            (unsigned long long)fault_alloc_count());
}

static bool refuse(const char *text)
{
    fprintf(stderr, "leat: LEAT_FAULT=%s: expected count, io:N[+][:ERRNO] or alloc:N[+]\n", text);
    return false;
}

bool fault_open(void)
{
    const char *text = getenv("LEAT_FAULT");
    if (!text || !*text)
        return true;
    if (strcmp(text, "count") == 0) {
        mode = FAULT_COUNT;
        return atexit(counts_print) == 0;
    }
    bool io = strncmp(text, "io:", 3) == 0;
    if (!io && strncmp(text, "alloc:", 6) != 0)
        return refuse(text);
    char *end;
    target = strtoull(text + (io ? 3 : 6), &end, 10);
    if (*end == '+') {
        from_then_on = true;
        end++;
    }
    if (io && *end == ':' && errno_parse(end + 1, &target_errno))
        end += strlen(end);
    if (*end || target == 0)
        return refuse(text);
    mode = io ? FAULT_IO : FAULT_ALLOC;
    return true;
}

static bool fault_hits(atomic_ullong *counter, enum fault_mode kind)
{
    uint64_t number = atomic_fetch_add_explicit(counter, 1, memory_order_relaxed) + 1;
    return mode == kind && (number == target || (from_then_on && number > target));
}

int fault_io(void)
{
    if (LIKELY(mode == FAULT_OFF))
        return 0;
    return fault_hits(&io_count, FAULT_IO) ? target_errno : 0;
}

bool fault_alloc(void)
{
    if (LIKELY(mode == FAULT_OFF))
        return false;
    return fault_hits(&alloc_count, FAULT_ALLOC);
}

uint64_t fault_io_count(void)
{
    return atomic_load_explicit(&io_count, memory_order_relaxed);
}

uint64_t fault_alloc_count(void)
{
    return atomic_load_explicit(&alloc_count, memory_order_relaxed);
}

void *memory_take(size_t size)
{
    return fault_alloc() ? NULL : malloc(size ? size : 1);
}

void *memory_take_zeroed(size_t count, size_t size)
{
    return fault_alloc() ? NULL : calloc(count ? count : 1, size ? size : 1);
}

void *memory_resize(void *memory, size_t size)
{
    return fault_alloc() ? NULL : realloc(memory, size ? size : 1);
}

char *memory_copy_text(const char *text, size_t length)
{
    char *copy = memory_take(length + 1);
    if (copy) {
        memcpy(copy, text, length);
        copy[length] = 0;
    }
    return copy;
}
