/* Where JSON text may be cut: see json_cut.h. Owns nothing; any thread. */
#include "formats/json_cut.h"

#include "formats/json_scan.h"
#include "formats/lines.h"

#define SLICE 4096

/* cut_state.state: the mode in bits 0..1, a flag each for what the scan carries, open brackets
 * below the record in bits 32..63. */
#define STATE_STRING  4u
#define STATE_ESCAPED 8u
#define STATE_SCALAR  16u

struct cutter {
    enum json_mode mode;
    uint32_t depth;
    size_t boundary; /* the last one found, or 0 */
    enum json_mode boundary_mode;
};

static void boundary_found(struct cutter *cutter, size_t place)
{
    cutter->boundary = place;
    cutter->boundary_mode = cutter->mode;
}

/* A bracket closes, or something stands at top level that may not stand there. */
static void token_close(struct cutter *cutter, uint8_t class, size_t place)
{
    if (class != JSON_COLON && class != JSON_COMMA) {
        if (cutter->depth > 0)
            cutter->depth--;
        else
            cutter->mode = JSON_MODE_TOP;
    } else if (cutter->depth == 0 && cutter->mode != JSON_MODE_TOP) {
        cutter->mode = class == JSON_COMMA ? JSON_MODE_NEXT : JSON_MODE_AFTER;
        return;
    }
    if (cutter->depth == 0 && cutter->mode == JSON_MODE_TOP)
        boundary_found(cutter, place + 1);
}

static void token_cut(struct cutter *cutter, uint8_t class, size_t place)
{
    if (class > JSON_OPEN_LIST || class == JSON_CLOSE_MAP) {
        token_close(cutter, class, place);
        return;
    }
    if (cutter->depth == 0) {
        if (cutter->mode == JSON_MODE_TOP || cutter->mode == JSON_MODE_NEXT)
            boundary_found(cutter, place);
        if (cutter->mode == JSON_MODE_TOP && class == JSON_OPEN_LIST) {
            cutter->mode = JSON_MODE_FIRST;
            return;
        }
        if (cutter->mode != JSON_MODE_TOP)
            cutter->mode = JSON_MODE_AFTER;
    }
    cutter->depth += class >= JSON_OPERATOR;
}

/* Tokens of text[from..length): looks at them until the end, or until the first boundary. */
static void text_cut(struct cutter *cutter, struct json_scan *scan, bool first)
{
    json_scan_function *run = json_scan_choose(isa_get());
    while (!scan->ended) {
        scan->count = 0;
        run(scan, (uint32_t)size_min((size_t)scan->scanned + SLICE, scan->length));
        for (uint32_t i = 0; i < scan->count; i++) {
            uint8_t class = scan->classes[i];
            if (class >= JSON_LINE_END)
                return;
            if (LIKELY(cutter->depth > 0 && (class < JSON_OPERATOR || class >= JSON_COLON)))
                continue;
            token_cut(cutter, class, scan->positions[i]);
            if (first && cutter->boundary)
                return;
        }
    }
}

/* Whether the byte behind text[from..length) is escaped; `escaped`: the one at `from` is. */
static bool ends_escaping(const char *text, size_t from, size_t length, bool escaped)
{
    size_t run = 0;
    while (run < length - from && text[length - 1 - run] == '\\')
        run++;
    return (run - (run == length - from && escaped)) & 1;
}

static size_t text_scan(struct cut_state *state, const char *text, size_t from, size_t length,
                        bool first)
{
    if (from == length)
        return 0;
    CHECK(length <= UINT32_MAX);
    struct cutter cutter = {.mode = state->state & 3, .depth = (uint32_t)(state->state >> 32)};
    uint32_t positions[SLICE + 2 * JSON_SCAN_SLACK];
    uint8_t classes[SLICE + 2 * JSON_SCAN_SLACK];
    struct json_scan scan;
    json_scan_open(&scan, text, (uint32_t)from, (uint32_t)length, false);
    scan.pad = 0;
    scan.positions = positions;
    scan.classes = classes;
    scan.carry.in_string = state->state & STATE_STRING ? ~(uint64_t)0 : 0;
    scan.carry.pending = state->state & STATE_ESCAPED ? JSON_PENDING_ESCAPED : 0;
    scan.carry.in_scalar = (state->state & STATE_SCALAR) != 0;
    bool escaped = scan.carry.pending != 0;
    text_cut(&cutter, &scan, first);
    size_t boundary = cutter.boundary;
    if (boundary) {
        state->boundary_state = cutter.boundary_mode;
        state->lines = state->lines_scanned + lines_count(text + from, boundary - from);
    }
    if (first && boundary) {
        state->state = cutter.boundary_mode;
        state->lines_scanned = state->lines;
        return boundary;
    }
    state->lines_scanned += lines_count(text + from, length - from);
    /* an escaped quote outside of a string is just more of what should not be there */
    uint8_t last = json_classes[0][(unsigned char)text[length - 1]];
    bool scalar = !scan.carry.in_string &&
                  (last == JSON_SCALAR ||
                   (last == JSON_STRING && ends_escaping(text, from, length - 1, escaped)));
    state->state = cutter.mode | (scan.carry.in_string ? STATE_STRING : 0) |
                   (ends_escaping(text, from, length, escaped) ? STATE_ESCAPED : 0) |
                   (scalar ? STATE_SCALAR : 0) | (uint64_t)cutter.depth << 32;
    return boundary;
}

size_t json_cut(struct cut_state *state, const char *text, size_t from, size_t length)
{
    return text_scan(state, text, from, length, false);
}

size_t json_skip(struct cut_state *state, const char *text, size_t length)
{
    return text_scan(state, text, 0, length, true);
}
