"""MiniStack as a child process, with IAM enforced, on loopback only."""

from __future__ import annotations

import os
import random
import shutil
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import httpx
from botocore.config import Config

from scripts.local.processes import python

if TYPE_CHECKING:
    from pathlib import Path

    from scripts.local.processes import Processes

REGION = "us-east-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION}
READY_SECONDS = 60


def free_port(address: str = "127.0.0.1") -> int:
    """A port that nobody listens on now."""
    with socket.socket() as found:
        found.bind((address, 0))
        port: int = found.getsockname()[1]
        return port


def block() -> str:
    """A random /24 of the loopback network, so that two demos can run beside each other: `127.x.y`."""
    return f"127.{random.randint(16, 250)}.{random.randint(1, 250)}"  # noqa: S311


@dataclass(frozen=True, slots=True)
class Cloud:
    """A running MiniStack."""

    url: str

    def client(self, service: str) -> Any:  # noqa: ANN401
        """A boto3 client of the account's owner."""
        return boto3.client(  # type: ignore[call-overload]
            service,
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106
            config=Config(retries={"total_max_attempts": 2}, read_timeout=60, connect_timeout=5),
        )


def start(processes: Processes, home: Path, program: tuple[str, ...] = ("-m", "ministack")) -> Cloud:
    """Start it and wait until it answers. Raises RuntimeError with where to look.

    `program`: what Python is to run, for tests that need more of EC2 than it has.
    """
    port = free_port()
    temporary = home / "tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    url = f"http://127.0.0.1:{port}"
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        **CREDENTIALS,
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "AUTH": "true",
        "TMPDIR": str(temporary),
        "LOG_LEVEL": "WARNING",
    }
    child = processes.start("ministack", [python(), *program], env)
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if child.poll() is not None:
            break
        try:
            if httpx.get(f"{url}/_ministack/health", timeout=1).status_code == httpx.codes.OK:
                return Cloud(url)
        except httpx.HTTPError:
            time.sleep(0.1)
    raise RuntimeError(f"MiniStack did not come up on port {port}; see {processes.logs / 'ministack.log'}")
