"""The addresses of a balancer in front of a proxy, as people name them and as proxies learn of them."""

from __future__ import annotations

import pytest

from tests.unit.api.test_certificates import BALANCER, PATH, config, fields


def name(api, *cidrs: object):
    return api("PUT", PATH, BALANCER | {"balancer_cidrs": list(cidrs)})


def test_a_proxy_learns_its_balancers_addresses_and_their_change_is_a_new_configuration(api):
    before, part = config(api)
    assert "balancer_cidrs" not in part
    assert api("GET", PATH).json_body["balancer_cidrs"] == []
    assert name(api, "10.0.1.0/24", "10.0.2.7").json_body["balancer_cidrs"] == ["10.0.1.0/24", "10.0.2.7/32"]
    after, part = config(api)
    assert after != before
    assert part["balancer_cidrs"] == ["10.0.1.0/24", "10.0.2.7/32"]
    name(api, "10.0.1.0/24", "10.0.2.7")
    assert config(api)[0] == after
    name(api)
    assert config(api)[0] != after
    assert "balancer_cidrs" not in config(api)[1]


def test_every_fault_of_them_is_named_at_once(api):
    found = fields(name(api, "10.0.1.0/24", "10.0.1.7/24", "nlb.internal", "0.0.0.0/0", 7))
    assert set(found) == {f"balancer_cidrs[{n}]" for n in (1, 2, 3, 4)}
    assert "is everyone" in found["balancer_cidrs[3]"]


@pytest.mark.parametrize("cidrs", [["10.0.1.0/24"] * 2, [f"10.0.{n}.0/24" for n in range(51)]])
def test_they_are_at_most_fifty_and_none_twice(api, cidrs):
    assert list(fields(name(api, *cidrs))) == ["balancer_cidrs"]
