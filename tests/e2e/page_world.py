"""A load balancer as a browser meets it: the warm-up function behind a port, until the instances have the traffic."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from chalicelib.bootstrap import traffic
from chalicelib.domain.albs import AlbSettings, Theme
from chalicelib.domain.routes import HttpRoute
from chalicelib.entrypoints.warm_up import warm_up
from chalicelib.usecases.answer_traffic import AnswerTraffic
from tests.builders import make_balancer, make_rule
from tests.unit.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from chalicelib.domain.rules import RuleStatus

HOST = "app.localhost"
GROUP = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/as-lb-alb/6d0ecf831eec9f09"
CONTEXT = SimpleNamespace(get_remaining_time_in_millis=lambda: 29_000)


class PageWorld:
    """`up`: whether the instances have the traffic; `turning`: so many 502 come first. Time is the world's own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = World()
        self.up = False
        self.turning = 0
        self.asked: list[str] = []
        w, s = self.world, self.world.stores
        theme = Theme("Staging", None, "#0f5132", "Questions? Ask the platform team.")
        s.balancers.create(make_balancer("lb_alb", alb=AlbSettings("internal", "*.localhost", theme=theme)))
        answers = AnswerTraffic(w.warm_up, s.rules, s.proxies, s.balancers, s.events, w.clock)
        monkeypatch.setattr(traffic, "answer_traffic", lambda: answers)

    def rule(self, status: RuleStatus, id_: str = "ru_page", **changes: Any) -> None:
        """A rule on the load balancer, or in its next status."""
        stored = self.world.stores.rules
        if id_ in stored._rules:
            stored._rules[id_] = stored._rules[id_].with_status(status)
            return
        settings = {"load_balancer_id": "lb_alb", "http": (HttpRoute((HOST,), target_port=8080),)}
        rule = make_rule(id_, status, resource_ids=(f"i-{id_}",), **(settings | changes))
        compact = f'{{"id": "{id_}", "http": [{{"hosts": ["{HOST}"], "paths": ["/*"], "port": 80}}]}}'
        stored.create(rule, compact if rule.spec.http else None, None, {n.rule_id: 1 for n in rule.spec.depends_on})

    @contextmanager
    def serve(self) -> Iterator[str]:
        """Its address."""
        world = self

        class Balancer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                world.asked.append(self.path)
                answer = {"statusCode": 200, "headers": {"Content-Type": "text/html"}, "body": "<h1>The app</h1>"}
                if world.up and world.turning:
                    world.turning -= 1
                    answer = {"statusCode": 502, "headers": {"Content-Type": "text/html"}, "body": "502 Bad Gateway"}
                elif not world.up:
                    answer = warm_up(world.event(self.command, self.path, dict(self.headers)), CONTEXT)
                body = answer["body"].encode()
                self.send_response(answer["statusCode"])
                for name, value in answer["headers"].items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Balancer)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://{HOST}:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def event(self, method: str, url: str, headers: dict[str, str]) -> dict[str, Any]:
        """What an ALB makes of a request."""
        added = {"x-forwarded-for": "203.0.113.7", "x-forwarded-port": "80", "x-forwarded-proto": "http"}
        return {
            "requestContext": {"elb": {"targetGroupArn": GROUP}},
            "httpMethod": method,
            "path": urlsplit(url).path,
            "queryStringParameters": {},
            "headers": {name.lower(): value for name, value in headers.items()} | added,
            "body": "",
            "isBase64Encoded": False,
        }
