"""Actions and conditions as Elastic Load Balancing writes them, to ours and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalicelib.domain.alb_seen import Fixed, Forward, OtherAction, Redirect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chalicelib.domain.alb_seen import Action
    from chalicelib.domain.alb_wanted import WantedRule

_FIELDS = {"host-header": "HostHeaderConfig", "path-pattern": "PathPatternConfig"}


def action_of(actions: Sequence[Mapping[str, Any]]) -> Action:
    """What a listener, or a rule, does; several actions one after the other are none of ours."""
    if len(actions) != 1:
        return OtherAction()
    action = actions[0]
    match action.get("Type"):
        case "forward":
            return _forward(action)
        case "redirect":
            to = action["RedirectConfig"]
            if to.get("StatusCode") != "HTTP_301":
                return OtherAction()
            usual = Redirect("#{protocol}", "#{port}")
            return Redirect(
                to.get("Protocol", usual.protocol),
                str(to.get("Port", usual.port)),
                to.get("Host", usual.host),
                to.get("Path", usual.path),
                to.get("Query", usual.query),
            )
        case "fixed-response":
            answer = action["FixedResponseConfig"]
            ours = (answer.get("StatusCode"), answer.get("ContentType")) == ("404", "text/html")
            return Fixed(answer.get("MessageBody", "")) if ours else OtherAction()
        case _:
            return OtherAction()


def _forward(action: Mapping[str, Any]) -> Forward:
    to = action.get("ForwardConfig", {})
    groups = tuple((one["TargetGroupArn"], int(one.get("Weight", 1))) for one in to.get("TargetGroups", ()))
    if not groups and "TargetGroupArn" in action:
        groups = ((action["TargetGroupArn"], 1),)
    return Forward(groups, bool(to.get("TargetGroupStickinessConfig", {}).get("Enabled")))


def as_actions(action: Fixed | Forward | Redirect) -> list[dict[str, Any]]:
    """The one action, as a request takes it."""
    if isinstance(action, Forward):
        groups = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in action.groups]
        # Each listener rule says it for itself; a group's own stickiness is another thing, and off unless asked for.
        sticky = {"Enabled": False}
        to = {"TargetGroups": groups, "TargetGroupStickinessConfig": sticky}
        return [{"Type": "forward", "ForwardConfig": to}]
    if isinstance(action, Redirect):
        config = {
            "Protocol": action.protocol,
            "Port": action.port,
            "Host": action.host,
            "Path": action.path,
            "Query": action.query,
            "StatusCode": "HTTP_301",
        }
        return [{"Type": "redirect", "RedirectConfig": config}]
    answer = {"StatusCode": "404", "ContentType": "text/html", "MessageBody": action.body}
    return [{"Type": "fixed-response", "FixedResponseConfig": answer}]


def conditions_of(conditions: Sequence[Mapping[str, Any]]) -> tuple[frozenset[str], frozenset[str], bool]:
    """Hosts in small letters, paths, and whether there are conditions of other kinds, or two of one kind."""
    found: dict[str, frozenset[str]] = {}
    narrowed = False
    for condition in conditions:
        config = _FIELDS.get(condition.get("Field", ""))
        values = (condition.get(config, {}).get("Values") if config else None) or condition.get("Values") or ()
        if config is None or not values or condition["Field"] in found:
            narrowed = True
            continue
        found[condition["Field"]] = frozenset(values)
    hosts = frozenset(host.lower() for host in found.get("host-header", ()))
    return hosts, found.get("path-pattern", frozenset()), narrowed


def as_conditions(rule: WantedRule) -> list[dict[str, Any]]:
    """As a request takes them."""
    found: list[dict[str, Any]] = [{"Field": "host-header", "HostHeaderConfig": {"Values": list(rule.hosts)}}]
    if rule.paths:
        found.append({"Field": "path-pattern", "PathPatternConfig": {"Values": list(rule.paths)}})
    return found
