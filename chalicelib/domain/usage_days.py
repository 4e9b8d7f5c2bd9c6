"""The record that savings are counted from: one item for each rule and UTC day, self-contained, as it was that day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from chalicelib.domain.costs import UnknownCost
from chalicelib.domain.usage import CountedResource, Interval, RuleUsage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import date
    from decimal import Decimal

    from chalicelib.domain.costs import HourlyCost, SharedCost
    from chalicelib.domain.intervals import Stretch
    from chalicelib.domain.products import Ec2Product, Product, RdsProduct
    from chalicelib.domain.resources import ResourceRef
    from chalicelib.domain.usage import IntervalState

KEPT = timedelta(days=400)
"""For how long records and totals are kept: a year can be compared with the one before."""

_ONE_DAY = timedelta(days=1)
_NO_PRODUCT = UnknownCost("AWS did not say what it charges for, so no price can be looked up.")


@dataclass(frozen=True, slots=True)
class Paid:
    """A resource of the day and what AWS charges for while it is up; neither is there where AWS did not say."""

    ref: ResourceRef
    ec2: Ec2Product | None = None
    rds: RdsProduct | None = None

    @property
    def product(self) -> Product | None:
        """What its price is looked up by."""
        return self.ec2 or self.rds


@dataclass(frozen=True, slots=True)
class Change:
    """A resource is in this state from `at` on; without a state it is no resource of the rule from then on."""

    at: datetime
    resource_id: str
    state: IntervalState | None = None


@dataclass(frozen=True, slots=True)
class UsageDay:
    """One rule's UTC day. What would have been (`dry_run`) has a record of its own beside the one of what was.

    `hourly_cost` is the rule's own, USD for an hour of all its resources together, None where prices are looked up.
    `scheduled` is when its schedules alone would have had it up, None for a rule without schedules. `changes` are in
    order of time; what was there at midnight has a change at midnight. `version` counts the writes, 0 before the first.
    """

    rule_id: str
    day: date
    dry_run: bool
    load_balancer_id: str | None = None
    hourly_cost: Decimal | None = None
    scheduled: tuple[Stretch, ...] | None = None
    products: tuple[Paid, ...] = ()
    changes: tuple[Change, ...] = ()
    version: int = 0

    @property
    def start(self) -> datetime:
        """Its midnight."""
        return midnight(self.day)

    @property
    def end(self) -> datetime:
        """The next midnight."""
        return midnight(self.day) + _ONE_DAY

    @property
    def carried(self) -> frozenset[str]:
        """The resources that were there when the day began: the day before is proven to its end for these."""
        return frozenset(change.resource_id for change in self.changes if change.at == self.start)

    @property
    def on_it(self) -> Stretch | None:
        """From when to when the rule had any resource, None if it never had: for so long it bears a proxy's cost."""
        if not self.changes:
            return None
        left = {change.resource_id: change.state is None for change in self.changes}
        return self.changes[0].at, self.changes[-1].at if all(left.values()) else self.end


def midnight(day: date) -> datetime:
    """The moment at which a UTC day begins."""
    return datetime.combine(day, time(), UTC)


def usage_of(
    record: UsageDay,
    carried_on: frozenset[str],
    seen: datetime | None,
    price_of: Callable[[Product], HourlyCost],
    shared: tuple[SharedCost, ...] = (),
) -> RuleUsage:
    """What one day is counted from.

    A resource's last state holds to the end of the day if it is among `carried_on`, the `carried` of the next day's
    record; otherwise up to `seen`, when somebody last looked, None where no look is known that changed nothing.
    The rule's own hourly cost goes before prices; its resources bear equal parts of it.
    """

    def cost_of(paid: Paid) -> HourlyCost:
        if record.hourly_cost is not None:
            return record.hourly_cost / max(_most_at_once(record.changes), 1)
        return _NO_PRODUCT if paid.product is None else price_of(paid.product)

    products = {paid.ref.id: paid for paid in record.products}
    resources: list[CountedResource] = []
    intervals: list[Interval] = []
    for resource_id, changes in _by_resource(record.changes):
        paid = products[resource_id]
        cost = cost_of(paid)
        last = changes[-1].at
        proven = record.end if resource_id in carried_on else max(last, min(seen or last, record.end))
        for spell in _spells(changes):
            left = spell[-1].at if spell[-1].state is None else None
            resources.append(CountedResource(paid.ref, cost, spell[0].at, left, proven))
            ends = [change.at for change in spell[1:]] + ([] if left else [None])
            intervals += [
                Interval(paid.ref, change.at, end, change.state, record.dry_run)
                for change, end in zip(spell, ends, strict=False)
                if change.state is not None
            ]
    return RuleUsage(record.rule_id, tuple(resources), tuple(intervals), record.scheduled, shared)


def _by_resource(changes: Iterable[Change]) -> Iterator[tuple[str, list[Change]]]:
    found: dict[str, list[Change]] = {}
    for change in changes:
        found.setdefault(change.resource_id, []).append(change)
    yield from found.items()


def _spells(changes: Sequence[Change]) -> Iterator[list[Change]]:
    """The stretches in which a resource was one of the rule; each but the last ends with a change without a state."""
    spell: list[Change] = []
    for change in changes:
        if spell or change.state is not None:
            spell.append(change)
        if change.state is None and spell:
            yield spell
            spell = []
    if spell:
        yield spell


def _most_at_once(changes: Sequence[Change]) -> int:
    there: set[str] = set()
    most = 0
    for _, together in groupby(changes, attrgetter("at")):
        for change in together:
            (there.discard if change.state is None else there.add)(change.resource_id)
        most = max(most, len(there))
    return most
