"""`pip install .` from a clone and from an sdist gives a working tsunami-server: tried, in fresh environments.

Slow: two builds from nothing, each with build isolation. So the compiler does not optimise here, and there is one test
for each way in. What is installed is used from an empty directory: nothing of the checkout can stand in for what is
missing.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def clone(target: Path) -> Path:
    """What a clone of the checkout as it stands would hold: tracked files, and new ones that are not ignored."""
    if (ROOT / ".git").exists():
        listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
        names = [name for name in listed.split("\0") if name and (ROOT / name).is_file()]
    else:  # an unpacked sdist
        made = {"build", "dist", ".venv"}
        names = [
            str(path.relative_to(ROOT))
            for path in ROOT.rglob("*")
            if path.is_file()
            and not made & set(path.relative_to(ROOT).parts)
            and path.suffix not in (".so", ".pyc")
            and not (path.suffix == ".c" and path.with_suffix(".pyx").exists())
        ]
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name)
    return target


def environment(home: Path) -> Path:
    """A fresh virtual environment; its directory of programs."""
    run(sys.executable, "-m", "venv", home, cwd=home.parent)
    return home / "bin"


def install(bin: Path, what: Path, cwd: Path) -> None:
    run(bin / "pip", "install", "-q", "--disable-pip-version-check", what, cwd=cwd, TSUNAMI_OPT="-O0")


def prove(bin: Path, cwd: Path) -> None:
    """The installed commands, the installed package: a server is started, spoken to, and drained."""
    assert re.fullmatch(r"tsunami \d+\.\d+\.\d+\S*\n", run(bin / "tsunami", "version", cwd=cwd))
    check = "import tsunami; t = tsunami.Table(); t.insert((1, 'a')); print(t.lookup(1), tsunami.__file__)"
    said = run(bin / "python", "-c", check, cwd=cwd)
    assert said.startswith("[(1, 'a')] ") and str(bin.parent) in said
    server = subprocess.Popen(
        [bin / "tsunami-server", "--port", "0"], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert server.stdout is not None
        port = next(match[1] for line in server.stdout if (match := re.search(r"127\.0\.0\.1:(\d+)", line)))
        answer = run(bin / "tsunami", "info", "--url", f"redis://127.0.0.1:{port}", cwd=cwd)
        assert f"tcp_port:{port}" in answer
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def test_an_install_from_a_clone_gives_a_working_server(tmp_path: Path) -> None:
    source = clone(tmp_path / "clone")
    bin = environment(tmp_path / "env")
    install(bin, source, cwd=tmp_path)
    (tmp_path / "elsewhere").mkdir()
    prove(bin, tmp_path / "elsewhere")


def test_an_install_from_an_sdist_gives_a_working_server(tmp_path: Path) -> None:
    source = clone(tmp_path / "clone")
    # The sdist is made without the extensions' C, which is what MANIFEST.in has to make up for.
    run(sys.executable, "setup.py", "-q", "sdist", "--dist-dir", tmp_path, cwd=source, TSUNAMI_EXTENSIONS="0")
    (sdist,) = tmp_path.glob("tsunami-*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"Makefile", ".ci/run", "tests/conftest.py", "src_cython/tsunami/_core.pyx", "tsunami/py.typed"} <= names
    assert not [name for name in names if name.endswith((".so", ".pyc", "_core.c", "_wire.c"))]
    bin = environment(tmp_path / "env")
    install(bin, sdist, cwd=tmp_path)
    (tmp_path / "elsewhere").mkdir()
    prove(bin, tmp_path / "elsewhere")
