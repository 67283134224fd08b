/* Templates of URLs: which part of a URL (RFC 3986, section 3) each expression stands in, and what
 * may stand there. Owns what the pieces own. Opened by the main thread. */
#include <string.h>

#include "core/fault.h"
#include "lang/template_internal.h"

/* How far the literals and places before have led. */
struct walk {
    struct diagnostics *diagnostics;
    struct span span;
    enum { WALK_BEGIN, WALK_AUTHORITY, WALK_PATH, WALK_QUERY } state;
    bool bracket;  /* in an IPv6 address */
    bool colon;    /* behind the host's */
    bool has_host; /* something of it was there */
    char last;     /* byte of a literal, or 0 behind an expression */
};

static bool is_digit(int byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_letter(int byte)
{
    return (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z';
}

static bool is_hex(int byte)
{
    return is_digit(byte) || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f');
}

/* Bytes of https:// or http://; 0: neither begins the text. */
static size_t scheme_length(struct string text)
{
    if (text.length >= 8 && strncasecmp(text.data, "https://", 8) == 0)
        return 8;
    return text.length >= 7 && strncasecmp(text.data, "http://", 7) == 0 ? 7 : 0;
}

static bool refuse(const struct walk *walk, const char *why)
{
    return diagnostics_error(walk->diagnostics, walk->span, "%s", why);
}

/* ---- literals ---- */

static bool walk_authority(struct walk *walk, unsigned char byte)
{
    if (byte == '/' || byte == '?') {
        walk->state = byte == '/' ? WALK_PATH : WALK_QUERY;
        return walk->has_host || refuse(walk, "this URL has no host");
    }
    bool mark = byte != 0 && strchr("-._~!$&'()*+,;=:@%[]", byte) != NULL;
    if (!mark && !is_digit(byte) && !is_letter(byte))
        return refuse(walk, byte == '#' ? "`#` begins a fragment, which is never sent"
                            : byte >= 0x80
                                ? "the host of a URL is ASCII; write it as xn--…"
                                : "a character in the host of this URL cannot stand there");
    walk->bracket = byte == '[' || (walk->bracket && byte != ']');
    if (byte == '@') {
        walk->colon = false;
        walk->has_host = false;
    } else if (byte == ':' && !walk->bracket) {
        walk->colon = true;
    } else {
        walk->has_host |= !walk->colon;
    }
    return true;
}

/* One byte of path or query: *encode tells whether it has to be percent-encoded. */
static bool walk_rest(struct walk *walk, struct string text, size_t at, bool *encode)
{
    unsigned char byte = (unsigned char)text.data[at];
    *encode = byte >= 0x80;
    if (byte == '?')
        walk->state = WALK_QUERY;
    if (byte == '#')
        return refuse(walk, "`#` begins a fragment, which is never sent; a `#` of the text itself "
                            "is written %23");
    if (byte == ' ')
        return refuse(walk, "a space in a URL is written %20");
    if (byte < 0x20 || byte == 0x7f || strchr("\"<>\\^`{|}", byte))
        return refuse(walk, "a character of this URL cannot stand there; percent-encode it");
    if (byte != '%' ||
        (at + 2 < text.length && is_hex(text.data[at + 1]) && is_hex(text.data[at + 2])))
        return true;
    return refuse(walk, "behind `%` a URL has two hexadecimal digits; a `%` of the text itself is "
                        "written %25");
}

/* Walks over a literal; what is not ASCII is percent-encoded in a copy. */
static bool walk_text(struct walk *walk, struct template_piece *piece)
{
    static const char digits[] = "0123456789ABCDEF";
    struct string text = piece->text;
    char *out = memory_take(text.length * 3 + 1), *end = out;
    if (!out)
        return diagnostics_memory(walk->diagnostics, walk->span);
    size_t at = 0;
    bool good = true;
    if (walk->state == WALK_BEGIN) {
        at = scheme_length(text);
        walk->state = WALK_AUTHORITY;
        good = at > 0 || refuse(walk, "a URL begins with https:// or http://");
        memcpy(end, text.data, at);
        end += at;
        walk->last = '/';
    }
    for (; good && at < text.length; at++) {
        unsigned char byte = (unsigned char)text.data[at];
        bool encode = false;
        good = walk->state == WALK_AUTHORITY ? walk_authority(walk, byte)
                                             : walk_rest(walk, text, at, &encode);
        walk->last = (char)byte;
        if (encode) {
            *end++ = '%';
            *end++ = digits[byte >> 4];
            byte = (unsigned char)digits[byte & 15];
        }
        *end++ = (char)byte;
    }
    piece->owned = out;
    piece->text = (struct string){out, (size_t)(end - out)};
    return good;
}

/* ---- places ---- */

/* Of the literals behind piece `at`: an @ comes before what ends the authority. */
static bool user_ends(const struct template *template, uint32_t at)
{
    for (uint32_t i = at + 1; i < template->count; i++) {
        struct string text = template->pieces[i].text;
        for (size_t j = 0; !template->pieces[i].expression && j < text.length; j++) {
            if (text.data[j] == '@')
                return true;
            if (strchr("/?#", text.data[j]))
                return false;
        }
    }
    return false;
}

/* The host ends behind piece `at`. */
static bool host_ends(const struct template *template, uint32_t at)
{
    if (at + 1 == template->count)
        return true;
    const struct template_piece *next = &template->pieces[at + 1];
    return !next->expression && next->text.length && strchr(":/?", next->text.data[0]);
}

static void place_in_authority(struct template *template, uint32_t at, struct walk *walk)
{
    struct template_piece *piece = &template->pieces[at];
    struct value constant;
    if (user_ends(template, at)) {
        piece->place = PLACE_USER;
    } else if (walk->colon) {
        piece->place = PLACE_PORT;
    } else {
        bool whole = (walk->last == '/' || walk->last == '@') && host_ends(template, at);
        piece->place = whole ? PLACE_HOST : PLACE_LABEL;
        walk->has_host = true;
    }
    if (piece->place != PLACE_USER && !expression_constant(piece->expression, &constant))
        template->host_varies = true;
}

/* The expression that begins the URL: all of it, or a constant, which becomes a literal. */
static bool place_first(struct template *template, struct walk *walk)
{
    struct template_piece *piece = &template->pieces[0];
    struct value constant;
    if (expression_constant(piece->expression, &constant)) {
        if (constant.kind != VALUE_STRING)
            return refuse(walk, "a URL is a text that begins with https:// or http://");
        piece->text = (struct string){constant.text, constant.length};
        if (!walk_text(walk, piece))
            return false;
        expression_free(piece->expression);
        piece->expression = NULL;
        return true;
    }
    if (template->count > 1)
        return refuse(walk, "where a URL begins cannot come from the record: write https://… "
                            "before the brace, or let one expression give all of the URL");
    piece->place = PLACE_WHOLE;
    template->host_varies = true;
    walk->has_host = true;
    return true;
}

bool template_url_place(struct template *template, struct span span,
                        struct diagnostics *diagnostics)
{
    struct walk walk = {.diagnostics = diagnostics, .span = span};
    for (uint32_t i = 0; i < template->count; i++) {
        struct template_piece *piece = &template->pieces[i];
        bool good = true;
        if (!piece->expression)
            good = walk_text(&walk, piece);
        else if (walk.state == WALK_BEGIN)
            good = place_first(template, &walk);
        else if (walk.state == WALK_AUTHORITY)
            place_in_authority(template, i, &walk);
        else
            piece->place = walk.state == WALK_PATH ? PLACE_SEGMENT : PLACE_QUERY;
        if (!good)
            return false;
        if (piece->expression)
            walk.last = 0;
    }
    if (template->count == 0)
        return refuse(&walk, "this URL is empty");
    return walk.has_host || refuse(&walk, "this URL has no host");
}

/* ---- values ---- */

/* All of it is letters, digits and these. */
static bool made_of(struct string text, bool letters, const char *others)
{
    for (size_t i = 0; i < text.length; i++) {
        char byte = text.data[i];
        if (!is_digit(byte) && !(letters && is_letter(byte)) && !(byte && strchr(others, byte)))
            return false;
    }
    return true;
}

static bool is_host(struct string text)
{
    if (text.data[0] != '[')
        return text.length <= 253 && made_of(text, true, "-._") && text.data[0] != '.';
    if (text.length < 4 || text.length > 60 || text.data[text.length - 1] != ']')
        return false;
    for (size_t i = 1; i + 1 < text.length; i++)
        if (!is_hex(text.data[i]) && text.data[i] != ':' && text.data[i] != '.')
            return false;
    return true;
}

static const char *check_whole(struct string text)
{
    size_t scheme = scheme_length(text);
    if (scheme == 0)
        return "this is no URL that begins with https:// or http://";
    if (scheme == text.length || strchr("/?#:@", text.data[scheme]))
        return "this URL has no host";
    for (size_t i = 0; i < text.length; i++)
        if (text.data[i] <= 0x20 || text.data[i] == 0x7f || strchr("\"<>\\^`{|}", text.data[i]))
            return "this URL has a character that has to be percent-encoded";
    return NULL;
}

const char *template_url_check(enum template_place place, struct string text)
{
    if (text.length == 0)
        return "an empty text cannot stand in a URL";
    if (string_equal_text(text, ".") || string_equal_text(text, ".."))
        return "\".\" and \"..\" cannot stand in a URL";
    switch (place) {
    case PLACE_WHOLE:
        return check_whole(text);
    case PLACE_HOST:
        return is_host(text) ? NULL : "this text cannot be the host of a URL";
    case PLACE_LABEL:
        return text.length <= 63 && made_of(text, true, "-_")
                   ? NULL
                   : "this text cannot stand in the host of a URL: it may have letters, digits "
                     "and -";
    case PLACE_PORT:
        return text.length <= 5 && made_of(text, false, "") ? NULL
                                                            : "this is no port: digits alone";
    default:
        return NULL;
    }
}

void template_url_hide(struct buffer *out, size_t start)
{
    static const char hidden[] = "***";
    size_t first = start + scheme_length((struct string){out->data + start, out->length - start});
    size_t end = first, at = first;
    for (; end < out->length && !strchr("/?#", out->data[end]); end++)
        at = out->data[end] == '@' ? end : at;
    size_t length = size_min(at - first, sizeof(hidden) - 1); /* one * is enough for a short one */
    memmove(out->data + first + length, out->data + at, out->length - at);
    memcpy(out->data + first, hidden, length);
    out->length -= at - first - length;
}
