"""The agents of proxies as the control plane meets them: polls, reports, wakes, heartbeats and what they log.

When they do what is the agent's own code: its constants, and docs/reference/proxy-protocol.md.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from chalicelib.agent.agent import PENDING_POLL
from chalicelib.agent.reporter import MOST_RULES, PRESSING_EVERY, REFRESH, REPORT_EVERY, VERSION_REFRESH
from chalicelib.agent.waker import WAKE_AGAIN
from chalicelib.domain.resources import ResourceState
from chalicelib.usecases.proxy_config import ProxyReport, RuleHealth
from chalicelib.usecases.warm_up import WakeCause
from scripts.costs import assumptions
from scripts.costs.prices import Quantity

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from chalicelib.domain.resources import ResourceRef
    from scripts.costs.stage import Stage

POLL, BEAT = timedelta(seconds=30), timedelta(minutes=1)
SECRETS = timedelta(minutes=5)
"""As the agent's settings are by default (docs/reference/agent-settings.md)."""

TURN = timedelta(seconds=1)
MARGIN = timedelta(seconds=2)


@dataclass(slots=True, eq=False)
class Guest:
    """What runs behind one rule, and its users: `begins` is when those of the first day came, None for nobody."""

    rule_id: str
    ref: ResourceRef
    begins: datetime | None
    accepts: bool
    told: bool = False
    tell_at: datetime | None = None
    accepts_at: datetime | None = None

    def used(self, now: datetime) -> bool:
        """Whether somebody comes in this minute."""
        if self.begins is None:
            return False
        return (now - self.begins) % assumptions.DAY < assumptions.SESSION


@dataclass(slots=True, eq=False)
class Agent:
    """One proxy with one member."""

    stage: Stage
    load_balancer_id: str
    member: str
    key_id: str
    chance: random.Random
    guests: list[Guest] = field(default_factory=list)
    _etag: str | None = None
    _seq: int = 1
    _through: datetime | None = None
    _drains: dict[str, datetime] = field(default_factory=dict)
    _waiting: dict[str, datetime] = field(default_factory=dict)
    _applied: str | None = None
    _reported: datetime | None = None
    _version_at: datetime | None = None
    _poll_turn: int = 0
    _busy: list[Guest] = field(default_factory=list)

    def begin(self) -> None:
        """Prove the hour before, read the configuration, and go on from there."""
        now = self.stage.clock.now()
        self._through = now - timedelta(hours=1)
        self._send([])
        self._busy = [guest for guest in self.guests if guest.begins is not None]
        for guest in self.guests:
            guest.told = guest.accepts
            guest.tell_at = now + self._refresh() * self.chance.random()
        self._poll(0)
        self._every(TURN, self._turn)
        self._every(BEAT, self._beat)
        self._every(SECRETS, self._ask_for_secrets)

    def _every(self, period: timedelta, do: Callable[[], None]) -> None:
        clock = self.stage.clock

        def again() -> None:
            clock.at(clock.now() + period, again)
            do()

        clock.at(clock.now() + period * self.chance.random(), again)

    # What it asks

    def _poll(self, turn: int) -> None:
        if turn != self._poll_turn:
            return  # a sooner one came in between
        clock = self.stage.clock
        answer = self.stage.poll(self.load_balancer_id, self.member, self._etag)
        if answer is not None:
            self._etag = self._applied = answer.etag
            states = json.loads(answer.body)["states"]
            if states is not None:
                drains = {one["rule"]: one.get("drain_until") for one in states["items"]}
                self._drains = {id_: datetime.fromisoformat(until) for id_, until in drains.items() if until}
        pending = self._waiting or any(until > clock.now() for until in self._drains.values())
        wait = timedelta(seconds=PENDING_POLL) if pending else POLL * self.chance.uniform(0.9, 1.1)
        self._poll_again(wait)

    def _poll_again(self, wait: timedelta) -> None:
        self._poll_turn += 1
        turn = self._poll_turn
        self.stage.clock.at(self.stage.clock.now() + wait, lambda: self._poll(turn))

    def _ask_for_secrets(self) -> None:
        self.stage.meter.counted[Quantity.SECRET_CALLS] += 2 * assumptions.CERTIFICATES + 1  # and its own key

    # What it sees

    def _turn(self) -> None:
        """Probe, wake and report, each as often as the agent does."""
        now = self.stage.clock.now()
        pressing = self._applied is not None or self._version_at is None or now >= self._version_at
        changed: list[Guest] = []
        for guest in self._busy:
            self._probe(guest, now)
            if guest.accepts is not guest.told:
                pressing = pressing or guest.rule_id in self._waiting
                changed.append(guest)
        wait = timedelta(seconds=PRESSING_EVERY if pressing else REPORT_EVERY)
        if self._reported is None or now - self._reported >= wait:
            again = [g for g in self._busy if g.accepts and g.told and g.tell_at is not None and g.tell_at <= now]
            if changed or again or pressing:
                self._report([*changed, *again][:MOST_RULES], now)

    def _probe(self, guest: Guest, now: datetime) -> None:
        running = self.stage.cloud.instances[guest.ref].state is ResourceState.RUNNING
        if not running:
            guest.accepts, guest.accepts_at = False, None
        elif not guest.accepts:
            guest.accepts_at = guest.accepts_at or now + assumptions.BOOT - self.stage.cloud.instances[guest.ref].boot
            guest.accepts = now >= guest.accepts_at
        last = self._waiting.get(guest.rule_id)
        if guest.accepts:
            return
        if guest.used(now) and (last is None or now - last >= timedelta(seconds=WAKE_AGAIN)):
            self._waiting[guest.rule_id] = now
            cause = WakeCause("http", "203.0.113.7", 443, f"{guest.rule_id}.example.com", "/")
            self.stage.wake(self.load_balancer_id, self.key_id, guest.rule_id, cause)
            if last is None:
                self._poll_again(timedelta(0))

    def _report(self, guests: list[Guest], now: datetime) -> None:
        applied, self._applied = self._applied, None
        version = self._version_at is None or now >= self._version_at
        if version:
            self._version_at = now + timedelta(seconds=VERSION_REFRESH)
        for guest in guests:
            guest.told, guest.tell_at = guest.accepts, now + self._refresh()
            if guest.accepts:
                self._waiting.pop(guest.rule_id, None)
        self._reported = now
        report = ProxyReport(
            self.member,
            (applied or self._etag or "").strip('"'),
            now if applied else None,
            (),
            tuple(RuleHealth(guest.rule_id, guest.accepts, now, 200 if guest.accepts else None) for guest in guests),
            None,
            "1.0.0" if version else None,
        )
        self.stage.report(self.load_balancer_id, self.key_id, report)

    def _refresh(self) -> timedelta:
        return timedelta(seconds=REFRESH * self.chance.uniform(0.7, 0.95))

    # What it logs

    def _beat(self) -> None:
        now = self.stage.clock.now()
        self._send([guest for guest in self.guests if guest.accepts and guest.used(now)])

    def _send(self, used: list[Guest]) -> None:
        """One sequence: a summary for each rule that was used, and the heartbeat; CloudWatch Logs hands it on."""
        now = self.stage.clock.now()
        through, self._seq = now - MARGIN, self._seq + 1
        base = {"autostop": 1, "proxy": self.load_balancer_id, "member": self.member, "seq": self._seq}
        minute, at = through.isoformat()[:16], _stamp(through)
        lines = [
            base
            | {"rule": guest.rule_id, "minute": minute, "last_at": at, "requests": 42, "connections": 7, "open": 2}
            | {"bytes_in": 123_456, "bytes_out": 7_654_321}
            for guest in used
        ]
        config = (self._etag or "").strip('"')
        start, self._through = self._through or now, through
        beat = {"observed_from": _stamp(start), "observed_through": _stamp(through), "summaries": len(lines)}
        lines.append(base | beat | {"config": config, "agent": "1.0.0", "envoy": "1.40.0"})
        texts = [json.dumps(line) for line in lines]
        for text in texts:
            self.stage.meter.logged(text)
        stamp = int(now.timestamp() * 1000)
        events = [{"id": f"{self._seq}-{n}", "timestamp": stamp, "message": text} for n, text in enumerate(texts)]
        self.stage.proxy_logs(f"{self.load_balancer_id}/{self.member}", events)


def _stamp(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
