"""What the agent believes of each rule: only whom to wake and what to say. Envoy does not ask, it tries."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from chalicelib.envoy.compact import ANY_BYTES, CompactConfig

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.envoy.compact import CompactRule, Ignore, Network

LONGEST_DRAIN = timedelta(seconds=60)
"""From when it is adopted on: where our clock is an hour behind, `drain_until` is an hour too late for us."""

STARTING_FOR = 900.0
"""Seconds for which a wake of ours makes a rule interesting at least: probed and asked about often."""

SURE = 3
"""So many probes in a row must fail before clients of a rule that may not start are turned away: one lost packet must
not cut off what Envoy itself would reach."""

DOUBTED = 2.0


@dataclass(slots=True)
class Belief:
    """One rule. Times of the monotonic clock, except `seen_at`.

    `accepts` is the last probe's verdict and `failures` how many failed in a row; the last probe began at
    `probed_at`, the next is due at `probe_at`.
    `woken` is when we last asked for it, `first_woken` since when we wait, `progress` the control plane's last word.
    """

    accepts: bool | None = None
    status: int | None = None
    seen_at: datetime | None = None
    failures: int = 0
    probe_at: float = 0.0
    probed_at: float = 0.0
    woken: float | None = None
    first_woken: float | None = None
    progress: dict[str, Any] = field(default_factory=dict)
    patience: float = STARTING_FOR
    """Seconds after a wake in which it may come up: a database takes longer."""

    def waiting(self, now: float) -> bool:
        """Whether somebody waits for it to come up."""
        return not self.accepts and self.woken is not None and now - self.woken < self.patience

    @property
    def doubtful(self) -> bool:
        """Whether it has just ceased to accept, and may not have."""
        return 0 < self.failures < SURE


@dataclass(slots=True)
class Beliefs:
    """The configuration in force, and a belief for each of its rules.

    `ignored` has the rules that ignore clients, `idle_bytes` those whose TCP connections are in use otherwise than by
    any byte, `balancers` the networks of a balancer in front of us. `let_go` has each rule, and whether it is about
    TCP, whose clients have been held for long enough.
    """

    config: CompactConfig = field(default_factory=CompactConfig)
    etag: str | None = None
    rules: dict[str, CompactRule] = field(default_factory=dict)
    of: dict[str, Belief] = field(default_factory=dict)
    ignored: dict[str, Ignore] = field(default_factory=dict)
    idle_bytes: dict[str, int] = field(default_factory=dict)
    let_go: frozenset[tuple[str, bool]] = frozenset()
    balancers: list[Network] = field(default_factory=list)
    addresses: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Of DNS names, as they last resolved."""
    _told: CompactConfig = field(default_factory=CompactConfig)
    """The configuration as it came, before names had addresses."""

    def names(self) -> frozenset[str]:
        """Every DNS name in the configuration."""
        return frozenset(name for rule in self._told.rules for name in rule.names)

    def found(self, answers: dict[str, tuple[str, ...]]) -> bool:
        """What names resolve to now; answers whether that makes other targets."""
        if all(self.addresses.get(name) == addresses for name, addresses in answers.items()):
            return False
        self.addresses |= answers
        before = self.rules
        self._take(self._told)
        for id_, rule in self.rules.items():
            if before[id_] != rule:
                self.of[id_].probe_at = 0.0
        return True

    def _take(self, told: CompactConfig) -> None:
        self._told = told
        if any(rule.names for rule in told.rules):
            told = replace(told, rules=tuple(self._with_addresses(rule) for rule in told.rules))
        self.config = told
        self.rules = {rule.id: rule for rule in told.rules}

    def _with_addresses(self, rule: CompactRule) -> CompactRule:
        if not rule.names:
            return rule
        found = [address for name in rule.names for address in self.addresses.get(name, ())]
        return replace(rule, targets=tuple(dict.fromkeys([*rule.targets, *found])))

    def adopt(self, config: CompactConfig, etag: str | None, now: datetime) -> None:
        """A new configuration: beliefs of rules that stay are kept. What changed about a rule is looked at soon."""
        before, latest = self.rules, now + LONGEST_DRAIN
        drains = {s.rule: s for s in config.states.values() if s.drain_until is not None and s.drain_until > latest}
        if drains:
            shortened = {id_: replace(state, drain_until=latest) for id_, state in drains.items()}
            config = replace(config, states=config.states | shortened)
        self.etag = etag
        self._take(config)
        known = self.names()
        self.addresses = {name: found for name, found in self.addresses.items() if name in known}
        self.of = {id_: self.of.get(id_) or Belief() for id_ in self.rules}
        for id_, belief in self.of.items():
            belief.patience = max(STARTING_FOR, self.rules[id_].start_minutes * 60)
            if before.get(id_) != self.rules[id_] or config.is_drained(id_, now):
                belief.probe_at = 0.0
        # The same objects, because the activity looks into them.
        self.ignored.clear()
        self.ignored.update((id_, rule.ignore) for id_, rule in self.rules.items() if rule.ignore.networks)
        self.idle_bytes.clear()
        self.idle_bytes.update((r.id, r.idle_bytes) for r in self.rules.values() if r.idle_bytes != ANY_BYTES)
        self.balancers[:] = config.balancers

    def startable(self, rule_id: str) -> bool:
        """Whether traffic may start it."""
        return rule_id not in self.config.refused

    def absent(self) -> frozenset[str]:
        """Rules that may not start and surely do not run: nobody is held for them."""
        return frozenset(id_ for id_ in self.config.refused if id_ in self.of and self.of[id_].failures >= SURE)

    def known_up(self, rule_id: str, now: datetime) -> bool:
        """Whether a new connection needs no wake."""
        belief = self.of.get(rule_id)
        return belief is not None and bool(belief.accepts) and not self.config.is_drained(rule_id, now)

    def doubt(self, rule_id: str) -> None:
        """Somebody waits for what we believe to be up: look sooner than we would."""
        belief = self.of.get(rule_id)
        if belief is not None:
            belief.probe_at = min(belief.probe_at, belief.probed_at + DOUBTED)

    def ignores(self, rule_id: str, client: str | None) -> bool:
        """Whether a client's address neither wakes the rule nor counts as its use."""
        return rule_id in self.ignored and self.ignored[rule_id].client(client)
