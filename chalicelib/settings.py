"""The typed environment of every function, checked at cold start: a wrong variable fails the deploy, not the night."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class SettingsError(Exception):
    """The environment is not what AutoStop needs; the message names every fault."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a stage is made of. `heartbeat` is how often agents send theirs."""

    stage: str
    region: str
    table_prefix: str
    queue_url: str
    proxy_log_group: str
    shortest_idle_minutes: float
    heartbeat: timedelta


def from_env(env: Mapping[str, str] = os.environ) -> Settings:
    """Read them. Raises SettingsError."""
    faults: list[str] = []

    def text(name: str) -> str:
        value = env.get(name, "").strip()
        if not value:
            faults.append(f"{name} is not set")
        return value

    def number(name: str, default: float) -> float:
        try:
            value = float(env.get(name) or default)
        except ValueError:
            value = -1
        if not 0 < value < 1e6:  # noqa: PLR2004
            faults.append(f"{name} is not a number above 0")
            return default
        return value

    settings = Settings(
        text("AUTOSTOP_STAGE"),
        env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or "us-east-1",
        text("AUTOSTOP_TABLE_PREFIX"),
        text("AUTOSTOP_QUEUE_URL"),
        text("AUTOSTOP_PROXY_LOG_GROUP"),
        number("AUTOSTOP_SHORTEST_IDLE_MINUTES", 1),
        timedelta(seconds=number("AUTOSTOP_HEARTBEAT_SECONDS", 60)),
    )
    if faults:
        raise SettingsError("; ".join(faults))
    return settings
