"""What the ports promise of rules, status, activity, proxies, load balancers, keys and events."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.adapters.memory.clock import START
from chalicelib.domain.activity import Heartbeat, Span
from chalicelib.domain.decisions import Action
from chalicelib.domain.drains import Drain
from chalicelib.domain.errors import (
    AlreadyClaimedError,
    ConflictError,
    InvalidInputError,
    LostClaimError,
    NotFoundError,
    TooLargeError,
    VersionMismatchError,
)
from chalicelib.domain.resources import Place, ResourceKind, ResourceRef, ResourceState
from chalicelib.domain.routes import HealthCheck, HttpRoute, Ignore
from chalicelib.domain.rules import Claim, Override, OverrideKind, RuleState, RuleStatus, SeenResource
from chalicelib.ports import Health, Idempotency, LastActivity, Total
from tests.builders import make_balancer, make_event, make_rule, ssh_rule

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


class TestRules:
    def test_a_rule_comes_back_as_it_was_stored(self, stores):
        status = RuleStatus(
            RuleState.STOPPING,
            since=START,
            due_at=START,
            override=Override(OverrideKind.WARM_UP, START, "ak_1", "why"),
            drain=Drain(START, START + MINUTE, 3),
            woken_at=START,
            woken_by="traffic",
            seen=(SeenResource("i-00000001", ResourceState.RUNNING, "10.0.0.1"),),
        )
        rule = make_rule(
            status=status, health_check=HealthCheck("http", 80), ignore=Ignore(paths=("/healthz",)), hourly_cost=0.5
        )
        stores.rules.create(rule, "{}")
        assert stores.rules.get("ru_1") == rule

    def test_an_unknown_rule_is_not_found(self, stores):
        with pytest.raises(NotFoundError):
            stores.rules.get("ru_none")
        assert stores.rules.get_many(["ru_none"]) == {}

    @pytest.mark.parametrize(
        ("other", "words"),
        [
            (make_rule("ru_9", resource_ids=("i-00000009",)), "host app.example.com/*"),
            (ssh_rule("ru_9", resource_ids=("i-00000001",)), "instance i-00000001"),
        ],
    )
    def test_what_a_rule_owns_no_other_can_take(self, stores, other, words):
        stores.rules.create(make_rule(), "{}")
        with pytest.raises(AlreadyClaimedError) as caught:
            stores.rules.create(other, "{}")
        assert caught.value.owners == {words: "ru_1"}
        with pytest.raises(NotFoundError):
            stores.rules.get("ru_9")

    def test_a_listen_port_belongs_to_one_tcp_rule_and_http_rules_share_theirs(self, stores):
        stores.rules.create(ssh_rule(), "{}")
        with pytest.raises(AlreadyClaimedError) as caught:
            stores.rules.create(ssh_rule("ru_9", resource_ids=("i-00000009",)), "{}")
        assert caught.value.owners == {"listen port 20001": "ru_2"}
        stores.rules.create(make_rule(), "{}")
        second = make_rule("ru_3", resource_ids=("i-00000003",), http=(HttpRoute(("b.example.com",)),))
        stores.rules.create(second, "{}")
        with pytest.raises(AlreadyClaimedError):
            stores.rules.create(ssh_rule("ru_9", listen_port=80, resource_ids=("i-00000009",)), "{}")

    def test_more_than_one_transaction_can_carry_is_refused_with_the_number(self, stores):
        hosts = tuple(f"h{n}.example.com" for n in range(95))
        with pytest.raises(TooLargeError, match="97"):
            stores.rules.create(make_rule(http=(HttpRoute(hosts),)), "{}")

    def test_the_same_idempotency_key_gives_the_first_answer_and_another_body_is_refused(self, stores):
        key = Idempotency("k", "f")
        stores.rules.create(make_rule(), "{}", key)
        assert stores.rules.create(make_rule("ru_9"), "{}", key).id == "ru_1"
        with pytest.raises(ConflictError):
            stores.rules.create(make_rule("ru_9"), "{}", Idempotency("k", "other"))

    def test_a_rule_on_a_load_balancer_that_does_not_exist_is_refused(self, stores):
        with pytest.raises(NotFoundError):
            stores.rules.create(make_rule(load_balancer_id="lb_none"), "{}")

    def test_replacing_moves_version_claims_and_the_proxys_rules(self, stores):
        rule = stores.rules.create(make_rule(), "{}")
        before = stores.proxies.poll("lb_1").rules_version
        new_spec = replace(rule.spec, http=(HttpRoute(("b.example.com",), listen_port=81),), resource_ids=("i-2",))
        after = stores.rules.replace(rule, replace(rule, spec=new_spec), '{"b":1}')
        assert (after.version, after.spec) == (2, new_spec)
        assert after.revision > rule.revision
        assert stores.proxies.rules("lb_1") == ('{"b":1}',)
        assert stores.proxies.poll("lb_1").rules_version == before + 1
        stores.rules.create(make_rule("ru_9"), "{}")  # host and instance are free again
        with pytest.raises(VersionMismatchError):
            stores.rules.replace(rule, rule, "{}")
        taking = replace(after, spec=replace(new_spec, resource_ids=("i-00000001",)))
        with pytest.raises(AlreadyClaimedError):
            stores.rules.replace(after, taking, "{}")

    def test_deleting_gives_everything_back(self, stores):
        rule = stores.rules.create(make_rule(), "{}")
        stores.proxies.put_state("lb_1", rule.id, '{"x":1}', None)
        stores.rules.delete(rule)
        assert stores.proxies.rules("lb_1") == ()
        assert stores.proxies.states("lb_1", START) == ()
        stores.rules.create(make_rule("ru_9"), "{}")
        with pytest.raises(NotFoundError):
            stores.rules.delete(rule)

    def test_a_list_comes_in_pages_and_foreign_cursors_are_refused(self, stores):
        for n in range(5):
            stores.rules.create(ssh_rule(f"ru_{n}", 20000 + n, resource_ids=(f"i-{n}",)), "{}")
        found, cursor = [], None
        while True:
            page = stores.rules.list(2, cursor)
            found += [rule.id for rule in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert sorted(found) == [f"ru_{n}" for n in range(5)]
        for foreign in ("nonsense", "é", "", "bnVsbA"):
            with pytest.raises(InvalidInputError):
                stores.rules.list(2, foreign or "-")

    def test_owners_of_resources(self, stores):
        stores.rules.create(make_rule(), "{}")
        ours = ResourceRef(ResourceKind.EC2, "us-east-1", "i-00000001")
        nobodys = ResourceRef(ResourceKind.EC2, "eu-west-1", "i-00000001")
        assert stores.rules.owners([ours, nobodys]) == {ours: "ru_1"}


class TestStatus:
    def claim(self, id_: str = "at_1") -> Claim:
        return Claim(id_, Action.STOP, START + MINUTE)

    def test_of_two_claims_at_one_revision_one_wins(self, stores):
        rule = stores.rules.create(make_rule(), "{}")
        claimed = stores.status.claim(rule, self.claim(), rule.status)
        assert claimed == stores.rules.get("ru_1")
        assert claimed.status.due_at == START + MINUTE
        with pytest.raises(LostClaimError):
            stores.status.claim(rule, self.claim("at_2"), rule.status)
        with pytest.raises(LostClaimError):
            stores.status.claim(claimed, self.claim("at_2"), rule.status)

    def test_an_expired_claim_is_taken_over(self, stores, clock):
        rule = stores.rules.create(make_rule(), "{}")
        claimed = stores.status.claim(rule, self.claim(), rule.status)
        clock.advance(MINUTE)
        later = Claim("at_2", Action.STOP, START + 2 * MINUTE)
        assert stores.status.claim(claimed, later, rule.status).status.claim == later

    def test_a_wake_between_read_and_claim_wins(self, stores):
        rule = stores.rules.create(make_rule(), "{}")
        woken = stores.status.wake("ru_1", START + SECOND, "traffic", START)
        assert (woken.status.woken_at, woken.status.woken_by) == (START + SECOND, "traffic")
        assert woken == stores.rules.get("ru_1")
        with pytest.raises(LostClaimError):
            stores.status.claim(rule, self.claim(), rule.status)
        with pytest.raises(LostClaimError):
            stores.status.record(rule, rule.status)

    def test_a_burst_of_wakes_writes_once(self, stores):
        stores.rules.create(make_rule(), "{}")
        first = stores.status.wake("ru_1", START, "one", START - SECOND)
        second = stores.status.wake("ru_1", START + SECOND, "two", START - SECOND)
        assert second == first
        with pytest.raises(NotFoundError):
            stores.status.wake("ru_none", START, "x", START)

    def test_recording_takes_the_claim_away_and_moves_the_revision_only_for_what_matters(self, stores):
        rule = stores.rules.create(make_rule(), "{}")
        claimed = stores.status.claim(rule, self.claim(), rule.status)
        done = stores.status.record(claimed, replace(claimed.status, state=RuleState.DOWN, due_at=START + MINUTE))
        assert done.status.claim is None
        assert done == stores.rules.get("ru_1")
        again = stores.status.record(done, replace(done.status, due_at=START + 2 * MINUTE))
        assert again.revision == done.revision
        changed = stores.status.record(again, replace(again.status, state=RuleState.UP))
        assert changed.revision == again.revision + 1

    def test_an_override_is_set_at_the_revision_read(self, stores):
        rule = stores.rules.create(make_rule(), "{}")
        override = Override(OverrideKind.COOL_DOWN, START + MINUTE, "ak_1")
        after = stores.status.set_override(rule, override, START)
        assert stores.rules.get("ru_1").status.override == override
        with pytest.raises(LostClaimError):
            stores.status.set_override(rule, None, START)
        assert stores.status.set_override(after, None, START).status.override is None

    def test_due_rules_come_oldest_first_and_others_not_at_all(self, stores):
        for n, due in enumerate([30, 10, 20, 100]):
            status = RuleStatus(due_at=START + due * SECOND)
            stores.rules.create(ssh_rule(f"ru_{n}", 20000 + n, status=status, resource_ids=(f"i-{n}",)), "{}")
        found = []
        cursor = None
        while True:
            page = stores.status.due(START + 30 * SECOND, 2, cursor)
            found += [rule.id for rule in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert found == ["ru_1", "ru_2", "ru_0"]
        (first, *_) = stores.status.due(START + 30 * SECOND, 2).items
        assert first.place == Place(ResourceKind.EC2, "us-east-1")

    def test_due_times_are_pulled_forward_and_never_pushed_back(self, stores):
        rule = stores.rules.create(make_rule(status=RuleStatus(due_at=START + MINUTE)), "{}")
        stores.status.make_due(["ru_1", "ru_none"], START + SECOND)
        stores.status.make_due(["ru_1"], START + 2 * MINUTE)
        after = stores.rules.get("ru_1")
        assert after.status.due_at == START + SECOND
        assert after.revision == rule.revision


class TestActivity:
    def test_the_newest_activity_wins_in_any_order(self, stores):
        times = [START, START + SECOND, START + 2 * SECOND]
        for n, order in enumerate(itertools.permutations(times)):
            for at in order:
                stores.activity.seen(f"ru_{n}", LastActivity("proxy i-1", at))
            assert stores.activity.facts(f"ru_{n}").last == (LastActivity("proxy i-1", times[-1]),)

    def test_the_larger_total_wins_in_any_order(self, stores):
        small = Total("ru_1", "2026-01-05T08:00", "proxy i-1", requests=1, bytes_in=50)
        large = Total("ru_1", "2026-01-05T08:00", "proxy i-1", requests=3, bytes_in=70)
        stores.activity.add_totals([large])
        stores.activity.add_totals([small])
        stores.activity.add_totals([large, small])
        assert list(stores.activity.history("ru_1", START, START + MINUTE)) == [large]
        assert list(stores.activity.history("ru_1", START + MINUTE, START + 2 * MINUTE)) == []

    def test_a_late_health_report_does_not_replace_a_newer_one(self, stores):
        new, old = Health("i-1", True, START + SECOND, 200), Health("i-1", False, START)
        stores.activity.put_health("ru_1", new)
        stores.activity.put_health("ru_1", old)
        assert stores.activity.facts("ru_1").health == (new,)

    def test_pieces_of_a_sequence_are_counted_once_each(self, stores):
        assert stores.activity.count_stored("lb_1", "m", 7, frozenset()) == 0
        assert stores.activity.count_stored("lb_1", "m", 7, frozenset({"a", "b"})) == 2
        assert stores.activity.count_stored("lb_1", "m", 7, frozenset({"b", "c"})) == 3
        assert stores.activity.count_stored("lb_1", "m", 8, frozenset({"a"})) == 1


class TestProxies:
    def beat(self, start: int, end: int, **more) -> Heartbeat:
        return Heartbeat("m", end, START + start * SECOND, START + end * SECOND, **more)

    def test_a_load_balancer_that_does_not_exist(self, stores):
        with pytest.raises(NotFoundError):
            stores.proxies.poll("lb_none")
        with pytest.raises(NotFoundError):
            stores.proxies.beat("lb_none", self.beat(0, 1), START + SECOND, MINUTE)

    def test_states_move_their_version_only_when_they_change(self, stores):
        first = stores.proxies.put_state("lb_1", "ru_1", "{}", START + MINUTE)
        assert stores.proxies.put_state("lb_1", "ru_1", "{}", START + MINUTE) == first
        assert stores.proxies.states("lb_1", START) == ("{}",)
        assert stores.proxies.states("lb_1", START + MINUTE) == ()
        assert stores.proxies.put_state("lb_1", "ru_1", None, None) == first + 1
        assert stores.proxies.put_state("lb_1", "ru_1", None, None) == first + 1
        assert stores.proxies.poll("lb_1").states_version == first + 1

    def test_a_member_proves_contiguous_time_and_a_hole_asks_for_it_again(self, stores):
        received = START + 100 * SECOND
        stores.proxies.beat("lb_1", self.beat(0, 10), received, MINUTE)
        late = stores.proxies.beat("lb_1", self.beat(20, 30), received, MINUTE)
        assert not late.moved
        assert late.proof.missing_from == START + 10 * SECOND
        (source,) = stores.proxies.sources("lb_1")
        assert source.span == Span(START, START + 10 * SECOND)
        assert stores.proxies.poll("lb_1").resend_from == {"m": START + 10 * SECOND}
        stores.proxies.beat("lb_1", self.beat(10, 20), received, MINUTE)
        stores.proxies.beat("lb_1", self.beat(0, 10), received, MINUTE)
        (source,) = stores.proxies.sources("lb_1")
        assert source.span == Span(START, START + 30 * SECOND)
        assert stores.proxies.poll("lb_1").resend_from == {}

    def test_what_a_member_applies_is_learnt_once_and_never_goes_back(self, stores):
        stores.proxies.applied("lb_1", "m", 3, START)
        stores.proxies.applied("lb_1", "m", 3, START + SECOND)
        stores.proxies.applied("lb_1", "m", 2, START + 2 * SECOND)
        (source,) = stores.proxies.sources("lb_1")
        assert (source.config_states_version, source.config_at) == (3, START)
        stores.proxies.beat("lb_1", self.beat(0, 10, config="r1.s4"), START + 10 * SECOND, MINUTE)
        (source,) = stores.proxies.sources("lb_1")
        assert (source.config_states_version, source.config_at) == (4, START + 10 * SECOND)


class TestTheSmallerStores:
    def test_load_balancers(self, stores):
        balancer = stores.balancers.create(make_balancer("lb_2"), Idempotency("k", "f"))
        assert stores.balancers.create(make_balancer("lb_3"), Idempotency("k", "f")).id == "lb_2"
        with pytest.raises(ConflictError):
            stores.balancers.create(make_balancer("lb_3"), Idempotency("k", "g"))
        assert stores.balancers.get("lb_2") == balancer
        renamed = stores.balancers.replace(balancer, replace(balancer, name="new"))
        assert (renamed.name, renamed.version) == ("new", 2)
        with pytest.raises(VersionMismatchError):
            stores.balancers.replace(balancer, balancer)
        with pytest.raises(VersionMismatchError):
            stores.balancers.delete(balancer)
        assert {b.id for b in stores.balancers.list(10).items} == {"lb_1", "lb_2"}
        stores.balancers.delete(renamed)
        with pytest.raises(NotFoundError):
            stores.balancers.get("lb_2")
        with pytest.raises(NotFoundError):
            stores.proxies.poll("lb_2")

    def test_a_load_balancer_with_rules_is_not_deleted(self, stores):
        rule = stores.rules.create(make_rule(), "{}")
        with pytest.raises(ConflictError):
            stores.balancers.delete(stores.balancers.get("lb_1"))
        stores.rules.delete(rule)
        stores.balancers.delete(stores.balancers.get("lb_1"))

    def test_events_come_newest_first_once_each_and_in_pages(self, stores, clock):
        clock.advance(timedelta(days=3))
        events = [make_event(f"ev_{n}", f"ru_{n % 2}", START + n * timedelta(hours=9)) for n in range(8)]
        stores.events.append(events)
        stores.events.append(events[:3])
        end = START + timedelta(days=4)
        newest_first = [event.id for event in reversed(events)]
        assert [event.id for event in stores.events.all(START, end, 100).items] == newest_first
        of_rule = stores.events.of_rule("ru_1", START, end, 100).items
        assert [event.id for event in of_rule] == ["ev_7", "ev_5", "ev_3", "ev_1"]
        assert of_rule[0] == events[7]
        found, cursor = [], None
        while True:
            page = stores.events.all(START, end, 3, cursor)
            found += [event.id for event in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert found == newest_first
