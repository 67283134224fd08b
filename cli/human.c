/* Numbers for people: see human.h. */
#include "cli/human.h"

#include <stdio.h>
#include <string.h>

struct human human_count(uint64_t count)
{
    char digits[24];
    int length = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)count);
    struct human result;
    char *out = result.text;
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0)
            *out++ = ',';
        *out++ = digits[i];
    }
    *out = 0;
    return result;
}

struct human human_bytes(double bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    size_t unit = 0;
    while (bytes >= 999.5 && unit + 1 < ARRAY_SIZE(units)) {
        bytes /= 1000;
        unit++;
    }
    int decimals = unit == 0 || bytes >= 99.95 ? 0 : bytes >= 9.995 ? 1 : 2;
    struct human result;
    snprintf(result.text, sizeof(result.text), "%.*f %s", decimals, bytes, units[unit]);
    return result;
}

struct human human_seconds(double seconds)
{
    struct human result;
    if (seconds < 120) {
        int decimals = seconds < 1 ? 3 : seconds < 10 ? 2 : 1;
        snprintf(result.text, sizeof(result.text), "%.*f s", decimals, seconds);
        return result;
    }
    bool hours = seconds >= 7200;
    unsigned long long small = (unsigned long long)(hours ? seconds / 60 : seconds);
    snprintf(result.text, sizeof(result.text), "%llu:%02llu %s", small / 60, small % 60,
             hours ? "h" : "min");
    return result;
}

struct human human_clock(double seconds)
{
    struct human result;
    unsigned long long whole = seconds < 1e9 ? (unsigned long long)seconds + 1 : 1000000000;
    if (whole < 3600)
        snprintf(result.text, sizeof(result.text), "%llu:%02llu", whole / 60, whole % 60);
    else
        snprintf(result.text, sizeof(result.text), "%llu:%02llu:%02llu", whole / 3600,
                 whole / 60 % 60, whole % 60);
    return result;
}

struct human human_share(double part, double whole)
{
    struct human result;
    double percent = whole > 0 ? 100 * part / whole : 0;
    if (whole <= 0)
        snprintf(result.text, sizeof(result.text), "-");
    else if (percent > 0 && percent < 0.5)
        snprintf(result.text, sizeof(result.text), "<1 %%");
    else
        snprintf(result.text, sizeof(result.text), "%.0f %%", percent);
    return result;
}
