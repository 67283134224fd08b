/* The kernels of csv_scan.h, in terms of 64-byte blocks. The including file defines, for its
 * instruction set: TARGET (function attributes), struct block, struct needle, needle_make(byte),
 * block_load(text), block_equal(block, needle) and block_high(block) as masks of 64 bits (bit i is
 * byte i), prefix_xor(mask) and positions_write(out, mask, base) (may write 64 entries). */

struct quotes {
    uint64_t inside; /* bytes within quotes; an opening quote is, a closing one is not */
    uint64_t closing;
    uint64_t bare; /* quotes that neither open nor close: text */
};

/* `starts`: bytes before which a field begins. The lowest quote that opens where none may is found,
 * taken out, and the rest computed again: hostile text costs a round for each, good text none. */
TARGET static inline struct quotes quotes_resolve(uint64_t quotes, uint64_t starts, uint64_t inside,
                                                  uint64_t closed)
{
    struct quotes result = {0};
    for (;;) {
        result.inside = prefix_xor(quotes) ^ inside;
        result.closing = quotes & ~result.inside;
        uint64_t opening = quotes & result.inside;
        uint64_t bare = opening & ~(starts | result.closing << 1 | closed);
        if (LIKELY(!bare))
            return result;
        bare &= -bare;
        result.bare |= bare;
        quotes ^= bare;
    }
}

static inline bool csv_starts_field(const struct csv_scan *scan, const char *text, size_t from,
                                    size_t at)
{
    if (at == from)
        return !(scan->state & CSV_WITHIN);
    return (uint8_t)text[at - 1] == scan->delimiter || text[at - 1] == '\n';
}

static inline uint64_t csv_valid(size_t at, size_t to)
{
    return to - at >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << (to - at)) - 1;
}

TARGET static size_t scan_cut(struct csv_scan *scan, const char *text, size_t from, size_t to,
                              bool first)
{
    const struct needle feed = needle_make('\n'), quote = needle_make(scan->quote);
    const struct needle delimiter = needle_make(scan->delimiter);
    const uint64_t quoting = scan->quoting ? ~UINT64_C(0) : 0;
    uint64_t inside = scan->state & CSV_INSIDE ? ~UINT64_C(0) : 0;
    uint64_t closed = scan->state & CSV_CLOSED ? 1 : 0;
    uint64_t lines = scan->lines;
    size_t boundary = 0;
    for (size_t at = from; at < to; at += 64) {
        uint64_t valid = csv_valid(at, to);
        struct block block = block_load(text + at);
        uint64_t feeds = block_equal(block, feed) & valid;
        uint64_t quotes = block_equal(block, quote) & valid & quoting;
        uint64_t outside = feeds;
        if (quotes | inside | closed) {
            uint64_t starts = (block_equal(block, delimiter) | feeds) << 1 |
                              csv_starts_field(scan, text, from, at);
            struct quotes resolved = quotes_resolve(quotes, starts, inside, closed);
            outside = feeds & ~resolved.inside;
            uint64_t last = UINT64_C(1) << (size_min(to - at, 64) - 1);
            inside = resolved.inside & last ? ~UINT64_C(0) : 0;
            closed = resolved.closing & last ? 1 : 0;
        }
        if (outside) {
            uint64_t bit =
                first ? outside & -outside : UINT64_C(1) << (63 - __builtin_clzll(outside));
            boundary = at + (size_t)__builtin_ctzll(bit) + 1;
            scan->boundary_lines =
                lines + (uint64_t)__builtin_popcountll(feeds & (bit | (bit - 1)));
            if (first) {
                scan->state = 0;
                scan->lines = scan->boundary_lines;
                return boundary;
            }
        }
        lines += (uint64_t)__builtin_popcountll(feeds);
    }
    if (to > from) {
        bool start = (uint8_t)text[to - 1] == scan->delimiter || text[to - 1] == '\n';
        scan->state =
            (inside ? CSV_INSIDE : 0) | (closed ? CSV_CLOSED : 0) | (start ? 0 : CSV_WITHIN);
        scan->lines = lines;
    }
    return boundary;
}

TARGET static void scan_index(struct csv_scan *scan, const char *text, size_t from, size_t to,
                              struct csv_index *index)
{
    const struct needle feed = needle_make('\n'), quote = needle_make(scan->quote);
    const struct needle delimiter = needle_make(scan->delimiter), carriage = needle_make('\r');
    const uint64_t quoting = scan->quoting ? ~UINT64_C(0) : 0;
    const uint64_t returning = scan->returns_only ? ~UINT64_C(0) : 0;
    uint64_t inside = scan->state & CSV_INSIDE ? ~UINT64_C(0) : 0;
    uint64_t closed = scan->state & CSV_CLOSED ? 1 : 0;
    uint64_t returned = scan->state & CSV_RETURN ? 1 : 0;
    uint64_t high = 0, malformed = 0;
    uint32_t count = index->count, end_count = index->end_count;
    for (size_t at = from; at < to; at += 64) {
        uint64_t valid = csv_valid(at, to);
        uint64_t last = UINT64_C(1) << (size_min(to - at, 64) - 1);
        struct block block = block_load(text + at);
        uint64_t feeds = block_equal(block, feed) & valid;
        uint64_t marks = (block_equal(block, delimiter) & valid) | feeds;
        uint64_t quotes = block_equal(block, quote) & valid & quoting;
        uint64_t returns = block_equal(block, carriage) & valid & returning;
        high |= block_high(block) & valid;
        if (quotes | inside | closed) {
            uint64_t starts = marks << 1 | csv_starts_field(scan, text, from, at);
            struct quotes resolved = quotes_resolve(quotes, starts, inside, closed);
            uint64_t behind = (resolved.closing << 1 | closed) & valid;
            malformed |= resolved.bare | (behind & ~(marks | returns | quotes));
            scan->quoted_lines += (uint64_t)__builtin_popcountll(feeds & resolved.inside);
            marks &= ~resolved.inside;
            feeds &= ~resolved.inside;
            returns &= ~resolved.inside;
            inside = resolved.inside & last ? ~UINT64_C(0) : 0;
            closed = resolved.closing & last ? 1 : 0;
        }
        if (returns | returned) {
            malformed |= (returns << 1 | returned) & ~feeds & valid;
            returned = returns & last ? 1 : 0;
        }
        for (uint64_t left = feeds; left; left &= left - 1) {
            uint64_t below = (left & -left) - 1;
            index->ends[end_count++] = count + (uint32_t)__builtin_popcountll(marks & below);
        }
        positions_write(index->positions + count, marks, (uint32_t)at);
        count += (uint32_t)__builtin_popcountll(marks);
    }
    index->count = count;
    index->end_count = end_count;
    scan->high |= high != 0;
    scan->malformed |= malformed != 0;
    if (to > from) {
        bool start = (uint8_t)text[to - 1] == scan->delimiter || text[to - 1] == '\n';
        scan->state = (inside ? CSV_INSIDE : 0) | (closed ? CSV_CLOSED : 0) |
                      (returned ? CSV_RETURN : 0) | (start ? 0 : CSV_WITHIN);
    }
}
