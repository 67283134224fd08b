/* Rejected records as JSON lines: where they stood, why they were refused, their bytes as they
 * came. Called by the rejects' sink, one batch at a time. */
#include <stdio.h>
#include <string.h>

#include "core/calendar.h"
#include "core/clock.h"
#include "core/number.h"
#include "core/raw.h"
#include "core/utf8.h"
#include "pipeline/run_internal.h"

#define RECORD_SHOWN 4096 /* bytes of a record that is too long to be shown whole */

const char *reject_stage(const struct run *run, const struct reject *reject)
{
    if (reject->stage == STAGE_SOURCE)
        return "source";
    if (reject->stage == STAGE_SINK)
        return "sink";
    return run->plan->stages[reject->stage].label;
}

/* Line ends in text[from..to). */
static uint64_t lines_between(const char *text, size_t from, size_t to)
{
    uint64_t lines = 0;
    while (from < to) {
        const char *end = memchr(text + from, '\n', to - from);
        if (!end)
            break;
        lines++;
        from = (size_t)(end - text) + 1;
    }
    return lines;
}

void reject_place(const struct run *run, const struct batch *batch, const struct reject *reject,
                  char *text, size_t size)
{
    (void)run;
    if (batch->created || reject->record >= batch->record_count) {
        snprintf(text, size, "(a record made by a stage)");
        return;
    }
    struct batch_record record = batch->records[reject->record];
    size_t at = record.offset + (reject->column == UINT32_MAX ? 0 : reject->column);
    at = size_min(at, batch->progress->text_length);
    uint64_t line = batch->part_line + lines_between(batch->text, batch->part_start, at);
    size_t start = at;
    while (start > 0 && batch->text[start - 1] != '\n')
        start--;
    size_t column = at - start + 1;
    if (utf8_valid(batch->text + start, at - start))
        column = utf8_count(batch->text + start, at - start) + 1;
    if (reject->column == UINT32_MAX)
        snprintf(text, size, "%s:%llu", batch->input_name ? batch->input_name : "input",
                 (unsigned long long)line);
    else
        snprintf(text, size, "%s:%llu:%zu", batch->input_name ? batch->input_name : "input",
                 (unsigned long long)line, column);
}

static bool append_text(struct buffer *out, const char *text)
{
    return buffer_append(out, text, strlen(text));
}

static bool append_key(struct buffer *out, const char *key)
{
    return append_text(out, ",\"") && append_text(out, key) && append_text(out, "\":");
}

static bool append_number(struct buffer *out, const char *key, uint64_t number)
{
    char text[NUMBER_TEXT_SIZE];
    return append_key(out, key) && buffer_append(out, text, number_write_uint(text, number));
}

/* `prefix` bytes of the record; where they are not UTF-8 as base64. */
static bool append_record(struct buffer *out, struct string record)
{
    const char *reason;
    if (utf8_valid(record.data, record.length))
        return append_key(out, "record") && string_write_json(record, out);
    return append_key(out, "record_base64") &&
           value_write_json(value_bytes(record.data, record.length), out, &reason) == JSON_DONE;
}

static struct string shown(struct string record)
{
    size_t length = size_min(record.length, RECORD_SHOWN);
    /* not in the middle of a character, where it is UTF-8 */
    size_t cut = length;
    while (cut > 0 && length - cut < 4 && length < record.length &&
           (record.data[cut] & 0xC0) == 0x80)
        cut--;
    return (struct string){record.data, cut ? cut : length};
}

/* How often it was tried, and when that failed; of a peer: which, and what it said last. */
static bool append_try(struct buffer *out, const struct reject_call *call)
{
    char when[48];
    int64_t now = clock_wall();
    size_t length =
        calendar_write_timestamp(when, now / NANOSECONDS, (uint32_t)(now % NANOSECONDS));
    if (call && (!append_key(out, "url") || !string_write_json(call->url, out)))
        return false;
    if (call && call->status > 0 && !append_number(out, "status", (uint64_t)call->status))
        return false;
    return append_number(out, "attempts", call ? call->attempts : 1) && append_key(out, "time") &&
           string_write_json((struct string){when, length}, out);
}

static bool append_origin(struct buffer *out, const struct batch *batch,
                          const struct reject *reject, uint64_t line, bool whole)
{
    struct string record = batch_record_text(batch, reject->record);
    uint64_t offset = batch->origin.offset + batch->records[reject->record].offset;
    const char *name = batch->input_name ? batch->input_name : "input";
    if (!append_key(out, "source") ||
        !string_write_json((struct string){name, strlen(name)}, out) ||
        !append_number(out, "line", line) ||
        (!batch->recoded && !append_number(out, "offset", offset)) ||
        !append_try(out, reject->call))
        return false;
    uint64_t length = batch->overlong ? batch->overlong_length : record.length;
    if (batch->overlong || !whole || reject->code == ERROR_TOO_LONG) {
        if (!append_number(out, "length", length))
            return false;
        if (!batch->refusal || !whole)
            record = shown(record);
    }
    if (!append_record(out, record))
        return false;
    if (!batch->names || !batch->names->header.data)
        return true;
    return append_key(out, "header") && string_write_json(batch->names->header, out);
}

static bool append_line(const struct run *run, struct buffer *out, const struct batch *batch,
                        const struct reject *reject, uint64_t line, bool whole)
{
    char error[480];
    int length = snprintf(error, sizeof(error), "%s%s%.*s", error_slug(reject->code),
                          reject->text ? ": " : "", (int)reject->text_length,
                          reject->text ? reject->text : "");
    /* a line that could not be replayed is no record: it must be told from one */
    const char *stage = batch->refusal ? "replay" : reject_stage(run, reject);
    struct string error_text = {error, size_min((size_t)length, sizeof(error) - 1)};
    if (!utf8_valid(error_text.data, error_text.length)) {
        const char *slug = error_slug(reject->code);
        error_text = (struct string){slug, strlen(slug)};
    }
    if (!append_text(out, "{\"error\":") || !string_write_json(error_text, out) ||
        !append_key(out, "stage") || !string_write_json((struct string){stage, strlen(stage)}, out))
        return false;
    bool has_text = !batch->created && reject->record < batch->record_count;
    if (has_text ? !append_origin(out, batch, reject, line, whole)
                 : !append_text(out, ",\"source\":null") || !append_try(out, reject->call) ||
                       !append_text(out, ",\"record\":null"))
        return false;
    return append_text(out, "}\n");
}

bool rejects_encode(struct run *run, struct batch *batch, struct reject **next)
{
    struct buffer *out = &batch->outputs[0].buffer;
    size_t counted = batch->part_start;
    uint64_t line = batch->part_line;
    uint64_t written = 0;
    for (; *next; *next = (*next)->next) {
        const struct reject *reject = *next;
        size_t before = out->length;
        if (!batch->created && reject->record < batch->record_count) {
            size_t at = batch->records[reject->record].offset;
            line += at > counted ? lines_between(batch->text, counted, at) : 0;
            counted = size_max(counted, at);
        }
        if (append_line(run, out, batch, reject, line, true)) {
            written++;
            continue;
        }
        out->length = before;
        if (before > 0)
            break;
        /* not even alone: its first bytes have to do */
        CHECK(append_line(run, out, batch, reject, line, false));
        written++;
    }
    batch->outputs[0].records = written;
    run->rejects_written += written;
    return *next == NULL;
}
