/* Options of several parts: phrases after a pattern ("open after N failures for DURATION"), ranges
 * (200ms..10s) and causes (timeout, 429, 5xx). Main thread only. */
#include <stdio.h>
#include <string.h>

#include "lang/parser.h"
#include "lang/quantity.h"

/* ---- patterns ---- */

/* What the words in capitals of a pattern stand for. */
static const struct measure {
    const char *name;
    enum quantity_unit unit;
    const char *wanted;
} measures[] = {
    {"N", QUANTITY_WHOLE, "a whole number"},
    {"DURATION", QUANTITY_DURATION, "a duration like 250ms, 5s or 2h"},
    {"SIZE", QUANTITY_SIZE, "a size like 64KiB or 1GiB"},
    {"RATE", QUANTITY_RATE, "a rate like 500/s or 60/m"},
    {"PERCENTILE", QUANTITY_PERCENTILE, "a percentile like p95"},
};

/* One part of a pattern: a word, or one to three measures to choose from. */
struct part {
    struct string text;
    bool opens; /* a group that may be left out begins here … */
    bool closes;
    unsigned count; /* of measures; 0: a word */
    const struct measure *choices[ARRAY_SIZE(measures)];
    unsigned place; /* of the first choice in numbers[] */
};

struct pattern {
    const char *rest;
    unsigned places; /* taken so far */
};

static const struct measure *measure_find(struct string name)
{
    for (size_t i = 0; i < ARRAY_SIZE(measures); i++)
        if (string_equal_text(name, measures[i].name))
            return &measures[i];
    return NULL;
}

/* The next part; false: there is none. Patterns are tables of ours, so they are right (CHECK). */
static bool pattern_next(struct pattern *pattern, struct part *part)
{
    pattern->rest += strspn(pattern->rest, " ");
    if (!*pattern->rest)
        return false;
    *part = (struct part){.opens = *pattern->rest == '[', .place = pattern->places};
    pattern->rest += part->opens;
    size_t length = strcspn(pattern->rest, " ]");
    CHECK(length > 0);
    part->text = (struct string){pattern->rest, length};
    pattern->rest += length;
    part->closes = *pattern->rest == ']';
    pattern->rest += part->closes;
    for (struct string left = part->text; left.length > 0;) {
        const char *bar = memchr(left.data, '|', left.length);
        size_t size = bar ? (size_t)(bar - left.data) : left.length;
        const struct measure *measure = measure_find((struct string){left.data, size});
        CHECK(measure || (!bar && part->count == 0));
        if (measure)
            part->choices[part->count++] = measure;
        left.data += size + (bar != NULL);
        left.length -= size + (bar != NULL);
    }
    pattern->places += part->count;
    CHECK(pattern->places <= OPTION_NUMBERS);
    return true;
}

/* Behind the group that `part` opens. */
static void pattern_skip(struct pattern *pattern, struct part part)
{
    while (!part.closes)
        CHECK(pattern_next(pattern, &part));
}

static bool at_percentile(const struct parser *parser)
{
    struct string text = parser->token.text;
    bool name = parser->token.kind == TOKEN_NAME;
    return name && text.length > 1 && text.data[0] == 'p' && text.data[1] >= '0' &&
           text.data[1] <= '9';
}

static bool at_part(const struct parser *parser, const struct part *part)
{
    if (part->count == 0)
        return parser->token.kind == TOKEN_NAME && string_equal(parser->token.text, part->text);
    bool percentile = false, other = false;
    for (unsigned i = 0; i < part->count; i++)
        *(part->choices[i]->unit == QUANTITY_PERCENTILE ? &percentile : &other) = true;
    return (other && at_quantity(parser)) || (percentile && at_percentile(parser));
}

/* ---- phrases ---- */

/* "`OWNER PATTERN`", as it is to be written. */
static const char *phrase_form(const struct option_spec *spec, struct string owner, char *form,
                               size_t size)
{
    bool named = string_equal_text(owner, spec->name);
    snprintf(form, size, "`%.*s%s%.120s`", named ? (int)owner.length : 0, owner.data,
             named ? " " : "", spec->words);
    return form;
}

static bool report_part(struct parser *parser, const struct option_spec *spec, struct string owner,
                        const struct part *part)
{
    char form[200], wanted[330];
    phrase_form(spec, owner, form, sizeof(form));
    if (part->count == 0) {
        char word[40];
        snprintf(word, sizeof(word), "%.*s", SHOW(part->text));
        const char *const words[] = {word};
        if (parser->token.kind == TOKEN_NAME && string_nearest(parser->token.text, words, 1))
            return diagnostics_error(parser->diagnostics, parser->token.span,
                                     "unknown word `%.*s`; did you mean `%s`? It is written %s",
                                     SHOW(parser->token.text), word, form);
        snprintf(wanted, sizeof(wanted), "`%s` of %s", word, form);
        return parser_expected(parser, wanted);
    }
    size_t used = 0;
    for (unsigned i = 0; i < part->count; i++)
        used += (size_t)snprintf(wanted + used, sizeof(wanted) - used, "%s%s", i ? " or " : "",
                                 part->choices[i]->wanted);
    snprintf(wanted + used, sizeof(wanted) - used, " of %s", form);
    return parser_expected(parser, wanted);
}

/* The first choice that the token is. */
static bool parse_measure(struct parser *parser, const struct option_spec *spec,
                          struct string owner, const struct part *part, int64_t *numbers)
{
    char form[200], wanted[160];
    size_t used = 0;
    const char *problem = NULL;
    parser->token = lexer_quantity(&parser->lexer, &parser->token);
    for (unsigned i = 0; i < part->count; i++) {
        const struct measure *measure = part->choices[i];
        problem = quantity_number(measure->unit, parser->token.text, &numbers[part->place + i]);
        if (!problem) {
            parser_advance(parser);
            return true;
        }
        numbers[part->place + i] = -1;
        used += (size_t)snprintf(wanted + used, sizeof(wanted) - used, "%s%s", i ? " or " : "",
                                 measure->wanted);
    }
    if (part->count > 1)
        return diagnostics_error(
            parser->diagnostics, parser->token.span, "`%.*s`: neither can be read; %s takes %s",
            SHOW(parser->token.text), phrase_form(spec, owner, form, sizeof(form)), wanted);
    return diagnostics_error(parser->diagnostics, parser->token.span, "`%.*s`: %s; %s takes %s",
                             SHOW(parser->token.text), problem,
                             phrase_form(spec, owner, form, sizeof(form)), wanted);
}

bool parse_phrase(struct parser *parser, const struct option_spec *spec, struct string owner,
                  struct option_value *value)
{
    struct pattern pattern = {.rest = spec->words};
    struct part part;
    bool any = false;
    for (unsigned i = 0; i < OPTION_NUMBERS; i++)
        value->numbers[i] = -1;
    while (pattern_next(&pattern, &part)) {
        if (part.opens && !at_part(parser, &part)) {
            pattern_skip(&pattern, part);
            continue;
        }
        if (!at_part(parser, &part))
            return report_part(parser, spec, owner, &part);
        any = true;
        if (part.count == 0)
            parser_advance(parser);
        else if (!parse_measure(parser, spec, owner, &part, value->numbers))
            return false;
    }
    if (any)
        return true;
    char form[200]; /* everything may be left out, but not all of it */
    return parser_expected(parser, phrase_form(spec, owner, form, sizeof(form)));
}

bool phrase_begins(const struct parser *parser, const struct option_spec *spec)
{
    struct pattern pattern = {.rest = spec->words};
    struct part part;
    while (pattern_next(&pattern, &part)) {
        if (at_part(parser, &part))
            return true;
        if (!part.opens)
            return false;
        pattern_skip(&pattern, part);
    }
    return false;
}

bool phrase_has_word(const struct option_spec *spec, size_t index, char *word, size_t size)
{
    struct pattern pattern = {.rest = spec->words};
    struct part part;
    while (pattern_next(&pattern, &part)) {
        if (part.count > 0 || index-- > 0)
            continue;
        snprintf(word, size, "%.*s", SHOW(part.text));
        return true;
    }
    return false;
}

/* ---- ranges ---- */

bool parse_range(struct parser *parser, struct string owner, struct option_value *value)
{
    char wanted[160];
    snprintf(wanted, sizeof(wanted), "%s for `%.*s`", option_kind_wanted(OPTION_RANGE),
             SHOW(owner));
    if (!at_quantity(parser))
        return parser_expected(parser, wanted);
    parser->token = lexer_quantity(&parser->lexer, &parser->token);
    struct string text = parser->token.text, parts[2] = {text, text};
    for (size_t i = 0; i + 1 < text.length; i++)
        if (text.data[i] == '.' && text.data[i + 1] == '.') {
            parts[0].length = i;
            parts[1] = (struct string){text.data + i + 2, text.length - i - 2};
            break;
        }
    for (unsigned i = 0; i < 2; i++) {
        const char *problem = quantity_number(QUANTITY_DURATION, parts[i], &value->numbers[i]);
        if (problem)
            return diagnostics_error(parser->diagnostics, parser->token.span,
                                     "`%.*s`: %s; `%.*s` takes %s", SHOW(text), problem,
                                     SHOW(owner), option_kind_wanted(OPTION_RANGE));
    }
    if (value->numbers[0] > value->numbers[1])
        return diagnostics_error(parser->diagnostics, parser->token.span,
                                 "`%.*s`: a range begins with its shorter end: %.*s..%.*s",
                                 SHOW(text), SHOW(parts[1]), SHOW(parts[0]));
    parser_advance(parser);
    return true;
}

/* ---- causes ---- */

/* 100 to 599, or 1xx to 5xx. */
static bool is_status(struct string text)
{
    if (text.length != 3 || text.data[0] < '1' || text.data[0] > '5')
        return false;
    if (text.data[1] == 'x' && text.data[2] == 'x')
        return true;
    return text.data[1] >= '0' && text.data[1] <= '9' && text.data[2] >= '0' && text.data[2] <= '9';
}

bool parse_cause(struct parser *parser, const struct option_spec *spec, struct string owner,
                 struct option_item *item)
{
    int64_t index;
    if (!at_quantity(parser))
        return parse_word(parser, spec->words, owner, &item->word, &index);
    parser->token = lexer_quantity(&parser->lexer, &parser->token);
    if (!is_status(parser->token.text))
        return diagnostics_error(parser->diagnostics, parser->token.span,
                                 "`%.*s` is no status of HTTP; write one like 429 or a class like "
                                 "5xx",
                                 SHOW(parser->token.text));
    item->word = parser->token.text;
    parser_advance(parser);
    return true;
}
