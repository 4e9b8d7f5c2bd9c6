"""An ALB is made, its rules are put and put back, and all of it is taken away, wherever the worker dies."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.adapters.memory.alb_account import FUNCTION
from chalicelib.domain.alb_seen import Fixed, Forward, OtherAction, Redirect, SeenListener, SeenRule
from chalicelib.domain.errors import CloudError, ThrottledError
from chalicelib.domain.provision import Phase
from tests.builders import make_alb
from tests.unit.provision_world import API, KilledError, ProvisionWorld

MINUTE = timedelta(minutes=1)
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/c-1"
EXISTING = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/theirs/50dc6c495c0c9188"
THEIR_LISTENER = "arn:theirs:listener/80"


@pytest.fixture
def world():
    return ProvisionWorld()


def order(world, settings=None, **changes):
    draft = make_alb("", settings, **changes)
    stored = replace(draft, id=world.ids.new("lb"))
    # What the account checks is the API's business (tests/unit/api/test_albs.py).
    passing = Passing(world.albs.check)
    world.manage.check_albs = lambda: passing
    return world.manage.create(stored, "ak_admin", lambda: API).balancer.id


class Passing:
    def __init__(self, check):
        self._check = check

    def faults(self, draft):
        return ()

    def __getattr__(self, name):
        return getattr(self._check, name)


def ready(world, settings=None, **changes):
    id_ = order(world, settings, **changes)
    world.run_for(3 * MINUTE)
    assert world.get(id_).status == "ready", world.get(id_).provision
    return id_


def compact(id_="ru_a", hosts=("app.example.com",), paths=("/*",), target=8080, port=80, targets=("10.0.0.9",), **more):
    route = {"hosts": list(hosts), "paths": list(paths), "port": port, "target": target}
    route |= {"tls": True} if port == 443 else {}
    return json.dumps({"id": id_, "targets": list(targets), "http": [route]} | more)


def put(world, id_, text, run=True):
    world.stores.proxies.put_rule(id_, json.loads(text)["id"], text)
    world.queue.send(id_, at_once=True)
    if run:
        world.run_for(timedelta(seconds=30))


def drop(world, id_, rule_id, run=True):
    world.stores.proxies.drop_rule(id_, rule_id)
    world.queue.send(id_, at_once=True)
    if run:
        world.run_for(timedelta(seconds=30))


def ours(world, id_):
    return sorted((r for r in world.albs.elb.rules.values() if r.load_balancer_id == id_), key=lambda r: r.priority)


def group_of(world, rule_id):
    return next(g for g in world.albs.elb.groups.values() if g.rule_id == rule_id)


def words(world, id_, kind):
    start, end = world.clock.now() - timedelta(days=30), world.clock.now() + timedelta(days=1)
    found = world.stores.events.all(start, end, 500).items
    return [e.words for e in found if e.subject == id_ and e.kind.value == kind]


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

    def test_what_aws_refuses_is_said(self, world):
        world.albs.elb.refusals["create_alb"] = _once(CloudError("TooManyLoadBalancers", "The maximum is 50."))
        id_ = order(world)
        world.run_for(MINUTE)
        assert (world.get(id_).status, world.get(id_).provision.reason) == (
            "failed",
            "TooManyLoadBalancers: The maximum is 50.",
        )


def _once(error):
    return deque([error])


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
        world.albs.elb.refusals["create_group"] = _once(CloudError("TooManyTargetGroups", "The maximum is 100."))
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
        world.albs.elb.refusals["create_rule"] = _once(ThrottledError("Throttling", "Rate exceeded"))
        put(world, id_, compact())
        assert len(ours(world, id_)) == 1
        assert words(world, id_, "load_balancer_failed") == []


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
