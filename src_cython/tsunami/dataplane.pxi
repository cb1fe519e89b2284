# The data plane: an asyncio selector that serves its client sockets itself.
#
# What it is: epoll for asyncio's own descriptors, as selectors.EpollSelector; and, for sockets that it has adopted, the
# whole way from recv over conn_run to send, inside select(), without the GIL and without Python objects.
#
# What it is not: a server. It does not accept, and it closes nothing; what needs Python (a cold command, the end of a
# connection) it hands over: take() gives those, and select() reports `signal` (a descriptor that asyncio watches and
# that never becomes ready by itself) as readable, so that a reader callback of the loop runs, and never anything inside
# select().
#
#       +--> epoll_wait ---> asyncio's descriptor? ------------------------------------> return it
#       |        |
#       |        +---------> a client's? remember the edge, queue the client
#       |                         |
#       |        each queued client in turn: send what waits, recv once, run, send once
#       |             |                |                  |
#       |             |          needs Python         still work
#       |             |                |                  |
#       +-------------+           hand over ----> return  queue again
#
# Time: a round of clients ends after ROUND_NS, or when the first of asyncio's timers is due; then epoll is asked again,
# without waiting if clients are still queued, and select() returns if asyncio has anything to do. One client's turn is
# one recv, or TURN_NS. So a coroutine waits for a round at most, and a client for one turn of each of the others.
#
# What must stay true:
#
# 1. Client sockets are watched edge-triggered, once and for all: `readable` and `writable` hold what is known. A short
#    recv or send clears it (a recv does not, once the end of the stream has been announced: `ending`); only an edge
#    sets it. So a paused client costs nothing, and no descriptor is ever changed in the steady state.
# 2. A client that has work for us and could do it now is queued, or has been handed over.
# 3. Pointers to clients live in the queue, in `handed` and in the kernel; drop() takes a client out of all three, and
#    `clients` keeps the Conn alive until then. drop() never runs inside select().
# 4. What a peer has sent before it went is carried out, whatever way it went: a send or recv that fails makes the
#    client deaf, and it is served on until recv has nothing more.
# 5. Output above the soft mark stops the commands of that client. Its requests are still received up to soft_query, so
#    that one who sends a long pipeline before reading any reply gets through; beyond that it is not read.

import os as py_os
import selectors
from collections.abc import Mapping

cdef extern from *:
    """
    #include <errno.h>
    #include <sys/types.h>
    #include <sys/socket.h>
    #include <stdint.h>
    #include <time.h>
    #include <unistd.h>
    #ifdef __linux__
    #include <sys/epoll.h>
    #include <sys/eventfd.h>
    #include <sys/syscall.h>
    #define TS_EPOLL 1
    typedef struct epoll_event ts_event_t;
    static inline uint64_t ts_event_tag(const ts_event_t *e) { return e->data.u64; }
    static inline uint32_t ts_event_mask(const ts_event_t *e) { return e->events; }
    static inline int ts_epoll_set(int ep, int op, int fd, uint32_t mask, uint64_t tag) {
        struct epoll_event e;
        e.events = mask;
        e.data.u64 = tag;
        return epoll_ctl(ep, op, fd, &e);
    }
    static int ts_signal_fd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }
    /* Waits ns nanoseconds, for ever if ns is negative. Kernels before 5.11 count in ms: never less than asked. */
    static int ts_epoll_wait(int ep, ts_event_t *events, int n, int64_t ns) {
    #ifdef SYS_epoll_pwait2
        static int missing = 0;
        if (ns > 0 && !missing) {
            struct timespec t = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
            int got = (int)syscall(SYS_epoll_pwait2, ep, events, n, &t, NULL, 0);
            if (got >= 0 || (errno != ENOSYS && errno != EPERM)) return got;
            missing = 1;
        }
    #endif
        int64_t ms = ns < 0 ? -1 : (ns + 999999) / 1000000;
        return epoll_wait(ep, events, n, ms > 1000000000 ? 1000000000 : (int)ms);
    }
    #else
    #define TS_EPOLL 0
    typedef struct { uint64_t tag; uint32_t mask; } ts_event_t;
    enum { EPOLLIN = 1, EPOLLOUT = 4, EPOLLERR = 8, EPOLLHUP = 16, EPOLLRDHUP = 0x2000 };
    enum { EPOLL_CTL_ADD = 1, EPOLL_CTL_DEL = 2, EPOLL_CTL_MOD = 3 };
    #define EPOLLET (1u << 31)
    #define EPOLL_CLOEXEC 0
    static inline uint64_t ts_event_tag(const ts_event_t *e) { return e->tag; }
    static inline uint32_t ts_event_mask(const ts_event_t *e) { return e->mask; }
    static inline int ts_epoll_set(int ep, int op, int fd, uint32_t mask, uint64_t tag) { errno = ENOSYS; return -1; }
    static inline int epoll_create1(int flags) { errno = ENOSYS; return -1; }
    static inline int ts_signal_fd(void) { errno = ENOSYS; return -1; }
    static inline int ts_epoll_wait(int ep, ts_event_t *events, int n, int64_t ns) { errno = ENOSYS; return -1; }
    #endif
    #ifndef MSG_NOSIGNAL
    #define MSG_NOSIGNAL 0
    #endif
    """
    ctypedef struct ts_event_t:
        pass
    uint64_t ts_event_tag(const ts_event_t* e) noexcept nogil
    uint32_t ts_event_mask(const ts_event_t* e) noexcept nogil
    int ts_epoll_set(int ep, int op, int fd, uint32_t mask, uint64_t tag) noexcept nogil
    int ts_epoll_wait(int ep, ts_event_t* events, int n, int64_t ns) noexcept nogil
    int ts_signal_fd() noexcept nogil
    int epoll_create1(int flags) noexcept nogil
    bint TS_EPOLL
    uint32_t EPOLLIN
    uint32_t EPOLLOUT
    uint32_t EPOLLERR
    uint32_t EPOLLHUP
    uint32_t EPOLLRDHUP
    uint32_t EPOLLET
    int EPOLL_CTL_ADD
    int EPOLL_CTL_DEL
    int EPOLL_CTL_MOD
    int EPOLL_CLOEXEC
    int ts_close "close"(int fd) noexcept nogil
    ssize_t recv(int fd, void* buf, size_t n, int flags) noexcept nogil
    ssize_t send(int fd, const void* buf, size_t n, int flags) noexcept nogil
    int MSG_NOSIGNAL
    int MSG_DONTWAIT
    int errno
    int EINTR
    int EAGAIN
    int EWOULDBLOCK

cdef enum:
    EVENTS = 256                # taken from the kernel at once
    ROUND_NS = 500 * 1000       # clients are served before asyncio's descriptors are looked at again
    TURN_NS = 250 * 1000        # one client's commands, before others have their turn
    READ_AHEAD = 16 * 1024      # room for receiving behind a backlog

cdef struct handed_t:
    conn_t* conn
    int state

cdef struct fired_t:
    int fd
    uint32_t mask


cdef class _Selector:
    # The implementation; NativeSelector below adds the abstract base class.
    cdef readonly Plane plane
    cdef plane_t* p
    cdef int epoll
    cdef readonly int signal
    cdef dict keys              # asyncio's: fd -> SelectorKey
    cdef dict clients           # ours: fd -> Conn
    cdef conn_t* first          # clients that have work
    cdef conn_t* last
    cdef handed_t* handed       # for Python
    cdef size_t handed_len
    cdef size_t handed_cap
    cdef fired_t fired[EVENTS]  # asyncio's descriptors that are ready
    cdef int fired_len
    cdef ts_event_t events[EVENTS]

    def __cinit__(self, Plane plane not None):
        self.epoll = self.signal = -1
        self.plane = plane
        self.p = &plane.p
        self.keys = {}
        self.clients = {}
        if not TS_EPOLL:
            raise NotImplementedError("NativeSelector needs epoll; use io=asyncio on this platform")
        self.epoll = epoll_create1(EPOLL_CLOEXEC)
        self.signal = ts_signal_fd()
        if self.epoll < 0 or self.signal < 0:
            raise OSError(errno, py_os.strerror(errno))

    def __dealloc__(self):
        free(self.handed)
        if self.signal >= 0:
            ts_close(self.signal)
        if self.epoll >= 0:
            ts_close(self.epoll)

    # ---- the queue

    cdef void _queue(self, conn_t* c) noexcept nogil:
        if c.queued:
            return
        c.queued = True
        c.next = NULL
        c.prev = self.last
        if self.last != NULL:
            self.last.next = c
        else:
            self.first = c
        self.last = c

    cdef void _unqueue(self, conn_t* c) noexcept nogil:
        if not c.queued:
            return
        c.queued = False
        if c.prev != NULL:
            c.prev.next = c.next
        else:
            self.first = c.next
        if c.next != NULL:
            c.next.prev = c.prev
        else:
            self.last = c.prev
        c.next = c.prev = NULL

    cdef inline void _wake(self) noexcept nogil:
        """Queue those to whom messages were published."""
        cdef conn_t* c
        while self.p.woken != NULL:
            c = <conn_t*>self.p.woken
            self.p.woken = c.wake_next
            c.woken = False
            self._queue(c)

    cdef void _hand_over(self, conn_t* c, int state) noexcept nogil:
        cdef size_t cap
        cdef handed_t* room
        if self.handed_len == self.handed_cap:
            cap = self.handed_cap * 2 if self.handed_cap else 64
            room = <handed_t*>realloc(self.handed, cap * sizeof(handed_t))
            if room == NULL:
                self._queue(c)          # tried again at its next turn
                return
            self.handed = room
            self.handed_cap = cap
        self.p.handing = True
        self.handed[self.handed_len].conn = c
        self.handed[self.handed_len].state = state
        self.handed_len += 1

    # ---- one client's turn

    cdef void _break(self, conn_t* c) noexcept nogil:
        """The socket is broken: nothing can be sent, nothing more will come."""
        if not c.gone:
            c.gone = True
            conn_clear(c)
            self._hand_over(c, S_CLOSING)

    cdef void _deafen(self, conn_t* c) noexcept nogil:
        """Nobody reads what we send. What the peer sent before it went is still received and carried out."""
        c.deaf = True
        c.readable = True       # until recv says that this was all
        conn_hush(c)

    cdef size_t _send(self, conn_t* c, const char* data, size_t n) noexcept nogil:
        """Send what the socket takes; how much that was."""
        cdef ssize_t got
        cdef size_t done = 0
        while done < n:
            got = send(c.fd, data + done, n - done, MSG_NOSIGNAL | MSG_DONTWAIT)
            if got >= 0:
                done += <size_t>got
                if done < n:
                    c.writable = False  # an edge comes when there is room again
                    break
            elif errno == EAGAIN or errno == EWOULDBLOCK:
                c.writable = False
                break
            elif errno != EINTR:
                self._deafen(c)
                break
        self.p.bytes_out += done
        return done

    cdef void _flush(self, conn_t* c) noexcept nogil:
        cdef size_t done
        conn_hush(c)
        if conn_unsent(c) and c.writable and not c.gone:
            done = self._send(c, c.out.data + c.sent, conn_unsent(c))
            if not c.deaf:
                conn_sent(c, done)

    cdef bint _receive(self, conn_t* c) noexcept nogil:
        """One recv. False if nothing came; then `readable` is False, or the stream has ended."""
        cdef input_t* q = &c.input
        cdef size_t missing = input_missing(q), room
        cdef ssize_t got
        if q.data == NULL and missing == 0:
            conn_borrow(c)
        elif not conn_room(c, missing if missing > READ_AHEAD else READ_AHEAD):
            self._break(c)
            return False
        room = q.cap - q.end
        while True:
            got = recv(c.fd, q.data + q.end, room, MSG_DONTWAIT)
            if got >= 0 or errno != EINTR:
                break
        if got > 0:
            q.end += <size_t>got
            c.readable = <size_t>got == room or c.ending
            self.p.bytes_in += <uint64_t>got
            return True
        c.readable = False
        if got == 0:
            c.ended = True
        elif errno != EAGAIN and errno != EWOULDBLOCK:
            self._deafen(c)
            c.readable = False
            c.ended = True
        conn_settle(c)
        return False

    cdef int _answer(self, conn_t* c, uint64_t until) noexcept nogil:
        """Run what has come and send the replies: through the shared buffer if all before has been sent."""
        cdef out_t* o = &self.p.shared_out
        cdef int state
        cdef size_t sent
        if conn_unsent(c):
            conn_pack(c)
            state = conn_run(c, &c.out, until)
            self._flush(c)
        else:
            o.len = 0
            state = conn_run(c, o, until)
            sent = self._send(c, o.data, o.len) if o.len and c.writable and not c.deaf else 0
            if sent < o.len and not c.gone and not c.deaf:
                out_bytes(&c.out, o.data + sent, o.len - sent)
            if o.failed or o.cap > 4 * SHARED_BYTES:
                c.out.failed = c.out.failed or o.failed
                free(o.data)
                memset(o, 0, sizeof(out_t))
        conn_settle(c)
        conn_limit(c)
        return S_CLOSING if c.closing else state

    cdef void _serve(self, conn_t* c, uint64_t until) noexcept nogil:
        """One turn: send what waits, receive at most once, answer, send."""
        cdef int state
        if c.gone:
            return
        self._flush(c)
        if c.gone or c.cold:
            return                      # a cold command is being answered: what follows it waits
        if c.closing:
            if conn_unsent(c) == 0:
                self._hand_over(c, S_CLOSING)
            return
        if conn_unsent(c) > self.p.soft_output:
            if c.readable and input_size(&c.input) < self.p.soft_query and self._receive(c):
                c.hungry = False
                conn_settle(c)          # out of the shared buffer: it is not run now
                self._queue(c)
                return
            if not c.deaf:
                return                  # the edge that makes it writable queues it again
        if c.readable and c.hungry:
            self._receive(c)
            if c.gone:
                return
        state = self._answer(c, until)
        if c.gone:
            return
        if state == S_COLD:
            self._hand_over(c, S_COLD)
        elif state == S_CLOSING or (state == S_NEED_DATA and c.ended):
            c.closing = True
            if conn_unsent(c) == 0:
                self._hand_over(c, S_CLOSING)
        elif state == S_BUDGET or c.readable or (state == S_FULL and conn_unsent(c) <= self.p.soft_output):
            self._queue(c)

    # ---- waiting

    cdef int _poll(self, int64_t ns) noexcept nogil:
        """Ask the kernel once. The number of events, or the negative errno."""
        cdef int n = ts_epoll_wait(self.epoll, self.events, EVENTS, ns)
        cdef int i
        cdef uint64_t tag, now
        cdef uint32_t mask
        cdef conn_t* c
        if n < 0:
            return -errno
        if n == 0:
            return 0
        now = clock_ms()
        for i in range(n):
            tag = ts_event_tag(&self.events[i])
            mask = ts_event_mask(&self.events[i])
            if tag & 1 == 0:
                self.fired[self.fired_len].fd = <int>(tag >> 1)
                self.fired[self.fired_len].mask = mask
                self.fired_len += 1
                continue
            c = <conn_t*>(tag & ~<uint64_t>1)
            if mask & EPOLLIN:
                c.active_ms = now
            if mask & (EPOLLIN | EPOLLHUP | EPOLLERR):
                c.readable = True
            if mask & (EPOLLRDHUP | EPOLLHUP | EPOLLERR):
                c.ending = True
            if mask & (EPOLLOUT | EPOLLHUP | EPOLLERR):
                c.writable = True
            self._queue(c)
        return n

    cdef int _wait(self, int64_t timeout) noexcept nogil:
        """Serve clients until asyncio has something to do or `timeout` ns are over (negative: never).

        0, or the negative errno of epoll_wait.
        """
        cdef bint endless = timeout < 0
        cdef uint64_t now = ts_now_ns()
        cdef uint64_t until = now + <uint64_t>timeout if not endless else <uint64_t>-1
        cdef uint64_t end
        cdef conn_t* c
        cdef int status
        self.fired_len = 0
        self._wake()
        while True:
            if self.first != NULL or self.handed_len:
                timeout = 0             # somebody has work: only look
            elif endless:
                timeout = -1
            else:
                timeout = <int64_t>(until - now) if until > now else 0
            status = self._poll(timeout)
            if status < 0:
                return status
            now = ts_now_ns()
            end = now + ROUND_NS
            if now < until < end:
                end = until
            while self.first != NULL and now < end:
                c = self.first
                self._unqueue(c)
                self._serve(c, now + TURN_NS)
                self._wake()
                now = ts_now_ns()
            if self.fired_len or self.handed_len or now >= until:
                return 0

    def select(self, timeout=None):
        """Serve clients until one of asyncio's descriptors is ready, Python is needed or the timeout is over."""
        cdef int64_t ns = -1
        cdef int status, i
        cdef uint32_t mask
        cdef list ready = []
        if timeout is not None:
            ns = 0 if timeout <= 0 else <int64_t>min(timeout * 1e9, 1e18)
        with nogil:
            status = self._wait(ns)
        if trash_waiting():
            trash_collect()         # objects of rows that commands let go: their last references are dropped here
        if status < 0 and status != -EINTR:
            raise OSError(-status, py_os.strerror(-status))
        for i in range(self.fired_len):
            key = self.keys.get(self.fired[i].fd)
            mask = 0
            if self.fired[i].mask & ~EPOLLIN:
                mask |= <uint32_t>selectors.EVENT_WRITE
            if self.fired[i].mask & ~EPOLLOUT:
                mask |= <uint32_t>selectors.EVENT_READ
            if key is not None:
                ready.append((key, mask & key.events))
        if self.handed_len:
            key = self.keys.get(self.signal)
            if key is not None:
                ready.append((key, selectors.EVENT_READ))
        return ready

    # ---- clients

    def adopt(self, int fd, Conn conn not None):
        """Serve this non-blocking socket from now on. The caller still owns it, and closes it after drop()."""
        if conn.plane is not self.plane:
            raise ValueError("the connection belongs to another plane")
        if conn.c.fd >= 0 or fd in self.clients:
            raise KeyError(f"descriptor {fd} or its connection is already served")
        if ts_epoll_set(self.epoll, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                        <uint64_t>&conn.c | 1) != 0:
            raise OSError(errno, py_os.strerror(errno))
        conn.c.fd = fd
        self.clients[fd] = conn

    def drop(self, int fd):
        """Forget this socket; what it had to say is lost. KeyError if it is not served."""
        cdef Conn conn = self.clients.pop(fd)
        cdef size_t i, kept = 0
        ts_epoll_set(self.epoll, EPOLL_CTL_DEL, fd, 0, 0)
        self._unqueue(&conn.c)
        plane_unwake(self.p, &conn.c)
        for i in range(self.handed_len):
            if self.handed[i].conn != &conn.c:
                self.handed[kept] = self.handed[i]
                kept += 1
        self.handed_len = kept
        conn.c.fd = -1

    def resume(self, int fd):
        """After done(), write() or close(): go on with this client at the next select(). KeyError: it is not served."""
        cdef Conn conn = self.clients[fd]
        self._queue(&conn.c)

    def push_all(self, list conns not None, Push push not None, /):
        """Append a message to the output of each connection, spelled once for each version of RESP, and send it at the
        next select(). Gives the connections that are not served here.
        """
        cdef list others = []
        cdef conn_t* c
        fan_out(conns, push)
        for item in conns:
            c = &(<Conn>item).c
            if c.fd >= 0:
                self._queue(c)
            else:
                others.append(item)
        return others

    def take(self):
        """Give what has been handed over since the last call.

        (fd, COLD): to be answered. (fd, CLOSING): to be dropped and closed.
        """
        cdef list found = []
        cdef size_t i
        for i in range(self.handed_len):
            found.append((self.handed[i].conn.fd, self.handed[i].state))
        self.handed_len = 0
        self.p.handing = False
        return found

    # ---- asyncio's descriptors

    def register(self, fileobj, int events, data=None):
        key = selectors.SelectorKey(fileobj, _descriptor(fileobj), _events(events), data)
        if key.fd in self.keys or key.fd in self.clients:
            raise KeyError(f"{fileobj!r} (FD {key.fd}) is already registered")
        self._watch(EPOLL_CTL_ADD, key)
        self.keys[key.fd] = key
        return key

    def unregister(self, fileobj):
        key = self.keys.pop(self._lookup(fileobj))
        ts_epoll_set(self.epoll, EPOLL_CTL_DEL, key.fd, 0, 0)   # one that has been closed is gone already
        return key

    def modify(self, fileobj, int events, data=None):
        old = self.keys[self._lookup(fileobj)]
        key = selectors.SelectorKey(old.fileobj, old.fd, _events(events), data)
        if events != old.events:
            self._watch(EPOLL_CTL_MOD, key)
        self.keys[key.fd] = key
        return key

    def get_map(self):
        return _Map(self) if self.epoll >= 0 else None

    def get_key(self, fileobj):
        if self.epoll < 0:
            raise RuntimeError("Selector is closed")
        return self.keys[self._lookup(fileobj)]

    def close(self):
        for fd in list(self.clients):
            self.drop(fd)
        self.keys.clear()
        for fd in (self.signal, self.epoll):
            if fd >= 0:
                ts_close(fd)
        self.signal = self.epoll = -1

    def fileno(self):
        return self.epoll

    def _watch(self, int op, key):
        cdef uint32_t mask = 0
        if key.events & selectors.EVENT_READ:
            mask |= EPOLLIN
        if key.events & selectors.EVENT_WRITE:
            mask |= EPOLLOUT
        if ts_epoll_set(self.epoll, op, key.fd, mask, <uint64_t><uint32_t>key.fd << 1) != 0:
            raise OSError(errno, py_os.strerror(errno))

    def _lookup(self, fileobj):
        """The descriptor of a registered file, also of one that has been closed. KeyError."""
        try:
            fd = _descriptor(fileobj)
            if fd in self.keys:
                return fd
        except ValueError:
            pass
        for key in self.keys.values():
            if key.fileobj is fileobj:
                return key.fd
        raise KeyError(f"{fileobj!r} is not registered")


def _descriptor(fileobj):
    fd = fileobj if isinstance(fileobj, int) else int(fileobj.fileno())
    if fd < 0:
        raise ValueError(f"invalid file descriptor: {fd}")
    return fd


def _events(events):
    if not events or events & ~(selectors.EVENT_READ | selectors.EVENT_WRITE):
        raise ValueError(f"Invalid events: {events!r}")
    return events


class _Map(Mapping):
    """Of files to keys, as selectors has it: iterating gives descriptors."""

    def __init__(self, selector):
        self._selector = selector

    def __len__(self):
        return len((<_Selector>self._selector).keys)

    def __getitem__(self, fileobj):
        return self._selector.get_key(fileobj)

    def __iter__(self):
        return iter((<_Selector>self._selector).keys)


class NativeSelector(_Selector, selectors.BaseSelector):
    """An epoll selector for asyncio that serves the sockets it has adopted itself. Linux only.

    asyncio.SelectorEventLoop(NativeSelector(plane)) is a loop like any other;
    loop.add_reader(selector.signal, callback) makes callback run when take() has something to give.
    """
