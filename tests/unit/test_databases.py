"""Databases in stories: slow starts, AWS at work, its restart after seven days, connections as the only witness."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chalicelib.domain.decisions import Reason
from chalicelib.domain.errors import CloudError
from chalicelib.domain.events import EventKind
from chalicelib.domain.guards import Guard, GuardMetric
from chalicelib.domain.resources import CLUSTER, Protection
from chalicelib.domain.rules import Override, OverrideKind, RuleState
from chalicelib.domain.upkeep import MaintenanceWindow
from chalicelib.domain.usage import IntervalState
from tests.unit.database_world import DAY, HOUR, IDLE, MINUTE, DatabaseWorld, available


def no_stop_was_refused(world):
    assert world.told(EventKind.STOP_REFUSED) == []


def test_a_wake_starts_a_database_and_it_is_up_when_aws_has_it_available():
    world = DatabaseWorld()
    world.pass_time(timedelta(seconds=10))
    world.wake()
    world.pass_time(5 * MINUTE)
    assert (world.state, world.database.status) == (RuleState.STARTING, "starting")
    world.pass_time(2 * MINUTE)
    assert (world.state, world.database.status) == (RuleState.UP, "available")
    assert len(world.starts()) == 1


def test_a_start_that_takes_29_minutes_is_no_failure_and_one_of_31_is():
    world = DatabaseWorld()
    world.database.boot = 29 * MINUTE
    world.pass_time(timedelta(seconds=10))
    world.wake()
    world.pass_time(28 * MINUTE)
    assert world.state is RuleState.STARTING
    world.pass_time(2 * MINUTE)
    assert world.state is RuleState.UP
    slow = DatabaseWorld(idle=2 * HOUR)
    slow.database.boot = 40 * MINUTE
    slow.pass_time(timedelta(seconds=10))
    slow.wake()
    slow.pass_time(31 * MINUTE)
    failed = [event for event in slow.history() if event.reason == Reason.START_FAILED]
    assert ["Not up 30 minutes" in event.words for event in failed] == [True]


def test_an_idle_database_is_diverted_and_stopped_after_its_idle_time():
    world = available(DatabaseWorld())
    woken = world.rule.status.woken_at
    world.pass_time(IDLE)
    assert world.state is RuleState.DOWN or world.stops()
    assert world.stops()[0] >= woken + IDLE
    no_stop_was_refused(world)


def test_a_backup_vetoes_the_stop_and_it_follows_when_the_backup_is_over():
    world = available(DatabaseWorld())
    world.pass_time(20 * MINUTE)
    world.databases.becomes(world.db, "backing-up", for_=20 * MINUTE)
    world.pass_time(19 * MINUTE)
    assert (world.state, world.rule.status.reason) == (RuleState.UP, Reason.BUSY)
    assert world.rule.status.detail == "db-1 is being backed up."
    assert world.stops() == []
    world.pass_time(5 * MINUTE)
    assert len(world.stops()) == 1
    no_stop_was_refused(world)


def test_a_backup_that_begins_during_the_diversion_ends_it():
    world = available(DatabaseWorld())
    while world.rule.status.drain is None:
        world.pass_time(timedelta(seconds=5))
    world.databases.becomes(world.db, "backing-up", for_=20 * MINUTE)
    world.pass_time(timedelta(seconds=15))
    assert not world.agent.diverts()
    assert (world.rule.status.drain, world.stops()) == (None, [])


@pytest.mark.parametrize("status", ["modifying", "rebooting", "upgrading", "storage-optimization", "a-new-one"])
def test_not_even_by_force_is_anything_stopped_that_aws_is_at_work_on(status):
    world = available(DatabaseWorld())
    world.databases.becomes(world.db, status)
    cooled = Override(OverrideKind.COOL_DOWN, world.clock.now() + HOUR, "ak_1", force=True)
    world.stores.status.set_override(world.rule, cooled, world.clock.now())
    world.pass_time(10 * MINUTE)
    assert world.stops() == []
    assert world.rule.status.reason is Reason.BUSY
    world.databases.becomes(world.db, "available")
    world.pass_time(2 * MINUTE)
    assert len(world.stops()) == 1


def test_pending_maintenance_vetoes_a_stop_in_and_before_its_window_only():
    # START is a Monday, 08:00 UTC.
    world = available(DatabaseWorld())
    world.database.window = MaintenanceWindow.of("mon:09:00-mon:09:30")
    world.database.pending = True
    world.pass_time(HOUR)
    assert (world.stops(), world.rule.status.reason) == ([], Reason.BUSY)
    world.pass_time(25 * MINUTE)
    (stop,) = world.stops()
    assert (stop.hour, 30 <= stop.minute <= 33) == (9, True)


def test_a_window_without_anything_to_do_vetoes_nothing():
    world = available(DatabaseWorld())
    world.database.window = MaintenanceWindow.of("mon:08:00-mon:10:00")
    world.pass_time(IDLE + 2 * MINUTE)
    assert len(world.stops()) == 1


@pytest.mark.parametrize("status", ["failed", "incompatible-network", "inaccessible-encryption-credentials"])
def test_what_somebody_has_to_mend_is_failed_at_once_and_nobody_asks_aws_to_start_it(status):
    world = DatabaseWorld()
    world.databases.becomes(world.db, status)
    world.pass_time(timedelta(seconds=10))
    world.wake()
    world.pass_time(5 * MINUTE)
    assert (world.state, world.rule.status.reason) == (RuleState.FAILED, Reason.FAULTY)
    assert world.rule.status.detail.startswith("db-1 ")
    assert world.starts() == []


def test_what_its_key_keeps_down_is_asked_for_and_failed_in_words_that_say_so():
    world = DatabaseWorld()
    world.databases.becomes(world.db, "inaccessible-encryption-credentials-recoverable")
    world.pass_time(timedelta(seconds=10))
    world.wake()
    world.pass_time(10 * timedelta(seconds=1))
    assert world.state is RuleState.FAILED
    assert "KMS key" in world.rule.status.detail


def test_what_becomes_a_source_of_replicas_is_not_stopped():
    world = available(DatabaseWorld())
    world.database.protections = (Protection.REPLICA_SOURCE,)
    world.pass_time(2 * IDLE)
    assert (world.stops(), world.rule.status.reason) == ([], Reason.PROTECTED)


class TestRestartOfAws:
    """Seven days after each stop."""

    @pytest.fixture
    def world(self):
        world = available(DatabaseWorld())
        world.pass_time(IDLE + 6 * MINUTE)
        assert world.state is RuleState.DOWN
        return world

    def until_the_restart(self, world):
        restart = world.database.restarts_at
        world.pass_time(restart - world.clock.now() - 20 * MINUTE, step=10 * MINUTE)
        world.pass_time(restart - world.clock.now() - 2 * MINUTE)

    def test_it_is_said_once_and_the_database_stopped_as_soon_as_it_is_available(self, world):
        self.until_the_restart(world)
        assert world.state is RuleState.DOWN
        world.pass_time(HOUR)
        (event,) = world.told(EventKind.RESTARTED_BY_AWS)
        assert event.actor == "aws"
        assert event.words.startswith("db-1: AWS started it again by itself")
        assert (world.state, world.database.status) == (RuleState.DOWN, "stopped")
        first, second = world.stops()
        assert timedelta(0) <= second - (first + world.database.halt + 7 * DAY + world.database.boot) < 2 * MINUTE
        no_stop_was_refused(world)
        assert len(world.starts()) == 1, "only AWS started it the second time"
        assert world.rule.status.restarted_at is None

    def test_without_any_event_of_aws_a_tick_sees_it(self, world):
        world.databases.on_change = None
        self.until_the_restart(world)
        world.pass_time(HOUR)
        assert len(world.stops()) == 2
        assert len(world.told(EventKind.RESTARTED_BY_AWS)) == 1

    def test_two_weeks_are_two_restarts_and_two_events(self, world):
        for _ in range(2):
            self.until_the_restart(world)
            world.pass_time(HOUR)
        assert len(world.told(EventKind.RESTARTED_BY_AWS)) == 2
        assert (len(world.stops()), world.state) == (3, RuleState.DOWN)

    def test_who_uses_it_meanwhile_keeps_it_for_the_idle_time(self, world):
        self.until_the_restart(world)
        world.pass_time(4 * MINUTE)
        assert world.database.status == "starting"
        world.wake()
        world.pass_time(20 * MINUTE)
        assert (world.state, len(world.stops())) == (RuleState.UP, 1)
        world.pass_time(20 * MINUTE)
        assert len(world.stops()) == 2

    def test_blind_it_stays_up(self, world):
        self.until_the_restart(world)
        world.agent.mute = True
        world.pass_time(2 * HOUR)
        assert (world.state, world.rule.status.reason, len(world.stops())) == (RuleState.UP, Reason.BLIND, 1)

    def test_a_start_by_hand_on_the_third_day_is_not_aws(self, world):
        world.pass_time(3 * DAY, step=10 * MINUTE)
        world.databases.start_by_hand(world.db)
        started = world.clock.now()
        world.pass_time(20 * MINUTE)
        assert (world.state, len(world.stops())) == (RuleState.UP, 1)
        assert world.told(EventKind.RESTARTED_BY_AWS) == []
        world.pass_time(HOUR)
        assert world.stops()[1] >= started + IDLE

    def test_aws_saying_so_is_believed_whatever_the_time(self, world):
        """Its own event: of a database that nobody had looked at since somebody else stopped it, say."""
        world.databases.start_by_hand(world.db)
        world.state_change.run((world.db,), by_aws=True)
        world.pass_time(15 * MINUTE)
        assert len(world.told(EventKind.RESTARTED_BY_AWS)) == 1
        assert len(world.stops()) == 2

    def test_its_event_twice_and_late_is_told_once(self, world):
        self.until_the_restart(world)
        world.pass_time(4 * MINUTE)
        for _ in range(3):
            world.state_change.run((world.db,), by_aws=True)
            world.pass_time(MINUTE)
        assert len(world.told(EventKind.RESTARTED_BY_AWS)) == 1
        world.pass_time(HOUR)
        world.state_change.run((world.db,), by_aws=True)
        world.pass_time(MINUTE)
        assert len(world.told(EventKind.RESTARTED_BY_AWS)) == 1
        assert (world.state, len(world.stops())) == (RuleState.DOWN, 2)


def test_what_somebody_stopped_and_aws_started_is_stopped_again_without_a_source():
    world = DatabaseWorld(proxied=False)
    world.databases.becomes(world.db, "available")
    world.pass_time(2 * MINUTE)
    world.databases.stop_by_hand(world.db)
    world.pass_time(10 * MINUTE)
    assert world.rule.status.reason is Reason.STOPPED_BY_HAND
    world.pass_time(7 * DAY + HOUR, step=10 * MINUTE)
    assert len(world.told(EventKind.RESTARTED_BY_AWS)) == 1
    assert (world.state, len(world.stops())) == (RuleState.DOWN, 1)


class TestConnections:
    """CloudWatch as the only witness."""

    def up(self, **spec):
        world = DatabaseWorld(proxied=False, **({"idle_connections": 2} | spec))
        for id_ in world.rule.spec.resource_ids:
            ref = world.rule.spec.ref(id_)
            world.databases.becomes(ref, "available")
        world.pass_time(MINUTE)
        assert world.state is RuleState.UP
        return world

    def test_no_more_connections_than_the_monitoring_has_are_nobody(self):
        world = self.up()
        world.connections(2)
        world.pass_time(55 * MINUTE)
        assert len(world.stops()) == 1
        assert world.stops()[0] >= world.rule.created_at + IDLE

    def test_one_more_is_a_use_and_counts_its_idle_time(self):
        world = self.up()
        world.connections(3)
        world.pass_time(2 * HOUR, step=timedelta(seconds=20))
        assert (world.stops(), world.rule.status.reason) == ([], Reason.ACTIVE)
        left = world.clock.now()
        world.connections(2)
        world.pass_time(50 * MINUTE)
        (stop,) = world.stops()
        assert stop >= left + IDLE

    def test_a_missing_point_is_ignorance_never_zero(self):
        world = self.up()
        world.connections(None)
        world.pass_time(3 * HOUR, step=timedelta(seconds=20))
        assert (world.stops(), world.rule.status.reason) == ([], Reason.BLIND)
        assert "cloudwatch DatabaseConnections of db-1" in world.rule.status.detail

    def test_a_hole_inside_the_idle_time_is_waited_out(self):
        world = self.up()
        world.pass_time(20 * MINUTE)
        world.connections(None)
        world.pass_time(5 * MINUTE)
        world.connections(0)
        back = world.clock.now()
        world.pass_time(25 * MINUTE)
        assert world.stops() == []
        world.pass_time(20 * MINUTE)
        assert world.stops()[0] >= back + IDLE

    def test_nothing_is_read_while_it_is_down_or_could_not_be_idle(self):
        world = self.up()
        world.pass_time(IDLE - 2 * MINUTE)
        assert world.metrics.asked == 0
        world.pass_time(20 * MINUTE)
        assert world.state is RuleState.DOWN
        asked = world.metrics.asked
        assert 0 < asked <= 20
        world.pass_time(6 * DAY, step=10 * MINUTE)
        assert world.metrics.asked == asked

    def test_of_a_cluster_each_instance_has_to_be_quiet(self):
        world = self.up(resource_ids=(f"{CLUSTER}shop",))
        world.database.parts = ("shop-1", "shop-2")
        world.connections(0, "shop-1")
        world.connections(7, "shop-2")
        world.pass_time(HOUR)
        assert (world.stops(), world.rule.status.reason) == ([], Reason.ACTIVE)
        world.connections(0, "shop-2")
        world.pass_time(HOUR)
        assert [id_ for _, what, id_ in world.databases.journal if what == "stop"] == [f"{CLUSTER}shop"]

    def test_a_restart_by_aws_needs_evidence_of_the_time_since(self):
        world = self.up()
        world.pass_time(55 * MINUTE)
        assert world.state is RuleState.DOWN
        world.pass_time(world.database.restarts_at - world.clock.now() + 15 * MINUTE, step=5 * MINUTE)
        assert (world.state, len(world.stops())) == (RuleState.UP, 1)
        world.pass_time(HOUR)
        assert (world.state, len(world.stops())) == (RuleState.DOWN, 2)
        assert len(world.told(EventKind.RESTARTED_BY_AWS)) == 1

    def test_metrics_that_cannot_be_read_keep_it_up(self):
        world = self.up()
        world.metrics.read = unreadable
        world.pass_time(2 * HOUR, step=timedelta(seconds=20))
        assert (world.stops(), world.rule.status.reason) == ([], Reason.BLIND)


def unreadable(*_):
    raise CloudError("AccessDenied", "no")


def test_a_guard_on_connections_vetoes_what_the_proxy_does_not_see():
    """Somebody who connects past the proxy, straight to the endpoint."""
    world = DatabaseWorld(guards=(Guard(GuardMetric.RDS_CONNECTIONS, 1, 10 * MINUTE),))
    world.connections(4)
    available(world)
    world.pass_time(2 * IDLE)
    assert (world.stops(), world.rule.status.reason) == ([], Reason.GUARDED)
    assert "db-1 had 4 connections" in world.rule.status.detail
    world.connections(1)
    world.pass_time(30 * MINUTE)
    assert len(world.stops()) == 1


def test_a_guard_on_a_cluster_asks_each_of_its_instances():
    world = DatabaseWorld(
        resource_ids=(f"{CLUSTER}shop",), guards=(Guard(GuardMetric.RDS_CONNECTIONS, 1, 10 * MINUTE),)
    )
    world.database.parts = ("shop-1", "shop-2")
    world.connections(3, "shop-2")
    available(world)
    world.pass_time(2 * IDLE)
    assert (world.stops(), world.rule.status.reason) == ([], Reason.GUARDED)
    assert "shop-2 had 3 connections" in world.rule.status.detail


def test_a_dry_run_counts_no_saving_for_what_aws_is_at_work_on():
    world = DatabaseWorld(dry_run=True)
    world.databases.becomes(world.db, "backing-up")
    world.pass_time(2 * IDLE)
    (day,) = world.stores.usage.of_rule("ru_1", world.clock.now().date(), world.clock.now().date())
    assert {change.state for change in day.changes} == {IntervalState.UP}
    world.databases.becomes(world.db, "available")
    world.pass_time(HOUR)
    (day,) = world.stores.usage.of_rule("ru_1", world.clock.now().date(), world.clock.now().date())
    assert day.changes[-1].state is IntervalState.DOWN
