/* Speed of reading CSV, for each instruction set, over a file in memory as batches of 256 KiB: cut,
 * locate with four fields, locate with all fields as members, and writing them back.
 * Usage: csv FILE [FIELD,FIELD,…] (default: dep_delay,carrier,origin,dest of flights.csv). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "formats/csv.h"
#include "formats/isa.h"

#define BATCH  (256 * 1024)
#define ARENA  (8 * BATCH)
#define ROUNDS 7

struct bench {
    struct format *format;
    struct field_names *names;
    char *text; /* behind the header */
    size_t length;
    uint32_t *cuts; /* batches end here */
    uint32_t *lines;
    size_t batches;
    struct batch batch;
    struct column columns[64];
    struct projection_node nodes[64];
    struct projection projection;
    struct shape_field fields[64];
    struct shape shape;
    struct buffer output;
    uint64_t records;
    bool encode;
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void file_load(struct bench *bench, const char *path)
{
    struct error error;
    struct cut_state state = {0};
    size_t consumed;
    FILE *file = fopen(path, "rb");
    CHECK(file && fseek(file, 0, SEEK_END) == 0);
    size_t size = (size_t)ftell(file);
    rewind(file);
    char *text = malloc(size + BATCH_PADDING);
    CHECK(text && fread(text, 1, size, file) == size);
    fclose(file);
    CHECK(bench->format->ops->head(bench->format, text, size, true, &state, &consumed,
                                   &bench->names, &error) == HEAD_DONE);
    bench->text = text + consumed;
    bench->length = size - consumed;
    bench->cuts = malloc((size / BATCH * 2 + 2) * sizeof(uint32_t));
    bench->lines = malloc((size / BATCH * 2 + 2) * sizeof(uint32_t));
}

static void run_cut(struct bench *bench)
{
    struct cut_state state = {0};
    size_t start = 0, from = 0;
    uint64_t lines = 0;
    bench->batches = 0;
    while (start < bench->length) {
        size_t length = size_min(BATCH, bench->length - start);
        size_t cut = bench->format->ops->cut(bench->format, &state, bench->text + start, from,
                                             length, start + length == bench->length);
        if (start + length == bench->length)
            cut = length;
        CHECK(cut);
        from = length - cut;
        start += cut;
        bench->lines[bench->batches] = (uint32_t)(state.lines - lines);
        lines = state.lines;
        bench->cuts[bench->batches++] = (uint32_t)start;
    }
}

static void run_locate(struct bench *bench)
{
    struct batch *batch = &bench->batch;
    size_t start = 0;
    bench->records = 0;
    for (size_t i = 0; i < bench->batches; i++) {
        batch->text = bench->text + start;
        batch->text_length = bench->cuts[i] - (uint32_t)start;
        batch->part_line = 1;
        batch->line_end = bench->lines[i];
        batch->part_start = 0;
        do {
            batch->arena.used = 0;
            CHECK(bench->format->ops->locate(bench->format, &bench->projection, batch) ==
                  LOCATE_OK);
            bench->records += batch->row_count;
            uint32_t done;
            bench->output.length = 0;
            CHECK(!bench->encode ||
                  bench->format->ops->encode(bench->format, &bench->shape, batch, true, 0, &done,
                                             &bench->output) == ENCODE_OK);
            batch->part_line += batch->line_count;
            batch->part_start = batch->part_end;
        } while (!batch->last_part);
        start = bench->cuts[i];
    }
}

static void measure(struct bench *bench, const char *name, void (*function)(struct bench *))
{
    double best = 1e9;
    for (int i = 0; i < ROUNDS; i++) {
        double start = now();
        function(bench);
        double took = now() - start;
        best = took < best ? took : best;
    }
    printf("%-9s %-20s %6.2f GB/s", isa_name(isa_get()), name, (double)bench->length / best / 1e9);
    if (bench->records)
        printf("  %6.1f ns/record", best * 1e9 / (double)bench->records);
    printf("\n");
}

static void project(struct bench *bench, const char *fields)
{
    uint32_t count = 1;
    while (*fields) {
        size_t length = strcspn(fields, ",");
        bench->nodes[count] =
            (struct projection_node){.name = {fields, length}, .column = count - 1};
        bench->fields[count - 1] = (struct shape_field){.column = count - 1};
        bench->nodes[count - 1].next_sibling = count > 1 ? count : 0;
        count++;
        fields += length + (fields[length] == ',');
    }
    bench->nodes[0].first_child = count > 1;
    bench->projection =
        (struct projection){.nodes = bench->nodes, .node_count = count, .base_columns = count - 1};
    bench->shape =
        (struct shape){.closed = true, .fields = bench->fields, .field_count = count - 1};
}

int main(int argc, char **argv)
{
    static struct bench bench;
    struct error error;
    if (argc < 2) {
        fprintf(stderr, "usage: csv FILE [FIELD,FIELD]\n");
        return 2;
    }
    CHECK(format_csv.open(NULL, &bench.format, &error));
    file_load(&bench, argv[1]);
    CHECK(arena_open(&bench.batch.arena, ARENA, ARENA, &error));
    CHECK(buffer_open(&bench.output, 4 * BATCH, 4 * BATCH, &error));
    bench.batch.columns = bench.columns;
    bench.batch.column_count = ARRAY_SIZE(bench.columns);
    bench.batch.names = bench.names;
    bench.batch.rejects_tail = &bench.batch.rejects;
    for (enum isa isa = ISA_PORTABLE; isa < ISA_COUNT; isa++) {
        if (!isa_available(isa))
            continue;
        isa_force(isa);
        project(&bench, argc > 2 ? argv[2] : "dep_delay,carrier,origin,dest");
        measure(&bench, "cut", run_cut);
        measure(&bench, "locate projected", run_locate);
        bench.encode = true;
        measure(&bench, "locate, encode", run_locate);
        bench.encode = false;
        bench.projection.members = true;
        measure(&bench, "locate with members", run_locate);
    }
    return 0;
}
