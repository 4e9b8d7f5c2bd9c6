"""Load balancers as people create, register, change and delete them; what is to be made is left to `provision`."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.certificates import covers, warnings
from chalicelib.domain.compact import listen_ports
from chalicelib.domain.errors import ConflictError, Fault, InvalidInputError, LostClaimError, VersionMismatchError
from chalicelib.domain.events import Event, EventKind
from chalicelib.domain.load_balancers import LoadBalancerKind
from chalicelib.domain.network_checks import faults_of, warnings_of
from chalicelib.domain.provision import Phase, Provision, asked_again
from chalicelib.usecases.read_network import read_groups, read_network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
        ProvisionQueue,
        Provisions,
        ProxyStore,
        SecretReports,
    )
    from chalicelib.usecases.check_albs import CheckAlbs


HEAD_START = timedelta(seconds=3)
"""For the write that follows the word to the worker."""

TRIES = 5
BUSY = "It is being worked on; try again in a moment."

_FIXED = ("region", "vpc_id", "subnet_ids", "machine_type", "key_pair", "encrypted_volume", "port_range")


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
    provisions: Provisions
    provisioning: ProvisionQueue
    events: EventLog
    clock: Clock
    ids: Ids
    check_albs: Callable[[], CheckAlbs]

    def create(
        self, draft: LoadBalancer, by: str, api_url: Callable[[], str], idempotency: Idempotency | None = None
    ) -> CheckedBalancer:
        """Store a draft under an id of its own, and have it made unless it exists.

        `api_url` answers where its VM reaches this API, or raises; an ALB needs it not. Raises InvalidInputError with
        every fault of the draft, ConflictError.
        """
        facts = self._checked(draft)
        now = self.clock.now()
        balancer = replace(draft, id=self.ids.new("lb"), version=1, created_at=now, updated_at=now)
        if not balancer.existing:
            url = "" if balancer.alb is not None else api_url()
            order = Provision(Phase.CREATING, url, now, reason="Waiting for the worker.")
            balancer = replace(balancer, provision=order)
            # Before it is stored: without this word nothing is stored, and a word without a load balancer is nothing.
            self.provisioning.send(balancer.id, HEAD_START)
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
        faults = list(fixed(before, draft))
        if before.kind is not draft.kind:
            raise InvalidInputError((Fault("kind", "cannot be changed; create another load balancer"),))
        if before.certificates != draft.certificates:
            faults += self._needed(load_balancer_id, draft)
        if before.kind is LoadBalancerKind.ALB:
            faults += self.check_albs().changes(before, draft)
        facts = self._checked(draft, tuple(faults))
        after = replace(draft, id=before.id, created_at=before.created_at, updated_at=self.clock.now())
        if before.provision is not None:
            self.provisioning.send(before.id, HEAD_START)
        stored = self._go_on(self.balancers.replace(before, after))
        self._tell(stored, EventKind.LOAD_BALANCER_UPDATED, by, "was changed")
        return self._seen(stored, facts)

    def warnings(self, balancer: LoadBalancer) -> tuple[str, ...]:
        """What its proxies say is wrong with its certificates, or AWS refused for its rules, in words."""
        if balancer.kind is LoadBalancerKind.ALB:
            return tuple(self.check_albs().warnings(balancer))
        if not balancer.certificates:
            return ()
        return warnings(balancer.certificates, self.secrets.of(balancer.id), self.clock.now())

    def delete(self, load_balancer_id: str, by: str, version: int | None = None) -> LoadBalancer | None:
        """What we made for it goes too, which takes time: until then it is answered; None once it is gone.

        Raises NotFoundError, VersionMismatchError, ConflictError while rules are on it.
        """
        balancer = self._at(load_balancer_id, version)
        if balancer.provision is None:
            self.balancers.delete(balancer)
            self._tell(balancer, EventKind.LOAD_BALANCER_DELETED, by, "was deleted")
            return None
        if balancer.provision.phase is Phase.DELETING:
            return balancer
        self.provisioning.send(balancer.id, HEAD_START)
        return self._begin_removal(balancer, by)

    def renew_key(self, load_balancer_id: str, by: str) -> LoadBalancer:
        """Have the key that we made for its proxy replaced by a new one; the old one works for some time yet.

        Raises NotFoundError, ConflictError where the key is not ours to renew.
        """
        balancer = self.balancers.get(load_balancer_id)
        of_ours = balancer.provision is not None and balancer.kind is LoadBalancerKind.PROXY
        if not of_ours or balancer.api_key_secret_arn is not None:
            raise ConflictError(f"AutoStop made no key for {load_balancer_id}: put a new one where its own lies.")
        self.provisioning.send(balancer.id, HEAD_START)
        stored = self._go_on(balancer, renew_key=True)
        self._tell(stored, EventKind.LOAD_BALANCER_UPDATED, by, "gets a new key")
        return stored

    def _begin_removal(self, balancer: LoadBalancer, by: str) -> LoadBalancer:
        for _ in range(TRIES):
            made = balancer.provision
            if made is None:
                break
            going = replace(asked_again(made, self.clock.now()), phase=Phase.DELETING, reason=None)
            try:
                stored = self.provisions.begin_removal(balancer, going)
            except LostClaimError:
                balancer = self.balancers.get(balancer.id)
                continue
            self._tell(stored, EventKind.LOAD_BALANCER_UPDATED, by, "is being deleted")
            return stored
        raise ConflictError(BUSY)

    def _go_on(self, balancer: LoadBalancer, *, renew_key: bool = False) -> LoadBalancer:
        """Have it looked at now, whatever was planned."""
        for _ in range(TRIES):
            made = balancer.provision
            if made is None:
                return balancer
            again = asked_again(made, self.clock.now())
            try:
                return self.provisions.put(balancer, replace(again, renew_key=made.renew_key or renew_key))
            except LostClaimError:
                balancer = self.balancers.get(balancer.id)
        raise ConflictError(BUSY)

    def _checked(self, draft: LoadBalancer, more: tuple[Fault, ...] = ()) -> NetworkFacts:
        if draft.kind is LoadBalancerKind.ALB:
            if wrong := (*self.check_albs().faults(draft), *more):
                raise InvalidInputError(wrong)
            return read_groups(self.network, draft)
        facts = read_network(self.network, draft)
        if faults := (*faults_of(draft, facts), *more):
            raise InvalidInputError(faults)
        return facts

    def _seen(self, balancer: LoadBalancer, facts: NetworkFacts | None = None) -> CheckedBalancer:
        if facts is None:
            alb = balancer.kind is LoadBalancerKind.ALB
            facts = read_groups(self.network, balancer) if alb else read_network(self.network, balancer)
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


def fixed(before: LoadBalancer, draft: LoadBalancer) -> Iterator[Fault]:
    """What cannot be changed of a proxy, as its machine was made with it."""
    if before.existing != draft.existing:
        yield Fault("existing", "cannot be changed; create another load balancer")
    elif before.provision is not None:
        if before.provision.phase is Phase.DELETING:
            yield Fault("", f"{before.id} is being deleted")
        # What of an ALB is fixed is said with it.
        for name in () if before.kind is LoadBalancerKind.ALB else (*_FIXED, "api_key_secret_arn"):
            if getattr(before, name) != getattr(draft, name):
                yield Fault(name, "cannot be changed once the machine is made; create another load balancer")
