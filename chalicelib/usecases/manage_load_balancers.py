"""Load balancers as people register, change and delete them. This version takes proxies of the user's own."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chalicelib.domain.certificates import covers, warnings
from chalicelib.domain.compact import listen_ports
from chalicelib.domain.errors import Fault, InvalidInputError, VersionMismatchError
from chalicelib.domain.events import Event, EventKind
from chalicelib.domain.network_checks import faults_of, warnings_of
from chalicelib.usecases.read_network import read_network

if TYPE_CHECKING:
    from chalicelib.domain.load_balancers import LoadBalancer
    from chalicelib.domain.network import NetworkFacts
    from chalicelib.ports import (
        Clock,
        EventLog,
        Idempotency,
        Ids,
        LoadBalancerRepository,
        Network,
        Page,
        ProxyStore,
        SecretReports,
    )


@dataclass(frozen=True, slots=True)
class CheckedBalancer:
    """A load balancer with what people should know of its network and its certificates, in words, as of now."""

    balancer: LoadBalancer
    warnings: tuple[str, ...]


@dataclass(slots=True)
class ManageLoadBalancers:
    """Create, read, replace, delete; what it names is checked against the account before anything is stored."""

    balancers: LoadBalancerRepository
    proxies: ProxyStore
    secrets: SecretReports
    network: Network
    events: EventLog
    clock: Clock
    ids: Ids

    def create(self, draft: LoadBalancer, by: str, idempotency: Idempotency | None = None) -> CheckedBalancer:
        """Store a draft under an id of its own. Raises InvalidInputError with every fault of it, ConflictError."""
        facts = self._checked(draft)
        now = self.clock.now()
        balancer = replace(draft, id=self.ids.new("lb"), version=1, created_at=now, updated_at=now)
        stored = self.balancers.create(balancer, idempotency)
        if stored.id != balancer.id:
            # The answer to a repeated request, which may have been changed since: what was asked for the draft does
            # not fit it.
            return self._seen(stored)
        self._tell(stored, EventKind.LOAD_BALANCER_CREATED, by, "was created")
        return self._seen(stored, facts)

    def get(self, load_balancer_id: str) -> CheckedBalancer:
        """Raises NotFoundError."""
        return self._seen(self.balancers.get(load_balancer_id))

    def stored(self, load_balancer_id: str) -> LoadBalancer:
        """As it is stored: neither its network nor its certificates are looked at. Raises NotFoundError."""
        return self.balancers.get(load_balancer_id)

    def page(self, limit: int, cursor: str | None) -> Page[LoadBalancer]:
        """Without warnings, which cost calls of their own. Raises InvalidInputError for a cursor that is not ours."""
        return self.balancers.list(limit, cursor)

    def replace(
        self, load_balancer_id: str, draft: LoadBalancer, by: str, version: int | None = None
    ) -> CheckedBalancer:
        """Raises NotFoundError, VersionMismatchError, InvalidInputError with every fault of the draft.

        That a rule needs a certificate which it has no more is a fault too.
        """
        before = self._at(load_balancer_id, version)
        missing = self._needed(load_balancer_id, draft) if before.certificates != draft.certificates else ()
        facts = self._checked(draft, missing)
        after = replace(draft, id=before.id, created_at=before.created_at, updated_at=self.clock.now())
        stored = self.balancers.replace(before, after)
        self._tell(stored, EventKind.LOAD_BALANCER_UPDATED, by, "was changed")
        return self._seen(stored, facts)

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

    def _checked(self, draft: LoadBalancer, more: tuple[Fault, ...] = ()) -> NetworkFacts:
        facts = read_network(self.network, draft)
        if faults := (*faults_of(draft, facts), *more):
            raise InvalidInputError(faults)
        return facts

    def _seen(self, balancer: LoadBalancer, facts: NetworkFacts | None = None) -> CheckedBalancer:
        if facts is None:
            facts = read_network(self.network, balancer)
        ports = listen_ports(self.proxies.rules(balancer.id))
        network = tuple(f"{fault.field}: {fault.message}" for fault in warnings_of(balancer, ports, facts))
        return CheckedBalancer(balancer, (*network, *self.warnings(balancer)))

    def _needed(self, load_balancer_id: str, draft: LoadBalancer) -> tuple[Fault, ...]:
        """A host that is served keeps a certificate: without one nobody could reach it any more."""
        compact = (json.loads(text) for text in self.proxies.rules(load_balancer_id))
        return tuple(
            Fault("certificates", f"has none for {host}, which rule {rule['id']} serves over https")
            for rule in compact
            for route in rule.get("http", [])
            for host in route["hosts"]
            if route.get("tls") and not covers(draft.certificates, host)
        )

    def _at(self, load_balancer_id: str, version: int | None) -> LoadBalancer:
        balancer = self.balancers.get(load_balancer_id)
        if version is not None and version != balancer.version:
            raise VersionMismatchError(f"{load_balancer_id} is at version {balancer.version}, not {version}.")
        return balancer

    def _tell(self, balancer: LoadBalancer, kind: EventKind, by: str, what: str) -> None:
        words = f"Load balancer {balancer.name} {what}."
        self.events.append([Event(self.ids.new("ev"), self.clock.now(), kind, balancer.id, f"key {by}", words)])
