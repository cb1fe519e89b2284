"""TLS: the settings whose names begin with tls- -> ssl.SSLContext.

What it is: one function. The app calls it at the start, and again whenever one of these settings is set, or on SIGHUP;
connections that come from then on get the new context, those that are open keep theirs.

What it is not: it moves no bytes. asyncio does that, see transport.TlsTransport.

What must stay true: a context that is returned is complete; whatever keeps one from being made is a ConfigError that
names the setting and the file.
"""

import ssl
import warnings
from collections.abc import Callable
from typing import Final

from tsunami_server.config import ConfigError

PROTOCOLS: Final = {
    "tlsv1": (ssl.TLSVersion.TLSv1, ssl.OP_NO_TLSv1),
    "tlsv1.1": (ssl.TLSVersion.TLSv1_1, ssl.OP_NO_TLSv1_1),
    "tlsv1.2": (ssl.TLSVersion.TLSv1_2, ssl.OP_NO_TLSv1_2),
    "tlsv1.3": (ssl.TLSVersion.TLSv1_3, ssl.OP_NO_TLSv1_3),
}
PEERS: Final = {"yes": ssl.CERT_REQUIRED, "optional": ssl.CERT_OPTIONAL, "no": ssl.CERT_NONE}

Text = Callable[[str], str]  # a setting's value


def make_context(text: Text) -> ssl.SSLContext:
    """What the settings say, as a context for the server's side. ConfigError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    take_certificate(context, text)
    take_authorities(context, text)
    take_protocols(context, text("tls-protocols"))
    take_ciphers(context, text)
    if text("tls-prefer-server-ciphers") == "yes":
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    return context


def take_certificate(context: ssl.SSLContext, text: Text) -> None:
    cert, key, phrase = text("tls-cert-file"), text("tls-key-file"), text("tls-key-file-pass")
    if not cert:
        raise ConfigError("tls-cert-file", "a server with a tls-port needs a certificate")
    if not key:
        raise ConfigError("tls-key-file", "a server with a tls-port needs the key of its certificate")
    for name, path in (("tls-cert-file", cert), ("tls-key-file", key)):
        readable(name, path)
    try:
        context.load_cert_chain(cert, key, lambda: phrase)  # with a function OpenSSL does not ask on the terminal
    except (ssl.SSLError, ValueError, OSError) as error:
        raise ConfigError(
            "tls-cert-file", f"{cert} and {key} are no certificate and its key: {reason(error)}"
        ) from None


def take_authorities(context: ssl.SSLContext, text: Text) -> None:
    """Who vouches for clients. Without anybody nobody could come in: so that is refused."""
    wanted, file, directory = text("tls-auth-clients"), text("tls-ca-cert-file"), text("tls-ca-cert-dir")
    context.verify_mode = PEERS[wanted]
    if not file and not directory:
        if wanted != "no":
            raise ConfigError("tls-auth-clients", f"is {wanted}, and there is no tls-ca-cert-file or tls-ca-cert-dir")
        return
    if file:
        readable("tls-ca-cert-file", file)
    try:
        context.load_verify_locations(file or None, directory or None)
    except (ssl.SSLError, OSError) as error:
        name = "tls-ca-cert-file" if file else "tls-ca-cert-dir"
        raise ConfigError(name, f"{file or directory}: {reason(error)}") from None


def take_protocols(context: ssl.SSLContext, text: str) -> None:
    """`TLSv1.2 TLSv1.3`, which is also what nothing means."""
    words = text.lower().split() or ["tlsv1.2", "tlsv1.3"]
    for word in words:
        if word not in PROTOCOLS:
            raise ConfigError("tls-protocols", f"{word!r} is none of {', '.join(PROTOCOLS)}")
    versions = [PROTOCOLS[word][0] for word in words]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # somebody has asked for old ones
        context.minimum_version, context.maximum_version = min(versions), max(versions)
        for word, (_, option) in PROTOCOLS.items():
            if word not in words:
                context.options |= option


def take_ciphers(context: ssl.SSLContext, text: Text) -> None:
    if ciphers := text("tls-ciphers"):
        try:
            context.set_ciphers(ciphers)
        except ssl.SSLError as error:
            raise ConfigError("tls-ciphers", f"{ciphers!r}: {reason(error)}") from None
    if suites := text("tls-ciphersuites"):
        choose = getattr(context, "set_ciphersuites", None)  # from Python 3.15 on
        if choose is None:
            raise ConfigError("tls-ciphersuites", "the ssl of this Python cannot choose the cipher suites of TLS 1.3")
        try:
            choose(suites)
        except ssl.SSLError as error:
            raise ConfigError("tls-ciphersuites", f"{suites!r}: {reason(error)}") from None


def readable(name: str, path: str) -> None:
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise ConfigError(name, f"{path}: {error.strerror}") from None


def reason(error: Exception) -> str:
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error) or type(error).__name__
