"""The agent's settings: one JSON file (docs/reference/agent-settings.md). The API key is elsewhere: see `keys`."""

from __future__ import annotations

import json
from dataclasses import MISSING, dataclass, fields
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """Times in seconds. `run_dir` lies on tmpfs; `state_dir` survives a reboot.

    `health_port`: where a balancer in front of us asks how we are, on `bind_address`; None: nowhere.
    """

    api_url: str
    load_balancer_id: str
    member: str
    region: str
    log_group: str
    run_dir: Path
    state_dir: Path
    key_file: Path | None = None
    api_key_secret_arn: str | None = None
    bind_address: str = "0.0.0.0"  # noqa: S104  (a proxy is there to be connected to)
    poll_seconds: float = 30
    heartbeat_seconds: float = 60
    periodic_seconds: float = 60
    tls_dir: Path | None = None
    secret_seconds: float = 300
    health_port: int | None = 15021

    @property
    def secrets(self) -> Path:
        """Envoy's files of certificates with their keys: on tmpfs, or nothing is written there."""
        return self.tls_dir or self.run_dir / "xds" / "sds"

    @property
    def access_log(self) -> Path:
        """What Envoy writes and we follow."""
        return self.run_dir / "access.log"


def load(path: Path) -> Settings:
    """Read the file. Raises ValueError naming every unknown or missing setting."""
    data = json.loads(path.read_text())
    known = {f.name: f for f in fields(Settings)}
    unknown = sorted(set(data) - set(known))
    missing = sorted(name for name, f in known.items() if f.default is MISSING and name not in data)
    if unknown or missing:
        raise ValueError(f"{path}: unknown settings {unknown}, missing settings {missing}")
    if (data.get("key_file") is None) is (data.get("api_key_secret_arn") is None):
        raise ValueError(f"{path}: needs one of key_file and api_key_secret_arn")
    port = data.get("health_port")
    if port is not None and (not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536):  # noqa: PLR2004
        raise ValueError(f"{path}: health_port is {port!r}, which is neither a port nor null")
    paths = {name: Path(data[name]) for name in ("key_file", "run_dir", "state_dir", "tls_dir") if data.get(name)}
    return Settings(**(data | paths))
