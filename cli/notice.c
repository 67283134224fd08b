/* What leat says on stderr: see notice.h. A line is made whole in a buffer and written by one call,
 * so that lines of several threads and processes do not mix. */
#include "cli/notice.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/json_text.h"
#include "core/clock.h"
#include "core/utf8.h"

static const char *const level_names[] = {"error", "warning", "info"};

/* Set by notice_open before any thread is started. */
static bool json_lines;
static enum notice_level silence = NOTICE_LEVEL_COUNT;
/* Guards the terminal and `line_shown`. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool line_shown;

void notice_open(bool json, enum notice_level silent_from)
{
    json_lines = json;
    silence = silent_from;
}

bool notice_is_json(void)
{
    return json_lines;
}

/* stderr may be closed or full; there is nowhere left to say so. */
static void write_all(const char *text, size_t length)
{
    while (length) {
        ssize_t done = write(STDERR_FILENO, text, length);
        if (done <= 0)
            return;
        text += done;
        length -= (size_t)done;
    }
}

static void line_wipe(void)
{
    if (line_shown)
        write_all("\r\033[K", 4);
    line_shown = false;
}

/* Control bytes, and bytes that are no UTF-8, as \xNN. `out` holds 4 bytes for each of `text`. */
static size_t text_escape(const char *text, char *out)
{
    static const char digits[] = "0123456789abcdef";
    bool valid = utf8_valid(text, strlen(text));
    size_t length = 0;
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte >= ' ' && byte != 0x7f && (byte < 0x80 || valid)) {
            out[length++] = *text;
            continue;
        }
        memcpy(out + length, "\\x", 2);
        out[length + 2] = digits[byte >> 4];
        out[length + 3] = digits[byte & 15];
        length += 4;
    }
    return length;
}

static void text_print(enum notice_level level, const char *text)
{
    char line[4 * 1024 + 64];
    int start = snprintf(line, sizeof(line), "leat: %s: ", level_names[level]);
    size_t length = (size_t)start + text_escape(text, line + start);
    line[length++] = '\n';
    pthread_mutex_lock(&lock);
    line_wipe();
    write_all(line, length);
    pthread_mutex_unlock(&lock);
}

struct place {
    const char *file;
    uint32_t line;
    uint32_t column;
};

static void json_print(enum notice_level level, const char *code, const char *text,
                       const struct place *place)
{
    char memory[8 * 1024];
    FILE *out = fmemopen(memory, sizeof(memory), "w");
    if (!out)
        return;
    int64_t now = clock_wall();
    fprintf(out, "{\"time\":%lld.%03lld,\"level\":\"%s\",\"code\":", (long long)(now / NANOSECONDS),
            (long long)(now % NANOSECONDS / 1000000), level_names[level]);
    json_text_write(out, code);
    if (place) {
        fputs(",\"file\":", out);
        json_text_write(out, place->file);
        fprintf(out, ",\"line\":%u,\"column\":%u", place->line, place->column);
    }
    fputs(",\"text\":", out);
    json_text_write(out, text);
    fputs("}\n", out);
    long length = ftell(out);
    bool whole = fclose(out) == 0;
    pthread_mutex_lock(&lock);
    line_wipe();
    if (whole && length > 0)
        write_all(memory, (size_t)length);
    pthread_mutex_unlock(&lock);
}

static void notice_text(enum notice_level level, const char *code, const char *text)
{
    if (level >= silence)
        return;
    if (json_lines)
        json_print(level, code, text, NULL);
    else
        text_print(level, text);
}

void notice(enum notice_level level, const char *code, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    notice_text(level, code, text);
}

void notice_error(const struct error *error)
{
    notice_text(NOTICE_ERROR, error_slug(error->code), error->text);
}

void notice_line(const char *line)
{
    char code[24] = "run";
    char cut[1024]; /* text_print holds no more */
    size_t length = strspn(line, "abcdefghijklmnopqrstuvwxyz_");
    if (line[length] == ':' && length > 0 && length < sizeof(code))
        snprintf(code, sizeof(code), "%.*s", (int)length, line);
    snprintf(cut, sizeof(cut), "%s", line);
    notice_text(NOTICE_INFO, code, cut);
}

void notice_diagnostics(struct diagnostics *diagnostics)
{
    if (!json_lines) {
        if (diagnostics->errors || silence > NOTICE_WARNING)
            diagnostics_print(diagnostics, stderr);
        return;
    }
    for (size_t i = 0; i < diagnostics->count; i++) {
        const struct diagnostic *item = &diagnostics->items[i];
        enum notice_level level = item->severity == SEVERITY_ERROR ? NOTICE_ERROR : NOTICE_WARNING;
        struct place place = {.file = diagnostics->name};
        diagnostics_locate(diagnostics, item->span.start, &place.line, &place.column);
        if (level < silence)
            json_print(level, error_slug(ERROR_PROGRAM), item->text, &place);
    }
}

void notice_line_draw(const char *text)
{
    char line[1024];
    int length = snprintf(line, sizeof(line), "\r%s\033[K", text);
    pthread_mutex_lock(&lock);
    if (length > 0)
        write_all(line, size_min((size_t)length, sizeof(line) - 1));
    line_shown = true;
    pthread_mutex_unlock(&lock);
}

void notice_line_clear(void)
{
    pthread_mutex_lock(&lock);
    line_wipe();
    pthread_mutex_unlock(&lock);
}
