"""Items are brought forward as they are read, and nothing is guessed of what a newer release wrote."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.adapters.dynamodb.models import ALL_MODELS, SHORT_NAMES, RuleItem
from chalicelib.adapters.dynamodb.schema import SCHEMA, STEPS, migrated
from chalicelib.domain.errors import NewerSchemaError


def renamed(old: str, new: str):
    def step(raw):
        raw[new] = raw.pop(old)
        return raw

    return step


CHAIN = {
    1: {"rules": renamed("a", "b")},
    2: {"events": renamed("x", "y")},
    3: {"rules": renamed("b", "c")},
}


@pytest.mark.parametrize("version", [None, 1, 2, 3, 4])
def test_an_item_of_any_older_version_comes_to_the_newest_by_every_step_between(version):
    name = {None: "a", 1: "a", 2: "b", 3: "b", 4: "c"}[version]
    raw = {"id": {"S": "ru_1"}, name: {"S": "kept"}}
    if version is not None:
        raw["v"] = {"N": str(version)}
    assert migrated("rules", raw, CHAIN, 4) == {"id": {"S": "ru_1"}, "c": {"S": "kept"}, "v": {"N": "4"}}


def test_what_was_read_is_not_changed_by_a_step():
    raw = {"a": {"S": "kept"}}
    migrated("rules", raw, CHAIN, 4)
    assert raw == {"a": {"S": "kept"}}


def test_a_table_that_does_not_change_gets_the_version_and_nothing_else():
    assert migrated("usage", {"day": {"S": "x"}}, CHAIN, 4) == {"day": {"S": "x"}, "v": {"N": "4"}}


@given(st.integers(SCHEMA + 1, 10**6))
def test_what_a_newer_release_wrote_is_refused_in_words(version):
    with pytest.raises(NewerSchemaError, match=f"schema {version}, and this release knows {SCHEMA}"):
        migrated("rules", {"v": {"N": str(version)}})


def test_an_item_of_this_release_costs_nothing():
    raw = {"v": {"N": str(SCHEMA)}}
    assert migrated("rules", raw) is raw


def test_what_is_written_whole_has_the_version():
    for model in ALL_MODELS:
        assert model().v == SCHEMA, SHORT_NAMES[model]


def test_a_read_through_a_model_is_brought_forward():
    with pytest.raises(NewerSchemaError):
        RuleItem.from_raw_data({"id": {"S": "ru_1"}, "v": {"N": str(SCHEMA + 1)}})


def test_there_is_a_step_from_every_version_that_was_ever_released():
    assert set(STEPS) == set(range(1, SCHEMA))
