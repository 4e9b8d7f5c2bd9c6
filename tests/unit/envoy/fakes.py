"""Stand-ins for the world of the agent: a clock that is moved by hand, a control plane, an Envoy, targets, a sink."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib.agent.beliefs import Beliefs
from chalicelib.agent.control_plane import Unreachable
from chalicelib.agent.envoy_admin import EnvoySilentError, Update
from chalicelib.agent.secret_source import SecretUnavailableError
from chalicelib.agent.settings import Settings
from chalicelib.envoy.compact import CompactConfig, parse_certificates, parse_rules, parse_states

START = datetime(2026, 1, 5, 8, tzinfo=UTC)


class HandClock:
    """Both clocks move together, and only when told; the time of day may be set."""

    def __init__(self) -> None:
        self.elapsed = 0.0
        self.wrong = 0.0

    def now(self) -> datetime:
        return START + timedelta(seconds=self.elapsed + self.wrong)

    def set(self, seconds: float) -> None:
        """Set the time of day so much ahead of what it was."""
        self.wrong += seconds

    def monotonic(self) -> float:
        return 1000.0 + self.elapsed

    def pass_time(self, seconds: float) -> None:
        self.elapsed += seconds


class FakePlane:
    """A control plane that can be away, and remembers what it was told."""

    def __init__(self) -> None:
        self.away = False
        self.etag = '"r1.s1"'
        self.carries: str | None = None
        self.config: dict[str, Any] = {"rules": {"items": []}, "states": {"items": []}, "resend_from": None}
        self.reports: list[dict[str, Any]] = []
        self.reported = asyncio.Event()
        self.woken: list[tuple[str, dict[str, Any]]] = []
        self.answer: dict[str, Any] = {"state": "starting", "phase": "asked to start", "startable": True}

    def publish(
        self,
        etag: str,
        rules: list[dict[str, Any]],
        states: list[dict[str, Any]] | None = None,
        certificates: list[dict[str, Any]] | None = None,
    ) -> None:
        self.etag = etag
        part = {"items": rules} | ({"certificates": certificates} if certificates else {})
        self.config = {"rules": part, "states": {"items": states or []}, "resend_from": None}

    async def poll(self, etag: str | None) -> tuple[str, dict[str, Any]] | None:
        self._there()
        return None if etag == self.etag else (self.etag, self.config)

    async def warm_up(self, rule_ids: list[str], cause: dict[str, Any]) -> list[dict[str, Any]]:
        self.woken += [(id_, cause) for id_ in rule_ids]
        self._there()
        return [{"id": id_, **self.answer} for id_ in rule_ids]

    async def report(self, report: dict[str, Any]) -> None:
        self._there()
        self.reports.append(report)
        self.reported.set()

    def _there(self) -> None:
        if self.away:
            raise Unreachable("away")


class FakeEnvoy:
    """An Envoy that takes what it is told it has, refuses kinds on order, and can be gone."""

    def __init__(self) -> None:
        self.gone = False
        self.live = True
        self.has: dict[str, str] = {}
        self.refused: dict[str, int] = {}
        self.words: list[str] = []
        self.lost = 0
        self.asked = 0
        self.reopened = 0

    async def updates(self) -> dict[str, Update]:
        self.asked += 1
        self._there()
        kinds = self.has.keys() | self.refused.keys()
        return {kind: Update(self.has.get(kind, ""), self.refused.get(kind, 0)) for kind in kinds}

    async def refused_listeners(self) -> list[str]:
        self._there()
        return list(self.words)

    async def failed_writes(self) -> int:
        self._there()
        return self.lost

    async def is_live(self) -> bool:
        self.asked += 1
        self._there()
        return self.live

    async def reopen_logs(self) -> None:
        self._there()
        self.reopened += 1

    def _there(self) -> None:
        if self.gone:
            raise EnvoySilentError("gone")


class FakeSink:
    """CloudWatch Logs that can be away."""

    def __init__(self) -> None:
        self.away = False
        self.put_lines: list[list[str]] = []

    def put(self, lines: list[str], at: datetime) -> None:
        if self.away:
            raise OSError("away")
        self.put_lines.append(lines)


class FakeSecrets:
    """A Secrets Manager: a version for each text that was put, and it can be away."""

    def __init__(self) -> None:
        self.away = False
        self.texts: dict[str, list[str]] = {}
        self.reads: list[str] = []
        self.asked = 0

    def put(self, **texts: str) -> None:
        for name, text in texts.items():
            self.texts.setdefault(arn(name), []).append(text)

    def version(self, arn: str) -> str:
        self.asked += 1
        return f"v{len(self._of(arn))}"

    def read(self, arn: str) -> str:
        self.reads.append(arn)
        return self._of(arn)[-1]

    def _of(self, arn: str) -> list[str]:
        if self.away:
            raise SecretUnavailableError("Could not connect to the endpoint URL")
        if arn not in self.texts:
            raise SecretUnavailableError("Secrets Manager can't find the specified secret.")
        return self.texts[arn]


def arn(name: str) -> str:
    return f"arn:aws:secretsmanager:us-east-1:123456789012:secret:{name}"


def pair(name: str, *hosts: str) -> dict[str, Any]:
    """A certificate of the configuration, whose secrets are NAME_cert and NAME_key."""
    return {"hosts": list(hosts), "certificate": arn(f"{name}_cert"), "private_key": arn(f"{name}_key")}


def settings(tmp_path, api_url: str = "http://x") -> Settings:
    return Settings(
        api_url,
        "lb_1",
        "i-1",
        "us-east-1",
        "/g",
        tmp_path / "run",
        tmp_path / "state",
        tmp_path / "key",
        health_port=None,
    )


def site(id_: str = "ru_1", **more: Any) -> dict[str, Any]:
    http = [{"hosts": [f"{id_.replace('_', '-')}.example.com"], "port": 80, "target": 8080}]
    return {"id": id_, "targets": ["10.0.0.5"], "http": http} | more


def shell(id_: str = "ru_2", listen: int = 20001, **more: Any) -> dict[str, Any]:
    return {"id": id_, "targets": ["10.0.0.6"], "tcp": [{"listen": listen, "target": 22}]} | more


def believe(
    clock: HandClock,
    *rules: dict[str, Any],
    states: tuple[dict[str, Any], ...] = (),
    certificates: tuple[dict[str, Any], ...] = (),
) -> Beliefs:
    """Beliefs of a proxy that has polled these rules."""
    beliefs = Beliefs()
    config = CompactConfig(parse_rules(rules), parse_states(states), parse_certificates(certificates))
    beliefs.adopt(config, '"r1.s1"', clock.now())
    return beliefs


def drain(id_: str, until: datetime) -> dict[str, Any]:
    return {"rule": id_, "drain_until": until.isoformat()}
