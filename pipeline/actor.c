/* Actors on threads: step, and park when there is nothing to do. An actor with an I/O engine parks
 * in the engine's wait, the others on their event. */
#include "core/clock.h"
#include "io/engine.h"
#include "pipeline/run_internal.h"

/* No wait is for ever: a lost wake-up would be a bug, and this makes it a delay. */
#define LONGEST_WAIT (1 * NANOSECONDS)

/* What a small batch takes: feed, write, take back, and a look that finds nothing. */
#define BORROWED_STEPS 8

void actor_wake(struct actor *actor)
{
    if (actor->run->simulated)
        return;
    if (actor->event)
        event_signal(actor->event);
    if (!actor->engine)
        return;
    /* Pairs with the exchange in actor_park, by read-modify-writes of one variable: either this one
     * sees `sleeping`, or the exchange comes after it, and that thread's second step sees what was
     * pushed before this. */
    if (atomic_fetch_add_explicit(&actor->sleeping, 0, memory_order_acq_rel))
        io_engine_wake(actor->engine);
}

static enum step_result actor_step(struct actor *actor)
{
    if (!actor->lends)
        return actor->step(actor);
    CHECK(pthread_mutex_lock(&actor->lock) == 0);
    enum step_result result = actor->step(actor);
    CHECK(pthread_mutex_unlock(&actor->lock) == 0);
    return result;
}

void actor_borrow(struct actor *actor)
{
    if (!actor->lends || pthread_mutex_trylock(&actor->lock) != 0) {
        actor_wake(actor);
        return;
    }
    enum step_result result = STEP_MOVED;
    for (int i = 0; i < BORROWED_STEPS && result == STEP_MOVED; i++)
        result = actor->step(actor);
    CHECK(pthread_mutex_unlock(&actor->lock) == 0);
    /* Waiting for input, it has nothing to do until it is woken; otherwise its own thread waits for
     * whatever it waits for. */
    if (result != STEP_WAIT_INPUT)
        actor_wake(actor);
}

static int64_t wait_limit(const struct actor *actor)
{
    if (!actor->wake)
        return LONGEST_WAIT;
    int64_t left = actor->wake - clock_monotonic();
    return left < 0 ? 0 : left < LONGEST_WAIT ? left : LONGEST_WAIT;
}

static void time_add(atomic_llong *where, int64_t from, int64_t to)
{
    atomic_fetch_add_explicit(where, to - from, memory_order_relaxed);
}

/* Waits in the engine, unless another step finds something to do. A lending actor keeps its lock
 * meanwhile (an engine is one thread's at a time), and waits here only for what its engine will
 * complete. */
static enum step_result engine_park(struct actor *actor)
{
    atomic_exchange_explicit(&actor->sleeping, 1, memory_order_acq_rel);
    enum step_result result = actor->step(actor);
    if (result == STEP_WAIT_OUTPUT || (result == STEP_WAIT_INPUT && !actor->lends)) {
        io_engine_wait(actor->engine, wait_limit(actor));
        result = STEP_MOVED;
    }
    atomic_exchange_explicit(&actor->sleeping, 0, memory_order_acq_rel);
    return result == STEP_DONE ? STEP_DONE : STEP_MOVED;
}

/* Parks after a step that came to `idle`; STEP_DONE: not to be called again. */
static enum step_result actor_park(struct actor *actor, enum step_result idle, unsigned seen)
{
    if (actor->event && (!actor->engine || idle == STEP_WAIT_INPUT)) {
        event_wait(actor->event, seen, wait_limit(actor));
        return STEP_MOVED;
    }
    if (!actor->lends)
        return engine_park(actor);
    CHECK(pthread_mutex_lock(&actor->lock) == 0);
    enum step_result result = engine_park(actor);
    CHECK(pthread_mutex_unlock(&actor->lock) == 0);
    return result;
}

void actor_thread(void *argument)
{
    struct actor *actor = argument;
    int64_t before = clock_monotonic();
    for (;;) {
        unsigned seen = actor->event ? event_sequence(actor->event) : 0;
        actor->wake = 0;
        enum step_result result = actor_step(actor);
        if (result == STEP_MOVED)
            continue;
        int64_t idle = clock_monotonic();
        time_add(&actor->busy, before, idle);
        before = idle;
        if (result == STEP_DONE)
            break;
        atomic_store_explicit(&actor->waiting, (int)result, memory_order_relaxed);
        enum step_result after = actor_park(actor, result, seen);
        before = clock_monotonic();
        time_add(result == STEP_WAIT_INPUT ? &actor->wait_input : &actor->wait_output, idle,
                 before);
        atomic_store_explicit(&actor->waiting, STEP_MOVED, memory_order_relaxed);
        if (after == STEP_DONE)
            break;
    }
    actor->done = true;
    atomic_store_explicit(&actor->waiting, STEP_DONE, memory_order_relaxed);
}
