/* Names of fields by header: see replay_names.h. */
#include "io/replay_names.h"

#include <stdlib.h>
#include <string.h>

#include "core/fault.h"

/* What the format reads from the start of an input that begins with `text`. `is_header`: it took
 * all of it for a header. */
static struct field_names *names_read(const struct format *format, const char *text, size_t length,
                                      bool *is_header, struct error *error)
{
    struct cut_state state = {0};
    struct field_names *names = NULL;
    size_t consumed = 0;
    enum head_result result =
        format->ops->head(format, text, length, true, &state, &consumed, &names, error);
    *is_header = consumed == length && length > 0;
    return result == HEAD_DONE ? names : NULL;
}

bool replay_names_open(struct replay_names *names, const struct format *format,
                       const struct reject_line *sample, struct error *error)
{
    bool is_header;
    struct error ignored;
    *names = (struct replay_names){.format = format};
    error->code = ERROR_NONE;
    names->plain = names_read(format, "", 0, &is_header, error);
    if (!names->plain)
        return error->code == ERROR_NONE;
    names->headers = memory_take_zeroed(REPLAY_HEADERS, sizeof(*names->headers));
    size_t length = sample ? sample->record.length : 0;
    char *text = memory_take(length + 2);
    if (!names->headers || !text) {
        free(text);
        return error_set(error, ERROR_MEMORY, "no memory for the names of fields");
    }
    if (sample) {
        length = reject_record_decode(sample, text);
        text[length++] = '\n';
        struct field_names *counted = names_read(format, text, length, &is_header, &ignored);
        struct field_names *other = counted;
        if (counted && !is_header) {
            other = names->plain;
            names->plain = counted;
        }
        free(other);
    }
    free(text);
    return true;
}

void replay_names_close(struct replay_names *names)
{
    for (uint32_t i = 0; i < names->count; i++) {
        free((char *)names->headers[i].raw.data);
        free(names->headers[i].names);
    }
    free(names->headers);
    free(names->plain);
}

/* NULL, or what is wrong with the header. */
static const char *header_add(struct replay_names *names, struct string raw)
{
    struct error error;
    bool is_header;
    size_t length;
    if (names->count == REPLAY_HEADERS)
        return "the file has more than 1,000 headers: replay it in pieces";
    char *copy = memory_copy_text(raw.data, raw.length);
    char *text = memory_take(raw.length + 1);
    const char *wrong = NULL;
    struct replay_header *entry = &names->headers[names->count];
    if (!copy || !text) {
        wrong = "there is no memory for its header";
    } else if (!reject_string_decode(raw, text, &length)) {
        wrong = "its header has a bad escape";
    } else {
        text[length++] = '\n';
        *entry = (struct replay_header){
            {copy, raw.length}, names_read(names->format, text, length, &is_header, &error)};
        if (!entry->names)
            wrong = "its header is none to the format that is read";
    }
    free(text);
    if (wrong)
        free(copy);
    else
        names->last = names->count++;
    return wrong;
}

const char *replay_names_find(struct replay_names *names, struct string raw,
                              const struct field_names **found)
{
    *found = names->plain;
    if (!names->plain || !raw.data)
        return NULL;
    for (uint32_t i = 0; i < names->count; i++) {
        uint32_t index = (names->last + i) % names->count;
        if (string_equal(names->headers[index].raw, raw)) {
            names->last = index;
            *found = names->headers[index].names;
            return NULL;
        }
    }
    const char *wrong = header_add(names, raw);
    if (!wrong)
        *found = names->headers[names->last].names;
    return wrong;
}
