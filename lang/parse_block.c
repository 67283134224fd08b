/* What follows a statement's first words: positional options in the order of its table, then a
 * block of named ones, then the defaults of what was not written. A mistake in a block costs only
 * the option it is in. Main thread only. */
#include <stdio.h>
#include <string.h>

#include "lang/parse_statement.h"

static struct string name_text(const char *name)
{
    return (struct string){name, strlen(name)};
}

/* Values collected so far, on the scratch stack from `mark` on. */
static struct option_value *values_at(struct parser *parser, size_t mark, size_t *count)
{
    *count = (parser->scratch_used - mark) / sizeof(struct option_value);
    return *count ? (struct option_value *)(void *)(parser->scratch + mark) : NULL;
}

static bool value_given(struct parser *parser, size_t mark, const char *name)
{
    size_t count;
    const struct option_value *values = values_at(parser, mark, &count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(values[i].spec->name, name) == 0)
            return true;
    return false;
}

/* ---- positional options ---- */

/* A list or name that must come, but the next statement begins instead: on a line of its own, and
 * not followed by what would make it a field of the list. */
static bool at_next_statement(const struct parser *parser)
{
    if (parser->token.kind != TOKEN_NAME || !parser->token.line_start ||
        !name_is_verb(parser, parser->token.text))
        return false;
    struct token next = parser_peek(parser);
    if (next.kind != TOKEN_PUNCTUATION)
        return true;
    return next.punctuation != ',' && next.punctuation != '=' && next.punctuation != '.';
}

static bool report_missing(struct parser *parser, const struct option_spec *spec,
                           struct string owner)
{
    struct span behind = {parser->last.end, parser->last.end};
    if (spec->kind == OPTION_KEYWORD)
        return diagnostics_error(parser->diagnostics, behind, "`%s` is missing here", spec->name);
    return diagnostics_error(parser->diagnostics, behind, "%s for `%.*s` is missing here",
                             option_kind_wanted(spec->kind), SHOW(owner));
}

static bool parse_positional(struct parser *parser, const struct option_spec *spec,
                             struct string owner)
{
    struct option_value value;
    bool ends = parser->token.kind == TOKEN_END || at_punctuation(parser, '|') ||
                at_punctuation(parser, ';') || at_next_statement(parser);
    if (ends)
        return report_missing(parser, spec, owner);
    if (!parse_option_value(parser, spec, owner, &value))
        return false;
    scratch_push(parser, &value, sizeof(value));
    return true;
}

bool parse_positionals(struct parser *parser, const struct noun *noun)
{
    struct string owner = name_text(noun->name);
    bool pulled = false; /* by OPTION_WITH_NEXT of the one before */
    for (const struct option_spec *spec = noun->options; spec && spec->name; spec++) {
        if (!(spec->flags & OPTION_POSITIONAL))
            continue;
        bool with_next = spec->flags & OPTION_WITH_NEXT;
        bool needed = pulled || (spec->flags & OPTION_REQUIRED) ||
                      (spec->kind == OPTION_KEYWORD && !with_next);
        pulled = false;
        if (!needed && !option_begins(parser, spec)) {
            if (with_next && spec[1].name)
                spec++;
            continue;
        }
        if (!parse_positional(parser, spec, owner))
            return false;
        pulled = with_next;
    }
    return true;
}

/* ---- the block ---- */

static const struct option_spec *spec_find(const struct option_spec *specs, struct string name)
{
    for (; specs && specs->name; specs++)
        if (string_equal_text(name, specs->name))
            return specs;
    return NULL;
}

static const struct noun *format_find(const struct registry *registry, struct string name)
{
    for (size_t i = 0; i < registry->format_count; i++)
        if (string_equal_text(name, registry->formats[i]->name))
            return registry->formats[i];
    return NULL;
}

/* The noun's own option of that name, or that of a format where it takes them. */
static const struct option_spec *option_spec_find(struct parser *parser, const struct noun *noun,
                                                  struct string name)
{
    const struct option_spec *spec = spec_find(noun->options, name);
    if (spec || !noun->takes_format)
        return spec;
    for (size_t i = 0; i < parser->registry->format_count && !spec; i++)
        spec = spec_find(parser->registry->formats[i]->options, name);
    return spec;
}

static void list_block_options(struct name_list *list, const struct option_spec *specs)
{
    for (; specs && specs->name; specs++)
        if (!(specs->flags & OPTION_POSITIONAL))
            name_list_add(list, specs->name);
}

static bool report_option(struct parser *parser, const struct noun *noun, struct string name,
                          size_t mark)
{
    struct name_list list = {.count = 0};
    char text[100], words[8][40];
    size_t count;
    const struct option_value *values = values_at(parser, mark, &count);
    /* `cache 1000 fro 10m`: a word of the phrase before. */
    for (size_t i = 0;
         count && values[count - 1].spec->kind == OPTION_PHRASE && i < ARRAY_SIZE(words) &&
         phrase_has_word(values[count - 1].spec, i, words[i], sizeof(words[i]));
         i++)
        if (!parser->token.line_start)
            name_list_add(&list, words[i]);
    if (list.count && !string_nearest(name, list.names, list.count))
        list.count = 0;
    list_block_options(&list, noun->options);
    for (size_t i = 0; noun->takes_format && i < parser->registry->format_count; i++)
        list_block_options(&list, parser->registry->formats[i]->options);
    snprintf(text, sizeof(text), "`%.40s` has no option", noun->name);
    return report_unknown(parser, parser->token.span, text, name, &list);
}

/* Most items that options of one name put together. */
#define REPEATED_LIMIT 1000

/* Puts the items behind those of the option of the same name, which is among the values. */
static bool merge_items(struct parser *parser, size_t mark, const struct option_value *value)
{
    size_t count;
    struct option_value *values = values_at(parser, mark, &count);
    while (strcmp(values->spec->name, value->spec->name) != 0)
        values++;
    size_t all = (size_t)values->item_count + value->item_count;
    if (all > REPEATED_LIMIT)
        return diagnostics_error(parser->diagnostics, value->span,
                                 "these are more than %d items of `%s`", REPEATED_LIMIT,
                                 value->spec->name);
    struct option_item *items = parser_take(parser, all, sizeof(*items));
    memcpy(items, values->items, values->item_count * sizeof(*items));
    memcpy(items + values->item_count, value->items, value->item_count * sizeof(*items));
    values->items = items;
    values->item_count = (uint32_t)all;
    return true;
}

/* NAME parts */
static bool parse_option(struct parser *parser, const struct noun *noun, size_t mark)
{
    struct string name = parser->token.text;
    const struct option_spec *spec = option_spec_find(parser, noun, name);
    if (!spec)
        return report_option(parser, noun, name, mark);
    struct span start = parser->token.span;
    if (spec->flags & OPTION_POSITIONAL)
        return diagnostics_error(parser->diagnostics, start,
                                 "`%s` stands before the block, without its name", spec->name);
    bool again = value_given(parser, mark, spec->name);
    struct option_value value;
    parser_advance_as(parser, LAYOUT_OPTION);
    if (!parse_option_value(parser, spec, name, &value))
        return false;
    if (again && spec->flags & OPTION_REPEATED) {
        value.span = span_since(parser, start);
        return merge_items(parser, mark, &value);
    }
    if (again)
        return diagnostics_error(parser->diagnostics, start, "`%s` is given twice", spec->name);
    value.span = span_since(parser, start);
    scratch_push(parser, &value, sizeof(value));
    return true;
}

/* Behind a mistake: to the next option, or to what ends the block. */
static void recover_in_block(struct parser *parser)
{
    unsigned depth = 0;
    for (bool first = true; parser->token.kind != TOKEN_END; first = false) {
        bool opens = at_punctuation(parser, '{') || at_punctuation(parser, '(') ||
                     at_punctuation(parser, '[');
        bool closes = at_punctuation(parser, '}') || at_punctuation(parser, ')') ||
                      at_punctuation(parser, ']');
        if (depth == 0 && (at_punctuation(parser, '}') || at_punctuation(parser, ';')))
            return;
        if (depth == 0 && !first && parser->token.line_start && parser->token.kind == TOKEN_NAME)
            return;
        depth += opens;
        depth -= closes && depth > 0;
        parser_advance(parser);
    }
}

static bool parse_block_part(struct parser *parser, const struct noun *noun, size_t mark)
{
    if (parser->token.kind != TOKEN_NAME) {
        if (parser->token.kind == TOKEN_QUOTED)
            return diagnostics_error(parser->diagnostics, parser->token.span,
                                     "an option's name stands without backquotes");
        return parser_expected(parser, "an option's name or `}`");
    }
    return parse_option(parser, noun, mark);
}

bool parse_block(struct parser *parser, const struct noun *noun, size_t mark)
{
    struct span open = parser->token.span;
    bool good = true;
    parser_advance_as(parser, LAYOUT_BLOCK_OPEN);
    while (!at_punctuation(parser, '}')) {
        if (at_punctuation(parser, ';')) {
            parser_advance_as(parser, LAYOUT_SEPARATOR);
            continue;
        }
        bool statement = parser->token.kind == TOKEN_NAME && parser->token.line_start &&
                         name_is_verb(parser, parser->token.text) &&
                         !option_spec_find(parser, noun, parser->token.text);
        if (parser->token.kind == TOKEN_END || statement)
            return diagnostics_error(parser->diagnostics, open,
                                     "this block is not closed: `}` is missing");
        if (!parse_block_part(parser, noun, mark)) {
            good = false;
            recover_in_block(parser);
        }
    }
    parser_advance_as(parser, LAYOUT_BLOCK_CLOSE);
    return good;
}

/* ---- the whole ---- */

/* Where a format is named, every option that is not the noun's own must be that format's. */
static bool check_format_options(struct parser *parser, const struct noun *noun, size_t mark)
{
    size_t count;
    struct option_value *values = values_at(parser, mark, &count);
    const struct noun *format = NULL;
    bool good = true;
    for (size_t i = 0; i < count; i++)
        if (strcmp(values[i].spec->name, "format") == 0)
            format = format_find(parser->registry, values[i].text);
    for (size_t i = 0; format && i < count; i++) {
        struct string name = name_text(values[i].spec->name);
        if (spec_find(noun->options, name))
            continue;
        const struct option_spec *spec = spec_find(format->options, name);
        if (!spec || spec->kind != values[i].spec->kind)
            good = diagnostics_error(parser->diagnostics, values[i].span,
                                     "format %s has no option `%s`", format->name,
                                     values[i].spec->name);
        else
            values[i].spec = spec;
    }
    return good;
}

static bool check_required(struct parser *parser, const struct noun *noun, size_t mark,
                           struct span place)
{
    bool good = true;
    for (const struct option_spec *spec = noun->options; spec && spec->name; spec++)
        if ((spec->flags & OPTION_REQUIRED) && !(spec->flags & OPTION_POSITIONAL) &&
            !value_given(parser, mark, spec->name))
            good = diagnostics_error(parser->diagnostics, place, "`%s` needs the option `%s`: %s",
                                     noun->name, spec->name, spec->doc);
    return good;
}

void options_finish(struct parser *parser, const struct noun *noun, size_t mark,
                    struct options *options)
{
    for (const struct option_spec *spec = noun->options; spec && spec->name; spec++) {
        struct option_value value;
        if (!spec->default_text || value_given(parser, mark, spec->name))
            continue;
        parse_option_default(parser, spec, &value);
        scratch_push(parser, &value, sizeof(value));
    }
    options->values = scratch_keep(parser, mark, sizeof(struct option_value), &options->count);
}

bool parse_noun_options(struct parser *parser, const struct noun *noun, struct span place,
                        struct options *options)
{
    size_t mark = parser->scratch_used;
    struct span start = parser->token.span;
    bool good = parse_positionals(parser, noun);
    if (good && at_punctuation(parser, '{')) {
        good = parse_block(parser, noun, mark);
        if (noun->takes_format)
            good = check_format_options(parser, noun, mark) && good;
    }
    if (good)
        good = check_required(parser, noun, mark, place);
    if (good)
        options_finish(parser, noun, mark, options);
    parser->scratch_used = mark;
    options->span = span_since(parser, start);
    if (options->span.end < options->span.start)
        options->span.end = options->span.start;
    return good;
}
