"""Schedules as people make, change and delete them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chalicelib.domain.errors import InvalidInputError, VersionMismatchError
from chalicelib.domain.events import Event, EventKind
from chalicelib.domain.schedules import faults
from chalicelib.usecases.requests import requests_for

if TYPE_CHECKING:
    from chalicelib.domain.schedules import Recurrences, Schedule
    from chalicelib.ports import (
        Clock,
        EventLog,
        Idempotency,
        Ids,
        Page,
        RuleRepository,
        RuleStatusStore,
        ScheduleRepository,
        WorkQueue,
    )


@dataclass(slots=True)
class ManageSchedules:
    """Create, read, replace, delete. The rules that have a changed schedule are looked at at once."""

    schedules: ScheduleRepository
    rules: RuleRepository
    status: RuleStatusStore
    recurrences: Recurrences
    events: EventLog
    queue: WorkQueue
    clock: Clock
    ids: Ids

    def create(self, draft: Schedule, by: str, idempotency: Idempotency | None = None) -> Schedule:
        """Store a draft under an id of its own. Raises InvalidInputError with every fault, ConflictError."""
        now = self.clock.now()
        schedule = replace(draft, id=self.ids.new("sc"), version=1, created_at=now, updated_at=now)
        self._check(schedule)
        stored = self.schedules.create(schedule, idempotency)
        if stored.id == schedule.id:
            self._tell(stored, EventKind.SCHEDULE_CREATED, by, "was created")
        return stored

    def get(self, schedule_id: str) -> Schedule:
        """Raises NotFoundError."""
        return self.schedules.get(schedule_id)

    def page(self, limit: int, cursor: str | None) -> Page[Schedule]:
        """Raises InvalidInputError for a cursor that is not ours."""
        return self.schedules.list(limit, cursor)

    def replace(self, schedule_id: str, draft: Schedule, by: str, version: int | None = None) -> Schedule:
        """Raises InvalidInputError with every fault, NotFoundError, VersionMismatchError."""
        before = self._at(schedule_id, version)
        after = replace(
            draft,
            id=before.id,
            version=before.version,
            created_at=before.created_at,
            updated_at=self.clock.now(),
        )
        self._check(after)
        stored = self.schedules.replace(before, after)
        self._tell(stored, EventKind.SCHEDULE_UPDATED, by, "was changed")
        self._look_at_its_rules(stored)
        return stored

    def delete(self, schedule_id: str, by: str, version: int | None = None) -> None:
        """Raises NotFoundError, VersionMismatchError, ConflictError while rules have it."""
        schedule = self._at(schedule_id, version)
        self.schedules.delete(schedule)
        self._tell(schedule, EventKind.SCHEDULE_DELETED, by, "was deleted")

    def _check(self, schedule: Schedule) -> None:
        found = faults(schedule, self.recurrences)
        if found:
            raise InvalidInputError(found)

    def _at(self, schedule_id: str, version: int | None) -> Schedule:
        schedule = self.schedules.get(schedule_id)
        if version is not None and version != schedule.version:
            raise VersionMismatchError(f"{schedule_id} is at version {schedule.version}, not {version}.")
        return schedule

    def _look_at_its_rules(self, schedule: Schedule) -> None:
        now = self.clock.now()
        ids = self.schedules.rules_of(schedule.id)
        self.status.make_due(ids, now)
        for start in range(0, len(ids), 100):
            rules = self.rules.get_many(ids[start : start + 100]).values()
            self.queue.send(requests_for([(r.id, r.spec.place) for r in rules], "schedule", now))

    def _tell(self, schedule: Schedule, kind: EventKind, by: str, what: str) -> None:
        words = f"Schedule {schedule.name} {what}."
        self.events.append([Event(self.ids.new("ev"), self.clock.now(), kind, schedule.id, f"key {by}", words)])
