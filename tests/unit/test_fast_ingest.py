"""The short way of ingestion comes to what the careful one does, on lines of every kind; and once is as twice."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.adapters.memory.clock import SequentialIds, VirtualClock
from chalicelib.adapters.memory.stores import MemoryStores
from chalicelib.usecases.ingest_activity import Ingest, as_line
from tests.builders import make_balancer

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
RULES = ["ru_1", "ru_2", "ru_3"]
MEMBERS = ["i-1", "i-2"]
TIMES = [
    "2026-01-05T11:58:59.123Z",
    "2026-01-05T11:59:00.000Z",
    "2026-01-05T11:59:00Z",
    "2026-01-05T11:59:30.123456Z",
    "2026-01-05T11:59:30.1+00:00",
    "2026-01-05T12:59:30.123+01:00",
    "2026-01-05T12:07:00.000Z",
    "2026-13-05T12:00:00.000Z",
    "2026-01-05T11:60:00.000Z",
    "2026-01-05 11:59:00",
    "\u0662026-01-05T11:59:00.000Z",
    "",
]
KINDS = [
    "DownstreamEnd",
    "DownstreamStart",
    "TcpConnectionEnd",
    "TcpConnectionStart",
    "TcpPeriodic",
    "x" * 50,
    "NotSet",
]
COUNTS = [0, 1, 7, 900, 2**53 - 1, 2**53, 2**70, -1, "12", "x", 1.5, True, None]

raw = st.fixed_dictionaries(
    {
        "rule": st.sampled_from([*RULES, "autostop:heartbeat", "ru_", "RU_1", 7, None, ["ru_1"]]),
        "start_time": st.sampled_from([*TIMES, 7, None]),
        "type": st.sampled_from([*KINDS, 7, None, ["x"]]),
        "bytes_received": st.sampled_from(COUNTS),
        "bytes_sent": st.sampled_from(COUNTS),
    },
    optional={"downstream_remote_address": st.sampled_from(["10.0.0.1:1", "x", 7]), "path": st.just("/x")},
)
summaries = st.fixed_dictionaries(
    {
        "autostop": st.sampled_from([1, 1, 1, 2, True, "1"]),
        "proxy": st.sampled_from(["lb_1", "lb_1", "lb_2", "x", 7]),
        "member": st.sampled_from([*MEMBERS, "a b", 7]),
        "seq": st.sampled_from([1, 2, -1, "3", None]),
        "rule": st.sampled_from([*RULES, "x"]),
        "minute": st.sampled_from(["2026-01-05T11:58", "2026-01-05T11:59", "2026", 7]),
        "requests": st.sampled_from(COUNTS),
    },
    optional={
        "last_at": st.sampled_from([*TIMES, None, 7]),
        "connections": st.sampled_from(COUNTS),
        "bytes_in": st.sampled_from(COUNTS),
        "bytes_out": st.sampled_from(COUNTS),
    },
)
beats = st.fixed_dictionaries(
    {
        "autostop": st.just(1),
        "proxy": st.just("lb_1"),
        "member": st.sampled_from(MEMBERS),
        "seq": st.sampled_from([1, 2, 3]),
        "observed_from": st.sampled_from(["2026-01-05T11:57:00Z", "2026-01-05T11:58:00Z", "x"]),
        "observed_through": st.sampled_from(["2026-01-05T11:58:00Z", "2026-01-05T11:59:00Z"]),
        "summaries": st.sampled_from([0, 1, 2]),
    }
)
NORMAL = {"rule": "ru_1", "start_time": TIMES[0], "type": "DownstreamEnd", "bytes_received": 3, "bytes_sent": 5}
messages = st.one_of(
    (raw | summaries | beats | st.just(NORMAL)).map(json.dumps),
    st.sampled_from(["", "{}", "[]", "7", "null", '{"autostop": NaN}', '{"rule": "\\ud800"}', "[" * 2000, "x"]),
    st.text(max_size=10),
)
stamps = st.sampled_from(
    [0, 1767614340000, 1767614399123, 1767614400000, 1767615000000, -5, 2**60, "1767614340000", None]
)
events = st.fixed_dictionaries({"id": st.uuids().map(str), "timestamp": stamps, "message": messages}) | st.sampled_from(
    [None, 7, {}, {"id": 1, "timestamp": 1767614340000, "message": json.dumps(NORMAL)}, {"message": "{}"}]
)


SUMMARY = {"autostop": 1, "proxy": "lb_1", "member": "i-1", "seq": 1, "rule": "ru_1", "minute": "2026-01-05T11:58"}


class World:
    def __init__(self):
        self.clock = VirtualClock(NOW)
        self.stores = s = MemoryStores(self.clock)
        s.balancers.create(make_balancer("lb_1", balancer_cidrs=("10.0.0.0/24",)))
        beat = timedelta(minutes=1)
        self.ingest = Ingest(
            s.activity, s.proxies, s.balancers, s.events, self.clock, SequentialIds(), beat, orjson.loads
        )

    def told(self):
        """All that is stored."""
        activity, day = self.stores.activity, timedelta(days=1)
        start = datetime(1960, 1, 1, tzinfo=UTC)
        facts = {rule: sorted(map(repr, activity.facts(rule).last)) for rule in RULES}
        totals = {rule: sorted(map(repr, activity.history(rule, start, NOW + 400 * day))) for rule in RULES}
        return facts, totals, sorted(map(repr, self.stores.proxies.sources("lb_1")))

    def watermarks(self):
        """Until when each member is known; its span begins where it was first heard, whatever came before."""
        return {source.name: source.span and source.span.end for source in self.stores.proxies.sources("lb_1")}

    def sums(self):
        """All that is read of it: totals of several pieces are added up."""
        day, start = timedelta(days=1), datetime(1960, 1, 1, tzinfo=UTC)
        found = {}
        for rule in RULES:
            for total in self.stores.activity.history(rule, start, NOW + 400 * day):
                key = (rule, total.minute, " ".join(total.source.split()[:2]))
                old = found.get(key, (0, 0, 0, 0))
                new = (total.requests, total.connections, total.bytes_in, total.bytes_out)
                found[key] = tuple(a + b for a, b in zip(old, new, strict=True))
        return self.told()[0], found, self.told()[2]


@example([{"id": "1", "timestamp": 2**60, "message": json.dumps(SUMMARY)}])
@given(st.lists(events, max_size=25))
def test_the_short_way_and_the_careful_way_store_the_same(payload):
    short, careful = World(), World()
    one = short.ingest.run_payload("lb_1/i-1", payload)
    other = careful.ingest.run([as_line(event, "lb_1/i-1") for event in payload])
    assert one == other
    assert short.told() == careful.told()


lines = st.lists(
    st.one_of(
        st.builds(
            lambda rule, at, kind, rx: {
                "rule": rule,
                "start_time": at,
                "type": kind,
                "bytes_received": rx,
                "bytes_sent": 2 * rx,
            },
            st.sampled_from(RULES),
            st.sampled_from(TIMES[:4]),
            st.sampled_from(KINDS[:5]),
            st.integers(1, 99),
        ),
        summaries,
        beats,
    ).map(json.dumps),
    max_size=25,
)


def as_events(texts):
    return [{"id": f"{n:04d}", "timestamp": 1767614340000 + n, "message": text} for n, text in enumerate(texts)]


@given(lines, st.randoms(use_true_random=False), st.integers(1, 5))
def test_payloads_that_come_twice_and_in_any_order_store_what_they_do_once(texts, chance, size):
    payload = as_events(texts)
    pieces = [payload[n : n + size] for n in range(0, len(payload), size)]
    once, often = World(), World()
    for piece in pieces:
        once.ingest.run_payload("lb_1/i-1", piece)
    again = [*pieces, *pieces]
    chance.shuffle(again)
    for piece in again:
        often.ingest.run_payload("lb_1/i-1", piece)
    for world in (once, often):
        # A heartbeat waits for its summaries, wherever the agent sends it again.
        for piece in pieces:
            world.ingest.run_payload("lb_1/i-1", piece)
    assert once.told()[:2] == often.told()[:2]
    assert once.watermarks() == often.watermarks()


@given(lines, st.integers(1, 5))
def test_in_pieces_it_comes_to_what_it_does_in_one(texts, size):
    payload = as_events(texts)
    whole, parts = World(), World()
    whole.ingest.run_payload("lb_1/i-1", payload)
    for n in range(0, len(payload), size):
        parts.ingest.run_payload("lb_1/i-1", payload[n : n + size])
    assert whole.sums()[:2] == parts.sums()[:2]


@pytest.mark.parametrize("count", [1_000_000])
def test_a_million_mangled_lines_are_counted_and_none_is_raised(count):
    chance, world = random.Random(7), World()
    base = [json.dumps(NORMAL), json.dumps({"autostop": 1, "proxy": "lb_1", "member": "i-1", "seq": 1, "rule": "ru_1"})]
    seen = 0
    while seen < count:
        payload = []
        for n in range(5_000):
            text = list(chance.choice(base))
            for _ in range(chance.randrange(4)):
                text[chance.randrange(len(text))] = chr(chance.choice([34, 92, 123, 125, 48, 0, 0xD800, 0x1F600, 44]))
            payload.append({"id": str(n), "timestamp": 1767614340000 + n, "message": "".join(text)})
        report = world.ingest.run_payload("lb_1/i-1", payload)
        assert report.lines == 5_000
        assert 0 < report.malformed < 5_000
        seen += 5_000
