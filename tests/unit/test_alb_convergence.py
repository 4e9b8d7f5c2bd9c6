"""Whatever rules people make, and whatever others do on the ALB, a few looks later it is as wanted and stays so."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise, product

from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.adapters.memory.albs import FakeAlbRules, FakeElb, FakeTargetGroups
from chalicelib.adapters.memory.clock import VirtualClock
from chalicelib.adapters.memory.queue import MemoryQueue
from chalicelib.domain import alb_plan as plans
from chalicelib.domain.alb_seen import Forward, OtherAction, SeenRule
from chalicelib.domain.alb_wanted import wanted
from chalicelib.usecases.make_alb import AlbMaker
from tests.builders import make_alb

HOSTS = [f"{name}.example.com" for name in "abcdef"] + ["*.example.com"]
PATHS = ["/*", "/api/*", "/api/v2/*", "/x", "/y"]
ROUTES = st.lists(
    st.tuples(
        st.lists(st.sampled_from(HOSTS), min_size=1, max_size=7, unique=True),
        st.lists(st.sampled_from(PATHS), min_size=1, max_size=5, unique=True),
        st.sampled_from([80, 443]),
    ),
    max_size=4,
)
BALANCER = make_alb()
LISTENERS = {80: "arn:l:listener/80", 443: "arn:l:listener/443"}


def texts_of(routes):
    """Compact rules without two that own the same, as claims see to."""
    taken, texts = set(), []
    for n, (hosts, paths, port) in enumerate(routes):
        free = [host for host in hosts if not any((port, host, path) in taken for path in paths)]
        if free:
            taken |= set(product([port], free, paths))
            route = {"hosts": free, "paths": paths, "port": port, "target": 8000 + n}
            texts.append(json.dumps({"id": f"ru_{n}", "targets": ["10.0.0.1"], "http": [route]}))
    return texts


class Account:
    def __init__(self, foreign):
        self.elb = FakeElb(VirtualClock())
        self.rules, self.groups = FakeAlbRules(self.elb), FakeTargetGroups(self.elb)
        self.groups.create(BALANCER, None)
        ((self.function, _),) = self.elb.groups.items()
        for port, priority in foreign:
            arn = f"arn:theirs:{port}/{priority}"
            self.elb.rules[arn] = SeenRule(arn, LISTENERS[port], priority, OtherAction(), frozenset({"z.example.org"}))
        self.theirs = dict(self.elb.rules)
        self.maker = AlbMaker(
            None, self.rules, self.groups, None, None, None, None, MemoryQueue(self.elb.clock), self.elb.clock, None
        )  # type: ignore[arg-type]

    def plan(self, texts):
        seen = plans.OnAlb(
            BALANCER.id,
            LISTENERS,
            self.function,
            self.rules.find("", list(LISTENERS.values())),
            self.groups.find(BALANCER),
        )
        return plans.plan(wanted(texts), seen)

    def settle(self, texts):
        for _ in range(5):
            plan = self.plan(texts)
            assert not plan.refused
            if not plan.moves and not plan.changes:
                return
            for move in plan.moves:
                self.maker._change(BALANCER, move)
            for changes in plan.changes.values():
                for change in changes:
                    self.maker._change(BALANCER, change)
        raise AssertionError("it does not settle")

    def check(self, texts):
        wishes = wanted(texts)
        ours = {arn: rule for arn, rule in self.elb.rules.items() if rule.load_balancer_id}
        assert {arn: r for arn, r in self.elb.rules.items() if arn not in ours} == self.theirs
        there = sorted((r.rule_id, r.listener_arn, sorted(r.hosts), sorted(r.paths)) for r in ours.values())
        assert there == sorted(
            (w.rule_id, LISTENERS[w.port], sorted(w.hosts), sorted(w.paths)) for wish in wishes for w in wish.rules
        )
        for listener in LISTENERS.values():
            numbers = [rule.priority for rule in self.elb.rules.values() if rule.listener_arn == listener]
            assert len(set(numbers)) == len(numbers)
        weight = {(w.rule_id, frozenset(w.hosts), frozenset(w.paths)): w.weight for wish in wishes for w in wish.rules}
        for listener in LISTENERS.values():
            ordered = sorted((r for r in ours.values() if r.listener_arn == listener), key=lambda r: r.priority)
            weights = [weight[r.rule_id, r.hosts, r.paths] for r in ordered]
            assert all(before >= after for before, after in pairwise(weights))


FOREIGN = st.sets(st.tuples(st.sampled_from([80, 443]), st.one_of(st.integers(1, 30), st.just(50000))), max_size=8)


@settings(max_examples=200, deadline=None)
@given(FOREIGN, st.lists(ROUTES, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_it_settles_after_every_change_and_every_deed_by_hand(foreign, lives, random):
    account = Account(foreign)
    for routes in lives:
        texts = texts_of(routes)
        account.settle(texts)
        account.check(texts)
        for arn, rule in list(account.elb.rules.items()):
            if rule.load_balancer_id is None:
                continue
            match random.choice(["keep", "weights", "delete", "conditions", "action"]):
                case "weights" if isinstance(rule.action, Forward):
                    turned = tuple((group, 100 - weight) for group, weight in rule.action.groups)
                    account.elb.rules[arn] = replace(rule, action=Forward(turned))
                case "delete":
                    del account.elb.rules[arn]
                case "conditions":
                    account.elb.rules[arn] = replace(rule, hosts=frozenset({"evil.example.com"}))
                case "action":
                    account.elb.rules[arn] = replace(rule, action=OtherAction())
        account.settle(texts)
        account.check(texts)


@settings(max_examples=100, deadline=None)
@given(FOREIGN, ROUTES)
def test_when_the_last_rule_goes_only_what_was_there_before_is_left(foreign, routes):
    account = Account(foreign)
    account.settle(texts_of(routes))
    account.settle([])
    assert account.elb.rules == account.theirs
    assert set(account.elb.groups) == {account.function}
