"""What one look adds to the records of usage. Pure, and idempotent: the same look again adds nothing.

What is recorded never overstates a saving. A start that was found late is dated at the launch that AWS tells of if that
was after the last look, else at that look; a stop is dated when it was found. If nobody looked for much longer than was
planned, the time from the last look on is unknown. A look that is older than what is recorded can only turn time that
counts as down into time that counts as up.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from datetime import date, timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, TypeAlias

from chalicelib.domain.intervals import common, merged
from chalicelib.domain.usage import IntervalState
from chalicelib.domain.usage_days import Change, Paid, UsageDay, midnight

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal

    from chalicelib.domain.intervals import Stretch

MOST_DAYS = 35
"""How far back a look mends the records after nobody looked for long."""

MOST_CHANGES = 2000
"""Changes a day's record has room for; what flaps more often than that is unknown for the rest of the day."""

Timeline: TypeAlias = list[Change]
"""One resource's changes in order of time."""

_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Sight:
    """One resource as a look saw it, or, of a dry run, as it would have been.

    `was_down`: the look before saw it down, so that it can only have started after that. `launched_at`: see
    ObservedResource, None where it proves nothing.
    """

    paid: Paid
    state: IntervalState
    was_down: bool
    launched_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a rule, `at` some time. `since` is when the look before it was, None for the first ever.

    `overdue`: it came so much later than planned that the time since then is unknown. `sights` has the resources that
    are there. `scheduled` covers the days from `first_day` to the end of the day of the look.
    """

    rule_id: str
    at: datetime
    since: datetime | None
    overdue: bool
    dry_run: bool
    sights: tuple[Sight, ...] = ()
    load_balancer_id: str | None = None
    hourly_cost: Decimal | None = None
    scheduled: tuple[Stretch, ...] | None = None

    @property
    def first_day(self) -> date:
        """The day of the look before: the first whose record this look can add to."""
        return first_day(self.since, self.at)


def first_day(since: datetime | None, at: datetime) -> date:
    """The first UTC day whose record a look can add to, given when the one before it was."""
    return at.date() if since is None else min(max(since.date(), at.date() - MOST_DAYS * _ONE_DAY), at.date())


def recorded(known: Iterable[UsageDay], look: Look) -> tuple[UsageDay, ...]:
    """The records to store: new ones and changed ones, each at the version of the known one.

    `known` are the records of the rule from `look.first_day` to the day of the look, of both kinds. A rule that has
    changed between dry run and real is closed in the records of the other kind.
    """
    mine: dict[date, UsageDay] = {}
    others: dict[date, UsageDay] = {}
    for record in known:
        (mine if record.dry_run is look.dry_run else others)[record.day] = record
    if not others and _is_known(mine, look):
        return ()
    found = _added(mine, look)
    if others:
        closed = replace(look, dry_run=not look.dry_run, sights=())
        found += _added(others, closed)
    return tuple(found)


def _is_known(known: Mapping[date, UsageDay], look: Look) -> bool:
    """Whether the day's record ends with just what the look saw: so it is with most, and they need not be replayed."""
    today = known.get(look.at.date())
    if len(known) > 1:
        return False  # a look that came late can have put something in a day before that this one does not carry on
    if today is None or look.overdue or len(today.changes) >= MOST_CHANGES:
        return False
    if today.scheduled is not None or look.scheduled is not None:
        return False  # what a day's schedules say can change while it goes on
    if (today.load_balancer_id, today.hourly_cost) != (look.load_balancer_id, look.hourly_cost):
        return False
    last = {change.resource_id: change for change in today.changes}
    there = {id_ for id_, change in last.items() if change.state is not None}
    return there == {sight.paid.ref.id for sight in look.sights} and all(
        sight.paid in today.products
        and last[sight.paid.ref.id].state is sight.state
        and last[sight.paid.ref.id].at <= look.at
        and not _was_up_meanwhile(sight, look)
        for sight in look.sights
    )


def _was_up_meanwhile(sight: Sight, look: Look) -> bool:
    """Whether what is down was launched since the look before: it was up, nobody knows for how long."""
    launched = sight.launched_at if sight.state is IntervalState.DOWN else None
    return launched is not None and look.since is not None and look.since < launched <= look.at


def _added(known: Mapping[date, UsageDay], look: Look) -> list[UsageDay]:
    today = known.get(look.at.date())
    full = today is not None and len(today.changes) >= MOST_CHANGES
    timelines = _timelines(known)
    if look.overdue and look.since is not None:
        for timeline in timelines.values():
            _lose_sight(timeline, look.since)
    for sight in look.sights:
        timeline = timelines.setdefault(sight.paid.ref.id, [])
        _see(timeline, sight.paid.ref.id, replace(sight, state=IntervalState.UNKNOWN) if full else sight, look)
    there = {sight.paid.ref.id for sight in look.sights}
    for resource_id, timeline in timelines.items():
        if resource_id not in there and timeline[-1].state is not None and timeline[-1].at < look.at:
            timeline.append(Change(look.at, resource_id))
    return _by_day(known, timelines, look)


def _timelines(known: Mapping[date, UsageDay]) -> dict[str, Timeline]:
    found: dict[str, Timeline] = {}
    for _, record in sorted(known.items()):
        for change in record.changes:
            found.setdefault(change.resource_id, []).append(change)
    return found


def _lose_sight(timeline: Timeline, since: datetime) -> None:
    """Nobody looked from `since` on, unless somebody recorded something later."""
    last = timeline[-1]
    if last.state in {IntervalState.UP, IntervalState.DOWN} and last.at <= since:
        _put(timeline, Change(since, last.resource_id, IntervalState.UNKNOWN))


def _see(timeline: Timeline, resource_id: str, sight: Sight, look: Look) -> None:
    now = _last(timeline, look.at)
    if now is not None and now.state is sight.state:
        if _was_up_meanwhile(sight, look) and sight.launched_at:
            _raise(timeline, resource_id, max(sight.launched_at, _down_since(timeline, look.at)), look.at)
            _put(timeline, Change(look.at, resource_id, IntervalState.DOWN))
        return
    if now is not None and now.state is IntervalState.DOWN and sight.state is IntervalState.UP:
        down_since = _down_since(timeline, look.at)
        began = _began(sight, look, look.since if sight.was_down and look.since else down_since)
        _raise(timeline, resource_id, max(began, down_since), look.at)
    elif not timeline or timeline[-1].at < look.at:
        at = look.at
        if now is not None and now.state is IntervalState.UNKNOWN and sight.state is IntervalState.UP:
            at = max(_began(sight, look, now.at, otherwise=look.at), now.at)
        _put(timeline, Change(at, resource_id, sight.state))


def _began(sight: Sight, look: Look, after: datetime, otherwise: datetime | None = None) -> datetime:
    """When what is up now came up: at its launch, if that was after `after`."""
    launched = sight.launched_at
    if launched is not None and after < launched <= look.at:
        return launched
    return after if otherwise is None else otherwise


def _last(timeline: Timeline, at: datetime) -> Change | None:
    place = bisect_right(timeline, at, key=attrgetter("at"))
    return timeline[place - 1] if place else None


def _down_since(timeline: Timeline, at: datetime) -> datetime:
    """Since when it counts as down without a break, at a moment at which it does."""
    place = bisect_right(timeline, at, key=attrgetter("at")) - 1
    while place and timeline[place - 1].state is IntervalState.DOWN:
        place -= 1
    return timeline[place].at


def _raise(timeline: Timeline, resource_id: str, began: datetime, until: datetime) -> None:
    """Up instead of down from `began` on. What is overruled stays as a change: it may be delivered again."""
    for n, change in enumerate(timeline):
        if change.state is IntervalState.DOWN and began <= change.at <= until:
            timeline[n] = replace(change, state=IntervalState.UP)
    _put(timeline, Change(began, resource_id, IntervalState.UP))


def _put(timeline: Timeline, change: Change) -> None:
    """Put it at its place, instead of one of the same moment."""
    kept = [other for other in timeline if other.at != change.at]
    kept.insert(bisect_right(kept, change.at, key=attrgetter("at")), change)
    timeline[:] = kept


def _by_day(known: Mapping[date, UsageDay], timelines: Mapping[str, Timeline], look: Look) -> list[UsageDay]:
    """The timelines cut at midnight, and of these days the ones that are not stored so."""
    paid = {one.ref.id: one for _, record in sorted(known.items()) for one in record.products}
    paid |= {s.paid.ref.id: s.paid for s in look.sights if s.paid.product or s.paid.ref.id not in paid}
    found: list[UsageDay] = []
    day = min(known, default=look.at.date())
    while day <= look.at.date():
        before = known.get(day)
        changes = _of_day(timelines.values(), day)
        # The settings of a day that is over are as they were, and so are those of a rule that has nothing any more.
        settled = before is not None and (day < look.at.date() or not look.sights)
        after = before if before is not None and settled else _with_settings(before, look, day)
        if changes:
            kept = after.products if settled else ()
            missing = {change.resource_id for change in changes} - {one.ref.id for one in kept}
            added = tuple(one for id_, one in sorted(paid.items()) if id_ in missing)
            after = replace(after, changes=changes, products=kept + added)
        if after != before and after.changes:
            found.append(after)
        day += _ONE_DAY
    return found


def _of_day(timelines: Iterable[Timeline], day: date) -> tuple[Change, ...]:
    start = midnight(day)
    changes: list[Change] = []
    for timeline in timelines:
        carried = _last(timeline, start)
        if carried is not None and (carried.state is not None or carried.at == start):
            changes.append(replace(carried, at=start))
        changes += [change for change in timeline if start < change.at < start + _ONE_DAY]
    return tuple(sorted(changes, key=attrgetter("at", "resource_id")))


def _with_settings(before: UsageDay | None, look: Look, day: date) -> UsageDay:
    """A day's record with the rule's settings; schedules say nothing of the time before they were the rule's."""
    start, end = midnight(day), midnight(day) + _ONE_DAY
    scheduled = None if look.scheduled is None else _within(look.scheduled, start, end)
    if before is None:
        record = UsageDay(look.rule_id, day, look.dry_run)
    else:
        record = before
        if scheduled is not None or before.scheduled is not None:
            # Without schedules it would have been left on.
            past = before.scheduled if before.scheduled is not None else ((start, look.at),)
            coming = scheduled if scheduled is not None else ((look.at, end),)
            scheduled = tuple(merged(_within(past, start, look.at) + _within(coming, look.at, end)))
    return replace(record, load_balancer_id=look.load_balancer_id, hourly_cost=look.hourly_cost, scheduled=scheduled)


def _within(stretches: Sequence[Stretch], start: datetime, end: datetime) -> tuple[Stretch, ...]:
    return tuple(common(merged(stretches), [(start, end)]))
