"""Load balancers as people register, change and delete them. This version takes proxies of the user's own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chalicelib.domain.compact import listen_ports
from chalicelib.domain.errors import InvalidInputError, VersionMismatchError
from chalicelib.domain.events import Event, EventKind
from chalicelib.domain.network_checks import faults_of, warnings_of
from chalicelib.usecases.read_network import read_network

if TYPE_CHECKING:
    from chalicelib.domain.errors import Fault
    from chalicelib.domain.load_balancers import LoadBalancer
    from chalicelib.domain.network import NetworkFacts
    from chalicelib.ports import Clock, EventLog, Idempotency, Ids, LoadBalancerRepository, Network, Page, ProxyStore


@dataclass(frozen=True, slots=True)
class CheckedBalancer:
    """A load balancer with what people should know of its network, as of now."""

    balancer: LoadBalancer
    warnings: tuple[Fault, ...]


@dataclass(slots=True)
class ManageLoadBalancers:
    """Create, read, replace, delete; what it names is checked against the account before anything is stored."""

    balancers: LoadBalancerRepository
    proxies: ProxyStore
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

    def page(self, limit: int, cursor: str | None) -> Page[LoadBalancer]:
        """Without warnings, which cost calls of their own. Raises InvalidInputError for a cursor that is not ours."""
        return self.balancers.list(limit, cursor)

    def replace(
        self, load_balancer_id: str, draft: LoadBalancer, by: str, version: int | None = None
    ) -> CheckedBalancer:
        """Raises NotFoundError, VersionMismatchError, InvalidInputError with every fault of the draft."""
        before = self._at(load_balancer_id, version)
        facts = self._checked(draft)
        after = replace(draft, id=before.id, created_at=before.created_at, updated_at=self.clock.now())
        stored = self.balancers.replace(before, after)
        self._tell(stored, EventKind.LOAD_BALANCER_UPDATED, by, "was changed")
        return self._seen(stored, facts)

    def delete(self, load_balancer_id: str, by: str, version: int | None = None) -> None:
        """Raises NotFoundError, VersionMismatchError, ConflictError while rules are on it."""
        balancer = self._at(load_balancer_id, version)
        self.balancers.delete(balancer)
        self._tell(balancer, EventKind.LOAD_BALANCER_DELETED, by, "was deleted")

    def _checked(self, draft: LoadBalancer) -> NetworkFacts:
        facts = read_network(self.network, draft)
        if faults := faults_of(draft, facts):
            raise InvalidInputError(faults)
        return facts

    def _seen(self, balancer: LoadBalancer, facts: NetworkFacts | None = None) -> CheckedBalancer:
        if facts is None:
            facts = read_network(self.network, balancer)
        ports = listen_ports(self.proxies.rules(balancer.id))
        return CheckedBalancer(balancer, warnings_of(balancer, ports, facts))

    def _at(self, load_balancer_id: str, version: int | None) -> LoadBalancer:
        balancer = self.balancers.get(load_balancer_id)
        if version is not None and version != balancer.version:
            raise VersionMismatchError(f"{load_balancer_id} is at version {balancer.version}, not {version}.")
        return balancer

    def _tell(self, balancer: LoadBalancer, kind: EventKind, by: str, what: str) -> None:
        words = f"Load balancer {balancer.name} {what}."
        self.events.append([Event(self.ids.new("ev"), self.clock.now(), kind, balancer.id, f"key {by}", words)])
