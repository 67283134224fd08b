/* Decoding raw values (validated JSON text) one level at a time, and writing values as JSON text.
 * Pure functions; any thread. */
#ifndef LEAT_CORE_RAW_H
#define LEAT_CORE_RAW_H

#include "core/buffer.h"
#include "core/value.h"

/* Anything but RAW is returned as it is. RAW becomes null, bool, int, double, string, list or map
 * (children raw). A number without fraction or exponent that fits int64 is an int, every other one
 * a double (correctly rounded); one beyond the range of double is ERROR_OVERFLOW. A full arena is
 * ERROR_ARENA_FULL. Strings without escapes point into the raw text. The text must be valid JSON
 * (it was validated by its format); hostile depth is no matter, as nothing here recurses. */
struct value value_resolve(struct value value, struct arena *arena);
/* The kind that value_resolve would give, without decoding (a number: INT or DOUBLE). */
enum value_kind value_raw_kind(struct value raw);
/* The value of `key` in a raw or resolved map; the last of equal keys; ABSENT where there is none.
 * A raw result is not resolved. Not a map: ERROR_NO_OVERLOAD; ABSENT or null: ABSENT. */
struct value value_member(struct value map, struct string key, struct arena *arena);

enum json_result { JSON_DONE, JSON_FULL, JSON_REFUSED };
/* Appends `value` as one line of JSON text: raw text byte for byte but for newlines between its
 * tokens; ints, uints; doubles shortest that reads back equal, always with a fraction or exponent;
 * strings escaped minimally (quote, backslash, controls); bytes as base64; timestamps RFC 3339;
 * durations "1.5s"; ABSENT as null. JSON_FULL: the buffer's limit (buffer unchanged). JSON_REFUSED:
 * NaN, infinity, a map with keys that are no strings, an error, a type, an optional: `*reason` is a
 * static text. */
enum json_result value_write_json(struct value value, struct buffer *buffer, const char **reason);
/* As above for the string alone, with its quotes. */
bool string_write_json(struct string text, struct buffer *buffer);

#endif
