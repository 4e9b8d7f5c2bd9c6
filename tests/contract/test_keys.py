"""What the port promises of API keys, and of those that proxies poll with."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.adapters.memory.clock import START
from chalicelib.domain.errors import NotFoundError
from tests.builders import make_key


def test_a_key_that_is_bound_to_a_load_balancer_is_found_by_its_poll_until_it_is_deleted(stores):
    key = make_key("ak_2", load_balancer_id="lb_1")
    stores.keys.create(key)
    assert stores.proxies.poll("lb_1").keys == {"ak_2": replace(key, name="")}
    assert stores.keys.get("ak_2") == key
    stores.keys.delete("ak_2")
    assert stores.proxies.poll("lb_1").keys == {}
    with pytest.raises(NotFoundError):
        stores.keys.get("ak_2")


def test_a_key_cannot_be_bound_to_what_is_not_there_and_outlives_its_load_balancer(stores):
    with pytest.raises(NotFoundError):
        stores.keys.create(make_key("ak_2", load_balancer_id="lb_none"))
    with pytest.raises(NotFoundError):
        stores.keys.get("ak_2")
    stores.keys.create(make_key("ak_3", load_balancer_id="lb_1"))
    stores.balancers.delete(stores.balancers.get("lb_1"))
    stores.keys.delete("ak_3")
    with pytest.raises(NotFoundError):
        stores.keys.get("ak_3")


def test_keys(stores):
    key = make_key(load_balancer_id="lb_1", expires_at=START)
    stores.keys.create(key)
    assert stores.keys.get(key.id) == key
    assert stores.keys.list(10).items == (key,)
    stores.keys.delete(key.id)
    for gone in (stores.keys.get, stores.keys.delete):
        with pytest.raises(NotFoundError):
            gone(key.id)
