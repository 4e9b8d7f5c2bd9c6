"""The real Envoy and the real agent between guests and a control plane that the test plays."""

from __future__ import annotations

import http.client
import json
import os
import random
import resource
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.local.processes import Processes
from tests.e2e.guests import Guest, echo, web_site
from tests.e2e.played_plane import ControlPlane
from tests.e2e.tools import KEY, Loop, free_port, until

ROOT = Path(__file__).parent.parent.parent


@dataclass(slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass(slots=True)
class World:
    """Everything that runs. `shared`: it is one more member at this control plane, which is not ours to end."""

    home: Path
    loop: Loop = field(default_factory=Loop)
    member: str = "i-proxy"
    shared: ControlPlane | None = None
    plane: ControlPlane = field(init=False)
    processes: Processes = field(init=False)
    block: str = field(default_factory=lambda: f"127.{random.randint(16, 250)}.{random.randint(1, 250)}")
    guests: list[Guest] = field(default_factory=list)
    tls_dir: tempfile.TemporaryDirectory[str] = field(
        default_factory=lambda: tempfile.TemporaryDirectory(prefix="autostop-", dir="/dev/shm")
    )
    health_port: int = 0
    _command: list[str] = field(default_factory=list)
    _envoy: list[str] = field(default_factory=list)
    _env: dict[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"{self.block}.200"

    @property
    def client(self) -> str:
        return f"{self.block}.50"

    @property
    def run_dir(self) -> Path:
        return self.home / "run"

    def set_up(self) -> None:
        self.processes = Processes(self.home / "logs")
        self.plane = self.shared or ControlPlane(self.loop)
        if self.shared is None:
            self.plane.come()
            self.plane.come_logs()
        self.home.joinpath("key").write_text(KEY)
        self.run_dir.mkdir()
        self.health_port = free_port(self.address)
        file = self.home / "agent.json"
        file.write_text(
            json.dumps(
                {
                    "api_url": f"http://127.0.0.1:{self.plane.port}",
                    "load_balancer_id": self.plane.id,
                    "member": self.member,
                    "key_file": str(self.home / "key"),
                    "region": "us-east-1",
                    "log_group": "/autostop/test/proxy",
                    "run_dir": str(self.run_dir),
                    "state_dir": str(self.home / "state"),
                    "bind_address": self.address,
                    "poll_seconds": 0.1,
                    "heartbeat_seconds": 1,
                    "periodic_seconds": 1,
                    "tls_dir": self.tls_dir.name,
                    "secret_seconds": 0.3,
                    "health_port": self.health_port,
                }
            )
        )
        self._env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.plane.logs_port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "PYTHONPATH": str(ROOT),
        }
        self._command = [sys.executable, "-m", "chalicelib.agent", "--config", str(file)]
        made = subprocess.run([*self._command, "--bootstrap"], cwd=ROOT, capture_output=True, text=True, check=True)
        self.start_agent()
        until((self.run_dir / "xds" / "lds" / "lds.json").exists)
        self._envoy = [str(ROOT / ".venv" / "bin" / "envoy"), *json.loads(made.stdout)]
        self.start_envoy()
        until(lambda: self.plane.applied(self.plane.etag, self.member), what="the first configuration applied")

    def end(self) -> None:
        self.processes.end()
        for guest in self.guests:
            guest.stop()
        if self.shared is None:
            self.plane.go()
            self.plane.go_logs()
            self.loop.end()
        self.tls_dir.cleanup()

    def start_agent(self) -> None:
        self.processes.start("agent", self._command, self._env)

    def start_envoy(self) -> None:
        self.processes.start("envoy", self._envoy, self._env)

    def status(self) -> tuple[int, str]:
        """What `--status` says, and its exit code."""
        asked = subprocess.run([*self._command, "--status"], cwd=ROOT, capture_output=True, text=True, check=False)
        return asked.returncode, asked.stdout

    def kill_agent(self) -> None:
        self._kill("agent")

    def kill_envoy(self) -> None:
        self._kill("envoy")

    def _kill(self, name: str) -> None:
        process = self.processes.running.pop(name)
        process.kill()
        process.wait()

    def disk_full_for_the_agent(self, *, full: bool) -> None:
        """Every write of the agent fails, on disk and on tmpfs (setrlimit(2): EFBIG, as Python ignores SIGXFSZ)."""
        limit = 0 if full else resource.RLIM_INFINITY
        resource.prlimit(self.processes.running["agent"].pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    def guest(self, talk: Any, tls: Any = None) -> Guest:
        address = f"{self.block}.{11 + len(self.guests)}"
        guest = Guest(self.loop, address, free_port(address), talk, tls)
        self.guests.append(guest)
        return guest

    def site(
        self, id_: str, host: str, port: int, talk: Any = web_site, protocol: str = "http", tls: Any = None, **more: Any
    ) -> Guest:
        """A rule for a host, in force, with its guest down. `protocol` is what the guest speaks, `tls` its context."""
        guest = self.guest(talk, tls)
        place = {"hosts": [host], "paths": ["/*"], "port": port, "target": guest.port}
        http_ = [place if protocol == "http" else place | {"protocol": protocol}]
        self.in_force(self.plane.publish({"id": id_, "targets": [guest.address], "http": http_} | more))
        return guest

    def shell(self, id_: str, talk: Any = echo, **more: Any) -> tuple[Guest, int]:
        """A rule for a TCP port, in force, with its guest down; `wake_on` and `allow` are the port's."""
        guest, listen = self.guest(talk), free_port(self.address)
        options = {name: more.pop(name) for name in ("wake_on", "allow") if name in more}
        tcp = [{"listen": listen, "target": guest.port, **options}]
        self.in_force(self.plane.publish({"id": id_, "targets": [guest.address], "tcp": tcp} | more))
        return guest, listen

    def in_force(self, etag: str) -> None:
        until(lambda: self.plane.applied(etag, self.member), what=f"{etag} applied")

    def balance(self, *cidrs: str) -> None:
        """The addresses of a balancer in front of the proxy, in force."""
        self.in_force(self.plane.balance(*cidrs))

    def heard(self, beats: int) -> None:
        """So many heartbeats came in all: what happened before the last but one is told."""
        until(lambda: len(self.plane.beats()) >= beats, what=f"{beats} heartbeats")

    def seen_up(self, rule_id: str) -> None:
        """The control plane was told that the rule accepts."""
        until(lambda: self._last_verdict(rule_id) is True, 15, what=f"{rule_id} accepts")

    def _last_verdict(self, rule_id: str) -> bool | None:
        told = [
            rule["accepts"] for report in list(self.plane.reports) for rule in report["rules"] if rule["id"] == rule_id
        ]
        return told[-1] if told else None

    def request(
        self, method: str, port: int, host: str, path: str = "/", body: bytes | None = None, **headers: str
    ) -> Answer:
        began = time.monotonic()
        connection = http.client.HTTPConnection(self.address, port, timeout=20, source_address=(self.client, 0))
        try:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, {"Host": host, **sent})
            answer = connection.getresponse()
            content = answer.read()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, names, content, time.monotonic() - began)
        finally:
            connection.close()

    def secure(self, port: int, host: str, chain: str) -> ssl.SSLSocket:
        """A connection over TLS by a client that trusts just this certificate."""
        context = ssl.create_default_context(cadata=chain)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.set_alpn_protocols(["http/1.1"])
        connection = self.connect(port)
        try:
            return context.wrap_socket(connection, server_hostname=host)
        except OSError:
            connection.close()
            raise

    def connect(self, port: int, source: str | None = None) -> socket.socket:
        return socket.create_connection((self.address, port), 20, (source or self.client, 0))
