"""Envoy's files of secrets: on tmpfs, for one user, written whole or not at all."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from chalicelib.envoy.certificates import secret, secret_file
from chalicelib.envoy.pem import BadPairError, Pair, examine

_IN_MEMORY = {"tmpfs", "ramfs"}


_LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")
_OTHERS = 67
"""Instances of inotify for LDS, CDS and the routes of 64 ports, one for each. Envoy aborts when it runs out of them."""


class OnDiskError(Exception):
    """The directory would put private keys on a disk."""


class Vault:
    """One directory. What is in it survives the agent, but not the machine."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        directory.chmod(0o700)
        self._in_memory = filesystem_of(directory) in _IN_MEMORY

    def names(self) -> set[str]:
        """The secrets that are there."""
        return {path.stem for path in self._directory.glob("*.json")}

    def put(self, name: str, pair: Pair) -> None:
        """Envoy sees the old pair or the new one. Raises OnDiskError, OSError."""
        if not self._in_memory:
            raise OnDiskError(f"{self._directory} is not on tmpfs; private keys are not written to a disk")
        file = secret_file(self._directory, name)
        resources = [secret(name, pair.chain, pair.key)]
        text = json.dumps({"version_info": f"{time.time_ns():x}", "resources": resources})
        beside = file.with_name(f".{file.name}.new")
        beside.unlink(missing_ok=True)
        # Made with its mode: there is no moment at which others could read it.
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(text)
        beside.rename(file)

    def get(self, name: str) -> Pair | None:
        """What a predecessor of ours left; None for nothing, or nothing of use."""
        try:
            resource = json.loads(secret_file(self._directory, name).read_text())["resources"][0]
            pem = resource["tls_certificate"]
            return examine(pem["certificate_chain"]["inline_string"], pem["private_key"]["inline_string"])
        except (OSError, ValueError, KeyError, IndexError, TypeError, BadPairError):
            return None

    def drop(self, name: str) -> None:
        """Forget a secret."""
        secret_file(self._directory, name).unlink(missing_ok=True)


def most_secrets() -> int:
    """How many secrets Envoy can watch on this machine, one instance of inotify for each."""
    return max(0, int(_LIMIT.read_text()) - _OTHERS)


def filesystem_of(path: Path) -> str:
    """The type of the file system that a path lies on, as Linux tells it."""
    wanted, best, found = str(path.resolve()), "", ""
    with open("/proc/self/mountinfo", encoding="utf-8") as lines:  # noqa: PTH123
        for line in lines:
            fields = line.split()
            point = fields[4].replace("\\040", " ")
            inside = point in {"/", wanted} or wanted.startswith(f"{point}/")
            if inside and len(point) >= len(best):
                best, found = point, fields[fields.index("-") + 1]
    return found
