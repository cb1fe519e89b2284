# Extension terms: a name, and a payload that is a term. What register_term keeps, and the types that come registered.
# Part of codec.pxi's floor.
#
# The payload decides equality and order, so each encoder must write equal objects alike, and every different one
# differently. Names are part of every packed term and of every saved one: they never change.

import datetime as _datetime
import decimal as _decimal
import enum as _enum
import sys as _sys
import uuid as _uuid
import zoneinfo as _zoneinfo


@cython.final
cdef class _Extension:
    """One registration."""
    cdef object cls
    cdef object atom
    cdef object encode
    cdef object decode


cdef dict EXTENSION_BY_TYPE = {}
cdef dict EXTENSION_BY_NAME = {}
cdef tuple PLAIN_TYPES = (
    int, float, bool, type(None), str, bytes, bytearray, memoryview, tuple, list, dict, object, type,
    Atom, Bits, ImproperList, Pid, Reference, Port, Fun,
)


def register_term(cls, name, encode, decode):
    """Teach Tsunami to store objects of a type.

    `encode(object)` answers a term that stands for the object, `decode(term)` makes the object again; both may be
    called at any time, from any thread. `name` says which type a stored term has: it must stay the same as long as
    there are such terms. Objects of subclasses are not covered. Registering a type again under its name replaces the
    functions; BadArgument if the name belongs to another type, or the type to another name.

    >>> import fractions, tsunami
    >>> tsunami.register_term(
    ...     fractions.Fraction, "fraction", lambda f: f.as_integer_ratio(), lambda parts: fractions.Fraction(*parts))
    >>> table = tsunami.Table()
    >>> table.insert(("half", fractions.Fraction(1, 2)))
    True
    >>> table.lookup("half")
    [('half', Fraction(1, 2))]
    """
    cdef _Extension extension = _Extension.__new__(_Extension)
    if not isinstance(cls, type):
        raise BadType(f"register_term takes a class, not {shown(cls)}")
    if cls in PLAIN_TYPES:
        raise BadArgument(f"{cls.__name__} has a form of its own: it cannot be registered")
    if not isinstance(name, str) or not name:
        raise BadType(f"the name of an extension type is a str that is not empty: {shown(name)}")
    if not callable(encode) or not callable(decode):
        raise BadType("encode and decode are functions of one argument")
    extension.cls = cls
    extension.atom = atom_object(atom_cell(str(name)))
    extension.encode = encode
    extension.decode = decode
    seen = EXTENSION_BY_NAME.get(extension.atom)
    if seen is not None and (<_Extension>seen).cls is not cls:
        raise BadArgument(f"the name {shown(name)} belongs to {(<_Extension>seen).cls.__qualname__} already")
    seen = EXTENSION_BY_TYPE.get(cls)
    if seen is not None and (<_Extension>seen).atom is not extension.atom:
        raise BadArgument(f"{cls.__qualname__} is registered under the name {(<_Extension>seen).atom} already")
    EXTENSION_BY_NAME[extension.atom] = extension
    EXTENSION_BY_TYPE[cls] = extension


cdef object extension_of(object o):
    """The registration for an object, or None."""
    found = EXTENSION_BY_TYPE.get(type(o))
    if found is None and isinstance(o, _enum.Enum):
        return ENUM_EXTENSION
    return found


cdef object make_extension(object name, object payload):
    found = EXTENSION_BY_NAME.get(name)
    if found is None:
        raise BadArgument(
            f"the term is of the extension type {shown(str(name))}, which is not known: call register_term for it")
    return (<_Extension>found).decode(payload)


# ---- enums: by module, qualified name and member name. A module is never imported on behalf of a stored term.

def _encode_enum(member):
    cls = type(member)
    if member.name is not None and cls.__members__.get(member.name) is member:
        return cls.__module__, cls.__qualname__, member.name
    return cls.__module__, cls.__qualname__, None, member.value        # a combination of flags


def _decode_enum(payload):
    module, qualname = payload[:2]
    cls = _sys.modules.get(module)
    for part in qualname.split("."):
        cls = getattr(cls, part, None)
    if not (isinstance(cls, type) and issubclass(cls, _enum.Enum)):
        raise BadArgument(
            f"the term is a member of the enum {module}.{qualname}, which is not there: import its module first")
    if len(payload) == 4:
        return cls(payload[3])
    try:
        return cls[payload[2]]
    except KeyError:
        raise BadArgument(f"the enum {module}.{qualname} has no member {shown(payload[2])}") from None


# ---- dates and times

cdef object _encode_zone(object zone):
    if zone is None:
        return None
    if type(zone) is _datetime.timezone:
        args = zone.__getinitargs__()
        offset = args[0] // _datetime.timedelta(microseconds=1)
        return offset if len(args) == 1 else (offset, args[1])
    if type(zone) is _zoneinfo.ZoneInfo and zone.key is not None:
        return zone.key
    raise BadType(
        f"a time zone of type {type(zone).__name__} cannot be stored: use datetime.timezone or zoneinfo.ZoneInfo")


cdef object _decode_zone(object payload):
    if payload is None:
        return None
    if isinstance(payload, (str, bytes)):
        return _zoneinfo.ZoneInfo(_text(payload))
    if isinstance(payload, tuple):
        return _datetime.timezone(_datetime.timedelta(microseconds=payload[0]), _text(payload[1]))
    return _datetime.timezone.utc if payload == 0 else _datetime.timezone(_datetime.timedelta(microseconds=payload))


cdef str _text(object binary):
    """The text of a binary, marked or not: a payload may have come over a wire that has no mark."""
    return binary.decode() if isinstance(binary, bytes) else binary


def _encode_datetime(t):
    return (t.year, t.month, t.day, t.hour, t.minute, t.second, t.microsecond, t.fold, _encode_zone(t.tzinfo))


def _decode_datetime(payload):
    return _datetime.datetime(*payload[:7], fold=payload[7], tzinfo=_decode_zone(payload[8]))


def _encode_time(t):
    return (t.hour, t.minute, t.second, t.microsecond, t.fold, _encode_zone(t.tzinfo))


def _decode_time(payload):
    return _datetime.time(*payload[:4], fold=payload[4], tzinfo=_decode_zone(payload[5]))


# ---- what comes registered

def _register_own():
    def row(cls, name, encode, decode):
        register_term(cls, name, encode, decode)

    row(_datetime.datetime, "datetime", _encode_datetime, _decode_datetime)
    row(_datetime.date, "date", lambda d: (d.year, d.month, d.day), lambda payload: _datetime.date(*payload))
    row(_datetime.time, "time", _encode_time, _decode_time)
    row(_datetime.timedelta, "timedelta", lambda d: (d.days, d.seconds, d.microseconds),
        lambda payload: _datetime.timedelta(*payload))
    row(_decimal.Decimal, "decimal", str, lambda payload: _decimal.Decimal(_text(payload)))
    row(_uuid.UUID, "uuid", lambda u: u.bytes, lambda payload: _uuid.UUID(bytes=bytes(payload)))
    row(set, "set", dict.fromkeys, set)
    row(frozenset, "frozenset", dict.fromkeys, frozenset)
    row(_enum.Enum, "enum", _encode_enum, _decode_enum)


_register_own()
cdef _Extension ENUM_EXTENSION = EXTENSION_BY_TYPE[_enum.Enum]
