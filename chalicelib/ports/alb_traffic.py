"""The traffic of rules on ALBs: where it goes, and what CloudWatch has counted of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from chalicelib.domain.alb_traffic import AlbPlace, AlbSeries, Position, RuleTraffic
    from chalicelib.domain.guards import Sample


class AlbTraffic(Protocol):
    """Listener rules and target groups that carry our tags; nothing else on an ALB is looked into or touched."""

    def look(self, place: AlbPlace, rule_ids: Sequence[str]) -> Mapping[str, RuleTraffic]:
        """Where the traffic of these rules goes; every id is in the answer, without weights where nothing forwards.

        One DescribeRules a listener (and 400 rules), one DescribeTags for each 20 listener rules that were never
        seen before. Raises CloudError, ThrottledError.
        """
        ...

    def healthy(self, traffic: RuleTraffic) -> bool | None:
        """Whether any target passes its health check: the ALB sends to those only. None where there is no target.

        One DescribeTargetHealth for each target group of instances. Raises CloudError, ThrottledError.
        """
        ...

    def put(self, traffic: RuleTraffic, position: Position) -> None:
        """Send all traffic of the rule there: one ModifyRule for each listener rule that does not say so yet.

        Raises CloudError, ThrottledError; then some of them may say so, and the next look tells.
        """
        ...


class AlbMetrics(Protocol):
    """CloudWatch metrics of ALBs, by minutes and batched: they are paid for each series asked for."""

    def read(
        self, series: Sequence[AlbSeries], start: datetime, end: datetime
    ) -> Mapping[AlbSeries, tuple[Sample, ...]]:
        """The points of whole minutes in [start, end), oldest first; a series without any has none.

        Requests as their sum; LCUs as whatever says that the minute was reported. At most ceil(series / 500) calls
        a region and page. Raises CloudError, ThrottledError.
        """
        ...
