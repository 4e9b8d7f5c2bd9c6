"""A VM's first boot as far as it goes without systemd: a stub `aws`, a real HTTP server, and eyes on every process."""

from __future__ import annotations

import os
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

AWS = """#!/bin/bash
printf '%s\\0' "$@" >>"$AWS_STUB/arguments"
printf 'x' >>"$AWS_STUB/calls"
if (($(wc -c <"$AWS_STUB/calls") < $(<"$AWS_STUB/gives"))); then
  echo 'An error occurred (AccessDeniedException) when calling the GetSecretValue operation' >&2
  exit 254
fi
cat "$AWS_STUB/key"
"""


def processes() -> dict[int, bytes]:
    """Arguments and environment of every process that runs."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            found[int(process.name)] = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
    return found


@dataclass
class Api:
    """Answers `script` to whoever has the key. `seen` is what it was asked, and with which processes running."""

    key: str
    script: bytes
    url: str = ""
    paths: list[str] = field(default_factory=list)
    seen: list[dict[int, bytes]] = field(default_factory=list)
    scratch: list[bytes] = field(default_factory=list)


@contextmanager
def served(api: Api, scratch: Path) -> Iterator[Api]:
    """On a free port of the loopback interface."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # The client waits for this answer: it, and the shell that started it, are running.
            api.paths.append(self.path)
            api.seen.append(processes())
            api.scratch += contents(scratch)
            right = self.headers["Authorization"] == f"Bearer {api.key}"
            self.send_response(200 if right else 401)
            self.end_headers()
            self.wfile.write(api.script if right else b"{}")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api.url = f"http://127.0.0.1:{server.server_port}/api"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def contents(folder: Path) -> list[bytes]:
    """Of every file below it."""
    return [file.read_bytes() for file in folder.rglob("*") if file.is_file()]


@dataclass
class Vm:
    """A clean directory: `root` for what is installed, `scratch` for temporary files, a PATH with the stub first."""

    home: Path
    key: str
    gives: int = 1

    def __post_init__(self) -> None:
        self.root, self.scratch, self.stub, work = (self.home / n for n in ("root", "scratch", "stub", "work"))
        for folder in (self.root, self.scratch, self.stub / "bin", work):
            folder.mkdir(parents=True)
        (self.stub / "bin/aws").write_text(AWS)
        (self.stub / "bin/aws").chmod(0o755)
        (self.stub / "key").write_text(f"{self.key}\n")
        (self.stub / "gives").write_text(f"{self.gives}")
        (self.home / "user-data").touch()

    def boot(self, user_data: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it as cloud-init does, from a file; without a pause between the tries."""
        file = self.home / "user-data"
        file.write_text(user_data)
        env = {
            "PATH": f"{self.stub / 'bin'}:/usr/bin:/bin",
            "TMPDIR": str(self.scratch),
            "AWS_STUB": str(self.stub),
            "AUTOSTOP_PAUSE": "0",
            "LC_ALL": os.environ.get("LC_ALL", "C.UTF-8"),
        }
        return subprocess.run(
            ["bash", str(file), *arguments],
            cwd=self.home / "work",
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def install(self, user_data: str) -> subprocess.CompletedProcess[str]:
        """Boot it, below `root` only."""
        return self.boot(user_data, "--root", str(self.root), "--no-system", "--member", "i-1")

    def asked(self) -> list[str]:
        """All arguments of all calls of `aws`."""
        return (self.stub / "arguments").read_text().split("\0")[:-1]

    def calls(self) -> int:
        """How often `aws` was asked."""
        return len((self.stub / "calls").read_text())
