"""What is known of a rule when a decision is made: observed, dated, and nothing guessed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.decisions import Evidence
from chalicelib.domain.drains import SETTLING
from chalicelib.domain.flow_proof import KIND as FLOWS
from chalicelib.domain.resources import ResourceState
from chalicelib.domain.waits import DESCRIBE_LAG, DRAIN_GIVEN_UP

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from chalicelib.domain.activity import Source
    from chalicelib.domain.drains import Drain
    from chalicelib.domain.guards import GuardReading
    from chalicelib.domain.neighbours import Neighbour
    from chalicelib.domain.resources import ObservedResource
    from chalicelib.domain.rules import RuleStatus
    from chalicelib.domain.schedules import Schedule
    from chalicelib.domain.wall_time import Standing


@dataclass(frozen=True, slots=True)
class Use:
    """That the rule was in use, when, and who says so."""

    at: datetime
    source: str


@dataclass(frozen=True, slots=True)
class Facts:
    """The world around one rule.

    `sources` are its live activity sources; `last_use` the newest activity that any of them, or a wake, has
    reported. `healthy` is the verdict of its health check since the last start, None while there is none. `recurring`
    has the standings of its schedules with recurrence rules. `dependents` need it, it needs its `dependencies`.
    `heartbeat_at`: when a job last posted one. `guards` are the readings of its guards, None while they have not been
    read: they cost money. `paused`: nothing in the account is to be stopped. `restarted_by_aws`: AWS has just said that
    it starts one of its databases by itself.
    """

    resources: tuple[ObservedResource, ...]
    sources: tuple[Source, ...] = ()
    last_use: Use | None = None
    healthy: bool | None = None
    health_source: str | None = None
    schedules: tuple[Schedule, ...] = ()
    recurring: Mapping[str, Standing] = field(default_factory=dict)
    dependents: tuple[Neighbour, ...] = ()
    dependencies: tuple[Neighbour, ...] = ()
    heartbeat_at: datetime | None = None
    guards: tuple[GuardReading, ...] | None = None
    paused: bool = False
    restarted_by_aws: bool = False

    def within(self, *states: ResourceState) -> tuple[ObservedResource, ...]:
        """The resources in one of these states."""
        return tuple([resource for resource in self.resources if resource.state in states])

    @property
    def existing(self) -> tuple[ObservedResource, ...]:
        """The resources that are still there."""
        return tuple(resource for resource in self.resources if resource.state is not ResourceState.GONE)

    def silent(self, now: datetime) -> tuple[Source, ...]:
        """The sources whose silence is ignorance."""
        return tuple(source for source in self.sources if source.is_silent(now))

    def proven_quiet(self, since: datetime) -> timedelta:
        """For how long, up to its watermark, the least informed source proves silence after `since`."""
        return min(
            (
                source.span.end - max(since, source.span.start) if source.span else timedelta(0)
                for source in self.sources
            ),
            default=timedelta(0),
        )

    def confirm_diversion(self, drain: Drain, now: datetime) -> bool:
        """Whether every source that can diverts now, and each has proven time after it began to.

        Of one that cannot, the evidence of the time since then has to do: who comes in the seconds between its last
        word and the stop meets a guest that is shutting down.
        """
        return bool(self.sources) and all(_confirms(source, drain, now) for source in self.sources)

    def diversion_undone(self, drain: Drain, now: datetime) -> bool:
        """Whether weights are seen that are not those of the diversion: somebody put others, and users are back.

        What was proven of the time since then says nothing of them, so the diversion is over, not only unconfirmed.
        """
        return now - drain.since >= DESCRIBE_LAG and any(source.diverted is False for source in self.sources)

    @property
    def pace(self) -> timedelta:
        """The shortest time after which its sources can have proved more."""
        return max((source.pace for source in self.sources), default=timedelta(0))

    @property
    def late(self) -> timedelta:
        """How long after an idle time its sources can have proved it at the earliest."""
        return max((source.late for source in self.sources), default=timedelta(0))

    @property
    def patience(self) -> timedelta:
        """How long a diversion may take to be confirmed."""
        return DRAIN_GIVEN_UP + max((source.lag for source in self.sources), default=timedelta(0))

    def about_to_act(self, drain: Drain | None, now: datetime) -> bool:
        """Whether a wish to go down would be acted on now, and not only waited for."""
        return drain is None or self.confirm_diversion(drain, now)

    def evidence(self, status: RuleStatus, now: datetime) -> tuple[Evidence, ...]:
        """Everything that a decision may stand on, in the words of the explanation."""
        rows = [
            Evidence(
                f"{resource.ref.kind} {resource.ref.id}",
                f"{resource.state}{f' ({resource.state_reason})' if resource.state_reason else ''}",
                now,
            )
            for resource in self.resources
        ]
        if self.last_use:
            rows.append(Evidence(self.last_use.source, "in use", self.last_use.at))
        for source in self.sources:
            value = "not asked" if not source.asked else "silent" if source.is_silent(now) else "watching"
            end = source.span.end if source.span else None
            rows.append(Evidence(source.title, value, end, end))
        if self.healthy is not None:
            verdict = "passes" if self.healthy else "does not pass"
            rows.append(Evidence(self.health_source or "health", f"health check {verdict}", now))
        rows += [
            Evidence(f"guard {reading.guard.metric}", reading.words, reading.covers_until, reading.covers_until)
            for reading in self.guards or ()
        ]
        rows += [
            Evidence(role + neighbour.rule.id, neighbour.rule.status.state.value, neighbour.rule.status.since)
            for role, neighbours in (("dependent ", self.dependents), ("dependency ", self.dependencies))
            for neighbour in neighbours
        ]
        if status.override and status.override.in_force(now):
            override = status.override
            rows.append(Evidence(f"key {override.by}", f"{override.kind} until {override.until.isoformat()}"))
        return tuple(rows)


def _confirms(source: Source, drain: Drain, now: datetime) -> bool:
    if source.span is None:
        return False
    if source.diverted is not None:
        return source.diverted and source.span.end >= drain.since + SETTLING
    if source.kind == FLOWS:
        # Nothing is diverted for it, and it tells ten minutes late: to wait would only move what is not known on.
        return True
    if not source.diverts:
        return source.span.end >= drain.since
    applied = source.config_at is not None and drain.holds_on(source.config_states_version, now)
    return applied and source.span.end >= max(source.config_at or drain.since, drain.since)
