# Sessions: who owns which table, who inherits it, who has fixed it, and the messages that tell of it.
#
# What it is: the class Session and the rules of ownership (ETS's processes, as far as tables are concerned). A Python
# program makes sessions with tsunami.session(); the server makes one for a connection as soon as it needs one.
#
# What it is not: the check of rights, which is one comparison in the engine (session.pxi). Here is written what it
# compares: `protection` and `owner` of the table_t.
#
#       new ----> owned by S ----give_away----> owned by R       R gets a message
#                     |
#                 S ends ----heir lives, and is not S---------> owned by the heir, which gets a message
#                     |
#                     +-----no such heir----------------------> deleted
#
# The session of a call is that of its context (a ContextVar): threads and asyncio tasks each have their own. None is
# nobody in particular: its number is 0, it owns nothing, and all calls without a session share its fixations.
#
# Locks. `_rights` guards everything in this file: who lives, owners, heirs, counts of fixations, inboxes. The order is
# _rights, then _naming, then the engine's. Under it no code of others runs: terms are packed before, unpacked
# after, callbacks called after. It is reentrant, because the collector may run finalizers anywhere, and each step
# leaves a whole state.
#
# What must stay true:
#
# 1. A table with an owner is in its owner's _tables, and only there: the owner keeps unnamed tables alive.
# 2. t.owner is the number of the owner in the table's _Standing, or 0. Only a live session becomes owner.
# 3. A fixation counts in the engine before it counts for its session, and after it has ceased to. So the engine never
#    has fewer than the sessions together.
# 4. A session that has ended is never alive again, owns nothing and has fixed nothing.
# 5. A message is in the inbox before the new owner's number is in the table, and before anybody can see that the old
#    owner has ended.

import contextvars as _contextvars
import time as _time
from collections import deque as _deque

from cpython.contextvars cimport get_value as contextvar_value
from cpython.exc cimport PyErr_SetObject, PyErr_WriteUnraisable

cdef enum:
    SESSION_LIVES = 0
    SESSION_ENDS = 1
    SESSION_OVER = 2

cdef object _rights = _threading.RLock()
cdef object _current = _contextvars.ContextVar("tsunami.session", default=None)
cdef dict _sessions = {}            # those that live, by number
cdef tuple PROTECTIONS = ("public", "protected", "private")


cdef inline Session session_now():
    return <Session>contextvar_value(_current, None)

cdef inline uint64_t session_number():
    cdef Session session = session_now()
    return session.number if session is not None else 0


def current_session():
    """The session in which calls of this context are made, or None.

    >>> import tsunami
    >>> with tsunami.session() as s:
    ...     tsunami.current_session() is s
    True
    """
    return session_now()


def session():
    """A new session: it can own tables. As a context it is the session of all calls made in it, and ends with it.

    When a session ends its tables go to their heirs or are deleted, and its fixations are undone. A session that is not
    used as a context lives until end() is called.

    >>> import tsunami
    >>> with tsunami.session() as s:
    ...     t = s.new("doc_mine", protection="private")
    ...     t.insert((1, "mine"))
    True
    >>> tsunami.whereis("doc_mine") is None
    True
    """
    return Session()


def act(Session session, function, /, *args):
    """Call function(*args) as this session; None is nobody in particular. For the server, around each handler."""
    cdef object token
    if session_now() is session:
        return function(*args)
    token = _current.set(session)
    try:
        return function(*args)
    finally:
        _current.reset(token)


def become(Session session, /):
    """Be this session from now on, in this context: for a task that belongs to one."""
    if session_now() is not session:
        _current.set(session)


def require(Table table not None, str right not None, /):
    """Fail as a function of this right ("read" or "write") would, before it looks at its other arguments."""
    table.may(RIGHT_READ if right == "read" else RIGHT_WRITE)


# ---- terms that wait

cdef bytes term_parcel(object term):
    """A copy of a term, packed. BadType for what no table can hold without keeping the object itself."""
    cdef pack_ctx_t ctx
    cdef buf_t buf
    cdef size_t at = 0
    ctx.allow_objects = False
    ctx.keypos = -1
    ctx.owner = NULL
    buf_init(&buf, NULL, 0)
    try:
        encode_row((term,), &buf, &at, &ctx)
        return buf.data[at:buf.len]
    finally:
        buf_free(&buf)

cdef object term_unparcel(bytes parcel):
    cdef const char* p = parcel
    return decode_row(<const uint64_t*>p, NULL)[0]


# ---- what a table has of sessions

@cython.final
cdef class _Standing:
    """Of one table: its owner, its heir, and who has fixed it. Most tables never have one."""
    cdef Session owner
    cdef Session heir
    cdef bytes parcel           # the heir's data
    cdef dict fixers            # by number of the session: [session or None, count]
    cdef object fixed_ns        # when the first fixation in force began: time of day, and monotonic
    cdef object fixed_mono_ns

    def __cinit__(self):
        self.fixers = {}

cdef _Standing standing_of(Table table):
    """_rights is held."""
    if table._standing is None:
        table._standing = _Standing()
    return table._standing

cdef Session living(object session, str role):
    """A session given as an argument, if it lives; None if it does not."""
    if not isinstance(session, Session):
        raise BadType(f"{role} is a Session, not {shown(session)}")
    return session if (<Session>session).state == SESSION_LIVES else None

cdef tuple heir_given(object heir):
    """(session or None, parcel) of an heir option."""
    cdef Session session
    if heir is None:
        return None, None
    if not isinstance(heir, tuple) or len(heir) != 2:
        raise BadType(f"heir={shown(heir)}: a pair (session, data), or None")
    session = living(heir[0], "an heir")
    return session, term_parcel(heir[1])

cdef int protection_given(object protection) except -1:
    if isinstance(protection, (str, Atom)):
        if str(protection) in PROTECTIONS:
            return PROTECTIONS.index(str(protection))
        raise BadArgument(f"protection={shown(protection)}: 'public', 'protected' or 'private'")
    raise BadType(f"protection={shown(protection)}: a str: 'public', 'protected' or 'private'")

cdef tuple concurrency_given(object read, object write, object counters, object compressed):
    """The options that ETS's info echoes and that change nothing here."""
    if write is not True and write is not False and not (isinstance(write, (str, Atom)) and str(write) == "auto"):
        raise BadArgument(f"write_concurrency={shown(write)}: True, False or 'auto'")
    for name, value in (("read_concurrency", read), ("compressed", compressed)):
        if value is not True and value is not False:
            raise BadArgument(f"{name}={shown(value)}: True or False")
    if counters is not None and counters is not True and counters is not False:
        raise BadArgument(f"decentralized_counters={shown(counters)}: True or False")
    return read, (write if isinstance(write, bool) else "auto"), counters, compressed

cdef tuple concurrency_echo(tuple given, int protection, bint ordered):
    """What info says of them: read, write, decentralized counters, compressed (ets-semantics, 5.1)."""
    read, write, counters, compressed = given
    if protection == PRIVATE:
        read = write = False
    if write is False:
        counters = False
    elif counters is None:
        counters = write == "auto" or ordered
    return read, write, counters, compressed


# ---- a table changes hands; _rights is held

cdef int table_hand(Table table, Session old, Session new, bytes parcel) except -1:
    """The new owner lives. Its message first."""
    cdef _Standing standing = standing_of(table)
    new.inbox.append((table, old, parcel))
    if old is not None:
        old._tables.pop(table.t.id, None)
    new._tables[table.t.id] = table
    standing.owner = new
    counter_store(&table.t.owner, new.number)
    return 0

cdef int table_disown(Table table) except -1:
    """The table has been deleted: nobody owns it or has fixed it any more."""
    cdef _Standing standing = table._standing
    cdef Session session
    if standing is None:
        return 0
    if standing.owner is not None:
        standing.owner._tables.pop(table.t.id, None)
        standing.owner = None
        counter_store(&table.t.owner, 0)
    for session, _ in standing.fixers.values():
        if session is not None:
            session._fixed.pop(table.t.id, None)
    standing.fixers.clear()
    return 0

cdef int session_wake(Session session) except -1:
    """Tell a session that a message has come. No lock is held: its callback is somebody's code."""
    cdef object callback
    with _rights:
        callback = session.on_transfer
        if session.arrival is not None:
            session.arrival.notify_all()
    if callback is not None:
        try:
            callback(session)
        except Exception as error:
            PyErr_SetObject(type(error), error)         # the giver has done nothing wrong
            PyErr_WriteUnraisable(callback)
    return 0


# ---- what Table's methods of these names do

cdef int table_give(Table table, object receiver, object data) except -1:
    cdef Session caller = session_now()
    cdef Session new
    cdef bytes parcel
    table.may(RIGHT_WRITE)
    new = living(receiver, "the receiver of a table")
    if new is None:
        raise BadArgument(f"{shown(receiver)} has ended: it cannot be given a table")
    parcel = term_parcel(data)
    with _rights:
        table.live()
        if new.state != SESSION_LIVES:
            raise BadArgument(f"{shown(receiver)} has ended: it cannot be given a table")
        check(table, table_may(table.t, caller.number if caller is not None else 0, RIGHT_OWN), None)
        if new is caller:
            raise fail(table, ST_OWNER, new)
        table_hand(table, caller, new, parcel)
    session_wake(new)
    return 0

cdef int table_setopts(Table table, object heir, object protection) except -1:
    cdef uint64_t caller = session_number()
    cdef Session new_heir = None
    cdef bytes parcel = None
    cdef int wanted = -1
    cdef int st
    cdef _Standing standing
    table.may(RIGHT_WRITE)
    if protection is not _missing:
        wanted = protection_given(protection)
    if heir is not _missing:
        new_heir, parcel = heir_given(heir)
    with _rights:
        table.live()
        st = table_may(table.t, caller, RIGHT_OWN)
        if st == ST_NOT_OWNER:
            raise AccessDenied(f"{table.label()} is not this session's: only its owner sets its options")
        check(table, st, None)
        if heir is not _missing:
            standing = standing_of(table)
            standing.heir = new_heir if new_heir is not None and new_heir.state == SESSION_LIVES else None
            standing.parcel = parcel if standing.heir is not None else None
        if wanted >= 0:
            flag_store(&table.t.protection, <uint32_t>wanted)
    return 0

cdef int table_fixing(Table table, bint on, Session session) except -1:
    """One fixation of this session more or less; taking back what it has not is nothing."""
    cdef uint64_t number = session.number if session is not None else 0
    cdef _Standing standing
    cdef list count
    cdef bint counts = False, gone
    if on:
        table_fix(table.t, True)
    with _rights:
        gone = not flag_load(&table.t.alive)
        standing = standing_of(table)
        count = standing.fixers.get(number)
        if on and not gone and (session is None or session.state == SESSION_LIVES):
            counts = True
            if not standing.fixers:
                standing.fixed_ns = _time.time_ns()
                standing.fixed_mono_ns = _time.monotonic_ns()
            if count is None:
                standing.fixers[number] = [session, 1]
                if session is not None:
                    session._fixed[table.t.id] = table
            else:
                count[1] += 1
        elif not on and count is not None:
            counts = True
            count[1] -= 1
            if count[1] == 0:
                del standing.fixers[number]
                if session is not None:
                    session._fixed.pop(table.t.id, None)
    if counts != on:
        table_fix(table.t, False)       # one less; or the one more that came too late
    if on and gone:
        raise fail(table, ST_GONE, None)
    if on and not counts:
        raise BadArgument(f"{shown(session)} has ended: it cannot fix a table")
    return 0

cdef object fixers_told(Table table, bint monotonic):
    """info's safe_fixed, and safe_fixed_monotonic_time."""
    cdef _Standing standing
    cdef list who
    with _rights:
        standing = table._standing
        if standing is None or not standing.fixers:
            return False
        who = [(session, count) for session, count in standing.fixers.values()]
        wall, mono = standing.fixed_ns, standing.fixed_mono_ns
    if monotonic:
        return mono, who
    return (wall // 10**15, wall // 10**9 % 10**6, wall // 1000 % 10**6), who

cdef object info_of_sessions(Table table, str item):
    """The items of info that have to do with sessions and options; _missing for any other."""
    cdef _Standing standing = table._standing
    cdef Session who
    if item == "protection":
        return PROTECTIONS[flag_load(&table.t.protection)]
    if item == "owner":
        return standing.owner if standing is not None else None
    if item == "heir":
        who = standing.heir if standing is not None else None
        return who if who is not None and who.state != SESSION_OVER else None
    if item in CONCURRENCY:
        return table._options[CONCURRENCY.index(item)] if table._options is not None else False
    if item == "safe_fixed":
        return fixers_told(table, False)
    if item == "safe_fixed_monotonic_time":
        return fixers_told(table, True)
    if item == "node":
        return "nonode@nohost"
    if item == "stats":
        return False
    if item == "binary":
        return []
    return _missing

cdef tuple CONCURRENCY = ("read_concurrency", "write_concurrency", "decentralized_counters", "compressed")
# In info's dict, in this order; and those that are told only when they are asked for.
cdef tuple INFO_SHARED = CONCURRENCY + ("owner", "heir", "node", "protection")
cdef tuple INFO_ASKED = ("safe_fixed", "safe_fixed_monotonic_time", "stats", "binary")


# ---- making a table, named or not, owned or not

cdef Table table_make(
    object name, object type, object keypos, object stripes, bint named, Session owner, object protection,
    object heir, tuple options,
):
    """Nobody sees it before it is whole: its rights, then its number, then its name."""
    cdef Table table
    cdef Session heir_session = None
    cdef bytes parcel = None
    cdef bytes text = None
    cdef char* p
    cdef int st = ST_OK
    cdef int wanted = protection_given(protection)
    cdef _Standing standing
    atom = name_of(name) if name is not None else None
    table = Table.__new__(Table)
    table.setup(type, keypos, stripes)
    heir_session, parcel = heir_given(heir)
    flag_store(&table.t.protection, <uint32_t>wanted)
    table._options = concurrency_echo(options, wanted, table.type == "ordered_set")
    table._name = atom
    if atom is not None and named:
        text = atom.name.encode()
    with _rights:
        if owner is not None:
            if owner.state != SESSION_LIVES:
                raise BadArgument(f"{owner!r} has ended: it cannot own a table")
            standing = standing_of(table)
            standing.owner = owner
            counter_store(&table.t.owner, owner.number)
            if heir_session is not None and heir_session.state == SESSION_LIVES:
                standing.heir = heir_session
                standing.parcel = parcel
        with _naming:
            if text is not None:
                p = text
                table.named = True
                st = table_name(table.t, p, len(text))
                if st == ST_OK:
                    _named[atom] = table
            if st == ST_OK:
                table.enlist()
                if owner is not None:
                    owner._tables[table.t.id] = table
    check(table, st, atom.name if atom is not None else None)
    return table


# ---- the session

@cython.final
cdef class Session:
    """Somebody who can own tables: what a process is to ETS. Made by tsunami.session().

    As a context (`with tsunami.session() as s:`) it is the session of the calls made in it, and ends with it. In
    another thread `with s.here():` does the same without ending it; asyncio tasks inherit the session in which they are
    made. identity: who this is on the wire, a term, or None.
    """
    cdef uint64_t number
    cdef int state
    cdef dict _tables           # owned, by id
    cdef dict _fixed            # with a fixation of ours, by id
    cdef object inbox           # (table, from, parcel)
    cdef object arrival         # a condition, once somebody waits
    cdef object token
    cdef public object identity
    cdef public object on_transfer
    cdef object __weakref__

    def __cinit__(self):
        self.number = counter_add(&session_ids, 1) + 1
        self.state = SESSION_LIVES
        self._tables = {}
        self._fixed = {}
        self.inbox = _deque()
        self.identity = None
        self.on_transfer = None
        _sessions[self.number] = self

    @property
    def id(self):
        """The session's number: from 1 on, and never used again."""
        return self.number

    @property
    def alive(self):
        """Has it not ended yet?"""
        return self.state != SESSION_OVER

    def new(
        self, name=None, type="set", *, keypos=0, stripes=None, protection="protected", heir=None, named=True,
        read_concurrency=False, write_concurrency=False, decentralized_counters=None, compressed=False,
    ):
        """Create a table that this session owns.

        protection: "public" (anyone reads and writes), "protected" (anyone reads, the owner writes), "private" (only
        the owner). heir: (session, data), who becomes the owner when this session ends, and is told so with a copy of
        the data; or None. named=False: the name only shows, and identifies nothing. The rest as tsunami.new.
        ETS: new/2.

        >>> import tsunami
        >>> with tsunami.session() as s:
        ...     t = s.new("doc_owned")
        ...     t.info("owner") is s, t.info("protection")
        (True, 'protected')
        """
        return table_make(
            name, type, keypos, stripes, named, self, protection, heir,
            concurrency_given(read_concurrency, write_concurrency, decentralized_counters, compressed),
        )

    def tables(self):
        """The tables that this session owns, as a list."""
        with _rights:
            return list(self._tables.values())

    # -- messages

    @property
    def pending(self):
        """How many messages wait to be received."""
        return len(self.inbox)

    def receive(self, timeout=None):
        """The oldest message: ("ETS-TRANSFER", table, from, data), where `from` is the session that owned the table.

        Waits for one, at most `timeout` seconds; None if none has come by then, or if this session ends. With a timeout
        of 0 it never waits: for asyncio set `on_transfer`, which is called with this session, in the giver's thread,
        after a message has come.

        >>> import tsunami
        >>> with tsunami.session() as s, tsunami.session() as receiver:
        ...     t = s.new("doc_gift")
        ...     with s.here():
        ...         t.give_away(receiver, "take it")
        ...     kind, table, giver, data = receiver.receive()
        ...     kind, table is t, giver is s, data
        True
        ('ETS-TRANSFER', True, True, 'take it')
        """
        cdef tuple message = None
        with _rights:
            if not self.inbox and self.state == SESSION_LIVES and timeout != 0:
                if self.arrival is None:
                    self.arrival = _threading.Condition(_rights)
                self.arrival.wait_for(lambda: self.inbox or self.state != SESSION_LIVES, timeout)
            if self.inbox:
                message = self.inbox.popleft()
        if message is None:
            return None
        return "ETS-TRANSFER", message[0], message[1], term_unparcel(message[2])

    # -- contexts

    def here(self):
        """A context in which calls are made as this session; it does not end with it.

        >>> import tsunami
        >>> s = tsunami.session()
        >>> with s.here():
        ...     tsunami.current_session() is s
        True
        >>> s.end()
        """
        return _Here(self)

    def __enter__(self):
        if self.token is not None:
            raise BadArgument(f"{self!r} is in use as a context already; with here() it can be so more than once")
        if self.state != SESSION_LIVES:
            raise BadArgument(f"{self!r} has ended")
        self.token = _current.set(self)
        return self

    def __exit__(self, *error):
        token = self.token
        self.token = None
        try:
            _current.reset(token)
        finally:
            self.end()

    def end(self):
        """End the session: its fixations are undone, its tables go to their heirs or are deleted. Again: nothing.

        >>> import tsunami
        >>> s = tsunami.session()
        >>> t = s.new()
        >>> s.end()
        >>> s.alive, t.info()
        (False, None)
        """
        cdef list told = [], doomed = [], unfixed = []
        cdef Table table
        cdef _Standing standing
        cdef list count
        with _rights:
            if self.state != SESSION_LIVES:
                return
            self.state = SESSION_ENDS
            for table in list(self._fixed.values()):
                count = table._standing.fixers.pop(self.number)
                unfixed.append((table, count[1]))
            self._fixed.clear()
            for table in list(self._tables.values()):
                standing = table._standing
                if standing.heir is not None and standing.heir.state == SESSION_LIVES:
                    table_hand(table, self, standing.heir, standing.parcel)
                    told.append(standing.heir)
                else:
                    doomed.append(table)
        for session in told:
            session_wake(session)
        for table in doomed:
            try:
                table.drop()
            except NoSuchTable:
                pass                # somebody else deleted it in this moment
        for table, n in unfixed:
            for _ in range(n):
                table_fix((<Table>table).t, False)
        with _rights:
            self.state = SESSION_OVER
            _sessions.pop(self.number, None)
            if self.arrival is not None:
                self.arrival.notify_all()

    def __repr__(self):
        if self.state == SESSION_OVER:
            return f"<tsunami.Session {self.number}, ended>"
        n = len(self._tables)
        return f"<tsunami.Session {self.number}, {n} table{'' if n == 1 else 's'}>"

    def __reduce__(self):
        raise TypeError("a session cannot be pickled: it is somebody in this process")


@cython.final
cdef class _Here:
    """The context of Session.here."""
    cdef Session session
    cdef list tokens

    def __init__(self, Session session not None):
        self.session = session
        self.tokens = []

    def __enter__(self):
        self.tokens.append(_current.set(self.session))
        return self.session

    def __exit__(self, *error):
        _current.reset(self.tokens.pop())
