/* The light static check: every term knows which kinds of values it can give; an operator that none
 * of them has is reported. Columns may give anything. Main thread only. */
#include <stdio.h>
#include <string.h>

#include "lang/compile.h"

const char *kinds_text(uint32_t kinds, char *out, size_t size)
{
    size_t used = 0;
    out[0] = 0;
    for (unsigned kind = VALUE_NULL; kind <= VALUE_OPTIONAL; kind++) {
        if (!(kinds & (1u << kind)) || used >= size)
            continue;
        int written = snprintf(out + used, size - used, "%s%s", used ? " or " : "",
                               value_kind_name((enum value_kind)kind));
        used += written > 0 ? (size_t)written : 0;
    }
    return out;
}

/* The kinds of `a operator b`; 0: no such overload. */
static uint32_t pair_kinds(enum operator_kind operator, enum value_kind a, enum value_kind b,
                           bool mixed)
{
    bool numbers = a >= VALUE_INT && a <= VALUE_DOUBLE && b >= VALUE_INT && b <= VALUE_DOUBLE;
    bool stamp_and_span = (a == VALUE_TIMESTAMP && b == VALUE_DURATION) ||
                          (a == VALUE_DURATION && b == VALUE_TIMESTAMP);
    bool joinable = a == VALUE_STRING || a == VALUE_BYTES || a == VALUE_LIST;
    switch (operator) {
    case OPERATOR_EQUAL:
    case OPERATOR_NOT_EQUAL:
        return KIND(BOOL);
    case OPERATOR_LESS:
    case OPERATOR_LESS_EQUAL:
    case OPERATOR_GREATER:
    case OPERATOR_GREATER_EQUAL:
        return numbers || (a == b && ((1u << a) & (KIND(BOOL) | KIND(STRING) | KIND(BYTES) |
                                                   KIND(TIMESTAMP) | KIND(DURATION))))
                   ? KIND(BOOL)
                   : 0;
    case OPERATOR_IN:
        return b == VALUE_LIST || b == VALUE_MAP ? KIND(BOOL) : 0;
    case OPERATOR_ADD:
        if (stamp_and_span)
            return KIND(TIMESTAMP);
        if (a == b && (joinable || a == VALUE_DURATION))
            return 1u << a;
        break;
    case OPERATOR_SUBTRACT:
        if (a == VALUE_TIMESTAMP && b == VALUE_DURATION)
            return KIND(TIMESTAMP);
        if (a == b && (a == VALUE_TIMESTAMP || a == VALUE_DURATION))
            return KIND(DURATION);
        break;
    default:
        break;
    }
    if (!numbers)
        return 0;
    if (mixed && a != b && (a == VALUE_INT || b == VALUE_INT) && a != VALUE_UINT && b != VALUE_UINT)
        return operator== OPERATOR_MODULO ? 0 : KIND(DOUBLE);
    if (a != b || (operator== OPERATOR_MODULO && a == VALUE_DOUBLE))
        return 0;
    return 1u << a;
}

uint32_t binary_kinds(enum operator_kind operator, uint32_t left, uint32_t right, bool mixed)
{
    uint32_t kinds = 0;
    for (unsigned a = VALUE_NULL; a <= VALUE_OPTIONAL; a++) {
        for (unsigned b = VALUE_NULL; b <= VALUE_OPTIONAL && (left & (1u << a)); b++) {
            if (right & (1u << b))
                kinds |= pair_kinds(operator,(enum value_kind) a, (enum value_kind)b, mixed);
        }
    }
    return kinds;
}

bool check_binary(struct compiler *compiler, const struct node *node, const struct term *left,
                  const struct term *right)
{
    static const char *const signs[] = {
        "+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "in"};
    if (compiler->strict || !left->kinds || !right->kinds ||
        binary_kinds(node->operator, left->kinds, right->kinds, true))
        return true;
    char a[120], b[120];
    const char *sign = signs[node->operator];
    if (left->kinds == KINDS_ANY || right->kinds == KINDS_ANY)
        return diagnostics_error(compiler->diagnostics, node->span, "`%s` cannot take %s", sign,
                                 kinds_text(left->kinds & right->kinds, a, sizeof(a)));
    const char *help = "";
    const struct term *odd = left->kinds == KIND(TYPE) ? left : right;
    if (odd->kinds == KIND(TYPE) && odd->kind == TERM_CONSTANT)
        help = "; a field of that name is written in backquotes";
    return diagnostics_error(compiler->diagnostics, node->span, "`%s` cannot take %s and %s%s",
                             sign, kinds_text(left->kinds, a, sizeof(a)),
                             kinds_text(right->kinds, b, sizeof(b)), help);
}

bool check_unary(struct compiler *compiler, const struct node *node, const struct term *operand,
                 uint32_t allowed, const char *what)
{
    if (compiler->strict || !operand->kinds || (operand->kinds & allowed))
        return true;
    char kinds[120], wanted[120];
    return diagnostics_error(compiler->diagnostics, node->span, "%s takes %s, not %s", what,
                             kinds_text(allowed, wanted, sizeof(wanted)),
                             kinds_text(operand->kinds, kinds, sizeof(kinds)));
}
