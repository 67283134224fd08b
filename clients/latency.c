/* Percentiles of latencies: see latency.h. */
#include "clients/latency.h"

/* Values below LATENCY_STEPS have a cell each; above, each doubling has LATENCY_STEPS cells. */
static uint32_t cell_of(uint64_t value)
{
    if (value < LATENCY_STEPS)
        return (uint32_t)value;
    unsigned shift = 63 - (unsigned)__builtin_clzll(value) - LATENCY_BITS;
    return (shift + 1) * LATENCY_STEPS + (uint32_t)(value >> shift) - LATENCY_STEPS;
}

/* The greatest value of a cell. */
static int64_t cell_top(uint32_t cell)
{
    if (cell < LATENCY_STEPS)
        return cell;
    unsigned shift = cell / LATENCY_STEPS - 1;
    uint64_t step = LATENCY_STEPS + cell % LATENCY_STEPS;
    return (int64_t)(((step + 1) << shift) - 1);
}

void latency_add(struct latency *latency, int64_t nanoseconds)
{
    uint32_t cell = cell_of(nanoseconds > 0 ? (uint64_t)nanoseconds : 0);
    CHECK(cell < LATENCY_CELLS);
    latency->cells[cell]++;
    latency->total++;
    if (cell >= latency->most)
        latency->most = cell + 1;
}

int64_t latency_at(const struct latency *latency, double share)
{
    if (latency->total == 0)
        return 0;
    double exact = share * (double)latency->total;
    uint64_t wanted = exact > 1 ? (uint64_t)exact : 1;
    if ((double)wanted < exact)
        wanted++;
    uint64_t seen = 0;
    for (uint32_t cell = 0; cell < latency->most; cell++) {
        seen += latency->cells[cell];
        if (seen >= wanted)
            return cell_top(cell);
    }
    return cell_top(latency->most - 1);
}

void latency_halve(struct latency *latency)
{
    uint32_t most = 0;
    latency->total = 0;
    for (uint32_t cell = 0; cell < latency->most; cell++) {
        latency->cells[cell] /= 2;
        latency->total += latency->cells[cell];
        if (latency->cells[cell])
            most = cell + 1;
    }
    latency->most = most;
}
