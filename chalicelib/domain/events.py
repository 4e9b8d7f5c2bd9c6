"""The history: what changed, why, on what evidence, and who or what caused it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.domain.decisions import Evidence


class EventKind(StrEnum):
    """What an event tells."""

    RULE_CREATED = "rule_created"
    RULE_UPDATED = "rule_updated"
    RULE_DELETED = "rule_deleted"
    WOKEN = "woken"
    WARM_UP = "warm_up"
    COOL_DOWN = "cool_down"
    RELEASED = "released"
    DECIDED = "decided"
    STATE_CHANGED = "state_changed"
    RESOURCE_GONE = "resource_gone"
    RESTARTED_BY_AWS = "restarted_by_aws"
    START_REFUSED = "start_refused"
    STOP_REFUSED = "stop_refused"
    BLIND = "blind"
    CLOCK_SKEW = "clock_skew"
    EVIDENCE_GAP = "evidence_gap"
    CONFIG_REJECTED = "config_rejected"
    UNOBSERVABLE = "unobservable"
    RESOURCE_JOINED = "resource_joined"
    RESOURCE_LEFT = "resource_left"
    RESOURCE_LEFT_OUT = "resource_left_out"
    RECONCILE_FAILED = "reconcile_failed"
    CHANGED_BY_HAND = "changed_by_hand"
    ACCOUNT_CHANGED = "account_changed"
    KEY_CREATED = "key_created"
    KEY_DELETED = "key_deleted"
    SCHEDULE_CREATED = "schedule_created"
    SCHEDULE_UPDATED = "schedule_updated"
    SCHEDULE_DELETED = "schedule_deleted"
    LOAD_BALANCER_CREATED = "load_balancer_created"
    LOAD_BALANCER_UPDATED = "load_balancer_updated"
    LOAD_BALANCER_DELETED = "load_balancer_deleted"
    LOAD_BALANCER_READY = "load_balancer_ready"
    LOAD_BALANCER_FAILED = "load_balancer_failed"
    LOAD_BALANCER_DRIFT = "load_balancer_drift"


@dataclass(frozen=True, slots=True)
class Event:
    """One entry.

    `actor` is `key ak_…`, `traffic 203.0.113.7 to app.example.com/path` (or `to port 22`), `schedule sc_…`,
    `rule ru_…` (that needs it), `proxy i-…`, `aws`, `the guest` (that shut itself down), `somebody` (outside AutoStop,
    unnamed), `principal arn:…` (of CloudTrail), or `autostop`.
    `subject` is the id of the rule, load balancer or key that it is about.
    """

    id: str
    at: datetime
    kind: EventKind
    subject: str
    actor: str
    words: str
    action: str | None = None
    reason: str | None = None
    state: str | None = None
    evidence: tuple[Evidence, ...] = ()
    seconds: float | None = field(default=None)
    """How long what it tells took, as for a start."""
