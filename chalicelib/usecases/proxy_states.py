"""The `states` of a proxy: drains, and rules that may not start (docs/reference/proxy-protocol.md)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.domain.rules import Rule
    from chalicelib.ports import ProxyStore


def publish_state(proxies: ProxyStore, rule: Rule, now: datetime, drain_until: datetime | None = None) -> int:
    """Tell the proxy what is not ordinary about a rule; answers the version of the states that says so.

    Writes nothing where the proxy's state already is so. Raises NotFoundError when the load balancer is gone.
    """
    if rule.spec.load_balancer_id is None:
        return 0
    held = rule.held_down(now)
    state: dict[str, object] = {"rule": rule.id}
    if drain_until is not None:
        state["drain_until"] = stamp(drain_until)
    if held is not None:
        state |= {
            "startable": False,
            "reason": held.reason.value,
            "detail": held.words,
            "until": held.until and stamp(held.until),
        }
    if len(state) == 1:
        return proxies.put_state(rule.spec.load_balancer_id, rule.id, None, None)
    expires = drain_until if held is None else held.until
    return proxies.put_state(rule.spec.load_balancer_id, rule.id, json.dumps(state), expires)


def stamp(at: datetime) -> str:
    """RFC 3339 in UTC with `Z`, to the millisecond."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
