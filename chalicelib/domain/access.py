"""API keys and roles: who may do what. Secrets are compared by hash, in constant time."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from chalicelib.domain.errors import ForbiddenError, UnauthorizedError

if TYPE_CHECKING:
    from datetime import datetime

_TOKEN = re.compile(r"ak_(?P<id>[a-z0-9]{4,40})_(?P<secret>[A-Za-z0-9\-]{20,120})")


class Role(StrEnum):
    """What a key may do. admin > operator > viewer; proxy stands aside, for one load balancer only."""

    ADMIN = "admin"
    OPERATOR = "operator"
    VIEWER = "viewer"
    PROXY = "proxy"


_RANK = {Role.VIEWER: 1, Role.OPERATOR: 2, Role.ADMIN: 3}


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as stored: of its secret only a SHA-256 (it is random and long: no salt, no stretching)."""

    id: str
    secret_hash: str
    role: Role
    name: str
    created_at: datetime
    expires_at: datetime | None = None
    load_balancer_id: str | None = None


def hash_secret(secret: str) -> str:
    """The hash under which a secret is stored."""
    return hashlib.sha256(secret.encode()).hexdigest()


def parse_bearer(header: str | None) -> tuple[str, str]:
    """The key id (`ak_…`) and secret of an `Authorization` header. Raises UnauthorizedError."""
    scheme, _, token = (header or "").partition(" ")
    match = _TOKEN.fullmatch(token.strip())
    if scheme.lower() != "bearer" or match is None:
        raise UnauthorizedError("An API key is needed: Authorization: Bearer ak_ID_SECRET.")
    return f"ak_{match['id']}", match["secret"]


def verify(key: ApiKey, secret: str, now: datetime) -> None:
    """Raises UnauthorizedError unless the secret is this key's and the key has not expired."""
    right = hmac.compare_digest(key.secret_hash, hash_secret(secret))
    if not right or (key.expires_at is not None and key.expires_at <= now):
        raise UnauthorizedError("This API key is not known or has expired.")


def authorize(key: ApiKey, needed: Role, load_balancer_id: str | None = None, *, or_its_proxy: bool = False) -> None:
    """Raises ForbiddenError unless the key's role allows what needs `needed`.

    What needs `proxy` takes only a proxy key, and only for its own load balancer. With `or_its_proxy` such a key will
    do beside `needed`.
    """
    if needed is Role.PROXY or (or_its_proxy and key.role is Role.PROXY):
        if key.role is not Role.PROXY or key.load_balancer_id != load_balancer_id:
            raise ForbiddenError("Only a proxy key of this load balancer may do this.")
        return
    if _RANK.get(key.role, 0) < _RANK[needed]:
        raise ForbiddenError(f"This needs the role {needed}; the key has the role {key.role}.")
