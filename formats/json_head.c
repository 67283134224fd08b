/* What comes before the first record of JSON text: see json_head.h. */
#include "formats/json_head.h"

#include <string.h>

enum head_result json_head(const struct format *format, const char *text, size_t length,
                           bool at_end, struct cut_state *state, size_t *consumed,
                           struct field_names **names, struct error *error)
{
    static const char mark[3] = {'\xef', '\xbb', '\xbf'};
    (void)format, (void)state, (void)error;
    *names = NULL;
    *consumed = 0;
    if (memcmp(text, mark, size_min(length, sizeof(mark))) != 0)
        return HEAD_DONE;
    if (length < sizeof(mark))
        return at_end ? HEAD_DONE : HEAD_MORE;
    *consumed = sizeof(mark);
    return HEAD_DONE;
}
