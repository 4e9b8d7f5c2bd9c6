"""What is watched in the flow logs, and what they prove, in the table of activity."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from pynamodb.exceptions import PynamoDBException

from chalicelib.adapters.dynamodb.codec import dump, know, load
from chalicelib.adapters.dynamodb.errors import condition_failed, translated
from chalicelib.adapters.dynamodb.models import ActivityItem
from chalicelib.domain import flow_logs, flow_proof
from chalicelib.domain.errors import CloudError
from chalicelib.domain.flow_logs import FlowWatch
from chalicelib.domain.flow_proof import FlowProof, Stretches, extend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chalicelib.domain.activity import Span
    from chalicelib.ports import Clock

know(flow_logs, flow_proof)

FLOW = "flow"
"""The partition of what is watched."""

WATCHED = timedelta(days=2)
KEPT = timedelta(days=90)
TRIES = 5


class DynamoFlows:
    """Implements FlowStore."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def watch(self, watch: FlowWatch) -> None:
        expires = self._clock.now() + WATCHED
        with translated():
            ActivityItem(FLOW, f"watch#{watch.rule_id}", body=dump(watch), expires=expires).save()

    def watches(self) -> Sequence[FlowWatch]:
        now = self._clock.now()
        with translated():
            found = list(ActivityItem.query(FLOW, ActivityItem.part.startswith("watch#")))
        return [load(FlowWatch, item.body or "") for item in found if item.expires is None or item.expires > now]

    def prove(
        self, rule_id: str, interface: str, proved: Sequence[Span], skipped: Sequence[Span], window: timedelta
    ) -> None:
        part = f"fact#flow#{interface}"
        for _ in range(TRIES):
            with translated():
                try:
                    stored: ActivityItem | None = ActivityItem.get(rule_id, part, consistent_read=True)
                except ActivityItem.DoesNotExist:
                    stored = None
                before = load(Stretches, stored.body or "") if stored else Stretches()
                after = extend(before, proved, skipped, window)
                if after == before:
                    return
                step = int(stored.step or 0) if stored else 0
                unchanged = ActivityItem.step == step if stored else ActivityItem.rule_id.does_not_exist()
                item = ActivityItem(rule_id, part, body=dump(after), step=step + 1, expires=self._clock.now() + KEPT)
                try:
                    item.save(condition=unchanged)
                except PynamoDBException as error:
                    if condition_failed(error):
                        continue
                    raise
                return
        raise CloudError("Contention", f"{part} of {rule_id} was written to at each of {TRIES} tries", retryable=True)


def proof_of(interface: str, body: str) -> FlowProof:
    """As it is stored among the facts of a rule."""
    return FlowProof(interface, load(Stretches, body))
