"""What `ports.WorkQueue` promises, of the queue in memory and of SQS on moto."""

from __future__ import annotations

import random
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Protocol

import boto3
import pytest

from chalicelib.adapters.aws.sqs import decode
from chalicelib.adapters.memory.clock import START, VirtualClock
from chalicelib.adapters.memory.queue import MemoryQueue
from chalicelib.domain.resources import Connector, Place, ResourceKind
from chalicelib.ports import ReconcileRequest
from tests.contract.conftest_aws import REGION, make_sqs_queue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chalicelib.adapters.aws.sqs import SqsQueue
    from chalicelib.ports import WorkQueue

SECOND = timedelta(seconds=1)
MOMENT = timedelta(milliseconds=1)


class Bench(Protocol):
    """An adapter with what a test needs around it."""

    queue: WorkQueue

    def receive(self) -> list[ReconcileRequest]:
        """Handle what is ready now."""

    def fail(self) -> int:
        """Take what is ready now, and fail to handle it; how many were taken."""

    def advance(self, by: timedelta) -> None: ...


class HandlingFailedError(Exception):
    pass


class InMemory:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.queue = MemoryQueue(self.clock)

    def receive(self) -> list[ReconcileRequest]:
        got: list[ReconcileRequest] = []
        self.queue.deliver(got.append)
        return got

    def fail(self) -> int:
        taken = 0

        def handle(_: ReconcileRequest) -> None:
            nonlocal taken
            taken += 1
            raise HandlingFailedError

        with suppress(HandlingFailedError):
            self.queue.deliver(handle)
        return taken

    def advance(self, by: timedelta) -> None:
        self.clock.advance(by)


class OnMoto:
    """moto, which goes by our clock."""

    def __init__(self, clock: VirtualClock, queue: SqsQueue, receive: Callable[[], list[ReconcileRequest]]) -> None:
        self.queue = queue
        self.receive = receive
        self.advance = clock.advance

    def fail(self) -> int:
        sqs: Any = boto3.client("sqs", region_name=REGION)
        messages = sqs.receive_message(QueueUrl=self.queue._url, MaxNumberOfMessages=10)["Messages"]
        return len([decode(message["Body"]) for message in messages])


@pytest.fixture(params=["memory", "sqs"])
def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    if request.param == "memory":
        yield InMemory()
        return
    clock = VirtualClock(datetime.now(UTC).replace(microsecond=0))  # how long it keeps them goes by the machine's
    monkeypatch.setattr("moto.sqs.models.unix_time_millis", lambda: round(clock.now().timestamp() * 1000))
    with make_sqs_queue() as (queue, receive):
        yield OnMoto(clock, queue, receive)


def make_request(*rule_ids: str, **changes: Any) -> ReconcileRequest:
    settings: dict[str, Any] = {"place": Place(ResourceKind.EC2, REGION), "expires_at": START, "cause": "tick"}
    return ReconcileRequest(rule_ids=rule_ids or ("ru_1",), **(settings | changes))


def test_a_request_comes_out_as_it_went_in(bench):
    sent = [
        make_request(*(f"ru_{n:026d}" for n in range(100)), cause="state change"),
        make_request(place=Place(ResourceKind.RDS, "us-gov-west-1"), attempt=7),
        make_request(place=Place(ResourceKind.EC2, REGION, Connector("arn:aws:iam::210987654321:role/autostop", "x"))),
        make_request(expires_at=START + timedelta(microseconds=1)),
        make_request(expires_at=START.astimezone(timezone(timedelta(hours=5, minutes=30)))),
        make_request(cause='key "ak_1" of Jürgen, 東京\n' + "x" * 170),
    ]
    for request in sent:
        bench.queue.send([request])
        assert bench.receive() == [request]


def test_all_of_many_arrive_in_any_order(bench):
    sent = [make_request(f"ru_{n}") for n in range(57)]
    bench.queue.send(sent)
    bench.queue.send(sent[:1])
    got = bench.receive()
    assert {request.rule_ids for request in got} == {request.rule_ids for request in sent}
    assert len(got) == 58, "two of the same are two"
    assert bench.receive() == []


def test_nothing_sent_nothing_arrives(bench):
    bench.queue.send([])
    bench.queue.send([], SECOND)
    assert bench.receive() == []


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [
        (timedelta(0), 0),
        (timedelta(seconds=-5), 0),
        (5 * SECOND, 5),
        (timedelta(milliseconds=1001), 2),
        (timedelta(seconds=2.4), 3),
        (timedelta(minutes=15), 900),
        (timedelta(minutes=15, milliseconds=1), 900),
        (timedelta(days=2), 900),
    ],
)
def test_not_before_its_delay_in_whole_seconds_and_at_most_15_minutes(bench, delay, seconds):
    bench.queue.send([make_request()], delay)
    if seconds:
        bench.advance(seconds * SECOND - MOMENT)
        assert bench.receive() == []
        bench.advance(MOMENT)
    assert bench.receive() == [make_request()]


def test_a_delay_holds_only_what_was_sent_with_it(bench):
    bench.queue.send([make_request("ru_late")], 60 * SECOND)
    bench.queue.send([make_request("ru_now")])
    assert bench.receive() == [make_request("ru_now")]
    bench.advance(60 * SECOND)
    assert bench.receive() == [make_request("ru_late")]


def test_what_could_not_be_handled_is_delivered_again(bench):
    sent = [make_request(f"ru_{n}") for n in range(3)]
    bench.queue.send(sent)
    assert bench.fail() > 0
    bench.advance(60 * SECOND)  # longer than SQS hides a message by default
    assert sorted(bench.receive(), key=lambda r: r.rule_ids) == sent
    bench.advance(60 * SECOND)
    assert bench.receive() == []


def test_what_a_handler_sends_is_not_part_of_the_delivery_that_it_was_sent_in():
    bench = InMemory()
    bench.queue.send([make_request()])
    assert bench.queue.deliver(lambda request: bench.queue.send([request])) == 1
    assert bench.receive() == [make_request()]


def test_on_a_bad_day_the_queue_in_memory_loses_repeats_and_shuffles_but_invents_nothing():
    queue = MemoryQueue(VirtualClock(), random.Random(1))
    sent = [make_request(f"ru_{n:03d}") for n in range(100)]
    queue.send(sent)
    got: list[ReconcileRequest] = []
    queue.deliver(got.append)
    assert set(got) < set(sent)
    assert len(got) > len(set(got))
    assert got != sorted(got, key=lambda r: r.rule_ids)
