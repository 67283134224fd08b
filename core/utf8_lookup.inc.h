/* The vector validation of UTF-8 by table lookup (John Keiser and Daniel Lemire, "Validating UTF-8
 * In Less Than One Instruction Per Byte", arXiv:2010.03090). Included once for each instruction set
 * with these defined:
 *   KERNEL(name)        the name with the set's suffix          TARGET  the target attribute
 *   VECTOR, WIDTH       the vector type, its bytes              LOAD(p) an unaligned load
 *   AND OR XOR SUBTRACT bytewise; SUBTRACT saturates unsigned   ALL(b)  b in every byte
 *   TABLE(sixteen)      sixteen bytes, repeated for each 128-bit lane
 *   LOOK_UP(table, i)   table[i] for i < 16                     HIGH_NIBBLE(v)
 *   BEFORE(v, p, n)     v moved up by n bytes, filled with the end of p
 *   ANY(v), ANY_HIGH(v) whether a bit, or a high bit, is set
 * and with `enum mistake`: what can be wrong with two bytes after one another. Each table tells
 * which mistakes its nibble allows; a mistake is one where all three agree.
 */

/* Not zero in each byte where a mistake shows, knowing the bytes before. */
TARGET static inline VECTOR KERNEL(mistakes)(VECTOR input, VECTOR previous)
{
    const VECTOR first_high = TABLE(
        TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG,
        (char)TWO_CONTINUATIONS, (char)TWO_CONTINUATIONS, (char)TWO_CONTINUATIONS,
        (char)TWO_CONTINUATIONS, TOO_SHORT | OVERLONG_2, TOO_SHORT,
        TOO_SHORT | OVERLONG_3 | SURROGATE, TOO_SHORT | TOO_LARGE | TOO_LARGE_1000 | OVERLONG_4);
    const char above = (char)(CARRY | TOO_LARGE | TOO_LARGE_1000);
    const VECTOR first_low = TABLE(
        (char)(CARRY | OVERLONG_3 | OVERLONG_2 | OVERLONG_4), (char)(CARRY | OVERLONG_2),
        (char)CARRY, (char)CARRY, (char)(CARRY | TOO_LARGE), above, above, above, above, above,
        above, above, above, (char)(CARRY | TOO_LARGE | TOO_LARGE_1000 | SURROGATE), above, above);
    const char second = (char)(TOO_LONG | OVERLONG_2 | TWO_CONTINUATIONS);
    const VECTOR second_high =
        TABLE(TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT,
              TOO_SHORT, (char)(second | OVERLONG_3 | TOO_LARGE_1000 | OVERLONG_4),
              (char)(second | OVERLONG_3 | TOO_LARGE), (char)(second | SURROGATE | TOO_LARGE),
              (char)(second | SURROGATE | TOO_LARGE), TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT);
    VECTOR before1 = BEFORE(input, previous, 1);
    VECTOR special = AND(
        AND(LOOK_UP(first_high, HIGH_NIBBLE(before1)), LOOK_UP(first_low, AND(before1, ALL(0x0F)))),
        LOOK_UP(second_high, HIGH_NIBBLE(input)));
    /* Two continuations are right, and must be, two bytes behind a lead of three or four bytes and
     * three bytes behind one of four. */
    VECTOR third = SUBTRACT(BEFORE(input, previous, 2), ALL(0xE0 - 0x80));
    VECTOR fourth = SUBTRACT(BEFORE(input, previous, 3), ALL(0xF0 - 0x80));
    return XOR(AND(OR(third, fourth), ALL((char)0x80)), special);
}

TARGET static bool KERNEL(utf8_valid)(const char *text, size_t length)
{
    VECTOR previous = ALL(0);
    VECTOR error = ALL(0);
    bool open = false; /* `previous` was not ASCII, so its last sequence may go on */
    size_t i = 0;
    for (; length - i >= WIDTH; i += WIDTH) {
        VECTOR input = LOAD(text + i);
        bool high = ANY_HIGH(input);
        if (high || open)
            error = OR(error, KERNEL(mistakes)(input, previous));
        open = high;
        previous = input;
    }
    /* The rest with zeros behind it, at least three, so that a sequence cut short shows. */
    char rest[2 * WIDTH] = {0};
    memcpy(rest, text + i, length - i);
    VECTOR last = LOAD(rest);
    error = OR(error, KERNEL(mistakes)(last, previous));
    error = OR(error, KERNEL(mistakes)(LOAD(rest + WIDTH), last));
    return !ANY(error);
}
