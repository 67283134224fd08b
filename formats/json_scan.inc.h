/* The JSON scan, written once: see json_scan.h. The including file defines KERNEL(name), TARGET
 * (the function attribute of its instruction set) and these primitives, all on 64 bytes:
 *   struct block, block_load(bytes, classes)
 *   block_quotes, block_backslashes, block_operators, block_white, block_controls,
 *       block_equal(block, byte), block_hex, block_escapable: masks, bit i for byte i
 *   block_high(block): bytes beyond ASCII
 *   utf8_suspect(bytes, open): whether a sequence in it (or open before it) may be wrong; reads
 *       the 3 bytes before it and behind it, and sets *open for the block that comes next
 *   bits_prefix_xor(bits)
 *   block_emit(block, tokens, base, bytes, positions, classes): writes the tokens, how many
 */

/* The mask of escaped bytes. A backslash escapes the next byte unless it is escaped itself: in a
 * run of backslashes the first, third, … escape. Adding the first bits of the runs that begin at an
 * even place carries through just these runs, which tells them from those that begin at an odd one.
 */
static inline TARGET uint64_t KERNEL(escaped_bytes)(uint64_t backslashes, uint64_t *carry)
{
    const uint64_t even = 0x5555555555555555;
    backslashes &= ~*carry;
    uint64_t starts = backslashes & ~(backslashes << 1);
    uint64_t in_even_runs = backslashes & ~(backslashes + (starts & even));
    uint64_t escaping = (in_even_runs & even) | (backslashes & ~in_even_runs & ~even);
    uint64_t escaped = escaping << 1 | *carry;
    *carry = escaping >> 63;
    return escaped;
}

/* Whether an escape of the block is one that JSON does not have. */
static inline TARGET bool KERNEL(escapes_suspect)(struct KERNEL(block) block, uint64_t escaped,
                                                  uint64_t *hex_wanted)
{
    uint64_t unicode = escaped & block_equal(block, 'u');
    uint64_t wanted = unicode << 1 | unicode << 2 | unicode << 3 | unicode << 4 | *hex_wanted;
    *hex_wanted = unicode >> 63 | unicode >> 62 | unicode >> 61 | unicode >> 60;
    return ((escaped & ~block_escapable(block)) | (wanted & ~block_hex(block))) != 0;
}

/* A block with escapes or bytes beyond ASCII, or behind one that left something pending. Takes
 * escaped quotes out of *quotes; whether it needs a closer look. */
static inline TARGET bool KERNEL(block_unusual)(struct KERNEL(block) block, const char *bytes,
                                                uint64_t *pending, uint64_t backslashes,
                                                uint64_t *quotes)
{
    uint64_t carry = *pending & JSON_PENDING_ESCAPED, hex = *pending >> JSON_PENDING_HEX & 15;
    uint64_t open = *pending >> JSON_PENDING_UTF8;
    bool suspect = false;
    if (backslashes | carry | hex) {
        uint64_t escaped = KERNEL(escaped_bytes)(backslashes, &carry);
        *quotes &= ~escaped;
        suspect = KERNEL(escapes_suspect)(block, escaped, &hex);
    }
    if (block_high(block)) {
        suspect |= utf8_suspect(bytes, &open);
    } else {
        suspect |= open != 0;
        open = 0;
    }
    *pending = carry | hex << JSON_PENDING_HEX | open << JSON_PENDING_UTF8;
    return suspect;
}

static inline void KERNEL(suspect)(struct json_scan *scan, uint32_t base)
{
    if (base > scan->length) /* of a padded block */
        base = 0;
    if (scan->suspect_from > base)
        scan->suspect_from = base;
    scan->suspect_to = base + JSON_SCAN_BLOCK;
}

/* Where the next token goes. */
struct KERNEL(tokens) {
    uint32_t *positions;
    uint8_t *classes;
};

static inline TARGET void KERNEL(tokens_emit)(struct KERNEL(tokens) * out,
                                              struct KERNEL(block) block, uint64_t tokens,
                                              uint32_t base, const char *bytes)
{
    uint32_t count = block_emit(block, tokens, base, bytes, out->positions, out->classes);
    out->positions += count;
    out->classes += count;
}

/* One block: 64 bytes at `bytes`, which stand at `base`. Returns how many bytes it took: 64, or
 * fewer where a line end cut a string off; the next block then begins behind it. `carry` and `out`
 * are the caller's own, so that they stay in registers. */
static inline __attribute__((always_inline)) TARGET uint32_t
KERNEL(scan_block)(struct json_scan *scan, struct json_carry *carry, struct KERNEL(tokens) * out,
                   const char *bytes, uint32_t base, const uint8_t *classes)
{
    struct KERNEL(block) block = block_load(bytes, classes);
    uint64_t quotes = block_quotes(block);
    uint64_t backslashes = block_backslashes(block);
    bool suspect = false;
    if (UNLIKELY((backslashes | block_high(block) | carry->pending) != 0))
        suspect = KERNEL(block_unusual)(block, bytes, &carry->pending, backslashes, &quotes);
    uint64_t in_string = bits_prefix_xor(quotes) ^ carry->in_string;
    uint64_t operators = block_operators(block);
    uint64_t scalars = ~(in_string | quotes | operators | block_white(block));
    uint64_t tokens = (operators & ~in_string) | (quotes & in_string) |
                      (scalars & ~(scalars << 1 | carry->in_scalar));
    uint64_t controls = block_controls(block) & in_string;
    if (UNLIKELY(suspect || controls)) {
        KERNEL(suspect)(scan, base);
        uint64_t torn = scan->lines ? controls & block_equal(block, '\n') : 0;
        if (torn) {
            uint32_t end = (uint32_t)__builtin_ctzll(torn);
            KERNEL(tokens_emit)(out, block, tokens & ((torn & -torn) - 1), base, bytes);
            *out->positions++ = base + end;
            *out->classes++ = JSON_TORN;
            *carry = (struct json_carry){0};
            return end + 1;
        }
    }
    carry->in_string = (uint64_t)((int64_t)in_string >> 63);
    carry->in_scalar = scalars >> 63;
    KERNEL(tokens_emit)(out, block, tokens, base, bytes);
    return JSON_SCAN_BLOCK;
}

static inline struct KERNEL(tokens) KERNEL(tokens_begin)(const struct json_scan *scan)
{
    return (struct KERNEL(tokens)){scan->positions + scan->count, scan->classes + scan->count};
}

/* A block at the very start, which has no bytes before it, or at the end: filled up with spaces
 * there, and as far as it is padded in front. */
static TARGET __attribute__((noinline)) void KERNEL(scan_edge)(struct json_scan *scan,
                                                               const uint8_t *classes)
{
    char copy[8 + JSON_SCAN_BLOCK + 8] = {0};
    uint32_t pad = scan->pad, left = scan->length - scan->scanned;
    uint32_t before = pad || scan->scanned < 3 ? 0 : 3;
    uint32_t room = JSON_SCAN_BLOCK + 8 - pad;
    memset(copy + 8, ' ', JSON_SCAN_BLOCK + 8);
    memcpy(copy + 8 + pad - before, scan->text + scan->scanned - before,
           before + (left < room ? left : room));
    struct KERNEL(tokens) out = KERNEL(tokens_begin)(scan);
    uint32_t taken =
        KERNEL(scan_block)(scan, &scan->carry, &out, copy + 8, scan->scanned - pad, classes) - pad;
    scan->count = (uint32_t)(out.classes - scan->classes);
    scan->scanned = taken < left ? scan->scanned + taken : scan->length;
    scan->pad = 0;
}

/* Blocks that lie in the text as a whole. */
static TARGET void KERNEL(scan_blocks)(struct json_scan *scan, uint32_t until,
                                       const uint8_t *classes)
{
    struct json_carry carry = scan->carry;
    struct KERNEL(tokens) out = KERNEL(tokens_begin)(scan);
    const char *text = scan->text;
    uint32_t base = scan->scanned, length = scan->length;
    uint32_t last = length < JSON_SCAN_BLOCK ? 0 : length - JSON_SCAN_BLOCK + 1;
    uint32_t end = until < last ? until : last;
    while (base < end)
        base += KERNEL(scan_block)(scan, &carry, &out, text + base, base, classes);
    scan->carry = carry;
    scan->count = (uint32_t)(out.classes - scan->classes);
    scan->scanned = base;
}

TARGET void KERNEL(json_scan)(struct json_scan *scan, uint32_t until)
{
    const uint8_t *classes = json_classes[scan->lines];
    while ((scan->pad || scan->scanned < 3) && scan->scanned < scan->length)
        KERNEL(scan_edge)(scan, classes);
    KERNEL(scan_blocks)(scan, until, classes);
    while (scan->scanned < scan->length && scan->scanned < until)
        KERNEL(scan_edge)(scan, classes);
    if (scan->scanned < scan->length || scan->ended)
        return;
    if (scan->carry.pending >> JSON_PENDING_UTF8)
        KERNEL(suspect)(scan, scan->length);
    scan->positions[scan->count] = scan->length;
    scan->classes[scan->count++] = scan->carry.in_string ? JSON_TORN
                                   : scan->lines         ? JSON_LINE_END
                                                         : JSON_END;
    scan->ended = true;
}
