# PUBLISH, natively: one message, spelled once, appended to the output of everybody who listens to the channel.
#
# What it is not: for patterns, for listeners that the selector does not serve, and for a publisher who listens to
# anything itself (it would hear its message before the reply). Those are Python's (tsunami_server.pubsub).
#
# What must stay true: the listeners are sent to by the selector as soon as the publisher's turn is over (`woken`).

cdef inline void plane_wake(plane_t* p, conn_t* c) noexcept nogil:
    """This connection has output that nobody has been told of."""
    if not c.woken:
        c.woken = True
        c.wake_next = <conn_t*>p.woken
        p.woken = c

cdef void plane_unwake(plane_t* p, conn_t* c) noexcept nogil:
    cdef conn_t* at = <conn_t*>p.woken
    if not c.woken:
        return
    c.woken = False
    if at == c:
        p.woken = c.wake_next
        return
    while at.wake_next != c:
        at = at.wake_next
    at.wake_next = c.wake_next

cdef int hot_publish(run_t* r) noexcept nogil:
    cdef plane_t* p = r.plane
    cdef conn_t* c = <conn_t*>r.conn
    cdef out_t* o = &p.spelled
    cdef channel_t* ch
    cdef probe_t name
    cdef size_t i, at
    if p.patterns or p.handing or c.subscribed or arg_key(r, 1, &name) != ST_OK:
        return H_COLD
    ch = channel_find(&p.channels, name.hash, arg(r, 1), arg_len(r, 1))
    if ch == NULL:
        out_head(r.out, c':', 0)
        return H_DONE
    if ch.others:
        return H_COLD
    o.len = 0
    out_bytes(o, b"*3\r\n$7\r\nmessage\r\n", 17)
    out_bulk(o, arg(r, 1), arg_len(r, 1))
    out_bulk(o, arg(r, 2), arg_len(r, 2))
    if o.failed:
        free(o.data)
        memset(o, 0, sizeof(out_t))
        return H_COLD
    for i in range(ch.len):
        c = <conn_t*>ch.at[i]
        if c.closing or c.deaf:
            continue
        conn_pack(c)
        at = c.out.len
        out_bytes(&c.out, o.data, o.len)
        if conn_speaks(c) >= 3 and not c.out.failed:
            c.out.data[at] = c'>'       # in RESP3 it is a push, and nothing else is different
        conn_limit(c)
        plane_wake(p, c)
    if o.cap > SHARED_BYTES:
        free(o.data)
        memset(o, 0, sizeof(out_t))
    out_head(r.out, c':', <int64_t>ch.len)
    return H_DONE

cdef void hot_register_messages() noexcept:
    hot_add("publish", hot_publish, 3, 3, W_OTHERS)
