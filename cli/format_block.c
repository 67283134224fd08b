/* A format with options on the command line: see format_block.h. */
#include "cli/format_block.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "pipeline/pipeline.h"

#define BLANKS " \t\r\n"

/* What stands between the braces of "{ … }", with blanks around. */
static bool block_inside(const char *text, struct string *inside)
{
    size_t length = strlen(text);
    while (length && strchr(BLANKS, text[length - 1]))
        length--;
    if (length < 2 || text[0] != '{' || text[length - 1] != '}')
        return false;
    *inside = (struct string){text + 1, length - 2};
    return true;
}

bool format_block_open(struct format_block *block, const char *option, const char *value,
                       struct error *error)
{
    *block = (struct format_block){0};
    error->code = ERROR_NONE;
    size_t length = strcspn(value, BLANKS "{");
    const char *rest = value + length + strspn(value + length, BLANKS);
    struct string inside = {0};
    block->name = memory_copy_text(value, length);
    if (!block->name)
        return error_set(error, ERROR_MEMORY, "no memory for the command line");
    if (!*rest)
        return true;
    if (!block_inside(rest, &inside))
        return error_set(error, ERROR_USAGE, "%s: behind \"%s\" only a block can stand: { ... }",
                         option, block->name);
    bool reads = strcmp(option, "--from") == 0;
    size_t size = inside.length + length + 64;
    block->text = memory_take(size);
    if (!block->text)
        return error_set(error, ERROR_MEMORY, "no memory for the command line");
    snprintf(block->text, size, "%s { format %s %.*s }", reads ? "from stdin" : "into stdout",
             block->name, (int)inside.length, inside.data);
    diagnostics_open(&block->diagnostics, option,
                     (struct string){block->text, strlen(block->text)});
    block->program = program_parse(registry_get(), &block->diagnostics);
    if (!block->program)
        return error_set(error, ERROR_MEMORY, "no memory for the command line");
    if (block->diagnostics.errors)
        return false;
    /* a block that closes early would smuggle in statements */
    return block->program->statement_count == 1 ||
           error_set(error, ERROR_USAGE, "%s: one block, no statements", option);
}

const struct options *format_block_options(const struct format_block *block)
{
    return block->program ? &block->program->statements[0].options : NULL;
}

void format_block_close(struct format_block *block)
{
    if (block->program)
        program_free(block->program);
    if (block->text)
        diagnostics_close(&block->diagnostics);
    free(block->text);
    free(block->name);
    *block = (struct format_block){0};
}
