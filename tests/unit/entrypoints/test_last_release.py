"""The tables that release 0.1.0 wrote: loaded as they were, read by everything, driven on.

tests/fixtures/tables-0.1.0.jsonl is an export of a demo of that release, with schedules, keys, overrides made by hand.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from chalicelib.adapters.dynamodb.schema import SCHEMA
from chalicelib.domain.events import EventKind
from chalicelib.domain.rules import OverrideKind
from chalicelib.entrypoints.reconcile import reconcile
from chalicelib.entrypoints.tick import tick
from scripts.tables.dump import export
from scripts.tables.load import Loader
from tests.contract.conftest_aws import REGION
from tests.unit.entrypoints.conftest import CONTEXT, documented
from tests.unit.entrypoints.test_handlers import message, sqs_event

if TYPE_CHECKING:
    from tests.unit.entrypoints.conftest import Stage

FIXTURE = Path(__file__).parent.parent.parent / "fixtures" / "tables-0.1.0.jsonl"
ITEMS: list[dict[str, Any]] = [json.loads(line) for line in FIXTURE.read_text().splitlines() if '"table"' in line[:10]]


def stored(table: str) -> list[dict[str, Any]]:
    return [one["item"] for one in ITEMS if one["table"] == table]


@pytest.fixture
def old(stage: Stage) -> Stage:
    """The stage, with those tables."""
    Loader(boto3.client("dynamodb", region_name=REGION), "test").load(FIXTURE, replace=True)
    return stage


def test_every_rule_is_read_with_all_that_people_asked_for(old):
    rules = {rule.id: rule for rule in old.stores.rules.list(100).items}
    assert rules.keys() == {item["id"]["S"] for item in stored("rules")}
    for item in stored("rules"):
        spec, rule = json.loads(item["spec"]["S"]), rules[item["id"]["S"]]
        assert rule.spec.name == spec["name"]
        assert rule.spec.idle.total_seconds() == spec["idle"]
        assert rule.version == int(item["version"]["N"])
    by_name = {rule.spec.name: rule for rule in rules.values()}
    assert by_name["shell"].status.override.kind is OverrideKind.WARM_UP
    assert by_name["tagged"].spec.dry_run
    assert [need.rule_id for need in by_name["tagged"].spec.depends_on] == [by_name["shell"].id]
    assert by_name["shell"].dependents == (by_name["tagged"].id,)
    assert len(by_name["jump"].spec.schedule_ids) == 2


def test_everything_beside_the_rules_is_read_too(old):
    stores = old.stores
    assert {schedule.name for schedule in stores.schedules.list(100).items} == {"nights", "first monday"}
    assert {key.role.value for key in stores.keys.list(100).items} == {"admin", "proxy", "viewer", "operator"}
    (balancer,) = stores.balancers.list(100).items
    assert balancer.kind.value == "proxy"
    state = stores.proxies.poll(balancer.id)
    assert len(stores.proxies.rules(balancer.id)) == sum("rule#" in item["part"]["S"] for item in stored("proxies"))
    assert state.rules_version > 0
    (member,) = stores.proxies.sources(balancer.id)
    assert member.span is not None
    assert stores.account.settings().max_stops_per_tick == 5
    rules = [rule.id for rule in stores.rules.list(100).items]
    day = stores.clock.now().replace(year=2026, month=11, day=25)
    events = [
        e for id_ in rules for e in stores.events.of_rule(id_, day.replace(hour=0), day.replace(hour=23), 1000).items
    ]
    assert {event.kind for event in events} >= {EventKind.RULE_CREATED, EventKind.STATE_CHANGED}


def test_the_next_tick_and_the_worker_go_on_with_every_rule(old):
    assert tick(documented("schedule"), CONTEXT)["due"] >= 1
    for sent in old.messages():
        reconcile(sqs_event(message(*sent.rule_ids)), CONTEXT)
    for rule in old.stores.rules.list(100).items:
        assert rule.status.reason is not None
    written = boto3.client("dynamodb", region_name=REGION).scan(TableName="autostop-test-events")["Items"]
    assert len(written) >= len(stored("events"))
    fresh = [item for item in written if "v" in item]
    assert all(item["v"] == {"N": str(SCHEMA)} for item in fresh)


def test_what_is_exported_again_is_what_was_loaded(old):
    again = [
        json.loads(line)
        for line in export(boto3.client("dynamodb", region_name=REGION), "test", old.stores.clock.now())
    ]
    loaded = [one for one in again if "table" in one]
    assert sorted(map(json.dumps, loaded)) == sorted(map(json.dumps, ITEMS))
