"""What every part of the benchmark shares: where it runs, how a child is started, and the text form of results.

It measures nothing itself. What must stay true:

1. The driver sits on one core (`DRIVER`), what is measured on the other (`SUBJECT`): a child is pinned before it
   starts.
2. A result is text, complete in itself: a head that says machine, kernel, versions and date, then sections. A section
   is `[name]`, one line of column names, one line per row; cells hold no blanks. `read` gives back what `write` was
   given. Plots and the table of targets are made from that text alone, so both can be made again from a committed
   result.
3. A side that cannot run is in the result too, with the reason, as a row of the section `absent`.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
_CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
DRIVER = _CORES[0]
SUBJECT = _CORES[-1]

Row = dict[str, str]


@dataclass
class Result:
    """One part's figures: a head, and sections of rows."""

    part: str
    head: dict[str, str] = field(default_factory=dict)
    sections: dict[str, list[Row]] = field(default_factory=dict)

    def add(self, section: str, **cells: object) -> None:
        """Append a row; floats are told with three digits behind the point, blanks become underscores."""
        self.sections.setdefault(section, []).append({k: _cell(v) for k, v in cells.items()})

    def absent(self, side: str, reason: str) -> None:
        self.add("absent", side=side, reason=reason)

    def rows(self, section: str, **where: object) -> list[Row]:
        wanted = {k: _cell(v) for k, v in where.items()}
        return [r for r in self.sections.get(section, []) if all(r.get(k) == v for k, v in wanted.items())]

    def value(self, section: str, column: str, **where: object) -> float | None:
        """The one figure that `where` names, or None where it was not measured."""
        found = self.rows(section, **where)
        return float(found[0][column]) if found and found[0][column] != "-" else None


def _cell(value: object) -> str:
    if value is None:
        return "-"
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return "_".join(text.split()) or "-"


def write(result: Result, directory: Path = RESULTS) -> Path:
    """Write a result as directory/<date>-<part>.txt."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{result.head['date'][:10]}-{result.part}.txt"
    lines = [f"# {key}: {value}" for key, value in {"part": result.part, **result.head}.items()]
    for name, rows in result.sections.items():
        lines += ["", f"[{name}]", *columns(rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def columns(rows: Sequence[Row]) -> list[str]:
    """Rows as aligned lines under their column names."""
    names = list(dict.fromkeys(k for r in rows for k in r))
    table = [names, *([r.get(n, "-") for n in names] for r in rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(names))]
    return ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in table]


def read(path: Path) -> Result:
    """The inverse of write."""
    result, rows, names = Result(""), [], None
    for line in path.read_text().splitlines():
        if line.startswith("# "):
            key, _, value = line[2:].partition(": ")
            result.head[key] = value
        elif line.startswith("["):
            rows = result.sections.setdefault(line.strip("[]"), [])
            names = None
        elif line and names is None:
            names = line.split()
        elif line and names is not None:
            rows.append(dict(zip(names, line.split(), strict=True)))
    result.part = result.head.pop("part")
    return result


def latest(part: str, directory: Path = RESULTS) -> Result | None:
    """The newest result of a part that was not a quick one, or None."""
    found = sorted(directory.glob(f"????-??-??-{part}.txt"))
    return read(found[-1]) if found else None


# ---- the machine


def head(**more: str) -> dict[str, str]:
    """What a reader needs to judge the figures, in the order in which it is printed."""
    facts = {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": _proc("/proc/cpuinfo", "model name") or platform.processor() or "unknown",
        "cores": f"{len(_CORES)} (driver on {DRIVER}, measured side on {SUBJECT})",
        "memory": _proc("/proc/meminfo", "MemTotal") or "unknown",
        "kernel": f"{platform.system()} {platform.release()}",
        "thp": _file("/sys/kernel/mm/transparent_hugepage/enabled"),
        "load": " ".join(f"{x:.2f}" for x in os.getloadavg()) + f" (before; measured at nice {os.nice(0)})",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "tsunami": f"{_version('tsunami')} at {_commit()}",
    }
    return facts | more


def _proc(path: str, key: str) -> str:
    for line in _file(path).splitlines():
        if line.startswith(key):
            return line.partition(":")[2].strip()
    return ""


def _file(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "-"


def versions(names: Iterable[str]) -> str:
    return ", ".join(f"{n} {_version(n)}" for n in names)


def _commit() -> str:
    done = subprocess.run(["git", "-C", str(HERE), "describe", "--always", "--dirty"], capture_output=True, text=True)
    return done.stdout.strip() or "no commit"


# ---- children


def python(script: str, *args: object) -> list[str]:
    return [sys.executable, str(HERE / script), *map(str, args)]


def start(command: Sequence[str], core: int = SUBJECT, **kwargs: object) -> subprocess.Popen[str]:
    """Start a child on one core (-1: on all of them); its threads inherit that."""
    cores = ",".join(map(str, _CORES)) if core < 0 else str(core)
    pin = ["taskset", "-c", cores] if shutil.which("taskset") else []
    return subprocess.Popen([*pin, *command], text=True, **kwargs)  # type: ignore[call-overload, no-any-return]


def ask(command: Sequence[str], core: int = SUBJECT, timeout: float = 300) -> Mapping[str, str]:
    """Run a child to its end and read `key=value` words from its last line; {"error": ...} if it failed."""
    child = start(command, core, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, err = child.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        return {"error": f"not done after {timeout:.0f} s"}
    lines = out.strip().splitlines()
    if child.returncode or not lines:
        return {"error": (err.strip().splitlines() or [f"exit {child.returncode}"])[-1]}
    return dict(word.split("=", 1) for word in lines[-1].split())


class Worker:
    """The driver's end of a process that stands for one side: a line goes there, a line comes back."""

    def __init__(self, side: str, command: Sequence[str], core: int = SUBJECT) -> None:
        self.side = side
        self.process = start(command, core, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.reason = self.line().removeprefix("no ")
        self.ready = self.reason == "ready"

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def tell(self, *words: object) -> list[str]:
        """The words of the answer. A side that has died says so once, by none, and is left out from then on."""
        assert self.process.stdin is not None
        if not self.ready:
            return []
        try:
            print(*words, file=self.process.stdin, flush=True)
            answer = self.line()
        except BrokenPipeError:
            answer = ""
        if not answer:
            self.ready, self.reason = False, f"died in {' '.join(map(str, words[:3]))}"
        return answer.split()

    def figures(self, *words: object) -> list[int] | None:
        """The figures of the answer, or None where the side does not know the operation, or has died."""
        answer = self.tell(*words)
        return list(map(int, answer)) if answer and answer[0] != "no" else None

    def end(self) -> None:
        try:
            self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()


# ---- Erlang


def compile_erlang(name: str, build: Path) -> str:
    """Compile a module of this directory; the reason if that cannot be done, else empty."""
    try:
        done = subprocess.run(["erlc", "-o", build, HERE / f"{name}.erl"], capture_output=True, text=True)
    except OSError:
        return "Erlang (erlc) is not installed"
    return done.stdout.strip()


def erlang(build: Path, call: str, schedulers: int = 1) -> list[str]:
    """The command that makes a call, on schedulers that sleep while they are idle."""
    many = f"{schedulers}:{schedulers}"
    return ["erl", "+S", many, "+sbwt", "none", "-noshell", "-pa", str(build), "-eval", f"{call}."]


def otp_version() -> str:
    text = 'io:format("~s, ~s", [erlang:system_info(otp_release), erlang:system_info(emu_flavor)]), halt().'
    try:
        return subprocess.run(["erl", "-noshell", "-eval", text], capture_output=True, text=True).stdout.strip()
    except OSError:
        return "-"


# ---- what a process costs


def cpu_ns(pid: int) -> int:
    """CPU time of all threads of a process so far, in ns (from schedstat, which counts what stat rounds to 10 ms)."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except OSError:
            pass  # a thread that has just ended
    return total


def rss(pid: int | str = "self") -> int:
    """Resident bytes of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
