/* Getters for parsed options: see option.h. Pure reads of immutable data; any thread. */
#include "core/option.h"

#include <string.h>

const struct option_value *option_find(const struct options *options, const char *name)
{
    if (!options)
        return NULL;
    for (uint32_t i = 0; i < options->count; i++)
        if (strcmp(options->values[i].spec->name, name) == 0)
            return &options->values[i];
    return NULL;
}

bool option_given(const struct options *options, const char *name)
{
    const struct option_value *value = option_find(options, name);
    return value && !value->is_default;
}

struct string option_text(const struct options *options, const char *name, const char *otherwise)
{
    const struct option_value *value = option_find(options, name);
    if (value)
        return value->text;
    return (struct string){otherwise, otherwise ? strlen(otherwise) : 0};
}

int64_t option_integer(const struct options *options, const char *name, int64_t otherwise)
{
    const struct option_value *value = option_find(options, name);
    return value ? value->integer : otherwise;
}

double option_real(const struct options *options, const char *name, double otherwise)
{
    const struct option_value *value = option_find(options, name);
    return value ? value->real : otherwise;
}

bool option_word_is(const struct options *options, const char *name, const char *word)
{
    const struct option_value *value = option_find(options, name);
    return value && string_equal_text(value->text, word);
}
