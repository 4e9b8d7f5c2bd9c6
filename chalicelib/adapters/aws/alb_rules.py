"""Listener rules."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from chalicelib.adapters.aws.alb_actions import action_of, as_actions, as_conditions, conditions_of
from chalicelib.adapters.aws.alb_tags import RULE_TAG, elb, owner, tags, tags_of
from chalicelib.adapters.aws.errors import passed_over, translated
from chalicelib.domain.alb_seen import SeenRule
from chalicelib.domain.errors import CloudError, NotYetError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from chalicelib.domain.alb_plan import MakeRule, SetRule
    from chalicelib.domain.load_balancers import LoadBalancer


@contextmanager
def _raced() -> Iterator[None]:
    """As `translated`, but a priority that somebody took since the look is refused for now: the next finds it taken."""
    try:
        with translated():
            yield
    except CloudError as error:
        if error.code == "PriorityInUse":
            raise NotYetError(error.code, error.message) from error
        raise


class AwsAlbRules:
    """Implements AlbRules."""

    def __init__(self, stage: str) -> None:
        self._stage = stage

    def find(self, region: str, listener_arns: Sequence[str]) -> Sequence[SeenRule]:
        found: list[tuple[str, Mapping[str, Any]]] = []
        for arn in listener_arns:
            with translated():
                pages = elb(region).get_paginator("describe_rules").paginate(ListenerArn=arn)
                found += [(arn, rule) for page in pages for rule in page["Rules"] if rule["Priority"] != "default"]
        tagged = tags_of(region, [rule["RuleArn"] for _, rule in found])
        return [self._seen(arn, rule, tagged.get(rule["RuleArn"], {})) for arn, rule in found]

    def create(self, balancer: LoadBalancer, rule: MakeRule) -> None:
        with _raced():
            elb(balancer.region).create_rule(
                ListenerArn=rule.listener_arn,
                Priority=rule.priority,
                Conditions=as_conditions(rule.rule),
                Actions=as_actions(rule.action),
                Tags=tags(self._stage, balancer, rule.rule.rule_id),
            )

    def change(self, balancer: LoadBalancer, rule: SetRule) -> None:
        with translated():
            elb(balancer.region).modify_rule(
                RuleArn=rule.arn, Conditions=as_conditions(rule.rule), Actions=as_actions(rule.action)
            )

    def move(self, balancer: LoadBalancer, priorities: Sequence[tuple[str, int]]) -> None:
        with _raced():
            moved = [{"RuleArn": arn, "Priority": number} for arn, number in priorities]
            elb(balancer.region).set_rule_priorities(RulePriorities=moved)

    def delete(self, balancer: LoadBalancer, arn: str) -> None:
        with passed_over(frozenset({"RuleNotFound"})):
            elb(balancer.region).delete_rule(RuleArn=arn)

    def _seen(self, listener_arn: str, rule: Mapping[str, Any], tagged: Mapping[str, str]) -> SeenRule:
        hosts, paths, narrowed = conditions_of(rule.get("Conditions", ()))
        ours = owner(self._stage, tagged)
        return SeenRule(
            rule["RuleArn"],
            listener_arn,
            int(rule["Priority"]),
            action_of(rule.get("Actions", ())),
            hosts,
            paths,
            narrowed,
            ours,
            tagged.get(RULE_TAG) if ours else None,
        )
