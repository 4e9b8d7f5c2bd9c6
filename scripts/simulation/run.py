"""One simulation from its first second to its summary."""

from __future__ import annotations

import gc
import logging
import random
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from statistics import quantiles
from typing import TYPE_CHECKING

from chalicelib.adapters.memory.clock import START
from chalicelib.domain.decisions import AT_REST
from chalicelib.domain.resources import ResourceState
from chalicelib.domain.rules import RuleState
from chalicelib.domain.schedules import ScheduleKind, verdict
from scripts.simulation.population import Population
from scripts.simulation.trouble import Trouble
from scripts.simulation.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chalicelib.domain.rules import Rule
    from scripts.simulation.checks import Violation

HOUR = timedelta(hours=1)
MANY = 1000
QUIET = 12 * HOUR + timedelta(minutes=17)
"""After the simulated days nothing goes wrong and nobody comes for so long; then every rule is where it belongs.

It ends at no boundary of a schedule, where rules are on their way.
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a simulation found: the lines of its summary, and what must not happen and did."""

    summary: dict[str, str]
    violations: tuple[Violation, ...]


def simulate(rules: int, days: int, seed: int, *, chaos: bool = False) -> Outcome:
    """Let `rules` rules live for `days` days. `chaos`: the queue loses, repeats and reorders messages."""
    began = time.perf_counter()
    with _quiet_machine():
        chance = random.Random(seed)  # noqa: S311  (reproducible is what it must be)
        world = World(Population(rules, days, chance), chance, chaos=chaos)
        end = START + timedelta(days=days)
        Trouble(world, end)
        world.pass_time(timedelta(days=days))
        figures = _figures(world, days)
        world.cloud.calm = True
        world.pass_time(QUIET + AT_REST)
        _check_rest(world)
    violations = tuple(world.checks.violations)
    tail = {
        "reconciles": f"{world.worker.reconciles:,}",
        "wall seconds": f"{time.perf_counter() - began:.1f}",
        "invariant violations": str(len(violations)),
    }
    return Outcome({"rules": f"{rules:,}", "days": str(days), "seed": str(seed)} | figures | tail, violations)


def _figures(world: World, days: int) -> dict[str, str]:
    counts, always = world.cloud.counts, len(world.owners) * days * 24.0
    ran = world.cloud.hours_run(world.owners)
    waits = quantiles(world.users.waits, n=100) if len(world.users.waits) > 1 else [0.0] * 99
    longest = max(world.users.waits or [0])
    return {
        "hours saved": f"{always - ran:,.0f} of {always:,.0f} ({(always - ran) / always:.0%})",
        "hours recorded as down": _recorded(world, days),
        "starts": f"{counts['starts']:,}",
        "failed starts": f"{counts['failed starts'] + counts['refused starts']:,}",
        "stops": f"{counts['stops']:,}",
        "refused stops": f"{counts['refused stops']:,}",
        "wakes": f"{world.users.wakes:,}",
        "clients waited": f"median {waits[49]:.0f} s, 99 % {waits[98]:.0f} s, longest {longest:.0f} s",
        "most starts of a rule in an hour": str(world.checks.most_starts),
        **{name: f"{count:,}" for name, count in sorted(world.counts.items())},
    }


def _recorded(world: World, days: int) -> str:
    """What the records of usage claim of the rules that are no dry run, beside what was so; of many, of each tenth."""
    claimed = unknown = truly = 0.0
    for rule_id, guest in list(world.guests.items())[:: 10 if len(world.guests) >= MANY else 1]:
        if world.rules.get(rule_id).spec.dry_run:
            continue
        total = world.savings.of_rule(rule_id, START, world.clock.now()).actual.total
        claimed += float(total.hours_down)
        unknown += float(total.hours_unknown)
        truly += len(guest.refs) * days * 24.0 - world.cloud.hours_run(guest.refs)
    return f"{claimed:,.0f} of {truly:,.0f} that were, {unknown:,.0f} unknown"


def _check_rest(world: World) -> None:
    """Nobody uses anything any more: what may rest is down, what a schedule wants is up, and nothing is claimed."""
    now = world.clock.now()
    for rule_id, guest in world.guests.items():
        rule = world.rules.get(rule_id)
        if not rule.spec.enabled or rule.spec.dry_run:
            continue
        if rule.status.claim is not None:
            world.checks.found(rule_id, now, "does not converge: it is still claimed")
        states = {world.cloud.instances[ref].state for ref in guest.refs}
        schedules = tuple(world.schedules.get_many(rule.spec.schedule_ids).values())
        said = verdict(schedules, now).schedule if schedules else None
        wanted = {said.kind is ScheduleKind.UPTIME} if said else {False}
        if _may_be_either(world, rule_id):
            wanted = {True, False}
        up = {True: {ResourceState.RUNNING}, False: {ResourceState.STOPPED}}
        if _is_left_alone(rule) and states <= up[True] | up[False]:
            continue  # whatever hands did to its parts stays
        if not any(states == up[way] for way in wanted):
            world.checks.found(rule_id, now, f"does not converge: {rule.status.state}, {rule.status.reason}, {states}")
        elif rule.status.state is not (RuleState.UP if states == up[True] else RuleState.DOWN):
            world.checks.found(rule_id, now, f"does not converge: recorded {rule.status.state}, but {states}")


def _may_be_either(world: World, rule_id: str) -> bool:
    """Whether something but traffic and its own schedules decides."""
    rule = world.rules.get(rule_id)
    status = rule.status
    return _is_left_alone(rule) or bool(
        status.override or status.stopped_by_hand_at or status.started_by_hand_at or rule.dependents
    )


def _is_left_alone(rule: Rule) -> bool:
    """Whether nothing at all but people decides."""
    return rule.spec.load_balancer_id is None and not rule.spec.schedule_ids and not rule.dependents


@contextmanager
def _quiet_machine() -> Iterator[None]:
    """Without the collector, which finds nothing here, and without logs, which nobody reads."""
    collects, level = gc.isenabled(), logging.root.manager.disable
    gc.disable()
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(level)
        if collects:
            gc.enable()
