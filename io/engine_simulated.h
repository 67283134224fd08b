/* The simulator's I/O engine: everything that real I/O may do, in an order and at times that follow
 * from a seed. Requests are done with real system calls, but each at its simulated time, in seeded
 * order, cut short at random, and failing where the simulation was told so. One thread: the one
 * that opened the simulation. */
#ifndef LEAT_IO_ENGINE_SIMULATED_H
#define LEAT_IO_ENGINE_SIMULATED_H

#include "io/engine.h"

struct io_simulation;

/* Opens a simulation for this thread; engines opened on it with IO_ENGINE_SIMULATED belong to it.
 * One at a time on a thread. Clocks (core/clock.h) read its time until it is closed. */
struct io_simulation *io_simulation_open(uint64_t seed, struct error *error);
/* All its engines must be closed. */
void io_simulation_close(struct io_simulation *simulation);
/* Simulated time in nanoseconds. */
int64_t io_simulation_now(const struct io_simulation *simulation);
/* When the next request of any engine is due later than `after`, or INT64_MAX: what time to go to
 * when every actor is idle. Polls of descriptors that are not ready are never due. */
int64_t io_simulation_next(const struct io_simulation *simulation, int64_t after);
/* Moves time forward (never back). */
void io_simulation_advance(struct io_simulation *simulation, int64_t to);
/* One in `one_in` requests from now on fails with `os_errno` (0: none). */
void io_simulation_fail(struct io_simulation *simulation, uint32_t one_in, int os_errno);
/* The next number of the simulation's own sequence, for whoever needs a seeded choice. */
uint64_t io_simulation_random(struct io_simulation *simulation);

#endif
