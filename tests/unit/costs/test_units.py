"""Request units of DynamoDB, as its documentation counts them."""

from __future__ import annotations

import pytest

from scripts.costs.units import Index, read_units, size_of, write_units

DUE = Index(("shard", "due"), frozenset({"id", "kind"}))


def item(size: int, **more: str) -> dict:
    """An item of so many bytes."""
    base = {"id": {"S": "r"}, **{name: {"S": value} for name, value in more.items()}}
    return base | {"b": {"S": "x" * (size - size_of(base) - 1)}}


def test_the_size_of_an_item_is_that_of_its_names_and_values():
    assert size_of({"id": {"S": "ru_1"}}) == 6
    assert size_of({"n": {"N": "12345"}}) == 1 + 4
    assert size_of({"s": {"SS": ["ab", "c"]}}) == 1 + 3
    assert size_of({"m": {"M": {"k": {"BOOL": True}}}}) == 1 + 3 + 1 + 1 + 1
    assert size_of({"é": {"S": "é"}}) == 4


@pytest.mark.parametrize(("size", "units"), [(10, 1), (1024, 1), (1025, 2), (4097, 5)])
def test_a_write_costs_a_unit_for_each_kilobyte_that_is_begun(size, units):
    assert write_units(None, item(size)) == units


def test_the_larger_of_before_and_after_is_paid_for():
    assert write_units(item(3000), item(100)) == 3
    assert write_units(item(100), item(3000)) == 3
    assert write_units(item(3000), None) == 3


def test_a_write_that_finds_nothing_costs_a_unit():
    assert write_units(None, None) == 1


def test_an_index_is_written_only_where_what_it_has_changed():
    before = item(1500, shard="due", due="1", kind="ec2")
    assert write_units(before, before | {"b": {"S": "y"}}, (DUE,)) == 2
    assert write_units(before, before | {"kind": {"S": "rds"}}, (DUE,)) == 2 + 1
    assert write_units(before, before | {"due": {"S": "2"}}, (DUE,)) == 2 + 2, "out of its place, and into another"
    assert write_units(before, item(1500), (DUE,)) == 2 + 1
    assert write_units(item(1500), before, (DUE,)) == 2 + 1


def test_an_index_of_everything_is_as_large_as_the_item():
    everything = Index(("shard",), None)
    assert write_units(None, item(1500, shard="a"), (everything,)) == 4


def test_reads_cost_a_unit_for_each_four_kilobytes_and_half_where_they_may_be_late():
    assert read_units("GetItem", {"ConsistentRead": True}, {"Item": item(4097)}) == 2
    assert read_units("GetItem", {}, {"Item": item(4097)}) == 1
    assert read_units("GetItem", {}, {}) == 0.5


def test_a_query_is_paid_by_the_sum_of_its_items_and_a_batch_by_each():
    small = [item(100)] * 8
    assert read_units("Query", {"ConsistentRead": True}, {"Items": small}) == 1
    asked = {"RequestItems": {"t": {"ConsistentRead": True}}}
    assert read_units("BatchGetItem", asked, {"Responses": {"t": small}}) == 8


def test_what_is_not_known_is_no_read():
    with pytest.raises(ValueError, match="ExecuteStatement"):
        read_units("ExecuteStatement", {}, {})
