"""The real agent and the real Envoy on a block of loopback addresses of their own, ended with everything they made."""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import socket
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from scripts.benches.proxy.plane import BALANCER, Plane
from scripts.local.processes import Processes
from scripts.local.stack import ROOT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

ENVOY = str(ROOT / ".venv" / "bin" / "envoy")
KEY = "ak_bench_" + "s" * 24


@dataclass(slots=True)
class Stage:
    """One proxy, and the control plane that it asks."""

    home: Path
    plane: Plane
    processes: Processes
    block: str
    _ports: set[int] = field(default_factory=set)

    @property
    def address(self) -> str:
        """The proxy's."""
        return f"{self.block}.200"

    @property
    def target(self) -> str:
        """All the targets'."""
        return f"{self.block}.11"

    def free_port(self, address: str | None = None) -> int:
        """One that nobody has, and that was not given out before."""
        while True:
            with socket.socket() as found:
                found.bind((address or self.address, 0))
                port: int = found.getsockname()[1]
            if port not in self._ports:
                self._ports.add(port)
                return port

    def reserve(self) -> socket.socket:
        """A port of the targets that refuses until somebody listens on this socket."""
        kept = socket.socket()
        kept.bind((self.target, 0))
        return kept

    async def in_force(self, *rules: dict[str, Any]) -> None:
        """Publish rules and wait until Envoy has them."""
        etag = self.plane.publish(*rules)
        await self.until(lambda: etag in self.plane.applied, f"{etag} applied")

    async def until(self, condition: Callable[[], object], what: str, seconds: float = 60) -> None:
        """Look again and again. Raises RuntimeError when it takes too long, or one of the programs has ended."""
        deadline = time.monotonic() + seconds
        while not condition():
            self.processes.check()
            if time.monotonic() > deadline:
                raise RuntimeError(f"not within {seconds} s: {what}; rejected: {self.plane.rejected}")
            await asyncio.sleep(0.01)


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """Start the programs with the intervals that they have in production, but for the poll."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    shared = Path("/dev/shm")  # noqa: S108  (the access log is on tmpfs in production)
    with TemporaryDirectory(prefix="autostop-bench-", dir=shared if os.access(shared, os.W_OK) else None) as home:
        block = f"127.{random.randint(16, 250)}.{random.randint(1, 250)}"  # noqa: S311  (no secret)
        made = Stage(Path(home), Plane(), Processes(Path(home) / "logs"), block)
        await made.plane.come()
        try:
            await _start(made)
            yield made
        finally:
            await asyncio.to_thread(made.processes.end)  # the agent says a last word to us
            await made.plane.go()


async def _start(made: Stage) -> None:
    run = made.home / "run"
    run.mkdir()
    made.home.joinpath("key").write_text(KEY)
    file = made.home / "agent.json"
    url = f"http://127.0.0.1:{made.plane.port}"
    settings = {
        "api_url": url,
        "load_balancer_id": BALANCER,
        "member": "i-bench",
        "key_file": str(made.home / "key"),
        "region": "us-east-1",
        "log_group": "/autostop/bench/proxy",
        "run_dir": str(run),
        "state_dir": str(made.home / "state"),
        "bind_address": made.address,
        "poll_seconds": 0.2,
    }
    file.write_text(json.dumps(settings))
    env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    env |= {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "chalicelib.agent", "--config", str(file)]
    asked = await asyncio.create_subprocess_exec(
        *command, "--bootstrap", cwd=ROOT, env=env, stdout=asyncio.subprocess.PIPE
    )
    arguments, _ = await asked.communicate()
    made.processes.start("agent", command, env)
    await made.until((run / "xds" / "lds" / "lds.json").exists, "the agent's first files")
    made.processes.start("envoy", [ENVOY, *json.loads(arguments)], env)
    await made.until(lambda: made.plane.etag in made.plane.applied, "the first configuration applied")
