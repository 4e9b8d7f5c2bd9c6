"""The install script as text: pure, and byte for byte the same for the same input."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import shlex
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY_FILE = "/run/autostop-key/key"
"""Where the agent looks for its key when it is in no secret: on tmpfs, beside what the services own."""

HEALTH_PORT = 15021
"""The agent's default (docs/reference/agent-settings.md)."""


@dataclass(frozen=True, slots=True)
class InstallSettings:
    """What differs from proxy to proxy. `region` is the one of the control plane: its log group is there."""

    api_url: str
    load_balancer_id: str
    region: str
    log_group: str
    port_range: tuple[int, int]
    api_key_secret_arn: str | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """What every script is made of. `agent`: path in the bundle to content."""

    version: str
    template: str
    agent_unit: str
    envoy_unit: str
    launcher: str
    upgrade: str
    requirements: str
    agent: Mapping[str, bytes]


def bundle(files: Mapping[str, bytes]) -> bytes:
    """A zip whose bytes follow from the content alone: no times, no owners, in the order of the names."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            archive.writestr(entry, files[name])
    return raw.getvalue()


def script(settings: InstallSettings, parts: Parts) -> str:
    """The script for one proxy. There is no key in it: what it installs finds the key where `settings` say."""
    zipped = bundle(parts.agent)
    first, last = settings.port_range
    values = {
        "VERSION": parts.version,
        "LOAD_BALANCER_ID": settings.load_balancer_id,
        "KEY_FILE": shlex.quote("" if settings.api_key_secret_arn else KEY_FILE),
        "BUNDLE_SHA256": hashlib.sha256(zipped).hexdigest(),
        "BUNDLE": base64.encodebytes(zipped).decode().rstrip(),
        "AGENT_JSON": json.dumps(_agent_settings(settings), indent=2),
        "REQUIREMENTS": parts.requirements.rstrip(),
        "PORTS": f"{first}-{last}",
        "AGENT_UNIT": parts.agent_unit.rstrip(),
        "ENVOY_UNIT": parts.envoy_unit.rstrip(),
        "LAUNCHER": parts.launcher.rstrip(),
        "UPGRADE": parts.upgrade.rstrip(),
    }
    # A value is not looked through for names, and what the script itself fills in (the member, the root) stays.
    text = re.sub(r"@([A-Z0-9_]+)@", lambda match: values.get(match[1], match[0]), parts.template)
    # Any change of anything is another release, in a directory of its own: there is always one to go back to.
    release = f"{parts.version}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    return text.replace("readonly RELEASE=@RELEASE@\n", f"readonly RELEASE={release}\n", 1)


def _agent_settings(settings: InstallSettings) -> dict[str, Any]:
    known = {
        "api_url": settings.api_url,
        "load_balancer_id": settings.load_balancer_id,
        "member": "@MEMBER@",
        "region": settings.region,
        "log_group": settings.log_group,
        "run_dir": "@ROOT@/run/autostop",
        "state_dir": "@ROOT@/var/lib/autostop",
        "health_port": _health_port(*settings.port_range),
    }
    if settings.api_key_secret_arn:
        return known | {"api_key_secret_arn": settings.api_key_secret_arn}
    return known | {"key_file": f"@ROOT@{KEY_FILE}"}


def _health_port(first: int, last: int) -> int:
    """Where a balancer asks for the proxy's health: never where a rule may come to listen."""
    if not first <= HEALTH_PORT <= last:
        return HEALTH_PORT
    return last + 1 if last < 65535 else first - 1  # noqa: PLR2004
