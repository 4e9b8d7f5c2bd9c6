"""Schedules, and what refers to what: links are told in the transaction of the rule that has them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.adapters.memory.clock import START
from chalicelib.domain.decisions import Action
from chalicelib.domain.errors import (
    AlreadyClaimedError,
    ConflictError,
    LostClaimError,
    NeighbourChangedError,
    NotFoundError,
    VersionMismatchError,
)
from chalicelib.domain.routes import HttpRoute, TcpRoute
from chalicelib.domain.rules import Claim, DependsOn
from chalicelib.domain.schedules import ScheduleKind
from chalicelib.ports import Idempotency
from tests.builders import make_rule, make_schedule

DAY = timedelta(days=1)


def rule(id_: str, **links):
    return make_rule(id_, load_balancer_id=None, http=(), resource_ids=(f"i-{id_}",), **links)


def needs(*ids: str) -> tuple[DependsOn, ...]:
    return tuple(DependsOn(id_, timedelta(seconds=5)) for id_ in ids)


class TestSchedules:
    def test_every_kind_of_schedule_comes_back_as_it_was_stored(self, stores):
        weekly = make_schedule("sc_w", except_dates=((START + DAY).date(),), starts=START, until=START + DAY)
        recurring = make_schedule("sc_r", weekly=(), rrule="FREQ=DAILY", duration=DAY / 24, kind=ScheduleKind.DOWNTIME)
        for schedule in (weekly, recurring):
            stores.schedules.create(schedule)
            assert stores.schedules.get(schedule.id) == schedule
        assert stores.schedules.get_many(["sc_w", "sc_none", "sc_r"]) == {"sc_w": weekly, "sc_r": recurring}
        assert {schedule.id for schedule in stores.schedules.list(10).items} == {"sc_w", "sc_r"}
        with pytest.raises(NotFoundError):
            stores.schedules.get("sc_none")

    def test_the_same_idempotency_key_makes_one(self, stores):
        key = Idempotency("k", "body")
        assert stores.schedules.create(make_schedule("sc_1"), key).id == "sc_1"
        assert stores.schedules.create(make_schedule("sc_2"), key).id == "sc_1"
        with pytest.raises(ConflictError):
            stores.schedules.create(make_schedule("sc_3"), Idempotency("k", "another"))

    def test_replacing_moves_the_version_and_who_read_an_older_one_loses(self, stores):
        first = stores.schedules.create(make_schedule())
        second = stores.schedules.replace(first, make_schedule(name="later"))
        assert (second.version, second.name) == (2, "later")
        assert stores.schedules.get("sc_1") == second
        with pytest.raises(VersionMismatchError):
            stores.schedules.replace(first, make_schedule(name="lost"))
        with pytest.raises(VersionMismatchError):
            stores.schedules.delete(first)
        stores.schedules.delete(second)
        for call in (stores.schedules.replace, lambda before, _: stores.schedules.delete(before)):
            with pytest.raises(NotFoundError):
                call(second, second)

    def test_a_schedule_knows_its_rules_and_is_not_deleted_under_them(self, stores):
        schedule = stores.schedules.create(make_schedule())
        stores.rules.create(rule("ru_1", schedule_ids=("sc_1",)), None)
        second = stores.rules.create(rule("ru_2", schedule_ids=("sc_1",)), None)
        assert stores.schedules.rules_of("sc_1") == ("ru_1", "ru_2")
        replaced = stores.schedules.replace(schedule, make_schedule(name="later"))
        assert stores.schedules.rules_of("sc_1") == ("ru_1", "ru_2")
        with pytest.raises(ConflictError, match="ru_1, ru_2"):
            stores.schedules.delete(replaced)
        stores.rules.delete(second)
        stores.rules.replace(stores.rules.get("ru_1"), rule("ru_1"), None)
        assert stores.schedules.rules_of("sc_1") == ()
        stores.schedules.delete(replaced)

    def test_a_rule_with_a_schedule_that_is_gone_is_a_conflict_and_leaves_nothing(self, stores):
        with pytest.raises(ConflictError):
            stores.rules.create(rule("ru_1", schedule_ids=("sc_none",)), None)
        with pytest.raises(NotFoundError):
            stores.rules.get("ru_1")


class TestLinks:
    def test_a_rule_learns_who_depends_on_it_without_a_change_of_its_own(self, stores):
        db = stores.rules.create(rule("ru_db"), None)
        web = stores.rules.create(rule("ru_web", depends_on=needs("ru_db")), None, None, {"ru_db": 1})
        told = stores.rules.get("ru_db")
        assert told.dependents == ("ru_web",)
        assert (told.version, told.revision) == (db.version, db.revision)
        assert stores.rules.get("ru_web").spec.depends_on == needs("ru_db")
        stores.rules.replace(web, rule("ru_web"), None)
        assert stores.rules.get("ru_db").dependents == ()

    def test_a_status_written_by_who_read_before_a_link_leaves_the_link(self, stores):
        read = stores.rules.create(rule("ru_db"), None)
        stores.rules.create(rule("ru_web", depends_on=needs("ru_db")), None, None, {"ru_db": 1})
        stores.status.record(read, read.status)
        assert stores.rules.get("ru_db").dependents == ("ru_web",)

    def test_what_others_need_is_not_deleted_and_who_goes_is_forgotten(self, stores):
        db = stores.rules.create(rule("ru_db"), None)
        web = stores.rules.create(rule("ru_web", depends_on=needs("ru_db")), None, None, {"ru_db": 1})
        with pytest.raises(ConflictError, match="ru_web"):
            stores.rules.delete(db)
        stores.rules.delete(web)
        stores.rules.delete(stores.rules.get("ru_db"))

    def test_a_rule_below_that_changed_since_the_order_was_checked_is_a_conflict(self, stores):
        stores.rules.create(rule("ru_db"), None)
        stores.rules.create(rule("ru_api", depends_on=needs("ru_db")), None, None, {"ru_db": 1})
        stores.rules.replace(stores.rules.get("ru_db"), rule("ru_db", name="changed"), None)
        graph = {"ru_db": 1, "ru_api": 1}
        with pytest.raises(ConflictError):
            stores.rules.create(rule("ru_web", depends_on=needs("ru_api")), None, None, graph)
        assert stores.rules.get("ru_api").dependents == ()
        stores.rules.create(rule("ru_web", depends_on=needs("ru_api")), None, None, graph | {"ru_db": 2})
        assert stores.rules.get("ru_api").dependents == ("ru_web",)
        kept = stores.rules.get("ru_web")
        renamed = rule("ru_web", name="renamed", depends_on=needs("ru_api"))
        stores.rules.replace(kept, renamed, None, {"ru_db": 2, "ru_api": 1})
        assert stores.rules.get("ru_api").dependents == ("ru_web",)


class TestSteps:
    """A step that makes other rules needed moves them on with it: no stop decided on them before can follow."""

    def rules(self, stores):
        db = stores.rules.create(rule("ru_db"), None)
        web = stores.rules.create(rule("ru_web", depends_on=needs("ru_db")), None, None, {"ru_db": 1})
        return web, db

    @pytest.mark.parametrize("step", ["record", "claim"])
    def test_a_claim_decided_on_what_was_needed_since_is_lost(self, stores, step):
        web, db = self.rules(stores)
        claim = Claim("at_1", Action.STOP, START + DAY)
        args = (claim, web.status) if step == "claim" else (web.status,)
        getattr(stores.status, step)(web, *args, {"ru_db": db.revision})
        with pytest.raises(LostClaimError):
            stores.status.claim(db, claim, db.status)
        assert stores.rules.get("ru_db").revision == db.revision + 1
        assert stores.rules.get("ru_db").dependents == ("ru_web",)

    def test_a_step_on_what_was_written_to_since_is_not_taken_at_all(self, stores):
        web, db = self.rules(stores)
        stores.status.claim(db, Claim("at_1", Action.STOP, START + DAY), db.status)
        with pytest.raises(NeighbourChangedError):
            stores.status.record(web, replace(web.status, failures=7), {"ru_db": db.revision})
        assert stores.rules.get("ru_web").status.failures == 0

    def test_who_was_overtaken_itself_has_lost(self, stores):
        web, db = self.rules(stores)
        stores.status.wake("ru_web", START, "somebody", START)
        with pytest.raises(LostClaimError) as lost:
            stores.status.record(web, web.status, {"ru_db": db.revision})
        assert not isinstance(lost.value, NeighbourChangedError)
        assert stores.rules.get("ru_db").revision == db.revision


class TestSharedPorts:
    """HTTP rules share a listen port; what none of them has any more is free for TCP, and the other way round."""

    WEB = (HttpRoute(("a.example.com",), listen_port=8080),)
    API = (HttpRoute(("b.example.com",), listen_port=8080),)
    TCP = (TcpRoute("tcp", 22, 8080),)

    @staticmethod
    def rule(id_: str, **routes):
        return make_rule(id_, **({"http": (), "resource_ids": (f"i-{id_}",)} | routes))

    def test_the_last_http_rule_frees_its_port(self, stores):
        web = stores.rules.create(self.rule("ru_web", http=self.WEB), "{}")
        api = stores.rules.create(self.rule("ru_api", http=self.API), "{}")
        with pytest.raises(AlreadyClaimedError, match="listen port 8080"):
            stores.rules.create(self.rule("ru_tcp", tcp=self.TCP), "{}")
        stores.rules.delete(web)
        with pytest.raises(AlreadyClaimedError):
            stores.rules.create(self.rule("ru_tcp", tcp=self.TCP), "{}")
        stores.rules.replace(api, self.rule("ru_api", http=(HttpRoute(("b.example.com",), listen_port=80),)), "{}")
        stores.rules.create(self.rule("ru_tcp", tcp=self.TCP), "{}")
        with pytest.raises(AlreadyClaimedError, match="belongs to rule ru_tcp"):
            stores.rules.create(self.rule("ru_web", http=self.WEB), "{}")

    def test_a_rule_turns_its_own_port_from_http_to_tcp_and_back(self, stores):
        rule = stores.rules.create(self.rule("ru_1", http=self.WEB), "{}")
        rule = stores.rules.replace(rule, self.rule("ru_1", tcp=self.TCP), "{}")
        with pytest.raises(AlreadyClaimedError):
            stores.rules.create(self.rule("ru_2", http=self.API), "{}")
        stores.rules.replace(rule, self.rule("ru_1", http=self.WEB), "{}")
        stores.rules.create(self.rule("ru_2", http=self.API), "{}")
