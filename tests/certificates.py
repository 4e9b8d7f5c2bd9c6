"""Certificates and keys for tests, as PEM. `cryptography` comes with moto."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Made:
    """A self-signed certificate, its key, and its serial number to tell it from others."""

    chain: str
    key: str
    serial: int


def make_pair(
    *hosts: str,
    start: datetime | None = None,
    days: float = 90,
    rsa_bits: int = 0,
    curve: ec.EllipticCurve | None = None,
) -> Made:
    """Valid from an hour before `start` (now, if it is not said) for so many days."""
    begin = (start or datetime.now(UTC)) - timedelta(hours=1)
    key = rsa.generate_private_key(65537, rsa_bits) if rsa_bits else ec.generate_private_key(curve or ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    text = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Made(made.public_bytes(pem).decode(), text.decode(), made.serial_number)
