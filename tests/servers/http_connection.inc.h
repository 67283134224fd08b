/* The test server's connections: buffers, timers, one epoll loop. Included once, by http_server.c,
 * which defines request_answer. One thread; nothing here is shared.
 *
 * A connection answers one request at a time. An answer is appended to `out` and leaves at once, or
 * when its timer is due (`hold`), or piece by piece from a pump. */

enum ending { ENDING_KEEP, ENDING_CLOSE, ENDING_RESET, ENDING_HANG };

struct bytes {
    char *data;
    size_t length;
    size_t capacity;
};

struct span {
    const char *data;
    size_t length;
};

struct connection;
/* Appends more of an answer to c->out; called when all before is sent (or, dripping, when its time
 * has come). False: that was all. */
typedef bool pump_function(struct connection *c);

struct connection {
    int descriptor;
    bool watches_output;
    bool answering; /* a request came and its answer is not all sent */
    bool held;      /* the answer waits for its timer */
    enum ending ending;
    struct bytes in;
    size_t used; /* of `in`: the request that is being answered */
    struct bytes out;
    size_t sent;
    pump_function *pump;
    uint64_t pump_left;
    int64_t pump_gap; /* nanoseconds between pieces; 0: as fast as it goes */
    uint64_t pump_state;
    const struct bytes *pump_block;
    int64_t asked;       /* when the request was read */
    int64_t due;         /* timer; 0: none */
    uint32_t timer_slot; /* in the heap */
    struct route *route;
    struct connection *next_free;
};

static struct {
    int epoll;
    int listener;
    bool mute; /* accepts and never reads */
    bool quit;
    int64_t now;
    struct connection **timers; /* a binary heap by `due` */
    uint32_t timer_count, timer_capacity;
    struct connection *free_list;
    uint64_t requests, accepted, open, in_flight, in_flight_most, answered, broken_off;
    int64_t service; /* nanoseconds from reading a request to sending all of its answer, summed */
    int64_t cpu_started;
} server;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "http_server: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t time_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void bytes_reserve(struct bytes *bytes, size_t more)
{
    if (bytes->length + more <= bytes->capacity)
        return;
    size_t capacity = bytes->capacity ? bytes->capacity : 1024;
    while (capacity < bytes->length + more)
        capacity *= 2;
    bytes->data = realloc(bytes->data, capacity);
    if (!bytes->data)
        die("memory");
    bytes->capacity = capacity;
}

static void bytes_add(struct bytes *bytes, const void *data, size_t length)
{
    bytes_reserve(bytes, length);
    if (length)
        memcpy(bytes->data + bytes->length, data, length);
    bytes->length += length;
}

static void bytes_text(struct bytes *bytes, const char *text)
{
    bytes_add(bytes, text, strlen(text));
}

__attribute__((format(printf, 2, 3))) static void bytes_print(struct bytes *bytes,
                                                              const char *format, ...)
{
    va_list list;
    bytes_reserve(bytes, 512);
    va_start(list, format);
    int length = vsnprintf(bytes->data + bytes->length, 512, format, list);
    va_end(list);
    bytes->length += length < 512 ? (size_t)length : 511;
}

/* The heap of timers. */
static void timer_place(uint32_t slot, struct connection *c)
{
    server.timers[slot] = c;
    c->timer_slot = slot;
}

static void timer_up(uint32_t slot, struct connection *c)
{
    while (slot > 0 && server.timers[(slot - 1) / 2]->due > c->due) {
        timer_place(slot, server.timers[(slot - 1) / 2]);
        slot = (slot - 1) / 2;
    }
    timer_place(slot, c);
}

static void timer_down(uint32_t slot, struct connection *c)
{
    for (;;) {
        uint32_t child = slot * 2 + 1;
        if (child >= server.timer_count)
            break;
        if (child + 1 < server.timer_count &&
            server.timers[child + 1]->due < server.timers[child]->due)
            child++;
        if (server.timers[child]->due >= c->due)
            break;
        timer_place(slot, server.timers[child]);
        slot = child;
    }
    timer_place(slot, c);
}

static void timer_stop(struct connection *c)
{
    if (!c->due)
        return;
    uint32_t slot = c->timer_slot;
    struct connection *last = server.timers[--server.timer_count];
    c->due = 0;
    if (last == c)
        return;
    if (slot > 0 && server.timers[(slot - 1) / 2]->due > last->due)
        timer_up(slot, last);
    else
        timer_down(slot, last);
}

static void timer_start(struct connection *c, int64_t due)
{
    timer_stop(c);
    if (server.timer_count == server.timer_capacity) {
        server.timer_capacity = server.timer_capacity ? server.timer_capacity * 2 : 256;
        server.timers = realloc(server.timers, server.timer_capacity * sizeof(struct connection *));
        if (!server.timers)
            die("memory");
    }
    c->due = due;
    timer_up(server.timer_count++, c);
}

static void answer_count(struct connection *c, bool whole);

static void connection_close(struct connection *c)
{
    struct linger reset = {.l_onoff = 1};
    timer_stop(c);
    if (c->answering)
        answer_count(c, false);
    if (c->ending == ENDING_RESET)
        setsockopt(c->descriptor, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(c->descriptor);
    c->descriptor = -1;
    free(c->in.data);
    free(c->out.data);
    c->in = c->out = (struct bytes){0};
    server.open--;
    c->next_free = server.free_list;
    server.free_list = c;
}

static void connection_watch(struct connection *c, bool output)
{
    if (c->watches_output == output)
        return;
    struct epoll_event event = {.events = EPOLLIN | (output ? EPOLLOUT : 0u), .data.ptr = c};
    c->watches_output = output;
    if (epoll_ctl(server.epoll, EPOLL_CTL_MOD, c->descriptor, &event) != 0)
        die("epoll_ctl");
}

/* Sends what is there. False: the connection is closed now. *blocked: the peer has to read. */
static bool connection_send(struct connection *c, bool *blocked)
{
    *blocked = false;
    while (c->sent < c->out.length) {
        ssize_t size =
            send(c->descriptor, c->out.data + c->sent, c->out.length - c->sent, MSG_NOSIGNAL);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            *blocked = true;
            connection_watch(c, true);
            return true;
        }
        if (size < 0) {
            connection_close(c);
            return false;
        }
        c->sent += (size_t)size;
    }
    c->out.length = c->sent = 0;
    return true;
}

/* The answer has been sent. False: the connection is closed now. */
static bool connection_answered(struct connection *c)
{
    connection_watch(c, false);
    if (c->ending == ENDING_HANG) {
        c->held = true; /* for ever */
        return true;
    }
    answer_count(c, true);
    if (c->ending != ENDING_KEEP) {
        connection_close(c);
        return false;
    }
    memmove(c->in.data, c->in.data + c->used, c->in.length - c->used);
    c->in.length -= c->used;
    c->used = 0;
    return true;
}

/* Moves an answer on as far as it goes. False: closed. */
static bool connection_flush(struct connection *c)
{
    bool blocked;
    while (c->answering && !c->held) {
        if (!connection_send(c, &blocked))
            return false;
        if (blocked)
            return true;
        if (!c->pump)
            return connection_answered(c);
        if (c->pump_gap) {
            c->held = true;
            connection_watch(c, false);
            timer_start(c, server.now + c->pump_gap);
        }
        if (!c->pump(c))
            c->pump = NULL;
    }
    return true;
}

static bool request_answer(struct connection *c); /* http_server.c; false: nothing whole there */

/* Answers all requests that are there. */
static void connection_work(struct connection *c)
{
    if (!connection_flush(c))
        return;
    while (!c->answering && c->in.length) {
        if (!request_answer(c))
            return;
        if (!connection_flush(c))
            return;
    }
}

static void connection_read(struct connection *c)
{
    for (;;) {
        size_t room = c->in.length < 16384 ? 4096 : c->in.length;
        bytes_reserve(&c->in, room);
        room = c->in.capacity - c->in.length;
        ssize_t size = recv(c->descriptor, c->in.data + c->in.length, room, 0);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0 && errno == EAGAIN)
            break;
        if (size <= 0) {
            connection_close(c);
            return;
        }
        c->in.length += (size_t)size;
        if ((size_t)size < room)
            break;
    }
    connection_work(c);
}

static void connection_accept(void)
{
    for (int i = 0; i < 64; i++) {
        int descriptor = accept4(server.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (descriptor < 0)
            return;
        int on = 1;
        setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        server.accepted++;
        server.open++;
        if (server.mute)
            continue;
        struct connection *c = server.free_list;
        if (c)
            server.free_list = c->next_free;
        else if (!(c = malloc(sizeof(*c))))
            die("memory");
        *c = (struct connection){.descriptor = descriptor};
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(server.epoll, EPOLL_CTL_ADD, descriptor, &event) != 0)
            die("epoll_ctl");
    }
}

static void timers_run(void)
{
    while (server.timer_count && server.timers[0]->due <= server.now) {
        struct connection *c = server.timers[0];
        timer_stop(c);
        c->held = false;
        connection_work(c);
    }
}

static void server_loop(void)
{
    struct epoll_event events[256];
    while (!server.quit) {
        struct timespec wait = {0};
        if (server.timer_count) {
            int64_t left = server.timers[0]->due - time_now();
            if (left > 0)
                wait = (struct timespec){left / 1000000000, left % 1000000000};
        }
        int count =
            epoll_pwait2(server.epoll, events, 256, server.timer_count ? &wait : NULL, NULL);
        if (count < 0 && errno != EINTR)
            die("epoll_pwait2");
        server.now = time_now();
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c)
                connection_accept();
            else if (c->descriptor < 0)
                continue; /* closed by an earlier event of this round */
            else if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                connection_read(c);
            else
                connection_work(c);
        }
        timers_run();
    }
}
