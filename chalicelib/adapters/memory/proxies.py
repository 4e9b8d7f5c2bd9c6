"""What proxies poll and what they have proved, in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from chalicelib.domain.activity import UNHEARD, Source, advance, states_version
from chalicelib.domain.errors import NotFoundError
from chalicelib.ports import PollState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from chalicelib.domain.access import ApiKey
    from chalicelib.domain.activity import Heartbeat, Progress
    from chalicelib.ports import Clock


@dataclass(slots=True)
class _Proxy:
    rules_version: int = 0
    states_version: int = 0
    rules: dict[str, str] = field(default_factory=dict)
    states: dict[str, tuple[str, datetime | None]] = field(default_factory=dict)
    members: dict[str, Source] = field(default_factory=dict)
    resend_from: dict[str, datetime] = field(default_factory=dict)
    keys: dict[str, ApiKey] = field(default_factory=dict)


class MemoryProxyStore:
    """Implements ProxyStore. `open`, `close`, `put_rule`, `drop_rule`, `count` are the other stores' side of it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._proxies: dict[str, _Proxy] = {}

    def poll(self, load_balancer_id: str) -> PollState:
        proxy = self._get(load_balancer_id)
        return PollState(proxy.rules_version, proxy.states_version, dict(proxy.resend_from), dict(proxy.keys))

    def rules(self, load_balancer_id: str) -> Sequence[str]:
        proxy = self._proxies.get(load_balancer_id)
        return tuple(proxy.rules.values()) if proxy else ()

    def states(self, load_balancer_id: str, now: datetime) -> Sequence[str]:
        proxy = self._proxies.get(load_balancer_id)
        stored = proxy.states.values() if proxy else ()
        return tuple(text for text, until in stored if until is None or until > now)

    def put_state(self, load_balancer_id: str, rule_id: str, state: str | None, until: datetime | None) -> int:
        proxy = self._get(load_balancer_id)
        old = proxy.states.get(rule_id)
        new = None if state is None else (state, until)
        if old != new:
            if new is None:
                del proxy.states[rule_id]
            else:
                proxy.states[rule_id] = new
            proxy.states_version += 1
        return proxy.states_version

    def sources(self, load_balancer_id: str) -> Sequence[Source]:
        proxy = self._proxies.get(load_balancer_id)
        return tuple(proxy.members.values()) if proxy else ()

    def beat(self, load_balancer_id: str, beat: Heartbeat, received_at: datetime, max_silence: timedelta) -> Progress:
        proxy = self._get(load_balancer_id)
        member = proxy.members.get(beat.member) or Source(beat.member, None, max_silence)
        progress = advance(member.proof, beat, received_at)
        proof = progress.proof
        proxy.members[beat.member] = replace(
            member, span=proof.span, islands=proof.islands, max_silence=max_silence, raw=beat.raw
        )
        if proof.missing_from is None:
            proxy.resend_from.pop(beat.member, None)
        else:
            proxy.resend_from[beat.member] = proof.missing_from
        version = states_version(beat.config)
        if version is not None:
            self.applied(load_balancer_id, beat.member, version, received_at)
        return progress

    def applied(self, load_balancer_id: str, member: str, states_version: int, at: datetime) -> None:
        proxy = self._get(load_balancer_id)
        known = proxy.members.get(member) or Source(member, None, UNHEARD)
        if known.config_at is None or states_version > known.config_states_version:
            known = replace(known, config_states_version=states_version, config_at=at)
        proxy.members[member] = known

    # The other stores' side

    def open(self, load_balancer_id: str) -> None:
        """A new load balancer, with nothing to say."""
        self._proxies.setdefault(load_balancer_id, _Proxy())

    def close(self, load_balancer_id: str) -> None:
        """The load balancer is gone."""
        self._proxies.pop(load_balancer_id, None)

    def put_rule(self, load_balancer_id: str, rule_id: str, compact: str) -> None:
        """Set a rule's compact form."""
        proxy = self._get(load_balancer_id)
        proxy.rules[rule_id] = compact
        proxy.rules_version += 1

    def touch(self, load_balancer_id: str) -> None:
        """Something else that goes with the rules has changed."""
        self._get(load_balancer_id).rules_version += 1

    def drop_rule(self, load_balancer_id: str, rule_id: str) -> None:
        """Take a rule away, with its state."""
        proxy = self._get(load_balancer_id)
        proxy.rules.pop(rule_id, None)
        proxy.rules_version += 1
        self.put_state(load_balancer_id, rule_id, None, None)

    def bind(self, load_balancer_id: str, key: ApiKey) -> None:
        """A key of its own."""
        self._get(load_balancer_id).keys[key.id] = replace(key, name="")

    def unbind(self, load_balancer_id: str, key_id: str) -> None:
        """The key is gone."""
        if load_balancer_id in self._proxies:
            self._proxies[load_balancer_id].keys.pop(key_id, None)

    def has(self, load_balancer_id: str) -> bool:
        """Whether anybody may poll it."""
        return load_balancer_id in self._proxies

    def count(self, load_balancer_id: str) -> int:
        """How many rules are on it."""
        return len(self._get(load_balancer_id).rules)

    def _get(self, load_balancer_id: str) -> _Proxy:
        try:
            return self._proxies[load_balancer_id]
        except KeyError:
            raise NotFoundError("load balancer", load_balancer_id) from None
