"""Whom AutoStop looks after in the simulation: rules, schedules, proxies, and what each rule's users do."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.adapters.memory.clock import START
from chalicelib.domain.resources import ResourceKind
from chalicelib.domain.routes import HttpRoute
from chalicelib.domain.rules import DependsOn, Rule, RuleSpec, RuleStatus
from chalicelib.domain.schedules import Schedule, ScheduleKind
from chalicelib.domain.wall_time import Weekday, WeeklyWindow
from scripts.simulation.traffic import MINUTE, Pattern, Traffic, draw

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

RULES_A_PROXY = 100
REGIONS = ("us-east-1", "eu-central-1")
MIX = {Pattern.NEVER: 64, Pattern.BURSTS: 26, Pattern.NIGHTLY: 2, Pattern.OFFICE: 5, Pattern.ALWAYS: 3}
"""Per cent of the rules behind a proxy. Most machines of an account are forgotten, or needed now and then."""

DATABASES, SCHEDULED_ONLY, UNWATCHED, WITH_SCHEDULE = 0.05, 0.01, 0.01, 0.03
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")


@dataclass(slots=True)
class Planned:
    """A rule to be created, and its users. `running`: its instances run when the simulation begins."""

    rule: Rule
    pattern: Pattern
    traffic: Traffic
    running: bool


@dataclass(slots=True)
class Population:
    """Drawn once from `chance`, for so many rules and days. Rules come after those that they need."""

    rules: int
    days: int
    chance: random.Random
    schedules: list[Schedule] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.schedules = list(self._schedules())

    def planned(self) -> Iterator[Planned]:
        """Every rule: databases first, then who needs them, each proxy with its own."""
        databases = [self._planned(n, "database") for n in range(int(self.rules * DATABASES))]
        yield from databases
        above: list[Planned] = []
        for n in range(len(databases), self.rules):
            dice = self.chance.random()
            if dice < SCHEDULED_ONLY:
                yield self._planned(n, "scheduled")
            elif dice < SCHEDULED_ONLY + UNWATCHED:
                yield self._planned(n, "unwatched")
            else:
                wanted = self.chance.choices(("", "database", "application"), (85, 10, 5))[0]
                below = {"database": databases, "application": above}.get(wanted, [])
                needs = tuple(self.chance.sample(below, min(len(below), self.chance.choice((1, 1, 2)))))
                planned = self._planned(n, "behind a proxy", needs)
                above += [planned] if wanted == "database" else []
                yield planned

    def _planned(self, n: int, role: str, needs: tuple[Planned, ...] = ()) -> Planned:
        chance = self.chance
        behind = role == "behind a proxy"
        region = REGIONS[n // RULES_A_PROXY % len(REGIONS)]
        pattern = chance.choices(list(MIX), list(MIX.values()))[0] if behind else Pattern.NEVER
        idle = chance.choice((15, 30, 60, 60, 120) if pattern is not Pattern.ALWAYS else (240, 480)) * MINUTE
        spec = RuleSpec(
            f"{role} {n}",
            timedelta(seconds=idle),
            ResourceKind.EC2,
            region,
            tuple(f"i-{n:06d}{part}" for part in range(2 if chance.random() < 0.05 else 1)),  # noqa: PLR2004
            enabled=chance.random() > 0.01 or bool(needs) or role == "database",  # noqa: PLR2004
            dry_run=chance.random() < 0.01 and not needs and role != "database",  # noqa: PLR2004
            load_balancer_id=f"lb_{n // RULES_A_PROXY:03d}" if behind else None,
            http=(HttpRoute((f"app{n}.example.com",)),) if behind else (),
            depends_on=tuple(
                DependsOn(need.rule.id, timedelta(seconds=chance.choice((0, 10, 30))))
                for need in sorted(needs, key=lambda planned: planned.rule.id)
            ),
            schedule_ids=self._schedules_of(role),
        )
        rule = Rule(f"ru_{n:06d}", spec, RuleStatus(due_at=START), 1, 1, START, START)
        running = chance.random() < 0.6 and not needs  # noqa: PLR2004
        return Planned(rule, pattern, draw(pattern, idle, self.days, chance), running)

    def _schedules_of(self, role: str) -> tuple[str, ...]:
        uptimes = [schedule.id for schedule in self.schedules if schedule.kind is ScheduleKind.UPTIME]
        if role == "scheduled":
            return (self.chance.choice(uptimes),)
        if role == "behind a proxy" and self.chance.random() < WITH_SCHEDULE:
            ids = [schedule.id for schedule in self.schedules]
            return tuple(sorted(self.chance.sample(ids, self.chance.choice((1, 1, 2)))))
        return ()

    def _schedules(self) -> Iterator[Schedule]:
        """In each zone office hours on workdays, and nights and weekends that are kept down."""
        hour = 3600
        for n, zone in enumerate(ZONES):
            days = tuple(Weekday)
            office = (WeeklyWindow(days[:5], (8 + n % 2) * hour, 18 * hour),)
            yield Schedule(f"sc_{n}up", f"Office {zone}", ScheduleKind.UPTIME, zone, 1, START, START, 2, office)
            nights = (WeeklyWindow(days, 23 * hour, 5 * hour), WeeklyWindow(days[5:], 0, 24 * hour))
            yield Schedule(f"sc_{n}down", f"Nights {zone}", ScheduleKind.DOWNTIME, zone, 1, START, START, 1 + n, nights)
