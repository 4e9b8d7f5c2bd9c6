"""Lines of logs under atheris: whatever comes, the handlers count it and raise nothing.

By hand, since atheris is no requirement of the suite:

    python -m venv /tmp/fuzz && /tmp/fuzz/bin/pip install -q atheris -r requirements.txt
    PYTHONPATH=. /tmp/fuzz/bin/python tests/fuzz/fuzz_lines.py -max_total_time=300 tests/fuzz/corpus
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

import atheris

with atheris.instrument_imports():
    import orjson

    from chalicelib.adapters.memory.clock import SequentialIds, VirtualClock
    from chalicelib.adapters.memory.stores import MemoryStores
    from chalicelib.domain.alb_log_lines import MalformedLogLineError, parse
    from chalicelib.domain.flow_logs import VERSION_2, FlowFormat, FlowWatch, Interface, Least
    from chalicelib.usecases.ingest_activity import Ingest
    from chalicelib.usecases.ingest_flows import IngestFlows

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
LAYOUT = FlowFormat.of(VERSION_2)


def one(data: bytes) -> None:
    """A batch of lines, to each of the three that read any."""
    chance = atheris.FuzzedDataProvider(data)
    stream = chance.ConsumeUnicode(20)
    texts = chance.ConsumeUnicode(4096).split("\n")
    events = [{"id": str(n), "timestamp": chance.ConsumeInt(8), "message": text} for n, text in enumerate(texts)]
    clock = VirtualClock(NOW)
    stores = MemoryStores(clock)
    minute = timedelta(minutes=1)
    stores.flows.watch(FlowWatch("ru_1", (Interface("eni-1", ("10.0.0.5",)),), (22,), ("10.9.0.0/16",)))
    s = stores
    Ingest(s.activity, s.proxies, s.balancers, s.events, clock, SequentialIds(), minute, orjson.loads).run_payload(
        stream, events
    )
    IngestFlows(s.activity, s.flows, clock, LAYOUT, minute, Least()).run(stream, events)
    for text in texts:
        try:
            parse(text.encode(errors="surrogatepass"))
        except MalformedLogLineError:
            continue


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
