"""clients/erlang: it compiles without a warning, and its own tests pass against a running server."""

import os
import subprocess
from pathlib import Path

import pytest
from _server import tsunami_server
from _support import peer

pytestmark = pytest.mark.peer("erl")
CLIENT = Path(__file__).parent.parent / "clients" / "erlang"


def run(*words: str | Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        words, capture_output=True, text=True, timeout=120, env={**os.environ, **environment}, stdin=subprocess.DEVNULL
    )


@pytest.fixture(scope="module")
def beams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with the compiled client and its tests."""
    made = tmp_path_factory.mktemp("beams")
    for flags, pattern in (["+warn_missing_spec"], "src/*.erl"), ([], "test/*.erl"):
        compiled = run(peer("erlc"), "-Wall", "-Werror", "+debug_info", *flags, "-o", made, *CLIENT.glob(pattern))
        assert compiled.returncode == 0, compiled.stdout + compiled.stderr
    return made


def test_the_erlang_client_passes_its_own_tests_against_a_server(beams: Path, tmp_path: Path) -> None:
    with tsunami_server() as server:
        done = run(
            peer("erl"), "-noshell", "-pa", beams,
            "-eval", "halt(case eunit:test(tsunami_tests, [verbose]) of ok -> 0; _ -> 1 end).",
            TSUNAMI_PORT=str(server.port), TSUNAMI_TMP=str(tmp_path),
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout, done.stdout


def test_the_application_file_is_one_and_names_the_version_of_the_project(beams: Path) -> None:
    import tsunami

    done = run(
        peer("erl"), "-noshell",
        "-eval", f'{{ok, [{{application, tsunami, Keys}}]}} = file:consult("{CLIENT}/src/tsunami.app.src"), '
        'io:put_chars(proplists:get_value(vsn, Keys)), halt().',
    )  # fmt: skip
    assert done.stdout == tsunami.__version__, done.stdout + done.stderr


def test_both_modules_offer_the_same_functions(beams: Path) -> None:
    done = run(
        peer("erl"), "-noshell", "-pa", beams,
        "-eval",
        "A = [{F, N - 1} || {F, N} <- tsunami:module_info(exports) -- [{open, 1}, {close, 1}], F =/= module_info], "
        "B = [E || {F, _} = E <- tsunami_ets:module_info(exports), F =/= module_info, F =/= connection], "
        "io:write(lists:sort(A) -- lists:sort(B)), io:write(lists:sort(B) -- lists:sort(A)), halt().",
    )  # fmt: skip
    assert done.stdout == "[][]", done.stdout + done.stderr
