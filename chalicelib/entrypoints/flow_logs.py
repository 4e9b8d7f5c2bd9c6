"""`flow_logs`: subscribed to the log group of VPC flow logs. Bad records are counted and skipped, never raised."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

from chalice.app import Blueprint

from chalicelib.bootstrap import evidence, parts
from chalicelib.entrypoints import logging_setup
from chalicelib.entrypoints.subscriptions import UnreadablePayloadError, unpack

bp = Blueprint(__name__)
log = logging.getLogger(__name__)


@bp.lambda_function(name="flow_logs")
def flow_logs(event: dict[str, Any], context: object) -> dict[str, int]:
    """CloudWatch Logs calls this; answers what became of the batch."""
    del context
    logging_setup.set_up()
    try:
        payload = unpack(event, parts.settings().flow_log_group)
    except UnreadablePayloadError as error:
        log.warning("a payload was skipped", extra={"why": str(error)})
        return {"skipped": 1}
    if not payload.events:
        return {"skipped": 0}
    report = asdict(evidence.ingest_flows().run(payload.stream, payload.events))
    log.info("ingested", extra=report)
    return report
