"""One Lua state: the sandbox in it, scripts compiled, runs.

What it is: the only file that knows lupa. It loads sandbox.lua and the libraries, and turns the results of runs into
replies.

What it is not: a cache of scripts, or a clock (scripts.py).

What must stay true:

1. No object of Python's is ever given to a script. The doors go to sandbox.lua, which keeps them from scripts; besides,
   every attribute of every object is refused (`no_attributes`), and neither eval nor the builtins are registered.
2. Lua's memory ends at MEMORY. An allocation that fails while lupa converts a value would take the process with it;
   so nothing is pushed into the state unless three quarters of it are left free or can be freed: `room`.
3. Strings are bytes on both sides.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.resources import files
from typing import Any, Final

from tsunami import _wire
from tsunami_server.scripting import doors
from tsunami_server.scripting.caller import Caller

MEMORY: Final = 512 << 20
EVERY: Final = 20_000  # instructions between two looks at the clock: about half a millisecond
WORDS_MOST: Final = 2_000  # that go with one call
LIBRARIES: Final = ("cjson", "cmsgpack", "struct", "bit")
DEEP: Final = 20_000  # the longest pattern
LEAST: Final = -(1 << 63)

MISSING: Final = (
    "ERR scripts need the Python package lupa, which is not installed here: pip install 'tsunami[lua]', or start the "
    "server by `make serve`"
)


class LuaMissing(Exception):
    """There is no lupa."""


class Failed(Exception):
    """A run ended by an error: its text, where it came from as Lua says it ("" if nobody knows), and whether it is the
    error of a command that has been counted as such.
    """

    def __init__(self, text: bytes, source: bytes = b"", line: int = -1, counted: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.source = source
        self.line = line
        self.counted = counted


class Answered(Exception):
    """A run ended well, and its result is an error."""

    def __init__(self, text: bytes, counted: bool) -> None:
        super().__init__(text)
        self.text = text
        self.counted = counted


def no_attributes(obj: object, name: object, setting: bool) -> str:
    raise AttributeError("scripts have no access to Python")


class Engine:
    def __init__(self, caller: Caller, other_doors: dict[str, Callable[..., object]], version: str) -> None:
        """Among the other doors: `tick` is asked every now and then; what it answers ends the run. LuaMissing."""
        try:
            lupa = import_module("lupa.lua51")
        except ImportError:
            raise LuaMissing from None
        self._soft = MEMORY // 4 * 3
        self._errors: tuple[type[Exception], ...] = (lupa.LuaError,)
        self._lua: Any = lupa.LuaRuntime(
            encoding=None,
            register_eval=False,
            register_builtins=False,
            attribute_filter=no_attributes,
            unpack_returned_tuples=True,
            max_memory=MEMORY,
        )
        given = {
            "call": caller.call,
            "packed": caller.packed,
            "acl": caller.acl,
            "resp": caller.resp,
            **other_doors,
            **{name: getattr(doors, name) for name in ("spell", "untail", "bit")},
            **{name: getattr(doors, name) for name in ("pack_number", "unpack_number", "pack_float", "unpack_float")},
        }
        table = self._lua.table_from({name.encode(): function for name, function in given.items()})
        world = self._load("sandbox", table, self._soft >> 10, EVERY, self._soft // 2, DEEP)
        for name in LIBRARIES:
            world[b"lib"][name.encode()] = self._load(name, world)
        redis = world[b"redis"]
        redis[b"REDIS_VERSION"] = version.encode()
        redis[b"REDIS_VERSION_NUM"] = int.from_bytes(bytes(int(part) for part in version.split(".")), "big")
        self._compile, self._drop, self._calm = world[b"compile"], world[b"drop"], world[b"calm"]
        self._run, self._feed, self._run_fed = world[b"run"], world[b"feed"], world[b"run_fed"]
        self._used = self._lua.get_memory_used
        self._collect = world[b"collect"]
        world[b"seal"]()

    def _load(self, name: str, *args: object) -> Any:
        text = files(__package__).joinpath(f"{name}.lua").read_bytes()
        return self._lua.execute(text, *args, name=f"={name}")

    # ---- what scripts.py asks

    @property
    def memory(self) -> int:
        used: int = self._used(True)
        return used

    def room(self, size: int) -> bool:
        """May so many bytes be brought in?"""
        if self.memory + size <= self._soft:
            return True
        self._collect()
        return self.memory + size <= self._soft

    def compile(self, text: bytes) -> int:
        """The number of a compiled script. Failed."""
        if not self.room(len(text) * 8):
            raise Failed(b"not enough memory")
        answer = self._compile(text)
        if isinstance(answer, tuple):
            raise Failed(answer[1])
        number: int = answer
        return number

    def drop(self, number: int) -> None:
        self._drop(number)

    def run(self, number: int, resp: int, keys: int, words: list[bytes]) -> object:
        """Run a script and give its reply. Failed, Answered."""
        size = self._used(True)
        for word in words:
            size += len(word)
        if size > self._soft and not self.room(sum(map(len, words))):
            raise Failed(b"ERR not enough memory")
        try:
            if len(words) <= WORDS_MOST:
                answer = self._run(number, resp, keys, *words)
            else:
                for at in range(0, len(words), WORDS_MOST):
                    self._feed(*words[at : at + WORDS_MOST])
                answer = self._run_fed(number, resp, keys)
        except self._errors as error:
            raise Failed(b"ERR " + (str(error).split("\nstack traceback")[0] or "not enough memory").encode()) from None
        kind = type(answer)
        if kind is bytes or kind is int or answer is None:  # lupa's ints are those that C's long has
            return answer
        if kind is tuple:
            if answer[0] is True:
                if answer[1][0] == 45:  # -
                    raise Answered(answer[1][1:-2], answer[2])
                return _wire.Raw(answer[1])
            raise Failed(*answer[1:])
        return truncated(answer) if kind is not bool else 1 if answer else None

    def calm(self) -> None:
        """After a run that was ended by `tick`."""
        self._calm()


def truncated(number: float) -> int:
    """As C casts a double to long long."""
    if number != number or not LEAST <= number < -LEAST:
        return LEAST
    return int(number)
