/* Small things every file needs: compiler attributes, the CHECK macro, spans and strings.
 * Owns nothing. Safe from any thread. */
#ifndef LEAT_CORE_BASE_H
#define LEAT_CORE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The caller must look at the result. */
#define MUST_USE                         __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_index, first) __attribute__((format(printf, format_index, first)))
#define LIKELY(condition)                __builtin_expect(!!(condition), 1)
#define UNLIKELY(condition)              __builtin_expect(!!(condition), 0)
#define ARRAY_SIZE(array)                (sizeof(array) / sizeof((array)[0]))

/* A bug, not bad data and not a failed operation: prints where and aborts. On in production. */
_Noreturn void check_failed(const char *expression, const char *file, int line);
#define CHECK(expression)                                                                          \
    do {                                                                                           \
        if (UNLIKELY(!(expression)))                                                               \
            check_failed(#expression, __FILE__, __LINE__);                                         \
    } while (0)

/* Borrowed bytes, not NUL-terminated. Whoever hands one out says how long the bytes live. */
struct string {
    const char *data;
    size_t length;
};
#define STRING(literal)                                                                            \
    (struct string)                                                                                \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }

bool string_equal(struct string a, struct string b);
bool string_equal_text(struct string a, const char *text);
/* The candidate nearest to `name` by edit distance, or NULL where none is near enough to be meant
 * (distance <= 1 + length / 4). Used for every "did you mean". */
const char *string_nearest(struct string name, const char *const *candidates, size_t count);

static inline size_t size_min(size_t a, size_t b)
{
    return a < b ? a : b;
}
static inline size_t size_max(size_t a, size_t b)
{
    return a > b ? a : b;
}

#endif
