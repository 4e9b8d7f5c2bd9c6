"""What the warm-up function says: the page for browsers, RFC 9457 for others (docs/reference/warm-up-answers.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.domain.rules import RuleState
from chalicelib.envoy.progress_page import Brand, PageView
from chalicelib.usecases.answer_traffic import Extras, Outcome

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.usecases.answer_traffic import Told

REFRESH = 2
"""Seconds between two looks of the page."""

SOON = 1
WHILE_STARTING = 5
"""Seconds after which a program asks again, where nothing better is known."""

LONGEST_WAIT = 3_600
KEPT_DOWN = 60
NOT_SENT = "What you sent was not delivered and is not kept. Send it again once it is up."

_STATES = {
    RuleState.UP: "up",
    RuleState.STOPPING: "stopping",
    RuleState.DOWN: "waiting",
    RuleState.STARTING: "starting",
    RuleState.FAILED: "failed, trying again",
}


@dataclass(frozen=True, slots=True)
class Words:
    """An answer in words. `retry_after` in seconds, None where asking again changes nothing."""

    status: int
    title: str
    phase: str
    details: tuple[str, ...] = ()
    failure: str = ""
    retry_after: int | None = None
    busy: bool = False


def words_of(told: Told, host: str, now: datetime, expected: float | None = None) -> Words:
    """What is so about a request, for whoever sent it."""
    name = host or "This address"
    progress = told.progress
    if told.outcome is Outcome.UNKNOWN or told.rule is None:
        return Words(404, f"Nothing is at {host}" if host else "Nothing is here", "No rule is for this address.")
    if told.outcome is Outcome.IGNORED:
        phase = f"It is not started by this request: its {told.ignored} is one that its rule ignores."
        return Words(503, f"{name} is not running", phase, retry_after=KEPT_DOWN)
    if told.outcome is Outcome.KEPT_DOWN or progress is None:
        return _kept_down(told, name, now)
    if told.outcome is Outcome.UP:
        return Words(503, f"{name} is up", "It is up; the way to it opens.", retry_after=SOON, busy=True)
    wait = WHILE_STARTING
    if expected is not None and told.seconds is not None:
        wait = max(REFRESH, min(30, round(expected - told.seconds)))
    failure = (told.rule.status.detail or "") if told.outcome is Outcome.FAILED else ""
    how = "has not started yet" if told.outcome is Outcome.FAILED else "is starting"
    return Words(503, f"{name} {how}", _phase(told), (), failure, wait, busy=True)


def view_of(words: Words, told: Told, extras: Extras, *, again: bool) -> PageView:
    """The page. `again`: whether the browser may load it again by itself, which would lose what a form sent."""
    refresh = (REFRESH if words.busy else words.retry_after) if again and words.retry_after is not None else None
    details = words.details if again else (*words.details, NOT_SENT)
    return PageView(
        words.title,
        words.phase,
        details,
        words.failure,
        words.busy,
        told.seconds if told.outcome is Outcome.STARTING else None,
        extras.expected,
        tuple((name, _STATES[state]) for name, state in extras.needs),
        refresh,
        brand_of(extras),
    )


def brand_of(extras: Extras) -> Brand:
    """The load balancer's theme; what it leaves out is ours."""
    theme, ours = extras.theme, Brand()
    if theme is None:
        return ours
    return Brand(theme.title or "", theme.logo_url or "", theme.colour or ours.colour, theme.text or "")


def problem_of(words: Words, told: Told) -> str:
    """RFC 9457, with the rule's state for those who want it."""
    detail = " ".join(part for part in (words.phase, words.failure, *words.details) if part)
    body = {"type": "about:blank", "title": words.title, "status": words.status, "detail": detail}
    if told.rule is not None and told.outcome is not Outcome.IGNORED:
        body["state"] = told.rule.status.state.value
    return json.dumps(body)


def _phase(told: Told) -> str:
    """The rule's own reason while it starts; what a wake of just now changed, the status does not say yet."""
    if told.rule is None or told.progress is None:
        return ""
    status = told.rule.status
    if status.state is RuleState.STARTING and status.reason is not None:
        return status.reason.words
    phase = told.progress.phase if told.progress.state is status.state else status.state.value
    return phase[:1].upper() + phase[1:] + "."


def _kept_down(told: Told, name: str, now: datetime) -> Words:
    held = told.rule.held_down(now) if told.rule is not None else None
    until = held.until if held else None
    wait = KEPT_DOWN
    details: tuple[str, ...] = ()
    if until is not None:
        wait = max(KEPT_DOWN, min(LONGEST_WAIT, round((until - now).total_seconds())))
        details = (f"Until {until:%Y-%m-%d %H:%M} UTC.",)
    phase = held.words if held else "It may not be started by a request now."
    return Words(503, f"{name} is not running", phase, details, retry_after=wait)
