"""Clocks: of this machine against AWS, and of proxies against the functions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from scripts.diagnosis.finding import Finding, Level

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.cli.api import Api
    from scripts.deployment.deployment import Deployment

MOST = timedelta(seconds=60)
"""Beyond which AutoStop itself takes a clock for wrong (clock_skew)."""


def look(deployment: Deployment, api: Api | None) -> Iterator[Finding]:
    """This machine's, by the Date of an answer; proxies', by what they were caught at in the last day."""
    answer = deployment.session.client("sts").get_caller_identity()
    now = datetime.now(UTC)
    there = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    off = abs(now - there.astimezone(UTC))
    if off > MOST:
        words = f"the clock of this machine is {off.total_seconds():.0f} s off that of AWS"
        yield Finding(Level.WRONG, words, "AWS refuses signatures that are 5 minutes off: let NTP set it.")
    else:
        yield Finding(Level.WELL, "the clock of this machine agrees with that of AWS")
    if api is None:
        return
    since = (now - timedelta(days=1)).isoformat(timespec="seconds").replace("+00:00", "Z")
    skewed = sorted(
        {event["subject"] for event in api.items("/events", 2000, {"from": since}) if event["kind"] == "clock_skew"}
    )
    if skewed:
        words = f"clocks of proxies were wrong in the last day: {', '.join(skewed)}"
        yield Finding(Level.WRONG, words, "Their rules are blind meanwhile. On the VM: timedatectl, chronyc tracking.")
    else:
        yield Finding(Level.WELL, "no proxy's clock was wrong in the last day")
