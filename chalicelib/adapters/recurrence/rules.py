"""Recurrence rules as text (RFC 5545, section 3.3.10): understood whole, or refused in words.

dateutil's own parser takes more than the RFC (other properties, EASTER, combinations that it silently ignores) and any
amount of work. What passes here has a bounded cost, and says nothing that would be ignored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time

from chalicelib.domain.errors import AutoStopError
from chalicelib.domain.schedules import YEARS

LONGEST_TEXT = 500
LARGEST_INTERVAL = 1000
LARGEST_COUNT = 1000
"""A COUNT is counted from the beginning each time; an UNTIL costs nothing."""
MOST_A_DAY = 24
"""Windows that may begin in a day."""

FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY")
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")

_NUMBERS = {
    "BYSETPOS": (1, 366, True),
    "BYMONTH": (1, 12, False),
    "BYMONTHDAY": (1, 31, True),
    "BYYEARDAY": (1, 366, True),
    "BYWEEKNO": (1, 53, True),
    "BYHOUR": (0, 23, False),
    "BYMINUTE": (0, 59, False),
    "BYSECOND": (0, 59, False),
}
"""Lists of numbers: the least, the greatest, and whether they may count from the end."""

_NAMES = {"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY", *_NUMBERS}
_ONLY_IN = {
    "BYWEEKNO": {"YEARLY"},
    "BYYEARDAY": {"YEARLY", "HOURLY"},
    "BYMONTHDAY": {"YEARLY", "MONTHLY", "DAILY", "HOURLY"},
}
"""The frequencies in which the RFC's table allows a part at all."""

_DAY = re.compile(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)", re.ASCII)
_UNTIL = re.compile(r"(\d{8})(?:T(\d{6})(Z?))?", re.ASCII)


class MalformedRuleError(AutoStopError):
    """A rule that cannot be used; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class RecurrenceRule:
    """A rule in parts. `numbers` has its lists by name; `days` are (weekday from 0, which of them or 0 for each).

    The rule's UNTIL is `until`: aware where the rule says UTC, else a wall time. A date includes its whole day.
    """

    frequency: str
    interval: int
    count: int | None
    until: datetime | None
    week_start: int
    numbers: dict[str, tuple[int, ...]]
    days: tuple[tuple[int, int], ...]


def parse_rule(text: str) -> RecurrenceRule:
    """Understand a rule, with or without `RRULE:` before it. Raises MalformedRuleError."""
    parts = _parts(text)
    frequency = parts.get("FREQ", "")
    if frequency in {"MINUTELY", "SECONDLY"}:
        raise MalformedRuleError(f"FREQ={frequency} is too dense; the densest is HOURLY")
    if frequency not in FREQUENCIES:
        raise MalformedRuleError("needs a FREQ of YEARLY, MONTHLY, WEEKLY, DAILY or HOURLY")
    for name, frequencies in _ONLY_IN.items():
        if name in parts and frequency not in frequencies:
            raise MalformedRuleError(f"{name} cannot be used with FREQ={frequency}")
    if "COUNT" in parts and "UNTIL" in parts:
        raise MalformedRuleError("COUNT and UNTIL exclude each other")
    if "BYSETPOS" in parts and len(parts.keys() & {*_NUMBERS, "BYDAY"}) == 1:
        raise MalformedRuleError("BYSETPOS needs another BY part to choose from")
    if parts.get("WKST", "MO") not in _WEEKDAYS:
        raise MalformedRuleError("WKST is not a day such as MO")
    rule = RecurrenceRule(
        frequency,
        _number("INTERVAL", parts.get("INTERVAL", "1"), LARGEST_INTERVAL),
        _number("COUNT", parts["COUNT"], LARGEST_COUNT) if "COUNT" in parts else None,
        _until(parts["UNTIL"]) if "UNTIL" in parts else None,
        _WEEKDAYS.index(parts.get("WKST", "MO")),
        {name: _list(name, parts[name]) for name in _NUMBERS if name in parts},
        _days(parts["BYDAY"], frequency, by_week="BYWEEKNO" in parts) if "BYDAY" in parts else (),
    )
    _check_density(rule)
    return rule


def _parts(text: str) -> dict[str, str]:
    if len(text) > LONGEST_TEXT:
        raise MalformedRuleError(f"is longer than {LONGEST_TEXT} characters")
    parts: dict[str, str] = {}
    for part in text.upper().removeprefix("RRULE:").split(";"):
        name, equals, value = part.partition("=")
        if name not in _NAMES or not equals or not value:
            raise MalformedRuleError(f"{part[:40]!r} is not a part of an RFC 5545 recurrence rule such as FREQ=DAILY")
        if name in parts:
            raise MalformedRuleError(f"has {name} twice")
        parts[name] = value
    return parts


def _number(name: str, text: str, largest: int) -> int:
    if not re.fullmatch(r"\d{1,6}", text, re.ASCII) or not 1 <= int(text) <= largest:
        raise MalformedRuleError(f"{name} is not a number from 1 to {largest}")
    return int(text)


def _list(name: str, text: str) -> tuple[int, ...]:
    least, greatest, backwards = _NUMBERS[name]
    numbers = []
    for item in text.split(","):
        number = int(item) if re.fullmatch(r"[+-]?\d{1,3}", item, re.ASCII) else None
        if number is None or not least <= (abs(number) if backwards else number) <= greatest:
            raise MalformedRuleError(f"{name}: {item[:10]!r} is not a number from {least} to {greatest}")
        numbers.append(number)
    return tuple(sorted(set(numbers)))


def _days(text: str, frequency: str, *, by_week: bool) -> tuple[tuple[int, int], ...]:
    days = []
    for item in text.split(","):
        match = _DAY.fullmatch(item)
        which = int(match[1] or 0) if match else 0
        if match is None or (match[1] and not 1 <= abs(which) <= 53):  # noqa: PLR2004 - weeks of a year
            raise MalformedRuleError(f"BYDAY: {item[:10]!r} is not a day such as MO, 1MO or -1FR")
        if which and (frequency not in {"YEARLY", "MONTHLY"} or by_week):
            raise MalformedRuleError(f"BYDAY: {item} needs FREQ=MONTHLY, or YEARLY without BYWEEKNO")
        days.append((_WEEKDAYS.index(match[2]), which))
    return tuple(days)


def _until(text: str) -> datetime:
    match = _UNTIL.fullmatch(text)
    try:
        if match is None:
            raise ValueError("is neither a date nor a time")
        if match[2] is None:
            day = datetime.strptime(text, "%Y%m%d").date()  # noqa: DTZ007 - a date in the schedule's zone
            t = datetime.combine(day, time(23, 59, 59))
        else:
            t = datetime.strptime(match[1] + match[2], "%Y%m%d%H%M%S")  # noqa: DTZ007 - UTC only where it says so
    except ValueError:
        raise MalformedRuleError("UNTIL is not a time such as 20261231T225959Z, or a date such as 20261231") from None
    if t.year not in YEARS:
        raise MalformedRuleError(f"UNTIL is not in the years {YEARS[0]} to {YEARS[-1]}")
    return t.replace(tzinfo=UTC) if match[3] else t


def _check_density(rule: RecurrenceRule) -> None:
    hourly = rule.frequency == "HOURLY"
    counts = [len(rule.numbers.get(name, (0,))) for name in ("BYHOUR", "BYMINUTE", "BYSECOND")]
    if hourly and "BYHOUR" not in rule.numbers:
        counts[0] = 24
    if counts[0] * counts[1] * counts[2] > MOST_A_DAY:
        raise MalformedRuleError(f"is too dense: more than {MOST_A_DAY} windows would begin in a day")
