/* A pool of PostgreSQL connections: see postgres_pool.h. */
#include "clients/postgres_pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fault.h"

#define CHECK_PATIENCE (5 * NANOSECONDS)
#define PAUSE_FIRST    (NANOSECONDS / 10)
#define PAUSE_MOST     (5 * NANOSECONDS)

enum member_state { MEMBER_CLOSED, MEMBER_CONNECTS, MEMBER_IDLE, MEMBER_CHECKED, MEMBER_USED };

struct member {
    struct postgres postgres;
    enum member_state state;
    int64_t opened;   /* monotonic */
    int64_t lifetime; /* its own: a little less than the setting, so that not all end at once */
    int64_t used;     /* last given back */
    int64_t checked;  /* last known to be well */
};

struct postgres_pool {
    struct postgres_pool_settings settings;
    int descriptor;
    struct member members[POSTGRES_POOL_MOST];
    struct pool_wait *waits; /* first in, first out */
    struct pool_wait **waits_tail;
    struct pool_wait *over;
    struct pool_wait **over_tail;
    bool was_used;
    int64_t pause; /* after connecting has failed */
    int64_t pause_until;
    char trouble[POSTGRES_MESSAGE_SIZE]; /* of the last failure to connect */
    struct postgres_pool_counts counts;
};

struct postgres_pool *postgres_pool_open(const struct postgres_pool_settings *settings,
                                         struct error *error)
{
    CHECK(settings->most > 0 && settings->most <= POSTGRES_POOL_MOST &&
          settings->least <= settings->most && settings->wait > 0 && settings->check > 0);
    struct postgres_pool *pool = memory_take_zeroed(1, sizeof(*pool));
    if (!pool) {
        error_set(error, ERROR_MEMORY, "no memory for a pool of connections");
        return NULL;
    }
    pool->settings = *settings;
    pool->waits_tail = &pool->waits;
    pool->over_tail = &pool->over;
    pool->descriptor = epoll_create1(EPOLL_CLOEXEC);
    bool good = pool->descriptor >= 0;
    for (uint32_t i = 0; good && i < settings->most; i++) {
        struct postgres *postgres = &pool->members[i].postgres;
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        if (!postgres_open(postgres, settings->connection, error)) {
            postgres_pool_close(pool);
            return NULL;
        }
        good = epoll_ctl(pool->descriptor, EPOLL_CTL_ADD, postgres->descriptor, &event) == 0;
    }
    if (good)
        return pool;
    error_set_errno(error, errno, "cannot make descriptors for a pool of connections");
    postgres_pool_close(pool);
    return NULL;
}

void postgres_pool_close(struct postgres_pool *pool)
{
    if (!pool)
        return;
    for (uint32_t i = 0; i < pool->settings.most; i++)
        postgres_close(&pool->members[i].postgres);
    if (pool->descriptor >= 0)
        close(pool->descriptor);
    free(pool);
}

void postgres_pool_counts(const struct postgres_pool *pool, struct postgres_pool_counts *counts)
{
    *counts = pool->counts;
    counts->open = counts->idle = counts->used = counts->waiting = counts->connecting = 0;
    for (uint32_t i = 0; i < pool->settings.most; i++) {
        enum member_state state = pool->members[i].state;
        counts->open += state >= MEMBER_IDLE;
        counts->idle += state == MEMBER_IDLE || state == MEMBER_CHECKED;
        counts->used += state == MEMBER_USED;
        counts->connecting += state == MEMBER_CONNECTS;
    }
    for (const struct pool_wait *wait = pool->waits; wait; wait = wait->next)
        counts->waiting++;
}

int postgres_pool_descriptor(const struct postgres_pool *pool)
{
    return pool->descriptor;
}

/* ---- members ---- */

static void member_close(struct member *member)
{
    postgres_disconnect(&member->postgres);
    member->state = MEMBER_CLOSED;
}

static void member_connect(struct postgres_pool *pool, struct member *member)
{
    postgres_connect(&member->postgres);
    member->state = MEMBER_CONNECTS;
    /* up to a tenth less, by its place */
    int64_t less = pool->settings.lifetime / 10 / (int64_t)pool->settings.most;
    member->lifetime = pool->settings.lifetime - less * (member - pool->members);
}

static bool is_old(const struct postgres_pool *pool, const struct member *member, int64_t now)
{
    return pool->settings.lifetime > 0 && now - member->opened >= member->lifetime;
}

static void connect_step(struct postgres_pool *pool, struct member *member, int64_t now)
{
    switch (postgres_step(&member->postgres)) {
    case POSTGRES_WAIT:
        return;
    case POSTGRES_DONE:
        member->state = MEMBER_IDLE;
        member->opened = member->used = member->checked = now;
        pool->counts.opened++;
        pool->pause = 0;
        return;
    case POSTGRES_COPIES:
    case POSTGRES_ROW:
    case POSTGRES_FAILED:
        break;
    }
    snprintf(pool->trouble, sizeof(pool->trouble), "%s", member->postgres.message);
    member_close(member);
    pool->pause = pool->pause ? 2 * pool->pause : PAUSE_FIRST;
    if (pool->pause > PAUSE_MOST)
        pool->pause = PAUSE_MOST;
    pool->pause_until = now + pool->pause;
}

static uint32_t open_count(const struct postgres_pool *pool)
{
    struct postgres_pool_counts counts;
    postgres_pool_counts(pool, &counts);
    return counts.open;
}

/* The monitor of what nobody uses. */
static void idle_step(struct postgres_pool *pool, struct member *member, int64_t now)
{
    const struct postgres_pool_settings *settings = &pool->settings;
    if (!postgres_is_well(&member->postgres)) {
        pool->counts.replaced_broken++;
        member_close(member);
    } else if (is_old(pool, member, now)) {
        pool->counts.replaced_old++;
        member_close(member);
    } else if (settings->idle > 0 && now - member->used >= settings->idle &&
               open_count(pool) > settings->least) {
        member_close(member);
    } else if (now - member->checked >= settings->check) {
        pool->counts.checks++;
        member->checked = now;
        member->state = MEMBER_CHECKED;
        postgres_send(&member->postgres, "SELECT 1");
    }
}

static void check_step(struct postgres_pool *pool, struct member *member, int64_t now)
{
    enum postgres_progress progress = postgres_step(&member->postgres);
    if (progress == POSTGRES_DONE) {
        member->state = MEMBER_IDLE;
        member->checked = now;
    } else if (progress != POSTGRES_WAIT || now - member->checked >= CHECK_PATIENCE) {
        pool->counts.replaced_broken++;
        member_close(member);
    }
}

/* ---- waiting ---- */

void postgres_pool_ask(struct postgres_pool *pool, struct pool_wait *wait)
{
    wait->connection = NULL;
    wait->detail[0] = 0;
    wait->next = NULL;
    wait->deadline = clock_monotonic() + pool->settings.wait;
    *pool->waits_tail = wait;
    pool->waits_tail = &wait->next;
    pool->was_used = true;
}

static bool list_remove(struct pool_wait **list, struct pool_wait ***tail, struct pool_wait *wait)
{
    for (; *list; list = &(*list)->next) {
        if (*list != wait)
            continue;
        *list = wait->next;
        if (!wait->next)
            *tail = list;
        wait->next = NULL;
        return true;
    }
    return false;
}

static void wait_end(struct postgres_pool *pool, struct pool_wait *wait)
{
    CHECK(list_remove(&pool->waits, &pool->waits_tail, wait));
    *pool->over_tail = wait;
    pool->over_tail = &wait->next;
}

void postgres_pool_withdraw(struct postgres_pool *pool, struct pool_wait *wait)
{
    if (list_remove(&pool->waits, &pool->waits_tail, wait))
        return;
    if (list_remove(&pool->over, &pool->over_tail, wait) && wait->connection)
        postgres_pool_return(pool, wait->connection, true);
}

struct pool_wait *postgres_pool_reap(struct postgres_pool *pool)
{
    struct pool_wait *wait = pool->over;
    if (wait)
        CHECK(list_remove(&pool->over, &pool->over_tail, wait));
    return wait;
}

/* "no connection within 5.0 s: 10 of 10 in use, 3 waiting", or why none can be opened. */
static void wait_expire(struct postgres_pool *pool, struct pool_wait *wait)
{
    struct postgres_pool_counts counts;
    /* behind libpq's `connection to server at … failed: `, for there is little room */
    const char *failed = strstr(pool->trouble, " failed: ");
    const char *trouble = failed ? failed + strlen(" failed: ") : pool->trouble;
    postgres_pool_counts(pool, &counts);
    snprintf(wait->detail, sizeof(wait->detail),
             "no connection within %.1f s: %u of %u in use, %u opening, %u waiting%s%.80s",
             (double)pool->settings.wait / NANOSECONDS, counts.used, pool->settings.most,
             counts.connecting, counts.waiting, pool->pause ? "; " : "",
             pool->pause ? trouble : "");
    wait_end(pool, wait);
}

/* The one used last: it is warm, and the others may grow idle enough to be closed. */
static struct member *idle_take(struct postgres_pool *pool)
{
    struct member *best = NULL;
    for (uint32_t i = 0; i < pool->settings.most; i++) {
        struct member *member = &pool->members[i];
        if (member->state == MEMBER_IDLE && (!best || member->used > best->used))
            best = member;
    }
    return best;
}

static void connections_hand_out(struct postgres_pool *pool, int64_t now)
{
    struct member *member;
    while (pool->waits && (member = idle_take(pool)) != NULL) {
        struct pool_wait *wait = pool->waits;
        member->state = MEMBER_USED;
        wait->connection = &member->postgres;
        wait_end(pool, wait);
    }
    while (pool->waits && now >= pool->waits->deadline)
        wait_expire(pool, pool->waits);
}

/* As many as are waited for, or kept anyway. */
static void connections_open(struct postgres_pool *pool, int64_t now)
{
    struct postgres_pool_counts counts;
    postgres_pool_counts(pool, &counts);
    uint32_t wanted = counts.waiting;
    if (pool->was_used && counts.open < pool->settings.least &&
        wanted < pool->settings.least - counts.open)
        wanted = pool->settings.least - counts.open;
    if (pool->pause && now < pool->pause_until)
        return;
    if (pool->pause && wanted > 1)
        wanted = 1; /* one tries whether it works again */
    for (uint32_t i = 0; i < pool->settings.most && wanted > counts.connecting; i++) {
        if (pool->members[i].state != MEMBER_CLOSED)
            continue;
        member_connect(pool, &pool->members[i]);
        wanted--;
    }
}

void postgres_pool_step(struct postgres_pool *pool)
{
    int64_t now = clock_monotonic();
    for (uint32_t i = 0; i < pool->settings.most; i++) {
        struct member *member = &pool->members[i];
        switch (member->state) {
        case MEMBER_CONNECTS:
            connect_step(pool, member, now);
            break;
        case MEMBER_IDLE:
            idle_step(pool, member, now);
            break;
        case MEMBER_CHECKED:
            check_step(pool, member, now);
            break;
        case MEMBER_CLOSED:
        case MEMBER_USED:
            break;
        }
    }
    connections_hand_out(pool, now);
    connections_open(pool, now);
}

void postgres_pool_return(struct postgres_pool *pool, struct postgres *connection, bool usable)
{
    int64_t now = clock_monotonic();
    struct member *member = (struct member *)connection;
    _Static_assert(offsetof(struct member, postgres) == 0, "a connection is its member's start");
    CHECK(member->state == MEMBER_USED);
    bool old = is_old(pool, member, now);
    bool well = usable && connection->state == POSTGRES_IDLE;
    pool->counts.replaced_broken += !well;
    pool->counts.replaced_old += well && old;
    if (!well || old) {
        member_close(member);
        return;
    }
    member->state = MEMBER_IDLE;
    member->used = member->checked = now;
}

int64_t postgres_pool_wake(const struct postgres_pool *pool)
{
    int64_t wake = INT64_MAX;
    const struct postgres_pool_settings *settings = &pool->settings;
    if (pool->waits)
        wake = pool->waits->deadline;
    for (uint32_t i = 0; i < settings->most; i++) {
        const struct member *member = &pool->members[i];
        int64_t due = INT64_MAX;
        if (member->state == MEMBER_IDLE) {
            due = member->checked + settings->check;
            if (settings->lifetime > 0 && member->opened + member->lifetime < due)
                due = member->opened + member->lifetime;
        } else if (member->state == MEMBER_CHECKED) {
            due = member->checked + CHECK_PATIENCE;
        } else if (member->state == MEMBER_CLOSED && pool->pause &&
                   (pool->waits || open_count(pool) < settings->least)) {
            due = pool->pause_until;
        }
        if (due < wake)
            wake = due;
    }
    return wake;
}
