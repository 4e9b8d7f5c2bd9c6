"""Requests that a rule ignores do not keep it up, where the access log tells them apart from others."""

from __future__ import annotations

import gzip
import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.adapters.memory.log_objects import FakeLogObjects
from chalicelib.domain.activity import Source
from chalicelib.domain.alb_ignored import LOGS_LATE, unexplained
from chalicelib.domain.alb_traffic import proven
from chalicelib.domain.albs import AccessLogs, AlbSettings
from chalicelib.domain.guards import Sample
from chalicelib.domain.routes import Ignore
from chalicelib.domain.rules import RuleState
from chalicelib.usecases.ingest_alb_logs import IngestAlbLogs
from tests.unit.alb_world import ALB_ARN, AlbWorld, make_alb
from tests.unit.world import IDLE

MINUTE = timedelta(minutes=1)
NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
BUCKET = "logs"
LOGGED = AlbSettings("internal", "*.example.com", access_logs=AccessLogs(BUCKET))
WRITES = replace(make_alb().provision.alb, logs=LOGGED.access_logs)
COUNTS = st.dictionaries(st.integers(0, 30), st.integers(1, 5), max_size=20)


def minutes(counts):
    return {NOON + n * MINUTE: count for n, count in counts.items()}


@given(COUNTS, st.integers(0, 2**32))
def test_lines_that_are_a_minute_off_explain_all_that_they_are_of(counts, seed):
    chance, shifted = random.Random(seed), Counter()
    for n, count in counts.items():
        for _ in range(count):
            shifted[n + chance.choice((-1, 0, 1))] += 1
    assert unexplained(minutes(counts), minutes(shifted)) == {}


@given(COUNTS, COUNTS)
def test_no_line_explains_more_than_one_request_and_none_that_is_further_away(counts, lines):
    left = unexplained(minutes(counts), minutes(lines))
    assert sum(left.values()) >= sum(counts.values()) - sum(lines.values())
    for n in counts:
        near = sum(lines.get(n + off, 0) for off in (-1, 0, 1))
        assert left.get(NOON + n * MINUTE, 0) >= counts[n] - near


@given(COUNTS, COUNTS, st.data())
def test_a_line_that_is_lost_leaves_no_less_unexplained(counts, lines, data):
    lost = {n: data.draw(st.integers(0, count)) for n, count in lines.items()}
    before, after = (sum(unexplained(minutes(counts), minutes(each)).values()) for each in (lines, lost))
    assert after >= before


@given(COUNTS, st.integers(0, 30), st.data())
def test_a_request_that_nobody_ignores_is_use_or_unknown_wherever_it_comes(counts, at, data):
    """Every ignored request has its line; one more request has none: not all of the time is proven quiet."""
    now = NOON + timedelta(minutes=data.draw(st.integers(31, 90)))
    counted = dict(counts) | {at: counts.get(at, 0) + 1}
    requests = [Sample(NOON + n * MINUTE, MINUTE, float(count)) for n, count in sorted(counted.items())]
    lcus = [Sample(NOON + n * MINUTE, MINUTE, 0.1) for n in range(31)]
    source, used = proven(Source("lb", None, MINUTE), [requests], lcus, NOON, now, minutes(counts))
    last = max([at, *counts])
    through = source.span.end if source.span else NOON
    assert used is not None or through <= NOON + last * MINUTE


class Logged(AlbWorld):
    """An ALB that writes its access log; a health check of somebody's asks for /healthz."""

    made_balancers = (make_alb(made=WRITES, alb=LOGGED),)

    def __init__(self, chaos=None, **spec):
        super().__init__(chaos, **({"ignore": Ignore(paths=("/healthz",))} | spec))
        self.files = FakeLogObjects()
        s = self.stores
        self.ingest_logs = IngestAlbLogs(s.rules, s.balancers, s.activity, self.files, self.clock)
        self.written = []

    def ask(self, path, agent="probe/1"):
        """A request that an instance answers: counted at once, and in the next file of the log."""
        self.alb_metrics.request(self.group)
        now = self.clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        self.written.append(
            f"http {now} {ALB_ARN.partition('loadbalancer/')[2]} 192.0.2.1:2817 10.0.0.1:80 0 0 0 200 200 34 366 "
            f'"GET http://app.example.com:80{path} HTTP/1.1" "{agent}" - - {self.logged_group} "-" "-" "-" 0 {now} "x"'
        )

    @property
    def group(self):
        return self.elb.rules[self.listener_rule].weights.groups[0][0]

    @property
    def logged_group(self):
        end = self.group.rpartition("/")[2]
        return f"arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/as-ru-1/{end}"

    def deliver(self):
        key = f"AWSLogs/1/elasticloadbalancing/us-east-1/{self.clock.now():%Y%m%dT%H%MZ}_10.0.0.9_abc.log.gz"
        self.files.files[BUCKET, key] = gzip.compress("\n".join(self.written).encode())
        self.written = []
        return self.ingest_logs.run(BUCKET, key)


def up_and_probed(minutes_long, *, deliver=True, path="/healthz"):
    world = Logged()
    world.wake()
    while world.state is not RuleState.UP:
        world.pass_time(timedelta(seconds=10))
    for n in range(minutes_long):
        for _ in range(6):
            world.ask(path)
            world.pass_time(timedelta(seconds=10))
            if world.state is not RuleState.UP:
                return world
        if deliver and n % 5 == 4:
            world.deliver()
    return world


LONG = int(IDLE / MINUTE) + int(LOGS_LATE / MINUTE) + 30


def test_a_rule_that_only_its_health_checker_asks_is_stopped():
    world = up_and_probed(LONG)
    world.pass_time(timedelta(minutes=20))
    assert world.did.count("stop") == 1


def test_without_files_of_the_log_whoever_was_counted_has_used_it():
    world = up_and_probed(LONG, deliver=False)
    assert world.state is RuleState.UP
    assert "stop" not in world.did


def test_whoever_asks_for_something_else_keeps_it_up():
    world = up_and_probed(LONG, path="/")
    assert world.state is RuleState.UP
    assert "stop" not in world.did


def test_a_file_that_comes_twice_counts_once_and_tells_when_it_was_used():
    world = Logged()
    world.ask("/healthz")
    world.ask("/page")
    used = world.clock.now()
    report = world.deliver()
    assert (report.lines, report.used, report.ignored) == (2, 1, 1)
    for key in list(world.files.files):
        world.ingest_logs.run(*key)
    totals = world.stores.activity.history("ru_1", used - MINUTE, used + MINUTE)
    assert sorted((t.source.split()[0], t.requests, t.bytes_out) for t in totals) == [
        ("access", 1, 366),
        ("ignored", 1, 366),
    ]
    assert [last.at for last in world.stores.activity.facts("ru_1").last if last.source == "access log"] == [used]


def test_lines_of_another_alb_and_of_rules_that_are_not_there_are_nobodys():
    world = Logged()
    world.ask("/page")
    world.ask("/page")
    world.written = [world.written[0].replace("as-lb-alb", "as-lb-2"), world.written[1].replace("as-ru-1", "as-ru-9")]
    assert world.deliver().foreign == 2


def test_a_file_that_lies_where_its_alb_writes_none_is_nobodys():
    world = Logged()
    world.ask("/healthz")
    for key in ((BUCKET, "x/AWSLogs/a.log.gz"), ("other", "AWSLogs/a.log.gz")):
        world.files.files[key] = gzip.compress("\n".join(world.written).encode())
        assert world.ingest_logs.run(*key).foreign == 1


def test_lines_of_a_target_group_that_is_no_more_explain_nothing_of_the_new_one():
    world = up_and_probed(3)
    world.written = [line.replace(world.logged_group, world.logged_group + "old") for line in world.written]
    world.deliver()
    world.pass_time(IDLE + LOGS_LATE)
    last = {last.source: last.at for last in world.stores.activity.facts("ru_1").last}
    assert "load balancer lb_alb" in last


def test_of_a_damaged_file_what_could_be_read_stands():
    world = Logged()
    for _ in range(2000):
        world.ask(f"/page{random.random()}")
    key = (BUCKET, "AWSLogs/x.log.gz")
    world.files.files[key] = gzip.compress("\n".join(world.written).encode())[:-500]
    report = world.ingest_logs.run(*key)
    assert report.unreadable
    assert 0 < report.used < 2000
