/* The log of intents: see http_intents.h. */
#include "io/http_intents.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fault.h"
#include "io/state_file.h"

#define LINE_SIZE  192
#define SIZE_LIMIT ((uint64_t)256 << 20) /* of a log that we have written */

static int line_write(char *line, uint64_t number, const struct http_intent *intent)
{
    int length = snprintf(line, LINE_SIZE, "%" PRIu64 " %s %s %u ", number, intent->from,
                          intent->to, intent->count);
    CHECK(length > 0 && length < LINE_SIZE - 16);
    uint32_t crc = state_crc((struct string){line, (size_t)length});
    return length + snprintf(line + length, (size_t)(LINE_SIZE - length), "%08x\n", crc);
}

/* False: it is none of ours, or torn. */
static bool line_read(const char *text, size_t length, uint64_t *number, struct http_intent *intent)
{
    char line[LINE_SIZE], again[LINE_SIZE];
    if (length >= LINE_SIZE)
        return false;
    memcpy(line, text, length);
    line[length] = 0;
    if (sscanf(line, "%" SCNu64 " %47s %47s %u", number, intent->from, intent->to,
               &intent->count) != 4)
        return false;
    return (size_t)line_write(again, *number, intent) == length && memcmp(line, again, length) == 0;
}

/* *whole: the length of what can be read. False: no memory. */
static bool lines_read(struct http_intents *intents, const char *text, size_t length, size_t *whole)
{
    uint32_t capacity = 0;
    const char *end;
    for (*whole = 0; (end = memchr(text + *whole, '\n', length - *whole)) != NULL;) {
        struct http_intent intent;
        uint64_t number;
        size_t size = (size_t)(end + 1 - (text + *whole));
        if (!line_read(text + *whole, size, &number, &intent))
            return true;
        *whole += size;
        if (number != intents->number)
            continue; /* from before a commit */
        if (intents->found_count == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            void *found = memory_resize(intents->found, capacity * sizeof(*intents->found));
            if (!found)
                return false;
            intents->found = found;
        }
        intents->found[intents->found_count++] = intent;
    }
    return true;
}

static bool log_read(struct http_intents *intents, uint64_t size, struct error *error)
{
    char *text = memory_take(size + 1);
    size_t whole = 0;
    if (!text)
        return error_set(error, ERROR_MEMORY, "no memory to read %s", intents->path);
    int64_t got = file_read(intents->fd, text, size, 0);
    bool done = got >= 0 && lines_read(intents, text, (size_t)got, &whole);
    free(text);
    if (got < 0)
        return error_set_errno(error, (int)-got, "cannot read %s", intents->path);
    if (!done)
        return error_set(error, ERROR_MEMORY, "no memory to read %s", intents->path);
    intents->length = whole;
    return whole == size || file_truncate(intents->fd, whole, intents->path, error);
}

bool http_intents_open(struct http_intents *intents, uint64_t number, struct error *error)
{
    struct stat status;
    intents->number = number;
    intents->fd = file_open(intents->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666, error);
    if (intents->fd < 0)
        return false;
    if (fstat(intents->fd, &status) != 0)
        return error_set_errno(error, errno, "cannot look at %s", intents->path);
    if (!S_ISREG(status.st_mode) || (uint64_t)status.st_size > SIZE_LIMIT)
        return error_set(error, ERROR_STATE, "%s is no log of ours: remove it", intents->path);
    return file_sync_folder(intents->path, error) &&
           (status.st_size == 0 || log_read(intents, (uint64_t)status.st_size, error));
}

uint32_t http_intents_take(struct http_intents *intents, const char *from)
{
    for (uint32_t i = 0; i < intents->found_count; i++) {
        struct http_intent *intent = &intents->found[i];
        if (strcmp(intent->from, from) != 0)
            continue;
        uint32_t count = intent->count;
        *intent = intents->found[--intents->found_count];
        return count;
    }
    return 0;
}

bool http_intents_add(struct http_intents *intents, const struct http_intent *added, uint32_t count,
                      struct error *error)
{
    char *lines = memory_take((size_t)count * LINE_SIZE);
    size_t length = 0;
    if (!lines)
        return error_set(error, ERROR_MEMORY, "no memory to write %s", intents->path);
    for (uint32_t i = 0; i < count; i++)
        length += (size_t)line_write(lines + length, intents->number, &added[i]);
    int64_t written = file_write(intents->fd, lines, length, intents->length);
    free(lines);
    if (written < 0)
        return error_set_errno(error, (int)-written, "cannot write %s", intents->path);
    intents->length += length;
    int fault = fault_io();
    if (fault || fdatasync(intents->fd) != 0)
        return error_set_errno(error, fault ? fault : errno, "cannot sync %s", intents->path);
    return true;
}

bool http_intents_clear(struct http_intents *intents, uint64_t number, struct error *error)
{
    intents->number = number;
    intents->length = 0;
    intents->found_count = 0;
    /* Lines that survive a crash all the same name another commit. */
    return file_truncate(intents->fd, 0, intents->path, error);
}

void http_intents_close(struct http_intents *intents)
{
    if (intents->fd >= 0)
        close(intents->fd);
    intents->fd = -1;
    free(intents->found);
    free(intents->path);
    intents->found = NULL;
    intents->path = NULL;
    intents->found_count = 0;
}
