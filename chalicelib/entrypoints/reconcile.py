"""`reconcile`: the worker behind the queue. One message an invocation, so a failure never takes others along."""

from __future__ import annotations

import os

from chalice.app import Blueprint, SQSEvent

from chalicelib.bootstrap import scheduler, telling
from chalicelib.entrypoints import logging_setup

bp = Blueprint(__name__)

QUEUE = f"autostop-{os.environ.get('AUTOSTOP_STAGE', 'dev')}-reconcile"
"""Read while packaging, where Chalice sets the stage's environment."""


@bp.on_sqs_message(queue=QUEUE, batch_size=1, name="reconcile")
def reconcile(event: SQSEvent) -> None:
    """What raises goes back to the queue, and after three times to the dead-letter queue."""
    logging_setup.set_up()
    for record in event:
        request = scheduler.read_request(record.body)
        try:
            with telling.tracer().step("reconcile", cause=request.cause, rules=len(request.rule_ids)):
                scheduler.reconciler().run(request)
        finally:
            telling.measures().flush()
