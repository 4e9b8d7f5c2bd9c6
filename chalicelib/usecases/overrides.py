"""Warm-up, cool-down and release by hand: audited, and with an expiry that nobody has to remember."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.decisions import Reason
from chalicelib.domain.errors import ConflictError, LostClaimError
from chalicelib.domain.events import Event, EventKind
from chalicelib.domain.rules import Override, OverrideKind, RuleState
from chalicelib.usecases.observe import last_use
from chalicelib.usecases.proxy_states import publish_state
from chalicelib.usecases.requests import request_for

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.domain.rules import Rule
    from chalicelib.ports import (
        ActivityStore,
        Clock,
        EventLog,
        Ids,
        ProxyStore,
        RuleRepository,
        RuleStatusStore,
        WorkQueue,
    )

TRIES = 5


@dataclass(slots=True)
class Overrides:
    """A later override replaces an earlier one."""

    rules: RuleRepository
    status: RuleStatusStore
    activity: ActivityStore
    proxies: ProxyStore
    events: EventLog
    queue: WorkQueue
    clock: Clock
    ids: Ids

    def warm_up(self, rule_id: str, *, minutes: float, by: str, reason: str | None) -> Rule:
        """Up for so many minutes, whatever traffic and schedules say. Raises NotFoundError."""
        until = self.clock.now() + timedelta(minutes=minutes)
        override = Override(OverrideKind.WARM_UP, until, by, reason)
        return self._set(rule_id, override, EventKind.WARM_UP, f"Warm-up for {minutes:g} minutes", by, reason)

    def cool_down(
        self, rule_id: str, *, minutes: float, force: bool, propagate: bool, by: str, reason: str | None
    ) -> Rule:
        """Down now, for so many minutes; without `force` only if nobody is seen to use it.

        No rule depends on another in this version, so `propagate` takes nothing along.
        Raises ConflictError when it is in use, or might be, without `force`; NotFoundError.
        """
        del propagate
        now = self.clock.now()
        rule = self.rules.get(rule_id)
        if not force:
            self._refuse_if_in_use(rule, now)
        override = Override(OverrideKind.COOL_DOWN, now + timedelta(minutes=minutes), by, reason, force)
        return self._set(rule_id, override, EventKind.COOL_DOWN, f"Cool-down for {minutes:g} minutes", by, reason)

    def release(self, rule_id: str, *, by: str) -> Rule:
        """End an override; harmless without one. Raises NotFoundError."""
        return self._set(rule_id, None, EventKind.RELEASED, "Override released", by, None)

    def _refuse_if_in_use(self, rule: Rule, now: datetime) -> None:
        if rule.status.state not in {RuleState.UP, RuleState.STARTING}:
            return
        used = last_use(rule, self.activity.facts(rule.id))
        if used is not None and now < used.at + rule.spec.idle:
            age = int((now - used.at).total_seconds())
            raise ConflictError(f"In use: {used.source}, {age} s ago. Send force: true to stop it all the same.")
        if rule.status.reason in {Reason.BLIND, Reason.NO_SOURCE}:
            raise ConflictError(f"{rule.status.reason.words} Send force: true to stop it all the same.")

    def _set(
        self, rule_id: str, override: Override | None, kind: EventKind, words: str, by: str, reason: str | None
    ) -> Rule:
        now = self.clock.now()
        rule = self._write(rule_id, override, now)
        publish_state(self.proxies, rule, now, rule.status.drain.until if rule.status.drain else None)
        said = f"{words}: {reason}" if reason else f"{words}."
        self.events.append([Event(self.ids.new("ev"), now, kind, rule.id, f"key {by}", said)])
        self.queue.send([request_for(rule, kind.value, now)])
        return rule

    def _write(self, rule_id: str, override: Override | None, now: datetime) -> Rule:
        """A person's order never loses a race to a reconcile: read again and write again."""
        for _ in range(TRIES):
            try:
                return self.status.set_override(self.rules.get(rule_id), override, now)
            except LostClaimError:
                continue
        raise ConflictError("The rule is being written to by others again and again; try once more.")
