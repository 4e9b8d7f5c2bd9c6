"""`discover`: every five minutes, what has the tags of a rule joins it, and what has them no more leaves it."""

from __future__ import annotations

from dataclasses import asdict

from chalice.app import Blueprint, CloudWatchEvent, Rate

from chalicelib.bootstrap import scheduler
from chalicelib.entrypoints import logging_setup

bp = Blueprint(__name__)


@bp.schedule(Rate(5, unit=Rate.MINUTES), name="discover")
def discover(event: CloudWatchEvent) -> dict[str, int]:
    """EventBridge calls this; answers how many rules and places there are, and how many changed or were not seen."""
    del event
    logging_setup.set_up()
    return asdict(scheduler.discover().run())
