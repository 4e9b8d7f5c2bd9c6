"""Schedules."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pynamodb.exceptions import PynamoDBException, TransactWriteError

from chalicelib.adapters.dynamodb.codec import dump, load
from chalicelib.adapters.dynamodb.cursors import decode, encode
from chalicelib.adapters.dynamodb.errors import condition_failed, no_condition, translated
from chalicelib.adapters.dynamodb.idempotency import answered, remember
from chalicelib.adapters.dynamodb.models import ScheduleItem
from chalicelib.adapters.dynamodb.transactions import transaction
from chalicelib.domain.errors import ConflictError, NotFoundError, VersionMismatchError
from chalicelib.domain.schedules import Schedule
from chalicelib.ports import Page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chalicelib.ports import Clock, Idempotency


class DynamoSchedules:
    """Implements ScheduleRepository. `rule_ids` is written by the rules' own transactions."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def create(self, schedule: Schedule, idempotency: Idempotency | None = None) -> Schedule:
        now = self._clock.now()
        if (known := answered("schedule", idempotency, now)) is not None:
            return self.get(known)
        try:
            with translated(), transaction(ScheduleItem) as write:
                write.save(ScheduleItem(schedule.id, body=dump(schedule), version=schedule.version))
                remember(write, "schedule", schedule.id, idempotency, now)
        except TransactWriteError as error:
            if (known := answered("schedule", idempotency, now)) is not None:
                return self.get(known)
            raise no_condition(error) from error
        return schedule

    def get(self, schedule_id: str) -> Schedule:
        return _schedule(self._item(schedule_id))

    def get_many(self, schedule_ids: Sequence[str]) -> dict[str, Schedule]:
        unique = list(dict.fromkeys(schedule_ids))
        with translated():
            return {item.id: _schedule(item) for item in ScheduleItem.batch_get(unique, consistent_read=True)}

    def list(self, limit: int, cursor: str | None = None) -> Page[Schedule]:
        with translated():
            found = ScheduleItem.scan(limit=limit, last_evaluated_key=decode(cursor))
            return Page(tuple(_schedule(item) for item in found), encode(found.last_evaluated_key))

    def replace(self, before: Schedule, after: Schedule) -> Schedule:
        new = replace(after, version=before.version + 1)
        with translated():
            try:
                ScheduleItem(before.id).update(
                    actions=[ScheduleItem.body.set(dump(new)), ScheduleItem.version.set(new.version)],
                    condition=ScheduleItem.version == before.version,
                )
            except PynamoDBException as error:
                if condition_failed(error):
                    raise self._changed(before) from error
                raise
        return new

    def delete(self, schedule: Schedule) -> None:
        unused = ScheduleItem.rule_ids.does_not_exist()
        with translated():
            try:
                ScheduleItem(schedule.id).delete(condition=(ScheduleItem.version == schedule.version) & unused)
            except PynamoDBException as error:
                if not condition_failed(error):
                    raise
                rules = self.rules_of(schedule.id)
                if rules:
                    raise ConflictError(f"Rules have schedule {schedule.id}: {', '.join(rules)}.") from error
                raise self._changed(schedule) from error

    def rules_of(self, schedule_id: str) -> tuple[str, ...]:
        return tuple(sorted(self._item(schedule_id).rule_ids or ()))

    def _item(self, schedule_id: str) -> ScheduleItem:
        with translated():
            try:
                return ScheduleItem.get(schedule_id, consistent_read=True)
            except ScheduleItem.DoesNotExist:
                raise NotFoundError("schedule", schedule_id) from None

    def _changed(self, read: Schedule) -> VersionMismatchError:
        """Raises NotFoundError where it is gone."""
        stored = self.get(read.id)
        return VersionMismatchError(f"It is at version {stored.version}, not {read.version}.")


def _schedule(item: ScheduleItem) -> Schedule:
    return replace(load(Schedule, item.body), version=int(item.version))
