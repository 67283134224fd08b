/* State files and partition logs of any bytes: an error or a state that can be, never a crash. Even
 * inputs are state files, odd ones logs, by their first byte; checksums are put right first where
 * the second byte is odd, so that the fuzzer gets behind them. */
#include <stdlib.h>
#include <string.h>

#include "io/partition_log.h"
#include "io/state_file.h"

#define STATE_HEADER     32 /* its CRC-32 is in the last four bytes */
#define STATE_CHECKPOINT 76 /* CRC-32 of what follows; the record's length in the last eight */
#define LOG_HEADER       12
#define LOG_FRAME        16

static uint64_t number(const char *at, int size)
{
    uint64_t value = 0;
    for (int i = 0; i < size; i++)
        value |= (uint64_t)(unsigned char)at[i] << (8 * i);
    return value;
}

static void number_put(char *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (char)(value >> (8 * i));
}

static void state_mend(char *bytes, size_t length)
{
    if (length < STATE_HEADER)
        return;
    number_put(bytes + STATE_HEADER - 4, state_crc((struct string){bytes, STATE_HEADER - 4}));
    size_t at = STATE_HEADER;
    size_t first = 0;
    for (uint64_t count = number(bytes + 12, 4); count > 0 && length - at >= STATE_CHECKPOINT;
         count--) {
        uint64_t record = number(bytes + at + STATE_CHECKPOINT - 8, 8);
        if (record > length - at - STATE_CHECKPOINT)
            return;
        size_t end = at + STATE_CHECKPOINT + record;
        first = first ? first : at;
        number_put(bytes + at, state_crc((struct string){bytes + at + 4, end - at - 4}));
        at = end;
    }
    if (first == 0)
        return;
    /* the tail's, in the first checkpoint, whose own is then another */
    size_t end = first + STATE_CHECKPOINT + number(bytes + first + STATE_CHECKPOINT - 8, 8);
    number_put(bytes + first + 16, state_crc((struct string){bytes + at, length - at}));
    number_put(bytes + first, state_crc((struct string){bytes + first + 4, end - first - 4}));
}

static void log_mend(char *bytes, size_t length)
{
    size_t at = LOG_HEADER;
    while (length >= at + LOG_FRAME) {
        uint64_t payload = number(bytes + at + 8, 8);
        if (payload > length - at - LOG_FRAME)
            return;
        number_put(bytes + at, state_crc((struct string){bytes + at + LOG_FRAME, payload}));
        at += LOG_FRAME + payload;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error;
    if (size < 2)
        return 0;
    size_t length = size - 2;
    char *bytes = malloc(length + 1);
    memcpy(bytes, data + 2, length);
    if (data[0] % 2 == 0) {
        struct state state;
        if (data[1] % 2)
            state_mend(bytes, length);
        if (state_decode(bytes, length, "f", &state, &error)) {
            CHECK(state.tail.length == state.latest.tail_length);
            CHECK(state.latest.record.length <= length);
            CHECK(!state.has_previous || state.previous.number < state.latest.number);
            state_close(&state);
        } else {
            CHECK(error.code == ERROR_STATE && strstr(error.text, "--fresh"));
        }
    } else {
        struct log_state state;
        if (data[1] % 2)
            log_mend(bytes, length);
        if (partition_log_decode(bytes, length, "f", &state, &error)) {
            CHECK(state.latest.number > 0 && state.length <= length);
            for (size_t i = 0; i < state.count; i++)
                CHECK(state.files[i].now.exists && state.files[i].path[0]);
            log_state_close(&state);
        } else {
            CHECK(error.code == ERROR_STATE && strstr(error.text, "--fresh"));
        }
    }
    free(bytes);
    return 0;
}
