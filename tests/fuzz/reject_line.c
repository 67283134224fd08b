/* Lines of rejected records of any bytes: taken apart without harm, and what is measured is what is
 * decoded, in place as the replay source does it and beside it, to the same bytes. */
#include <stdlib.h>
#include <string.h>

#include "io/reject_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reject_line line;
    size_t length, again;
    char *text = malloc(size + 1), *beside = malloc(size + 1);
    CHECK(text && beside);
    memcpy(text, data, size);
    reject_line_read((struct string){text, size}, &line);
    if (!line.wrong) {
        CHECK(line.record.data >= text && line.record.data + line.record.length <= text + size);
        if (line.header.data && reject_string_decode(line.header, NULL, &length))
            CHECK(reject_string_decode(line.header, beside, &again) && again == length &&
                  again <= line.header.length);
        if (!reject_record_measure(&line, &length)) {
            CHECK(length <= line.record.length);
            CHECK(reject_record_decode(&line, beside) == length);
            CHECK(reject_record_decode(&line, text) == length);
            CHECK(memcmp(text, beside, length) == 0);
        }
    }
    free(text);
    free(beside);
    return 0;
}
