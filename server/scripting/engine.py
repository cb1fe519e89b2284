"""One Lua state: the sandbox in it, and scripts compiled.

What it is: the only file that knows lupa. It makes the state, loads sandbox.lua and the libraries into it, and compiles
scripts.

What it is not: a cache of scripts, or a clock (scripts.py). It does not run them either: tsunami._wire does, which
calls Lua past lupa.

What must stay true:

1. No object of Python's is ever given to a script. The doors go to sandbox.lua, which keeps them from scripts; besides,
   every attribute of every object is refused (`no_attributes`), and neither eval nor the builtins are registered.
2. Lua's memory ends at MEMORY. An allocation that fails while lupa converts a value would take the process with it;
   so lupa pushes nothing into the state unless a quarter of it is left free or can be freed: `room`, and in Lua
   make_room. What tsunami._wire pushes needs no such care: there an error of Lua's is one.
3. Strings are bytes on both sides.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.resources import files
from typing import Any, Final

from tsunami_server.scripting import doors
from tsunami_server.scripting.caller import Caller

MEMORY: Final = 512 << 20
EVERY: Final = 20_000  # instructions between two looks at the clock: about half a millisecond
LIBRARIES: Final = ("cjson", "cmsgpack", "struct", "bit")
DEEP: Final = 20_000  # the longest pattern

MISSING: Final = (
    "ERR scripts need the Python package lupa, which is not installed here: pip install 'tsunami[lua]', or start the "
    "server by `make serve`"
)
SEALED: Final = "ERR scripts need Lua's own functions, which {} does not let be seen: another build of lupa does"


class LuaMissing(Exception):
    """There is no lupa, or none that can be used. str() is what clients are told."""


class Failed(Exception):
    """A script that cannot be compiled: what is wrong with it."""

    def __init__(self, text: bytes) -> None:
        super().__init__(text)
        self.text = text


def no_attributes(obj: object, name: object, setting: bool) -> str:
    raise AttributeError("scripts have no access to Python")


class Engine:
    def __init__(self, caller: Caller, other_doors: dict[str, Callable[..., object]], version: str) -> None:
        """Among the other doors: `tick` is asked every now and then; what it answers ends the run. LuaMissing."""
        try:
            lupa = import_module("lupa.lua51")
        except ImportError:
            raise LuaMissing(MISSING) from None
        self._soft = MEMORY // 4 * 3
        self._lua: Any = lupa.LuaRuntime(
            encoding=None,
            register_eval=False,
            register_builtins=False,
            attribute_filter=no_attributes,
            unpack_returned_tuples=True,
            max_memory=MEMORY,
        )
        # The coroutine is held by Lua until the sandbox has thrown away what stands in this environment.
        thread = self._lua.execute(b"thread = coroutine.create(function() end) return tostring(thread)")
        library = str(lupa.__file__)
        if not caller.open(library, thread):
            raise LuaMissing(SEALED.format(library))
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
        self._compile, self._calm = world[b"compile"], world[b"calm"]
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

    def calm(self) -> None:
        """After a run that was ended by `tick`."""
        self._calm()
