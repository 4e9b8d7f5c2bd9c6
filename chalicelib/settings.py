"""The typed environment of every function, checked at cold start: a wrong variable fails the deploy, not the night."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


_FUNCTION = r"(arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:function:)?[A-Za-z0-9_-]{1,64}"


class SettingsError(Exception):
    """The environment is not what AutoStop needs; the message names every fault."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a stage is made of. `heartbeat` is how often agents send theirs.

    `warm_up_function` is the ARN, or the name, of the function that ALBs send to what is down.
    `flow_log_group` is where VPC flow logs go (empty: nowhere), `flow_log_fields` the format of their records (empty:
    version 2), and `flow_log_window` how long they aggregate; a flow of fewer packets or bytes is nobody's.
    `provision_queue_url` and `proxy_boundary_arn` are what proxies' VMs are made with.
    """

    stage: str
    region: str
    table_prefix: str
    queue_url: str
    provision_queue_url: str
    proxy_boundary_arn: str
    proxy_log_group: str
    shortest_idle_minutes: float
    heartbeat: timedelta
    warm_up_function: str
    flow_log_group: str
    flow_log_fields: str
    flow_log_window: timedelta
    flow_log_least_packets: int
    flow_log_least_bytes: int


def from_env(env: Mapping[str, str] = os.environ) -> Settings:
    """Read them. Raises SettingsError."""
    faults: list[str] = []

    def text(name: str, pattern: str, words: str) -> str:
        value = env.get(name, "").strip()
        if not value:
            faults.append(f"{name} is not set")
        elif not re.fullmatch(pattern, value):
            faults.append(f"{name} is not {words}")
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
        text("AUTOSTOP_STAGE", r"[A-Za-z0-9_-]{1,40}", "a name of letters, digits, - and _"),
        text(
            "AWS_DEFAULT_REGION" if "AWS_REGION" not in env and "AWS_DEFAULT_REGION" in env else "AWS_REGION",
            r"[a-z]{2,4}(-[a-z]+)+-\d",
            "a region",
        ),
        text("AUTOSTOP_TABLE_PREFIX", r"[A-Za-z0-9_.-]{1,200}", "the beginning of a table's name"),
        text("AUTOSTOP_QUEUE_URL", r"https?://\S+", "a URL"),
        text("AUTOSTOP_PROVISION_QUEUE_URL", r"https?://\S+", "a URL"),
        text("AUTOSTOP_PROXY_BOUNDARY_ARN", r"arn:aws[a-z-]*:iam::\d{12}:policy/\S+", "the ARN of a policy"),
        text("AUTOSTOP_PROXY_LOG_GROUP", r"[A-Za-z0-9_/.#-]{1,512}", "a log group's name"),
        number("AUTOSTOP_SHORTEST_IDLE_MINUTES", 1),
        timedelta(seconds=number("AUTOSTOP_HEARTBEAT_SECONDS", 60)),
        # Chalice names its functions so: APP-STAGE-NAME.
        env.get("AUTOSTOP_WARM_UP_FUNCTION_ARN", "").strip() or f"autostop-{env.get('AUTOSTOP_STAGE', '')}-warm_up",
        env.get("AUTOSTOP_FLOW_LOG_GROUP", "").strip(),
        env.get("AUTOSTOP_FLOW_LOG_FIELDS", "").strip(),
        timedelta(seconds=number("AUTOSTOP_FLOW_LOG_WINDOW_SECONDS", 60)),
        int(number("AUTOSTOP_FLOW_LOG_LEAST_PACKETS", 3)),
        int(number("AUTOSTOP_FLOW_LOG_LEAST_BYTES", 1)),
    )
    if not re.fullmatch(_FUNCTION, settings.warm_up_function):
        faults.append("AUTOSTOP_WARM_UP_FUNCTION_ARN is not the ARN of a function")
    if faults:
        raise SettingsError("; ".join(faults))
    return settings
