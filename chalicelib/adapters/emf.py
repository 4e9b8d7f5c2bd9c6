"""CloudWatch's embedded metric format: metrics as lines of the function's own log, without a call.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.ports.basics import Clock
    from chalicelib.ports.measures import Measure

NAMESPACE = "AutoStop"
MOST_VALUES = 100
"""Of one metric in one line."""
MOST_OF = 50
"""Names beside a metric, so that a line stays far below the 256 KB that CloudWatch Logs takes."""


class EmfMeasures:
    """Implements Measures. The one dimension is the stage; what a value is of stands beside it, for Logs Insights."""

    def __init__(self, stage: str, clock: Clock, write: Callable[[str], object] | None = None) -> None:
        self._stage, self._clock = stage, clock
        self._write = write or _to_stdout
        self._values: defaultdict[Measure, list[float]] = defaultdict(list)
        self._of: defaultdict[Measure, dict[str, float]] = defaultdict(dict)

    def add(self, measure: Measure, value: float = 1.0, of: str | None = None) -> None:
        values, named = self._values[measure], self._of[measure]
        if measure.summed:
            values[:] = [sum(values) + value]
        else:
            values.append(value)
        if of is not None and (of in named or len(named) < MOST_OF):
            named[of] = named.get(of, 0.0) + value if measure.summed else value

    def flush(self) -> None:
        while self._values:
            now = int(self._clock.now().timestamp() * 1000)
            metrics = [{"Name": measure.label, "Unit": measure.unit} for measure in self._values]
            told = {"Namespace": NAMESPACE, "Dimensions": [["Stage"]], "Metrics": metrics}
            line: dict[str, object] = {
                "_aws": {"Timestamp": now, "CloudWatchMetrics": [told]},
                "Stage": self._stage,
            }
            for measure, values in self._values.items():
                some = values[:MOST_VALUES]
                line[measure.label] = some[0] if len(some) == 1 else some
            if any(self._of.values()):
                line["of"] = {measure.label: named for measure, named in self._of.items() if named}
            self._write(json.dumps(line) + "\n")
            left = {measure: values[MOST_VALUES:] for measure, values in self._values.items()}
            self._values.clear()
            self._of.clear()
            self._values.update({measure: values for measure, values in left.items() if values})


def _to_stdout(line: str) -> None:
    """What Lambda's runtime takes as one event of the log."""
    sys.stdout.write(line)
    sys.stdout.flush()
