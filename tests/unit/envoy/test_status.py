"""What the agent tells somebody on the VM."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest

from chalicelib.agent.control_plane import Unreachable
from chalicelib.agent.status import STALE, Status, WatchedPlane, WatchedSink, file_of, told
from chalicelib.agent.verifier import Outcome
from chalicelib.agent.versions import is_newer
from tests.unit.envoy.fakes import HandClock, believe, drain, settings, shell, site


class Plane:
    """A control plane that can be away."""

    away = False
    carries = None

    async def poll(self, etag):
        if self.away:
            raise Unreachable("GET /config: 503")

    async def warm_up(self, rule_ids, cause):
        return []

    async def report(self, report):
        if self.away:
            raise Unreachable("POST /report: 503")


class Sink:
    full = False

    def put(self, lines, at):
        if self.full:
            raise OSError("ThrottlingException")


class Watched:
    def __init__(self, tmp_path, *rules, states=()):
        self.clock, self.settings = HandClock(), settings(tmp_path)
        self.settings.run_dir.mkdir()
        self.beliefs = believe(self.clock, *rules, states=states)
        self.plane, self.sink = Plane(), Sink()
        self.status = Status(self.settings, self.beliefs, self.clock, lambda: self.plane.carries, "0.9.2")
        self.watched_plane = WatchedPlane(self.plane, self.status.plane, self.clock)
        self.watched_sink = WatchedSink(self.sink, self.status.logs, self.clock)

    def live(self):
        try:
            asyncio.run(self.watched_plane.poll(None))
        except Unreachable:
            assert self.plane.away
        try:
            self.watched_sink.put([], self.clock.now())
        except OSError:
            assert self.sink.full
        asyncio.run(self.status.turn())

    def told(self, later=timedelta()):
        return told(file_of(self.settings).read_text(), self.clock.now() + later)


def test_all_is_well_with_what_is_adopted_applied_and_seen(tmp_path):
    world = Watched(tmp_path, site(), shell())
    world.beliefs.of["ru_1"].accepts = True
    world.status.outcome(Outcome("r1.s1", world.clock.now()))
    world.live()
    well, words = world.told()
    assert well
    assert "configuration r1.s1, in Envoy r1.s1" in words
    assert "2 rules, 1 accept" in words
    assert "ru_1: accepts" in words
    assert "ru_2: not probed yet" in words


def test_whoever_does_not_answer_is_a_trouble_with_the_time_since_when_and_it_ends(tmp_path):
    world = Watched(tmp_path)
    world.live()
    world.plane.away = world.sink.full = True
    since = world.clock.now()
    for _ in range(3):
        world.live()
        world.clock.pass_time(5)
    well, words = world.told()
    assert not well
    stamp = since.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert f"the control plane fails since {stamp}: GET /config: 503" in words
    assert f"the activity log fails since {stamp}: ThrottlingException" in words
    world.plane.away = world.sink.full = False
    world.live()
    assert world.told()[0]


def test_a_rejected_configuration_is_a_trouble_until_another_is_applied(tmp_path):
    world = Watched(tmp_path)
    world.status.outcome(Outcome("r2.s1", world.clock.now(), ("port 80 is taken",)))
    world.live()
    assert "r2.s1 was rejected: port 80 is taken" in world.told()[1]
    world.status.outcome(Outcome("r3.s1", world.clock.now()))
    world.live()
    assert world.told()[0]


def test_a_deleted_secret_is_a_trouble_while_what_it_held_is_used_on(tmp_path):
    world = Watched(tmp_path)
    gone = "Secrets Manager can't find the specified secret."
    world.status.key_trouble = lambda: gone
    world.status.secrets([{"hosts": ["a.test"], "arn": "arn:a", "status": "ok", "not_after": None, "detail": gone}])
    world.live()
    well, words = world.told()
    assert not well
    assert f"the API key cannot be read, the last one is used on: {gone}" in words
    assert f"certificate of a.test is ok: {gone}" in words


def test_an_agent_that_writes_no_more_is_told_dead(tmp_path):
    world = Watched(tmp_path)
    world.live()
    well, words = world.told(STALE + timedelta(seconds=1))
    assert not well
    assert "it is dead, or it hangs" in words


def test_rules_that_are_drained_or_may_not_start_are_told_so(tmp_path):
    clock = HandClock()
    states = (drain("ru_1", clock.now() + timedelta(seconds=50)), {"rule": "ru_2", "startable": False})
    world = Watched(tmp_path, site(), shell(), states=states)
    world.live()
    assert "ru_1: not probed yet, drained" in world.told()[1]
    assert "ru_2: not probed yet, may not start" in world.told()[1]


def test_a_newer_version_of_the_control_plane_is_told_and_logged_once_and_is_no_trouble(tmp_path, caplog):
    world = Watched(tmp_path)
    world.live()
    assert "NEWER" not in world.told()[1]
    world.plane.carries = "0.10.0"
    for _ in range(3):
        world.live()
    well, words = world.told()
    assert well
    assert "NEWER: the control plane carries agent 0.10.0: sudo autostop-agent-upgrade\nall is well" in words
    assert [record.getMessage() for record in caplog.records] == [
        "the control plane carries agent 0.10.0, this is 0.9.2: sudo autostop-agent-upgrade"
    ]
    world.plane.carries = "0.9.2"
    world.live()
    assert "NEWER" not in world.told()[1]


@pytest.mark.parametrize(
    ("carried", "ours", "newer"),
    [
        ("0.10.0", "0.9.9", True),
        ("1.0", "0.9.9", True),
        ("0.9", "0.9.0", False),
        ("0.9.9", "0.10.0", False),
        ("1.0.0\nall is well", "0.9.0", False),
        ("2.0.0-evil", "0.9.0", False),
        ("٢.0.0", "0.9.0", False),
        ("1", "0.9.0", False),
    ],
)
def test_only_a_version_that_comes_after_ours_is_newer(carried, ours, newer):
    assert is_newer(carried, ours) is newer


def test_a_full_disk_does_not_end_the_agent(tmp_path):
    world = Watched(tmp_path)
    world.settings.run_dir.rmdir()
    asyncio.run(world.status.turn())


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"at": "yesterday"}', json.dumps({"at": 7})])
def test_what_is_no_status_is_refused(text):
    with pytest.raises((ValueError, KeyError, TypeError)):
        told(text, HandClock().now())
