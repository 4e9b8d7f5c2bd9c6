"""The proxies of a load balancer: which agent each of them runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

FORGOTTEN = timedelta(hours=3)
"""A proxy tells every hour: who has not told for so long may be no more."""


@dataclass(frozen=True, slots=True)
class MemberAgent:
    """The version of the agent on one proxy, and when it said so."""

    member: str
    at: datetime
    version: str


def heard_of(agents: Iterable[MemberAgent], now: datetime) -> tuple[MemberAgent, ...]:
    """Those that told lately, by name."""
    return tuple(sorted((a for a in agents if now - a.at <= FORGOTTEN), key=lambda agent: agent.member))


def other_versions(agents: Iterable[MemberAgent], carried: str) -> tuple[str, ...]:
    """In words, which proxies do not run the version that the control plane carries."""
    return tuple(
        f"{agent.member} runs agent {agent.version} and this control plane carries {carried}: "
        "autostop-agent-upgrade on that machine installs it."
        for agent in agents
        if agent.version != carried
    )
