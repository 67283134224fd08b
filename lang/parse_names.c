/* Names that must be known: verbs, kinds, options, words; "did you mean" for the others. Main
 * thread only. */
#include <stdio.h>
#include <string.h>

#include "lang/parser.h"

void name_list_add(struct name_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->names[i], name) == 0)
            return;
    if (list->count < ARRAY_SIZE(list->names))
        list->names[list->count++] = name;
}

bool report_unknown(struct parser *parser, struct span span, const char *text, struct string name,
                    const struct name_list *list)
{
    const char *nearest = string_nearest(name, list->names, list->count);
    if (nearest)
        return diagnostics_error(parser->diagnostics, span, "%s `%.*s`; did you mean `%s`?", text,
                                 SHOW(name), nearest);
    if (list->count == 0)
        return diagnostics_error(parser->diagnostics, span, "%s `%.*s`; there are none", text,
                                 SHOW(name));
    char all[240];
    size_t used = 0;
    for (size_t i = 0; i < list->count; i++) {
        size_t needed = strlen(list->names[i]) + 2;
        if (used + needed + 6 > sizeof(all)) {
            used += (size_t)snprintf(all + used, sizeof(all) - used, ", …");
            break;
        }
        used +=
            (size_t)snprintf(all + used, sizeof(all) - used, "%s%s", i ? ", " : "", list->names[i]);
    }
    return diagnostics_error(parser->diagnostics, span, "%s `%.*s`; there %s: %s", text, SHOW(name),
                             list->count == 1 ? "is" : "are", all);
}

bool name_is_verb(const struct parser *parser, struct string name)
{
    static const char *const fixed[] = {"from", "into", "reject", "fail"};
    for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
        if (string_equal_text(name, fixed[i]))
            return true;
    if (parser->registry && parser->registry->lookup_count && string_equal_text(name, "lookup"))
        return true;
    for (size_t i = 0; parser->registry && i < parser->registry->verb_count; i++)
        if (string_equal_text(name, parser->registry->verbs[i]->name))
            return true;
    return false;
}

struct token parser_peek(const struct parser *parser)
{
    struct lexer lexer = parser->lexer;
    return lexer_next(&lexer);
}
