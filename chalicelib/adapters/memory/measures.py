"""Measures and steps, kept."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chalicelib.ports.measures import Annotate, Measure


@dataclass(slots=True)
class RecordedMeasures:
    """Implements Measures and Tracer. `told` is what was flushed, `steps` what was traced."""

    told: list[tuple[Measure, float, str | None]] = field(default_factory=list)
    steps: list[tuple[str, dict[str, str | int]]] = field(default_factory=list)
    _collected: list[tuple[Measure, float, str | None]] = field(default_factory=list)

    def add(self, measure: Measure, value: float = 1.0, of: str | None = None) -> None:
        self._collected.append((measure, value, of))

    def flush(self) -> None:
        self.told += self._collected
        self._collected.clear()

    @contextmanager
    def step(self, name: str, **annotations: str | int) -> Iterator[Annotate]:
        self.steps.append((name, annotations))

        def annotate(**more: str | int) -> None:
            annotations.update(more)

        yield annotate

    def of(self, measure: Measure) -> list[tuple[float, str | None]]:
        """What was flushed of one of them."""
        return [(value, of) for one, value, of in self.told if one is measure]
