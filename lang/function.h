/* The functions of expressions: one table (functions.def), one signature. Bodies are pure: they get
 * resolved arguments (never RAW, ABSENT or an error) and give a value; what they make lives in the
 * arena. Any thread. */
#ifndef LEAT_LANG_FUNCTION_H
#define LEAT_LANG_FUNCTION_H

#include "lang/value_ops.h"

struct regex;

/* What a body may use. */
struct call {
    struct arena *arena;
    struct evaluator *evaluator;
};
typedef struct value function_body(struct call *call, const struct value *arguments,
                                   uint32_t count);

enum function_style {
    FUNCTION_GLOBAL = 1, /* f(x), or ns.f(x) */
    FUNCTION_METHOD = 2, /* x.f(): the receiver is arguments[0] and counts as one */
    FUNCTION_BOTH = 3,
    FUNCTION_LEAT = 4, /* not of CEL: unknown in the strict mode */
};

#define KIND(name)   (1u << VALUE_##name)
#define KINDS_NUMBER (KIND(INT) | KIND(UINT) | KIND(DOUBLE))
#define KINDS_ANY                                                                                  \
    (KIND(NULL) | KIND(BOOL) | KINDS_NUMBER | KIND(STRING) | KIND(BYTES) | KIND(LIST) |            \
     KIND(MAP) | KIND(TIMESTAMP) | KIND(DURATION) | KIND(TYPE) | KIND(OPTIONAL))

#define FUNCTION_ANY_COUNT UINT8_MAX

struct function {
    const char *name; /* with its namespace: "strings.quote" */
    uint8_t style;    /* enum function_style, or'ed */
    uint8_t minimum;  /* arguments, a receiver included */
    uint8_t maximum;
    uint32_t first;   /* kinds that the first argument may have */
    uint32_t results; /* kinds it can give */
    function_body *body;
};

/* NULL where there is none of the style (GLOBAL or METHOD). */
const struct function *function_find(struct string name, enum function_style style);
/* All, for "did you mean". */
const struct function *function_table(size_t *count);

/* For bodies: room for text, or NULL. */
char *call_text(struct call *call, size_t size);
/* A new optional with this content. */
struct value optional_of(struct arena *arena, struct value content);
static inline struct value optional_none(void)
{
    return (struct value){.kind = VALUE_OPTIONAL};
}
/* regex_match with the evaluator's scratch: a bool or an error. */
struct value text_matches(struct call *call, const struct regex *regex, struct value text);
/* All bodies: function_size and so on. */
#define FUNCTION(name, style, minimum, maximum, first, results, body) function_body function_##body;
#include "lang/functions.def"
#undef FUNCTION

/* CEL's operators + - * / %. `mixed`: an int meeting a double becomes a double. */
struct value value_arithmetic(enum operator_kind operator, struct value a, struct value b,
                              bool mixed, struct arena *arena);
struct value value_negate(struct value value);
/* container[key] and container[?key]: missing keys and indexes are errors, or none. */
struct value value_index(struct value container, struct value key, bool optional,
                         struct arena *arena);
/* container.name on a value that may be RAW. */
struct value value_select(struct value container, struct string name, bool optional,
                          struct arena *arena);

/* digits[0..count) with the point after `point` of them (0.0ddd where it is <= 0), without
 * exponent. Returns the length: at most count + |point| + 2. */
size_t decimal_write(char *out, const char *digits, int count, int point);

/* The name CEL gives to the type of a value. */
struct value value_type(struct value value);
/* A type by its name, or ABSENT. */
struct value type_by_name(struct string name);

#endif
