"""Certificates of a load balancer: for which hosts, where their secrets lie, and what its proxies say of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

FORGOTTEN = timedelta(hours=3)
"""A proxy tells every hour: who has not told for so long may be no more."""

EXPIRES_SOON = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Certificate:
    """One pair in Secrets Manager. What the secrets hold never comes here: the proxies read them themselves."""

    hosts: tuple[str, ...]
    certificate_secret_arn: str
    private_key_secret_arn: str


@dataclass(frozen=True, slots=True)
class SecretReport:
    """What became of one certificate on one proxy. `status`: ok, missing, invalid or expired."""

    arn: str
    status: str
    not_after: datetime | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class MemberSecrets:
    """The last word of one proxy about all of its certificates."""

    member: str
    at: datetime
    secrets: tuple[SecretReport, ...] = ()


def covers(certificates: Iterable[Certificate], host: str) -> bool:
    """Whether a client that asks for a host meets a certificate of it. `*.` stands for one label, as for browsers."""
    wildcard = f"*.{host.partition('.')[2]}"
    return any(name in {host, wildcard} for certificate in certificates for name in certificate.hosts)


def warnings(certificates: Sequence[Certificate], reports: Iterable[MemberSecrets], now: datetime) -> tuple[str, ...]:
    """What is wrong with certificates, or soon will be, in words."""
    fresh = [report for report in reports if now - report.at <= FORGOTTEN]
    return tuple(words for certificate in certificates for words in _warnings(certificate, fresh, now))


def _warnings(certificate: Certificate, fresh: Iterable[MemberSecrets], now: datetime) -> Iterator[str]:
    name = f"the certificate of {', '.join(certificate.hosts[:3])}{' …' if len(certificate.hosts) > 3 else ''}"  # noqa: PLR2004
    told = [
        (report.member, line)
        for report in fresh
        for line in report.secrets
        if line.arn == certificate.certificate_secret_arn
    ]
    if not told:
        yield f"No proxy has reported {name} in the last {FORGOTTEN.total_seconds() / 3600:g} hours."
    for member, line in told:
        why = f": {line.detail}" if line.detail else ""
        if line.status != "ok":
            yield f"{member} says that {name} is {line.status}{why}."
        elif line.not_after is not None and line.not_after - now < EXPIRES_SOON:
            yield f"{member} says that {name} expires at {line.not_after:%Y-%m-%d %H:%M} UTC."
        elif line.detail:
            yield f"{member} serves {name}, but cannot ask for a newer one{why}."
