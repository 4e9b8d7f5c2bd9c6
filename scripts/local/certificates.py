"""The demo's certificates: an authority of its own, and pairs that lie in the emulated Secrets Manager."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from scripts.local.cloud import Cloud

PEM = serialization.Encoding.PEM
LIFE = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, in PEM; `der` is the certificate as a TLS client sees it."""

    chain: str
    key: str = field(repr=False)
    der: bytes = field(repr=False)


class Authority:
    """What curl is told to trust. Its key is in the memory of this process, and nowhere else."""

    def __init__(self, name: str = "AutoStop demo") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        usage = x509.KeyUsage(
            key_cert_sign=True,
            crl_sign=True,
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        made = (
            _builder(self._name, self._key)
            .issuer_name(self._name)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.certificate = made.public_bytes(PEM).decode()

    def pair(self, host: str) -> Pair:
        """A new key, and a certificate of ours for it."""
        key = ec.generate_private_key(ec.SECP256R1())
        ours = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        made = (
            _builder(_named(host), key)
            .issuer_name(self._name)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(ours, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        text = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return Pair(made.public_bytes(PEM).decode(), text.decode(), made.public_bytes(serialization.Encoding.DER))


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(name: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + LIFE)
    )


@dataclass(slots=True)
class StoredPair:
    """The pair of one host, as two secrets of the account. `current` is what was stored last."""

    cloud: Cloud
    host: str
    authority: Authority = field(default_factory=Authority)
    current: Pair = field(init=False)
    _arns: dict[str, str] = field(default_factory=dict)

    def store(self) -> dict[str, Any]:
        """Make the secrets; answers what a load balancer's `certificates` take."""
        self.current = self.authority.pair(self.host)
        manager = self.cloud.client("secretsmanager")
        for part, text in self._texts():
            made = manager.create_secret(Name=f"demo/{self.host}/{part}", SecretString=text)
            self._arns[part] = made["ARN"]
        return {
            "hosts": [self.host],
            "certificate_secret_arn": self._arns["certificate"],
            "private_key_secret_arn": self._arns["private-key"],
        }

    def rotate(self) -> None:
        """A new version of both secrets, one after the other, as any rotation writes them."""
        self.current = self.authority.pair(self.host)
        manager = self.cloud.client("secretsmanager")
        for part, text in self._texts():
            manager.put_secret_value(SecretId=self._arns[part], SecretString=text)

    def _texts(self) -> list[tuple[str, str]]:
        return [("certificate", self.current.chain), ("private-key", self.current.key)]
