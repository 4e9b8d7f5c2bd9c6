"""What goes wrong with proxies and regions, and what people do by hand: drawn as exponential waiting times."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.errors import ConflictError, ThrottledError
from chalicelib.domain.resources import ResourceState

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from scripts.simulation.proxies import Agent
    from scripts.simulation.world import World

HOUR = timedelta(hours=1)
MUTE_EVERY, DEATH_EVERY, LOSS_EVERY = 80 * HOUR, 160 * HOUR, 6 * HOUR
"""Of each proxy: its log group is not heard, its agent dies, a single heartbeat is lost."""

THROTTLED_EVERY = 12 * HOUR
BY_HAND_EVERY = 20 * 24 * HOUR
"""Of each rule: an override, or somebody at the console."""


class Trouble:
    """Until `ends`; what is broken then is mended in its own time."""

    def __init__(self, world: World, ends: datetime) -> None:
        self._world, self._chance, self._ends = world, world.chance, ends
        for agent in world.proxies.agents.values():
            self._each(MUTE_EVERY, lambda agent=agent: self._silence(agent, 2, 60, dies=False))  # type: ignore[misc]
            self._each(DEATH_EVERY, lambda agent=agent: self._silence(agent, 1, 25, dies=True))  # type: ignore[misc]
            self._each(LOSS_EVERY, lambda agent=agent: self._lose_one(agent))  # type: ignore[misc]
        self._each(THROTTLED_EVERY, self._throttle)
        self._ids = sorted(world.guests)
        self._each(BY_HAND_EVERY / len(self._ids), self._by_hand)

    def _each(self, every: timedelta, do: Callable[[], None]) -> None:
        at = self._world.clock.now() + every * self._chance.expovariate(1)
        if at < self._ends:

            def happen() -> None:
                do()
                self._each(every, do)

            self._world.clock.at(at, happen)

    def _silence(self, agent: Agent, least: int, most: int, *, dies: bool) -> None:
        if agent.alive and agent.heard:
            self._world.counts["proxies fell silent"] += 1
            agent.fall_silent(dies=dies)
            for_a_while = timedelta(minutes=self._chance.uniform(least, most))
            self._world.clock.at(self._world.clock.now() + for_a_while, agent.recover)

    def _lose_one(self, agent: Agent) -> None:
        if agent.alive and agent.heard:
            self._world.counts["heartbeats lost"] += 1
            agent.fall_silent(dies=False)
            self._world.clock.at(self._world.clock.now() + timedelta(seconds=10), agent.recover)

    def _throttle(self) -> None:
        name = self._chance.choice(("describe", "start", "stop"))
        error = ThrottledError("RequestLimitExceeded", "Request limit exceeded.")
        self._world.cloud.fail_next[name].extend([error] * self._chance.randint(1, 4))

    def _by_hand(self) -> None:
        world, rule_id = self._world, self._chance.choice(self._ids)
        minutes = self._chance.choice((20, 60, 240))
        what = self._chance.choice(("warm up", "cool down", "force down", "release", "console", "console"))
        world.counts["orders by hand"] += 1
        if what == "warm up":
            world.overrides.warm_up(rule_id, minutes=minutes, by="ak_1", reason=None)
        elif what == "release":
            world.overrides.release(rule_id, by="ak_1")
        elif what == "console":
            self._console(rule_id)
        else:
            try:
                world.overrides.cool_down(
                    rule_id, minutes=minutes, force=what == "force down", propagate=True, by="ak_1", reason=None
                )
            except ConflictError:
                world.counts["cool-downs refused"] += 1

    def _console(self, rule_id: str) -> None:
        """Not of rules with neighbours: nobody can keep an order that somebody breaks behind our back."""
        guest, cloud = self._world.guests[rule_id], self._world.cloud
        if guest.linked:
            return
        for ref in guest.refs:
            if cloud.instances[ref].state is ResourceState.STOPPED:
                cloud.start_by_hand(ref)
            elif cloud.instances[ref].state is ResourceState.RUNNING:
                cloud.stop_by_hand(ref)
