"""What is watched in the flow logs, and what they have proved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from chalicelib.domain.activity import Span
    from chalicelib.domain.flow_logs import FlowWatch, Interface
    from chalicelib.domain.resources import Place, ResourceRef


class FlowStore(Protocol):
    """Beside the activity of rules, whose facts have what is proven of their interfaces. All raise CloudError."""

    def watch(self, watch: FlowWatch) -> None:
        """Look for its rule from now on, or for something else of it. Forgotten after two days without a word."""
        ...

    def watches(self) -> Sequence[FlowWatch]:
        """All of them."""
        ...

    def prove(
        self, rule_id: str, interface: str, proved: Sequence[Span], skipped: Sequence[Span], window: timedelta
    ) -> None:
        """Add to what is proven of an interface (flow_proof.extend); twice, or beside others, is no harm."""
        ...


class Interfaces(Protocol):
    """Network interfaces. All raise CloudError, ThrottledError."""

    def of_instances(self, place: Place, refs: Sequence[ResourceRef]) -> Mapping[ResourceRef, tuple[Interface, ...]]:
        """With their private addresses of both families; of what has none, none."""
        ...
