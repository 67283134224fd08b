/* Copies a file through the contracts of sources and sinks, with lines as the format: what reading,
 * cutting and writing cost by themselves. Usage: io FILE [COPY] [uring|posix] */
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "tests/io/fixture.h"

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    enum io_engine_kind kind = IO_ENGINE_AUTO;
    if (argc > 3)
        kind = strcmp(argv[3], "posix") == 0 ? IO_ENGINE_POSIX : IO_ENGINE_URING;
    const char *files[] = {argv[1]};
    static struct fixture fixture;
    fixture_open(&fixture, kind, 256 * 1024, 16 << 20);
    fixture.fast = true;
    bool copies = argc > 2 && argv[2][0];
    int64_t start = clock_monotonic();
    bool done = fixture_source(&fixture, files, 1, NULL) &&
                (!copies || fixture_sink(&fixture, argv[2], NULL)) &&
                fixture_run(&fixture) == SOURCE_END;
    int64_t copied = clock_monotonic();
    done = done && (!copies || fixture_publish(&fixture));
    int64_t end = clock_monotonic();
    if (!done) {
        fprintf(stderr, "%s\n", fixture.error.text);
        return 1;
    }
    double bytes = (double)fixture.source->bytes_done;
    printf("%s: %.0f MB, %.2f GB/s, with publishing %.2f GB/s\n",
           io_engine_name(fixture.source_engine), bytes / 1e6, bytes / (double)(copied - start),
           bytes / (double)(end - start));
    fixture_close(&fixture);
    return 0;
}
