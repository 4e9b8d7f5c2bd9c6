"""docs/explanation/cost.md, made from docs/explanation/cost.json and the tables of prices and assumptions.

`python -m scripts.cost_table` writes it; `./scripts/bench cost --write` counts anew.
"""

from __future__ import annotations

import json
from typing import Any

from scripts.base_stack import API_TRACED
from scripts.costs import assumptions
from scripts.costs.prices import AS_OF, DATA_PLANE, PRICES, REGION
from scripts.costs.scenarios import ALL_ON_ALBS, BUSY_ON_PROXIES, ON_PROXIES
from scripts.local.stack import ROOT

FOLDER = ROOT / "docs" / "explanation"
DATA, PAGE = FOLDER / "cost.json", FOLDER / "cost.md"
NAMES = {
    ON_PROXIES: f"on proxies, one in {assumptions.USED_OF} used each day",
    BUSY_ON_PROXIES: "on proxies, all used each day",
    ALL_ON_ALBS: "on ALBs, all in use",
}


def keep(rows: list[dict[str, Any]]) -> None:
    """Store what was counted, and make the page of it."""
    FOLDER.mkdir(exist_ok=True)
    DATA.write_text(json.dumps({"as_of": AS_OF, "region": REGION, "rows": rows}, indent=1) + "\n")
    PAGE.write_text(page(stored()))


def stored() -> list[dict[str, Any]]:
    """The rows as they were counted last."""
    rows: list[dict[str, Any]] = json.loads(DATA.read_text())["rows"]
    return rows


def page(rows: list[dict[str, Any]]) -> str:
    """The page in Markdown."""
    parts = [_INTRO, _table(rows), _HOW, *(_lines(row) for row in rows), _assumed(), _prices()]
    return "\n".join(parts).rstrip() + "\n"


def _table(rows: list[dict[str, Any]]) -> str:
    columns = "control plane, USD a month | of which metrics and alarms | a rule | data plane beside it | hours counted"
    head = f"| rules | {columns} |"
    body = [
        f"| {row['rules']:,} {NAMES[row['kind']]} ({_plural(row)}) | **{row['usd_per_month']:.2f}** "
        f"| {row['of_which_metrics_and_alarms']:.2f} "
        f"| {row['usd_per_month'] / row['rules']:.3f} | {row['data_plane_usd_per_month']:.2f} "
        f"| {row['counted_hours']:g} |"
        for row in rows
    ]
    return "\n".join([head, "|---|--:|--:|--:|--:|--:|", *body, ""])


def _plural(row: dict[str, Any]) -> str:
    what = ("ALB", "ALBs") if row["kind"] == ALL_ON_ALBS else ("proxy", "proxies")
    return f"{row['load_balancers']:,} {what[row['load_balancers'] != 1]}"


def _lines(row: dict[str, Any]) -> str:
    head = f"### {row['rules']:,} rules {NAMES[row['kind']]}\n\n| item | a month | USD |\n|---|--:|--:|"
    quantities = row["quantities"]
    body = [f"| {name} | {_amount(quantities[name])} | {usd:.2f} |" for name, usd in row["lines"].items()]
    runs = ", ".join(f"`{name}` {of['runs']:,} of {of['seconds']:g} s" for name, of in row["functions"].items())
    return "\n".join([head, *body, f"\nRuns of functions: {runs}.\n"])


def _amount(amount: float) -> str:
    return f"{amount:,.0f}" if amount >= 1 else f"{amount:g}"


def _assumed() -> str:
    a = assumptions
    waits = ", ".join(f"{service} {seconds * 1000:g} ms" for service, seconds in a.LATENCY.items())
    return f"""## What is assumed

- On proxies one rule in {a.USED_OF}, or each where the table says so, is used {_hours(a.SESSION)} h of each day, in
  each of whose minutes somebody comes: 42 h a week; the beginnings are spread over the day. So each of these is started
  and stopped once a day, and the others rest. Idle time {_minutes(a.IDLE)} min;
  {a.BOOT.total_seconds():g} s from a start until the service accepts. A rule on an ALB is in use all the time.
- One proxy for {a.RULES_A_PROXY:,} rules, one ALB for {a.RULES_AN_ALB}. A proxy polls every 30 s, and every second
  while somebody waits or is drained; it has {a.CERTIFICATES} certificate, for whose two secrets and for its key it asks
  every 5 min.
- A call of AWS takes: {waits}. CPU is measured where the bench runs, taken as one processor of Lambda's
  ({a.VCPU_MB:,} MB) and scaled to each function's memory. A function that was not called for
  {_minutes(a.COLD_AFTER)} min starts cold: {a.COLD:g} s, billed.
- Lambda logs {a.PLATFORM_LOG} bytes of each run itself; each event of a log has {a.LOG_EVENT} bytes beside its text.
- Each of the two queues is polled {a.IDLE_POLLS_AN_HOUR:,.0f} times an hour while it is empty, and counted so all
  the time.
- X-Ray traces the worker and the API: of the former the first run of a second and {a.TRACED_ABOVE:.0%} of the others,
  of the requests to the latter {API_TRACED:.0%}.
- Custom metrics are paid for by the hours in which they are told (ADR 25), alarms all the time. {a.PEOPLE} requests a
  day of people.
"""


def _hours(time: Any) -> str:  # noqa: ANN401
    return f"{time.total_seconds() / 3600:g}"


def _minutes(time: Any) -> str:  # noqa: ANN401
    return f"{time.total_seconds() / 60:g}"


def _prices() -> str:
    body = [
        f"| {quantity.value} | {price.usd:g} for {price.per:,} {price.unit} | [page]({price.source}) |"
        for quantity, price in PRICES.items()
    ]
    carriers = ", ".join(f"{kind} {usd:.2f}" for kind, usd in DATA_PLANE.items())
    head = f"""## Prices

{REGION}, as of {AS_OF}, without any free tier; written from memory of the pages named, since the machine that
counts cannot reach them. The data plane, USD a month each, without traffic: {carriers} (a t3.micro with 8 GB
of gp3 and the secret with its key, and beside it the calls by which its agent asks for secrets; an ALB without LCUs).

| item | USD | source |
|---|---|---|"""
    return "\n".join([head, *body, ""])


_INTRO = """# What AutoStop costs

<!-- Made by `python -m scripts.cost_table` of cost.json, which `./scripts/bench cost --write` counts. Do not edit. -->

AutoStop's own cost a month: functions, tables, queues, API, logs, metrics. What carries the traffic (the VM of a proxy,
an ALB) stands beside it, in a column of its own.
"""

_HOW = """The bench lets the real use cases run for a stretch of virtual time, on the real DynamoDB adapters with moto
behind them, and counts what AWS would bill: request units by the sizes of items, runs and seconds of functions,
requests to queues and API, metrics asked for, bytes logged, traces. That is multiplied to a month of 730 hours.

## Item by item
"""


if __name__ == "__main__":
    PAGE.write_text(page(stored()))
