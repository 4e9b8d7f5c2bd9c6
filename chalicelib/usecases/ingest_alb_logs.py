"""One file of an ALB's access log to activity: who used which rule when, and which requests its rule ignores."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chalicelib.domain.activity import clamp
from chalicelib.domain.alb_ignored import LONGEST, ignored_at
from chalicelib.domain.alb_log_lines import MalformedLogLineError, parse
from chalicelib.domain.errors import NotFoundError, UnreadableLogError
from chalicelib.domain.ignoring import ignored_by
from chalicelib.ports import LastActivity, Total

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.domain.alb_log_lines import LoggedRequest
    from chalicelib.domain.rules import Rule
    from chalicelib.ports import ActivityStore, Clock, LoadBalancerRepository, LogObjects, RuleRepository

MINUTE = "%Y-%m-%dT%H:%M"
MOST_RULES = 1_000
"""Whose lines are taken from one file: an ALB has at most a hundred target groups, unless its quota was raised."""


@dataclass(slots=True)
class AlbLogReport:
    """What became of a file. `foreign`: of rules that are not, or not on an ALB that writes there."""

    lines: int = 0
    malformed: int = 0
    foreign: int = 0
    used: int = 0
    ignored: int = 0
    unreadable: str | None = None


@dataclass(slots=True)
class _Seen:
    last: dict[str, datetime] = field(default_factory=dict)
    totals: dict[tuple[str, str, str], list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0, 0]))


@dataclass(slots=True)
class IngestAlbLogs:
    """What the `alb_logs` function does with an object."""

    rules: RuleRepository
    balancers: LoadBalancerRepository
    activity: ActivityStore
    objects: LogObjects
    clock: Clock

    def run(self, bucket: str, key: str) -> AlbLogReport:
        """Store what was used, and what was ignored. The same file again, whole or in part, changes nothing.

        Raises NotFoundError, CloudError, ThrottledError.
        """
        report, seen = AlbLogReport(), _Seen()
        known: dict[str, tuple[Rule, str] | None] = {}
        try:
            for line in self.objects.lines(bucket, key):
                report.lines += 1
                try:
                    request = parse(line)
                except MalformedLogLineError:
                    report.malformed += 1
                    continue
                if request is not None:
                    self._take(request, (bucket, key), known, seen, report)
        except UnreadableLogError as error:
            report.unreadable = str(error)
        for rule_id, at in seen.last.items():
            self.activity.seen(rule_id, LastActivity("access log", at))
        if seen.totals:
            totals = [Total(*id_, requests=n, bytes_in=rx, bytes_out=tx) for id_, (n, rx, tx) in seen.totals.items()]
            self.activity.add_totals(totals)
        return report

    def _take(
        self,
        request: LoggedRequest,
        file: tuple[str, str],
        known: dict[str, tuple[Rule, str] | None],
        seen: _Seen,
        report: AlbLogReport,
    ) -> None:
        if request.rule_id not in known:
            known[request.rule_id] = self._on(request.rule_id, file) if len(known) < MOST_RULES else None
        found = known[request.rule_id]
        if found is None or not found[1].endswith(f"/{request.alb}"):
            report.foreign += 1
            return
        if not request.reached:
            return  # no target was chosen, so RequestCount does not have it, and nobody was served
        rule, now = found[0], self.clock.now()
        created, ended = clamp(request.created, now), clamp(request.ended, now)
        if ignored_by(rule.spec.ignore, request.path, request.user_agent, request.client):
            report.ignored += 1
            if ended - created > LONGEST:
                return
            source, at = f"{ignored_at(request.group)}{_name(file[1])}", created
        else:
            report.used += 1
            source, at = f"access log {_name(file[1])}", ended
            seen.last[rule.id] = max(seen.last.get(rule.id, ended), ended)
        total = seen.totals[rule.id, at.strftime(MINUTE), source]
        total[0] += 1
        total[1] += request.bytes_in
        total[2] += request.bytes_out

    def _on(self, rule_id: str, file: tuple[str, str]) -> tuple[Rule, str] | None:
        """The rule, and the ARN of the ALB that it is on; None too where that one does not write its log there."""
        try:
            rule = self.rules.get(rule_id)
            balancer = self.balancers.get(rule.spec.load_balancer_id or "")
        except NotFoundError:
            return None
        made = balancer.provision.alb if balancer.provision else None
        logs = balancer.alb.access_logs if balancer.alb else None
        if logs is None or made is None or made.alb_arn is None:
            return None
        begins = f"{logs.prefix}/AWSLogs/".lstrip("/")
        return (rule, made.alb_arn) if file[0] == logs.bucket and file[1].startswith(begins) else None


def _name(key: str) -> str:
    """What tells a file from others: node and chance stand at the end of its key."""
    return key.rpartition("/")[2].removesuffix(".log.gz")[-80:]
