"""What an ALB refuses before its function sees it is said where the rule is read."""

from __future__ import annotations

from chalicelib.domain.albs import AlbSettings
from chalicelib.domain.load_balancers import LoadBalancerKind
from tests.builders import make_balancer, make_rule


def warnings(api, id_: str) -> str:
    return " ".join(api("GET", f"/rules/{id_}").json_body["warnings"])


def test_a_rule_on_an_alb_says_what_does_not_wake_it(api):
    alb = make_balancer("lb_alb", kind=LoadBalancerKind.ALB, alb=AlbSettings("internal", "*.example.com"))
    api.world.stores.balancers.create(alb)
    api.world.stores.rules.create(make_rule("ru_alb", load_balancer_id="lb_alb", resource_ids=("i-2",)), "{}")
    assert "WebSocket" in warnings(api, "ru_alb")
    assert "1 MB" in warnings(api, "ru_alb")


def test_a_rule_on_a_proxy_has_no_such_limits(api):
    assert "WebSocket" not in warnings(api, "ru_1")
