"""The warm-up function on moto: real events of an ALB, real stores, every call counted and held against its policy."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from chalicelib.adapters.memory.clock import VirtualClock
from chalicelib.bootstrap import traffic
from chalicelib.domain.albs import AlbSettings, Theme
from chalicelib.domain.compact import compact_rule
from chalicelib.domain.decisions import Reason
from chalicelib.domain.events import Event, EventKind
from chalicelib.domain.load_balancers import LoadBalancerKind
from chalicelib.domain.routes import Ignore
from chalicelib.domain.rules import DependsOn, HeldDown, RuleState, RuleStatus, WhileStarting
from chalicelib.entrypoints.warm_up import warm_up
from tests.builders import make_balancer, make_rule
from tests.unit.entrypoints.test_policies import refused

if TYPE_CHECKING:
    from chalicelib.domain.rules import Rule
    from tests.unit.entrypoints.conftest import Stage

GROUP = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/as-lb-alb/6d0ecf831eec9f09"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
CONTEXT = SimpleNamespace(get_remaining_time_in_millis=lambda: 29_000)
READS = {"GetItem", "BatchGetItem", "Query", "Scan"}


def alb_event(
    path: str = "/", host: str = "app.example.com", method: str = "GET", *, multi: bool = False, **headers: str
) -> dict[str, Any]:
    """As AWS documents it."""
    sent = {
        "accept": BROWSER,
        "host": host,
        "user-agent": "Mozilla/5.0",
        "x-amzn-trace-id": "Root=1-5c536348-3d683b8b04734faae651f476",
        "x-forwarded-for": "10.0.0.1, 203.0.113.7",
        "x-forwarded-port": "80",
        "x-forwarded-proto": "http",
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    event: dict[str, Any] = {
        "requestContext": {"elb": {"targetGroupArn": GROUP}},
        "httpMethod": method,
        "path": path,
        "body": "",
        "isBase64Encoded": False,
    }
    if multi:
        event["multiValueHeaders"] = {name: [value] for name, value in sent.items()}
        event["multiValueQueryStringParameters"] = {"a": ["1", "2"]}
    else:
        event["headers"] = sent
        event["queryStringParameters"] = {"token": "s%20ecret"}
    return event


@pytest.fixture
def alb(stage: Stage) -> Stage:
    answers = traffic.answer_traffic()
    for kept in (answers._doors, answers._themes, answers._starts, answers._needs):
        kept.of.clear()  # what a new process would not know
    answers._nudged.clear()
    theme = Theme("Dev <stage>", "https://img.example.com/logo.svg", "#0f5132", "Ask the & platform team")
    settings = AlbSettings("internal", "*.example.com", theme=theme)
    stage.stores.balancers.create(make_balancer("lb_alb", kind=LoadBalancerKind.ALB, alb=settings))
    return stage


def add(stage: Stage, id_: str = "ru_1", status: RuleStatus | None = None, **changes: Any) -> Rule:
    settings = {"load_balancer_id": "lb_alb", "resource_ids": (f"i-{id_}",)} | changes
    rule = make_rule(id_, status or RuleStatus(), **settings)
    made = stage.stores.rules.create(rule, compact_rule(id_, rule.spec, ["10.0.0.1"]))
    stage.calls.clear()
    return made


def asked(stage: Stage) -> Counter[str]:
    return Counter(name for _, name, _ in stage.calls)


def status_of(stage: Stage, id_: str = "ru_1") -> RuleStatus:
    return stage.stores.rules.get(id_).status


def test_a_browser_gets_the_page_and_the_rule_is_started_once(alb: Stage) -> None:
    add(alb)
    answer = warm_up(alb_event("/shop"), CONTEXT)
    assert (answer["statusCode"], answer["statusDescription"]) == (503, "503 Service Unavailable")
    assert answer["headers"]["Content-Type"] == "text/html; charset=utf-8"
    assert (answer["headers"]["Retry-After"], answer["headers"]["Cache-Control"]) == ("2", "no-store")
    assert "app.example.com is starting" in answer["body"]
    assert "Dev &lt;stage&gt;" in answer["body"]
    assert "Ask the &amp; platform team" in answer["body"]
    assert "img-src https://img.example.com;" in answer["headers"]["Content-Security-Policy"]
    assert status_of(alb).woken_by == "traffic 203.0.113.7 to app.example.com/shop"
    (message,) = alb.messages()
    assert (message.rule_ids, message.cause) == (("ru_1",), "wake")
    assert refused(alb, "warm_up") == []


def test_a_burst_of_a_thousand_costs_a_read_each_and_one_start(alb: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    add(alb)
    at_once = VirtualClock(datetime.now(UTC))
    for one in (traffic.answer_traffic(), traffic.answer_traffic().warm_up):
        monkeypatch.setattr(one, "clock", at_once)
    for _ in range(1_000):
        assert warm_up(alb_event(accept="*/*"), CONTEXT)["statusCode"] == 503
    calls = asked(alb)
    assert sum(calls[name] for name in READS) == 1_000 + 1, "each reads the rule; the doors are read once"
    assert (calls["UpdateItem"], calls["BatchWriteItem"], calls["SendMessageBatch"]) == (1, 1, 1)
    assert set(calls) <= READS | {"UpdateItem", "BatchWriteItem", "SendMessageBatch"}


def test_a_program_gets_a_problem_and_is_told_when_to_ask_again(alb: Stage) -> None:
    add(alb)
    answer = warm_up(alb_event(accept="application/json"), CONTEXT)
    assert answer["statusCode"] == 503
    assert answer["headers"]["Content-Type"] == "application/problem+json"
    assert answer["headers"]["Retry-After"] == "5"
    problem = json.loads(answer["body"])
    assert (problem["status"], problem["title"], problem["state"]) == (503, "app.example.com is starting", "down")


def test_an_answer_has_the_form_of_the_headers_that_came(alb: Stage) -> None:
    add(alb)
    answer = warm_up(alb_event(multi=True), CONTEXT)
    assert "headers" not in answer
    assert answer["multiValueHeaders"]["Retry-After"] == ["2"]


def test_a_health_check_of_the_target_group_wakes_nothing_and_reads_nothing(alb: Stage) -> None:
    add(alb)
    event = alb_event(user_agent="ELB-HealthChecker/2.0")
    del event["headers"]["x-forwarded-for"]
    assert warm_up(event, CONTEXT)["statusCode"] == 200
    assert alb.calls == []


def test_a_client_that_calls_itself_a_health_check_is_a_client(alb: Stage) -> None:
    add(alb)
    assert warm_up(alb_event(user_agent="ELB-HealthChecker/2.0"), CONTEXT)["statusCode"] == 503
    assert status_of(alb).woken_at is not None


@pytest.mark.parametrize("host", ["other.example.com", "APP.example.com.evil.test", "", "a b", "*.example.com"])
def test_an_unknown_host_is_not_found_and_wakes_nothing(alb: Stage, host: str) -> None:
    add(alb)
    answer = warm_up(alb_event(host=host), CONTEXT)
    assert answer["statusCode"] == 404
    assert "Retry-After" not in answer["headers"]
    assert status_of(alb).woken_at is None


def test_a_host_is_found_in_any_case_with_a_port_and_with_a_dot_at_its_end(alb: Stage) -> None:
    add(alb)
    for host in ("APP.Example.COM", "app.example.com:80", "app.example.com."):
        assert warm_up(alb_event(host=host), CONTEXT)["statusCode"] == 503


def test_a_rule_of_another_load_balancer_is_nobodys_here(alb: Stage) -> None:
    add(alb, load_balancer_id="lb_1")
    assert warm_up(alb_event(), CONTEXT)["statusCode"] == 404
    assert status_of(alb).woken_at is None


@pytest.mark.parametrize(
    ("ignore", "path", "agent", "said"),
    [
        (Ignore(paths=("/healthz",)), "/healthz", "x", "its path"),
        (Ignore(paths=("/probe/*",)), "/probe/1", "x", "its path"),
        (Ignore(user_agents=("kube-probe*",)), "/", "kube-probe/1.29", "its user agent"),
        (Ignore(cidrs=("203.0.113.0/24",)), "/", "x", "its address"),
    ],
)
def test_what_the_rule_ignores_is_answered_and_wakes_nothing(
    alb: Stage, ignore: Ignore, path: str, agent: str, said: str
) -> None:
    add(alb, ignore=ignore)
    answer = warm_up(alb_event(path, user_agent=agent, accept="*/*"), CONTEXT)
    assert (answer["statusCode"], answer["headers"]["Retry-After"]) == (503, "60")
    assert said in json.loads(answer["body"])["detail"]
    assert status_of(alb).woken_at is None


def test_only_the_hop_that_the_alb_wrote_is_the_client(alb: Stage) -> None:
    add(alb, ignore=Ignore(cidrs=("10.9.0.0/16",)))
    warm_up(alb_event(x_forwarded_for="10.9.0.1, 203.0.113.7"), CONTEXT)
    assert status_of(alb).woken_at is not None, "the first hop is whatever the client wrote"


def test_what_may_not_start_says_by_whom_and_until_when(alb: Stage) -> None:
    until = datetime.now(UTC) + timedelta(hours=3)
    held = HeldDown(Reason.DOWNTIME, "Schedule nights.", until)
    add(alb, status=RuleStatus(held_down=held))
    answer = warm_up(alb_event(), CONTEXT)
    assert "app.example.com is not running" in answer["body"]
    assert "Kept down by a schedule. Schedule nights." in answer["body"]
    assert f"Until {until:%Y-%m-%d %H:%M} UTC." in answer["body"]
    program = warm_up(alb_event(accept="*/*"), CONTEXT)
    assert program["headers"]["Retry-After"] == "3600"
    assert status_of(alb).woken_at is None


def test_while_it_starts_the_page_has_its_phase_its_needs_and_how_long_starts_take(alb: Stage) -> None:
    now = datetime.now(UTC)
    add(alb, "ru_db", RuleStatus(state=RuleState.STARTING), name="data & base", http=(), load_balancer_id=None)
    starting = RuleStatus(
        state=RuleState.STARTING,
        reason=Reason.AWAITING_HEALTH,
        start_requested_at=now - timedelta(seconds=30),
        woken_at=now,
        woken_by="somebody",
    )
    rule = make_rule("ru_1", starting, load_balancer_id="lb_alb", depends_on=(DependsOn("ru_db", timedelta(0)),))
    alb.stores.rules.create(rule, compact_rule("ru_1", rule.spec, []), None, {"ru_db": 1})
    for n, seconds in enumerate((50.0, 60.0, 400.0)):
        at = now - timedelta(days=n + 1)
        event = Event(f"ev_{n}", at, EventKind.STATE_CHANGED, "ru_1", "autostop", "up", seconds=seconds)
        alb.stores.events.append([event])
    alb.calls.clear()
    answer = warm_up(alb_event(), CONTEXT)
    assert "Running; waiting for its health check to pass." in answer["body"]
    assert "30 seconds so far, usually 60 seconds." in answer["body"]
    assert 'max="100" value="50"' in answer["body"]
    assert "<span>data &amp; base</span><span>starting</span>" in answer["body"]
    assert refused(alb, "warm_up") == []


def test_a_failure_is_told_in_words(alb: Stage) -> None:
    now = datetime.now(UTC)
    failed = RuleStatus(state=RuleState.FAILED, detail="AWS has no <capacity> here.", woken_at=now, since=now)
    add(alb, status=failed)
    assert "AWS has no &lt;capacity&gt; here." in warm_up(alb_event(), CONTEXT)["body"]


def test_a_form_that_was_sent_is_not_sent_again_by_the_page(alb: Stage) -> None:
    add(alb)
    answer = warm_up(alb_event(method="POST"), CONTEXT)
    assert "http-equiv" not in answer["body"]
    assert "What you sent was not delivered" in answer["body"]


def test_a_rule_that_is_due_is_looked_at_because_of_the_page_and_not_for_each_request(alb: Stage) -> None:
    now = datetime.now(UTC)
    woken, due = now - timedelta(seconds=3), now - timedelta(seconds=1)
    add(alb, status=RuleStatus(state=RuleState.STARTING, woken_at=woken, woken_by="x", due_at=due))
    for _ in range(20):
        warm_up(alb_event(), CONTEXT)
    assert [message.cause for message in alb.messages()] == ["page"]
    assert refused(alb, "warm_up") == []


def test_who_is_held_goes_on_to_the_same_url_once_it_is_up(alb: Stage) -> None:
    now = datetime.now(UTC)
    up = RuleStatus(state=RuleState.UP, woken_at=now, woken_by="x")
    add(alb, status=up, while_starting=WhileStarting.HOLD)
    event = alb_event("//evil.test/é", method="POST", multi=True, x_forwarded_proto="https", accept="*/*")
    answer = warm_up(event, CONTEXT)
    assert answer["statusCode"] == 307
    assert answer["multiValueHeaders"]["Location"] == ["https://app.example.com//evil.test/%C3%A9?a=1&a=2"]
    assert refused(alb, "warm_up") == []
    assert not alb.stores.proxies._parts("lb_alb", "held#"), "the place is free again"


def test_who_is_held_for_long_enough_gets_what_everyone_else_gets(alb: Stage) -> None:
    add(alb, while_starting=WhileStarting.HOLD)
    short = SimpleNamespace(get_remaining_time_in_millis=lambda: 3_000)
    answer = warm_up(alb_event(accept="*/*"), short)
    assert (answer["statusCode"], answer["headers"]["Retry-After"]) == (503, "5")


def test_when_dynamodb_refuses_the_answer_is_still_one(alb: Stage) -> None:
    add(alb)
    boto3.client("dynamodb", region_name="us-east-1").delete_table(TableName="autostop-test-rules")
    answer = warm_up(alb_event(accept="*/*"), CONTEXT)
    assert (answer["statusCode"], answer["headers"]["Retry-After"]) == (503, "5")
