/* Batches for tests of formats: see batch_fixture.h. */
#include "tests/formats/batch_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "core/fault.h"

void batch_fixture_open(struct batch_fixture *fixture, size_t text_capacity, size_t arena_size)
{
    struct error error;
    *fixture = (struct batch_fixture){.arena_size = arena_size};
    struct batch *batch = &fixture->batch;
    batch->memory = memory_take(BATCH_HEADROOM + text_capacity + BATCH_PADDING);
    CHECK(batch->memory);
    batch->text_capacity = batch->text_soft = batch->text_reserved = text_capacity;
    batch->text = batch->memory + BATCH_HEADROOM;
    batch->columns = fixture->columns;
    batch->column_count = FIXTURE_COLUMNS;
    batch->rejects_tail = &batch->rejects;
    CHECK(arena_open(&batch->arena, arena_size, arena_size, &error));
    CHECK(
        buffer_open(&fixture->output, 2 * text_capacity + 4096, 2 * text_capacity + 4096, &error));
    batch_fixture_project(fixture, "", false);
}

void batch_fixture_close(struct batch_fixture *fixture)
{
    free(fixture->batch.memory);
    arena_close(&fixture->batch.arena);
    buffer_close(&fixture->output);
}

static uint32_t node_child(struct batch_fixture *fixture, uint32_t parent, struct string name)
{
    struct projection_node *nodes = fixture->nodes;
    uint32_t *link = &nodes[parent].first_child;
    for (; *link; link = &nodes[*link].next_sibling)
        if (string_equal(nodes[*link].name, name))
            return *link;
    uint32_t node = fixture->projection.node_count++;
    CHECK(node < ARRAY_SIZE(fixture->nodes));
    nodes[node] = (struct projection_node){.name = name, .column = COLUMN_NONE};
    *link = node;
    return node;
}

void batch_fixture_project(struct batch_fixture *fixture, const char *paths, bool members)
{
    fixture->nodes[0] = (struct projection_node){.column = COLUMN_NONE};
    fixture->projection =
        (struct projection){.nodes = fixture->nodes, .node_count = 1, .members = members};
    while (*paths) {
        uint32_t node = 0;
        for (;;) {
            size_t length = strcspn(paths, ". ");
            node = node_child(fixture, node, (struct string){paths, length});
            paths += length;
            if (*paths != '.')
                break;
            paths++;
        }
        CHECK(fixture->projection.base_columns < FIXTURE_COLUMNS);
        fixture->nodes[node].column = fixture->projection.base_columns++;
        paths += strspn(paths, " ");
    }
}

void batch_fixture_fill(struct batch_fixture *fixture, const char *text, size_t length)
{
    struct batch *batch = &fixture->batch;
    CHECK(length <= batch->text_capacity);
    memcpy(batch->text, text, length);
    memset(batch->text + length, '"', BATCH_PADDING);
    batch->text_length = (uint32_t)length;
    batch->starts_input = batch->ends_input = true;
    batch->format_state = 0;
    batch->names = NULL;
    batch->origin = (struct origin){.line = 1};
    batch->input_name = "test";
    batch_fixture_part(fixture, 0);
}

void batch_fixture_part(struct batch_fixture *fixture, uint32_t part_start)
{
    struct batch *batch = &fixture->batch;
    arena_reset(&batch->arena);
    batch->part = part_start ? batch->part + 1 : 0;
    batch->part_start = part_start;
    batch->part_end = part_start;
    batch->record_count = batch->row_count = 0;
    batch->reject_count = 0;
    batch->rejects = NULL;
    batch->rejects_tail = &batch->rejects;
    memset(batch->seen, 0, sizeof(batch->seen));
    for (uint32_t i = 0; i < FIXTURE_COLUMNS; i++)
        fixture->columns[i] = (struct column){0};
}

struct format *batch_fixture_format(const struct format_ops *ops)
{
    struct error error;
    struct format *format = NULL;
    CHECK(ops->open(NULL, &format, &error));
    return format;
}

const struct reject *batch_fixture_reject(const struct batch_fixture *fixture, uint32_t record)
{
    for (const struct reject *reject = fixture->batch.rejects; reject; reject = reject->next)
        if (reject->record == record)
            return reject;
    return NULL;
}
