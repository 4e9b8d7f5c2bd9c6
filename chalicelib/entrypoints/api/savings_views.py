"""Savings as the contract's JSON. Money is USD and time is resource hours, rounded to 4 decimals; null is unknown."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING

from chalicelib.entrypoints.api.views import stamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from chalicelib.domain.account_days import AccountPeriod
    from chalicelib.domain.savings import AccountSavings, DayLine, Line, Unpriced
    from chalicelib.entrypoints.api.views import Json
    from chalicelib.usecases.savings import SavingsOfAccount, SavingsOfRule

_SHOWN = Decimal("0.0001")

_NOTES = (
    "Only time that was observed counts, in resource hours: three instances have 72 hours a day.",
    "cost_actual is compute only: storage, addresses and backups cost the same whether it is stopped or not.",
    "Prices are those asked on demand: with Reserved Instances or Savings Plans a stop may save less, or nothing.",
)
_DRY_RUN = "Dry run: nothing was stopped; these figures are what would have been."
_OWN_COST = "A rule's hourly_cost, where it has one, goes before the price list, in equal parts for its resources."
_NO_RUNTIME = "own_cost is machines of proxies and hours of ALBs that AutoStop made, without LCUs and its own calls."


def rule_savings_view(found: SavingsOfRule) -> Json:
    """One rule: as it is set now, real or dry run, and the other kind beside it where there are days of it."""
    dry_run = found.rule.spec.dry_run
    notes = [*([_DRY_RUN] if dry_run else []), *_NOTES, _OWN_COST]
    if found.rule.spec.load_balancer_id is not None:
        notes.append("own_cost is its load balancer's hourly price in equal parts for the rules that are on it now.")
    return {
        "rule_id": found.rule.id,
        "from": stamp(found.start),
        "to": stamp(found.end),
        "dry_run": dry_run,
        "currency": "USD",
        **_figures(found.would if dry_run else found.actual),
        "would": _figures(found.would) if dry_run or found.would.days else None,
        "actual": _figures(found.actual) if found.actual.days else None,
        "notes": [*notes, _NO_RUNTIME],
    }


def account_savings_view(found: SavingsOfAccount) -> Json:
    """The whole account: what was, and what would have been by the rules in dry run where there are any."""
    notes = (
        "Whole UTC days: from and to say which.",
        *_NOTES,
        _OWN_COST,
        "A rule without schedules counts as always on in the baseline of schedules.",
        "own_cost is each load balancer's hourly price in equal parts for the rules that were on it at the time.",
        _NO_RUNTIME,
    )
    return {
        "from": stamp(found.start),
        "to": stamp(found.end),
        "dry_run": False,
        "currency": "USD",
        **_account_figures(found.actual),
        "would": _account_figures(found.would) if found.would.days else None,
        "notes": list(notes),
    }


def _figures(found: AccountSavings) -> Json:
    return {
        "days": _days(found.days),
        "total": line_view(found.total),
        "unknown_cost": _unpriced(found.unknown_cost),
    }


def _account_figures(found: AccountPeriod) -> Json:
    return {
        "days": _days(found.days),
        "total": line_view(found.total),
        "priced": line_view(found.priced),
        "left_out": {"rule_ids": list(found.left_out), "count": found.left_out_count},
        "unknown_cost": _unpriced(found.unknown_cost),
        "unknown_cost_count": found.unknown_cost_count,
    }


def line_view(line: Line) -> Json:
    """A day or a total."""
    return {
        "hours_up": _number(line.hours_up),
        "hours_down": _number(line.hours_down),
        "hours_unknown": _number(line.hours_unknown),
        "cost_actual": _number(line.cost_actual),
        "baseline_always_on": _number(line.baseline_always_on),
        "baseline_schedules": _number(line.baseline_schedules),
        "savings_always_on": _number(line.savings_always_on),
        "savings_schedules": _number(line.savings_schedules),
        "own_cost": _number(line.own_cost),
        "net_always_on": _number(line.net_always_on),
        "net_schedules": _number(line.net_schedules),
    }


def _days(days: Sequence[DayLine]) -> list[Json]:
    return [{"date": day.day.isoformat(), **line_view(day.line)} for day in days]


def _unpriced(unknown: Iterable[Unpriced]) -> list[Json]:
    return [{"id": one.subject, "reason": one.reason} for one in unknown]


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value.quantize(_SHOWN, ROUND_HALF_EVEN))
