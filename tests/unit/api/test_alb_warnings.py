"""What an ALB refuses before its function sees it is said where the rule is read."""

from __future__ import annotations

from chalicelib.domain.albs import AccessLogs, AlbSettings
from chalicelib.domain.load_balancers import LoadBalancerKind
from chalicelib.domain.routes import Ignore
from tests.builders import make_balancer, make_rule


def warnings(api, id_: str) -> str:
    return " ".join(api("GET", f"/rules/{id_}").json_body["warnings"])


def test_a_rule_on_an_alb_says_what_does_not_wake_it(api):
    alb = make_balancer("lb_alb", kind=LoadBalancerKind.ALB, alb=AlbSettings("internal", "*.example.com"))
    api.world.stores.balancers.create(alb)
    api.world.stores.rules.create(make_rule("ru_alb", load_balancer_id="lb_alb", resource_ids=("i-2",)), "{}")
    assert "WebSocket" in warnings(api, "ru_alb")
    assert "1 MB" in warnings(api, "ru_alb")


def test_what_it_ignores_counts_as_use_unless_the_access_log_tells_it_apart(api):
    ignore = Ignore(paths=("/healthz",))
    for n, logs in enumerate((None, AccessLogs("logs"))):
        settings = AlbSettings("internal", "*.example.com", access_logs=logs)
        api.world.stores.balancers.create(make_balancer(f"lb_a{n}", kind=LoadBalancerKind.ALB, alb=settings))
        on = {"load_balancer_id": f"lb_a{n}", "resource_ids": (f"i-1{n}",), "ignore": ignore}
        api.world.stores.rules.create(make_rule(f"ru_a{n}", **on), "{}")
    assert "keep it up" in warnings(api, "ru_a0")
    assert "keep it up" not in warnings(api, "ru_a1")


def test_hosts_that_are_none_of_its_domain_are_said(api):
    alb = make_balancer("lb_alb", kind=LoadBalancerKind.ALB, alb=AlbSettings("internal", "*.elsewhere.net"))
    api.world.stores.balancers.create(alb)
    api.world.stores.rules.create(make_rule("ru_alb", load_balancer_id="lb_alb", resource_ids=("i-2",)), "{}")
    assert "is not one of *.elsewhere.net" in warnings(api, "ru_alb")


def test_a_rule_on_a_proxy_has_no_such_limits(api):
    assert "WebSocket" not in warnings(api, "ru_1")
