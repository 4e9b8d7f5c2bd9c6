"""The control plane, CloudWatch Logs and Secrets Manager, played by the test."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.e2e.tools import KEY, free_port

if TYPE_CHECKING:
    from tests.e2e.tools import Loop


class ControlPlane:
    """Configuration with ETags, reports, wakes; and CloudWatch Logs and secrets beside it. Both can be away.

    `throttled`: CloudWatch Logs refuses every call. `nonsense`: the configuration is this, whatever was published.
    """

    id = "lb_test"

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self.port, self.logs_port = free_port("127.0.0.1"), free_port("127.0.0.1")
        self.rules: dict[str, dict[str, Any]] = {}
        self.states: dict[str, dict[str, Any]] = {}
        self.versions = {"rules": 1, "states": 1}
        self.resend_from: str | None = None
        self.reports: list[dict[str, Any]] = []
        self.wakes: list[tuple[str, dict[str, Any]]] = []
        self.lines: list[dict[str, Any]] = []
        self.certificates: list[dict[str, Any]] = []
        self.balancer_cidrs: list[str] = []
        self.secrets: dict[str, list[str]] = {}
        self.throttled = False
        self.refused_calls = 0
        self.nonsense: bytes | None = None
        self.nonsense_handed = 0
        self._runner: web.AppRunner | None = None
        self._logs: web.AppRunner | None = None

    @property
    def etag(self) -> str:
        return f"r{self.versions['rules']}.s{self.versions['states']}"

    def publish(self, *rules: dict[str, Any], states: tuple[dict[str, Any], ...] = ()) -> str:
        """Add or replace; answers the name of the configuration."""
        if rules:
            self.rules |= {rule["id"]: rule for rule in rules}
            self.versions["rules"] += 1
        if states:
            self.states |= {state["rule"]: state for state in states}
            self.versions["states"] += 1
        return self.etag

    def certify(self, name: str, *hosts: str) -> str:
        """A certificate of the load balancer, whose secrets are NAME-cert and NAME-key."""
        at = "arn:aws:secretsmanager:us-east-1:123456789012:secret"
        pair = {"hosts": list(hosts), "certificate": f"{at}:{name}-cert", "private_key": f"{at}:{name}-key"}
        self.certificates.append(pair)
        self.versions["rules"] += 1
        return self.etag

    def balance(self, *cidrs: str) -> str:
        """A balancer stands before the proxy, whose own addresses are these; none: there is none."""
        self.balancer_cidrs = list(cidrs)
        self.versions["rules"] += 1
        return self.etag

    def put_secret(self, name: str, chain: str, key: str) -> None:
        """The next version of both secrets of a certificate."""
        for kind, text in (("cert", chain), ("key", key)):
            self.secrets.setdefault(f"{name}-{kind}", []).append(text)

    def certificate_status(self, name: str) -> str | None:
        """What the proxy last said of a certificate."""
        told = [report["secrets"] for report in list(self.reports) if "secrets" in report]
        found = [line["status"] for line in (told[-1] if told else []) if line["arn"].endswith(f":{name}-cert")]
        return found[0] if found else None

    def withdraw(self, rule_id: str) -> str:
        self.rules.pop(rule_id)
        self.versions["rules"] += 1
        return self.etag

    def applied(self, etag: str, member: str = "i-proxy") -> bool:
        return any((r["config"], r["member"]) == (etag, member) and "applied" in r for r in list(self.reports))

    def woken(self, rule_id: str) -> list[dict[str, Any]]:
        return [cause for id_, cause in list(self.wakes) if id_ == rule_id]

    def beats(self) -> list[dict[str, Any]]:
        return [line for line in list(self.lines) if "observed_through" in line]

    def summaries(self, rule_id: str) -> list[dict[str, Any]]:
        return [line for line in list(self.lines) if line.get("rule") == rule_id]

    def come(self) -> None:
        self._runner = self._loop.run(self._serve(self.port, self._routes()))

    def come_logs(self) -> None:
        self._logs = self._loop.run(self._serve(self.logs_port, [web.post("/", self._put)]))

    @property
    def is_there(self) -> bool:
        return self._runner is not None

    def go(self) -> None:
        if self._runner is not None:
            self._loop.run(self._runner.cleanup())
        self._runner = None

    def go_logs(self) -> None:
        if self._logs is not None:
            self._loop.run(self._logs.cleanup())
        self._logs = None

    def _routes(self) -> list[web.RouteDef]:
        base = f"/load-balancers/{self.id}"
        return [
            web.get(f"{base}/config", self._config),
            web.post(f"{base}/warm-up", self._warm_up),
            web.post(f"{base}/report", self._report),
        ]

    async def _serve(self, port: int, routes: list[web.RouteDef]) -> web.AppRunner:
        app = web.Application(client_max_size=1 << 26)
        app.add_routes(routes)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        return runner

    async def _config(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == f"Bearer {KEY}"
        if self.nonsense is not None:
            self.nonsense_handed += 1
            return web.Response(body=self.nonsense, headers={"ETag": '"r0.s0"'}, content_type="application/json")
        known = request.headers.get("If-None-Match", "").strip('"')
        if known == self.etag and self.resend_from is None:
            return web.Response(status=304)
        rules, states = f"r{self.versions['rules']}", f"s{self.versions['states']}"
        part = {"etag": rules, "items": list(self.rules.values()), "certificates": self.certificates}
        part |= {"balancer_cidrs": self.balancer_cidrs} if self.balancer_cidrs else {}
        body = {
            "load_balancer_id": "lb_test",
            "rules": None if known.startswith(f"{rules}.") else part,
            "states": None if known.endswith(f".{states}") else {"etag": states, "items": list(self.states.values())},
            "resend_from": self.resend_from,
        }
        return web.json_response(body, headers={"ETag": f'"{self.etag}"'})

    async def _warm_up(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.wakes += [(id_, body["cause"]) for id_ in body["rule_ids"]]
        answers = [{"id": id_, "state": "starting", "phase": "starting", "startable": True} for id_ in body["rule_ids"]]
        return web.json_response({"rules": answers}, status=202)

    async def _report(self, request: web.Request) -> web.Response:
        self.reports.append(await request.json())
        return web.Response(status=204)

    async def _put(self, request: web.Request) -> web.Response:
        """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html."""
        target = request.headers["X-Amz-Target"]
        if target.startswith("secretsmanager."):
            return self._secret(target, json.loads(await request.read())["SecretId"])
        if self.throttled:
            self.refused_calls += 1
            body = {"__type": "ThrottlingException", "message": "Rate exceeded"}
            return web.Response(status=400, text=json.dumps(body), content_type="application/x-amz-json-1.1")
        if target.endswith(".PutLogEvents"):
            body = json.loads(await request.read())
            assert body["logStreamName"] == "lb_test/i-proxy"
            self.lines += [json.loads(event["message"]) for event in body["logEvents"]]
        return web.Response(text="{}", content_type="application/x-amz-json-1.1")

    def _secret(self, target: str, arn: str) -> web.Response:
        """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html and DescribeSecret."""
        json_type = "application/x-amz-json-1.1"
        versions = self.secrets.get(arn.rpartition(":")[2])
        if not versions:
            body = {
                "__type": "ResourceNotFoundException",
                "Message": "Secrets Manager can't find the specified secret.",
            }
            return web.Response(status=400, text=json.dumps(body), content_type=json_type)
        current = f"{len(versions):032d}"
        answer: dict[str, Any] = {
            "ARN": arn,
            "VersionIdsToStages": {current: ["AWSCURRENT"], "0" * 32: ["AWSPREVIOUS"]},
        }
        if target.endswith(".GetSecretValue"):
            answer = {"ARN": arn, "VersionId": current, "SecretString": versions[-1]}
        return web.Response(text=json.dumps(answer), content_type=json_type)
