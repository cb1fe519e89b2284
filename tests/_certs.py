"""Certificates for tests, made when they are needed, into a directory that goes with the test.

Not a fixture, no test. One authority signs the server and `client`; `stranger` is signed by another one.
"""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey


@dataclass
class Pair:
    """A certificate and its key, as files."""

    cert: Path
    key: Path


class Authority:
    """Signs certificates. Its own is `cert`."""

    def __init__(self, home: Path, name: str) -> None:
        self.home = home
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.cert = home / f"{name}.crt"
        self.cert.write_bytes(pem(self._sign(self.name, self.key, is_authority=True)))

    def pair(self, name: str, passphrase: str = "") -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        pair = Pair(self.home / f"{name}.crt", self.home / f"{name}.key")
        pair.cert.write_bytes(pem(self._sign(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key)))
        hide = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else None
        pair.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                hide or serialization.NoEncryption(),
            )
        )
        return pair

    def _sign(self, name: x509.Name, key: Key, *, is_authority: bool = False) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        here = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=2))
            .add_extension(x509.SubjectAlternativeName(here), critical=False)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
