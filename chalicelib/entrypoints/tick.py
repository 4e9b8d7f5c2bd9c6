"""`tick`: once a minute, everything that is due goes to the worker."""

from __future__ import annotations

from dataclasses import asdict

from chalice.app import Blueprint, CloudWatchEvent, Rate

from chalicelib.bootstrap import scheduler
from chalicelib.entrypoints import logging_setup

bp = Blueprint(__name__)


@bp.schedule(Rate(1, unit=Rate.MINUTES), name="tick")
def tick(event: CloudWatchEvent) -> dict[str, int]:
    """EventBridge calls this; answers what was found and sent."""
    del event
    logging_setup.set_up()
    return asdict(scheduler.tick().run())
