"""The bootstrap of docs/how-to/bring-your-own-envoy.md on the real Envoy: what it writes is what `proxy_logs` takes."""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import random
import re
import socket
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from chalicelib.adapters.memory.clock import SequentialIds, VirtualClock
from chalicelib.adapters.memory.stores import MemoryStores
from chalicelib.entrypoints.subscriptions import unpack
from chalicelib.usecases.ingest_activity import Ingest
from scripts.local.processes import Processes
from tests.builders import make_balancer, make_rule, ssh_rule
from tests.e2e.guests import Guest, echo, web_site
from tests.e2e.tools import Loop, free_port, receive, until

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs/how-to/bring-your-own-envoy.md").read_text()
GROUP = "/autostop/test/proxy"
pytestmark = pytest.mark.e2e


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def replaced(text: str, **changes: str) -> str:
    """Each of them has to be in the page, or the test would be of something else."""
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


@dataclass
class OwnEnvoy:
    home: Path
    loop: Loop = field(default_factory=Loop)
    block: str = field(default_factory=lambda: f"127.{random.randint(16, 250)}.{random.randint(1, 250)}")

    def __post_init__(self) -> None:
        self.processes = Processes(self.home / "logs")
        self.address = f"{self.block}.200"
        self.http, self.tcp = free_port(self.address), free_port(self.address)
        self.site = Guest(self.loop, f"{self.block}.11", free_port(f"{self.block}.11"), web_site)
        self.shell = Guest(self.loop, f"{self.block}.12", free_port(f"{self.block}.12"), echo)
        self.log = self.home / "autostop.log"

    def start(self) -> None:
        (bootstrap,) = blocks("yaml")
        file = self.home / "envoy.yaml"
        changes = {
            "port_value: 8080": f"port_value: {self.site.port}",
            "port_value: 80}": f"port_value: {self.http}}}",
            "port_value: 20001": f"port_value: {self.tcp}",
            "port_value: 22}": f"port_value: {self.shell.port}}}",
            "10.0.1.5": self.site.address,
            "10.0.1.6": self.shell.address,
            "address: 0.0.0.0,": f"address: {self.address},",
            "/run/envoy/admin.sock": str(self.home / "admin.sock"),
            "/var/log/envoy/autostop.log": str(self.log),
            "@envoy-autostop-heartbeat": f"@envoy-autostop-heartbeat-{self.address}",
            "interval: 30s": "interval: 1s",  # both of them
            "access_log_flush_interval: 60s": "access_log_flush_interval: 1s",
        }
        file.write_text(replaced(bootstrap, **changes))
        self.site.start()
        self.shell.start()
        flags = ["--concurrency", "2", "--disable-hot-restart", "--file-flush-min-size-kb", "0", "-l", "warning"]
        envoy = str(ROOT / ".venv" / "bin" / "envoy")
        self.processes.start("envoy", [envoy, "--config-path", str(file), *flags])
        until(lambda: self.of("autostop:heartbeat"), what="the first heartbeat")

    def end(self) -> None:
        self.processes.end()
        self.site.stop()
        self.shell.stop()
        self.loop.end()

    def lines(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    def of(self, rule: str, type_: str | None = None) -> list[dict]:
        found = [json.loads(line) for line in self.lines()]
        return [line for line in found if line["rule"] == rule and type_ in {None, line["type"]}]

    def get(self, path: str, host: str = "app.example.com") -> int:
        connection = http.client.HTTPConnection(self.address, self.http, timeout=10)
        try:
            connection.request("GET", path, headers={"Host": host})
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        return socket.create_connection((self.address, self.tcp), 10)


@pytest.fixture(scope="module")
def envoy(tmp_path_factory):
    own = OwnEnvoy(tmp_path_factory.mktemp("own"))
    try:
        own.start()
        yield own
    finally:
        own.end()


@dataclass
class Plane:
    """`proxy_logs` on adapters in memory, at the time of the wall."""

    def __post_init__(self) -> None:
        self.clock = VirtualClock(datetime.now(UTC))
        self.stores = s = MemoryStores(self.clock)
        s.balancers.create(make_balancer())
        s.rules.create(make_rule("ru_site"), None)
        s.rules.create(ssh_rule("ru_shell"), None)
        ids, minute = SequentialIds(), timedelta(minutes=1)
        self.ingest = Ingest(s.activity, s.proxies, s.balancers, s.events, self.clock, ids, minute)

    def take(self, lines: list[str], stream: str = "lb_1/i-proxy"):
        """As CloudWatch Logs sends them: each at the time of its reading."""
        self.clock.advance(datetime.now(UTC) - self.clock.now())
        at = int(self.clock.now().timestamp() * 1000)
        events = [{"id": f"{n:056d}", "timestamp": at, "message": line} for n, line in enumerate(lines)]
        payload = {"messageType": "DATA_MESSAGE", "logGroup": GROUP, "logStream": stream, "logEvents": events}
        packed = base64.b64encode(gzip.compress(json.dumps(payload).encode())).decode()
        payload = unpack({"awslogs": {"data": packed}}, GROUP)
        return self.ingest.run_payload(payload.stream, payload.events)

    def last(self, rule: str) -> datetime | None:
        return max((last.at for last in self.stores.activity.facts(rule).last), default=None)

    def span(self):
        sources = self.stores.proxies.sources("lb_1")
        return sources[0].span if sources else None


def at(line: dict) -> datetime:
    return datetime.fromisoformat(line["start_time"])


def use(envoy: OwnEnvoy) -> None:
    """Both rules, to the end of the connection."""
    ends = len(envoy.of("ru_shell", "TcpConnectionEnd"))
    assert envoy.get("/page") == 200
    with envoy.connect() as connection:
        connection.sendall(b"whoami")
        assert receive(connection, 6) == b"whoami"
    until(lambda: len(envoy.of("ru_shell", "TcpConnectionEnd")) > ends and envoy.of("ru_site", "DownstreamEnd"))


def test_requests_and_connections_are_activity_of_their_rules_with_their_bytes(envoy):
    before = datetime.now(UTC)
    use(envoy)
    plane = Plane()
    report = plane.take(envoy.lines())
    assert (report.malformed, report.unknown, report.rules) == (0, 0, 2)
    for rule in ("ru_site", "ru_shell"):
        assert before <= plane.last(rule) <= plane.clock.now()
    (end,) = envoy.of("ru_shell", "TcpConnectionEnd")
    assert (int(end["bytes_received"]), int(end["bytes_sent"])) == (6, 6)


def test_the_heartbeat_comes_by_itself_and_proves_the_time_up_to_it(envoy):
    had = len(envoy.of("autostop:heartbeat"))
    until(lambda: len(envoy.of("autostop:heartbeat")) >= had + 3, what="three more heartbeats")
    lines = envoy.lines()
    beats = [at(line) for line in envoy.of("autostop:heartbeat")]
    gaps = [(later - sooner).total_seconds() for sooner, later in pairwise(beats)]
    assert max(gaps) < 45, gaps
    plane = Plane()
    report = plane.take(lines)
    assert report.beats >= 3
    assert plane.span().end >= beats[-2]
    assert plane.span().start <= beats[0]


def test_without_the_heartbeat_line_nothing_is_proven_whatever_else_there_is(envoy):
    use(envoy)
    plane = Plane()
    report = plane.take([line for line in envoy.lines() if "autostop:heartbeat" not in line])
    assert report.rules == 2
    assert report.beats == 0
    assert plane.span() is None


def test_a_stream_that_names_nobody_proves_nothing(envoy):
    plane = Plane()
    report = plane.take([json.dumps(line) for line in envoy.of("autostop:heartbeat")], "i-proxy")
    assert report.malformed == report.lines > 0
    assert plane.span() is None


def test_a_connection_that_stands_open_is_in_use_all_the_time(envoy):
    with envoy.connect():
        had = len(envoy.of("ru_shell", "TcpPeriodic"))
        until(lambda: len(envoy.of("ru_shell", "TcpPeriodic")) >= had + 2, what="two periodic lines")
        plane = Plane()
        # Its start_time is that of its beginning: what counts is when the line was read.
        plane.take([json.dumps(envoy.of("ru_shell", "TcpPeriodic")[-1])])
        assert plane.clock.now() - plane.last("ru_shell") < timedelta(seconds=1)


def test_what_names_no_rule_is_skipped(envoy):
    had, used = len(envoy.lines()), len(envoy.of("ru_site"))

    def nobodys() -> list[str]:
        return [line for line in envoy.lines()[had:] if json.loads(line)["rule"] is None]

    assert envoy.get("/healthz") == 200
    assert envoy.get("/", "unknown.example.com") == 404
    until(lambda: len(nobodys()) >= 4, what="start and end of both")
    assert len(envoy.of("ru_site")) == used
    report = Plane().take(nobodys())
    assert report.malformed == report.lines >= 4
    assert report.rules == 0


def test_the_page_says_what_envoy_is_given_and_the_cloudwatch_agent_reads_what_envoy_writes():
    (bootstrap,), (agent,) = blocks("yaml"), blocks("json")
    assert "interval: 30s\n      no_traffic_interval: 30s" in bootstrap
    (file,) = json.loads(agent)["logs"]["logs_collected"]["files"]["collect_list"]
    assert file["log_group_name"] == "/autostop/STAGE/proxy"
    stream = file["log_stream_name"].replace("{instance_id}", "i-0123456789abcdef0")
    assert set(re.findall(r"path: (/var\S+)", bootstrap)) == {file["file_path"]}
    plane = Plane()
    line = {"rule": "autostop:heartbeat", "start_time": datetime.now(UTC).isoformat()}
    report = plane.take([json.dumps(line)], stream)
    assert (report.malformed, report.unknown) == (0, 1)  # well-formed, of a load balancer that is not here


def test_a_rotated_log_is_written_on_in_a_new_file(envoy):
    rotated = envoy.home / "autostop.log.1"
    envoy.log.rename(rotated)
    admin = envoy.home / "admin.sock"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(admin))
        connection.sendall(b"POST /reopen_logs HTTP/1.1\r\nhost: envoy\r\ncontent-length: 0\r\n\r\n")
        assert b"200" in connection.recv(200)
    until(lambda: envoy.of("autostop:heartbeat"), what="a heartbeat in the new file")
    rotated.unlink()
