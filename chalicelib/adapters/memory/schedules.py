"""Schedules in memory."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from chalicelib.adapters.memory.idempotency import Answers
from chalicelib.adapters.memory.paging import page
from chalicelib.domain.errors import ConflictError, NotFoundError, VersionMismatchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chalicelib.domain.schedules import Schedule
    from chalicelib.ports import Clock, Idempotency, Page


class MemorySchedules:
    """Implements ScheduleRepository. `toggle` is the rules' side of it."""

    def __init__(self, clock: Clock) -> None:
        self._schedules: dict[str, Schedule] = {}
        self._rules: dict[str, set[str]] = defaultdict(set)
        self._answers = Answers(clock)

    def create(self, schedule: Schedule, idempotency: Idempotency | None = None) -> Schedule:
        if (known := self._answers.first(idempotency)) is not None:
            return self.get(known)
        self._schedules[schedule.id] = schedule
        self._answers.remember(idempotency, schedule.id)
        return schedule

    def get(self, schedule_id: str) -> Schedule:
        try:
            return self._schedules[schedule_id]
        except KeyError:
            raise NotFoundError("schedule", schedule_id) from None

    def get_many(self, schedule_ids: Sequence[str]) -> dict[str, Schedule]:
        return {id_: self._schedules[id_] for id_ in schedule_ids if id_ in self._schedules}

    def list(self, limit: int, cursor: str | None = None) -> Page[Schedule]:
        return page(self._schedules.values(), limit, cursor)

    def replace(self, before: Schedule, after: Schedule) -> Schedule:
        self._at_version(before)
        new = replace(after, version=before.version + 1)
        self._schedules[new.id] = new
        return new

    def delete(self, schedule: Schedule) -> None:
        self._at_version(schedule)
        if rules := self._rules[schedule.id]:
            raise ConflictError(f"Rules have schedule {schedule.id}: {', '.join(sorted(rules))}.")
        del self._schedules[schedule.id]

    def rules_of(self, schedule_id: str) -> tuple[str, ...]:
        self.get(schedule_id)
        return tuple(sorted(self._rules[schedule_id]))

    def toggle(self, schedule_id: str, rule_id: str) -> None:
        """A rule takes this schedule, or gives it back."""
        self._rules[schedule_id] ^= {rule_id}

    def _at_version(self, schedule: Schedule) -> None:
        stored = self.get(schedule.id)
        if stored.version != schedule.version:
            raise VersionMismatchError(f"It is at version {stored.version}, not {schedule.version}.")
