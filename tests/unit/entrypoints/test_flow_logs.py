"""`flow_logs` as CloudWatch Logs calls it, on moto and under its own policy; what it costs, counted."""

from __future__ import annotations

import base64
import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.domain.flow_logs import FlowWatch, Interface
from chalicelib.entrypoints.flow_logs import flow_logs
from scripts.built import forget_built
from tests.unit.entrypoints.test_policies import refused

if TYPE_CHECKING:
    from tests.unit.entrypoints.conftest import Stage

GROUP = "/autostop/test/flow"


def payload(*messages: str, group: str = GROUP) -> dict[str, Any]:
    data = {
        "messageType": "DATA_MESSAGE",
        "logGroup": group,
        "logStream": "eni-1-all",
        "logEvents": [{"id": str(n), "timestamp": 1764000000000, "message": one} for n, one in enumerate(messages)],
    }
    return {"awslogs": {"data": base64.b64encode(gzip.compress(json.dumps(data).encode())).decode()}}


def record(n: int = 0, port: int = 22, eni: str = "eni-1") -> str:
    start = 1764000000 + 60 * n
    return f"2 123456789012 {eni} 192.0.2.{n} 10.0.0.5 40000 {port} 6 20 900 {start} {start + 60} ACCEPT OK"


@pytest.fixture
def watching(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("AUTOSTOP_FLOW_LOG_GROUP", GROUP)
    forget_built()
    stage.stores.flows.watch(FlowWatch("ru_1", (Interface("eni-1", ("10.0.0.5",)),), (22,)))
    stage.calls.clear()
    return stage


def test_a_batch_costs_a_write_for_each_thing_that_it_tells_and_is_allowed_by_its_policy(watching: Stage) -> None:
    report = flow_logs(payload(*(record(n) for n in range(100)), record(3, 443), record(eni="eni-9"), "x"), None)
    assert report == {"records": 103, "malformed": 1, "foreign": 1, "used": 100, "proved": 1}
    made = [operation for _, operation, _ in watching.calls]
    # Of distinct keys: the newest use, a total for each of 101 minutes, and what is proven of the interface.
    assert made.count("UpdateItem") + made.count("PutItem") <= 1 + 101 + 1
    assert made.count("Query") == 1
    assert refused(watching, "flow_logs") == []


def test_a_batch_that_comes_twice_changes_nothing(watching: Stage) -> None:
    for _ in range(2):
        flow_logs(payload(record(), record()), None)
    facts = watching.stores.activity.facts("ru_1")
    (proof,) = facts.flows
    assert [len(proof.stretches.proved), len(facts.last)] == [1, 1]
    start = facts.last[0].at
    found = watching.stores.activity.history("ru_1", start.replace(year=2020), start.replace(year=2030))
    assert [total.connections for total in found] == [2]


def test_what_is_watched_is_read_once_a_minute(watching: Stage) -> None:
    for _ in range(3):
        flow_logs(payload(record(port=443)), None)
    assert [operation for _, operation, _ in watching.calls].count("Query") == 1


@pytest.mark.parametrize("event", [{}, payload(record(), group="/aws/other"), {"awslogs": {"data": "x"}}])
def test_what_is_no_payload_of_ours_is_skipped(watching: Stage, event: dict[str, Any]) -> None:
    assert flow_logs(event, None) == {"skipped": 1}
    assert watching.calls == []
