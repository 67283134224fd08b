/* Formats named on the command line with their options: see dialect.h. */
#include "pipeline/dialect.h"

#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "lang/parse.h"

/* "json { values one }" -> "from stdin { format json   values one  }" */
static char *dialect_text(const char *text, const char *flag)
{
    const char *head = strcmp(flag, "--to") == 0 ? "into stdout { format " : "from stdin { format ";
    size_t head_length = strlen(head), length = strlen(text);
    char *program = memory_take(head_length + length + 3);
    if (!program)
        return NULL;
    memcpy(program, head, head_length);
    memcpy(program + head_length, text, length);
    memcpy(program + head_length + length, " }", 3);
    char *open = strchr(program + head_length, '{');
    char *close = program + head_length + length - 1;
    while (close > program && (*close == ' ' || *close == '\n' || *close == '\t'))
        close--;
    if (open)
        *open = ' ';
    if (*close == '}')
        *close = ' ';
    return program;
}

bool dialect_open(struct dialect *dialect, const char *text, const char *flag, struct error *error)
{
    *dialect = (struct dialect){0};
    if (!text || !strchr(text, '{'))
        return true;
    size_t length = strlen(text);
    while (strchr(" \t\n", text[length - 1]))
        length--;
    if (text[length - 1] != '}')
        return error_set(error, ERROR_USAGE, "%s '%s': expected a } at its end", flag, text);
    dialect->text = dialect_text(text, flag);
    if (!dialect->text)
        return error_set(error, ERROR_MEMORY, "no memory for the command line");
    diagnostics_open(&dialect->diagnostics, flag,
                     (struct string){dialect->text, strlen(dialect->text)});
    dialect->program = program_parse(registry_get(), &dialect->diagnostics);
    if (!dialect->program || dialect->diagnostics.errors || dialect->program->statement_count != 1)
        return error_set(error, ERROR_USAGE, "%s '%s': %s", flag, text,
                         dialect->diagnostics.count ? dialect->diagnostics.items[0].text
                                                    : "expected a format and its options");
    dialect->options = &dialect->program->statements[0].options;
    return true;
}

void dialect_close(struct dialect *dialect)
{
    program_free(dialect->program);
    if (dialect->text)
        diagnostics_close(&dialect->diagnostics);
    free(dialect->text);
    *dialect = (struct dialect){0};
}
