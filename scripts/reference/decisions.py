"""The codes that people meet in answers, logs and events."""

from __future__ import annotations

import ast
import inspect

from chalicelib.domain.decisions import Action, Reason
from chalicelib.domain.events import Event, EventKind
from chalicelib.domain.rules import RuleState
from scripts.reference.tables import one_line, table


def reasons() -> str:
    """Every reason with its words, and the actions and states beside which they stand."""
    rows = [[f"`{reason.value}`", reason.words] for reason in Reason]
    actions = ", ".join(f"`{action.value}`" for action in Action)
    states = ", ".join(f"`{state.value}`" for state in RuleState)
    return f"""# Reasons

Every decision has one. `state_reason` of a rule, `reason` of `explain`, of an event and of a log line have its code; the words may
be followed by what is particular to the case.

{table(("code", "words"), rows)}
Actions: {actions}. States of a rule: {states}.
"""


def events() -> str:
    """Every kind of event, and the fields."""
    rows = [[f"`{kind.value}`", KINDS[kind]] for kind in EventKind]
    fields = [[f"`{name}`"] for name in _fields()]
    return f"""# Events

`GET /events`, `GET /rules/{{id}}/events`, `autostop events`. {one_line(inspect.getdoc(Event)).removeprefix("One entry. ")}
They are kept for a year.

{table(("kind", "tells that"), rows)}
Fields: {", ".join(name for (name,) in fields)}.
"""


def _fields() -> list[str]:
    tree = ast.parse(inspect.getsource(Event))
    made = tree.body[0]
    assert isinstance(made, ast.ClassDef)  # noqa: S101  (what a class's source is)
    return [one.target.id for one in made.body if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)]


KINDS = {
    EventKind.RULE_CREATED: "somebody made a rule",
    EventKind.RULE_UPDATED: "somebody changed a rule",
    EventKind.RULE_DELETED: "somebody deleted a rule; its words say what was started",
    EventKind.WOKEN: "traffic came while it was not up: from where, to what",
    EventKind.WARM_UP: "somebody wants it up for a while",
    EventKind.COOL_DOWN: "somebody wants it down for a while",
    EventKind.RELEASED: "somebody ended a warm-up or cool-down",
    EventKind.DECIDED: "something was decided that did not change the state, with reason and evidence",
    EventKind.STATE_CHANGED: "the state changed, with reason and evidence; of a start, how long it took",
    EventKind.RESOURCE_GONE: "a resource was terminated and is left out",
    EventKind.RESTARTED_BY_AWS: "AWS started a database after seven days",
    EventKind.START_REFUSED: "AWS refused a start, in its own words",
    EventKind.STOP_REFUSED: "AWS refused a stop, in its own words",
    EventKind.BLIND: "an activity source has gone silent",
    EventKind.CLOCK_SKEW: "a proxy's clock is wrong, and proves nothing",
    EventKind.EVIDENCE_GAP: "a proxy cannot prove a stretch of time",
    EventKind.CONFIG_REJECTED: "Envoy rejected a configuration, with its reason",
    EventKind.UNOBSERVABLE: "AWS does not tell about a rule's resources",
    EventKind.RESOURCE_JOINED: "a resource came into a rule by its tags",
    EventKind.RESOURCE_LEFT: "a resource left a rule with its tags",
    EventKind.RESOURCE_LEFT_OUT: "a resource has the tags and is left out, with the reason",
    EventKind.RECONCILE_FAILED: "looking after a rule failed three times",
    EventKind.CHANGED_BY_HAND: "a principal of CloudTrail started or stopped an instance",
    EventKind.ACCOUNT_CHANGED: "somebody paused all stops, or changed how many may begin",
    EventKind.KEY_CREATED: "somebody made an API key",
    EventKind.KEY_DELETED: "somebody deleted an API key",
    EventKind.SCHEDULE_CREATED: "somebody made a schedule",
    EventKind.SCHEDULE_UPDATED: "somebody changed a schedule",
    EventKind.SCHEDULE_DELETED: "somebody deleted a schedule",
    EventKind.LOAD_BALANCER_CREATED: "somebody made a load balancer",
    EventKind.LOAD_BALANCER_UPDATED: "somebody changed a load balancer",
    EventKind.LOAD_BALANCER_DELETED: "a load balancer and all that was made for it are gone",
    EventKind.LOAD_BALANCER_READY: "what was to be made for a load balancer is there",
    EventKind.LOAD_BALANCER_FAILED: "it could not be made, with the reason; it is tried again",
    EventKind.LOAD_BALANCER_DRIFT: "somebody changed what is ours on an ALB; it was put back",
}
"""Held against EventKind by a test: no kind without a line."""
