"""Warm-up, cool-down and release by hand: audited, and with an expiry that nobody has to remember."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.decisions import Reason
from chalicelib.domain.errors import ConflictError, LostClaimError
from chalicelib.domain.events import Event, EventKind
from chalicelib.domain.rules import Override, OverrideKind, RuleState
from chalicelib.usecases.last_use import last_use
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
AT_REST = frozenset({RuleState.DOWN, RuleState.STOPPING})


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
    ) -> tuple[Rule, ...]:
        """Down now, for so many minutes; without `force` only if nobody is seen to use it.

        A rule that others need goes down with them only: `propagate` cools all of them down, whoever needs another
        first. Answers the rule, then those it took along. Raises ConflictError when it, or one that it would take
        along, is in use, or might be, without `force`, and when others need it without `propagate`; NotFoundError.
        """
        now = self.clock.now()
        rule = self.rules.get(rule_id)
        needing = [other for other in self._dependents(rule) if other.status.state not in AT_REST]
        if needing and not propagate:
            listed = ", ".join(f"{other.spec.name} ({other.id})" for other in needing)
            raise ConflictError(f"Needed by {listed}. Send propagate: true to take them along.")
        if not force:
            for each in (rule, *needing):
                self._refuse_if_in_use(each, now)
        until = now + timedelta(minutes=minutes)
        words = f"Cool-down for {minutes:g} minutes"
        taken = []
        for each in needing:
            along = f"taken along by rule {rule.spec.name} ({rule.id})"
            override = Override(OverrideKind.COOL_DOWN, until, by, reason or along, force)
            taken.append(self._set(each.id, override, EventKind.COOL_DOWN, f"{words}, {along}", by, reason))
        # What waits for the others to be down must not be forced itself: it would not wait.
        override = Override(OverrideKind.COOL_DOWN, until, by, reason, force and not needing)
        return self._set(rule_id, override, EventKind.COOL_DOWN, words, by, reason), *taken

    def release(self, rule_id: str, *, by: str) -> Rule:
        """End an override; harmless without one. Raises NotFoundError."""
        return self._set(rule_id, None, EventKind.RELEASED, "Override released", by, None)

    def _dependents(self, rule: Rule) -> list[Rule]:
        """Every rule that needs it, also through others; those that nobody needs come first."""
        found: dict[str, Rule] = {}
        wanted = list(rule.dependents)
        while wanted:
            read = self.rules.get_many(wanted[:100])
            wanted = wanted[100:] + [id_ for other in read.values() for id_ in other.dependents if id_ not in found]
            found = {id_: other for id_, other in found.items() if id_ not in read} | read
        return list(reversed(found.values()))

    def _refuse_if_in_use(self, rule: Rule, now: datetime) -> None:
        if rule.status.state not in {RuleState.UP, RuleState.STARTING}:
            return
        used = last_use(rule, self.activity.facts(rule.id))
        if used is not None and now < used.at + rule.spec.idle:
            age = int((now - used.at).total_seconds())
            raise ConflictError(
                f"{rule.spec.name} is in use: {used.source}, {age} s ago. Send force: true to stop it all the same."
            )
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
