/* Strings and CHECK: see base.h. */
#include "core/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void check_failed(const char *expression, const char *file, int line)
{
    fprintf(stderr, "leat: bug: %s:%d: this must hold: %s\n", file, line, expression);
    abort();
}

bool string_equal(struct string a, struct string b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

bool string_equal_text(struct string a, const char *text)
{
    return string_equal(a, (struct string){text, strlen(text)});
}

#define NEAREST_MAX 63

/* Edit distance with transposed neighbours counted as one (Damerau's restricted form). */
static size_t edit_distance(struct string a, struct string b)
{
    size_t rows[3][NEAREST_MAX + 1];
    for (size_t j = 0; j <= b.length; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a.length; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i - 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b.length; j++) {
            bool same = a.data[i - 1] == b.data[j - 1];
            row[j] = size_min(size_min(above[j], row[j - 1]) + 1, above[j - 1] + !same);
            if (i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] && a.data[i - 2] == b.data[j - 1])
                row[j] = size_min(row[j], rows[(i - 2) % 3][j - 2] + 1);
        }
    }
    return rows[a.length % 3][b.length];
}

const char *string_nearest(struct string name, const char *const *candidates, size_t count)
{
    const char *nearest = NULL;
    size_t best = 1 + name.length / 4;
    if (name.length > NEAREST_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        struct string candidate = {candidates[i], strlen(candidates[i])};
        if (candidate.length > NEAREST_MAX || string_equal(name, candidate))
            continue;
        size_t distance = edit_distance(name, candidate);
        if (distance < candidate.length && (distance < best || (distance == best && !nearest))) {
            best = distance;
            nearest = candidates[i];
        }
    }
    return nearest;
}
