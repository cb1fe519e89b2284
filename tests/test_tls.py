"""TLS: the server's certificate, the client's, protocols, a change of certificates while the server runs; with ssl,
redis-py and redis-cli as clients, beside both transports.
"""

import asyncio
import contextlib
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
import uvloop
from _certs import Authority, Pair
from _redis import Client
from _server import IO_KINDS
from _support import free_port, peer
from redis.backoff import NoBackoff
from redis.retry import Retry

import tsunami_server
from tsunami_server.config import Config
from tsunami_server.tls import make_context

Certs = dict[str, Any]


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Certs:
    home = tmp_path_factory.mktemp("certs")
    ca, other = Authority(home, "ca"), Authority(home, "other")
    return {
        "ca": ca.cert,
        "other": other.cert,
        "server": ca.pair("server"),
        "second": ca.pair("second"),
        "client": ca.pair("client"),
        "stranger": other.pair("stranger"),
        "locked": ca.pair("locked", "open sesame"),
    }


def settings(certs: Certs, pair: str = "server", **more: str) -> dict[str, Any]:
    own: Pair = certs[pair]
    return {
        "tls_port": free_port(),
        "tls_cert_file": str(own.cert),
        "tls_key_file": str(own.key),
        "tls_ca_cert_file": str(certs["ca"]),
        "tls_auth_clients": "no",
        **more,
    }


def our_server(*, port: int = 0, **wanted: Any) -> tsunami_server.Background:
    """With port 0 there is no port but the one for TLS."""
    return tsunami_server.background(port=port, **wanted)


@contextlib.contextmanager
def tls_client(server: Any, certs: Certs, own: str = "", **options: Any) -> Iterator["redis.Redis[bytes]"]:
    keys = {"ssl_certfile": str(certs[own].cert), "ssl_keyfile": str(certs[own].key)} if own else {}
    client = redis.Redis(
        host="127.0.0.1",
        port=server.tls_port,
        ssl=True,
        ssl_ca_certs=str(certs["ca"]),
        socket_timeout=10,
        retry=Retry(NoBackoff(), 0),
        **keys,
        **options,
    )
    try:
        yield client
    finally:
        client.close()


def peer_name(server: Any, certs: Certs) -> str:
    """Whose certificate the server shows to those who come now."""
    context = ssl.create_default_context(cafile=str(certs["ca"]))
    with socket.create_connection(("127.0.0.1", server.tls_port), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as wrapped:
            shown = wrapped.getpeercert()
            assert shown is not None
            return dict(part[0] for part in shown["subject"])["commonName"]


@pytest.mark.parametrize("io", IO_KINDS)
def test_tls_and_plain_connections_see_one_server(certs: Certs, io: str) -> None:
    with (
        our_server(port=free_port(), io=io, **settings(certs)) as server,
        Client(server.port) as plain,
        tls_client(server, certs) as client,
    ):
        assert client.set("k", b"v" * 100_000)
        assert plain("STRLEN", "k") == (":", 100_000)
        assert client.get("k") == b"v" * 100_000
        assert b"user=default" in plain.value("CLIENT", "LIST")
        with client.pipeline(transaction=False) as pipe:
            for n in range(3000):
                pipe.set(f"k{n}", n)
            assert pipe.execute() == [True] * 3000
        assert plain("GET", "k2999") == ("$", b"2999")


@pytest.mark.parametrize("io", IO_KINDS)
def test_large_values_pass_both_ways(certs: Certs, io: str) -> None:
    data = bytes(range(256)) * 65536
    with our_server(io=io, **settings(certs)) as server, tls_client(server, certs) as client:
        assert client.set("big", data)
        assert client.get("big") == data


def test_a_client_without_a_certificate_is_refused_when_one_is_wanted(certs: Certs) -> None:
    with our_server(**settings(certs, tls_auth_clients="yes")) as server:
        with tls_client(server, certs, "client") as client:
            assert client.ping()
        for own in ("", "stranger"):
            with tls_client(server, certs, own) as client, pytest.raises(redis.ConnectionError):
                client.ping()


def test_an_optional_certificate_may_be_missing_but_not_be_wrong(certs: Certs) -> None:
    with our_server(**settings(certs, tls_auth_clients="optional")) as server:
        for own in ("", "client"):
            with tls_client(server, certs, own) as client:
                assert client.ping()
        with tls_client(server, certs, "stranger") as client, pytest.raises(redis.ConnectionError):
            client.ping()


def test_with_port_0_there_is_tls_only(certs: Certs) -> None:
    with our_server(**settings(certs)) as server, tls_client(server, certs) as client:
        assert server.port == 0 and client.ping()


def test_plain_words_on_the_tls_port_are_no_commands(certs: Certs) -> None:
    with our_server(**settings(certs)) as server:
        with socket.create_connection(("127.0.0.1", server.tls_port), timeout=10) as sock:
            sock.sendall(b"PING\r\n" * 10)
            with contextlib.suppress(ConnectionResetError):
                assert b"PONG" not in sock.recv(100)
        with tls_client(server, certs) as client:
            assert client.ping()


def test_those_who_say_nothing_do_not_keep_others_out(certs: Certs) -> None:
    with our_server(**settings(certs)) as server, contextlib.ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.tls_port), timeout=10))
        with tls_client(server, certs) as client:
            assert client.ping()


def test_only_the_protocols_that_are_set_are_spoken(certs: Certs) -> None:
    with our_server(**settings(certs, tls_protocols="TLSv1.3")) as server:
        context = ssl.create_default_context(cafile=str(certs["ca"]))
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with socket.create_connection(("127.0.0.1", server.tls_port), timeout=10) as plain:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                context.wrap_socket(plain, server_hostname="localhost")
        assert peer_name(server, certs) == "server"


def test_ciphers_are_those_that_are_set(certs: Certs) -> None:
    with our_server(**settings(certs, tls_protocols="TLSv1.2", tls_ciphers="ECDHE-ECDSA-AES256-GCM-SHA384")) as server:
        context = ssl.create_default_context(cafile=str(certs["ca"]))
        with socket.create_connection(("127.0.0.1", server.tls_port), timeout=10) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as wrapped:
                cipher = wrapped.cipher()
                assert cipher is not None and cipher[:2] == ("ECDHE-ECDSA-AES256-GCM-SHA384", "TLSv1.2")


def test_certificates_change_while_the_server_runs(certs: Certs) -> None:
    with (
        our_server(port=free_port(), **settings(certs)) as server,
        Client(server.port) as root,
        tls_client(server, certs) as before,
    ):
        assert before.ping() and peer_name(server, certs) == "server"
        second: Pair = certs["second"]
        assert root("CONFIG", "SET", "tls-cert-file", str(second.cert), "tls-key-file", str(second.key)) == ("+", "OK")
        assert peer_name(server, certs) == "second"
        assert before.ping()  # who is in stays in
        error = (
            "ERR CONFIG SET failed (possibly related to argument 'tls-cert-file') - "
            "Unable to update TLS configuration. Check server logs."
        )
        assert root("CONFIG", "SET", "tls-cert-file", str(certs["server"].cert)) == ("-", error)  # not of that key
        assert root.value("CONFIG", "GET", "tls-cert-file") == [b"tls-cert-file", str(second.cert).encode()]
        assert peer_name(server, certs) == "second"


def test_an_encrypted_key_needs_its_passphrase(certs: Certs) -> None:
    with our_server(**settings(certs, "locked", tls_key_file_pass="open sesame")) as server:
        assert peer_name(server, certs) == "locked"
    with pytest.raises(tsunami_server.ConfigError, match="tls-cert-file"), our_server(**settings(certs, "locked")):
        pass


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"tls-cert-file": ""}, "tls-cert-file"),
        ({"tls-key-file": ""}, "tls-key-file"),
        ({"tls-cert-file": "/nowhere/x.crt"}, "tls-cert-file: /nowhere/x.crt: No such file"),
        ({"tls-ca-cert-file": "", "tls-auth-clients": "yes"}, "tls-auth-clients: is yes"),
        ({"tls-ca-cert-file": "/nowhere/ca"}, "tls-ca-cert-file: /nowhere/ca"),
        ({"tls-protocols": "SSLv3"}, "tls-protocols: 'sslv3'"),
        ({"tls-ciphers": "NOPE"}, "tls-ciphers: 'NOPE'"),
    ],
)
def test_what_keeps_tls_from_working_names_the_setting(certs: Certs, change: dict[str, str], name: str) -> None:
    words = {key.replace("_", "-"): str(value) for key, value in settings(certs).items()}
    config = Config({**words, **change})
    with pytest.raises(tsunami_server.ConfigError) as caught:
        make_context(config.text)
    assert str(caught.value).startswith(name)


def test_redis_cli_with_tls_and_a_certificate(certs: Certs) -> None:
    program = peer("redis-cli")
    if (
        "--tls"
        not in subprocess.run([program, "--help"], capture_output=True, text=True).stderr
        + subprocess.run([program, "--help"], capture_output=True, text=True).stdout
    ):
        pytest.skip("this redis-cli was built without TLS")
    with our_server(**settings(certs, tls_auth_clients="yes")) as server:
        own: Pair = certs["client"]
        words = [program, "-p", str(server.tls_port), "--tls", "--cacert", str(certs["ca"])]
        keys = ["--cert", str(own.cert), "--key", str(own.key)]
        assert subprocess.run([*words, *keys, "PING"], capture_output=True, timeout=20).stdout == b"PONG\n"
        refused = subprocess.run([*words, "PING"], capture_output=True, timeout=20)
        assert b"PONG" not in refused.stdout


def test_a_stop_sends_what_was_asked_before(certs: Certs) -> None:
    with our_server(**settings(certs)) as server, tls_client(server, certs) as client:
        client.ping()
        begin = time.monotonic()
        server.stop()
        assert time.monotonic() - begin < 8


def test_files_of_nobody_are_told(tmp_path: Path) -> None:
    config = Config({"tls-port": "1", "tls-cert-file": str(tmp_path / "no"), "tls-key-file": "x"})
    with pytest.raises(tsunami_server.ConfigError, match="No such file"):
        make_context(config.text)


@pytest.mark.parametrize("runner", [uvloop.run, asyncio.run], ids=["uvloop", "asyncio"])
def test_tls_in_the_programs_own_loop_and_at_another_port(certs: Certs, runner: Any) -> None:
    async def serve() -> None:
        wanted = settings(certs, requirepass="pw")
        async with await tsunami_server.start(port=0, **wanted) as server:
            options = {"host": "127.0.0.1", "ssl": True, "ssl_ca_certs": str(certs["ca"]), "password": "pw"}
            async with redis.asyncio.Redis(port=server.tls_port, protocol=3, **options) as client:
                assert await client.set("k", b"v" * 2_000_000)
                port = free_port()
                assert await client.config_set("tls-port", port)
                assert server.tls_port == port
                assert len(await client.get("k")) == 2_000_000
            async with redis.asyncio.Redis(port=port, **options) as client:
                assert await client.ping()

    runner(serve())
