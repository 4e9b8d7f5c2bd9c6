"""What savings are counted from: the recorded intervals of resources, and the time that is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from enum import StrEnum
from typing import TYPE_CHECKING

from chalicelib.domain.costs import checked
from chalicelib.domain.intervals import days_of, utc

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

    from chalicelib.domain.costs import HourlyCost, SharedCost
    from chalicelib.domain.intervals import Day, Stretch
    from chalicelib.domain.resources import ResourceRef


class IntervalState(StrEnum):
    """How a resource was found: up is what AWS bills as running, down what it does not, unknown what we did not see."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Interval:
    """A record: one resource was found in one state from `start` to `end`, None while it still is.

    With `dry_run` it says how the resource would have been had the rule been allowed to act.
    """

    resource: ResourceRef
    start: datetime
    end: datetime | None
    state: IntervalState
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class CountedResource:
    """A resource of a rule and what an hour of it costs while it is up.

    It is counted from `since` to `until`, its time in the rule, None for all of the period. Its open interval
    is taken for proven up to `seen_at`, the last time that anybody looked, None for the end of the period.
    A resource that left and came back stands once for each of its times in the rule.
    """

    ref: ResourceRef
    hourly: HourlyCost
    since: datetime | None = None
    until: datetime | None = None
    seen_at: datetime | None = None

    def __post_init__(self) -> None:
        checked(self.hourly)


@dataclass(frozen=True, slots=True)
class RuleUsage:
    """What is needed of one rule. Records may overlap, repeat and come in any order.

    `schedule_spans` is when its own schedules alone would have it up, None for a rule without schedules.
    """

    rule_id: str
    resources: tuple[CountedResource, ...]
    intervals: tuple[Interval, ...]
    schedule_spans: tuple[Stretch, ...] | None = None
    shared: tuple[SharedCost, ...] = ()


@dataclass(frozen=True, slots=True)
class Period:
    """The time asked for: [from, to), but never past now, cut into days of a zone."""

    start: datetime
    end: datetime
    days: tuple[Day, ...]

    @classmethod
    def of(cls, start: datetime, end: datetime, now: datetime, zone: tzinfo = UTC) -> Period:
        """The future is not unknown time, it is no time yet: it is left out."""
        start, end = utc(start), min(utc(end), utc(now))
        return cls(start, end, days_of(start, end, zone))
