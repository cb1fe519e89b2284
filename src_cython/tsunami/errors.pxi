# The exceptions, and nothing else. Each is also a subclass of the builtin that a Python programmer would catch; `cause`
# is
# the one word that ETS's error_info would give, or None.

import reprlib as _reprlib

cdef object _brief = _reprlib.Repr()
_brief.maxlevel = 5
_brief.maxstring = _brief.maxother = _brief.maxlong = 160
_brief.maxtuple = _brief.maxlist = _brief.maxdict = _brief.maxset = _brief.maxfrozenset = 12


cdef str shown(object value):
    """A value as messages name it: its repr, but never long, deep or failing."""
    try:
        text = _brief.repr(value)
    except Exception:
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 200 else text[:197] + "..."


class TsunamiError(Exception):
    """Base of all errors of Tsunami. `cause` is ETS's one-word cause, or None."""

    def __init__(self, *args, cause=None):
        super().__init__(*args)
        self.cause = cause


class NoSuchTable(TsunamiError, LookupError):
    """There is no such table, or it has been deleted (cause "id")."""


class TableExists(TsunamiError, ValueError):
    """A table of that name is there already (cause "already_exists")."""


class BadKey(TsunamiError, KeyError):
    """No row has that key (cause "badkey")."""

    def __str__(self):
        return Exception.__str__(self)  # KeyError would show the repr of the message


class BadPosition(TsunamiError, LookupError):
    """A position outside the row (cause "position"), or the key's own (cause "keypos")."""


class BadArgument(TsunamiError, ValueError):
    """An argument whose value cannot stand here (cause "table_type" where the table's type is the reason, "owner" where
    somebody owns the table already)."""


class BadType(TsunamiError, TypeError):
    """An argument of a type that cannot stand here."""


class TermTooLarge(TsunamiError, ValueError):
    """A term beyond the limits of the packed form."""


class AccessDenied(TsunamiError, PermissionError):
    """The session may not do this to the table (cause "access"; "not_owner" where only the owner may)."""


for _error in (
    TsunamiError, NoSuchTable, TableExists, BadKey, BadPosition, BadArgument, BadType, TermTooLarge, AccessDenied
):
    _error.__module__ = "tsunami"
del _error
