/* Fuzzes program text: the parser must not crash, every place must lie in the text, the tree must
 * be no higher than promised, fmt must change nothing that it wrote itself, nor the tree. The first
 * byte chooses between a program (with templates split) and an expression. */
#include <stdlib.h>
#include <string.h>

#include "lang/template_cells.h"
#include "tests/lang/fixture.c"

#define HEIGHT_LIMIT 250

static void check_span(struct span span, size_t length)
{
    CHECK(span.start <= span.end && span.end <= length);
}

static void check_node(const struct node *node, size_t length, unsigned above)
{
    if (!node)
        return;
    CHECK(node->height > 0 && node->height < above);
    check_span(node->span, length);
    check_span(node->name_span, length);
    check_node(node->left, length, node->height);
    check_node(node->right, length, node->height);
    check_node(node->third, length, node->height);
    for (uint32_t i = 0; i < node->item_count; i++)
        check_node(node->items[i], length, node->height);
}

/* Opens the templates of a lookup as URLs. */
static void check_urls(const struct program *program, const struct option_value *value,
                       struct diagnostics *diagnostics)
{
    struct scope *scope = scope_open(diagnostics, NULL, (uint32_t)program->text.length + 1);
    uint32_t count = value->spec->kind == OPTION_TEMPLATES ? value->item_count : 1;
    for (uint32_t i = 0; scope && i < count && i < 8; i++)
        template_close(template_open_url(program, scope_resolver(scope), value, i, diagnostics));
    scope_close(scope);
}

static void check_options(struct program *program, const struct options *options,
                          struct diagnostics *diagnostics)
{
    size_t length = program->text.length;
    check_span(options->span, length);
    for (uint32_t i = 0; i < options->count; i++) {
        const struct option_value *value = &options->values[i];
        check_span(value->span, length);
        check_node(value->node, length, HEIGHT_LIMIT + 1);
        for (uint32_t j = 0; j < value->item_count; j++) {
            check_span(value->items[j].span, length);
            check_span(value->items[j].path.span, length);
            check_node(value->items[j].node, length, HEIGHT_LIMIT + 1);
        }
        const struct template_part *parts;
        uint32_t count;
        if (value->spec->kind == OPTION_TEMPLATES || strcmp(value->spec->name, "url") == 0)
            check_urls(program, value, diagnostics);
        if (value->spec->kind != OPTION_TEMPLATE)
            continue;
        if (template_parse(program, value, diagnostics, &parts, &count))
            for (uint32_t j = 0; j < count; j++)
                check_node(parts[j].node, length, HEIGHT_LIMIT + 1);
    }
}

static void check_diagnostics(struct diagnostics *diagnostics)
{
    FILE *null = fopen("/dev/null", "we");
    for (size_t i = 0; i < diagnostics->count; i++)
        check_span(diagnostics->items[i].span, diagnostics->text.length);
    CHECK(null);
    diagnostics_print(diagnostics, null);
    fclose(null);
}

/* The dump of a program, or NULL where it has errors. */
static char *parse_whole(struct string text)
{
    struct diagnostics diagnostics;
    diagnostics_open(&diagnostics, "fuzz", text);
    struct program *program = program_parse(&fixture_registry, &diagnostics);
    CHECK(program);
    char *dump = diagnostics.errors ? NULL : dump_program_text(program);
    check_options(program, &program->settings, &diagnostics);
    for (uint32_t i = 0; i < program->statement_count; i++) {
        const struct statement *statement = &program->statements[i];
        check_span(statement->span, text.length);
        check_span(statement->verb_span, text.length);
        check_options(program, &statement->options, &diagnostics);
    }
    check_diagnostics(&diagnostics);
    program_free(program);
    diagnostics_close(&diagnostics);
    return dump;
}

static char *format_whole(struct string text)
{
    struct diagnostics diagnostics;
    diagnostics_open(&diagnostics, "fuzz", text);
    char *formatted = program_format(&fixture_registry, &diagnostics);
    diagnostics_close(&diagnostics);
    return formatted;
}

static void try_program(struct string text)
{
    char *dump = parse_whole(text);
    char *formatted = format_whole(text);
    if (dump) {
        CHECK(formatted);
        struct string once = {formatted, strlen(formatted)};
        char *dump_again = parse_whole(once);
        char *formatted_again = format_whole(once);
        CHECK(dump_again && formatted_again);
        CHECK(strcmp(dump, dump_again) == 0);
        CHECK(strcmp(formatted, formatted_again) == 0);
        free(dump_again);
        free(formatted_again);
    }
    free(formatted);
    free(dump);
}

static void try_expression(struct string text, bool cel_strict)
{
    struct diagnostics diagnostics;
    struct program_memory *memory;
    diagnostics_open(&diagnostics, "fuzz", text);
    const struct node *node = expression_parse(&diagnostics, cel_strict, &memory);
    CHECK((node == NULL) == (diagnostics.errors > 0));
    check_node(node, text.length, HEIGHT_LIMIT + 1);
    check_diagnostics(&diagnostics);
    program_memory_free(memory);
    diagnostics_close(&diagnostics);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct string text = {(const char *)data + 1, size - 1};
    if (data[0] == 'e' || data[0] == 's')
        try_expression(text, data[0] == 's');
    else
        try_program(text);
    return 0;
}
