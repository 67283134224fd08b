/* Completion scripts for bash, zsh and fish, from the tables of commands, options and nouns.
 * `make install` calls `leat help --completion SHELL`. Main thread only. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"

/* The words of a WORD option, "a|b", with blanks between. */
static void print_words(FILE *out, const char *words)
{
    for (; *words; words++)
        fputc(*words == '|' ? ' ' : *words, out);
}

static void print_commands(FILE *out)
{
    for (size_t i = COMMAND_RUN; i < COMMAND_COUNT; i++)
        fprintf(out, "%s%s", i == COMMAND_RUN ? "" : " ", command_specs[i].name);
}

static void print_nouns(FILE *out, const struct noun *const *nouns, size_t count)
{
    for (size_t i = 0; i < count; i++)
        fprintf(out, "%s%s", i ? " " : "", nouns[i]->name);
}

static void print_formats(FILE *out)
{
    print_nouns(out, registry_get()->formats, registry_get()->format_count);
}

static void print_verbs(FILE *out)
{
    print_nouns(out, registry_get()->verbs, registry_get()->verb_count);
    if (registry_get()->lookup_count)
        fputs(" lookup", out);
}

/* What `leat help` explains. */
static void print_topics(FILE *out)
{
    const struct registry *registry = registry_get();
    print_verbs(out);
    fputc(' ', out);
    print_nouns(out, registry->lookups, registry->lookup_count);
    fputc(' ', out);
    print_nouns(out, registry->sources, registry->source_count);
    fputc(' ', out);
    print_nouns(out, registry->sinks, registry->sink_count);
    fputc(' ', out);
    print_formats(out);
    fputs(" pipeline", out);
}

static void print_options(FILE *out, unsigned commands)
{
    bool first = true;
    for (size_t i = 0; i < ARGUMENT_COUNT; i++) {
        if (!(argument_specs[i].commands & commands))
            continue;
        fprintf(out, "%s--%s", first ? "" : " ", argument_specs[i].name);
        if (argument_specs[i].letter)
            fprintf(out, " -%c", argument_specs[i].letter);
        first = false;
    }
}

static bool is_path(const struct argument_spec *spec)
{
    return spec->kind == ARGUMENT_TEXT && strcmp(spec->argument, "FILE") == 0;
}

/* The values of options, as cases over the word before the cursor. */
static void print_bash_values(FILE *out)
{
    for (size_t i = 0; i < ARGUMENT_COUNT; i++) {
        const struct argument_spec *spec = &argument_specs[i];
        if (spec->kind == ARGUMENT_FLAG)
            continue;
        fprintf(out, "    --%s", spec->name);
        if (spec->letter)
            fprintf(out, "|-%c", spec->letter);
        fputs(")\n        ", out);
        if (is_path(spec)) {
            fputs("compopt -o default; COMPREPLY=()", out);
        } else {
            fputs("COMPREPLY=($(compgen -W \"", out);
            if (spec->kind == ARGUMENT_WORD)
                print_words(out, spec->argument);
            else if (spec->kind == ARGUMENT_FORMAT)
                print_formats(out);
            fputs("\" -- \"$word\"))", out);
        }
        fputs("; return ;;\n", out);
    }
}

static void print_bash(FILE *out)
{
    fputs("# bash completion for leat; printed by leat help --completion bash\n"
          "_leat() {\n"
          "    local word=\"${COMP_WORDS[COMP_CWORD]}\" before=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
          "    local command=\"\" i\n"
          "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
          "        [[ ${COMP_WORDS[i]} == -* ]] || { command=\"${COMP_WORDS[i]}\"; break; }\n"
          "    done\n"
          "    case \"$before\" in\n",
          out);
    print_bash_values(out);
    fputs("    esac\n    if [[ $word == -* ]]; then\n        local options\n"
          "        case \"$command\" in\n",
          out);
    for (size_t i = COMMAND_RUN; i < COMMAND_COUNT; i++) {
        fprintf(out, "        %s) options=\"", command_specs[i].name);
        print_options(out, 1u << i);
        fputs("\" ;;\n", out);
    }
    fputs("        *) options=\"", out);
    print_options(out, 1u << COMMAND_PROGRAM);
    fputs("\" ;;\n        esac\n        COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n"
          "    elif [[ -z $command ]]; then\n        COMPREPLY=($(compgen -W \"",
          out);
    print_commands(out);
    fputc(' ', out);
    print_verbs(out);
    fputs("\" -- \"$word\"))\n    elif [[ $command == help ]]; then\n"
          "        COMPREPLY=($(compgen -W \"",
          out);
    print_topics(out);
    fputs("\" -- \"$word\"))\n    else\n        compopt -o default; COMPREPLY=()\n    fi\n}\n"
          "complete -F _leat leat\n",
          out);
}

/* Text inside '…[…]' of zsh's _arguments, and inside '…' of fish. */
static void print_quoted(FILE *out, const char *text, const char *escaped)
{
    for (; *text; text++) {
        if (*text == '\'') {
            fputs("'\\''", out);
            continue;
        }
        if (strchr(escaped, *text))
            fputc('\\', out);
        fputc(*text, out);
    }
}

static void print_zsh_option(FILE *out, const struct argument_spec *spec, const char *name)
{
    fprintf(out, "        '%s[", name);
    print_quoted(out, spec->doc, "[]:\\");
    fputc(']', out);
    if (spec->kind != ARGUMENT_FLAG) {
        fputc(':', out);
        print_quoted(out, spec->kind == ARGUMENT_WORD ? "word" : spec->argument, "[]:\\");
        if (is_path(spec))
            fputs(":_files", out);
        else if (spec->kind == ARGUMENT_WORD || spec->kind == ARGUMENT_FORMAT) {
            fputs(":(", out);
            if (spec->kind == ARGUMENT_WORD)
                print_words(out, spec->argument);
            else
                print_formats(out);
            fputc(')', out);
        } else {
            fputs(": ", out);
        }
    }
    fputs("'\n", out);
}

static void print_zsh(FILE *out)
{
    fputs("#compdef leat\n# zsh completion for leat; printed by leat help --completion zsh\n"
          "_leat() {\n    local -a options\n    options=(\n",
          out);
    for (size_t i = 0; i < ARGUMENT_COUNT; i++) {
        char name[64];
        snprintf(name, sizeof(name), "--%s", argument_specs[i].name);
        print_zsh_option(out, &argument_specs[i], name);
        snprintf(name, sizeof(name), "-%c", argument_specs[i].letter);
        if (argument_specs[i].letter)
            print_zsh_option(out, &argument_specs[i], name);
    }
    fputs("    )\n    local -a commands\n    commands=(\n", out);
    for (size_t i = COMMAND_RUN; i < COMMAND_COUNT; i++) {
        fprintf(out, "        '%s:", command_specs[i].name);
        print_quoted(out, command_specs[i].doc, ":\\");
        fputs("'\n", out);
    }
    fputs("    )\n    _arguments -S $options '1: :->first' '*: :->rest'\n    case $state in\n"
          "    first) _describe command commands; compadd ",
          out);
    print_verbs(out);
    fputs(" ;;\n    rest) if [[ $line[1] == help ]]; then compadd ", out);
    print_topics(out);
    fputs("; else _files; fi ;;\n    esac\n}\n_leat \"$@\"\n", out);
}

static void print_fish(FILE *out)
{
    fputs("# fish completion for leat; printed by leat help --completion fish\n", out);
    for (size_t i = COMMAND_RUN; i < COMMAND_COUNT; i++) {
        fprintf(out, "complete -c leat -n __fish_use_subcommand -a %s -d '", command_specs[i].name);
        print_quoted(out, command_specs[i].doc, "\\");
        fputs("'\n", out);
    }
    fputs("complete -c leat -n __fish_use_subcommand -a '", out);
    print_verbs(out);
    fputs("'\ncomplete -c leat -n '__fish_seen_subcommand_from help' -f -a '", out);
    print_topics(out);
    fputs("'\n", out);
    for (size_t i = 0; i < ARGUMENT_COUNT; i++) {
        const struct argument_spec *spec = &argument_specs[i];
        fprintf(out, "complete -c leat -l %s", spec->name);
        if (spec->letter)
            fprintf(out, " -s %c", spec->letter);
        if (spec->kind != ARGUMENT_FLAG)
            fputs(is_path(spec) ? " -r -F" : " -x", out);
        if (spec->kind == ARGUMENT_WORD || spec->kind == ARGUMENT_FORMAT) {
            fputs(" -a '", out);
            if (spec->kind == ARGUMENT_WORD)
                print_words(out, spec->argument);
            else
                print_formats(out);
            fputc('\'', out);
        }
        fputs(" -d '", out);
        print_quoted(out, spec->doc, "\\");
        fputs("'\n", out);
    }
}

void help_completion(FILE *out, const char *shell)
{
    if (strcmp(shell, "bash") == 0)
        print_bash(out);
    else if (strcmp(shell, "zsh") == 0)
        print_zsh(out);
    else
        print_fish(out);
}
