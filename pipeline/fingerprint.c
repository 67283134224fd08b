/* The fingerprint of a pipeline: see fingerprint.h. */
#include "pipeline/fingerprint.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/hash.h"
#include "lang/lexer.h"

static uint64_t add_text(uint64_t hash, struct string text)
{
    /* the length first, so that texts side by side cannot be taken for others */
    hash = hash_bytes(&text.length, sizeof(text.length), hash);
    return hash_bytes(text.data, text.length, hash);
}

static uint64_t add_chars(uint64_t hash, const char *text)
{
    return add_text(hash, (struct string){text ? text : "", text ? strlen(text) : 0});
}

/* The tokens of a part of the program, without white space and comments. */
static uint64_t add_tokens(uint64_t hash, struct string program, struct span span)
{
    struct lexer lexer = {.text = {program.data, span.end}, .position = span.start};
    for (;;) {
        uint32_t before = lexer.position;
        struct token token = lexer_next(&lexer);
        if (token.kind == TOKEN_END || lexer.position == before)
            return hash;
        hash = add_text(hash, token.text);
    }
}

static uint64_t add_option(uint64_t hash, struct string program, const struct option_value *value)
{
    if (value->spec->flags & OPTION_TUNING)
        return hash;
    hash = add_chars(hash, value->spec->name);
    if (value->is_default)
        return add_chars(hash, value->spec->default_text);
    /* what env() or secret() gave, besides how it was written */
    if (value->spec->kind == OPTION_STRING || value->spec->kind == OPTION_TEMPLATE)
        hash = add_text(hash, value->is_secret ? STRING("") : value->text);
    return add_tokens(hash, program, value->span);
}

static uint64_t add_options(uint64_t hash, struct string program, const struct options *options)
{
    for (uint32_t i = 0; i < options->count; i++)
        hash = add_option(hash, program, &options->values[i]);
    return hash;
}

void fingerprint_make(const struct program *program, const struct run_options *options,
                      char text[FINGERPRINT_SIZE])
{
    uint64_t hash = HASH_SEED;
    hash = add_options(hash, program->text, &program->settings);
    for (uint32_t i = 0; i < program->statement_count; i++) {
        const struct statement *statement = &program->statements[i];
        hash = hash_bytes(&statement->kind, sizeof(statement->kind), hash);
        hash = add_chars(hash, statement->noun->name);
        hash = add_options(hash, program->text, &statement->options);
    }
    for (size_t i = 0; i < options->file_count; i++)
        hash = add_chars(hash, options->files[i]);
    hash = add_chars(hash, options->output);
    hash = add_chars(hash, options->from_format);
    hash = add_chars(hash, options->to_format);
    hash = add_chars(hash, options->order);
    hash = add_chars(hash, options->reject_file);
    hash = hash_bytes(&options->seed, sizeof(options->seed), hash);
    snprintf(text, FINGERPRINT_SIZE, "%016" PRIx64, hash);
}
