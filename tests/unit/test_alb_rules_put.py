"""The rules of an ALB are put on it, and put back."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.domain.alb_seen import Forward, Redirect
from chalicelib.domain.errors import CloudError, ThrottledError
from tests.unit.alb_orders import (
    MINUTE,
    compact,
    drop,
    group_of,
    once,
    ours,
    put,
    ready,
    words,
)
from tests.unit.provision_world import ProvisionWorld


@pytest.fixture
def world():
    return ProvisionWorld()


class TestRules:
    def test_a_rule_has_a_group_with_its_targets_and_health_check_and_begins_at_the_function(self, world):
        id_ = ready(world)
        health = {"protocol": "http", "port": 9000, "path": "/up", "status": [200, 204], "timeout": 4, "interval": 10}
        put(world, id_, compact(health=health))
        group = group_of(world, "ru_a")
        assert (group.name, group.targets) == ("as-ru-a", {("10.0.0.9", 8080)})
        assert (group.probe.port, group.probe.path, group.probe.matcher) == ("9000", "/up", "200-204")
        (rule,) = ours(world, id_)
        function = world.get(id_).provision.alb.function_target_group_arn
        assert rule.action == Forward(((group.arn, 0), (function, 100)))
        assert (rule.hosts, rule.paths) == ({"app.example.com"}, frozenset())

    def test_many_hosts_are_several_rules_of_five_values(self, world):
        id_ = ready(world)
        put(world, id_, compact(hosts=[f"h{n}.example.com" for n in range(7)], paths=["/a/*", "/b/*"]))
        found = ours(world, id_)
        assert len(found) == 3
        assert all(len(r.hosts) + len(r.paths) <= 5 for r in found)

    def test_weights_that_the_reconcile_worker_set_are_left_as_they_are(self, world):
        id_ = ready(world)
        put(world, id_, compact())
        (rule,) = ours(world, id_)
        up = Forward(tuple((arn, 100 - weight) for arn, weight in rule.action.groups))
        world.albs.elb.rules[rule.arn] = replace(rule, action=up)
        put(world, id_, compact(hosts=("app.example.com", "www.example.com"), paths=("/x/*",)))
        assert [r.action for r in ours(world, id_)] == [up]
        assert words(world, id_, "load_balancer_drift") == []

    def test_the_same_again_changes_nothing(self, world):
        id_ = ready(world)
        put(world, id_, compact())
        before = list(world.albs.elb.calls)
        put(world, id_, compact())
        world.run_for(30 * MINUTE)
        assert world.albs.elb.calls == before

    def test_a_rule_more_specific_comes_before_one_that_is_there(self, world):
        id_ = ready(world)
        put(world, id_, compact("ru_a"))
        put(world, id_, compact("ru_b", paths=("/api/*",)))
        assert [r.rule_id for r in ours(world, id_)] == ["ru_b", "ru_a"]

    def test_a_rule_that_is_gone_leaves_nothing(self, world):
        id_ = ready(world)
        put(world, id_, compact("ru_a"))
        put(world, id_, compact("ru_b", hosts=("b.example.com",)))
        drop(world, id_, "ru_a")
        assert [r.rule_id for r in ours(world, id_)] == ["ru_b"]
        assert {g.rule_id for g in world.albs.elb.groups.values()} == {None, "ru_b"}
        assert [r.rule_id for r in world.get(id_).provision.alb.rules] == ["ru_b"]

    def test_other_targets_are_put_without_a_new_group(self, world):
        id_ = ready(world)
        put(world, id_, compact())
        arn = group_of(world, "ru_a").arn
        put(world, id_, compact(targets=("10.0.0.10",), target=9090))
        assert (group_of(world, "ru_a").arn, group_of(world, "ru_a").targets) == (arn, {("10.0.0.10", 9090)})

    def test_another_protocol_is_another_group_and_traffic_waits_at_the_function_meanwhile(self, world):
        id_ = ready(world)
        put(world, id_, compact())
        text = json.loads(compact())
        text["http"][0]["protocol"] = "https"
        put(world, id_, json.dumps(text))
        assert group_of(world, "ru_a").protocol == "HTTPS"
        assert [len(r.action.groups) for r in ours(world, id_)] == [2]
        order_ = [c for c in world.albs.elb.calls if c in {"change_rule", "delete_group", "delete_rule"}]
        assert order_ == ["change_rule", "delete_group", "change_rule"], "the listener rule is never gone"

    def test_a_redirect_needs_no_group(self, world):
        id_ = ready(world)
        redirect = {"hosts": ["old.example.com"], "paths": ["/*"], "port": 80, "url": "https://new.example.com/x"}
        put(world, id_, compact(redirects=[redirect]))
        actions = {next(iter(r.hosts)): r.action for r in ours(world, id_)}
        assert actions["old.example.com"] == Redirect("HTTPS", "443", "new.example.com", "/x", "")

    def test_one_that_aws_refuses_keeps_no_other_from_being_put_and_is_tried_again(self, world):
        id_ = ready(world)
        world.albs.elb.refusals["create_group"] = once(CloudError("TooManyTargetGroups", "The maximum is 100."))
        put(world, id_, compact("ru_a"), run=False)
        put(world, id_, compact("ru_b", hosts=("b.example.com",)))
        assert world.get(id_).status == "ready"
        assert [r.rule_id for r in ours(world, id_)] == ["ru_b"]
        told = "Load balancer alb, rule ru_a: could not be put on it: TooManyTargetGroups: The maximum is 100.."
        assert words(world, id_, "load_balancer_failed") == [told]
        assert world.albs.check.warnings(world.get(id_)) == ["rule ru_a: TooManyTargetGroups: The maximum is 100."]
        world.clock.advance(timedelta(minutes=11))
        assert world.worker.sweep() == 1
        world.run_for(MINUTE)
        assert {r.rule_id for r in ours(world, id_)} == {"ru_a", "ru_b"}
        assert world.albs.check.warnings(world.get(id_)) == []

    def test_being_throttled_is_no_failure(self, world):
        id_ = ready(world)
        world.albs.elb.refusals["create_rule"] = once(ThrottledError("Throttling", "Rate exceeded"))
        put(world, id_, compact())
        assert len(ours(world, id_)) == 1
        assert words(world, id_, "load_balancer_failed") == []

    def test_the_worker_is_asked_to_say_at_once_where_traffic_of_a_new_one_belongs(self, world):
        id_ = ready(world)
        put(world, id_, compact())
        assert [request.rule_ids for _, request in world.looks.waiting] == [("ru_a",)]
        put(world, id_, compact(targets=("10.0.0.9", "10.0.0.10")))
        assert len(world.looks.waiting) == 1
