"""Rules as people make, change and delete them. Bad input is refused whole; nothing is half-made."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chalicelib.domain.alb_traffic import with_default_guard
from chalicelib.domain.compact import compact_of
from chalicelib.domain.errors import (
    AlreadyClaimedError,
    AutoStopError,
    CloudError,
    ConflictError,
    Fault,
    InvalidInputError,
    NotFoundError,
    VersionMismatchError,
)
from chalicelib.domain.events import Event, EventKind
from chalicelib.domain.load_balancers import LoadBalancerKind, without_certificate
from chalicelib.domain.membership import carried_over
from chalicelib.domain.resources import CLUSTER, OWN_ACCOUNT, ResourceKind, ResourceState
from chalicelib.domain.rules import Rule, RuleState, RuleStatus, SeenResource
from chalicelib.usecases.dependencies import graph_below
from chalicelib.usecases.proxy_states import publish_state
from chalicelib.usecases.requests import request_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from chalicelib.domain.load_balancers import LoadBalancer
    from chalicelib.domain.resources import ObservedResource, Outcome, ResourceRef
    from chalicelib.domain.rules import RuleSpec
    from chalicelib.ports import (
        Clock,
        Compute,
        EventLog,
        Idempotency,
        Ids,
        LoadBalancerRepository,
        Page,
        ProvisionQueue,
        ProxyStore,
        RuleRepository,
        RuleStatusStore,
        ScheduleRepository,
        WorkQueue,
    )
    from chalicelib.usecases.check_albs import CheckAlbs
    from chalicelib.usecases.discover import Discover
    from chalicelib.usecases.record_usage import RecordUsage

PORT_TRIES = 20

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Deleted:
    """What a deletion did: what AWS said to starting what the rule would have left stopped."""

    rule_id: str
    started: tuple[Outcome, ...]


@dataclass(slots=True)
class ManageRules:
    """Create, read, replace, delete."""

    rules: RuleRepository
    status: RuleStatusStore
    proxies: ProxyStore
    balancers: LoadBalancerRepository
    schedules: ScheduleRepository
    computes: Mapping[ResourceKind, Compute]
    events: EventLog
    queue: WorkQueue
    clock: Clock
    ids: Ids
    usage: RecordUsage
    discover: Discover
    provisioning: ProvisionQueue
    check_albs: Callable[[], CheckAlbs]

    def create(self, spec: RuleSpec, by: str, idempotency: Idempotency | None = None) -> Rule:
        """Raises InvalidInputError with every fault, AlreadyClaimedError, ConflictError, TooLargeError."""
        balancer, observed, graph = self._check(spec, None)
        spec = guarded(spec, balancer)
        now = self.clock.now()
        rule_id = self.ids.new("ru")
        taken: set[int] = set()
        for _ in range(PORT_TRIES):
            chosen = self._with_ports(spec, None, balancer, taken)
            rule = Rule(rule_id, chosen, _first_status(observed, now), 1, 1, now, now)
            try:
                stored = self.rules.create(rule, compact_of(rule, observed), idempotency, graph)
            except AlreadyClaimedError as error:
                if _others_fault(error, spec, chosen):
                    raise
                taken |= {tcp.listen_port for tcp in chosen.tcp if tcp.listen_port is not None}
                continue
            if stored.id != rule_id:
                return stored
            self._have_it_put(balancer)
            return self._changed(stored, EventKind.RULE_CREATED, by, f"Rule {stored.spec.name} was created.")
        raise ConflictError(f"No free listen port was found in {PORT_TRIES} tries; choose one with listen_port.")

    def replace(self, rule_id: str, spec: RuleSpec, by: str, version: int | None = None) -> Rule:
        """Its members are those of its new tags, if AWS lets us look now; before it changes its place they leave.

        Raises as `create`, and NotFoundError, VersionMismatchError when `version` is not the stored one.
        """
        before = self._at(rule_id, version)
        balancer, observed, graph = self._check(spec, rule_id)
        spec = guarded(spec, balancer)
        chosen = self._with_ports(spec, before.spec, balancer, set())
        parted = bool(before.members) and chosen.place != before.spec.place
        if parted:
            before = self.discover.part(before)
        wanted = replace(before, spec=chosen, membership=carried_over(before, chosen))
        try:
            after = self.rules.replace(before, wanted, compact_of(wanted, observed), graph)
        except AutoStopError:
            if parted:
                self._discovered(self.rules.get(rule_id))  # who left for nothing comes back
            raise
        self._have_it_put(balancer)
        if (left := before.spec.load_balancer_id) != chosen.load_balancer_id:
            self._have_it_put(self._balancer(left))
        return self._changed(after, EventKind.RULE_UPDATED, by, f"Rule {after.spec.name} was changed.")

    def get(self, rule_id: str) -> Rule:
        """Raises NotFoundError."""
        return self.rules.get(rule_id)

    def page(self, limit: int, cursor: str | None) -> Page[Rule]:
        """Raises InvalidInputError for a cursor that is not ours."""
        return self.rules.list(limit, cursor)

    def delete(self, rule_id: str, by: str, *, start: bool, version: int | None = None) -> Deleted:
        """Delete a rule; with `start`, what it leaves stopped is started, so that nobody has to find it.

        Raises NotFoundError, VersionMismatchError, ConflictError while a rule depends on it, CloudError.
        """
        rule = self._at(rule_id, version)
        compute = self.computes[rule.spec.kind]
        stopped = []
        if start and rule.spec.enabled and not rule.spec.dry_run:
            observed = compute.describe(rule.refs)
            stopped = [ref for ref, seen in observed.items() if seen.state is ResourceState.STOPPED]
        self.rules.delete(rule)
        self._have_it_put(self._balancer(rule.spec.load_balancer_id))
        self.usage.close(rule, self.clock.now())
        started = tuple(compute.start(stopped)) if stopped else ()
        words = f"Rule {rule.spec.name} was deleted."
        if started:
            words += f" Asked AWS to start {', '.join(outcome.ref.id for outcome in started)}."
        self.events.append(
            [Event(self.ids.new("ev"), self.clock.now(), EventKind.RULE_DELETED, rule.id, f"key {by}", words)]
        )
        return Deleted(rule.id, started)

    # Below

    def _balancer(self, load_balancer_id: str | None) -> LoadBalancer | None:
        try:
            return None if load_balancer_id is None else self.balancers.get(load_balancer_id)
        except NotFoundError:
            return None

    def _have_it_put(self, balancer: LoadBalancer | None) -> None:
        """On an ALB, or its ports opened where that is wanted.

        The rules are stored already: should this fail, the sweep does it within the hour.
        """
        if balancer is None or not (balancer.open_ports or balancer.kind is LoadBalancerKind.ALB):
            return
        try:
            self.provisioning.send(balancer.id, at_once=True)
        except CloudError as error:
            log.warning(
                "the load balancer learns of it later", extra={"load_balancer": balancer.id, "problem": str(error)}
            )

    def _at(self, rule_id: str, version: int | None) -> Rule:
        rule = self.rules.get(rule_id)
        if version is not None and version != rule.version:
            raise VersionMismatchError(f"Rule {rule_id} is at version {rule.version}, not {version}.")
        return rule

    def _check(
        self, spec: RuleSpec, rule_id: str | None
    ) -> tuple[LoadBalancer | None, list[ObservedResource], Mapping[str, int]]:
        """What only the account can tell; every fault at once."""
        faults: list[Fault] = []
        balancer = None
        if spec.load_balancer_id is not None:
            try:
                balancer = self.balancers.get(spec.load_balancer_id)
            except NotFoundError as error:
                faults.append(Fault("load_balancer_id", str(error)))
        if balancer is not None:
            faults += self._balancer_faults(spec, balancer, rule_id)
        observed = self._observed(spec, faults)
        for n, ref in enumerate(spec.refs):
            if ref not in observed:
                continue
            seen = observed[ref]
            field = _field_of(spec, n)
            if seen.state is ResourceState.GONE:
                faults.append(Fault(field, f"There is no {_name_of(ref)} in {ref.region}."))
            faults += [
                Fault(field, f"{ref.id} {protection.words}.")
                for protection in seen.blocking_protections(accept_data_loss=spec.accept_data_loss)
            ]
            if _has_no_address(spec, seen):
                faults.append(
                    Fault(field, f"{ref.id} has no address yet that a proxy could reach: it is being created.")
                )
            if spec.when_idle == "hibernate" and seen.state is not ResourceState.GONE and not seen.can_hibernate:
                message = f"{ref.id} was not launched with hibernation enabled; it can be stopped only."
                faults.append(Fault("resources.when_idle", message))
        known = self.schedules.get_many(spec.schedule_ids) if spec.schedule_ids else {}
        faults += [
            Fault(f"schedule_ids[{n}]", f"There is no schedule {id_}.")
            for n, id_ in enumerate(spec.schedule_ids)
            if id_ not in known
        ]
        graph, wrong = graph_below(self.rules, rule_id, spec)
        faults += wrong
        if faults:
            raise InvalidInputError(tuple(faults))
        return balancer, [observed[ref] for ref in spec.refs], graph

    def _observed(self, spec: RuleSpec, faults: list[Fault]) -> dict[ResourceRef, ObservedResource]:
        """The resources; none, and a fault, where another account does not let us in."""
        try:
            return self.computes[spec.kind].protections(spec.refs)
        except CloudError as error:
            if spec.connector == OWN_ACCOUNT or error.retryable:
                raise
            faults.append(Fault("connector", f"{spec.connector.role_arn} did not let AutoStop in: {error}"))
            return {}

    def _balancer_faults(self, spec: RuleSpec, balancer: LoadBalancer, rule_id: str | None) -> list[Fault]:
        faults = []
        if balancer.region != spec.region:
            message = f"is {spec.region}, but load balancer {balancer.id} is in {balancer.region}"
            faults.append(Fault("resources.region", message))
        if balancer.kind is LoadBalancerKind.ALB:
            return [*faults, *self.check_albs().rule_faults(spec, balancer, rule_id)]
        return faults + without_certificate(spec, balancer)

    def _with_ports(
        self, spec: RuleSpec, before: RuleSpec | None, balancer: LoadBalancer | None, taken: set[int]
    ) -> RuleSpec:
        """Listen ports for the routes that leave theirs to us: the one they had, or a fresh one of the pool."""
        had: dict[int, int] = {}
        if before is not None and before.load_balancer_id == spec.load_balancer_id:
            had = {tcp.target_port: tcp.listen_port for tcp in before.tcp if tcp.listen_port is not None}
        if balancer is None or all(tcp.listen_port is not None for tcp in spec.tcp):
            return spec
        used = set(had.values()) | taken | self._ports_of(balancer)
        first, last = balancer.port_range
        free = (port for port in range(first, last + 1) if port not in used)
        routes = []
        for tcp in spec.tcp:
            port = tcp.listen_port or had.get(tcp.target_port) or next(free, None)
            if port is None:
                raise ConflictError(f"Every port of the pool {first}-{last} of {balancer.id} is taken.")
            routes.append(replace(tcp, listen_port=port))
        return replace(spec, tcp=tuple(routes))

    def _ports_of(self, balancer: LoadBalancer) -> set[int]:
        compact = (json.loads(text) for text in self.proxies.rules(balancer.id))
        return {port for rule in compact for port in _ports(rule)}

    def _changed(self, rule: Rule, kind: EventKind, by: str, words: str) -> Rule:
        """Everybody who has to know: the history, the rule's proxy, the worker; answers it with whom its tags bring."""
        now = self.clock.now()
        self.events.append([Event(self.ids.new("ev"), now, kind, rule.id, f"key {by}", words)])
        publish_state(self.proxies, rule, now, rule.status.drain.until if rule.status.drain else None)
        discovered = self._discovered(rule)
        self.queue.send([request_for(discovered, kind.value, now)])
        return discovered

    def _discovered(self, rule: Rule) -> Rule:
        """With the members that its tags bring now; as it is where AWS does not let us look, for the schedule to do."""
        try:
            return self.discover.one(rule)
        except CloudError as error:
            log.warning("tags could not be looked up", extra={"rule": rule.id, "error": str(error)})
            return rule


def guarded(spec: RuleSpec, balancer: LoadBalancer | None) -> RuleSpec:
    """With the guards that its load balancer asks for, where it names none of its own: they are seen in the rule."""
    return with_default_guard(spec) if balancer is not None and balancer.kind is LoadBalancerKind.ALB else spec


def _field_of(spec: RuleSpec, n: int) -> str:
    """Where in its body people named this resource of a rule."""
    before = sum(id_.startswith(CLUSTER) for id_ in spec.resource_ids[:n])
    if spec.resource_ids[n].startswith(CLUSTER):
        return f"resources.cluster_ids[{before}]"
    return f"resources.instance_ids[{n - before}]"


def _has_no_address(spec: RuleSpec, seen: ObservedResource) -> bool:
    """Whether a proxy would hold its clients for ever: what it is told of a database is told once."""
    there = seen.ref.kind is ResourceKind.RDS and seen.state is not ResourceState.GONE
    return there and spec.load_balancer_id is not None and seen.endpoint is None


def _name_of(ref: ResourceRef) -> str:
    if ref.kind is ResourceKind.EC2:
        return f"instance {ref.id}"
    if ref.id.startswith(CLUSTER):
        return f"DB cluster {ref.id.removeprefix(CLUSTER)}"
    return f"DB instance {ref.id}"


def _ports(compact: Mapping[str, list[dict[str, int]]]) -> list[int]:
    return [tcp["listen"] for tcp in compact.get("tcp", [])] + [http["port"] for http in compact.get("http", [])]


def _first_status(observed: list[ObservedResource], now: datetime) -> RuleStatus:
    states = {resource.state for resource in observed}
    state = RuleState.UP if ResourceState.RUNNING in states else RuleState.DOWN
    seen = tuple(SeenResource.of(resource) for resource in observed)
    return RuleStatus(state, since=now, due_at=now, up_since=now if state is RuleState.UP else None, seen=seen)


def _others_fault(error: AlreadyClaimedError, spec: RuleSpec, chosen: RuleSpec) -> bool:
    """Whether anything was taken that the user chose: only a port of our own choice is tried again."""
    asked = {tcp.listen_port for tcp in spec.tcp}
    ours = {f"listen port {tcp.listen_port}" for tcp in chosen.tcp if tcp.listen_port not in asked}
    return not set(error.owners) <= ours
