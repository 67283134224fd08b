/* Regular expressions: see regex.h. PCRE2's JIT does the search; patterns that are plain text never
 * reach it, and those that begin with some are tried on that first. */
#include "lang/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "lang/regex_dialect.h"
#include "lang/text_search.h"

/* Backtracking steps for one search: a few milliseconds at most. */
#define MATCH_LIMIT 1000000
#define JIT_STACK   ((size_t)1 << 20)
#define PAIRS       128 /* groups that a scratch has room for, the whole match included */

struct group {
    struct string name;
    uint32_t number;
};

struct regex {
    pcre2_code *code;
    bool jit;
    enum literal_kind literal_kind;
    char *literal;
    size_t literal_length;
    struct group *groups; /* the named ones, by number */
    uint32_t group_count;
};

struct regex_scratch {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

/* PCRE2's own allocations, but for the JIT's pages. */
static void *engine_take(PCRE2_SIZE size, void *context)
{
    (void)context;
    return memory_take(size);
}

static void engine_free(void *memory, void *context)
{
    (void)context;
    free(memory);
}

static pcre2_general_context *engine_memory(void)
{
    return pcre2_general_context_create(engine_take, engine_free, NULL);
}

static int group_order(const void *a, const void *b)
{
    const struct group *left = a, *right = b;
    return left->number < right->number ? -1 : left->number > right->number;
}

/* Entries of PCRE2's table: two bytes of number, the name with its NUL. */
static bool groups_read(struct regex *regex)
{
    PCRE2_SPTR table;
    uint32_t count = 0, size = 0;
    pcre2_pattern_info(regex->code, PCRE2_INFO_NAMECOUNT, &count);
    pcre2_pattern_info(regex->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
    pcre2_pattern_info(regex->code, PCRE2_INFO_NAMETABLE, &table);
    if (count == 0)
        return true;
    regex->groups = memory_take(count * sizeof(*regex->groups));
    if (!regex->groups)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        const unsigned char *entry = table + (size_t)i * size;
        regex->groups[i].number = (uint32_t)entry[0] << 8 | entry[1];
        regex->groups[i].name =
            (struct string){(const char *)entry + 2, strlen((const char *)entry + 2)};
    }
    regex->group_count = count;
    qsort(regex->groups, count, sizeof(*regex->groups), group_order);
    return true;
}

static bool code_compile(struct regex *regex, const struct dialect *dialect, uint32_t *offset,
                         struct error *error)
{
    pcre2_general_context *memory = engine_memory();
    pcre2_compile_context *context = memory ? pcre2_compile_context_create(memory) : NULL;
    pcre2_general_context_free(memory); /* what is made with it keeps a copy */
    if (!context)
        return error_set(error, ERROR_MEMORY, "no memory is left for a regular expression");
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    int code = 0;
    PCRE2_SIZE place = 0;
    regex->code = pcre2_compile((PCRE2_SPTR)dialect->text, dialect->length,
                                PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALT_CIRCUMFLEX |
                                    PCRE2_NEVER_BACKSLASH_C,
                                &code, &place, context);
    pcre2_compile_context_free(context);
    if (!regex->code) {
        char text[160];
        pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof(text));
        *offset = 0; /* the place is in the rewritten pattern, no use to anybody */
        return error_set(error, ERROR_REGEX, "%s", text);
    }
    regex->jit = pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE) == 0;
    if (!groups_read(regex))
        return error_set(error, ERROR_MEMORY, "no memory is left for a regular expression");
    return true;
}

struct regex *regex_compile(struct string pattern, uint32_t *offset, struct error *error)
{
    struct dialect dialect;
    if (!dialect_translate(pattern, &dialect, offset, error))
        return NULL;
    struct regex *regex = memory_take_zeroed(1, sizeof(*regex));
    if (!regex) {
        error_set(error, ERROR_MEMORY, "no memory is left for a regular expression");
    } else {
        regex->literal_kind = dialect.literal_kind;
        regex->literal = dialect.literal;
        regex->literal_length = dialect.literal_length;
        dialect.literal = NULL;
        if (!code_compile(regex, &dialect, offset, error)) {
            regex_free(regex);
            regex = NULL;
        }
    }
    free(dialect.text);
    free(dialect.literal);
    return regex;
}

void regex_free(struct regex *regex)
{
    if (!regex)
        return;
    pcre2_code_free(regex->code);
    free(regex->literal);
    free(regex->groups);
    free(regex);
}

struct regex_scratch *regex_scratch_open(void)
{
    struct regex_scratch *scratch = memory_take_zeroed(1, sizeof(*scratch));
    if (!scratch)
        return NULL;
    pcre2_general_context *memory = engine_memory();
    if (memory) {
        scratch->data = pcre2_match_data_create(PAIRS, memory);
        scratch->context = pcre2_match_context_create(memory);
        scratch->stack = pcre2_jit_stack_create(32 << 10, JIT_STACK, memory);
        pcre2_general_context_free(memory);
    }
    /* No stack means no JIT on this machine: then there is no use for one. */
    if (!scratch->data || !scratch->context) {
        regex_scratch_close(scratch);
        return NULL;
    }
    pcre2_set_match_limit(scratch->context, MATCH_LIMIT);
    pcre2_set_heap_limit(scratch->context, 16 << 10);
    if (scratch->stack)
        pcre2_jit_stack_assign(scratch->context, NULL, scratch->stack);
    return scratch;
}

void regex_scratch_close(struct regex_scratch *scratch)
{
    if (!scratch)
        return;
    pcre2_match_data_free(scratch->data);
    pcre2_match_context_free(scratch->context);
    pcre2_jit_stack_free(scratch->stack);
    free(scratch);
}

static bool literal_found(const struct regex *regex, struct string text)
{
    size_t length = regex->literal_length;
    if (text.length < length)
        return false;
    switch (regex->literal_kind) {
    case LITERAL_WITHIN:
        return text_contains(text, (struct string){regex->literal, length});
    case LITERAL_SUFFIX:
        return memcmp(text.data + text.length - length, regex->literal, length) == 0;
    case LITERAL_WHOLE:
        return text.length == length && memcmp(text.data, regex->literal, length) == 0;
    default:
        return memcmp(text.data, regex->literal, length) == 0;
    }
}

static enum regex_result engine_match(const struct regex *regex, struct regex_scratch *scratch,
                                      struct string text)
{
    int result;
    if (LIKELY(regex->jit))
        result = pcre2_jit_match(regex->code, (PCRE2_SPTR)text.data, text.length, 0, 0,
                                 scratch->data, scratch->context);
    else
        result = pcre2_match(regex->code, (PCRE2_SPTR)text.data, text.length, 0, PCRE2_NO_UTF_CHECK,
                             scratch->data, scratch->context);
    if (result >= 0)
        return REGEX_MATCH;
    return result == PCRE2_ERROR_NOMATCH ? REGEX_NO_MATCH : REGEX_LIMIT;
}

enum regex_result regex_match(const struct regex *regex, struct regex_scratch *scratch,
                              struct string text)
{
    if (regex->literal_kind != LITERAL_NONE) {
        bool found = literal_found(regex, text);
        if (!found || regex->literal_kind != LITERAL_BEGINS)
            return found ? REGEX_MATCH : REGEX_NO_MATCH;
    }
    return engine_match(regex, scratch, text);
}

uint32_t regex_group_count(const struct regex *regex)
{
    return regex->group_count;
}

struct string regex_group_name(const struct regex *regex, uint32_t index)
{
    CHECK(index < regex->group_count);
    return regex->groups[index].name;
}

struct string regex_group(const struct regex *regex, const struct regex_scratch *scratch,
                          struct string text, uint32_t index)
{
    CHECK(index < regex->group_count);
    const PCRE2_SIZE *pairs = pcre2_get_ovector_pointer(scratch->data);
    PCRE2_SIZE start = pairs[2 * (size_t)regex->groups[index].number];
    PCRE2_SIZE end = pairs[2 * (size_t)regex->groups[index].number + 1];
    if (start == PCRE2_UNSET)
        return (struct string){0};
    return (struct string){text.data + start, end - start};
}
