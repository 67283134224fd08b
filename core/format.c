/* Looking up formats by name and by file name: see format.h. Pure; any thread. */
#include "core/format.h"

#include <string.h>
#include <strings.h>

#define NEAREST_CANDIDATES 64

const struct format_ops *format_find(const struct format_table *formats, struct string name)
{
    for (size_t i = 0; i < formats->count; i++) {
        if (string_equal_text(name, formats->items[i]->noun->name))
            return formats->items[i];
    }
    return NULL;
}

const char *format_nearest(const struct format_table *formats, struct string name)
{
    const char *names[NEAREST_CANDIDATES];
    size_t count = size_min(formats->count, NEAREST_CANDIDATES);
    for (size_t i = 0; i < count; i++)
        names[i] = formats->items[i]->noun->name;
    return string_nearest(name, names, count);
}

/* Whether `extension` (with its dot) is a word of `list`, without regard to case. */
static bool extension_listed(const char *list, const char *extension, size_t length)
{
    while (*list) {
        size_t word = strcspn(list, " ");
        if (word == length && strncasecmp(list, extension, length) == 0)
            return true;
        list += word;
        list += strspn(list, " ");
    }
    return false;
}

const struct format_ops *format_for_path(const struct format_table *formats, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    size_t length = strlen(name);
    if (length > 4 && strcasecmp(name + length - 4, ".zst") == 0)
        length -= 4;
    else if (length > 3 && strcasecmp(name + length - 3, ".gz") == 0)
        length -= 3;
    const char *dot = memrchr(name, '.', length);
    if (!dot || dot == name)
        return NULL;
    size_t extension = length - (size_t)(dot - name);
    for (size_t i = 0; i < formats->count; i++) {
        const char *list = formats->items[i]->extensions;
        if (list && extension_listed(list, dot, extension))
            return formats->items[i];
    }
    return NULL;
}
