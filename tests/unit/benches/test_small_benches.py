"""Each bench runs at its smallest size and prints the metrics that the contract names."""

from __future__ import annotations

import json
from pathlib import Path

from scripts.benches import config, imports, ingest, warmup
from scripts.benches.handlers import handlers


def printed(capsys) -> dict[str, dict]:
    return {line["metric"]: line for line in map(json.loads, capsys.readouterr().out.splitlines())}


def test_ingest_reads_raw_lines_summaries_and_records_of_flow_logs(capsys):
    ingest.run(lines=20, runs=1)
    lines = printed(capsys)
    assert set(lines) == {"envoy_lines_per_s", "summary_lines_per_s", "flow_records_per_s"}
    assert all(line["bench"] == "ingest" and line["value"] > 0 and line["ratio"] > 0 for line in lines.values())


def test_config_is_polled_through_the_route(capsys):
    config.run(sizes=(10,), runs=1)
    lines = printed(capsys)
    assert set(lines) == {"render_ms_10", "response_kb_10", "unchanged_reads_10"}
    assert all(line["bench"] == "config" and line["value"] > 0 for line in lines.values())
    # The poll item alone, in which the proxy's key lies too.
    assert lines["unchanged_reads_10"]["value"] == 1
    # The ordinary rule of the design has at most 300 bytes.
    assert lines["response_kb_10"]["value"] < 3.2


def test_warmup_answers_with_the_page_cold_and_warm(capsys):
    warmup.run(rounds=1, requests=5)
    lines = printed(capsys)
    assert set(lines) == {"page_cold_ms", "page_warm_ms"}
    assert all(line["bench"] == "warmup" and line["value"] > 0 for line in lines.values())
    # A process each, on a busy machine: what is held to 1.5 is the median of fifteen, not this one.
    assert 0 < lines["page_cold_ms"]["ratio"] < 5


ROOT = Path(__file__).parent.parent.parent.parent


def test_every_function_of_the_configuration_is_measured_with_what_it_builds(monkeypatch):
    for name, value in imports.ENV.items():
        monkeypatch.setenv(name, value)
    known = handlers()
    assert set(known) - {"api_handler"} == set(
        json.loads((ROOT / ".chalice" / "config.json").read_text())["lambda_functions"]
    )
    assert known["tick"].builds == ("scheduler.tick",)
    assert known["warm_up"].builds == ("traffic.answer_traffic", "traffic.hold_traffic")
    assert all(handler.builds for handler in known.values())
    assert (known["tick"].memory_mb, known["api_handler"].memory_mb) == (512, 1024)


def test_every_import_is_printed_beside_its_budget(capsys):
    imports.run(rounds=1)
    lines = printed(capsys)
    assert set(lines) == {"import_app_ms"} | {
        f"import_handler_{name}_ms" for name in handlers() if name != "api_handler"
    }
    assert all(line["value"] > 0 and line["ratio"] > 0.5 for line in lines.values())
    assert lines["import_app_ms"]["budget"] == 2.2
    assert lines["import_handler_tick_ms"]["budget"] == 1.5
