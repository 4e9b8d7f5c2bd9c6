"""Is this a pair that Envoy can serve? Asked of OpenSSL, with a handshake in memory: nothing touches a disk."""

from __future__ import annotations

import os
import re
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----\s.*?-----END \1-----", re.DOTALL)
_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME: how old it is we ask ourselves, by the clock that we were given.
https://docs.openssl.org/3.0/man3/X509_VERIFY_PARAM_set_flags/"""

_STEPS = 10


class BadPairError(Exception):
    """It cannot be served. The words are OpenSSL's or ours; never what the secrets hold."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A chain and its key in PEM, proved to fit each other, and when its first certificate is valid (UTC)."""

    chain: str
    key: str
    not_before: datetime
    not_after: datetime

    def __repr__(self) -> str:
        """Without the key, so that no log ever has it."""
        return f"Pair({self.not_before:%Y-%m-%d} … {self.not_after:%Y-%m-%d})"


def examine(certificate: str, private_key: str) -> Pair:
    """The pair in two texts, each with anything around its own PEM blocks. Raises BadPairError."""
    blocks = [(found[1], found[0]) for found in _BLOCK.finditer(certificate)]
    chain = "".join(f"{text}\n" for kind, text in blocks if kind == "CERTIFICATE")
    keys = [found[0] for found in _BLOCK.finditer(private_key) if found[1].endswith("PRIVATE KEY")]
    if not chain:
        raise BadPairError("the certificate's secret has no PEM certificate")
    if len(keys) != 1:
        raise BadPairError(f"the private key's secret has {len(keys)} PEM private keys, not one")
    key = f"{keys[0]}\n"
    try:
        seen = _handshake(_server(chain, key), chain)
    except (ssl.SSLError, ValueError) as error:
        raise BadPairError(f"OpenSSL refuses the pair: {_words(error)}") from None
    return Pair(chain, key, _time(seen, "notBefore"), _time(seen, "notAfter"))


def _server(chain: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Envoy takes no RSA key under 2,048 bits either: https://www.envoyproxy.io/docs/envoy/latest/faq/configuration/
    context.set_ciphers("DEFAULT:@SECLEVEL=2")
    held = os.memfd_create("pair", os.MFD_CLOEXEC)
    try:
        os.write(held, (chain + key).encode())
        # A passphrase that is no answer, or OpenSSL would ask the terminal for one.
        context.load_cert_chain(f"/proc/self/fd/{held}", password="")
    finally:
        os.close(held)
    return context


def _handshake(server: ssl.SSLContext, chain: str) -> dict[str, object]:
    """The first certificate as a client reads it that trusts just this one."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.load_verify_locations(cadata=chain)
    client.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME) | ssl.VERIFY_X509_PARTIAL_CHAIN
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(down, up), server.wrap_bio(up, down, server_side=True)]
    for _ in range(_STEPS):
        done = [_step(end) for end in ends]
        if all(done):
            return dict(ends[0].getpeercert() or {})
    raise ValueError("a handshake with it does not end")


def _step(end: ssl.SSLObject) -> bool:
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def _time(seen: dict[str, object], name: str) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(seen[name])), UTC)


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    reason = getattr(error, "reason", None)
    return {"KEY_VALUES_MISMATCH": "the key is not the certificate's"}.get(str(reason), str(reason or error))[:200]
