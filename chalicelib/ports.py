"""What the use cases need from the world. Each Protocol has at most seven methods and one contract suite."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

    from chalicelib.domain.access import ApiKey
    from chalicelib.domain.activity import Heartbeat, Progress, Source
    from chalicelib.domain.costs import HourlyCost
    from chalicelib.domain.events import Event
    from chalicelib.domain.guards import GuardMetric, Sample
    from chalicelib.domain.load_balancers import LoadBalancer
    from chalicelib.domain.resources import ObservedResource, Outcome, ResourceKind, ResourceRef
    from chalicelib.domain.rules import Claim, Override, Rule, RuleStatus
    from chalicelib.domain.schedules import Schedule

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list; `next_cursor` is opaque and None on the last page."""

    items: tuple[T, ...]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A caller's `Idempotency-Key`: the same key and fingerprint give the first answer again for 24 hours."""

    key: str
    fingerprint: str


class Clock(Protocol):
    """The time, injected."""

    def now(self) -> datetime:
        """Aware, UTC."""
        ...


class Ids(Protocol):
    """Ids and secrets, injected."""

    def new(self, prefix: str) -> str:
        """A fresh id such as `ru_4f0a…`: prefix, underscore, lower-case letters and digits, sortable by time."""
        ...

    def secret(self) -> str:
        """A fresh secret of at least 256 bits, URL-safe, without underscores."""
        ...


NOBODY: Mapping[str, int] = MappingProxyType({})
"""No rule that a step stands on."""

NO_GRAPH: Mapping[str, int] = MappingProxyType({})
"""The graph of a rule that depends on nothing."""


class RuleRepository(Protocol):
    """Rules as people see and change them. Claims on hosts, ports and resources travel in the same transaction."""

    def create(
        self,
        rule: Rule,
        compact: str | None,
        idempotency: Idempotency | None = None,
        graph: Mapping[str, int] = NO_GRAPH,
    ) -> Rule:
        """Store a rule with its claims and, for a rule on a proxy, its compact form; move the proxy's rules version.

        `graph` has every rule that it depends on, also through others, with the version at which that was looked up:
        the order of dependencies was checked on these. Each rule that it depends on learns of its dependent.
        Answers the rule first stored under the same idempotency key, if there is one.
        Raises AlreadyClaimedError, ConflictError (same idempotency key, another fingerprint; what it refers to has
        changed), TooLargeError.
        """
        ...

    def get(self, rule_id: str) -> Rule:
        """Consistent read. Raises NotFoundError."""
        ...

    def get_many(self, rule_ids: Sequence[str]) -> dict[str, Rule]:
        """Consistent read of up to 100 rules; unknown ids are left out."""
        ...

    def list(self, limit: int, cursor: str | None = None) -> Page[Rule]:
        """Every rule, in no order. Raises InvalidInputError for a cursor that is not ours."""
        ...

    def replace(self, before: Rule, after: Rule, compact: str | None, graph: Mapping[str, int] = NO_GRAPH) -> Rule:
        """Store `after.spec` if the stored version is still `before.version`; claims follow, status stays as stored.

        The answer has the next version and revision, and is due at once.
        Raises VersionMismatchError, AlreadyClaimedError, NotFoundError, TooLargeError.
        """
        ...

    def delete(self, rule: Rule) -> None:
        """Take away the rule, its claims and its compact form.

        Raises ConflictError while a rule depends on it, VersionMismatchError, NotFoundError.
        """
        ...

    def owners(self, refs: Sequence[ResourceRef]) -> dict[ResourceRef, str]:
        """The rule that holds each of these resources; resources that nobody holds are left out."""
        ...


class ScheduleRepository(Protocol):
    """Schedules as people see and change them."""

    def create(self, schedule: Schedule, idempotency: Idempotency | None = None) -> Schedule:
        """Store it. Raises ConflictError (idempotency key reused for another body)."""
        ...

    def get(self, schedule_id: str) -> Schedule:
        """Consistent read. Raises NotFoundError."""
        ...

    def get_many(self, schedule_ids: Sequence[str]) -> dict[str, Schedule]:
        """Consistent read; unknown ids are left out."""
        ...

    def list(self, limit: int, cursor: str | None = None) -> Page[Schedule]:
        """Every schedule, in no order."""
        ...

    def replace(self, before: Schedule, after: Schedule) -> Schedule:
        """Raises VersionMismatchError, NotFoundError."""
        ...

    def delete(self, schedule: Schedule) -> None:
        """Raises ConflictError while a rule has it, VersionMismatchError, NotFoundError."""
        ...

    def rules_of(self, schedule_id: str) -> tuple[str, ...]:
        """The ids of the rules that have it. Raises NotFoundError."""
        ...


class RuleStatusStore(Protocol):
    """What reconcile, wakes and overrides write. Every write that can change a decision moves the revision."""

    def due(self, now: datetime, limit: int, cursor: str | None = None) -> Page[DueRule]:
        """Rules whose `due_at` has passed, oldest first, from the due index: nothing else is read."""
        ...

    def claim(self, rule: Rule, claim: Claim, status: RuleStatus, needs: Mapping[str, int] = NOBODY) -> Rule:
        """Store `status` with `claim` if the rule is still at `rule.revision`; due when the lease ends.

        `needs` are the rules that this step makes needed, with the revisions at which they were seen. They are moved to
        their next revision in the same transaction, so that no stop decided on them before can be claimed after it.
        A live claim of another attempt, or a changed revision, raises LostClaimError; a changed revision of one of
        `needs`, NeighbourChangedError.
        """
        ...

    def record(self, rule: Rule, status: RuleStatus, needs: Mapping[str, int] = NOBODY) -> Rule:
        """Store `status`, without claim, if the rule is still at `rule.revision`. Raises as `claim`.

        Moves the revision only if something other than `due_at` and `seen` changed. `needs`: see `claim`.
        """
        ...

    def wake(self, rule_id: str, at: datetime, cause: str, not_after: datetime) -> Rule:
        """Write a traffic wake to the rule: `woken_at` is max-merged, the rule is due at `at`, the revision moves.

        If the rule was woken at or after `not_after` already, nothing is written (a burst costs one write).
        Answers the rule as it is then. Raises NotFoundError.
        """
        ...

    def set_override(self, rule: Rule, override: Override | None, due_at: datetime) -> Rule:
        """Set or take away the override at `rule.revision`. Raises LostClaimError, NotFoundError."""
        ...

    def make_due(self, rule_ids: Sequence[str], at: datetime) -> None:
        """Pull `due_at` of these rules forward to `at`, never back. Unknown ids are left out."""
        ...


@dataclass(frozen=True, slots=True)
class DueRule:
    """A rule in the due index: what a message to the worker is grouped by."""

    id: str
    due_at: datetime
    kind: ResourceKind
    region: str


@dataclass(frozen=True, slots=True)
class LastActivity:
    """The newest activity of a rule, as one source saw it."""

    source: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Total:
    """What a source counted for a rule in one minute (`YYYY-MM-DDTHH:MM`)."""

    rule_id: str
    minute: str
    source: str
    requests: int = 0
    connections: int = 0
    open: int = 0
    bytes_in: int = 0
    bytes_out: int = 0

    def larger(self, other: Total) -> Total:
        """Of two totals for the same rule, minute and source, figure by figure the larger."""
        return replace(
            self,
            requests=max(self.requests, other.requests),
            connections=max(self.connections, other.connections),
            open=max(self.open, other.open),
            bytes_in=max(self.bytes_in, other.bytes_in),
            bytes_out=max(self.bytes_out, other.bytes_out),
        )


@dataclass(frozen=True, slots=True)
class Health:
    """What a member saw of a rule's targets. `accepts` is the verdict of the health check."""

    member: str
    accepts: bool
    at: datetime
    status: int | None = None


class ActivityStore(Protocol):
    """Activity per rule. Whatever decides is max-merged: exact under any order and repetition of delivery."""

    def seen(self, rule_id: str, activity: LastActivity) -> None:
        """Move the newest activity of this source forward to `activity.at`, never back."""
        ...

    def add_totals(self, totals: Sequence[Total]) -> None:
        """Store minute totals; of two for the same rule, minute and source the larger figures win."""
        ...

    def count_stored(self, load_balancer_id: str, member: str, seq: int, summaries: frozenset[str]) -> int:
        """Remember that these summaries of a sequence are stored; answers how many different ones are by now."""
        ...

    def put_health(self, rule_id: str, health: Health) -> None:
        """Keep the newest report of this member on this rule."""
        ...

    def facts(self, rule_id: str) -> ActivityFacts:
        """Newest activity and health by source, in one consistent query."""
        ...

    def history(self, rule_id: str, start: datetime, end: datetime) -> Sequence[Total]:
        """Minute totals in [start, end), oldest first; expired ones are left out."""
        ...


@dataclass(frozen=True, slots=True)
class ActivityFacts:
    """What is known of a rule's activity and health."""

    last: tuple[LastActivity, ...] = ()
    health: tuple[Health, ...] = ()


@dataclass(frozen=True, slots=True)
class PollState:
    """What a poll compares: the versions of the two parts, and from when each member must send again."""

    rules_version: int
    states_version: int
    resend_from: Mapping[str, datetime] = field(default_factory=dict)


class ProxyStore(Protocol):
    """What the proxies of one load balancer poll, and what they have proved."""

    def poll(self, load_balancer_id: str) -> PollState:
        """One consistent item read. Raises NotFoundError."""
        ...

    def rules(self, load_balancer_id: str) -> Sequence[str]:
        """The compact rules as JSON texts, at least as new as the last `poll`."""
        ...

    def states(self, load_balancer_id: str, now: datetime) -> Sequence[str]:
        """The compact states as JSON texts, those expired at `now` left out."""
        ...

    def put_state(self, load_balancer_id: str, rule_id: str, state: str | None, until: datetime | None) -> int:
        """Set (or with None take away) a rule's state; answers the states version that carries it.

        `until` None: until it is set again. If it is stored so already, writes nothing and answers the current version.
        """
        ...

    def sources(self, load_balancer_id: str) -> Sequence[Source]:
        """Every member known, with its proven span and the configuration it runs."""
        ...

    def beat(self, load_balancer_id: str, beat: Heartbeat, received_at: datetime, max_silence: timedelta) -> Progress:
        """Advance a member's span (`domain.activity.advance`) under a conditional write; keep its `resend_from` right.

        Raises NotFoundError for a load balancer that does not exist.
        """
        ...

    def applied(self, load_balancer_id: str, member: str, states_version: int, at: datetime) -> None:
        """A member runs this version of the states since (at the latest) `at`; never moves back to an older one."""
        ...


class LoadBalancerRepository(Protocol):
    """Load balancers as people see and change them."""

    def create(self, balancer: LoadBalancer, idempotency: Idempotency | None = None) -> LoadBalancer:
        """Store it, with an empty poll state. Raises ConflictError (idempotency key reused for another body)."""
        ...

    def get(self, load_balancer_id: str) -> LoadBalancer:
        """Raises NotFoundError."""
        ...

    def list(self, limit: int, cursor: str | None = None) -> Page[LoadBalancer]:
        """Every load balancer, in no order."""
        ...

    def replace(self, before: LoadBalancer, after: LoadBalancer) -> LoadBalancer:
        """Raises VersionMismatchError, NotFoundError."""
        ...

    def delete(self, balancer: LoadBalancer) -> None:
        """Raises ConflictError while a rule is on it, VersionMismatchError, NotFoundError."""
        ...


class ApiKeyRepository(Protocol):
    """API keys; only a hash of the secret is ever stored."""

    def create(self, key: ApiKey) -> None:
        """Store it."""
        ...

    def get(self, key_id: str) -> ApiKey:
        """One consistent item read. Raises NotFoundError."""
        ...

    def list(self, limit: int, cursor: str | None = None) -> Page[ApiKey]:
        """Every key, in no order."""
        ...

    def delete(self, key_id: str) -> None:
        """Raises NotFoundError."""
        ...


class EventLog(Protocol):
    """The append-only history."""

    def append(self, events: Sequence[Event]) -> None:
        """Store them; an event stored twice (same id) is one event."""
        ...

    def of_rule(
        self, rule_id: str, start: datetime, end: datetime, limit: int, cursor: str | None = None
    ) -> Page[Event]:
        """Events of a rule in [start, end), newest first; expired ones are left out."""
        ...

    def all(self, start: datetime, end: datetime, limit: int, cursor: str | None = None) -> Page[Event]:
        """Events of the whole account in [start, end), newest first."""
        ...


class Compute(Protocol):
    """The resources of one kind in AWS. Start and stop are requests: a later `describe` tells what became of them."""

    def describe(
        self, refs: Sequence[ResourceRef], *, status_checks: bool = False
    ) -> dict[ResourceRef, ObservedResource]:
        """Every ref is in the answer; what AWS does not know is GONE. At most ceil(n / 200) calls a region.

        With `status_checks`, `status_ok` is filled. Raises CloudError, ThrottledError.
        """
        ...

    def protections(self, refs: Sequence[ResourceRef]) -> dict[ResourceRef, ObservedResource]:
        """As `describe`, with the protections that cost a call of their own for each resource (disableApiStop)."""
        ...

    def start(self, refs: Sequence[ResourceRef]) -> Sequence[Outcome]:
        """Ask AWS to start them; one refused resource never fails the others. Raises ThrottledError."""
        ...

    def stop(self, refs: Sequence[ResourceRef], *, hibernate: bool = False) -> Sequence[Outcome]:
        """Ask AWS to stop them; one refused resource never fails the others. Raises ThrottledError.

        With `hibernate`, what AWS does not hibernate is stopped, and the outcome's `note` says so with AWS's words.
        """
        ...


@dataclass(frozen=True, slots=True)
class ReconcileRequest:
    """One message to the worker: up to 100 rules of one region and kind.

    It is dropped after `expires_at`: a stale request must not act late, and whatever is still due is asked for
    again by the next tick. `attempt` counts how often its only rule has raised already.
    """

    kind: ResourceKind
    region: str
    rule_ids: tuple[str, ...]
    expires_at: datetime
    cause: str
    attempt: int = 0


class BackOffs(Protocol):
    """AWS throttles an account in a region, not a rule: whoever is throttled slows all of its kind down there."""

    def until(self, kind: ResourceKind, region: str) -> datetime | None:
        """Until when nothing is to be asked there; None, or a time that has passed, when all is well. One read."""
        ...

    def throttled(self, kind: ResourceKind, region: str, now: datetime) -> datetime:
        """AWS has just asked to slow down: back off (`domain.throttling`); answers until when."""
        ...


class WorkQueue(Protocol):
    """The queue between whoever notices and the worker."""

    def send(self, requests: Sequence[ReconcileRequest], delay: timedelta | None = None) -> None:
        """Deliver at least once, not before `delay` (whole seconds, at most 15 minutes). Raises CloudError."""
        ...


@dataclass(frozen=True, slots=True)
class Ec2Product:
    """What is paid by the hour while an instance runs, in the words of DescribeInstances.

    `platform` is its PlatformDetails, `tenancy` its Placement.Tenancy, `spot` whether it came from a Spot request.
    """

    region: str
    instance_type: str
    platform: str = "Linux/UNIX"
    tenancy: str = "default"
    spot: bool = False


class Deployment(StrEnum):
    """How many copies of a database run; the price of each is the price of all its copies together."""

    SINGLE_AZ = "single_az"
    MULTI_AZ = "multi_az"
    MULTI_AZ_CLUSTER = "multi_az_cluster"
    """A writer and two readable standbys, which are one DB cluster of engine mysql or postgres."""


@dataclass(frozen=True, slots=True)
class RdsProduct:
    """What is paid by the hour while a database is available, in the words of DescribeDBInstances.

    `license_model` is its LicenseModel, empty where it has none; `io_optimized` is Aurora's storage `aurora-iopt1`.
    """

    region: str
    instance_class: str
    engine: str
    license_model: str = ""
    deployment: Deployment = Deployment.SINGLE_AZ
    io_optimized: bool = False


class Prices(Protocol):
    """What AWS asks for an hour of a running resource: on demand, in USD, without any discount of the account."""

    def hourly(self, product: Ec2Product | RdsProduct) -> HourlyCost:
        """The price, or in words why there is none to be known; both can be up to 24 hours old.

        Raises CloudError, ThrottledError; what was raised is not remembered.
        """
        ...


@dataclass(frozen=True, slots=True)
class Series:
    """One metric of one resource, as a guard names it."""

    ref: ResourceRef
    metric: GuardMetric


class Metrics(Protocol):
    """CloudWatch metrics of resources, batched: they are paid for each series asked for, not for each call."""

    def read(self, series: Sequence[Series], start: datetime, end: datetime) -> dict[Series, tuple[Sample, ...]]:
        """The points in [start, end), oldest first; a series without any has none: that is not zero.

        CPU in percent (the maximum of each period), network_bytes in bytes a minute sent, rds_connections as the
        maximum. At most ceil(series / 500) calls a region and page. Raises CloudError, ThrottledError.
        """
        ...


class Sessions(Protocol):
    """Open Session Manager sessions."""

    def open(self, refs: Sequence[ResourceRef]) -> dict[ResourceRef, int]:
        """How many are open on each of these instances; every ref is in the answer. Raises CloudError."""
        ...
