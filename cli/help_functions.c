/* The functions of expressions: see help_functions.h. */
#include "cli/help_functions.h"

#include <string.h>

#include "lang/expression.h"
#include "lang/function.h"

/* "f(x, a, b)" or "x.f(a, b)"; arguments that may be left out in brackets. */
static void call_compose(char *out, size_t size, const struct function *function, bool method)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    size_t length = (size_t)snprintf(out, size, "%s%s(%s", method ? "x." : "", function->name,
                                     !method && function->maximum > 0 ? "x" : "");
    if (function->maximum == FUNCTION_ANY_COUNT) {
        snprintf(out + length, size - length, ", ...)");
        return;
    }
    for (unsigned i = 1; i < function->maximum && i <= ARRAY_SIZE(names) && length < size; i++) {
        bool optional = i >= function->minimum;
        length += (size_t)snprintf(out + length, size - length, "%s%s%s%s", optional ? "[" : "",
                                   method && i == 1 ? "" : ", ", names[i - 1], optional ? "]" : "");
    }
    if (length < size)
        snprintf(out + length, size - length, ")");
}

static void print_kinds(FILE *out, uint32_t kinds, int width)
{
    char text[128] = "anything";
    size_t length = 0;
    bool any = (kinds & KINDS_ANY) == KINDS_ANY;
    for (unsigned i = 0; !any && i < VALUE_KIND_COUNT && length < sizeof(text) - 1; i++)
        if (kinds & 1u << i)
            length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%s",
                                       length ? " " : "", value_kind_name((enum value_kind)i));
    fprintf(out, "%-*s", width, text);
}

static void print_function(FILE *out, const struct function *function)
{
    char call[96];
    char both[200];
    bool method = (function->style & FUNCTION_METHOD) != 0;
    call_compose(call, sizeof(call), function, method);
    snprintf(both, sizeof(both), "%s", call);
    if ((function->style & FUNCTION_BOTH) == FUNCTION_BOTH) {
        char global[96];
        call_compose(global, sizeof(global), function, false);
        snprintf(both, sizeof(both), "%s, %s", global, call);
    }
    fprintf(out, "  %-30s ", both);
    print_kinds(out, function->first, 30);
    fputs(" -> ", out);
    print_kinds(out, function->results, 0);
    fputc('\n', out);
}

void functions_print(FILE *out)
{
    size_t count;
    const struct function *table = function_table(&count);
    fputs("Functions of expressions: how each is called, what x may be, what it gives\n\n", out);
    for (size_t i = 0; i < count; i++)
        print_function(out, &table[i]);
    fputs(
        "  has(a.b)                       a path                         -> bool\n"
        "  coalesce(x, a, ...)            anything; the first not null   -> anything\n"
        "  env(\"NAME\"[, \"otherwise\"])     string                         -> string\n"
        "  secret(\"FILE\")                 string; only in what is sent   -> string\n"
        "\nMacros: x.all(i, p) x.exists(i, p) x.exists_one(i, p) x.filter(i, p) x.map(i, [p,] e)\n"
        "cel.bind(name, value, e)\n",
        out);
}
