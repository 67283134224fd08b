/* What comes from outside of the program into its expressions: env() and secret(). Both are asked
 * once, when the expression is compiled, and are constants then. Main thread only. */
#include <string.h>

#include "lang/compile.h"
#include "lang/secret.h"

/* The arguments, all of them constant strings. */
static bool constant_strings(struct compiler *compiler, const struct node *node, const char *form,
                             const struct term *const **items)
{
    if (!compile_items(compiler, node->items, node->item_count, items))
        return false;
    for (uint32_t i = 0; i < node->item_count; i++)
        if ((*items)[i]->kind != TERM_CONSTANT || (*items)[i]->constant.kind != VALUE_STRING)
            return diagnostics_error(compiler->diagnostics, node->items[i]->span,
                                     "%.*s takes constant strings: %s", (int)node->name.length,
                                     node->name.data, form);
    return true;
}

static struct term *term_text(struct compiler *compiler, const char *text, size_t length)
{
    struct string copy = compiler_copy(compiler, (struct string){text, length});
    return copy.data ? term_constant(compiler, value_string(copy.data, copy.length)) : NULL;
}

struct term *compile_env(struct compiler *compiler, const struct node *node)
{
    const struct term *const *items;
    struct string text;
    struct error error;
    bool missing;
    if (node->item_count < 1 || node->item_count > 2)
        return report_count(compiler, node, "env", 1, 2);
    if (!constant_strings(compiler, node, "env(\"NAME\", \"default\")", &items))
        return NULL;
    struct string name = {items[0]->constant.text, items[0]->constant.length};
    if (environment_read(name, &text, &missing, &error))
        return term_text(compiler, text.data, text.length);
    if (!missing)
        diagnostics_error(compiler->diagnostics, node->items[0]->span, "%s", error.text);
    else if (node->item_count == 2)
        return term_constant(compiler, items[1]->constant);
    else
        diagnostics_error(compiler->diagnostics, node->span,
                          "the environment variable %.*s is not set and env has no default",
                          (int)size_min(name.length, 80), name.data);
    return NULL;
}

struct term *compile_secret(struct compiler *compiler, const struct node *node)
{
    const struct term *const *items;
    char content[SECRET_LIMIT + 1];
    size_t length;
    struct error error;
    if (!compiler->resolver->allows_secrets) {
        diagnostics_error(compiler->diagnostics, node->span,
                          "a secret cannot stand here: it could end up in the records; it "
                          "may stand in what is sent to a server, like its url and headers");
        return NULL;
    }
    if (node->item_count != 1)
        return report_count(compiler, node, "secret", 1, 1);
    if (!constant_strings(compiler, node, "secret(\"file\")", &items))
        return NULL;
    struct string name = {items[0]->constant.text, items[0]->constant.length};
    if (!secret_read(name, content, &length, &error)) {
        diagnostics_error(compiler->diagnostics, node->span, "%s", error.text);
        return NULL;
    }
    compiler->expression->is_private = true;
    struct term *term = term_text(compiler, content, length);
    explicit_bzero(content, sizeof(content));
    return term;
}
