"""The proxies of the simulation: agents that poll, report and beat, or do not; and stores that ask them when read.

A real agent sends a heartbeat each ten seconds, 26 million in 30 days of 100 proxies. Between two reads of a store
nobody can tell ten heartbeats from the one that proves the same stretch, so an agent brings its proof, and what was
used in it, up to the last ten-second boundary at the moment at which somebody reads. Lost ones are real holes.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from chalicelib.adapters.memory.clock import START
from chalicelib.adapters.memory.proxies import MemoryProxyStore
from chalicelib.adapters.memory.stores import MemoryActivity
from chalicelib.domain.activity import Heartbeat
from chalicelib.ports import LastActivity
from chalicelib.usecases.proxy_config import ProxyReport, RuleHealth

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chalicelib.adapters.memory.clock import VirtualClock
    from chalicelib.domain.activity import Source
    from chalicelib.ports import ActivityFacts
    from chalicelib.usecases.proxy_config import ProxyConfig
    from scripts.simulation.guest import Guest

BEAT = timedelta(seconds=10)
LATENCY = timedelta(seconds=2)
"""How long a log line takes from the agent to the store."""

SILENCE = BEAT * 3
POLL = timedelta(seconds=30)
PENDING_POLL = timedelta(seconds=1)
KEPT = timedelta(minutes=15)
"""How far back an agent can send again what got lost."""

REMEMBERED = timedelta(days=2)
"""Longer than any idle time: what was lost before that decides nothing any more."""

Gap = tuple[datetime, datetime]


class Agent:
    """One proxy's only member, which behaves until told otherwise."""

    def __init__(
        self, load_balancer_id: str, member: str, store: WatchedProxies, clock: VirtualClock, phase: timedelta
    ) -> None:
        self.load_balancer_id, self.member = load_balancer_id, member
        self.source = f"proxy {member}"
        self.guests: list[Guest] = []
        self.alive = True
        self.heard = True
        self.config: ProxyConfig | None = None
        self._store, self._clock = store, clock
        self._seq = 0
        self._through = clock.now()
        self._gaps: list[Gap] = []
        self._drains: dict[str, datetime] = {}
        self._told: dict[str, str | None] = {}
        self._polls = False
        self._phase = phase

    # What it proves

    def beat(self) -> None:
        """Prove all time up to the last heartbeat that has arrived by now."""
        if not (self.alive and self.heard):
            return
        arrived = self._clock.now() - LATENCY
        boundary = arrived - (arrived - START) % BEAT
        if boundary > self._through:
            self._send(self._through, boundary)
            self._through = boundary

    def _send(self, start: datetime, end: datetime, *, hole: bool = False) -> None:
        self._seq += 1
        beat = Heartbeat(self.member, self._seq, start, end, hole=hole)
        self._store.beat(self.load_balancer_id, beat, self._clock.now(), SILENCE)

    def reported_use(self, guest: Guest) -> datetime | None:
        """The last use of a rule that it has reported, as far as its reports have arrived."""
        used = guest.served(self._through)
        for start, end in reversed(self._gaps):
            if used is not None and start < used <= end:
                used = guest.served(start)
        return used

    # What goes wrong with it

    def fall_silent(self, *, dies: bool) -> None:
        """From now on nothing arrives; one that dies does not poll, report or wake either."""
        self.beat()
        self.heard = False
        self.alive = self.alive and not dies

    def recover(self) -> None:
        """It is heard again, and whoever died begins anew: what it saw before is lost."""
        began_anew = not self.alive
        now = self._clock.now()
        boundary = now - (now - START) % BEAT
        missing = (self._through, boundary)
        self.alive = self.heard = True
        if boundary > self._through:
            self._gaps = [*(gap for gap in self._gaps if gap[1] > now - REMEMBERED), missing]
            self._through = boundary
            self._clock.at(now + POLL, lambda: self._mend(missing, kept=not began_anew))
        if began_anew:
            self._drains, self._told = {}, dict.fromkeys(self._told)
            for text in self._store.states(self.load_balancer_id, now):
                self._told[json.loads(text)["rule"]] = text
            self._poll()
            for guest in self.guests:
                self.probe(guest)

    def _mend(self, missing: Gap, *, kept: bool) -> None:
        if not (self.alive and self.heard):
            self._clock.at(self._clock.now() + POLL, lambda: self._mend(missing, kept=kept))
            return
        self.beat()
        asked = self._store.poll(self.load_balancer_id).resend_from.get(self.member)
        start, end = missing
        if asked is not None and kept and end - start <= KEPT:
            self._gaps = [gap for gap in self._gaps if gap != missing]
            self._send(start, end)
        elif asked is not None:
            # It vouches for the time behind the hole, as far as the next one.
            upto = min((other for other, _ in self._gaps if other >= end), default=self._through)
            if upto > end:
                self._send(end, upto, hole=True)

    # What it polls and reports

    def told(self, rule_id: str, state: str | None) -> None:
        """The states of its proxy have changed: it will see that with its next poll."""
        self._told[rule_id] = state
        if not self._polls:
            now = self._clock.now()
            wait = PENDING_POLL if self._drains else POLL - (now - START + self._phase) % POLL
            self._polls = True
            self._clock.at(now + wait, self._poll)

    def _poll(self) -> None:
        self._polls = False
        if not self.alive or self.config is None:
            return
        for rule_id, text in self._told.items():
            until = json.loads(text).get("drain_until") if text else None
            if until:
                self._drains[rule_id] = datetime.fromisoformat(until)
            else:
                self._drains.pop(rule_id, None)
        self._told.clear()
        state, now = self._store.poll(self.load_balancer_id), self._clock.now()
        self._drains = {id_: until for id_, until in self._drains.items() if until > now}
        applied = f"r{state.rules_version}.s{state.states_version}"
        self.config.report(self.load_balancer_id, ProxyReport(self.member, applied, now))

    def diverts(self, rule_id: str) -> bool:
        """Whether whoever connects to this rule now is held, and not let through."""
        until = self._drains.get(rule_id)
        return until is not None and until > self._clock.now()

    def probe(self, guest: Guest) -> None:
        """Report what its probe finds, if it is there to do so."""
        if self.alive and self.config is not None:
            health = RuleHealth(guest.rule_id, guest.accepts, self._clock.now())
            self.config.report(self.load_balancer_id, ProxyReport(self.member, "", None, (), (health,)))


class WatchedProxies(MemoryProxyStore):
    """Whoever reads a proxy's proof gets it as of now; what is published to it reaches its agent."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self.agents: dict[str, Agent] = {}

    def sources(self, load_balancer_id: str) -> Sequence[Source]:
        self.agents[load_balancer_id].beat()
        return super().sources(load_balancer_id)

    def put_state(self, load_balancer_id: str, rule_id: str, state: str | None, until: datetime | None) -> int:
        before = self.poll(load_balancer_id).states_version
        after = super().put_state(load_balancer_id, rule_id, state, until)
        if after != before:
            self.agents[load_balancer_id].told(rule_id, state)
        return after


class WatchedActivity(MemoryActivity):
    """Whoever reads a rule's activity gets all that its agent's heartbeats have brought by now."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self.guests: dict[str, Guest] = {}

    def facts(self, rule_id: str) -> ActivityFacts:
        guest = self.guests[rule_id]
        if guest.agent is not None:
            used = guest.agent.reported_use(guest)
            if used is not None and used > guest.reported:
                guest.reported = used
                self.seen(rule_id, LastActivity(guest.agent.source, used))
        return super().facts(rule_id)
