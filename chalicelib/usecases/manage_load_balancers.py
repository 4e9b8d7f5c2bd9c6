"""Load balancers as people register, change and delete them. This version takes proxies of the user's own."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chalicelib.domain.certificates import covers, warnings
from chalicelib.domain.errors import Fault, InvalidInputError, VersionMismatchError
from chalicelib.domain.events import Event, EventKind

if TYPE_CHECKING:
    from chalicelib.domain.load_balancers import LoadBalancer
    from chalicelib.ports import (
        Clock,
        EventLog,
        Idempotency,
        Ids,
        LoadBalancerRepository,
        Page,
        ProxyStore,
        SecretReports,
    )


@dataclass(slots=True)
class ManageLoadBalancers:
    """Create, read, replace, delete."""

    balancers: LoadBalancerRepository
    proxies: ProxyStore
    secrets: SecretReports
    events: EventLog
    clock: Clock
    ids: Ids

    def create(self, draft: LoadBalancer, by: str, idempotency: Idempotency | None = None) -> LoadBalancer:
        """Store a draft under an id of its own. Raises ConflictError."""
        now = self.clock.now()
        balancer = replace(draft, id=self.ids.new("lb"), version=1, created_at=now, updated_at=now)
        stored = self.balancers.create(balancer, idempotency)
        if stored.id == balancer.id:
            self._tell(stored, EventKind.LOAD_BALANCER_CREATED, by, "was created")
        return stored

    def get(self, load_balancer_id: str) -> LoadBalancer:
        """Raises NotFoundError."""
        return self.balancers.get(load_balancer_id)

    def page(self, limit: int, cursor: str | None) -> Page[LoadBalancer]:
        """Raises InvalidInputError for a cursor that is not ours."""
        return self.balancers.list(limit, cursor)

    def replace(self, load_balancer_id: str, draft: LoadBalancer, by: str, version: int | None = None) -> LoadBalancer:
        """Raises NotFoundError, VersionMismatchError, InvalidInputError for a certificate that a rule needs."""
        before = self._at(load_balancer_id, version)
        if before.certificates != draft.certificates:
            self._check_certificates(load_balancer_id, draft)
        after = replace(draft, id=before.id, created_at=before.created_at, updated_at=self.clock.now())
        stored = self.balancers.replace(before, after)
        self._tell(stored, EventKind.LOAD_BALANCER_UPDATED, by, "was changed")
        return stored

    def warnings(self, balancer: LoadBalancer) -> tuple[str, ...]:
        """What its proxies say is wrong with its certificates, in words."""
        if not balancer.certificates:
            return ()
        return warnings(balancer.certificates, self.secrets.of(balancer.id), self.clock.now())

    def delete(self, load_balancer_id: str, by: str, version: int | None = None) -> None:
        """Raises NotFoundError, VersionMismatchError, ConflictError while rules are on it."""
        balancer = self._at(load_balancer_id, version)
        self.balancers.delete(balancer)
        self._tell(balancer, EventKind.LOAD_BALANCER_DELETED, by, "was deleted")

    def _check_certificates(self, load_balancer_id: str, draft: LoadBalancer) -> None:
        """A host that is served keeps a certificate: without one nobody could reach it any more."""
        compact = (json.loads(text) for text in self.proxies.rules(load_balancer_id))
        faults = tuple(
            Fault("certificates", f"has none for {host}, which rule {rule['id']} serves over https")
            for rule in compact
            for route in rule.get("http", [])
            for host in route["hosts"]
            if route.get("tls") and not covers(draft.certificates, host)
        )
        if faults:
            raise InvalidInputError(faults)

    def _at(self, load_balancer_id: str, version: int | None) -> LoadBalancer:
        balancer = self.balancers.get(load_balancer_id)
        if version is not None and version != balancer.version:
            raise VersionMismatchError(f"{load_balancer_id} is at version {balancer.version}, not {version}.")
        return balancer

    def _tell(self, balancer: LoadBalancer, kind: EventKind, by: str, what: str) -> None:
        words = f"Load balancer {balancer.name} {what}."
        self.events.append([Event(self.ids.new("ev"), self.clock.now(), kind, balancer.id, f"key {by}", words)])
