"""`provision`: makes the VMs of proxies and takes them away, behind a queue of its own; the sweep is its safety net."""

from __future__ import annotations

import os

from chalice.app import Blueprint, CloudWatchEvent, Rate, SQSEvent

from chalicelib.bootstrap import provisioning, telling
from chalicelib.entrypoints import logging_setup

bp = Blueprint(__name__)

QUEUE = f"autostop-{os.environ.get('AUTOSTOP_STAGE', 'dev')}-provision"
"""Read while packaging, where Chalice sets the stage's environment."""


@bp.on_sqs_message(queue=QUEUE, batch_size=1, name="provision")
def provision(event: SQSEvent) -> None:
    """What raises goes back to the queue, and after three times to the dead-letter queue; the sweep takes it up."""
    logging_setup.set_up()
    for record in event:
        load_balancer_id, at_once = provisioning.read_provision_message(record.body)
        with telling.tracer().step("provision", load_balancer=load_balancer_id):
            provisioning.provisioner().run(load_balancer_id, at_once=at_once)


@bp.schedule(Rate(15, unit=Rate.MINUTES), name="provision_sweep")
def provision_sweep(event: CloudWatchEvent) -> dict[str, int]:
    """EventBridge calls this; answers how many load balancers are to be looked at."""
    del event
    logging_setup.set_up()
    sent = provisioning.provisioner().sweep()
    provisioning.measure_proxies().run()
    telling.measures().flush()
    return {"sent": sent}
