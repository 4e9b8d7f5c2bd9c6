"""Activity per rule. What decides is max-merged by conditional updates: exact under any delivery."""

from __future__ import annotations

from datetime import UTC, timedelta
from functools import reduce
from operator import and_, or_
from typing import TYPE_CHECKING

from pynamodb.exceptions import PynamoDBException

from chalicelib.adapters.dynamodb.errors import condition_failed, translated
from chalicelib.adapters.dynamodb.models import ActivityItem
from chalicelib.adapters.dynamodb.times import from_micros, micros
from chalicelib.ports import ActivityFacts, Health, LastActivity, Total

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from pynamodb.expressions.condition import Condition
    from pynamodb.expressions.update import Action

    from chalicelib.ports import Clock

KEPT = timedelta(days=90)
"""Facts are kept so long after their last write: longer than any idle time, and those of a deleted rule go too."""

PIECES_KEPT = timedelta(hours=6)
_FIGURES = ("requests", "connections", "open", "bytes_in", "bytes_out")


class DynamoActivity:
    """Implements ActivityStore."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def seen(self, rule_id: str, activity: LastActivity) -> None:
        at = micros(activity.at)
        older = ActivityItem.at.does_not_exist() | (ActivityItem.at < at)
        with translated():
            try:
                ActivityItem(rule_id, f"fact#last#{activity.source}").update(
                    actions=[ActivityItem.at.set(at), self._expiry()], condition=older
                )
            except PynamoDBException as error:
                if not condition_failed(error):
                    raise

    def add_totals(self, totals: Sequence[Total]) -> None:
        for total in totals:
            self._add(total)

    def count_stored(self, load_balancer_id: str, member: str, seq: int, summaries: frozenset[str]) -> int:
        item = ActivityItem(f"seq#{load_balancer_id}", f"{member}#{seq}")
        with translated():
            if not summaries:
                try:
                    item = ActivityItem.get(item.rule_id, item.part, consistent_read=True)
                except ActivityItem.DoesNotExist:
                    return 0
            else:
                expires = self._clock.now() + PIECES_KEPT
                item.update(actions=[ActivityItem.stored.add(set(summaries)), ActivityItem.expires.set(expires)])
            return len(item.stored or ())

    def put_health(self, rule_id: str, health: Health) -> None:
        at = micros(health.at)
        older = ActivityItem.at.does_not_exist() | (ActivityItem.at <= at)
        status = (
            ActivityItem.http_status.remove() if health.status is None else ActivityItem.http_status.set(health.status)
        )
        with translated():
            try:
                ActivityItem(rule_id, f"fact#health#{health.member}").update(
                    actions=[
                        ActivityItem.at.set(at),
                        ActivityItem.accepts.set(int(health.accepts)),
                        status,
                        self._expiry(),
                    ],
                    condition=older,
                )
            except PynamoDBException as error:
                if not condition_failed(error):
                    raise

    def facts(self, rule_id: str) -> ActivityFacts:
        last, health, flows = [], [], []
        with translated():
            for item in ActivityItem.query(rule_id, ActivityItem.part.startswith("fact#"), consistent_read=True):
                _, kind, name = item.part.split("#", 2)
                at = from_micros(item.at or 0)
                if kind == "last":
                    last.append(LastActivity(name, at))
                elif kind == "flow":
                    # Few rules have any, and whoever wakes a rule does not wait for its import.
                    from chalicelib.adapters.dynamodb.flows import proof_of  # noqa: PLC0415

                    flows.append(proof_of(name, item.body or ""))
                else:
                    status = None if item.http_status is None else int(item.http_status)
                    health.append(Health(name, bool(item.accepts), at, status))
        return ActivityFacts(tuple(last), tuple(health), tuple(flows))

    def history(self, rule_id: str, start: datetime, end: datetime) -> Sequence[Total]:
        now = self._clock.now()
        first, last = (at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M") for at in (start, end))
        if first >= last:
            return []
        between = ActivityItem.part.between(f"total#{first}", f"total#{last}")
        with translated():
            found = [
                item for item in ActivityItem.query(rule_id, between) if item.expires is None or item.expires > now
            ]
        return [self._total(item) for item in found]

    def _total(self, item: ActivityItem) -> Total:
        _, minute, source = item.part.split("#", 2)
        return Total(item.rule_id, minute, source, *(int(getattr(item, name) or 0) for name in _FIGURES))

    def _add(self, total: Total) -> None:
        """Write the larger figures; a repetition finds nothing to raise and writes nothing.

        A member's figures of one minute only grow, so that one update raises them all; figures of which some are
        larger and some smaller, as after a restart in that minute, are raised one by one.
        """
        figures = {name: getattr(total, name) for name in _FIGURES}
        attributes = {name: getattr(ActivityItem, name) for name in _FIGURES}
        nowhere_smaller = ActivityItem.rule_id.does_not_exist()
        grown = reduce(and_, (attributes[name] <= value for name, value in figures.items()))
        more = reduce(or_, (attributes[name] < value for name, value in figures.items()))
        raised = [attributes[name].set(value) for name, value in figures.items()]
        if self._raise(total, [*raised, self._expiry()], nowhere_smaller | (grown & more)):
            return
        for name, value in figures.items():
            self._raise(total, [attributes[name].set(value)], attributes[name] < value)

    def _raise(self, total: Total, actions: Sequence[Action], condition: Condition) -> bool:
        """Whether the condition held, and the figures are written."""
        with translated():
            try:
                item = ActivityItem(total.rule_id, f"total#{total.minute}#{total.source}")
                item.update(actions=list(actions), condition=condition)
            except PynamoDBException as error:
                if condition_failed(error):
                    return False
                raise
        return True

    def _expiry(self) -> Action:
        return ActivityItem.expires.set(self._clock.now() + KEPT)
