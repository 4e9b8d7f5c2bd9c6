"""Envoy's listeners that speak TLS."""

from __future__ import annotations

import json
from pathlib import Path

from chalicelib.envoy.certificates import pairs_of
from chalicelib.envoy.compact import CompactRule, Http, parse_rules
from chalicelib.envoy.listeners import Tls, listeners
from tests.unit.envoy.fakes import pair
from tests.unit.envoy.test_render import SITE


def test_tls_is_chosen_by_sni_from_secrets_that_are_files_with_nothing_of_them_in_the_listener():
    pairs = pairs_of([pair("a", "a.example.com", "*.a.example.com"), pair("b", "b.example.com")])
    secure = CompactRule("ru_1", ("10.0.0.5",), http=(Http(("a.example.com",), ("/*",), 443, 8080, tls=True),))
    plain, https = listeners(
        [SITE, secure], "10.0.0.1", Path("/run/log"), Path("/run/rds"), tls=Tls(pairs, Path("/run/sds"))
    )
    assert plain["name"] == "http-80"
    assert "listener_filters" not in plain
    assert https["name"] == "https-443"
    assert [chain["filter_chain_match"]["server_names"] for chain in https["filter_chains"]] == [
        ["a.example.com", "*.a.example.com"],
        ["b.example.com"],
    ]
    socket = https["filter_chains"][0]["transport_socket"]["typed_config"]["common_tls_context"]
    assert socket["alpn_protocols"] == ["h2", "http/1.1"]
    assert socket["tls_params"] == {"tls_minimum_protocol_version": "TLSv1_2"}
    (config,) = socket["tls_certificate_sds_secret_configs"]
    assert config["sds_config"]["path_config_source"] == {"path": f"/run/sds/{config['name']}.json"}
    assert "arn:" not in json.dumps(https)


def test_a_rule_that_comes_or_goes_changes_no_listener_with_tls():
    pairs = pairs_of([pair("a", "*.example.com")])
    one, two = (
        CompactRule(f"ru_{n}", ("10.0.0.5",), http=(Http((f"{n}.example.com",), ("/*",), 443, 80, tls=True),))
        for n in (1, 2)
    )
    tls, paths = Tls(pairs, Path("/s")), (Path("/l"), Path("/r"))
    made = [listeners(rules, "10.0.0.1", *paths, tls=tls) for rules in ([one], [one, two])]
    assert made[0] == made[1]


def test_a_redirect_on_a_port_of_tls_is_served_over_tls():
    pairs = pairs_of([pair("a", "*.example.com")])
    (rule,) = parse_rules(
        [
            {
                "id": "ru_1",
                "targets": ["10.0.0.5"],
                "http": [{"hosts": ["a.example.com"], "port": 80, "target": 8080}],
                "redirects": [
                    {"hosts": ["old.example.com"], "port": 443, "url": "https://a.example.com/", "tls": True}
                ],
            }
        ]
    )
    paths = (Path("/l"), Path("/r"))
    names = [made["name"] for made in listeners([rule], "10.0.0.1", *paths, tls=Tls(pairs, Path("/s")))]
    assert names == ["http-80", "https-443"]
    assert [made["name"] for made in listeners([rule], "10.0.0.1", *paths)] == ["http-80"]
