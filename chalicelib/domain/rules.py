"""A rule: what people asked for (`RuleSpec`) and what is so (`RuleStatus`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from chalicelib.domain.decisions import Action, Reason
from chalicelib.domain.membership import NO_MEMBERS, Membership
from chalicelib.domain.resources import OWN_ACCOUNT, Connector, Place, ResourceKind, ResourceRef, ResourceState
from chalicelib.domain.routes import Ignore

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from chalicelib.domain.drains import Drain
    from chalicelib.domain.guards import Guard
    from chalicelib.domain.resources import ObservedResource
    from chalicelib.domain.routes import HealthCheck, HttpRoute, TcpRoute
    from chalicelib.domain.sources import SourceKind, SourceSpec


class RuleState(StrEnum):
    """The states of a rule. `enabled` and `dry_run` are settings, not states."""

    UP = "up"
    STOPPING = "stopping"
    DOWN = "down"
    STARTING = "starting"
    FAILED = "failed"


class WhileStarting(StrEnum):
    """What a client meets while the rule starts; auto: page for browsers, hold for everyone else."""

    AUTO = "auto"
    PAGE = "page"
    HOLD = "hold"


class OverrideKind(StrEnum):
    """What a person asked for, whatever traffic says."""

    WARM_UP = "warm-up"
    COOL_DOWN = "cool-down"


@dataclass(frozen=True, slots=True)
class Override:
    """Up or down by hand, until it expires. `by` is the id of the API key that asked."""

    kind: OverrideKind
    until: datetime
    by: str
    reason: str | None = None
    force: bool = False

    def in_force(self, now: datetime) -> bool:
        """Whether it still counts."""
        return now < self.until


@dataclass(frozen=True, slots=True)
class DependsOn:
    """That a rule needs another: it starts `delay` after that one is up, its health check passed."""

    rule_id: str
    delay: timedelta


@dataclass(frozen=True, slots=True)
class RuleSpec:
    """What people asked for. `idle` is a timedelta: the API speaks minutes, the demo needs fractions of them.

    `tcp_idle_bytes`: so many bytes a minute, both ways, make a TCP connection one that is in use; 1: any byte does;
    0: that it is open does. `start_timeout` None: as is usual for its kind (waits.start_timeout).
    `idle_connections`: a database without a load balancer is in use while it has more connections than this; None:
    its connections are no activity source.
    """

    name: str
    idle: timedelta
    kind: ResourceKind
    region: str
    resource_ids: tuple[str, ...]
    enabled: bool = True
    dry_run: bool = False
    when_idle: str = "stop"
    load_balancer_id: str | None = None
    http: tuple[HttpRoute, ...] = ()
    tcp: tuple[TcpRoute, ...] = ()
    health_check: HealthCheck | None = None
    while_starting: WhileStarting = WhileStarting.AUTO
    ignore: Ignore = field(default_factory=Ignore)
    on_manual_change: str = "respect"
    accept_data_loss: bool = False
    hourly_cost: float | None = None
    depends_on: tuple[DependsOn, ...] = ()
    schedule_ids: tuple[str, ...] = ()
    guards: tuple[Guard, ...] = ()
    connector: Connector = OWN_ACCOUNT
    tags: tuple[tuple[str, str], ...] = ()
    tcp_idle_bytes: int = 1
    start_timeout: timedelta | None = None
    idle_connections: int | None = None
    sources: tuple[SourceSpec, ...] = ()
    """Of a rule without a load balancer."""

    @property
    def source_kinds(self) -> frozenset[SourceKind]:
        """What it says of its use itself."""
        return frozenset(source.kind for source in self.sources)

    @property
    def place(self) -> Place:
        """Where its resources are."""
        return Place(self.kind, self.region, self.connector)

    @property
    def refs(self) -> tuple[ResourceRef, ...]:
        """The resources that people named."""
        return tuple(self.ref(id_) for id_ in self.resource_ids)

    def ref(self, id_: str) -> ResourceRef:
        """A resource where this rule's are."""
        return ResourceRef(self.kind, self.region, id_, self.connector)


@dataclass(frozen=True, slots=True)
class Claim:
    """The intent to carry out one step, taken by a conditional write, with a lease.

    While the lease lasts nobody else acts on the rule; when it has expired the next reconcile takes over.
    """

    attempt_id: str
    action: Action
    lease_until: datetime

    def live(self, now: datetime) -> bool:
        """Whether its holder may still be at work."""
        return now < self.lease_until


@dataclass(frozen=True, slots=True)
class SeenResource:
    """A resource as the last reconcile saw it, kept for the API and the proxy."""

    id: str
    state: ResourceState
    private_ip: str | None = None
    endpoint: str | None = None
    restarts_at: datetime | None = None

    @staticmethod
    def of(resource: ObservedResource) -> SeenResource:
        """What is kept of what a look saw."""
        return SeenResource(
            resource.ref.id, resource.state, resource.private_ip, resource.endpoint, resource.restarts_at
        )


@dataclass(frozen=True, slots=True)
class HeldDown:
    """Why traffic may not start a rule for now, as the last decision had it: what may not start holds no clients.

    `until` None: until a later decision says otherwise.
    """

    reason: Reason
    detail: str | None = None
    until: datetime | None = None

    @property
    def words(self) -> str:
        """The reason, and what is particular to this case."""
        return f"{self.reason.words} {self.detail}" if self.detail else self.reason.words


@dataclass(frozen=True, slots=True)
class RuleStatus:
    """What is so, as far as the last reconcile knew. Facts and times only; never an order.

    `up_since` is since when any of its resources has been seen running: an idle window never reaches back behind it.
    `woken_at` is the last traffic wake, `woken_by` its cause in words. `stopped_by_hand_at` is when it was found
    stopped although we had not asked, `started_by_hand_at` when it was found running so. `held_down`: see there.
    `observed_at` is when the last recorded look was, `seen` what it saw. `restarted_at` is when it was found that AWS
    itself had started a database that was stopped for seven days; it stays until the rule is used or down again.
    """

    state: RuleState = RuleState.DOWN
    reason: Reason | None = None
    detail: str | None = None
    since: datetime | None = None
    due_at: datetime | None = None
    override: Override | None = None
    claim: Claim | None = None
    drain: Drain | None = None
    up_since: datetime | None = None
    woken_at: datetime | None = None
    woken_by: str | None = None
    start_requested_at: datetime | None = None
    stop_requested_at: datetime | None = None
    stopped_by_hand_at: datetime | None = None
    started_by_hand_at: datetime | None = None
    held_down: HeldDown | None = None
    failures: int = 0
    retry_at: datetime | None = None
    seen: tuple[SeenResource, ...] = ()
    observed_at: datetime | None = None
    restarted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as stored.

    `version` counts what people changed (the ETag); `revision` counts every write that can change a decision,
    so a step decided on an older revision cannot be claimed. `dependents` are the ids of the rules that depend on it.
    `membership` is what its tags brought in.
    """

    id: str
    spec: RuleSpec
    status: RuleStatus
    version: int
    revision: int
    created_at: datetime
    updated_at: datetime
    dependents: tuple[str, ...] = ()
    membership: Membership = NO_MEMBERS

    @property
    def members(self) -> tuple[str, ...]:
        """The ids that its tags brought in."""
        return self.membership.ids

    @property
    def refs(self) -> tuple[ResourceRef, ...]:
        """All its resources: those that people named, and its members."""
        return (*self.spec.refs, *(self.spec.ref(id_) for id_ in self.members))

    def with_status(self, status: RuleStatus, revision: int | None = None) -> Rule:
        """The same rule in another status. Spelled out: it is made at every look, where `dataclasses.replace` shows."""
        return Rule(
            self.id,
            self.spec,
            status,
            self.version,
            self.revision if revision is None else revision,
            self.created_at,
            self.updated_at,
            self.dependents,
            self.membership,
        )

    @property
    def listen(self) -> dict[str, int]:
        """Target port → listen port of its TCP routes, as the API answers it."""
        return {str(t.target_port): t.listen_port for t in self.spec.tcp if t.listen_port is not None}

    def held_down(self, now: datetime) -> HeldDown | None:
        """Why traffic may not start it now, None if it may."""
        override, held = self.status.override, self.status.held_down
        if not self.spec.enabled:
            return HeldDown(Reason.DISABLED)
        if self.spec.dry_run:
            return HeldDown(Reason.DRY_RUN)
        if override and override.in_force(now):
            cooled = override.kind is OverrideKind.COOL_DOWN
            return HeldDown(Reason.COOL_DOWN, override.reason, override.until) if cooled else None
        if held and (held.until is None or now < held.until):
            return held
        return None
