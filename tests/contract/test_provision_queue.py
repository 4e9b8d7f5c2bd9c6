"""What `ports.ProvisionQueue` promises, of the queue in memory and of SQS on moto; and what a message may be."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.adapters.aws.clients import client
from chalicelib.adapters.aws.provision_queue import SqsProvisionQueue, decode
from chalicelib.adapters.aws.system import RandomIds
from chalicelib.adapters.memory.clock import VirtualClock
from chalicelib.adapters.memory.proxy_parts import FakeProvisionQueue
from chalicelib.domain.errors import CloudError, InvalidInputError
from tests.contract.conftest_aws import REGION, fresh_aws
from tests.unit.aws.conftest import refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chalicelib.ports import ProvisionQueue

SECOND = timedelta(seconds=1)
MOMENT = timedelta(milliseconds=1)


class Bench(Protocol):
    queue: ProvisionQueue

    def take(self) -> list[tuple[str, bool]]:
        """What is ready now; it is in the queue no more."""

    def advance(self, by: timedelta) -> None: ...
    def fail(self, code: str) -> None:
        """The next word is refused."""


class InMemory:
    def __init__(self) -> None:
        self._clock = VirtualClock()
        self.queue = FakeProvisionQueue(self._clock)
        self.take, self.advance = self.queue.take, self._clock.advance

    def fail(self, code: str) -> None:
        self.queue.fail_next.append(CloudError(code, "words of AWS"))


class OnMoto:
    """moto, which goes by our clock."""

    def __init__(self, clock: VirtualClock) -> None:
        self._sqs: Any = boto3.client("sqs", region_name=REGION)
        self._url = self._sqs.create_queue(QueueName="autostop-test-provision")["QueueUrl"]
        self.queue, self.advance = SqsProvisionQueue(self._url, REGION), clock.advance

    def take(self) -> list[tuple[str, bool]]:
        got = []
        while messages := self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                got.append(decode(message["Body"]))
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return got

    def fail(self, code: str) -> None:
        events = client("sqs", REGION).meta.events

        def refuse(**_: object) -> None:
            events.unregister("before-call.sqs", refuse)
            raise refusal(code, "words of AWS", "SendMessage")

        events.register_first("before-call.sqs", refuse)


@pytest.fixture(params=["memory", "sqs"])
def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    if request.param == "memory":
        yield InMemory()
        return
    clock = VirtualClock(datetime.now(UTC).replace(microsecond=0))  # how long it keeps them goes by the machine's
    monkeypatch.setattr("moto.sqs.models.unix_time_millis", lambda: round(clock.now().timestamp() * 1000))
    with fresh_aws():
        yield OnMoto(clock)


def test_each_word_comes_out_as_it_went_in_and_once(bench):
    id_ = RandomIds().new("lb")
    bench.queue.send(id_)
    bench.queue.send("lb_1", at_once=True)
    bench.queue.send("lb_1", at_once=True)
    assert sorted(bench.take()) == sorted([(id_, False), ("lb_1", True), ("lb_1", True)])
    assert bench.take() == []


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [
        (None, 0),
        (timedelta(0), 0),
        (-SECOND, 0),
        (10 * SECOND, 10),
        (timedelta(milliseconds=1001), 2),
        (timedelta(minutes=15), 900),
        (timedelta(minutes=15, milliseconds=1), 900),
        (timedelta(hours=1), 900),
    ],
)
def test_not_before_its_delay_in_whole_seconds_and_at_most_15_minutes(bench, delay, seconds):
    bench.queue.send("lb_1", delay, at_once=True)
    bench.queue.send("lb_2")
    if seconds:
        bench.advance(seconds * SECOND - MOMENT)
        assert bench.take() == [("lb_2", False)]
        bench.advance(MOMENT)
    assert ("lb_1", True) in bench.take()


def test_a_refusal_is_raised_and_nothing_is_in_the_queue(bench):
    bench.fail("AccessDenied")
    with pytest.raises(CloudError) as caught:
        bench.queue.send("lb_1")
    assert caught.value.code == "AccessDenied"
    assert bench.take() == []
    bench.queue.send("lb_1")
    assert bench.take() == [("lb_1", False)]


GOOD = {"v": 1, "load_balancer_id": "lb_1", "at_once": False}


@pytest.mark.parametrize(
    "body",
    [
        "",
        "lb_1",
        "null",
        "[]",
        '"lb_1"',
        "{",
        "[" * 100_000,
        "1" * 10_000,
        json.dumps(GOOD | {"v": 2}),
        json.dumps(GOOD | {"v": "1"}),
        json.dumps({"v": 1}),
        json.dumps({"load_balancer_id": "lb_1"}),
        *(
            json.dumps(GOOD | {"load_balancer_id": id_})
            for id_ in (
                *(None, 1, True, ["lb_1"], {"lb_1": 1}, "", "lb_", "LB_1", "ru_1", "lb_1\n", "lb_" + "1" * 41),
                *("lb_1/../x", "lb_*", "lb_1*", "lb_é", "lb_\uff11", "lb_1 lb_2", "lb_${aws:userid}", "lb_1\x00"),
            )
        ),
    ],
    ids=lambda body: repr(body)[:60],
)
def test_what_is_no_message_of_ours_is_refused_and_not_repeated_in_words(body):
    with pytest.raises(InvalidInputError) as caught:
        decode(body)
    assert str(caught.value) == ": is no message of ours"


@pytest.mark.parametrize("at_once", [None, 0, 1, "true", "", [], {"x": 1}, [True]])
def test_at_once_is_only_what_says_just_so(at_once):
    assert decode(json.dumps(GOOD | {"at_once": at_once})) == ("lb_1", False)
    assert decode(json.dumps({"v": 1, "load_balancer_id": "lb_1"})) == ("lb_1", False)
    assert decode(json.dumps(GOOD | {"at_once": True, "more": 1})) == ("lb_1", True)


@given(st.text() | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(json.dumps))
def test_whatever_it_is_it_is_read_or_refused(body):
    try:
        id_, at_once = decode(body)
    except InvalidInputError:
        return
    assert json.loads(body)["load_balancer_id"] == id_
    assert at_once in (True, False)
