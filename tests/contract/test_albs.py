"""What the ports of ALBs promise, of memory and of AWS (moto).

What moto 5.2 does otherwise than AWS is said in alb_benches; there the promise is held by memory alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from chalicelib.domain.alb_plan import MakeRule, SetRule
from chalicelib.domain.alb_seen import Fixed, Forward, Probe, Quotas, Redirect
from chalicelib.domain.alb_steps import PutListener
from chalicelib.domain.alb_wanted import WantedGroup, WantedRule
from chalicelib.domain.albs import AccessLogs
from chalicelib.domain.errors import CloudError, NotYetError
from tests.contract.alb_benches import bench_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.contract.alb_benches import Bench

REGION = "us-east-1"
PROBE = Probe("HTTP", "9000", "/up", "200-399", 10, 4)
GROUP = WantedGroup("ru_a", "HTTP", 8080, PROBE, frozenset())
RULE = WantedRule("ru_a", 80, ("a.example.com", "*.b.example.com"), ("/x/*",))


@pytest.fixture(params=["memory", "moto"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with bench_of(request.param) as made:
        yield made


def made(bench):
    balancer = bench.balancer()
    bench.albs.create(balancer)
    return balancer, bench.albs.find(balancer)


def listening(bench):
    balancer, alb = made(bench)
    bench.albs.put_listener(balancer, PutListener(alb.arn, 80, Fixed("<p>none</p>"), None, None))
    (listener,) = bench.albs.listeners(REGION, alb.arn)
    bench.groups.create(balancer, GROUP)
    bench.groups.create(balancer, None)
    groups = {group.rule_id: group for group in bench.groups.find(balancer)}
    return balancer, listener, groups["ru_a"].arn, groups[None].arn


class TestAlbs:
    def test_there_is_none_before_it_is_made_and_none_after_it_is_deleted(self, bench):
        assert bench.albs.find(bench.balancer()) is None
        balancer, alb = made(bench)
        assert (alb.ours, alb.scheme, alb.vpc_id, alb.type) == (True, "internal", balancer.vpc_id, "application")
        assert alb.group_ids == frozenset(balancer.security_group_ids)
        assert "elb.amazonaws.com" in alb.dns_name
        for _ in range(2):
            bench.albs.delete(balancer, alb.arn)
        assert bench.albs.find(balancer) is None

    def test_its_groups_are_changed(self, bench):
        balancer, alb = made(bench)
        other = replace(balancer, security_group_ids=(bench.other_group(),))
        bench.albs.set_groups(other, alb.arn)
        assert bench.albs.find(other).group_ids == frozenset(other.security_group_ids)

    def test_it_writes_its_access_log_where_it_is_told_and_no_longer(self, bench):
        balancer, alb = made(bench)
        assert alb.logs is None
        logs = AccessLogs(bench.bucket(), "albs/dev")
        bench.albs.set_logs(balancer, alb.arn, logs)
        assert bench.albs.find(balancer).logs == logs
        bench.albs.set_logs(balancer, alb.arn, None)
        assert bench.albs.find(balancer).logs is None

    def test_one_of_the_users_own_is_found_by_its_arn_and_is_not_ours(self, bench):
        arn = bench.their_alb(bench.balancer())
        found = bench.albs.find(bench.balancer({"existing_arn": arn}))
        assert (found.arn, found.ours) == (arn, False)
        assert bench.albs.find(bench.balancer({"existing_arn": arn[:-1] + ("1" if arn.endswith("0") else "0")})) is None

    def test_a_listener_is_made_corrected_and_dropped(self, bench):
        balancer, alb = made(bench)
        bench.albs.put_listener(balancer, PutListener(alb.arn, 80, Fixed("<p>none</p>"), None, None))
        (there,) = bench.albs.listeners(REGION, alb.arn)
        assert (there.port, there.protocol, there.action, there.ours) == (80, "http", Fixed("<p>none</p>"), True)
        bench.albs.put_listener(balancer, PutListener(alb.arn, 80, Redirect(), None, there))
        (now,) = bench.albs.listeners(REGION, alb.arn)
        assert (now.arn, now.action) == (there.arn, Redirect())
        for _ in range(2):
            bench.albs.drop_listener(balancer, there.arn)
        assert list(bench.albs.listeners(REGION, alb.arn)) == []

    def test_one_with_a_certificate_speaks_https(self, bench):
        arn = bench.certificate("*.example.com")
        balancer, alb = made(bench)
        bench.albs.put_listener(balancer, PutListener(alb.arn, 443, Fixed("x"), arn, None))
        (there,) = bench.albs.listeners(REGION, alb.arn)
        assert (there.port, there.protocol, there.certificate_arn) == (443, "https", arn)

    def test_the_function_is_handed_every_value_once_that_is_set(self, bench):
        balancer, _, instances, function = listening(bench)
        assert not any(group.multi_value for group in bench.groups.find(balancer))
        bench.groups.set_multi_value(balancer, function)
        assert {group.arn: group.multi_value for group in bench.groups.find(balancer)} == {
            instances: False,
            function: True,
        }


class TestRules:
    def test_one_is_made_with_its_tags_and_found_as_it_was_made(self, bench):
        balancer, listener, group, function = listening(bench)
        both = Forward(((group, 0), (function, 100)))
        bench.rules.create(balancer, MakeRule(listener.arn, 100, RULE, both))
        (found,) = bench.rules.find(REGION, [listener.arn])
        assert (found.priority, found.action, found.narrowed) == (100, both, False)
        assert (found.hosts, found.paths) == (frozenset(RULE.hosts), frozenset(RULE.paths))
        assert (found.load_balancer_id, found.rule_id) == (balancer.id, "ru_a")

    def test_a_redirect_says_everything(self, bench):
        balancer, listener, _, _ = listening(bench)
        to = Redirect("HTTPS", "443", "new.example.com", "/x", "a=b")
        bench.rules.create(balancer, MakeRule(listener.arn, 100, RULE, to))
        assert [one.action for one in bench.rules.find(REGION, [listener.arn])] == [to]

    def test_conditions_and_action_are_changed_at_once(self, bench):
        balancer, listener, group, function = listening(bench)
        bench.rules.create(balancer, MakeRule(listener.arn, 100, RULE, Forward(((group, 0), (function, 100)))))
        (found,) = bench.rules.find(REGION, [listener.arn])
        other, up = replace(RULE, hosts=("c.example.com",), paths=()), Forward(((group, 100), (function, 0)))
        bench.rules.change(balancer, SetRule(found.arn, other, up))
        (now,) = bench.rules.find(REGION, [listener.arn])
        assert (now.arn, now.hosts, now.paths, now.action) == (found.arn, {"c.example.com"}, frozenset(), up)

    def test_two_move_at_once_and_change_places(self, bench):
        balancer, listener, group, function = listening(bench)
        both = Forward(((group, 0), (function, 100)))
        for number in (1, 2):
            rule = replace(RULE, hosts=(f"h{number}.example.com",))
            bench.rules.create(balancer, MakeRule(listener.arn, number, rule, both))
        first, second = sorted(bench.rules.find(REGION, [listener.arn]), key=lambda one: one.priority)
        numbers = (2, 1) if bench.swaps else (9, 8)
        bench.rules.move(balancer, tuple(zip((first.arn, second.arn), numbers, strict=True)))
        now = {one.arn: one.priority for one in bench.rules.find(REGION, [listener.arn])}
        assert now == dict(zip((first.arn, second.arn), numbers, strict=True))

    def test_a_priority_that_somebody_took_since_the_look_is_refused_for_now_the_next_look_gives_another(self, bench):
        balancer, listener, group, function = listening(bench)
        rule = MakeRule(listener.arn, 7, RULE, Forward(((group, 0), (function, 100))))
        bench.rules.create(balancer, rule)
        with pytest.raises(CloudError) as caught:
            bench.rules.create(balancer, rule)
        assert (caught.value.code, caught.value.retryable) == ("PriorityInUse", True)

    def test_those_of_others_are_shown_as_theirs(self, bench):
        arn = bench.their_listener(bench.their_alb(bench.balancer()))
        bench.their_rule(arn, 5, "app.example.com")
        (found,) = bench.rules.find(REGION, [arn])
        assert (found.load_balancer_id, found.rule_id, found.priority, found.narrowed) == (None, None, 5, True)
        assert found.hosts == {"app.example.com"}

    def test_one_is_deleted_once_or_twice(self, bench):
        balancer, listener, group, function = listening(bench)
        bench.rules.create(balancer, MakeRule(listener.arn, 100, RULE, Forward(((group, 0), (function, 100)))))
        (found,) = bench.rules.find(REGION, [listener.arn])
        for _ in range(2):
            bench.rules.delete(balancer, found.arn)
        assert list(bench.rules.find(REGION, [listener.arn])) == []


class TestGroups:
    def test_one_is_found_with_what_it_was_made_with(self, bench):
        balancer = bench.balancer()
        bench.groups.create(balancer, GROUP)
        (found,) = bench.groups.find(balancer)
        assert (found.name, found.protocol, found.probe, found.rule_id) == ("as-ru-a", "HTTP", PROBE, "ru_a")
        assert found.targets == frozenset()
        assert list(bench.groups.find(replace(balancer, id="lb_other"))) == []

    def test_targets_come_and_go_by_address(self, bench):
        balancer = bench.balancer()
        bench.groups.create(balancer, GROUP)
        (group,) = bench.groups.find(balancer)
        bench.groups.register(balancer, group.arn, [("10.9.0.5", 8080), ("10.9.1.5", 8080)])
        bench.groups.deregister(balancer, group.arn, [("10.9.0.5", 8080)])
        (now,) = bench.groups.find(balancer)
        assert now.targets == {("10.9.1.5", 8080)}

    def test_the_health_check_is_changed(self, bench):
        balancer = bench.balancer()
        bench.groups.create(balancer, GROUP)
        (group,) = bench.groups.find(balancer)
        other = Probe("HTTPS", "9443", "/", "200", 30, 5)
        bench.groups.probe(balancer, group.arn, other)
        assert [one.probe for one in bench.groups.find(balancer)] == [other]

    def test_the_one_of_a_function_has_it_as_its_target(self, bench):
        balancer, function = bench.balancer(), bench.function_arn()
        bench.groups.create(balancer, None)
        (group,) = bench.groups.find(balancer)
        assert (group.name, group.rule_id, group.probe) == ("as-lb-2", None, None)
        bench.groups.register(balancer, group.arn, [(function, None)])
        assert [one.targets for one in bench.groups.find(balancer)] == [{(function, None)}]

    def test_one_is_deleted_once_or_twice(self, bench):
        balancer = bench.balancer()
        bench.groups.create(balancer, GROUP)
        (group,) = bench.groups.find(balancer)
        for _ in range(2):
            bench.groups.delete(balancer, group.arn)
        assert list(bench.groups.find(balancer)) == []

    def test_one_that_a_rule_forwards_to_cannot_go_yet(self, bench):
        balancer, listener, group, function = listening(bench)
        bench.rules.create(balancer, MakeRule(listener.arn, 100, RULE, Forward(((group, 0), (function, 100)))))
        with pytest.raises(NotYetError):
            bench.groups.delete(balancer, group)


class TestFunction:
    def test_it_is_found_and_allowed_once_or_twice(self, bench):
        assert bench.function.find(REGION) is None
        arn = bench.function_arn()
        found = bench.function.find(REGION)
        assert (found.arn, found.allowed) == (arn, False)
        assert found.code
        for _ in range(2):
            bench.function.allow(REGION)
        assert bench.function.find(REGION).allowed


class TestRecords:
    ALB = ("as-lb-2-1.us-east-1.elb.amazonaws.com", "Z35SXDOTRQ7X7K")

    def test_the_wildcard_is_put_found_and_deleted(self, bench):
        zone = bench.zone("example.com")
        assert bench.records.find(zone, "*.example.com") is None
        bench.records.put(zone, "*.example.com", self.ALB, over=False)
        assert bench.records.find(zone, "*.example.com").rstrip(".") == self.ALB[0]
        assert bench.records.find(zone, "*.b.example.com") is None
        for _ in range(2):
            bench.records.delete(zone, "*.example.com", self.ALB)
        assert bench.records.find(zone, "*.example.com") is None

    def test_one_of_others_is_neither_written_over_nor_deleted(self, bench):
        zone = bench.zone("example.com")
        bench.their_record(zone, "*.example.com", "192.0.2.1")
        if bench.guards_records:
            with pytest.raises(CloudError):
                bench.records.put(zone, "*.example.com", self.ALB, over=False)
        bench.records.delete(zone, "*.example.com", self.ALB)
        assert bench.records.find(zone, "*.example.com") == "192.0.2.1"
        bench.records.put(zone, "*.example.com", self.ALB, over=True)
        assert bench.records.find(zone, "*.example.com").rstrip(".") == self.ALB[0]


class TestAccount:
    def test_a_certificate_is_known_with_all_its_names(self, bench):
        arn = bench.certificate("*.example.com", "example.com")
        found = bench.account.certificate(arn)
        assert (found.status, set(found.names)) == ("ISSUED", {"*.example.com", "example.com"})
        assert bench.account.certificate(arn[:-1] + ("1" if arn.endswith("0") else "0")) is None

    def test_a_zone_is_known_by_name(self, bench):
        found = bench.account.zone(bench.zone("example.com"))
        assert (found.name, found.private) == ("example.com", False)
        assert bench.account.zone("Z00000000000000000000") is None

    def test_an_alb_is_known_by_its_arn(self, bench):
        arn = bench.their_alb(bench.balancer())
        assert bench.account.balancer(REGION, arn).type == "application"
        assert bench.account.balancer(REGION, arn[:-1] + ("1" if arn.endswith("0") else "0")) is None

    def test_a_subnet_is_public_where_its_table_leads_out(self, bench):
        balancer = bench.balancer()
        ask = lambda: bench.account.public_subnets(REGION, balancer.vpc_id, balancer.subnet_ids)  # noqa: E731
        assert ask() == frozenset()
        bench.route_out(balancer, balancer.subnet_ids[0])
        assert ask() == {balancer.subnet_ids[0]}

    def test_quotas_are_numbers(self, bench):
        assert bench.account.quotas(REGION) == Quotas(100, 100)
