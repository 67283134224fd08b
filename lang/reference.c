/* Help and reference pages from the tables: see reference.h. Owns nothing. Main thread only. */
#include "lang/reference.h"

#include <string.h>

#define TEXT_WIDTH 80
#define FORM_WIDTH 24 /* a longer form pushes its sentence to the next line */
#define FORM_SIZE  200

static const char *role_prefix(const char *role)
{
    if (strcmp(role, "from") == 0)
        return "from ";
    if (strcmp(role, "into") == 0)
        return "into ";
    if (strcmp(role, "lookup") == 0)
        return "lookup ";
    return strcmp(role, "format") == 0 ? "format " : "";
}

/* How a part is written, as LANGUAGE writes it. */
static const char *kind_form(enum option_kind kind)
{
    switch (kind) {
    case OPTION_FLAG:
    case OPTION_KEYWORD:
    case OPTION_WORD:
        return "";
    case OPTION_NAME:
        return "NAME";
    case OPTION_STRING:
        return "\"STRING\"";
    case OPTION_STRINGS:
        return "\"STRING\", …";
    case OPTION_TEMPLATE:
        return "\"TEMPLATE\"";
    case OPTION_INTEGER:
        return "N";
    case OPTION_DURATION:
        return "DURATION";
    case OPTION_SIZE:
        return "SIZE";
    case OPTION_RATE:
        return "RATE";
    case OPTION_PERCENT:
        return "P%";
    case OPTION_AMOUNT:
        return "N or P%";
    case OPTION_EXPRESSION:
        return "EXPR";
    case OPTION_PATH:
        return "PATH";
    case OPTION_PATHS:
        return "PATH, …";
    case OPTION_NAMES:
        return "NAME, …";
    case OPTION_ASSIGNMENTS:
        return "PATH = EXPR, …";
    case OPTION_SELECTIONS:
        return "PATH or NAME = EXPR, …";
    case OPTION_RENAMES:
        return "NEW = OLD, …";
    case OPTION_TYPES:
        return "TYPE or { NAME TYPE … }";
    case OPTION_RANGE:
        return "DURATION..DURATION";
    case OPTION_PHRASE:
        return "";
    case OPTION_CAUSES:
        return "CAUSE, …";
    case OPTION_HEADERS:
        return "\"NAME\" = EXPR, …";
    case OPTION_TEMPLATES:
        return "\"TEMPLATE\", …";
    case OPTION_CHOICE:
        return "EXPR";
    }
    CHECK(!"unknown kind of option");
    return "";
}

/* As kind_form, with words spelled out: reject|keep. */
static void option_form(const struct option_spec *spec, char form[FORM_SIZE])
{
    if (spec->kind == OPTION_KEYWORD ||
        (spec->kind == OPTION_FLAG && spec->flags & OPTION_POSITIONAL))
        snprintf(form, FORM_SIZE, "%s", spec->name);
    else if (spec->kind == OPTION_WORD || spec->kind == OPTION_PHRASE)
        snprintf(form, FORM_SIZE, "%s", spec->words);
    else if (spec->kind == OPTION_CHOICE)
        snprintf(form, FORM_SIZE, "%s or EXPR", spec->words);
    else if (spec->flags & OPTION_OR_NONE)
        snprintf(form, FORM_SIZE, "%s or none", kind_form(spec->kind));
    else
        snprintf(form, FORM_SIZE, "%s", kind_form(spec->kind));
}

static bool is_listed(const struct option_spec *spec, bool positional)
{
    return spec->kind != OPTION_KEYWORD && !(spec->flags & OPTION_POSITIONAL) == !positional;
}

static size_t count_listed(const struct noun *noun, bool positional, unsigned flags)
{
    size_t count = 0;
    for (const struct option_spec *spec = noun->options; spec && spec->name; spec++)
        count += is_listed(spec, positional) && (spec->flags & flags) == flags;
    return count;
}

/* ---- the grammar ---- */

static void print_positionals(const struct noun *noun, FILE *out)
{
    bool open = false;
    for (const struct option_spec *spec = noun->options; spec && spec->name; spec++) {
        char form[FORM_SIZE];
        if (!(spec->flags & OPTION_POSITIONAL))
            continue;
        bool with_next = spec->flags & OPTION_WITH_NEXT;
        bool optional = !open && !(spec->flags & OPTION_REQUIRED) &&
                        (spec->kind != OPTION_KEYWORD || with_next);
        option_form(spec, form);
        fprintf(out, "%s%s", optional ? " [" : " ", form);
        if ((optional || open) && !with_next)
            fputc(']', out);
        open = (optional || open) && with_next;
    }
}

void reference_print_grammar(const struct noun *noun, const char *role, FILE *out)
{
    bool format = strcmp(role, "format") == 0;
    bool block = count_listed(noun, false, 0) > 0 || noun->takes_format;
    bool required = count_listed(noun, false, OPTION_REQUIRED) > 0;
    if (format) {
        fprintf(out, "{ format %s%s }", noun->name, block ? "  option …" : "");
        return;
    }
    fprintf(out, "%s%s", role_prefix(role), noun->name);
    if (strcmp(role, "pipeline") == 0)
        fputs(" NAME", out);
    print_positionals(noun, out);
    if (block)
        fputs(required ? " { option … }" : " [{ option … }]", out);
}

/* ---- text ---- */

static size_t count_points(const char *text, size_t length)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++)
        count += ((unsigned char)text[i] & 0xC0) != 0x80;
    return count;
}

/* Writes words from `column` on, on lines that begin at `indent`; gives the column reached. */
static size_t print_wrapped(const char *text, size_t column, size_t indent, FILE *out)
{
    bool first = column <= indent;
    while (*text) {
        size_t length = strcspn(text, " ");
        size_t width = count_points(text, length);
        if (!first && column + 1 + width > TEXT_WIDTH) {
            fprintf(out, "\n%*s", (int)indent, "");
            column = indent;
            first = true;
        }
        fprintf(out, "%s%.*s", first ? "" : " ", (int)length, text);
        column += width + !first;
        first = false;
        text += length;
        text += strspn(text, " ");
    }
    return column;
}

/* An option's sentence, its default, and that it is required. */
static void print_sentence(const struct option_spec *spec, size_t column, FILE *out)
{
    char note[FORM_SIZE] = "";
    size_t reached = print_wrapped(spec->doc ? spec->doc : "", column, column, out);
    if (spec->default_text)
        snprintf(note, sizeof(note), "(default %s)", spec->default_text);
    else if ((spec->flags & OPTION_REQUIRED) && !(spec->flags & OPTION_POSITIONAL))
        snprintf(note, sizeof(note), "(required)");
    reached = print_wrapped(note, reached, column, out);
    if (spec->kind == OPTION_TYPES) {
        snprintf(note, sizeof(note), "(types: %s)", spec->words);
        print_wrapped(note, reached, column, out);
    }
    fputc('\n', out);
}

struct columns {
    size_t name;
    size_t form;
};

static struct columns measure(const struct noun *noun)
{
    struct columns columns = {0, 0};
    for (const struct option_spec *spec = noun->options; spec && spec->name; spec++) {
        char form[FORM_SIZE];
        if (spec->kind == OPTION_KEYWORD)
            continue;
        option_form(spec, form);
        size_t width = count_points(form, strlen(form));
        columns.name = size_max(columns.name, strlen(spec->name));
        if (width <= FORM_WIDTH)
            columns.form = size_max(columns.form, width);
    }
    return columns;
}

static void print_options(const struct noun *noun, bool positional, struct columns columns,
                          FILE *out)
{
    size_t column = 2 + columns.name + 2 + columns.form + 2;
    for (const struct option_spec *spec = noun->options; spec && spec->name; spec++) {
        char form[FORM_SIZE];
        if (!is_listed(spec, positional))
            continue;
        option_form(spec, form);
        size_t width = count_points(form, strlen(form));
        fprintf(out, "  %-*s  %s", (int)columns.name, spec->name, form);
        if (width > columns.form)
            fprintf(out, "\n%*s", (int)column, "");
        else
            fprintf(out, "%*s", (int)(columns.form - width + 2), "");
        print_sentence(spec, column, out);
    }
}

void reference_print_text(const struct noun *noun, const char *role, FILE *out)
{
    struct columns columns = measure(noun);
    reference_print_grammar(noun, role, out);
    fputs("\n\n", out);
    print_wrapped(noun->doc, 0, 0, out);
    fputs(".\n", out);
    if (count_listed(noun, true, 0) > 0) {
        fputc('\n', out);
        print_options(noun, true, columns, out);
    }
    if (count_listed(noun, false, 0) > 0) {
        fputs("\nOptions, between { and }\n", out);
        print_options(noun, false, columns, out);
    }
    if (noun->takes_format)
        fputs(count_listed(noun, false, 0) > 0 ? "  and those of its format: leat help csv, …\n"
                                               : "\nOptions, between { and }\n"
                                                 "  those of its format: leat help csv, …\n",
              out);
    if (noun->example)
        fprintf(out, "\nExample\n  %s\n", noun->example);
}

/* ---- markdown ---- */

/* Text of a table's cell: a bar would end it. */
static void print_cell(const char *text, FILE *out)
{
    for (; *text; text++) {
        if (*text == '|')
            fputc('\\', out);
        fputc(*text, out);
    }
}

static void print_code(const char *text, FILE *out)
{
    if (!*text)
        return;
    fputc('`', out);
    print_cell(text, out);
    fputc('`', out);
}

static void print_table(const struct noun *noun, bool positional, FILE *out)
{
    fprintf(out, "| %s | takes | default | what it does |\n| --- | --- | --- | --- |\n",
            positional ? "part" : "option");
    for (const struct option_spec *spec = noun->options; spec && spec->name; spec++) {
        char form[FORM_SIZE];
        if (!is_listed(spec, positional))
            continue;
        bool required = (spec->flags & OPTION_REQUIRED) && !positional;
        option_form(spec, form);
        fprintf(out, "| `%s` | ", spec->name);
        print_code(form, out);
        fputs(" | ", out);
        print_code(spec->default_text ? spec->default_text : "", out);
        fputs(required ? "required | " : " | ", out);
        print_cell(spec->doc ? spec->doc : "", out);
        if (spec->kind == OPTION_TYPES) {
            fputs("; types: ", out);
            print_code(spec->words, out);
        }
        fputs(" |\n", out);
    }
}

void reference_print_markdown(const struct noun *noun, const char *role, FILE *out)
{
    fprintf(out, "# %s%s\n\n%s.\n\n```\n", role_prefix(role), noun->name, noun->doc);
    reference_print_grammar(noun, role, out);
    fputs("\n```\n", out);
    if (count_listed(noun, true, 0) > 0) {
        fputc('\n', out);
        print_table(noun, true, out);
    }
    if (count_listed(noun, false, 0) > 0) {
        fputs("\nOptions, between `{` and `}`:\n\n", out);
        print_table(noun, false, out);
    }
    if (noun->takes_format)
        fputs("\nThe block may also hold the options of its format.\n", out);
    if (noun->example)
        fprintf(out, "\nExample:\n\n```\n%s\n```\n", noun->example);
}
