"""An ALB is made, its rules are put and put back, and all of it is taken away, wherever the worker dies."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.adapters.memory.alb_account import FUNCTION
from chalicelib.domain.alb_seen import Fixed, Forward, OtherAction, Redirect, SeenListener, SeenRule
from chalicelib.domain.albs import AccessLogs
from chalicelib.domain.errors import CloudError
from chalicelib.domain.provision import Phase
from tests.unit.alb_orders import (
    CERTIFICATE,
    EXISTING,
    MINUTE,
    THEIR_LISTENER,
    compact,
    drop,
    group_of,
    once,
    order,
    ours,
    put,
    ready,
    words,
)
from tests.unit.provision_world import KilledError, ProvisionWorld


@pytest.fixture
def world():
    return ProvisionWorld()


class TestMaking:
    def test_it_is_creating_until_aws_has_provisioned_it_and_then_ready(self, world):
        id_ = order(world)
        world.run_for(timedelta(seconds=20))
        made = world.get(id_).provision
        assert (made.phase, made.reason) == (Phase.CREATING, f"{made.alb.dns_name} is being provisioned by AWS.")
        world.run_for(2 * MINUTE)
        assert world.get(id_).status == "ready"
        assert world.told(id_) == ["load_balancer_created", "load_balancer_ready"]
        (listener,) = [one for _, one in world.albs.elb.listeners.values()]
        assert (listener.port, type(listener.action)) == (80, Fixed)

    def test_with_a_certificate_port_80_leads_to_https_and_443_answers_404_with_our_page(self, world):
        ready(world, {"certificate_arn": CERTIFICATE})
        found = {one.port: one for _, one in world.albs.elb.listeners.values()}
        assert found[80].action == Redirect()
        assert (found[443].protocol, found[443].certificate_arn) == ("https", CERTIFICATE)
        assert "No rule is for this address" in found[443].action.body

    def test_the_function_is_allowed_and_behind_a_target_group_of_its_own(self, world):
        id_ = ready(world)
        made = world.get(id_).provision.alb
        assert world.albs.function.function.allowed
        group = world.albs.elb.groups[made.function_target_group_arn]
        assert (group.name, group.targets) == (f"as-{id_.replace('_', '-')}", {(FUNCTION, None)})

    def test_without_the_function_it_fails_in_words_and_goes_on_once_it_is_there(self, world):
        function, world.albs.function.function = world.albs.function.function, None
        id_ = order(world)
        world.run_for(MINUTE)
        assert world.get(id_).status == "failed"
        assert "The warm-up function is not deployed" in world.get(id_).provision.reason
        world.albs.function.function = function
        world.put(id_)
        world.run_for(3 * MINUTE)
        assert world.get(id_).status == "ready"

    def test_the_wildcard_points_to_it_and_a_record_of_somebody_else_is_left_alone(self, world):
        id_ = ready(world, {"hosted_zone_id": "Z1"})
        dns = world.get(id_).provision.alb.dns_name
        assert world.albs.records.records == {("Z1", "*.example.com"): dns}
        other = order(world, {"hosted_zone_id": "Z1"})
        world.run_for(3 * MINUTE)
        assert world.get(other).status == "failed"
        assert f"points to {dns}" in world.get(other).provision.reason
        assert world.albs.records.records == {("Z1", "*.example.com"): dns}

    def test_another_domain_moves_the_record(self, world):
        id_ = ready(world, {"hosted_zone_id": "Z1"})
        world.put(id_, alb=replace(world.get(id_).alb, domain="*.b.example.com"))
        world.run_for(MINUTE)
        assert list(world.albs.records.records) == [("Z1", "*.b.example.com")]

    def test_other_groups_and_a_certificate_less_are_put(self, world):
        id_ = ready(world, {"certificate_arn": CERTIFICATE})
        world.put(id_, security_group_ids=("sg-2",), alb=replace(world.get(id_).alb, certificate_arn=None))
        world.run_for(MINUTE)
        assert [one.port for _, one in world.albs.elb.listeners.values()] == [80]
        assert [alb.group_ids for _, alb, _ in world.albs.elb.albs.values()] == [{"sg-2"}]

    def test_its_access_log_goes_where_it_is_said_and_is_put_back(self, world):
        logs = AccessLogs("logs", "dev")
        id_ = ready(world, {"access_logs": logs})
        ((arn, (name, alb, since)),) = world.albs.elb.albs.items()
        assert alb.logs == logs
        world.albs.elb.albs[arn] = (name, replace(alb, logs=None), since)
        world.queue.send(id_, at_once=True)
        world.run_for(MINUTE)
        assert world.albs.elb.albs[arn][1].logs == logs
        world.put(id_, alb=replace(world.get(id_).alb, access_logs=None))
        world.run_for(MINUTE)
        assert world.albs.elb.albs[arn][1].logs is None

    def test_what_aws_refuses_is_said(self, world):
        world.albs.elb.refusals["create_alb"] = once(CloudError("TooManyLoadBalancers", "The maximum is 50."))
        id_ = order(world)
        world.run_for(MINUTE)
        assert (world.get(id_).status, world.get(id_).provision.reason) == (
            "failed",
            "TooManyLoadBalancers: The maximum is 50.",
        )


class TestDrift:
    @pytest.mark.parametrize(
        ("change", "words_"),
        [
            ({"hosts": frozenset({"evil.example.com"})}, "a listener rule had other conditions or another action"),
            ({"action": OtherAction()}, "a listener rule had other conditions or another action"),
            ({"narrowed": True}, "a listener rule had other conditions or another action"),
        ],
    )
    def test_a_listener_rule_changed_by_hand_is_put_back_and_an_event_says_so(self, world, change, words_):
        id_ = ready(world)
        put(world, id_, compact())
        (rule,) = ours(world, id_)
        world.albs.elb.rules[rule.arn] = replace(rule, **change)
        world.clock.advance(timedelta(minutes=11))
        assert world.worker.sweep() == 1
        world.run_for(MINUTE)
        assert ours(world, id_) == [rule]
        told = f"Load balancer alb, rule ru_a: was changed by hand; put back: {words_}."
        assert words(world, id_, "load_balancer_drift") == [told]

    def test_what_was_deleted_by_hand_is_made_again(self, world):
        id_ = ready(world)
        put(world, id_, compact())
        (rule,) = ours(world, id_)
        del world.albs.elb.rules[rule.arn], world.albs.elb.groups[group_of(world, "ru_a").arn]
        world.queue.send(id_, at_once=True)
        world.run_for(MINUTE)
        assert [r.hosts for r in ours(world, id_)] == [rule.hosts]
        told = " ".join(words(world, id_, "load_balancer_drift"))
        assert "its target group was gone" in told
        assert "a listener rule was gone" in told

    def test_a_target_and_a_health_check_changed_by_hand_are_put_back(self, world):
        id_ = ready(world)
        put(world, id_, compact())
        group = group_of(world, "ru_a")
        other = replace(group, targets=frozenset({("10.0.0.66", 8080)}), probe=replace(group.probe, path="/no"))
        world.albs.elb.groups[group.arn] = other
        world.queue.send(id_, at_once=True)
        world.run_for(MINUTE)
        assert group_of(world, "ru_a") == group
        assert len(words(world, id_, "load_balancer_drift")) == 1

    @pytest.mark.parametrize("weight", [100, 0])
    def test_instances_that_get_traffic_keep_it_when_the_functions_group_is_another(self, world, weight):
        id_ = ready(world)
        put(world, id_, compact())
        (rule,) = ours(world, id_)
        group, function = group_of(world, "ru_a").arn, world.get(id_).provision.alb.function_target_group_arn
        world.albs.elb.rules[rule.arn] = replace(rule, action=Forward(((group, weight), (function, 100 - weight))))
        del world.albs.elb.groups[function]
        world.queue.send(id_, at_once=True)
        world.run_for(MINUTE)
        new = world.get(id_).provision.alb.function_target_group_arn
        assert new != function
        assert [dict(r.action.groups) for r in ours(world, id_)] == [{group: weight, new: 100 - weight}]

    def test_a_listener_changed_by_hand_is_put_back(self, world):
        id_ = ready(world)
        ((arn, (alb, listener)),) = world.albs.elb.listeners.items()
        world.albs.elb.listeners[arn] = (alb, replace(listener, action=OtherAction()))
        world.queue.send(id_, at_once=True)
        world.run_for(MINUTE)
        assert world.albs.elb.listeners[arn] == (alb, listener)


def theirs(world):
    """An ALB of the user's own: a listener with a default action and two rules of theirs."""
    elb = world.albs.elb
    elb.add_alb(EXISTING, "vpc-1")
    group = Forward((("arn:theirs:group", 1),))
    elb.add_listener(EXISTING, SeenListener(THEIR_LISTENER, 80, "http", group))
    for priority, host in ((10, "one.example.com"), (20, "two.example.com")):
        arn = f"arn:theirs:rule/{priority}"
        elb.rules[arn] = SeenRule(arn, THEIR_LISTENER, priority, group, frozenset({host}))
    return dict(elb.albs), dict(elb.listeners), dict(elb.rules)


class TestImported:
    def test_only_rules_of_ours_are_added_behind_theirs_and_all_is_as_before_when_it_goes(self, world):
        before = theirs(world)
        id_ = ready(world, {"existing_arn": EXISTING})
        put(world, id_, compact())
        (rule,) = ours(world, id_)
        assert rule.priority > 20
        elb = world.albs.elb
        assert (elb.albs, elb.listeners) == before[:2]
        assert {arn: r for arn, r in elb.rules.items() if r.load_balancer_id is None} == before[2]
        drop(world, id_, "ru_a", run=False)
        world.manage.delete(id_, "ak_admin")
        world.run_for(2 * MINUTE)
        assert (elb.albs, elb.listeners, elb.rules) == before
        assert elb.groups == {}

    def test_one_that_writes_its_access_log_elsewhere_is_left_so_and_it_is_said(self, world):
        world.albs.elb.add_alb(EXISTING, "vpc-1")
        world.albs.elb.add_listener(EXISTING, SeenListener(THEIR_LISTENER, 80, "http", OtherAction()))
        id_ = ready(world, {"existing_arn": EXISTING, "access_logs": AccessLogs("logs")})
        assert "set_logs" not in world.albs.elb.calls
        (said,) = world.albs.check.warnings(world.get(id_))
        assert "does not write its access log to logs" in said

    def test_one_that_is_gone_is_said(self, world):
        theirs(world)
        id_ = ready(world, {"existing_arn": EXISTING})
        world.albs.elb.albs.clear()
        world.queue.send(id_, at_once=True)
        world.run_for(MINUTE)
        assert world.get(id_).provision.reason == f"There is no load balancer {EXISTING} any more."


def test_word_of_a_change_that_comes_while_a_worker_is_at_it_is_not_lost(world):
    id_ = ready(world)
    balancer = world.get(id_)
    lease = world.clock.now() + timedelta(seconds=20)
    world.stores.provisions.put(balancer, replace(balancer.provision, lease_until=lease))
    put(world, id_, compact())
    world.run_for(timedelta(seconds=10))
    assert len(ours(world, id_)) == 1


class TestRemoval:
    def test_everything_that_was_made_goes(self, world):
        id_ = ready(world, {"hosted_zone_id": "Z1", "certificate_arn": CERTIFICATE})
        put(world, id_, compact(port=443))
        drop(world, id_, "ru_a", run=False)
        world.manage.delete(id_, "ak_admin")
        world.run_for(2 * MINUTE)
        elb = world.albs.elb
        assert (elb.albs, elb.listeners, elb.rules, elb.groups, world.albs.records.records) == ({}, {}, {}, {}, {})
        assert world.told(id_)[-1] == "load_balancer_deleted"

    def test_a_record_that_somebody_pointed_elsewhere_stays(self, world):
        id_ = ready(world, {"hosted_zone_id": "Z1"})
        world.albs.records.records["Z1", "*.example.com"] = "elsewhere.example.net"
        world.manage.delete(id_, "ak_admin")
        world.run_for(2 * MINUTE)
        assert world.albs.records.records == {("Z1", "*.example.com"): "elsewhere.example.net"}
        assert world.albs.elb.albs == {}


class TestKilled:
    @pytest.mark.parametrize("after", [False, True])
    @pytest.mark.parametrize("existing", [False, True])
    def test_wherever_the_worker_dies_another_goes_on_and_nothing_is_made_twice(self, existing, after):
        killed = 0
        for at in range(1, 400):
            world = ProvisionWorld()
            if existing:
                theirs(world)
            settings = {"existing_arn": EXISTING} if existing else {"hosted_zone_id": "Z1"}
            world.killer.at, world.killer.after = at, after
            id_ = order(world, settings)
            put(world, id_, compact(paths=("/a/*",)), run=False)
            killed += self._live(world, id_, 3 * MINUTE)
            put(world, id_, compact(hosts=("b.example.com",), paths=("/b/*",)), run=False)
            killed += self._live(world, id_, 6 * MINUTE)
            assert world.get(id_).status == "ready", (at, world.get(id_).provision)
            (rule,) = ours(world, id_)
            assert rule.hosts == {"b.example.com"}
            elb = world.albs.elb
            assert len(elb.albs) == 1
            assert sorted(g.rule_id or "" for g in elb.groups.values()) == ["", "ru_a"]
            drop(world, id_, "ru_a", run=False)
            world.manage.delete(id_, "ak_admin")
            killed += self._live(world, id_, 8 * MINUTE)
            left = [arn for arn in elb.owners if arn in elb.albs | elb.listeners | elb.rules | elb.groups]
            assert (left, world.albs.records.records) == ([], {}), at
            if world.killer.calls < at:
                break
        else:
            pytest.fail("there are more calls than were tried")
        assert killed > 30

    @staticmethod
    def _live(world, id_, span):
        """Whoever is killed leaves its lease behind, and SQS gives its message to another after a while."""
        killed = 0
        for second in range(int(span.total_seconds())):
            try:
                if second % 60 == 59:
                    world.worker.sweep()
                world.step()
            except KilledError:
                killed += 1
                world.queue.send(id_, timedelta(minutes=2), at_once=True)
        return killed
