/* `leat graph`: the flow as a drawing in text, or in the language of Graphviz (--dot). A dashed box
 * is a segment: the stages that one worker runs over a batch in one go. Main thread only. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/session.h"
#include "core/utf8.h"

static bool role_is(const struct plan_node *node, const char *role)
{
    return strcmp(node->role, role) == 0;
}

static const char *node_text(const struct plan_node *node)
{
    return node->text && *node->text ? node->text : node->label;
}

static size_t text_width(const char *text)
{
    size_t length = strlen(text);
    return utf8_valid(text, length) ? utf8_count(text, length) : length;
}

static void print_repeated(const char *text, size_t count)
{
    for (size_t i = 0; i < count; i++)
        fputs(text, stdout);
}

static void draw_border(const char *left, const char *right, size_t width)
{
    fputs(left, stdout);
    print_repeated("─", width + 2);
    fputs(right, stdout);
}

static void draw_row(const struct plan_node *node, size_t width)
{
    const char *text = node_text(node);
    printf("│ %s", text);
    print_repeated(" ", width - text_width(text));
    const char *note = role_is(node, "reject") ? " (rejected records)" : "";
    if (role_is(node, "stage") && node->serial)
        note = " (in order, one thread)";
    printf(" │ %s%s\n", node->label, note);
}

/* Whether two neighbours are drawn in one box: stages of one fused chain. */
static bool is_fused(const struct plan_node *before, const struct plan_node *node)
{
    return role_is(before, "stage") && role_is(node, "stage") && before->segment == node->segment &&
           !before->serial && !node->serial;
}

/* Nothing flows from a source to the next, from a sink to the next, or into the rejects. */
static bool is_joined(const struct plan_node *before, const struct plan_node *node)
{
    return !(role_is(before, "source") && role_is(node, "source")) && !role_is(before, "sink") &&
           !role_is(before, "reject");
}

static void draw_text(const struct plan *plan)
{
    uint32_t count = plan_node_count(plan);
    size_t width = 0;
    for (uint32_t i = 0; i < count; i++)
        width = size_max(width, text_width(node_text(plan_node(plan, i))));
    for (uint32_t i = 0; i < count; i++) {
        const struct plan_node *node = plan_node(plan, i);
        bool fused = i > 0 && is_fused(plan_node(plan, i - 1), node);
        if (!fused) {
            if (i > 0 && is_joined(plan_node(plan, i - 1), node))
                printf("  ↓\n");
            draw_border("┌", "┐\n", width);
        }
        draw_row(node, width);
        if (i + 1 == count || !is_fused(node, plan_node(plan, i + 1)))
            draw_border("└", "┘\n", width);
    }
}

/* A quoted string of DOT: only the quote and the backslash are special. */
static void print_dot_string(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            putchar('\\');
        putchar((unsigned char)*text < ' ' ? ' ' : *text);
    }
    putchar('"');
}

static void print_dot_nodes(const struct plan *plan)
{
    bool open = false;
    for (uint32_t i = 0; i < plan_node_count(plan); i++) {
        const struct plan_node *node = plan_node(plan, i);
        if (open && !is_fused(plan_node(plan, i - 1), node)) {
            puts("  }");
            open = false;
        }
        bool next_fused = i + 1 < plan_node_count(plan) && is_fused(node, plan_node(plan, i + 1));
        if (!open && next_fused) {
            printf("  subgraph cluster_%u {\n    style=dashed;\n", node->segment);
            open = true;
        }
        printf("  %sn%u [label=", open ? "  " : "", i);
        print_dot_string(node_text(node));
        printf(", tooltip=");
        print_dot_string(node->label);
        printf(", shape=%s];\n", role_is(node, "stage") ? "box" : "cylinder");
    }
    if (open)
        puts("  }");
}

/* Sources lead to the first node behind them, the last stage to every sink, and every stage's
 * rejects to the sink of rejects. */
static void print_dot_edges(const struct plan *plan)
{
    uint32_t count = plan_node_count(plan);
    uint32_t last = UINT32_MAX;
    for (uint32_t i = 0; i < count; i++) {
        const struct plan_node *node = plan_node(plan, i);
        if (role_is(node, "reject"))
            printf("  n0 -> n%u [style=dotted, label=\"rejected\"];\n", i);
        if (role_is(node, "source") || role_is(node, "reject"))
            continue;
        for (uint32_t j = 0; last == UINT32_MAX && j < i; j++)
            if (role_is(plan_node(plan, j), "source"))
                printf("  n%u -> n%u;\n", j, i);
        if (last != UINT32_MAX)
            printf("  n%u -> n%u;\n", last, i);
        if (role_is(node, "stage"))
            last = i;
    }
}

static void draw_dot(const struct session *session)
{
    printf("digraph ");
    print_dot_string(session->name);
    puts(" {\n  rankdir=TB;\n  node [fontname=\"monospace\"];");
    print_dot_nodes(session->plan);
    print_dot_edges(session->plan);
    puts("}");
}

int command_graph(const struct arguments *arguments)
{
    struct session session;
    int status;
    if (session_open(&session, arguments, &status)) {
        if (arguments->dot)
            draw_dot(&session);
        else
            draw_text(session.plan);
    }
    session_close(&session);
    return status;
}
