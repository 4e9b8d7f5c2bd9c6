"""Metrics are lines of the log in CloudWatch's embedded format, few, and without a dimension that can grow."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.adapters.emf import MOST_OF, MOST_VALUES, EmfMeasures
from chalicelib.adapters.memory.clock import VirtualClock
from chalicelib.ports.measures import Measure

CUSTOM_METRICS = 8
"""At most: 0.30 USD a month each (design, section 7)."""


def told(*added):
    """The lines after one flush."""
    lines: list[str] = []
    measures = EmfMeasures("dev", VirtualClock(), lines.append)
    for one in added:
        measures.add(*one)
    measures.flush()
    measures.flush()
    return [json.loads(line) for line in lines]


def test_there_are_few_enough_of_them():
    assert len(Measure) <= CUSTOM_METRICS


def test_nothing_is_said_of_nothing():
    assert told() == []


def test_a_line_has_what_the_specification_asks_for_and_one_dimension():
    (line,) = told(
        (Measure.DECISIONS, 1.0, "idle"), (Measure.DECISIONS, 1.0, "idle"), (Measure.DECISIONS, 1.0, "in_use")
    )
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["Stage"]]
    assert directive["Metrics"] == [{"Name": "Decisions", "Unit": "Count"}]
    assert (line["Stage"], line["Decisions"]) == ("dev", 3.0)
    assert line["of"] == {"Decisions": {"idle": 2.0, "in_use": 1.0}}
    assert isinstance(line["_aws"]["Timestamp"], int)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=350))
def test_no_value_is_lost_and_no_line_has_more_than_cloudwatch_takes(values):
    lines = told(*[(Measure.TIME_TO_UP, value, None) for value in values])
    parts = [line["TimeToUp"] if isinstance(line["TimeToUp"], list) else [line["TimeToUp"]] for line in lines]
    assert [one for part in parts for one in part] == values
    assert all(len(part) <= MOST_VALUES for part in parts)


def test_what_values_are_of_is_bounded_and_their_sum_is_whole():
    (line,) = told(*[(Measure.BLIND, 1.0, f"ru_{n}") for n in range(500)])
    assert line["Blind"] == 500
    assert len(line["of"]["Blind"]) == MOST_OF
    assert len(json.dumps(line)) < 256 * 1024
