"""What the agent believes of each rule: only whom to wake and what to say. Envoy does not ask, it tries."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chalicelib.envoy.compact import CompactConfig

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.envoy.compact import CompactRule

STARTING_FOR = 900.0
"""Seconds for which a wake of ours makes a rule interesting: probed and asked about often."""


@dataclass(slots=True)
class Belief:
    """One rule. Times of the monotonic clock, except `seen_at`.

    `accepts` is the last probe's verdict; `woken` when we last asked for it, `first_woken` since when we wait;
    `progress` the control plane's last word.
    """

    accepts: bool | None = None
    status: int | None = None
    seen_at: datetime | None = None
    probed: float = 0.0
    woken: float | None = None
    first_woken: float | None = None
    progress: dict[str, Any] = field(default_factory=dict)

    def waiting(self, now: float) -> bool:
        """Whether somebody waits for it to come up."""
        return not self.accepts and self.woken is not None and now - self.woken < STARTING_FOR


@dataclass(slots=True)
class Beliefs:
    """The configuration in force, and a belief for each of its rules."""

    config: CompactConfig = field(default_factory=CompactConfig)
    etag: str | None = None
    rules: dict[str, CompactRule] = field(default_factory=dict)
    of: dict[str, Belief] = field(default_factory=dict)

    def adopt(self, config: CompactConfig, etag: str | None) -> None:
        """A new configuration: beliefs of rules that stay are kept."""
        self.config, self.etag = config, etag
        self.rules = {rule.id: rule for rule in config.rules}
        self.of = {id_: self.of.get(id_) or Belief() for id_ in self.rules}

    def startable(self, rule_id: str) -> bool:
        """Whether traffic may start it."""
        state = self.config.states.get(rule_id)
        return state is None or state.startable

    def absent(self) -> frozenset[str]:
        """Rules that may not start and do not run: nobody is held for them."""
        return frozenset(id_ for id_, belief in self.of.items() if not belief.accepts and not self.startable(id_))

    def known_up(self, rule_id: str, now: datetime) -> bool:
        """Whether a new connection needs no wake."""
        belief = self.of.get(rule_id)
        return belief is not None and bool(belief.accepts) and rule_id not in self.config.drained(now)

    def find(self, host: str, path: str) -> CompactRule | None:
        """The rule that a request is for: the longest path of that host."""
        best: tuple[int, CompactRule] | None = None
        for rule in self.rules.values():
            for http in rule.http:
                for pattern in http.paths:
                    hit = path.startswith(pattern[:-1]) if pattern.endswith("*") else path == pattern
                    if hit and host in http.hosts and (best is None or len(pattern) > best[0]):
                        best = (len(pattern), rule)
        return best[1] if best else None
