/* Time zones: reads TZif files (RFC 8536, version 2 and up) and the POSIX rule at their end for
 * years behind the table. The cache holds up to 64 zones (names that are none, too) behind a
 * read-write lock; when it is full the one loaded first makes room. */
#include "lang/zone.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/calendar.h"
#include "core/fault.h"

#define ZONE_FOLDER    "/usr/share/zoneinfo/"
#define ZONE_FILE_SIZE 65536
#define NAME_SIZE      64
#define CACHE_SIZE     64
#define DAY            86400

enum rule_kind { RULE_MONTH, RULE_JULIAN, RULE_DAY };
/* When a half of the year begins: Mm.w.d, Jn or n, at `time` seconds of local time. */
struct rule {
    enum rule_kind kind;
    int month, week, day;
    int32_t time;
};

struct zone {
    char name[NAME_SIZE];
    bool exists;
    uint32_t count;       /* of transitions */
    int64_t *transitions; /* one block holds these, the offsets and their indexes */
    int32_t *offsets;     /* in force from transition i on */
    int32_t first_offset; /* before the first */
    bool has_rule;
    bool has_summer;
    int32_t standard, summer; /* of the rule */
    struct rule begin, end;   /* of summer */
};

static struct {
    pthread_rwlock_t lock;
    struct zone *zones[CACHE_SIZE]; /* written under the lock held for writing */
    unsigned count;
    unsigned next;
} cache = {.lock = PTHREAD_RWLOCK_INITIALIZER};

/* POSIX TZ rules: "CET-1CEST,M3.5.0,M10.5.0/3" */

static bool skip_name(const char **at)
{
    const char *from = *at;
    if (**at == '<') {
        while (**at && **at != '>')
            (*at)++;
        return *(*at) != 0 && (*at)++ != NULL;
    }
    while ((**at >= 'a' && **at <= 'z') || (**at >= 'A' && **at <= 'Z'))
        (*at)++;
    return *at - from >= 3;
}

static bool read_number(const char **at, int most, int *number)
{
    if (**at < '0' || **at > '9')
        return false;
    *number = 0;
    while (**at >= '0' && **at <= '9' && *number <= most)
        *number = *number * 10 + (*(*at)++ - '0');
    return *number <= most;
}

/* [+-]hh[:mm[:ss]] */
static bool read_time(const char **at, int32_t *seconds)
{
    int sign = **at == '-' ? -1 : 1;
    if (**at == '-' || **at == '+')
        (*at)++;
    int hours, minutes = 0, rest = 0;
    if (!read_number(at, 167, &hours))
        return false;
    if (**at == ':' && (++*at, !read_number(at, 59, &minutes)))
        return false;
    if (**at == ':' && (++*at, !read_number(at, 59, &rest)))
        return false;
    *seconds = sign * (hours * 3600 + minutes * 60 + rest);
    return true;
}

static bool read_rule(const char **at, struct rule *rule)
{
    rule->time = 2 * 3600;
    if (**at == 'M') {
        rule->kind = RULE_MONTH;
        ++*at;
        if (!read_number(at, 12, &rule->month) || *(*at)++ != '.' ||
            !read_number(at, 5, &rule->week) || *(*at)++ != '.' ||
            !read_number(at, 6, &rule->day) || rule->month < 1 || rule->week < 1)
            return false;
    } else {
        rule->kind = **at == 'J' ? RULE_JULIAN : RULE_DAY;
        *at += **at == 'J';
        if (!read_number(at, 365, &rule->day))
            return false;
    }
    return **at != '/' || (++*at, read_time(at, &rule->time));
}

static bool read_posix(struct zone *zone, const char *at)
{
    if (!skip_name(&at) || !read_time(&at, &zone->standard))
        return false;
    zone->standard = -zone->standard; /* POSIX counts westwards */
    zone->has_rule = true;
    if (*at == 0)
        return true;
    if (!skip_name(&at))
        return false;
    zone->summer = zone->standard + 3600;
    if (*at != ',') {
        if (!read_time(&at, &zone->summer))
            return false;
        zone->summer = -zone->summer;
    }
    zone->has_summer = true;
    return *at++ == ',' && read_rule(&at, &zone->begin) && *at++ == ',' &&
           read_rule(&at, &zone->end) && *at == 0;
}

/* The local second, counted as if it were UTC, at which the rule acts in a year. */
static int64_t rule_second(const struct rule *rule, int64_t year)
{
    int64_t day;
    switch (rule->kind) {
    case RULE_JULIAN: /* February 29 is never counted */
        day =
            calendar_days(year, 1, 1) + rule->day - 1 + (calendar_is_leap(year) && rule->day >= 60);
        break;
    case RULE_DAY:
        day = calendar_days(year, 1, 1) + rule->day;
        break;
    default: {
        int64_t first = calendar_days(year, (unsigned)rule->month, 1);
        int weekday = (int)(((first + 4) % 7 + 7) % 7);
        int length = (int)calendar_month_length(year, (unsigned)rule->month);
        int date = (rule->day - weekday + 7) % 7 + (rule->week - 1) * 7;
        if (date >= length)
            date -= 7;
        day = first + date;
    }
    }
    return day * DAY + rule->time;
}

static int32_t rule_offset(const struct zone *zone, int64_t seconds)
{
    if (!zone->has_summer)
        return zone->standard;
    int64_t days = (seconds + zone->standard) / DAY - ((seconds + zone->standard) % DAY < 0);
    int64_t year;
    unsigned month, day;
    calendar_date(days, &year, &month, &day);
    int64_t begin = rule_second(&zone->begin, year) - zone->standard;
    int64_t end = rule_second(&zone->end, year) - zone->summer;
    bool summer =
        begin < end ? seconds >= begin && seconds < end : seconds >= begin || seconds < end;
    return summer ? zone->summer : zone->standard;
}

/* TZif files */

static uint32_t read_big32(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static int64_t read_big64(const unsigned char *bytes)
{
    return (int64_t)((uint64_t)read_big32(bytes) << 32 | read_big32(bytes + 4));
}

struct header {
    uint32_t universal, standard, leaps, transitions, types, characters;
};

static bool read_header(const unsigned char *bytes, size_t length, struct header *header)
{
    if (length < 44 || memcmp(bytes, "TZif", 4) != 0 || bytes[4] < '2')
        return false;
    *header =
        (struct header){read_big32(bytes + 20), read_big32(bytes + 24), read_big32(bytes + 28),
                        read_big32(bytes + 32), read_big32(bytes + 36), read_big32(bytes + 40)};
    return header->universal < 256 && header->standard < 256 && header->leaps < 1000 &&
           header->transitions < 5000 && header->types >= 1 && header->types <= 256 &&
           header->characters < 1000;
}

static size_t block_size(const struct header *header, size_t time_size)
{
    return header->transitions * (time_size + 1) + header->types * (size_t)6 + header->characters +
           header->leaps * (time_size + 4) + header->standard + header->universal;
}

static bool read_transitions(struct zone *zone, const unsigned char *bytes,
                             const struct header *header)
{
    const unsigned char *indexes = bytes + (size_t)header->transitions * 8;
    const unsigned char *types = indexes + header->transitions;
    zone->transitions =
        memory_take((header->transitions + 1) * (sizeof(int64_t) + sizeof(int32_t)));
    if (!zone->transitions)
        return false;
    zone->offsets = (int32_t *)(zone->transitions + header->transitions + 1);
    zone->count = header->transitions;
    zone->first_offset = (int32_t)read_big32(types);
    for (uint32_t i = 0; i < zone->count; i++) {
        if (indexes[i] >= header->types)
            return false;
        zone->transitions[i] = read_big64(bytes + (size_t)i * 8);
        zone->offsets[i] = (int32_t)read_big32(types + indexes[i] * (size_t)6);
    }
    return true;
}

/* bytes[length] is 0. */
static bool read_file(struct zone *zone, const unsigned char *bytes, size_t length)
{
    struct header header;
    if (!read_header(bytes, length, &header))
        return false;
    size_t at = 44 + block_size(&header, 4);
    if (at > length || !read_header(bytes + at, length - at, &header))
        return false;
    at += 44;
    size_t size = block_size(&header, 8);
    if (at + size + 2 > length || !read_transitions(zone, bytes + at, &header))
        return false;
    char *rule = (char *)bytes + at + size;
    char *newline = strchr(rule + 1, '\n');
    if (rule[0] != '\n' || !newline)
        return false;
    *newline = 0;
    return rule[1] == 0 || read_posix(zone, rule + 1);
}

static bool name_is_safe(const char *name)
{
    for (const char *c = name; *c; c++) {
        bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z');
        if (!letter && !(*c >= '0' && *c <= '9') && !strchr("/_+-", *c))
            return false;
    }
    return name[0] != 0 && name[0] != '/' && !strstr(name, "//");
}

static void zone_load(struct zone *zone)
{
    char path[sizeof(ZONE_FOLDER) + NAME_SIZE];
    unsigned char *bytes = memory_take(ZONE_FILE_SIZE + 1);
    if (!name_is_safe(zone->name) || !bytes) {
        free(bytes);
        return;
    }
    snprintf(path, sizeof(path), "%s%s", ZONE_FOLDER, zone->name);
    int file = fault_io() ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    size_t length = 0;
    while (file >= 0 && length < ZONE_FILE_SIZE) {
        ssize_t count = read(file, bytes + length, ZONE_FILE_SIZE - length);
        if (count <= 0)
            break;
        length += (size_t)count;
    }
    if (file >= 0)
        close(file);
    bytes[length] = 0;
    zone->exists = read_file(zone, bytes, length);
    free(bytes);
}

static int32_t zone_at(const struct zone *zone, int64_t seconds)
{
    uint32_t low = 0, high = zone->count; /* the first transition behind `seconds` */
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (zone->transitions[middle] <= seconds)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == zone->count && zone->has_rule)
        return rule_offset(zone, seconds);
    return low == 0 ? zone->first_offset : zone->offsets[low - 1];
}

/* The lock is held. */
static const struct zone *cache_find(struct string name)
{
    for (unsigned i = 0; i < cache.count; i++) {
        if (string_equal_text(name, cache.zones[i]->name))
            return cache.zones[i];
    }
    return NULL;
}

/* The lock is held for writing. NULL: no memory. */
static const struct zone *cache_add(struct string name)
{
    struct zone *zone = memory_take_zeroed(1, sizeof(*zone));
    if (!zone)
        return NULL;
    memcpy(zone->name, name.data, name.length);
    zone_load(zone);
    unsigned place = cache.count < CACHE_SIZE ? cache.count++ : cache.next++ % CACHE_SIZE;
    if (cache.zones[place]) {
        free(cache.zones[place]->transitions);
        free(cache.zones[place]);
    }
    cache.zones[place] = zone;
    return zone;
}

/* [+-]hh:mm */
static bool fixed_offset(struct string zone, int32_t *offset)
{
    const char *text = zone.data;
    int sign = text[0] == '-' ? -1 : 1;
    if (text[0] == '-' || text[0] == '+') {
        text++;
        zone.length--;
    }
    if (zone.length != 5 || text[2] != ':')
        return false;
    for (unsigned i = 0; i < 5; i++) {
        if (i != 2 && (text[i] < '0' || text[i] > '9'))
            return false;
    }
    int hours = (text[0] - '0') * 10 + text[1] - '0';
    int minutes = (text[3] - '0') * 10 + text[4] - '0';
    *offset = sign * (hours * 3600 + minutes * 60);
    return hours < 24 && minutes < 60;
}

bool zone_offset(struct string zone, int64_t seconds, int32_t *offset)
{
    *offset = 0;
    if (zone.length == 0 || string_equal_text(zone, "UTC"))
        return true;
    if (fixed_offset(zone, offset))
        return true;
    if (zone.length >= NAME_SIZE || memchr(zone.data, 0, zone.length))
        return false;
    pthread_rwlock_rdlock(&cache.lock);
    const struct zone *found = cache_find(zone);
    if (!found) {
        pthread_rwlock_unlock(&cache.lock);
        pthread_rwlock_wrlock(&cache.lock);
        found = cache_find(zone); /* another thread may have been quicker */
        if (!found)
            found = cache_add(zone);
    }
    bool exists = found && found->exists;
    if (exists)
        *offset = zone_at(found, seconds);
    pthread_rwlock_unlock(&cache.lock);
    return exists;
}
