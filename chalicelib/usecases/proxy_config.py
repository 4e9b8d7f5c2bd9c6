"""What a proxy polls, and what it reports (docs/reference/proxy-protocol.md)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.domain.activity import clamp
from chalicelib.domain.certificates import MemberSecrets
from chalicelib.domain.compact import compact_certificates
from chalicelib.domain.events import Event, EventKind
from chalicelib.domain.members import MemberAgent, heard_of
from chalicelib.domain.rules import RuleState
from chalicelib.ports import Health
from chalicelib.usecases.proxy_states import stamp
from chalicelib.usecases.requests import requests_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from chalicelib.domain.certificates import SecretReport
    from chalicelib.domain.rules import Rule
    from chalicelib.ports import (
        ActivityStore,
        AgentReports,
        Clock,
        EventLog,
        Ids,
        LoadBalancerRepository,
        PollState,
        ProxyStore,
        RuleRepository,
        RuleStatusStore,
        SecretReports,
        WorkQueue,
    )

_ETAG = re.compile(r'\s*(?:W/)?"r(\d{1,12})\.s(\d{1,12})"\s*')
_WAITING = frozenset({RuleState.STARTING, RuleState.FAILED, RuleState.STOPPING})


@dataclass(frozen=True, slots=True)
class ConfigAnswer:
    """An answer to a poll: its ETag, and the body as JSON text."""

    etag: str
    body: str


@dataclass(frozen=True, slots=True)
class RuleHealth:
    """What the proxy saw of one rule's targets."""

    id: str
    accepts: bool
    at: datetime
    status: int | None = None


@dataclass(frozen=True, slots=True)
class ProxyReport:
    """A member's report. `config` is the ETag text without quotes, as in `r12.s45`; `secrets`, `agent` None: as before.

    `agent` is the version that it runs.
    """

    member: str
    config: str
    applied_at: datetime | None = None
    rejected: tuple[str, ...] = ()
    rules: tuple[RuleHealth, ...] = ()
    secrets: tuple[SecretReport, ...] | None = None
    agent: str | None = None


@dataclass(slots=True)
class ProxyConfig:
    """The poll costs one item read while nothing changed."""

    rules: RuleRepository
    status: RuleStatusStore
    activity: ActivityStore
    proxies: ProxyStore
    balancers: LoadBalancerRepository
    secrets: SecretReports
    agents: AgentReports
    events: EventLog
    queue: WorkQueue
    clock: Clock
    ids: Ids

    def poll(
        self, load_balancer_id: str, member: str | None, if_none_match: str | None, state: PollState | None = None
    ) -> ConfigAnswer | None:
        """The parts that changed since the version in `if_none_match`; None (304) if neither did.

        Who does not say which member it is (a person who looks) is asked to send nothing again. `state` is what was
        polled already, to see who asks. Raises NotFoundError.
        """
        state = state or self.proxies.poll(load_balancer_id)
        known_rules, known_states = parse_etag(if_none_match)
        resend = state.resend_from.get(member) if member else None
        if (known_rules, known_states) == (state.rules_version, state.states_version) and resend is None:
            return None
        parts = {
            "load_balancer_id": json.dumps(load_balancer_id),
            "rules": _part(
                "r",
                state.rules_version,
                known_rules,
                lambda: self.proxies.rules(load_balancer_id),
                lambda: self._beside_rules(load_balancer_id),
            ),
            "states": _part(
                "s", state.states_version, known_states, lambda: self.proxies.states(load_balancer_id, self.clock.now())
            ),
            "resend_from": json.dumps(stamp(resend) if resend else None),
        }
        body = ", ".join(f'"{name}": {text}' for name, text in parts.items())
        return ConfigAnswer(f'"r{state.rules_version}.s{state.states_version}"', "{" + body + "}")

    def report(self, load_balancer_id: str, report: ProxyReport) -> None:
        """Keep what a member saw; look at the rules that wait for it at once.

        Rules that are not on this load balancer are left out. Raises NotFoundError.
        """
        now = self.clock.now()
        _, states_version = parse_etag(f'"{report.config}"')
        if report.rejected:
            words = f"Envoy rejected configuration {report.config}: {'; '.join(report.rejected)}"
            self.events.append(
                [
                    Event(
                        self.ids.new("ev"),
                        now,
                        EventKind.CONFIG_REJECTED,
                        load_balancer_id,
                        f"proxy {report.member}",
                        words,
                    )
                ]
            )
        elif report.applied_at is not None and states_version is not None:
            self.proxies.applied(load_balancer_id, report.member, states_version, now)
        if report.secrets is not None:
            self.secrets.put(load_balancer_id, MemberSecrets(report.member, now, report.secrets))
        if report.agent is not None:
            self.agents.put(load_balancer_id, MemberAgent(report.member, now, report.agent))
        reported = {health.id: health for health in report.rules}
        own = self._own(load_balancer_id, reported)
        for rule in own:
            health = reported[rule.id]
            seen = Health(report.member, health.accepts, clamp(health.at, now), health.status)
            self.activity.put_health(rule.id, seen)
        waiting = [(rule.id, rule.spec.place) for rule in own if rule.status.state in _WAITING]
        if waiting:
            self.queue.send(requests_for(waiting, "report", now))

    def members(self, load_balancer_id: str) -> Sequence[MemberAgent]:
        """The agents that were heard of lately, by name of their member; none for what is not there."""
        return heard_of(self.agents.of(load_balancer_id), self.clock.now())

    def _beside_rules(self, load_balancer_id: str) -> str:
        """What goes with the rules: read after their version, so never older than it says."""
        balancer = self.balancers.get(load_balancer_id)
        parts = []
        if balancer.certificates:
            parts.append(f', "certificates": {compact_certificates(balancer.certificates)}')
        if balancer.balancer_cidrs:
            parts.append(f', "balancer_cidrs": {json.dumps(balancer.balancer_cidrs)}')
        return "".join(parts)

    def _own(self, load_balancer_id: str, ids: Iterable[str]) -> list[Rule]:
        wanted = list(ids)
        own: list[Rule] = []
        for start in range(0, len(wanted), 100):
            found = self.rules.get_many(wanted[start : start + 100]).values()
            own += [rule for rule in found if rule.spec.load_balancer_id == load_balancer_id]
        return own


def parse_etag(text: str | None) -> tuple[int | None, int | None]:
    """The versions of rules and states in `"r12.s45"`; (None, None) for anything else."""
    match = _ETAG.fullmatch(text or "")
    return (int(match[1]), int(match[2])) if match else (None, None)


def _part(
    letter: str,
    version: int,
    known: int | None,
    items: Callable[[], Sequence[str]],
    more: Callable[[], str] = str,
) -> str:
    if version == known:
        return "null"
    return f'{{"etag": "{letter}{version}", "items": [{", ".join(items())}]{more()}}}'
