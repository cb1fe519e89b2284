"""The `tsunami` console script, against a server in this process; and its little client, reply by reply."""

import re
import socket
import threading
from collections.abc import Iterator
from typing import cast

import pytest
from _support import free_port

import tsunami
import tsunami_server
from tsunami import cli
from tsunami.listing import in_bytes


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with tsunami_server.background(port=0) as server:
        yield server.url


def test_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["version"]) == 0
    assert capsys.readouterr().out == f"tsunami {tsunami.__version__}\n"


def test_info_prints_what_the_server_says_of_itself(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info", "--url", url]) == 0
    out = capsys.readouterr().out
    assert out.startswith("# Server\n") and "\nredis_version:" in out and "\r" not in out


def test_info_of_a_section_prints_that_section_only(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info", "--url", url, "clients"]) == 0
    out = capsys.readouterr().out
    assert "connected_clients:" in out and "# Server" not in out


def test_a_password_is_sent_and_a_wrong_one_is_the_servers_error(capsys: pytest.CaptureFixture[str]) -> None:
    with tsunami_server.background(port=0, requirepass="a:b/c") as server:
        host, port = server.address
        assert cli.main(["info", "--url", f"redis://:a%3Ab%2Fc@{host}:{port}", "server"]) == 0
        capsys.readouterr()
        assert cli.main(["info", "--url", f"redis://:wrong@{host}:{port}"]) == 1
        assert "WRONGPASS" in capsys.readouterr().err


def test_nobody_there_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info", "--url", f"redis://127.0.0.1:{free_port()}"]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and "refused" in captured.err


@pytest.mark.parametrize("bad", ["http://127.0.0.1", "127.0.0.1:6379", "redis://127.0.0.1:port"])
def test_a_url_that_is_none_is_one_line_on_stderr(bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info", "--url", bad]) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("misuse", [[], ["nonsense"], ["info", "--nonsense"]])
def test_misuse_exits_with_2(misuse: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(misuse)
    assert ended.value.code == 2
    assert "usage: tsunami" in capsys.readouterr().err


def speak(data: bytes) -> tuple[cli.Client, threading.Thread]:
    """A client whose server sends this, byte by byte, and closes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as peer:
            peer.recv(100)
            for byte in data:
                peer.sendall(bytes([byte]))

    thread = threading.Thread(target=serve)
    thread.start()
    return cli.Client(f"redis://127.0.0.1:{listener.getsockname()[1]}"), thread


@pytest.mark.parametrize(
    "data, reply",
    [
        (b"+OK\r\n", "OK"),
        (b":-42\r\n", -42),
        (b"$-1\r\n", None),
        (b"$0\r\n\r\n", b""),
        (b"$4\r\na\r\nb\r\n", b"a\r\nb"),
        (b"*-1\r\n", None),
        (b"*3\r\n:1\r\n*1\r\n$1\r\nx\r\n+y\r\n", [1, [b"x"], "y"]),
    ],
    ids=["simple", "integer", "null", "empty", "bulk", "null array", "nested"],
)
def test_a_reply_is_read_as_what_it_is(data: bytes, reply: cli.Reply) -> None:
    client, thread = speak(data)
    with client:
        assert client.call("PING") == reply
    thread.join(10)


@pytest.mark.parametrize("data", [b"", b"+OK", b"$5\r\nabc", b"?what\r\n"], ids=["none", "half", "short", "not RESP"])
def test_a_reply_that_breaks_off_is_a_connection_error(data: bytes) -> None:
    client, thread = speak(data)
    with client, pytest.raises(ConnectionError):
        client.call("PING")
    thread.join(10)


def columns(line: str) -> list[str]:
    return re.split(r"  +", line.strip())


def test_tables_prints_a_line_for_each(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with tsunami.session() as session:
        small, large = tsunami.new("test_cli_small", "bag"), session.new("test_cli_large")
        large.insert([(n, "x" * 100) for n in range(1000)])
        assert cli.main(["tables", "--url", url]) == 0
        lines = [columns(line) for line in capsys.readouterr().out.splitlines()]
        assert lines[0] == ["id", "name", "type", "size", "mem", "owner"]
        ours = [line for line in lines if line[1].startswith("test_cli_")]
        number, memory = str(large.info("id")), in_bytes(cast(int, large.info("memory")))
        assert ours[0] == [number, "test_cli_large", "set", "1000", memory, f"session:{session.id}"]
        assert ours[1][1:4] + ours[1][5:] == ["test_cli_small", "bag", "0", "-"]
        assert cli.main(["tables", "--url", url, "--sort", "size"]) == 0
        assert columns(capsys.readouterr().out.splitlines()[2])[1] == "test_cli_large"
    small.delete()


def test_tables_names_the_connections_that_own(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with cli.Client(url) as client:
        number = cli.number(client.call("CLIENT", "ID"))
        client.call("ETS.NEW", "test_cli_owned", "PRIVATE")
        assert cli.main(["tables", "--url", url]) == 0
        owned = next(line for line in capsys.readouterr().out.splitlines() if "test_cli_owned" in line)
        assert columns(owned)[-1] == f"client:{number}"


@pytest.mark.parametrize(("flags", "looks"), [(["--once"], 1), (["-n", "3", "-i", "0.01"], 3)])
def test_top_looks_as_often_as_it_is_told(
    flags: list[str], looks: int, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tsunami.new("test_cli_top")
    table.insert([(1,), (2,)])
    assert cli.main(["top", "--url", url, *flags]) == 0
    out = capsys.readouterr().out
    assert out.count("test_cli_top") == looks and "\x1b" not in out
    head = out.splitlines()[0]
    assert head.startswith(url.removeprefix("redis://")) and re.search(r"up \d+ s, \d+ clients, .* \d+ tables, ", head)
    table.delete()


def test_i_prints_what_tables_prints(capsys: pytest.CaptureFixture[str]) -> None:
    with tsunami.session() as session:
        named, unnamed = session.new("test_cli_i"), session.new()
        tsunami.i("id")
        out = capsys.readouterr().out
        lines = {columns(line)[0]: columns(line) for line in out.splitlines()}
        for table in (named, unnamed):
            line = lines[str(table.info("id"))]
            assert (line[1], line[2], line[3], line[-1]) == (table.name or "-", "set", "0", f"session:{session.id}")
    with pytest.raises(tsunami.BadArgument, match="color"):
        tsunami.i("color")  # type: ignore[arg-type]
