"""What the proxy costs a rule that is up: against an Envoy with the least that passes requests on, in turns.

Both have as many workers as there are processors, and pass to one Envoy that answers by itself with a kilobyte. The
baseline writes no access log: Envoy's default one, flushed as Envoy does by itself, cost it nothing that we could see.
The agent reads ours meanwhile. All of it shares the machine: what the client, the target and the agent take is missing
in the throughput; the processor time of each request, Envoy's and the agent's, is told beside it and is less noisy.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.benches.proxy.load import Clients
from scripts.benches.proxy.stage import ENVOY, stage
from scripts.benches.proxy.targets import quantile, web
from scripts.benches.report import report

if TYPE_CHECKING:
    from scripts.benches.proxy.stage import Stage

CONNECTIONS = 32
AT_A_TIME = {"http": 4, "tcp": 1}
"""Requests under way on each connection, where their number is measured: several, else we would measure our own client.
Only where a proxy takes them apart: an Envoy that answers by itself closes on those that come together."""

BODY = 1024
ROUNDS = 5
SECONDS = 1.5
RATE = 500.0
"""Requests a second for the latency: what both can do without waiting."""

_TYPES = "type.googleapis.com/envoy.extensions.filters"


async def run(rounds: int = ROUNDS, seconds: float = SECONDS) -> None:
    """The median of the rounds; the latency is of all their requests together."""
    async with stage() as made:
        ours, theirs = await _three(made)
        rates: dict[tuple[str, bool], list[float]] = {}
        times: dict[bool, list[float]] = {True: [], False: []}
        spent: dict[str, list[float]] = {name: [] for name in ("envoy", "least", "agent")}
        for _ in range(rounds):
            for product, ports in ((True, ours), (False, theirs)):
                for name, port in ports.items():
                    before = _spent(made)
                    rate = await asyncio.to_thread(_rate, made.address, port, AT_A_TIME[name], seconds)
                    rates.setdefault((name, product), []).append(rate)
                    for program, used in _spent(made).items() if name == "http" else ():
                        if (program != "least") == product:
                            spent[program].append((used - before[program]) / (rate * seconds) * 1e6)
                times[product] += await asyncio.to_thread(_times, made.address, ports["http"], seconds)
    for name in ("http", "tcp"):
        own, base = (statistics.median(rates[name, product]) for product in (True, False))
        report("proxy", f"{name}_throughput_rps", own, "1/s", base)
    envoy, least, agent = (statistics.median(spent[program]) for program in ("envoy", "least", "agent"))
    report("proxy", "http_envoy_cpu_us", envoy, "us/request", least)
    report("proxy", "http_agent_cpu_us", agent, "us/request")
    report("proxy", "http_p99_ms", quantile(times[True], 0.99) * 1000, "ms", quantile(times[False], 0.99) * 1000)


def _spent(made: Stage) -> dict[str, float]:
    """Seconds of processor time that each program has had (proc(5): utime and stime, in ticks)."""
    found = {}
    for name in ("envoy", "least", "agent"):
        stat = Path(f"/proc/{made.processes.running[name].pid}/stat").read_text()
        ticks = stat.rpartition(")")[2].split()[11:13]
        found[name] = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    return found


def _rate(address: str, port: int, at_a_time: int, seconds: float) -> float:
    with Clients(address, port, CONNECTIONS, BODY, at_a_time) as clients:
        return clients.per_second(seconds)


def _times(address: str, port: int, seconds: float) -> list[float]:
    with Clients(address, port, CONNECTIONS, BODY) as clients:
        return clients.latencies(RATE, seconds)


async def _three(made: Stage) -> tuple[dict[str, int], dict[str, int]]:
    """Start a target, and the least before it; answers the ports of ours and of the least."""
    target = made.free_port(made.target)
    answer = {"direct_response": {"status": 200, "body": {"inline_string": "x" * BODY}}}
    _envoy(made, "target", [_listener(made.target, target, _http(answer))], [], 1)
    theirs = {name: made.free_port() for name in ("http", "tcp")}
    to_target = {
        "name": "target",
        "load_assignment": {
            "cluster_name": "target",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(made.target, target)}}]}],
        },
    }
    passing = [
        _listener(made.address, theirs["http"], _http({"route": {"cluster": "target"}})),
        _listener(
            made.address,
            theirs["tcp"],
            (
                "tcp_proxy",
                {"@type": f"{_TYPES}.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "t", "cluster": "target"},
            ),
        ),
    ]
    _envoy(made, "least", passing, [to_target], os.cpu_count() or 1)
    ours = {name: made.free_port() for name in ("http", "tcp")}
    rule = {
        "id": "ru_load",
        "targets": [made.target],
        "http": [web("load.test", ours["http"], target)],
        "tcp": [{"listen": ours["tcp"], "target": target}],
    }
    await made.in_force(rule)
    await made.until(lambda: made.plane.accepts.get("ru_load"), "the agent knows that the target is up")
    return ours, theirs


def _envoy(
    made: Stage, name: str, listeners: list[dict[str, Any]], clusters: list[dict[str, Any]], workers: int
) -> None:
    file = made.home / f"{name}.json"
    file.write_text(json.dumps({"static_resources": {"listeners": listeners, "clusters": clusters}}))
    command = [ENVOY, "--config-path", str(file), "--concurrency", str(workers), "--disable-hot-restart"]
    made.processes.start(name, [*command, "--log-level", "warning"])


def _listener(address: str, port: int, chain: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    name, config = chain
    filters = [{"name": f"envoy.filters.network.{name}", "typed_config": config}]
    return {"name": f"l{port}", "address": _address(address, port), "filter_chains": [{"filters": filters}]}


def _http(action: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{_TYPES}.http.router.v3.Router"},
    }
    routes = [{"match": {"prefix": "/"}, **action}]
    return "http_connection_manager", {
        "@type": f"{_TYPES}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "h",
        "route_config": {"name": "r", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": routes}]},
        "http_filters": [router],
    }


def _address(address: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": address, "port_value": port}}
