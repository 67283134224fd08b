/* A small registry and dumps of trees: see fixture.h. */
#include "tests/lang/fixture.h"

#include <stdlib.h>
#include <string.h>

static const struct option_spec where_options[] = {
    {"strict", OPTION_WORD, OPTION_POSITIONAL, "strict", NULL, "reject where it is no bool"},
    {"condition", OPTION_EXPRESSION, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL,
     "what to keep"},
    {0},
};
static const struct option_spec put_options[] = {
    {"fields", OPTION_ASSIGNMENTS, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL, "what to set"},
    {0},
};
static const struct option_spec select_options[] = {
    {"fields", OPTION_SELECTIONS, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL, "what to keep"},
    {0},
};
static const struct option_spec drop_options[] = {
    {"fields", OPTION_PATHS, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL, "what to remove"},
    {0},
};
static const struct option_spec rename_options[] = {
    {"fields", OPTION_RENAMES, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL, "new = old"},
    {0},
};
static const struct option_spec head_options[] = {
    {"count", OPTION_INTEGER, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL, "how many"},
    {0},
};
static const struct option_spec sample_options[] = {
    {"share", OPTION_PERCENT, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL, "what part"},
    {"seed", OPTION_INTEGER, 0, NULL, "0", "another seed gives another sample"},
    {0},
};
static const struct option_spec parse_options[] = {
    {"field", OPTION_PATH, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL, "the text"},
    {"with", OPTION_KEYWORD, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL, ""},
    {"pattern", OPTION_STRING, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL, "the pattern"},
    {"otherwise", OPTION_WORD, 0, "reject|keep", "reject", "what to do without a match"},
    {0},
};
static const struct option_spec count_options[] = {
    {"by", OPTION_KEYWORD, OPTION_POSITIONAL | OPTION_WITH_NEXT, NULL, NULL, ""},
    {"keys", OPTION_SELECTIONS, OPTION_POSITIONAL, NULL, NULL, "for each of these"},
    {0},
};
static const struct option_spec limit_options[] = {
    {"amount", OPTION_RATE, OPTION_POSITIONAL, NULL, NULL, "how many"},
    {"name", OPTION_NAME, OPTION_POSITIONAL, NULL, NULL, "shared under this name"},
    {"burst", OPTION_INTEGER, OPTION_TUNING, NULL, "1", "at once"},
    {"wait", OPTION_DURATION, OPTION_TUNING, NULL, NULL, "no longer than this"},
    {0},
};
static const struct option_spec lookup_http_options[] = {
    {"url", OPTION_TEMPLATE, OPTION_POSITIONAL, NULL, NULL, "what to ask"},
    {"as", OPTION_KEYWORD, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL, ""},
    {"name", OPTION_NAME, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL, "the field"},
    {"race", OPTION_TEMPLATES, 0, NULL, NULL, "the first good answer wins"},
    {"header", OPTION_HEADERS, OPTION_REPEATED, NULL, NULL, "headers of the request"},
    {"connections", OPTION_PHRASE, OPTION_TUNING, "N [per host]", NULL, "connections kept"},
    {"backoff", OPTION_RANGE, OPTION_TUNING, NULL, "200ms..10s", "between tries"},
    {"on", OPTION_CAUSES, OPTION_TUNING, "timeout|connect", "timeout, 5xx", "what to try again"},
    {"breaker", OPTION_PHRASE, OPTION_TUNING, "open after N failures for DURATION", NULL,
     "asks no more"},
    {"hedge", OPTION_PHRASE, OPTION_TUNING, "after DURATION|PERCENTILE", "after p95",
     "asks a second time"},
    {"cache", OPTION_PHRASE, 0, "N [for DURATION] [negative DURATION]", NULL, "keeps answers"},
    {"batch", OPTION_PHRASE, 0, "N [or DURATION]", NULL, "several in one"},
    {"flow", OPTION_PHRASE, 0, "[RATE] [in SIZE]", NULL, "how fast, how much"},
    {"pool", OPTION_PHRASE, OPTION_TUNING, "[min N] [max N]", NULL, "connections"},
    {"transaction", OPTION_PHRASE, 0, "rows N [or DURATION]", NULL, "rows in one"},
    {"otherwise", OPTION_CHOICE, 0, "reject|stop", "reject", "where it fails"},
    {0},
};
static const struct option_spec lookup_sql_options[] = {
    {"query", OPTION_STRING, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL, "the query"},
    {"with", OPTION_KEYWORD, OPTION_POSITIONAL | OPTION_WITH_NEXT, NULL, NULL, ""},
    {"parameters", OPTION_PATHS, OPTION_POSITIONAL, NULL, NULL, "its parameters"},
    {"as", OPTION_KEYWORD, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL, ""},
    {"name", OPTION_NAME, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL, "the field"},
    {0},
};
static const struct option_spec no_options[] = {{0}};
static const struct option_spec file_source_options[] = {
    {"paths", OPTION_STRINGS, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL, "the files"},
    {"missing", OPTION_WORD, 0, "fail|ok", "fail", "where nothing matches"},
    {"format", OPTION_WORD, 0, "csv|ndjson", NULL, "by name otherwise"},
    {"timeout", OPTION_DURATION, OPTION_TUNING, NULL, NULL, "without data"},
    {0},
};
static const struct option_spec file_sink_options[] = {
    {"path", OPTION_TEMPLATE, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL, "the file"},
    {"format", OPTION_WORD, 0, "csv|ndjson", NULL, "by name otherwise"},
    {0},
};
static const struct option_spec sqlite_options[] = {
    {"path", OPTION_STRING, OPTION_REQUIRED | OPTION_POSITIONAL, NULL, NULL, "the database"},
    {"table", OPTION_NAME, OPTION_REQUIRED, NULL, NULL, "the table to write"},
    {"mode", OPTION_WORD, 0, "append|replace|upsert", "append", "what to do with old rows"},
    {"key", OPTION_NAMES, 0, NULL, NULL, "the columns of the key"},
    {"quiet", OPTION_FLAG, 0, NULL, NULL, "says nothing"},
    {0},
};
static const struct option_spec csv_options[] = {
    {"header", OPTION_WORD, 0, "yes|no", "yes", "the first record names the columns"},
    {"null", OPTION_STRING, OPTION_OR_NONE, NULL, NULL, "what null is written as"},
    {"types", OPTION_TYPES, 0, "auto|string|int", NULL, "the types of columns"},
    {0},
};
static const struct option_spec ndjson_options[] = {
    {"ascii", OPTION_FLAG, 0, NULL, NULL, "escapes everything else"},
    {0},
};
static const struct option_spec pipeline_options[] = {
    {"workers", OPTION_INTEGER, OPTION_TUNING, NULL, NULL, "threads"},
    {"memory", OPTION_SIZE, OPTION_TUNING, NULL, "256MiB", "memory"},
    {0},
};

#define NOUN(variable, word, table, ...)                                                           \
    static const struct noun variable = {.name = word, .doc = word, .options = table, __VA_ARGS__}
NOUN(where_noun, "where", where_options);
NOUN(put_noun, "put", put_options);
NOUN(select_noun, "select", select_options);
NOUN(drop_noun, "drop", drop_options);
NOUN(rename_noun, "rename", rename_options);
NOUN(head_noun, "head", head_options);
NOUN(sample_noun, "sample", sample_options);
NOUN(parse_noun, "parse", parse_options);
NOUN(count_noun, "count", count_options);
NOUN(limit_noun, "limit", limit_options);
NOUN(pass_noun, "pass", no_options);
NOUN(lookup_http_noun, "http", lookup_http_options);
NOUN(lookup_sql_noun, "sql", lookup_sql_options);
NOUN(file_source_noun, "file", file_source_options, .takes_format = true);
NOUN(stdin_noun, "stdin", no_options, .takes_format = true);
NOUN(file_sink_noun, "file", file_sink_options, .takes_format = true);
NOUN(stdout_noun, "stdout", no_options, .takes_format = true);
NOUN(sqlite_noun, "sqlite", sqlite_options);
NOUN(csv_noun, "csv", csv_options);
NOUN(ndjson_noun, "ndjson", ndjson_options);
NOUN(pipeline_noun, "pipeline", pipeline_options);

static const struct noun *const verbs[] = {
    &where_noun,  &put_noun,   &select_noun, &drop_noun,  &rename_noun, &head_noun,
    &sample_noun, &parse_noun, &count_noun,  &limit_noun, &pass_noun,
};
static const struct noun *const lookups[] = {&lookup_http_noun, &lookup_sql_noun};
static const struct noun *const sources[] = {&file_source_noun, &stdin_noun};
static const struct noun *const sinks[] = {&file_sink_noun, &stdout_noun, &sqlite_noun};
static const struct noun *const formats[] = {&csv_noun, &ndjson_noun};

const struct registry fixture_registry = {
    .verbs = verbs,
    .verb_count = ARRAY_SIZE(verbs),
    .lookups = lookups,
    .lookup_count = ARRAY_SIZE(lookups),
    .sources = sources,
    .source_count = ARRAY_SIZE(sources),
    .sinks = sinks,
    .sink_count = ARRAY_SIZE(sinks),
    .formats = formats,
    .format_count = ARRAY_SIZE(formats),
    .pipeline = &pipeline_noun,
};

/* ---- dumps ---- */

static void dump_bytes(const char *text, size_t length, FILE *out)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte < 0x20 || byte == '"' || byte == '\\')
            fprintf(out, "\\x%02x", byte);
        else
            fputc(byte, out);
    }
}

static void dump_name(struct string name, bool quoted, FILE *out)
{
    fputs(quoted ? "`" : "", out);
    dump_bytes(name.data, name.length, out);
    fputs(quoted ? "`" : "", out);
}

static void dump_literal(const struct value *value, FILE *out)
{
    switch (value->kind) {
    case VALUE_NULL:
        fputs("null", out);
        break;
    case VALUE_BOOL:
        fputs(value->boolean ? "true" : "false", out);
        break;
    case VALUE_INT:
        fprintf(out, "%lld", (long long)value->integer);
        break;
    case VALUE_UINT:
        fprintf(out, "%lluu", (unsigned long long)value->natural);
        break;
    case VALUE_DOUBLE:
        fprintf(out, "%.17gd", value->real);
        break;
    default:
        fputs(value->kind == VALUE_BYTES ? "b\"" : "\"", out);
        dump_bytes(value->text, value->length, out);
        fputc('"', out);
    }
}

static void dump_part(const char *label, const struct node *node, FILE *out)
{
    if (!node)
        return;
    fputs(label, out);
    dump_node(node, out);
}

static const char *node_head(const struct node *node)
{
    static const char *const operators[] = {
        "+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "in"};
    static const char *const macros[] = {"all",    "exists",        "exists_one",  "map",
                                         "filter", "transformList", "transformMap"};
    static const char *const kinds[] = {
        [NODE_INDEX] = "index", [NODE_LIST] = "list",      [NODE_MAP] = "map-literal",
        [NODE_NOT] = "!",       [NODE_NEGATE] = "neg",     [NODE_AND] = "&&",
        [NODE_OR] = "||",       [NODE_CONDITIONAL] = "?:", [NODE_HAS] = "has",
        [NODE_BIND] = "bind",   [NODE_CALL] = "call",
    };
    if (node->kind == NODE_BINARY)
        return operators[node->operator];
    return node->kind == NODE_MACRO ? macros[node->macro] : kinds[node->kind];
}

void dump_node(const struct node *node, FILE *out)
{
    if (node->kind == NODE_LITERAL) {
        dump_literal(&node->value, out);
        return;
    }
    if (node->kind == NODE_NAME) {
        fputs(node->rooted ? "." : "", out);
        dump_name(node->name, node->quoted, out);
        return;
    }
    if (node->kind == NODE_SELECT) {
        dump_node(node->left, out);
        fputs(node->optional ? ".?" : ".", out);
        dump_name(node->name, node->quoted, out);
        return;
    }
    fprintf(out, "(%s%s", node_head(node), node->optional ? "?" : "");
    if (node->kind == NODE_CALL || node->kind == NODE_MACRO || node->kind == NODE_BIND) {
        fputs(node->rooted ? " ." : " ", out);
        dump_name(node->name, false, out);
    }
    if (node->name2.length > 0) {
        fputc(',', out);
        dump_name(node->name2, false, out);
    }
    dump_part(node->kind == NODE_CALL ? " on " : " ", node->left, out);
    dump_part(node->kind == NODE_MACRO ? " if " : " ", node->right, out);
    dump_part(node->kind == NODE_MACRO ? " to " : " ", node->third, out);
    for (uint32_t i = 0; i < node->item_count; i++)
        dump_part(node->item_optional && node->item_optional[i] ? " ?" : " ", node->items[i], out);
    fputc(')', out);
}

static void dump_path(const struct path *path, FILE *out)
{
    for (uint32_t i = 0; i < path->count; i++) {
        fputs(i ? "." : "", out);
        dump_name(path->names[i], false, out);
    }
}

static void dump_option(const struct option_value *value, FILE *out)
{
    fprintf(out, " %s", value->spec->name);
    if (value->text.data) {
        fputs(value->is_secret ? "=secret \"" : "=\"", out);
        dump_bytes(value->text.data, value->text.length, out);
        fputc('"', out);
    }
    if (value->integer)
        fprintf(out, "=%lld", (long long)value->integer);
    if (value->real != 0)
        fprintf(out, "=%g%s", value->real, value->is_percent ? "%" : "");
    dump_part("=", value->node, out);
    unsigned numbers = value->spec->kind == OPTION_RANGE    ? 2
                       : value->spec->kind == OPTION_PHRASE ? OPTION_NUMBERS
                                                            : 0;
    for (unsigned i = 0; i < numbers; i++)
        fprintf(out, "%s%lld", i ? " " : "=", (long long)value->numbers[i]);
    if (value->path.count)
        fputc('=', out);
    dump_path(&value->path, out);
    for (uint32_t i = 0; i < value->item_count; i++) {
        const struct option_item *item = &value->items[i];
        fputs(i ? ", " : "[", out);
        dump_path(&item->path, out);
        dump_bytes(item->word.data, item->word.length, out);
        dump_part(" = ", item->node, out);
        if (item->from.count)
            fputs(" = ", out);
        dump_path(&item->from, out);
    }
    fputs(value->item_count ? "]" : "", out);
}

static void dump_options(const struct options *options, FILE *out)
{
    for (uint32_t i = 0; i < options->count; i++)
        if (!options->values[i].is_default)
            dump_option(&options->values[i], out);
    fputc('\n', out);
}

void dump_program(const struct program *program, FILE *out)
{
    static const char *const kinds[] = {"from ", "", "into ", "reject into ", ""};
    if (program->pipeline.length > 0) {
        fputs("pipeline ", out);
        dump_name(program->pipeline, false, out);
        dump_options(&program->settings, out);
    }
    for (uint32_t i = 0; i < program->statement_count; i++) {
        const struct statement *statement = &program->statements[i];
        fprintf(out, "%s%s", kinds[statement->kind], statement->noun->name);
        dump_options(&statement->options, out);
    }
}

char *dump_program_text(const struct program *program)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    dump_program(program, out);
    fclose(out);
    return text;
}

char *parse_and_dump(const char *source)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    struct diagnostics diagnostics;
    diagnostics_open(&diagnostics, "p", (struct string){source, strlen(source)});
    struct program *program = program_parse(&fixture_registry, &diagnostics);
    if (diagnostics.count > 0)
        diagnostics_print(&diagnostics, out);
    else if (program)
        dump_program(program, out);
    program_free(program);
    diagnostics_close(&diagnostics);
    fclose(out);
    return text;
}

char *parse_expression_and_dump(const char *source, bool cel_strict)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    struct diagnostics diagnostics;
    struct program_memory *memory;
    diagnostics_open(&diagnostics, "p", (struct string){source, strlen(source)});
    const struct node *node = expression_parse(&diagnostics, cel_strict, &memory);
    if (node)
        dump_node(node, out);
    else
        diagnostics_print(&diagnostics, out);
    program_memory_free(memory);
    diagnostics_close(&diagnostics);
    fclose(out);
    return text;
}
