/* The evaluators' form of an expression: a tree of terms in which names are columns or slots,
 * functions are pointers and constants are folded. Internal to the expression*.c, compile*.c and
 * eval*.c files. Built by the main thread, const afterwards and shared by all. */
#ifndef LEAT_LANG_TERM_H
#define LEAT_LANG_TERM_H

#include "lang/expression.h"
#include "lang/function.h"
#include "lang/regex.h"

enum term_kind {
    TERM_CONSTANT,     /* constant; ABSENT: a path that no record has */
    TERM_COLUMN,       /* the cell of `column` */
    TERM_VARIABLE,     /* slot: a variable of an enclosing comprehension or cel.bind */
    TERM_SELECT,       /* left.name; lenient: a path from the record */
    TERM_INDEX,        /* left[right] */
    TERM_CALL,         /* function(items) */
    TERM_LIST,         /* items */
    TERM_MAP,          /* items: key, value … */
    TERM_NOT,          /* left */
    TERM_NEGATE,       /* left */
    TERM_ARITHMETIC,   /* left operator right */
    TERM_EQUAL,        /* left operator right: == or != */
    TERM_ORDER,        /* left operator right: < <= > >= */
    TERM_IN,           /* left in right */
    TERM_IN_SET,       /* left in table: constants only */
    TERM_AND,          /* items */
    TERM_OR,           /* items */
    TERM_CONDITIONAL,  /* left ? right : third */
    TERM_HAS,          /* left is a SELECT, COLUMN or CONSTANT */
    TERM_MACRO,        /* macro over left; slot, slot2; right predicate, third transform */
    TERM_BIND,         /* slot = left in right */
    TERM_COALESCE,     /* the first of items that is not null */
    TERM_MATCHES,      /* left matches regex */
    TERM_OR_ELSE,      /* left.or(right), or with `unwrap` left.orValue(right) */
    TERM_OPTIONAL_MAP, /* left.optMap(slot, right), or with `unwrap` optFlatMap */
};

struct term {
    uint8_t kind;     /* enum term_kind */
    uint8_t operator; /* enum operator_kind */
    uint8_t macro;    /* enum macro_kind */
    bool lenient;     /* SELECT: null where a link is absent or null */
    bool optional;    /* SELECT, INDEX: gives an optional */
    bool mixed;       /* ARITHMETIC: an int meeting a double becomes one */
    bool pairs;       /* MACRO: two variables */
    bool unwrap;      /* OR_ELSE, OPTIONAL_MAP */
    uint32_t kinds;   /* KIND() bits of what it can give besides errors */
    uint32_t column;  /* or slot */
    uint32_t slot2;
    uint32_t item_count;
    struct value constant;
    struct string name;
    const struct term *left;
    const struct term *right;
    const struct term *third;
    const struct term *const *items;
    const bool *item_optional; /* LIST, MAP; may be NULL */
    const struct function *function;
    const struct regex *regex;
    const struct key_table *table;
};

struct expression {
    const struct term *root;
    struct arena arena;     /* terms, names, constants, sets */
    struct regex **regexes; /* compiled constant patterns */
    uint32_t regex_count;
    bool is_private; /* it holds a secret */
};
/* In the place of the error of a private expression, whose text could hold some of the secret. */
static inline struct value private_error(const struct expression *expression, struct value value)
{
    static const char hidden[] = "not shown: the expression holds a secret";
    if (LIKELY(!expression->is_private || value.kind != VALUE_ERROR || !value.text))
        return value;
    return value_error_text(value.code, hidden, sizeof(hidden) - 1);
}

/* Variables alive at once: comprehensions inside one another. */
#define SLOT_LIMIT 64
/* Deeper expressions are refused: both evaluators recurse. */
#define TERM_DEPTH_LIMIT 600
/* One outermost comprehension may take so many steps and so much arena for a row. */
#define STEP_LIMIT  (1u << 22)
#define STEP_MEMORY ((size_t)64 << 20)
/* The batch evaluator works on so many rows at a time: operands stay in the first cache. */
#define CHUNK_ROWS    512
#define CHUNK_BUFFERS 32

/* Patterns that are no constants: the last few that were compiled. */
#define PATTERN_CACHE 8
struct cached_pattern {
    char *text; /* owned */
    size_t length;
    struct regex *regex; /* NULL: refused */
    uint64_t used;
};

struct evaluator {
    struct regex_scratch *scratch;
    bool row_only;    /* LEAT_EVAL=row */
    unsigned nesting; /* comprehensions that are running */
    uint64_t steps;   /* taken by the outermost one */
    size_t memory;    /* arena->used when it began */
    struct value slots[SLOT_LIMIT];
    struct cached_pattern patterns[PATTERN_CACHE];
    uint64_t pattern_clock;
    struct value *buffers; /* CHUNK_BUFFERS of CHUNK_ROWS each */
    unsigned buffers_used;
};

/* One row's evaluation. */
struct machine {
    struct evaluation *evaluation;
    struct evaluator *evaluator;
    struct arena *arena;
    uint32_t row;
};

/* The value, RAW where nobody had to look into it; never ABSENT. */
struct value term_value(const struct term *term, struct machine *machine);
/* The value, resolved one level. */
struct value term_resolved(const struct term *term, struct machine *machine);
/* Comprehensions (eval_macro.c). */
struct value term_macro(const struct term *term, struct machine *machine);

/* Work of a comprehension's body that grows with the data: looking through a list or map. */
static inline void charge_search(struct machine *machine, struct value container)
{
    machine->evaluator->steps += container.length / 8;
}

/* Errors that no && or || may absorb. */
static inline bool value_is_hard_error(struct value value)
{
    return value.kind == VALUE_ERROR && value.code == ERROR_ARENA_FULL;
}

/* A cell, resolved and remembered in columns[].decoded (cell.c); null where it is absent. */
struct value cell_decode(struct evaluation *evaluation, struct column *column, uint32_t row);
static inline struct value cell_resolved(struct evaluation *evaluation, uint32_t index,
                                         uint32_t row)
{
    struct column *column = &evaluation->columns[index];
    if (column->decoded && column->decoded[row].kind != VALUE_ABSENT)
        return column->decoded[row];
    return cell_decode(evaluation, column, row);
}
/* The cells of rows[0..count), as cell_resolved gives them; false: arena full. */
MUST_USE bool cells_resolve(struct evaluation *evaluation, uint32_t index, const uint32_t *rows,
                            uint32_t count, struct value *out);
/* Makes columns[].decoded; false: arena full. */
bool column_prepare(struct evaluation *evaluation, struct column *column);

/* matches(text, pattern) where the pattern is no constant: through the evaluator's cache. */
struct value dynamic_matches(struct call *call, struct value text, struct value pattern);

#endif
