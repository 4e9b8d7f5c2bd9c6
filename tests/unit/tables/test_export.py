"""A file of tables is checked as a whole before anything of it is written, and loaded again as often as it takes."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto import mock_aws

from chalicelib.adapters.dynamodb.tables import table_resources
from scripts.tables.dump import export
from scripts.tables.errors import NotEmptyError, UnreadableExportError
from scripts.tables.lines import TABLES, check, header
from scripts.tables.load import Loader

NOW = datetime(2026, 11, 25, 16, 0, tzinfo=UTC)
HEADER = header("0.1.0", "dev", "2026-11-25T16:00:00Z")
NEWER = {"table": "rules", "item": {"id": {"S": "a"}, "v": {"N": "7"}}}
RULE = {"table": "rules", "item": {"id": {"S": "ru_1"}, "due_at": {"N": "1764086400123456"}}}


@pytest.fixture
def client():
    with mock_aws():
        made = boto3.client("dynamodb", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
        for stage in ("dev", "new"):
            for resource in table_resources(f"autostop-{stage}-", protect=False).values():
                told = resource["Properties"]
                wanted = ("TableName", "KeySchema", "AttributeDefinitions", "BillingMode", "GlobalSecondaryIndexes")
                made.create_table(**{name: told[name] for name in wanted if name in told})
        yield made


@pytest.fixture
def file(tmp_path):
    def write(*lines):
        path = tmp_path / "export.jsonl"
        path.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))
        return path

    return write


def content(client, stage):
    return [json.loads(line) for line in export(client, stage, NOW)][1:]


def fill(client, rules):
    for n in range(rules):
        item = {
            "id": {"S": f"ru_{n}"},
            "due_at": {"N": f"176408640012345{n % 10}"},
            "dependents": {"SS": ["ru_a", "ru_b"]},
        }
        client.put_item(TableName="autostop-dev-rules", Item=item)
    client.put_item(TableName="autostop-dev-claims", Item={"key": {"S": "port#1"}, "owner": {"S": "ru_0"}})


def test_what_goes_out_comes_back_digit_by_digit(client, tmp_path):
    fill(client, 60)
    path = tmp_path / "all.jsonl"
    path.write_text("".join(export(client, "dev", NOW)))
    done = Loader(client, "new").load(path)
    assert done.counts == {"rules": 60, "claims": 1}
    assert content(client, "new") == content(client, "dev")


def test_tables_that_have_something_are_left_alone_unless_it_is_to_be_replaced(client, tmp_path):
    fill(client, 3)
    path = tmp_path / "all.jsonl"
    path.write_text("".join(export(client, "dev", NOW)))
    client.put_item(TableName="autostop-new-schedules", Item={"id": {"S": "sc_mine"}})
    before = content(client, "new")
    with pytest.raises(NotEmptyError, match="schedules of stage new have items"):
        Loader(client, "new").load(path)
    assert content(client, "new") == before
    Loader(client, "new").load(path, replace=True)
    assert content(client, "new") == content(client, "dev")


def test_an_import_that_was_interrupted_is_taken_up_by_the_same_file_and_by_no_other(client, tmp_path):
    fill(client, 60)
    path = tmp_path / "all.jsonl"
    path.write_text("".join(export(client, "dev", NOW)))

    class Dying:
        """Dies at its second batch."""

        def __init__(self):
            self.batches = 0

        def __getattr__(self, name):
            return getattr(client, name)

        def batch_write_item(self, **given):
            self.batches += 1
            if self.batches == 2:
                raise KeyboardInterrupt
            return client.batch_write_item(**given)

    with pytest.raises(KeyboardInterrupt):
        Loader(Dying(), "new").load(path)
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps(HEADER) + "\n" + json.dumps({"end": {}}) + "\n")
    with pytest.raises(NotEmptyError):
        Loader(client, "new").load(other)
    Loader(client, "new").load(path)
    assert content(client, "new") == content(client, "dev")


def test_what_dynamodb_hands_back_is_asked_for_again_until_it_is_in(client, file):
    class Busy:
        """Hands back all it is asked for, twice."""

        def __init__(self):
            self.refusals = 2

        def __getattr__(self, name):
            return getattr(client, name)

        def batch_write_item(self, **given):
            if self.refusals:
                self.refusals -= 1
                return {"UnprocessedItems": given["RequestItems"]}
            return client.batch_write_item(**given)

    slept = []
    Loader(Busy(), "new", slept.append).load(file(HEADER, RULE, {"end": {"rules": 1}}))
    assert slept == [0.05, 0.1]
    assert content(client, "new") == [RULE, {"end": {"rules": 1}}]


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ((), "it is empty"),
        ((HEADER, RULE), "its end is missing: it is truncated"),
        ((HEADER, {"end": {"rules": 1}}), "lines are missing"),
        ((RULE, {"end": {"rules": 1}}), "line 1: is not the header"),
        ((HEADER | {"format": 9}, {"end": {}}), "line 1: has format 9"),
        ((HEADER | {"schema": 99}, {"end": {}}), "line 1: has schema 99"),
        ((HEADER, "{\n", {"end": {}}), "line 2: is not JSON"),
        ((HEADER, {"table": "x", "item": {}}, {"end": {}}), "line 2: is of a table 'x'"),
        ((HEADER, {"table": "rules", "item": {}}, {"end": {}}), "line 2: lacks id, the key of rules"),
        ((HEADER, {"table": "rules", "item": {"id": "ru_1"}}, {"end": {}}), "line 2: has id in no form of DynamoDB's"),
        (
            (HEADER, {"table": "rules", "item": {"id": {"S": "a"}, "v": {"N": "7"}}}, {"end": {}}),
            "line 2: has schema '7'",
        ),
        ((HEADER, {"end": {}}, RULE), "line 3: comes after the end"),
    ],
)
def test_a_file_that_is_not_whole_is_refused_whole(client, file, lines, fault):
    with pytest.raises(UnreadableExportError) as caught:
        Loader(client, "new").load(file(*lines))
    assert fault in str(caught.value)
    assert content(client, "new") == [{"end": {}}]


def test_all_faults_are_named_at_once(file):
    found = check(file(HEADER, "x\n", {"table": "rules", "item": {}}, "y\n").open())
    assert len(found.faults) == 4


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.one_of(st.text(), st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))))
def test_whatever_a_file_has_in_it_is_a_fault_and_never_an_error(lines):
    assert check(line + "\n" for line in lines).faults


def test_an_export_has_every_table_of_the_base_stack(client):
    made = {one["Properties"]["TableName"] for one in table_resources("autostop-dev-").values()}
    assert {f"autostop-dev-{table}" for table in TABLES} == made
