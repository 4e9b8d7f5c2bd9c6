"""The environment of the functions, and the agent's settings."""

from __future__ import annotations

import inspect
import re
from dataclasses import MISSING, fields

from chalicelib import settings
from chalicelib.agent.settings import Settings as AgentSettings
from scripts.reference.tables import table

WORDS = {
    "AUTOSTOP_STAGE": "the stage's name",
    "AWS_REGION": "the region; Lambda sets it",
    "AUTOSTOP_TABLE_PREFIX": "what the names of its tables begin with",
    "AUTOSTOP_QUEUE_URL": "the worker's queue",
    "AUTOSTOP_PROVISION_QUEUE_URL": "the queue of the function that makes load balancers",
    "AUTOSTOP_PROXY_BOUNDARY_ARN": "the permissions boundary of proxies' roles",
    "AUTOSTOP_PROXY_LOG_GROUP": "where proxies log",
    "AUTOSTOP_SHORTEST_IDLE_MINUTES": "the shortest idle time that a rule may have (the demo: less than a minute)",
    "AUTOSTOP_HEARTBEAT_SECONDS": "how often agents beat",
    "AUTOSTOP_WARM_UP_FUNCTION_ARN": "the warm-up function; without it, the one that Chalice names `autostop-STAGE-warm_up`",
    "AUTOSTOP_FLOW_LOG_GROUP": "where VPC flow logs go; empty: nowhere",
    "AUTOSTOP_FLOW_LOG_FIELDS": "the format of their records; empty: version 2",
    "AUTOSTOP_FLOW_LOG_WINDOW_SECONDS": "how long they aggregate",
    "AUTOSTOP_FLOW_LOG_LEAST_PACKETS": "a flow of fewer packets is nobody's",
    "AUTOSTOP_FLOW_LOG_LEAST_BYTES": "a flow of fewer bytes is nobody's",
}
"""Held against what `settings.from_env` reads by a test."""


def variables() -> list[str]:
    """What `from_env` reads, in its order."""
    found = re.findall(r'"((?:AUTOSTOP|AWS)_[A-Z_]+)"', inspect.getsource(settings.from_env))
    return [name for name in dict.fromkeys(found) if name != "AWS_DEFAULT_REGION"]


def page() -> str:
    """Both tables."""
    source = inspect.getsource(settings.from_env)
    rows = []
    for name in variables():
        default = re.search(rf'number\("{name}", ([\d.]+)\)', source)
        rows.append([f"`{name}`", WORDS[name], default[1] if default else ""])
    agent = [[f"`{f.name}`", "needed" if f.default is MISSING else f"`{f.default}`"] for f in fields(AgentSettings)]
    return f"""# Settings

## Of the functions

Environment variables, in the stage's section of `.chalice/config.json`; `./scripts/bootstrap` writes those that name what it made,
and leaves the others alone. They are checked at cold start, all faults at once.

{table(("variable", "", "default"), rows)}
What people switch while it runs is `GET/PUT /account`: a pause of all stops, and how many resources may begin to be stopped in a
minute.

## Of the agent

One JSON file on the proxy's VM, described in [agent-settings.md](agent-settings.md). Times are seconds.

{table(("setting", "default"), agent)}"""
