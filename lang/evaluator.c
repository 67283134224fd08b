/* What one thread brings to evaluate expressions: scratch, variables, buffers, a small cache of
 * patterns that are no constants. Owned by that thread. */
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "lang/term.h"

struct evaluator *evaluator_open(struct error *error)
{
    struct evaluator *evaluator = memory_take_zeroed(1, sizeof(*evaluator));
    if (evaluator) {
        evaluator->scratch = regex_scratch_open();
        evaluator->buffers =
            memory_take((size_t)CHUNK_BUFFERS * CHUNK_ROWS * sizeof(*evaluator->buffers));
    }
    if (!evaluator || !evaluator->scratch || !evaluator->buffers) {
        error_set(error, ERROR_MEMORY, "no memory is left for evaluating expressions");
        evaluator_close(evaluator);
        return NULL;
    }
    const char *mode = getenv("LEAT_EVAL");
    evaluator->row_only = mode && strcmp(mode, "row") == 0;
    return evaluator;
}

void evaluator_close(struct evaluator *evaluator)
{
    if (!evaluator)
        return;
    for (unsigned i = 0; i < PATTERN_CACHE; i++) {
        free(evaluator->patterns[i].text);
        regex_free(evaluator->patterns[i].regex);
    }
    if (evaluator->scratch)
        regex_scratch_close(evaluator->scratch);
    free(evaluator->buffers);
    free(evaluator);
}

static bool pattern_is(const struct cached_pattern *cached, struct value pattern)
{
    return cached->text && cached->length == pattern.length &&
           (pattern.length == 0 || memcmp(cached->text, pattern.text, pattern.length) == 0);
}

/* The entry of the pattern, compiled now if need be in place of the one unused for longest. */
static struct cached_pattern *pattern_find(struct evaluator *evaluator, struct value pattern)
{
    struct cached_pattern *oldest = &evaluator->patterns[0];
    for (unsigned i = 0; i < PATTERN_CACHE; i++) {
        struct cached_pattern *cached = &evaluator->patterns[i];
        if (pattern_is(cached, pattern))
            return cached;
        if (cached->used < oldest->used)
            oldest = cached;
    }
    char *text = memory_copy_text(pattern.length ? pattern.text : "", pattern.length);
    if (!text)
        return NULL;
    free(oldest->text);
    regex_free(oldest->regex);
    struct error error;
    uint32_t offset;
    *oldest = (struct cached_pattern){.text = text, .length = pattern.length};
    oldest->regex = regex_compile((struct string){text, pattern.length}, &offset, &error);
    return oldest;
}

struct value dynamic_matches(struct call *call, struct value text, struct value pattern)
{
    if (text.kind != VALUE_STRING || pattern.kind != VALUE_STRING)
        return error_overload(text, pattern);
    struct cached_pattern *cached = pattern_find(call->evaluator, pattern);
    if (!cached || !cached->regex)
        return value_error(ERROR_REGEX);
    cached->used = ++call->evaluator->pattern_clock;
    return text_matches(call, cached->regex, text);
}

struct regex_scratch *evaluator_regex_scratch(struct evaluator *evaluator)
{
    return evaluator->scratch;
}
