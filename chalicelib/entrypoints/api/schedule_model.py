"""The body of a schedule. What its fields mean together is checked in the domain, with the same names."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from chalicelib.domain.schedules import LOWEST_PRIORITY, MAX_EXCEPT_DATES, MAX_WEEKLY, Schedule, ScheduleKind
from chalicelib.domain.wall_time import DAY, Weekday, WeeklyWindow
from chalicelib.entrypoints.api.models import Name, Strict, Time


def _clock(value: str) -> str:
    hours, colon, minutes = value.partition(":")
    right = len(hours) == len(minutes) == 2 and (hours + minutes).isascii() and (hours + minutes).isdigit()  # noqa: PLR2004
    if not (colon and right) or int(minutes) > 59 or _seconds(value) > DAY:  # noqa: PLR2004
        raise ValueError("is not a time of day such as 08:00, at most 24:00")
    return value


def _seconds(value: str) -> int:
    hours, _, minutes = value.partition(":")
    return int(hours) * 3600 + int(minutes) * 60


def _date(value: object) -> object:
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise ValueError("is not a date such as 2026-12-25") from None
    return value


ClockTime = Annotated[str, AfterValidator(_clock)]
Date = Annotated[date, BeforeValidator(_date)]


class WeeklyBody(Strict):
    """One window of a week; an end at or before the start is on the next day."""

    days: list[Literal["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"]] = Field(max_length=7)
    start: ClockTime = "00:00"
    end: ClockTime = "24:00"


class ScheduleBody(Strict):
    """`POST /schedules`, `PUT /schedules/{id}`. Without weekly and rrule, from and until are the only window."""

    name: Name
    kind: Literal["uptime", "downtime"]
    time_zone: Annotated[str, Field(max_length=64)]
    priority: int = Field(default=1, ge=1, le=LOWEST_PRIORITY)
    weekly: list[WeeklyBody] = Field(default=[], max_length=MAX_WEEKLY)
    rrule: Annotated[str, Field(max_length=1000)] | None = None
    duration_minutes: Annotated[int, Field(ge=1, le=10080)] | None = None
    from_: Time | None = Field(default=None, alias="from")
    until: Time | None = None
    except_dates: list[Date] = Field(default=[], max_length=MAX_EXCEPT_DATES)

    def draft(self, now: datetime) -> Schedule:
        """The schedule as the domain knows it, without an id."""
        return Schedule(
            id="",
            name=self.name,
            kind=ScheduleKind(self.kind),
            time_zone=self.time_zone,
            version=1,
            created_at=now,
            updated_at=now,
            priority=self.priority,
            weekly=tuple(
                WeeklyWindow(tuple(Weekday(day) for day in w.days), _seconds(w.start), _seconds(w.end))
                for w in self.weekly
            ),
            rrule=self.rrule,
            duration=None if self.duration_minutes is None else timedelta(minutes=self.duration_minutes),
            starts=self.from_,
            until=self.until,
            except_dates=tuple(self.except_dates),
        )
