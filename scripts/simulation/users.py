"""The users of the simulation: they come, are served or wait, and their proxy wakes what is down for them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.adapters.memory.clock import START
from chalicelib.domain.resources import ResourceState
from chalicelib.usecases.warm_up import WakeCause

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.adapters.memory.clock import VirtualClock
    from chalicelib.adapters.memory.cloud import FakeCloud
    from chalicelib.usecases.warm_up import WarmUp
    from scripts.simulation.guest import Guest

CAUSE = WakeCause("http", "203.0.113.7", host="app.example.com")
ENDED = frozenset({ResourceState.STOPPING, ResourceState.STOPPED, ResourceState.GONE})


class Users:
    """Only what can matter is an event: the first use of a session, and each use that does not get through.

    `waits` has how long clients waited, from the first that was not let through to the first that was.
    """

    def __init__(self, clock: VirtualClock, cloud: FakeCloud, warm_up: WarmUp) -> None:
        self._clock, self._cloud, self._warm_up = clock, cloud, warm_up
        self.waits: list[float] = []
        self.wakes = 0

    def expect(self, guest: Guest, after: datetime) -> None:
        """The next use that could meet a closed door; replaces what was expected before."""
        second = (after - START).total_seconds()
        served = guest.accepts and not self._diverted(guest)
        following = guest.traffic.next_session(second) if served else guest.traffic.next_use(second)
        guest.turn += 1
        if following is not None:
            turn = guest.turn
            self._clock.at(START + timedelta(seconds=following), lambda: self._arrive(guest, turn))

    def _arrive(self, guest: Guest, turn: int) -> None:
        if guest.turn != turn:
            return
        now = self._clock.now()
        if guest.agent is not None and guest.agent.alive and (not guest.accepts or self._diverted(guest)):
            self._wake(guest, now)
        self.expect(guest, now)

    def _wake(self, guest: Guest, now: datetime) -> None:
        if guest.agent is None:
            return
        self.wakes += 1
        progress = self._warm_up.by_traffic(guest.agent.load_balancer_id, (guest.rule_id,), CAUSE)
        if progress and progress[0].startable:
            # Who has not come again within the idle time does not wait any more, and nothing is started for them.
            given_up = now > guest.accepted_wake + guest.idle
            guest.accepted_wake = now
            if not guest.accepts and (guest.waits_since is None or given_up):
                guest.waits_since = now

    def _diverted(self, guest: Guest) -> bool:
        return guest.agent is not None and guest.agent.diverts(guest.rule_id)

    def changed(self, guest: Guest, state: ResourceState) -> None:
        """One of its instances changed its state."""
        if state is ResourceState.RUNNING:
            if all(self._cloud.instances[ref].state is ResourceState.RUNNING for ref in guest.refs):
                guest.boot += 1
                boot = guest.boot
                self._clock.at(self._clock.now() + guest.service, lambda: self._ready(guest, boot))
        elif state in ENDED:
            guest.boot += 1
            if guest.accepts:
                guest.ended_at = self._clock.now()
                self.expect(guest, self._clock.now())
                if guest.agent is not None:
                    guest.agent.probe(guest)

    def _ready(self, guest: Guest, boot: int) -> None:
        if guest.boot != boot:
            return
        now = self._clock.now()
        guest.ready_at, guest.ended_at = now, None
        if guest.waits_since is not None and now <= guest.accepted_wake + guest.idle:
            self.waits.append((now - guest.waits_since).total_seconds())
        guest.waits_since = None
        self.expect(guest, now)
        if guest.agent is not None:
            guest.agent.probe(guest)
