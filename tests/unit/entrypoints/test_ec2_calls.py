"""Who started or stopped an instance by hand, as CloudTrail tells."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.domain.events import EventKind
from chalicelib.entrypoints.ec2_calls import ec2_calls
from tests.unit.entrypoints.conftest import CONTEXT, documented

if TYPE_CHECKING:
    from chalicelib.domain.events import Event
    from tests.unit.entrypoints.conftest import Stage

AT = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)


def history(stage: Stage) -> list[Event]:
    return list(stage.stores.events.of_rule("ru_1", AT, AT + timedelta(days=4000), 100).items)


def with_detail(**changes: Any) -> dict[str, Any]:
    event = copy.deepcopy(documented("ec2_call"))
    event["detail"] |= changes | {"eventTime": datetime.now(UTC).isoformat()}
    return event


def test_the_history_says_who_and_from_where_once_however_often_it_is_told(stage: Stage) -> None:
    stage.add_rule("i-abcd1111")
    event = with_detail()
    assert [ec2_calls(event, CONTEXT) for _ in range(2)] == [{"rules": 1}] * 2
    [told] = history(stage)
    assert told.kind is EventKind.CHANGED_BY_HAND
    assert told.actor == "principal arn:aws:sts::123456789012:assumed-role/Developer/alice@example.com"
    assert "StopInstances for i-abcd1111 from 203.0.113.7" in told.words


def test_what_aws_refused_is_told_as_refused(stage: Stage) -> None:
    stage.add_rule("i-abcd1111")
    ec2_calls(with_detail(errorCode="Client.UnauthorizedOperation"), CONTEXT)
    assert "AWS refused: Client.UnauthorizedOperation" in history(stage)[0].words


def test_our_own_calls_are_not_told(stage: Stage) -> None:
    stage.add_rule("i-abcd1111")
    event = with_detail()
    event["detail"]["userIdentity"]["sessionContext"]["sessionIssuer"]["userName"] = "autostop-dev-reconcile"
    assert ec2_calls(event, CONTEXT) == {"rules": 0}
    assert history(stage) == []


def test_of_an_instance_in_no_rule_nothing_is_told(stage: Stage) -> None:
    assert ec2_calls(with_detail(), CONTEXT) == {"rules": 0}


HOSTILE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ["userIdentity", "eventTime", "eventName", "requestParameters", "eventID", "sourceIPAddress", "errorCode"]


@pytest.mark.parametrize("field", FIELDS)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=HOSTILE)
def test_a_call_with_a_hostile_field_is_told_or_left_out(stage: Stage, field: str, value: Any) -> None:
    event = copy.deepcopy(documented("ec2_call"))
    event["detail"][field] = value
    assert ec2_calls(event, CONTEXT)["rules"] == 0
