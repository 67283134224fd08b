/* Numbers from any bytes: what number_parse_double accepts reads as by strtod, what JSON's grammar
 * accepts is accepted there too, and what is written reads back equal. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/number.h"

static bool same_bits(double a, double b)
{
    return memcmp(&a, &b, sizeof(a)) == 0;
}

static void check_written(double real)
{
    char text[NUMBER_TEXT_SIZE];
    double again;
    bool overflow;
    size_t length = number_write_double(text, real);
    CHECK(length <= sizeof(text));
    CHECK(number_parse_double(text, length, &again, &overflow) && !overflow);
    CHECK(same_bits(again, real));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    double real = 0;
    double json_real = 0;
    int64_t integer = 0;
    bool overflow = false;
    bool accepted = number_parse_double(text, size, &real, &overflow);
    enum number_kind kind = number_parse(text, size, &integer, &json_real);
    CHECK(accepted || kind == NUMBER_INVALID);
    if (accepted) {
        char *copy = strndup(text, size);
        char *end;
        double expected = strtod(copy, &end);
        CHECK(end == copy + size && same_bits(real, expected) && overflow == (bool)isinf(expected));
        if (kind == NUMBER_INT)
            CHECK(integer == strtoll(copy, NULL, 10));
        if (kind == NUMBER_DOUBLE)
            CHECK(same_bits(json_real, expected));
        CHECK((kind == NUMBER_OUT_OF_RANGE) <= overflow);
        free(copy);
        if (!overflow)
            check_written(real);
    }
    if (size >= sizeof(real)) {
        memcpy(&real, data, sizeof(real));
        if (isfinite(real))
            check_written(real);
    }
    return 0;
}
