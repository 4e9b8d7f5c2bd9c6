"""Every event function, called as Lambda calls it, with events as AWS documents them."""

from __future__ import annotations

import base64
import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from chalicelib.adapters.aws.sqs import encode
from chalicelib.bootstrap import parts
from chalicelib.domain.errors import CloudError, InvalidInputError
from chalicelib.domain.resources import Place, ResourceKind
from chalicelib.domain.rules import RuleState
from chalicelib.entrypoints.ec2_state import PATTERN, ec2_state
from chalicelib.entrypoints.proxy_logs import proxy_logs
from chalicelib.entrypoints.reconcile import reconcile
from chalicelib.entrypoints.tick import tick
from chalicelib.ports import ReconcileRequest
from tests.contract.conftest_aws import REGION
from tests.unit.entrypoints.conftest import CONTEXT, documented

if TYPE_CHECKING:
    from tests.unit.entrypoints.conftest import Stage


HERE = Place(ResourceKind.EC2, REGION)


def now() -> datetime:
    return datetime.now(UTC)


def sqs_event(body: str) -> dict[str, Any]:
    event = documented("sqs")
    event["Records"][0]["body"] = body
    return event


def message(*rule_ids: str, cause: str = "test", minutes: float = 2, place: Place = HERE) -> str:
    return encode(ReconcileRequest(place, rule_ids, now() + timedelta(minutes=minutes), cause))


def logs_event(payload: object) -> dict[str, Any]:
    raw = payload if isinstance(payload, bytes) else gzip.compress(json.dumps(payload).encode())
    return {"awslogs": {"data": base64.b64encode(raw).decode()}}


def lines(*messages: object, **changes: Any) -> dict[str, Any]:
    events = [
        {
            "id": f"{n:056d}",
            "timestamp": int(now().timestamp() * 1000),
            "message": m if isinstance(m, str) else json.dumps(m),
        }
        for n, m in enumerate(messages)
    ]
    return logs_event(documented("logs_data", logEvents=events, **changes))


def summary(rule: str = "ru_1", seq: int = 1) -> dict[str, Any]:
    at = now()
    return {
        "autostop": 1,
        "proxy": "lb_1",
        "member": "i-proxy1",
        "seq": seq,
        "rule": rule,
        "minute": at.strftime("%Y-%m-%dT%H:%M"),
        "last_at": at.isoformat(),
        "requests": 3,
        "connections": 1,
        "open": 0,
        "bytes_in": 10,
        "bytes_out": 20,
    }


def heartbeat(seq: int = 1, summaries: int = 1) -> dict[str, Any]:
    return {
        "autostop": 1,
        "proxy": "lb_1",
        "member": "i-proxy1",
        "seq": seq,
        "observed_from": (now() - timedelta(seconds=60)).isoformat(),
        "observed_through": now().isoformat(),
        "summaries": summaries,
        "config": "r1.s1",
    }


def test_tick_sends_what_is_due(stage: Stage) -> None:
    stage.add_rule("i-0001")
    assert tick(documented("schedule"), CONTEXT) == {"due": 1, "messages": 1}
    (sent,) = stage.messages()
    assert (sent.rule_ids, sent.place, sent.cause) == (("ru_1",), HERE, "tick")


def test_tick_without_rules_only_reads_the_index(stage: Stage) -> None:
    assert tick(documented("schedule"), CONTEXT) == {"due": 0, "messages": 0}
    assert [(service, name) for service, name, _ in stage.calls] == [("dynamodb", "Query")]
    assert stage.calls[0][2]["IndexName"] == "due"


def test_reconcile_starts_a_woken_rule(stage: Stage) -> None:
    instance_id = stage.instance()
    stage.add_rule(instance_id)
    stage.stores.status.wake("ru_1", now(), "traffic", now() - timedelta(seconds=5))
    reconcile(sqs_event(message("ru_1", cause="wake")), CONTEXT)
    assert stage.state_of(instance_id) == "running"
    assert stage.stores.rules.get("ru_1").status.state is RuleState.STARTING
    assert stage.messages() == [], "it looks again in 2 s, not now"


def test_reconcile_drops_what_came_too_late(stage: Stage) -> None:
    instance_id = stage.instance()
    stage.add_rule(instance_id)
    stage.stores.status.wake("ru_1", now(), "traffic", now())
    reconcile(sqs_event(message("ru_1", minutes=-1)), CONTEXT)
    assert stage.state_of(instance_id) == "stopped"


@pytest.mark.parametrize("body", ["", "{}", '{"v": 2}', "replaced"])
def test_reconcile_leaves_what_it_cannot_read_to_the_dead_letter_queue(stage: Stage, body: str) -> None:
    with pytest.raises(InvalidInputError):
        reconcile(sqs_event(body), CONTEXT)
    assert not stage.calls


def test_ec2_state_looks_at_the_rule_of_the_instance(stage: Stage) -> None:
    stage.add_rule("i-abcd1111")
    assert ec2_state(documented("ec2_state"), CONTEXT) == {"rules": 1}
    (sent,) = stage.messages()
    assert sent.rule_ids == ("ru_1",)


def test_ec2_state_of_an_instance_that_is_nobodys(stage: Stage) -> None:
    assert ec2_state(documented("ec2_state"), CONTEXT) == {"rules": 0}
    assert stage.messages() == []


def test_the_owner_of_an_instance_is_looked_up_by_region(stage: Stage) -> None:
    stage.add_rule("i-abcd1111")
    assert ec2_state(documented("ec2_state", region="eu-west-1"), CONTEXT) == {"rules": 0}


@pytest.mark.parametrize("detail", [{}, {"instance-id": 7}, {"state": "running"}])
def test_ec2_state_without_an_instance(stage: Stage, detail: dict[str, Any]) -> None:
    assert ec2_state(documented("ec2_state", detail=detail), CONTEXT) == {"rules": 0}


def test_the_pattern_is_that_of_the_documented_event() -> None:
    event = documented("ec2_state")
    assert all(event[field] in allowed for field, allowed in PATTERN.items())


def test_proxy_logs_stores_activity_and_moves_the_watermark(stage: Stage) -> None:
    stage.add_rule("i-0001")
    report = proxy_logs(lines(summary(), heartbeat()), CONTEXT)
    found = {name: report[name] for name in ("lines", "malformed", "rules", "beats", "gaps")}
    assert found == {"lines": 2, "malformed": 0, "rules": 1, "beats": 1, "gaps": 0}
    assert [last.source for last in stage.stores.activity.facts("ru_1").last] == ["proxy i-proxy1"]
    (source,) = stage.stores.proxies.sources("lb_1")
    assert source.span is not None


def test_proxy_logs_counts_and_skips_malformed_lines(stage: Stage) -> None:
    hostile = ["", "not json", "[]", "null", '{"autostop": 9}', '{"autostop": 1, "rule": "../x"}', "[" * 5000]
    report = proxy_logs(lines(*hostile, summary(), heartbeat(summaries=1)), CONTEXT)
    assert (report["malformed"], report["lines"], report["beats"]) == (len(hostile), len(hostile) + 2, 1)


def test_a_control_message_is_nothing(stage: Stage) -> None:
    assert proxy_logs(logs_event(documented("logs_control")), CONTEXT) == {"skipped": 0}
    assert not stage.calls


GOOD = gzip.compress(json.dumps(documented("logs_data")).encode())


@pytest.mark.parametrize(
    "event",
    [
        {},
        [],
        None,
        {"awslogs": None},
        {"awslogs": {}},
        {"awslogs": {"data": None}},
        {"awslogs": {"data": "not base64!"}},
        {"awslogs": {"data": "ü"}},
        {"awslogs": {"data": ""}},
        {"awslogs": {"data": base64.b64encode(b"not gzip").decode()}},
        logs_event(GOOD[: len(GOOD) // 2]),
        logs_event(GOOD[:-4]),
        logs_event(GOOD[:-8] + b"\0" * 8),
        logs_event(gzip.compress(b"{")),
        logs_event(gzip.compress(b"\xff\xfe")),
        logs_event(gzip.compress(b"[" * 100_000)),
        logs_event([]),
        logs_event({"messageType": "DATA_MESSAGE"}),
        logs_event(documented("logs_data", logGroup="/aws/lambda/somebody-else")),
        logs_event(documented("logs_data", logGroup=None)),
        logs_event(documented("logs_data", logEvents=None)),
        logs_event(documented("logs_data", logEvents="abc")),
        logs_event(gzip.compress(b"0" * (65 * 1024 * 1024))),
    ],
)
def test_an_unreadable_payload_is_counted_and_skipped(stage: Stage, event: Any) -> None:
    assert proxy_logs(event, CONTEXT) == {"skipped": 1}
    assert not stage.calls


@pytest.mark.parametrize(
    "bad",
    [
        None,
        7,
        {},
        {"id": "1"},
        {"id": "1", "timestamp": "x", "message": ""},
        {"id": "1", "timestamp": 1e300, "message": ""},
    ],
)
def test_one_unreadable_event_never_takes_the_others_along(stage: Stage, bad: object) -> None:
    good = {"id": "2", "timestamp": 1767600000000, "message": json.dumps(heartbeat(summaries=0))}
    report = proxy_logs(logs_event(documented("logs_data", logEvents=[bad, good])), CONTEXT)
    assert (report["lines"], report["malformed"], report["beats"]) == (2, 1, 1)


def test_what_aws_refuses_is_raised_so_that_lambda_tries_again(stage: Stage) -> None:
    stage.add_rule("i-0001")
    boto3.client("dynamodb", region_name=REGION).delete_table(TableName="autostop-test-activity")
    with pytest.raises(CloudError):
        proxy_logs(lines(summary()), CONTEXT)


def test_the_same_batch_twice_is_the_same(stage: Stage) -> None:
    stage.add_rule("i-0001")
    batch = lines(summary(), heartbeat())
    proxy_logs(batch, CONTEXT)
    before = stage.stores.activity.facts("ru_1")
    proxy_logs(batch, CONTEXT)
    assert stage.stores.activity.facts("ru_1") == before
    minute = now().replace(second=0, microsecond=0)
    totals = stage.stores.activity.history("ru_1", minute - timedelta(minutes=2), minute + timedelta(minutes=2))
    assert [total.requests for total in totals] == [3]


def test_a_wrong_environment_names_every_fault(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUTOSTOP_STAGE")
    monkeypatch.setenv("AUTOSTOP_QUEUE_URL", "set-by-bootstrap")
    parts.settings.cache_clear()
    with pytest.raises(Exception, match="AUTOSTOP_STAGE is not set; AUTOSTOP_QUEUE_URL is not a URL"):
        proxy_logs(lines(summary()), CONTEXT)
