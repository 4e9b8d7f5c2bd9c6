"""A decision: what to do about a rule, why, on what evidence, and when to look again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.domain.rules import HeldDown, RuleState, RuleStatus


class Action(StrEnum):
    """What a decision asks for."""

    NOTHING = "nothing"
    START = "start"
    DRAIN = "drain"
    STOP = "stop"
    CANCEL_STOP = "cancel_stop"
    WAIT = "wait"
    REPORT = "report"

    @property
    def touches_the_world(self) -> bool:
        """Whether it needs a claim before it may be carried out."""
        return self in {Action.START, Action.DRAIN, Action.STOP, Action.CANCEL_STOP}


class Desired(StrEnum):
    """What a rule should be; computed, never stored as an order."""

    UP = "up"
    DOWN = "down"


class Reason(StrEnum):
    """Why. The value is the code of the API; `words` is what people read."""

    DISABLED = "disabled"
    DRY_RUN = "dry_run"
    WARM_UP = "warm_up"
    COOL_DOWN = "cool_down"
    ACTIVE = "active"
    IDLE = "idle"
    BLIND = "blind"
    NO_SOURCE = "no_source"
    AWAITING_EVIDENCE = "awaiting_evidence"
    GUARDED = "guarded"
    PROTECTED = "protected"
    BUSY = "busy"
    FAULTY = "faulty"
    NEEDED = "needed"
    UPTIME = "uptime"
    DOWNTIME = "downtime"
    RESTING = "resting"
    STOPPED_BY_HAND = "stopped_by_hand"
    STARTED_BY_HAND = "started_by_hand"
    DRAINING = "draining"
    DRAIN_UNCONFIRMED = "drain_unconfirmed"
    STARTING = "starting"
    AWAITING_HEALTH = "awaiting_health"
    STILL_STOPPING = "still_stopping"
    AWAITING_DEPENDENCY = "awaiting_dependency"
    START_FAILED = "start_failed"
    STOP_FAILED = "stop_failed"
    HEALTH_FAILED = "health_failed"
    RESOURCES_GONE = "resources_gone"
    NO_RESOURCES = "no_resources"
    PAUSED = "paused"
    STOPS_LIMITED = "stops_limited"
    UNOBSERVABLE = "unobservable"

    @property
    def words(self) -> str:
        """The reason as a sentence."""
        return _WORDS[self]


_WORDS = {
    Reason.DISABLED: "The rule is disabled: AutoStop leaves its resources alone.",
    Reason.DRY_RUN: "Dry run: AutoStop decides and records, but never acts.",
    Reason.WARM_UP: "Kept up by a warm-up.",
    Reason.COOL_DOWN: "Kept down by a cool-down.",
    Reason.ACTIVE: "In use within the idle time.",
    Reason.IDLE: "Every activity source proves that nobody used it for the idle time.",
    Reason.BLIND: "Blind: an activity source is silent, so nothing is stopped.",
    Reason.NO_SOURCE: "Blind: the rule has no activity source that could prove that nobody uses it.",
    Reason.AWAITING_EVIDENCE: "Quiet, but the evidence does not cover the whole idle time yet.",
    Reason.GUARDED: "Idle by its traffic, but a guard vetoes the stop.",
    Reason.PROTECTED: "A resource of the rule must never be stopped.",
    Reason.BUSY: "It is not stopped while AWS is at work on it.",
    Reason.FAULTY: "AWS cannot start a resource of the rule before somebody mends it.",
    Reason.NEEDED: "Needed by a rule that depends on it.",
    Reason.UPTIME: "Kept up by a schedule.",
    Reason.DOWNTIME: "Kept down by a schedule.",
    Reason.RESTING: "It has no activity source of its own, and neither a schedule nor another rule needs it now.",
    Reason.STOPPED_BY_HAND: (
        "Somebody stopped it outside AutoStop; it stays down until it is used again or its next window begins."
    ),
    Reason.STARTED_BY_HAND: "Somebody started it outside AutoStop; it stays up until its schedule's next boundary.",
    Reason.DRAINING: "New connections are diverted; waiting for evidence that covers time after the diversion.",
    Reason.DRAIN_UNCONFIRMED: "The stop was given up: the diversion was not confirmed in time.",
    Reason.STARTING: "AWS was asked to start it.",
    Reason.AWAITING_HEALTH: "Running; waiting for its health check to pass.",
    Reason.STILL_STOPPING: "AWS is still stopping it; it starts as soon as AWS allows.",
    Reason.AWAITING_DEPENDENCY: "Waiting for a rule that it depends on.",
    Reason.START_FAILED: "AWS did not start it.",
    Reason.STOP_FAILED: "AWS did not stop it.",
    Reason.HEALTH_FAILED: "Running, but its health check has not passed in time.",
    Reason.PAUSED: "AutoStop is paused for the whole account: nothing is stopped.",
    Reason.STOPS_LIMITED: "As many stops as the account allows have begun in this minute; it has to wait its turn.",
    Reason.UNOBSERVABLE: "AWS does not tell about its resources, so nothing is done.",
    Reason.RESOURCES_GONE: "None of the rule's resources exists any more.",
    Reason.NO_RESOURCES: "No resource has its tags now.",
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """One fact that a decision stands on.

    `source` names who said it (`proxy i-…`, `ec2 i-…`, `override`), `value` is what it said in words,
    `observed_at` when it happened or was seen, `covers_until` the watermark: up to when the source knows.
    """

    source: str
    value: str
    observed_at: datetime | None = None
    covers_until: datetime | None = None


RESYNC = timedelta(hours=1)
"""How long a quiet rule that runs goes unlooked at when every event is lost."""

AT_REST = timedelta(hours=8)
"""The same of a rule that is down, disabled or without a source: only what is done by hand could be missed."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the rule should be, why, and when to look again if nothing happens.

    `ends` is when the reason itself ends, where that is known. `may_start` is False where staying up is caution and no
    reason to start anything. `ordered` tells a person's order from what evidence allows; `forced`, one that cuts
    users off. `by`: who or what wishes so, as the history names its actors, None for AutoStop itself.
    """

    desired: Desired
    reason: Reason
    until: datetime
    detail: str | None = None
    may_start: bool = True
    ordered: bool = False
    forced: bool = False
    ends: datetime | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about a rule now. `until` is when to look again: the rule's next `due_at`.

    `wish` is the reason for what is desired, where `reason` is the one for this step towards it. `held_down`: why
    traffic may not start it now. `by`: see `Wish`.
    """

    action: Action
    desired: Desired
    reason: Reason
    evidence: tuple[Evidence, ...]
    until: datetime
    state: RuleState
    resource_ids: tuple[str, ...] = ()
    detail: str | None = None
    wish: Reason | None = None
    held_down: HeldDown | None = None
    by: str | None = None

    @property
    def words(self) -> str:
        """The reason, and what is particular to this case."""
        return f"{self.reason.words} {self.detail}" if self.detail else self.reason.words

    def begins_a_stop(self, status: RuleStatus) -> bool:
        """Whether it is the first step of a stop; what is diverted already has begun."""
        return self.action in {Action.DRAIN, Action.STOP} and status.drain is None
