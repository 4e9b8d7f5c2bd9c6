"""`savings_rollup`: each morning, when every rule has been looked at again, the UTC day before is counted and kept."""

from __future__ import annotations

from dataclasses import asdict

from chalice.app import Blueprint, CloudWatchEvent, Cron

from chalicelib.bootstrap import money
from chalicelib.entrypoints import logging_setup

bp = Blueprint(__name__)


@bp.schedule(Cron(30, 9, "*", "*", "?", "*"), name="savings_rollup")
def savings_rollup(event: CloudWatchEvent) -> dict[str, int]:
    """EventBridge calls this; answers how many totals were kept, and how many wait for a price."""
    del event
    logging_setup.set_up()
    return asdict(money.roll_up_savings().run())
